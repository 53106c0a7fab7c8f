//! Containers that ended badly: what they said, or how they ended.

use super::{
    about::About,
    memory,
    said::{self, Cause, Said},
    starting, told,
};
use crate::doctor::{
    Cure, Evidence, Finding, Level, Symptom,
    objects::{ContainerStatus, Terminated},
};

/// 128 + SIGTERM: somebody asked it to end.
const TERMINATED: i64 = 143;

/// The finding about a container that ended badly.
pub(super) fn look(about: &About<'_>, status: &ContainerStatus, ended: &Terminated) -> Option<Finding> {
    // The kernel leaves no time to say anything.
    if ended.reason == "OOMKilled" {
        return memory::ended(about, status, ended);
    }
    if let Some(finding) = starting::not_started(about, status, ended) {
        return Some(finding);
    }
    let said = said(about, status);
    if said.as_ref().is_some_and(|(said, _)| told::is_told_elsewhere(&said.cause, about)) {
        return None;
    }
    if let Some((said, evidence)) = &said
        && let Some(finding) = told::finding(said, about, vec![evidence.clone(), ended_with(about, status, ended)])
    {
        return Some(finding);
    }
    if let Some(finding) = memory::ended(about, status, ended) {
        return Some(finding);
    }
    let object = about.object();
    let (symptom, problem) = if ended.exit_code == TERMINATED {
        (
            Symptom::Killed,
            format!("{} was told to end (143): its node was drained, or somebody deleted it", status.name),
        )
    } else {
        let words = said.as_ref().map(|(said, _)| format!(": {}", said.line.chars().take(200).collect::<String>()));
        (
            Symptom::ContainerFailed,
            format!("{} ended with {}{}", status.name, ended.exit_code, words.unwrap_or_default()),
        )
    };
    let mut evidence = vec![ended_with(about, status, ended)];
    evidence.extend(said.map(|(_, evidence)| evidence));
    let previous = if status.state.terminated.is_none() { " --previous" } else { "" };
    let log = format!("kubectl logs {} -n {} -c {}{previous}", object.name, object.namespace, status.name);
    let cure = if symptom == Symptom::Killed {
        Cure::of("See what happened to it and on its node at that time:", about.describe())
    } else {
        Cure::of("It is the program's own matter: read what it said before:", log)
    };
    Some(Finding { symptom, level: Level::Error, object, problem, evidence, cure })
}

/// What the container said, now or before it was started again.
fn said(about: &About<'_>, status: &ContainerStatus) -> Option<(Said, Evidence)> {
    let pod = about.pod?;
    let of = |previous: bool| {
        let said = said::by(about.observed.log(pod, &status.name, previous)?)?;
        let evidence = Evidence::log(&pod.object(), &status.name, previous, &said.line);
        Some((said, evidence))
    };
    let (now, before) = (of(false), of(true));
    // What is known beats what is not.
    match (now, before) {
        (Some(now), Some(before)) if now.0.cause == Cause::Exception && before.0.cause != Cause::Exception => {
            Some(before)
        }
        (now, before) => now.or(before),
    }
}

fn ended_with(about: &About<'_>, status: &ContainerStatus, ended: &Terminated) -> Evidence {
    let restarts = match status.restart_count {
        0 => String::new(),
        1 => ", started again once".to_owned(),
        count => format!(", started again {count} times"),
    };
    let reason = if ended.reason.is_empty() { String::new() } else { format!(" ({})", ended.reason) };
    let path = format!("status, container {}", status.name);
    Evidence::field(&about.object(), &path, format!("ended with {}{reason}{restarts}", ended.exit_code))
}

/// A pod that the kubelet put an end to.
pub(super) fn put_out(about: &About<'_>) -> Option<Finding> {
    let status = &about.pod?.status;
    let object = about.object();
    let evidence = vec![Evidence::field(&object, "status.reason", format!("{}: {}", status.reason, status.message))];
    let message = &status.message;
    let sentence = if message.contains("EmptyDir volume") || message.contains("ephemeral") {
        "It wrote more to a volume or disk than it may: raise the sizeLimit that the message names, or the request of ephemeral-storage."
    } else if message.contains("low on resource") {
        "Its node ran out of what the message names: ask for what the pod needs, so that it lands where there is room."
    } else {
        "See what happened to its node:"
    };
    let problem = format!("the pod was ended ({}): {}", status.reason, message.chars().take(300).collect::<String>());
    let cure = Cure::of(sentence, about.describe());
    Some(Finding { symptom: Symptom::Evicted, level: Level::Error, object, problem, evidence, cure })
}
