//! The manifests keep what the documentation promises; what they do is shown in `tests/control_plane`.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of an integration test for no test")]

use std::{fs, path::Path, process::Command};

use serde_json::{Value, json};
use spark_admission::{
    metrics::Metrics,
    policy::{Policy, Role},
};

/// What changes objects, and what judges them.
fn configurations() -> [Value; 2] {
    documents("webhook.yaml").try_into().unwrap()
}

fn documents(name: &str) -> Vec<Value> {
    read(&format!("manifests/{name}"))
}

fn read(path: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let text = fs::read_to_string(file).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

#[test]
fn the_account_may_look_at_what_is_watched_and_asked_and_nothing_else() {
    let rights: Vec<_> = documents("rbac.yaml").into_iter().filter(|object| !object["rules"].is_null()).collect();
    let rules: Vec<_> = rights.iter().flat_map(|object| object["rules"].as_array().unwrap()).collect();
    let (asked, looked): (Vec<&Value>, Vec<&Value>) =
        rules.into_iter().partition(|rule| rule["verbs"] != json!(["list", "watch"]));
    let mut resources: Vec<_> =
        looked.iter().flat_map(|rule| rule["resources"].as_array().unwrap()).map(|it| it.as_str().unwrap()).collect();
    let mut watched = Metrics::WATCHED;
    resources.sort_unstable();
    watched.sort_unstable();
    assert_eq!(resources, watched);
    for rule in looked {
        let group = if rule["resources"] == json!(["deployments"]) { "apps" } else { "" };
        assert_eq!(rule["apiGroups"], json!([group]), "{rule}");
    }
    let right = |rule: &&Value| json!([rule["apiGroups"], rule["resources"], rule["verbs"]]);
    assert_eq!(
        asked.iter().map(right).collect::<Vec<_>>(),
        [
            json!([[""], ["serviceaccounts"], ["get"]]),
            json!([["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]]),
        ]
    );
    let of_events = rights.iter().find(|object| object["kind"] == "Role").unwrap();
    assert_eq!(json!([of_events["metadata"]["namespace"]]), json!(Policy::default().flagged_nodes.event_namespaces));
}

fn webhooks() -> Vec<Value> {
    configurations()[0]["webhooks"].as_array().unwrap().clone()
}

#[test]
fn what_is_judged_is_what_is_changed() {
    let [mut mutating, validating] = configurations();
    assert_eq!(mutating["kind"], "MutatingWebhookConfiguration");
    mutating["kind"] = "ValidatingWebhookConfiguration".into();
    for webhook in mutating["webhooks"].as_array_mut().unwrap() {
        webhook["clientConfig"]["service"]["path"] = "/validate".into();
        webhook.as_object_mut().unwrap().remove("reinvocationPolicy").unwrap();
    }
    assert_eq!(validating, mutating);
}

fn conditions(webhook: &Value) -> String {
    let conditions = webhook["matchConditions"].as_array().unwrap();
    conditions.iter().map(|condition| condition["expression"].as_str().unwrap()).collect()
}

#[test]
fn only_executors_may_come_in_unprepared() {
    let policies: Vec<_> =
        webhooks().iter().map(|webhook| json!([webhook["name"], webhook["failurePolicy"]])).collect();
    assert_eq!(
        policies,
        [
            json!(["resources.spark-admission.io", "Fail"]),
            json!(["pods.spark-admission.io", "Fail"]),
            json!(["executors.spark-admission.io", "Ignore"]),
        ]
    );
}

#[test]
fn every_webhook_is_called_the_same_way() {
    for webhook in webhooks() {
        let name = &webhook["name"];
        for (field, expected) in [
            ("sideEffects", json!("None")),
            ("reinvocationPolicy", json!("IfNeeded")),
            ("matchPolicy", json!("Equivalent")),
            ("timeoutSeconds", json!(5)),
            ("admissionReviewVersions", json!(["v1"])),
        ] {
            assert_eq!(webhook[field], expected, "{name}, {field}");
        }
        assert_eq!(webhook["clientConfig"]["service"]["path"], "/mutate", "{name}");
        let excluded = &webhook["namespaceSelector"]["matchExpressions"];
        assert_eq!(excluded[0]["values"], json!(["kube-system", "spark-admission"]), "{name}");
        assert_eq!(excluded[1]["key"], "spark-admission.io/enabled", "{name}");
    }
}

#[test]
fn every_role_and_the_notebooks_of_the_default_policy_are_sent() {
    let sent: String = webhooks()[1..].iter().map(conditions).collect();
    for role in Role::ALL {
        let label = Policy::default().notebooks.label;
        let wanted = match role {
            Role::Notebook => format!("'{}'].orValue('') == '{}'", label.key(), label.value()),
            _ => format!("'{}'", role.name()),
        };
        assert!(sent.contains(&wanted), "{wanted} in {sent}");
    }
}

#[test]
fn the_certificate_of_cert_manager_is_for_the_service_of_the_webhook() {
    let documents = read("certs/cert-manager.yaml");
    let leaf = documents.last().unwrap();
    let service = &webhooks()[0]["clientConfig"]["service"];
    let host = format!("{}.{}.svc", service["name"].as_str().unwrap(), service["namespace"].as_str().unwrap());
    assert_eq!(leaf["spec"]["dnsNames"], json!([host]));
    for document in &documents {
        assert_eq!(document["metadata"]["namespace"], service["namespace"], "{document}");
    }
    let is_made = |kind: &str, name: &Value| {
        documents.iter().any(|made| made["kind"] == kind && made["metadata"]["name"] == *name)
    };
    for certificate in documents.iter().filter(|document| document["kind"] == "Certificate") {
        assert!(is_made("Issuer", &certificate["spec"]["issuerRef"]["name"]), "{certificate}");
    }
}

#[test]
fn no_key_is_committed() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    // Without git, in an unpacked archive, there is nothing to ask.
    for file in String::from_utf8(listed.stdout).unwrap().split('\0').filter(|file| !file.is_empty()) {
        let Ok(text) = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)) else { continue };
        let is_key = |line: &str| line.starts_with("-----BEGIN") && line.ends_with("PRIVATE KEY-----");
        assert!(!text.lines().any(is_key), "{file}");
    }
}
