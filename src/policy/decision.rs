//! The decision on one review: who is looked at, by which mutations, and what comes of it.

use super::Policy;
use super::configuration::{Mode, MutationMode};
use super::document::same_but_for;
use super::mutations::{self, Case, Mutation};
use super::names::{ENABLED, MUTATED, SKIP};
use super::outcome::{Outcome, Skip, Untouched};
use super::plan::{Edit, Plan};
use super::request::{Operation, Request};
use super::role::Role;
use super::snapshot::Snapshot;
use super::subject::{Metadata, Pod, Resource, ResourceKind};
use super::{handover, subject};

/// What is to be done with one object, and how it came to that.
#[derive(Debug, Default)]
pub struct Decision {
    /// The role of the pod, or of the pod that the resource starts.
    pub role: Option<Role>,
    /// Why no mutation looked at the object, where none did.
    pub untouched: Option<Untouched>,
    /// Every mutation that looked at the object, in order, and how it ended.
    pub outcomes: Vec<(Mutation, Outcome)>,
    /// What is to be changed; those of observed mutations are here to be shown and are not to be done.
    pub edits: Vec<Edit>,
    /// What the object's author is told.
    pub warnings: Vec<String>,
}

impl Decision {
    fn untouched(why: Untouched, role: Option<Role>) -> Self {
        Self { untouched: Some(why), role, ..Self::default() }
    }

    /// The edits that are to be done.
    pub fn enforced_edits(&self) -> impl Iterator<Item = &Edit> {
        self.edits.iter().filter(|edit| !edit.observed)
    }
}

/// Decides on one review. Pure and total: the same request, policy and snapshot give the same decision.
#[must_use]
pub fn decide(request: &Request<'_>, policy: &Policy, snapshot: &Snapshot) -> Decision {
    let subject = match Subject::of(request, policy) {
        Ok(subject) => subject,
        Err(why) => return Decision::untouched(why, None),
    };
    match untouched(request, policy, snapshot, &subject) {
        Some(Untouched::OptedOut) => opted_out(policy, &subject),
        Some(why) => Decision::untouched(why, Some(subject.role())),
        None => mutated(request, policy, snapshot, &subject),
    }
}

/// The role of the pod that a request is about, for whoever must answer without a decision.
#[must_use]
pub fn role_of(request: &Request<'_>, policy: &Policy) -> Option<Role> {
    Subject::of(request, policy).ok().map(|subject| subject.role())
}

/// What a review is about.
enum Subject<'a> {
    Pod(Pod<'a>),
    Resource(Resource<'a>),
}

impl<'a> Subject<'a> {
    fn of(request: &Request<'a>, policy: &Policy) -> Result<Self, Untouched> {
        if !request.subresource.is_empty() {
            return Err(Untouched::Subresource);
        }
        if !matches!(request.operation, Operation::Create | Operation::Update) {
            return Err(Untouched::Operation);
        }
        if !request.object.is_object() {
            return Err(Untouched::NoObject);
        }
        let subject = match (request.group, request.kind) {
            ("", "Pod") => Pod::of(request.object, &policy.notebooks).map(Self::Pod),
            (group, kind) => {
                ResourceKind::of(group, kind).map(|kind| Self::Resource(Resource::of(kind, request.object)))
            }
        };
        subject.ok_or(Untouched::NotSpark)
    }

    fn role(&self) -> Role {
        match self {
            Self::Pod(pod) => pod.role(),
            Self::Resource(resource) => resource.kind().role(),
        }
    }

    fn metadata(&self) -> Metadata<'a> {
        match self {
            Self::Pod(pod) => pod.metadata(),
            Self::Resource(resource) => resource.metadata(),
        }
    }

    fn label(&self, key: &str) -> Option<&str> {
        match self {
            Self::Pod(pod) => pod.label(key),
            Self::Resource(resource) => resource.metadata().label(key),
        }
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        match self {
            Self::Pod(pod) => pod.annotation(key),
            Self::Resource(resource) => resource.metadata().annotation(key),
        }
    }
}

/// Why an object that is Spark work is left as it is, most general reason first.
fn untouched(request: &Request<'_>, policy: &Policy, snapshot: &Snapshot, subject: &Subject<'_>) -> Option<Untouched> {
    if subject.metadata().is_being_deleted() {
        return Some(Untouched::BeingDeleted);
    }
    if policy.excluded_namespaces.matches(request.namespace) {
        return Some(Untouched::ExcludedNamespace);
    }
    if snapshot.namespace_label(request.namespace, ENABLED) == Some("false") {
        return Some(Untouched::OptedOutNamespace);
    }
    if let Some(why) = untouched_by_kind(request, subject) {
        return Some(why);
    }
    (subject.label(ENABLED) == Some("false")).then_some(Untouched::OptedOut)
}

fn untouched_by_kind(request: &Request<'_>, subject: &Subject<'_>) -> Option<Untouched> {
    match subject {
        Subject::Pod(_) if request.operation != Operation::Create => Some(Untouched::Operation),
        Subject::Pod(pod) => pod.is_mirror().then_some(Untouched::MirrorPod),
        Subject::Resource(_) => spec_is_unchanged(request).then_some(Untouched::SpecUnchanged),
    }
}

/// Whether an update leaves the spec as it was, but for `suspend`.
///
/// The operator runs an application again on any other change of its spec (event filter of spark-operator 2.4.0), so a key
/// that the webhook adds on a harmless update would restart a running job.
fn spec_is_unchanged(request: &Request<'_>) -> bool {
    request.operation == Operation::Update
        && same_but_for(request.object.get("spec"), request.old_object.get("spec"), &["suspend"])
}

/// A workload that opted out: its resource still hands its wishes down to the pods, and nothing else happens.
fn opted_out(policy: &Policy, subject: &Subject<'_>) -> Decision {
    let mut plan = Plan::default();
    if let (Subject::Resource(resource), Mode::Enforce) = (subject, policy.mode) {
        handover::hand_down(resource, &mut plan);
    }
    let (edits, warnings) = plan.finish();
    Decision { role: Some(subject.role()), untouched: Some(Untouched::OptedOut), outcomes: Vec::new(), edits, warnings }
}

fn mutated(request: &Request<'_>, policy: &Policy, snapshot: &Snapshot, subject: &Subject<'_>) -> Decision {
    let mut plan = Plan::default();
    let case = Case { request, policy, snapshot };
    let enforcing = policy.mode == Mode::Enforce;
    if let (Subject::Resource(resource), true) = (subject, enforcing) {
        handover::hand_down(resource, &mut plan);
    }
    let unwanted = unwanted(subject, &mut plan, enforcing);
    let mut run = |mutation: Mutation, apply: &dyn Fn(&mut Plan) -> Outcome| {
        let outcome = outcome_of(mutation, subject.role(), &case, &unwanted, &mut plan, apply);
        (mutation, outcome)
    };
    let outcomes: Vec<_> = match subject {
        Subject::Pod(pod) => {
            mutations::OF_PODS.iter().map(|(name, apply)| run(*name, &|plan| apply(pod, &case, plan))).collect()
        }
        Subject::Resource(resource) => mutations::of_resources(resource.kind())
            .iter()
            .map(|(name, apply)| run(*name, &|plan| apply(resource, &case, plan)))
            .collect(),
    };
    say_by_whom(subject.metadata(), &outcomes, &mut plan);
    let (edits, warnings) = plan.finish();
    Decision { role: Some(subject.role()), untouched: None, outcomes, edits, warnings }
}

/// Runs one mutation, unless the policy or the object's author does not want it.
fn outcome_of(
    mutation: Mutation,
    role: Role,
    case: &Case<'_>,
    unwanted: &[Mutation],
    plan: &mut Plan,
    apply: &dyn Fn(&mut Plan) -> Outcome,
) -> Outcome {
    if unwanted.contains(&mutation) {
        return Outcome::Skipped(Skip::AnnotatedSkip);
    }
    let mode = case.policy.mode_of(mutation);
    if mode == MutationMode::Off || !case.policy.mutations.scope(mutation).covers(role, case.request.namespace) {
        return Outcome::Skipped(Skip::Off);
    }
    let observing = mode == MutationMode::Observe;
    plan.begin(mutation, observing);
    match apply(plan) {
        Outcome::Applied if observing => Outcome::Observed,
        outcome => outcome,
    }
}

/// The mutations that the annotation `skip` names; what it names besides is warned about.
fn unwanted(subject: &Subject<'_>, plan: &mut Plan, enforcing: bool) -> Vec<Mutation> {
    let named = subject.annotation(SKIP).unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let mut unwanted = Vec::new();
    for name in named {
        match Mutation::from_name(name) {
            Some(mutation) => unwanted.push(mutation),
            None if enforcing => plan.warn(format!("annotation {SKIP}: there is no mutation \"{name}\"")),
            None => {}
        }
    }
    unwanted
}

/// Adds the mutations that were applied to the annotation `mutated`, which keeps what an earlier round put there.
fn say_by_whom(metadata: subject::Metadata<'_>, outcomes: &[(Mutation, Outcome)], plan: &mut Plan) {
    let applied: Vec<_> = outcomes
        .iter()
        .filter(|(_, outcome)| *outcome == Outcome::Applied)
        .map(|(mutation, _)| mutation.name())
        .collect();
    if applied.is_empty() {
        return;
    }
    let before = metadata.annotation(MUTATED).unwrap_or_default();
    let said: Vec<_> = before.split(',').filter(|name| !name.is_empty()).collect();
    let known = Mutation::ALL
        .iter()
        .map(|mutation| mutation.name())
        .filter(|name| said.contains(name) || applied.contains(name));
    let foreign = said.iter().copied().filter(|name| Mutation::from_name(name).is_none());
    let now = known.chain(foreign).collect::<Vec<_>>().join(",");
    if now != before {
        plan.begin_unowned();
        plan.annotate(MUTATED, &now);
    }
}
