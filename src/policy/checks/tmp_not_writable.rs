//! `tmp-not-writable`: Spark's root file system is read-only, and no volume is mounted at `/tmp`.
//!
//! `SparkSubmit`, which starts every driver and Connect server, makes a directory in `java.io.tmpdir` before anything else, and ends
//! with `IOException: Failed to create a temp directory (under /tmp) after 10 attempts!` (core/deploy/SparkSubmit.scala of Spark 3.5 and 4,
//! `prepareSubmitEnvironment`). The volume for Ivy lies in `/tmp` and does not help. Of a driver's pod nothing is said: its options stand
//! in a config map.

use super::disk::{Disk, Obstacle};
use super::java_options;
use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::role::Role;
use crate::policy::subject::{Pod, Resource, ResourceKind};

/// Where Java keeps what is temporary, unless it is told otherwise.
const TMP: &str = "/tmp";

/// Looks at a pod: of a Connect server, since no other says its options.
pub(super) fn of_pod(pod: &Pod<'_>, _: &Case<'_>, findings: &mut Findings) {
    let Some(spark) = pod.spark_container().filter(|_| pod.role() == Role::ConnectServer) else { return };
    if java_options::may_set_in_server(pod, moves_tmp) {
        return;
    }
    tell(&Disk::of_container(spark, pod.spec()), &spark.path(), "mount an emptyDir at /tmp", findings);
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    if !resource.is_in_cluster_mode() || java_options::may_set(resource, case, moves_tmp) {
        return;
    }
    let cure = match resource.kind() {
        ResourceKind::SparkConnect => "mount an emptyDir at /tmp",
        _ => "mount an emptyDir at /tmp, and one at /opt/spark/work-dir, where Spark puts the application's files",
    };
    let section = resource.spec_path().then([resource.driver_section()]);
    tell(&Disk::of_resource(resource), &section, cure, findings);
}

fn moves_tmp(options: &str) -> bool {
    options.contains("-Djava.io.tmpdir=")
}

/// Tells of the container that stands at `at`.
fn tell(disk: &Disk<'_>, at: &FieldPath, cure: &str, findings: &mut Findings) {
    match disk.obstacle(TMP) {
        Some(Obstacle::Image(field)) => {
            let problem = "no volume is mounted at /tmp, where Spark makes a directory before anything else";
            findings.add_likely(field.clone(), problem, cure);
        }
        Some(Obstacle::Mount(path)) => {
            let problem =
                format!("{path} is mounted read-only, and Spark makes a directory in /tmp before anything else");
            findings.add_likely(at.clone(), problem, cure);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, connect_server, scheduled, spark_connect};
    use serde_json::{Value, json};

    const ROOT: &str = "/spec/driver/securityContext/readOnlyRootFilesystem";

    fn found(sample: &Sample) -> String {
        sample.found(Check::TmpNotWritable).join("\n")
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
            ("a volume within /tmp", mounted("/tmp/.ivy2"), "spec.driver.securityContext.readOnlyRootFilesystem"),
            ("a volume beside it", mounted("/tmp2"), "spec.driver.securityContext.readOnlyRootFilesystem"),
            ("other options of Java", app().with("/spec/driver/javaOptions", "-Xss4m"), "spec.driver.securityContext.readOnlyRootFilesystem"),
            ("a config map in its place", application().with("/spec/driver/configMaps", json!([{"name": "c", "path": "/tmp"}])), "spec.driver"),

            ("a root that can be written to", application(), ""),
            ("one where it is said", application().with(ROOT, false), ""),
            ("a volume", mounted("/tmp"), ""),
            ("a volume, written otherwise", mounted("//tmp/"), ""),
            ("a server's volume", server(json!([{"name": "v", "mountPath": "/tmp"}])), ""),
            ("a volume of Spark's configuration", app().with("/spec/sparkConf", json!({"spark.kubernetes.driver.volumes.emptyDir.scratch.mount.path": "/tmp"})), ""),
            ("another place for Java", app().with("/spec/driver/javaOptions", "-Djava.io.tmpdir=/scratch"), ""),
            ("another place in Spark's configuration", options("spark.driver.extraJavaOptions"), ""),
            ("another place in Spark's defaults", options("spark.driver.defaultJavaOptions"), ""),
            ("another place in a variable", app().with("/spec/driver/env", json!([{"name": "JAVA_TOOL_OPTIONS", "value": "-Djava.io.tmpdir=/scratch"}])), ""),
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
        let mounted = |mount: Value| server("").with("/spec/containers/0/volumeMounts", json!([mount]));
        for (case, pod, expected) in [
            ("no volume", server(""), true),
            ("one that is read-only", mounted(json!({"name": "v", "mountPath": "/tmp", "readOnly": true})), true),
            ("a volume", mounted(json!({"name": "v", "mountPath": "/tmp"})), false),
            ("a root that can be written to", connect_server(""), false),
            ("another place for Java", server("--conf spark.driver.extraJavaOptions=-Djava.io.tmpdir=/scratch"), false),
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
             anything else; mount an emptyDir at /tmp, and one at /opt/spark/work-dir, where Spark puts the application's files \
             (at most a warning)"
        );
        assert_eq!(
            found(&application().with("/spec/driver/configMaps", json!([{"name": "c", "path": "/tmp"}]))),
            "spec.driver: /tmp is mounted read-only, and Spark makes a directory in /tmp before anything else; mount an emptyDir at \
             /tmp, and one at /opt/spark/work-dir, where Spark puts the application's files (at most a warning)"
        );
    }
}
