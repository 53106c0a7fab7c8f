//! What was found, for people and for programs.

use std::{io, io::Write};

use serde_json::{Value, json};

use super::{FOUND, HEALTHY, UNKNOWN};
use crate::doctor::{Finding, ObjectName, Observed, Rehearsal, Unseen};

pub(super) struct Report<'a> {
    pub(super) findings: Vec<Finding>,
    pub(super) objects: Vec<Rehearsal>,
    pub(super) observed: &'a Observed,
}

impl Report<'_> {
    /// Something found; else nothing, which says nothing where Spark's work itself could not be looked at.
    pub(super) fn status(&self) -> u8 {
        let has_seen = self.observed.resources.is_ok() || self.observed.pods.is_ok();
        match (self.findings.is_empty(), has_seen) {
            (false, _) => FOUND,
            (true, true) => HEALTHY,
            (true, false) => UNKNOWN,
        }
    }

    /// A block for each finding, then what could not be looked at, then how much was.
    pub(super) fn write_blocks(&self, output: &mut dyn Write) -> io::Result<()> {
        for finding in &self.findings {
            write_block(finding, output)?;
        }
        if !self.objects.is_empty() {
            writeln!(output, "what webhooks did, and what spark-admission would do now:")?;
            self.objects.iter().try_for_each(|object| writeln!(output, "  {}: {}", object.object, told(object)))?;
            writeln!(output)?;
        }
        for unseen in self.observed.unseen() {
            write_unseen(unseen, output)?;
        }
        writeln!(output, "{}", self.summary())
    }

    /// `2 errors, 1 warning; looked at 12 resources and 30 pods in the namespace team-a`.
    fn summary(&self) -> String {
        let of = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let (errors, warnings) = (of(crate::doctor::Level::Error), of(crate::doctor::Level::Warning));
        let found = match (errors, warnings) {
            (0, 0) => "nothing is wrong".to_owned(),
            _ => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
        };
        let seen = |count: Option<usize>, what: &str| {
            count.map_or(format!("no {what}s, which could not be seen"), |it| counted(it, what))
        };
        let resources = seen(self.observed.resources.as_ref().ok().map(Vec::len), "resource");
        let pods = seen(self.observed.pods.as_ref().ok().map(Vec::len), "pod");
        let place = match &self.observed.asked.namespace {
            Some(namespace) => format!("the namespace {namespace}"),
            None => "every namespace".to_owned(),
        };
        format!("{found}; looked at {resources} and {pods} in {place}")
    }

    /// One object, whose fields stay what they are.
    pub(super) fn write_json(&self, output: &mut dyn Write) -> io::Result<()> {
        let unseen = |unseen: &Unseen| {
            let rule = unseen.rule.as_ref().map(|rule| {
                json!({"verbs": [rule.verb], "apiGroups": [rule.group], "resources": [rule.resource], "namespace": rule.namespace})
            });
            json!({"what": unseen.what, "why": unseen.why, "rule": rule})
        };
        let asked = &self.observed.asked;
        let report = json!({
            "namespace": asked.namespace, "name": asked.name,
            "findings": self.findings.iter().map(json_of).collect::<Value>(),
            "objects": self.objects.iter().map(json_of_object).collect::<Value>(),
            "notLookedAt": self.observed.unseen().into_iter().map(unseen).collect::<Value>(),
            "lookedAt": {"resources": self.observed.resources().count(), "pods": self.observed.pods().count()}
        });
        writeln!(output, "{report:#}")
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn write_block(finding: &Finding, output: &mut dyn Write) -> io::Result<()> {
    let Finding { symptom, level, object, problem, evidence, cure } = finding;
    writeln!(output, "{} {}: {object}", level.name(), symptom.name())?;
    writeln!(output, "  {problem}")?;
    for evidence in evidence {
        writeln!(output, "  {}: {}: {}", evidence.source, evidence.place, evidence.says)?;
    }
    writeln!(output, "  cure: {}", cure.sentence)?;
    for line in cure.copy.lines() {
        writeln!(output, "    {line}")?;
    }
    writeln!(output)
}

fn write_unseen(unseen: &Unseen, output: &mut dyn Write) -> io::Result<()> {
    let Unseen { what, why, rule } = unseen;
    writeln!(output, "not looked at: cannot {what}: {why}")?;
    let Some(rule) = rule else { return writeln!(output) };
    let kind = if rule.namespace.is_empty() { "ClusterRole".to_owned() } else { format!("Role in {}", rule.namespace) };
    writeln!(
        output,
        "  a {kind} with this rule allows it: {{apiGroups: [\"{}\"], resources: [{}], verbs: [{}]}}\n",
        rule.group, rule.resource, rule.verb
    )
}

/// `changed by spark-admission (ivy-cache) and by the operator; created now, it would be changed by ivy-cache, ivy-dir`.
fn told(object: &Rehearsal) -> String {
    let ours =
        (!object.changed_by.is_empty()).then(|| format!("by spark-admission ({})", object.changed_by.join(", ")));
    let theirs = object.changed_by_operator.then(|| "by the operator's webhook".to_owned());
    let by: Vec<_> = ours.into_iter().chain(theirs).collect();
    let before = if by.is_empty() { "not changed".to_owned() } else { format!("changed {}", by.join(" and ")) };
    let now = match (object.untouched, object.would_change.is_empty()) {
        (Some(why), _) => format!("left alone ({why})"),
        (None, true) => "not changed further".to_owned(),
        (None, false) => format!("changed by {}", object.would_change.join(", ")),
    };
    format!("{before}; created now, it would be {now}")
}

fn json_of_object(object: &Rehearsal) -> Value {
    let ObjectName { namespace, kind, name } = &object.object;
    json!({
        "object": {"kind": kind, "namespace": namespace, "name": name},
        "changedBy": object.changed_by, "changedByOperator": object.changed_by_operator,
        "wouldBeChangedBy": object.would_change, "untouched": object.untouched,
        "wouldBeFound": object.would_find.iter().map(|(finding, verdict)| json!({
            "check": finding.check.name(), "verdict": verdict.name(), "path": finding.path.to_string(),
            "problem": finding.problem, "cure": finding.cure
        })).collect::<Value>()
    })
}

fn json_of(finding: &Finding) -> Value {
    let Finding { symptom, level, object, problem, evidence, cure } = finding;
    let evidence: Vec<_> = evidence
        .iter()
        .map(|evidence| json!({"source": evidence.source, "place": evidence.place, "says": evidence.says}))
        .collect();
    json!({
        "finding": symptom.name(), "level": level.name(),
        "object": {"kind": object.kind, "namespace": object.namespace, "name": object.name},
        "problem": problem, "evidence": evidence,
        "cure": {"sentence": cure.sentence, "copy": cure.copy}
    })
}
