//! `connect-package`: Spark Connect on 3.4 and 3.5 has its package, which those versions do not bundle.
//!
//! From 4.0 on it is bundled (SPARK-48763), and an older one beside it kills the server. Only images that are known to lack the jar
//! get it: one that holds it must keep working without a network.

use super::{Case, Outcome, Plan, Resource};
use crate::policy::configuration::ConnectPackage;
use crate::policy::outcome::Skip;
use crate::policy::plan::Note;
use crate::policy::subject::ResourceKind;
use crate::policy::values::coordinates::{coordinates, entries, names_connect_jar, names_connect_package};
use crate::policy::values::image::ImageReference;
use crate::policy::values::spark_version::SparkVersion;

/// Where applications name the driver plugins.
const PLUGINS: &str = "spark.plugins";
/// The plugin that runs a Connect server inside an application.
const CONNECT_PLUGIN: &str = "org.apache.spark.sql.connect.SparkConnectPlugin";
/// Where packages are named unless `deps.packages` names them.
const PACKAGES: &str = "spark.jars.packages";

pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    if !runs_connect(resource) {
        return Outcome::Skipped(Skip::NotConnect);
    }
    if names_connect(resource) {
        return Outcome::Skipped(Skip::PackagePresent);
    }
    let settings = &case.policy.mutations.connect_package;
    let image = ImageReference::parse(resource.image().unwrap_or_default());
    let versions = Versions::of(resource, &image);
    if versions.disagree() {
        plan.warn(format!(
            "image tag and sparkVersion {} disagree; no package added",
            resource.spark_version().unwrap_or_default()
        ));
        return Outcome::Skipped(Skip::VersionsDisagree);
    }
    let version = versions.effective();
    if !version.has_connect_as_package() {
        return Outcome::Skipped(Skip::SparkVersion);
    }
    let coordinate = coordinate(resource, &image, version, settings);
    if !settings.images.matches(image.repository) {
        plan.warn(format!("if the image lacks the jar, add {} {coordinate}", place(resource)));
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

fn runs_connect(resource: &Resource<'_>) -> bool {
    let has_plugin =
        || entries(resource.spark_conf(PLUGINS).unwrap_or_default()).any(|plugin| plugin == CONNECT_PLUGIN);
    resource.kind() == ResourceKind::SparkConnect || has_plugin()
}

/// Whether the package or its jar is named anywhere that Spark will look.
fn names_connect(resource: &Resource<'_>) -> bool {
    let class_path = resource.spark_conf("spark.driver.extraClassPath").unwrap_or_default().replace(':', ",");
    resource.packages().into_iter().any(names_connect_package)
        || resource.deps("jars").any(names_connect_jar)
        || resource.spark_conf("spark.jars").is_some_and(names_connect_jar)
        || names_connect_jar(&class_path)
}

/// The Spark versions that the resource and its image name.
struct Versions {
    declared: Option<SparkVersion>,
    tag: Option<SparkVersion>,
}

impl Versions {
    fn of(resource: &Resource<'_>, image: &ImageReference<'_>) -> Self {
        // A tag such as 1.4.2 is the version of somebody's image, not of the Spark in it.
        let tag = image.spark_version().filter(|version| version.major >= 3);
        Self { declared: resource.spark_version().and_then(SparkVersion::parse), tag }
    }

    /// The image decides what runs; the resource's version is but a label to the operator. Where they differ, nobody can tell
    /// which one is a slip, and the wrong package breaks what works.
    fn disagree(&self) -> bool {
        let minor = |version: SparkVersion| (version.major, version.minor);
        matches!((self.declared, self.tag), (Some(declared), Some(tag)) if minor(declared) != minor(tag))
    }

    /// The version to take the package of.
    fn effective(&self) -> SparkVersion {
        let complete = |version: &SparkVersion| version.patch.is_some();
        let named = self.declared.filter(complete).or(self.tag.filter(complete)).or(self.declared).or(self.tag);
        let fallback = SparkVersion { major: 3, minor: 5, patch: Some(0) };
        named.map_or(fallback, |version| SparkVersion { patch: version.patch.or(Some(0)), ..version })
    }

    /// The version of Spark in the image.
    fn core(&self) -> SparkVersion {
        self.tag.filter(|tag| tag.patch.is_some()).unwrap_or_else(|| self.effective())
    }
}

fn coordinate(
    resource: &Resource<'_>,
    image: &ImageReference<'_>,
    version: SparkVersion,
    settings: &ConnectPackage,
) -> String {
    let packages = resource.packages();
    let of_others = || packages.iter().flat_map(|list| coordinates(list)).find_map(|package| package.scala_suffix());
    let scala = image.scala_version().or_else(of_others).unwrap_or("2.12");
    let version = version.to_string();
    let version = settings.versions.get(&version).unwrap_or(&version);
    format!("org.apache.spark:spark-connect_{scala}:{version}")
}

/// Where packages are to be named: `deps.packages` beats `spark.jars.packages`, which Spark then drops silently.
fn place(resource: &Resource<'_>) -> &'static str {
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
