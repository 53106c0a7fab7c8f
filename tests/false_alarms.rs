//! Nothing that works is refused: every pod that real Spark sent and every manifest of the fixtures is changed and judged as in a cluster,
//! and what the checks say of it is what stands in `tests/golden/findings.txt`, which somebody has read.
//!
//! `UPDATE_GOLDEN=1 cargo test --test false_alarms` writes that file anew. Each line of it is a warning to somebody: read it. With
//! `EXTRA_MANIFESTS=FOLDER` the manifests of that folder are judged too, and what is found in them is printed and compared with nothing.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of an integration test for no test")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::Value;
use similar::TextDiff;
use spark_admission::cli::review::ReviewCommand;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    review: ReviewCommand,
}

/// The folders of what works, or fails for what no check is about.
const FOLDERS: [&str; 4] = ["captured/3.5.9", "captured/4.3.0", "flagged", "resources"];

#[test]
fn nothing_of_the_fixtures_is_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = FOLDERS.iter().flat_map(|folder| files(&root.join("tests/fixtures").join(folder)));
    let (mut lines, mut judged) = (Vec::new(), 0);
    for file in files {
        let place = file.strip_prefix(root.join("tests/fixtures")).unwrap().display().to_string();
        let report = review(&file);
        judged += report.len();
        lines.extend(report.iter().flat_map(findings).map(|finding| format!("{place}: {finding}\n")));
    }
    assert!(judged >= 110, "only {judged} objects were judged");
    let refused: Vec<_> = lines.iter().filter(|line| line.contains(": denied: ")).collect();
    assert_eq!(refused, Vec::<&String>::new(), "would be refused");

    let (golden, now) = (root.join("tests/golden/findings.txt"), lines.concat());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &now).unwrap();
    }
    let before = fs::read_to_string(&golden).unwrap_or_default();
    let diff = TextDiff::from_lines(&before, &now).unified_diff().header("golden", "now").to_string();
    assert!(before == now, "{}\n{diff}", golden.display());
}

/// Whoever reads what this prints decides whether it is true.
#[test]
fn what_is_found_in_a_folder_of_ones_own_is_printed() {
    let Some(folder) = std::env::var_os("EXTRA_MANIFESTS") else { return };
    for file in files(Path::new(&folder)) {
        let name = file.file_name().unwrap().display().to_string();
        for object in review(&file) {
            for finding in findings(&object) {
                println!(
                    "{name}, {} {}: {finding}",
                    object["kind"].as_str().unwrap_or_default(),
                    object["name"].as_str().unwrap_or_default()
                );
            }
        }
    }
}

/// The files of a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

/// What `review` says of each object of a file; nothing of a file that cannot be read.
fn review(file: &Path) -> Vec<Value> {
    let arguments = ["review", "-o", "json", file.to_str().unwrap()];
    let CommandLine { mut review } = CommandLine::try_parse_from(arguments).unwrap();
    review.colour = false;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    review.run(&mut "".as_bytes(), &mut output, &mut errors).unwrap();
    serde_json::from_slice(&output).unwrap_or_default()
}

/// What was found in one object, and what would come of it.
fn findings(object: &Value) -> Vec<String> {
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let of_checks = object["findings"].as_array().into_iter().flatten().map(|finding| {
        let [verdict, check, path, problem] = ["verdict", "check", "path", "problem"].map(|field| text(finding, field));
        format!("{verdict}: {check}: {path}: {problem}")
    });
    of_checks.collect()
}
