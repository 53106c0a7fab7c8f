//! What flags a node.
//!
//! A label, annotation or taint is an administrator's word; a condition is the node's own; an event is a hint that ends by itself, and
//! counts only for the very node that it is about.

use super::event::NodeEvent;
use super::labelling::DETECTED;
use super::node::Node;
use crate::policy::configuration::FlaggedNodes;

/// One of the things that flag a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    /// The label of the settings, unless the webhook put it there itself.
    Label,
    /// The annotation of the settings.
    Annotation,
    /// The taint of the settings.
    Taint {
        /// Since when it is there, where that is written.
        since: Option<i64>,
    },
    /// A condition with its bad status.
    Condition {
        /// The condition's type.
        kind: Box<str>,
        /// Since when it is bad, where that is written.
        since: Option<i64>,
    },
    /// Events of one reason.
    Event {
        /// The reason.
        reason: Box<str>,
        /// When the last of them happened.
        since: i64,
        /// When it ends to flag the node.
        until: i64,
    },
}

impl Flag {
    /// The names of all kinds of flags.
    pub const NAMES: [&'static str; 5] = ["label", "annotation", "taint", "condition", "event"];

    /// The name of its kind, for metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Annotation => "annotation",
            Self::Taint { .. } => "taint",
            Self::Condition { .. } => "condition",
            Self::Event { .. } => "event",
        }
    }

    /// The condition's type or the event's reason.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Condition { kind, .. } => Some(kind),
            Self::Event { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Since when it flags the node, in seconds since 1970, where that is known.
    #[must_use]
    pub const fn since(&self) -> Option<i64> {
        match self {
            Self::Label | Self::Annotation => None,
            Self::Taint { since } | Self::Condition { since, .. } => *since,
            Self::Event { since, .. } => Some(*since),
        }
    }

    /// When it ends by itself, in seconds since 1970.
    #[must_use]
    pub const fn until(&self) -> Option<i64> {
        if let Self::Event { until, .. } = self { Some(*until) } else { None }
    }
}

/// Everything that flags a node at `now` (seconds since 1970), an administrator's word first. Events of other nodes may be among the
/// events.
#[must_use]
pub fn flags_of<'e>(
    node: &Node,
    events: impl IntoIterator<Item = &'e NodeEvent>,
    settings: &FlaggedNodes,
    now: i64,
) -> Vec<Flag> {
    let mut flags = Vec::new();
    if !settings.label.is_empty() && node.labels.get(&settings.label).is_some_and(|value| value != DETECTED) {
        flags.push(Flag::Label);
    }
    if node.is_annotated {
        flags.push(Flag::Annotation);
    }
    if let Some(taint) = node.taints.iter().find(|taint| !taint.key.is_empty() && *taint.key == *settings.taint) {
        flags.push(Flag::Taint { since: taint.since });
    }
    flags.extend(node.bad_conditions.iter().map(|it| Flag::Condition { kind: it.kind.clone(), since: it.since }));
    add_events(node, events, settings, now, &mut flags);
    flags
}

/// One flag for each reason, of the last of its events.
fn add_events<'e>(
    node: &Node,
    events: impl IntoIterator<Item = &'e NodeEvent>,
    settings: &FlaggedNodes,
    now: i64,
    flags: &mut Vec<Flag>,
) {
    let mut counting: Vec<_> = events.into_iter().filter(|event| counts(event, node)).collect();
    if counting.is_empty() {
        return;
    }
    counting.sort_by_key(|event| std::cmp::Reverse(event.time));
    let ttl = settings.event_ttl.seconds();
    for event in counting {
        let until = event.time.saturating_add(ttl);
        let is_known = flags.iter().any(|flag| flag.until().is_some() && flag.detail() == Some(&event.reason));
        if until > now && !is_known {
            flags.push(Flag::Event { reason: event.reason.clone(), since: event.time, until });
        }
    }
}

/// Whether an event is about this very node, and not older than it or its repair.
fn counts(event: &NodeEvent, node: &Node) -> bool {
    let is_this = event.uid.is_empty() || event.uid == node.name || event.uid == node.uid;
    event.node == node.name
        && is_this
        && event.time >= node.created
        && node.repaired.is_none_or(|repaired| event.time > repaired)
}

#[cfg(test)]
mod tests {
    use super::super::labels::Labels;
    use super::super::node::{Condition, Effect, Taint};
    use super::super::objects::Texts;
    use super::*;

    /// The hour that events count is over an hour later.
    const NOW: i64 = 100_000;

    fn node() -> Node {
        Node { name: "a".into(), uid: "u".into(), created: NOW - 50_000, ..Node::default() }
    }

    fn event(uid: &str, age: i64) -> NodeEvent {
        NodeEvent {
            reason: "ReadOnlyFileSystemDetected".into(),
            component: "device-fs-monitor".into(),
            namespace: "default".into(),
            node: "a".into(),
            uid: uid.into(),
            time: NOW - age,
        }
    }

    fn names(node: &Node, events: &[NodeEvent]) -> Vec<String> {
        let settings = FlaggedNodes::default();
        let flags = flags_of(node, events, &settings, NOW);
        let line =
            |flag: &Flag| flag.detail().map_or(flag.name().to_owned(), |detail| format!("{} {detail}", flag.name()));
        flags.iter().map(line).collect()
    }

    #[test]
    #[rustfmt::skip]
    fn knows_what_flags_a_node() {
        let labelled = |key: &str, value: &str| Node { labels: Labels::of(&Texts::from([(key.to_owned(), value.to_owned())])), ..node() };
        let tainted = |key: &str, effect| Node { taints: [Taint { key: key.into(), value: "".into(), effect, since: None }].into(), ..node() };
        let conditions = ["XfsShutdown", "StorageReady"].map(|kind| Condition { kind: kind.into(), since: Some(1) });
        for (case, node, expected) in [
            ("nothing", node(), &[][..]),
            ("a label", labelled("spark-admission.io/flagged", "true"), &["label"]),
            ("a label, whatever its value", labelled("spark-admission.io/flagged", ""), &["label"]),
            ("another label", labelled("flagged", "true"), &[]),
            ("an annotation", Node { is_annotated: true, ..node() }, &["annotation"]),
            ("a taint", tainted("spark-admission.io/flagged", Effect::NoSchedule), &["taint"]),
            ("a taint, whatever its effect", tainted("spark-admission.io/flagged", Effect::Other), &["taint"]),
            ("another taint", tainted("dedicated", Effect::NoExecute), &[]),
            ("a cordon is maintenance", Node { unschedulable: true, ..node() }, &[]),
            ("conditions", Node { bad_conditions: conditions.into(), ..node() }, &["condition XfsShutdown", "condition StorageReady"]),
            ("several", Node { is_annotated: true, ..labelled("spark-admission.io/flagged", "") }, &["label", "annotation"]),
        ] {
            assert_eq!(names(&node, &[]), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn knows_which_events_count() {
        let repaired = |age: i64| Node { repaired: Some(NOW - age), ..node() };
        let other = NodeEvent { node: "b".into(), ..event("", 10) };
        let one = &["event ReadOnlyFileSystemDetected"][..];
        for (case, node, event, expected) in [
            ("of the node's own uid", node(), event("u", 10), one),
            ("with the name for a uid, as node-problem-detector writes", node(), event("a", 10), one),
            ("without a uid", node(), event("", 10), one),
            ("of another node's uid: of one that had this name before", node(), event("before", 10), &[]),
            ("of another node", node(), other, &[]),
            ("almost an hour old", node(), event("u", 3_599), one),
            ("an hour old", node(), event("u", 3_600), &[]),
            ("older than the node", Node { created: NOW - 10, ..node() }, event("", 11), &[]),
            ("as old as the node", Node { created: NOW - 10, ..node() }, event("", 10), one),
            ("before the repair", repaired(5), event("u", 6), &[]),
            ("at the repair", repaired(5), event("u", 5), &[]),
            ("after the repair", repaired(5), event("u", 4), one),
        ] {
            assert_eq!(names(&node, &[event]), expected, "{case}");
        }
    }

    #[test]
    fn a_repair_ends_nothing_but_events() {
        let conditions = [Condition { kind: "XfsShutdown".into(), since: Some(NOW - 10) }];
        let node = Node { repaired: Some(NOW), is_annotated: true, bad_conditions: conditions.into(), ..node() };
        assert_eq!(names(&node, &[]), ["annotation", "condition XfsShutdown"]);
    }

    #[test]
    fn the_last_event_of_a_reason_says_until_when() {
        let flags = flags_of(&node(), &[event("", 100), event("u", 40), event("", 70)], &FlaggedNodes::default(), NOW);
        assert_eq!(
            flags,
            [Flag::Event { reason: "ReadOnlyFileSystemDetected".into(), since: NOW - 40, until: NOW - 40 + 3_600 }]
        );
    }
}
