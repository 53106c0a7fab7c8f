//! Our candidates and the real scheduler: random pods, one after another, land on a candidate, or nowhere where there is none.
//!
//! The scheduler's own library is asked about thousands of them in `tests/node_candidates.rs`; this shows that what it says is what happens.

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngSeed, TestRunner},
};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Namespace},
    support::{
        eventually,
        scheduling::{any_nodes, any_pod_spec, candidates},
    },
};

const NODES: &str = "/api/v1/nodes";
/// So many pods that the API server takes.
const PODS: usize = 80;

#[tokio::test(flavor = "multi_thread")]
async fn random_pods_land_on_candidates_alone() {
    let cluster = Cluster::of_my_own().await;
    cluster.start_controllers().await;
    let here = Namespace::on(cluster, &json!({})).await;
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(1), ..Config::default() });
    let some_nodes = any_nodes(16).prop_filter("too few", |nodes| nodes.len() >= 12);
    let nodes = made_nodes(&here, &some_nodes.new_tree(&mut runner).unwrap().current()).await;
    assert!(nodes.len() >= 8, "the API server took only {} nodes", nodes.len());

    let (mut landed, mut waiting) = (0, 0);
    while landed + waiting < PODS {
        let mut spec = any_pod_spec().new_tree(&mut runner).unwrap().current();
        // Of a pod that names its node the scheduler is not asked.
        spec.as_object_mut().unwrap().remove("nodeName");
        // What is preferred makes no candidates; but a pod whose preferences do not parse is tried again and again, for ever (1.37).
        if let Some(of_nodes) = spec["affinity"]["nodeAffinity"].as_object_mut() {
            of_nodes.remove("preferredDuringSchedulingIgnoredDuringExecution");
        }
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sample"}, "spec": spec});
        let created = here.create(&pod).await;
        if !created.is_success() {
            assert!(matches!(created.status, 400 | 422), "{}: {pod}", created.message());
            continue;
        }
        let stored = created.object();
        let candidates = candidates(&stored["spec"], &nodes);
        if let Some(node) = place(&here, &stored).await {
            assert!(candidates.contains(&node), "on {node}, not one of {candidates:?}: {pod}\n{}", json!(nodes));
            landed += 1;
        } else {
            assert!(candidates.is_empty(), "on none of {candidates:?}: {pod}\n{}", json!(nodes));
            waiting += 1;
        }
        here.delete_now(&stored).await.object();
        eventually("it is gone", async || here.find(&stored).await.status == 404).await;
    }
    assert!(landed > PODS / 8 && waiting > PODS / 8, "{landed} landed, {waiting} wait: the pods have become one-sided");
}

/// Makes the nodes that the API server takes, with room for every pod, and returns them as they stand there.
async fn made_nodes(here: &Namespace, nodes: &[Value]) -> Vec<Value> {
    let mut made = Vec::new();
    for node in nodes {
        let (mut node, taints) = (node.clone(), node["spec"]["taints"].clone());
        for (resource, amount) in [("cpu", "1k"), ("memory", "2Ti"), ("ephemeral-storage", "10Ti"), ("pods", "1k")] {
            node["status"]["allocatable"][resource] = amount.into();
        }
        node["status"]["capacity"] = node["status"]["allocatable"].clone();
        if !here.send("POST", NODES, &node).await.is_success() {
            continue;
        }
        // Without the taint that a new node has until a controller finds it well, which nobody does here.
        let path = format!("{NODES}/{}", node["metadata"]["name"].as_str().unwrap());
        made.push(here.merge_at(&path, &json!({"spec": {"taints": taints}})).await.object());
    }
    made
}

/// The node that the scheduler chose; none where it says that there is none.
async fn place(here: &Namespace, pod: &Value) -> Option<String> {
    let verdict = async || {
        let pod = here.get(pod).await;
        let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let is_unschedulable = conditions.any(|condition| condition["reason"] == "Unschedulable");
        (pod["spec"]["nodeName"].as_str().map(str::to_owned), is_unschedulable)
    };
    eventually("the scheduler has looked at it", async || {
        let (node, is_unschedulable) = verdict().await;
        node.is_some() || is_unschedulable
    })
    .await;
    verdict().await.0
}
