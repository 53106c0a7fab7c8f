//! The settings of the mutations one by one, with their defaults.

use super::formats::{MountPath, SizeLimit};
use super::globs::Globs;
use super::scope::Scope;
use crate::policy::role::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Settings of `ivy-cache`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IvyCache {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
    /// Where the volume is mounted, unless a workload's own Ivy directory was handed down. Writable in the operator's pod too: below `/tmp`.
    pub mount_path: MountPath,
    /// `Memory` (a tmpfs, counted against the container's memory limit) or `Disk` (the node's disk).
    pub medium: Medium,
    /// The size of the volume, a Kubernetes quantity.
    pub size_limit: SizeLimit,
    /// Packages (globs on `group:artifact`) too large for memory; with one of them the volume is on disk, and `largeSizeLimit` big.
    #[schemars(extend("items" = {"type": "string", "format": "package-glob"}))]
    pub large_packages: Globs,
    /// The size of the volume where one of `largePackages` is used, a Kubernetes quantity.
    pub large_size_limit: SizeLimit,
}

impl Default for IvyCache {
    fn default() -> Self {
        Self {
            scope: Scope::of(&[Role::Driver, Role::ConnectServer, Role::Notebook]),
            mount_path: MountPath::new("/tmp/.ivy2"),
            medium: Medium::Memory,
            size_limit: SizeLimit::new("512Mi"),
            large_packages: Globs::new(&[
                "*:hadoop-aws",
                "*:aws-java-sdk-bundle",
                "software.amazon.awssdk:bundle",
                "*:iceberg-*-bundle",
                "*:hudi-*-bundle",
                "*:hudi-*-bundle_*",
            ]),
            large_size_limit: SizeLimit::new("4Gi"),
        }
    }
}

/// What a volume is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Medium {
    /// A tmpfs; what is written counts against the container's memory limit.
    Memory,
    /// The node's disk.
    Disk,
}

impl Medium {
    /// As the policy and annotations write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "Memory",
            Self::Disk => "Disk",
        }
    }
}

/// Settings of `ivy-dir`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IvyDir {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
    /// Which Ivy directory a SparkApplication gets. Its packages are resolved in the operator's pod too, side by side with others'.
    pub submission: Submission,
    /// Images (globs on the repository, without tag) with `SPARK_SUBMIT_OPTS` of their own, which a new value would hide.
    #[schemars(extend("items" = {"type": "string", "format": "image-glob"}))]
    pub images_with_submit_opts: Globs,
}

impl Default for IvyDir {
    fn default() -> Self {
        Self {
            scope: Scope::of(&[Role::Driver, Role::ConnectServer, Role::Notebook]),
            submission: Submission::PerPackageSet,
            images_with_submit_opts: Globs::default(),
        }
    }
}

/// Which Ivy directory a SparkApplication gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Submission {
    /// One for applications with the same packages, repositories and exclusions.
    PerPackageSet,
    /// One for each application.
    PerApplication,
    /// One for all: the mount path itself.
    Shared,
    /// None is set.
    Off,
}

/// Settings of `spark-user`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SparkUser {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
    /// `ifAbsent` fills in what is not set, `enforce` replaces it, `off` does nothing; `auto` is `ifAbsent`, but `off` on OpenShift.
    pub apply: Apply,
    /// Images (globs on the repository, without tag) whose user for Spark is 185, as in the official ones; `*` is every image. Others
    /// may have a user of their own: they get the group, and keep their user.
    #[schemars(extend("items" = {"type": "string", "format": "image-glob"}))]
    pub images: Globs,
    /// Images (globs on the repository, without tag) that run as a user of their own. They get neither.
    #[schemars(extend("items" = {"type": "string", "format": "image-glob"}))]
    pub images_with_own_user: Globs,
}

impl Default for SparkUser {
    fn default() -> Self {
        Self {
            scope: Scope::of(&[Role::Driver, Role::Executor, Role::ConnectServer]),
            apply: Apply::Auto,
            images: official_images(),
            images_with_own_user: Globs::new(&["*bitnami*", "emr-*", "*/emr-*", "*jupyter*"]),
        }
    }
}

/// The official images, and their mirrors: whose repository is called as theirs are.
fn official_images() -> Globs {
    Globs::new(&["spark", "spark-py", "spark-r", "*/spark", "*/spark-py", "*/spark-r"])
}

/// When Spark's user is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Apply {
    /// As `ifAbsent`; as `off` where OpenShift gives each namespace user ids of its own.
    Auto,
    /// What is not set is filled in.
    IfAbsent,
    /// What is set to something else is replaced.
    Enforce,
    /// Nothing is set.
    Off,
}

/// Settings of `connect-package`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectPackage {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
    /// Images (globs on the repository, without tag) that lack the jar. Others get a warning with the line to add; `*` is every image.
    #[schemars(extend("items" = {"type": "string", "format": "image-glob"}))]
    pub images: Globs,
    /// The package version for a Spark version, where a mirror lacks the equal one.
    #[schemars(extend("propertyNames" = {"format": "connect-version"}, "additionalProperties" = {"type": "string", "format": "version"}))]
    pub versions: BTreeMap<String, String>,
}

impl Default for ConnectPackage {
    fn default() -> Self {
        Self {
            scope: Scope::of(&[Role::Driver, Role::ConnectServer]),
            images: official_images(),
            versions: BTreeMap::new(),
        }
    }
}

/// Settings of `connect-readiness`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectReadiness {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
}

impl Default for ConnectReadiness {
    fn default() -> Self {
        Self { scope: Scope::of(&[Role::ConnectServer]) }
    }
}

/// Settings of `executor-template`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorTemplate {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
}

impl Default for ExecutorTemplate {
    fn default() -> Self {
        Self { scope: Scope::of(&[Role::ConnectServer]) }
    }
}

/// Settings of `memory-quantity`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryQuantity {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
}

impl Default for MemoryQuantity {
    fn default() -> Self {
        Self { scope: Scope::of(&Role::ALL) }
    }
}

/// Settings of `node-steering`; those of flagged nodes are its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeSteering {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
}

impl Default for NodeSteering {
    fn default() -> Self {
        Self { scope: Scope::of(&Role::ALL) }
    }
}

/// Settings of `limit-stripping`; those of flagged nodes are its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitStripping {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
}

impl Default for LimitStripping {
    fn default() -> Self {
        Self { scope: Scope::of(&Role::ALL) }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::configuration::Mutations;

    #[test]
    fn default_globs_cover() {
        let defaults = Mutations::default();
        let (large, own_user, connect) = (
            defaults.ivy_cache.large_packages,
            defaults.spark_user.images_with_own_user,
            defaults.connect_package.images,
        );
        for (globs, text, expected) in [
            (&large, "org.apache.hadoop:hadoop-aws", true),
            (&large, "com.amazonaws:aws-java-sdk-bundle", true),
            (&large, "software.amazon.awssdk:bundle", true),
            (&large, "org.apache.iceberg:iceberg-aws-bundle", true),
            (&large, "org.apache.hudi:hudi-spark3.5-bundle_2.12", true),
            (&large, "org.apache.hudi:hudi-aws-bundle", true),
            (&large, "org.apache.hadoop:hadoop-azure", false),
            (&large, "org.apache.spark:spark-connect_2.12", false),
            (&own_user, "bitnami/spark", true),
            (&own_user, "docker.io/bitnamilegacy/spark", true),
            (&own_user, "123.dkr.ecr.us-east-1.amazonaws.com/spark/emr-6.15.0", true),
            (&own_user, "public.ecr.aws/emr-on-eks/spark/emr-7.0.0", true),
            (&own_user, "quay.io/jupyter/pyspark-notebook", true),
            (&own_user, "jupyter/pyspark-notebook", true),
            (&own_user, "apache/spark", false),
            (&own_user, "registry.example.com/team/spark", false),
            (&connect, "spark", true),
            (&connect, "apache/spark", true),
            (&connect, "docker.io/apache/spark-py", true),
            (&connect, "registry.example.com:5000/mirror/spark-r", true),
            (&connect, "bitnami/spark-cluster", false),
            (&connect, "registry.example.com/my-spark", false),
        ] {
            assert_eq!(globs.matches(text), expected, "{text}");
        }
    }
}
