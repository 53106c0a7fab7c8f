//! Pods as users make them, in a namespace that limits them: what it admits without the webhook it admits with it.
//!
//! What is seen is what the tables in docs/limits-and-quotas.md say, cell by cell.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    cluster::{Namespace, Registered},
    support::eventually,
};

/// A pod, and a column of the tables.
#[derive(Clone)]
struct SparkPod {
    title: &'static str,
    pod: Value,
    /// Whether somebody wrote memory as Java does, which `memory-quantity` repairs: only such a pod may be refused because of that.
    is_mistaken: bool,
}

/// The columns, in their order.
fn spark_pods() -> Vec<SparkPod> {
    let usual = json!({"cpu": "1", "memory": "1433Mi"});
    let correct = [
        ("driver", "driver", json!({"requests": usual, "limits": usual})),
        ("driver, requests only", "driver", json!({"requests": usual})),
        ("driver, nothing set", "driver", json!({})),
        ("executor", "executor", json!({"requests": usual, "limits": {"memory": "1433Mi"}})),
        ("Connect server", "connect-server", json!({"requests": usual, "limits": usual})),
        (
            "notebook",
            "notebook",
            json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}}),
        ),
    ];
    let mistaken = [
        ("limit of `512m`", "driver", json!({"requests": {"cpu": "1"}, "limits": {"cpu": "1", "memory": "512m"}})),
        ("request of `512m`", "driver", json!({"requests": {"cpu": "1", "memory": "512m"}})),
        (
            "`512m` under a limit of 1Gi",
            "driver",
            json!({"requests": {"cpu": "1", "memory": "512m"}, "limits": {"cpu": "1", "memory": "1Gi"}}),
        ),
    ];
    let of = |cases: &[(&'static str, &str, Value)], is_mistaken| {
        let pods = cases.iter().map(move |(title, role, resources)| SparkPod {
            title,
            pod: pod(role, resources),
            is_mistaken,
        });
        pods.collect::<Vec<_>>()
    };
    [of(&correct, false), of(&mistaken, true)].concat()
}

fn pod(role: &str, resources: &Value) -> Value {
    let (labels, container) = match role {
        "notebook" => (json!({"spark-admission.io/notebook": "true"}), "notebook"),
        "executor" => (json!({"spark-role": role}), "spark-kubernetes-executor"),
        _ => (json!({"spark-role": role}), "spark-kubernetes-driver"),
    };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": role, "labels": labels},
        "spec": {"containers": [{"name": container, "image": "apache/spark:3.5.9", "args": [role], "resources": resources}]}
    })
}

/// What a namespace has, and a row of a table.
pub struct Limits {
    pub title: &'static str,
    /// Labels of the namespace.
    pub labels: Value,
    /// What is created in it.
    pub objects: Vec<Value>,
    /// What it refuses as soon as the API server knows of all that.
    pub refuses: Option<Value>,
    /// Makes each pod ready for it.
    pub prepare: fn(&mut Value),
}

impl Limits {
    pub fn none(title: &'static str) -> Self {
        Self { title, labels: json!({}), objects: Vec::new(), refuses: None, prepare: |_| {} }
    }

    /// Runs every pod against two such namespaces, one of them with the webhook; returns the row.
    async fn row(&self) -> String {
        let (plain, asked) = (Namespace::labelled(&self.labels).await, Namespace::labelled(&self.labels).await);
        let _webhook = Registered::real(&asked).await;
        for namespace in [&plain, &asked] {
            for object in &self.objects {
                namespace.create(object).await.object();
            }
            if let Some(refused) = &self.refuses {
                let what = format!("{}: the API server knows of it", self.title);
                eventually(&what, async || namespace.create_dry(refused).await.status == 403).await;
            }
        }
        let mut row = format!("| {} |", self.title);
        for SparkPod { title, mut pod, is_mistaken } in spark_pods() {
            (self.prepare)(&mut pod);
            let case = format!("{}: {title}", self.title);
            let (before, after) = (plain.create_dry(&pod).await, asked.create_dry(&pod).await);
            for answer in [&before, &after] {
                assert!(matches!(answer.status, 201 | 403 | 422), "{case}: {} {}", answer.status, answer.message());
            }
            if before.is_success() && !after.is_success() {
                assert!(is_mistaken, "{case}: admitted without the webhook, but with it: {}", after.message());
                let repaired = after.warnings.iter().any(|warning| warning.contains("512m is now 512Mi"));
                assert!(repaired, "{case}: refused, and its author is not told why: {:?}", after.warnings);
                pod["metadata"]["annotations"]["spark-admission.io/skip"] = "memory-quantity".into();
                let skipped = asked.create_dry(&pod).await;
                // A limit of half a byte is refused for what it is, whatever there is room for.
                let is_admitted = skipped.is_success() || skipped.message().contains("memory-quantity: ");
                assert!(is_admitted, "{case}, not repaired: {}", skipped.message());
            }
            row += match (before.is_success(), after.is_success()) {
                (true, true) => " yes |",
                (false, false) => " no |",
                (false, true) => " **now** |",
                (true, false) => " **no longer** |",
            };
        }
        row
    }
}

/// The section of docs/limits-and-quotas.md shows what is seen, all of it and nothing else.
pub async fn assert_documented(section: &str, all: &[Limits]) {
    let titles: Vec<_> = spark_pods().iter().map(|pod| pod.title).collect();
    let mut table = format!("| the namespace has | {} |\n|---|{}\n", titles.join(" | "), "---|".repeat(titles.len()));
    for limits in all {
        table += &(limits.row().await + "\n");
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits-and-quotas.md");
    let page = fs::read_to_string(file).unwrap();
    let rest = page.split_once(&format!("\n## {section}\n")).map_or("", |(_, rest)| rest);
    let lines = rest.split("\n## ").next().unwrap_or_default().split_inclusive('\n');
    let documented: String = lines.filter(|line| line.starts_with('|')).collect();
    assert!(documented == table, "docs/limits-and-quotas.md, {section}, must show\n{table}and shows\n{documented}");
}
