//! `memory-quantity`: memory that was written as `512m` becomes `512Mi`.
//!
//! To Kubernetes `512m` is 0.512 byte. As a limit it hangs a healthy pod in `ContainerCreating` with "no space left on device" (the
//! pod's memory limit caps the service account token's tmpfs), as a `sizeLimit` it makes a volume of one page; the API server's own
//! warning reaches the operator that creates the pod, never the author. Judged by value, so `1717986918400m`, which is how the API
//! server writes `1.6Gi`, stays. Spark's own fields, where `512m` is right, are not looked at.

use std::borrow::Cow;

use super::{Case, Outcome, Plan, Pod, Resource};
use crate::policy::document::{Json, Path, items, path};
use crate::policy::outcome::Skip;
use crate::policy::subject::{Container, ResourceKind};
use crate::policy::values::quantity::{MemoryVerdict, Quantity, mistaken_memory};

pub(super) fn of_pod(pod: &Pod<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    repair(&of_pod_spec(pod.spec(), &path(["spec"])), plan)
}

pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    repair(&of_resource_spec(resource), plan)
}

/// A schedule is never changed; its runs are repaired when they are created.
pub(super) fn of_schedule(resource: &Resource<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let findings = of_resource_spec(resource);
    for finding in &findings {
        plan.warn(finding.warning());
    }
    Outcome::Skipped(if findings.is_empty() { Skip::NothingToDo } else { Skip::WarnedOnly })
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
    path: Path,
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
    fn warning(&self) -> String {
        let (path, written) = (&self.path, &self.written);
        match &self.verdict {
            Verdict::Repair(meant) => format!("{path}: {written} is under one byte, now {meant}"),
            Verdict::WouldExceed(meant, ceiling) => {
                format!("{path}: {written} is under one byte; {meant} would exceed {ceiling}")
            }
            Verdict::TooSmall => format!("{path}: {written} is less than 1Mi; write for example 512Mi"),
        }
    }
}

fn of_resource_spec<'a>(resource: &Resource<'a>) -> Vec<Finding<'a>> {
    let (spec, at) = (resource.spec(), resource.spec_path());
    let mut findings = Vec::new();
    let sections: [&'static str; 2] = [resource.driver_section(), "executor"];
    for section in sections {
        let template = at.clone().then([section, "template", "spec"]);
        findings.extend(of_pod_spec(spec.get(section).get("template").get("spec"), &template));
        if resource.kind() != ResourceKind::SparkConnect {
            for list in ["sidecars", "initContainers"] {
                findings.extend(of_containers(spec.get(section), &at.clone().then([section]), list, None));
            }
        }
    }
    if resource.kind() != ResourceKind::SparkConnect {
        findings.extend(of_volumes(spec, &at));
    }
    findings
}

fn of_pod_spec<'a>(spec: &'a Json<'a>, at: &Path) -> Vec<Finding<'a>> {
    let of_pod = spec.get("resources");
    let mut findings = of_resources(of_pod, &at.clone().then(["resources"]), None);
    let has_own_memory = ["requests", "limits"].into_iter().any(|list| text(of_pod.get(list).get("memory")).is_some());
    // Containers must fit into what the pod has at pod level: repairing them could make the API server refuse the pod.
    let ceiling = has_own_memory.then_some("the pod's own memory");
    for list in ["containers", "initContainers"] {
        findings.extend(of_containers(spec, at, list, ceiling));
    }
    findings.extend(of_volumes(spec, at));
    findings
}

fn of_containers<'a>(
    holder: &'a Json<'a>,
    at: &Path,
    list: &'static str,
    ceiling: Option<&'static str>,
) -> Vec<Finding<'a>> {
    let containers = Container::all(holder, at, list);
    containers
        .flat_map(|container| {
            of_resources(container.json().get("resources"), &container.path().then(["resources"]), ceiling)
        })
        .collect()
}

/// The memory request and limit of one `resources`; a request is repaired only where the limit, repaired too, has room for it.
fn of_resources<'a>(resources: &'a Json<'a>, at: &Path, ceiling: Option<&'static str>) -> Vec<Finding<'a>> {
    let finding = |list: &'static str, ceiling: Option<&'static str>| {
        finding(resources.get(list).get("memory"), at.clone().then([list, "memory"]), ceiling)
    };
    let limit = finding("limits", ceiling);
    let room = match &limit {
        Some(Finding { verdict: Verdict::Repair(meant), .. }) => Quantity::parse(meant),
        _ => text(resources.get("limits").get("memory")).and_then(|limit| Quantity::parse(&limit)),
    };
    let request = finding("requests", ceiling).map(|mut request| {
        if let (Verdict::Repair(meant), Some(room)) = (&request.verdict, room)
            && Quantity::parse(meant) > Some(room)
        {
            request.verdict = Verdict::WouldExceed(meant.clone(), "the limit");
        }
        request
    });
    limit.into_iter().chain(request).collect()
}

fn of_volumes<'a>(holder: &'a Json<'a>, at: &Path) -> Vec<Finding<'a>> {
    let volumes = items(holder.get("volumes")).iter().enumerate();
    volumes
        .filter_map(|(index, volume)| {
            let place = at.clone().then(["volumes"]).at(index).then(["emptyDir", "sizeLimit"]);
            finding(volume.get("emptyDir").get("sizeLimit"), place, None)
        })
        .collect()
}

fn finding<'a>(quantity: &'a Json<'a>, path: Path, ceiling: Option<&'static str>) -> Option<Finding<'a>> {
    let written = text(quantity)?;
    let verdict = match (mistaken_memory(&written), ceiling) {
        (MemoryVerdict::Fine, _) => return None,
        (MemoryVerdict::TooSmall, _) => Verdict::TooSmall,
        (MemoryVerdict::Repair(meant), Some(ceiling)) => Verdict::WouldExceed(meant, ceiling),
        (MemoryVerdict::Repair(meant), None) => Verdict::Repair(meant),
    };
    Some(Finding { path, written, verdict })
}

/// A quantity as text: manifests may give it as a number.
fn text<'a>(quantity: &'a Json<'a>) -> Option<Cow<'a, str>> {
    match quantity {
        Json::Str(text) => Some(Cow::Borrowed(text)),
        Json::Number(_) => Some(Cow::Owned(quantity.to_string())),
        _ => None,
    }
}
