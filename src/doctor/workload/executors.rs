//! Drivers and Connect servers that run and have no executors: refused, forbidden, or waiting for something else.

use super::{
    about::{About, is_executor_of},
    memory,
    said::{self, Cause},
    told,
};
use crate::doctor::{Cure, Evidence, Finding, Level, ObjectName, Observed, Symptom, objects::Pod};

/// What Spark says every 15 seconds while nobody does its work (`TaskSchedulerImpl`).
const WAITS: &str = "Initial job has not accepted any resources";

/// What Spark says of an executor that has ended (`ExecutorPodsLifecycleManager`).
const ENDED: &str = " exited with exit code ";

/// Whether a driver or server has no executor that runs, so that its log is worth a request.
pub(super) fn lacks_executors(pods: &[Pod], driver: &Pod) -> bool {
    let runs = driver.statuses().any(|status| status.state.running.is_some());
    let has = |pod: &&Pod| is_executor_of(pod, driver) && ["Running", "Pending"].contains(&pod.status.phase.as_str());
    let has_log = !driver.spec.node_name.is_empty();
    ["driver", "connect-server"].contains(&driver.role()) && runs && has_log && !pods.iter().any(|pod| has(&pod))
}

pub(super) fn look(about: &About<'_>) -> Option<Finding> {
    let Observed { pods, .. } = about.observed;
    let (pods, pod) = (pods.as_ref().ok()?, about.pod?);
    if !lacks_executors(pods, pod) {
        return None;
    }
    let container = &about.container()?.name;
    let log = about.observed.log(pod, container, false)?;
    let evidence = |line: &str| vec![Evidence::log(&pod.object(), container, false, line)];
    let refused = |cause: &Cause| {
        matches!(
            cause,
            Cause::Forbidden { .. } | Cause::Refused { .. } | Cause::WebhookDenied(..) | Cause::WebhookFailed(..)
        ) || matches!(cause, Cause::Template | Cause::DuplicateMount(_) | Cause::AccountMissing(_) | Cause::ConnectCore)
    };
    if let Some(said) = said::by(log).filter(|said| refused(&said.cause)) {
        let is_mended = matches!(said.cause, Cause::Forbidden { .. }) && !about.observed.missing_rights.is_empty();
        // Spark goes on asking: a refusal that is mended is but a line of its past.
        return if is_mended || told::is_told_elsewhere(&said.cause, about) {
            None
        } else {
            told::finding(&said, about, evidence(&said.line))
        };
    }
    failing(about, log, container).or_else(|| waiting(about, log, container))
}

/// Executors that end as soon as they have begun: Spark removes them, so that only the driver's log knows of them.
fn failing(about: &About<'_>, log: &str, container: &str) -> Option<Finding> {
    let ended: Vec<_> = log.lines().filter_map(|line| Some((line, line.split_once(ENDED)?.1))).collect();
    let (line, rest) = ended.last()?;
    // One may end for once.
    if ended.len() < 2 {
        return None;
    }
    let code: i64 = rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()?;
    let as_much_again = |path: &str, least: u64| {
        let now = about.spec(path).and_then(serde_json::Value::as_str).and_then(memory::of_java).unwrap_or(least);
        memory::in_mebibytes(now * 2)
    };
    let (section, name) = ("executor", about.object().name);
    let of_executors = |field: &str, value: &str| {
        let by_hand = || format!("--conf spark.executor.{field}={value}");
        about.patch(&serde_json::json!({section: {field: value}})).unwrap_or_else(by_hand)
    };
    let (why, cure) = match code {
        137 => (
            "killed (137), mostly for their memory",
            Cure::of(
                "Give them more memory beside the heap:",
                of_executors("memoryOverhead", &as_much_again("/executor/memoryOverhead", 384 << 20)),
            ),
        ),
        52 => (
            "out of heap (52)",
            Cure::of("Give them a larger heap:", of_executors("memory", &as_much_again("/executor/memory", 1 << 30))),
        ),
        _ => ("and what they said goes with them", keep_them(about)),
    };
    Some(Finding {
        symptom: Symptom::ExecutorsFailing,
        level: Level::Error,
        problem: format!("its executors end as soon as they have begun, with {code}: {why}"),
        evidence: vec![Evidence::log(&ObjectName::of("Pod", about.namespace(), &name), container, false, line)],
        object: about.object(),
        cure,
    })
}

/// What Spark removes tells nobody why it ended.
pub(super) fn keep_them(about: &About<'_>) -> Cure {
    let keep = about.configure(&[("spark.kubernetes.executor.deleteOnTermination", "false")]);
    let read = format!("kubectl logs -n {} -l spark-role=executor --tail=50", about.namespace());
    Cure::of("Have Spark keep them, and read what one says:", format!("{keep}\n{read}"))
}

/// Jobs that wait for executors of which nothing is known.
fn waiting(about: &About<'_>, log: &str, container: &str) -> Option<Finding> {
    let line = log.lines().rev().find(|line| line.contains(WAITS))?;
    let instances = about.spec("/executor/instances").and_then(serde_json::Value::as_i64);
    let is_dynamic = about.configured("spark.dynamicAllocation.enabled") == Some("true")
        || about.spec("/dynamicAllocation/enabled").and_then(serde_json::Value::as_bool) == Some(true);
    let (problem, cure) = if instances == Some(0) && !is_dynamic {
        let patch = about.patch(&serde_json::json!({"executor": {"instances": 1}}));
        ("its jobs wait, and no executor was asked for", Cure::of("Ask for one:", patch.unwrap_or_default()))
    } else {
        let log = format!("kubectl logs {} -n {} | grep -i executor", about.object().name, about.namespace());
        ("its jobs wait, and there is no executor", Cure::of("See what the driver says of its executors:", log))
    };
    Some(Finding {
        symptom: Symptom::NoExecutors,
        level: Level::Warning,
        problem: problem.to_owned(),
        evidence: vec![Evidence::log(&about.object(), container, false, line)],
        object: about.object(),
        cure,
    })
}
