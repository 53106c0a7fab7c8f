//! Flagged nodes with the real scheduler and the real controllers: where pods land, and with which limits.
//!
//! Every namespace has nodes of its own, for which its pods ask by a label. The scheduler takes the one that is called `sound` only where
//! a pod may land on no other: so whatever is decided wrongly lands on a flagged node.

use std::cell::Cell;

use futures_util::{StreamExt as _, future::join_all, stream};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    cluster::{Cluster, Namespace, Registered, audit},
    nodes::measured,
    offline::comparable,
    openshift::{DEFINITIONS, definition},
    support::eventually,
};

const NODES: &str = "/api/v1/nodes";
const FLAG: &str = "spark-admission.io/flagged";
const ROLES: [&str; 4] = ["driver", "executor", "connect-server", "notebook"];

/// A control plane for the tests of this file, with its scheduler: nodes concern everybody.
async fn cluster() -> &'static Cluster {
    static MINE: OnceCell<&Cluster> = OnceCell::const_new();
    let cluster = MINE.get_or_init(Cluster::of_several_tests).await;
    cluster.start_controllers().await;
    cluster
}

#[tokio::test(flavor = "multi_thread")]
#[rustfmt::skip]
async fn pods_land_as_the_policy_says_and_those_of_others_as_ever() {
    let unpinned = |way| ROLES.map(|role| format!("{role}: {way}")).join(", ");
    let (strip, ignore) = (format!("unpinned: {{{}}}", unpinned("strip")), format!("unpinned: {{{}}}", unpinned("ignore")));
    let (kept_off, stripped) = ("sound with cpu,memory", "broken without limits");
    let (by_label, by_name, removed) = ("kept off flagged nodes by label", "kept off flagged nodes by name", "limits of cpu and memory removed");
    let cases = [
        ("avoid, by label", &["broken"][..], "labels", "", kept_off, by_label),
        ("avoid, by name", &["broken"], "annotations", "", kept_off, by_name),
        ("strip", &["broken"], "labels", strip.as_str(), stripped, removed),
        ("ignore, which lets them land there", &["broken"], "labels", &ignore, "broken with cpu,memory", ""),
        ("excludeBy label", &["broken"], "labels", "excludeBy: label", kept_off, by_label),
        ("excludeBy label, which it has not", &["broken"], "annotations", "excludeBy: label", stripped, removed),
        ("excludeBy name", &["broken"], "labels", "excludeBy: name", kept_off, by_name),
        ("excludeBy name, of two", &["broken", "broken-2"], "labels", "excludeBy: name", kept_off, by_name),
        ("excludeBy name, of too many", &["broken", "broken-2"], "labels", "excludeBy: name, maxExcludedNames: 1", stripped, removed),
        ("excludeBy strip", &["broken"], "labels", "excludeBy: strip", stripped, removed),
    ];
    join_all(cases.map(async |(case, broken, flag, settings, expected, told)| {
        let here = Namespace::on(cluster().await, &json!({})).await;
        for name in broken {
            node(&here, name, json!({flag: {FLAG: "disk"}})).await;
        }
        node(&here, "sound", json!({})).await;
        let _webhook = Registered::watching(&here, &policy(settings)).await;
        for role in ROLES {
            let (pod, warnings) = made(&here, case, &pod(&here, role, role)).await;
            assert_eq!(landed(&here, case, &pod).await, expected, "{case}: {role}");
            let about_nodes: Vec<_> = warnings.iter().filter(|warning| warning.contains("flagged nodes")).collect();
            assert_eq!(about_nodes.len(), usize::from(!told.is_empty()), "{case}: {role}: {warnings:?}");
            assert!(about_nodes.iter().all(|warning| warning.contains(told)), "{case}: {role}: {warnings:?}");
        }
        let (other, _) = made(&here, case, &pod(&here, "other", "")).await;
        assert_eq!(landed(&here, case, &other).await, "broken with cpu,memory", "{case}: a pod that is not Spark's");
    }))
    .await;
}

/// What is sure: a pod whose creation begins when the webhook says that the node is flagged does not land there with limits.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_breaks_while_drivers_are_made_and_is_repaired() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    node(&here, "broken", json!({})).await;
    node(&here, "sound", json!({})).await;
    let webhook = Registered::watching(&here, &policy("")).await;
    let condition = async |status: &str, flagged: f64| {
        let change = json!({"status": {"conditions": [{"type": "ReadonlyFilesystem", "status": status}]}});
        here.merge_at(&format!("{NODES}/broken.{}/status", here.name), &change).await.object();
        // Only here a condition flags a node.
        let known = "spark_admission_nodes_flagged{reason=\"condition\"}";
        eventually("the webhook knows", async || measured(webhook.serving(), known).await == flagged).await;
    };
    let (begun, is_known, begun_since) = (Cell::new(0), Cell::new(false), Cell::new(0));
    let is_enough = || begun.get() >= 200 && begun_since.get() >= 50;
    let drivers = stream::iter(0..).take_while(|_| std::future::ready(!is_enough())).map(async |number: u32| {
        let since = is_known.get();
        begun.set(begun.get() + 1);
        begun_since.set(begun_since.get() + u32::from(since));
        let pod = here.create(&pod(&here, &format!("driver-{number}"), "driver")).await.object();
        (since, pod)
    });
    let breaks = async {
        eventually("some are there", async || begun.get() >= 20).await;
        condition("True", 1.0).await;
        is_known.set(true);
    };
    let (drivers, ()) = tokio::join!(drivers.buffer_unordered(4).collect::<Vec<_>>(), breaks);
    let mut before = 0;
    for (since, driver) in drivers {
        let name = driver["metadata"]["name"].as_str().unwrap();
        let landed = landed(&here, name, &driver).await;
        if since {
            assert_eq!(landed, "sound with cpu,memory", "{name}, made when the node was known to be flagged");
        }
        // Whatever was decided by what is known of the node lands as decided.
        if !driver["spec"]["affinity"].is_null() {
            assert_eq!(landed, "sound with cpu,memory", "{name}, kept off");
        }
        before += u32::from(landed == "broken with cpu,memory");
    }
    assert!(before > 0, "none landed on the node while it was well: the test shows nothing");

    condition("False", 0.0).await;
    let (driver, _) = made(&here, "repaired", &pod(&here, "repaired", "driver")).await;
    assert_eq!(landed(&here, "repaired", &driver).await, "broken with cpu,memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_are_pinned_and_pods_that_fit_nowhere() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    for (name, zone, flagged) in
        [("broken", "a", true), ("sound", "b", false), ("gpu", "c", true), ("gpu-2", "c", true)]
    {
        let mut metadata = json!({"labels": {"zone": zone}});
        if flagged {
            metadata["annotations"] = json!({FLAG: "disk"});
        }
        node(&here, name, metadata).await;
    }
    let gpus = json!({"status": {"capacity": {"nvidia.com/gpu": "8"}, "allocatable": {"nvidia.com/gpu": "8"}}});
    for name in ["gpu", "gpu-2"] {
        here.merge_at(&format!("{NODES}/{name}.{}/status", here.name), &gpus).await.object();
    }
    let _webhook = Registered::watching(&here, &policy("")).await;
    let zones = |zones: &[&[&str]]| {
        let term = |zones: &&[&str]| json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": zones}]});
        let terms: Vec<_> = zones.iter().map(term).collect();
        affinity(&terms)
    };
    let named = json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [format!("broken.{}", here.name)]}]});
    let mut gpu = pod(&here, "", "driver")["spec"]["containers"].clone();
    gpu[0]["resources"]["limits"]["nvidia.com/gpu"] = "1".into();
    let selecting = |zone: &str| json!({"nodeSelector": {"test": here.name, "zone": zone}});
    for (case, spec, expected) in [
        ("by nodeSelector", selecting("a"), "broken without limits"),
        ("by nodeSelector, to a sound node", selecting("b"), "sound with cpu,memory"),
        ("to several nodes, all of them flagged", selecting("c"), "gpu without limits"),
        ("by required affinity", zones(&[&["a"]]), "broken without limits"),
        ("by required affinity, to one name", affinity(&[named]), "broken without limits"),
        ("by required affinity, of which one value is sound", zones(&[&["a", "b", "c"]]), "sound with cpu,memory"),
        ("by required affinity, of which one term is sound", zones(&[&["a"], &["b"]]), "sound with cpu,memory"),
        ("by nodeName", json!({"nodeName": format!("broken.{}", here.name)}), "broken without limits"),
        ("by nodeName, to a sound node", json!({"nodeName": format!("sound.{}", here.name)}), "sound with cpu,memory"),
        ("by a GPU", json!({"containers": gpu}), "gpu with nvidia.com/gpu"),
    ] {
        let name = case.to_lowercase().replace(", ", "-").replace(' ', "-");
        let mut pinned = pod(&here, &name, "driver");
        for (member, value) in spec.as_object().unwrap() {
            pinned["spec"][member] = value.clone();
        }
        let (stored, _) = made(&here, case, &pinned).await;
        assert_eq!(landed(&here, case, &stored).await, expected, "{case}");
    }

    let case = "scale from zero";
    let mut nowhere = pod(&here, "nowhere", "driver");
    nowhere["spec"]["nodeSelector"] = json!({"test": here.name, "zone": "d"});
    waits(&here, case, &nowhere).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_namespace_demands() {
    let here = async |kind: &str, spec: Value| {
        let here = Namespace::on(cluster().await, &json!({})).await;
        node(&here, "broken", json!({"labels": {FLAG: "disk"}})).await;
        let webhook = Registered::watching(&here, &policy("")).await;
        let demand = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "team"}, "spec": spec});
        here.create(&demand).await.object();
        (here, webhook)
    };

    let case = "a LimitRange with defaults";
    let defaults = json!({"limits": [{"type": "Container", "default": {"cpu": "2", "memory": "4Gi"}}]});
    let (defaulting, _webhook) = here("LimitRange", defaults).await;
    let mut without = pod(&defaulting, "without", "");
    without["spec"]["containers"][0]["resources"] = json!({});
    eventually("the range counts", async || limits(&defaulting.create_dry(&without).await.object()) == "cpu,memory")
        .await;
    for (name, resources) in [("with-limits", true), ("with-no-limits", false)] {
        let mut driver = pod(&defaulting, name, "driver");
        if !resources {
            driver["spec"]["containers"][0]["resources"] = json!({});
        }
        let (driver, _) = made(&defaulting, case, &driver).await;
        assert_eq!(landed(&defaulting, case, &driver).await, "broken without limits", "{case}: {name}");
        let calls = created(&defaulting, &driver).calls();
        assert!(calls.contains(&("1 pods.spark-admission.io".to_owned(), true)), "{case}: {name}: {calls:?}");
    }

    let case = "a quota on limits.memory";
    let (counting, _webhook) = here("ResourceQuota", json!({"hard": {"limits.memory": "64Gi"}})).await;
    let mut without = pod(&counting, "without", "");
    without["spec"]["containers"][0]["resources"] = json!({});
    eventually("the quota counts", async || counting.create_dry(&without).await.status == 403).await;
    let driver = pod(&counting, "driver", "driver");
    // Until it knows of the quota the limits go, and the API server refuses the pod.
    eventually("the webhook knows", async || counting.create_dry(&driver).await.is_success()).await;
    let (driver, warnings) = made(&counting, case, &driver).await;
    assert_eq!(landed(&counting, case, &driver).await, "broken with cpu,memory", "{case}");
    let warning = "which stay: ResourceQuota team demands them";
    assert!(warnings.iter().any(|it| it.contains(warning)), "{case}: {warnings:?}");
    let audited = created(&counting, &driver).annotations();
    assert_eq!(audited["pods.spark-admission.io/limit-stripping"], "limits-required", "{case}: {audited:?}");
}

/// The resource's author is told, and who makes the pod: once each.
#[tokio::test(flavor = "multi_thread")]
async fn who_pins_to_flagged_nodes_is_told_once_what_becomes_of_it() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    node(&here, "broken", json!({"labels": {FLAG: "disk"}})).await;
    let _webhook = Registered::watching(&here, &policy("")).await;
    let broken = format!("broken.{}", here.name);
    let application = |selector: Value| {
        json!({
            "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "report"},
            "spec": {
                "type": "Scala", "mode": "cluster", "image": "apache/spark:3.5.9", "sparkVersion": "3.5.9", "mainClass": "Main",
                "mainApplicationFile": "local:///job.jar", "restartPolicy": {"type": "Never"}, "driver": {"nodeSelector": selector},
                "executor": {}
            }
        })
    };
    let told =
        |warnings: &[String]| warnings.iter().filter(|it| it.contains("flagged nodes")).cloned().collect::<Vec<_>>();

    let pinned = here.create_dry(&application(json!({"test": here.name}))).await;
    assert!(pinned.is_success(), "{}", pinned.message());
    let expected = format!(
        "flagged-node: spec.driver: driver pods can only run on flagged nodes ({broken}), so their limits will go; let them run on other nodes too, or have these repaired"
    );
    let of_driver: Vec<_> = told(&pinned.warnings).into_iter().filter(|it| it.contains("driver")).collect();
    assert_eq!(of_driver, [expected], "executors may land on other tests' nodes, where there are some");

    let (driver, warnings) = made(&here, "a driver", &pod(&here, "driver", "driver")).await;
    assert_eq!(landed(&here, "a driver", &driver).await, "broken without limits");
    let expected = format!(
        "flagged-node: it can only run on flagged nodes ({broken}), so its limits were removed; let it run on other nodes too, or have these repaired"
    );
    assert_eq!(told(&warnings), [expected]);
    let mut declining = pod(&here, "declining", "driver");
    declining["metadata"]["annotations"] = json!({"spark-admission.io/skip": "limit-stripping"});
    let warnings = here.create_dry(&declining).await.warnings;
    assert!(told(&warnings).iter().all(|it| it.contains("which stay: its author wants that")), "{warnings:?}");
    assert_eq!(told(&warnings).len(), 1, "{warnings:?}");

    node(&here, "sound", json!({})).await;
    eventually("with another node nobody is told that", async || {
        let of_resource = here.create_dry(&application(json!({"test": here.name}))).await.warnings;
        let of_pod = here.create_dry(&pod(&here, "other", "driver")).await.warnings;
        [of_resource, of_pod]
            .concat()
            .iter()
            .all(|it| !it.starts_with("flagged-node: spec.driver") && !it.starts_with("flagged-node: it"))
    })
    .await;
}

/// On a control plane of its own, whose nodes are all there are: pods ask for none in particular.
#[tokio::test(flavor = "multi_thread")]
async fn where_karpenter_makes_the_nodes_and_where_all_of_them_are_flagged() {
    let cluster = Cluster::of_my_own().await;
    cluster.start_controllers().await;
    let here = Namespace::on(cluster, &json!({})).await;
    here.send("POST", DEFINITIONS, &definition("karpenter.sh", "nodepools", "NodePool")).await.object();
    let nodepools = "/apis/karpenter.sh/v1/nodepools";
    eventually("they are served", async || here.send("GET", nodepools, &Value::Null).await.status == 200).await;
    let webhook = Registered::watching(&here, &policy("")).await;
    let known = async |reason: &str, flagged: f64| {
        let count = format!("spark_admission_nodes_flagged{{reason=\"{reason}\"}}");
        eventually("the webhook knows", async || measured(webhook.serving(), &count).await == flagged).await;
    };
    let anywhere = |name: &str| {
        let mut driver = pod(&here, name, "driver");
        driver["spec"]["nodeSelector"] = Value::Null;
        driver
    };
    let lands = async |case: &str, name: &str| {
        let (driver, _) = made(&here, case, &anywhere(name)).await;
        landed(&here, case, &driver).await
    };

    waits(&here, "no node at all", &anywhere("early")).await;

    // Flagged last, so that whoever knows of the flag knows the rest.
    node(&here, "broken", json!({})).await;
    node(&here, "sound", json!({})).await;
    let flag = async |name: &str, by: &str| {
        let flag = json!({"metadata": {by: {FLAG: "disk"}}});
        here.merge_at(&format!("{NODES}/{name}.{}", here.name), &flag).await.object();
    };
    flag("broken", "annotations").await;
    known("annotation", 1.0).await;
    let case = "not by name beside Karpenter";
    assert_eq!(lands(case, "by-name").await, "broken without limits", "{case}");

    flag("broken", "labels").await;
    known("label", 1.0).await;
    let case = "by label beside Karpenter";
    assert_eq!(lands(case, "by-label").await, "sound with cpu,memory", "{case}");

    flag("sound", "labels").await;
    known("label", 2.0).await;
    let case = "all nodes are flagged";
    assert_eq!(lands(case, "all-flagged").await, "broken without limits", "{case}");
}

/// What the accounts here may do, which is nothing, is not what these tests are about.
fn policy(flagged_nodes: &str) -> String {
    let checks = "{driver-permissions: {level: off}}";
    format!(
        "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nchecks: {checks}\nflaggedNodes: {{{flagged_nodes}}}\n"
    )
}

/// Creates a pod, after a dry run, which must decide the same; returns it with what its author is told.
async fn made(here: &Namespace, case: &str, pod: &Value) -> (Value, Vec<String>) {
    let dry = here.create_dry(pod).await;
    let stored = here.create(pod).await;
    assert!(dry.is_success() && stored.is_success(), "{case}: {} {}", dry.message(), stored.message());
    assert_eq!(dry.warnings, stored.warnings, "{case}");
    assert_eq!(comparable(dry.body), comparable(stored.body.clone()), "{case}: a dry run decides the same");
    (stored.body, stored.warnings)
}

/// The last request that created a pod of that name: the one that was not a dry run.
fn created(here: &Namespace, pod: &Value) -> audit::Event {
    here.audited(pod).into_iter().rfind(audit::Event::is_creation).unwrap()
}

/// Where a pod lands, and with which limits: `broken without limits`, `sound with cpu,memory`.
async fn landed(here: &Namespace, case: &str, pod: &Value) -> String {
    let node = |pod: &Value| pod["spec"]["nodeName"].as_str().map(str::to_owned);
    eventually(&format!("{case}: it lands"), async || node(&here.get(pod).await).is_some()).await;
    let pod = here.get(pod).await;
    let name = node(&pod).unwrap();
    // Of several nodes of a kind, such as `broken` and `broken-2`, any will do.
    let kind = name.split(['.', '-']).next().unwrap();
    match limits(&pod).as_str() {
        "" => format!("{kind} without limits"),
        limits => format!("{kind} with {limits}"),
    }
}

/// The limits of all containers of a pod by their names.
fn limits(pod: &Value) -> String {
    let containers = pod["spec"]["containers"].as_array().unwrap().iter();
    let limits = containers.filter_map(|container| container["resources"]["limits"].as_object());
    limits.flat_map(|limits| limits.keys()).map(String::as_str).collect::<Vec<_>>().join(",")
}

/// Creates a pod that fits no node: it is as it was, and waits. It is gone afterwards.
async fn waits(here: &Namespace, case: &str, pod: &Value) {
    let (stored, warnings) = made(here, case, pod).await;
    assert_eq!(warnings, Vec::<String>::new(), "{case}");
    eventually(&format!("{case}: the scheduler finds no node"), async || {
        let conditions = here.get(&stored).await["status"]["conditions"].clone();
        conditions.as_array().into_iter().flatten().any(|it| it["reason"] == "Unschedulable")
    })
    .await;
    let pod = here.get(&stored).await;
    assert_eq!((limits(&pod).as_str(), &pod["spec"]["nodeName"]), ("cpu,memory", &Value::Null), "{case}");
    assert!(pod["spec"]["affinity"].is_null(), "{case}");
    here.delete_now(&pod).await.object();
}

fn affinity(terms: &[Value]) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
}

/// A pod with limits for the nodes of a namespace, of a role of Spark's or of none.
fn pod(here: &Namespace, name: &str, role: &str) -> Value {
    let labels = match role {
        "" => json!({}),
        "notebook" => json!({"spark-admission.io/notebook": "true"}),
        role => json!({"spark-role": role}),
    };
    let container = match role {
        "" => "server",
        "executor" => "spark-kubernetes-executor",
        "notebook" => "notebook",
        _ => "spark-kubernetes-driver",
    };
    let resources = json!({"cpu": "1", "memory": "2Gi"});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "nodeSelector": {"test": here.name},
            "containers": [{
                "name": container, "image": "apache/spark:3.5.9", "resources": {"requests": resources, "limits": resources}
            }]
        }
    })
}

/// Makes a node with room.
async fn node(here: &Namespace, name: &str, mut metadata: Value) {
    let room = json!({"cpu": "1k", "memory": "2Ti", "ephemeral-storage": "10Ti", "pods": "1k"});
    let full_name = format!("{name}.{}", here.name);
    metadata["name"] = full_name.as_str().into();
    metadata["labels"]["test"] = here.name.as_str().into();
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": metadata,
        "status": {"capacity": room, "allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]}
    });
    here.send("POST", NODES, &node).await.object();
    // In place of the taint that a new node has until a controller finds it well, which nobody does here.
    let second_choice = json!([{"key": "second-choice", "effect": "PreferNoSchedule"}]);
    let taints = if name == "sound" { second_choice } else { Value::Null };
    here.merge_at(&format!("{NODES}/{full_name}"), &json!({"spec": {"taints": taints}})).await.object();
}
