//! The end-to-end test: a real node with the real operator and real Spark, without the webhook and with it.
//!
//! ```text
//! node       a cluster of one node, with kubelet and containerd
//! platform   the operator and the webhook on it, as the platform's chart installs them
//! cell       a scenario: how, with which Spark, with which packages, in what surroundings
//! manifest   what its user submits, with what is wished for around it (wishes)
//! scenarios  which ones are run, and what must become of them
//! lane       runs scenarios, a few at a time
//! connect_client  asks a Connect server to compute
//! outcome    what became of one, read from the cluster
//! incidents  what happens to the node
//! examples   those of the platform's chart
//! crowd      many applications at once
//! measured   what is measured
//! proof      the page that `make proof` writes
//! ```
#![allow(dead_code, unreachable_pub, reason = "parts of other tests are used here too")]
#![allow(clippy::unwrap_used, reason = "clippy takes what is not marked as a test for no test")]

mod cell;
mod connect_client;
mod crowd;
mod examples;
mod incidents;
mod lane;
mod manifest;
mod measured;
mod node;
mod outcome;
#[path = "../support/pki.rs"]
mod pki;
mod platform;
#[path = "../control_plane/cluster/programs.rs"]
mod programs;
mod proof;
mod scenarios;
mod wishes;

use std::{
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use cell::Cell;
use lane::Finished;
use node::Node;
use platform::Platform;
use scenarios::{CELLS, FAILURES, Scenario, pairwise};

/// How long all of it may take, of two cores; the proof takes longer.
const DEADLINE: Duration = Duration::from_mins(25);
/// Asks for what is not a scenario.
const INCIDENTS: &str = "incidents";
/// With the webhook, in three replicas.
const WEBHOOK: [&str; 2] = ["spark-admission.enabled=true", "spark-admission.replicas=3"];
/// What is looked up denies, and every replica is another one.
const DENYING: [&str; 5] = [
    "spark-admission.enabled=true",
    "spark-admission.replicas=3",
    "spark-admission.logFormat=text",
    "spark-admission.policy.checks.service-account-missing.level=deny",
    "spark-admission.policy.checks.driver-permissions.level=deny",
];

/// What was asked for.
struct Wanted {
    /// Only scenarios whose name holds this, and nothing else; or the incidents alone.
    part: Option<String>,
    /// All pairs of columns, fifty applications, and the page.
    proof: bool,
}

fn main() -> ExitCode {
    if let Some(why) = missing() {
        println!("skipped: the end-to-end test: {why}");
        return ExitCode::SUCCESS;
    }
    // Without a backtrace: what it says of the node is what matters.
    run().map_or_else(
        |error| {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn run() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let part = arguments.iter().find(|argument| !argument.starts_with('-')).cloned();
    let wanted = Wanted { part, proof: arguments.iter().any(|argument| argument == "--proof") };
    let node = Node::start(&images()?)?;
    let course = Course { wanted, started: Instant::now(), platform: Platform::new(&node)?, node: &node };
    let result = course.run();
    hold(&node)?;
    result
}

/// What happens on the node, one after the other.
struct Course<'a> {
    wanted: Wanted,
    started: Instant,
    node: &'a Node,
    platform: Platform<'a>,
}

impl Course<'_> {
    fn run(&self) -> Result<()> {
        let cells = self.cells();
        self.platform.import_webhook()?;
        self.platform.install(&["spark-admission.enabled=false"])?;
        self.platform.prepare_namespaces()?;
        self.say(&format!("the operator is there; {} scenarios without the webhook:", cells.len()))?;
        let without = lane::run(self.node, &cells)?;
        let mut seen = Vec::new();
        let mut before = None;
        if self.wanted.part.as_ref().is_none_or(|part| part == INCIDENTS) {
            incidents::broken_node_without(self.node)?;
            before = Some(measured::start_up(self.node)?);
        }
        self.platform.install(&WEBHOOK)?;
        self.say("the webhook is there; the same scenarios with it:")?;
        let with = lane::run(self.node, &cells)?;
        if let Some(before) = before {
            self.see_what_else(before, &mut seen)?;
        }
        self.say("the end")?;
        if self.wanted.proof {
            proof::write(&without, &with, &seen)?;
        }
        let wrong = wrong(&without, &with);
        ensure!(wrong.is_empty(), "otherwise than expected:\n{}", wrong.join("\n"));
        Ok(())
    }

    fn cells(&self) -> Vec<Cell> {
        let listed = || FAILURES.iter().chain(&CELLS).map(|scenario| scenario.cell);
        let mut cells: Vec<_> = listed().collect();
        if self.wanted.proof {
            cells.extend(pairwise().into_iter().filter(|cell| !listed().any(|listed| listed == *cell)));
        }
        let part = self.wanted.part.as_deref().unwrap_or_default();
        cells.retain(|cell| cell.name().contains(part));
        cells
    }

    /// Everything that is not a scenario, with the webhook there.
    fn see_what_else(&self, start_up_before: Duration, seen: &mut Vec<String>) -> Result<()> {
        let while_updated = if self.wanted.proof { 50 } else { 10 };
        let mut note = |what: String| {
            self.say(&what)?;
            seen.push(what);
            Ok::<_, anyhow::Error>(())
        };
        let start_up = measured::start_up(self.node)?;
        note(format!(
            "from the submission of a driver's pod until it runs: {} ms without the webhook, {} ms with it",
            start_up_before.as_millis(),
            start_up.as_millis()
        ))?;
        measured::full_volume(self.node)?.into_iter().try_for_each(&mut note)?;
        note(incidents::broken_node_with(self.node)?)?;
        note(examples::run(self.node, &self.platform)?)?;
        note(crowd::burst(self.node, 10)?)?;
        note(crowd::while_updated(self.node, &self.platform, while_updated, &DENYING)?)?;
        note(incidents::mistakes_denied(self.node)?)?;
        note(incidents::restart(self.node)?)?;
        Ok(())
    }

    fn say(&self, what: &str) -> Result<()> {
        println!("{:>5} s  {what}", self.started.elapsed().as_secs());
        ensure!(self.wanted.proof || self.started.elapsed() < DEADLINE, "it took longer than {DEADLINE:?}");
        Ok(())
    }
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

/// What became of scenarios otherwise than it must: than was expected, or nothing where it ran without the webhook.
fn wrong(without: &[Finished], with: &[Finished]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (without, with) in without.iter().zip(with) {
        let name = without.cell.name();
        let listed = CELLS.iter().chain(&FAILURES).find(|scenario| scenario.cell == without.cell);
        if let Some(scenario) = listed {
            wrong.extend(otherwise(scenario, without, with));
        } else if without.outcome == outcome::Outcome::Ran && with.outcome != outcome::Outcome::Ran {
            wrong.push(format!("{name} ran without the webhook, and with it {}", with.outcome));
        }
        if with.was_ready == Some(false) {
            wrong.push(format!("{name} was called ready, and nobody answered"));
        }
    }
    wrong
}

fn otherwise(scenario: &Scenario, without: &Finished, with: &Finished) -> Vec<String> {
    let name = scenario.cell.name();
    let mut wrong = Vec::new();
    for (expected, seen, lane) in [(scenario.without, without, "without"), (scenario.with, with, "with")] {
        if !expected.holds(&seen.outcome) {
            wrong.push(format!("{name} {lane} the webhook: {}", seen.outcome));
        } else if !expected.is_found(&seen.diagnosis) {
            wrong.push(format!("{name} {lane} the webhook: the doctor says of that {:?}", seen.diagnosis));
        }
    }
    if !scenario.warned.is_empty() && !with.warnings.iter().any(|warning| warning.contains(scenario.warned)) {
        wrong.push(format!("{name}: nothing warns of {}: {:?}", scenario.warned, with.warnings));
    }
    wrong
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
