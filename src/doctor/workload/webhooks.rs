//! Which webhooks have changed a pod in trouble, and what ours would change now if it were made again.

use super::about::About;
use crate::{
    doctor::Evidence,
    policy::{
        document::Document,
        names::MUTATED,
        outcome::Outcome,
        request::{Operation, Request},
        snapshot::Snapshot,
    },
};

/// The label of the operator's own webhook (pkg/common of spark-operator 2.4.0).
const MUTATED_BY_OPERATOR: &str = "sparkoperator.k8s.io/mutated-by-spark-operator";

pub(super) fn evidence(about: &About<'_>) -> Vec<Evidence> {
    let Some(pod) = about.pod else { return Vec::new() };
    let object = pod.object();
    let mut evidence = Vec::new();
    if let Some(mutations) = pod.metadata.annotations.get(MUTATED) {
        evidence.push(Evidence::field(&object, &format!("metadata.annotations[{MUTATED}]"), mutations));
    }
    if let Some(value) = pod.metadata.labels.get(MUTATED_BY_OPERATOR) {
        evidence.push(Evidence::field(&object, &format!("metadata.labels[{MUTATED_BY_OPERATOR}]"), value));
    }
    let now = now(about);
    if !now.is_empty() {
        let says = format!("made again, it would be changed by {}", now.join(", "));
        evidence.push(Evidence::review(&object, &says));
    }
    evidence
}

/// The mutations that would change the pod.
fn now(about: &About<'_>) -> Vec<&'static str> {
    let Some(pod) = about.pod else { return Vec::new() };
    let text = pod.json.to_string();
    let (Ok(document), Ok(nothing)) = (Document::parse(&text), Document::parse("null")) else { return Vec::new() };
    let request = Request {
        uid: "",
        operation: Operation::Create,
        group: "",
        kind: "Pod",
        subresource: "",
        namespace: about.namespace(),
        object: document.root(),
        old_object: nothing.root(),
    };
    // A pod that has a node is judged as if it might have any: what flags nodes decides where it lands, not what ails it.
    let snapshot = Snapshot { openshift: about.observed.openshift, ..Snapshot::default() };
    let decision = crate::policy::decision::decide(&request, &about.observed.policy, &snapshot);
    let applied = decision.outcomes.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Applied));
    applied.map(|(mutation, _)| mutation.name()).collect()
}
