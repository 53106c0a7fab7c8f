//! Lists of Maven coordinates and of jars, as `spark.jars.packages` and `spark.jars` hold them.

use std::fmt;

/// The artifact of the Spark Connect server, without its Scala suffix.
const SPARK_CONNECT: &str = "spark-connect";

/// Ivy names the jars it retrieves `group_artifact-version.jar` (`MavenUtils.resolveDependencyPaths`); people copy them as they are.
const SPARK_GROUP_IN_IVY: &str = "org.apache.spark_";

/// One coordinate of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinate<'a> {
    /// `org.apache.spark`.
    pub group: &'a str,
    /// `spark-connect_2.12`, with its Scala suffix if it has one.
    pub artifact: &'a str,
    /// `3.5.1`.
    pub version: &'a str,
    /// What follows the version, such as a classifier. Spark itself refuses a fourth part (`MavenUtils.extractMavenCoordinates`).
    pub rest: Option<&'a str>,
}

impl<'a> Coordinate<'a> {
    /// Reads `group:artifact:version`; as Spark does, `/` is read as `:`. Blanks around the parts are dropped.
    ///
    /// Nothing where a part is missing, empty or holds a blank inside.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.splitn(4, [':', '/']).map(str::trim);
        let mut part = || parts.next().filter(|part| !part.is_empty() && !part.contains(char::is_whitespace));
        let (group, artifact, version) = (part()?, part()?, part()?);
        Some(Self { group, artifact, version, rest: part() })
    }

    /// The Scala version the artifact is built for: `2.12` in `spark-avro_2.12`.
    #[must_use]
    pub fn scala_suffix(&self) -> Option<&'a str> {
        split_scala(self.artifact).1
    }

    /// The artifact without its Scala suffix: `spark-avro` in `spark-avro_2.12`.
    #[must_use]
    pub fn artifact_without_scala(&self) -> &'a str {
        split_scala(self.artifact).0
    }

    /// Whether this is the Spark Connect server, of any group (vendors publish under their own) and for any Scala. Its client
    /// (`spark-connect-client-jvm`) and common part (`spark-connect-common`) do not bring the server's class.
    #[must_use]
    pub fn is_spark_connect(&self) -> bool {
        self.artifact_without_scala() == SPARK_CONNECT
    }
}

/// An artifact with its version, as a coordinate or a jar's file name tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Artifact<'a> {
    /// `org.apache.spark`; a jar's name does not tell it, unless Ivy gave it.
    pub group: Option<&'a str>,
    /// `spark-avro`, without its Scala suffix.
    pub name: &'a str,
    /// `2.12`.
    pub scala: Option<&'a str>,
    /// `3.5.1`.
    pub version: &'a str,
}

impl<'a> Artifact<'a> {
    /// The artifact of a coordinate of three parts; Spark refuses a fourth.
    #[must_use]
    pub fn of_coordinate(text: &'a str) -> Option<Self> {
        let Coordinate { group, artifact, version, rest } = Coordinate::parse(text)?;
        let (name, scala) = split_scala(artifact);
        rest.is_none().then_some(Self { group: Some(group), name, scala, version })
    }

    /// The artifact of a jar whose file is named as sbt and Ivy do it for a Scala version, `spark-avro_2.12-3.5.1.jar`, or that an
    /// `ivy://` URI names. Nothing is known of a jar with another name.
    #[must_use]
    pub fn of_jar(jar: &'a str) -> Option<Self> {
        let address = jar.split(['?', '#']).next().unwrap_or(jar).trim();
        if let Some(coordinate) = address.strip_prefix("ivy://") {
            return Self::of_coordinate(coordinate);
        }
        let file = address.rsplit('/').next().unwrap_or(address).strip_suffix(".jar")?;
        let (group, file) = match file.strip_prefix(SPARK_GROUP_IN_IVY) {
            Some(file) => (Some("org.apache.spark"), file),
            None => (None, file),
        };
        let (name, rest) = file.rsplit_once("_2.")?;
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let version = rest.get(digits..)?.strip_prefix('-')?;
        let scala = file.get(name.len() + 1..file.len() - version.len() - 1)?;
        let is_whole = !name.is_empty() && digits > 0 && version.starts_with(|first: char| first.is_ascii_digit());
        is_whole.then_some(Self { group, name, scala: Some(scala), version })
    }

    /// Whether it is, or may be, the same artifact in whatever version.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        let same_group = self.group.zip(other.group).is_none_or(|(group, other)| group == other);
        same_group && self.name == other.name && self.scala == other.scala
    }
}

/// As a coordinate, or as much of one as is known: `org.apache.spark:spark-avro_2.12:3.5.1`.
impl fmt::Display for Artifact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, name, scala, version } = self;
        group.map_or(Ok(()), |group| write!(f, "{group}:"))?;
        f.write_str(name)?;
        scala.map_or(Ok(()), |scala| write!(f, "_{scala}"))?;
        write!(f, ":{version}")
    }
}

/// What stands in a list separated by commas: without blanks and line breaks around, and without the empty entries that doubled
/// and trailing commas leave.
pub fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// The coordinates of a list; entries that are none are passed over ([`entries`] has them).
pub fn coordinates(list: &str) -> impl Iterator<Item = Coordinate<'_>> {
    entries(list).filter_map(Coordinate::parse)
}

/// Whether a list of coordinates names the Spark Connect server.
#[must_use]
pub fn names_connect_package(list: &str) -> bool {
    coordinates(list).any(|coordinate| coordinate.is_spark_connect())
}

/// Whether a list of jars (paths, URIs, globs) names that of the Spark Connect server, by its file name, or by its coordinate in
/// an `ivy://` URI.
#[must_use]
pub fn names_connect_jar(list: &str) -> bool {
    entries(list).any(|jar| {
        let address = jar.split(['?', '#']).next().unwrap_or(jar);
        match address.strip_prefix("ivy://") {
            Some(coordinate) => Coordinate::parse(coordinate).is_some_and(|coordinate| coordinate.is_spark_connect()),
            None => is_connect_jar(address.rsplit('/').next().unwrap_or(address)),
        }
    })
}

/// `spark-connect.jar`, with a Scala suffix and a version or a glob in their place: `spark-connect_2.12-3.5.1.jar`. An sbt build
/// names it `spark-connect-assembly-3.5.1.jar` (Spark's own tests look for both names: RemoteSparkSession.scala).
fn is_connect_jar(file: &str) -> bool {
    let Some(name) = file.strip_suffix(".jar") else { return false };
    let name = name.strip_prefix(SPARK_GROUP_IN_IVY).unwrap_or(name);
    let Some(tail) = name.strip_prefix(SPARK_CONNECT) else { return false };
    if ["-sources", "-javadoc", "-tests"].iter().any(|kind| tail.ends_with(kind)) {
        return false;
    }
    let tail = tail.strip_prefix("-assembly").unwrap_or(tail);
    let tail = match tail.strip_prefix('_') {
        Some(scala) => {
            scala.trim_start_matches(|character: char| character.is_ascii_digit() || matches!(character, '.' | '*'))
        }
        None => tail,
    };
    let is_version = |text: &str| text.starts_with(|first: char| first.is_ascii_digit() || first == '*');
    matches!(tail, "" | "*") || tail.strip_prefix('-').is_some_and(is_version)
}

/// An artifact and its Scala suffix: `_2.12`, `_2.13` and their like, and `_3`.
fn split_scala(artifact: &str) -> (&str, Option<&str>) {
    match artifact.rsplit_once('_') {
        Some((name, suffix)) if is_scala_binary_version(suffix) => (name, Some(suffix)),
        _ => (artifact, None),
    }
}

fn is_scala_binary_version(text: &str) -> bool {
    text == "3"
        || text
            .strip_prefix("2.")
            .is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_coordinates() {
        for (case, text, expected) in [
            ("three parts", "org.a:b_2.12:1.0", Some(("org.a", "b_2.12", "1.0", None))),
            ("a slash, as Spark accepts it", "org.a/b:1.0", Some(("org.a", "b", "1.0", None))),
            ("blanks around the parts", " org.a : b : 1.0 ", Some(("org.a", "b", "1.0", None))),
            ("a classifier", "org.a:b:1.0:all", Some(("org.a", "b", "1.0", Some("all")))),
            ("five parts", "org.a:b:1.0:x:y", Some(("org.a", "b", "1.0", Some("x:y")))),
            ("a trailing colon", "org.a:b:1.0:", Some(("org.a", "b", "1.0", None))),
            ("a version missing", "org.a:b", None),
            ("an empty part", "org.a::1.0", None),
            ("two coordinates without a comma", "org.a:b:1 org.c:d:2", None),
            ("a word", "b", None),
            ("nothing", "", None),
        ] {
            let expected =
                expected.map(|(group, artifact, version, rest)| Coordinate { group, artifact, version, rest });
            assert_eq!(Coordinate::parse(text), expected, "{case}");
        }
    }

    #[test]
    fn reads_lists() {
        for (case, list, expected) in [
            ("one", "g:a:1", vec!["a"]),
            ("several", "g:a:1,g:b:1", vec!["a", "b"]),
            ("a block of YAML", "\n  g:a:1,\n  g:b:1,\n", vec!["a", "b"]),
            ("doubled commas", "g:a:1,, ,g:b:1", vec!["a", "b"]),
            ("an entry that is none", "g:a:1,broken,g:b:1", vec!["a", "b"]),
            ("nothing", "", vec![]),
            ("commas alone", ", ,", vec![]),
        ] {
            let artifacts: Vec<_> = coordinates(list).map(|coordinate| coordinate.artifact).collect();
            assert_eq!(artifacts, expected, "{case}");
        }
        assert_eq!(
            entries("g:a:1, broken ,").collect::<Vec<_>>(),
            ["g:a:1", "broken"],
            "what is no coordinate is there too"
        );
    }

    #[test]
    fn knows_scala_suffixes() {
        for (artifact, name, suffix) in [
            ("spark-avro_2.12", "spark-avro", Some("2.12")),
            ("iceberg-spark-runtime-3.5_2.13", "iceberg-spark-runtime-3.5", Some("2.13")),
            ("cats_3", "cats", Some("3")),
            ("hadoop-aws", "hadoop-aws", None),
            ("some_thing", "some_thing", None),
            ("plugin_2.12.18", "plugin_2.12.18", None),
            ("broken_2.", "broken_2.", None),
        ] {
            let coordinate = Coordinate { group: "g", artifact, version: "1", rest: None };
            assert_eq!(coordinate.artifact_without_scala(), name, "{artifact}");
            assert_eq!(coordinate.scala_suffix(), suffix, "{artifact}");
        }
    }

    #[test]
    fn reads_the_names_of_jars() {
        for (jar, expected) in [
            ("local:///opt/spark/examples/jars/spark-examples_2.12-3.5.1.jar", Some("spark-examples_2.12:3.5.1")),
            ("s3a://bucket/my_app_2.13-0.1.0-SNAPSHOT.jar", Some("my_app_2.13:0.1.0-SNAPSHOT")),
            (
                "https://repo/iceberg-spark-runtime-3.5_2.12-1.6.1.jar?x=/y_2.13-1.jar",
                Some("iceberg-spark-runtime-3.5_2.12:1.6.1"),
            ),
            ("/tmp/org.apache.spark_spark-avro_2.12-3.5.1.jar", Some("org.apache.spark:spark-avro_2.12:3.5.1")),
            ("ivy://org.apache.spark:spark-avro_2.12:3.5.1", Some("org.apache.spark:spark-avro_2.12:3.5.1")),
            ("/opt/app-1.0.jar", None),
            ("/opt/app_2.12.jar", None),
            ("/opt/app_2.-1.0.jar", None),
            ("/opt/_2.12-1.0.jar", None),
            ("/opt/app_2.12-latest.jar", None),
            ("/opt/app_2.12-*.jar", None),
            ("/opt/app_2.12-1.0.py", None),
            ("", None),
        ] {
            assert_eq!(Artifact::of_jar(jar).map(|artifact| artifact.to_string()).as_deref(), expected, "{jar}");
        }
    }

    #[test]
    fn finds_the_connect_package() {
        for (list, expected) in [
            ("org.apache.spark:spark-connect_2.12:3.5.1", true),
            ("g:a:1,\n org.apache.spark:spark-connect_2.13:3.5.1,", true),
            ("org.apache.spark:spark-connect:3.5.1", true),
            ("com.vendor.spark:spark-connect_2.12:3.5.1.7", true),
            ("org.apache.spark:spark-connect_2.12:3.5.1:all", true),
            ("org.apache.spark:spark-connect-client-jvm_2.12:3.5.1", false),
            ("org.apache.spark:spark-connect-common_2.12:3.5.1", false),
            ("org.apache.spark:spark-sql_2.12:3.5.1", false),
            ("", false),
        ] {
            assert_eq!(names_connect_package(list), expected, "{list}");
        }
    }

    #[test]
    fn finds_the_connect_jar() {
        for (list, expected) in [
            ("/opt/jars/spark-connect_2.12-3.5.1.jar", true),
            ("local:///opt/jars/spark-connect-3.5.1.jar", true),
            ("spark-connect.jar", true),
            ("a.jar,\n s3a://bucket/spark-connect_2.13-3.5.1.jar ,", true),
            ("https://repo/spark-connect_2.12-3.5.1.jar?token=a/b", true),
            ("https://repo/spark-connect_2.12-3.5.1.jar#x", true),
            ("/opt/jars/spark-connect_2.12-3.5.0-SNAPSHOT.jar", true),
            ("/opt/jars/spark-connect-assembly-3.5.1.jar", true),
            ("/opt/jars/spark-connect_*.jar", true),
            ("/opt/jars/spark-connect*.jar", true),
            ("/tmp/.ivy2/jars/org.apache.spark_spark-connect_2.12-3.5.1.jar", true),
            ("ivy://org.apache.spark:spark-connect_2.12:3.5.1", true),
            ("ivy://org.apache.spark:spark-connect_2.12:3.5.1?transitive=false", true),
            ("ivy://org.apache.spark:spark-connect-common_2.12:3.5.1", false),
            ("/opt/jars/spark-connect-client-jvm_2.12-3.5.1.jar", false),
            ("/opt/jars/spark-connect-common_2.12-3.5.1.jar", false),
            ("/opt/jars/spark-connect_2.12-3.5.1-sources.jar", false),
            ("/opt/jars/spark-connector_2.12-3.5.1.jar", false),
            ("/opt/spark-connect/other.jar", false),
            ("https://repo/other.jar?mirror=/spark-connect.jar", false),
            ("spark-connect_2.12-3.5.1.zip", false),
            ("", false),
        ] {
            assert_eq!(names_connect_jar(list), expected, "{list}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(list in "(org|spark-connect|_2\\.12|[:/,?# .*_-]|\\.jar|ivy://){0,12}|.{0,20}") {
            let _ = coordinates(&list).filter_map(|coordinate| coordinate.scala_suffix()).count();
            let _ = names_connect_jar(&list);
            let _ = (Artifact::of_jar(&list), Artifact::of_coordinate(&list));
        }
    }
}
