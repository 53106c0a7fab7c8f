//! `unwatched-edit`: an edit of a `SparkConnect` that its running server will not see.
//!
//! The operator fills in the server's pod when it makes it, and never again; of an edit it then only writes the executors' template into
//! the config map, which the pod has mounted by `subPath` and so as it was (`mutateServerPod`, internal/controller/sparkconnect/reconciler.go
//! of 2.4.0; so it is up to 2.5.2). The Service is made once too: its own fields are read anew only under another name. And its selector
//! names the `sparkVersion`, with which the operator does label the running pod: after an edit of that the Service has no server.

use std::borrow::Cow;

use crate::policy::document::Json;
use crate::policy::field_path::{FieldPath, Step, path};
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::request::Operation;
use crate::policy::subject::Resource;

/// How many fields are named.
const MOST_NAMED: usize = 3;
/// How deep a field is named: `spec.executor.instances`, but the whole template.
const DEPTH: usize = 3;

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    // Without a server yet there is none that could miss it.
    let server = case.request.object.get("status").get("server").get("podName").as_str().unwrap_or_default();
    if case.request.operation != Operation::Update || server.is_empty() {
        return;
    }
    let (new, old) = (resource.spec(), case.request.old_object.get("spec"));
    of_version(new, old, server, resource.metadata().name(), findings);
    of_service(new, old, findings);
    let mut changed = Vec::new();
    differences(new, old, &path(["spec"]), &mut changed);
    changed.retain(|field| !is_told_elsewhere(field));
    let Some(first) = changed.first() else { return };
    let others: Vec<_> = changed.iter().skip(1).take(MOST_NAMED - 1).map(ToString::to_string).collect();
    let more = changed.len().saturating_sub(MOST_NAMED);
    let and_others = match (others.as_slice(), more) {
        ([], _) => String::new(),
        (others, 0) => format!(" (nor {})", others.join(", ")),
        (others, more) => format!(" (nor {} and {more} more)", others.join(", ")),
    };
    let problem = format!("the server that runs does not see this edit{and_others}");
    findings.add_likely(first.clone(), problem, format!("to start one that does: kubectl delete pod {server}"));
}

fn of_version(new: Json<'_>, old: Json<'_>, server: &str, name: &str, findings: &mut Findings) {
    if new.get("sparkVersion").is_same(old.get("sparkVersion")) {
        return;
    }
    let service = new.get("server").get("service").get("metadata").get("name").as_str();
    let service = service.map_or_else(|| format!("{name}-server"), str::to_owned);
    findings.add_likely(
        path(["spec", "sparkVersion"]),
        format!("the Service {service} goes on selecting pods of the old version, so clients lose the server"),
        format!("kubectl delete service {service} and kubectl delete pod {server}: both are made anew"),
    );
}

fn of_service(new: Json<'_>, old: Json<'_>, findings: &mut Findings) {
    let [new, old] = [new, old].map(|spec| spec.get("server").get("service"));
    let [name, old_name] = [new, old].map(|service| service.get("metadata").get("name").as_str());
    if let Some(name) = name.filter(|_| name == old_name && !new.is_same(old)) {
        findings.add_likely(
            path(["spec", "server", "service"]),
            format!("the Service {name} stays as it was made"),
            format!("to have it made anew: kubectl delete service {name}"),
        );
    }
}

/// Whether it is about the version or the Service, of which other things are true.
fn is_told_elsewhere(field: &FieldPath) -> bool {
    let field = field.to_string();
    field == "spec.sparkVersion" || field == "spec.server.service"
}

/// The fields that differ, each named as deep as helps.
fn differences(new: Json<'_>, old: Json<'_>, at: &FieldPath, changed: &mut Vec<FieldPath>) {
    if new.is_same(old) {
        return;
    }
    if at.steps().len() >= DEPTH || !(new.is_object() && old.is_object()) {
        return changed.push(at.clone());
    }
    let removed = old.members().map(|(key, _)| key).filter(|key| new.get(key).is_null());
    for key in new.members().map(|(key, _)| key).chain(removed) {
        let field = at.clone().then([Step::Key(Cow::Owned(key.to_owned()))]);
        differences(new.get(key), old.get(key), &field, changed);
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, spark_connect};
    use serde_json::{Value, json};

    /// One that runs.
    fn running() -> Sample {
        spark_connect()
            .with("/status/server/podName", "pi-server")
            .with("/spec/sparkConf", json!({"spark.a": "1", "spark.b": "1"}))
    }

    fn edited(pointer: &str, value: impl Into<Value>) -> Sample {
        running().with(pointer, value).updating(running())
    }

    #[test]
    #[rustfmt::skip]
    fn names_what_is_not_seen() {
        let unseen = |field: &str, others: &str| vec![format!("{field}: the server that runs does not see this edit{others}; to start one that does: kubectl delete pod pi-server (at most a warning)")];
        let service = |name: &str, kind: &str| running().with("/spec/server/service", json!({"metadata": {"name": name}, "spec": {"type": kind}}));
        for (case, resource, expected) in [
            ("the image", edited("/spec/image", "apache/spark:3.5.9"), unseen("spec.image", "")),
            ("a key", edited("/spec/sparkConf/spark.a", "2"), unseen("spec.sparkConf[spark.a]", "")),
            ("a new key", edited("/spec/sparkConf/spark.c", "2"), unseen("spec.sparkConf[spark.c]", "")),
            ("a key less", edited("/spec/sparkConf/spark.b", Value::Null), unseen("spec.sparkConf[spark.b]", "")),
            ("executors", edited("/spec/executor/instances", 3), unseen("spec.executor.instances", "")),
            ("the template of executors", edited("/spec/executor/template/spec/nodeSelector", json!({"a": "b"})), unseen("spec.executor.template", "")),
            ("the server's template", edited("/spec/server/template/spec/nodeSelector", json!({"a": "b"})), unseen("spec.server.template", "")),
            ("several", edited("/spec/sparkConf", json!({"spark.a": "2", "spark.b": "2", "spark.c": "2", "spark.d": "2"})), unseen("spec.sparkConf[spark.a]", " (nor spec.sparkConf[spark.b], spec.sparkConf[spark.c] and 1 more)")),
            ("two", edited("/spec/sparkConf", json!({"spark.a": "2", "spark.b": "2"})), unseen("spec.sparkConf[spark.a]", " (nor spec.sparkConf[spark.b])")),
            ("the version", edited("/spec/sparkVersion", "3.5.9"), vec!["spec.sparkVersion: the Service pi-server goes on selecting pods of the old version, so clients lose the server; kubectl delete service pi-server and kubectl delete pod pi-server: both are made anew (at most a warning)".to_owned()]),
            ("a field of the Service", service("front", "NodePort").updating(service("front", "ClusterIP")), vec!["spec.server.service: the Service front stays as it was made; to have it made anew: kubectl delete service front (at most a warning)".to_owned()]),
            ("another name of the Service, which makes another", service("back", "ClusterIP").updating(service("front", "ClusterIP")), vec![]),
            ("a Service of its own for the first time", service("front", "ClusterIP").updating(running()), vec![]),
            ("what a typed client writes", edited("/spec/executor/template/spec/containers/0/resources", json!({})), vec![]),
            ("labels", edited("/metadata/labels/team", "data"), vec![]),
            ("a server that does not exist yet", spark_connect().with("/spec/image", "x").updating(spark_connect()), vec![]),
            ("a new one, with the status of another", running(), vec![]),
            ("an application, which is run again", application().with("/spec/image", "x").updating(application()), vec![]),
        ] {
            assert_eq!(resource.found(Check::UnwatchedEdit), expected, "{case}");
        }
    }
}
