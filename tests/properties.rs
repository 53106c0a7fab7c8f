//! What is true of every review, whatever the object: bytes in, bytes out, on objects that proptest bends.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use spark_admission::policy::configuration::FlaggedNodes;
use spark_admission::policy::document::Document;
use spark_admission::policy::nodes::objects::{LimitRangeObject, ResourceQuotaObject};
use spark_admission::policy::nodes::{Constraints, Landing, Node, Nodes, Placement};
use spark_admission::policy::{Judgement, Policy, Snapshot};
use spark_admission::review::{Answer, Endpoint, answer};
use std::sync::Arc;

mod support;
use support::scheduling::{any_nodes, any_pod_spec};

/// Kinds that are looked at, each with an object in which much is to be done.
fn subjects() -> Vec<(&'static str, &'static str, Value)> {
    let container = json!({
        "name": "spark-kubernetes-driver",
        "image": "apache/spark:3.5.7",
        "args": ["driver", "--conf spark.jars.packages=org.apache.hadoop:hadoop-aws:3.3.4"],
        "env": [{"name": "SPARK_SUBMIT_OPTS", "value": "-Dx=y"}],
        "resources": {"limits": {"memory": "512m", "cpu": 1}, "requests": {"memory": "512m"}},
        "volumeMounts": [{"name": "spark-local-dir-1", "mountPath": "/var/data"}],
    });
    let pod = |role: &str| {
        let metadata =
            json!({"name": "pi", "labels": {"spark-role": role}, "annotations": {"spark-admission.io/skip": "none"}});
        let volumes = json!([{"name": "spark-local-dir-1", "emptyDir": {"sizeLimit": "512m"}}]);
        json!({"kind": "Pod", "metadata": metadata, "spec": {"containers": [container], "volumes": volumes, "initContainers": null}})
    };
    let application = json!({
        "kind": "SparkApplication",
        "metadata": {"name": "pi", "annotations": {"spark-admission.io/skip": "spark-user"}},
        "spec": {
            "image": "apache/spark:3.5.7",
            "sparkVersion": "3.5.7",
            "sparkConf": {
                "spark.plugins": "org.apache.spark.sql.connect.SparkConnectPlugin", "spark.jars.packages": "a:b:1",
                "spark.local.dir": "/a", "spark.kubernetes.driver.volumes.emptyDir.b.mount.path": "/b", "spark.driver.memory": "2g",
            },
            "deps": {"packages": ["org.apache.hadoop:hadoop-aws:3.3.4"], "repositories": null},
            "volumes": [{"name": "a", "emptyDir": {}}],
            "driver": {
                "memory": "1g", "sidecars": [container], "volumeMounts": [{"name": "a", "mountPath": "/a"}],
                "configMaps": [{"name": "c", "path": "/b"}], "template": {"spec": {"containers": [container]}},
            },
            "executor": {"volumeMounts": [{"name": "none", "mountPath": "/a"}], "secrets": [{"name": "s", "path": "/a"}]},
        },
    });
    let connect = json!({
        "kind": "SparkConnect",
        "metadata": {"generateName": "connect-", "annotations": {"spark-admission.io/ivy-cache-size": "1Gi"}},
        "spec": {"image": "apache/spark:3.5.7", "sparkVersion": "3.5.7", "sparkConf": {}, "server": {"template": {"spec": {"containers": [container]}}}, "executor": {"template": {"spec": null}}},
    });
    let schedule =
        json!({"kind": "ScheduledSparkApplication", "metadata": {}, "spec": {"template": application["spec"]}});
    let spark = "sparkoperator.k8s.io";
    vec![
        ("", "Pod", pod("driver")),
        ("", "Pod", pod("executor")),
        ("", "Pod", pod("connect-server")),
        (spark, "SparkApplication", application),
        (spark, "SparkConnect", connect),
        (spark, "ScheduledSparkApplication", schedule),
    ]
}

/// The answer on a cluster where a pod with neither selector nor affinity could land on a flagged node, and on another.
fn review(group: &str, kind: &str, object: &Value) -> Answer {
    let flagged = json!({"metadata": {"name": "bad", "annotations": {"spark-admission.io/flagged": ""}}});
    let nodes = [flagged, json!({"metadata": {"name": "good", "labels": {"zone": "a"}}})];
    let snapshot = Snapshot { nodes: Some(Arc::new(read_nodes(&nodes))), ..Snapshot::default() };
    review_by(&Policy::default(), &snapshot, group, kind, object)
}

fn read_nodes(nodes: &[Value]) -> Nodes {
    let settings = FlaggedNodes::default();
    let read = |node: &Value| Arc::new(Node::read(serde_json::from_value(node.clone()).unwrap(), &settings));
    Nodes::new(nodes.iter().map(read).collect(), &[], &settings, 0)
}

fn review_by(policy: &Policy, snapshot: &Snapshot, group: &str, kind: &str, object: &Value) -> Answer {
    let review = reviewed(group, kind, object, &Value::Null);
    answer(Endpoint::Mutate, review.to_string().as_bytes(), policy, snapshot).unwrap()
}

/// What the checks say of an object; of an update where there is an old one.
fn judged(group: &str, kind: &str, object: &Value, old: &Value) -> Answer {
    let review = reviewed(group, kind, object, old);
    let answer =
        answer(Endpoint::Validate, review.to_string().as_bytes(), &Policy::default(), &Snapshot::default()).unwrap();
    must_not_have_panicked(&answer);
    answer
}

fn reviewed(group: &str, kind: &str, object: &Value, old: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "kind": {"group": group, "version": "v1", "kind": kind},
            "namespace": "users",
            "operation": if old.is_null() { "CREATE" } else { "UPDATE" },
            "userInfo": {"username": "somebody"},
            "object": object,
            "oldObject": old,
        },
    })
}

/// For what an object is refused; nothing where it is not.
fn denied(answer: &Answer) -> Vec<String> {
    answer.judgement.iter().flat_map(Judgement::denied).map(ToString::to_string).collect()
}

/// The object after the patch; panics where the patch does not apply.
fn patched(object: &Value, answer: &Answer) -> Value {
    let review: Value = serde_json::from_slice(&answer.body).unwrap();
    let Some(patch) = review["response"]["patch"].as_str() else { return object.clone() };
    let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}

/// Every place in a value, as a JSON pointer.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                places(member, &format!("{here}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                places(element, &format!("{here}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("512m".to_owned()),
        Just("/tmp/.ivy2".to_owned()),
        Just("ivy-cache".to_owned()),
        Just("a:b:1,org.apache.spark:spark-connect_2.12:3.5.0".to_owned()),
        Just("$(\"'`".to_owned()),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        let key =
            prop_oneof![Just("name".to_owned()), Just("memory".to_owned()), Just("spec".to_owned()), "[a-z/~.]{0,6}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A subject in which some places hold something else.
fn bent() -> impl Strategy<Value = (&'static str, &'static str, Value)> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any_json()), 0..4);
    (prop::sample::select(subjects()), changes).prop_map(|((group, kind, mut object), changes)| {
        for (place, value) in changes {
            let mut found = Vec::new();
            places(&object, "", &mut found);
            if let Some(there) = object.pointer_mut(place.get::<String>(&found)) {
                *there = value;
            }
        }
        (group, kind, object)
    })
}

/// The same value with the members of every object in reverse order.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().rev().map(|(key, member)| (key.clone(), reversed(member))).collect(),
        Value::Array(elements) => elements.iter().map(reversed).collect(),
        other => other.clone(),
    }
}

/// Puts a member that nobody knows into every object.
fn with_unknown_members(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let known = members.iter().map(|(key, member)| (key.clone(), with_unknown_members(member)));
            known.chain([("x-unknown".to_owned(), json!([1, {"kept": null}]))]).collect()
        }
        Value::Array(elements) => elements.iter().map(with_unknown_members).collect(),
        other => other.clone(),
    }
}

fn count_unknown(value: &Value) -> usize {
    match value {
        Value::Object(members) => {
            members.iter().map(|(key, member)| usize::from(key == "x-unknown") + count_unknown(member)).sum()
        }
        Value::Array(elements) => elements.iter().map(count_unknown).sum(),
        _ => 0,
    }
}

/// A policy under which no pod is left to a flagged node with its limits.
fn any_steering_policy() -> impl Strategy<Value = Policy> {
    let unpinned = prop::sample::select(vec!["avoid", "strip"]);
    let exclude_by = prop::sample::select(vec!["auto", "label", "name", "strip"]);
    let steering = prop::sample::select(vec!["enforce", "enforce", "off"]);
    (unpinned, exclude_by, 1..4_usize, steering).prop_map(|(unpinned, exclude_by, most, steering)| {
        let file = format!(
            "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nmutations: {{node-steering: {{mode: {steering}}}}}\n\
             flaggedNodes: {{unpinned: {{driver: {unpinned}}}, excludeBy: {exclude_by}, maxExcludedNames: {most}}}"
        );
        Policy::parse(&file).unwrap()
    })
}

/// What a namespace demands: mostly nothing.
fn any_constraints() -> impl Strategy<Value = Constraints> {
    prop::sample::select(vec!["", "", "", "range", "quota"]).prop_map(|what| {
        let range =
            json!({"metadata": {"name": "r"}, "spec": {"limits": [{"type": "Container", "max": {"cpu": "8"}}]}});
        let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"limits.memory": "9Gi"}}});
        let range: LimitRangeObject = serde_json::from_value(range).unwrap();
        let quota: ResourceQuotaObject = serde_json::from_value(quota).unwrap();
        match what {
            "range" => Constraints::read(&[range], &[]),
            "quota" => Constraints::read(&[], &[quota]),
            _ => Constraints::default(),
        }
    })
}

/// The nodes that the pod could land on, flagged ones first.
fn candidates(pod: &Value, nodes: &Nodes) -> (Vec<String>, Vec<String>) {
    let text = pod["spec"].to_string();
    let document = Document::parse(&text).unwrap();
    let placement = Placement::of(document.root());
    let name = |node: &Arc<Node>| placement.fits(node).then(|| node.name.to_string());
    (nodes.flagged().filter_map(|(node, _)| name(node)).collect(), nodes.unflagged().filter_map(name).collect())
}

/// Whether the pod can land on a flagged node, and whether on such alone.
fn landing(pod: &Value, nodes: &Nodes) -> (bool, bool) {
    let text = pod["spec"].to_string();
    let document = Document::parse(&text).unwrap();
    let landing = nodes.landing(&Placement::of(document.root()));
    (landing != Landing::Unflagged, matches!(landing, Landing::Pinned(_)))
}

/// The `resources` of the pod as a whole and of each of its containers.
fn all_resources(pod: &mut Value) -> Vec<&mut Value> {
    let spec = pod["spec"].as_object_mut().unwrap();
    let mut all = Vec::new();
    for (member, value) in spec {
        match member.as_str() {
            "resources" => all.push(value),
            "containers" | "initContainers" => {
                all.extend(value.as_array_mut().unwrap().iter_mut().map(|container| &mut container["resources"]));
            }
            _ => {}
        }
    }
    all
}

fn has_limits(pod: &Value) -> bool {
    let mut pod = pod.clone();
    all_resources(&mut pod).iter().any(|it| !it["limits"]["cpu"].is_null() || !it["limits"]["memory"].is_null())
}

/// What `LimitRanger` does between two rounds: a container without a limit gets a default.
fn with_default_limits(pod: &Value) -> Value {
    let mut pod = pod.clone();
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        let resources = &mut container["resources"];
        for (name, amount) in [("cpu", "2"), ("memory", "2Gi")] {
            for list in ["limits", "requests"] {
                if resources[list][name].is_null() {
                    resources[list][name] = amount.into();
                }
            }
        }
    }
    pod
}

/// An error may be about the object's shape, never a panic.
fn must_not_have_panicked(answer: &Answer) {
    assert!(!answer.record.panicked, "{:?}", answer.record.error);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_in_any_place_makes_it_panic_and_patches_apply((group, kind, object) in bent()) {
        let answer = review(group, kind, &object);
        must_not_have_panicked(&answer);
        patched(&object, &answer);
    }

    #[test]
    fn twice_equals_once((group, kind, object) in bent()) {
        let once = patched(&object, &review(group, kind, &object));
        let second = review(group, kind, &once);
        prop_assert_eq!(&patched(&once, &second), &once);
    }

    #[test]
    fn the_order_of_members_does_not_count((group, kind, object) in bent()) {
        let (straight, other) = (review(group, kind, &object), review(group, kind, &reversed(&object)));
        prop_assert_eq!(straight.body, other.body);
    }

    #[test]
    fn unknown_members_survive((group, kind, object) in prop::sample::select(subjects())) {
        let object = with_unknown_members(&object);
        let after = patched(&object, &review(group, kind, &object));
        prop_assert_eq!(count_unknown(&after), count_unknown(&object));
    }

    #[test]
    fn an_opted_out_object_gets_the_hand_over_at_most((group, kind, mut object) in bent()) {
        prop_assume!(object["metadata"]["labels"].is_object() || object["metadata"].is_object());
        if !object["metadata"]["labels"].is_object() {
            object["metadata"]["labels"] = json!({});
        }
        object["metadata"]["labels"]["spark-admission.io/enabled"] = "false".into();
        let answer = review(group, kind, &object);
        prop_assert!(answer.record.mutations.is_empty());
        let response: Value = serde_json::from_slice(&answer.body).unwrap();
        if let Some(patch) = response["response"]["patch"].as_str() {
            let operations: Value = serde_json::from_slice(&STANDARD.decode(patch).unwrap()).unwrap();
            for operation in operations.as_array().unwrap() {
                let path = operation["path"].as_str().unwrap();
                let is_wish = path.contains("nnotation") && path.contains("spark-admission.io~1");
                let is_parent = ["annotations", "/template/metadata", "/spec/sparkConf"].iter().any(|parent| path.ends_with(parent));
                let handed_down = is_wish || is_parent && operation["value"] == json!({});
                prop_assert!(handed_down, "{}", operation);
            }
        }
    }

    /// With `avoid` or `strip`, no admitted Spark pod that still has limits can land on a node flagged when it was admitted, but where
    /// its namespace demands limits; and whoever could land on another node still can.
    #[test]
    fn no_pod_with_limits_can_land_on_a_flagged_node(
        spec in any_pod_spec(),
        nodes in any_nodes(6),
        policy in any_steering_policy(),
        constraints in any_constraints(),
        karpenter in any::<bool>(),
        limit_ranger in any::<bool>(),
    ) {
        let nodes = Arc::new(read_nodes(&nodes));
        let constraints = Arc::new([("users".to_owned(), constraints)].into());
        let snapshot = Snapshot { nodes: Some(Arc::clone(&nodes)), constraints, karpenter, ..Snapshot::default() };
        let pod = json!({"kind": "Pod", "metadata": {"name": "pi", "labels": {"spark-role": "driver"}}, "spec": spec});
        let first = patched(&pod, &review_by(&policy, &snapshot, "", "Pod", &pod));
        let between = if limit_ranger { with_default_limits(&first) } else { first };
        let answer = review_by(&policy, &snapshot, "", "Pod", &between);
        let admitted = patched(&between, &answer);

        let ((flagged_before, others_before), (flagged, others)) = (candidates(&pod, &nodes), candidates(&admitted, &nodes));
        prop_assert_eq!(landing(&pod, &nodes), (!flagged_before.is_empty(), !flagged_before.is_empty() && others_before.is_empty()));
        let is_demanded = answer.record.mutations.iter().any(|(_, outcome)| outcome.reason() == "limits-required");
        prop_assert!(flagged.is_empty() || is_demanded || !has_limits(&admitted), "lands on {flagged:?} with limits: {admitted}");
        prop_assert_eq!(others, others_before, "{}", admitted);
        for (before, after) in all_resources(&mut between.clone()).iter().zip(all_resources(&mut admitted.clone())) {
            prop_assert_eq!(&before["requests"], &after["requests"]);
            prop_assert_eq!(&before["limits"]["nvidia.com/gpu"], &after["limits"]["nvidia.com/gpu"]);
        }
    }

    #[test]
    fn any_bytes_get_an_answer_or_a_refusal(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = answer(Endpoint::Mutate, &body, &Policy::default(), &Snapshot::default());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn who_would_not_see_a_refusal_is_not_refused((group, kind, object) in bent(), launched in any::<bool>()) {
        let mut object = object;
        if launched && object["metadata"]["labels"].is_object() {
            object["metadata"]["labels"]["sparkoperator.k8s.io/launched-by-spark-operator"] = "true".into();
        }
        let refusal = denied(&judged(group, kind, &object, &Value::Null));
        let labels = &object["metadata"]["labels"];
        let is_own_driver = labels["spark-role"] == "driver" && labels["sparkoperator.k8s.io/launched-by-spark-operator"] != "true";
        prop_assert!(refusal.is_empty() || kind != "Pod" || is_own_driver, "{:?}", refusal);
    }

    #[test]
    fn an_update_is_judged_on_what_it_brings((group, kind, object) in bent()) {
        if kind == "Pod" {
            return Ok(());
        }
        let mut labelled = object.clone();
        if labelled["metadata"].is_object() {
            labelled["metadata"]["labels"] = json!({"team": "data"});
        }
        let unchanged = judged(group, kind, &labelled, &object);
        prop_assert!(unchanged.judgement.is_some_and(|judgement| judgement.findings.is_empty()));
        let mut changed = object.clone();
        if let Some(spec) = changed.get_mut("spec").and_then(Value::as_object_mut) {
            spec.insert("unknown".to_owned(), "new".into());
        }
        prop_assert_eq!(denied(&judged(group, kind, &changed, &object)), Vec::<String>::new());
    }

    #[test]
    fn a_judgement_does_not_depend_on_the_order_of_members((group, kind, object) in bent()) {
        let (straight, other) = (judged(group, kind, &object, &Value::Null), judged(group, kind, &reversed(&object), &Value::Null));
        prop_assert_eq!(straight.body, other.body);
    }

    #[test]
    fn mutations_bring_nothing_that_is_refused((group, kind, object) in bent()) {
        let before = denied(&judged(group, kind, &object, &Value::Null));
        let once = patched(&object, &review(group, kind, &object));
        let after = judged(group, kind, &once, &Value::Null);
        for refusal in denied(&after) {
            let check = refusal.split(": ").next().unwrap_or_default();
            prop_assert!(before.iter().any(|it| it.starts_with(check)), "{} by a mutation", refusal);
        }
        let twice = patched(&once, &review(group, kind, &once));
        prop_assert_eq!(judged(group, kind, &twice, &Value::Null).body, after.body);
    }
}
