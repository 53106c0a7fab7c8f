//! `-o json`: everything there is to know, for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::reviewed::Reviewed;
use super::summary::edits;
use crate::policy::Mutation;
use crate::policy::finding::Finding;
use crate::policy::judgement::Verdict;
use crate::policy::outcome::Outcome;
use crate::policy::plan::{Change, Edit};

/// Writes one array with an element for each object.
pub(super) fn write(reviewed: &[Reviewed], output: &mut dyn Write) -> io::Result<()> {
    let report: Vec<_> = reviewed.iter().map(element).collect();
    serde_json::to_writer_pretty(&mut *output, &report)?;
    writeln!(output)
}

fn element(object: &Reviewed) -> Value {
    let record = &object.record;
    let mutations: Vec<_> =
        object.outcomes().iter().map(|(mutation, outcome)| of_mutation(object, *mutation, *outcome)).collect();
    json!({
        "file": object.place.file,
        "document": object.place.document,
        "items": object.place.items,
        "line": object.place.line,
        "apiVersion": object.api_version,
        "kind": record.kind,
        "namespace": record.namespace,
        "name": record.name,
        "operation": record.operation,
        "role": record.role,
        "allowed": object.is_allowed(),
        "status": object.response.get("status"),
        "error": record.error,
        "untouched": object.untouched().map(|why| json!({"reason": why.name(), "sentence": why.sentence()})),
        "mutations": mutations,
        "findings": object.findings().iter().map(of_finding).collect::<Vec<_>>(),
        "warnings": object.warnings().collect::<Vec<_>>(),
        "auditAnnotations": object.response.get("auditAnnotations").cloned().unwrap_or_else(|| json!({})),
        "patch": object.patch,
    })
}

fn of_mutation(object: &Reviewed, mutation: Mutation, outcome: Outcome) -> Value {
    let sentence = match outcome {
        Outcome::Skipped(skip) => Some(skip.sentence()),
        Outcome::Applied | Outcome::Observed => None,
    };
    json!({
        "name": mutation.name(),
        "outcome": outcome.name(),
        "reason": outcome.reason(),
        "sentence": sentence,
        "edits": edits(object, Some(mutation)).map(|edit| of_edit(object, edit)).collect::<Vec<_>>(),
    })
}

fn of_finding((finding, verdict): &(Finding, Verdict)) -> Value {
    json!({
        "check": finding.check.name(),
        "verdict": verdict.name(),
        "path": finding.path.to_string(),
        "problem": finding.problem,
        "cure": finding.cure,
    })
}

fn of_edit(object: &Reviewed, edit: &Edit) -> Value {
    let path = edit.path.to_string();
    match &edit.change {
        Change::Set(value) => json!({"path": path, "old": object.old(&edit.path), "new": value}),
        Change::Append(value) => json!({"path": path, "appended": value}),
        Change::Remove => json!({"path": path, "removed": object.old(&edit.path)}),
    }
}
