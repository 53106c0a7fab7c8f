//! The settings of the checks, with their defaults.

use super::globs::Globs;
use crate::policy::check::{Check, Level};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a check runs, and where: what all checks have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckSettings {
    /// `deny` refuses, where the check is sure and somebody sees the refusal; `warn` tells; `off` looks for nothing.
    pub level: Level,
    /// Namespaces (globs) it is limited to; empty is all.
    #[schemars(extend("items" = {"type": "string", "format": "namespace-glob"}))]
    pub namespaces: Globs,
    /// Namespaces (globs) it leaves alone, even if `namespaces` names them.
    #[schemars(extend("items" = {"type": "string", "format": "namespace-glob"}))]
    pub exclude_namespaces: Globs,
}

impl CheckSettings {
    fn of(check: Check) -> Self {
        Self { level: check.default_level(), namespaces: Globs::default(), exclude_namespaces: Globs::default() }
    }

    /// The level in a namespace.
    #[must_use]
    pub fn level_in(&self, namespace: &str) -> Level {
        let is_covered = (self.namespaces.is_empty() || self.namespaces.matches(namespace))
            && !self.exclude_namespaces.matches(namespace);
        if is_covered { self.level } else { Level::Off }
    }
}

/// Settings of `namespace-not-watched`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceNotWatched {
    /// How it runs, and where.
    #[serde(flatten)]
    pub settings: CheckSettings,
    /// Namespaces (globs) that count as watched, for operators that cannot be seen in the cluster.
    #[schemars(extend("items" = {"type": "string", "format": "namespace-glob"}))]
    pub watched_namespaces: Globs,
}

/// What is looked for in Spark work, check by check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Checks {
    /// No operator watches the namespace, so nothing will ever happen to the resource.
    pub namespace_not_watched: NamespaceNotWatched,
    /// The service account that the driver or server will run as does not exist in the namespace.
    pub service_account_missing: CheckSettings,
    /// The driver's account may not do what a driver does to get executors and to clean up after them.
    pub driver_permissions: CheckSettings,
    /// Spark Connect's classes will not be found: Spark 3.4 and 3.5 do not bring them along.
    pub connect_class: CheckSettings,
    /// Spark Connect from a package cannot run jobs on executors with a core of Spark 3.5.0 to 3.5.5.
    pub connect_core: CheckSettings,
    /// The official image's Connect server does not run under a user id without an entry in /etc/passwd.
    pub unnamed_uid: CheckSettings,
    /// Packages are named, and Ivy has no directory that it can write to.
    pub ivy_not_writable: CheckSettings,
    /// The root file system is read-only, with no volume where Spark has to write.
    pub read_only_root: CheckSettings,
    /// A package is built for another Scala than the image.
    pub scala_mismatch: CheckSettings,
    /// Versions disagree: of a Spark package and the image, of image and sparkVersion, or of one package named twice.
    pub spark_mismatch: CheckSettings,
    /// The operator fails on a SparkConnect without an executor template that has a container, and says so nowhere.
    pub executor_template: CheckSettings,
    /// Memory of less than 1Mi: m is a thousandth to Kubernetes, so 512m is half a byte.
    pub memory_quantity: CheckSettings,
    /// An amount of memory that Spark or the JVM cannot read, or that is too small for a heap.
    pub spark_memory: CheckSettings,
    /// Names that are made of this one will be refused later.
    pub name_too_long: CheckSettings,
    /// The operator joins a Connect server's configuration unquoted into a shell command, which these characters break.
    pub shell_characters: CheckSettings,
    /// More memory is asked for than the limit, the `LimitRange` or the quota has room for.
    pub memory_budget: CheckSettings,
    /// The API server will refuse the pod: two mounts at one path, or two volumes of one name.
    pub duplicate_mount: CheckSettings,
    /// A mount names a volume that does not exist.
    pub unknown_volume: CheckSettings,
    /// The pod can only run on nodes that are flagged for a broken filesystem.
    pub flagged_node: CheckSettings,
    /// Keys of sparkConf that the operator refuses, or overwrites without a word.
    pub submission_keys: CheckSettings,
    /// The server that runs will not see this edit.
    pub unwatched_edit: CheckSettings,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            namespace_not_watched: NamespaceNotWatched {
                settings: CheckSettings::of(Check::NamespaceNotWatched),
                watched_namespaces: Globs::default(),
            },
            service_account_missing: CheckSettings::of(Check::ServiceAccountMissing),
            driver_permissions: CheckSettings::of(Check::DriverPermissions),
            connect_class: CheckSettings::of(Check::ConnectClass),
            connect_core: CheckSettings::of(Check::ConnectCore),
            unnamed_uid: CheckSettings::of(Check::UnnamedUid),
            ivy_not_writable: CheckSettings::of(Check::IvyNotWritable),
            read_only_root: CheckSettings::of(Check::ReadOnlyRoot),
            scala_mismatch: CheckSettings::of(Check::ScalaMismatch),
            spark_mismatch: CheckSettings::of(Check::SparkMismatch),
            executor_template: CheckSettings::of(Check::ExecutorTemplate),
            memory_quantity: CheckSettings::of(Check::MemoryQuantity),
            spark_memory: CheckSettings::of(Check::SparkMemory),
            name_too_long: CheckSettings::of(Check::NameTooLong),
            shell_characters: CheckSettings::of(Check::ShellCharacters),
            memory_budget: CheckSettings::of(Check::MemoryBudget),
            duplicate_mount: CheckSettings::of(Check::DuplicateMount),
            unknown_volume: CheckSettings::of(Check::UnknownVolume),
            flagged_node: CheckSettings::of(Check::FlaggedNode),
            submission_keys: CheckSettings::of(Check::SubmissionKeys),
            unwatched_edit: CheckSettings::of(Check::UnwatchedEdit),
        }
    }
}

impl Checks {
    /// How a check runs, and where.
    #[must_use]
    pub const fn settings(&self, check: Check) -> &CheckSettings {
        match check {
            Check::NamespaceNotWatched => &self.namespace_not_watched.settings,
            Check::ServiceAccountMissing => &self.service_account_missing,
            Check::DriverPermissions => &self.driver_permissions,
            Check::ConnectClass => &self.connect_class,
            Check::ConnectCore => &self.connect_core,
            Check::UnnamedUid => &self.unnamed_uid,
            Check::IvyNotWritable => &self.ivy_not_writable,
            Check::ReadOnlyRoot => &self.read_only_root,
            Check::ScalaMismatch => &self.scala_mismatch,
            Check::SparkMismatch => &self.spark_mismatch,
            Check::ExecutorTemplate => &self.executor_template,
            Check::MemoryQuantity => &self.memory_quantity,
            Check::SparkMemory => &self.spark_memory,
            Check::NameTooLong => &self.name_too_long,
            Check::ShellCharacters => &self.shell_characters,
            Check::MemoryBudget => &self.memory_budget,
            Check::DuplicateMount => &self.duplicate_mount,
            Check::UnknownVolume => &self.unknown_volume,
            Check::FlaggedNode => &self.flagged_node,
            Check::SubmissionKeys => &self.submission_keys,
            Check::UnwatchedEdit => &self.unwatched_edit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_holds_in_its_namespaces() {
        let settings = |namespaces: &[&str], excluded: &[&str]| CheckSettings {
            level: Level::Deny,
            namespaces: Globs::new(namespaces),
            exclude_namespaces: Globs::new(excluded),
        };
        for (case, settings, expected) in [
            ("everywhere", settings(&[], &[]), Level::Deny),
            ("where it is named", settings(&["team-*"], &[]), Level::Deny),
            ("where others are named", settings(&["prod"], &[]), Level::Off),
            ("where it is excluded", settings(&["team-*"], &["team-a"]), Level::Off),
        ] {
            assert_eq!(settings.level_in("team-a"), expected, "{case}");
        }
    }
}
