//! The settings of flagged nodes: what flags a node, and what happens to pods that could land on one.

use super::formats::Period;
use crate::policy::role::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What flags a node, and what happens to pods that could land on one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlaggedNodes {
    /// The label that flags a node, whatever its value; empty for none.
    #[schemars(extend("format" = "key"))]
    pub label: String,
    /// The annotation that flags a node, whatever its value; empty for none.
    #[schemars(extend("format" = "key"))]
    pub annotation: String,
    /// The key of the taint that flags a node, whatever its value and effect; empty for none.
    #[schemars(extend("format" = "key"))]
    pub taint: String,
    /// The annotation that holds the time (RFC 3339) at which a node was repaired: events up to then flag it no longer.
    #[schemars(extend("format" = "key"))]
    pub repaired_annotation: String,
    /// Conditions of a node that flag it, each with its bad status.
    pub conditions: Vec<BadCondition>,
    /// Events about a node that flag it, each by its reason and the component that reports it.
    pub events: Vec<BadEvent>,
    /// The namespaces whose events count. Who may write events there can flag nodes; node components write to `default`.
    #[schemars(extend("items" = {"type": "string", "format": "namespace"}))]
    pub event_namespaces: Vec<String>,
    /// How long an event flags a node.
    #[serde(rename = "eventTTL")]
    pub event_ttl: Period,
    /// How long the last state of the nodes stays in use when the API server does not answer; after that nothing is done.
    pub stale_after: Period,
    /// The limits that are taken off pods that would run on flagged nodes.
    #[schemars(extend("minItems" = 1))]
    pub strip: Vec<Strippable>,
    /// What happens to a pod that could land on a flagged node or on another, by its role.
    pub unpinned: Unpinned,
    /// How a pod is kept off flagged nodes: `label` where a label tells them, `name` by their names, `strip` not at all, so that limits go;
    /// `auto` is the first of these that works.
    pub exclude_by: ExcludeBy,
    /// The most nodes that a pod is kept off by name.
    #[schemars(range(min = 1, max = 200))]
    pub max_excluded_names: usize,
    /// Whether the webhook labels flagged nodes with `label`, so that pods are kept off by it. Needs a permission of its own.
    pub label_flagged_nodes: bool,
}

/// The label, annotation and taint by which an administrator flags a node.
const FLAGGED: &str = "spark-admission.io/flagged";

impl Default for FlaggedNodes {
    fn default() -> Self {
        let condition = |kind: &str, status: &str| BadCondition { kind: kind.to_owned(), status: status.to_owned() };
        Self {
            label: FLAGGED.to_owned(),
            annotation: FLAGGED.to_owned(),
            taint: FLAGGED.to_owned(),
            repaired_annotation: "spark-admission.io/repaired".to_owned(),
            conditions: vec![
                condition("ReadonlyFilesystem", "True"),
                condition("CorruptDockerOverlay2", "True"),
                condition("XfsShutdown", "True"),
                condition("FilesystemCorruptionProblem", "True"),
                condition("StorageReady", "False"),
            ],
            events: vec![BadEvent {
                reason: "ReadOnlyFileSystemDetected".to_owned(),
                component: "device-fs-monitor".to_owned(),
            }],
            event_namespaces: vec!["default".to_owned()],
            event_ttl: Period::new("1h"),
            stale_after: Period::new("10m"),
            strip: vec![Strippable::Cpu, Strippable::Memory],
            unpinned: Unpinned::default(),
            exclude_by: ExcludeBy::Auto,
            max_excluded_names: 20,
            label_flagged_nodes: false,
        }
    }
}

/// A condition of a node that flags it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BadCondition {
    /// The condition's type.
    #[serde(rename = "type")]
    #[schemars(extend("format" = "word"))]
    pub kind: String,
    /// The status that is bad: `True`, `False` or `Unknown`. Of most conditions it is `True`; of those that say what works, `False`.
    #[schemars(extend("enum" = ["True", "False", "Unknown"]))]
    pub status: String,
}

/// An event that flags the node it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BadEvent {
    /// The event's reason.
    #[schemars(extend("format" = "word"))]
    pub reason: String,
    /// The component that reports it.
    #[schemars(extend("format" = "word"))]
    pub component: String,
}

/// A limit that can be taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strippable {
    /// The limit of cpu.
    Cpu,
    /// The limit of memory.
    Memory,
    /// The limit of ephemeral storage.
    EphemeralStorage,
}

impl Strippable {
    /// The name of the resource in a pod.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::EphemeralStorage => "ephemeral-storage",
        }
    }
}

/// What happens to pods that could land on a flagged node or on another, by role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Unpinned {
    /// Of drivers: `avoid` keeps them off flagged nodes, `strip` takes their limits off, `ignore` leaves them as they are.
    pub driver: Treatment,
    /// Of executors.
    pub executor: Treatment,
    /// Of Connect servers.
    pub connect_server: Treatment,
    /// Of notebooks.
    pub notebook: Treatment,
}

impl Default for Unpinned {
    fn default() -> Self {
        Self {
            driver: Treatment::Avoid,
            executor: Treatment::Avoid,
            connect_server: Treatment::Avoid,
            notebook: Treatment::Avoid,
        }
    }
}

impl Unpinned {
    /// What happens to pods of a role.
    #[must_use]
    pub const fn of(self, role: Role) -> Treatment {
        match role {
            Role::Driver => self.driver,
            Role::Executor => self.executor,
            Role::ConnectServer => self.connect_server,
            Role::Notebook => self.notebook,
        }
    }
}

/// What happens to a pod that could land on a flagged node or on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Treatment {
    /// It is kept off flagged nodes.
    Avoid,
    /// Its limits go, so that it can start on any node.
    Strip,
    /// It is left as it is.
    Ignore,
}

/// How a pod is kept off flagged nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExcludeBy {
    /// By label where it covers them, else by name; neither where names are too many, or Karpenter could not follow them.
    Auto,
    /// By label where it covers them; else limits go.
    Label,
    /// By name where they are not too many; else limits go.
    Name,
    /// Not at all: limits go.
    Strip,
}
