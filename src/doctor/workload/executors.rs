//! Drivers and Connect servers that run and have no executors: refused, forbidden, or waiting for something else.

use super::{
    about::{About, is_executor_of},
    said::{self, Cause},
    told,
};
use crate::doctor::{Cure, Evidence, Finding, Level, Observed, Symptom, objects::Pod};

/// What Spark says every 15 seconds while nobody does its work (`TaskSchedulerImpl`).
const WAITS: &str = "Initial job has not accepted any resources";

/// Whether a driver or server has no executor that runs, so that its log is worth a request.
pub(super) fn lacks_executors(pods: &[Pod], driver: &Pod) -> bool {
    let runs = driver.statuses().any(|status| status.state.running.is_some());
    let has = |pod: &&Pod| is_executor_of(pod, driver) && ["Running", "Pending"].contains(&pod.status.phase.as_str());
    ["driver", "connect-server"].contains(&driver.role()) && runs && !pods.iter().any(|pod| has(&pod))
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
    let waits = log.lines().rev().find(|line| line.contains(WAITS))?;
    let instances = about.spec("/executor/instances").and_then(serde_json::Value::as_i64);
    let is_dynamic = about.configured("spark.dynamicAllocation.enabled") == Some("true")
        || about.spec("/dynamicAllocation/enabled").and_then(serde_json::Value::as_bool) == Some(true);
    let (problem, cure) = if instances == Some(0) && !is_dynamic {
        let patch = about.patch(&serde_json::json!({"executor": {"instances": 1}}));
        ("its jobs wait, and no executor was asked for".to_owned(), Cure::of("Ask for one:", patch.unwrap_or_default()))
    } else {
        let problem = "its jobs wait, and there is no executor".to_owned();
        (
            problem,
            Cure::of(
                "See what the driver says of its executors:",
                format!("kubectl logs {} -n {} | grep -i executor", pod.metadata.name, about.namespace()),
            ),
        )
    };
    Some(Finding {
        symptom: Symptom::NoExecutors,
        level: Level::Warning,
        object: about.object(),
        problem,
        evidence: evidence(waits),
        cure,
    })
}
