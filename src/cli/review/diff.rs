//! `-o diff`: what would change, as a unified diff of the YAML before and after.

use std::io::{self, Write};

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::reviewed::Reviewed;
use super::summary::{headline, hint, verdict};
use super::yaml::yaml;

/// How many unchanged lines are shown around a change: enough to see the container that it is in.
const CONTEXT: usize = 3;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Writes objects one after another, with a blank line between them.
pub(super) fn write(reviewed: &[Reviewed], colour: bool, output: &mut dyn Write) -> io::Result<()> {
    let paint = Paint(colour);
    for (index, object) in reviewed.iter().enumerate() {
        if index > 0 {
            writeln!(output)?;
        }
        paint.line(output, BOLD, &headline(object))?;
        writeln!(output, "{}", verdict(object))?;
        if let Some(hint) = hint(object) {
            writeln!(output, "note: {hint}")?;
        }
        for warning in object.warnings() {
            writeln!(output, "warning: {warning}")?;
        }
        write_diff(&object.before, &object.after, colour, output)?;
    }
    Ok(())
}

/// Writes a unified diff of two objects as YAML; nothing where they are equal.
///
/// # Errors
/// When `output` cannot be written to.
pub fn write_diff(before: &Value, after: &Value, colour: bool, output: &mut dyn Write) -> io::Result<()> {
    let paint = Paint(colour);
    let before = yaml(before).map_err(io::Error::other)?;
    let after = yaml(after).map_err(io::Error::other)?;
    let diff = TextDiff::from_lines(&before, &after);
    for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
        paint.line(output, CYAN, &hunk.header().to_string())?;
        for change in hunk.iter_changes() {
            let line = format!("{}{}", change.tag(), change.value().trim_end_matches('\n'));
            match change.tag() {
                ChangeTag::Delete => paint.line(output, RED, &line)?,
                ChangeTag::Insert => paint.line(output, GREEN, &line)?,
                ChangeTag::Equal => writeln!(output, "{line}")?,
            }
        }
    }
    Ok(())
}

/// Whether lines are coloured.
struct Paint(bool);

impl Paint {
    fn line(&self, output: &mut dyn Write, colour: &str, line: &str) -> io::Result<()> {
        if self.0 { writeln!(output, "{colour}{line}{PLAIN}") } else { writeln!(output, "{line}") }
    }
}
