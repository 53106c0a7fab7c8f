//! `spark-user`: Spark's container runs as uid 185, and the pod's volumes belong to gid 185.
//!
//! Official images create user and group 185 and give them Spark's files (apache/spark-docker, Dockerfile); nothing else in a
//! pod can be assumed to run as 185, so the pod-level user is set only where no foreign container would inherit it.

use super::{Case, Outcome, Plan, Pod};
use crate::policy::configuration::Apply;
use crate::policy::outcome::Skip;
use crate::policy::subject::Container;
use crate::policy::values::image::ImageReference;

/// Spark's uid and gid in every official image.
const SPARK: i64 = 185;

pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let settings = &case.policy.mutations.spark_user;
    if settings.apply == Apply::Off {
        return Outcome::Skipped(Skip::Off);
    }
    if settings.apply == Apply::Auto && case.snapshot.openshift {
        return Outcome::Skipped(Skip::OpenShift);
    }
    if pod.is_windows() {
        return Outcome::Skipped(Skip::Windows);
    }
    let Some(spark) = pod.spark_container() else { return Outcome::Skipped(Skip::NoSparkContainer) };
    if spark.image().is_some_and(|image| settings.images_with_own_user.matches(ImageReference::parse(image).repository))
    {
        return Outcome::Skipped(Skip::ImageHasOwnUser);
    }
    let enforce = settings.apply == Apply::Enforce;
    set_fs_group(pod, enforce, plan);
    set_run_as_user(pod, spark, enforce, plan);
    plan.outcome()
}

/// The kubelet changes the group of a volume's files only where the volume's root does not have it yet.
fn set_fs_group(pod: &Pod<'_>, enforce: bool, plan: &mut Plan) {
    let wanted = match pod.fs_group() {
        None => true,
        Some(group) => enforce && group != SPARK,
    };
    if !wanted {
        return;
    }
    plan.set_pod_security("fsGroup", SPARK);
    if !pod.has_fs_group_change_policy() {
        plan.set_pod_security("fsGroupChangePolicy", "OnRootMismatch");
    }
}

/// Where it is absent: on the pod if nobody else would inherit it, else on Spark's own container.
fn set_run_as_user(pod: &Pod<'_>, spark: &Container<'_>, enforce: bool, plan: &mut Plan) {
    match spark.run_as_user().or(pod.run_as_user()) {
        None if pod.other_containers().all(|other| other.run_as_user().is_some()) => {
            plan.set_pod_security("runAsUser", SPARK)
        }
        None => plan.set_container_security(spark, "runAsUser", SPARK),
        Some(user) if enforce && user != SPARK => plan.set_container_security(spark, "runAsUser", SPARK),
        Some(_) => {}
    }
}
