//! Pods and nodes by the thousand, of few labels, taints and values, so that they meet: every operator, every form of a toleration,
//! terms that are empty or do not parse.

use proptest::prelude::*;
use serde_json::{Value, json};
use spark_admission::policy::configuration::FlaggedNodes;
use spark_admission::policy::document::Document;
use spark_admission::policy::nodes::{Node, Placement};

const KEYS: &[&str] = &["zone", "example.com/disk", "cores", "spark-admission.io/flagged"];
const VALUES: &[&str] = &["a", "b", "", "1", "16", "-3", "007"];
/// Among them what no label can be, so that the term does not parse.
const ODD_KEYS: &[&str] = &["", "a b", "-zone", "a/b/c"];
const ODD_VALUES: &[&str] = &["a b", "-", "+1", "9223372036854775808", "ü"];
const TAINTS: &[&str] =
    &["dedicated", "example.com/gpu", "spark-admission.io/flagged", "node.kubernetes.io/unschedulable"];
const TAINT_VALUES: &[&str] = &["", "v", "5", "-7", "05", "-0"];

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(texts).prop_map(str::to_owned)
}

fn mostly(texts: &'static [&'static str], seldom: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![20 => one_of(texts), 1 => one_of(seldom)]
}

fn labels() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(one_of(&KEYS[..3]), one_of(VALUES), 0..4).prop_map(|labels| json!(labels))
}

/// A list of nodes, `n0` and so on; some of them flagged, in one way or another.
pub fn any_nodes(most: usize) -> impl Strategy<Value = Vec<Value>> {
    let name = |(index, mut node): (usize, Value)| {
        node["metadata"]["name"] = format!("n{index}").into();
        node
    };
    prop::collection::vec(any_node(), 0..=most).prop_map(move |nodes| nodes.into_iter().enumerate().map(name).collect())
}

fn any_node() -> impl Strategy<Value = Value> {
    let taint = (one_of(&TAINTS[..2]), one_of(TAINT_VALUES), one_of(&["NoSchedule", "NoExecute", "PreferNoSchedule"]));
    let taint = taint.prop_map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}));
    let taints = prop_oneof![3 => Just(Vec::new()), 2 => prop::collection::vec(taint, 1..3)];
    let flags = prop::sample::select(vec!["", "", "", "", "label", "annotation", "condition", "taint", "mild taint"]);
    (labels(), taints, prop::bool::weighted(0.1), prop::sample::select(vec!["", "0", "2"]), flags).prop_map(
        |(labels, taints, cordoned, gpus, flag)| {
            let mut node = json!({
                "apiVersion": "v1", "kind": "Node",
                "metadata": {"labels": labels, "annotations": {}},
                "spec": {"taints": taints, "unschedulable": cordoned},
                "status": {"allocatable": {"cpu": "4"}, "conditions": []},
            });
            if !gpus.is_empty() {
                node["status"]["allocatable"]["nvidia.com/gpu"] = gpus.into();
            }
            let key = "spark-admission.io/flagged";
            match flag {
                "label" => node["metadata"]["labels"][key] = "true".into(),
                "annotation" => node["metadata"]["annotations"][key] = "true".into(),
                "condition" => node["status"]["conditions"] = json!([{"type": "ReadonlyFilesystem", "status": "True"}]),
                "taint" | "mild taint" => {
                    let effect = if flag == "taint" { "NoSchedule" } else { "PreferNoSchedule" };
                    let taints = node["spec"]["taints"].as_array_mut().unwrap();
                    taints.push(json!({"key": key, "value": "", "effect": effect}));
                }
                _ => {}
            }
            node
        },
    )
}

fn expression() -> impl Strategy<Value = Value> {
    let operator = mostly(&["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"], &["in", "Equals", ""]);
    let values = prop::collection::vec(mostly(VALUES, ODD_VALUES), 0..3);
    (mostly(KEYS, ODD_KEYS), operator, values, prop::bool::weighted(0.9)).prop_map(
        |(key, operator, mut values, proper)| {
            if proper {
                match operator.as_str() {
                    "Exists" | "DoesNotExist" => values.clear(),
                    "Gt" | "Lt" => values = vec![values.pop().unwrap_or_else(|| "1".to_owned())],
                    _ if values.is_empty() => values.push("a".to_owned()),
                    _ => {}
                }
            }
            json!({"key": key, "operator": operator, "values": values})
        },
    )
}

fn field() -> impl Strategy<Value = Value> {
    let names = prop::collection::vec(one_of(&["n0", "n1", "n2", "n9"]), 0..3);
    let key = mostly(&["metadata.name"], &["metadata.namespace", "name"]);
    (key, mostly(&["In", "NotIn"], &["Exists", "Gt"]), names, prop::bool::weighted(0.9)).prop_map(
        |(key, operator, mut names, proper)| {
            if proper {
                names = vec![names.pop().unwrap_or_else(|| "n0".to_owned())];
            }
            json!({"key": key, "operator": operator, "values": names})
        },
    )
}

fn term() -> impl Strategy<Value = Value> {
    let lists = (prop::collection::vec(expression(), 0..3), prop::collection::vec(field(), 0..2));
    lists.prop_map(|(expressions, fields)| {
        let mut term = json!({});
        if !expressions.is_empty() {
            term["matchExpressions"] = expressions.into();
        }
        if !fields.is_empty() {
            term["matchFields"] = fields.into();
        }
        term
    })
}

fn affinity() -> impl Strategy<Value = Value> {
    let required =
        |terms: Vec<Value>| json!({"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}});
    let preferred = term().prop_map(
        |term| json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": term}]}),
    );
    let of_nodes = prop_oneof![
        1 => Just(json!({"requiredDuringSchedulingIgnoredDuringExecution": null})),
        1 => Just(json!({"requiredDuringSchedulingIgnoredDuringExecution": {}})),
        2 => preferred,
        12 => prop::collection::vec(term(), 0..4).prop_map(required),
    ];
    prop_oneof![6 => Just(Value::Null), 1 => Just(json!({})), 10 => of_nodes.prop_map(|it| json!({"nodeAffinity": it}))]
}

fn toleration() -> impl Strategy<Value = Value> {
    let key = prop_oneof![1 => Just(String::new()), 4 => one_of(TAINTS)];
    let operator = mostly(&["", "Equal", "Exists", "Exists", "Lt", "Gt"], &["exists"]);
    let effect = one_of(&["", "", "NoSchedule", "NoExecute", "PreferNoSchedule"]);
    (key, operator, one_of(TAINT_VALUES), effect).prop_map(|(key, operator, value, effect)| {
        let mut toleration = json!({});
        for (member, text) in [("key", key), ("operator", operator), ("value", value), ("effect", effect)] {
            if !text.is_empty() {
                toleration[member] = text.into();
            }
        }
        toleration
    })
}

/// The `resources` of a container as admission sees them: what is limited is requested, too.
fn resources() -> impl Strategy<Value = Value> {
    let amount = |amounts: &'static [&'static str]| prop::option::weighted(0.6, one_of(amounts));
    let gpus = prop::option::weighted(0.15, one_of(&["0", "1"]));
    (amount(&["500m", "1"]), amount(&["512Mi", "1Gi"]), gpus, any::<bool>()).prop_map(|(cpu, memory, gpus, limited)| {
        let mut requests = json!({});
        for (name, amount) in [("cpu", cpu), ("memory", memory), ("nvidia.com/gpu", gpus.clone())] {
            if let Some(amount) = amount {
                requests[name] = amount.into();
            }
        }
        let limits =
            if limited { requests.clone() } else { gpus.map_or(json!({}), |gpus| json!({"nvidia.com/gpu": gpus})) };
        json!({"requests": requests, "limits": limits})
    })
}

/// The spec of a pod whose first container is a driver's.
pub fn any_pod_spec() -> impl Strategy<Value = Value> {
    let selector = prop_oneof![
        3 => Just(Value::Null),
        1 => prop::collection::btree_map(mostly(&KEYS[..3], ODD_KEYS), mostly(VALUES, ODD_VALUES), 0..2).prop_map(|it| json!(it)),
    ];
    let name = prop::option::weighted(0.05, one_of(&["n0", "n1", "n9"]));
    let tolerations = prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec(toleration(), 1..4)];
    let containers = (resources(), prop::option::weighted(0.3, resources()), prop::option::weighted(0.2, resources()));
    (selector, affinity(), tolerations, name, containers).prop_map(|(selector, affinity, tolerations, name, of)| {
        let (driver, init, pod) = of;
        let mut spec = json!({"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.7", "args": ["driver"], "resources": driver}]});
        let init = init.map(|resources| json!([{"name": "init", "image": "i", "resources": resources}]));
        let pod = pod.map(|mut resources| {
            for list in ["requests", "limits"] {
                resources[list].as_object_mut().unwrap().shift_remove("nvidia.com/gpu");
            }
            resources
        });
        for (member, value) in [("nodeSelector", selector), ("affinity", affinity), ("tolerations", json!(tolerations)), ("nodeName", json!(name)), ("initContainers", json!(init)), ("resources", json!(pod))] {
            if !value.is_null() {
                spec[member] = value;
            }
        }
        spec
    })
}

/// The nodes that our core takes for candidates of a pod of that spec, by their names.
pub fn candidates(spec: &Value, nodes: &[Value]) -> Vec<String> {
    let text = spec.to_string();
    let document = Document::parse(&text).unwrap();
    let placement = Placement::of(document.root());
    let settings = FlaggedNodes::default();
    let read = |node: &Value| Node::read(serde_json::from_value(node.clone()).unwrap(), &settings);
    nodes.iter().map(read).filter(|node| placement.fits(node)).map(|node| node.name.into()).collect()
}
