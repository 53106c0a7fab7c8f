//! The kinds that are watched, and their objects on the way in: of each only the fields that decide are read.
//!
//! The types of `k8s-openapi` would read images, managed fields and all the rest first, and fail on the first odd one.

use std::{borrow::Cow, fmt::Debug};

use kube::{
    Resource,
    core::{DynamicResourceScope, ObjectMeta},
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::policy::{
    nodes::objects::{EventObject, LimitRangeObject, Metadata, NamespaceObject, NodeObject, ResourceQuotaObject},
    operators::DeploymentObject,
};

/// The events that are looked at. The field is called so in the core API, which also serves what was written as `events.k8s.io/v1`.
pub(super) const ABOUT_NODES: &str = "involvedObject.kind=Node";

/// An object of a kind that is watched; all of them in version v1 of their group.
pub(super) trait Watched: DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// Empty for the core group.
    const GROUP: &'static str;
    const KIND: &'static str;
    const PLURAL: &'static str;
    /// The manifest that gives the right to watch it.
    const RIGHTS: &'static str = "manifests/rbac.yaml";
    /// Whether the API server is asked for nothing but the metadata.
    const METADATA_ONLY: bool = false;

    fn metadata(&mut self) -> &mut Metadata;
}

/// Makes a struct with metadata an object that is watched.
macro_rules! watched {
    ($object:ty, $group:literal, $kind:literal, $plural:literal $(, $metadata_only:literal)?) => {
        impl Watched for $object {
            const GROUP: &'static str = $group;
            const KIND: &'static str = $kind;
            const PLURAL: &'static str = $plural;
            $(const METADATA_ONLY: bool = $metadata_only;)?

            fn metadata(&mut self) -> &mut Metadata {
                &mut self.metadata
            }
        }
    };
}

watched!(NodeObject, "", "Node", "nodes");
watched!(EventObject, "", "Event", "events");
watched!(NamespaceObject, "", "Namespace", "namespaces", true);
watched!(LimitRangeObject, "", "LimitRange", "limitranges");
watched!(ResourceQuotaObject, "", "ResourceQuota", "resourcequotas");
watched!(DeploymentObject, "apps", "Deployment", "deployments");

/// An object as kube's watcher wants it: with the version up to which was watched, in kube's own metadata.
#[derive(Debug, Clone)]
pub(super) struct Seen<O> {
    version: ObjectMeta,
    pub(super) object: O,
}

impl<O: Watched> Seen<O> {
    /// `namespace/name`.
    pub(super) fn key(&mut self) -> Box<str> {
        let Metadata { namespace, name, .. } = self.object.metadata();
        format!("{namespace}/{name}").into()
    }
}

impl<'de, O: Watched> Deserialize<'de> for Seen<O> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = O::deserialize(deserializer)?;
        let resource_version = Some(std::mem::take(&mut object.metadata().resource_version));
        Ok(Self { version: ObjectMeta { resource_version, ..ObjectMeta::default() }, object })
    }
}

impl<O: Watched> Resource for Seen<O> {
    type DynamicType = ();
    type Scope = DynamicResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        O::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        O::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        O::PLURAL.into()
    }

    fn metadata_api() -> bool {
        O::METADATA_ONLY
    }

    fn meta(&self) -> &ObjectMeta {
        &self.version
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.version
    }
}
