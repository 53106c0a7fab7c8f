//! A JSON document as it came: borrowed from the request's bytes, every field kept, every look-up total.
//!
//! Views ([`super::subject`]) answer questions on it in the field's words. A member that is absent, null or of another type
//! reads as [`Json::Null`], so that no manifest, however odd, makes a question panic.

use std::borrow::Cow;
use std::fmt;

/// A borrowed JSON value. `get` on anything but an object or an array, or on a missing member, is `Null`.
pub type Json<'a> = serde_json_borrow::Value<'a>;

/// The elements of an array; none where the value is no array.
#[must_use]
pub fn items<'a>(value: &'a Json<'a>) -> &'a [Json<'a>] {
    value.as_array().unwrap_or_default()
}

/// The members of an object; none where the value is no object.
pub fn members<'a>(value: &'a Json<'a>) -> impl Iterator<Item = (&'a str, &'a Json<'a>)> {
    value.as_object().into_iter().flat_map(serde_json_borrow::ObjectAsVec::iter)
}

/// Whether two values are equal as JSON: the order of members does not count.
#[must_use]
pub fn same(left: &Json<'_>, right: &Json<'_>) -> bool {
    same_but_for(left, right, &[])
}

/// Whether two objects are equal when the members named in `ignored` are left out at the top level.
#[must_use]
pub fn same_but_for(left: &Json<'_>, right: &Json<'_>, ignored: &[&str]) -> bool {
    match (left, right) {
        (Json::Object(_), Json::Object(_)) => {
            let counted = |value| members(value).filter(|(key, _)| !ignored.contains(key)).count();
            counted(left) == counted(right)
                && members(left).filter(|(key, _)| !ignored.contains(key)).all(|(key, value)| {
                    right.as_object().and_then(|object| object.get(key)).is_some_and(|other| same(value, other))
                })
        }
        (Json::Array(left), Json::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        _ => left == right,
    }
}

/// Where a value stands in a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(Vec<Step>);

/// One step of a [`Path`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Key(Cow<'static, str>),
    /// An element of an array, from 0.
    Index(usize),
}

impl Path {
    /// The steps from the document's root.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// This path with further steps behind it.
    #[must_use]
    pub fn then(mut self, steps: impl IntoIterator<Item = impl Into<Step>>) -> Self {
        self.0.extend(steps.into_iter().map(Into::into));
        self
    }

    /// The path of an element of the array that stands here.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.0.push(Step::Index(index));
        self
    }
}

/// A path of object members from the root.
#[must_use]
pub fn path<const N: usize>(keys: [&'static str; N]) -> Path {
    Path::default().then(keys)
}

impl From<&'static str> for Step {
    fn from(key: &'static str) -> Self {
        Self::Key(Cow::Borrowed(key))
    }
}

impl From<String> for Step {
    fn from(key: String) -> Self {
        Self::Key(Cow::Owned(key))
    }
}

/// As Kubernetes writes field paths in messages: `spec.containers[0].resources.limits[memory]`, plain members with dots.
impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::Key(key) if key.contains(['.', '/']) => write!(formatter, "[{key}]")?,
                Step::Key(key) if position == 0 => write!(formatter, "{key}")?,
                Step::Key(key) => write!(formatter, ".{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Json<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn equality() {
        for (case, left, right, expected) in [
            (
                "the order of members does not count",
                r#"{"a":1,"b":[{"c":2,"d":3}]}"#,
                r#"{"b":[{"d":3,"c":2}],"a":1}"#,
                true,
            ),
            ("the order of elements counts", r#"{"a":[1,2]}"#, r#"{"a":[2,1]}"#, false),
            ("an ignored member may differ", r#"{"a":1,"suspend":true}"#, r#"{"a":1,"suspend":false}"#, true),
            ("an ignored member may be absent", r#"{"a":1}"#, r#"{"a":1,"suspend":false}"#, true),
            ("it is ignored at the top only", r#"{"a":{"suspend":true}}"#, r#"{"a":{"suspend":false}}"#, false),
            ("null is not absent", r#"{"a":null}"#, r#"{"b":null}"#, false),
            ("an added member", r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
        ] {
            assert_eq!(same_but_for(&parse(left), &parse(right), &["suspend"]), expected, "{case}");
        }
    }

    #[test]
    fn paths_read_like_kubernetes() {
        let container = path(["spec", "containers"]).at(0).then(["resources", "limits", "memory"]);
        assert_eq!(container.to_string(), "spec.containers[0].resources.limits.memory");
        assert_eq!(path(["spec", "sparkConf", "spark.jars.ivy"]).to_string(), "spec.sparkConf[spark.jars.ivy]");
    }
}
