//! The documentation's examples are read by the parsers of the server, and its tables name every field.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of an integration test for no test")]

use serde_json::Value;
use spark_admission::policy::Policy;
use spark_admission::policy::configuration::schema;
use std::fs;
use std::path::{Path, PathBuf};

/// README and all pages under docs.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    docs.chain([root.join("README.md")])
        .filter(|path| path.extension().is_some_and(|kind| kind == "md") && path.exists())
        .collect()
}

/// The YAML blocks of a page, each with the line that it begins on.
fn yaml_blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (i, line) in page.lines().enumerate() {
        match &mut block {
            None if line.trim() == "```yaml" => block = Some((i + 2, String::new())),
            Some(_) if line.trim() == "```" => blocks.extend(block.take()),
            Some((_, text)) => text.extend([line, "\n"]),
            None => {}
        }
    }
    blocks
}

#[test]
fn every_policy_in_the_documentation_is_right() {
    let mut read = 0;
    for path in pages() {
        for (line, block) in yaml_blocks(&fs::read_to_string(&path).unwrap()) {
            if block.lines().any(|line| line == "kind: Policy") {
                Policy::parse(&block).unwrap_or_else(|error| panic!("{}:{line}: {error}", path.display()));
                read += 1;
            }
        }
    }
    assert!(read >= 8, "only {read} policies found: are the blocks still marked as yaml?");
}

#[test]
fn the_page_on_the_policy_names_every_field_and_word() {
    fn names(schema: &Value, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            found.push(name.clone());
            let words = property["enum"].as_array().or(property["items"]["enum"].as_array());
            found.extend(words.into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned));
            names(property, found);
        }
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md")).unwrap();
    let mut found = Vec::new();
    names(schema(), &mut found);
    for name in found {
        let named = [format!("`{name}`"), format!("{name}:"), format!("`{name}."), format!(".{name}`")]
            .iter()
            .any(|form| page.contains(form));
        assert!(named, "docs/policy.md does not name {name}");
    }
}

#[test]
fn the_error_in_the_page_on_the_policy_is_what_the_parser_says() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/policy.md")).unwrap();
    let file = "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nmutations: {ivy-cahce: {}, ivy-dir: {submission: never}}";
    let error = Policy::parse(file).unwrap_err();
    assert!(page.contains(&format!("policy.yaml: {error}\n")), "{error}");
}
