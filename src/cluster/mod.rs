//! The cluster that the webhook works for: the way in, what is known of it, and how the API server comes to ask us.
//!
//! ```text
//! Place (a kubeconfig, or the pod we run in) --> Cluster --> Platform, what it serves  --> Snapshots --> policy::Snapshot
//!                                                       |-> Watch (a kind each) --> Known --^
//!                                                       |-> Lookups, for one review --> policy::lookup::Answers
//!                                                       |-> Registration --> webhook configurations
//!                                                       |-> Trusted, whom they trust
//!                                                       `-> Secret
//! ```
//! Promised: what goes wrong is one sentence that says what to do, and is said before anything is changed. What was seen last stays in
//! use while nothing can be seen, and that is not for ever.

mod access;
mod changes;
mod dry_run;
pub mod labelling;
mod listing;
mod lookups;
mod objects;
mod platform;
mod registration;
mod secret;
mod snapshots;
mod store;
mod trusted;
mod watch;
mod watched;
mod webhook_url;

pub use access::{Cluster, Error, Place};
pub use changes::Changes;
pub use lookups::{Lookups, Reply};
pub use platform::Platform;
pub use registration::{Registration, unregister};
pub use secret::{Secret, SecretName, Written};
pub use snapshots::{FirstSync, Pace, Snapshots};
pub use trusted::{Service, Trusted, TrustedWebhook};
pub use webhook_url::WebhookUrl;
