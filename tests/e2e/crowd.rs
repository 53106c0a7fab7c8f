//! Many applications at once: with the same packages and nothing downloaded yet, and while the webhook is replaced.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};

use crate::{
    cell::{Line, SPARK_3},
    node::Node,
    platform::{OPERATORS, Platform, USERS},
};

/// Of 0.3 MB, with what it depends on; of the Spark of these applications.
const PACKAGES: &str = "org.apache.spark:spark-avro_2.12:3.5.7";
/// How long one application may take, with others beside it.
const EACH: Duration = Duration::from_secs(20);

/// An application that runs for a moment and needs no executors; little memory, so that many find room.
fn application(name: &str) -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": name, "namespace": USERS},
        "spec": {
            "type": "Scala", "mode": "cluster", "image": SPARK_3, "sparkVersion": Line::Three.version(),
            "mainClass": "org.apache.spark.examples.Hello",
            "mainApplicationFile": "local:///opt/spark/examples/jars/spark-examples.jar",
            "deps": {"packages": [PACKAGES]},
            "driver": {"cores": 1, "coreRequest": "20m", "memory": "256m", "memoryOverhead": "128m", "serviceAccount": "spark-driver"},
            "executor": {"instances": 1, "cores": 1, "memory": "512m"}
        }
    })
}

/// So many applications with the same packages, of which the operator has none yet: all run.
pub fn burst(node: &Node, count: usize) -> Result<String> {
    let started = Instant::now();
    let names: Vec<_> = (0..count).map(|number| format!("burst-{number}")).collect();
    let all: Vec<_> = names.iter().map(|name| application(name)).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": all});
    node.kubectl_with(&["create", "-f", "-"], &list.to_string())?;
    all_run(node, &names)?;
    Ok(format!(
        "{count} applications with the same packages, submitted at once, nothing downloaded yet: all ran, in {} s",
        started.elapsed().as_secs()
    ))
}

/// So many applications, submitted one after another while every replica of the webhook is replaced: by an update with these values, and then
/// again and again, until all are submitted.
pub fn while_updated(node: &Node, platform: &Platform<'_>, count: usize, values: &[&str]) -> Result<String> {
    const WEBHOOK: &str = "deployment/spark-admission";
    let started = Instant::now();
    let before = replicas(node)?;
    let names: Vec<_> = (0..count).map(|number| format!("updated-{number}")).collect();
    let all_submitted = AtomicBool::new(false);
    let times = thread::scope(|scope| -> Result<usize> {
        let update = scope.spawn(|| -> Result<usize> {
            platform.install(values)?;
            let mut times = 1;
            while !all_submitted.load(Ordering::Relaxed) {
                node.kubectl(&["-n", OPERATORS, "rollout", "restart", WEBHOOK])?;
                node.kubectl(&["-n", OPERATORS, "rollout", "status", WEBHOOK, "--timeout=120s"])?;
                times += 1;
            }
            Ok(times)
        });
        let submitted = names.iter().try_for_each(|name| {
            let created = node.kubectl_with(&["create", "-f", "-"], &application(name).to_string());
            created.map(drop).with_context(|| format!("{name}, submitted while the webhook is replaced"))
        });
        all_submitted.store(true, Ordering::Relaxed);
        let times = update.join().map_err(|_| anyhow!("the update panicked"))?;
        submitted.and(times)
    })?;
    let after = replicas(node)?;
    ensure!(!after.iter().any(|pod| before.contains(pod)), "replaced: {before:?}, then {after:?}");
    let submitted_within = started.elapsed();
    all_run(node, &names)?;
    Ok(format!(
        "{count} applications, submitted within {} s in which all three replicas of the webhook were replaced, {times} times: \
         none refused, all changed, all ran",
        submitted_within.as_secs()
    ))
}

/// The replicas of the webhook that are to stay: three.
fn replicas(node: &Node) -> Result<Vec<String>> {
    let webhook = "app.kubernetes.io/name=spark-admission,app.kubernetes.io/component=webhook";
    let list: Value =
        serde_json::from_str(&node.kubectl(&["-n", OPERATORS, "get", "pods", "-l", webhook, "-o", "json"])?)?;
    let pods = list["items"].as_array().into_iter().flatten().map(|pod| &pod["metadata"]);
    let staying = pods.filter(|metadata| metadata["deletionTimestamp"].is_null());
    let names: Vec<_> = staying.filter_map(|metadata| metadata["name"].as_str()).map(str::to_owned).collect();
    ensure!(names.len() == 3, "three replicas: {names:?}");
    Ok(names)
}

/// Waits until all of them have completed; every one of them and of their drivers was changed. Then they are removed.
fn all_run(node: &Node, names: &[String]) -> Result<()> {
    let deadline = EACH * u32::try_from(names.len())?;
    let started = Instant::now();
    let mut unchanged = names.to_vec();
    loop {
        let list: Value =
            serde_json::from_str(&node.kubectl(&["-n", USERS, "get", "sparkapplications,pods", "-o", "json"])?)?;
        let objects = || list["items"].as_array().into_iter().flatten();
        let of_ours = |object: &&Value, suffix: &str| {
            object["metadata"]["name"]
                .as_str()
                .and_then(|name| name.strip_suffix(suffix))
                .is_some_and(|name| names.iter().any(|ours| ours == name))
        };
        for driver in objects().filter(|object| object["kind"] == "Pod" && of_ours(object, "-driver")) {
            let changed = driver["metadata"]["annotations"]["spark-admission.io/mutated"].as_str().unwrap_or_default();
            if changed.contains("ivy-cache") {
                unchanged.retain(|name| driver["metadata"]["name"] != format!("{name}-driver"));
            }
        }
        let ours: Vec<_> =
            objects().filter(|object| object["kind"] == "SparkApplication" && of_ours(object, "")).collect();
        let state =
            |object: &Value| object["status"]["applicationState"]["state"].as_str().unwrap_or_default().to_owned();
        if let Some(failed) = ours.iter().find(|object| state(object).contains("FAILED")) {
            anyhow::bail!(
                "{} failed: {}",
                failed["metadata"]["name"],
                failed["status"]["applicationState"]["errorMessage"]
            );
        }
        if ours.len() == names.len() && ours.iter().all(|object| state(object) == "COMPLETED") {
            break;
        }
        ensure!(
            started.elapsed() < deadline,
            "not all have completed within {deadline:?}: {:?}",
            ours.iter().map(|object| format!("{} {}", object["metadata"]["name"], state(object))).collect::<Vec<_>>()
        );
        thread::sleep(Duration::from_secs(1));
    }
    ensure!(unchanged.is_empty(), "started unchanged: {unchanged:?}");
    let mut delete = vec!["-n", USERS, "delete", "sparkapplication"];
    delete.extend(names.iter().map(String::as_str));
    node.kubectl(&delete)?;
    Ok(())
}
