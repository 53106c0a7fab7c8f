//! The decision on one review: who is looked at, by which mutations, and what comes of it.

use super::Policy;
use super::configuration::{Mode, MutationMode, Mutations};
use super::eligibility::{Subject, untouched};
use super::handover;
use super::mutation::Mutation;
use super::mutations::{self, Case};
use super::names::{MUTATED, SKIP};
use super::outcome::{Outcome, Skip, Untouched};
use super::plan::{Edit, Plan};
use super::request::Request;
use super::role::Role;
use super::snapshot::Snapshot;
use super::subject::Metadata;
use super::values::coordinates::entries;

/// What is to be done with one object, and how it came to that.
#[derive(Debug, Default)]
pub struct Decision {
    /// The role of the pod, or of the pod that the resource starts.
    pub role: Option<Role>,
    /// Why no mutation looked at the object, where none did.
    pub untouched: Option<Untouched>,
    /// Every mutation that looked at the object, in order, and how it ended.
    pub outcomes: Vec<(Mutation, Outcome)>,
    /// What is to be changed; those of observed mutations are here to be shown and are not to be done.
    pub edits: Vec<Edit>,
    /// What the object's author is told.
    pub warnings: Vec<String>,
}

impl Decision {
    fn untouched(why: Untouched, role: Option<Role>) -> Self {
        Self { untouched: Some(why), role, ..Self::default() }
    }

    /// The edits that are to be done.
    pub fn enforced_edits(&self) -> impl Iterator<Item = &Edit> {
        self.edits.iter().filter(|edit| !edit.observed)
    }
}

/// Decides on one review. Pure and total: the same request, policy and snapshot give the same decision.
#[must_use]
pub fn decide(request: &Request<'_>, policy: &Policy, snapshot: &Snapshot) -> Decision {
    let subject = match Subject::of(request, policy) {
        Ok(subject) => subject,
        Err(why) => return Decision::untouched(why, None),
    };
    match untouched(request, policy, snapshot, &subject) {
        Some(Untouched::OptedOut) => opted_out(policy, &subject),
        Some(Untouched::NotebookContainer) => unknown_notebook(policy, &subject),
        Some(why) => Decision::untouched(why, Some(subject.role())),
        None => mutated(request, policy, snapshot, &subject),
    }
}

/// The role of the pod that a request is about, for whoever must answer without a decision.
#[must_use]
pub fn role_of(request: &Request<'_>, policy: &Policy) -> Option<Role> {
    Subject::of(request, policy).ok().map(|subject| subject.role())
}

/// A notebook in which Spark's container cannot be told. What a first round changed is no longer "left as it is".
fn unknown_notebook(policy: &Policy, subject: &Subject<'_>) -> Decision {
    let mut plan = Plan::default();
    if policy.mode == Mode::Enforce && subject.metadata().annotation(MUTATED).is_none() {
        plan.warn(format!("no container is called {}; this notebook is left as it is", policy.notebooks.container));
    }
    let (_, warnings) = plan.finish();
    Decision { warnings, ..Decision::untouched(Untouched::NotebookContainer, Some(Role::Notebook)) }
}

/// A workload that opted out: its resource still hands its wishes down to the pods, and nothing else happens.
fn opted_out(policy: &Policy, subject: &Subject<'_>) -> Decision {
    let mut plan = Plan::default();
    if let (Subject::Resource(resource), Mode::Enforce) = (subject, policy.mode) {
        handover::hand_down(resource, &mut plan);
    }
    let (edits, warnings) = plan.finish();
    Decision { role: Some(subject.role()), untouched: Some(Untouched::OptedOut), outcomes: Vec::new(), edits, warnings }
}

fn mutated(request: &Request<'_>, policy: &Policy, snapshot: &Snapshot, subject: &Subject<'_>) -> Decision {
    let mut plan = Plan::default();
    let case = Case { request, policy, snapshot };
    let enforcing = policy.mode == Mode::Enforce;
    if let (Subject::Resource(resource), true) = (subject, enforcing) {
        handover::hand_down(resource, &mut plan);
    }
    let unwanted = unwanted(subject, &mut plan, enforcing);
    let mut run = |mutation: Mutation, apply: &dyn Fn(&mut Plan) -> Outcome| {
        let outcome = outcome_of(mutation, subject.role(), &case, &unwanted, &mut plan, apply);
        (mutation, outcome)
    };
    let concerned = |mutation: &Mutation| Mutations::possible_roles(*mutation).contains(subject.role());
    let outcomes: Vec<_> = match subject {
        Subject::Pod(pod) => mutations::OF_PODS
            .iter()
            .filter(|(mutation, _)| concerned(mutation))
            .map(|(mutation, apply)| run(*mutation, &|plan| apply(pod, &case, plan)))
            .collect(),
        Subject::Resource(resource) => mutations::of_resources(resource.kind())
            .iter()
            .map(|(mutation, apply)| run(*mutation, &|plan| apply(resource, &case, plan)))
            .collect(),
    };
    say_by_whom(subject.metadata(), &outcomes, &mut plan);
    let (edits, warnings) = plan.finish();
    Decision { role: Some(subject.role()), untouched: None, outcomes, edits, warnings }
}

/// Runs one mutation, unless the policy or the object's author does not want it.
fn outcome_of(
    mutation: Mutation,
    role: Role,
    case: &Case<'_>,
    unwanted: &[Mutation],
    plan: &mut Plan,
    apply: &dyn Fn(&mut Plan) -> Outcome,
) -> Outcome {
    if unwanted.contains(&mutation) {
        return Outcome::Skipped(Skip::AnnotatedSkip);
    }
    let mode = case.mode_of(mutation, role);
    if mode == MutationMode::Off {
        return Outcome::Skipped(Skip::Off);
    }
    let observing = mode == MutationMode::Observe;
    plan.begin(mutation, observing);
    match apply(plan) {
        Outcome::Applied if observing => Outcome::Observed,
        outcome => outcome,
    }
}

/// The mutations that the annotation `skip` names; what it names besides is warned about.
fn unwanted(subject: &Subject<'_>, plan: &mut Plan, enforcing: bool) -> Vec<Mutation> {
    let mut unwanted = Vec::new();
    for name in entries(subject.annotation(SKIP).unwrap_or_default()) {
        match Mutation::from_name(name) {
            Some(mutation) => unwanted.push(mutation),
            None if enforcing => plan.warn(format!("annotation {SKIP}: there is no mutation \"{name}\"")),
            None => {}
        }
    }
    unwanted
}

/// Adds the mutations that were applied to the annotation `mutated`, which keeps what an earlier round put there.
fn say_by_whom(metadata: Metadata<'_>, outcomes: &[(Mutation, Outcome)], plan: &mut Plan) {
    let applied: Vec<_> = outcomes
        .iter()
        .filter(|(_, outcome)| *outcome == Outcome::Applied)
        .map(|(mutation, _)| mutation.name())
        .collect();
    if applied.is_empty() {
        return;
    }
    let before = metadata.annotation(MUTATED).unwrap_or_default();
    let said: Vec<_> = before.split(',').filter(|name| !name.is_empty()).collect();
    let known = Mutation::ALL
        .iter()
        .map(|mutation| mutation.name())
        .filter(|name| said.contains(name) || applied.contains(name));
    let foreign = said.iter().copied().filter(|name| Mutation::from_name(name).is_none());
    let now = known.chain(foreign).collect::<Vec<_>>().join(",");
    if now != before {
        plan.begin_unowned();
        plan.annotate(MUTATED, &now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::names::ENABLED;
    use crate::policy::testing::{
        Sample, application, connect_server, driver, executor, notebook, scheduled, spark_connect,
    };
    use serde_json::json;
    use std::sync::Arc;

    const OPT_OUT: &str = "/metadata/labels/spark-admission.io~1enabled";
    const SKIP_ANNOTATION: &str = "/metadata/annotations/spark-admission.io~1skip";

    fn in_mode(mut sample: Sample, text: &str) -> Sample {
        sample.policy =
            Box::new(Policy::parse(&format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n{text}")).unwrap());
        sample
    }

    fn opted_out_namespace(mut sample: Sample) -> Sample {
        let labels = [(ENABLED.to_owned(), "false".to_owned())].into();
        sample.snapshot.namespaces = Arc::new([("jupyterhub-users".to_owned(), labels)].into());
        sample
    }

    /// Why the sample was left alone; else how many mutations changed it.
    fn fate(sample: &Sample) -> String {
        let decision = sample.decided();
        if let Some(why) = decision.untouched {
            assert!(decision.outcomes.is_empty());
            return why.name().to_owned();
        }
        let applied = decision.outcomes.iter().filter(|(_, outcome)| *outcome == Outcome::Applied);
        applied.map(|(mutation, _)| mutation.name()).collect::<Vec<_>>().join(",")
    }

    #[test]
    #[rustfmt::skip]
    fn leaves_alone() {
        let running = || application().with("/spec/deps/packages", json!(["a:b:1"]));
        let deletion = "/metadata/deletionTimestamp";
        for (case, sample, expected) in [
            ("an update that leaves the spec of a running application", running().with("/metadata/labels/team", "etl").updating(running()), "spec-unchanged"),
            ("a typed client's update, which writes what is empty", running().with("/metadata/labels/team", "etl").with("/spec/restartPolicy", json!({})).with("/spec/deps/jars", json!([])).updating(running()), "spec-unchanged"),
            ("an update of suspend", running().with("/spec/suspend", true).updating(running()), "spec-unchanged"),
            ("an update of the status", running().with("/status/state", "RUNNING").updating(running()), "spec-unchanged"),
            ("an update of the spec", running().with("/spec/image", "apache/spark:3.5.6").updating(running()), "ivy-dir"),
            ("an update of the spec and suspend", running().with("/spec/suspend", true).with("/spec/image", "apache/spark:3.5.6").updating(running()), "ivy-dir"),
            ("an application that is being deleted", running().with(deletion, "2026-11-22T10:00:00Z").with("/spec/image", "x").updating(running()), "being-deleted"),
            ("a finalizer's update of a SparkConnect", spark_connect().with("/metadata/finalizers", json!([])).updating(spark_connect()), "spec-unchanged"),
            ("a pod's update", driver().updating(driver()), "operation"),
            ("a mirror pod", driver().with("/metadata/annotations/kubernetes.io~1config.mirror", "x"), "mirror-pod"),
            ("a pod of nobody's", driver().with("/metadata/labels", json!({"app": "web"})), "not-spark"),
            ("a pod without labels", driver().with("/metadata", json!({"name": "web"})), "not-spark"),
            ("a notebook in one of several containers of other names", notebook().with("/spec/containers/0/name", "lab").and("/spec/containers", json!({"name": "proxy"})), "notebook-container"),
            ("a master of the Apache operator's clusters", driver().with("/metadata/labels/spark-role", "master"), "not-spark"),
            ("an excluded namespace", in_mode(driver(), "excludedNamespaces: [jupyterhub-*]"), "excluded-namespace"),
            ("a namespace that opted out", opted_out_namespace(driver()), "opted-out-namespace"),
            ("a resource in such a namespace, hand-over and all", opted_out_namespace(application().with(SKIP_ANNOTATION, "ivy-dir")), "opted-out-namespace"),
            ("a pod that opted out", driver().with(OPT_OUT, "false"), "opted-out"),
            ("a Connect server whose resource opted out", connect_server("--conf spark.kubernetes.driver.label.spark-admission.io/enabled=false"), "opted-out"),
            ("a resource that opted out", running().with(OPT_OUT, "false"), "opted-out"),
            ("a label that says true", driver().with(OPT_OUT, "true"), "ivy-cache,ivy-dir,spark-user"),
            ("a driver", driver(), "ivy-cache,ivy-dir,spark-user"),
            ("an executor", executor(), "spark-user"),
            ("a Connect server", connect_server(""), "ivy-cache,spark-user,connect-readiness"),
            ("a notebook", notebook(), "ivy-cache,ivy-dir"),
            ("an application", running(), "ivy-dir"),
            ("a SparkConnect", spark_connect().with("/spec/executor/template", json!(null)), "connect-package,executor-template,ivy-dir"),
            ("a schedule is never changed", scheduled().with("/spec/template/deps/packages", json!(["a:b:1"])), ""),
        ] {
            assert_eq!(fate(&sample), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn skips_what_is_not_wanted() {
        for (case, sample, expected) in [
            ("one by annotation", driver().with(SKIP_ANNOTATION, "spark-user"), "ivy-cache,ivy-dir"),
            ("several, with blanks", driver().with(SKIP_ANNOTATION, "spark-user, ivy-cache"), ""),
            ("what depends on one that is skipped", driver().with(SKIP_ANNOTATION, "ivy-cache"), "spark-user"),
            ("one that a Connect server's arguments name", connect_server("--conf spark.kubernetes.driver.annotation.spark-admission.io/skip=ivy-cache"), "spark-user,connect-readiness"),
            ("one by policy", driver().under("ivy-cache: {mode: off}"), "spark-user"),
            ("one by role", driver().under("spark-user: {roles: [executor]}"), "ivy-cache,ivy-dir"),
            ("one by namespace", driver().under("spark-user: {namespaces: [other]}"), "ivy-cache,ivy-dir"),
            ("one by excluded namespace", driver().under("spark-user: {excludeNamespaces: [jupyterhub-*]}"), "ivy-cache,ivy-dir"),
        ] {
            assert_eq!(fate(&sample), expected, "{case}");
        }
    }

    #[test]
    fn warns_of_an_unknown_name_in_skip() {
        let sample = driver().with(SKIP_ANNOTATION, "spark-user,ivy-cahce");
        assert_eq!(sample.warnings(), ["annotation spark-admission.io/skip: there is no mutation \"ivy-cahce\""]);
    }

    #[test]
    fn observes_without_touching() {
        let package = || spark_connect().with(SKIP_ANNOTATION, "executor-template");
        for (case, sample) in [
            ("a pod", in_mode(driver(), "mode: observe")),
            ("a resource with wishes to hand down", in_mode(package(), "mode: observe")),
            ("an opted-out resource with wishes", in_mode(package().with(OPT_OUT, "false"), "mode: observe")),
            (
                "an absurd annotation",
                in_mode(driver().with("/metadata/annotations/spark-admission.io~1ivy-dir", "/etc"), "mode: observe"),
            ),
        ] {
            let decision = sample.decided();
            assert_eq!(decision.enforced_edits().count(), 0, "{case}");
            assert_eq!(decision.warnings, Vec::<String>::new(), "{case}");
            assert!(decision.outcomes.iter().all(|(_, outcome)| *outcome != Outcome::Applied), "{case}");
        }
    }

    #[test]
    fn observes_as_it_would_enforce() {
        let enforced: Vec<_> =
            driver().decided().outcomes.iter().filter(|(_, it)| *it == Outcome::Applied).map(|(it, _)| *it).collect();
        let observed = in_mode(driver(), "mode: observe").decided();
        let observed: Vec<_> =
            observed.outcomes.iter().filter(|(_, it)| *it == Outcome::Observed).map(|(it, _)| *it).collect();
        assert_eq!(observed, enforced);
    }

    #[test]
    fn an_enforced_mutation_does_not_build_on_an_observed_one() {
        let sample = driver().under("ivy-cache: {mode: observe}");
        assert_eq!(sample.by(Mutation::IvyDir), ["skipped: no-ivy-volume"]);
        let both = driver().under("ivy-cache: {mode: observe}, ivy-dir: {mode: observe}");
        assert_eq!(both.by(Mutation::IvyDir).len(), 1, "an observed one does");
    }

    #[test]
    #[rustfmt::skip]
    fn says_by_whom_an_object_was_changed() {
        let annotation = "/metadata/annotations/spark-admission.io~1mutated";
        let said = |names: &str| vec![format!("metadata.annotations[spark-admission.io/mutated] = {names}")];
        for (case, sample, expected) in [
            ("all of them", driver(), said("ivy-cache,ivy-dir,spark-user")),
            ("in addition to an earlier round's", driver().with(annotation, "memory-quantity"), said("ivy-cache,ivy-dir,spark-user,memory-quantity")),
            ("what another version said stays", driver().with(annotation, "disk-sweeping"), said("ivy-cache,ivy-dir,spark-user,disk-sweeping")),
            ("nothing new", driver().with(annotation, "ivy-cache,ivy-dir,spark-user"), vec![]),
            ("nothing at all", driver().under("ivy-cache: {mode: off}, spark-user: {mode: off}"), vec![]),
        ] {
            assert_eq!(sample.by_none(), expected, "{case}");
        }
    }
}
