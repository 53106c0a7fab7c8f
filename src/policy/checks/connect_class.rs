//! `connect-class`: Spark 3.4 and 3.5 do not bring Spark Connect along, and nothing that would bring it is named.
//!
//! A server without its class ends at once (`Failed to load class org.apache.spark.sql.connect.service.SparkConnectServer`), an
//! application with the plugin in a `ClassNotFoundException`. Told only of images that are known to lack the jar, where the mutation
//! `connect-package` does not act: where it does, it adds the package or says itself why not.

use crate::policy::Mutation;
use crate::policy::field_path::path;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::mutations::connect_package::{coordinate, place};
use crate::policy::role::Role;
use crate::policy::subject::{Container, Pod, Resource};
use crate::policy::values::image::ImageReference;
use crate::policy::values::spark_version::SparkVersion;

const PROBLEM: &str = "nothing named here brings Spark Connect's classes, which Spark 3.4 and 3.5 lack";

/// Looks at a pod.
pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, findings: &mut Findings) {
    let image = pod.spark_container().and_then(Container::image);
    let lacks_it = pod.role() == Role::ConnectServer
        && case.is_official_image(image)
        && pod.versions().surely(SparkVersion::has_connect_as_package)
        && !pod.may_configure_packages()
        && !pod.names_connect();
    if lacks_it {
        findings.add_likely(path(["spec", "containers"]), PROBLEM, "add the package to spark.jars.packages");
    }
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let settings = &case.policy.mutations.connect_package;
    let image = ImageReference::parse(resource.image().unwrap_or_default());
    let versions = resource.versions();
    let lacks_it = resource.runs_connect()
        && settings.images.matches(image.repository)
        && versions.surely(SparkVersion::has_connect_as_package)
        && !case.acts_on(resource, Mutation::ConnectPackage)
        && !resource.may_configure_packages()
        && !resource.names_connect();
    let Some(version) = versions.effective().filter(|_| lacks_it) else { return };
    let package = coordinate(resource, &image, version, settings);
    let place = match place(resource) {
        "deps.packages" => resource.spec_path().then(["deps", "packages"]),
        key => resource.spec_path().then(["sparkConf", key]),
    };
    findings.add_likely(place, PROBLEM, format!("add {package}"));
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, connect_server, scheduled, spark_connect};
    use serde_json::json;

    #[test]
    #[rustfmt::skip]
    fn finds_what_nobody_brings() {
        let problem = "nothing named here brings Spark Connect's classes, which Spark 3.4 and 3.5 lack";
        let to_add = |place: &str, version: &str| vec![format!("{place}: {problem}; add org.apache.spark:spark-connect_2.12:{version} (at most a warning)")];
        let of_conf = |version| to_add("spec.sparkConf[spark.jars.packages]", version);
        let off = |sample: Sample| sample.under("connect-package: {mode: 'off'}");
        let plugin = |sample: Sample, spec: &str| sample.with(&format!("{spec}/sparkConf/spark.plugins"), "org.apache.spark.sql.connect.SparkConnectPlugin");
        let image = |image: &str, version: &str| off(spark_connect()).with("/spec/image", image).with("/spec/sparkVersion", version);
        let packages = "/spec/sparkConf/spark.jars.packages";
        for (case, resource, expected) in [
            ("the mutation is off", off(spark_connect()), of_conf("3.5.7")),
            ("it only observes", spark_connect().under("connect-package: {mode: observe}"), of_conf("3.5.7")),
            ("its author declined it", spark_connect().with("/metadata/annotations/spark-admission.io~1skip", "connect-package"), of_conf("3.5.7")),
            ("its author opted out", spark_connect().with("/metadata/labels/spark-admission.io~1enabled", "false"), of_conf("3.5.7")),
            ("Spark 3.4", image("spark:3.4.4", "3.4.4"), of_conf("3.4.4")),
            ("the plugin", off(plugin(application(), "/spec")), of_conf("3.5.7")),
            ("the plugin, beside other packages", off(plugin(application(), "/spec")).with("/spec/deps/packages", json!(["a:b:1"])), to_add("spec.deps.packages", "3.5.7")),
            ("the plugin in a schedule", off(plugin(scheduled(), "/spec/template")), to_add("spec.template.sparkConf[spark.jars.packages]", "3.5.7")),
            ("the mutation will add it", plugin(scheduled(), "/spec/template"), vec![]),
            ("the mutation acts, and has said what it says", spark_connect(), vec![]),
            ("an application without the plugin", off(application()), vec![]),
            ("the package is named", off(spark_connect()).with(packages, "org.apache.spark:spark-connect_2.12:3.5.7"), vec![]),
            ("its jar is named", off(spark_connect()).with("/spec/sparkConf/spark.jars", "local:///opt/spark-connect_2.12-3.5.7.jar"), vec![]),
            ("its jar is on the class path", off(spark_connect()).with("/spec/sparkConf/spark.driver.extraClassPath", "/a:/opt/spark-connect_2.12-3.5.7.jar"), vec![]),
            ("a configuration of the author's own", off(spark_connect()).with("/spec/server/template/spec/containers", json!([{"volumeMounts": [{"name": "c", "mountPath": "/opt/spark/conf"}]}])), vec![]),
            ("Spark 4", image("apache/spark:4.0.1", "4.0.1"), vec![]),
            ("an image that may hold it", image("registry.corp/etl:3.5.7", "3.5.7"), vec![]),
            ("versions of which one brings it", image("apache/spark:3.5.7", "4.0.1"), vec![]),
            ("no version that can be read", image("apache/spark:latest", "latest"), vec![]),
        ] {
            assert_eq!(resource.found(Check::ConnectClass), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn finds_it_in_a_server() {
        let found = ["spec.containers: nothing named here brings Spark Connect's classes, which Spark 3.4 and 3.5 lack; add the package to spark.jars.packages (at most a warning)"];
        for (case, pod, expected) in [
            ("no package", connect_server(""), &found[..]),
            ("another package", connect_server("--packages a:b:1"), &found),
            ("the package", connect_server("--conf spark.jars.packages=org.apache.spark:spark-connect_2.12:3.5.7"), &[]),
            ("the jar", connect_server("--jars /opt/spark-connect_2.12-3.5.7.jar"), &[]),
            ("the jar on the class path", connect_server("--conf spark.driver.extraClassPath=/opt/spark-connect_2.12-3.5.7.jar"), &[]),
            ("a file of properties", connect_server("--properties-file /etc/spark.conf"), &[]),
            ("Spark 4", connect_server("").with("/spec/containers/0/image", "apache/spark:4.0.1"), &[]),
            ("another image", connect_server("").with("/spec/containers/0/image", "corp/etl:3.5.7"), &[]),
            ("no version, and the label", connect_server("").with("/spec/containers/0/image", "apache/spark").with("/metadata/labels/spark-version", "3.5.7"), &found),
            ("no version", connect_server("").with("/spec/containers/0/image", "apache/spark"), &[]),
        ] {
            assert_eq!(pod.found(Check::ConnectClass), expected, "{case}");
        }
    }
}
