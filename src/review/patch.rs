//! Edits to JSON Patch operations on the raw object.
//!
//! A patch that does not apply is an error for the user whatever the failurePolicy says, and a typed round trip would delete
//! fields that it does not know. So: operations are built from what really stands in the object; parents that are absent or
//! null are added first; arrays grow by `/-`; nothing is tested, and no array is replaced.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Value, json};

use crate::policy::document::{Json, Kind};
use crate::policy::field_path::{FieldPath, Step};
use crate::policy::plan::{Change, Edit};

/// One operation of RFC 6902.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Operation<'e> {
    /// `add`, `replace` or `remove`.
    pub op: &'static str,
    /// A JSON pointer.
    pub path: String,
    /// What stands there afterwards; none with `remove`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Cow<'e, Value>>,
}

/// The object has another shape than its kind, so an edit has no place in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at} is {found}; it must be {expected}")]
pub struct WrongShape {
    at: String,
    found: &'static str,
    expected: &'static str,
}

/// The operations that carry out the edits, in an order in which each one applies.
///
/// # Errors
/// [`WrongShape`] where the object holds, say, a text where a list must stand.
pub fn operations<'e>(
    object: Json<'_>,
    edits: impl IntoIterator<Item = &'e Edit>,
) -> Result<Vec<Operation<'e>>, WrongShape> {
    let mut builder = Builder { object, added: Vec::new(), operations: Vec::new() };
    for edit in edits {
        builder.carry_out(edit)?;
    }
    Ok(builder.operations)
}

struct Builder<'a, 'e> {
    object: Json<'a>,
    /// Parents that an earlier operation of this patch adds.
    added: Vec<String>,
    operations: Vec<Operation<'e>>,
}

impl<'e> Builder<'_, 'e> {
    fn carry_out(&mut self, edit: &'e Edit) -> Result<(), WrongShape> {
        let steps = edit.path.steps();
        if edit.change != Change::Remove {
            for depth in 1..steps.len() {
                self.make_sure_of(&steps[..depth], Shape::that_holds(&steps[depth]))?;
            }
        }
        match &edit.change {
            Change::Set(value) => {
                let is_there = !self.standing(steps).is_null();
                self.push(if is_there { "replace" } else { "add" }, pointer(steps), Cow::Borrowed(value));
            }
            Change::Remove => {
                // Two removals of one value, or one of what is not there, would be a patch that does not apply.
                if !self.standing(steps).is_null() {
                    self.operations.push(Operation { op: "remove", path: pointer(steps), value: None });
                }
            }
            Change::Append(value) => {
                self.make_sure_of(steps, Shape::Array)?;
                self.push("add", pointer(steps) + "/-", Cow::Borrowed(value));
            }
        }
        Ok(())
    }

    /// Adds an empty object or array at `steps` unless one stands there.
    fn make_sure_of(&mut self, steps: &[Step], expected: Shape) -> Result<(), WrongShape> {
        let found = match (self.standing(steps).kind(), expected) {
            (Kind::Object, Shape::Object) | (Kind::List, Shape::Array) => return Ok(()),
            (Kind::Null, _) if matches!(steps.last(), Some(Step::Key(_))) => {
                self.add_once(pointer(steps), expected);
                return Ok(());
            }
            (found, _) => describe(found),
        };
        Err(WrongShape {
            at: FieldPath::default().then(steps.iter().cloned()).to_string(),
            found,
            expected: expected.describe(),
        })
    }

    fn add_once(&mut self, pointer: String, shape: Shape) {
        if !self.added.contains(&pointer) {
            self.push("add", pointer.clone(), Cow::Owned(shape.empty()));
            self.added.push(pointer);
        }
    }

    fn standing(&self, steps: &[Step]) -> Json<'_> {
        steps.iter().fold(self.object, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => value.items().nth(*index).unwrap_or(Json::NULL),
        })
    }

    fn push(&mut self, op: &'static str, path: String, value: Cow<'e, Value>) {
        self.operations.push(Operation { op, path, value: Some(value) });
    }
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    Object,
    Array,
}

impl Shape {
    fn that_holds(step: &Step) -> Self {
        match step {
            Step::Key(_) => Self::Object,
            Step::Index(_) => Self::Array,
        }
    }

    fn empty(self) -> Value {
        match self {
            Self::Object => json!({}),
            Self::Array => json!([]),
        }
    }

    const fn describe(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "a list",
        }
    }
}

const fn describe(kind: Kind) -> &'static str {
    match kind {
        Kind::Null => "missing",
        Kind::Bool => "true or false",
        Kind::Number => "a number",
        Kind::Text => "a text",
        Kind::List => "a list",
        Kind::Object => "an object",
    }
}

/// RFC 6901: `~` becomes `~0`, `/` becomes `~1`.
fn pointer(steps: &[Step]) -> String {
    let mut pointer = String::with_capacity(64);
    for step in steps {
        pointer.push('/');
        match step {
            Step::Key(key) if key.contains(['~', '/']) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
            Step::Key(key) => pointer.push_str(key),
            Step::Index(index) => pointer.push_str(&index.to_string()),
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Document;
    use crate::policy::field_path::path;

    fn edit(path: FieldPath, change: Change) -> Edit {
        Edit { path, change, mutation: None, observed: false }
    }

    fn set(keys: &[&'static str]) -> Edit {
        edit(FieldPath::default().then(keys.iter().copied()), Change::Set(json!(1)))
    }

    fn lines(object: &str, edits: &[Edit]) -> Result<Vec<String>, String> {
        let object = Document::parse(object).unwrap();
        let operations = operations(object.root(), edits).map_err(|wrong| wrong.to_string())?;
        Ok(operations
            .iter()
            .map(|it| format!("{} {} {}", it.op, it.path, it.value.as_deref().unwrap_or_default()))
            .collect())
    }

    #[test]
    fn builds_operations_that_apply() {
        let append =
            |keys: &[&'static str]| edit(FieldPath::default().then(keys.iter().copied()), Change::Append(json!("x")));
        let in_container = edit(path(["c"]).at(1).then(["env"]), Change::Append(json!("x")));
        for (case, object, edits, expected) in [
            (
                "absent parents are added, once",
                "{}",
                vec![set(&["a", "b", "c"]), set(&["a", "b", "d"])],
                vec!["add /a {}", "add /a/b {}", "add /a/b/c 1", "add /a/b/d 1"],
            ),
            ("so are null parents", r#"{"a":null}"#, vec![set(&["a", "b"])], vec!["add /a {}", "add /a/b 1"]),
            ("what stands there is replaced", r#"{"a":{"b":2}}"#, vec![set(&["a", "b"])], vec!["replace /a/b 1"]),
            ("null counts as absent", r#"{"a":{"b":null}}"#, vec![set(&["a", "b"])], vec!["add /a/b 1"]),
            ("lists grow at their end", r#"{"a":[1,2]}"#, vec![append(&["a"])], vec![r#"add /a/- "x""#]),
            (
                "absent lists are added, once",
                "{}",
                vec![append(&["a"]), append(&["a"])],
                vec!["add /a []", r#"add /a/- "x""#, r#"add /a/- "x""#],
            ),
            (
                "a null list is one that is absent",
                r#"{"a":null}"#,
                vec![append(&["a"])],
                vec!["add /a []", r#"add /a/- "x""#],
            ),
            (
                "an element of a list",
                r#"{"c":[{},{"env":[]}]}"#,
                vec![in_container.clone()],
                vec![r#"add /c/1/env/- "x""#],
            ),
            (
                "what is there is removed",
                r#"{"a":{"b":2}}"#,
                vec![edit(path(["a", "b"]), Change::Remove)],
                vec!["remove /a/b null"],
            ),
            ("what is not there is not", r#"{"a":{}}"#, vec![edit(path(["a", "b"]), Change::Remove)], vec![]),
            (
                "tildes and slashes are escaped in that order",
                r#"{"a":{}}"#,
                vec![set(&["a", "x/y~1"])],
                vec!["add /a/x~1y~01 1"],
            ),
        ] {
            assert_eq!(lines(object, &edits).unwrap(), expected, "{case}");
        }
    }

    #[test]
    fn says_what_has_the_wrong_shape() {
        let in_container = edit(path(["c"]).at(1).then(["env"]), Change::Append(json!("x")));
        for (case, object, edits, expected) in [
            ("a text for an object", r#"{"a":"text"}"#, vec![set(&["a", "b"])], "a is a text; it must be an object"),
            ("a list for an object", r#"{"a":[]}"#, vec![set(&["a", "b"])], "a is a list; it must be an object"),
            ("no such element", r#"{"c":[{}]}"#, vec![in_container.clone()], "c[1] is missing; it must be an object"),
            (
                "an object for a list",
                r#"{"c":[{},{"env":{}}]}"#,
                vec![in_container],
                "c[1].env is an object; it must be a list",
            ),
        ] {
            assert_eq!(lines(object, &edits).unwrap_err(), expected, "{case}");
        }
    }
}
