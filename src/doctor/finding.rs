//! What the doctor says: a symptom, of which object, how that was seen, and what cures it.

use std::fmt;

use super::Symptom;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something is likely not to, or works less well than it should.
    Warning,
}

impl Level {
    /// `error` or `warning`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What a finding is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName {
    /// Empty for what is in no namespace.
    pub namespace: String,
    /// Such as `SparkApplication` or `Pod`.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl ObjectName {
    /// An object of a namespace.
    #[must_use]
    pub fn of(kind: &str, namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), kind: kind.to_owned(), name: name.to_owned() }
    }

    /// An object that is in no namespace.
    #[must_use]
    pub fn global(kind: &str, name: &str) -> Self {
        Self::of(kind, "", name)
    }
}

/// `Pod team-a/pi-driver`, `CustomResourceDefinition sparkconnects.sparkoperator.k8s.io`.
impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, kind, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

/// The longest text of evidence, in characters: logs have lines of megabytes.
const LONGEST: usize = 400;

/// How something was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where: `event`, `log`, `field`, `access` or `dry-run`.
    pub source: &'static str,
    /// The object, and the field or the container in it, such as `Pod team-a/pi-driver, container spark-kubernetes-driver`.
    pub place: String,
    /// What stands there, as found, but for its length.
    pub says: String,
}

impl Evidence {
    /// A field of an object, by its path, such as `status.phase`.
    #[must_use]
    pub fn field(object: &ObjectName, path: &str, value: impl fmt::Display) -> Self {
        Self::new("field", format!("{object}, {path}"), &value.to_string())
    }

    /// An event about an object.
    #[must_use]
    pub fn event(object: &ObjectName, reason: &str, message: &str) -> Self {
        Self::new("event", object.to_string(), &format!("{reason}: {message}"))
    }

    /// A line of a container's log.
    #[must_use]
    pub fn log(pod: &ObjectName, container: &str, previous: bool, line: &str) -> Self {
        let before = if previous { ", before its restart" } else { "" };
        Self::new("log", format!("{pod}, container {container}{before}"), line)
    }

    /// What the API server says about an account's rights.
    #[must_use]
    pub fn access(account: &ObjectName, says: &str) -> Self {
        Self::new("access", account.to_string(), says)
    }

    /// What the API server answers to an object that it is to take and not to keep.
    #[must_use]
    pub fn answer(object: &ObjectName, says: &str) -> Self {
        Self::new("dry-run", object.to_string(), says)
    }

    fn new(source: &'static str, place: String, says: &str) -> Self {
        Self { source, place, says: shortened(says) }
    }
}

/// One line of a bearable length. A control character could do things to a terminal.
fn shortened(text: &str) -> String {
    let one_line = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut kept: String = one_line.clone().take(LONGEST).collect();
    if one_line.count() > LONGEST {
        kept.push('…');
    }
    kept
}

/// What to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cure {
    /// A sentence.
    pub sentence: String,
    /// Commands or a manifest, to copy as they stand; empty where a sentence is all.
    pub copy: String,
}

impl Cure {
    /// A sentence, and what is to be copied.
    #[must_use]
    pub fn of(sentence: impl Into<String>, copy: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), copy: copy.into() }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which of the catalogue.
    pub symptom: Symptom,
    /// How bad it is.
    pub level: Level,
    /// What it is about.
    pub object: ObjectName,
    /// What is wrong with it, a sentence.
    pub problem: String,
    /// How that was seen.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub cure: Cure,
}

impl Finding {
    /// What findings are ordered by: the platform's first, since the others may follow from them, then the worst.
    pub(super) fn rank(&self) -> (bool, Level, &ObjectName, &'static str) {
        (!self.symptom.is_of_platform(), self.level, &self.object, self.symptom.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_one_line_of_a_bearable_length() {
        let pod = ObjectName::of("Pod", "team-a", "pi-driver");
        let long = Evidence::log(&pod, "spark", true, &"x".repeat(3 << 20));
        assert_eq!(long.says.chars().count(), LONGEST + 1);
        assert_eq!(long.place, "Pod team-a/pi-driver, container spark, before its restart");
        let odd = Evidence::event(&pod, "Failed", " two\nlines \u{1b}[31mred\r\n");
        assert_eq!(odd.says, "Failed:  two lines  [31mred");
    }
}
