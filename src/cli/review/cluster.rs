//! What `kubectl get` printed of a cluster, as a snapshot to review by.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::manifests::{Unreadable, objects};
use crate::policy::configuration::FlaggedNodes;
use crate::policy::nodes::{Node, NodeEvent, Nodes};

/// The nodes of one file with the flags that they have by themselves and by the events of another. Events count as they did when the
/// last of them happened, so that a file says the same tomorrow.
///
/// # Errors
/// Everything in the files that is no node or no event, a line each.
pub(super) fn nodes(nodes: &Path, events: Option<&Path>, settings: &FlaggedNodes) -> Result<Nodes, String> {
    let nodes = read(nodes, "Node")?.into_iter().map(|node| Arc::new(Node::read(node, settings))).collect();
    let events = events.map_or(Ok(Vec::new()), |file| read(file, "Event"))?;
    let events: Vec<_> = events.into_iter().filter_map(|event| NodeEvent::read(event, settings)).collect();
    let now = events.iter().map(|event| event.time).max().unwrap_or_default();
    Ok(Nodes::new(nodes, &events, settings, now))
}

/// The objects of a kind that a file holds, in lists or one after another, in YAML or JSON.
fn read<T: DeserializeOwned>(file: &Path, kind: &str) -> Result<Vec<T>, String> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let (mut found, mut complaints) = (Vec::new(), Vec::new());
    for object in objects(&name, &text) {
        match object.and_then(|(place, object)| of_kind(object, kind).map_err(|message| Unreadable::at(place, message)))
        {
            Ok(object) => found.push(object),
            Err(unreadable) => complaints.push(unreadable.to_string()),
        }
    }
    if complaints.is_empty() { Ok(found) } else { Err(complaints.join("\n")) }
}

fn of_kind<T: DeserializeOwned>(object: Value, kind: &str) -> Result<T, String> {
    let found = object["kind"].as_str().unwrap_or_default();
    if found != kind {
        return Err(format!("this is a {found}; a {kind} must stand here"));
    }
    serde_json::from_value(object).map_err(|error| format!("this {kind} cannot be read: {error}"))
}
