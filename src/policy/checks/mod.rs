//! The checks, a file each, and on what they look.
//!
//! A check reads the subject as it will be stored, and what is known of the cluster, and tells what it finds. It changes nothing, and
//! never guesses: what is not known is nothing to find.

mod connect_class;
mod connect_core;
mod dependencies;
mod disk;
mod driver_permissions;
mod duplicate_mount;
mod executor_template;
mod flagged_node;
mod ivy_not_writable;
mod java_options;
mod memory_budget;
mod memory_quantity;
mod name_too_long;
mod namespace_not_watched;
mod read_only_root;
mod scala_mismatch;
mod service_account_missing;
mod shell_characters;
mod spark_memory;
mod spark_mismatch;
mod submission_keys;
mod unknown_volume;
mod unnamed_uid;
mod unwatched_edit;

use super::check::{Check, Level};
use super::eligibility::Subject;
use super::finding::Findings;
use super::lookup::Question;
use super::mutations::Case;
use super::subject::{Pod, Resource, ResourceKind};

/// A check and how it looks at a pod.
pub type OfPod = (Check, fn(&Pod<'_>, &Case<'_>, &mut Findings));

/// A check and how it looks at a resource.
pub type OfResource = (Check, fn(&Resource<'_>, &Case<'_>, &mut Findings));

/// What looks at pods, in the order in which findings of one level are told.
pub const OF_PODS: &[OfPod] = &[
    (Check::DriverPermissions, driver_permissions::of_pod),
    (Check::ConnectClass, connect_class::of_pod),
    (Check::ConnectCore, connect_core::of_pod),
    (Check::UnnamedUid, unnamed_uid::of_pod),
    (Check::IvyNotWritable, ivy_not_writable::of_pod),
    (Check::ReadOnlyRoot, read_only_root::of_pod),
    (Check::ScalaMismatch, scala_mismatch::of_pod),
    (Check::SparkMismatch, spark_mismatch::of_pod),
    (Check::MemoryQuantity, memory_quantity::of_pod),
    (Check::FlaggedNode, flagged_node::of_pod),
];

/// What looks at resources, in the order in which findings of one level are told.
#[must_use]
pub const fn of_resources(kind: ResourceKind) -> &'static [OfResource] {
    match kind {
        ResourceKind::SparkApplication | ResourceKind::ScheduledSparkApplication => OF_APPLICATIONS,
        ResourceKind::SparkConnect => OF_CONNECTS,
    }
}

const OF_APPLICATIONS: &[OfResource] = &[
    (Check::NamespaceNotWatched, namespace_not_watched::of_resource),
    (Check::ServiceAccountMissing, service_account_missing::of_resource),
    (Check::DriverPermissions, driver_permissions::of_resource),
    (Check::ConnectClass, connect_class::of_resource),
    (Check::ConnectCore, connect_core::of_resource),
    (Check::IvyNotWritable, ivy_not_writable::of_resource),
    (Check::ReadOnlyRoot, read_only_root::of_resource),
    (Check::ScalaMismatch, scala_mismatch::of_resource),
    (Check::SparkMismatch, spark_mismatch::of_resource),
    (Check::MemoryQuantity, memory_quantity::of_resource),
    (Check::SparkMemory, spark_memory::of_resource),
    (Check::NameTooLong, name_too_long::of_resource),
    (Check::MemoryBudget, memory_budget::of_resource),
    (Check::DuplicateMount, duplicate_mount::of_resource),
    (Check::UnknownVolume, unknown_volume::of_resource),
    (Check::FlaggedNode, flagged_node::of_resource),
    (Check::SubmissionKeys, submission_keys::of_resource),
];

const OF_CONNECTS: &[OfResource] = &[
    (Check::NamespaceNotWatched, namespace_not_watched::of_resource),
    (Check::ServiceAccountMissing, service_account_missing::of_resource),
    (Check::DriverPermissions, driver_permissions::of_resource),
    (Check::ConnectClass, connect_class::of_resource),
    (Check::ConnectCore, connect_core::of_resource),
    (Check::UnnamedUid, unnamed_uid::of_resource),
    (Check::IvyNotWritable, ivy_not_writable::of_resource),
    (Check::ReadOnlyRoot, read_only_root::of_resource),
    (Check::ScalaMismatch, scala_mismatch::of_resource),
    (Check::SparkMismatch, spark_mismatch::of_resource),
    (Check::ExecutorTemplate, executor_template::of_resource),
    (Check::MemoryQuantity, memory_quantity::of_resource),
    (Check::SparkMemory, spark_memory::of_resource),
    (Check::NameTooLong, name_too_long::of_resource),
    (Check::ShellCharacters, shell_characters::of_resource),
    (Check::MemoryBudget, memory_budget::of_resource),
    (Check::DuplicateMount, duplicate_mount::of_resource),
    (Check::UnknownVolume, unknown_volume::of_resource),
    (Check::FlaggedNode, flagged_node::of_resource),
    (Check::SubmissionKeys, submission_keys::of_resource),
    (Check::UnwatchedEdit, unwatched_edit::of_resource),
];

/// What checks must know of the cluster to look at a subject, besides what is watched.
pub(super) fn questions(subject: &Subject<'_>, case: &Case<'_>) -> Vec<Question> {
    let is_wanted = |check| case.level_of(check) != Level::Off;
    let mut all = Vec::new();
    match subject {
        Subject::Pod(pod) if is_wanted(Check::DriverPermissions) => {
            all.extend(driver_permissions::questions_of_pod(pod, case));
        }
        Subject::Pod(_) => {}
        Subject::Resource(resource) => {
            if is_wanted(Check::NamespaceNotWatched) {
                all.extend(namespace_not_watched::question(case));
            }
            if is_wanted(Check::ServiceAccountMissing) {
                all.extend(service_account_missing::questions(resource, case));
            }
            if is_wanted(Check::DriverPermissions) {
                all.extend(driver_permissions::questions_of_resource(resource, case));
            }
        }
    }
    all
}
