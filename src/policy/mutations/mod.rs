//! The mutations, a file each.

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
