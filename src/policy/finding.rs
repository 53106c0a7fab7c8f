//! What a check finds: where, what is wrong there, and what to write instead.

use std::fmt;

use super::check::{Check, Level};
use super::field_path::FieldPath;

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// By which check.
    pub check: Check,
    /// The most that comes of it, whatever the policy says: `Warn` where the check is not sure enough to refuse anything.
    pub at_most: Level,
    /// Where; the root where it is about the object as a whole.
    pub path: FieldPath,
    /// What is wrong, as half a sentence.
    pub problem: String,
    /// What to do about it, as the other half.
    pub cure: String,
}

impl Finding {
    /// Whether both say the same of an object, which may have changed otherwise.
    ///
    /// Either may differ: an element's index moves when something is written before it, and a new value can be as wrong as the old.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.check == other.check && (self.path == other.path || self.problem == other.problem)
    }
}

/// As it is told: `spark-memory: spec.driver.memory: "512Mi" is nothing that Spark can read; write 512m`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.check.name())?;
        if !self.path.steps().is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "{}; {}", self.problem, self.cure)
    }
}

/// Collects what a check finds in one object.
#[derive(Debug)]
pub struct Findings {
    check: Check,
    found: Vec<Finding>,
}

impl Findings {
    /// Everything that one check finds.
    pub fn by(check: Check, find: impl FnOnce(&mut Self)) -> Vec<Finding> {
        let mut findings = Self { check, found: Vec::new() };
        find(&mut findings);
        findings.found
    }

    /// Something that cannot work.
    pub fn add(&mut self, path: FieldPath, problem: impl Into<String>, cure: impl Into<String>) {
        self.push(Level::Deny, path, problem.into(), cure.into());
    }

    /// Something that is likely to fail, or that may heal: whatever the policy says, nothing is refused for it.
    pub fn add_likely(&mut self, path: FieldPath, problem: impl Into<String>, cure: impl Into<String>) {
        self.push(Level::Warn, path, problem.into(), cure.into());
    }

    fn push(&mut self, at_most: Level, path: FieldPath, problem: String, cure: String) {
        let finding = Finding { check: self.check, at_most, path, problem, cure };
        if !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::field_path::path;

    #[test]
    fn is_told_with_its_place() {
        let finding = |path| Finding {
            check: Check::SparkMemory,
            at_most: Level::Deny,
            path,
            problem: "it is wrong".to_owned(),
            cure: "mend it".to_owned(),
        };
        assert_eq!(finding(path(["spec", "driver"])).to_string(), "spark-memory: spec.driver: it is wrong; mend it");
        assert_eq!(finding(FieldPath::default()).to_string(), "spark-memory: it is wrong; mend it");
    }
}
