//! Resources that the operator has taken up without a word: Connect servers that it cannot make a pod for, and whatever has no status.

use serde_json::{Value, json};

use super::about::About;
use crate::{
    doctor::{Cure, Evidence, Finding, Level, ObjectName, Observed, Symptom, objects::Resource},
    policy::subject::ResourceKind,
};

/// The operator answers within seconds; it may have been started only now.
const PATIENCE: i64 = 60;

pub(super) fn look(observed: &Observed, findings: &mut Vec<Finding>) {
    for resource in observed.resources() {
        let is_old = observed.age(&resource.metadata.creation_timestamp).is_some_and(|age| age > PATIENCE);
        if !is_old || resource.metadata.is_being_deleted() || is_suspended(resource) || !resource.state().is_empty() {
            continue;
        }
        let has_pod = observed.pods().any(|pod| super::about::owns(resource, pod));
        let about = About::resource(observed, resource);
        let known = (resource.kind == ResourceKind::SparkConnect && !has_pod).then(|| connect(&about)).flatten();
        findings.push(known.unwrap_or_else(|| {
            let object = resource.object();
            Finding {
                symptom: Symptom::NoStatus,
                level: Level::Error,
                problem: "the operator has said nothing of it".to_owned(),
                evidence: vec![Evidence::field(&object, "status", "nothing")],
                cure: Cure::of(
                    "See that the operator runs and watches the namespace, and what it logs of it:",
                    format!(
                        "kubectl logs -A -l app.kubernetes.io/name=spark-operator --tail=-1 | grep {}",
                        object.name
                    ),
                ),
                object,
            }
        }));
    }
}

fn is_suspended(resource: &Resource) -> bool {
    resource.json["spec"]["suspend"] == true
}

/// What operator 2.4.0 fails on and tells only its own log (internal/controller/sparkconnect/reconciler.go).
fn connect(about: &About<'_>) -> Option<Finding> {
    let object = about.object();
    let executor = about.spec("/executor/template");
    if executor.is_none() {
        let template =
            json!({"executor": {"template": {"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}}}});
        return Some(Finding {
            symptom: Symptom::ExecutorTemplate,
            level: Level::Error,
            problem: "it has no spec.executor.template, on which the operator fails again and again".to_owned(),
            evidence: vec![
                Evidence::field(&object, "spec.executor.template", "nothing"),
                Evidence::field(&object, "status", "nothing"),
            ],
            cure: Cure::of("Give it one:", about.patch(&template).unwrap_or_default()),
            object,
        });
    }
    let template = about.spec("/server/template/spec");
    let container = template.and_then(|it| it["containers"].as_array()?.first()?["image"].as_str());
    let image = about.spec("/image").and_then(Value::as_str).unwrap_or_default();
    if image.is_empty() && container.unwrap_or_default().is_empty() {
        return Some(Finding {
            symptom: Symptom::ImageMissing,
            level: Level::Error,
            problem: "neither spec.image nor the server's template names an image".to_owned(),
            evidence: vec![
                Evidence::field(&object, "spec.image", "nothing"),
                Evidence::field(&object, "status", "nothing"),
            ],
            cure: Cure::of("Name one:", about.patch(&json!({"image": "apache/spark:3.5.7"})).unwrap_or_default()),
            object,
        });
    }
    let named = |template: &Value| template["serviceAccountName"].as_str().map(str::to_owned);
    let account = template.and_then(named).filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned());
    let wanted = ObjectName::of("ServiceAccount", about.namespace(), &account);
    let accounts = about.observed.accounts.as_ref().ok()?;
    if accounts.contains(&wanted) {
        return None;
    }
    let (_, problem, cure) = super::told::account_missing(&account, about);
    Some(Finding {
        symptom: Symptom::PodAccountMissing,
        level: Level::Error,
        problem,
        evidence: vec![
            Evidence::field(&object, "spec.server.template.spec.serviceAccountName", &account),
            Evidence::field(&wanted, "metadata.name", "not found"),
        ],
        cure,
        object,
    })
}
