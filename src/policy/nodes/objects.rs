//! Nodes, events, limit ranges and quotas as the API server and `kubectl get -o json` write them: only the fields that decide.
//!
//! Whatever else stands there is not kept, null is as good as absent, and nothing odd in a field that is not read can make an object
//! unreadable.

use std::collections::BTreeMap;

use serde::de::{Deserializer, Visitor};
use serde::{Deserialize, de};

/// Labels and annotations.
pub type Texts = BTreeMap<String, String>;

/// Quantities by the resource that they are of.
pub type Quantities = BTreeMap<String, QuantityText>;

/// What of the metadata of any object decides.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// The object's name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its namespace; empty for a node.
    #[serde(deserialize_with = "or_default")]
    pub namespace: String,
    /// Its uid.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
    /// The version of the object, for whoever watches it.
    #[serde(deserialize_with = "or_default")]
    pub resource_version: String,
    /// When it was created, RFC 3339.
    #[serde(deserialize_with = "or_default")]
    pub creation_timestamp: String,
    /// Its labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: Texts,
    /// Its annotations.
    #[serde(deserialize_with = "or_default")]
    pub annotations: Texts,
}

/// A v1 `Node`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeObject {
    /// Name, uid, age, labels, annotations.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Taints and cordon.
    #[serde(deserialize_with = "or_default")]
    pub spec: NodeSpec,
    /// Conditions and resources.
    #[serde(deserialize_with = "or_default")]
    pub status: NodeStatus,
}

/// `spec` of a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Whether it is cordoned.
    #[serde(deserialize_with = "or_default")]
    pub unschedulable: bool,
    /// Its taints.
    #[serde(deserialize_with = "or_default")]
    pub taints: Vec<TaintObject>,
}

/// A taint of a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TaintObject {
    /// Its key.
    #[serde(deserialize_with = "or_default")]
    pub key: String,
    /// Its value.
    #[serde(deserialize_with = "or_default")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[serde(deserialize_with = "or_default")]
    pub effect: String,
    /// When it was added; written for `NoExecute` only.
    #[serde(deserialize_with = "or_default")]
    pub time_added: String,
}

/// `status` of a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Its conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<ConditionObject>,
    /// What pods can have of it.
    #[serde(deserialize_with = "or_default")]
    pub allocatable: Quantities,
}

/// A condition of a node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConditionObject {
    /// Its type.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[serde(deserialize_with = "or_default")]
    pub status: String,
    /// Since when it has this status.
    #[serde(deserialize_with = "or_default")]
    pub last_transition_time: String,
}

/// An `Event`, of v1 or events.k8s.io/v1: the same object, whose fields have other names there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventObject {
    /// Name, namespace, age.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// What it is about.
    #[serde(alias = "regarding", deserialize_with = "or_default")]
    pub involved_object: InvolvedObject,
    /// Why it was written, a word.
    #[serde(deserialize_with = "or_default")]
    pub reason: String,
    /// Who wrote it, in the old form.
    #[serde(alias = "deprecatedSource", deserialize_with = "or_default")]
    pub source: EventSource,
    /// Who wrote it, in the new form.
    #[serde(alias = "reportingController", deserialize_with = "or_default")]
    pub reporting_component: String,
    /// When it happened first, in the old form.
    #[serde(alias = "deprecatedFirstTimestamp", deserialize_with = "or_default")]
    pub first_timestamp: String,
    /// When it happened last, in the old form.
    #[serde(alias = "deprecatedLastTimestamp", deserialize_with = "or_default")]
    pub last_timestamp: String,
    /// When it happened first, in the new form.
    #[serde(deserialize_with = "or_default")]
    pub event_time: String,
    /// How it went on, in the new form.
    #[serde(deserialize_with = "or_default")]
    pub series: EventSeries,
}

/// What an event is about.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct InvolvedObject {
    /// The object's kind.
    #[serde(deserialize_with = "or_default")]
    pub kind: String,
    /// Its name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Its uid; some components leave it empty, and node-problem-detector writes the node's name.
    #[serde(deserialize_with = "or_default")]
    pub uid: String,
}

/// Who wrote an event.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct EventSource {
    /// The component.
    #[serde(deserialize_with = "or_default")]
    pub component: String,
}

/// How an event went on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EventSeries {
    /// When it happened last.
    #[serde(deserialize_with = "or_default")]
    pub last_observed_time: String,
}

/// A v1 `Namespace`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NamespaceObject {
    /// Name and labels.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
}

/// A v1 `LimitRange`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LimitRangeObject {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// What it demands.
    #[serde(deserialize_with = "or_default")]
    pub spec: LimitRangeSpec,
}

/// `spec` of a limit range.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LimitRangeSpec {
    /// What it demands of one type of object each.
    #[serde(deserialize_with = "or_default")]
    pub limits: Vec<LimitRangeItem>,
}

/// What a limit range demands of one type of object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LimitRangeItem {
    /// `Container`, `Pod` or `PersistentVolumeClaim`.
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// The largest limits; a limit must be there.
    #[serde(deserialize_with = "or_default")]
    pub max: Quantities,
    /// The largest limits in proportion to requests; a limit must be there.
    #[serde(deserialize_with = "or_default")]
    pub max_limit_request_ratio: Quantities,
}

/// A v1 `ResourceQuota`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ResourceQuotaObject {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// What it counts.
    #[serde(deserialize_with = "or_default")]
    pub spec: ResourceQuotaSpec,
    /// What there is.
    #[serde(deserialize_with = "or_default")]
    pub status: ResourceQuotaStatus,
}

/// `status` of a quota.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ResourceQuotaStatus {
    /// What is taken of each resource.
    #[serde(deserialize_with = "or_default")]
    pub used: Quantities,
}

/// `spec` of a quota.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourceQuotaSpec {
    /// What there may be of each resource.
    #[serde(deserialize_with = "or_default")]
    pub hard: Quantities,
    /// Which pods are counted, in the old form.
    #[serde(deserialize_with = "or_default")]
    pub scopes: Vec<String>,
    /// Which pods are counted, in the new form.
    #[serde(deserialize_with = "or_default")]
    pub scope_selector: ScopeSelector,
}

/// Which pods a quota counts: those that fit all expressions.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeSelector {
    /// The expressions.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<ScopeExpression>,
}

/// One expression of a quota's scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ScopeExpression {
    /// What is looked at.
    #[serde(deserialize_with = "or_default")]
    pub scope_name: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    #[serde(deserialize_with = "or_default")]
    pub operator: String,
    /// The values of `In` and `NotIn`.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<String>,
}

/// A quantity as text; manifests may write it as a number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuantityText(pub String);

impl<'de> Deserialize<'de> for QuantityText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrNumber;

        impl Visitor<'_> for TextOrNumber {
            type Value = QuantityText;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a quantity")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<QuantityText, E> {
                Ok(QuantityText(text.to_owned()))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<QuantityText, E> {
                Ok(QuantityText(number.to_string()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<QuantityText, E> {
                Ok(QuantityText(number.to_string()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<QuantityText, E> {
                Ok(QuantityText(number.to_string()))
            }

            fn visit_unit<E: de::Error>(self) -> Result<QuantityText, E> {
                Ok(QuantityText::default())
            }
        }

        deserializer.deserialize_any(TextOrNumber)
    }
}

/// Null is as good as absent.
pub(in crate::policy) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
