//! What happens to what is known of nodes when the API server is away, silent or forgetful, and that nothing grows for ever.

use std::{cell::Cell, fs, time::Duration};

use futures_util::{StreamExt as _, stream};
use serde_json::json;

use crate::{
    cluster::{Cluster, Followed, Namespace},
    nodes::{is_ready, made, measured, patiently, serve},
    support::{eventually, process::Serving},
};

const NODES: &str = "/api/v1/nodes";
const KNOWN: &str = "spark_admission_nodes_known";
const IN_SYNC: &str = "spark_admission_watch_in_sync{kind=\"nodes\"}";

/// The real server, through the end of an API server and its return.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_ends_and_starts_again() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let cluster = here.cluster();
    let policy = cluster.scratch().join("policy.yaml");
    fs::write(&policy, "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nflaggedNodes: {staleAfter: 4s}\n")
        .unwrap();
    let serving = serve(cluster, &cluster.admin(), &["--policy", &policy.display().to_string()]);
    let first = made(&here, "first").await["metadata"]["name"].as_str().unwrap().to_owned();
    eventually("ready, and a node is known", async || {
        is_ready(&serving).await && measured(&serving, "spark_admission_nodes").await == 1.0
    })
    .await;

    cluster.end_apiserver();
    eventually("sync is lost", async || measured(&serving, IN_SYNC).await == 0.0).await;
    assert_eq!(measured(&serving, "spark_admission_nodes").await, 1.0, "what was seen last stays in use");
    eventually("and not for ever", async || measured(&serving, KNOWN).await == 0.0).await;
    assert_eq!(measured(&serving, "spark_admission_nodes").await, 0.0);
    assert!(is_ready(&serving).await, "ready all the same");
    cluster.start_apiserver().await;
    here.merge_at(&format!("{NODES}/{first}"), &json!({"metadata": {"labels": {"spark-admission.io/flagged": ""}}}))
        .await
        .object();
    let flagged = "spark_admission_nodes_flagged{reason=\"label\"}";
    patiently("the node is known again, as it is now", async || measured(&serving, flagged).await == 1.0).await;
    assert_eq!(measured(&serving, KNOWN).await, 1.0);

    // What a program says is read a moment after what it counts.
    let again = "the nodes of the cluster are known";
    patiently("the log says so", async || serving.log().matches(again).count() > 1).await;
    let log = serving.log();
    for (line, times) in
        [(again, 2), ("the nodes of the cluster have not been seen for too long", 1), ("watched again kind=nodes", 1)]
    {
        assert_eq!(log.matches(line).count(), times, "{line}: {log}");
    }
}

#[tokio::test]
async fn an_api_server_that_does_not_answer() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let name = made(&here, "node").await["metadata"]["name"].as_str().unwrap().to_owned();
    let followed = Followed::start(here.cluster().admin(), "staleAfter: 5s").await;
    eventually("the node is known", async || followed.flags(&name).is_some()).await;
    here.cluster().stop_apiserver();
    let silent = std::time::Instant::now();
    patiently("the silence is noticed", async || followed.metric(IN_SYNC) == 0.0).await;
    assert!(followed.flags(&name).is_some(), "what was seen last stays in use");
    patiently("and not for ever", async || !followed.knows_nodes()).await;
    tokio::time::sleep(Duration::from_secs(30).saturating_sub(silent.elapsed())).await;
    here.cluster().continue_apiserver();
    patiently("the node is known again", async || followed.flags(&name).is_some()).await;
}

/// Nothing is written to this namespace: what brings something is a list, since the API server has forgotten where the watch was.
#[tokio::test]
async fn a_watch_that_has_expired() {
    let cluster = Cluster::of_my_own_with(&["--etcd-compaction-interval=1s"]).await;
    let here = Namespace::on(cluster, &json!({})).await;
    let followed = Followed::start(cluster.admin(), &format!("eventNamespaces: [{}]", here.name)).await;
    let seen = "spark_admission_watch_last_event_timestamp_seconds{kind=\"events\"}";
    let before = followed.metric(seen);
    let nodes = Cell::new(0);
    patiently("events are listed anew", async || {
        // Only what has been written since can have been forgotten.
        made(&here, &format!("n{}", nodes.replace(nodes.get() + 1))).await;
        followed.metric(seen) > before
    })
    .await;
    assert!(followed.knows_nodes());
    let flagged = made(&here, "flagged").await;
    let name = flagged["metadata"]["name"].as_str().unwrap();
    here.create(&crate::nodes::event(&here.name, name, "")).await.object();
    patiently("an event counts", async || followed.flags(name) == Some(vec!["event"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_updates_leave_nothing_behind() {
    const NODES_HERE: usize = 20;
    const UPDATES: usize = 500;
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let serving = serve(here.cluster(), &here.cluster().admin(), &[]);
    let mut names = Vec::new();
    for number in 0..NODES_HERE {
        names.push(made(&here, &format!("n{number}")).await["metadata"]["name"].as_str().unwrap().to_owned());
    }
    let known = async |count| measured(&serving, "spark_admission_nodes").await == count;
    eventually("all are known", async || known(20.0).await).await;
    let update = async |number: usize| {
        let path = format!("{NODES}/{}", names[number % NODES_HERE]);
        let labels = json!({"metadata": {"labels": {"spark-admission.io/flagged": null, "round": number.to_string()}}});
        here.merge_at(&path, &labels).await.object();
    };
    // What the first thousand need stays.
    stream::iter(0..1_000).for_each_concurrent(8, &update).await;
    let before = resident(&serving);
    stream::iter(1_000..NODES_HERE * UPDATES).for_each_concurrent(8, &update).await;
    let labelled = json!({"metadata": {"labels": {"spark-admission.io/flagged": ""}}});
    here.merge_at(&format!("{NODES}/{}", names[0]), &labelled).await.object();
    let flagged = "spark_admission_nodes_flagged{reason=\"label\"}";
    eventually("all updates have been seen", async || measured(&serving, flagged).await == 1.0).await;
    let after = resident(&serving);
    eprintln!("resident before {before} kB, after {after} kB");
    assert!(after < before + 8_000, "{before} kB have become {after} kB");
}

/// Resident memory in kB.
fn resident(serving: &Serving) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", serving.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
