//! The judgement on one object as it will be stored: what the checks find, and whether it is refused for that.
//!
//! Promised: nobody is refused who would not see the refusal, and no update for what stood there before. So a finding that would refuse
//! a pod of an operator's, an executor or a notebook is only told, and one that the old object had already as well.

use super::Policy;
use super::check::{Check, Level};
use super::checks;
use super::configuration::{Mode, OptOutReach};
use super::eligibility::{Subject, untouched};
use super::finding::{Finding, Findings};
use super::mutations::Case;
use super::outcome::Untouched;
use super::request::Request;
use super::role::Role;
use super::snapshot::Snapshot;

/// What the checks say of one object.
#[derive(Debug, Default)]
pub struct Judgement {
    /// The role of the pod, or of the pod that the resource starts.
    pub role: Option<Role>,
    /// Why no check looked at the object, where none did.
    pub untouched: Option<Untouched>,
    /// What was found, worst first, and what comes of it.
    pub findings: Vec<(Finding, Verdict)>,
}

/// What comes of a finding, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// The object is refused.
    Denied,
    /// The object would be refused, if its sender could see that, or if it had not been so before; the author is told.
    Spared,
    /// The author is told.
    Warned,
    /// Logged and counted: the policy only observes.
    Observed,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [Self::Denied, Self::Spared, Self::Warned, Self::Observed];

    /// Its name in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Spared => "spared",
            Self::Warned => "warned",
            Self::Observed => "observed",
        }
    }
}

impl Judgement {
    /// Whether the object may be stored.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.denied().next().is_none()
    }

    /// For what the object is refused.
    pub fn denied(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|(_, verdict)| *verdict == Verdict::Denied).map(|(finding, _)| finding)
    }

    /// What the object's author is told besides.
    pub fn told(&self) -> impl Iterator<Item = &Finding> {
        let told = |verdict| matches!(verdict, Verdict::Spared | Verdict::Warned);
        self.findings.iter().filter(move |(_, verdict)| told(*verdict)).map(|(finding, _)| finding)
    }
}

/// Judges one object. Pure and total: the same request, policy and snapshot give the same judgement.
#[must_use]
pub fn judge(request: &Request<'_>, policy: &Policy, snapshot: &Snapshot) -> Judgement {
    let subject = match subject_to_judge(request, policy, snapshot) {
        Ok(subject) => subject,
        Err(untouched) => return untouched,
    };
    let case = Case { request, policy, snapshot };
    let findings = weighed(found(&subject, &case), &before(&case), &subject, &case);
    Judgement { role: Some(subject.role()), untouched: None, findings }
}

/// What checks are to look at; else the judgement that says why they do not.
pub(super) fn subject_to_judge<'a>(
    request: &Request<'a>,
    policy: &Policy,
    snapshot: &Snapshot,
) -> Result<Subject<'a>, Judgement> {
    let untouched_for = |why, role| Judgement { role, untouched: Some(why), findings: Vec::new() };
    let subject = Subject::of(request, policy).map_err(|why| untouched_for(why, None))?;
    match untouched(request, policy, snapshot, &subject) {
        Some(Untouched::OptedOut) if policy.opt_out.workload == OptOutReach::Mutations => Ok(subject),
        None => Ok(subject),
        Some(why) => Err(untouched_for(why, Some(subject.role()))),
    }
}

/// What comes of each finding, worst first.
fn weighed(
    findings: Vec<Finding>,
    before: &[Finding],
    subject: &Subject<'_>,
    case: &Case<'_>,
) -> Vec<(Finding, Verdict)> {
    let is_seen = is_denial_seen(subject);
    let weigh = |finding: Finding| {
        let is_old = before.iter().any(|old| old.is_same_as(&finding));
        let verdict = verdict(&finding, case, is_seen && !is_old)?;
        Some((finding, verdict))
    };
    let mut weighed: Vec<_> = findings.into_iter().filter_map(weigh).collect();
    weighed.sort_by_key(|(_, verdict)| *verdict);
    weighed
}

/// What the checks find in a subject, but for those that the policy wants nothing of here.
fn found(subject: &Subject<'_>, case: &Case<'_>) -> Vec<Finding> {
    let is_wanted = |check: Check| case.level_of(check) != Level::Off;
    match subject {
        Subject::Pod(pod) => checks::OF_PODS
            .iter()
            .filter(|(check, _)| is_wanted(*check))
            .flat_map(|(check, find)| Findings::by(*check, |findings| find(pod, case, findings)))
            .collect(),
        Subject::Resource(resource) => checks::of_resources(resource.kind())
            .iter()
            .filter(|(check, _)| is_wanted(*check))
            .flat_map(|(check, find)| Findings::by(*check, |findings| find(resource, case, findings)))
            .collect(),
    }
}

/// What would be found in the object as it was before an update.
fn before(case: &Case<'_>) -> Vec<Finding> {
    let Some(request) = case.request.before() else { return Vec::new() };
    let case = Case { request: &request, ..*case };
    Subject::of(&request, case.policy).map(|subject| found(&subject, &case)).unwrap_or_default()
}

/// What comes of a finding; nothing where the policy wants nothing of its check.
fn verdict(finding: &Finding, case: &Case<'_>, may_deny: bool) -> Option<Verdict> {
    let level = case.level_of(finding.check).min(finding.at_most);
    Some(match (level, case.policy.mode) {
        (Level::Off, _) => return None,
        (_, Mode::Observe) => Verdict::Observed,
        (Level::Warn, Mode::Enforce) => Verdict::Warned,
        (Level::Deny, Mode::Enforce) if may_deny => Verdict::Denied,
        (Level::Deny, Mode::Enforce) => Verdict::Spared,
    })
}

/// Whether somebody sees it if the object is refused: an operator drops the message, or tries again for ever, as Spark does with
/// executors.
fn is_denial_seen(subject: &Subject<'_>) -> bool {
    match subject {
        Subject::Resource(_) => true,
        Subject::Pod(pod) => pod.role() == Role::Driver && !pod.is_made_by_controller(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::field_path::path;
    use crate::policy::testing::{
        Sample, application, connect_server, driver, executor, notebook, scheduled, spark_connect,
    };
    use serde_json::json;

    fn finding(check: Check, at_most: Level, problem: &str) -> Finding {
        Finding { check, at_most, path: path(["spec", "a"]), problem: problem.to_owned(), cure: String::new() }
    }

    /// What comes of a finding of `spark-memory` in a sample; nothing where the policy wants none.
    fn fate(sample: &Sample, at_most: Level, before: &[Finding]) -> Option<&'static str> {
        sample.with_request(|request| {
            let case = Case { request, policy: &sample.policy, snapshot: &sample.snapshot };
            let subject = Subject::of(request, &sample.policy).unwrap();
            let found = vec![finding(Check::SparkMemory, at_most, "it is wrong")];
            weighed(found, before, &subject, &case).first().map(|(_, verdict)| verdict.name())
        })
    }

    #[test]
    #[rustfmt::skip]
    fn denies_where_that_is_seen() {
        let apache = "/metadata/labels/spark.operator~1name";
        let owner = |controller: bool| json!([{"kind": "Job", "name": "nightly", "controller": controller}]);
        let launched = "/metadata/labels/sparkoperator.k8s.io~1launched-by-spark-operator";
        for (case, sample, expected) in [
            ("an application", application(), Some("denied")),
            ("a schedule", scheduled(), Some("denied")),
            ("a SparkConnect", spark_connect(), Some("denied")),
            ("a driver of spark-submit", driver(), Some("denied")),
            ("a driver of the operator", driver().with(launched, "true"), Some("spared")),
            ("a driver of Apache's operator", driver().with(apache, "pi"), Some("spared")),
            ("a driver that a controller made", driver().with("/metadata/ownerReferences", owner(true)), Some("spared")),
            ("a driver that somebody owns", driver().with("/metadata/ownerReferences", owner(false)), Some("denied")),
            ("an executor", executor(), Some("spared")),
            ("a Connect server", connect_server(""), Some("spared")),
            ("a notebook", notebook(), Some("spared")),
            ("at level warn", application().checked_under("spark-memory: {level: warn}"), Some("warned")),
            ("switched off", application().checked_under("spark-memory: {level: 'off'}"), None),
            ("in another namespace", application().checked_under("spark-memory: {namespaces: [other]}"), None),
        ] {
            assert_eq!(fate(&sample, Level::Deny, &[]), expected, "{case}");
        }
        assert_eq!(fate(&application(), Level::Warn, &[]), Some("warned"), "of what a check is not sure");
    }

    #[test]
    fn an_update_is_not_denied_for_what_was_there_before() {
        for (case, before, expected) in [
            ("nothing", vec![], "denied"),
            ("the same", vec![finding(Check::SparkMemory, Level::Deny, "it is wrong")], "spared"),
            ("as wrong in another way", vec![finding(Check::SparkMemory, Level::Deny, "it was wrong")], "spared"),
            (
                "the same at another index",
                vec![Finding { path: path(["b"]), ..finding(Check::SparkMemory, Level::Deny, "it is wrong") }],
                "spared",
            ),
            ("another check's", vec![finding(Check::NameTooLong, Level::Deny, "it is wrong")], "denied"),
        ] {
            assert_eq!(fate(&application(), Level::Deny, &before), Some(expected), "{case}");
        }
    }

    #[test]
    fn an_observing_policy_denies_nothing_and_tells_nobody() {
        let mut sample = application();
        sample.policy.mode = Mode::Observe;
        for at_most in [Level::Deny, Level::Warn] {
            assert_eq!(fate(&sample, at_most, &[]), Some("observed"));
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let sample = application().checked_under("name-too-long: {level: warn}");
        let found = [Check::NameTooLong, Check::SparkMemory].map(|check| finding(check, Level::Deny, "")).to_vec();
        let order = sample.with_request(|request| {
            let case = Case { request, policy: &sample.policy, snapshot: &sample.snapshot };
            let subject = Subject::of(request, &sample.policy).unwrap();
            weighed(found, &[], &subject, &case).iter().map(|(finding, _)| finding.check).collect::<Vec<_>>()
        });
        assert_eq!(order, [Check::SparkMemory, Check::NameTooLong]);
    }

    #[test]
    #[rustfmt::skip]
    fn leaves_alone() {
        let opt_out = "/metadata/labels/spark-admission.io~1enabled";
        let all = |mut sample: Sample| { sample.policy.opt_out.workload = OptOutReach::All; sample };
        for (case, sample, expected) in [
            ("an application", application(), None),
            ("one that opted out of mutations", application().with(opt_out, "false"), None),
            ("one that opted out of all", all(application().with(opt_out, "false")), Some("opted-out")),
            ("an update of labels", application().with("/metadata/labels/team", "etl").updating(application()), Some("spec-unchanged")),
            ("an update of suspend", application().with("/spec/suspend", true).updating(application()), Some("spec-unchanged")),
            ("what is being deleted", application().with("/metadata/deletionTimestamp", "2026-11-22T10:00:00Z").with("/spec/image", "x").updating(application()), Some("being-deleted")),
            ("a pod's update", driver().updating(driver()), Some("operation")),
        ] {
            assert_eq!(sample.judged().untouched.map(Untouched::name), expected, "{case}");
        }
    }
}
