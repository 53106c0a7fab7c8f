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

/// The states of applications and servers that work, or have.
const WORKING: [&str; 4] = ["RUNNING", "SUCCEEDING", "COMPLETED", "Ready"];

pub(super) fn look(observed: &Observed, findings: &mut Vec<Finding>) {
    let snapshot = snapshot(observed);
    // What works is not spoken of, however likely it was to fail.
    let resources = observed.resources().filter(|resource| !WORKING.contains(&resource.state()));
    let resources =
        resources.map(|resource| of_resource(resource.kind, &resource.metadata, &resource.json, observed, &snapshot));
    // What an operator made of a resource is judged there.
    let pods = observed.pods().filter(|pod| pod.role() == "driver" && pod.status.phase != "Succeeded" && !is_made(pod));
    let pods = pods.map(|pod| of_pod(&pod.metadata, &pod.json, observed, &snapshot));
    for rehearsal in resources.chain(pods) {
        let is_told =
            |check: Check| told_by(check).iter().any(|it| super::tells(observed, findings, *it, &rehearsal.object));
        let wanted = rehearsal.would_find.iter().filter(|(it, _)| !SYMPTOMS.contains(&it.check) && !is_told(it.check));
        let wanted: Vec<_> = wanted.map(|(finding, verdict)| found(&rehearsal, finding, *verdict)).collect();
        findings.extend(wanted);
    }
}

/// What has come of what a check finds: where that is seen, it is told with its evidence, and not once more.
const fn told_by(check: Check) -> &'static [Symptom] {
    match check {
        Check::SparkMemory => &[Symptom::HeapSize],
        Check::MemoryQuantity => &[Symptom::MemoryInBytes],
        Check::MemoryBudget => &[Symptom::OomKilled, Symptom::PodRefused, Symptom::ExecutorsRefused],
        Check::FlaggedNode => &[Symptom::BrokenNode, Symptom::OnlyFlaggedNodes],
        Check::IvyNotWritable => &[Symptom::IvyNotWritable],
        Check::ReadOnlyRoot => &[Symptom::DirectoryNotWritable],
        Check::ConnectClass => &[Symptom::ConnectClassMissing],
        Check::ConnectCore => &[Symptom::ConnectCore],
        Check::UnnamedUid => &[Symptom::UnnamedUser, Symptom::IvyNotWritable],
        Check::ExecutorTemplate => &[Symptom::ExecutorTemplate],
        Check::ScalaMismatch | Check::SparkMismatch => &[Symptom::IvyUnresolved],
        Check::DuplicateMount => &[Symptom::PodRefused, Symptom::ExecutorsRefused],
        _ => &[],
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{check::Level as CheckLevel, field_path::path};

    #[test]
    fn says_what_a_check_finds() {
        let finding = CheckFinding {
            check: Check::SparkMemory,
            at_most: CheckLevel::Deny,
            path: path(["spec", "driver", "memory"]),
            problem: "\"512Mi\" is nothing that Spark can read".to_owned(),
            cure: "write 512m".to_owned(),
        };
        for (verdict, level) in
            [(Verdict::Denied, Level::Error), (Verdict::Warned, Level::Warning), (Verdict::Spared, Level::Warning)]
        {
            let found = found(&Rehearsal::default(), &finding, verdict);
            assert_eq!(found.level, level, "{verdict:?}");
            assert_eq!(found.problem, "the check spark-memory: \"512Mi\" is nothing that Spark can read");
            assert!(
                found.cure.sentence.starts_with("write 512m; ")
                    && found.cure.sentence.contains("docs/checks.md#spark-memory")
            );
        }
    }
}
