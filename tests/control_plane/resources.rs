//! What users submit: Kubeflow's resources, with Kubeflow's own definitions, and pods of their own.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde_json::Value;
use serde_saphyr::DuplicateKeyPolicy;

use crate::{
    agreement::Agreement,
    offline::{fixtures, fixtures_folder},
};

#[tokio::test]
async fn every_manifest_is_stored_as_review_says() {
    let agreement = Agreement::new().await;
    for (case, object) in manifests() {
        assert_eq!(agreement.create(&case, &object).await, 201, "{case}");
    }
}

/// The fixtures' files as they are, or a folder of one's own, which may hold anything: docs/testing.md.
#[tokio::test]
async fn what_the_api_server_takes_of_a_folder_is_stored_as_review_says() {
    let folder = env::var_os("EXTRA_MANIFESTS").map_or_else(|| fixtures_folder("resources"), PathBuf::from);
    let agreement = Agreement::new().await;
    let (mut stored, mut others, mut told) = (0, 0, Vec::new());
    for file in files(&folder) {
        for (number, document) in documents(&fs::read_to_string(&file).unwrap()).into_iter().enumerate() {
            let case = format!("{}, document {}", file.file_name().unwrap().display(), number + 1);
            let objects = objects(document).unwrap_or_else(|error| {
                told.push(format!("{case}: unreadable: {}", error.lines().next().unwrap_or_default()));
                Vec::new()
            });
            for object in objects {
                if !is_kubeflows(&object) && object["kind"] != "Pod" {
                    others += 1;
                    continue;
                }
                let case = format!("{case}, {} {}", object["kind"], object["metadata"]["name"]);
                let without = agreement.without(&object).await;
                let with = agreement.create(&case, &object).await;
                agreement.remove(&object).await;
                let refusal = format!("{} without the webhook, {with} with it: {}", without.status, without.message());
                assert!(with == 201 || without.status != 201, "{case}: {refusal}");
                stored += usize::from(with == 201);
                if with != 201 {
                    told.push(format!("{case}: {refusal}"));
                }
            }
        }
    }
    // Not by a macro: what those write is shown of tests that fail only.
    let mut terminal = io::stderr();
    let counted = format!("{stored} stored as `review` says, {others} of other kinds, {} not:", told.len());
    writeln!(terminal, "{}: {counted}\n  {}", folder.display(), told.join("\n  ")).unwrap();
    assert!(stored > 0, "nothing of {} could be created", folder.display());
}

/// The YAML and JSON files of a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = all.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| {
        file.extension().is_some_and(|kind| ["yaml", "yml", "json"].iter().any(|wanted| kind == *wanted))
    });
    files.sort();
    files
}

/// The documents of a file that hold more than comments.
fn documents(text: &str) -> Vec<&str> {
    let all = text.split("\n---").map(|document| document.trim_start_matches('-'));
    all.filter(|text| text.lines().any(|line| !line.trim().is_empty() && !line.starts_with('#'))).collect()
}

/// The objects of a document, read as kubectl reads it, to be created anew and elsewhere.
fn objects(document: &str) -> Result<Vec<Value>, String> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    let object: Value = serde_saphyr::from_str_with_options(document, options).map_err(|error| error.to_string())?;
    let mut objects = match &object["items"] {
        Value::Array(items) => items.clone(),
        _ => vec![object],
    };
    for metadata in objects.iter_mut().filter_map(|object| object["metadata"].as_object_mut()) {
        let of_another =
            ["namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "ownerReferences"];
        metadata.retain(|field, _| !of_another.contains(&field.as_str()));
    }
    Ok(objects)
}

/// The fixtures' manifests of Kubeflow's kinds and of pods, each with its file and name; without those that cannot be created.
pub fn manifests() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for file in fixtures("resources") {
        let text = fs::read_to_string(&file).unwrap();
        for document in text.split("\n---\n") {
            let mut object: Value = serde_saphyr::from_str(document).unwrap();
            let metadata = object["metadata"].as_object_mut();
            // One in a namespace that is not ours, and one that is already being deleted.
            let is_elsewhere = metadata.is_none_or(|metadata| {
                let namespace = metadata.remove("namespace").unwrap_or_default();
                namespace == "kube-system" || metadata.contains_key("deletionTimestamp")
            });
            let is_wanted = is_kubeflows(&object) || object["kind"] == "Pod";
            if is_wanted && !is_elsewhere && file.file_name().unwrap() != "broken-shape.yaml" {
                let name = object["metadata"]["name"].as_str().unwrap_or("generated").to_owned();
                found.push((format!("{} {name}", file.file_name().unwrap().display()), object));
            }
        }
    }
    assert!(found.len() >= 35, "only {} manifests", found.len());
    found
}

pub fn is_kubeflows(object: &Value) -> bool {
    object["apiVersion"].as_str().is_some_and(|version| version.starts_with("sparkoperator.k8s.io/"))
}
