//! What metrics and logs say of one review.

use super::envelope::Envelope;
use crate::policy::judgement::Verdict;
use crate::policy::outcome::{Outcome, Untouched};
use crate::policy::request::Operation;
use crate::policy::subject::ResourceKind;
use crate::policy::{Check, Decision, Judgement, Mutation};

/// What metrics and logs say of one review. Every `&'static str` is from a closed set and may be a metric label; every `String` is
/// the user's and may not.
#[derive(Debug)]
pub struct Record {
    /// The request's uid.
    pub uid: String,
    /// `create`, `update`, `delete`, `connect` or `other`.
    pub operation: &'static str,
    /// `pods`, `sparkapplications`, `scheduledsparkapplications`, `sparkconnects` or `other`.
    pub resource: &'static str,
    /// The role of the pod, or of the pod that the resource starts.
    pub role: Option<&'static str>,
    /// `allowed`, `mutated`, `denied` or `error`.
    pub outcome: &'static str,
    /// Why no mutation looked at the object; none where they did.
    pub untouched: Option<&'static str>,
    /// The kind as the request names it.
    pub kind: String,
    /// The request's namespace.
    pub namespace: String,
    /// The object's name, or what it will be generated from.
    pub name: String,
    /// Who asked.
    pub user: String,
    /// Whether nothing will be persisted.
    pub dry_run: bool,
    /// Each mutation that looked at the object, and how it ended.
    pub mutations: Vec<(Mutation, Outcome)>,
    /// What each check found that found something, and what came of it.
    pub findings: Vec<(Check, Verdict)>,
    /// Why the review ended in an error.
    pub error: Option<String>,
    /// Whether that error was a panic of the policy core.
    pub panicked: bool,
}

impl Record {
    pub(super) fn of(envelope: &Envelope<'_>) -> Self {
        let text = |keys: &[&'static str]| envelope.text(keys).to_owned();
        let name = [&["name"][..], &["object", "metadata", "name"], &["object", "metadata", "generateName"]];
        Self {
            uid: envelope.uid().to_owned(),
            operation: Operation::of(envelope.text(&["operation"])).name(),
            resource: resource(envelope.text(&["kind", "group"]), envelope.text(&["kind", "kind"])),
            role: None,
            outcome: "allowed",
            untouched: None,
            kind: text(&["kind", "kind"]),
            namespace: text(&["namespace"]),
            name: name
                .iter()
                .map(|keys| envelope.text(keys))
                .find(|name| !name.is_empty())
                .unwrap_or_default()
                .to_owned(),
            user: text(&["userInfo", "username"]),
            dry_run: envelope.is_dry_run(),
            mutations: Vec::new(),
            findings: Vec::new(),
            error: None,
            panicked: false,
        }
    }

    pub(super) fn judge(&mut self, judgement: &Judgement) {
        self.untouched = judgement.untouched.map(Untouched::name);
        self.findings = judgement.findings.iter().map(|(finding, verdict)| (finding.check, *verdict)).collect();
        self.outcome = if judgement.is_allowed() { "allowed" } else { "denied" };
    }

    pub(super) fn take(&mut self, decision: &Decision, is_patched: bool) {
        self.untouched = decision.untouched.map(Untouched::name);
        self.mutations.clone_from(&decision.outcomes);
        self.outcome = if is_patched { "mutated" } else { "allowed" };
    }

    pub(super) fn fail(&mut self, error: String, panicked: bool) {
        self.outcome = "error";
        self.error = Some(error);
        self.panicked = panicked;
    }
}

fn resource(group: &str, kind: &str) -> &'static str {
    match ResourceKind::of(group, kind) {
        Some(ResourceKind::SparkApplication) => "sparkapplications",
        Some(ResourceKind::ScheduledSparkApplication) => "scheduledsparkapplications",
        Some(ResourceKind::SparkConnect) => "sparkconnects",
        None if group.is_empty() && kind == "Pod" => "pods",
        None => "other",
    }
}
