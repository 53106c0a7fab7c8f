//! `connect-package`: Spark Connect on 3.4 and 3.5 has its package, which those versions do not bundle.
//!
//! From 4.0 on it is bundled (SPARK-48763), and an older one beside it kills the server. Only images that are known to lack the jar
//! get it: one that holds it must keep working without a network.

use super::{Case, Outcome, Plan, Resource, ResourceKind};
use crate::policy::configuration::ConnectPackage;
use crate::policy::mutation::Mutation;
use crate::policy::outcome::Skip;
use crate::policy::plan::Note;
use crate::policy::values::coordinates::coordinates;
use crate::policy::values::image::ImageReference;
use crate::policy::values::spark_version::SparkVersion;

/// Where packages are named unless `deps.packages` names them.
const PACKAGES: &str = "spark.jars.packages";

pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    if !resource.runs_connect() {
        return Outcome::Skipped(Skip::NotConnect);
    }
    let settings = &case.policy.mutations.connect_package;
    let image = ImageReference::parse(resource.image().unwrap_or_default());
    let versions = resource.versions();
    if resource.names_connect() {
        if versions.effective().is_some_and(SparkVersion::bundles_connect) {
            plan.warn(format!(
                "Spark {} brings Spark Connect along; remove the package of another version",
                versions.core()
            ));
        }
        return Outcome::Skipped(Skip::PackagePresent);
    }
    if versions.disagree() {
        plan.warn(format!(
            "image tag and sparkVersion {} disagree; no package added",
            resource.spark_version().unwrap_or_default()
        ));
        return Outcome::Skipped(Skip::VersionsDisagree);
    }
    let Some(version) = versions.effective() else {
        plan.warn(format!(
            "sparkVersion {} is no version of Spark; no package added",
            resource.spark_version().unwrap_or_default()
        ));
        return Outcome::Skipped(Skip::VersionsDisagree);
    };
    if !version.has_connect_as_package() {
        return Outcome::Skipped(Skip::SparkVersion);
    }
    let coordinate = coordinate(resource, &image, version, settings);
    if !settings.images.matches(image.repository) || resource.may_configure_packages() {
        plan.warn(format!("if the image lacks the jar, add {}: {coordinate}", place(resource)));
        return Outcome::Skipped(Skip::ImageUnknown);
    }
    add(resource, &coordinate, plan);
    plan.warn(format!("added {coordinate} to {}", place(resource)));
    if versions.core().connect_cannot_use_executors() {
        plan.warn(format!(
            "Connect from a package runs no job on executors before Spark 3.5.6; this is {}",
            versions.core()
        ));
    }
    plan.note(Note::PackageAdded(coordinate));
    plan.outcome()
}

/// Whether the author was told on the way of versions that do not go together, so that no check says it again.
pub(in crate::policy) fn warns_of_connect_versions(resource: &Resource<'_>, case: &Case<'_>) -> bool {
    // A schedule is only judged: nobody has told anything about it yet.
    let is_asked =
        resource.kind() != ResourceKind::ScheduledSparkApplication && case.acts_on(resource, Mutation::ConnectPackage);
    if !is_asked || !resource.runs_connect() {
        return false;
    }
    let versions = resource.versions();
    if resource.names_connect() {
        return versions.effective().is_some_and(SparkVersion::bundles_connect);
    }
    versions.disagree()
}

/// The package that a resource lacks.
pub(in crate::policy) fn coordinate(
    resource: &Resource<'_>,
    image: &ImageReference<'_>,
    version: SparkVersion,
    settings: &ConnectPackage,
) -> String {
    let packages = resource.packages();
    let of_others = || packages.iter().flat_map(|list| coordinates(list)).filter_map(|package| package.scala_suffix());
    // Spark 3.4 and 3.5 are built for these two; a `_3` or `_2.11` is another library's own affair.
    let scala = image.scala_version().into_iter().chain(of_others()).find(|scala| ["2.12", "2.13"].contains(scala));
    let scala = scala.unwrap_or("2.12");
    let version = version.to_string();
    let version = settings.versions.get(&version).unwrap_or(&version);
    format!("org.apache.spark:spark-connect_{scala}:{version}")
}

/// Where packages are to be named: `deps.packages` beats `spark.jars.packages`, which Spark then drops silently.
pub(in crate::policy) fn place(resource: &Resource<'_>) -> &'static str {
    if resource.deps("packages").next().is_some() { "deps.packages" } else { PACKAGES }
}

fn add(resource: &Resource<'_>, coordinate: &str, plan: &mut Plan) {
    if resource.deps("packages").next().is_some() {
        return plan.append(resource.spec_path().then(["deps", "packages"]), coordinate);
    }
    let before =
        resource.spark_conf(PACKAGES).unwrap_or_default().trim_end_matches(|c: char| c == ',' || c.is_whitespace());
    let now = if before.is_empty() { coordinate.to_owned() } else { format!("{before},{coordinate}") };
    plan.set_spark_conf(PACKAGES, &now);
}

#[cfg(test)]
mod tests {
    use crate::policy::Mutation;
    use crate::policy::testing::{Sample, application, scheduled, spark_connect};
    use serde_json::{Value, json};

    const PACKAGES: &str = "/spec/sparkConf/spark.jars.packages";
    const PRESENT: &str = "skipped: package-present";

    fn plugin() -> Sample {
        application().with("/spec/sparkConf/spark.plugins", "org.apache.spark.sql.connect.SparkConnectPlugin")
    }

    fn image(image: &str, version: &str) -> Sample {
        spark_connect().with("/spec/image", image).with("/spec/sparkVersion", version)
    }

    fn conf(packages: &str) -> String {
        format!("spec.sparkConf[spark.jars.packages] = {packages}")
    }

    fn only(scala: &str, version: &str) -> String {
        conf(&format!("org.apache.spark:spark-connect_{scala}:{version}"))
    }

    #[test]
    #[rustfmt::skip]
    fn decides_where() {
        for (case, resource, expected) in [
            ("Spark 4 bundles it", image("apache/spark:4.0.1", "4.0.1"), "skipped: spark-version".to_owned()),
            ("Spark 3.3 has none", image("apache/spark:3.3.4", "3.3.4"), "skipped: spark-version".to_owned()),
            ("a Spark 4 image under a forgotten sparkVersion", image("apache/spark:4.0.1", "3.5.0"), "skipped: versions-disagree".to_owned()),
            ("a 3.5 image under sparkVersion 4", image("apache/spark:3.5.7", "4.0.0"), "skipped: versions-disagree".to_owned()),
            ("a version that cannot be read, on an image that says none", image("apache/spark:latest", "4.0.x"), "skipped: versions-disagree".to_owned()),
            ("a configuration of the user's own, which may name packages", spark_connect().with("/spec/server/template/spec/containers", json!([{"volumeMounts": [{"name": "c", "mountPath": "/opt/spark/conf"}]}])), "skipped: image-unknown".to_owned()),
            ("a folder of jars of the user's own", spark_connect().with("/spec/server/template/spec/containers", json!([{"volumeMounts": [{"name": "c", "mountPath": "/opt/spark/jars"}]}])), "skipped: image-unknown".to_owned()),
            ("its jar is mounted", spark_connect().with("/spec/server/template/spec/containers", json!([{"volumeMounts": [{"name": "c", "mountPath": "/opt/spark/jars/spark-connect_2.12-3.5.7.jar"}]}])), PRESENT.to_owned()),
            ("our package from before, on Spark 4", image("apache/spark:4.0.1", "4.0.1").with(PACKAGES, "org.apache.spark:spark-connect_2.12:3.5.7"), PRESENT.to_owned()),
            ("an image that may hold the jar", image("registry.corp/etl:1.2.3", "3.5.7"), "skipped: image-unknown".to_owned()),
            ("every image, by policy", image("registry.corp/etl:1.2.3", "3.5.7").under("connect-package: {images: [\"*\"]}"), only("2.12", "3.5.7")),
            ("the package is named", spark_connect().with(PACKAGES, "org.apache.spark:spark-connect_2.12:3.5.6"), PRESENT.to_owned()),
            ("the package is named among others, over lines", spark_connect().with(PACKAGES, "a:b:1,\n org.apache.spark:spark-connect_2.12:3.5.6 ,"), PRESENT.to_owned()),
            ("its jar is named", spark_connect().with("/spec/sparkConf/spark.jars", "local:///opt/jars/spark-connect_2.12-3.5.7.jar"), PRESENT.to_owned()),
            ("its jar is on the class path", spark_connect().with("/spec/sparkConf/spark.driver.extraClassPath", "/a.jar:/opt/jars/spark-connect_2.12-3.5.7.jar"), PRESENT.to_owned()),
            ("its jar is among an application's", plugin().with("/spec/deps/jars", json!(["https://repo/spark-connect_2.12-3.5.7.jar"])), PRESENT.to_owned()),
            ("the client is another package", spark_connect().with(PACKAGES, "org.apache.spark:spark-connect-client-jvm_2.12:3.5.7"), conf("org.apache.spark:spark-connect-client-jvm_2.12:3.5.7,org.apache.spark:spark-connect_2.12:3.5.7")),
            ("a SparkConnect", spark_connect(), only("2.12", "3.5.7")),
            ("an application with the plugin", plugin(), only("2.12", "3.5.7")),
            ("an application without it", application(), "skipped: not-connect".to_owned()),
            ("an application with a plugin of a longer name", application().with("/spec/sparkConf/spark.plugins", "org.example.SparkConnectPluginX"), "skipped: not-connect".to_owned()),
            ("a schedule is never changed", scheduled(), String::new()),
        ] {
            assert_eq!(resource.by(Mutation::ConnectPackage).join("; "), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn decides_which() {
        for (case, resource, expected) in [
            ("sparkVersion comes first", image("apache/spark:3.5.7", "3.5.6"), only("2.12", "3.5.6")),
            ("then the tag", image("apache/spark:3.4.4", "three"), only("2.12", "3.4.4")),
            ("then 3.5.0", image("apache/spark:latest", ""), only("2.12", "3.5.0")),
            ("a version without a patch is filled in from the tag", image("apache/spark:3.5.7", "3.5"), only("2.12", "3.5.7")),
            ("else with zero", image("apache/spark", "3.4"), only("2.12", "3.4.0")),
            ("a tag that is the image's own version", image("registry.corp/team/spark:1.4.2", "3.5.7"), only("2.12", "3.5.7")),
            ("Scala from the tag", image("apache/spark:3.5.7-scala2.13-java17-ubuntu", "3.5.7"), only("2.13", "3.5.7")),
            ("Scala from another coordinate", spark_connect().with(PACKAGES, "org.apache.spark:spark-avro_2.13:3.5.7"), conf("org.apache.spark:spark-avro_2.13:3.5.7,org.apache.spark:spark-connect_2.13:3.5.7")),
            ("another library's Scala 3", spark_connect().with(PACKAGES, "org.typelevel:cats-core_3:2.10.0"), conf("org.typelevel:cats-core_3:2.10.0,org.apache.spark:spark-connect_2.12:3.5.7")),
            ("a version that the mirror lacks", spark_connect().under("connect-package: {versions: {3.5.7: 3.5.6}}"), only("2.12", "3.5.6")),
            ("the server's own image", image("registry.corp/etl:1", "3.5.7").with("/spec/server/template/spec/containers", json!([{"name": "x", "image": "apache/spark:3.5.7"}])), only("2.12", "3.5.7")),
            ("the driver's own image", plugin().with("/spec/driver/image", "registry.corp/etl:1"), "skipped: image-unknown".to_owned()),
        ] {
            assert_eq!(resource.by(Mutation::ConnectPackage).join("; "), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn adds_behind_what_is_there() {
        let packages = "/spec/deps/packages";
        let appended = "spec.deps.packages + org.apache.spark:spark-connect_2.12:3.5.7".to_owned();
        for (case, resource, expected) in [
            ("deps.packages beat spark.jars.packages", plugin().with(packages, json!(["a:b:1"])).with(PACKAGES, "c:d:1"), appended.clone()),
            ("a package in the list that Spark drops does not count", plugin().with(packages, json!(["a:b:1"])).with(PACKAGES, "org.apache.spark:spark-connect_2.12:3.5.7"), appended),
            ("empty deps.packages are none", plugin().with(packages, json!([])), only("2.12", "3.5.7")),
            ("null deps are none", plugin().with("/spec/deps", json!({"packages": Value::Null})), only("2.12", "3.5.7")),
            ("a trailing comma", spark_connect().with(PACKAGES, "a:b:1, \n"), conf("a:b:1,org.apache.spark:spark-connect_2.12:3.5.7")),
            ("blanks inside stay", spark_connect().with(PACKAGES, "a:b:1, c:d:2"), conf("a:b:1, c:d:2,org.apache.spark:spark-connect_2.12:3.5.7")),
            ("a blank value is none", spark_connect().with(PACKAGES, " "), only("2.12", "3.5.7")),
        ] {
            assert_eq!(resource.by(Mutation::ConnectPackage).join("; "), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn says_what_to_know() {
        let warns = |resource: &Sample, expected: &str| {
            let warnings = resource.warnings();
            assert!(warnings.iter().any(|warning| warning == expected), "{expected}: {warnings:#?}");
        };
        warns(&spark_connect(), "connect-package: added org.apache.spark:spark-connect_2.12:3.5.7 to spark.jars.packages");
        warns(&image("registry.corp/etl:1", "3.5.7"), "connect-package: if the image lacks the jar, add spark.jars.packages: org.apache.spark:spark-connect_2.12:3.5.7");
        warns(&image("apache/spark:3.5.5", "3.5.5"), "connect-package: Connect from a package runs no job on executors before Spark 3.5.6; this is 3.5.5");
        warns(&image("apache/spark:4.0.1", "4.0.1").with(PACKAGES, "org.apache.spark:spark-connect_2.12:3.5.7"), "connect-package: Spark 4.0.1 brings Spark Connect along; remove the package of another version");
        warns(&image("apache/spark:latest", "4.0.x"), "connect-package: sparkVersion 4.0.x is no version of Spark; no package added");
        warns(&image("apache/spark:4.0.1", "3.5.0"), "connect-package: image tag and sparkVersion 3.5.0 disagree; no package added");
    }
}
