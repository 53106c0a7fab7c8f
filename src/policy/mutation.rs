//! The mutations by name, as the policy, annotations, logs and metrics call them.

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
    /// A pod is kept off flagged nodes.
    NodeSteering,
    /// A pod that would run on flagged nodes loses its limits.
    LimitStripping,
}

impl Mutation {
    /// Every mutation, in the order in which they are listed to users.
    pub const ALL: [Self; 9] = [
        Self::IvyCache,
        Self::IvyDir,
        Self::SparkUser,
        Self::ConnectPackage,
        Self::ConnectReadiness,
        Self::ExecutorTemplate,
        Self::MemoryQuantity,
        Self::NodeSteering,
        Self::LimitStripping,
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
            Self::NodeSteering => "node-steering",
            Self::LimitStripping => "limit-stripping",
        }
    }

    /// The mutation of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mutation| mutation.name() == name)
    }
}
