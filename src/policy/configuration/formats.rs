//! Formats: what a text in the policy file must look like, and the types of texts that do.
//!
//! A format has a name, which the JSON Schema gives as `format`, and a test, which says in words what is wrong.

use crate::policy::values::label::{is_key, is_value};
use crate::policy::values::path::judge;
use crate::policy::values::quantity::Quantity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A test of a text: what it must be, in words, if it is not that.
type Test = fn(&str) -> Result<(), String>;

/// The test of a format by its name in the schema.
pub(super) fn test_of(format: &str) -> Option<Test> {
    Some(match format {
        "namespace-glob" => namespace_glob,
        "image-glob" => image_glob,
        "package-glob" => package_glob,
        "container-name" => container_name,
        "label" => label,
        "key" => key,
        "word" => word,
        "namespace" => namespace,
        "period" => period,
        "mount-path" => mount_path,
        "size" => size,
        "version" => version,
        "connect-version" => connect_version,
        _ => return None,
    })
}

/// Defines a text of a format: a string that passed its test.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $format:literal, $test:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A text that is known to be right: the defaults, which a test reads back.
            pub(super) fn new(text: &str) -> Self {
                Self(text.to_owned())
            }

            /// The text as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                $test(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "format": $format})
            }
        }
    };
}

text!(
    /// The size of a volume: a Kubernetes quantity of at least 1Mi.
    SizeLimit, "size", size
);

text!(
    /// Where a volume is mounted: an absolute and clean path that hides nothing of the image that Spark needs.
    MountPath, "mount-path", mount_path
);

text!(
    /// A time span, written as `90s`, `10m` or `1h`.
    Period, "period", period
);

impl Period {
    /// The whole seconds in it.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        crate::duration::parse(&self.0).map_or(0, |period| i64::try_from(period.as_secs()).unwrap_or(i64::MAX))
    }
}

/// A label and its value, written `key=value`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyValue {
    key: String,
    value: String,
}

impl KeyValue {
    /// The label of this key and value.
    pub(super) fn new(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: value.to_owned() }
    }

    /// The label's key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value that the label must have.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl TryFrom<String> for KeyValue {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        label(&text)?;
        let (key, value) = text.split_once('=').unwrap_or((&text, ""));
        Ok(Self::new(key, value))
    }
}

impl From<KeyValue> for String {
    fn from(label: KeyValue) -> Self {
        format!("{}={}", label.key, label.value)
    }
}

impl JsonSchema for KeyValue {
    fn schema_name() -> Cow<'static, str> {
        "KeyValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "label"})
    }
}

/// A namespace's name, with `*` and `?`.
fn namespace_glob(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-*?".contains(c);
    must(!text.is_empty() && text.chars().all(allowed), "a namespace's name (a-z, 0-9, -), with * and ? as wildcards")
}

/// A namespace's name.
fn namespace(text: &str) -> Result<(), String> {
    must(container_name(text).is_ok(), "the name of a namespace (1 to 63 of a-z, 0-9, -)")
}

/// An image's repository, with `*` and `?`; matched without tag and digest, so that one in the pattern would never match.
fn image_glob(text: &str) -> Result<(), String> {
    let last_part = text.rsplit('/').next().unwrap_or(text);
    must(!last_part.contains([':', '@']), "an image's repository without tag and digest, such as apache/spark")?;
    must(
        !text.is_empty() && !text.contains(char::is_whitespace),
        "an image's repository, with * and ? as wildcards, such as */spark",
    )
}

/// `group:artifact`, with `*` and `?`; a version in it would never match.
fn package_glob(text: &str) -> Result<(), String> {
    must(text.matches(':').count() <= 1, "group:artifact without a version, such as org.apache.hadoop:hadoop-aws")?;
    must(
        !text.is_empty() && !text.contains(char::is_whitespace),
        "group:artifact, with * and ? as wildcards, such as *:hadoop-aws",
    )
}

/// The name of a container (RFC 1123 label).
fn container_name(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let right =
        (1..=63).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with('-') && !text.ends_with('-');
    must(right, "the name of a container (1 to 63 of a-z, 0-9, -)")
}

/// `key=value` of a label, by the rules of the API server.
fn label(text: &str) -> Result<(), String> {
    let right = text.split_once('=').is_some_and(|(key, value)| is_key(key) && is_value(value));
    must(right, "a label and its value, such as spark-admission.io/notebook=true")
}

/// The key of a label, annotation or taint; nothing where none is looked at.
fn key(text: &str) -> Result<(), String> {
    must(text.is_empty() || is_key(text), "a key such as spark-admission.io/flagged, or \"\" to look at none")
}

/// A word as conditions and events have them: their types, reasons and components.
fn word(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_graphic();
    must(!text.is_empty() && text.chars().all(allowed), "a word, such as ReadonlyFilesystem")
}

/// A time span that is not nothing.
fn period(text: &str) -> Result<(), String> {
    let right = crate::duration::parse(text).is_ok_and(|period| period.as_secs() > 0);
    must(right, "a time of at least a second, such as 90s, 10m or 1h")
}

/// A path that a volume may be mounted at.
fn mount_path(text: &str) -> Result<(), String> {
    judge(text).map_err(|fault| format!("an absolute path below /tmp or of its own, such as /tmp/.ivy2 ({fault})"))?;
    must(
        !text.ends_with('/') && !text.contains("//"),
        "a path without doubled slashes and without / at its end, such as /tmp/.ivy2",
    )
}

/// A Kubernetes quantity of at least 1Mi.
fn size(text: &str) -> Result<(), String> {
    must(
        Quantity::parse(text).is_some_and(|size| size >= Quantity::MEBIBYTE),
        "a Kubernetes quantity of at least 1Mi, such as 512Mi or 4Gi",
    )
}

/// A version as it stands in a Maven coordinate.
fn version(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
    must(!text.is_empty() && text.chars().all(allowed), "a version, such as 3.5.1")
}

/// A version of Spark whose images lack spark-connect.
fn connect_version(text: &str) -> Result<(), String> {
    let supported = text.starts_with("3.4.") || text.starts_with("3.5.");
    must(
        supported && version(text).is_ok(),
        "a version of Spark 3.4 or 3.5, such as 3.5.1 (later ones bring spark-connect along)",
    )
}

fn must(right: bool, what: &str) -> Result<(), String> {
    if right { Ok(()) } else { Err(what.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides() {
        for (format, right, wrong) in [
            ("namespace-glob", &["prod", "team-*", "?-1", "*"][..], &["", "Prod", "a b", "a/b", "a.b"][..]),
            (
                "image-glob",
                &["spark", "*/spark", "host:5000/spark", "*"],
                &["", "spark:3.5.1", "a/spark@sha256:0", "a b"],
            ),
            ("package-glob", &["g:a", "*:a-*", "*"], &["", "g:a:1", "g: a"]),
            ("container-name", &["notebook", "a", "0-a"], &["", "-a", "a-", "A", "a.b", &"a".repeat(64)]),
            (
                "label",
                &["a=b", "spark-admission.io/notebook=true", "component=singleuser-server", "a="],
                &[
                    "",
                    "a",
                    "=b",
                    "a=b=c",
                    "a==b",
                    "/a=b",
                    "a/=b",
                    "a/b/c=d",
                    "A.io/b=c",
                    "a=-b",
                    &format!("{}=b", "a".repeat(64)),
                ],
            ),
            (
                "mount-path",
                &["/tmp/.ivy2", "/ivy", "/opt/sparkling", "/a_b/c-d"],
                &[
                    "",
                    "/",
                    "tmp",
                    "/tmp/",
                    "//tmp",
                    "/tmp/./a",
                    "/tmp/..",
                    "/a b",
                    "/$HOME",
                    "/opt/spark/jars",
                    "/usr",
                    "/var",
                    "/etc/x",
                ],
            ),
            (
                "size",
                &["1Mi", "512Mi", "4Gi", "1048576", "0.5Gi", "2M"],
                &["", "Mi", "512m", "1Ki", "0", "-1Gi", "4 Gi", "4GB", "1g", "1.2.3Gi"],
            ),
            (
                "key",
                &["", "flagged", "spark-admission.io/flagged"],
                &["a b", "a/b/c", "-a", "A.io/b", "a=b", &"a".repeat(64)],
            ),
            ("word", &["ReadonlyFilesystem", "True", "example.com/Broken"], &["", "a b", "ä"]),
            ("namespace", &["default", "0-a"], &["", "*", "A", "a.b", &"a".repeat(64)]),
            ("period", &["1h", "10m", "1m30s", "1.5s"], &["", "0", "10", "500ms", "-1h", "1 h"]),
            ("version", &["3.5.1", "3.5.0-amzn-1", "3.4.1_x+y"], &["", "3.5.1,x", "a:b", "3 5"]),
            ("connect-version", &["3.4.0", "3.5.6", "3.5.0-amzn-1"], &["", "3.5", "3.50.1", "4.0.0", "3.5.1:x"]),
        ] {
            let is_right = test_of(format).unwrap();
            for text in right {
                assert_eq!(is_right(text), Ok(()), "{format} {text:?}");
            }
            for text in wrong {
                assert!(is_right(text).is_err(), "{format} {text:?}");
            }
        }
    }

    #[test]
    fn a_label_is_a_key_and_a_value() {
        let label = KeyValue::try_from("example.com/kind=notebook".to_owned()).unwrap();
        assert_eq!((label.key(), label.value()), ("example.com/kind", "notebook"));
        assert_eq!(String::from(label), "example.com/kind=notebook");
    }
}
