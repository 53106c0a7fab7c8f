//! What happens to a node: its file system breaks, and it restarts.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::{
    cell::{Cell, Line, Packages, Row, Surroundings},
    lane::{self, Finished},
    manifest, measured,
    node::{NODE, Node, machine::Machine},
    outcome::Outcome,
    platform::{OPERATORS, USERS},
};

/// What every driver has, also without a limit of its author's: Spark sets one for memory.
const DRIVER: Cell = Cell::new(Row::Scala, Line::Three, Packages::No, Surroundings::BrokenNode);
const WAIT: Duration = Duration::from_mins(2);

/// A driver on a node whose file system takes no limits: the platform's broken node. Without the webhook.
pub fn broken_node_without(node: &Node) -> Result<()> {
    let limits = limits_of_idle_driver(node)?;
    ensure!(
        limits == Limits { memory: true, cpu: true, class: "Guaranteed".to_owned() },
        "an idle driver has {limits:?}"
    );
    break_file_system(node)?;
    flag(node)?;
    let result = run_alone(node, DRIVER)?;
    repair_file_system(node)?;
    unflag(node)?;
    let Finished { outcome, diagnosis, .. } = result;
    ensure!(outcome.to_string().contains("no space left on device"), "a driver on a broken node {outcome}");
    ensure!(diagnosis.contains(&"broken-node".to_owned()), "a driver on a broken node: the doctor says {diagnosis:?}");
    Ok(())
}

/// The same with the webhook, which is told of the node by an event as GKE's nodes send it.
pub fn broken_node_with(node: &Node) -> Result<String> {
    break_file_system(node)?;
    flag(node)?;
    node.until("the webhook strips limits", || strips_limits(node))?;
    let outcome = run_alone(node, DRIVER)?.outcome;
    ensure!(outcome == Outcome::Ran, "a driver on a broken node {outcome}");
    let limits = limits_of_idle_driver(node)?;
    ensure!(
        limits == Limits { memory: false, cpu: false, class: "Burstable".to_owned() },
        "an idle driver has {limits:?}"
    );
    repair_file_system(node)?;
    unflag(node)?;
    node.until("the webhook leaves limits alone again", || Ok(!strips_limits(node)?))?;
    Ok("on a node whose file system takes no limits: the driver ran, and its container's cgroup has no limit of cpu or memory; \
        without the webhook it did not start (`no space left on device`)"
        .to_owned())
}

fn strips_limits(node: &Node) -> Result<bool> {
    let submitted = idle_driver().to_string();
    let dry_run = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    let stored: Value = serde_json::from_str(&node.kubectl_with(&dry_run, &submitted)?)?;
    Ok(stored["spec"]["containers"][0]["resources"]["limits"].is_null())
}

/// With the checks at deny: whose account is missing, or may do nothing, is refused at the submission.
pub fn mistakes_denied(node: &Node) -> Result<String> {
    for (surroundings, check) in
        [(Surroundings::MissingAccount, "service-account-missing"), (Surroundings::NoRole, "driver-permissions")]
    {
        let cell = Cell::new(Row::Scala, Line::Three, Packages::No, surroundings);
        let (applied, said) = node.apply(&manifest::of(cell).to_string())?;
        ensure!(!applied && said.contains(check), "at level deny {check} said: {said}");
    }
    Ok("a missing account and an account without rights, where the policy says deny: refused at the submission"
        .to_owned())
}

fn run_alone(node: &Node, cell: Cell) -> Result<Finished> {
    lane::run(node, &[cell])?.pop().context("one was run")
}

/// The file that stands for the broken file system: see the wrapper of runc.
fn break_file_system(node: &Node) -> Result<()> {
    Ok(fs::write(node.machine.folder.join("broken"), "")?)
}

fn repair_file_system(node: &Node) -> Result<()> {
    Ok(fs::remove_file(node.machine.folder.join("broken"))?)
}

/// The event by which the node says that its file system is broken.
fn flag(node: &Node) -> Result<()> {
    node.kubectl_with(&["create", "-f", "-"], &broken_event()?.to_string())?;
    Ok(())
}

fn unflag(node: &Node) -> Result<()> {
    node.kubectl(&["-n", "default", "delete", "event", "file-system"])?;
    Ok(())
}

fn broken_event() -> Result<Value> {
    let now = String::from_utf8(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output()?.stdout)?;
    let now = now.trim();
    Ok(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "file-system", "namespace": "default"},
        "involvedObject": {"kind": "Node", "name": NODE, "uid": NODE},
        "reason": "ReadOnlyFileSystemDetected", "message": "Node condition ReadonlyFilesystem is now: True", "type": "Warning",
        "source": {"component": "device-fs-monitor", "host": NODE}, "firstTimestamp": now, "lastTimestamp": now, "count": 1
    }))
}

/// What the node's cgroups say of a container, and what Kubernetes calls its pod.
#[derive(Debug, PartialEq, Eq)]
struct Limits {
    memory: bool,
    cpu: bool,
    class: String,
}

fn idle_driver() -> Value {
    let resources = json!({"cpu": "100m", "memory": "64Mi"});
    measured::driver("idle-driver", "sleep 1000", &json!({"requests": resources, "limits": resources}))
}

fn limits_of_idle_driver(node: &Node) -> Result<Limits> {
    node.kubectl_with(&["create", "-f", "-"], &idle_driver().to_string())?;
    node.kubectl(&["-n", USERS, "wait", "--for=condition=Ready", "pod/idle-driver", "--timeout=120s"])?;
    let pod: Value = serde_json::from_str(&node.kubectl(&["-n", USERS, "get", "pod", "idle-driver", "-o", "json"])?)?;
    let id = pod["status"]["containerStatuses"][0]["containerID"]
        .as_str()
        .and_then(|id| id.strip_prefix("containerd://"))
        .context("it runs")?
        .to_owned();
    let limits = Limits {
        // Without a limit the first version of cgroups says the largest number of pages.
        memory: cgroup_file(&id, "memory.limit_in_bytes", "memory.max")?
            .parse()
            .is_ok_and(|bytes: u64| bytes < 1 << 60),
        cpu: !cgroup_file(&id, "cpu.cfs_quota_us", "cpu.max")?.starts_with(['-', 'm']),
        class: pod["status"]["qosClass"].as_str().unwrap_or_default().to_owned(),
    };
    node.kubectl(&["-n", USERS, "delete", "pod", "idle-driver", "--grace-period=1"])?;
    Ok(limits)
}

/// A file of a container's cgroup, wherever below the node's it is: as the first version of cgroups calls it, or the second.
fn cgroup_file(container: &str, first: &str, second: &str) -> Result<String> {
    let path = |name: &str| format!("*{container}/{name}");
    let output =
        Command::new("find").args(["/sys/fs/cgroup/", "-path", &path(first), "-o", "-path", &path(second)]).output()?;
    let found = String::from_utf8(output.stdout)?;
    let file = found.lines().next().with_context(|| format!("no {first} or {second} of {container}"))?;
    Ok(fs::read_to_string(file)?.trim().to_owned())
}

/// Kubelet, containerd and every container die together, as when the node restarts: what is submitted meanwhile is refused, and what is submitted then runs, changed.
pub fn restart(node: &Node) -> Result<String> {
    node.kill("kubelet")?;
    node.kill("containerd")?;
    Machine::kill_containers()?;
    let cell = Cell::new(Row::Scala, Line::Three, Packages::Deps, Surroundings::Plain);
    let (applied, message) = node.apply(&manifest::of(cell).to_string())?;
    ensure!(!applied && message.contains("failed calling webhook"), "submitted while nobody answers: {message}");
    node.start_containerd()?;
    node.start_kubelet()?;
    let started = Instant::now();
    // The kubelet tells of the pods that have ended only after a while; until then they are said to be available.
    let taken =
        || Ok(node.kubectl_with(&["create", "--dry-run=server", "-f", "-"], &manifest::of(cell).to_string()).is_ok());
    node.until("submissions are taken again", taken)?;
    node.kubectl(&["-n", OPERATORS, "wait", "--for=condition=Available", "deployment", "--all", "--timeout=120s"])?;
    let taken_after = started.elapsed();
    let outcome = run_alone(node, cell)?.outcome;
    ensure!(outcome == Outcome::Ran, "submitted after the restart: {outcome}");
    ensure!(started.elapsed() < WAIT * 3, "the restart took {:?}", started.elapsed());
    Ok(format!(
        "kubelet, containerd and every container die together, as when the node restarts: what is submitted meanwhile is refused \
         (`failed calling webhook`), and {} s after the restart submissions are taken again, changed, and run",
        taken_after.as_secs()
    ))
}
