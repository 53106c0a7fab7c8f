//! The end-to-end test: a real node with the real operator and real Spark, without the webhook and with it.
//!
//! ```text
//! node      a cluster of one node, with kubelet and containerd
//! Platform  the operator and the webhook on it, as the platform's chart installs them
//! cells     the scenarios: what a user submits
//! scenarios those of `make e2e`, and what must become of them
//! lane      runs scenarios, a few at a time
//! incidents what happens to the node
//! outcome   what became of one, read from the cluster
//! ```
#![allow(dead_code, unreachable_pub, reason = "parts of other tests are used here too")]

mod cells;
mod incidents;
mod lane;
mod node;
mod outcome;
#[path = "../support/pki.rs"]
mod pki;
mod platform;
#[path = "../control_plane/cluster/programs.rs"]
mod programs;
mod scenarios;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Result, ensure};

use cells::Scenario;
use lane::Finished;
use node::Node;
use platform::Platform;
use scenarios::SIDE_BY_SIDE;

fn main() -> Result<()> {
    if let Some(why) = missing() {
        println!("skipped: the end-to-end test: {why}");
        return Ok(());
    }
    let started = Instant::now();
    let say = |what: &str| println!("{:>5} s  {what}", started.elapsed().as_secs());
    let node = Node::start(&images()?)?;
    say("a node is there");
    let platform = Platform::new(&node)?;
    platform.import_webhook()?;
    platform.install(&["spark-admission.enabled=false"])?;
    platform.prepare_namespaces()?;
    say("the operator is there; scenarios without the webhook:");
    let wanted = std::env::args().nth(1);
    let scenarios: Vec<_> = SIDE_BY_SIDE
        .iter()
        .filter(|scenario| wanted.as_ref().is_none_or(|wanted| scenario.cell.name().contains(wanted.as_str())))
        .collect();
    let cells: Vec<_> = scenarios.iter().map(|scenario| scenario.cell).collect();
    let without = lane::run(&node, &cells)?;
    if wanted.is_none() {
        incidents::broken_node_without(&node)?;
    }
    platform.install(&["spark-admission.enabled=true", "spark-admission.replicas=3"])?;
    say("the webhook is there; the same scenarios with it:");
    let with = lane::run(&node, &cells)?;
    if wanted.is_none() {
        say("the node's file system breaks:");
        incidents::broken_node_with(&node)?;
        say("the node restarts:");
        incidents::restart(&node)?;
    }
    say("the end");
    let wrong = scenarios.iter().flat_map(|scenario| wrong(scenario, &without, &with)).collect::<Vec<_>>();
    hold(&node)?;
    ensure!(wrong.is_empty(), "otherwise than expected:\n{}", wrong.join("\n"));
    Ok(())
}

/// Why the test cannot run here, where it cannot.
fn missing() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !status.lines().any(|line| line.starts_with("Uid:\t0\t")) {
        return Some("it needs root on Linux".to_owned());
    }
    let missing = ["apt-get", "javac", "gcc", "python3"].into_iter().find(|program| {
        !Command::new("sh")
            .args(["-c", &format!("command -v {program}")])
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    });
    missing.map(|program| format!("there is no {program}"))
}

/// What became of a scenario otherwise than it must.
fn wrong(scenario: &Scenario, without: &[Finished], with: &[Finished]) -> Vec<String> {
    let lanes = [("without", scenario.without, without), ("with", scenario.with, with)];
    let checked = lanes.into_iter().filter_map(|(lane, expected, results)| {
        let result = results.iter().find(|result| result.cell.name() == scenario.cell.name())?;
        (!expected.holds(&result.outcome))
            .then(|| format!("{} {lane} the webhook: {}", scenario.cell.name(), result.outcome))
    });
    checked.collect()
}

/// Keeps the node for whoever wants to look around, until the end of standard input.
fn hold(node: &Node) -> Result<()> {
    if std::env::var_os("KEEP_NODE").is_some_and(|value| !value.is_empty()) {
        println!("KUBECONFIG={} until you press enter", node.kubeconfig().display());
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

/// The archives of the images, made where they are not there.
fn images() -> Result<Vec<PathBuf>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/node-images");
    let output = Command::new(script).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{script} says above what is missing");
    let said = String::from_utf8(output.stdout)?;
    Ok(said.lines().filter_map(|line| line.split_once('=')).map(|(_, path)| path.into()).collect())
}
