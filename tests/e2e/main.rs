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
    fs::File,
    io::Write as _,
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};

use cell::Cell;
use lane::Finished;
use node::{Node, is_kept};
use outcome::Outcome;
use platform::Platform;
use scenarios::{CELLS, FAILURES, Scenario, pairwise};

/// How long all of it may take on two cores, once the images are made; the proof takes longer.
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
    /// Only scenarios whose name holds this, also those of the proof, and nothing else; or the incidents alone.
    part: Option<String>,
    /// All pairs of columns, fifty applications, and the page.
    proof: bool,
}

fn main() -> ExitCode {
    let result = missing().map_or_else(run, |why| skip(&why));
    // Without a backtrace: what it says of the node is what matters.
    result.map_or_else(
        |error| {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

fn run() -> Result<()> {
    let wanted = Wanted::read(std::env::args().skip(1))?;
    let images = images()?;
    if !wanted.proof && !is_kept() {
        std::thread::spawn(end_at_deadline);
    }
    let node = Node::start(&images)?;
    let course = Course { wanted, started: Instant::now(), platform: Platform::new(&node)?, node: &node };
    let result = course.run();
    hold(&node)?;
    result
}

/// Ends the test, whatever it waits for; what runs on the machine ends with it.
fn end_at_deadline() {
    std::thread::sleep(DEADLINE);
    eprintln!("it takes longer than {DEADLINE:?}");
    std::process::exit(1);
}

impl Wanted {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut wanted = Self { part: None, proof: false };
        for argument in arguments {
            match argument.as_str() {
                "--proof" => wanted.proof = true,
                _ if argument.starts_with('-') => {
                    bail!("{argument} is not known: give --proof, or a part of scenarios' names")
                }
                _ => wanted.part = Some(argument),
            }
        }
        ensure!(!wanted.proof || wanted.part.is_none(), "the page is of all scenarios, and not of a part");
        Ok(wanted)
    }

    /// The scenarios that were asked for.
    fn cells(&self) -> Result<Vec<Cell>> {
        let mut cells = listed();
        if self.proof || self.part.is_some() {
            cells.extend(pairwise().into_iter().filter(|cell| !listed().contains(cell)));
        }
        let Some(part) = &self.part else { return Ok(cells) };
        cells.retain(|cell| cell.name().contains(part));
        ensure!(part == INCIDENTS || !cells.is_empty(), "no scenario's name has {part} in it");
        Ok(cells)
    }

    fn has_incidents(&self) -> bool {
        self.part.as_ref().is_none_or(|part| part == INCIDENTS)
    }
}

/// The scenarios of the list; those first that take longest.
fn listed() -> Vec<Cell> {
    FAILURES.iter().chain(&CELLS).map(|scenario| scenario.cell).collect()
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
        let (cells, commit) = (self.wanted.cells()?, proof::commit()?);
        self.platform.import_webhook()?;
        self.platform.install(&["spark-admission.enabled=false"])?;
        self.platform.prepare_namespaces()?;
        self.platform.prepare_disks(&cells)?;
        self.say(&format!("the operator is there; {} scenarios without the webhook:", cells.len()));
        let without = lane::run(self.node, &cells)?;
        let mut before = None;
        if self.wanted.has_incidents() {
            incidents::broken_node_without(self.node)?;
            before = Some(measured::start_up(self.node)?);
        }
        self.platform.install(&WEBHOOK)?;
        self.say("the webhook is there; the same scenarios with it:");
        let with = lane::run(self.node, &cells)?;
        let wrong = wrong(&without, &with);
        for what in &wrong {
            self.say(&format!("otherwise than expected: {what}"));
        }
        if let Some(before) = before {
            let mut seen = Vec::new();
            let result = self.see_what_else(before, &mut seen);
            if self.wanted.proof {
                proof::write(&commit, &without, &with, &seen)?;
            }
            result?;
        }
        self.say("the end");
        ensure!(wrong.is_empty(), "otherwise than expected:\n{}", wrong.join("\n"));
        Ok(())
    }

    /// Everything that is not a scenario, with the webhook there.
    fn see_what_else(&self, start_up_before: Duration, seen: &mut Vec<String>) -> Result<()> {
        let while_updated = if self.wanted.proof { 50 } else { 10 };
        let mut note = |what: String| {
            self.say(&what);
            seen.push(what);
        };
        let start_up = measured::start_up(self.node)?;
        note(format!(
            "from the submission of a driver's pod until it runs: {} ms without the webhook, {} ms with it",
            start_up_before.as_millis(),
            start_up.as_millis()
        ));
        measured::full_volume(self.node)?.into_iter().for_each(&mut note);
        note(incidents::broken_node_with(self.node)?);
        // While nothing is downloaded yet.
        note(crowd::burst(self.node, 10)?);
        note(examples::run(self.node, &self.platform)?);
        note(crowd::while_updated(self.node, &self.platform, while_updated, &DENYING)?);
        note(incidents::mistakes_denied(self.node)?);
        note(incidents::restart(self.node)?);
        Ok(())
    }

    fn say(&self, what: &str) {
        println!("{:>5} s  {what}", self.started.elapsed().as_secs());
    }
}

/// Says that the test is skipped; in a file too, where somebody has named one.
fn skip(why: &str) -> Result<()> {
    let skipped = format!("the end-to-end test: {why}");
    println!("skipped: {skipped}");
    if let Some(file) = std::env::var_os("SPARK_ADMISSION_SKIPPED") {
        writeln!(File::options().append(true).create(true).open(file)?, "{skipped}")?;
    }
    Ok(())
}

/// Why the test cannot run here, where it cannot.
fn missing() -> Option<String> {
    let says = |script: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.status().is_ok_and(|status| status.success())
    };
    if !says("[ $(uname -s) = Linux ] && [ $(id -u) = 0 ]") {
        return Some("it needs root on Linux".to_owned());
    }
    if !cfg!(target_arch = "x86_64") {
        return Some("its images are for amd64 alone".to_owned());
    }
    if !says("grep -qx ID=debian /etc/os-release") {
        return Some("its programs come from Debian's packages, and this is no Debian".to_owned());
    }
    let programs = ["apt-get", "gcc", "ip", "javac", "nsenter", "python3", "setpriv", "unshare"];
    if let Some(program) = programs.iter().find(|program| !says(&format!("command -v {program}"))) {
        return Some(format!("there is no {program}"));
    }
    (!says("unshare --pid --net --mount --fork mount --make-rprivate /"))
        .then(|| "this root may not make namespaces".to_owned())
}

/// What became of scenarios otherwise than it must: than was expected, or nothing where it ran without the webhook.
fn wrong(without: &[Finished], with: &[Finished]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (without, with) in without.iter().zip(with) {
        let name = without.cell.name();
        let listed = CELLS.iter().chain(&FAILURES).find(|scenario| scenario.cell == without.cell);
        if let Some(scenario) = listed {
            wrong.extend(otherwise(scenario, without, with));
        } else if without.outcome == Outcome::Ran && with.outcome != Outcome::Ran {
            wrong.push(format!("{name} ran without the webhook, and with it {}", with.outcome));
        }
        if with.was_ready == Some(false) {
            wrong.push(format!("{name} was called ready, and nobody answered"));
        }
        if with.outcome == Outcome::Ran && !with.client_said.is_empty() {
            wrong
                .push(format!("{name} was called ready, and a client failed: {}", outcome::telling(&with.client_said)));
        }
    }
    wrong
}

fn otherwise(scenario: &Scenario, without: &Finished, with: &Finished) -> Vec<String> {
    let name = scenario.cell.name();
    let mut wrong = Vec::new();
    for (expected, seen, how) in [(scenario.without, without, "without"), (scenario.with, with, "with")] {
        if !expected.holds(&seen.outcome) {
            wrong.push(format!("{name} {how} the webhook: {}", seen.outcome));
        } else if !expected.is_found(&seen.diagnosis) {
            wrong.push(format!("{name} {how} the webhook: the doctor says of that {:?}", seen.diagnosis));
        }
    }
    if !scenario.warned.is_empty() && !with.warnings.iter().any(|warning| warning.contains(scenario.warned)) {
        wrong.push(format!("{name}: nothing warns of {}: {:?}", scenario.warned, with.warnings));
    }
    wrong
}

/// Keeps the node for whoever wants to look around, until the end of standard input.
fn hold(node: &Node) -> Result<()> {
    if is_kept() {
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
