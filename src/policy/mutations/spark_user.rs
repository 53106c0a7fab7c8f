//! `spark-user`: Spark's container runs as uid 185, and the pod's volumes belong to gid 185.
//!
//! Official images create user and group 185 and give them Spark's files (apache/spark-docker, Dockerfile). Nothing else can be assumed to
//! run as 185: no other container of the pod, so the pod-level user is set only where none would inherit it, and no other image. One that
//! was made for 1001 ran as 1001, and as 185 a driver cannot write to its work-dir (seen on a real node). The group does no such harm.

use super::{Case, Outcome, Plan, Pod};
use crate::policy::configuration::Apply;
use crate::policy::field_path::path;
use crate::policy::mutation::Mutation;
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
    let repository = spark.image().map(|image| ImageReference::parse(image).repository).unwrap_or_default();
    if settings.images_with_own_user.matches(repository) {
        return Outcome::Skipped(Skip::ImageHasOwnUser);
    }
    let enforce = settings.apply == Apply::Enforce;
    set_fs_group(pod, enforce, plan);
    if !settings.images.matches(repository) {
        let is_changed = plan.outcome() == Outcome::Applied;
        return if is_changed { Outcome::Applied } else { Outcome::Skipped(Skip::ImageUserUnknown) };
    }
    if !enforce && pod.metadata().was_changed_by(Mutation::SparkUser) {
        reconsider(pod, spark, plan);
    }
    set_run_as_user(pod, spark, enforce, plan);
    plan.outcome()
}

/// Other webhooks act between our rounds: one adds a container, which must not inherit Spark's user; another sets the user that the
/// resource's author chose, for the pod or for Spark's container, which ours must not override or stand beside. The result is that of
/// acting after them.
fn reconsider(pod: &Pod<'_>, spark: &Container<'_>, plan: &mut Plan) {
    let on_pod = || path(["spec", "securityContext", "runAsUser"]);
    match (pod.run_as_user(), spark.run_as_user()) {
        (Some(SPARK), Some(_)) if context_may_be_ours(pod) => plan.remove(on_pod()),
        (Some(SPARK), None) if context_may_be_ours(pod) && !others_have_users(pod) => {
            plan.remove(on_pod());
            plan.set_container_security(spark, "runAsUser", SPARK);
        }
        (Some(user), Some(SPARK)) if user != SPARK => {
            plan.remove(spark.path().then(["securityContext", "runAsUser"]));
        }
        _ => {}
    }
}

/// Whether the pod's security context can be the one that an earlier round left: it has a group then, and with the group 185 a change
/// policy. Kubeflow's webhook puts the author's whole context in its place, where 185 is the author's choice for every container.
fn context_may_be_ours(pod: &Pod<'_>) -> bool {
    pod.fs_group().is_some_and(|group| group != SPARK || pod.has_fs_group_change_policy())
}

fn others_have_users(pod: &Pod<'_>) -> bool {
    pod.other_containers().all(|other| other.run_as_user().is_some())
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
        None if others_have_users(pod) => {
            plan.set_pod_security("runAsUser", SPARK);
        }
        None => plan.set_container_security(spark, "runAsUser", SPARK),
        Some(user) if enforce && user != SPARK => plan.set_container_security(spark, "runAsUser", SPARK),
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Mutation;
    use crate::policy::testing::{Sample, connect_server, driver, executor, notebook};
    use serde_json::json;

    const GROUP: &str = "spec.securityContext.fsGroup = 185";
    const POLICY: &str = "spec.securityContext.fsGroupChangePolicy = OnRootMismatch";
    const USER_ON_POD: &str = "spec.securityContext.runAsUser = 185";
    const USER_ON_SPARK: &str = "spec.containers[0].securityContext.runAsUser = 185";

    #[test]
    #[rustfmt::skip]
    fn decides() {
        let again = |pod: Sample| pod.with("/metadata/annotations/spark-admission.io~1mutated", "spark-user");
        let on_pod = || driver().with("/spec/securityContext", json!({"fsGroup": 185, "fsGroupChangePolicy": "OnRootMismatch", "runAsUser": 185}));
        let replaced = |context| again(driver().with("/spec/securityContext", context).and("/spec/containers", json!({"name": "proxy"})));
        let on_spark = || driver().with("/spec/securityContext/fsGroup", 185).with("/spec/containers/0/securityContext/runAsUser", 185).and("/spec/containers", json!({"name": "proxy"}));
        let sidecar = json!({"name": "proxy", "image": "istio/proxyv2:1"});
        let root = json!({"name": "fix", "image": "busybox", "securityContext": {"runAsUser": 0}});
        for (case, pod, expected) in [
            ("an image with its own user", driver().with("/spec/containers/0/image", "docker.io/bitnami/spark:3.5"), &["skipped: image-has-own-user"][..]),
            ("an EMR image", driver().with("/spec/containers/0/image", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/spark/emr-6.15.0:latest"), &["skipped: image-has-own-user"]),
            ("an image that may have a user of its own", driver().with("/spec/containers/0/image", "registry.corp/team/etl:1.4"), &[GROUP, POLICY]),
            ("the same, with a group already", driver().with("/spec/containers/0/image", "registry.corp/team/etl:1.4").with("/spec/securityContext/fsGroup", 1000), &["skipped: image-user-unknown"]),
            ("every image, by policy", driver().with("/spec/containers/0/image", "registry.corp/team/etl:1.4").under("spark-user: {images: [\"*\"]}"), &[GROUP, POLICY, USER_ON_POD]),
            ("an init container that must be root and says so", driver().and("/spec/initContainers", root), &[GROUP, POLICY, USER_ON_POD]),
            ("an init container that may be root by its image", driver().and("/spec/initContainers", sidecar.clone()), &[GROUP, POLICY, USER_ON_SPARK]),
            ("a sidecar without a user", driver().and("/spec/containers", sidecar.clone()), &[GROUP, POLICY, USER_ON_SPARK]),
            ("a user's own choice on the pod", driver().with("/spec/securityContext/runAsUser", 1000), &[GROUP, POLICY]),
            ("a user's own choice on Spark's container", driver().with("/spec/containers/0/securityContext/runAsUser", 1000), &[GROUP, POLICY]),
            ("root on purpose", driver().with("/spec/securityContext/runAsUser", 0), &[GROUP, POLICY]),
            ("a user's own fsGroup", driver().with("/spec/securityContext/fsGroup", 1000), &[USER_ON_POD]),
            ("a user's own change policy", driver().with("/spec/securityContext/fsGroupChangePolicy", "Always"), &[GROUP, USER_ON_POD]),
            ("everything set already", driver().with("/spec/securityContext", json!({"fsGroup": 185, "runAsUser": 185})), &["skipped: nothing-to-do"]),
            ("Spark alone", driver(), &[GROUP, POLICY, USER_ON_POD]),
            ("an executor", executor(), &[GROUP, POLICY, USER_ON_POD]),
            ("a Connect server", connect_server(""), &[GROUP, POLICY, USER_ON_POD]),
            ("a notebook never", notebook(), &[]),
            ("a sidecar that another webhook added between two rounds", again(on_pod()).and("/spec/containers", sidecar.clone()), &["spec.securityContext.runAsUser removed", USER_ON_SPARK]),
            ("a user for the pod that another webhook set between two rounds", again(on_spark()).with("/spec/securityContext/runAsUser", 1000), &["spec.containers[0].securityContext.runAsUser removed"]),
            ("a user for Spark's container that another webhook set between two rounds", again(on_pod()).with("/spec/containers/0/securityContext/runAsUser", 1000), &["spec.securityContext.runAsUser removed"]),
            ("the same, with a sidecar", again(on_pod()).with("/spec/containers/0/securityContext/runAsUser", 1000).and("/spec/containers", sidecar.clone()), &["spec.securityContext.runAsUser removed"]),
            ("the author's own 185 for all, set between two rounds", replaced(json!({"runAsUser": 185})), &[GROUP, POLICY]),
            ("the author's own 185 and group, set between two rounds", replaced(json!({"runAsUser": 185, "fsGroup": 185})), &["skipped: nothing-to-do"]),
            ("nothing happened between two rounds", again(on_pod()), &["skipped: nothing-to-do"]),
            ("the user's own 185 on the pod", on_pod().and("/spec/containers", sidecar.clone()), &["skipped: nothing-to-do"]),
            ("OpenShift assigns ids itself", driver().on_openshift(), &["skipped: openshift"]),
            ("ifAbsent holds on OpenShift too", driver().on_openshift().under("spark-user: {apply: ifAbsent}"), &[GROUP, POLICY, USER_ON_POD]),
            ("switched off", driver().under("spark-user: {apply: off}"), &["skipped: off"]),
            ("enforced over a user's own", driver().with("/spec/securityContext", json!({"fsGroup": 1, "runAsUser": 1})).under("spark-user: {apply: enforce}"), &[GROUP, POLICY, USER_ON_SPARK]),
            ("enforced where it stands already", driver().with("/spec/securityContext", json!({"fsGroup": 185, "runAsUser": 185})).under("spark-user: {apply: enforce}"), &["skipped: nothing-to-do"]),
            ("Windows has no numeric users", driver().with("/spec/os/name", "windows"), &["skipped: windows"]),
        ] {
            assert_eq!(pod.by(Mutation::SparkUser), expected, "{case}");
        }
    }
}
