//! `spark-mismatch`: packages of Spark's own are those of its version, image and resource name one version, and no artifact is named twice.
//!
//! Spark's modules (spark-avro, spark-sql-kafka-0-10, ...) use what is private to Spark and changes from one minor version to the next; so do
//! the runtimes of Iceberg and Hudi, which carry the version of Spark in their names, one artifact for each. Patches do not count. Of
//! two versions of one package Ivy takes the higher, and says so in its log alone.

use super::dependencies::{Dependencies, Named};
use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutations::{Case, warns_of_connect_versions};
use crate::policy::subject::{Pod, Resource};
use crate::policy::values::path::is_inside;
use crate::policy::values::spark_build::SparkBuild;
use crate::policy::values::spark_version::SparkVersion;

/// Modules of Spark's by the names of their jars; with a coordinate the group tells.
const MODULES: [&str; 9] = [
    "spark-avro",
    "spark-connect",
    "spark-examples",
    "spark-hadoop-cloud",
    "spark-protobuf",
    "spark-sql",
    "spark-sql-kafka-0-10",
    "spark-streaming-kafka-0-10",
    "spark-token-provider-kafka-0-10",
];

/// Where images keep jars of their own.
const OF_IMAGE: [&str; 2] = ["local:///opt/spark/examples/jars/", "local:///opt/spark/jars/"];

/// Looks at a pod.
pub(super) fn of_pod(pod: &Pod<'_>, _case: &Case<'_>, findings: &mut Findings) {
    compare(&Dependencies::of_pod(pod), |_| false, findings);
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let dependencies = Dependencies::of_resource(resource);
    let spark = &dependencies.spark;
    let is_told = warns_of_connect_versions(resource, case);
    if let (Some(image), Some(declared), true, false) = (spark.in_image, spark.declared, spark.disagrees(), is_told) {
        let problem = format!("{declared} is declared, and the image is of Spark {image}, which is what runs");
        findings.add_likely(resource.spec_path().then(["sparkVersion"]), problem, format!("write {image}"));
    }
    compare(&dependencies, |named| is_told && named.artifact.name == "spark-connect", findings);
}

fn compare(dependencies: &Dependencies<'_>, is_told: impl Fn(&Named<'_>) -> bool, findings: &mut Findings) {
    for (index, named) in dependencies.named.iter().enumerate() {
        if is_told(named) {
            continue;
        }
        if let Some((problem, cure)) =
            disagrees(named, &dependencies.spark).or_else(|| is_not_in_image(named, dependencies))
        {
            findings.add_likely(named.field.clone(), problem, cure);
            continue;
        }
        let before = dependencies.named.iter().take(index);
        let other = before.into_iter().find(|other| {
            other.artifact.is_same_as(&named.artifact) && other.artifact.version != named.artifact.version
        });
        if let Some(other) = other {
            tell_of_two(other, named, findings);
        }
    }
}

fn tell_of_two(first: &Named<'_>, second: &Named<'_>, findings: &mut Findings) {
    let here = |field: &FieldPath| if *field == second.field { String::new() } else { format!(" in {field}") };
    let taken = if first.is_package && second.is_package { ", of which Ivy takes the higher" } else { "" };
    let problem = format!("{} beside {}{}{taken}", second.artifact, first.artifact.version, here(&first.field));
    findings.add_likely(second.field.clone(), problem, "keep one of the two");
}

/// What is wrong with something that is built for another minor version of Spark; and what to write instead.
pub(super) fn disagrees(named: &Named<'_>, spark: &SparkBuild<'_>) -> Option<(String, String)> {
    let artifact = &named.artifact;
    let here = spark.version()?;
    let differs = |wanted: SparkVersion| spark.versions().all(|version| !version.is_same_minor(wanted));
    let scala = artifact.scala.map(|_| *spark.scala().last().unwrap_or(&"2.12"));
    let suffix = scala.map_or_else(String::new, |scala| format!("_{scala}"));
    if is_of_spark(named) {
        SparkVersion::parse(artifact.version).filter(|version| differs(*version))?;
        let cure = match here.patch {
            Some(_) => format!("use {}{suffix} of {here}", artifact.name),
            None => format!("use {}{suffix} of a {here}", artifact.name),
        };
        return Some((format!("{artifact} is not for Spark {here}"), cure));
    }
    let minor = minor_in_name(artifact.name)?;
    SparkVersion::parse(minor).filter(|version| differs(*version))?;
    let name = artifact.name.replace(minor, &format!("{}.{}", here.major, here.minor));
    Some((format!("{artifact} is for Spark {minor}, and not for {here}"), format!("use {name}{suffix}")))
}

fn is_of_spark(named: &Named<'_>) -> bool {
    match named.artifact.group {
        Some(group) => group == "org.apache.spark" && named.artifact.name.starts_with("spark-"),
        None => MODULES.contains(&named.artifact.name),
    }
}

/// The version of Spark in the name of an artifact of which there is one for each: `iceberg-spark-runtime-3.5`, `hudi-spark3.5-bundle`.
fn minor_in_name(name: &str) -> Option<&str> {
    let of_iceberg =
        || ["iceberg-spark-runtime-", "iceberg-spark-extensions-"].iter().find_map(|it| name.strip_prefix(it));
    let of_hudi = || name.strip_prefix("hudi-spark")?.strip_suffix("-bundle").filter(|version| version.contains('.'));
    of_iceberg().or_else(of_hudi)
}

/// Apache's images hold Spark's own jars of exactly their version.
fn is_not_in_image(named: &Named<'_>, dependencies: &Dependencies<'_>) -> Option<(String, String)> {
    let image = dependencies.spark.in_image.filter(|image| dependencies.spark.is_official && image.patch.is_some())?;
    let folder = OF_IMAGE.into_iter().find(|folder| named.text.starts_with(folder))?;
    let is_covered = dependencies.mounts.iter().any(|at| is_inside(named.text.trim_start_matches("local://"), at));
    let version = SparkVersion::parse(named.artifact.version)?;
    if is_covered || version == image || !MODULES.contains(&named.artifact.name) {
        return None;
    }
    let file = format!("{}_{}-{image}.jar", named.artifact.name, dependencies.spark.scala().last()?);
    Some((format!("the image is of Spark {image} and has no {}", named.artifact), format!("write {folder}{file}")))
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, connect_server, scheduled, spark_connect};
    use serde_json::json;

    const PACKAGES: &str = "/spec/sparkConf/spark.jars.packages";
    const MAIN: &str = "/spec/mainApplicationFile";

    fn on(image: &str, version: &str) -> Sample {
        application().with("/spec/image", image).with("/spec/sparkVersion", version)
    }

    fn found(sample: &Sample) -> Vec<String> {
        let found = sample.found(Check::SparkMismatch);
        assert!(found.iter().all(|line| line.ends_with(" (at most a warning)")), "{found:?}");
        found.iter().map(|line| line.trim_end_matches(" (at most a warning)").to_owned()).collect()
    }

    #[test]
    #[rustfmt::skip]
    fn finds_what_is_for_another_spark() {
        let avro = |version: &str| format!("org.apache.spark:spark-avro_2.12:{version}");
        let conf = |problem: &str| vec![format!("spec.sparkConf[spark.jars.packages]: {problem}")];
        let silent = Vec::<String>::new();
        for (case, resource, expected) in [
            ("a package of another minor version", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, avro("3.4.1")), conf("org.apache.spark:spark-avro_2.12:3.4.1 is not for Spark 3.5.1; use spark-avro_2.12 of 3.5.1")),
            ("of another major version, and so of another Scala", on("apache/spark:4.0.1", "4.0.1").with(PACKAGES, avro("3.5.1")), conf("org.apache.spark:spark-avro_2.12:3.5.1 is not for Spark 4.0.1; use spark-avro_2.13 of 4.0.1")),
            ("on somebody's image, by sparkVersion", on("registry.corp/etl:4.4.4", "3.5.1").with(PACKAGES, avro("3.4.1")), conf("org.apache.spark:spark-avro_2.12:3.4.1 is not for Spark 3.5.1; use spark-avro_2.13 of 3.5.1")),
            ("a version without a patch", on("registry.corp/etl:1", "3.5").with(PACKAGES, avro("3.4.1")), conf("org.apache.spark:spark-avro_2.12:3.4.1 is not for Spark 3.5; use spark-avro_2.13 of a 3.5")),
            ("Iceberg's runtime of another", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, "org.apache.iceberg:iceberg-spark-runtime-3.4_2.12:1.6.1"), conf("org.apache.iceberg:iceberg-spark-runtime-3.4_2.12:1.6.1 is for Spark 3.4, and not for 3.5.1; use iceberg-spark-runtime-3.5_2.12")),
            ("Hudi's bundle of another", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, "org.apache.hudi:hudi-spark3.4-bundle_2.12:0.15.0"), conf("org.apache.hudi:hudi-spark3.4-bundle_2.12:0.15.0 is for Spark 3.4, and not for 3.5.1; use hudi-spark3.5-bundle_2.12")),
            ("a jar of another", on("apache/spark:3.5.1", "3.5.1").with("/spec/deps/jars", json!(["s3a://jars/spark-avro_2.12-3.4.1.jar"])), vec!["spec.deps.jars[0]: spark-avro_2.12:3.4.1 is not for Spark 3.5.1; use spark-avro_2.12 of 3.5.1".to_owned()]),
            ("an example that another image has", on("apache/spark:3.5.1", "3.5.1").with(MAIN, "local:///opt/spark/examples/jars/spark-examples_2.12-3.5.0.jar"), vec!["spec.mainApplicationFile: the image is of Spark 3.5.1 and has no spark-examples_2.12:3.5.0; write local:///opt/spark/examples/jars/spark-examples_2.12-3.5.1.jar".to_owned()]),
            ("one package twice", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, "g:a:1,g:a:2"), conf("g:a:2 beside 1, of which Ivy takes the higher; keep one of the two")),
            ("a package and its jar", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, avro("3.5.1")).with("/spec/deps/jars", json!(["https://repo/spark-avro_2.12-3.5.0.jar"])), vec!["spec.deps.jars[0]: spark-avro_2.12:3.5.0 beside 3.5.1 in spec.sparkConf[spark.jars.packages]; keep one of the two".to_owned()]),
            ("image and sparkVersion", on("apache/spark:3.4.1", "3.5.1"), vec!["spec.sparkVersion: 3.5.1 is declared, and the image is of Spark 3.4.1, which is what runs; write 3.4.1".to_owned()]),
            ("a schedule's", scheduled().with("/spec/template/sparkVersion", "3.4.0"), vec!["spec.template.sparkVersion: 3.4.0 is declared, and the image is of Spark 3.5.7, which is what runs; write 3.5.7".to_owned()]),

            ("another patch", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, avro("3.5.0")), silent.clone()),
            ("another patch of sparkVersion", on("apache/spark:3.5.1", "3.5.0"), silent.clone()),
            ("a package that is for one of two that disagree", on("registry.corp/spark:4.0.1", "3.5.1").with(PACKAGES, avro("3.5.1")), vec!["spec.sparkVersion: 3.5.1 is declared, and the image is of Spark 4.0.1, which is what runs; write 4.0.1".to_owned()]),
            ("somebody's image, whose tag is its own version", on("registry.corp/etl:3.4.1", "3.5.1"), silent.clone()),
            ("somebody's module of Spark's name", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, "com.example:spark-avro_2.12:1.0.0,graphframes:graphframes:0.8.3-spark3.5-s_2.12"), silent.clone()),
            ("a vendor's build", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, avro("3.5.1-amzn-0")), silent.clone()),
            ("Iceberg's runtime for it", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.6.1,org.apache.iceberg:iceberg-aws-bundle:1.6.1"), silent.clone()),
            ("Hudi's for all of Spark 3", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, "org.apache.hudi:hudi-spark3-bundle_2.12:0.12.0"), silent.clone()),
            ("the image's example", on("apache/spark:3.5.1", "3.5.1").with(MAIN, "local:///opt/spark/examples/jars/spark-examples_2.12-3.5.1.jar"), silent.clone()),
            ("an example of somebody's image", on("registry.corp/spark:3.5.1", "3.5.1").with(MAIN, "local:///opt/spark/examples/jars/spark-examples_2.12-3.5.0.jar"), silent.clone()),
            ("an example that is mounted", on("apache/spark:3.5.1", "3.5.1").with(MAIN, "local:///opt/spark/examples/jars/spark-examples_2.12-3.5.0.jar").with("/spec/driver/volumeMounts", json!([{"name": "v", "mountPath": "/opt/spark/examples"}])), silent.clone()),
            ("one package named twice alike", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, "g:a:1,g:a:1"), silent.clone()),
            ("two artifacts of one group", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, "g:a:1,g:b:2"), silent.clone()),
            ("no version of Spark anywhere", on("registry.corp/etl:1", "").with(PACKAGES, avro("3.4.1")), silent),
        ] {
            assert_eq!(found(&resource), expected, "{case}");
        }
    }

    #[test]
    fn says_nothing_that_the_mutation_has_said() {
        let older = || spark_connect().with("/spec/image", "apache/spark:4.0.1");
        let on_4 =
            || older().with("/spec/sparkVersion", "4.0.1").with(PACKAGES, "org.apache.spark:spark-connect_2.12:3.5.7");
        for sample in [older(), on_4()] {
            assert_eq!(found(&sample), Vec::<String>::new());
            assert!(sample.warnings().iter().any(|warning| warning.starts_with("connect-package: ")));
            assert_eq!(found(&sample.clone().under("connect-package: {mode: off}")).len(), 1);
            assert_eq!(found(&sample.with("/metadata/labels/spark-admission.io~1enabled", "false")).len(), 1);
        }
    }

    #[test]
    fn reads_a_servers_arguments() {
        let server = |package: &str| connect_server(&format!("--packages {package}"));
        let found = found(&server("org.apache.spark:spark-avro_2.12:3.4.0"));
        assert_eq!(
            found,
            [
                "spec.containers[0].args: org.apache.spark:spark-avro_2.12:3.4.0 is not for Spark 3.5.7; use spark-avro_2.12 of 3.5.7"
            ]
        );
        assert_eq!(server("org.apache.spark:spark-avro_2.12:3.5.0").found(Check::SparkMismatch), Vec::<String>::new());
    }
}
