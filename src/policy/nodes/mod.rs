//! The nodes of the cluster, which of them are flagged and by what, and what namespaces demand of pods.
//!
//! ```text
//! node and event objects ──> Node, NodeEvent (only what decides) ──> Nodes (with the flags of a moment) ──> Snapshot
//! limit ranges, quotas   ──> Constraints, by namespace           ─────────────────────────────────────────┘
//! ```

mod candidates;
pub mod constraints;
mod event;
mod flags;
mod index;
mod labelling;
mod labels;
mod node;
pub mod objects;

use std::collections::HashMap;
use std::sync::Arc;

pub use candidates::{Landing, Placement, TERMS, is_empty_term, required_terms};
pub use constraints::Constraints;
pub use event::NodeEvent;
pub use flags::{Flag, flags_of};
pub use labelling::{DETECTED, Labelling};
pub use labels::Labels;
pub use node::{Condition, Effect, Node, Taint, is_extended};

use crate::policy::configuration::FlaggedNodes;
use index::Index;

/// A flagged node, and what flags it.
pub type Flagged<'n> = (&'n Arc<Node>, &'n [Flag]);

/// Every node with the flags that it has at one moment, in the order of the names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    all: Vec<Arc<Node>>,
    /// The flagged ones by their places in `all`, each with what flags it.
    flagged: Vec<(usize, Vec<Flag>)>,
    /// The others by their labels; of none where none is flagged, because nobody asks then.
    others: Index,
}

impl Nodes {
    /// The nodes with the flags that they have at `now`, in seconds since 1970.
    #[must_use]
    pub fn new(mut nodes: Vec<Arc<Node>>, events: &[NodeEvent], settings: &FlaggedNodes, now: i64) -> Self {
        nodes.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        let mut by_node: HashMap<&str, Vec<&NodeEvent>> = HashMap::new();
        for event in events {
            by_node.entry(&event.node).or_default().push(event);
        }
        let flags = |node: &Node| {
            let events = by_node.get(&*node.name).map_or(&[][..], Vec::as_slice);
            flags_of(node, events.iter().copied(), settings, now)
        };
        let flags = nodes.iter().map(|node| flags(node)).enumerate();
        let flagged = flags.filter(|(_, flags)| !flags.is_empty()).collect();
        let mut found = Self { all: nodes, flagged, others: Index::default() };
        if found.is_any_flagged() {
            let others = found.iter().enumerate().filter(|(_, (_, flags))| flags.is_empty());
            found.others = Index::of(others.map(|(place, (node, _))| (place, &node.labels)));
        }
        found
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether any is flagged.
    #[must_use]
    pub fn is_any_flagged(&self) -> bool {
        !self.flagged.is_empty()
    }

    /// Each node, and what flags it: nothing, mostly.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Node>, &[Flag])> {
        let mut flagged = self.flagged.iter().peekable();
        self.all.iter().enumerate().map(move |(place, node)| {
            let flags = flagged.next_if(|(of, _)| *of == place).map_or(&[][..], |(_, flags)| flags);
            (node, flags)
        })
    }

    /// The flagged nodes, and what flags each.
    pub fn flagged(&self) -> impl Iterator<Item = Flagged<'_>> {
        self.flagged.iter().filter_map(|(place, flags)| Some((self.all.get(*place)?, flags.as_slice())))
    }

    /// The nodes that are not flagged.
    pub fn unflagged(&self) -> impl Iterator<Item = &Arc<Node>> {
        self.iter().filter(|(_, flags)| flags.is_empty()).map(|(node, _)| node)
    }

    /// When the next flag ends by itself, in seconds since 1970: the time to look again.
    #[must_use]
    pub fn next_expiry(&self) -> Option<i64> {
        self.flagged.iter().flat_map(|(_, flags)| flags).filter_map(Flag::until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Arc<Node> {
        Arc::new(Node { name: name.into(), is_annotated: name.starts_with("bad"), ..Node::default() })
    }

    fn event(node: &str, time: i64) -> NodeEvent {
        NodeEvent {
            reason: "ReadOnlyFileSystemDetected".into(),
            component: "device-fs-monitor".into(),
            namespace: "default".into(),
            node: node.into(),
            uid: "".into(),
            time,
        }
    }

    #[test]
    fn tells_the_flagged_from_the_others() {
        let settings = FlaggedNodes::default();
        let events = [event("c", 1_000), event("gone", 2_000), event("bad", 900)];
        let nodes = Nodes::new(["d", "c", "bad", "a"].map(node).into(), &events, &settings, 3_000);
        let names = |nodes: Vec<&Arc<Node>>| nodes.iter().map(|node| node.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(nodes.flagged().map(|(node, _)| node).collect()), ["bad", "c"]);
        assert_eq!(names(nodes.unflagged().collect()), ["a", "d"]);
        assert_eq!(nodes.iter().map(|(_, flags)| flags.len()).collect::<Vec<_>>(), [0, 2, 1, 0]);
        assert_eq!((nodes.len(), nodes.is_empty(), nodes.is_any_flagged()), (4, false, true));
        assert_eq!(nodes.next_expiry(), Some(900 + 3_600));
    }

    #[test]
    fn flags_end_by_themselves() {
        let at = |now| Nodes::new(vec![node("a")], &[event("a", 1_000)], &FlaggedNodes::default(), now);
        assert!(at(4_599).is_any_flagged());
        assert!(!at(4_600).is_any_flagged());
        assert_eq!(at(4_600).next_expiry(), None);
    }
}
