//! Runs scenarios on a node, a few at a time, each until its outcome is known.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    cell::{Cell, Packages},
    connect_client::{ConnectClient, address, answers, has_counted},
    manifest,
    node::{Node, is_kept},
    outcome::{Outcome, Seen, see, telling},
};

/// How many run at once, on two cores; not counting those in which nothing has happened for a while.
const AT_ONCE: usize = 3;
const IDLE: Duration = Duration::from_secs(30);
const EVERY: Duration = Duration::from_secs(1);
/// How long nothing may change until a scenario counts as one that never ends.
const STANDSTILL: Duration = Duration::from_mins(2);
/// How long one may take in all.
const AT_MOST: Duration = Duration::from_secs(400);
/// How long the doctor is asked about one that failed, until it finds something: a server that was just started again is well for a moment.
const DIAGNOSIS: Duration = Duration::from_secs(45);

/// What the kubelet says of a container whose log it cannot find.
const NO_LOG_YET: &str = "unable to retrieve container logs";

/// What became of a scenario.
pub struct Finished {
    pub cell: Cell,
    pub outcome: Outcome,
    pub took: Duration,
    /// What the API server told the user at the submission.
    pub warnings: Vec<String>,
    /// Of a Connect server: whether it answered when its resource was first called ready.
    pub was_ready: Option<bool>,
    /// What a client said that failed, though the server was called ready.
    pub client_said: String,
    /// What the doctor finds in it where it failed: the names.
    pub diagnosis: Vec<String>,
}

/// A scenario that goes on.
struct Running {
    cell: Cell,
    started: Instant,
    changed: Instant,
    state: String,
    client: Option<Child>,
    client_said: String,
    warnings: Vec<String>,
    was_ready: Option<bool>,
    /// What became of it, and when that was seen.
    outcome: Option<(Outcome, Instant)>,
}

/// Runs all of them, and removes each when its outcome is known. In the order in which they were given.
pub fn run(node: &Node, cells: &[Cell]) -> Result<Vec<Finished>> {
    let client = ConnectClient::find()?;
    let mut waiting = cells.iter().copied();
    let mut running: Vec<Running> = Vec::new();
    let mut results = Vec::new();
    loop {
        while running.iter().filter(|one| one.changed.elapsed() < IDLE).count() < AT_ONCE
            && let Some(cell) = waiting.next()
        {
            match submit(node, cell)? {
                Ok(started) => running.push(started),
                Err(refused) => finish(node, &mut results, refused)?,
            }
        }
        if running.is_empty() {
            results.sort_by_key(|result| cells.iter().position(|cell| *cell == result.cell));
            return Ok(results);
        }
        std::thread::sleep(EVERY);
        node.check()?;
        let objects = objects(node)?;
        let mut still = Vec::new();
        for mut one in running {
            if one.outcome.is_none() {
                one.outcome = one.advance(node, &client, &objects)?.map(|outcome| (outcome, Instant::now()));
            }
            match one.finished(node)? {
                Some(result) => finish(node, &mut results, result)?,
                None => still.push(one),
            }
        }
        running = still;
    }
}

fn finish(node: &Node, results: &mut Vec<Finished>, result: Finished) -> Result<()> {
    let (name, took, outcome) = (result.cell.name(), result.took.as_secs(), &result.outcome);
    eprintln!("  {name:<45} {took:>4} s  {outcome}");
    if !result.diagnosis.is_empty() {
        eprintln!("  {:<45} {:>4}    the doctor: {}", "", "", result.diagnosis.join(", "));
    }
    if !is_kept() || result.outcome == Outcome::Ran {
        remove(node, result.cell, false)?;
    }
    results.push(result);
    Ok(())
}

/// Removes what a scenario has made; waits until it is gone where that is asked for.
fn remove(node: &Node, cell: Cell, is_awaited: bool) -> Result<()> {
    let manifest = manifest::of(cell);
    let (kind, name) = (manifest["kind"].as_str().unwrap_or_default(), cell.name());
    let wait = format!("--wait={is_awaited}");
    let delete = ["-n", cell.namespace(), "delete", "--ignore-not-found", &wait];
    node.kubectl(&[&delete[..], &[kind, &name]].concat())?;
    // A server's shell does not hear that it is to end, and what spark-submit made belongs to nobody.
    for suffix in ["-server", "-driver", ""] {
        node.kubectl(&[&delete[..], &["--grace-period=1", "pod", &format!("{name}{suffix}")]].concat())?;
    }
    Ok(())
}

fn submit(node: &Node, cell: Cell) -> Result<std::result::Result<Running, Finished>> {
    if is_kept() {
        remove(node, cell, true)?;
    }
    let started = Instant::now();
    let (applied, complaints) = node.apply(&manifest::of(cell).to_string())?;
    let warnings = complaints.lines().filter_map(|line| line.strip_prefix("Warning: ")).map(str::to_owned).collect();
    let mut running = Running {
        cell,
        started,
        changed: started,
        state: String::new(),
        client: None,
        client_said: String::new(),
        warnings,
        was_ready: None,
        outcome: None,
    };
    if applied {
        return Ok(Ok(running));
    }
    let outcome = Outcome::Refused(complaints.lines().last().unwrap_or_default().to_owned());
    Ok(Err(running.end(outcome, Instant::now(), Vec::new())))
}

/// All that outcomes are read from.
fn objects(node: &Node) -> Result<Vec<Value>> {
    let kinds = "pods,sparkapplications,sparkconnects";
    let mut list: Value = serde_json::from_str(&node.kubectl(&["get", kinds, "-A", "-o", "json"])?)?;
    Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default())
}

impl Running {
    fn advance(&mut self, node: &Node, client: &ConnectClient, objects: &[Value]) -> Result<Option<Outcome>> {
        let namespace = self.cell.namespace();
        match see(self.cell, objects) {
            Seen::Ran => return Ok(Some(Outcome::Ran)),
            Seen::Failed { place, message } => return Ok(Some(Outcome::Failed { place, message })),
            Seen::FailedPod { pod, previous } => {
                let mut arguments = vec!["-n", namespace, "logs", &pod, "--tail=2000"];
                if previous {
                    arguments.push("--previous");
                }
                let log = node.kubectl(&arguments).unwrap_or_else(|error| error.to_string());
                // The kubelet has just restarted the container, and has not yet put aside what the one before has said.
                if log.contains(NO_LOG_YET) && self.started.elapsed() < AT_MOST {
                    return Ok(None);
                }
                return Ok(Some(Outcome::Failed { place: format!("in the log of {pod}"), message: telling(&log) }));
            }
            Seen::Ready { service } => {
                if self.ask_server(node, client, &service)? {
                    return Ok(Some(Outcome::Ran));
                }
            }
            Seen::Going(state) if state != self.state => {
                self.state = state;
                self.changed = Instant::now();
            }
            Seen::Going(_) => {}
        }
        // What is large is downloaded without a word.
        let standstill = if self.cell.packages == Packages::Large { AT_MOST } else { STANDSTILL };
        if self.changed.elapsed() < standstill && self.started.elapsed() < AT_MOST {
            return Ok(None);
        }
        Ok(Some(Outcome::Failed {
            place: format!("nothing changes ({})", self.state.trim()),
            message: self.last_event(node)?,
        }))
    }

    /// What became of it and what the doctor says of that, as soon as both are known.
    fn finished(&mut self, node: &Node) -> Result<Option<Finished>> {
        let Some((outcome, since)) = &self.outcome else { return Ok(None) };
        let diagnosis = if *outcome == Outcome::Ran { Vec::new() } else { diagnosis(node, self.cell)? };
        // A check finds something in what was submitted, whatever became of it.
        let is_known = diagnosis.iter().any(|finding| finding != "fails-check");
        if *outcome != Outcome::Ran && !is_known && since.elapsed() < DIAGNOSIS {
            return Ok(None);
        }
        let (outcome, since) = (outcome.clone(), *since);
        Ok(Some(self.end(outcome, since, diagnosis)))
    }

    fn end(&mut self, outcome: Outcome, seen: Instant, diagnosis: Vec<String>) -> Finished {
        Finished {
            cell: self.cell,
            outcome,
            took: seen.duration_since(self.started),
            warnings: std::mem::take(&mut self.warnings),
            was_ready: self.was_ready,
            client_said: std::mem::take(&mut self.client_said),
            diagnosis,
        }
    }

    /// Whether a client got its answer from the server; starts one where none is on its way.
    fn ask_server(&mut self, node: &Node, client: &ConnectClient, service: &str) -> Result<bool> {
        let Some(asking) = &mut self.client else {
            let address = address(node, self.cell.namespace(), service)?;
            if self.was_ready.is_none() {
                self.was_ready = Some(answers(&address)?);
                self.changed = Instant::now();
            }
            self.client = Some(client.ask(&address)?);
            return Ok(false);
        };
        if asking.try_wait()?.is_none() {
            return Ok(false);
        }
        let output = self.client.take().map(Child::wait_with_output).transpose()?.context("it was there")?;
        if let Err(said) = has_counted(&output) {
            self.client_said = said;
            return Ok(false);
        }
        Ok(true)
    }

    /// What the events of its pods say, the newest; what the client said of a server that is ready.
    fn last_event(&self, node: &Node) -> Result<String> {
        if !self.client_said.is_empty() {
            return Ok(telling(&self.client_said));
        }
        let text = node.kubectl(&[
            "-n",
            self.cell.namespace(),
            "get",
            "events",
            "--sort-by=.metadata.creationTimestamp",
            "-o",
            "json",
        ])?;
        let events: Value = serde_json::from_str(&text)?;
        let name = self.cell.name();
        let mut own = events["items"].as_array().into_iter().flatten().filter(|event| {
            event["type"] == "Warning"
                && event["involvedObject"]["name"].as_str().is_some_and(|object| object.starts_with(&name))
        });
        let last = own.next_back().map(|event| {
            format!(
                "{} {}",
                event["reason"].as_str().unwrap_or_default(),
                event["message"].as_str().unwrap_or_default()
            )
        });
        Ok(last.map_or_else(|| "no event, no message".to_owned(), |message| message.chars().take(300).collect()))
    }
}

/// What the doctor says of a scenario that failed, which is still there.
fn diagnosis(node: &Node, cell: Cell) -> Result<Vec<String>> {
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_spark-admission"));
    doctor.args(["doctor", "-o", "json", "-n", cell.namespace(), "--kubeconfig"]).arg(node.kubeconfig());
    let output = doctor.stdin(Stdio::null()).output()?;
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).with_context(said)?;
    let findings = report["findings"].as_array().into_iter().flatten();
    // Of an account or a namespace it says whose it is, or what waits there.
    let about = [cell.name(), cell.account().to_owned(), cell.namespace().to_owned()];
    let is_ours = |finding: &&Value| {
        let object = finding["object"]["name"].as_str().unwrap_or_default();
        finding.to_string().contains(&cell.name()) || about.iter().any(|name| name == object)
    };
    let names = findings.filter(is_ours).filter_map(|finding| finding["finding"].as_str());
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(client) = &mut self.client {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}
