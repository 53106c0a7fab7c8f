//! `connect-core`: Spark Connect that is loaded from a package or jar runs no job on executors of a Spark 3.5.0 to 3.5.5 core.
//!
//! The server starts, clients connect, and the first job ends in `ClassCastException: cannot assign instance of
//! java.lang.invoke.SerializedLambda to field org.apache.spark.rdd.MapPartitionsRDD.f` (seen with 3.5.0 and 3.5.5). The mutation
//! `connect-package` says so itself when it adds the package.

use crate::policy::Mutation;
use crate::policy::field_path::path;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::role::Role;
use crate::policy::subject::{Metadata, Pod, Resource};
use crate::policy::values::spark_version::SparkVersion;

const PROBLEM: &str =
    "Spark Connect from a package or jar runs no job on executors before Spark 3.5.6 (ClassCastException)";
const CURE: &str = "use an image of Spark 3.5.6 or newer, or one with the jar among Spark's own";

/// Looks at a pod.
pub(super) fn of_pod(pod: &Pod<'_>, _case: &Case<'_>, findings: &mut Findings) {
    let arguments = pod.connect_arguments();
    let is_local = arguments.option("--master").is_some_and(|master| master.starts_with("local"));
    let is_dynamic = arguments.conf("spark.dynamicAllocation.enabled") == Some("true");
    let has_executors = !is_local && (is_dynamic || arguments.conf("spark.executor.instances") != Some("0"));
    if pod.role() == Role::ConnectServer
        && has_executors
        && pod.downloads_connect()
        && pod.versions().surely(SparkVersion::connect_cannot_use_executors)
    {
        findings.add_likely(path(["spec", "containers"]), PROBLEM, CURE);
    }
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    if resource.runs_connect()
        && has_executors(resource)
        && resource.downloads_connect()
        && resource.versions().surely(SparkVersion::connect_cannot_use_executors)
        && !was_just_told(resource, case)
    {
        findings.add_likely(resource.spec_path().then(["image"]), PROBLEM, CURE);
    }
}

/// Whether jobs are run by executors: Spark starts two where nobody says how many.
fn has_executors(resource: &Resource<'_>) -> bool {
    let is_dynamic = resource.spec().get("dynamicAllocation").get("enabled").as_bool() == Some(true)
        || resource.spark_conf("spark.dynamicAllocation.enabled") == Some("true");
    let instances = resource.spec().get("executor").get("instances").as_i64();
    let instances = instances.or_else(|| resource.spark_conf("spark.executor.instances")?.trim().parse().ok());
    is_dynamic || instances != Some(0)
}

/// Whether the package was added in this very admission, with this very warning.
fn was_just_told(resource: &Resource<'_>, case: &Case<'_>) -> bool {
    let was_added = |metadata: Metadata<'_>| metadata.was_changed_by(Mutation::ConnectPackage);
    was_added(resource.metadata()) && !was_added(Metadata::of(case.request.old_object))
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, connect_server, spark_connect};
    use serde_json::json;

    const PACKAGE: &str = "org.apache.spark:spark-connect_2.12:3.5.1";

    fn on(image: &str, version: &str) -> Sample {
        let connect = spark_connect().with("/spec/image", image).with("/spec/sparkVersion", version);
        connect.with("/spec/sparkConf/spark.jars.packages", PACKAGE)
    }

    #[test]
    #[rustfmt::skip]
    fn finds_cores_that_fail() {
        let old = || on("apache/spark:3.5.1", "3.5.1");
        let plugin = application().with("/spec/image", "apache/spark:3.5.1").with("/spec/sparkVersion", "3.5.1");
        let plugin = plugin.with("/spec/sparkConf/spark.plugins", "org.apache.spark.sql.connect.SparkConnectPlugin");
        let told = "/metadata/annotations/spark-admission.io~1mutated";
        for (case, resource, expected) in [
            ("a package", old(), true),
            ("a jar", old().with("/spec/sparkConf", json!({"spark.jars": "https://repo/spark-connect_2.12-3.5.1.jar"})), true),
            ("the plugin, and a package", plugin.with("/spec/deps/packages", json!([PACKAGE])), true),
            ("the last that fails", on("apache/spark:3.5.5", "3.5.5"), true),
            ("an image of unknown version", on("corp/etl:7", "3.5.0"), true),
            ("dynamic allocation from none", old().with("/spec/executor/instances", 0).with("/spec/dynamicAllocation/enabled", true), true),
            ("an update, long after the mutation told it", old().with(told, "connect-package").updating(old().with(told, "connect-package").with("/spec/executor/instances", 1)), true),
            ("the mutation has just told it", old().with(told, "connect-package"), false),
            ("the first that works", on("apache/spark:3.5.6", "3.5.6"), false),
            ("a patch that is not named", on("apache/spark:3.5", "3.5"), false),
            ("one of two versions works", on("apache/spark:3.5.7", "3.5.1"), false),
            ("another one of two", on("apache/spark:3.5.1", "3.5.7"), false),
            ("Spark 3.4", on("apache/spark:3.4.4", "3.4.4"), false),
            ("no executors", old().with("/spec/executor/instances", 0), false),
            ("no executors, in Spark's words", old().with("/spec/sparkConf/spark.executor.instances", "0"), false),
            ("the jar among Spark's own", old().with("/spec/sparkConf", json!({"spark.driver.extraClassPath": "/opt/spark-connect_2.12-3.5.1.jar"})), false),
            ("no Connect", application().with("/spec/image", "apache/spark:3.5.1"), false),
        ] {
            assert_eq!(!resource.found(Check::ConnectCore).is_empty(), expected, "{case}");
        }
        assert_eq!(old().found(Check::ConnectCore), ["spec.image: Spark Connect from a package or jar runs no job on executors before Spark 3.5.6 (ClassCastException); use an image of Spark 3.5.6 or newer, or one with the jar among Spark's own (at most a warning)"]);
    }

    #[test]
    #[rustfmt::skip]
    fn finds_them_in_servers() {
        let server = |image: &str, more: &str| connect_server(&format!("--conf spark.jars.packages={PACKAGE} {more}")).with("/spec/containers/0/image", image);
        for (case, pod, expected) in [
            ("a package", server("apache/spark:3.5.1", ""), true),
            ("executors", server("apache/spark:3.5.1", "--conf spark.executor.instances=1"), true),
            ("no executors", server("apache/spark:3.5.1", "--conf spark.executor.instances=0"), false),
            ("no cluster", server("apache/spark:3.5.1", "--master local[2]"), false),
            ("the first that works", server("apache/spark:3.5.6", ""), false),
            ("no package", connect_server("").with("/spec/containers/0/image", "apache/spark:3.5.1"), false),
        ] {
            assert_eq!(!pod.found(Check::ConnectCore).is_empty(), expected, "{case}");
        }
    }
}
