//! What concerns one resource or one pod, a file a topic.
//!
//! ```text
//! stage       where a pod stands, so that one problem is one finding
//! pending     no node takes it
//! starting    it has a node, and gets no further: volumes, image, configuration
//! ended       a container ended badly: by what it said (said, told), or how it ended (memory)
//! executors   it runs, and has no executors
//! submission  the operator could not submit an application
//! checks      what would be refused or warned about if it were submitted now
//! unanswered  the operator says nothing of a Connect server
//! directory   what may not be written to
//! about       whose it is, and the commands that change what it came from
//! ```
//! A workload that is well is silent, whatever its events and logs say of earlier.

mod about;
mod checks;
mod directory;
mod ended;
mod executors;
mod memory;
mod pending;
mod said;
mod stage;
mod starting;
mod submission;
mod told;
mod unanswered;

use std::collections::{BTreeMap, HashSet};

use super::{
    Finding, Level, LogKey, Look, ObjectName, Observed, Symptom,
    objects::{Pod, Resource},
};
use crate::policy::subject::ResourceKind;
use about::{About, is_executor_of};
use stage::Stage;

/// Everything that is looked for.
pub const ALL: &[Look] = &[pods, submission::look, unanswered::look, checks::look];

/// The states of an application that is over and was well.
const DONE: [&str; 2] = ["COMPLETED", "SUCCEEDING"];

/// One finding at most for each pod that is in trouble; executors of one application that have the same trouble are one finding.
fn pods(observed: &Observed, findings: &mut Vec<Finding>) {
    let mut of_executors: BTreeMap<(String, Symptom), (Finding, usize)> = BTreeMap::new();
    for pod in observed.pods() {
        let about = About::pod(observed, pod);
        if is_done(&about) {
            continue;
        }
        if pod.role() != "executor" {
            findings.extend(of_pod(&about));
            continue;
        }
        // What becomes of executors whose driver ended says nothing.
        let driver = observed.pods().find(|driver| is_executor_of(pod, driver));
        if driver.is_none_or(|driver| stage::of(observed, driver) != Stage::Running) {
            continue;
        }
        if let Some(finding) = of_pod(&about) {
            let run = driver.map(|driver| driver.metadata.uid.clone()).unwrap_or_default();
            let (_, count) = of_executors.entry((run, finding.symptom)).or_insert((finding, 0));
            *count += 1;
        }
    }
    findings.extend(of_executors.into_values().map(|(finding, count)| of_all_executors(observed, finding, count)));
}

/// While others of its kind work, an executor's trouble costs time and not the job.
fn of_all_executors(observed: &Observed, mut finding: Finding, count: usize) -> Finding {
    if count > 1 {
        finding.problem = format!("{count} executors: {}", finding.problem);
    }
    let is_this = |pod: &&Pod| pod.object() == finding.object;
    let Some(executor) = observed.pods().find(is_this) else { return finding };
    let driver = observed.pods().find(|driver| is_executor_of(executor, driver));
    let works = |pod: &Pod| pod.status.phase == "Running" && stage::of(observed, pod) == Stage::Running;
    if observed.pods().any(|pod| driver.is_some_and(|driver| is_executor_of(pod, driver)) && works(pod)) {
        finding.level = Level::Warning;
    }
    finding
}

fn of_pod(about: &About<'_>) -> Option<Finding> {
    match stage::of(about.observed, about.pod?) {
        Stage::Over => None,
        Stage::Unscheduled => pending::look(about),
        Stage::Starting => starting::look(about),
        Stage::Waiting(status, waiting) => starting::waiting(about, status, waiting),
        Stage::PutOut => ended::put_out(about),
        Stage::Ended(status, ended) => ended::look(about, status, ended),
        Stage::Flapping(status, ended) => {
            let finding = ended::look(about, status, ended)?;
            Some(Finding { level: Level::Warning, ..finding })
        }
        Stage::Running => executors::look(about),
    }
}

fn is_done(about: &About<'_>) -> bool {
    about
        .resource
        .is_some_and(|resource| resource.kind == ResourceKind::SparkApplication && DONE.contains(&resource.state()))
}

/// Whether a symptom of an object, or of a pod that was made of it, is told already.
fn tells(observed: &Observed, findings: &[Finding], symptom: Symptom, object: &ObjectName) -> bool {
    let is_pods = |pod: &ObjectName| {
        let made_of = |pod: &Pod| observed.resources().any(|it| it.object() == *object && about::owns(it, pod));
        observed.pods().any(|it| it.object() == *pod && made_of(it))
    };
    let same = |finding: &&Finding| finding.symptom == symptom;
    findings.iter().filter(same).any(|finding| finding.object == *object || is_pods(&finding.object))
}

/// Whether it is told why a resource has no status.
pub(super) fn explains(observed: &Observed, resource: &Resource) -> bool {
    unanswered::explained(observed, resource).is_some()
}

/// The logs that findings are made of: only of pods that are in trouble, since each is a request. Those come first that ended.
#[must_use]
pub fn logs_wanted(pods: &[Pod]) -> Vec<LogKey> {
    let lacking = pods.iter().filter(|pod| executors::lacks_executors(pods, pod)).filter_map(|pod| {
        let running = pod.statuses().find(|status| status.state.running.is_some())?;
        Some(key(pod, &running.name, false))
    });
    let of = |is_running: bool| pods.iter().flat_map(move |pod| logs_of(pod, is_running));
    let mut seen = HashSet::new();
    of(false).chain(lacking).chain(of(true)).filter(|key| seen.insert(key.clone())).collect()
}

/// A container that has ended badly, or is being started again and again, has said why: before the restart, where it was restarted.
fn logs_of(pod: &Pod, is_running: bool) -> impl Iterator<Item = LogKey> {
    let in_trouble = pod.statuses().filter(move |status| {
        let ended = status.ended().is_some_and(|ended| ended.exit_code != 0);
        let is_well = status.state.running.is_some() && pod.proves_ready(status);
        ended && !is_well && status.state.running.is_some() == is_running
    });
    in_trouble.map(|status| key(pod, &status.name, status.restart_count > 0 && status.state.terminated.is_none()))
}

fn key(pod: &Pod, container: &str, previous: bool) -> LogKey {
    LogKey {
        namespace: pod.metadata.namespace.clone(),
        pod: pod.metadata.name.clone(),
        container: container.to_owned(),
        previous,
    }
}

#[cfg(test)]
mod tests;
