//! `unknown-volume`: every mount of the pods that will be made has its volume.
//!
//! The operator's webhook leaves a mount out whose volume it does not find in `spec.volumes`, and says nothing; of the others it adds only
//! those that the section's `volumeMounts` name (`addVolumes` in `internal/webhook/sparkpod_defaulter.go` of operator 2.4.0), so that a
//! sidecar's mount may find none. A `SparkConnect`'s templates become pods as they are, and the API server refuses those, to nobody
//! who would say so.

use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::names::IVY_CACHE_VOLUME;
use crate::policy::subject::{Mount, PodToBe, Resource, ResourceKind};

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, findings: &mut Findings) {
    for section in [resource.driver_section(), "executor"] {
        let Some(pod) = PodToBe::of(resource, section) else { continue };
        let volumes = resource.spec_path().then(["volumes"]);
        for (mounts, consequence) in [
            (&pod.left_out, "the operator leaves the mount out"),
            (&pod.unsubmittable, "the operator cannot submit this"),
        ] {
            for mount in mounts {
                let Some(field) = mount.from.field().cloned() else { continue };
                let problem = format!("no volume \"{}\" in {volumes}: {consequence}", mount.name);
                findings.add_likely(field, problem, "add the volume, or correct the name");
            }
        }
        for mount in pod.containers.iter().flat_map(|container| &container.mounts) {
            if !pod.has_volume(&mount.volume) {
                tell(resource, section, mount, findings);
            }
        }
    }
}

fn tell(resource: &Resource<'_>, section: &'static str, mount: &Mount, findings: &mut Findings) {
    let Some(field) = mount.from.field().cloned() else { return };
    let name = &mount.volume;
    let own = resource.spec_path().then([section]);
    let of_template = || own.clone().then(["template", "spec", "volumes"]);
    if resource.kind() == ResourceKind::SparkConnect {
        let problem = format!("the pod has no volume \"{name}\"");
        let cure = format!("add it to {}, or correct the name", of_template());
        match may_come_later(resource, section, name) {
            Some(Later::Ours) => {}
            Some(Later::Injected) => findings.add_likely(field, problem, cure),
            None => findings.add(field, problem, cure),
        }
        return;
    }
    let is_of_template = is_inside(&field, &own.clone().then(["template"]));
    let volumes = resource.spec_path().then(["volumes"]);
    let mounts = own.clone().then(["volumeMounts"]);
    let is_there = resource.spec().get("volumes").items().any(|it| it.get("name").as_str() == Some(name));
    let (problem, cure) = match (is_of_template, is_there) {
        (true, _) => (format!("the pod has no volume \"{name}\""), format!("add it to {}", of_template())),
        (false, true) => (
            format!("the pod gets no volume \"{name}\", because {mounts} does not name it"),
            "mount it there too".to_owned(),
        ),
        (false, false) => {
            (format!("no volume \"{name}\" in {volumes}"), format!("add it there, and mount it in {mounts} too"))
        }
    };
    findings.add_likely(field, problem, cure);
}

fn is_inside(field: &FieldPath, outer: &FieldPath) -> bool {
    field.steps().starts_with(outer.steps())
}

/// Who may add the volume when the pod is made.
enum Later {
    /// The mutation `ivy-cache`.
    Ours,
    /// Another webhook.
    Injected,
}

fn may_come_later(resource: &Resource<'_>, section: &'static str, name: &str) -> Option<Later> {
    if name == IVY_CACHE_VOLUME && section == resource.driver_section() {
        return Some(Later::Ours);
    }
    let metadata = resource.spec().get(section).get("template").get("metadata");
    let wishes = ["annotations", "labels"].into_iter().flat_map(|kind| metadata.get(kind).members());
    let mut keys = wishes.map(|(key, _)| key);
    // As Vault's, Istio's and Linkerd's injectors are asked for; Istio's also for a whole namespace.
    (keys.any(|key| key.contains("inject")) || name.starts_with("istio")).then_some(Later::Injected)
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, scheduled, spark_connect};
    use serde_json::{Value, json};

    fn mount(name: &str) -> Value {
        json!([{"name": name, "mountPath": "/data"}])
    }

    fn sidecar(name: &str) -> Value {
        json!([{"name": "log", "image": "i", "volumeMounts": mount(name)}])
    }

    fn volume(name: &str) -> Value {
        json!([{"name": name, "emptyDir": {}}])
    }

    fn template(sample: Sample, section: &str, name: &str) -> Sample {
        let container = if section == "executor" { "spark-kubernetes-executor" } else { "spark-kubernetes-driver" };
        let spec = json!({"containers": [{"name": container, "volumeMounts": mount(name)}]});
        sample.with(&format!("/spec/{section}/template/spec"), spec)
    }

    #[test]
    #[rustfmt::skip]
    fn finds_mounts_without_a_volume() {
        for (case, sample, expected) in [
            ("a mount that the operator leaves out", application().with("/spec/driver/volumeMounts", mount("a")), "spec.driver.volumeMounts[0]: no volume \"a\" in spec.volumes: the operator leaves the mount out; add the volume, or correct the name (at most a warning)"),
            ("an executor's", application().with("/spec/volumes", volume("b")).with("/spec/executor/volumeMounts", mount("a")), "spec.executor.volumeMounts[0]: no volume \"a\" in spec.volumes: the operator leaves the mount out; add the volume, or correct the name (at most a warning)"),
            ("a schedule's", scheduled().with("/spec/template/driver/volumeMounts", mount("a")), "spec.template.driver.volumeMounts[0]: no volume \"a\" in spec.template.volumes: the operator leaves the mount out; add the volume, or correct the name (at most a warning)"),
            ("a local directory's", application().with("/spec/driver/volumeMounts", mount("spark-local-dir-1")), "spec.driver.volumeMounts[0]: no volume \"spark-local-dir-1\" in spec.volumes: the operator cannot submit this; add the volume, or correct the name (at most a warning)"),
            ("a sidecar's, which the driver does not mount", application().with("/spec/volumes", volume("a")).with("/spec/driver/sidecars", sidecar("a")), "spec.driver.sidecars[0].volumeMounts[0]: the pod gets no volume \"a\", because spec.driver.volumeMounts does not name it; mount it there too (at most a warning)"),
            ("an init container's, which is nowhere", application().with("/spec/driver/initContainers", sidecar("a")), "spec.driver.initContainers[0].volumeMounts[0]: no volume \"a\" in spec.volumes; add it there, and mount it in spec.driver.volumeMounts too (at most a warning)"),
            ("a template's", template(application(), "driver", "a"), "spec.driver.template.spec.containers[0].volumeMounts[0]: the pod has no volume \"a\"; add it to spec.driver.template.spec.volumes (at most a warning)"),
            ("a server's template", template(spark_connect(), "server", "a"), "spec.server.template.spec.containers[0].volumeMounts[0]: the pod has no volume \"a\"; add it to spec.server.template.spec.volumes, or correct the name"),
            ("a server's whose executors have it", template(spark_connect(), "server", "a").with("/spec/executor/template/spec/volumes", volume("a")), "spec.server.template.spec.containers[0].volumeMounts[0]: the pod has no volume \"a\"; add it to spec.server.template.spec.volumes, or correct the name"),
            ("an executor's template", template(spark_connect(), "executor", "a"), "spec.executor.template.spec.containers[0].volumeMounts[0]: the pod has no volume \"a\"; add it to spec.executor.template.spec.volumes, or correct the name"),
            ("a server's that an injector may add", template(spark_connect(), "server", "vault-secrets").with("/spec/server/template/metadata/annotations/vault.hashicorp.com~1agent-inject", "true"), "spec.server.template.spec.containers[0].volumeMounts[0]: the pod has no volume \"vault-secrets\"; add it to spec.server.template.spec.volumes, or correct the name (at most a warning)"),
        ] {
            assert_eq!(sample.found(Check::UnknownVolume), [expected], "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn lets_pass_what_has_a_volume() {
        let with_volume = |sample: Sample, section: &str| sample.with(&format!("/spec/{section}/template/spec/volumes"), volume("a"));
        for (case, sample) in [
            ("nothing", application()),
            ("a mount with its volume", application().with("/spec/volumes", volume("a")).with("/spec/driver/volumeMounts", mount("a"))),
            ("a volume that nobody mounts", application().with("/spec/volumes", volume("a"))),
            ("a local directory with its volume", application().with("/spec/volumes", volume("spark-local-dir-1")).with("/spec/driver/volumeMounts", mount("spark-local-dir-1"))),
            ("a sidecar's that the driver mounts", application().with("/spec/volumes", volume("a")).with("/spec/driver/volumeMounts", mount("a")).with("/spec/driver/sidecars", sidecar("a"))),
            ("a sidecar's of Spark's own", application().with("/spec/driver/sidecars", sidecar("spark-local-dir-1"))),
            ("a sidecar's of a config map", application().with("/spec/driver/configMaps", json!([{"name": "m", "path": "/m"}])).with("/spec/driver/sidecars", sidecar("m-vol"))),
            ("a sidecar's of a secret", application().with("/spec/driver/secrets", json!([{"name": "s", "path": "/s", "secretType": "Generic"}])).with("/spec/driver/sidecars", sidecar("s-volume"))),
            ("a sidecar's of a volume of sparkConf", application().with("/spec/sparkConf/spark.kubernetes.driver.volumes.emptyDir.a.mount.path", "/a").with("/spec/driver/sidecars", sidecar("a"))),
            ("a template's", with_volume(template(application(), "driver", "a"), "driver")),
            ("a template's of a volume of sparkConf", template(application(), "driver", "a").with("/spec/sparkConf/spark.kubernetes.driver.volumes.emptyDir.a.mount.path", "/a")),
            ("a server's template", with_volume(template(spark_connect(), "server", "a"), "server")),
            ("a server's of the operator's own", template(spark_connect(), "server", "spark-conf")),
            ("a server's of the volume that we add", template(spark_connect(), "server", "ivy-cache")),
            ("an executor's template", with_volume(template(spark_connect(), "executor", "a"), "executor")),
            ("an executor's of a volume of sparkConf", template(spark_connect(), "executor", "a").with("/spec/sparkConf/spark.kubernetes.executor.volumes.persistentVolumeClaim.a.mount.path", "/a")),
            ("executors that are not wanted", template(spark_connect(), "executor", "a").with("/spec/executor/instances", 0)),
        ] {
            assert_eq!(sample.found(Check::UnknownVolume), Vec::<String>::new(), "{case}");
        }
    }
}
