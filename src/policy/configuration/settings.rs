//! The settings, with their defaults. The documentation of a field is also its description in the JSON Schema.
//!
//! No field is optional here: what a policy file does not name is filled in from [`Policy::default`] before it is read, because the
//! default roles differ between mutations that share [`Scope`].

use super::formats::{KeyValue, MountPath, SizeLimit};
use super::globs::Globs;
use crate::policy::mutations::Mutation;
use crate::policy::role::{Role, Roles};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The administrator's configuration of spark-admission. Every field has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// `enforce` changes workloads; `observe` decides, logs and counts, and changes nothing.
    pub mode: Mode,
    /// The answer to an object that cannot be read, or on whose review the webhook itself failed. Executors are always allowed.
    pub on_error: OnError,
    /// Namespaces (globs) where nothing is changed. The webhook's registration excludes some of its own too.
    #[schemars(extend("items" = {"type": "string", "format": "namespace-glob"}))]
    pub excluded_namespaces: Globs,
    /// Which pods are notebooks, and where Spark runs in them.
    pub notebooks: Notebooks,
    /// What a workload reaches with the label `spark-admission.io/enabled: "false"`.
    pub opt_out: OptOut,
    /// The changes that the webhook makes, each by its name.
    pub mutations: Mutations,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            on_error: OnError::Deny,
            excluded_namespaces: Globs::new(&["kube-system"]),
            notebooks: Notebooks::default(),
            opt_out: OptOut::default(),
            mutations: Mutations::default(),
        }
    }
}

impl Policy {
    /// How a mutation runs, all considered: off where it is off, observed where it or the whole policy is.
    #[must_use]
    pub fn mode_of(&self, mutation: Mutation) -> MutationMode {
        match (self.mutations.scope(mutation).mode, self.mode) {
            (MutationMode::Enforce, Mode::Observe) => MutationMode::Observe,
            (own, _) => own,
        }
    }
}

/// Whether the webhook acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// Workloads are changed.
    Enforce,
    /// Decisions are logged and counted; nothing is changed.
    Observe,
}

/// The answer when a review fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnError {
    /// The object is admitted as it is.
    Allow,
    /// The object is refused, with the reason; an executor is admitted all the same.
    Deny,
}

/// Which pods are notebooks, and where Spark runs in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notebooks {
    /// The label, `key=value`, of pods that are treated as notebooks. The webhook's registration must select the same label.
    pub label: KeyValue,
    /// The name of the container that Spark runs in. A pod with one container needs no such name.
    #[schemars(extend("format" = "container-name"))]
    pub container: String,
}

impl Default for Notebooks {
    fn default() -> Self {
        Self { label: KeyValue::new("spark-admission.io/notebook", "true"), container: "notebook".to_owned() }
    }
}

/// What a workload's opt-out reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OptOut {
    /// What the opt-out label on a resource or pod ends: `mutations` only, or `all`, checks too. On a namespace it always ends all.
    pub workload: OptOutReach,
}

impl Default for OptOut {
    fn default() -> Self {
        Self { workload: OptOutReach::Mutations }
    }
}

/// What a workload's opt-out ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OptOutReach {
    /// The workload is not changed, but still checked.
    Mutations,
    /// The workload is neither changed nor checked.
    All,
}

/// The changes that the webhook makes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Mutations {
    /// A volume for Spark's Ivy, so that packages can be downloaded at all.
    pub ivy_cache: IvyCache,
    /// Spark's Ivy is pointed at a writable directory.
    pub ivy_dir: IvyDir,
    /// Spark runs as its own user 185, and volumes belong to group 185.
    pub spark_user: SparkUser,
    /// The spark-connect package is added where Spark 3.4 and 3.5 lack it.
    pub connect_package: ConnectPackage,
    /// A Connect server is ready when it listens.
    pub connect_readiness: ConnectReadiness,
    /// A `SparkConnect` gets the executor template that its operator needs.
    pub executor_template: ExecutorTemplate,
    /// Memory that was written as `512m` (half a byte) becomes `512Mi`.
    pub memory_quantity: MemoryQuantity,
}

impl Mutations {
    /// Where and how a mutation runs.
    #[must_use]
    pub const fn scope(&self, mutation: Mutation) -> &Scope {
        match mutation {
            Mutation::IvyCache => &self.ivy_cache.scope,
            Mutation::IvyDir => &self.ivy_dir.scope,
            Mutation::SparkUser => &self.spark_user.scope,
            Mutation::ConnectPackage => &self.connect_package.scope,
            Mutation::ConnectReadiness => &self.connect_readiness.scope,
            Mutation::ExecutorTemplate => &self.executor_template.scope,
            Mutation::MemoryQuantity => &self.memory_quantity.scope,
        }
    }

    /// The roles that a policy may name for a mutation: all those where it means something.
    #[must_use]
    pub const fn possible_roles(mutation: Mutation) -> Roles {
        match mutation {
            Mutation::IvyCache | Mutation::IvyDir | Mutation::MemoryQuantity => Roles::ALL,
            // A notebook's user is that of its own image, and its home belongs to that user.
            Mutation::SparkUser => Roles::of(&[Role::Driver, Role::Executor, Role::ConnectServer]),
            Mutation::ConnectPackage => Roles::of(&[Role::Driver, Role::ConnectServer]),
            Mutation::ConnectReadiness | Mutation::ExecutorTemplate => Roles::of(&[Role::ConnectServer]),
        }
    }
}

/// Where and how a mutation runs: what all mutations have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scope {
    /// `enforce` changes workloads; `observe` decides, logs and counts; `off` does nothing at all.
    pub mode: MutationMode,
    /// The roles it applies to. A resource has the role of the pod that it starts.
    pub roles: Roles,
    /// Namespaces (globs) it is limited to; empty is all.
    #[schemars(extend("items" = {"type": "string", "format": "namespace-glob"}))]
    pub namespaces: Globs,
    /// Namespaces (globs) it leaves alone, even if `namespaces` names them.
    #[schemars(extend("items" = {"type": "string", "format": "namespace-glob"}))]
    pub exclude_namespaces: Globs,
}

impl Scope {
    fn of(roles: &[Role]) -> Self {
        Self {
            mode: MutationMode::Enforce,
            roles: Roles::of(roles),
            namespaces: Globs::default(),
            exclude_namespaces: Globs::default(),
        }
    }

    /// Whether the mutation is meant for this role in this namespace. Its mode is another question: [`Policy::mode_of`].
    #[must_use]
    pub fn covers(&self, role: Role, namespace: &str) -> bool {
        self.roles.contains(role)
            && (self.namespaces.is_empty() || self.namespaces.matches(namespace))
            && !self.exclude_namespaces.matches(namespace)
    }
}

/// How a mutation runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MutationMode {
    /// Workloads are changed.
    Enforce,
    /// Decisions are logged and counted; nothing is changed.
    Observe,
    /// The mutation does not exist.
    Off,
}

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

/// Settings of `ivy-dir`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IvyDir {
    /// Where and how it runs.
    #[serde(flatten)]
    pub scope: Scope,
    /// Which Ivy directory a `SparkApplication` gets. Its packages are resolved in the operator's pod too, side by side with others'.
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

/// Which Ivy directory a `SparkApplication` gets.
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
    /// `ifAbsent` fills in what is not set, `enforce` replaces it, `off` does nothing; `auto` is `ifAbsent`, but `off` on `OpenShift`.
    pub apply: Apply,
    /// Images (globs on the repository, without tag) that run as a user of their own.
    #[schemars(extend("items" = {"type": "string", "format": "image-glob"}))]
    pub images_with_own_user: Globs,
}

impl Default for SparkUser {
    fn default() -> Self {
        Self {
            scope: Scope::of(&[Role::Driver, Role::Executor, Role::ConnectServer]),
            apply: Apply::Auto,
            images_with_own_user: Globs::new(&["*bitnami*", "emr-*", "*/emr-*", "*jupyter*"]),
        }
    }
}

/// When Spark's user is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Apply {
    /// As `ifAbsent`; as `off` where `OpenShift` gives each namespace user ids of its own.
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
            images: Globs::new(&["spark", "spark-py", "spark-r", "*/spark", "*/spark-py", "*/spark-r"]),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_covers() {
        let scope = |namespaces: &[&str], exclude: &[&str]| Scope {
            namespaces: Globs::new(namespaces),
            exclude_namespaces: Globs::new(exclude),
            ..Scope::of(&[Role::Driver])
        };
        for (case, scope, role, namespace, expected) in [
            ("no namespaces are all namespaces", scope(&[], &[]), Role::Driver, "team-a", true),
            ("another role is not covered", scope(&[], &[]), Role::Executor, "team-a", false),
            ("a namespace that a glob names", scope(&["team-*"], &[]), Role::Driver, "team-a", true),
            ("a namespace that nothing names", scope(&["team-*"], &[]), Role::Driver, "prod", false),
            ("an excluded namespace", scope(&[], &["team-*"]), Role::Driver, "team-a", false),
            ("exclusion beats inclusion", scope(&["team-*"], &["team-a"]), Role::Driver, "team-a", false),
        ] {
            assert_eq!(scope.covers(role, namespace), expected, "{case}");
        }
    }

    #[test]
    fn default_roles_are_possible_roles() {
        for mutation in Mutation::ALL {
            let mutations = Mutations::default();
            for role in mutations.scope(mutation).roles.iter() {
                assert!(Mutations::possible_roles(mutation).contains(role), "{} {role}", mutation.name());
            }
        }
    }

    #[test]
    fn the_whole_policy_can_only_be_milder_than_a_mutation() {
        use MutationMode::{Enforce, Observe, Off};
        for (whole, own, expected) in [
            (Mode::Enforce, Enforce, Enforce),
            (Mode::Enforce, Observe, Observe),
            (Mode::Enforce, Off, Off),
            (Mode::Observe, Enforce, Observe),
            (Mode::Observe, Observe, Observe),
            (Mode::Observe, Off, Off),
        ] {
            let mut policy = Policy { mode: whole, ..Policy::default() };
            policy.mutations.ivy_dir.scope.mode = own;
            assert_eq!(policy.mode_of(Mutation::IvyDir), expected, "{whole:?} {own:?}");
        }
    }

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
