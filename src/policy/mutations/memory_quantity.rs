//! `memory-quantity`: memory that was written as `512m` becomes `512Mi`.
//!
//! To Kubernetes `512m` is 0.512 byte. As a limit it hangs a healthy pod in `ContainerCreating` with "no space left on device" (the
//! pod's memory limit caps the service account token's tmpfs), as a `sizeLimit` it makes a volume of one page; the API server's own
//! warning reaches the operator that creates the pod, never the author. Judged by value, so `1717986918400m`, which is how the API
//! server writes `1.6Gi`, stays. Spark's own fields, where `512m` is right, are not looked at.

use std::borrow::Cow;

use super::{Case, Outcome, Plan, Pod, Resource};
use crate::policy::document::{Json, Kind};
use crate::policy::field_path::{FieldPath, path};
use crate::policy::outcome::Skip;
use crate::policy::subject::{Container, ResourceKind};
use crate::policy::values::quantity::{MemoryVerdict, Quantity, mistaken_memory};

pub(super) fn of_pod(pod: &Pod<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    repair(&first(of_pod_spec(pod.spec(), &path(["spec"]))), plan)
}

pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    repair(&first(of_resource_spec(resource)), plan)
}

/// A schedule is never changed; its runs are repaired when they are created.
pub(super) fn of_schedule(resource: &Resource<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let findings = first(of_resource_spec(resource));
    for finding in &findings {
        plan.warn(finding.advice());
    }
    Outcome::Skipped(if findings.is_empty() { Skip::NothingToDo } else { Skip::WarnedOnly })
}

/// So many are dealt with; an object with more of them is nobody's honest work, and the time for it is everybody's.
const MOST_FINDINGS: usize = 200;

fn first(mut findings: Vec<Finding<'_>>) -> Vec<Finding<'_>> {
    findings.truncate(MOST_FINDINGS);
    findings
}

fn repair(findings: &[Finding<'_>], plan: &mut Plan) -> Outcome {
    for finding in findings {
        if let Verdict::Repair(meant) = &finding.verdict {
            plan.set(finding.path.clone(), meant.as_str());
        }
        plan.warn(finding.warning());
    }
    match plan.outcome() {
        Outcome::Skipped(_) if !findings.is_empty() => Outcome::Skipped(Skip::WarnedOnly),
        outcome => outcome,
    }
}

/// A quantity that cannot have been meant.
struct Finding<'a> {
    path: FieldPath,
    written: Cow<'a, str>,
    verdict: Verdict,
}

enum Verdict {
    /// This was meant.
    Repair(String),
    /// This may have been meant, but would not fit under the named ceiling.
    WouldExceed(String, &'static str),
    /// What was meant cannot be told.
    TooSmall,
}

impl Finding<'_> {
    /// What to do about it, where nothing is changed.
    fn advice(&self) -> String {
        match &self.verdict {
            Verdict::Repair(meant) => format!("write {meant} instead of {}: {}", self.written, self.path),
            _ => self.warning(),
        }
    }

    /// What was done about it.
    fn warning(&self) -> String {
        let (path, written) = (&self.path, &self.written);
        match &self.verdict {
            Verdict::Repair(meant) => format!("{written} is now {meant}: {path}"),
            Verdict::WouldExceed(meant, ceiling) => {
                format!("{written} stays, for {meant} would exceed {ceiling}: {path}")
            }
            Verdict::TooSmall => format!("{written} is less than 1Mi; was it meant so? {path}"),
        }
    }
}

fn of_resource_spec<'a>(resource: &Resource<'a>) -> Vec<Finding<'a>> {
    let (spec, at) = (resource.spec(), resource.spec_path());
    let is_application = resource.kind() != ResourceKind::SparkConnect;
    let mut findings = Vec::new();
    for section in [resource.driver_section(), "executor"] {
        let template = at.clone().then([section, "template", "spec"]);
        findings.extend(of_pod_spec(spec.get(section).get("template").get("spec"), &template));
        for list in ["sidecars", "initContainers"].into_iter().filter(|_| is_application) {
            of_containers(spec.get(section), &at.clone().then([section]), list, None, &mut findings);
        }
    }
    if is_application {
        of_volumes(spec, &at, &mut findings);
    }
    findings
}

fn of_pod_spec<'a>(spec: Json<'a>, at: &FieldPath) -> Vec<Finding<'a>> {
    let mut findings = Vec::new();
    let of_pod = spec.get("resources");
    findings.extend(of_resources(of_pod, || at.clone(), None));
    let has_own_memory = ["requests", "limits"].into_iter().any(|list| text(of_pod.get(list).get("memory")).is_some());
    // Containers must fit into what the pod has at pod level: repairing them could make the API server refuse the pod.
    let ceiling = has_own_memory.then_some("the pod's own memory");
    for list in ["containers", "initContainers"] {
        of_containers(spec, at, list, ceiling, &mut findings);
    }
    of_volumes(spec, at, &mut findings);
    findings
}

fn of_containers<'a>(
    holder: Json<'a>,
    at: &FieldPath,
    list: &'static str,
    ceiling: Option<&'static str>,
    findings: &mut Vec<Finding<'a>>,
) {
    for container in Container::all(holder, list) {
        findings.extend(of_resources(container.json().get("resources"), || container.path_in(at.clone()), ceiling));
    }
}

/// The memory request and limit in the `resources` of a pod or container that stands at `at`; a request is repaired only where the
/// limit, repaired too, has room for it.
fn of_resources<'a>(
    resources: Json<'a>,
    at: impl Fn() -> FieldPath,
    ceiling: Option<&'static str>,
) -> impl Iterator<Item = Finding<'a>> {
    let of = |list: &'static str| {
        finding(resources.get(list).get("memory"), || at().then(["resources", list, "memory"]), ceiling)
    };
    let limit = of("limits");
    let room = match &limit {
        Some(Finding { verdict: Verdict::Repair(meant), .. }) => Quantity::parse(meant),
        _ => text(resources.get("limits").get("memory")).and_then(|limit| Quantity::parse(&limit)),
    };
    let request = of("requests").map(|mut request| {
        if let (Verdict::Repair(meant), Some(room)) = (&request.verdict, room)
            && Quantity::parse(meant) > Some(room)
        {
            request.verdict = Verdict::WouldExceed(meant.clone(), "the limit");
        }
        request
    });
    limit.into_iter().chain(request)
}

fn of_volumes<'a>(holder: Json<'a>, at: &FieldPath, findings: &mut Vec<Finding<'a>>) {
    findings.extend(holder.get("volumes").items().enumerate().filter_map(|(index, volume)| {
        let place = || at.clone().then(["volumes"]).at(index).then(["emptyDir", "sizeLimit"]);
        finding(volume.get("emptyDir").get("sizeLimit"), place, None)
    }));
}

fn finding<'a>(
    quantity: Json<'a>,
    path: impl FnOnce() -> FieldPath,
    ceiling: Option<&'static str>,
) -> Option<Finding<'a>> {
    let written = text(quantity)?;
    let verdict = match (mistaken_memory(&written), ceiling) {
        (MemoryVerdict::Fine, _) => return None,
        (MemoryVerdict::TooSmall, _) => Verdict::TooSmall,
        (MemoryVerdict::Repair(meant), Some(ceiling)) => Verdict::WouldExceed(meant, ceiling),
        (MemoryVerdict::Repair(meant), None) => Verdict::Repair(meant),
    };
    Some(Finding { path: path(), written, verdict })
}

/// A quantity as text: manifests may give it as a number.
fn text(quantity: Json<'_>) -> Option<Cow<'_, str>> {
    match quantity.kind() {
        Kind::Text => quantity.as_str().map(Cow::Borrowed),
        Kind::Number => Some(Cow::Owned(quantity.to_string())),
        _ => None,
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
            (driver().with(LIMIT, "512k"), "memory-quantity: 512k is less than 1Mi; was it meant so? spec.containers[0].resources.limits.memory"),
            (driver().with(REQUEST, "512m").with(LIMIT, "256Mi"), "memory-quantity: 512m stays, for 512Mi would exceed the limit: spec.containers[0].resources.requests.memory"),
            (scheduled().and("/spec/template/volumes", volume("512m")), "memory-quantity: write 512Mi instead of 512m: spec.template.volumes[0].emptyDir.sizeLimit"),
        ] {
            assert_eq!(sample.warnings(), [expected]);
        }
    }
}
