//! One container of a pod or of a pod template.

use crate::policy::document::Json;
use crate::policy::field_path::{FieldPath, path};

/// A container and the place where it stands in its pod spec.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    json: Json<'a>,
    list: &'static str,
    index: usize,
}

impl<'a> Container<'a> {
    /// The containers of one list of a pod spec, such as `containers` or `initContainers`.
    pub fn all(spec: Json<'a>, list: &'static str) -> impl Iterator<Item = Self> {
        spec.get(list).items().enumerate().map(move |(index, json)| Self { json, list, index })
    }

    /// Where it stands in an object whose pod spec stands at `spec`.
    #[must_use]
    pub fn path_in(&self, spec: FieldPath) -> FieldPath {
        spec.then([self.list]).at(self.index)
    }

    /// Where it stands in a pod.
    #[must_use]
    pub fn path(&self) -> FieldPath {
        self.path_in(path(["spec"]))
    }

    /// The container as JSON.
    #[must_use]
    pub fn json(&self) -> Json<'a> {
        self.json
    }

    /// `name`, empty where it has none.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.json.get("name").as_str().unwrap_or_default()
    }

    /// `image`, where one is set.
    #[must_use]
    pub fn image(&self) -> Option<&'a str> {
        self.json.get("image").as_str().filter(|image| !image.is_empty())
    }

    /// `args`.
    pub fn arguments(&self) -> impl Iterator<Item = &'a str> {
        self.json.get("args").items().filter_map(Json::as_str)
    }

    /// `securityContext.runAsUser`.
    #[must_use]
    pub fn run_as_user(&self) -> Option<i64> {
        self.json.get("securityContext").get("runAsUser").as_i64()
    }

    /// The `mountPath` and the volume's name of every mount.
    pub fn mounts(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.json.get("volumeMounts").items().filter_map(|mount| {
            Some((mount.get("mountPath").as_str()?, mount.get("name").as_str().unwrap_or_default()))
        })
    }

    /// The entry of `env` that decides the value of `name` (the last one, as the kubelet has it), and its place in the list.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<(usize, Json<'a>)> {
        self.json.get("env").items().enumerate().filter(|(_, entry)| entry.get("name").as_str() == Some(name)).last()
    }

    /// Whether environment variables come from config maps or secrets whole.
    #[must_use]
    pub fn has_env_from(&self) -> bool {
        self.json.get("envFrom").items().next().is_some()
    }

    /// Whether a `readinessProbe` is set.
    #[must_use]
    pub fn has_readiness_probe(&self) -> bool {
        !self.json.get("readinessProbe").is_null()
    }
}
