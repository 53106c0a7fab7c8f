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
use super::request::{Operation, Request};
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
    let subject = match Subject::of(request, policy) {
        Ok(subject) => subject,
        Err(why) => return Judgement { untouched: Some(why), ..Judgement::default() },
    };
    let role = Some(subject.role());
    match untouched(request, policy, snapshot, &subject) {
        Some(Untouched::OptedOut) if policy.opt_out.workload == OptOutReach::Mutations => {}
        None => {}
        untouched => return Judgement { role, untouched, findings: Vec::new() },
    }
    let case = Case { request, policy, snapshot };
    let before = before(&case);
    let mut findings: Vec<_> = found(&subject, &case)
        .into_iter()
        .filter_map(|finding| {
            let is_old = before.iter().any(|old| old.is_same_as(&finding));
            let verdict = verdict(&finding, &case, is_denial_seen(&subject) && !is_old)?;
            Some((finding, verdict))
        })
        .collect();
    findings.sort_by_key(|(_, verdict)| *verdict);
    Judgement { role, untouched: None, findings }
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
    if case.request.operation != Operation::Update {
        return Vec::new();
    }
    let request = Request { object: case.request.old_object, ..*case.request };
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
