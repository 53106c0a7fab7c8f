//! Image references, and what the tag of a Spark image says about what is in it.

use super::spark_version::SparkVersion;

/// A Spark major version has one digit so far; a tag such as `2024.10.1` is a date.
const LARGEST_MAJOR: u32 = 99;

/// An image reference, split: `[registry[:port]/]path[:tag][@digest]` (distribution's reference grammar). Nothing is validated:
/// the container runtime does that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageReference<'a> {
    /// Everything before the tag, the registry included: `registry.example:5000/team/spark`.
    pub repository: &'a str,
    /// `3.5.1-scala2.12-java17-ubuntu`; a missing one means `latest`, but is not filled in.
    pub tag: Option<&'a str>,
    /// `sha256:...`.
    pub digest: Option<&'a str>,
}

impl<'a> ImageReference<'a> {
    /// Splits a reference.
    #[must_use]
    pub fn parse(text: &'a str) -> Self {
        let (name, digest) = match text.trim().split_once('@') {
            Some((name, digest)) => (name, non_empty(digest)),
            None => (text.trim(), None),
        };
        // A colon before the last slash belongs to a registry's port.
        let (repository, tag) = match name.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') => (repository, non_empty(tag)),
            _ => (name, None),
        };
        Self { repository, tag, digest }
    }

    /// The last part of the repository: `spark` in `docker.io/apache/spark`.
    #[must_use]
    pub fn last_component(&self) -> &'a str {
        self.repository.rsplit('/').next().unwrap_or(self.repository)
    }

    /// The Spark version that the tag begins with, as in the official tags (`3.5.1`, `v3.4.0`,
    /// `3.5.1-scala2.12-java17-python3-ubuntu`) and those of most vendors (`3.5.1-debian-12-r3`).
    ///
    /// A version further back in the tag is not taken: it may be that of Java, Scala or Python. Of an image that is not Spark's the
    /// answer means nothing.
    #[must_use]
    pub fn spark_version(&self) -> Option<SparkVersion> {
        SparkVersion::parse(self.tag?).filter(|version| version.major <= LARGEST_MAJOR)
    }

    /// `2.13` where the tag has the word `scala2.13`, as the official tags do.
    #[must_use]
    pub fn scala_version(&self) -> Option<&'a str> {
        self.tag?
            .split(['-', '_'])
            .filter_map(|word| word.strip_prefix("scala"))
            .find(|version| is_scala_version(version))
    }
}

/// `2.12`, `2.13`: two numbers.
fn is_scala_version(text: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.').is_some_and(|(major, minor)| number(major) && number(minor))
}

fn non_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn splits_references() {
        for (case, text, repository, tag, digest, last) in [
            ("a short name", "spark", "spark", None, None, "spark"),
            ("a tag", "spark:3.5.1", "spark", Some("3.5.1"), None, "spark"),
            ("an organisation", "apache/spark:3.5.1", "apache/spark", Some("3.5.1"), None, "spark"),
            ("a port and no tag", "reg:5000/spark-py", "reg:5000/spark-py", None, None, "spark-py"),
            ("a port and a tag", "reg:5000/a/spark:v1", "reg:5000/a/spark", Some("v1"), None, "spark"),
            ("a digest", "a/spark@sha256:0f", "a/spark", None, Some("sha256:0f"), "spark"),
            ("a tag and a digest", "r:1/spark:3.5@sha256:0f", "r:1/spark", Some("3.5"), Some("sha256:0f"), "spark"),
            ("blanks around", " spark:3 ", "spark", Some("3"), None, "spark"),
            ("an empty tag", "spark:", "spark", None, None, "spark"),
            ("an empty digest", "spark@", "spark", None, None, "spark"),
            ("nothing", "", "", None, None, ""),
        ] {
            let image = ImageReference::parse(text);
            assert_eq!(image, ImageReference { repository, tag, digest }, "{case}");
            assert_eq!(image.last_component(), last, "{case}");
        }
    }

    #[test]
    fn reads_the_tag() {
        for (case, image, spark, scala) in [
            ("a plain version", "apache/spark:3.5.1", Some("3.5.1"), None),
            ("a leading v", "apache/spark:v3.4.0", Some("3.4.0"), None),
            ("an official tag", "spark:3.5.1-scala2.12-java17-python3-ubuntu", Some("3.5.1"), Some("2.12")),
            ("Scala 2.13", "spark:3.5.1-scala2.13-java17-ubuntu", Some("3.5.1"), Some("2.13")),
            ("underscores", "spark:3.5.1_scala2.13", Some("3.5.1"), Some("2.13")),
            ("a vendor's tag", "bitnami/spark:3.5.1-debian-12-r3", Some("3.5.1"), None),
            ("a minor version alone", "spark:3.5", Some("3.5"), None),
            ("a tag and a digest", "spark:3.5.1@sha256:0f", Some("3.5.1"), None),
            ("Scala first: strict", "spark:scala2.12-3.5.1", None, Some("2.12")),
            ("a word before the version: strict", "spark:spark-3.5.1", None, None),
            ("four numbers", "spark:3.5.1.2", None, None),
            ("a date", "etl:2024.10.1", None, None),
            ("a build number", "etl:42", None, None),
            ("latest", "spark:latest", None, None),
            ("no tag", "reg:5000/spark", None, None),
            ("Scala with a patch", "spark:3.5.1-scala2.13.8", Some("3.5.1"), None),
            ("Scala inside another word", "spark:3.5.1-myscala2.13", Some("3.5.1"), None),
            ("Scala without a version", "spark:3.5.1-scala", Some("3.5.1"), None),
        ] {
            let image = ImageReference::parse(image);
            assert_eq!(image.spark_version().map(|version| version.to_string()).as_deref(), spark, "{case}");
            assert_eq!(image.scala_version(), scala, "{case}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z0-9:/@._-]{0,40}|.{0,20}") {
            let image = ImageReference::parse(&text);
            let _ = (image.last_component(), image.spark_version(), image.scala_version());
        }
    }
}
