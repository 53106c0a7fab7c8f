//! Resources that the operator has not taken up.

use super::operators;
use crate::doctor::{Cure, Evidence, Finding, Level, Observed, Symptom, objects::Resource};

/// How long a resource may wait, in seconds: the operator takes one up at once, and a busy one within seconds.
const PATIENCE: i64 = 60;

/// Resources without a status though they are old enough to have one.
pub(super) fn not_taken_up(observed: &Observed) -> impl Iterator<Item = &Resource> {
    observed.resources().filter(|resource| {
        let is_old = observed.age(&resource.metadata.creation_timestamp).is_some_and(|age| age > PATIENCE);
        let is_suspended = resource.json["spec"]["suspend"] == true;
        resource.state().is_empty() && is_old && !is_suspended && !resource.metadata.is_being_deleted()
    })
}

/// Those for which nothing that concerns everybody is the reason: the operator runs, and watches their namespace.
pub(super) fn look(observed: &Observed, findings: &mut Vec<Finding>) {
    if operators::none_runs(observed) {
        return;
    }
    for resource in not_taken_up(observed) {
        let is_told = operators::is_unwatched(observed, &resource.metadata.namespace)
            || crate::doctor::workload::explains(observed, resource);
        if !is_told {
            findings.push(no_status(resource, observed));
        }
    }
}

fn no_status(resource: &Resource, observed: &Observed) -> Finding {
    let object = resource.object();
    let age = observed.age(&resource.metadata.creation_timestamp).unwrap_or_default();
    let mut evidence = vec![Evidence::field(&object, "status", format!("none, after {age} s"))];
    evidence.extend(said_of(resource, observed));
    Finding {
        symptom: Symptom::NoStatus,
        level: Level::Error,
        problem: "the operator has not taken it up: it has no status".to_owned(),
        evidence,
        cure: Cure::of(
            "Repair what the operator's log says of it; a resource without any line there is one that it does not see:",
            format!(
                "kubectl logs -n {} -l app.kubernetes.io/component=controller,app.kubernetes.io/name=spark-operator --tail=-1 | grep '{}' | grep -i error | tail -3",
                namespace_of_operator(observed),
                object.name
            ),
        ),
        object,
    }
}

fn namespace_of_operator(observed: &Observed) -> &str {
    let controller = observed.operators.iter().flatten().find(|it| operators::is_controller(it));
    controller.map_or("spark-operator", |controller| controller.metadata.namespace.as_str())
}

/// The last error in the operator's log that names the resource, or its last panic on one of that kind.
fn said_of(resource: &Resource, observed: &Observed) -> Option<Evidence> {
    let name = &resource.metadata.name;
    let keys = operators::controller_logs(observed);
    keys.iter().find_map(|key| {
        let log = observed.logs.get(key)?.as_ref().ok()?;
        let is_about = |line: &&str| {
            let is_bad = line.contains("ERROR") || line.contains("\"level\":\"error\"") || line.contains("panic");
            is_bad && line.contains(name.as_str())
        };
        let line = log.lines().rev().find(is_about)?;
        let pod = crate::doctor::ObjectName::of("Pod", &key.namespace, &key.pod);
        Some(Evidence::log(&pod, &key.container, false, line))
    })
}
