//! What is said of an object in a few lines: which one, what became of it, and what its author is told.

use super::reviewed::Reviewed;
use crate::policy::outcome::{Outcome, Untouched};
use crate::policy::plan::Edit;
use crate::policy::{Mutation, Role};

/// Which object it is, and where it stands: `SparkApplication spark/pi (apps.yaml, document 2)`.
pub(super) fn headline(reviewed: &Reviewed) -> String {
    let record = &reviewed.record;
    let update = if record.operation == "create" { String::new() } else { record.operation.to_uppercase() + " of " };
    let kind = if record.kind.is_empty() { "object" } else { &record.kind };
    let name = if record.name.is_empty() { "without a name" } else { &record.name };
    // Of other kinds nobody here knows whether they live in namespaces.
    let says_namespace = record.resource != "other" || reviewed.before["metadata"].get("namespace").is_some();
    let namespace = if says_namespace { format!("{}/", record.namespace) } else { String::new() };
    format!("{update}{kind} {namespace}{name} ({})", reviewed.place)
}

/// What became of it.
pub(super) fn verdict(reviewed: &Reviewed) -> String {
    if !reviewed.is_allowed() {
        return format!("denied: {}", reviewed.refusal());
    }
    if let Some(error) = &reviewed.record.error {
        return format!("unchanged: {error}");
    }
    match reviewed.untouched() {
        Some(why) if reviewed.is_changed() => {
            format!("not looked at: {}; but its annotations are handed down to its pods", why.sentence())
        }
        Some(why) => format!("not looked at: {}", why.sentence()),
        None => of_mutations(reviewed),
    }
}

fn of_mutations(reviewed: &Reviewed) -> String {
    let named = |wanted: Outcome| {
        let outcomes = reviewed.outcomes().iter().filter(|(_, outcome)| *outcome == wanted);
        outcomes.map(|(mutation, _)| mutation.name()).collect::<Vec<_>>().join(", ")
    };
    let (applied, observed) = (named(Outcome::Applied), named(Outcome::Observed));
    let only_observed = "only observed by the policy, so not done";
    match (applied.is_empty(), observed.is_empty()) {
        (false, true) => format!("changed by {applied}"),
        (false, false) => format!("changed by {applied}; {only_observed}: {observed}"),
        (true, false) => format!("unchanged: {only_observed}: {observed}"),
        (true, true) if reviewed.is_changed() => "changed: its annotations are handed down to its pods".to_owned(),
        (true, true) => format!("unchanged: {}", reasons(reviewed)),
    }
}

/// Why nothing was done, mutation by mutation; those with the same reason together.
fn reasons(reviewed: &Reviewed) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for (mutation, outcome) in reviewed.outcomes() {
        let Outcome::Skipped(skip) = outcome else { continue };
        match reasons.iter_mut().find(|(sentence, _)| *sentence == skip.sentence()) {
            Some((_, mutations)) => mutations.push(mutation.name()),
            None => reasons.push((skip.sentence(), vec![mutation.name()])),
        }
    }
    let reasons = reasons.iter().map(|(sentence, mutations)| format!("{sentence} ({})", mutations.join(", ")));
    reasons.collect::<Vec<_>>().join("; ")
}

/// What somebody who expected something else should know.
pub(super) fn hint(reviewed: &Reviewed) -> Option<&'static str> {
    let record = &reviewed.record;
    if record.resource == "scheduledsparkapplications" {
        return Some(
            "a ScheduledSparkApplication is never changed; the SparkApplications that it makes are, each when it is made",
        );
    }
    if reviewed.untouched() != Some(Untouched::NotSpark) {
        return None;
    }
    if record.resource == "pods" {
        return Some(
            "a pod is Spark's by its label spark-role, and a notebook by the label in the policy's notebooks.label",
        );
    }
    if reviewed.api_version.starts_with("spark.apache.org/") {
        return Some(
            "resources of Apache's own operator are not changed; the pods that it makes are looked at when they are made",
        );
    }
    let template = |spec: &serde_json::Value| spec["template"]["spec"]["containers"].is_array();
    let spec = &reviewed.before["spec"];
    (template(spec) || template(&spec["jobTemplate"]["spec"]))
        .then_some("the pods that it makes are looked at when they are made")
}

/// The role of a pod, as a sentence says it.
pub(super) fn role(reviewed: &Reviewed) -> Option<&'static str> {
    let role = reviewed.decision.as_ref().and_then(|decision| decision.role)?;
    (reviewed.record.resource == "pods").then_some(match role {
        Role::Driver => "a driver",
        Role::Executor => "an executor",
        Role::ConnectServer => "a Connect server",
        Role::Notebook => "a notebook",
    })
}

/// The edits of a mutation, or those that are nobody's.
pub(super) fn edits(reviewed: &Reviewed, mutation: Option<Mutation>) -> impl Iterator<Item = &Edit> {
    let edits = reviewed.decision.iter().flat_map(|decision| &decision.edits);
    edits.filter(move |edit| edit.mutation == mutation)
}
