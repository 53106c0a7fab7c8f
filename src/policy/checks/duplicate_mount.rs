//! `duplicate-mount`: the pods that will be made have no two mounts at one path in one container, and no two volumes of one name.
//!
//! The API server refuses such a pod (`ValidateVolumeMounts` and `ValidateVolumes` of k8s.io/kubernetes, pkg/apis/core/validation): an
//! application fails at its submission, a Connect server is never there and nobody says why, and a driver asks for its executors for
//! ever. Two volumes of `sparkConf` at one path Spark refuses itself (`MountVolumesFeatureStep`). Paths are compared as texts: `/data`
//! and `/data/` are two.

use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::subject::{Mount, Origin, Part, PodToBe, Resource};

/// Where Spark keeps its configuration.
const CONFIGURATION: &str = "/opt/spark/conf";
/// For each of its directories Spark makes a volume.
const LOCAL_DIRECTORIES: &str = "spark.local.dir";

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, findings: &mut Findings) {
    for section in [resource.driver_section(), "executor"] {
        let Some(pod) = PodToBe::of(resource, section) else { continue };
        for container in &pod.containers {
            twice(&container.mounts, |mount| &mount.path, |first, second| tell_path(first, second, findings));
        }
        twice(&pod.volumes, |volume| &volume.name, |first, second| tell_name(first, second, findings));
    }
}

/// Calls for each element that has the text of one before it.
fn twice<T>(all: &[T], text: fn(&T) -> &str, mut tell: impl FnMut(&T, &T)) {
    for (index, second) in all.iter().enumerate() {
        if let Some(first) = all.iter().take(index).find(|first| text(first) == text(second)) {
            tell(first, second);
        }
    }
}

fn tell_path(first: &Mount, second: &Mount, findings: &mut Findings) {
    let of_local_directories = |mount: &Mount| mount.from.to_string().contains(LOCAL_DIRECTORIES);
    let cure = if of_local_directories(first) || of_local_directories(second) {
        "call the volume spark-local-dir-1 and remove spark.local.dir"
    } else if first.path == CONFIGURATION {
        "mount yours elsewhere, or its files one by one with subPath"
    } else {
        "remove one, or give it another path"
    };
    tell(&first.from, &second.from, findings, |other| {
        (format!("two mounts at {}, this and {other}", first.path), cure)
    });
}

fn tell_name(first: &Part, second: &Part, findings: &mut Findings) {
    let cure = "give one of them another name";
    tell(&first.from, &second.from, findings, |other| {
        (format!("two volumes \"{}\" in one pod, this and {other}", first.name), cure)
    });
}

/// Says it at the field that came last, and names the other one.
fn tell(first: &Origin, second: &Origin, findings: &mut Findings, say: impl FnOnce(&Origin) -> (String, &'static str)) {
    let (here, other) = if second.field().is_some() { (second, first) } else { (first, second) };
    let Some(field) = here.field().cloned() else { return };
    let (problem, cure) = say(other);
    if [first, second].iter().any(|origin| matches!(origin, Origin::Perhaps(_))) {
        findings.add_likely(field, problem, cure);
    } else {
        findings.add(field, problem, cure);
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, scheduled, spark_connect};
    use serde_json::{Value, json};

    fn volumes(names: &[&str]) -> Value {
        names.iter().map(|name| json!({"name": name, "emptyDir": {}})).collect()
    }

    fn mounts(all: &[(&str, &str)]) -> Value {
        all.iter().map(|(name, at)| json!({"name": name, "mountPath": at})).collect()
    }

    /// An application that mounts these in a section.
    fn mounting(section: &str, all: &[(&str, &str)]) -> Sample {
        let mut names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        names.dedup();
        application().with("/spec/volumes", volumes(&names)).with(&format!("/spec/{section}/volumeMounts"), mounts(all))
    }

    fn conf(sample: Sample, key: &str, value: &str) -> Sample {
        sample.with(&format!("/spec/sparkConf/{key}"), value)
    }

    fn template(sample: Sample, section: &str, volumes: Value, mounts: Value) -> Sample {
        let name = if section == "executor" { "spark-kubernetes-executor" } else { "spark-kubernetes-driver" };
        let at = format!("/spec/{section}/template/spec");
        let sample = sample.with(&format!("{at}/containers"), json!([{"name": name}]));
        sample.with(&format!("{at}/containers/0/volumeMounts"), mounts).with(&format!("{at}/volumes"), volumes)
    }

    const PATHS: &str = "; remove one, or give it another path";
    const NAMES: &str = "; give one of them another name";
    const FILES: &str = "; mount yours elsewhere, or its files one by one with subPath";
    const LOCAL: &str = "; call the volume spark-local-dir-1 and remove spark.local.dir";

    #[test]
    #[rustfmt::skip]
    fn finds_what_the_api_server_refuses() {
        let config_maps = |all: &[(&str, &str)]| all.iter().map(|(name, at)| json!({"name": name, "path": at})).collect::<Value>();
        let secret = |at: &str| json!([{"name": "s", "path": at, "secretType": "Generic"}]);
        let driver = |at: &[(&str, &str)]| mounting("driver", at);
        for (case, sample, expected) in [
            ("two volumes at one path", driver(&[("a", "/data"), ("b", "/data")]), format!("spec.driver.volumeMounts[1]: two mounts at /data, this and spec.driver.volumeMounts[0]{PATHS}")),
            ("where Spark mounts its configuration", driver(&[("a", "/opt/spark/conf")]), format!("spec.driver.volumeMounts[0]: two mounts at /opt/spark/conf, this and the one for Spark's configuration{FILES}")),
            ("the same for executors", mounting("executor", &[("a", "/opt/spark/conf")]), format!("spec.executor.volumeMounts[0]: two mounts at /opt/spark/conf, this and the one for Spark's configuration{FILES}")),
            ("a config map there", application().with("/spec/driver/configMaps", config_maps(&[("m", "/opt/spark/conf")])), format!("spec.driver.configMaps[0]: two mounts at /opt/spark/conf, this and the one for Spark's configuration{FILES}")),
            ("a config map at two paths", application().with("/spec/driver/configMaps", config_maps(&[("m", "/a"), ("m", "/b")])), format!("spec.driver.configMaps[1]: two volumes \"m-vol\" in one pod, this and spec.driver.configMaps[0]{NAMES}")),
            ("a secret where a volume is", driver(&[("a", "/data")]).with("/spec/driver/secrets", secret("/data")), format!("spec.driver.volumeMounts[0]: two mounts at /data, this and spec.driver.secrets[0]{PATHS}")),
            ("a volume of a secret's name", driver(&[("s-volume", "/data")]).with("/spec/driver/secrets", secret("/s")), format!("spec.driver.volumeMounts[0]: two volumes \"s-volume\" in one pod, this and spec.driver.secrets[0]{NAMES}")),
            ("spark.local.dir where a volume is", conf(driver(&[("a", "/scratch")]), "spark.local.dir", "/tmp/a,/scratch"), format!("spec.driver.volumeMounts[0]: two mounts at /scratch, this and spec.sparkConf[spark.local.dir]{LOCAL}")),
            ("spark.local.dir where an executor's volume is", conf(mounting("executor", &[("a", "/scratch")]), "spark.local.dir", "/scratch"), format!("spec.executor.volumeMounts[0]: two mounts at /scratch, this and spec.sparkConf[spark.local.dir]{LOCAL}")),
            ("the driver's local directory where an executor's volume is", driver(&[("spark-local-dir-1", "/scratch")]).and("/spec/volumes", json!({"name": "a", "emptyDir": {}})).with("/spec/executor/volumeMounts", mounts(&[("a", "/scratch")])), format!("spec.executor.volumeMounts[0]: two mounts at /scratch, this and spec.driver.volumeMounts[0]{PATHS}")),
            ("a volume of sparkConf where another is", conf(driver(&[("a", "/data")]), "spark.kubernetes.driver.volumes.emptyDir.b.mount.path", "/data"), format!("spec.driver.volumeMounts[0]: two mounts at /data, this and spec.sparkConf[spark.kubernetes.driver.volumes.emptyDir.b.mount.path]{PATHS}")),
            ("two volumes of sparkConf", conf(conf(application(), "spark.kubernetes.driver.volumes.nfs.b.mount.path", "/d"), "spark.kubernetes.driver.volumes.emptyDir.a.mount.path", "/d"), format!("spec.sparkConf[spark.kubernetes.driver.volumes.nfs.b.mount.path]: two mounts at /d, this and spec.sparkConf[spark.kubernetes.driver.volumes.emptyDir.a.mount.path]{PATHS}")),
            ("two of one name and two types", conf(conf(application(), "spark.kubernetes.executor.volumes.nfs.a.mount.path", "/b"), "spark.kubernetes.executor.volumes.emptyDir.a.mount.path", "/a"), format!("spec.sparkConf[spark.kubernetes.executor.volumes.nfs.a.mount.path]: two volumes \"a\" in one pod, this and spec.sparkConf[spark.kubernetes.executor.volumes.emptyDir.a.mount.path]{NAMES}")),
            ("a template's mount where a volume is", template(driver(&[("a", "/data")]), "driver", volumes(&["b"]), mounts(&[("b", "/data")])), format!("spec.driver.volumeMounts[0]: two mounts at /data, this and spec.driver.template.spec.containers[0].volumeMounts[0]{PATHS}")),
            ("a template's volume of the name of another", template(driver(&[("a", "/data")]), "driver", volumes(&["a"]), json!([])), format!("spec.driver.volumeMounts[0]: two volumes \"a\" in one pod, this and spec.driver.template.spec.volumes[0]{NAMES}")),
            ("the operator's own folder", application().with("/spec/sparkConfigMap", "m").with("/spec/driver/configMaps", config_maps(&[("n", "/etc/spark/conf")])).with("/spec/executor/instances", 0), format!("spec.driver.configMaps[0]: two mounts at /etc/spark/conf, this and spec.sparkConfigMap{PATHS}")),
            ("in a sidecar", application().with("/spec/driver/sidecars", json!([{"name": "log", "image": "i", "volumeMounts": mounts(&[("a", "/l"), ("b", "/l")])}])), format!("spec.driver.sidecars[0].volumeMounts[1]: two mounts at /l, this and spec.driver.sidecars[0].volumeMounts[0]{PATHS}")),
            ("a schedule's", scheduled().with("/spec/template/driver/configMaps", config_maps(&[("m", "/opt/spark/conf")])), format!("spec.template.driver.configMaps[0]: two mounts at /opt/spark/conf, this and the one for Spark's configuration{FILES}")),
            ("a server's template", template(spark_connect(), "server", volumes(&["a", "b"]), mounts(&[("a", "/data"), ("b", "/data")])), format!("spec.server.template.spec.containers[0].volumeMounts[1]: two mounts at /data, this and spec.server.template.spec.containers[0].volumeMounts[0]{PATHS}")),
            ("a server's volume of the operator's name", template(spark_connect(), "server", volumes(&["spark-conf"]), mounts(&[("spark-conf", "/c")])), format!("spec.server.template.spec.volumes[0]: two volumes \"spark-conf\" in one pod, this and the one for the template of executors{NAMES}")),
            ("an executor's template at Spark's configuration", template(spark_connect(), "executor", volumes(&["a"]), mounts(&[("a", "/opt/spark/conf")])), format!("spec.executor.template.spec.containers[0].volumeMounts[0]: two mounts at /opt/spark/conf, this and the one for Spark's configuration{FILES}")),
            ("a server's image may have another idea of local directories", conf(template(spark_connect(), "executor", volumes(&["a"]), mounts(&[("a", "/scratch")])), "spark.local.dir", "/scratch"), format!("spec.sparkConf[spark.local.dir]: two mounts at /scratch, this and spec.executor.template.spec.containers[0].volumeMounts[0]{LOCAL} (at most a warning)")),
        ] {
            assert_eq!(sample.found(Check::DuplicateMount), [expected], "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn lets_pass_what_the_api_server_takes() {
        let driver = |at: &[(&str, &str)]| mounting("driver", at);
        let secrets = json!([{"name": "s", "path": "/a", "secretType": "Generic"}, {"name": "s", "path": "/b", "secretType": "Generic"}]);
        for (case, sample) in [
            ("nothing", application()),
            ("a path that ends in a slash", driver(&[("a", "/data"), ("b", "/data/")])),
            ("one volume at two paths", driver(&[("a", "/data"), ("a", "/more")])),
            ("a path below another", driver(&[("a", "/data"), ("b", "/data/more")])),
            ("one path in driver and executor", driver(&[("a", "/data")]).with("/spec/executor/volumeMounts", mounts(&[("a", "/data")]))),
            ("one path in Spark's container and a sidecar", driver(&[("a", "/data")]).with("/spec/driver/sidecars", json!([{"name": "log", "image": "i", "volumeMounts": mounts(&[("a", "/data")])}]))),
            ("a sidecar twice, of which the operator takes the first", driver(&[("a", "/data")]).with("/spec/driver/sidecars", json!([{"name": "log", "image": "i"}, {"name": "log", "image": "i"}]))),
            ("a file in Spark's configuration", driver(&[("a", "/opt/spark/conf/log4j2.properties")])),
            ("a secret named twice, of which the last counts", application().with("/spec/driver/secrets", secrets)),
            ("a volume that is named twice, of which the last counts", driver(&[("a", "/data")]).with("/spec/volumes", volumes(&["a", "a"]))),
            ("a mount that the operator leaves out", driver(&[("a", "/data")]).and("/spec/driver/volumeMounts", json!({"name": "b", "mountPath": "/data"}))),
            ("spark.local.dir on a volume for it", conf(driver(&[("spark-local-dir-1", "/scratch")]), "spark.local.dir", "/scratch")),
            ("executors without a configuration", conf(mounting("executor", &[("a", "/opt/spark/conf")]), "spark.kubernetes.executor.disableConfigMap", "true")),
            ("executors of Spark 3.0", mounting("executor", &[("a", "/opt/spark/conf")]).with("/spec/sparkVersion", "3.0.3")),
            ("executors that are not wanted", mounting("executor", &[("a", "/data"), ("b", "/data")]).with("/spec/executor/instances", 0)),
            ("a driver in the operator's own pod", driver(&[("a", "/data"), ("b", "/data")]).with("/spec/mode", "client")),
            ("volumes of executors and of the driver at one path", conf(conf(application(), "spark.kubernetes.driver.volumes.emptyDir.a.mount.path", "/d"), "spark.kubernetes.executor.volumes.emptyDir.a.mount.path", "/d")),
            ("a directory that the driver's environment may move", conf(mounting("executor", &[("a", "/scratch")]), "spark.local.dir", "/scratch").with("/spec/driver/env", json!([{"name": "SPARK_LOCAL_DIRS", "value": "/x"}]))),
            ("a container of a template that Spark does not take", template(application(), "driver", volumes(&["a"]), mounts(&[("a", "/opt/spark/more")])).and("/spec/driver/template/spec/containers", json!({"name": "log", "volumeMounts": mounts(&[("a", "/opt/spark/conf")])}))),
            ("a server at Spark's configuration, where it has none of its own", template(spark_connect(), "server", volumes(&["a"]), mounts(&[("a", "/opt/spark/conf")]))),
        ] {
            assert_eq!(sample.found(Check::DuplicateMount), Vec::<String>::new(), "{case}");
        }
    }

    #[test]
    fn refuses_and_lets_older_ones_be() {
        let twice = mounting("driver", &[("a", "/data"), ("b", "/data")]);
        assert!(!twice.judged().is_allowed());
        let edited = twice.clone().with("/spec/driver/cores", 2).updating(twice.clone());
        assert!(edited.judged().is_allowed(), "it was so before");
        assert_eq!(edited.judged().told().count(), 1);
        assert!(!twice.updating(mounting("driver", &[("a", "/data")])).judged().is_allowed(), "it is new");
    }
}
