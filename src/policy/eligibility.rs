//! Who is looked at: what a review is about, and why an object that is Spark work is left alone all the same.

use super::Policy;
use super::names::ENABLED;
use super::outcome::Untouched;
use super::request::{Operation, Request};
use super::role::Role;
use super::snapshot::Snapshot;
use super::subject::{Metadata, Pod, Resource, ResourceKind};

/// What a review is about.
pub(super) enum Subject<'a> {
    Pod(Pod<'a>),
    Resource(Resource<'a>),
}

impl<'a> Subject<'a> {
    pub(super) fn of(request: &Request<'a>, policy: &Policy) -> Result<Self, Untouched> {
        if !request.subresource.is_empty() {
            return Err(Untouched::Subresource);
        }
        if !matches!(request.operation, Operation::Create | Operation::Update) {
            return Err(Untouched::Operation);
        }
        if !request.object.is_object() {
            return Err(Untouched::NoObject);
        }
        let subject = match (request.group, request.kind) {
            ("", "Pod") => Pod::of(request.object, &policy.notebooks).map(Self::Pod),
            (group, kind) => {
                ResourceKind::of(group, kind).map(|kind| Self::Resource(Resource::of(kind, request.object)))
            }
        };
        subject.ok_or(Untouched::NotSpark)
    }

    pub(super) fn role(&self) -> Role {
        match self {
            Self::Pod(pod) => pod.role(),
            Self::Resource(resource) => resource.kind().role(),
        }
    }

    pub(super) fn metadata(&self) -> Metadata<'a> {
        match self {
            Self::Pod(pod) => pod.metadata(),
            Self::Resource(resource) => resource.metadata(),
        }
    }

    pub(super) fn label(&self, key: &str) -> Option<&str> {
        match self {
            Self::Pod(pod) => pod.label(key),
            Self::Resource(resource) => resource.metadata().label(key),
        }
    }

    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        match self {
            Self::Pod(pod) => pod.annotation(key),
            Self::Resource(resource) => resource.metadata().annotation(key),
        }
    }
}

/// Why an object that is Spark work is left as it is, most general reason first.
pub(super) fn untouched(
    request: &Request<'_>,
    policy: &Policy,
    snapshot: &Snapshot,
    subject: &Subject<'_>,
) -> Option<Untouched> {
    if subject.metadata().is_being_deleted() {
        return Some(Untouched::BeingDeleted);
    }
    if policy.excluded_namespaces.matches(request.namespace) {
        return Some(Untouched::ExcludedNamespace);
    }
    if snapshot.namespace_label(request.namespace, ENABLED) == Some("false") {
        return Some(Untouched::OptedOutNamespace);
    }
    if let Some(why) = untouched_by_kind(request, subject) {
        return Some(why);
    }
    (subject.label(ENABLED) == Some("false")).then_some(Untouched::OptedOut)
}

fn untouched_by_kind(request: &Request<'_>, subject: &Subject<'_>) -> Option<Untouched> {
    match subject {
        Subject::Pod(_) if request.operation != Operation::Create => Some(Untouched::Operation),
        Subject::Pod(pod) if pod.is_mirror() => Some(Untouched::MirrorPod),
        Subject::Pod(pod) if pod.role() == Role::Notebook && pod.spark_container().is_none() => {
            Some(Untouched::NotebookContainer)
        }
        Subject::Pod(_) => None,
        Subject::Resource(_) => spec_is_unchanged(request).then_some(Untouched::SpecUnchanged),
    }
}

/// Whether an update leaves the spec as it was, but for `suspend`.
///
/// The operator runs an application again on any other change of its spec (event filter of spark-operator 2.4.0), so a key
/// that the webhook adds on a harmless update would restart a running job.
fn spec_is_unchanged(request: &Request<'_>) -> bool {
    request.operation == Operation::Update
        && request.object.get("spec").is_same_but_for(request.old_object.get("spec"), &["suspend"])
}
