//! `values.yaml` as its comments explain it: one value, one comment.

use std::{fs, path::Path};

use serde_json::Value;

/// A value with its comment.
pub struct Documented {
    /// `image.tag`
    pub path: String,
    pub default: Value,
    pub meaning: String,
}

/// Every value, in the file's order: each key with a comment. What is below such a key is part of its value.
pub fn values(chart: &Path) -> Vec<Documented> {
    let text = fs::read_to_string(chart.join("values.yaml")).unwrap();
    let defaults: Value = serde_saphyr::from_str(&text).unwrap();
    let (mut found, mut comment, mut path) = (Vec::new(), Vec::new(), Vec::<(usize, String)>::new());
    let mut inside: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(words) = line.trim_start().strip_prefix("# ") {
            if inside.is_some_and(|parent| indent > parent) {
                continue;
            }
            comment.push(words);
            inside = None;
            continue;
        }
        if line.is_empty() {
            comment.clear();
            continue;
        }
        if inside.is_some_and(|parent| indent > parent || line.trim_start().starts_with('-')) {
            continue;
        }
        inside = None;
        path.retain(|(depth, _)| *depth < indent);
        path.push((indent, line.trim_start().split(':').next().unwrap().to_owned()));
        let names: Vec<_> = path.iter().map(|(_, name)| name.as_str()).collect();
        let default = defaults.pointer(&format!("/{}", names.join("/"))).unwrap().clone();
        let path = names.join(".");
        if comment.is_empty() {
            let holds_others = default.as_object().is_some_and(|values| !values.is_empty());
            assert!(holds_others, "values.yaml does not say what {path} is for");
        } else {
            found.push(Documented { path, default, meaning: comment.join(" ") });
            inside = Some(indent);
        }
        comment.clear();
    }
    found
}

/// More than this is no reading in a cell.
const CELL: usize = 200;

/// The table of the values, for the chart's README.
pub fn table(chart: &Path) -> String {
    let rows = values(chart).into_iter().map(|value| {
        let Documented { path, default, meaning } = value;
        let default = Some(default.to_string()).filter(|text| text.len() <= CELL);
        let default = default.map_or("see [values.yaml](values.yaml)".to_owned(), |text| format!("`{text}`"));
        format!("| `{path}` | {default} | {} |\n", meaning.replace('|', "\\|"))
    });
    format!("| value | default | |\n|---|---|---|\n{}", rows.collect::<String>())
}
