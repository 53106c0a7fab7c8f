//! The candidates: the nodes that the scheduler would consider for a pod.
//!
//! What decides is what the scheduler's own library decides by (component-helpers v0.37, `scheduling/corev1` and its
//! `nodeaffinity`; apimachinery, `pkg/labels/selector.go`), to the letter: a term that is empty or does not parse matches nothing, of
//! several terms one is enough, and `NotIn` and `DoesNotExist` match a label that is absent. Not known when a pod is created, and
//! so not judged: room on the node, affinity to other pods, spread constraints, volumes.

use super::index::Index;
use super::node::{Effect, Node, Taint, is_extended};
use super::{Flagged, Nodes};
use crate::policy::document::Json;
use crate::policy::values::label::{is_key, is_value};
use crate::policy::values::quantity::Quantity;

/// Where a pod may be placed; read once, asked for each node.
#[derive(Debug, Default)]
pub struct Placement<'a> {
    node_name: Option<&'a str>,
    selector: Vec<(&'a str, &'a str)>,
    /// The terms that can match; none at all where nothing is required.
    terms: Option<Vec<Term<'a>>>,
    tolerations: Vec<Toleration<'a>>,
    extended_resources: Vec<&'a str>,
}

/// Where a pod can land, as far as flags go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing<'n> {
    /// On no flagged node; it may be that there is no candidate at all.
    Unflagged,
    /// On these flagged nodes, and on others.
    Mixed(Vec<Flagged<'n>>),
    /// On these flagged nodes alone.
    Pinned(Vec<Flagged<'n>>),
}

impl Nodes {
    /// Where a pod of this placement can land. Takes no time where no node is flagged, and little where no flagged one is a candidate.
    #[must_use]
    pub fn landing(&self, placement: &Placement<'_>) -> Landing<'_> {
        let flagged: Vec<_> = self.flagged().filter(|(node, _)| placement.fits(node)).collect();
        if flagged.is_empty() {
            Landing::Unflagged
        } else if self.is_other_candidate(placement) {
            Landing::Mixed(flagged)
        } else {
            Landing::Pinned(flagged)
        }
    }

    /// Whether a node that is not flagged is a candidate. Looks only at those that have a label which a candidate must have.
    fn is_other_candidate(&self, placement: &Placement<'_>) -> bool {
        match placement.places(&self.others) {
            Some(places) => {
                let mut nodes = places.into_iter().flatten().filter_map(|place| self.all.get(*place as usize));
                nodes.any(|node| placement.fits(node))
            }
            None => self.unflagged().any(|node| placement.fits(node)),
        }
    }
}

impl<'a> Placement<'a> {
    /// The placement that a pod's spec asks for.
    #[must_use]
    pub fn of(spec: Json<'a>) -> Self {
        let mut placement =
            Self { node_name: spec.get("nodeName").as_str().filter(|name| !name.is_empty()), ..Self::default() };
        placement.require(spec);
        for list in ["containers", "initContainers"] {
            placement.extended_resources.extend(spec.get(list).items().flat_map(extended_resources));
        }
        placement
    }

    /// Requires what `nodeSelector`, `affinity` and `tolerations` of a pod's spec, or of what has the same members, ask for.
    pub fn require(&mut self, spec: Json<'a>) {
        let selector = spec.get("nodeSelector").members();
        self.selector.extend(selector.filter_map(|(key, value)| Some((key, value.as_str()?))));
        let required = required_terms(spec);
        if !required.is_null() {
            self.terms = Some(required.get(TERMS).items().filter_map(Term::of).collect());
        }
        self.tolerations.extend(spec.get("tolerations").items().map(Toleration::of));
    }

    /// Requires a label of a node, as `nodeSelector` does.
    pub fn select(&mut self, key: &'a str, value: &'a str) {
        self.selector.push((key, value));
    }

    /// Whether a node is a candidate.
    #[must_use]
    pub fn fits(&self, node: &Node) -> bool {
        if let Some(name) = self.node_name {
            // The scheduler is not asked.
            return *node.name == *name;
        }
        self.tolerates(node)
            && self.selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
            && self.extended_resources.iter().all(|resource| node.has(resource))
            && self.terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
    }

    /// The places among which all candidates are, by the narrowest of the labels that one must have; none where any node may be one.
    fn places<'i>(&self, index: &'i Index) -> Option<Vec<&'i [u32]>> {
        let by_selector = self.selector.iter().map(|(key, value)| vec![index.places(key, value)]);
        let by_terms = || self.terms.as_ref()?.iter().map(|term| term.places(index)).collect::<Option<Vec<_>>>();
        by_selector.chain(by_terms().map(|lists| lists.concat())).min_by_key(count)
    }

    fn tolerates(&self, node: &Node) -> bool {
        let mut keeping_off = node.taints.iter().filter(|taint| taint.effect != Effect::Other);
        keeping_off.all(|taint| self.tolerations.iter().any(|toleration| toleration.covers(taint)))
            && (!node.unschedulable || self.tolerations.iter().any(Toleration::covers_cordon))
    }
}

/// The member of required node affinity that holds its terms.
pub const TERMS: &str = "nodeSelectorTerms";

/// What node affinity a pod's spec requires; null where it requires none.
#[must_use]
pub fn required_terms(spec: Json<'_>) -> Json<'_> {
    spec.get("affinity").get("nodeAffinity").get("requiredDuringSchedulingIgnoredDuringExecution")
}

/// Whether a term of node affinity matches nothing because nothing stands in it.
#[must_use]
pub fn is_empty_term(term: Json<'_>) -> bool {
    term.get("matchExpressions").items().next().is_none() && term.get("matchFields").items().next().is_none()
}

/// The extended resources that a container asks for; where there is no request, a limit is one.
fn extended_resources(container: Json<'_>) -> impl Iterator<Item = &str> {
    let resources = container.get("resources");
    let lists = ["requests", "limits"].into_iter();
    let asked = lists.flat_map(move |list| resources.get(list).members());
    let positive = |amount: Json<'_>| Quantity::parse(&amount.to_string()).is_some_and(|it| it > Quantity::ZERO);
    asked.filter(move |(name, amount)| is_extended(name) && positive(*amount)).map(|(name, _)| name)
}

/// How many places there are in lists.
fn count(lists: &Vec<&[u32]>) -> usize {
    lists.iter().map(|list| list.len()).sum()
}

/// One term of required node affinity: all of it must match.
#[derive(Debug)]
struct Term<'a> {
    expressions: Vec<Expression<'a>>,
    fields: Vec<Field<'a>>,
}

impl<'a> Term<'a> {
    /// The term, if it can match anything.
    fn of(term: Json<'a>) -> Option<Self> {
        if is_empty_term(term) {
            return None;
        }
        let expressions: Option<_> = term.get("matchExpressions").items().map(Expression::of).collect();
        let fields: Option<_> = term.get("matchFields").items().map(Field::of).collect();
        Some(Self { expressions: expressions?, fields: fields? })
    }

    /// As of a placement; of one label's values any.
    fn places<'i>(&self, index: &'i Index) -> Option<Vec<&'i [u32]>> {
        let of_expression = |expression: &Expression<'a>| match &expression.condition {
            Condition::In(values) => Some(values.iter().map(|value| index.places(expression.key, value)).collect()),
            _ => None,
        };
        self.expressions.iter().filter_map(of_expression).min_by_key(count)
    }

    fn matches(&self, node: &Node) -> bool {
        self.expressions.iter().all(|expression| expression.matches(node))
            && self.fields.iter().all(|field| field.matches(node))
    }
}

/// What a term says of one label.
#[derive(Debug)]
struct Expression<'a> {
    key: &'a str,
    condition: Condition<'a>,
}

#[derive(Debug)]
enum Condition<'a> {
    In(Vec<&'a str>),
    NotIn(Vec<&'a str>),
    Exists,
    DoesNotExist,
    Over(i64),
    Under(i64),
}

impl<'a> Expression<'a> {
    /// The expression, if it parses: with it the term stands or falls.
    fn of(expression: Json<'a>) -> Option<Self> {
        let key = expression.get("key").as_str().filter(|key| is_key(key))?;
        let values = values(expression);
        if !values.iter().all(|value| is_value(value)) {
            return None;
        }
        let condition = match (expression.get("operator").as_str()?, values.as_slice()) {
            ("In", [_, ..]) => Condition::In(values),
            ("NotIn", [_, ..]) => Condition::NotIn(values),
            ("Exists", []) => Condition::Exists,
            ("DoesNotExist", []) => Condition::DoesNotExist,
            ("Gt", [bound]) => Condition::Over(bound.parse().ok()?),
            ("Lt", [bound]) => Condition::Under(bound.parse().ok()?),
            _ => return None,
        };
        Some(Self { key, condition })
    }

    fn matches(&self, node: &Node) -> bool {
        let value = node.labels.get(self.key);
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.condition {
            Condition::In(values) => value.is_some_and(|value| values.contains(&value)),
            Condition::NotIn(values) => value.is_none_or(|value| !values.contains(&value)),
            Condition::Exists => value.is_some(),
            Condition::DoesNotExist => value.is_none(),
            Condition::Over(bound) => number().is_some_and(|number| number > *bound),
            Condition::Under(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// What a term says of the node itself.
#[derive(Debug)]
struct Field<'a> {
    /// `metadata.name` is the one field that nodes have here; another is empty on each of them.
    is_name: bool,
    is_equal: bool,
    value: &'a str,
}

impl<'a> Field<'a> {
    fn of(field: Json<'a>) -> Option<Self> {
        let [value] = *values(field) else { return None };
        let is_equal = match field.get("operator").as_str()? {
            "In" => true,
            "NotIn" => false,
            _ => return None,
        };
        Some(Self { is_name: field.get("key").as_str() == Some("metadata.name"), is_equal, value })
    }

    fn matches(&self, node: &Node) -> bool {
        let found = if self.is_name { &*node.name } else { "" };
        (found == self.value) == self.is_equal
    }
}

fn values(requirement: Json<'_>) -> Vec<&str> {
    requirement.get("values").items().map(|value| value.as_str().unwrap_or_default()).collect()
}

/// A toleration of a pod.
#[derive(Debug)]
struct Toleration<'a> {
    key: &'a str,
    operator: &'a str,
    value: &'a str,
    effect: &'a str,
}

impl<'a> Toleration<'a> {
    fn of(toleration: Json<'a>) -> Self {
        let text = |member| toleration.get(member).as_str().unwrap_or_default();
        Self { key: text("key"), operator: text("operator"), value: text("value"), effect: text("effect") }
    }

    fn covers(&self, taint: &Taint) -> bool {
        let effect = if taint.effect == Effect::NoExecute { "NoExecute" } else { "NoSchedule" };
        self.covers_these(&taint.key, &taint.value, effect)
    }

    /// A cordoned node is as one with this taint, which it mostly has.
    fn covers_cordon(&self) -> bool {
        self.covers_these("node.kubernetes.io/unschedulable", "", "NoSchedule")
    }

    /// `Lt` and `Gt` are behind a feature gate of the API server, without which it refuses pods that use them.
    fn covers_these(&self, key: &str, value: &str, effect: &str) -> bool {
        if !self.effect.is_empty() && self.effect != effect || !self.key.is_empty() && self.key != key {
            return false;
        }
        match self.operator {
            "" | "Equal" => self.value == value,
            "Exists" => true,
            "Lt" => decimal(value) < decimal(self.value) && decimal(value).is_some(),
            "Gt" => decimal(value) > decimal(self.value) && decimal(self.value).is_some(),
            _ => false,
        }
    }
}

/// A number as people write it: no leading zeros, no plus, no `-0` (`content.IsDecimalInteger`).
fn decimal(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_canonical = text == "0" || digits.starts_with(|first: char| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| is_canonical)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::objects::NodeObject;
    use super::*;
    use crate::policy::configuration::FlaggedNodes;
    use crate::policy::document::Document;
    use serde_json::{Value, json};

    fn node(object: Value) -> Node {
        let object: NodeObject = serde_json::from_value(object).unwrap();
        Node::read(object, &FlaggedNodes::default())
    }

    /// A node with some of everything.
    fn one() -> Node {
        node(json!({
            "metadata": {"name": "one", "labels": {"zone": "a", "cores": "16", "empty": "", "kubernetes.io/os": "linux"}},
            "status": {"allocatable": {"nvidia.com/gpu": "2"}},
        }))
    }

    fn fits(spec: &Value, node: &Node) -> bool {
        let text = spec.to_string();
        Placement::of(Document::parse(&text).unwrap().root()).fits(node)
    }

    fn required(terms: &Value) -> Value {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    fn expressions(expressions: &Value) -> Value {
        required(&json!([{"matchExpressions": expressions}]))
    }

    #[test]
    #[rustfmt::skip]
    fn by_labels_and_names() {
        let of = |key: &str, operator: &str, values: Value| expressions(&json!([{"key": key, "operator": operator, "values": values}]));
        let field = |key: &str, operator: &str, values: Value| required(&json!([{"matchFields": [{"key": key, "operator": operator, "values": values}]}]));
        for (case, spec, expected) in [
            ("nothing is asked", json!({}), true),
            ("the node by its name", json!({"nodeName": "one", "nodeSelector": {"zone": "b"}}), true),
            ("another by its name", json!({"nodeName": "two"}), false),
            ("an empty name is none", json!({"nodeName": ""}), true),
            ("a label", json!({"nodeSelector": {"zone": "a"}}), true),
            ("two labels, of which one fits", json!({"nodeSelector": {"zone": "a", "cores": "8"}}), false),
            ("an absent label is not empty", json!({"nodeSelector": {"absent": ""}}), false),
            ("an empty label is there", json!({"nodeSelector": {"empty": ""}}), true),
            ("In", of("zone", "In", json!(["b", "a"])), true),
            ("In, with another", of("zone", "In", json!(["b"])), false),
            ("In without values does not parse", of("zone", "In", json!([])), false),
            ("NotIn", of("zone", "NotIn", json!(["b"])), true),
            ("NotIn of an absent label", of("absent", "NotIn", json!(["b"])), true),
            ("NotIn of its own", of("zone", "NotIn", json!(["a"])), false),
            ("NotIn without values does not parse", of("zone", "NotIn", json!([])), false),
            ("Exists", of("empty", "Exists", Value::Null), true),
            ("Exists with values does not parse", of("empty", "Exists", json!(["a"])), false),
            ("DoesNotExist", of("absent", "DoesNotExist", json!([])), true),
            ("DoesNotExist of what does", of("zone", "DoesNotExist", json!([])), false),
            ("Gt", of("cores", "Gt", json!(["8"])), true),
            ("Gt of the same", of("cores", "Gt", json!(["16"])), false),
            ("Gt of an absent label", of("absent", "Gt", json!(["-1"])), false),
            ("Gt of what is no number", of("zone", "Gt", json!(["1"])), false),
            ("Gt than what is no number does not parse", of("cores", "Gt", json!(["many"])), false),
            ("Gt than a number with a plus, which is no label's value", of("cores", "Gt", json!(["+1"])), false),
            ("Gt than two numbers does not parse", of("cores", "Gt", json!(["1", "2"])), false),
            ("Lt", of("cores", "Lt", json!(["017"])), true),
            ("an operator that is none", of("zone", "Is", json!(["a"])), false),
            ("a key that is none", of("a b", "DoesNotExist", json!([])), false),
            ("a value that is none", of("zone", "NotIn", json!(["a b"])), false),
            ("all expressions must match", expressions(&json!([{"key": "zone", "operator": "Exists"}, {"key": "cores", "operator": "DoesNotExist"}])), false),
            ("its name in a field", field("metadata.name", "In", json!(["one"])), true),
            ("another name", field("metadata.name", "In", json!(["two"])), false),
            ("not its name", field("metadata.name", "NotIn", json!(["one"])), false),
            ("not another name", field("metadata.name", "NotIn", json!(["two"])), true),
            ("two names do not parse", field("metadata.name", "In", json!(["one", "two"])), false),
            ("a field that exists does not parse", field("metadata.name", "Exists", json!([])), false),
            ("a field that no node has", field("metadata.uid", "In", json!(["u"])), false),
            ("a field that no node has, excluded", field("metadata.uid", "NotIn", json!(["u"])), true),
            ("an expression and a field must both match", required(&json!([{"matchExpressions": [{"key": "zone", "operator": "Exists"}], "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["two"]}]}])), false),
            ("one of two terms", required(&json!([{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}, {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}])), true),
            ("a term that does not parse is passed over", required(&json!([{"matchExpressions": [{"key": "zone", "operator": "Is"}]}, {"matchExpressions": [{"key": "zone", "operator": "Exists"}]}])), true),
            ("an empty term matches nothing", required(&json!([{}])), false),
            ("no terms match nothing", required(&json!([])), false),
            ("an affinity of nothing matches nothing", json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}}}), false),
            ("an affinity that is null", json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": null}}}), true),
            ("preferred terms never pin", json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "preference": {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["two"]}]}}]}}}), true),
            ("selector and affinity must both match", { let mut spec = expressions(&json!([{"key": "zone", "operator": "Exists"}])); spec["nodeSelector"] = json!({"zone": "b"}); spec }, false),
        ] {
            assert_eq!(fits(&spec, &one()), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn by_taints() {
        let tainted = |value: &str, effect: &str| node(json!({"metadata": {"name": "t"}, "spec": {"taints": [{"key": "k", "value": value, "effect": effect}]}}));
        let cordoned = || node(json!({"metadata": {"name": "c"}, "spec": {"unschedulable": true}}));
        let tolerating = |toleration: Value| json!({"tolerations": [toleration]});
        for (case, spec, node, expected) in [
            ("no toleration", json!({}), tainted("v", "NoSchedule"), false),
            ("no toleration of what only prefers", json!({}), tainted("v", "PreferNoSchedule"), true),
            ("Equal", tolerating(json!({"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"})), tainted("v", "NoSchedule"), true),
            ("Equal without saying so, of every effect", tolerating(json!({"key": "k", "value": "v"})), tainted("v", "NoExecute"), true),
            ("Equal to another value", tolerating(json!({"key": "k", "value": "w"})), tainted("v", "NoSchedule"), false),
            ("of another effect", tolerating(json!({"key": "k", "operator": "Exists", "effect": "NoExecute"})), tainted("v", "NoSchedule"), false),
            ("of another key", tolerating(json!({"key": "l", "operator": "Exists"})), tainted("v", "NoSchedule"), false),
            ("Exists", tolerating(json!({"key": "k", "operator": "Exists"})), tainted("v", "NoSchedule"), true),
            ("everything", tolerating(json!({"operator": "Exists"})), tainted("v", "NoExecute"), true),
            ("everything of one effect", tolerating(json!({"operator": "Exists", "effect": "NoSchedule"})), tainted("v", "NoExecute"), false),
            ("an empty key and an equal value", tolerating(json!({"value": "v"})), tainted("v", "NoSchedule"), true),
            ("an operator that is none", tolerating(json!({"key": "k", "operator": "exists"})), tainted("v", "NoSchedule"), false),
            ("less than", tolerating(json!({"key": "k", "operator": "Lt", "value": "10"})), tainted("9", "NoSchedule"), true),
            ("not less than", tolerating(json!({"key": "k", "operator": "Lt", "value": "10"})), tainted("10", "NoSchedule"), false),
            ("more than", tolerating(json!({"key": "k", "operator": "Gt", "value": "-1"})), tainted("0", "NoSchedule"), true),
            ("more than what is no number", tolerating(json!({"key": "k", "operator": "Gt", "value": "x"})), tainted("1", "NoSchedule"), false),
            ("less, of what is no number", tolerating(json!({"key": "k", "operator": "Lt", "value": "1"})), tainted("", "NoSchedule"), false),
            ("leading zeros are no number", tolerating(json!({"key": "k", "operator": "Gt", "value": "01"})), tainted("9", "NoSchedule"), false),
            ("a cordon", json!({}), cordoned(), false),
            ("a cordon that is tolerated, as by a DaemonSet", tolerating(json!({"key": "node.kubernetes.io/unschedulable", "operator": "Exists", "effect": "NoSchedule"})), cordoned(), true),
            ("a name passes by taints and cordons", json!({"nodeName": "c"}), cordoned(), true),
        ] {
            assert_eq!(fits(&spec, &node), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn by_extended_resources() {
        let asking = |list: &str, resources: Value| json!({"containers": [{"resources": {list: resources}}]});
        for (case, spec, expected) in [
            ("a GPU that it has", asking("limits", json!({"nvidia.com/gpu": 1})), true),
            ("one that it has not", asking("limits", json!({"amd.com/gpu": "1"})), false),
            ("as a request", asking("requests", json!({"amd.com/gpu": "1"})), false),
            ("none of them", asking("limits", json!({"amd.com/gpu": "0"})), true),
            ("in an init container", json!({"initContainers": [{"resources": {"limits": {"amd.com/gpu": 1}}}]}), false),
            ("cpu, memory and pages are a question of room", asking("limits", json!({"cpu": 99, "memory": "1Ti", "hugepages-2Mi": "1Gi", "kubernetes.io/x": 1})), true),
        ] {
            assert_eq!(fits(&spec, &one()), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn where_a_pod_can_land() {
        let node = |name: &str, zone: &str| Arc::new(node(json!({"metadata": {"name": name, "labels": {"zone": zone}, "annotations": if name.starts_with("bad") { json!({"spark-admission.io/flagged": ""}) } else { json!({}) }}})));
        let nodes = Nodes::new(vec![node("bad1", "a"), node("bad2", "b"), node("good1", "b"), node("good2", "c")], &[], &FlaggedNodes::default(), 0);
        let names = |flagged: &[Flagged<'_>]| flagged.iter().map(|(node, _)| node.name.to_string()).collect::<Vec<_>>().join(",");
        for (case, spec, expected) in [
            ("anywhere", json!({}), "mixed: bad1,bad2"),
            ("in a zone of flagged nodes", json!({"nodeSelector": {"zone": "a"}}), "pinned: bad1"),
            ("in a zone of both", json!({"nodeSelector": {"zone": "b"}}), "mixed: bad2"),
            ("in a zone of others", json!({"nodeSelector": {"zone": "c"}}), "unflagged"),
            ("nowhere", json!({"nodeSelector": {"zone": "d"}}), "unflagged"),
            ("on a flagged node by its name", json!({"nodeName": "bad2"}), "pinned: bad2"),
        ] {
            let text = spec.to_string();
            let document = Document::parse(&text).unwrap();
            let landing = match nodes.landing(&Placement::of(document.root())) {
                Landing::Unflagged => "unflagged".to_owned(),
                Landing::Mixed(flagged) => format!("mixed: {}", names(&flagged)),
                Landing::Pinned(flagged) => format!("pinned: {}", names(&flagged)),
            };
            assert_eq!(landing, expected, "{case}");
        }
    }
}
