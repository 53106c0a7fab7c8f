//! The policy core: pure and total. Subject, configuration and snapshot go in, a decision comes out.
//!
//! ```text
//! request ──> subject (pod or resource, a borrowed view)
//!                │   who is left alone, and why          decision.rs, outcome.rs
//!                ▼
//!             mutations, in the order of one list ──> plan (edits, warnings, notes)
//!                ▼
//!             decision ──> JSON Patch, in crate::review
//!
//! the object as it will be stored ──> checks ──> findings ──> judgement       judgement.rs
//! ```
//!
//! No tokio, no client, no clock, no I/O: what a decision needs to know of the world is in the [`Snapshot`].

pub mod check;
pub mod checks;
pub mod configuration;
pub mod decision;
pub mod document;
mod eligibility;
pub mod field_path;
pub mod finding;
pub mod handover;
pub mod judgement;
pub mod lookup;
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

pub use check::Check;
pub use configuration::Policy;
pub use decision::{Decision, decide};
pub use judgement::{Judgement, judge};
pub use mutation::Mutation;
pub use role::Role;
pub use snapshot::Snapshot;
