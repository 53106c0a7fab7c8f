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
pub mod symptom;
#[cfg(test)]
pub(crate) mod testing;
pub mod workload;

pub use finding::{Cure, Evidence, Finding, Level, ObjectName};
pub use observed::{Asked, LogKey, Observed, Rule, Seen, Unseen};
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
