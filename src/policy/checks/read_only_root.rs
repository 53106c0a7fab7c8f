//! `read-only-root`: Spark's root file system is read-only, and no volume is mounted where Spark has to write.
//!
//! `SparkSubmit`, which starts every driver and Connect server, makes a directory in `java.io.tmpdir` before anything else, and ends
//! with `IOException: Failed to create a temp directory (under /tmp) after 10 attempts!` (core/deploy/SparkSubmit.scala of Spark 3.5 and 4,
//! `prepareSubmitEnvironment`). The volume for Ivy lies in `/tmp` and does not help.
//!
//! A Connect server makes another one for each session in its working directory, `Failed to create a temp directory (under artifacts)`
//! (`ArtifactManager`; SPARK-52396; seen with 3.5.7 and 4.0.0, and no more with 4.3.0): it is ready, and fails every client.
//!
//! Of a driver's pod nothing is said: its options stand in a config map.

use super::disk::{Disk, Obstacle};
use super::java_options;
use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::role::Role;
use crate::policy::subject::{Container, Pod, Resource, ResourceKind};
use crate::policy::values::path::{WORK_DIR, is_at};
use crate::policy::values::spark_version::SparkVersion;

/// Where Java keeps what is temporary, unless it is told otherwise.
const TMP: &str = "/tmp";
/// The second is also where Spark copies an application's jars and files.
const CURE: &str = "mount an emptyDir at /tmp, and one at Spark's working directory, /opt/spark/work-dir";

/// Looks at a pod: of a Connect server, since no other says its options.
pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, findings: &mut Findings) {
    let Some(spark) = pod.spark_container().filter(|_| pod.role() == Role::ConnectServer) else { return };
    let disk = Disk::of_container(spark, pod.spec());
    let tmp = disk.obstacle(TMP).filter(|_| !java_options::may_set_in_server(pod, moves_tmp));
    let work_dir = disk.obstacle(WORK_DIR).filter(|_| {
        is_in_official_work_dir(spark.image(), Some(spark), case) && pod.versions().surely(writes_artifacts)
    });
    tell(tmp, work_dir, spark.path(), findings);
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    if !resource.is_in_cluster_mode() {
        return;
    }
    let disk = Disk::of_resource(resource);
    let tmp = disk.obstacle(TMP).filter(|_| !java_options::may_set(resource, case, moves_tmp));
    let work_dir = disk.obstacle(WORK_DIR).filter(|_| {
        resource.kind() == ResourceKind::SparkConnect
            && is_in_official_work_dir(resource.image(), resource.server_container().as_ref(), case)
            && resource.versions().surely(writes_artifacts)
    });
    tell(tmp, work_dir, resource.spec_path().then([resource.driver_section()]), findings);
}

/// Whether options name another directory, be it one that can be written to or not.
fn moves_tmp(options: &str) -> bool {
    let value = options.rsplit_once("-Djava.io.tmpdir=").map(|(_, rest)| rest.split_whitespace().next());
    value.is_some_and(|directory| directory.is_none_or(|directory| !is_at(directory, TMP)))
}

/// Whether the server's working directory is known to be that of the official images.
fn is_in_official_work_dir(image: Option<&str>, server: Option<&Container<'_>>, case: &Case<'_>) -> bool {
    case.is_official_image(image) && server.is_none_or(|server| server.json().get("workingDir").is_null())
}

/// Whether Spark Connect keeps what clients send in its working directory.
const fn writes_artifacts(version: SparkVersion) -> bool {
    matches!((version.major, version.minor, version.patch), (3, 5, _) | (4, 0, Some(0)))
}

/// Tells what is in the way at the one directory, else at the other, of the container that stands at `at`.
fn tell(tmp: Option<Obstacle<'_>>, work_dir: Option<Obstacle<'_>>, at: FieldPath, findings: &mut Findings) {
    let tmp = tmp.map(|obstacle| (obstacle, TMP, "before anything else"));
    let work_dir = work_dir.map(|obstacle| (obstacle, WORK_DIR, "for each session"));
    let Some((obstacle, directory, when)) = tmp.or(work_dir) else { return };
    let (place, problem) = match obstacle {
        Obstacle::Image(field) => {
            (field.clone(), format!("no volume is mounted at {directory}, where Spark makes a directory {when}"))
        }
        Obstacle::Mount(path) => {
            (at, format!("{path} is mounted read-only, and Spark makes a directory in {directory} {when}"))
        }
    };
    findings.add_likely(place, problem, CURE);
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, connect_server, scheduled, spark_connect};
    use serde_json::{Value, json};

    const ROOT: &str = "/spec/driver/securityContext/readOnlyRootFilesystem";

    fn found(sample: &Sample) -> String {
        sample.found(Check::ReadOnlyRoot).join("\n")
    }

    #[test]
    #[rustfmt::skip]
    fn finds_a_root_without_a_volume() {
        let app = || application().with(ROOT, true);
        let options = |key: &str| app().with("/spec/sparkConf", json!({key: "-Xss4m -Djava.io.tmpdir=/scratch"}));
        let mounted = |path: &str| app().with("/spec/volumes", json!([{"name": "v", "emptyDir": {}}])).with("/spec/driver/volumeMounts", json!([{"name": "v", "mountPath": path}]));
        let template = |container: Value, volumes: Value| spark_connect().with("/spec/server/template/spec", json!({"containers": [container], "volumes": volumes}));
        let server = |mounts: Value| template(json!({"name": "spark-kubernetes-driver", "securityContext": {"readOnlyRootFilesystem": true}, "volumeMounts": mounts}), json!([{"name": "v", "emptyDir": {}}]));
        for (case, resource, expected) in [
            ("an application", app(), "spec.driver.securityContext.readOnlyRootFilesystem"),
            ("a schedule", scheduled().with("/spec/template/driver/securityContext/readOnlyRootFilesystem", true), "spec.template.driver.securityContext.readOnlyRootFilesystem"),
            ("a template's container", application().with("/spec/driver/template/spec/containers", json!([{"name": "spark-kubernetes-driver", "securityContext": {"readOnlyRootFilesystem": true}}])), "spec.driver.template.spec.containers[0].securityContext.readOnlyRootFilesystem"),
            ("a server", server(json!([])), "spec.server.template.spec.containers[0].securityContext.readOnlyRootFilesystem"),
            ("a server whose working directory is the image's", server(json!([{"name": "v", "mountPath": "/tmp"}])), "spec.server.template.spec.containers[0].securityContext.readOnlyRootFilesystem"),
            ("a volume within /tmp", mounted("/tmp/.ivy2"), "spec.driver.securityContext.readOnlyRootFilesystem"),
            ("a volume beside it", mounted("/tmp2"), "spec.driver.securityContext.readOnlyRootFilesystem"),
            ("other options of Java", app().with("/spec/driver/javaOptions", "-Xss4m"), "spec.driver.securityContext.readOnlyRootFilesystem"),
            ("a temporary directory that is the same", app().with("/spec/driver/javaOptions", "-Djava.io.tmpdir=/tmp/ -Xss4m"), "spec.driver.securityContext.readOnlyRootFilesystem"),
            ("a secret of Spark's configuration", application().with("/spec/sparkConf", json!({"spark.kubernetes.driver.secrets.s": "/tmp"})), "spec.driver"),
            ("a read-only volume of Spark's configuration", application().with("/spec/sparkConf", json!({"spark.kubernetes.driver.volumes.nfs.v.mount.path": "/tmp", "spark.kubernetes.driver.volumes.nfs.v.mount.readOnly": "true"})), "spec.driver"),
            ("a config map in its place", application().with("/spec/driver/configMaps", json!([{"name": "c", "path": "/tmp"}])), "spec.driver"),

            ("a root that can be written to", application(), ""),
            ("one where it is said", application().with(ROOT, false), ""),
            ("a volume", mounted("/tmp"), ""),
            ("a volume, written otherwise", mounted("//tmp/"), ""),
            ("a server's volumes", server(json!([{"name": "v", "mountPath": "/tmp"}, {"name": "v", "subPath": "w", "mountPath": "/opt/spark/work-dir"}])), ""),
            ("a newer server's volume", server(json!([{"name": "v", "mountPath": "/tmp"}])).with("/spec/image", "apache/spark:4.3.0").with("/spec/sparkVersion", "4.3.0"), ""),
            ("a server's volume, in another image", server(json!([{"name": "v", "mountPath": "/tmp"}])).with("/spec/image", "corp/etl:3.5.7"), ""),
            ("a volume of Spark's configuration", app().with("/spec/sparkConf", json!({"spark.kubernetes.driver.volumes.emptyDir.scratch.mount.path": "/tmp"})), ""),
            ("another place for Java", app().with("/spec/driver/javaOptions", "-Djava.io.tmpdir=/scratch"), ""),
            ("another place in Spark's configuration", options("spark.driver.extraJavaOptions"), ""),
            ("another place in Spark's defaults", options("spark.driver.defaultJavaOptions"), ""),
            ("another place in a variable", app().with("/spec/driver/env", json!([{"name": "JAVA_TOOL_OPTIONS", "value": "-Djava.io.tmpdir=/scratch"}])), ""),
            ("another place in Spark's configuration of a variable", options("spark.kubernetes.driverEnv._JAVA_OPTIONS"), ""),
            ("a variable from elsewhere", app().with("/spec/driver/env", json!([{"name": "JAVA_TOOL_OPTIONS", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}])), ""),
            ("a variable from a secret", app().with("/spec/driver/envSecretKeyRefs", json!({"JAVA_TOOL_OPTIONS": {"name": "s", "key": "k"}})), ""),
            ("a variable from a secret, in Spark's configuration", app().with("/spec/sparkConf", json!({"spark.kubernetes.driver.secretKeyRef.JAVA_TOOL_OPTIONS": "s:k"})), ""),
            ("a context in the template's stead", application().with("/spec/driver/template/spec/containers", json!([{"securityContext": {"readOnlyRootFilesystem": true}}])).with("/spec/driver/securityContext", json!({"allowPrivilegeEscalation": false})), ""),
            ("variables that are not known", app().with("/spec/driver/envFrom", json!([{"configMapRef": {"name": "c"}}])), ""),
            ("a driver in the operator's pod", app().with("/spec/mode", "client"), ""),
            ("an executor", application().with("/spec/executor/securityContext/readOnlyRootFilesystem", true), ""),
        ] {
            let found = found(&resource);
            assert_eq!(found.split_once(": ").map_or("", |(place, _)| place), expected, "{case}: {found}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn finds_it_in_servers() {
        let server = |more: &str| connect_server(more).with("/spec/containers/0/securityContext/readOnlyRootFilesystem", true);
        let both = |more: &str| server(more).with("/spec/containers/0/volumeMounts", json!([{"name": "w", "mountPath": "/opt/spark/work-dir"}]));
        let mounted = |mount: Value| server("").with("/spec/containers/0/volumeMounts", json!([mount]));
        for (case, pod, expected) in [
            ("no volume", server(""), true),
            ("one that is read-only", mounted(json!({"name": "v", "mountPath": "/tmp", "readOnly": true})), true),
            ("a volume, and none at the working directory", mounted(json!({"name": "v", "mountPath": "/tmp"})), true),
            ("another working directory", mounted(json!({"name": "v", "mountPath": "/tmp"})).with("/spec/containers/0/workingDir", "/tmp"), false),
            ("a volume on both", mounted(json!({"name": "v", "mountPath": "/tmp"})).and("/spec/containers/0/volumeMounts", json!({"name": "w", "mountPath": "/opt/spark/work-dir"})), false),
            ("a root that can be written to", connect_server(""), false),
            ("another place for Java", both("--conf spark.driver.extraJavaOptions=-Djava.io.tmpdir=/scratch"), false),
            ("another place by default", both("--conf spark.driver.defaultJavaOptions=-Djava.io.tmpdir=/scratch"), false),
            ("a daemon's variable", both("").with("/spec/containers/0/env", json!([{"name": "SPARK_DAEMON_JAVA_OPTS", "value": "-Djava.io.tmpdir=/scratch"}])), false),
            ("a driver, whose options are not known", server("").with("/metadata/labels/spark-role", "driver"), false),
        ] {
            assert_eq!(!found(&pod).is_empty(), expected, "{case}");
        }
    }

    #[test]
    fn says_what_to_write() {
        assert_eq!(
            found(&application().with(ROOT, true)),
            "spec.driver.securityContext.readOnlyRootFilesystem: no volume is mounted at /tmp, where Spark makes a directory before \
             anything else; mount an emptyDir at /tmp, and one at Spark's working directory, /opt/spark/work-dir (at most a warning)"
        );
        assert_eq!(
            found(&application().with("/spec/driver/configMaps", json!([{"name": "c", "path": "/tmp"}]))),
            "spec.driver: /tmp is mounted read-only, and Spark makes a directory in /tmp before anything else; mount an emptyDir at \
             /tmp, and one at Spark's working directory, /opt/spark/work-dir (at most a warning)"
        );
    }
}
