//! The doctor: what went wrong already, from what was collected of a cluster. Pure, as the policy core is: no client, no clock.
//!
//! ```text
//! crate::cli::doctor  collects ──> Observed ──┬─> platform/*  what concerns everybody: operator, definitions, accounts, webhooks
//!                                             └─> workload/*  what concerns one resource or pod: status, events, logs
//!                                                    ▼
//!                                         findings: a symptom, its evidence, its cure
//! ```
//!
//! Promised: nothing is concluded from what was not seen. A collection that could not be looked at is [`Unseen`], which is said beside
//! the findings, and whoever needs it finds nothing.

pub mod finding;
pub mod objects;
pub mod observed;
pub mod platform;
pub mod rehearsal;
pub mod symptom;
#[cfg(test)]
pub(crate) mod testing;
pub mod workload;

pub use finding::{Cure, Evidence, Finding, Level, ObjectName};
pub use observed::{Asked, LogKey, Observed, Rule, Seen, Unseen};
pub use rehearsal::Rehearsal;
pub use symptom::Symptom;

/// Looks for one thing that can be wrong.
pub type Look = fn(&Observed, &mut Vec<Finding>);

/// Everything that is wrong, worst first; what belongs to one object stands together.
#[must_use]
pub fn diagnose(observed: &Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    for look in platform::ALL.iter().chain(workload::ALL) {
        look(observed, &mut findings);
    }
    findings.sort_by(|one, other| one.rank().cmp(&other.rank()));
    findings.dedup();
    findings
}

/// What the webhooks did with objects and would do now: with those that are found fault with, and with what was asked for by name.
#[must_use]
pub fn rehearse(observed: &Observed, findings: &[Finding]) -> Vec<Rehearsal> {
    let is_wanted =
        |object: &ObjectName| observed.asked.name.is_some() || findings.iter().any(|finding| finding.object == *object);
    let snapshot = rehearsal::snapshot(observed);
    let resources = observed
        .resources()
        .filter(|resource| is_wanted(&resource.object()))
        .map(|resource| rehearsal::of_resource(resource.kind, &resource.metadata, &resource.json, observed, &snapshot));
    let pods = observed.pods().filter(|pod| is_wanted(&pod.object()));
    let pods = pods.map(|pod| rehearsal::of_pod(&pod.metadata, &pod.json, observed, &snapshot));
    resources.chain(pods).collect()
}
