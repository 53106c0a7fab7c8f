//! The mutations, a file each, and the order in which they run.
//!
//! A mutation reads the subject and writes into the plan; it is idempotent by itself, because it looks at what is there
//! before it wants anything. What the kubelet reads is set on pods, what Spark reads from its configuration on resources.

mod connect_package;
mod connect_readiness;
mod executor_template;
mod ivy_cache;
mod ivy_dir;
mod memory_quantity;
mod spark_user;

use super::Policy;
use super::outcome::Outcome;
use super::plan::Plan;
use super::request::Request;
use super::snapshot::Snapshot;
use super::subject::{Pod, Resource, ResourceKind};

/// What a mutation may know besides its subject.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The review's request.
    pub request: &'a Request<'a>,
    /// The administrator's policy.
    pub policy: &'a Policy,
    /// What is known of the cluster.
    pub snapshot: &'a Snapshot,
}

/// A mutation and how it is applied to a pod.
pub type OfPod = (Mutation, fn(&Pod<'_>, &Case<'_>, &mut Plan) -> Outcome);

/// A mutation and how it is applied to a resource.
pub type OfResource = (Mutation, fn(&Resource<'_>, &Case<'_>, &mut Plan) -> Outcome);

/// What pods go through, in order: `ivy-dir` reads where `ivy-cache` mounted the volume.
pub const OF_PODS: &[OfPod] = &[
    (Mutation::MemoryQuantity, memory_quantity::of_pod),
    (Mutation::IvyCache, ivy_cache::of_pod),
    (Mutation::IvyDir, ivy_dir::of_pod),
    (Mutation::SparkUser, spark_user::of_pod),
    (Mutation::ConnectReadiness, connect_readiness::of_pod),
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

/// A named change that the webhook may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// A memory-backed volume for Ivy.
    IvyCache,
    /// Spark's Ivy is pointed at a writable directory.
    IvyDir,
    /// Spark runs as uid 185.
    SparkUser,
    /// The spark-connect package is added.
    ConnectPackage,
    /// A Connect server is Ready when it listens.
    ConnectReadiness,
    /// SparkConnect gets an executor template.
    ExecutorTemplate,
    /// `512m` of memory becomes `512Mi`.
    MemoryQuantity,
}

impl Mutation {
    /// Every mutation, in the order in which they are listed to users.
    pub const ALL: [Self; 7] = [
        Self::IvyCache,
        Self::IvyDir,
        Self::SparkUser,
        Self::ConnectPackage,
        Self::ConnectReadiness,
        Self::ExecutorTemplate,
        Self::MemoryQuantity,
    ];

    /// The mutation's name in the policy, in annotations, logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::IvyCache => "ivy-cache",
            Self::IvyDir => "ivy-dir",
            Self::SparkUser => "spark-user",
            Self::ConnectPackage => "connect-package",
            Self::ConnectReadiness => "connect-readiness",
            Self::ExecutorTemplate => "executor-template",
            Self::MemoryQuantity => "memory-quantity",
        }
    }

    /// The mutation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutation| mutation.name() == name)
    }
}
