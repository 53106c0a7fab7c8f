//! The page docs/proof.md: what became of every scenario, without the webhook and with it.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{
    lane::Finished,
    outcome::Outcome,
    scenarios::{combinations, is_possible},
};

const PAGE: &str = "docs/proof.md";
/// What stands between these is written; the rest of the page is its author's.
const BEGIN: &str = "<!-- written by `make proof`: begin -->";
const END: &str = "<!-- written by `make proof`: end -->";

/// Writes what was seen of a commit into the page.
pub fn write(commit: &str, without: &[Finished], with: &[Finished], seen: &[String]) -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let (before, rest) = text.split_once(BEGIN).with_context(|| format!("{PAGE} has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).with_context(|| format!("{PAGE} has no line {END}"))?;
    let written = body(commit, without, with, seen)?;
    Ok(fs::write(&page, format!("{before}{BEGIN}\n{written}{END}{after}"))?)
}

/// Of which commit the tests are, `-dirty` where something is changed.
pub fn commit() -> Result<String> {
    said_by("git", &["describe", "--always", "--match=", "--abbrev=12", "--dirty"])
}

fn body(commit: &str, without: &[Finished], with: &[Finished], seen: &[String]) -> Result<String> {
    let ran = |results: &[Finished]| results.iter().filter(|result| result.outcome == Outcome::Ran).count();
    let date = said_by("date", &["-u", "+%Y-%m-%d"])?;
    let mut text = format!(
        "\nRun on {date}, commit {commit}. Of {} scenarios {} ran without the webhook, {} with it.\n\n\
         | scenario | without the webhook | what `spark-admission doctor` says of that | with the webhook |\n|---|---|---|---|\n",
        without.len(),
        ran(without),
        ran(with)
    );
    for (without, with) in without.iter().zip(with) {
        let (name, diagnosis) = (without.cell.name(), without.diagnosis.join(", "));
        writeln!(text, "| {name} | {} | {diagnosis} | {} |", cell_of(&without.outcome), cell_of(&with.outcome))?;
    }
    writeln!(text, "\n{}\n\n## What else was seen\n", not_run(with))?;
    for what in seen {
        writeln!(text, "- {what}")?;
    }
    text.push('\n');
    Ok(text)
}

/// What the matrix leaves out, and why.
fn not_run(run: &[Finished]) -> String {
    let (possible, impossible): (Vec<_>, Vec<_>) = combinations().partition(|cell| is_possible(*cell));
    let left_out = possible.iter().filter(|cell| !run.iter().any(|result| result.cell == **cell));
    let names: Vec<_> = left_out.map(|cell| cell.name()).collect();
    format!(
        "<details>\n<summary>Not run: {} combinations in which no pair of columns is new</summary>\n\n\
         Of {} that are possible; {} are not, since only an application has `deps`. {}.\n\n</details>",
        names.len(),
        possible.len(),
        impossible.len(),
        names.join(", ")
    )
}

/// An outcome in a table's cell.
fn cell_of(outcome: &Outcome) -> String {
    outcome.to_string().replace('|', "\\|").replace('<', "&lt;")
}

fn said_by(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
