//! `scala-mismatch`: packages and jars are built for the Scala of the image's Spark, as far as that is certain.
//!
//! Classes that were built for another minor version of Scala do not link: `NoSuchMethodError: scala...`, in the middle of the first
//! job. A package for Spark 4 that ends in `_2.12` often does not even exist. Nothing is said of `_3`, which runs on 2.13.

use super::dependencies::{Dependencies, Named};
use super::spark_mismatch;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::subject::{Pod, Resource};

/// Looks at a pod.
pub(super) fn of_pod(pod: &Pod<'_>, _case: &Case<'_>, findings: &mut Findings) {
    compare(&Dependencies::of_pod(pod), findings);
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, findings: &mut Findings) {
    compare(&Dependencies::of_resource(resource), findings);
}

fn compare(dependencies: &Dependencies<'_>, findings: &mut Findings) {
    let images = dependencies.spark.scala();
    // The other check tells the whole coordinate where Spark's own version does not match either.
    let is_left_to_other = |named: &Named<'_>| spark_mismatch::disagrees(named, &dependencies.spark).is_some();
    let all: Vec<_> = dependencies.named.iter().filter_map(|named| Some((named, scala_2(named)?))).collect();
    for (named, scala) in all.iter().filter(|(named, _)| !is_left_to_other(named)) {
        if !images.is_empty() && !images.contains(scala) {
            let problem =
                format!("{} is built for Scala {scala}, and Spark here for {}", named.artifact, images.join(" or "));
            let cure = format!("use {}_{}", named.artifact.name, images.last().unwrap_or(scala));
            findings.add_likely(named.field.clone(), problem, cure);
            continue;
        }
        let other = all.iter().find(|(_, other)| other != scala);
        if let (Some((other, other_scala)), true) = (other.filter(|(_, it)| it < scala), images.len() != 1) {
            let problem =
                format!("{} is built for Scala {scala}, and {} for {other_scala}", named.artifact, other.artifact);
            findings.add_likely(named.field.clone(), problem, "name both for the image's Scala");
        }
    }
}

fn scala_2<'a>(named: &Named<'a>) -> Option<&'a str> {
    named.artifact.scala.filter(|scala| scala.starts_with("2."))
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, connect_server, driver, executor, scheduled, spark_connect};
    use serde_json::json;

    const PACKAGES: &str = "/spec/sparkConf/spark.jars.packages";

    fn on(image: &str, version: &str) -> Sample {
        application().with("/spec/image", image).with("/spec/sparkVersion", version)
    }

    #[test]
    #[rustfmt::skip]
    fn finds_what_is_built_for_another_scala() {
        let delta = |scala: &str| format!("io.delta:delta-spark_{scala}:3.2.0");
        let conf = |problem: &str| vec![format!("spec.sparkConf[spark.jars.packages]: {problem} (at most a warning)")];
        let silent = Vec::<String>::new();
        for (case, resource, expected) in [
            ("2.12 on Spark 4", on("apache/spark:4.0.1", "4.0.1").with(PACKAGES, delta("2.12")), conf("io.delta:delta-spark_2.12:3.2.0 is built for Scala 2.12, and Spark here for 2.13; use delta-spark_2.13")),
            ("2.12 on somebody's image of Spark 4", on("registry.corp/etl:1", "4.0.1").with(PACKAGES, delta("2.12")), conf("io.delta:delta-spark_2.12:3.2.0 is built for Scala 2.12, and Spark here for 2.13; use delta-spark_2.13")),
            ("2.13 on an image that says 2.12", on("registry.corp/spark:3.5.1-scala2.12", "3.5.1").with(PACKAGES, delta("2.13")), conf("io.delta:delta-spark_2.13:3.2.0 is built for Scala 2.13, and Spark here for 2.12; use delta-spark_2.12")),
            ("2.13 on Apache's own image", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, delta("2.13")), conf("io.delta:delta-spark_2.13:3.2.0 is built for Scala 2.13, and Spark here for 2.12; use delta-spark_2.12")),
            ("2.11 on any Spark 3", on("registry.corp/etl:1", "3.5.1").with(PACKAGES, delta("2.11")), conf("io.delta:delta-spark_2.11:3.2.0 is built for Scala 2.11, and Spark here for 2.12 or 2.13; use delta-spark_2.13")),
            ("2.13 before Spark 3.2", on("registry.corp/etl:1", "3.1.1").with(PACKAGES, delta("2.13")), conf("io.delta:delta-spark_2.13:3.2.0 is built for Scala 2.13, and Spark here for 2.12; use delta-spark_2.12")),
            ("two versions of Scala", on("registry.corp/etl:1", "3.5.1").with(PACKAGES, "g:a_2.12:1, g:b_2.13:1"), conf("g:b_2.13:1 is built for Scala 2.13, and g:a_2.12:1 for 2.12; name both for the image's Scala")),
            ("a jar by its name", on("apache/spark:4.0.1", "4.0.1").with("/spec/mainApplicationFile", "s3a://jobs/report_2.12-1.0.jar"), vec!["spec.mainApplicationFile: report_2.12:1.0 is built for Scala 2.12, and Spark here for 2.13; use report_2.13 (at most a warning)".to_owned()]),
            ("a list in deps, by its element", on("apache/spark:4.0.1", "4.0.1").with("/spec/deps/packages", json!(["g:a:1", "g:b_2.12:1"])), vec!["spec.deps.packages[1]: g:b_2.12:1 is built for Scala 2.12, and Spark here for 2.13; use b_2.13 (at most a warning)".to_owned()]),
            ("a schedule's", scheduled().with("/spec/template/sparkConf/spark.jars.packages", delta("2.13")), vec!["spec.template.sparkConf[spark.jars.packages]: io.delta:delta-spark_2.13:3.2.0 is built for Scala 2.13, and Spark here for 2.12; use delta-spark_2.12 (at most a warning)".to_owned()]),
            ("2.12 on Spark 3", on("apache/spark:3.5.1", "3.5.1").with(PACKAGES, delta("2.12")), silent.clone()),
            ("2.13 on Spark 4", on("apache/spark:4.0.1", "4.0.1").with(PACKAGES, delta("2.13")), silent.clone()),
            ("2.13 on an image that says so", on("spark:3.5.1-scala2.13-java17", "3.5.1").with(PACKAGES, delta("2.13")), silent.clone()),
            ("2.13 on somebody's image of Spark 3", on("registry.corp/spark:3.5.1", "3.5.1").with(PACKAGES, delta("2.13")), silent.clone()),
            ("Scala 3", on("apache/spark:4.0.1", "4.0.1").with(PACKAGES, "org.typelevel:cats_3:2.10.0"), silent.clone()),
            ("Spark 2, of which nothing is known", on("gcr.io/spark-operator/spark:v2.4.5", "2.4.5").with(PACKAGES, delta("2.11")), silent.clone()),
            ("an image of which nothing is known", on("registry.corp/etl:1", "").with(PACKAGES, delta("2.11")), silent.clone()),
            ("versions that disagree: it may be either", on("registry.corp/spark:4.0.1", "3.5.1").with(PACKAGES, delta("2.12")), silent.clone()),
            ("Java", on("apache/spark:4.0.1", "4.0.1").with(PACKAGES, "org.apache.hadoop:hadoop-aws:3.4.1"), silent.clone()),
            ("what Spark drops", on("apache/spark:4.0.1", "4.0.1").with("/spec/deps/packages", json!(["g:a_2.13:1"])).with(PACKAGES, delta("2.12")), silent.clone()),
            ("Spark's own package, told whole elsewhere", on("apache/spark:4.0.1", "4.0.1").with(PACKAGES, "org.apache.spark:spark-avro_2.12:3.5.1"), silent),
        ] {
            assert_eq!(resource.found(Check::ScalaMismatch), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn reads_pods() {
        let server = |packages: &str| connect_server(&format!("--conf spark.jars.packages={packages}"));
        for (case, pod, expected) in [
            ("a server's arguments", server("g:a_2.13:1"), vec!["spec.containers[0].args: g:a_2.13:1 is built for Scala 2.13, and Spark here for 2.12; use a_2.12 (at most a warning)"]),
            ("a server's that match", server("g:a_2.12:1"), vec![]),
            ("a driver's own file", driver().with("/spec/containers/0/args", json!(["driver", "local:///app_2.13-1.jar"])), vec!["spec.containers[0].args: app_2.13:1 is built for Scala 2.13, and Spark here for 2.12; use app_2.12 (at most a warning)"]),
            ("an argument of the application's own", driver().with("/spec/containers/0/args", json!(["driver", "local:///app.jar", "app_2.13-1.jar"])), vec![]),
            ("an operator's driver, whose resource was looked at", driver().with("/spec/containers/0/args", json!(["driver", "local:///app_2.13-1.jar"])).with("/metadata/labels/sparkoperator.k8s.io~1launched-by-spark-operator", "true"), vec![]),
            ("an executor", executor(), vec![]),
        ] {
            assert_eq!(pod.found(Check::ScalaMismatch), expected, "{case}");
        }
        assert_eq!(spark_connect().found(Check::ScalaMismatch), Vec::<String>::new());
    }
}
