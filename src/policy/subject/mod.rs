//! What a review is about: a pod or a resource, seen through borrowed views that answer in the field's words.

mod account;
mod connect;
mod container;
pub mod memory;
mod pod;
mod pod_memory;
mod pod_to_be;
mod resource;

pub use account::NamedAccount;
pub use connect::Versions;
pub use container::Container;
pub use pod::Pod;
pub use pod_memory::PodMemory;
pub use pod_to_be::{ContainerToBe, Mount, Origin, Part, PodToBe};
pub use resource::{Resource, ResourceKind};

use super::document::Json;
use super::mutation::Mutation;
use super::names::MUTATED;
use super::values::coordinates::entries;

/// The labels, annotations and other metadata that both pods and resources have.
#[derive(Debug, Clone, Copy)]
pub struct Metadata<'a>(Json<'a>);

impl<'a> Metadata<'a> {
    /// The metadata of an object.
    #[must_use]
    pub fn of(object: Json<'a>) -> Self {
        Self(object.get("metadata"))
    }

    /// The value of a label.
    #[must_use]
    pub fn label(self, key: &str) -> Option<&'a str> {
        self.0.get("labels").get(key).as_str()
    }

    /// The value of an annotation.
    #[must_use]
    pub fn annotation(self, key: &str) -> Option<&'a str> {
        self.0.get("annotations").get(key).as_str()
    }

    /// Whether an earlier round of this admission applied the mutation; another webhook may have acted since.
    #[must_use]
    pub fn was_changed_by(self, mutation: Mutation) -> bool {
        entries(self.annotation(MUTATED).unwrap_or_default()).any(|name| name == mutation.name())
    }

    /// `metadata.name`, else what it will be generated from, else nothing.
    #[must_use]
    pub fn name(self) -> &'a str {
        let text = |member| self.0.get(member).as_str().filter(|text| !text.is_empty());
        text("name").or_else(|| text("generateName")).unwrap_or_default()
    }

    /// Whether the API server will choose the name.
    #[must_use]
    pub fn name_is_generated(self) -> bool {
        self.0.get("name").as_str().is_none_or(str::is_empty)
    }

    /// The objects that own this one.
    pub fn owners(self) -> impl Iterator<Item = Json<'a>> {
        self.0.get("ownerReferences").items()
    }

    /// Whether the object is being deleted.
    #[must_use]
    pub fn is_being_deleted(self) -> bool {
        !self.0.get("deletionTimestamp").is_null()
    }
}
