//! What `review` says of a manifest offline, and objects made comparable.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::Value;

use crate::support::process::{run, spark_admission};

/// What the webhook would do to one object.
#[derive(Debug)]
pub struct Offline {
    pub allowed: bool,
    /// The object with the patch applied.
    pub after: Value,
    pub warnings: Vec<String>,
    pub audit_annotations: BTreeMap<String, String>,
}

/// Asks the command `review` about an object in a namespace.
pub fn review(object: &Value, namespace: &str) -> Offline {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("object.json");
    fs::write(&file, object.to_string()).unwrap();
    let (_, output, errors) =
        run(&mut spark_admission(&["review", "-o", "json", "-n", namespace, file.to_str().unwrap()]));
    let report: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{errors}"));
    let report = &report[0];
    let mut after = object.clone();
    json_patch::patch(&mut after, &serde_json::from_value::<json_patch::Patch>(report["patch"].clone()).unwrap())
        .unwrap();
    Offline {
        allowed: report["allowed"] == true,
        after,
        warnings: serde_json::from_value(report["warnings"].clone()).unwrap(),
        audit_annotations: serde_json::from_value(report["auditAnnotations"].clone()).unwrap(),
    }
}

/// The files of a folder of fixtures, sorted.
pub fn fixtures(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(fixtures_folder(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

pub fn fixtures_folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// An object without what differs between two of the same content: who made it, when and where.
pub fn comparable(mut object: Value) -> Value {
    for field in ["uid", "creationTimestamp", "resourceVersion", "managedFields", "namespace"] {
        object["metadata"].as_object_mut().unwrap().remove(field);
    }
    if let Some(prefix) = object["metadata"]["generateName"].as_str() {
        object["metadata"]["name"] = prefix.into();
    }
    // The account's token, under a random name, and before or behind what else was added.
    let is_token = |item: &Value| item["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-"));
    let without_token = |list: &mut Value| {
        if let Some(items) = list.as_array_mut() {
            items.retain(|item| !is_token(item));
        }
    };
    if object["kind"] == "Pod" {
        without_token(&mut object["spec"]["volumes"]);
        for list in ["containers", "initContainers"] {
            for container in object["spec"][list].as_array_mut().into_iter().flatten() {
                without_token(&mut container["volumeMounts"]);
            }
        }
    }
    object
}
