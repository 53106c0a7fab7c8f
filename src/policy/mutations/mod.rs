//! The mutations, a file each, and the order in which they run.
//!
//! A mutation reads the subject and writes into the plan; it is idempotent by itself, because it looks at what is there
//! before it wants anything. What the kubelet reads is set on pods, what Spark reads from its configuration on resources.

pub(in crate::policy) mod connect_package;
mod connect_readiness;
mod executor_template;
mod ivy_cache;
pub(in crate::policy) mod ivy_dir;
pub(super) mod limit_stripping;
mod memory_quantity;
mod node_steering;
mod spark_user;
pub(super) mod treatment;

use super::Policy;
use super::check::{Check, Level};
use super::configuration::MutationMode;
use super::mutation::Mutation;
use super::names::{ENABLED, SKIP};
use super::outcome::Outcome;
use super::plan::Plan;
use super::request::Request;
use super::role::Role;
use super::snapshot::Snapshot;
use super::subject::{Pod, Resource, ResourceKind};
use super::values::coordinates::entries;
use super::values::image::ImageReference;

pub(super) use connect_package::warns_of_connect_versions;

/// What a mutation or a check may know besides its subject.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The review's request.
    pub request: &'a Request<'a>,
    /// The administrator's policy.
    pub policy: &'a Policy,
    /// What is known of the cluster.
    pub snapshot: &'a Snapshot,
}

impl Case<'_> {
    /// How a mutation runs on objects of a role here: off where the policy does not apply it to them.
    #[must_use]
    pub fn mode_of(&self, mutation: Mutation, role: Role) -> MutationMode {
        if self.policy.mutations.scope(mutation).covers(role, self.request.namespace) {
            self.policy.mode_of(mutation)
        } else {
            MutationMode::Off
        }
    }

    /// Whether a mutation acts on a resource, or on the pods that are made of it: neither the policy nor the author is against it.
    #[must_use]
    pub fn acts_on(&self, resource: &Resource<'_>, mutation: Mutation) -> bool {
        let metadata = resource.metadata();
        // The operator copies labels of a schedule to its applications, and annotations not.
        let has_wishes = resource.kind() != ResourceKind::ScheduledSparkApplication;
        let declined = metadata.annotation(SKIP).filter(|_| has_wishes).unwrap_or_default();
        self.mode_of(mutation, resource.kind().role()) == MutationMode::Enforce
            && metadata.label(ENABLED) != Some("false")
            && !entries(declined).any(|name| name == mutation.name())
    }

    /// Whether whatever operator looks after this namespace is surely of this version or newer.
    #[must_use]
    pub fn operator_is_at_least(&self, version: (u32, u32)) -> bool {
        self.snapshot.operators.as_ref().is_some_and(|all| all.are_at_least(self.request.namespace, version))
    }

    /// Whether an image is one of those that are known to be Spark's official ones, or made as they are.
    #[must_use]
    pub fn is_official_image(&self, image: Option<&str>) -> bool {
        let repository = ImageReference::parse(image.unwrap_or_default()).repository;
        self.policy.mutations.connect_package.images.matches(repository)
    }

    /// What comes of what a check finds here: nothing where the policy does not want it in this namespace.
    #[must_use]
    pub fn level_of(&self, check: Check) -> Level {
        self.policy.checks.settings(check).level_in(self.request.namespace)
    }
}

/// A mutation and how it is applied to a pod.
pub type OfPod = (Mutation, fn(&Pod<'_>, &Case<'_>, &mut Plan) -> Outcome);

/// A mutation and how it is applied to a resource.
pub type OfResource = (Mutation, fn(&Resource<'_>, &Case<'_>, &mut Plan) -> Outcome);

/// What pods go through, in order: `ivy-dir` reads where `ivy-cache` mounted the volume, and limits are repaired before they go.
pub const OF_PODS: &[OfPod] = &[
    (Mutation::MemoryQuantity, memory_quantity::of_pod),
    (Mutation::IvyCache, ivy_cache::of_pod),
    (Mutation::IvyDir, ivy_dir::of_pod),
    (Mutation::SparkUser, spark_user::of_pod),
    (Mutation::ConnectReadiness, connect_readiness::of_pod),
    (Mutation::NodeSteering, node_steering::of_pod),
    (Mutation::LimitStripping, limit_stripping::of_pod),
];

/// What resources go through, in order: the Ivy mutations count the package that `connect-package` added.
#[must_use]
pub const fn of_resources(kind: ResourceKind) -> &'static [OfResource] {
    match kind {
        ResourceKind::SparkApplication => &[
            (Mutation::MemoryQuantity, memory_quantity::of_resource),
            (Mutation::ConnectPackage, connect_package::of_resource),
            (Mutation::IvyDir, ivy_dir::of_resource),
            (Mutation::IvyCache, ivy_cache::of_resource),
        ],
        ResourceKind::SparkConnect => &[
            (Mutation::MemoryQuantity, memory_quantity::of_resource),
            (Mutation::ConnectPackage, connect_package::of_resource),
            (Mutation::ExecutorTemplate, executor_template::of_resource),
            (Mutation::IvyDir, ivy_dir::of_resource),
        ],
        // Judged and warned about, never changed: the applications made of it come by again.
        ResourceKind::ScheduledSparkApplication => &[(Mutation::MemoryQuantity, memory_quantity::of_schedule)],
    }
}
