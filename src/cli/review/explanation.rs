//! `-o explain`: every mutation, what it did or why it did nothing, in sentences.
//!
//! Written for somebody who knows Spark and not Kubernetes, or the other way round.

use std::io::{self, Write};

use serde_json::Value;

use super::reviewed::Reviewed;
use super::summary::{edits, headline, hint, role, verdict};
use crate::policy::configuration::Mutations;
use crate::policy::judgement::Verdict;
use crate::policy::mutations::{OF_PODS, of_resources};
use crate::policy::names::MUTATED;
use crate::policy::outcome::Outcome;
use crate::policy::plan::{Change, Edit};
use crate::policy::subject::ResourceKind;
use crate::policy::{Mutation, Role};

/// Writes objects one after another, with a blank line between them.
pub(super) fn write(reviewed: &[Reviewed], output: &mut dyn Write) -> io::Result<()> {
    for (index, object) in reviewed.iter().enumerate() {
        if index > 0 {
            writeln!(output)?;
        }
        explain(object, output)?;
    }
    Ok(())
}

fn explain(object: &Reviewed, output: &mut dyn Write) -> io::Result<()> {
    writeln!(output, "{}", headline(object))?;
    let role = role(object).map(|role| format!("{role}; ")).unwrap_or_default();
    writeln!(output, "{role}{}", verdict(object))?;
    if let Some(hint) = hint(object) {
        writeln!(output, "note: {hint}")?;
    }
    for (mutation, outcome) in object.outcomes() {
        writeln!(output, "  {}: {}", mutation.name(), ending(object, *mutation, *outcome))?;
        write_edits(object, edits(object, Some(*mutation)), output)?;
    }
    let (signature, handed_down): (Vec<_>, Vec<_>) = edits(object, None).partition(|edit| is_signature(edit));
    if !handed_down.is_empty() {
        writeln!(output, "  handed down to its pods, which cannot see the annotations of this object:")?;
        write_edits(object, handed_down, output)?;
    }
    if !signature.is_empty() {
        writeln!(output, "  the object says by whom it was changed:")?;
        write_edits(object, signature, output)?;
    }
    let later = later(object);
    if !later.is_empty() {
        writeln!(output, "  decided later, on what is made of it: {}", later.join(", "))?;
    }
    for (finding, verdict) in object.findings() {
        let Some(fate) = fate(*verdict) else { continue };
        writeln!(output, "  {}: {fate}; {}", finding.check.name(), finding.check.meaning())?;
        writeln!(output, "      {}: {}; {}", finding.path, finding.problem, finding.cure)?;
    }
    object.warnings().try_for_each(|warning| writeln!(output, "  warning: {warning}"))
}

/// What came of a finding, where its warning does not say all.
const fn fate(verdict: Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Denied => Some("denied"),
        Verdict::Spared => Some("not denied, because nobody would see that, or because it was so before"),
        Verdict::Observed => Some("only observed by the policy"),
        Verdict::Warned => None,
    }
}

/// How a mutation ended, as a sentence.
fn ending(object: &Reviewed, mutation: Mutation, outcome: Outcome) -> String {
    let is_pod = object.record.resource == "pods";
    match outcome {
        Outcome::Applied => format!("applied; {}", purpose(mutation, is_pod)),
        Outcome::Observed => format!("only observed, so not done; {}", purpose(mutation, is_pod)),
        Outcome::Skipped(skip) => format!("skipped; {}", skip.sentence()),
    }
}

/// What a mutation is good for, as half a sentence.
#[must_use]
pub const fn purpose(mutation: Mutation, is_pod: bool) -> &'static str {
    match mutation {
        Mutation::IvyCache if is_pod => {
            "Spark downloads its packages with Ivy, which needs a directory that can be written: a volume of the pod's own"
        }
        Mutation::IvyCache => "the driver's pod is told, by annotations, which volume its packages need",
        Mutation::IvyDir if is_pod => {
            "points Ivy at that volume, unless the application sets spark.jars.ivy, which counts more"
        }
        Mutation::IvyDir => {
            "spark.jars.ivy is where Spark keeps downloaded packages; its default is a home that images lack"
        }
        Mutation::SparkUser => "Spark runs as its own user 185 and may write to the pod's volumes, which get group 185",
        Mutation::ConnectPackage => "Spark 3.4 and 3.5 do not bring Spark Connect along; this package does",
        Mutation::ConnectReadiness => "the server counts as ready when its port answers, not when its process starts",
        Mutation::ExecutorTemplate => "the operator fails on a SparkConnect whose executor template has no container",
        Mutation::NodeSteering => {
            "on a node whose filesystem is in trouble a pod with limits fails to start, and others are free"
        }
        Mutation::LimitStripping => {
            "on a node whose filesystem is in trouble a pod starts without limits, and fails with them"
        }
        Mutation::MemoryQuantity => "m is a thousandth in Kubernetes, so 512m of memory is half a byte; Mi was meant",
    }
}

fn write_edits<'a>(
    object: &Reviewed,
    edits: impl IntoIterator<Item = &'a Edit>,
    output: &mut dyn Write,
) -> io::Result<()> {
    edits.into_iter().try_for_each(|edit| writeln!(output, "      {}", describe(object, edit)))
}

/// The path, what stands there, and what will.
fn describe(object: &Reviewed, edit: &Edit) -> String {
    let path = &edit.path;
    match &edit.change {
        Change::Append(value) => format!("{path}: + {}", plain(value)),
        Change::Remove => format!("{path}: {} -> absent", object.old(path).map_or_else(String::new, plain)),
        Change::Set(value) => match object.old(path) {
            Some(old) => format!("{path}: {} -> {}", plain(old), plain(value)),
            None => format!("{path}: absent -> {}", plain(value)),
        },
    }
}

/// Texts as they are, everything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn is_signature(edit: &Edit) -> bool {
    edit.path.to_string().ends_with(&format!("[{MUTATED}]"))
}

/// Whether a mutation means anything to the pod that the object starts.
fn is_of_role(object: &Reviewed, mutation: Mutation) -> bool {
    let role = object.record.role.and_then(Role::from_name);
    role.is_none_or(|role| Mutations::possible_roles(mutation).contains(role))
}

/// The mutations of what the object's operator makes of it.
fn later(object: &Reviewed) -> Vec<&'static str> {
    let of_resource = match object.record.resource {
        "scheduledsparkapplications" => of_resources(ResourceKind::SparkApplication),
        "sparkapplications" | "sparkconnects" => &[],
        _ => return Vec::new(),
    };
    if object.untouched().is_some() {
        return Vec::new();
    }
    let here: Vec<_> = object.outcomes().iter().map(|(mutation, _)| *mutation).collect();
    let there = of_resource.iter().map(|(mutation, _)| *mutation).chain(OF_PODS.iter().map(|(mutation, _)| *mutation));
    let there: Vec<_> = there.filter(|mutation| is_of_role(object, *mutation)).collect();
    let later = Mutation::ALL.into_iter().filter(|mutation| there.contains(mutation) && !here.contains(mutation));
    later.map(Mutation::name).collect()
}
