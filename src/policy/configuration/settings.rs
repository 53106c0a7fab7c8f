//! The settings, with their defaults. The documentation of a field is also its description in the JSON Schema.
//!
//! No field is optional here: what a policy file does not name is filled in from [`Policy::default`] before it is read, because the
//! default roles differ between mutations that share [`Scope`].

use super::checks::Checks;
use super::flagged_nodes::FlaggedNodes;
use super::formats::KeyValue;
use super::globs::Globs;
use super::mutations::{
    ConnectPackage, ConnectReadiness, ExecutorTemplate, IvyCache, IvyDir, LimitStripping, MemoryQuantity, NodeSteering,
    SparkUser,
};
use super::scope::{MutationMode, Scope};
use crate::policy::mutation::Mutation;
use crate::policy::role::{Role, Roles};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What is looked for in Spark work, each check by its name.
    pub checks: Checks,
    /// What flags a node, and what happens to pods that could land on one.
    pub flagged_nodes: FlaggedNodes,
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
            checks: Checks::default(),
            flagged_nodes: FlaggedNodes::default(),
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
    /// A SparkConnect gets the executor template that its operator needs.
    pub executor_template: ExecutorTemplate,
    /// Memory that was written as `512m` (half a byte) becomes `512Mi`.
    pub memory_quantity: MemoryQuantity,
    /// A pod that could land on a flagged node or on another is kept off the flagged ones.
    pub node_steering: NodeSteering,
    /// A pod that would run on flagged nodes loses the limits with which it would not start there.
    pub limit_stripping: LimitStripping,
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
            Mutation::NodeSteering => &self.node_steering.scope,
            Mutation::LimitStripping => &self.limit_stripping.scope,
        }
    }

    /// The roles that a policy may name for a mutation: all those where it means something.
    #[must_use]
    pub const fn possible_roles(mutation: Mutation) -> Roles {
        match mutation {
            Mutation::IvyCache
            | Mutation::IvyDir
            | Mutation::MemoryQuantity
            | Mutation::NodeSteering
            | Mutation::LimitStripping => Roles::ALL,
            // A notebook's user is that of its own image, and its home belongs to that user.
            Mutation::SparkUser => Roles::of(&[Role::Driver, Role::Executor, Role::ConnectServer]),
            Mutation::ConnectPackage => Roles::of(&[Role::Driver, Role::ConnectServer]),
            Mutation::ConnectReadiness | Mutation::ExecutorTemplate => Roles::of(&[Role::ConnectServer]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
