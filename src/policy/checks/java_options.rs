//! Whether Spark's JVM may have been given an option: in the object, or in something that the object only names.

use crate::policy::document::Json;
use crate::policy::mutations::Case;
use crate::policy::mutations::ivy_dir::{SPARK_SUBMIT_OPTS, java_options};
use crate::policy::subject::{Container, Pod, Resource, ResourceKind};

/// Where Java is told more than by Spark's configuration: by `spark-class` and Spark's launcher, which takes a Connect server for a daemon,
/// and by the JVM itself.
const VARIABLES: [&str; 5] =
    [SPARK_SUBMIT_OPTS, "SPARK_DAEMON_JAVA_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"];

/// Whether the driver or server of a resource may have an option that `sets` what is asked about.
pub(super) fn may_set(resource: &Resource<'_>, case: &Case<'_>, sets: fn(&str) -> bool) -> bool {
    // Spark's defaults in the operator's pod reach the drivers that it submits.
    let operators = case.snapshot.operators.iter().flat_map(|operators| operators.iter());
    let has_defaults = resource.kind() != ResourceKind::SparkConnect
        && operators.into_iter().any(|operator| operator.configures_spark);
    let server = resource.server_container();
    has_defaults
        || java_options(resource).any(sets)
        || VARIABLES.into_iter().any(|name| may_set_by(resource, name, sets))
        || resource.may_configure_packages()
        || resource.driver().get("envFrom").items().next().is_some()
        || server.is_some_and(|server| server.has_env_from() || may_set_in_container(&server, sets))
}

/// Whether a variable that the resource gives its driver may be such an option.
fn may_set_by(resource: &Resource<'_>, name: &str, sets: fn(&str) -> bool) -> bool {
    let (driver, spark_conf) = (resource.driver(), resource.spec().get("sparkConf"));
    let entries = driver.get("env").items().filter(|entry| entry.get("name").as_str() == Some(name));
    let of_list = entries.map(|entry| entry.get("value"));
    let of_conf = spark_conf.get(&format!("spark.kubernetes.driverEnv.{name}"));
    let of_secret = spark_conf.get(&format!("spark.kubernetes.driver.secretKeyRef.{name}"));
    let named = [driver.get("envVars").get(name), of_conf].into_iter().filter(|value| !value.is_null());
    of_list.chain(named).any(|value| may_be(value, sets))
        || !of_secret.is_null()
        || !driver.get("envSecretKeyRefs").get(name).is_null()
}

/// The same of a Connect server's pod.
pub(super) fn may_set_in_server(pod: &Pod<'_>, sets: fn(&str) -> bool) -> bool {
    let arguments = pod.connect_arguments();
    let of_conf = ["spark.driver.extraJavaOptions", "spark.driver.defaultJavaOptions"];
    pod.spark_container().is_some_and(|spark| may_set_in_container(spark, sets))
        || pod.may_configure_packages()
        || of_conf.into_iter().filter_map(|key| arguments.conf(key)).any(sets)
        || arguments.option("--driver-java-options").is_some_and(sets)
}

fn may_set_in_container(container: &Container<'_>, sets: fn(&str) -> bool) -> bool {
    let values = VARIABLES.into_iter().filter_map(|name| container.env(name));
    values.map(|(_, entry)| entry.get("value")).any(|value| may_be(value, sets))
}

/// A value from elsewhere may be anything.
fn may_be(value: Json<'_>, sets: fn(&str) -> bool) -> bool {
    value.as_str().is_none_or(sets)
}
