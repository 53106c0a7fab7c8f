//! The protocol of admission.k8s.io/v1, bytes to bytes, without a socket: what the API server may send, and what it must get.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use spark_admission::policy::request::Request;
use spark_admission::policy::{Decision, Policy, Snapshot};
use spark_admission::review::{Endpoint, answer, answer_by};

const UID: &str = "705ab4f5-6393-11e8-b7cc-42010a800002";

fn driver() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "pi-driver", "labels": {"spark-role": "driver"}, "unknown": {"kept": true}},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.7", "args": ["driver"]}]},
    })
}

fn executor() -> Value {
    let mut pod = driver();
    pod["metadata"]["labels"]["spark-role"] = "executor".into();
    pod
}

/// A review of the creation of a pod, with what a case changes in its request.
fn review(changes: &Value) -> Value {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": UID,
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "name": "pi-driver",
            "namespace": "jupyterhub-users",
            "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:operators:spark-operator"},
            "object": driver(),
            "oldObject": null,
            "dryRun": false,
            "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
        },
    });
    json_patch::merge(&mut review["request"], changes);
    review
}

fn answered(endpoint: Endpoint, review: &Value, policy: &Policy) -> (Value, &'static str) {
    let answer = answer(endpoint, review.to_string().as_bytes(), policy, &Snapshot::default()).unwrap();
    (serde_json::from_slice(&answer.body).unwrap(), answer.record.outcome)
}

fn mutate(changes: &Value) -> (Value, &'static str) {
    answered(Endpoint::Mutate, &review(changes), &Policy::default())
}

fn policy(text: &str) -> Policy {
    Policy::parse(&format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n{text}")).unwrap()
}

fn patch(response: &Value) -> Value {
    let patch = STANDARD.decode(response["patch"].as_str().expect("the patch is a text")).unwrap();
    serde_json::from_slice(&patch).unwrap()
}

#[test]
fn a_patch_is_a_base64_text_and_applies() {
    let (review, outcome) = mutate(&json!({}));
    assert_eq!(outcome, "mutated");
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    let response = &review["response"];
    assert_eq!(
        (&response["uid"], &response["allowed"], &response["patchType"]),
        (&json!(UID), &json!(true), &json!("JSONPatch"))
    );
    let mut pod = driver();
    let operations: json_patch::Patch = serde_json::from_value(patch(response)).unwrap();
    json_patch::patch(&mut pod, &operations).unwrap();
    assert_eq!(pod["spec"]["securityContext"]["runAsUser"], 185);
    assert_eq!(pod["metadata"]["unknown"], json!({"kept": true}));
    let applied = json!({"ivy-cache": "applied", "ivy-dir": "applied", "spark-user": "applied"});
    assert_eq!(response["auditAnnotations"], applied);
}

#[test]
fn operations_are_add_and_replace_only() {
    let mut pod = driver();
    pod["spec"]["containers"][0]["resources"] = json!({"limits": {"memory": "512m"}});
    let (review, _) = mutate(&json!({"object": pod}));
    let operations = patch(&review["response"]);
    let names: std::collections::BTreeSet<_> =
        operations.as_array().unwrap().iter().map(|it| it["op"].as_str().unwrap()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["add", "replace"]);
    for operation in operations.as_array().unwrap() {
        let is_whole_list = operation["value"].as_array().is_some_and(|list| !list.is_empty());
        assert!(!is_whole_list, "a whole list is set: {operation}");
    }
}

#[test]
#[rustfmt::skip]
fn whatever_is_asked_gets_an_answer() {
    let running = json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {"deps": {"packages": ["a:b:1"]}}});
    let application = json!({"kind": {"group": "sparkoperator.k8s.io", "version": "v1beta2", "kind": "SparkApplication"}, "object": running});
    let with = |base: &Value, changes: Value| { let mut value = base.clone(); json_patch::merge(&mut value, &changes); value };
    for (case, request, outcome, untouched) in [
        ("dryRun: null", json!({"dryRun": null}), "mutated", None),
        ("a dry run decides the same", json!({"dryRun": true}), "mutated", None),
        ("no name, for the API server will generate one", json!({"name": null, "object": {"metadata": {"name": null, "generateName": "pi-"}}}), "mutated", None),
        ("an empty name", json!({"name": ""}), "mutated", None),
        ("a pod's update", json!({"operation": "UPDATE", "oldObject": driver()}), "allowed", Some("operation")),
        ("a deletion", json!({"operation": "DELETE", "object": null, "oldObject": driver()}), "allowed", Some("operation")),
        ("a connection", json!({"operation": "CONNECT", "subResource": "exec", "object": {"kind": "PodExecOptions"}}), "allowed", Some("subresource")),
        ("a status update", json!({"operation": "UPDATE", "subResource": "status"}), "allowed", Some("subresource")),
        ("a binding", json!({"subResource": "binding", "object": {"kind": "Binding"}}), "allowed", Some("subresource")),
        ("an operation of the future", json!({"operation": "PATCH"}), "allowed", Some("operation")),
        ("an operation that is no text", json!({"operation": 5}), "allowed", Some("operation")),
        ("a null object", json!({"object": null}), "allowed", Some("no-object")),
        ("an object that is a text", json!({"object": "pod"}), "allowed", Some("no-object")),
        ("another kind", json!({"kind": {"kind": "ConfigMap"}}), "allowed", Some("not-spark")),
        ("another group's SparkApplication", json!({"kind": {"group": "spark.apache.org", "kind": "SparkApplication"}}), "allowed", Some("not-spark")),
        ("a kind that is missing", json!({"kind": null}), "allowed", Some("not-spark")),
        ("another version of a resource", with(&application, json!({"kind": {"version": "v1"}})), "mutated", None),
        ("a resource", application.clone(), "mutated", None),
        ("an update of its suspend alone", with(&application, json!({"operation": "UPDATE", "object": {"spec": {"suspend": true}}, "oldObject": with(&driver(), running.clone())})), "allowed", Some("spec-unchanged")),
        ("no namespace", json!({"namespace": null}), "mutated", None),
        ("fields of the future", json!({"future": [1, {"a": null}]}), "mutated", None),
    ] {
        let body = review(&request).to_string();
        let answer = answer(Endpoint::Mutate, body.as_bytes(), &Policy::default(), &Snapshot::default()).unwrap();
        let response: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((answer.record.outcome, answer.record.untouched), (outcome, untouched), "{case}");
        assert_eq!(response["response"]["uid"], UID, "{case}");
        assert_eq!(response["response"]["allowed"], true, "{case}");
        let has = |key: &str| response["response"].get(key).is_some();
        assert_eq!((has("patch"), has("patchType")), (outcome == "mutated", outcome == "mutated"), "{case}");
    }
}

#[test]
#[rustfmt::skip]
fn only_a_body_without_a_uid_is_refused_as_such() {
    for (case, body, message) in [
        ("nothing", "", "the body is no AdmissionReview: it is not JSON (EOF while parsing a value at line 1 column 0)"),
        ("no JSON", "uid: 1", "the body is no AdmissionReview: it is not JSON (expected value at line 1 column 1)"),
        ("JSON that is cut", r#"{"request":{"uid":"x","#, "the body is no AdmissionReview: it is not JSON (EOF while parsing a value at line 1 column 22)"),
        ("another JSON", "[]", "the body is no AdmissionReview: request.uid is missing"),
        ("a review without a request", r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}"#, "the body is no AdmissionReview: request.uid is missing"),
        ("an empty uid", r#"{"request":{"uid":""}}"#, "the body is no AdmissionReview: request.uid is missing"),
        ("a uid that is a number", r#"{"request":{"uid":7}}"#, "the body is no AdmissionReview: request.uid is missing"),
    ] {
        let error = answer(Endpoint::Mutate, body.as_bytes(), &Policy::default(), &Snapshot::default()).unwrap_err();
        assert_eq!(error.to_string(), message, "{case}");
    }
    assert!(answer(Endpoint::Mutate, b"\xff\xfe{}", &Policy::default(), &Snapshot::default()).is_err(), "no UTF-8");
}

#[test]
fn other_versions_of_the_protocol_are_refused_clearly() {
    for (version, says, answered_in) in [
        (
            "admission.k8s.io/v1beta1",
            "reviews of admission.k8s.io/v1beta1 are not supported",
            "admission.k8s.io/v1beta1",
        ),
        ("example.com/v1", "reviews of example.com/v1 are not supported", "admission.k8s.io/v1"),
    ] {
        let mut review = review(&json!({}));
        review["apiVersion"] = version.into();
        // A refusal of the protocol holds even where objects that cannot be read are let through.
        let (answer, outcome) = answered(Endpoint::Mutate, &review, &policy("onError: allow"));
        assert_eq!((outcome, &answer["apiVersion"]), ("error", &json!(answered_in)));
        let response = &answer["response"];
        assert_eq!(
            (&response["uid"], &response["allowed"], &response["status"]["code"]),
            (&json!(UID), &json!(false), &json!(400))
        );
        let message = response["status"]["message"].as_str().unwrap();
        assert!(message.contains(says) && message.contains("admissionReviewVersions: [v1]"), "{message}");
    }
}

#[test]
fn an_object_that_cannot_be_read_is_answered_by_on_error() {
    let nested = "[".repeat(1000) + &"]".repeat(1000);
    let too_deep =
        review(&json!({})).to_string().replace(r#""unknown":{"kept":true}"#, &format!(r#""unknown":{nested}"#));
    let text_for_a_list = review(&json!({"object": {"spec": {"volumes": "none"}}})).to_string();
    for (case, body) in [("nested too deep", too_deep), ("a text where a list must stand", text_for_a_list)] {
        let answer_under = |policy: &Policy| {
            let answer = answer(Endpoint::Mutate, body.as_bytes(), policy, &Snapshot::default()).unwrap();
            assert_eq!(answer.record.outcome, "error", "{case}");
            serde_json::from_slice::<Value>(&answer.body).unwrap()
        };
        let denied = answer_under(&Policy::default());
        assert_eq!(
            (&denied["response"]["allowed"], &denied["response"]["status"]["code"]),
            (&json!(false), &json!(422)),
            "{case}"
        );
        assert_eq!(denied["response"]["status"]["reason"], "Invalid", "{case}");
        let allowed = answer_under(&policy("onError: allow"));
        assert_eq!((&allowed["response"]["allowed"], allowed["response"].get("patch")), (&json!(true), None), "{case}");
        let warning = allowed["response"]["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("spark-admission left this object as it is: "), "{case}: {warning}");
        assert!(warning.chars().count() <= 120, "{case}: {warning}");
    }
}

#[test]
fn the_message_names_the_field() {
    let (answer, _) = mutate(&json!({"object": {"spec": {"volumes": "none"}}}));
    assert_eq!(
        answer["response"]["status"]["message"],
        "spark-admission: the object cannot be read: spec.volumes is a text; it must be a list; correct the object and submit it again"
    );
}

fn panicking(_: &Request<'_>, _: &Policy, _: &Snapshot) -> Decision {
    panic!("boom")
}

#[test]
fn a_panic_is_an_answer() {
    let review = |object: Value| review(&json!({"object": object})).to_string();
    for (case, object, text, allowed) in [
        ("denied by default", driver(), "", false),
        ("allowed by policy", driver(), "onError: allow", true),
        ("an executor always", executor(), "", true),
    ] {
        let answer =
            answer_by(panicking, Endpoint::Mutate, review(object).as_bytes(), &policy(text), &Snapshot::default())
                .unwrap();
        assert_eq!((answer.record.outcome, answer.record.panicked), ("error", true), "{case}");
        let response: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (&response["response"]["uid"], &response["response"]["allowed"]),
            (&json!(UID), &json!(allowed)),
            "{case}"
        );
        assert!(answer.record.error.unwrap().contains("boom"), "{case}");
    }
}

#[test]
fn validation_changes_nothing() {
    let (review, outcome) = answered(Endpoint::Validate, &review(&json!({})), &Policy::default());
    assert_eq!(outcome, "allowed");
    assert_eq!(review["response"], json!({"uid": UID, "allowed": true}));
}

#[test]
fn the_record_says_what_a_log_line_needs() {
    let body = review(&json!({"dryRun": true})).to_string();
    let record = answer(Endpoint::Mutate, body.as_bytes(), &Policy::default(), &Snapshot::default()).unwrap().record;
    assert_eq!((record.uid.as_str(), record.kind.as_str()), (UID, "Pod"));
    assert_eq!((record.namespace.as_str(), record.name.as_str()), ("jupyterhub-users", "pi-driver"));
    assert_eq!(record.user, "system:serviceaccount:operators:spark-operator");
    assert_eq!((record.operation, record.resource, record.role), ("create", "pods", Some("driver")));
    assert!(record.dry_run);
}

#[test]
fn observing_says_so_in_the_audit_annotations_alone() {
    let (review, outcome) = answered(Endpoint::Mutate, &review(&json!({})), &policy("mode: observe"));
    assert_eq!(outcome, "allowed");
    let observed = json!({"ivy-cache": "observed", "ivy-dir": "observed", "spark-user": "observed"});
    assert_eq!(review["response"], json!({"uid": UID, "allowed": true, "auditAnnotations": observed}));
}
