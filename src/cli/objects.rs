//! Objects of one kind in a file, as `kubectl get -o yaml` and `-o json` print them.

use std::{fs, path::Path};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::review::documents::documents;

/// The objects of a file, lists unrolled. All must be of the kind.
pub(super) fn read<O: DeserializeOwned>(file: &Path, kind: &str) -> Result<Vec<O>, String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("{name}: cannot be read: {error}"))?;
    let mut objects = Vec::new();
    for document in documents(&text) {
        let content = document.content.map_err(|broken| format!("{name}, line {}: {}", broken.line, broken.message))?;
        for object in unrolled(content, kind) {
            // An item of a NodeList does not repeat what it is.
            if !object["kind"].is_null() && object["kind"] != kind {
                return Err(format!("{name}, line {}: this is no {kind} but a {}", document.line, object["kind"]));
            }
            let object = serde_json::from_value(object);
            objects.push(object.map_err(|error| format!("{name}, line {}: {error}", document.line))?);
        }
    }
    Ok(objects)
}

fn unrolled(mut content: Value, kind: &str) -> Vec<Value> {
    let is_list = content["kind"] == "List" || content["kind"] == format!("{kind}List");
    match content["items"].take() {
        Value::Array(items) if is_list => items,
        _ if is_list => Vec::new(),
        _ => vec![content],
    }
}
