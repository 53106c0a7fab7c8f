//! The administrator's policy file: one YAML or JSON document, every field of which has a default.

mod check;
mod checks;
mod flagged_nodes;
mod formats;
mod globs;
mod mutations;
mod names;
mod parse;
mod schema;
mod scope;
mod settings;

pub use check::Problem;
pub use checks::{CheckSettings, Checks, NamespaceNotWatched};
pub use flagged_nodes::{BadCondition, BadEvent, ExcludeBy, FlaggedNodes, Strippable, Treatment, Unpinned};
pub use formats::{KeyValue, MountPath, Period, SizeLimit};
pub use globs::Globs;
pub use mutations::{
    Apply, ConnectPackage, ConnectReadiness, ExecutorTemplate, IvyCache, IvyDir, LimitStripping, Medium,
    MemoryQuantity, NodeSteering, SparkUser, Submission,
};
pub use parse::{DEFAULT_FILE, PolicyError};
pub use schema::{API_VERSION, KIND, schema};
pub use scope::{MutationMode, Scope};
pub use settings::{Mode, Mutations, Notebooks, OnError, OptOut, OptOutReach, Policy};
