//! From the text of a policy file to a policy, or to all that is wrong with it.
//!
//! The file is read as a tree, checked against the schema, laid over the default policy, and only then becomes settings.

use super::check::{Problem, check};
use super::schema::{API_VERSION, KIND, defaults};
use super::settings::Policy;
use serde_json::Value;
use serde_saphyr::{MessageFormatter, UserMessageFormatter};
use std::fmt::Write;
use thiserror::Error;

/// The default policy as a file, with comments: what `policy default` prints.
pub const DEFAULT_FILE: &str = include_str!("default.yaml");

/// Why a text is no policy. Several lines; the last one says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// Nothing but blanks and comments. Not the default policy: a file that was cut off must not undo an administrator's choices.
    #[error("the policy is empty\nFor the default policy write apiVersion: {API_VERSION} and kind: {KIND}.")]
    Empty,
    /// The text is neither YAML nor JSON.
    #[error(
        "the policy is not YAML: line {line}, column {column}: {message}\nCorrect this line; its cause may be a line or two above."
    )]
    Syntax {
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What is wrong there.
        message: String,
    },
    /// Fields are unknown or hold what they cannot.
    #[error("{}", list(.0))]
    Fields(Vec<Problem>),
}

impl Policy {
    /// Reads a policy file, YAML or JSON. Fields that it does not name have their defaults.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the fields at once; or the first place where the text is not YAML.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut file = read(text)?;
        let problems = check(&mut file);
        if !problems.is_empty() {
            return Err(PolicyError::Fields(without_flood(&file, problems)));
        }
        let mut policy = defaults().clone();
        overlay(&mut policy, file);
        settings(policy)
    }
}

fn read(text: &str) -> Result<Value, PolicyError> {
    // `off` is a word here, not the boolean of YAML 1.1.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let file: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        PolicyError::Syntax { line, column, message: UserMessageFormatter.format_message(&error).into_owned() }
    })?;
    if file.is_null() { Err(PolicyError::Empty) } else { Ok(file) }
}

/// A file of another kind or version is said to be that: its fields would be a flood of problems that are none.
fn without_flood(file: &Value, mut problems: Vec<Problem>) -> Vec<Problem> {
    let of_header = |problem: &Problem| {
        ["apiVersion", "kind"].contains(&problem.path.as_str()) && file.get(&problem.path).is_some()
    };
    if problems.iter().any(of_header) {
        problems.retain(of_header);
    }
    problems
}

/// Lays a file over the defaults: what it names counts, lists as a whole.
fn overlay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (name, value) in over {
                overlay(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

fn settings(tree: Value) -> Result<Policy, PolicyError> {
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let path = error.path().to_string();
        PolicyError::Fields(vec![Problem { path, message: error.into_inner().to_string() }])
    })
}

fn list(problems: &[Problem]) -> String {
    let mut text = match problems.len() {
        1 => "1 problem in the policy".to_owned(),
        n => format!("{n} problems in the policy"),
    };
    for problem in problems {
        let _ = write!(text, "\n  {problem}");
    }
    text + "\nCorrect what is named above; `spark-admission policy default` shows every field and what it means."
}

#[cfg(test)]
mod tests;
