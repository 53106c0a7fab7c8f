//! Resources that the operator has not taken up.

use super::{accounts, operators};
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
            || accounts::lacks_account(resource, observed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::{found, observed};
    use serde_json::{Value, json};

    fn connect(created: &str, more: &Value) -> Value {
        let mut connect = json!({
            "kind": "SparkConnect", "metadata": {"name": "analytics", "namespace": "team-a", "creationTimestamp": created},
            "spec": {"image": "apache/spark:3.5.7", "server": {}, "executor": {"template": {"spec": {"containers": [{"name": "e"}]}}}}
        });
        json_patch::merge(&mut connect, more);
        connect
    }

    fn controller(ready: u32) -> Value {
        json!({
            "kind": "Deployment", "metadata": {"name": "so", "namespace": "operators"},
            "spec": {
                "selector": {"matchLabels": {"app": "so"}},
                "template": {"spec": {"containers": [{"image": "spark-operator", "args": ["controller", "start", "--namespaces=team-a"]}]}}
            },
            "status": {"readyReplicas": ready}
        })
    }

    #[test]
    fn misses_a_status_that_should_be_there() {
        let none = "error no-status SparkConnect team-a/analytics: the operator has not taken it up: it has no status";
        let old = "2026-11-22T09:58:59Z";
        for (case, objects, expected) in [
            ("old enough", vec![controller(1), connect(old, &json!({}))], vec![none]),
            ("just made", vec![controller(1), connect("2026-11-22T09:59:01Z", &json!({}))], vec![]),
            ("taken up", vec![controller(1), connect(old, &json!({"status": {"state": "NotReady"}}))], vec![]),
            ("suspended", vec![controller(1), connect(old, &json!({"spec": {"suspend": true}}))], vec![]),
            (
                "being deleted",
                vec![controller(1), connect(old, &json!({"metadata": {"deletionTimestamp": old}}))],
                vec![],
            ),
            ("nobody runs: said elsewhere", vec![controller(0), connect(old, &json!({}))], vec![]),
            (
                "nobody watches: said elsewhere",
                vec![controller(1), connect(old, &json!({"metadata": {"namespace": "team-b"}}))],
                vec![],
            ),
            (
                "no account: said elsewhere",
                vec![
                    controller(1),
                    connect(old, &json!({"spec": {"server": {"template": {"spec": {"serviceAccountName": "etl"}}}}})),
                ],
                vec![],
            ),
            ("no time", vec![controller(1), connect("yesterday", &json!({}))], vec![]),
        ] {
            assert_eq!(found(look, &observed(&objects)), expected, "{case}");
        }
    }

    #[test]
    fn brings_what_the_operators_log_says_of_it() {
        let pod = json!({
            "kind": "Pod", "metadata": {"name": "so-1", "namespace": "operators", "labels": {"app": "so"}},
            "spec": {"containers": [{"name": "operator"}]}
        });
        let mut observed = observed(&[controller(1), pod, connect("2026-11-22T09:00:00Z", &json!({}))]);
        let logs = operators::controller_logs(&observed);
        assert_eq!(logs.len(), 1);
        let log = "INFO Reconciling SparkConnect analytics\nERROR first {\"name\": \"analytics\"}\nERROR Observed a panic {\"name\": \"analytics\"}\n\
                   ERROR other {\"name\": \"batch\"}";
        observed.logs = [(logs[0].clone(), Ok(log.to_owned()))].into();
        let mut findings = Vec::new();
        look(&observed, &mut findings);
        assert_eq!(findings[0].evidence[1].says, "ERROR Observed a panic {\"name\": \"analytics\"}");
    }
}
