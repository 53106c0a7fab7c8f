//! What five thousand nodes cost the server. Not among the tests that always run: it takes minutes, and tells numbers.

use std::{fs, path::Path, time::Instant};

use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Namespace},
    nodes::{measured, patiently},
    support::process::{Serving, spark_admission_at},
};

const COUNT: u32 = 5_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, which takes minutes: make bench-nodes"]
async fn five_thousand_nodes() {
    let cluster = Cluster::of_my_own().await;
    let here = Namespace::on(cluster, &json!({})).await;
    let start = Instant::now();
    stream::iter(0..COUNT)
        .for_each_concurrent(8, async |number| {
            here.send("POST", "/api/v1/nodes", &node(number)).await.object();
        })
        .await;
    eprintln!("{COUNT} nodes of {} bytes made in {:.0?}", node(1).to_string().len(), start.elapsed());

    let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/release/spark-admission");
    let (kubeconfig, state) = (cluster.admin().display().to_string(), cluster.scratch().display().to_string());
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let arguments = [&arguments[..], &["--kubeconfig", &kubeconfig, "--state-dir", &state]].concat();
    let start = Instant::now();
    let serving = Serving::start(cluster.adopt(&mut spark_admission_at(&binary, &arguments)));
    patiently("all are known", async || measured(&serving, "spark_admission_nodes").await == f64::from(COUNT)).await;
    eprintln!("known after {:.1?}", start.elapsed());
    report(&serving, "known");

    stream::iter(0..2 * COUNT)
        .for_each_concurrent(8, async |number| {
            let path = format!("/api/v1/nodes/node-{:05}/status", number % COUNT);
            let beat = json!({"type": "Ready", "status": "True", "message": format!("beat {number}")});
            here.merge_at(&path, &json!({"status": {"conditions": [beat]}})).await.object();
        })
        .await;
    report(&serving, "after two heartbeats of each");
    stream::iter(0..COUNT)
        .for_each_concurrent(8, async |number| {
            let labels = json!({"metadata": {"labels": {"changed": number.to_string()}}});
            here.merge_at(&format!("/api/v1/nodes/node-{number:05}"), &labels).await.object();
        })
        .await;
    report(&serving, "after a change of each");
    eprintln!("{} snapshots", measured(&serving, "spark_admission_snapshots_total").await);
}

/// Resident memory, at present and at most, and processor time so far.
fn report(serving: &Serving, when: &str) {
    let status = fs::read_to_string(format!("/proc/{}/status", serving.id())).unwrap();
    let memory = |field: &str| status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned();
    let stat = fs::read_to_string(format!("/proc/{}/stat", serving.id())).unwrap();
    let times: Vec<u64> =
        stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2).map(|it| it.parse().unwrap()).collect();
    let ticks = times.iter().sum::<u64>();
    eprintln!("{when}: resident {}, at most {}, {ticks} ticks of 10 ms", memory("VmRSS:"), memory("VmHWM:"));
}

/// A node as a cloud provider's kubelet registers it: two dozen labels, some images, six conditions.
fn node(number: u32) -> Value {
    let name = format!("node-{number:05}");
    let mut labels = json!({
        "kubernetes.io/hostname": name, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
        "topology.kubernetes.io/zone": format!("eu-central-1{}", ["a", "b", "c"][number as usize % 3]),
        "topology.kubernetes.io/region": "eu-central-1", "node.kubernetes.io/instance-type": "m6i.4xlarge"
    });
    for extra in 0..18 {
        labels[format!("example.com/label-number-{extra}")] = format!("value-of-label-{extra}").into();
    }
    let images: Vec<_> = (0..30)
        .map(|image| {
            let digest = format!("registry.example.com/team/image-{image}@sha256:{:064x}", u64::from(number) * 31 + image);
            json!({"names": [digest, format!("registry.example.com/team/image-{image}:1.2.{number}")], "sizeBytes": 123_456_789})
        })
        .collect();
    let conditions: Vec<_> = ["MemoryPressure", "DiskPressure", "PIDPressure", "KernelDeadlock", "ReadonlyFilesystem", "Ready"]
        .iter()
        .map(|kind| {
            let status = if *kind == "Ready" { "True" } else { "False" };
            json!({"type": kind, "status": status, "reason": "KubeletIsFine", "message": "the kubelet has nothing to complain of",
                "lastHeartbeatTime": "2026-11-22T10:00:00Z", "lastTransitionTime": "2026-11-22T09:00:00Z"})
        })
        .collect();
    let room =
        json!({"cpu": "16", "memory": "64Gi", "pods": "110", "ephemeral-storage": "100Gi", "nvidia.com/gpu": "1"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {
            "volumes.kubernetes.io/controller-managed-attach-detach": "true",
            "csi.volume.kubernetes.io/nodeid": format!("{{\"ebs.csi.aws.com\":\"i-{number:017x}\"}}")
        }},
        "spec": {"providerID": format!("aws:///eu-central-1a/i-{number:017x}")},
        "status": {"capacity": room, "allocatable": room, "conditions": conditions, "images": images}
    })
}
