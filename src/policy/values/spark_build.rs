//! What is certain of the Spark that an image holds: its version, and the Scala it is built for.

use super::image::ImageReference;
use super::spark_version::SparkVersion;

/// The repositories of Apache's own images.
const OFFICIAL: [&str; 4] = ["spark", "apache/spark", "apache/spark-py", "apache/spark-r"];
/// What names of Docker Hub may begin with.
const HUB: [&str; 4] = ["docker.io/", "index.docker.io/", "registry-1.docker.io/", "library/"];

/// What an image and the resource's `sparkVersion` say of Spark.
#[derive(Debug, Clone, Copy, Default)]
pub struct SparkBuild<'a> {
    /// The version in the image's tag, where the image is Spark's by its name. The tag of another is the version of somebody's work.
    pub in_image: Option<SparkVersion>,
    /// The version that the resource declares. What runs is in the image all the same.
    pub declared: Option<SparkVersion>,
    /// Whether it is one of Apache's images.
    pub is_official: bool,
    scala_in_tag: Option<&'a str>,
}

impl<'a> SparkBuild<'a> {
    /// Reads both.
    #[must_use]
    pub fn of(image: Option<&'a str>, declared: Option<&str>) -> Self {
        let image = ImageReference::parse(image.unwrap_or_default());
        let is_sparks = matches!(image.last_component(), "spark" | "spark-py" | "spark-r");
        let version = image.spark_version().filter(|version| is_sparks && (2..=9).contains(&version.major));
        Self {
            in_image: version,
            declared: declared.and_then(SparkVersion::parse),
            is_official: is_official(image.repository),
            scala_in_tag: image.scala_version(),
        }
    }

    /// The versions of Spark that it may be; none where nothing is known.
    pub fn versions(&self) -> impl Iterator<Item = SparkVersion> {
        self.in_image.into_iter().chain(self.declared)
    }

    /// The one version that things are to be made for: the image's, else the declared one.
    #[must_use]
    pub fn version(&self) -> Option<SparkVersion> {
        let same_minor = |version: &SparkVersion| self.in_image.is_none_or(|image| image.is_same_minor(*version));
        let complete = self.versions().find(|version| version.patch.is_some()).filter(same_minor);
        complete.or(self.in_image).or(self.declared)
    }

    /// Whether image and resource name different minor versions.
    #[must_use]
    pub fn disagrees(&self) -> bool {
        self.in_image.zip(self.declared).is_some_and(|(image, declared)| !image.is_same_minor(declared))
    }

    /// The versions of Scala that it may be built for; none where that is not known.
    ///
    /// Spark 3 is built for 2.12, since 3.2 for 2.13 too; Apache's images of it hold the build for 2.12 unless their tag says
    /// otherwise; Spark 4 is built for 2.13 alone.
    #[must_use]
    pub fn scala(&self) -> Vec<&'a str> {
        if let Some(scala) = self.scala_in_tag {
            return vec![scala];
        }
        let is_in_image = |version| self.in_image.is_some_and(|image| image.is_same_minor(version));
        let mut all = Vec::new();
        for version in self.versions() {
            all.extend(match (version.major, version.minor) {
                (3, _) if self.is_official && is_in_image(version) => &["2.12"][..],
                (3, 0 | 1) => &["2.12"],
                (3, _) => &["2.12", "2.13"],
                (4.., _) => &["2.13"],
                _ => return Vec::new(),
            });
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

fn is_official(repository: &str) -> bool {
    let local = HUB.iter().fold(repository, |rest, prefix| rest.strip_prefix(prefix).unwrap_or(rest));
    OFFICIAL.contains(&local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn knows_what_is_certain() {
        for (case, image, declared, version, disagrees, scala) in [
            ("an official image", "apache/spark:3.5.1", "3.5.1", Some("3.5.1"), false, vec!["2.12"]),
            ("the same by its long name", "docker.io/library/spark:3.5.1-java17", "3.5.0", Some("3.5.1"), false, vec!["2.12"]),
            ("an official image that says its Scala", "spark:3.5.1-scala2.13-java17", "3.5.1", Some("3.5.1"), false, vec!["2.13"]),
            ("an official image of Spark 4", "apache/spark:4.0.1", "4.0.0", Some("4.0.1"), false, vec!["2.13"]),
            ("Spark of somebody's making", "registry.corp/spark:3.5.1", "3.5.1", Some("3.5.1"), false, vec!["2.12", "2.13"]),
            ("a mirror of an official image, which nobody can tell", "mirror.corp/apache/spark:3.5.1", "3.5.1", Some("3.5.1"), false, vec!["2.12", "2.13"]),
            ("an old one", "gcr.io/spark-operator/spark:v3.1.1", "3.1.1", Some("3.1.1"), false, vec!["2.12"]),
            ("a very old one", "gcr.io/spark-operator/spark:v2.4.0", "2.4.0", Some("2.4.0"), false, vec![]),
            ("somebody's work", "registry.corp/etl:4.0.1", "3.5.1", Some("3.5.1"), false, vec!["2.12", "2.13"]),
            ("somebody's work on Spark 4", "registry.corp/etl:1.2.3", "4.0.1", Some("4.0.1"), false, vec!["2.13"]),
            ("a tag without a version", "apache/spark:latest", "3.5.1", Some("3.5.1"), false, vec!["2.12", "2.13"]),
            ("a tag without a patch", "apache/spark:3.5", "3.5.1", Some("3.5.1"), false, vec!["2.12"]),
            ("nothing at all", "registry.corp/etl:latest", "", None, false, vec![]),
            ("a declared word", "apache/spark:3.5.1", "latest", Some("3.5.1"), false, vec!["2.12"]),
            ("two minor versions", "apache/spark:3.4.1", "3.5.1", Some("3.4.1"), true, vec!["2.12", "2.13"]),
            ("two major ones", "apache/spark:4.0.1", "3.5", Some("4.0.1"), true, vec!["2.12", "2.13"]),
        ] {
            let build = SparkBuild::of(Some(image), Some(declared));
            assert_eq!(build.version().map(|version| version.to_string()).as_deref(), version, "{case}");
            assert_eq!(build.disagrees(), disagrees, "{case}");
            assert_eq!(build.scala(), scala, "{case}");
        }
    }
}
