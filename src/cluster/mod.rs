//! The cluster that the webhook works for: the way in, what is read there, and how the API server comes to ask us.
//!
//! ```text
//! Place (a kubeconfig, or the pod we run in) --> Cluster --> openshift     --> policy::Snapshot
//!                                                       `-> Registration  --> webhook configurations
//! ```
//! Promised: what goes wrong is one sentence that says what to do, and is said before anything is changed.

mod access;
pub mod openshift;
mod registration;
mod webhook_url;

pub use access::{Cluster, Error, Place};
pub use registration::{Registration, unregister};
pub use webhook_url::WebhookUrl;
