//! `ivy-dir`: Spark's Ivy is pointed at a directory that can be written.
//!
//! On resources `spark.jars.ivy` is set. In cluster mode packages resolve twice, in the operator's pod and again in the driver, so the
//! path must be writable in both: below `/tmp` it is. One directory shared by the operator's workers is not safe while it is
//! empty (of four applications submitted at once two failed), hence a directory for each set of packages.
//! Pods with no resource behind them get `-Divy.home` in `SPARK_SUBMIT_OPTS`, which `spark.jars.ivy` still overrides.

use sha2::{Digest, Sha256};

use super::{Case, Outcome, Plan, Pod, Resource};
use crate::policy::configuration::Submission;
use crate::policy::outcome::Skip;
use crate::policy::plan::Note;
use crate::policy::subject::{Container, ResourceKind};
use crate::policy::values::coordinates::entries;
use crate::policy::values::image::ImageReference;
use crate::policy::values::path::{DEFAULT_SPARK_HOME, PathFault, is_at, judge, overlaps};

/// What Spark reads its Ivy directory from.
const SPARK_JARS_IVY: &str = "spark.jars.ivy";
/// Options of the JVM that resolves packages.
const SPARK_SUBMIT_OPTS: &str = "SPARK_SUBMIT_OPTS";

pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    if let Some(directory) = resource.spark_conf(SPARK_JARS_IVY) {
        if let Some(fault) = fault_of_users(resource, directory) {
            plan.warn(format!("{SPARK_JARS_IVY} {directory} is left as it is: {fault}"));
        }
        return Outcome::Skipped(Skip::UserDecided);
    }
    let packages = packages(resource, plan);
    if packages.is_empty() {
        return Outcome::Skipped(Skip::NoPackages);
    }
    let Some(directory) = directory(resource, case, &packages) else { return Outcome::Skipped(Skip::SubmissionOff) };
    plan.set_spark_conf(SPARK_JARS_IVY, &directory);
    plan.warn(format!("{SPARK_JARS_IVY} is now {directory}"));
    plan.outcome()
}

/// Why the webhook leaves a user's Ivy directory without a volume; nothing where it gets one, or has the user's own.
fn fault_of_users(resource: &Resource<'_>, directory: &str) -> Option<String> {
    if let Err(fault) = usable(directory) {
        return Some(fault.to_string());
    }
    let mounts: Vec<_> = resource.driver_mounts().collect();
    if mounts.iter().any(|mount| is_at(mount, directory)) {
        return None;
    }
    mounts.iter().find(|mount| overlaps(mount, directory)).map(|mount| format!("{mount} is mounted over it"))
}

/// Whether a volume can be mounted at a path without hiding what is not Ivy's.
pub(super) fn usable(directory: &str) -> Result<(), PathFault> {
    judge(directory, DEFAULT_SPARK_HOME)
}

/// The packages that Spark will resolve, with the one that was added in this review.
fn packages(resource: &Resource<'_>, plan: &Plan) -> Vec<String> {
    let named = resource.packages().into_iter().flat_map(entries).map(str::to_owned);
    let added = plan.notes().filter_map(|note| match note {
        Note::PackageAdded(coordinate) => Some(coordinate.clone()),
        Note::IvyMountedAt(_) => None,
    });
    named.chain(added).collect()
}

/// The directory for a resource; none where the policy leaves the submission side alone.
fn directory(resource: &Resource<'_>, case: &Case<'_>, packages: &[String]) -> Option<String> {
    let shared = case.policy.mutations.ivy_cache.mount_path.as_str();
    if resource.kind() == ResourceKind::SparkConnect {
        return Some(shared.to_owned());
    }
    match case.policy.mutations.ivy_dir.submission {
        Submission::Off => None,
        Submission::Shared => Some(shared.to_owned()),
        Submission::PerPackageSet => Some(format!("{shared}/{}", hash_of_packages(resource, packages))),
        Submission::PerApplication => Some(format!("{shared}/{}", hash_of_application(resource, case))),
    }
}

/// The same for the same packages, repositories and exclusions, in whatever order they are written.
fn hash_of_packages(resource: &Resource<'_>, packages: &[String]) -> String {
    let sorted = |mut entries: Vec<String>| {
        entries.sort_unstable();
        entries.dedup();
        entries.join(",")
    };
    let list = |list, key| sorted(resource.list(list, key).into_iter().flat_map(entries).map(str::to_owned).collect());
    let repositories = list("repositories", "spark.jars.repositories");
    let exclusions = list("excludePackages", "spark.jars.excludes");
    short_hash(&[&sorted(packages.to_vec()), &repositories, &exclusions])
}

/// A name that the API server has yet to generate tells applications apart no more than their template does; the review's id does.
fn hash_of_application(resource: &Resource<'_>, case: &Case<'_>) -> String {
    if resource.metadata().name_is_generated() {
        return short_hash(&[case.request.uid]);
    }
    short_hash(&[case.request.namespace, resource.metadata().name()])
}

/// Twelve hexadecimal digits: chances of a collision among a million sets are below one in 500.
fn short_hash(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\n"));
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    if pod.is_launched_by_operator() {
        return Outcome::Skipped(Skip::OperatorSubmits);
    }
    let Some(spark) = pod.spark_container() else { return Outcome::Skipped(Skip::NoSparkContainer) };
    let mounted = plan.notes().find_map(|note| match note {
        Note::IvyMountedAt(directory) => Some(directory.clone()),
        Note::PackageAdded(_) => None,
    });
    let Some(directory) = mounted else { return Outcome::Skipped(Skip::NoIvyVolume) };
    match submit_options(spark, case) {
        SubmitOptions::Literal { value, .. } if moves_ivy(value) => Outcome::Skipped(Skip::UserDecided),
        SubmitOptions::Literal { index, value } => {
            plan.set_env(spark, index, format!("{value} -Divy.home={directory}").trim_start());
            plan.outcome()
        }
        SubmitOptions::Absent => {
            plan.add_env(spark, SPARK_SUBMIT_OPTS, &format!("-Divy.home={directory}"));
            plan.outcome()
        }
        SubmitOptions::Elsewhere(place) => {
            plan.warn(format!("{SPARK_SUBMIT_OPTS} may come from {place}: add -Divy.home={directory} there"));
            Outcome::Skipped(Skip::EnvironmentHidden)
        }
    }
}

/// Where a container's `SPARK_SUBMIT_OPTS` come from.
enum SubmitOptions<'a> {
    /// The container's own `env` says it.
    Literal { index: usize, value: &'a str },
    /// Nothing says it.
    Absent,
    /// They may come from the place named, which an entry of our own would hide.
    Elsewhere(&'static str),
}

fn submit_options<'a>(spark: &Container<'a>, case: &Case<'_>) -> SubmitOptions<'a> {
    if let Some((index, entry)) = spark.env(SPARK_SUBMIT_OPTS) {
        return match entry.get("value").as_str() {
            Some(value) => SubmitOptions::Literal { index, value },
            None if entry.get("valueFrom").is_null() => SubmitOptions::Literal { index, value: "" },
            None => SubmitOptions::Elsewhere("its valueFrom"),
        };
    }
    if spark.has_env_from() {
        return SubmitOptions::Elsewhere("envFrom");
    }
    let repository = ImageReference::parse(spark.image().unwrap_or_default()).repository;
    if case.policy.mutations.ivy_dir.images_with_submit_opts.matches(repository) {
        return SubmitOptions::Elsewhere("the image");
    }
    SubmitOptions::Absent
}

/// Whether options already say where Ivy lives.
fn moves_ivy(options: &str) -> bool {
    options.contains("-Divy.home=") || options.contains("-Duser.home=")
}
