//! `ivy-cache`: Spark's container has a writable volume for Ivy, in memory unless the packages are too large for it.
//!
//! Spark resolves packages below the home of its user, which official images do not have (3.5.6 and before) or which is
//! `/nonexistent` (3.5.7 and 4.0.1 on). The volume always has a size limit: a tmpfs without one grows to half the node's memory.
//! On a `SparkApplication` this mutation hands down what the driver's pod alone cannot tell: where Ivy is to be, and how large.

use serde_json::{Value, json};

use super::ivy_dir::usable;
use super::{Case, Outcome, Plan, Pod, Resource};
use crate::policy::configuration::{IvyCache, Medium};
use crate::policy::handover::hand_to;
use crate::policy::names::{IVY_CACHE_MEDIUM, IVY_CACHE_SIZE, IVY_DIR};
use crate::policy::outcome::Skip;
use crate::policy::plan::Note;
use crate::policy::role::Role;
use crate::policy::subject::Container;
use crate::policy::values::coordinates::coordinates;
use crate::policy::values::path::{is_at, is_inside, overlaps};
use crate::policy::values::quantity::Quantity;

/// The volume's name.
const VOLUME: &str = "ivy-cache";

/// What Spark reads its Ivy directory from.
const SPARK_JARS_IVY: &str = "spark.jars.ivy";

pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let settings = &case.policy.mutations.ivy_cache;
    let Some(spark) = pod.spark_container() else {
        if pod.role() == Role::Notebook {
            plan.warn("none of the containers has the name in the policy's notebooks.container; nothing is changed");
        }
        return Outcome::Skipped(Skip::NoSparkContainer);
    };
    let handed_down = pod.annotation(IVY_DIR).or_else(|| pod.connect_arguments().conf(SPARK_JARS_IVY));
    if let Some((directory, Err(fault))) = handed_down.map(|directory| (directory, usable(directory))) {
        plan.warn(format!("Ivy directory {directory} is left as it is: {fault}"));
        return Outcome::Skipped(Skip::UnusableDirectory);
    }
    let directory = handed_down.unwrap_or(settings.mount_path.as_str());
    if is_mounted(pod, spark, directory) {
        plan.note(Note::IvyMountedAt(directory.to_owned()));
        return Outcome::Skipped(Skip::NothingToDo);
    }
    if pod.volume(VOLUME).is_some() {
        return Outcome::Skipped(Skip::UsersVolume);
    }
    if spark.mounts().any(|(mount, _)| overlaps(mount, directory)) {
        return Outcome::Skipped(Skip::UsersMount);
    }
    let volume = volume(pod, settings, plan);
    plan.add_volume(volume);
    plan.mount(spark, VOLUME, directory);
    plan.note(Note::IvyMountedAt(directory.to_owned()));
    plan.outcome()
}

/// Whether the volume, or one just like it, is mounted there already.
fn is_mounted(pod: &Pod<'_>, spark: &Container<'_>, directory: &str) -> bool {
    pod.volume(VOLUME).is_some_and(|volume| volume.get("emptyDir").is_object())
        && spark.mounts().any(|(mount, volume)| volume == VOLUME && is_at(mount, directory))
}

/// The volume; what its author asked for first, then what its packages need, then what the policy says.
fn volume(pod: &Pod<'_>, settings: &IvyCache, plan: &mut Plan) -> Value {
    let packages = pod.connect_arguments().packages().unwrap_or_default();
    let large = large_package(&[packages], settings);
    let medium = asked_medium(pod, plan).unwrap_or(if large.is_some() { Medium::Disk } else { settings.medium });
    let by_policy = if large.is_some() { &settings.large_size_limit } else { &settings.size_limit };
    let size = asked_size(pod, plan).unwrap_or(by_policy.as_str());
    if let Some(package) = large {
        plan.warn(large_warning(package, medium, size));
    }
    match medium {
        Medium::Memory => json!({"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": size}}),
        Medium::Disk => json!({"name": VOLUME, "emptyDir": {"sizeLimit": size}}),
    }
}

fn asked_medium(pod: &Pod<'_>, plan: &mut Plan) -> Option<Medium> {
    match pod.annotation(IVY_CACHE_MEDIUM)? {
        "Memory" => Some(Medium::Memory),
        "Disk" => Some(Medium::Disk),
        other => {
            plan.warn(format!("annotation {IVY_CACHE_MEDIUM} is \"{other}\"; it can be Memory or Disk"));
            None
        }
    }
}

fn asked_size<'a>(pod: &'a Pod<'_>, plan: &mut Plan) -> Option<&'a str> {
    let asked = pod.annotation(IVY_CACHE_SIZE)?;
    if Quantity::parse(asked).is_some_and(|size| size >= Quantity::MEBIBYTE) {
        return Some(asked);
    }
    plan.warn(format!("annotation {IVY_CACHE_SIZE} is \"{asked}\"; it must be a quantity such as 512Mi"));
    None
}

/// The first package that is too large for memory.
fn large_package<'a>(lists: &[&'a str], settings: &IvyCache) -> Option<&'a str> {
    let packages = lists.iter().flat_map(|list| coordinates(list));
    let mut large =
        packages.filter(|package| settings.large_packages.matches(&format!("{}:{}", package.group, package.artifact)));
    large.next().map(|package| package.artifact)
}

fn large_warning(package: &str, medium: Medium, size: &str) -> String {
    let place = match medium {
        Medium::Memory => "in memory",
        Medium::Disk => "on the node's disk",
    };
    format!("{package} is large: its Ivy volume is {place}, {size}")
}

/// Hands down to the driver what the resource alone tells: the user's own Ivy directory, and packages too large for memory.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    if !resource.driver().is_object() {
        return Outcome::Skipped(Skip::NothingToDo);
    }
    let settings = &case.policy.mutations.ivy_cache;
    if let Some(directory) =
        resource.spark_conf(SPARK_JARS_IVY).filter(|directory| needs_mount(resource, directory, settings))
    {
        hand_to(resource, "driver", IVY_DIR, directory, plan);
    }
    if let Some(package) = large_package(&resource.packages(), settings) {
        hand_to(resource, "driver", IVY_CACHE_MEDIUM, "Disk", plan);
        hand_to(resource, "driver", IVY_CACHE_SIZE, settings.large_size_limit.as_str(), plan);
        if plan.outcome() == Outcome::Applied {
            plan.warn(large_warning(package, Medium::Disk, settings.large_size_limit.as_str()));
        }
    }
    plan.outcome()
}

/// Whether a user's Ivy directory wants a mount of its own: it may be mounted over, and nothing covers it yet.
fn needs_mount(resource: &Resource<'_>, directory: &str, settings: &IvyCache) -> bool {
    let default = settings.mount_path.as_str();
    let covered = is_at(directory, default) || is_inside(directory, default);
    !covered && usable(directory).is_ok() && !resource.driver_mounts().any(|mount| overlaps(mount, directory))
}
