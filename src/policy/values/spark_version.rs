//! Spark versions, and what Spark Connect can do in them.

use std::fmt;

/// A version of Spark. What follows the numbers (`-SNAPSHOT`, `-preview2`, `-amzn-0`) is not kept.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SparkVersion {
    /// 3 in 3.5.1.
    pub major: u32,
    /// 5 in 3.5.1.
    pub minor: u32,
    /// 1 in 3.5.1; absent in `3.5`, which may be any of its patches.
    pub patch: Option<u32>,
}

impl SparkVersion {
    /// Reads `3.5.1`, `v3.5.1`, `3.5` and these with anything behind a `-`, `_` or `+`; nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix('v').unwrap_or(text);
        let numbers = text.split(['-', '_', '+']).next().unwrap_or(text);
        let mut parts = numbers.split('.');
        let (major, minor) = (number(parts.next()?)?, number(parts.next()?)?);
        let patch = match parts.next() {
            Some(patch) => Some(number(patch)?),
            None => None,
        };
        parts.next().is_none().then_some(Self { major, minor, patch })
    }

    /// Whether both are 3.5, whatever their patches: what is built for one runs on the other.
    #[must_use]
    pub fn is_same_minor(self, other: Self) -> bool {
        (self.major, self.minor) == (other.major, other.minor)
    }

    /// Whether Spark Connect exists, but only as a package to be added: 3.4 and 3.5. Before, there was none; since 4.0 it is bundled.
    #[must_use]
    pub fn has_connect_as_package(self) -> bool {
        self.major == 3 && matches!(self.minor, 4 | 5)
    }

    /// Whether the distribution brings Spark Connect along: since 4.0 (SPARK-48763).
    #[must_use]
    pub fn bundles_connect(self) -> bool {
        self.major >= 4
    }

    /// Whether Spark Connect, added as a package, cannot run a job on executors: on a 3.5.0 to 3.5.5 core the first job ends in
    /// `ClassCastException: cannot assign instance of java.lang.invoke.SerializedLambda to field ... MapPartitionsRDD.f` (seen with
    /// 3.5.0 and 3.5.5; 3.4.0, 3.5.6, 3.5.7 and 3.5.9 work). The core of the image decides, not the package's version. A version
    /// without a patch is not accused.
    #[must_use]
    pub fn connect_cannot_use_executors(self) -> bool {
        (self.major, self.minor) == (3, 5) && self.patch.is_some_and(|patch| patch <= 5)
    }
}

impl fmt::Display for SparkVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(formatter, ".{patch}"))
    }
}

/// Digits only, without a leading zero: `2024.05.01` is a date.
fn number(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        for (case, text, expected) in [
            ("three numbers", "3.5.1", Some("3.5.1")),
            ("a leading v", "v3.5.1", Some("3.5.1")),
            ("a minor version", "3.5", Some("3.5")),
            ("a snapshot", "3.5.0-SNAPSHOT", Some("3.5.0")),
            ("a preview", "4.0.0-preview2", Some("4.0.0")),
            ("a vendor's build", "3.5.1-amzn-0", Some("3.5.1")),
            ("a minor version with a suffix", "3.5-java17", Some("3.5")),
            ("blanks around", " 3.5.1\n", Some("3.5.1")),
            ("two digits", "3.5.10", Some("3.5.10")),
            ("one number", "3", None),
            ("four numbers", "3.5.1.2", None),
            ("a trailing point", "3.5.", None),
            ("a leading zero", "3.05.1", None),
            ("a sign", "3.+5.1", None),
            ("a capital V", "V3.5.1", None),
            ("a word", "latest", None),
            ("letters behind a number", "3.5.1rc1", None),
            ("too large a number", "3.5.4294967296", None),
            ("nothing", "", None),
        ] {
            assert_eq!(SparkVersion::parse(text).map(|version| version.to_string()).as_deref(), expected, "{case}");
        }
    }

    #[test]
    fn knows_where_connect_is() {
        for (version, as_package, bundled, no_executors) in [
            ("3.3.4", false, false, false),
            ("3.4.0", true, false, false),
            ("3.4.4", true, false, false),
            ("3.5", true, false, false),
            ("3.5.0", true, false, true),
            ("3.5.5", true, false, true),
            ("3.5.6", true, false, false),
            ("3.6.0", false, false, false),
            ("4.0.0", false, true, false),
            ("4.5.0", false, true, false),
            ("10.0.0", false, true, false),
        ] {
            let parsed = SparkVersion::parse(version).unwrap();
            assert_eq!(parsed.has_connect_as_package(), as_package, "{version}");
            assert_eq!(parsed.bundles_connect(), bundled, "{version}");
            assert_eq!(parsed.connect_cannot_use_executors(), no_executors, "{version}");
        }
    }
}
