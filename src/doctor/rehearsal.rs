//! What the webhook would do with an object if it were created now, and who changed it when it was.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    ObjectName, Observed,
    objects::{Metadata, Pod, Resource},
    platform,
};
use crate::{
    policy::{
        Policy, Snapshot,
        finding::Finding as CheckFinding,
        judgement::Verdict,
        lookup::Question,
        names::MUTATED,
        outcome::{Outcome, Untouched},
        subject::ResourceKind,
    },
    review::{Endpoint, answer, questions},
};

/// Label that the operator's webhook puts on pods that it changed (pkg/common/spark.go of 2.4.0).
const MUTATED_BY_OPERATOR: &str = "sparkoperator.k8s.io/mutated-by-spark-operator";

/// Group, version and kind of a pod.
const POD: (&str, &str, &str) = ("", "v1", "Pod");

const fn kind_of(kind: ResourceKind) -> (&'static str, &'static str, &'static str) {
    let version = if matches!(kind, ResourceKind::SparkConnect) { "v1alpha1" } else { "v1beta2" };
    ("sparkoperator.k8s.io", version, kind.name())
}

/// One object, as it was changed and as it would be.
#[derive(Debug, Clone, Default)]
pub struct Rehearsal {
    /// The object.
    pub object: ObjectName,
    /// The mutations of ours that changed it when it was created.
    pub changed_by: Vec<String>,
    /// Whether the operator's webhook changed it.
    pub changed_by_operator: bool,
    /// The mutations that would change it now.
    pub would_change: Vec<&'static str>,
    /// Why none of them would look at it, where none would.
    pub untouched: Option<&'static str>,
    /// What the checks would find, and what would come of it.
    pub would_find: Vec<(CheckFinding, Verdict)>,
}

/// What is known of the cluster, as the webhook would know it.
#[must_use]
pub fn snapshot(observed: &Observed) -> Snapshot {
    let labels = observed.namespaces.iter().flatten().map(|(name, labels)| (name.clone(), labels.clone()));
    Snapshot {
        openshift: observed.openshift,
        namespaces: std::sync::Arc::new(labels.collect()),
        nodes: observed.nodes.as_ref().ok().cloned(),
        constraints: std::sync::Arc::new(observed.constraints.clone().into_iter().collect()),
        operators: platform::operators(observed).map(std::sync::Arc::new),
        ..Snapshot::default()
    }
}

/// Reviews a resource as if it were created now.
#[must_use]
pub fn of_resource(
    kind: ResourceKind,
    metadata: &Metadata,
    json: &Value,
    observed: &Observed,
    snapshot: &Snapshot,
) -> Rehearsal {
    rehearsed(kind_of(kind), metadata, json, observed, snapshot)
}

/// Reviews a pod as if it were created now.
#[must_use]
pub fn of_pod(metadata: &Metadata, json: &Value, observed: &Observed, snapshot: &Snapshot) -> Rehearsal {
    rehearsed(POD, metadata, json, observed, snapshot)
}

fn rehearsed(
    (group, version, kind): (&str, &str, &str),
    metadata: &Metadata,
    json: &Value,
    observed: &Observed,
    snapshot: &Snapshot,
) -> Rehearsal {
    let changed_by = metadata.annotations.get(MUTATED).map(String::as_str).unwrap_or_default();
    let mut rehearsal = Rehearsal {
        object: metadata.object(kind),
        changed_by: changed_by.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        changed_by_operator: metadata.labels.contains_key(MUTATED_BY_OPERATOR),
        ..Rehearsal::default()
    };
    let mut review = review_of((group, version, kind), metadata, json);
    let Ok(mutated) = answer(Endpoint::Mutate, review.to_string().as_bytes(), &observed.policy, snapshot) else {
        return rehearsal;
    };
    if let Some(decision) = &mutated.decision {
        rehearsal.untouched = decision.untouched.map(Untouched::sentence);
        let applied = decision.outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Applied);
        rehearsal.would_change = applied.map(|(mutation, _)| mutation.name()).collect();
    }
    if let Some(patch) = patch_of(&mutated.body) {
        // A patch of ours applies; what it would be judged by otherwise is the object as it is.
        let _ = json_patch::patch(&mut review["request"]["object"], &patch);
    }
    let judged = answer(Endpoint::Validate, review.to_string().as_bytes(), &observed.policy, snapshot);
    rehearsal.would_find = judged.ok().and_then(|it| it.judgement).map(|it| it.findings).unwrap_or_default();
    rehearsal
}

/// What the API server would send if the object were created now.
fn review_of((group, version, kind): (&str, &str, &str), metadata: &Metadata, json: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "doctor", "kind": {"group": group, "version": version, "kind": kind}, "name": metadata.name,
            "namespace": metadata.namespace, "operation": "CREATE", "object": as_submitted(json), "dryRun": true
        }
    })
}

/// What the checks ask the cluster about a resource, whatever the policy wants of them.
#[must_use]
pub fn questions_about_resource(resource: &Resource, snapshot: &Snapshot) -> Vec<Question> {
    asked(&review_of(kind_of(resource.kind), &resource.metadata, &resource.json), snapshot)
}

/// What the checks ask the cluster about a pod, whatever the policy wants of them.
#[must_use]
pub fn questions_about_pod(pod: &Pod, snapshot: &Snapshot) -> Vec<Question> {
    asked(&review_of(POD, &pod.metadata, &pod.json), snapshot)
}

fn asked(review: &Value, snapshot: &Snapshot) -> Vec<Question> {
    // Of those who opted out it is asked all the same: the doctor changes nothing.
    let snapshot = Snapshot { namespaces: std::sync::Arc::default(), ..snapshot.clone() };
    questions(review.to_string().as_bytes(), &Policy::default(), &snapshot)
}

/// Without what the API server and controllers wrote.
fn as_submitted(json: &Value) -> Value {
    let mut object = json.clone();
    if let Some(members) = object.as_object_mut() {
        members.shift_remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for key in ["uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"] {
            metadata.shift_remove(key);
        }
    }
    object
}

fn patch_of(body: &[u8]) -> Option<json_patch::Patch> {
    let review: Value = serde_json::from_slice(body).ok()?;
    let bytes = STANDARD.decode(review["response"]["patch"].as_str()?).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use crate::doctor::{rehearse, testing::observed};
    use serde_json::{Value, json};

    fn connect(state: &str) -> Value {
        json!({
            "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": "a", "namespace": "team-a"},
            "spec": {"image": "apache/spark:3.5.7", "sparkVersion": "3.5.7", "server": {}, "executor": {"instances": 1}}, "status": {"state": state}
        })
    }

    #[test]
    fn rehearses_what_is_asked_for() {
        let mut observed = observed(&[connect("NotReady")]);
        assert!(rehearse(&observed, &[]).is_empty(), "nothing is wrong with it, and nobody asked");
        observed.asked.name = Some("a".to_owned());
        let rehearsed = rehearse(&observed, &[]);
        assert_eq!(rehearsed[0].would_change, ["connect-package", "executor-template", "ivy-dir"]);
        assert!(rehearsed[0].changed_by.is_empty());
    }

    #[test]
    fn tells_what_webhooks_did_to_a_pod() {
        let pod = json!({
            "kind": "Pod",
            "metadata": {
                "name": "d", "namespace": "team-a", "annotations": {"spark-admission.io/mutated": "ivy-cache,spark-user"},
                "labels": {"spark-role": "driver", "sparkoperator.k8s.io/mutated-by-spark-operator": "true"}
            },
            "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.7", "args": ["driver"]}]}
        });
        let mut observed = observed(&[pod]);
        observed.asked.name = Some("d".to_owned());
        let rehearsed = &rehearse(&observed, &[])[0];
        assert_eq!(
            (rehearsed.changed_by.as_slice(), rehearsed.changed_by_operator),
            (&["ivy-cache".to_owned(), "spark-user".to_owned()][..], true)
        );
        assert_eq!(rehearsed.would_change, ["ivy-cache", "ivy-dir", "spark-user"]);
    }
}
