//! Whether Spark's JVM may have been given an option: in the object, or in something that the object only names.

use crate::policy::mutations::Case;
use crate::policy::mutations::ivy_dir::{SPARK_SUBMIT_OPTS, java_options};
use crate::policy::subject::{Pod, Resource, ResourceKind};

/// Where Java is told more than by Spark.
const VARIABLES: [&str; 3] = [SPARK_SUBMIT_OPTS, "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"];

/// Whether the driver or server of a resource may have an option that `sets` what is asked about.
pub(super) fn may_set(resource: &Resource<'_>, case: &Case<'_>, sets: fn(&str) -> bool) -> bool {
    // Spark's defaults in the operator's pod reach the drivers that it submits.
    let operators = case.snapshot.operators.iter().flat_map(|operators| operators.iter());
    let has_defaults = resource.kind() != ResourceKind::SparkConnect
        && operators.into_iter().any(|operator| operator.configures_spark);
    has_defaults
        || java_options(resource).any(sets)
        || VARIABLES.into_iter().filter_map(|name| resource.driver_env(name)).any(sets)
        || resource.may_configure_packages()
        || resource.driver().get("envFrom").items().next().is_some()
        || resource.server_container().is_some_and(|container| container.has_env_from())
}

/// The same of a Connect server's pod.
pub(super) fn may_set_in_server(pod: &Pod<'_>, sets: fn(&str) -> bool) -> bool {
    let arguments = pod.connect_arguments();
    let of_jvm = |name| pod.spark_container()?.env(name).map(|(_, entry)| entry.get("value").as_str());
    // A value from elsewhere may be anything.
    VARIABLES.into_iter().filter_map(of_jvm).any(|value| value.is_none_or(sets))
        || pod.may_configure_packages()
        || arguments.conf("spark.driver.extraJavaOptions").is_some_and(sets)
        || arguments.option("--driver-java-options").is_some_and(sets)
}
