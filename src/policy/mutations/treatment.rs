//! What is to be done with a pod that could land on a flagged node: one decision, which `node-steering` and `limit-stripping` carry
//! out.
//!
//! A pod that can land on flagged nodes alone loses its limits: it would not start with them. One that can land on others too is kept
//! off the flagged ones, or, where that is not wanted or not possible, loses its limits as well.

use super::{Case, Pod};
use crate::policy::configuration::{self, ExcludeBy, MutationMode};
use crate::policy::mutation::Mutation;
use crate::policy::names::SKIP;
use crate::policy::nodes::{Flagged, Landing, Placement};
use crate::policy::outcome::Skip;
use crate::policy::values::coordinates::entries;

/// What is to be done with a pod.
pub(super) enum Treatment<'n> {
    /// Nothing, for this reason.
    None(Skip),
    /// It is kept off these nodes.
    Avoid(Exclusion<'n>, Vec<Flagged<'n>>),
    /// Its limits go, because it could land on these nodes.
    Strip(Reach, Vec<Flagged<'n>>),
}

/// By what a pod is kept off nodes.
pub(super) enum Exclusion<'n> {
    /// A label that all of them have.
    Label(&'n str),
    /// Their names.
    Names,
}

/// Where else a pod can land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// On flagged nodes alone.
    FlaggedOnly,
    /// On others too.
    OthersToo,
}

/// What is to be done with a pod.
pub(super) fn treatment<'c>(pod: &Pod<'_>, case: &Case<'c>) -> Treatment<'c> {
    let flagged = match landing(case, || Placement::of(pod.spec())) {
        Err(unknown) => return Treatment::None(unknown),
        Ok(Landing::Unflagged) => return Treatment::None(Skip::NoFlaggedNode),
        Ok(Landing::Pinned(flagged)) => return Treatment::Strip(Reach::FlaggedOnly, flagged),
        Ok(Landing::Mixed(flagged)) => flagged,
    };
    match case.policy.flagged_nodes.unpinned.of(pod.role()) {
        configuration::Treatment::Ignore => Treatment::None(Skip::UnpinnedIgnored),
        configuration::Treatment::Strip => Treatment::Strip(Reach::OthersToo, flagged),
        configuration::Treatment::Avoid => match exclusion(&flagged, case) {
            Some(exclusion) if may_be_steered(pod, case) => Treatment::Avoid(exclusion, flagged),
            _ => Treatment::Strip(Reach::OthersToo, flagged),
        },
    }
}

/// Where a pod can land, or why that is not known.
pub(in crate::policy) fn landing<'c, 'a>(
    case: &Case<'c>,
    placement: impl FnOnce() -> Placement<'a>,
) -> Result<Landing<'c>, Skip> {
    let nodes = case.snapshot.nodes.as_ref().ok_or(Skip::NodesUnknown)?;
    Ok(if nodes.is_any_flagged() { nodes.landing(&placement()) } else { Landing::Unflagged })
}

/// Whether a pod can land on flagged nodes alone.
pub(super) fn is_pinned<'a>(case: &Case<'_>, placement: impl FnOnce() -> Placement<'a>) -> bool {
    matches!(landing(case, placement), Ok(Landing::Pinned(_)))
}

/// By what a pod can be kept off these nodes.
fn exclusion<'c>(flagged: &[Flagged<'_>], case: &Case<'c>) -> Option<Exclusion<'c>> {
    let settings = &case.policy.flagged_nodes;
    let label = settings.label.as_str();
    let is_labelled = !label.is_empty() && flagged.iter().all(|(node, _)| node.labels.get(label).is_some());
    let by_label = is_labelled.then_some(Exclusion::Label(label));
    let by_name = (flagged.len() <= settings.max_excluded_names).then_some(Exclusion::Names);
    match settings.exclude_by {
        ExcludeBy::Auto if case.snapshot.karpenter => by_label,
        ExcludeBy::Auto => by_label.or(by_name),
        ExcludeBy::Label => by_label,
        ExcludeBy::Name => by_name,
        ExcludeBy::Strip => None,
    }
}

/// Whether `node-steering` is there for this pod, be it only to be observed.
fn may_be_steered(pod: &Pod<'_>, case: &Case<'_>) -> bool {
    let declined = pod.annotation(SKIP).unwrap_or_default();
    case.mode_of(Mutation::NodeSteering, pod.role()) != MutationMode::Off
        && entries(declined).all(|name| name != Mutation::NodeSteering.name())
}

/// The nodes by name, as far as a warning has room: `a`, `a and b`, `a, b and 3 more`.
pub(in crate::policy) fn names(flagged: &[Flagged<'_>]) -> String {
    let name = |index: usize| flagged.get(index).map_or("", |(node, _): &Flagged<'_>| &*node.name);
    match flagged.len() {
        0 | 1 => name(0).to_owned(),
        2 => format!("{} and {}", name(0), name(1)),
        more => format!("{}, {} and {} more", name(0), name(1), more - 2),
    }
}
