//! The check of a policy file against its schema: all problems at once, each with its path.
//!
//! Covers what the settings' schema uses (fields, lists, words, numbers, texts with a format) and is meant for nothing else.

use super::formats;
use super::names::{elsewhere, nearest};
use super::schema::schema;
use serde_json::{Map, Value};
use std::fmt::{self, Write};

/// What is wrong with a field of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `mutations.ivy-cache.sizeLimit`; empty for the whole file.
    pub path: String,
    /// What is wrong with it, and what was meant or expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "{}", self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

/// Finds all problems of a policy file. What YAML writes in more than one way is made one: a field without a value is left out, so
/// that it has its default, and `false` where `off` is allowed is `off` (YAML 1.1, and so Helm, reads the word as a boolean); `true`
/// where `True` is allowed is that.
pub(super) fn check(file: &mut Value) -> Vec<Problem> {
    let mut check = Check { problems: Vec::new() };
    check.visit("", schema(), file);
    check.problems
}

struct Check {
    problems: Vec<Problem>,
}

impl Check {
    fn report(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem { path: path.to_owned(), message: message.into() });
    }

    fn expected(&mut self, path: &str, what: &str, found: &Value) {
        self.report(path, format!("expected {what}, found {}", describe(found)));
    }

    fn visit(&mut self, path: &str, schema: &Value, value: &mut Value) {
        if let Some(words) = schema["enum"].as_array() {
            return self.word(path, words, value);
        }
        match schema["type"].as_str() {
            Some("object") => self.object(path, schema, value),
            Some("array") => self.list(path, schema, value),
            Some("boolean") if value.is_boolean() => {}
            Some("boolean") => self.expected(path, "true or false", value),
            Some("integer") => self.number(path, schema, value),
            _ => self.text(path, schema, value),
        }
    }

    fn object(&mut self, path: &str, schema: &Value, value: &mut Value) {
        let Value::Object(fields) = value else { return self.expected(path, "fields (name: value)", value) };
        self.names(path, schema, fields);
        for required in strings(&schema["required"]).filter(|name| fields.get(*name).is_none_or(Value::is_null)) {
            let what = expectation(&schema["properties"][required]);
            self.report(&child(path, required), format!("missing; write {required}: {what}"));
        }
        fields.retain(|_, value| !value.is_null());
        for (name, value) in fields.iter_mut() {
            let known =
                schema["properties"].get(name).or(schema.get("additionalProperties").filter(|rest| rest.is_object()));
            if let Some(known) = known {
                self.visit(&child(path, name), known, value);
            }
        }
    }

    /// The names of the fields themselves, known or of the right format.
    fn names(&mut self, path: &str, parent: &Value, fields: &Map<String, Value>) {
        for name in fields.keys() {
            if parent["additionalProperties"].is_object() {
                self.format(&child(path, name), &parent["propertyNames"], name);
            } else if parent["properties"].get(name).is_none() {
                self.report(&child(path, name), format!("unknown field; {}", meant(name, &parent["properties"])));
            }
        }
    }

    fn list(&mut self, path: &str, schema: &Value, value: &mut Value) {
        let Value::Array(items) = value else { return self.expected(path, "a list", value) };
        if items.is_empty() && schema["minItems"] == 1 {
            self.report(path, "expected at least one; to switch the mutation off, write mode: off instead");
        }
        for (i, item) in items.iter_mut().enumerate() {
            self.visit(&format!("{path}[{i}]"), &schema["items"], item);
        }
    }

    fn word(&mut self, path: &str, words: &[Value], value: &mut Value) {
        if let Value::Bool(is_true) = *value {
            let meant = if is_true { "True" } else { "False" };
            if let Some(word) = words.iter().find(|word| *word == meant || !is_true && *word == "off") {
                *value = word.clone();
            }
        }
        if words.contains(value) {
            return;
        }
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let mut message = format!("expected {}, found {}", enumerate(&words), describe(value));
        if let Some(meant) = value.as_str().and_then(|text| nearest(text, words.iter().copied())) {
            let _ = write!(message, "; did you mean {meant}?");
        }
        self.report(path, message);
    }

    fn number(&mut self, path: &str, schema: &Value, value: &Value) {
        let bound = |name: &str| schema[name].as_u64().unwrap_or_default();
        let (least, most) = (bound("minimum"), bound("maximum"));
        if !value.as_u64().is_some_and(|number| (least..=most).contains(&number)) {
            self.expected(path, &format!("a whole number from {least} to {most}"), value);
        }
    }

    fn text(&mut self, path: &str, schema: &Value, value: &Value) {
        match value {
            Value::String(text) => self.format(path, schema, text),
            Value::Bool(_) | Value::Number(_) => {
                self.report(path, format!("expected a text, found {}; write it in quotes", describe(value)));
            }
            _ => self.expected(path, "a text", value),
        }
    }

    fn format(&mut self, path: &str, schema: &Value, text: &str) {
        let Some(is_right) = schema["format"].as_str().and_then(formats::test_of) else { return };
        if let Err(what) = is_right(text) {
            self.report(path, format!("expected {what}; found {}", quoted(text)));
        }
    }
}

/// What was probably meant by an unknown field.
fn meant(name: &str, known: &Value) -> String {
    let known = || known.as_object().into_iter().flat_map(Map::keys).map(String::as_str);
    if let Some(near) = nearest(name, known()) {
        return format!("did you mean {near}?");
    }
    match elsewhere(name, schema()) {
        Some(place) => format!("did you mean {place}?"),
        None => format!("known here: {}", known().collect::<Vec<_>>().join(", ")),
    }
}

/// The path of a field; names that are no plain words stand in brackets.
pub(super) fn child(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match (path, plain) {
        ("", true) => name.to_owned(),
        (_, true) => format!("{path}.{name}"),
        _ => format!("{path}[{}]", quoted(name)),
    }
}

/// What a required field must be: one of its words, or a text of its format.
fn expectation(schema: &Value) -> String {
    let words: Vec<_> = strings(&schema["enum"]).collect();
    let wrong = || schema["format"].as_str().and_then(formats::test_of).and_then(|is_right| is_right("").err());
    if words.is_empty() { wrong().unwrap_or_default() } else { enumerate(&words) }
}

/// A value in words.
fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "fields".to_owned(),
    }
}

/// A text in quotes, without what would break a line or flood it.
fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// `a`, `a or b`, `a, b or c`.
fn enumerate(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn strings(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}
