//! The administrator's policy file: one YAML or JSON document, every field of which has a default.

mod formats;
mod globs;
mod settings;

pub use formats::{KeyValue, MountPath, SizeLimit};
pub use globs::Globs;
pub use settings::{
    Apply, ConnectPackage, ConnectReadiness, ExecutorTemplate, IvyCache, IvyDir, Medium, MemoryQuantity, Mode,
    MutationMode, Mutations, Notebooks, OnError, OptOut, OptOutReach, Policy, Scope, SparkUser, Submission,
};
