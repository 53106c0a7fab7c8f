//! What is known of the cluster, as plain immutable data.

use std::collections::{BTreeMap, HashMap};

/// What is known of the cluster at the time of a review. Without a cluster nothing is known, and nothing is assumed.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Whether the API group `security.openshift.io` is served.
    pub openshift: bool,
    /// The labels of namespaces, by name.
    pub namespaces: HashMap<String, BTreeMap<String, String>>,
}

impl Snapshot {
    /// The value of a namespace's label, where it is known.
    #[must_use]
    pub fn namespace_label(&self, namespace: &str, key: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.get(key).map(String::as_str)
    }
}
