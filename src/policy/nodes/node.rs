//! A node, as far as it decides: small enough that thousands are kept, and equal where nothing that decides has changed.

use super::labels::Labels;
use super::objects::{ConditionObject, NodeObject, TaintObject};
use crate::policy::configuration::FlaggedNodes;
use crate::policy::values::quantity::Quantity;
use crate::policy::values::timestamp;

/// A node. A heartbeat, which changes only the times of its conditions, leaves it equal to what it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Box<str>,
    /// Its uid; another one of the same name has another.
    pub uid: Box<str>,
    /// When it was created, in seconds since 1970.
    pub created: i64,
    /// Its labels.
    pub labels: Labels,
    /// Its taints, but for those of other effects that flag nothing.
    pub taints: Box<[Taint]>,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// The extended resources that pods can have of it.
    pub extended_resources: Box<[Box<str>]>,
    /// Those of its conditions that the settings call bad, with a bad status.
    pub bad_conditions: Box<[Condition]>,
    /// Whether it has the annotation that flags it.
    pub is_annotated: bool,
    /// When it was repaired, in seconds since 1970, as its annotation says.
    pub repaired: Option<i64>,
}

/// A taint of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: Box<str>,
    /// Its value.
    pub value: Box<str>,
    /// What it does.
    pub effect: Effect,
    /// Since when it is there, where that is written.
    pub since: Option<i64>,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// New ones are kept off.
    NoSchedule,
    /// New ones are kept off, and those that are there must go.
    NoExecute,
    /// Nothing that is sure: `PreferNoSchedule`, or what nobody knows yet.
    Other,
}

/// A bad condition of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: Box<str>,
    /// Since when it is bad, where that is written.
    pub since: Option<i64>,
}

impl Node {
    /// What of a node decides under these settings.
    #[must_use]
    pub fn read(object: NodeObject, settings: &FlaggedNodes) -> Self {
        let NodeObject { metadata, spec, status } = object;
        let annotation = |key: &str| if key.is_empty() { None } else { metadata.annotations.get(key) };
        let positive = |text: &str| Quantity::parse(text).is_some_and(|amount| amount > Quantity::ZERO);
        let resources = status.allocatable.iter().filter(|(name, amount)| is_extended(name) && positive(&amount.0));
        Self {
            created: timestamp::parse(&metadata.creation_timestamp).unwrap_or_default(),
            labels: Labels::of(&metadata.labels),
            taints: spec.taints.into_iter().filter_map(|taint| Taint::read(taint, settings)).collect(),
            unschedulable: spec.unschedulable,
            extended_resources: resources.map(|(name, _)| name.as_str().into()).collect(),
            bad_conditions: status.conditions.iter().filter_map(|it| Condition::read(it, settings)).collect(),
            is_annotated: annotation(&settings.annotation).is_some(),
            repaired: annotation(&settings.repaired_annotation).and_then(|time| timestamp::parse(time)),
            name: metadata.name.into(),
            uid: metadata.uid.into(),
        }
    }

    /// Whether pods can have this extended resource of it.
    #[must_use]
    pub fn has(&self, resource: &str) -> bool {
        self.extended_resources.iter().any(|name| **name == *resource)
    }
}

impl Taint {
    fn read(taint: TaintObject, settings: &FlaggedNodes) -> Option<Self> {
        let effect = match taint.effect.as_str() {
            "NoSchedule" => Effect::NoSchedule,
            "NoExecute" => Effect::NoExecute,
            _ if taint.key == settings.taint => Effect::Other,
            _ => return None,
        };
        let since = timestamp::parse(&taint.time_added);
        Some(Self { key: taint.key.into(), value: taint.value.into(), effect, since })
    }
}

impl Condition {
    fn read(condition: &ConditionObject, settings: &FlaggedNodes) -> Option<Self> {
        let is_bad = settings.conditions.iter().any(|bad| bad.kind == condition.kind && bad.status == condition.status);
        let since = timestamp::parse(&condition.last_transition_time);
        is_bad.then(|| Self { kind: condition.kind.as_str().into(), since })
    }
}

/// Whether a resource is an extended one, such as `nvidia.com/gpu`: qualified, and not Kubernetes' own (`IsExtendedResourceName` of
/// component-helpers' `scheduling/corev1`).
#[must_use]
pub fn is_extended(resource: &str) -> bool {
    resource.contains('/') && !resource.contains("kubernetes.io/") && !resource.starts_with("requests.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(object: Value) -> Node {
        Node::read(serde_json::from_value(object).unwrap(), &FlaggedNodes::default())
    }

    #[test]
    fn keeps_what_decides() {
        let node = read(json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": "a",
                "uid": "u",
                "creationTimestamp": "1970-01-01T00:01:00Z",
                "labels": {"zone": "z", "arch": "amd64"},
                "annotations": {"spark-admission.io/repaired": "1970-01-01T00:02:00Z", "other": "x"},
                "managedFields": [{"manager": "kubelet"}],
            },
            "spec": {"unschedulable": true, "taints": [
                {"key": "a", "effect": "NoSchedule"},
                {"key": "b", "value": "v", "effect": "NoExecute", "timeAdded": "1970-01-01T00:00:09Z"},
                {"key": "c", "effect": "PreferNoSchedule"},
                {"key": "spark-admission.io/flagged", "effect": "PreferNoSchedule"},
            ]},
            "status": {
                "allocatable": {"cpu": "4", "nvidia.com/gpu": "2", "amd.com/gpu": "0", "hugepages-2Mi": "1", "kubernetes.io/x": 1},
                "conditions": [
                    {"type": "Ready", "status": "True"},
                    {"type": "ReadonlyFilesystem", "status": "True", "lastTransitionTime": "1970-01-01T00:00:05Z"},
                    {"type": "StorageReady", "status": "True"},
                ],
            },
        }));
        let taint =
            |key: &str, value: &str, effect, since| Taint { key: key.into(), value: value.into(), effect, since };
        assert_eq!((&*node.name, &*node.uid, node.created, node.repaired), ("a", "u", 60, Some(120)));
        assert_eq!(node.labels.iter().collect::<Vec<_>>(), [("arch", "amd64"), ("zone", "z")]);
        assert_eq!(
            *node.taints,
            [
                taint("a", "", Effect::NoSchedule, None),
                taint("b", "v", Effect::NoExecute, Some(9)),
                taint("spark-admission.io/flagged", "", Effect::Other, None)
            ]
        );
        assert!(node.unschedulable && !node.is_annotated);
        assert!(
            node.has("nvidia.com/gpu") && !node.has("amd.com/gpu") && !node.has("cpu") && !node.has("kubernetes.io/x")
        );
        assert_eq!(*node.bad_conditions, [Condition { kind: "ReadonlyFilesystem".into(), since: Some(5) }]);
    }

    #[test]
    fn a_heartbeat_changes_nothing() {
        let beat = |time: &str| {
            read(json!({
                "metadata": {"name": "a", "resourceVersion": time, "annotations": {"volumes": time}},
                "status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": time}], "images": [time]},
            }))
        };
        assert_eq!(beat("2026-11-22T10:00:00Z"), beat("2026-11-22T10:05:00Z"));
    }

    #[test]
    fn nulls_are_as_good_as_nothing() {
        let nulls = json!({
            "metadata": {"name": "a", "uid": null, "labels": null, "annotations": null, "creationTimestamp": null},
            "spec": {"taints": null, "unschedulable": null},
            "status": {"allocatable": {"nvidia.com/gpu": null}, "conditions": null},
        });
        assert_eq!(read(nulls), read(json!({"metadata": {"name": "a"}})));
        assert_eq!(read(json!({"metadata": {"name": "a"}, "spec": null, "status": null})).name.as_ref(), "a");
    }

    #[test]
    fn an_empty_name_of_an_annotation_looks_at_none() {
        let settings = FlaggedNodes { annotation: String::new(), ..FlaggedNodes::default() };
        let object = json!({"metadata": {"name": "a", "annotations": {"": "x", "spark-admission.io/flagged": ""}}});
        assert!(!Node::read(serde_json::from_value(object.clone()).unwrap(), &settings).is_annotated);
        assert!(read(object).is_annotated);
    }
}
