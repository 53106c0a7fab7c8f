//! Globs: patterns with `*` (any characters, slashes too) and `?` (one character), compiled once.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use wildmatch::WildMatch;

/// A list of globs, compiled when the policy is read. Case-sensitive; a pattern covers the whole text.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<String>")]
pub struct Globs(Vec<WildMatch>);

impl Globs {
    /// The globs of these patterns.
    #[must_use]
    pub fn new<P: AsRef<str>>(patterns: &[P]) -> Self {
        Self(patterns.iter().map(|pattern| WildMatch::new(pattern.as_ref())).collect())
    }

    /// Whether one of the patterns covers the text. Never, without patterns.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(text))
    }

    /// Whether there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The patterns, as written.
    pub fn patterns(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(ToString::to_string)
    }
}

impl From<Vec<String>> for Globs {
    fn from(patterns: Vec<String>) -> Self {
        Self::new(&patterns)
    }
}

impl From<Globs> for Vec<String> {
    fn from(globs: Globs) -> Self {
        globs.patterns().collect()
    }
}

impl fmt::Debug for Globs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.patterns()).finish()
    }
}

impl JsonSchema for Globs {
    fn schema_name() -> Cow<'static, str> {
        "Globs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": {"type": "string"}})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decides() {
        for (case, patterns, text, expected) in [
            ("no pattern covers nothing", &[][..], "spark", false),
            ("a plain word covers itself", &["spark"], "spark", true),
            ("a plain word covers nothing longer", &["spark"], "spark-py", false),
            ("one of several is enough", &["a", "b"], "b", true),
            ("a star crosses slashes", &["*/spark"], "docker.io/apache/spark", true),
            ("a star may be empty", &["team-*"], "team-", true),
            ("a question mark is one character", &["team-?"], "team-", false),
            ("case counts", &["Spark"], "spark", false),
            ("a star alone covers all", &["*"], "", true),
        ] {
            assert_eq!(Globs::new(patterns).matches(text), expected, "{case}");
        }
    }
}
