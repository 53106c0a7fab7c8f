//! Where a value stands in a document, as Kubernetes calls it: a field path.

use std::borrow::Cow;
use std::fmt;

/// Where a value stands in a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldPath(Vec<Step>);

/// One step of a [`FieldPath`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of an object.
    Key(Cow<'static, str>),
    /// An element of an array, from 0.
    Index(usize),
}

impl FieldPath {
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
pub fn path<const N: usize>(keys: [&'static str; N]) -> FieldPath {
    FieldPath::default().then(keys)
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
impl fmt::Display for FieldPath {
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

    #[test]
    fn reads_like_kubernetes() {
        let container = path(["spec", "containers"]).at(0).then(["resources", "limits", "memory"]);
        assert_eq!(container.to_string(), "spec.containers[0].resources.limits.memory");
        assert_eq!(path(["spec", "sparkConf", "spark.jars.ivy"]).to_string(), "spec.sparkConf[spark.jars.ivy]");
    }
}
