//! What the black-box tests share: certificates, a client over TLS, a server in this process, pods and nodes.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

pub mod client;
pub mod pki;
pub mod process;
pub mod scheduling;
pub mod server;

use std::{fs::File, future::Future, io::Write, time::Duration};

/// How long anything may take before a test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits until the condition holds; fails with its name at the deadline.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl FnMut() -> F) {
    within(DEADLINE, what, condition).await;
}

/// The same, for what takes longer.
pub async fn within<F: Future<Output = bool>>(deadline: Duration, what: &str, mut condition: impl FnMut() -> F) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(deadline, holds).await.unwrap_or_else(|_| panic!("not within {deadline:?}: {what}"));
}

/// The file to which skipped tests are written, for whoever runs the tests and counts them.
const SKIPPED: &str = "SPARK_ADMISSION_SKIPPED";

/// Says that a test is skipped, which is named by its path, and why. Where `CI=true` nothing is: there everything is to be there.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "not skipped where CI=true: {why}");
    let name = test.split_once("::").map_or(test, |(_, name)| name);
    eprintln!("skipped: {name}: {why}");
    if let Some(file) = std::env::var_os(SKIPPED) {
        let mut file = File::options().append(true).create(true).open(file).unwrap();
        file.write_all(format!("{name}: {why}\n").as_bytes()).unwrap();
    }
}

/// A review's bytes.
pub fn review(uid: &str) -> String {
    serde_json::json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": uid, "operation": "CREATE", "name": "pi-driver", "namespace": "default",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "me"},
            "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pi-driver", "labels": {"spark-role": "driver"}},
                "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9"}]}}
        }
    })
    .to_string()
}

/// The value of a metric's line that starts so, 0 where there is none.
pub fn metric(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|candidate| candidate.strip_prefix(line)?.strip_prefix(' '));
    found.map_or(0.0, |value| value.parse().unwrap())
}
