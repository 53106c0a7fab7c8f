//! `unnamed-uid`: a Connect server in an official image runs under a uid that has no name there.
//!
//! Hadoop asks the system for the user's name and gets none: `LoginException: invalid null input: name`. The image's entrypoint gives
//! drivers and executors a name (`attempt_setup_fake_passwd_entry`), but the operator starts a Connect server by `bash -c`. On OpenShift
//! the runtime, CRI-O, does (`GeneratePasswd`), so nothing is found there.

use crate::policy::Mutation;
use crate::policy::configuration::Apply;
use crate::policy::document::Json;
use crate::policy::field_path::{FieldPath, path};
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::role::Role;
use crate::policy::subject::{Container, Pod, Resource};
use crate::policy::values::path::overlaps;

/// Spark's own, and the ones of the Ubuntu below it (`base-passwd`, and from 100 up what packages add as they are installed).
const NAMED: [std::ops::RangeInclusive<i64>; 3] = [0..=110, 185..=185, 65534..=65534];

/// Looks at a pod.
pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, findings: &mut Findings) {
    let Some(spark) = pod.spark_container().filter(|_| pod.role() == Role::ConnectServer) else { return };
    judge(spark.image(), Some(spark), pod.spec(), &path(["spec"]), case, findings);
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let will_be_185 = case.policy.mutations.spark_user.apply == Apply::Enforce;
    if will_be_185 && case.acts_on(resource, Mutation::SparkUser) {
        return;
    }
    let spec = resource.driver().get("template").get("spec");
    let at = resource.spec_path().then([resource.driver_section(), "template", "spec"]);
    let server = resource.server_container();
    judge(resource.image(), server.as_ref(), spec, &at, case, findings);
}

/// Judges the server's container in the pod spec that stands at `at`.
fn judge(
    image: Option<&str>,
    server: Option<&Container<'_>>,
    spec: Json<'_>,
    at: &FieldPath,
    case: &Case<'_>,
    findings: &mut Findings,
) {
    if !case.is_official_image(image) || case.snapshot.openshift || server.is_some_and(brings_names) {
        return;
    }
    let of_server = server.and_then(|server| Some((server.run_as_user()?, server.path_in(at.clone()))));
    let of_pod = || Some((spec.get("securityContext").get("runAsUser").as_i64()?, at.clone()));
    let Some((uid, place)) = of_server.or_else(of_pod) else { return };
    if NAMED.iter().any(|named| named.contains(&uid)) {
        return;
    }
    findings.add_likely(
        place.then(["securityContext", "runAsUser"]),
        format!("the image's /etc/passwd has no user {uid}, and Hadoop's login fails (LoginException)"),
        "leave runAsUser out, set it to 185, or use an image with that user",
    );
}

/// Whether the container has another `/etc/passwd`, or a library that stands in for it.
fn brings_names(container: &Container<'_>) -> bool {
    container.mounts().any(|(mount, _)| overlaps(mount, "/etc/passwd")) || container.env("LD_PRELOAD").is_some()
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, connect_server, spark_connect};
    use serde_json::json;

    #[test]
    #[rustfmt::skip]
    fn finds_users_without_a_name() {
        let found = |place: &str, uid: i64| vec![format!("{place}.securityContext.runAsUser: the image's /etc/passwd has no user {uid}, and Hadoop's login fails (LoginException); leave runAsUser out, set it to 185, or use an image with that user (at most a warning)")];
        let template = "/spec/server/template/spec";
        let of_pod = |uid: i64| spark_connect().with(&format!("{template}/securityContext/runAsUser"), uid);
        let of_container = |sample: Sample, uid: i64| sample.with(&format!("{template}/containers"), json!([{"name": "log", "securityContext": {"runAsUser": 1}}, {"name": "spark-kubernetes-driver", "securityContext": {"runAsUser": uid}}]));
        let container = |container: serde_json::Value| of_pod(1000).with(&format!("{template}/containers"), json!([container]));
        for (case, resource, expected) in [
            ("of the pod", of_pod(1000), found("spec.server.template.spec", 1000)),
            ("of the container", of_container(of_pod(185), 1000), found("spec.server.template.spec.containers[1]", 1000)),
            ("a large one", of_pod(1_000_660_000), found("spec.server.template.spec", 1_000_660_000)),
            ("none", spark_connect(), vec![]),
            ("Spark's", of_pod(185), vec![]),
            ("the administrator", of_pod(0), vec![]),
            ("nobody", of_pod(65534), vec![]),
            ("a daemon of the system", of_pod(33), vec![]),
            ("Spark's in the container", of_container(of_pod(1000), 185), vec![]),
            ("another image", of_pod(1000).with("/spec/image", "corp/etl:3.5.7"), vec![]),
            ("another image of the container", container(json!({"name": "spark-kubernetes-driver", "image": "corp/etl:3.5.7"})), vec![]),
            ("a passwd of one's own", container(json!({"volumeMounts": [{"name": "p", "mountPath": "/etc/passwd"}]})), vec![]),
            ("nss_wrapper", container(json!({"env": [{"name": "LD_PRELOAD", "value": "libnss_wrapper.so"}]})), vec![]),
            ("OpenShift, where the runtime names it", of_pod(1000).on_openshift(), vec![]),
            ("the mutation will set 185", of_pod(1000).under("spark-user: {apply: enforce}"), vec![]),
        ] {
            assert_eq!(resource.found(Check::UnnamedUid), expected, "{case}");
        }
        let server = |uid: i64| connect_server("").with("/spec/securityContext/runAsUser", uid);
        assert_eq!(server(1000).found(Check::UnnamedUid), found("spec", 1000));
        assert_eq!(server(185).found(Check::UnnamedUid), Vec::<String>::new());
        let driver = server(1000).with("/metadata/labels/spark-role", "driver");
        assert_eq!(driver.found(Check::UnnamedUid), Vec::<String>::new(), "the entrypoint names a driver's user");
    }
}
