//! What concerns everybody: the operator and its webhook, the definitions, accounts and their rights, our webhook. A file a topic.

pub mod accounts;
mod certificate;
mod definitions;
mod operators;
mod resources;
pub mod webhooks;

pub use operators::{is_controller, is_operator, operators};

use super::{LogKey, Look, Observed};

/// Everything that is looked for.
pub const ALL: &[Look] = &[
    definitions::look,
    operators::look_for_any,
    operators::look_whether_they_run,
    operators::look_what_they_watch,
    accounts::look,
    webhooks::look_at_registrations,
    webhooks::look_at_services,
    webhooks::look_at_certificates,
    webhooks::look_at_answers,
    resources::look,
];

/// The logs that tell more: of the operator's pods that are in trouble, and of its controller where it has not taken up a resource.
#[must_use]
pub fn logs_wanted(observed: &Observed) -> Vec<LogKey> {
    let pods = observed.operator_pods.as_ref().map_or(&[][..], Vec::as_slice);
    let mut wanted = super::workload::logs_wanted(pods);
    if resources::not_taken_up(observed).next().is_some() {
        wanted.extend(operators::controller_logs(observed));
    }
    wanted
}
