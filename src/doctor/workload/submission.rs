//! Applications that the operator could not submit: what its `spark-submit` said.

use super::{
    about::About,
    said::{self, Cause},
    told,
};
use crate::{
    doctor::{Cure, Evidence, Finding, Level, Observed, Symptom},
    policy::subject::ResourceKind,
};

/// The states of an application that could not be submitted, now or at last (api/v1beta2 of spark-operator 2.4.0).
const NOT_SUBMITTED: [&str; 2] = ["SUBMISSION_FAILED", "FAILED"];

pub(super) fn look(observed: &Observed, findings: &mut Vec<Finding>) {
    let applications = observed.resources().filter(|resource| resource.kind == ResourceKind::SparkApplication);
    for application in applications.filter(|it| !it.metadata.is_being_deleted()) {
        let message = application.error_message();
        if message.is_empty() || !NOT_SUBMITTED.contains(&application.state()) {
            continue;
        }
        let about = About::resource(observed, application);
        let has_driver = observed.pods().any(|pod| pod.role() == "driver" && super::about::owns(application, pod));
        // What a driver ended with is told by the driver.
        if has_driver {
            continue;
        }
        let object = application.object();
        let evidence = |line: &str| vec![Evidence::field(&object, "status.applicationState.errorMessage", line)];
        let said = said::by(message);
        let known = said.as_ref().filter(|said| said.cause != Cause::Exception);
        if known.is_some_and(|said| told::is_told_elsewhere(&said.cause, &about)) {
            continue;
        }
        if let Some(finding) = known.and_then(|said| told::finding(said, &about, evidence(&said.line))) {
            findings.push(finding);
            continue;
        }
        findings.push(if is_about_a_driver(message) {
            Finding {
                symptom: Symptom::ContainerFailed,
                level: Level::Error,
                problem: format!("it failed, and its driver is gone: {}", first_line(message)),
                evidence: evidence(message),
                cure: Cure::of(
                    "What the driver said went with it, unless a log collector has it. Have it run again, and look at it before it is deleted:",
                    format!("kubectl logs -f -n {} -l sparkoperator.k8s.io/app-name={},spark-role=driver", object.namespace, object.name),
                ),
                object: object.clone(),
            }
        } else {
            let line = said.map_or_else(|| first_line(message), |said| said.line);
            Finding {
                symptom: Symptom::SubmissionFailed,
                level: Level::Error,
                problem: format!("the operator could not submit it: {}", line.chars().take(300).collect::<String>()),
                evidence: evidence(&line),
                cure: Cure::of(
                    "Repair what it names and submit it again; all that spark-submit said:",
                    format!("kubectl get sparkapplication {} -n {} -o jsonpath='{{.status.applicationState.errorMessage}}'", object.name, object.namespace),
                ),
                object: object.clone(),
            }
        });
    }
}

/// What the operator writes when a driver was there (controller.go of spark-operator 2.4.0).
fn is_about_a_driver(message: &str) -> bool {
    ["driver pod not found", "driver container failed with ExitCode", "driver container status missing"]
        .iter()
        .any(|text| message.starts_with(text))
}

fn first_line(message: &str) -> String {
    message.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().chars().take(300).collect()
}
