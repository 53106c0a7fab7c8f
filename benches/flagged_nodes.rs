//! What flagged nodes cost: the memory of a large cluster's nodes, and the time that they add to the review of a pod.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use divan::{Bencher, black_box};
use serde_json::{Value, json};
use spark_admission::policy::configuration::FlaggedNodes;
use spark_admission::policy::document::Document;
use spark_admission::policy::nodes::objects::NodeObject;
use spark_admission::policy::nodes::{Landing, Node, Nodes, Placement};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A cluster of this size, of which so many are flagged where any are.
const NODES: usize = 5_000;
const FLAGGED: usize = 100;
/// The pods that are asked about; for the first of them none is flagged.
const CASES: [&str; 6] = [
    "no node is flagged",
    "could land anywhere",
    "pinned by name",
    "pinned by pool",
    "pinned by taints",
    "pinned by affinity",
];

fn main() {
    let before = resident();
    let nodes = cluster(FLAGGED);
    println!("{NODES} nodes of 30 labels: {} KiB resident", resident().saturating_sub(before));
    drop(nodes);
    for case in CASES {
        tell_percentiles(case);
    }
    divan::main();
}

/// What a mean hides: the slowest of a hundred decisions.
fn tell_percentiles(case: &str) {
    const DECISIONS: usize = 20_000;
    let nodes = cluster(if case == CASES[0] { 0 } else { FLAGGED });
    let text = spec(case).to_string();
    let Ok(document) = Document::parse(&text) else { return };
    let mut took: Vec<_> = (0..DECISIONS)
        .map(|_| {
            let start = Instant::now();
            black_box(land(black_box(&nodes), &document));
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!("{case}: p50 {:?}, p99 {:?}", took[DECISIONS / 2], took[DECISIONS * 99 / 100]);
}

/// What a review asks.
fn land<'n>(nodes: &'n Nodes, document: &Document<'_>) -> Option<Landing<'n>> {
    nodes.is_any_flagged().then(|| nodes.landing(&Placement::of(document.root())))
}

/// The resident memory of this process, in KiB; 0 where that is not told.
fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

/// Node objects are read one after another, as a watch delivers them.
fn cluster(flagged: usize) -> Nodes {
    let settings = FlaggedNodes::default();
    let read = |index| Arc::new(Node::read(object(index, index < flagged), &settings));
    Nodes::new((0..NODES).map(read).collect(), &[], &settings, 0)
}

fn object(index: usize, is_flagged: bool) -> NodeObject {
    let mut labels: serde_json::Map<_, _> = (0..24)
        .map(|number| {
            (format!("node.example.com/property-number-{number}"), format!("value-{}", (index + number) % 7).into())
        })
        .collect();
    for (key, value) in [
        ("kubernetes.io/hostname", format!("ip-10-0-{}-{}.example.internal", index / 250, index % 250)),
        ("kubernetes.io/os", "linux".to_owned()),
        ("kubernetes.io/arch", "amd64".to_owned()),
        ("topology.kubernetes.io/zone", format!("zone-{}", index % 3)),
        ("pool", if is_flagged { "old" } else { "new" }.to_owned()),
        ("node.kubernetes.io/instance-type", "m5.4xlarge".to_owned()),
    ] {
        labels.insert(key.to_owned(), value.into());
    }
    let status = if is_flagged { "True" } else { "False" };
    // Those of the new pool are dedicated to somebody.
    let taints =
        if is_flagged { json!([]) } else { json!([{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}]) };
    let node = json!({
        "metadata": {"name": format!("node-{index}"), "uid": format!("705ab4f5-6393-11e8-b7cc-42010a{index:06}"), "creationTimestamp": "2026-11-22T10:00:00Z", "labels": labels},
        "spec": {"taints": taints},
        "status": {"allocatable": {"cpu": "16"}, "conditions": [{"type": "ReadonlyFilesystem", "status": status}]},
    });
    serde_json::from_value(node).unwrap_or_default()
}

/// Where the pods that are asked about may go.
fn spec(case: &str) -> Value {
    let batch = json!([{"key": "dedicated", "operator": "Equal", "value": "batch"}]);
    match case {
        "could land anywhere" | "no node is flagged" => json!({"tolerations": batch}),
        "pinned by name" => {
            json!({"nodeSelector": {"kubernetes.io/hostname": "ip-10-0-0-7.example.internal"}, "tolerations": batch})
        }
        "pinned by pool" => json!({"nodeSelector": {"kubernetes.io/os": "linux", "pool": "old"}, "tolerations": batch}),
        "pinned by taints" => json!({}),
        _ => {
            let expression =
                |key: &str, value: &str| json!({"key": key, "operator": "In", "values": ["nothing", "else", value]});
            let expressions = [
                expression("kubernetes.io/os", "linux"),
                expression("node.kubernetes.io/instance-type", "m5.4xlarge"),
                expression("pool", "old"),
            ];
            json!({"tolerations": batch, "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": expressions}, {"matchExpressions": expressions}]}}}})
        }
    }
}

#[divan::bench(args = CASES)]
fn landing(bencher: Bencher<'_, '_>, case: &str) {
    let nodes = cluster(if case == CASES[0] { 0 } else { FLAGGED });
    let text = spec(case).to_string();
    let Ok(document) = Document::parse(&text) else { return };
    bencher.bench(|| land(black_box(&nodes), &document));
}

/// What a watch does after something has changed.
#[divan::bench]
fn flags_of_all(bencher: Bencher<'_, '_>) {
    let all: Vec<_> = cluster(FLAGGED).iter().map(|(node, _)| Arc::clone(node)).collect();
    let settings = FlaggedNodes::default();
    bencher.with_inputs(|| all.clone()).bench_values(|all| Nodes::new(all, &[], &settings, 0));
}
