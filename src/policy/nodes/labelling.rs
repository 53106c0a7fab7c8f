//! Which nodes get the policy's label and which lose it, where the policy wants the webhook to label flagged nodes itself.
//!
//! What it labels has a value of its own, which flags nothing: a node on which something else no longer stands loses the label
//! again. A label of any other value is an administrator's, and stays.

use super::{Node, Nodes};
use crate::policy::configuration::FlaggedNodes;

/// The value of labels that the webhook itself puts on nodes.
pub const DETECTED: &str = "detected";

/// What is to be done with a node's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labelling<'n> {
    /// The node is flagged and has no label.
    Add(&'n str),
    /// The webhook put a label on the node, and nothing flags it any more.
    Remove(&'n str),
}

impl Nodes {
    /// What is to be done so that exactly the flagged nodes have the label; nothing where the policy does not want that.
    #[must_use]
    pub fn labelling(&self, settings: &FlaggedNodes) -> Vec<Labelling<'_>> {
        if !settings.label_flagged_nodes || settings.label.is_empty() {
            return Vec::new();
        }
        let label = |node: &Node| node.labels.get(&settings.label).map(|value| value == DETECTED);
        let due = self.iter().filter_map(|(node, flags)| match (label(node), flags.is_empty()) {
            (None, false) => Some(Labelling::Add(&node.name)),
            (Some(true), true) => Some(Labelling::Remove(&node.name)),
            _ => None,
        });
        due.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn due(labels: &Value, condition: &str, settings: &FlaggedNodes) -> String {
        let object = json!({
            "metadata": {"name": "one", "labels": labels},
            "status": {"conditions": [{"type": "ReadonlyFilesystem", "status": condition}]}
        });
        let node = Node::read(serde_json::from_value(object).unwrap(), settings);
        format!("{:?}", Nodes::new(vec![Arc::new(node)], &[], settings, 0).labelling(settings))
    }

    #[test]
    fn labels_what_is_flagged_and_takes_back_only_its_own() {
        let wanted = FlaggedNodes { label_flagged_nodes: true, ..FlaggedNodes::default() };
        let ours = json!({"spark-admission.io/flagged": "detected"});
        let theirs = json!({"spark-admission.io/flagged": "disk"});
        for (case, labels, condition, settings, expected) in [
            ("flagged", json!({}), "True", &wanted, r#"[Add("one")]"#),
            ("flagged and labelled", ours.clone(), "True", &wanted, "[]"),
            ("flagged, and an administrator said so", theirs.clone(), "True", &wanted, "[]"),
            ("no longer flagged", ours.clone(), "False", &wanted, r#"[Remove("one")]"#),
            ("flagged by an administrator alone", theirs, "False", &wanted, "[]"),
            ("never flagged", json!({}), "False", &wanted, "[]"),
            ("not wanted", json!({}), "True", &FlaggedNodes::default(), "[]"),
            ("no longer wanted", ours, "False", &FlaggedNodes::default(), "[]"),
        ] {
            assert_eq!(due(&labels, condition, settings), expected, "{case}");
        }
    }
}
