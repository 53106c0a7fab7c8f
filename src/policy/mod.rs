//! The policy core: pure and total. Subject, configuration and snapshot go in, a decision comes out.

pub mod configuration;
pub mod mutations;
pub mod role;
pub mod values;

pub use configuration::Policy;

/// What is known of the cluster, as plain immutable data.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Whether the API group `security.openshift.io` is served.
    pub openshift: bool,
}
