//! What is measured on a node: the volume in memory against limits, and what the webhook costs whoever waits for a pod.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{cell::SPARK_3, node::Node, platform::USERS};

const WAIT: Duration = Duration::from_mins(2);
/// How many pods are started one after another to measure how long that takes.
const STARTS: usize = 8;

/// A driver's pod in which this runs in place of Spark.
pub fn driver(name: &str, command: &str, resources: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": USERS, "labels": {"spark-role": "driver"}},
        "spec": {"restartPolicy": "Never", "serviceAccountName": "spark-driver", "containers": [{
            "name": "spark-kubernetes-driver", "image": SPARK_3, "command": ["sh", "-c", command], "resources": resources
        }]}
    })
}

/// What becomes of a driver that writes more into the volume for packages than fits.
pub fn full_volume(node: &Node) -> Result<Vec<String>> {
    let write =
        |mebibytes: u32| format!("head -c {mebibytes}M /dev/zero >/tmp/.ivy2/file; du -m /tmp/.ivy2/file | cut -f 1");
    let unlimited = ended(node, &driver("volume-unlimited", &write(600), &json!({})))?;
    ensure!(unlimited.log.contains("No space left on device") && unlimited.log.contains("512"), "{unlimited:?}");
    let limited = ended(node, &driver("volume-limited", &write(400), &json!({"limits": {"memory": "256Mi"}})))?;
    ensure!(limited.reason == "OOMKilled", "{limited:?}");
    let roomy = ended(node, &driver("volume-roomy", &write(400), &json!({"limits": {"memory": "512Mi"}})))?;
    ensure!(roomy.reason == "Completed" && roomy.log.contains("400"), "{roomy:?}");
    Ok(vec![
        "600 MiB written into the ivy-cache volume without a limit of memory: `No space left on device` at its sizeLimit, 512 MiB".to_owned(),
        "400 MiB written with a limit of 256Mi: OOMKilled, since what is in the volume counts against the limit".to_owned(),
        "400 MiB written with a limit of 512Mi: written".to_owned(),
    ])
}

#[derive(Debug)]
struct Ended {
    reason: String,
    log: String,
}

/// Runs a pod to its end.
fn ended(node: &Node, pod: &Value) -> Result<Ended> {
    let name = pod["metadata"]["name"].as_str().context("it has a name")?;
    node.kubectl_with(&["create", "-f", "-"], &pod.to_string())?;
    let reason = "jsonpath={.status.containerStatuses[0].state.terminated.reason}";
    let mut found = String::new();
    node.until(&format!("{name} ends"), || {
        found = node.kubectl(&["-n", USERS, "get", "pod", name, "-o", reason])?;
        Ok(!found.is_empty())
    })?;
    let log = node.kubectl(&["-n", USERS, "logs", name])?;
    node.kubectl(&["-n", USERS, "delete", "pod", name, "--grace-period=1"])?;
    Ok(Ended { reason: found, log })
}

/// How long it takes from the submission of a driver's pod until its container runs, in the middle of some.
pub fn start_up(node: &Node) -> Result<Duration> {
    let mut taken = Vec::new();
    for number in 0..STARTS {
        let name = format!("start-up-{number}");
        let pod = driver(&name, "sleep 1000", &json!({}));
        let started = Instant::now();
        node.kubectl_with(&["create", "-f", "-"], &pod.to_string())?;
        let running = "jsonpath={.status.containerStatuses[0].state.running.startedAt}";
        while node.kubectl(&["-n", USERS, "get", "pod", &name, "-o", running])?.is_empty() {
            ensure!(started.elapsed() < WAIT, "{name} does not start");
            thread::sleep(Duration::from_millis(20));
        }
        taken.push(started.elapsed());
        node.kubectl(&["-n", USERS, "delete", "pod", &name, "--grace-period=1"])?;
    }
    taken.sort_unstable();
    Ok(taken[taken.len() / 2])
}
