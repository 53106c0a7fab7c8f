//! `memory-quantity`: memory that was written as `512m` becomes `512Mi`.
//!
//! To Kubernetes `512m` is 0.512 byte. As a limit it hangs a healthy pod in `ContainerCreating` with "no space left on device" (the
//! pod's memory limit caps the service account token's tmpfs), as a `sizeLimit` it makes a volume of one page; the API server's own
//! warning reaches the operator that creates the pod, never the author. Judged by value, so `1717986918400m`, which is how the API
//! server writes `1.6Gi`, stays. Spark's own fields, where `512m` is right, are not looked at.

use super::{Case, Outcome, Plan, Pod, Resource};
use crate::policy::outcome::Skip;
use crate::policy::subject::memory::{Meant, Mistake, mistakes_of_pod, mistakes_of_resource};

pub(super) fn of_pod(pod: &Pod<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    repair(&mistakes_of_pod(pod), plan)
}

pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    repair(&mistakes_of_resource(resource), plan)
}

/// A schedule is never changed; its runs are repaired when they are created.
pub(super) fn of_schedule(resource: &Resource<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let mistakes = mistakes_of_resource(resource);
    for Mistake { path, written, meant, .. } in &mistakes {
        if let Meant::This(meant) = meant {
            plan.warn(format!("write {meant} instead of {written}: {path}"));
        }
    }
    Outcome::Skipped(if mistakes.is_empty() { Skip::NothingToDo } else { Skip::WarnedOnly })
}

/// Repairs what can be repaired. The rest is what the check of the same name finds.
fn repair(mistakes: &[Mistake<'_>], plan: &mut Plan) -> Outcome {
    for Mistake { path, written, meant, .. } in mistakes {
        if let Meant::This(meant) = meant {
            plan.set(path.clone(), meant.as_str());
            plan.warn(format!("{written} is now {meant}: {path}"));
        }
    }
    match plan.outcome() {
        Outcome::Skipped(_) if !mistakes.is_empty() => Outcome::Skipped(Skip::WarnedOnly),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Mutation;
    use crate::policy::testing::{application, driver, executor, notebook, scheduled, spark_connect};
    use serde_json::{Value, json};

    const LIMIT: &str = "/spec/containers/0/resources/limits/memory";
    const REQUEST: &str = "/spec/containers/0/resources/requests/memory";
    const NOTHING: &[&str] = &["skipped: nothing-to-do"];
    const WARNED: &[&str] = &["skipped: warned-only"];

    fn volume(size: impl Into<Value>) -> Value {
        json!({"name": "v", "emptyDir": {"sizeLimit": size.into()}})
    }

    #[test]
    #[rustfmt::skip]
    fn repairs_pods() {
        let limit = "spec.containers[0].resources.limits.memory = 512Mi";
        let request = "spec.containers[0].resources.requests.memory = 512Mi";
        for (case, pod, expected) in [
            ("1.6Gi as the API server writes it", driver().with(LIMIT, "1717986918400m"), NOTHING),
            ("zero is no limit", driver().with(LIMIT, "0"), NOTHING),
            ("exactly 1Mi", driver().with(LIMIT, "1Mi"), NOTHING),
            ("plain bytes, as a number", driver().with(LIMIT, 536_870_912), NOTHING),
            ("a memory that was meant", driver().with(LIMIT, "896Mi"), NOTHING),
            ("cpu in millis is right", driver().with("/spec/containers/0/resources/limits/cpu", "512m"), NOTHING),
            ("a request that would no longer fit under its limit", driver().with(REQUEST, "512m").with(LIMIT, "256Mi"), WARNED),
            ("containers stay below what the pod has itself", driver().with(REQUEST, "512m").with("/spec/resources/requests/memory", "1Gi"), WARNED),
            ("a number of bytes that nobody means", driver().with(LIMIT, 512), WARNED),
            ("less than 16 of them", driver().with(LIMIT, "15m"), WARNED),
            ("more than 65536 of them", driver().with(LIMIT, "65537m"), WARNED),
            ("kilobytes", driver().with(LIMIT, "512k"), WARNED),
            ("a limit", driver().with(LIMIT, "512m"), &[limit]),
            ("a request", driver().with(REQUEST, "512m"), &[request]),
            ("both, as the API server defaults them", driver().with(LIMIT, "512m").with(REQUEST, "512m"), &[limit, request]),
            ("a request under a limit that has room", driver().with(REQUEST, "512m").with(LIMIT, "1Gi"), &[request]),
            ("an init container", driver().and("/spec/initContainers", json!({"resources": {"limits": {"memory": "64m"}}})), &["spec.initContainers[0].resources.limits.memory = 64Mi"]),
            ("a sidecar", driver().and("/spec/containers", json!({"resources": {"limits": {"memory": "64m"}}})), &["spec.containers[1].resources.limits.memory = 64Mi"]),
            ("the pod itself", driver().with("/spec/resources/limits/memory", "512m"), &["spec.resources.limits.memory = 512Mi"]),
            ("a volume", driver().and("/spec/volumes", volume("512m")), &["spec.volumes[0].emptyDir.sizeLimit = 512Mi"]),
            ("the smallest that is repaired", executor().with(LIMIT, "16m"), &["spec.containers[0].resources.limits.memory = 16Mi"]),
            ("the largest", notebook().with(LIMIT, "65536m"), &["spec.containers[0].resources.limits.memory = 65536Mi"]),
        ] {
            assert_eq!(pod.by(Mutation::MemoryQuantity), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn repairs_resources() {
        let of = |memory: &str| json!({"resources": {"limits": {"memory": memory}}});
        for (case, resource, expected) in [
            ("Spark's own memory", application(), NOTHING),
            ("Spark's own configuration", spark_connect().with("/spec/sparkConf/spark.executor.memory", "512m"), NOTHING),
            ("a volume of an application", application().and("/spec/volumes", volume("512m")), &["spec.volumes[0].emptyDir.sizeLimit = 512Mi"]),
            ("a driver's sidecar", application().and("/spec/driver/sidecars", of("512m")), &["spec.driver.sidecars[0].resources.limits.memory = 512Mi"]),
            ("an executor's init container", application().and("/spec/executor/initContainers", of("512m")), &["spec.executor.initContainers[0].resources.limits.memory = 512Mi"]),
            ("a driver's template", application().and("/spec/driver/template/spec/containers", of("512m")), &["spec.driver.template.spec.containers[0].resources.limits.memory = 512Mi"]),
            ("a server's template", spark_connect().and("/spec/server/template/spec/containers", of("512m")), &["spec.server.template.spec.containers[0].resources.limits.memory = 512Mi"]),
            ("an executor's template", spark_connect().and("/spec/executor/template/spec/volumes", volume("512m")), &["spec.executor.template.spec.volumes[0].emptyDir.sizeLimit = 512Mi"]),
            ("a schedule is only warned about", scheduled().and("/spec/template/volumes", volume("512m")), WARNED),
        ] {
            assert_eq!(resource.by(Mutation::MemoryQuantity), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn names_path_old_and_new() {
        for (sample, expected) in [
            (driver().with(LIMIT, "512m"), "memory-quantity: 512m is now 512Mi: spec.containers[0].resources.limits.memory"),
            (scheduled().and("/spec/template/volumes", volume("512m")), "memory-quantity: write 512Mi instead of 512m: spec.template.volumes[0].emptyDir.sizeLimit"),
        ] {
            assert_eq!(sample.warnings(), [expected]);
        }
    }
}
