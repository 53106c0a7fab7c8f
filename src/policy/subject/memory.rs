//! Amounts of memory in pod specs and resources that cannot have been meant: over 0 and under 1Mi.
//!
//! Judged by value, so `1717986918400m`, which is how the API server writes `1.6Gi`, is none. Spark's own fields, where `512m` is right, are
//! not looked at.

use std::borrow::Cow;

use super::{Container, Pod, Resource, ResourceKind};
use crate::policy::document::{Json, Kind};
use crate::policy::field_path::{FieldPath, path};
use crate::policy::values::quantity::{MemoryVerdict, Quantity, mistaken_memory};

/// So many are told; an object with more of them is nobody's honest work, and the time for it is everybody's.
const MOST_MISTAKES: usize = 200;

/// An amount of memory that cannot have been meant.
#[derive(Debug)]
pub struct Mistake<'a> {
    /// Where.
    pub path: FieldPath,
    /// Of what.
    pub field: MemoryField,
    /// The amount as it stands there.
    pub written: Cow<'a, str>,
    /// What was meant, as far as that can be told.
    pub meant: Meant,
}

/// What an amount of memory is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryField {
    /// A container or a pod may have no more.
    Limit,
    /// A container or a pod gets that much.
    Request,
    /// A volume holds no more.
    SizeLimit,
}

/// What was meant by an amount of memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meant {
    /// This.
    This(String),
    /// Perhaps this, but it would not fit under the named ceiling.
    Exceeding(String, &'static str),
    /// Nobody can tell.
    Unknown,
}

/// The mistakes in a pod.
#[must_use]
pub fn mistakes_of_pod<'a>(pod: &Pod<'a>) -> Vec<Mistake<'a>> {
    first(of_pod_spec(pod.spec(), &path(["spec"])))
}

/// The mistakes in a resource and its templates.
#[must_use]
pub fn mistakes_of_resource<'a>(resource: &Resource<'a>) -> Vec<Mistake<'a>> {
    first(of_resource_spec(resource))
}

fn first(mut mistakes: Vec<Mistake<'_>>) -> Vec<Mistake<'_>> {
    mistakes.truncate(MOST_MISTAKES);
    mistakes
}

fn of_resource_spec<'a>(resource: &Resource<'a>) -> Vec<Mistake<'a>> {
    let (spec, at) = (resource.spec(), resource.spec_path());
    let is_application = resource.kind() != ResourceKind::SparkConnect;
    let mut mistakes = Vec::new();
    for section in [resource.driver_section(), "executor"] {
        let template = at.clone().then([section, "template", "spec"]);
        mistakes.extend(of_pod_spec(spec.get(section).get("template").get("spec"), &template));
        for list in ["sidecars", "initContainers"].into_iter().filter(|_| is_application) {
            of_containers(spec.get(section), &at.clone().then([section]), list, None, &mut mistakes);
        }
    }
    if is_application {
        of_volumes(spec, &at, &mut mistakes);
    }
    mistakes
}

fn of_pod_spec<'a>(spec: Json<'a>, at: &FieldPath) -> Vec<Mistake<'a>> {
    let mut mistakes = Vec::new();
    let of_pod = spec.get("resources");
    mistakes.extend(of_resources(of_pod, || at.clone(), None));
    let has_own_memory = ["requests", "limits"].into_iter().any(|list| text(of_pod.get(list).get("memory")).is_some());
    // Containers must fit into what the pod has at pod level: repairing them could make the API server refuse the pod.
    let ceiling = has_own_memory.then_some("the pod's own memory");
    for list in ["containers", "initContainers"] {
        of_containers(spec, at, list, ceiling, &mut mistakes);
    }
    of_volumes(spec, at, &mut mistakes);
    mistakes
}

fn of_containers<'a>(
    holder: Json<'a>,
    at: &FieldPath,
    list: &'static str,
    ceiling: Option<&'static str>,
    mistakes: &mut Vec<Mistake<'a>>,
) {
    for container in Container::all(holder, list) {
        mistakes.extend(of_resources(container.json().get("resources"), || container.path_in(at.clone()), ceiling));
    }
}

/// The memory request and limit in the `resources` of a pod or container that stands at `at`; a request is repaired only where the
/// limit, repaired too, has room for it.
fn of_resources<'a>(
    resources: Json<'a>,
    at: impl Fn() -> FieldPath,
    ceiling: Option<&'static str>,
) -> impl Iterator<Item = Mistake<'a>> {
    let of = |list: &'static str, field| {
        mistake(resources.get(list).get("memory"), field, || at().then(["resources", list, "memory"]), ceiling)
    };
    let limit = of("limits", MemoryField::Limit);
    let room = match &limit {
        Some(Mistake { meant: Meant::This(meant), .. }) => Quantity::parse(meant),
        _ => text(resources.get("limits").get("memory")).and_then(|limit| Quantity::parse(&limit)),
    };
    let request = of("requests", MemoryField::Request).map(|mut request| {
        if let (Meant::This(meant), Some(room)) = (&request.meant, room)
            && Quantity::parse(meant) > Some(room)
        {
            request.meant = Meant::Exceeding(meant.clone(), "the limit");
        }
        request
    });
    limit.into_iter().chain(request)
}

fn of_volumes<'a>(holder: Json<'a>, at: &FieldPath, mistakes: &mut Vec<Mistake<'a>>) {
    mistakes.extend(holder.get("volumes").items().enumerate().filter_map(|(index, volume)| {
        let place = || at.clone().then(["volumes"]).at(index).then(["emptyDir", "sizeLimit"]);
        mistake(volume.get("emptyDir").get("sizeLimit"), MemoryField::SizeLimit, place, None)
    }));
}

fn mistake<'a>(
    quantity: Json<'a>,
    field: MemoryField,
    path: impl FnOnce() -> FieldPath,
    ceiling: Option<&'static str>,
) -> Option<Mistake<'a>> {
    let written = text(quantity)?;
    let meant = match (mistaken_memory(&written), ceiling) {
        (MemoryVerdict::Fine, _) => return None,
        (MemoryVerdict::TooSmall, _) => Meant::Unknown,
        (MemoryVerdict::Repair(meant), Some(ceiling)) => Meant::Exceeding(meant, ceiling),
        (MemoryVerdict::Repair(meant), None) => Meant::This(meant),
    };
    Some(Mistake { path: path(), field, written, meant })
}

/// A quantity as text: manifests may give it as a number.
fn text(quantity: Json<'_>) -> Option<Cow<'_, str>> {
    match quantity.kind() {
        Kind::Text => quantity.as_str().map(Cow::Borrowed),
        Kind::Number => Some(Cow::Owned(quantity.to_string())),
        _ => None,
    }
}
