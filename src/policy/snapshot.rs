//! What is known of the cluster, as plain immutable data, cheap to clone: what is large is shared.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::lookup::Answers;
use super::nodes::{Constraints, Nodes};
use super::operators::Operators;

/// What is known of the cluster at the time of a review. Without a cluster nothing is known, and nothing is assumed.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Whether the API group `security.openshift.io` is served.
    pub openshift: bool,
    /// Whether `nodepools.karpenter.sh` are served: Karpenter makes no nodes for pods that exclude nodes by name.
    pub karpenter: bool,
    /// The labels of namespaces, by name.
    pub namespaces: Arc<HashMap<String, BTreeMap<String, String>>>,
    /// The nodes; none where they are not known, not yet or no longer: then no pod is changed on their account.
    pub nodes: Option<Arc<Nodes>>,
    /// What limit ranges and quotas demand, by namespace.
    pub constraints: Arc<HashMap<String, Constraints>>,
    /// The controllers of the spark-operator; none where they are not known, not yet or no longer.
    pub operators: Option<Arc<Operators>>,
    /// What was looked up for this one review.
    pub answers: Answers,
}

impl Snapshot {
    /// The value of a namespace's label, where it is known.
    #[must_use]
    pub fn namespace_label(&self, namespace: &str, key: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.get(key).map(String::as_str)
    }
}
