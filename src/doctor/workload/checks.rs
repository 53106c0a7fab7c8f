//! What the webhook's checks find in what is there already: it was submitted before them, past them, or under another policy.

use crate::{
    doctor::{
        Cure, Evidence, Finding, Level, Observed, Symptom,
        rehearsal::{Rehearsal, of_pod, of_resource, snapshot},
    },
    policy::{check::Check, finding::Finding as CheckFinding, judgement::Verdict},
};

/// Checks that are symptoms of their own here, which know more of the cluster.
const SYMPTOMS: [Check; 4] =
    [Check::NamespaceNotWatched, Check::ServiceAccountMissing, Check::DriverPermissions, Check::UnwatchedEdit];

pub(super) fn look(observed: &Observed, findings: &mut Vec<Finding>) {
    let snapshot = snapshot(observed);
    let resources = observed.resources().filter(|resource| resource.state() != "COMPLETED");
    let resources =
        resources.map(|resource| of_resource(resource.kind, &resource.metadata, &resource.json, observed, &snapshot));
    // What an operator made of a resource is judged there.
    let pods = observed.pods().filter(|pod| pod.role() == "driver" && pod.status.phase != "Succeeded" && !is_made(pod));
    let pods = pods.map(|pod| of_pod(&pod.metadata, &pod.json, observed, &snapshot));
    for rehearsal in resources.chain(pods) {
        let wanted = rehearsal.would_find.iter().filter(|(finding, _)| !SYMPTOMS.contains(&finding.check));
        findings.extend(wanted.map(|(finding, verdict)| found(&rehearsal, finding, *verdict)));
    }
}

fn is_made(pod: &crate::doctor::objects::Pod) -> bool {
    let labels = ["sparkoperator.k8s.io/launched-by-spark-operator", "spark.operator/name"];
    labels.iter().any(|label| pod.metadata.labels.contains_key(*label))
}

fn found(rehearsal: &Rehearsal, finding: &CheckFinding, verdict: Verdict) -> Finding {
    let object = rehearsal.object.clone();
    let name = finding.check.name();
    Finding {
        symptom: Symptom::FailsCheck,
        level: if verdict == Verdict::Denied { Level::Error } else { Level::Warning },
        problem: format!("the check {name}: {}", finding.problem),
        evidence: vec![Evidence::field(&object, &finding.path.to_string(), &finding.problem)],
        cure: Cure::of(format!("{}; what the check knows is told in docs/checks.md#{name}.", finding.cure), ""),
        object,
    }
}
