//! Connect servers that operator 2.4.0 can make no pod for, which it tells nobody but its own log: no status, no event
//! (internal/controller/sparkconnect/reconciler.go).

use serde_json::{Value, json};

use super::about::{About, owns};
use crate::{
    doctor::{Cure, Evidence, Finding, Level, Observed, Symptom, objects::Resource},
    policy::subject::ResourceKind,
};

/// The operator answers within seconds; it may have been started only now.
const PATIENCE: i64 = 60;

pub(super) fn look(observed: &Observed, findings: &mut Vec<Finding>) {
    findings.extend(observed.resources().filter_map(|resource| explained(observed, resource)));
}

/// Why a resource has no status, where the resource itself shows it.
pub(super) fn explained(observed: &Observed, resource: &Resource) -> Option<Finding> {
    let is_old = observed.age(&resource.metadata.creation_timestamp).is_some_and(|age| age > PATIENCE);
    let has_pod = || observed.pods().any(|pod| owns(resource, pod));
    let waits = resource.state().is_empty() && is_old && !resource.metadata.is_being_deleted();
    if resource.kind != ResourceKind::SparkConnect || !waits || has_pod() {
        return None;
    }
    let about = About::resource(observed, resource);
    without_template(&about).or_else(|| without_image(&about))
}

fn without_template(about: &About<'_>) -> Option<Finding> {
    if about.spec("/executor/template").is_some() {
        return None;
    }
    let container = json!({"name": "spark-kubernetes-executor"});
    let template = json!({"executor": {"template": {"spec": {"containers": [container]}}}});
    let problem = "it has no spec.executor.template, on which the operator fails again and again";
    let cure = Cure::of("Give it one:", about.patch(&template).unwrap_or_default());
    Some(finding(about, Symptom::ExecutorTemplate, "spec.executor.template", problem, cure))
}

fn without_image(about: &About<'_>) -> Option<Finding> {
    let containers = about.spec("/server/template/spec/containers").and_then(Value::as_array);
    let is_image = |image: &Value| image.as_str().is_some_and(|image| !image.is_empty());
    if about.spec("/image").is_some_and(is_image) || containers.into_iter().flatten().any(|it| is_image(&it["image"])) {
        return None;
    }
    let version = about.version().map_or_else(|| "3.5.7".to_owned(), |version| version.to_string());
    let cure =
        Cure::of("Name one:", about.patch(&json!({"image": format!("apache/spark:{version}")})).unwrap_or_default());
    Some(finding(
        about,
        Symptom::ImageMissing,
        "spec.image",
        "neither spec.image nor the server's template names an image",
        cure,
    ))
}

fn finding(about: &About<'_>, symptom: Symptom, path: &str, problem: &str, cure: Cure) -> Finding {
    let object = about.object();
    let evidence = vec![Evidence::field(&object, path, "nothing"), Evidence::field(&object, "status", "nothing")];
    Finding { symptom, level: Level::Error, object, problem: problem.to_owned(), evidence, cure }
}
