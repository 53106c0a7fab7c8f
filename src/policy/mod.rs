//! The policy core: pure and total. Subject, configuration and snapshot go in, a decision comes out.
//!
//! ```text
//! request ──> subject (pod or resource, a borrowed view)
//!                │   who is left alone, and why          decision.rs, outcome.rs
//!                ▼
//!             mutations, in the order of one list ──> plan (edits, warnings, notes)
//!                ▼
//!             decision ──> JSON Patch, in crate::review
//! ```
//!
//! No tokio, no client, no clock, no I/O: what a decision needs to know of the world is in the [`Snapshot`].

pub mod configuration;
pub mod decision;
pub mod document;
pub mod field_path;
pub mod handover;
pub mod mutation;
pub mod mutations;
pub mod names;
pub mod nodes;
pub mod operators;
pub mod outcome;
pub mod plan;
pub mod request;
pub mod role;
pub mod snapshot;
pub mod subject;
#[cfg(test)]
pub(crate) mod testing;
pub mod values;

pub use configuration::Policy;
pub use decision::{Decision, decide};
pub use mutation::Mutation;
pub use role::Role;
pub use snapshot::Snapshot;
