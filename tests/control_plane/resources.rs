//! What users submit: Kubeflow's resources, with Kubeflow's own definitions, and pods of their own.

use std::fs;

use serde_json::{Value, json};

use crate::{
    agreement::Agreement,
    cluster::{Namespace, Registered},
    offline::fixtures,
};

#[tokio::test]
async fn every_manifest_is_stored_as_review_says() {
    let agreement = Agreement::new().await;
    for (case, object) in manifests() {
        assert_eq!(agreement.create(&case, &object).await, 201, "{case}");
    }
}

#[tokio::test]
async fn a_manifest_that_is_applied_again_changes_nothing() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    for (case, resource) in manifests() {
        if !is_kubeflows(&resource) || resource["metadata"]["name"].is_null() {
            continue;
        }
        let first = here.apply(&resource).await.object();
        for (how, again) in [
            ("server-side apply", here.apply(&resource).await),
            (
                "a patch that sets the manifest's spec, lists as a whole",
                here.merge(&resource, &json!({"spec": resource["spec"]})).await,
            ),
            ("kubectl replace", here.replace(&resource).await),
        ] {
            let again = again.object();
            assert_eq!(again["spec"], first["spec"], "{case}, {how}");
            assert_eq!(again["metadata"]["generation"], first["metadata"]["generation"], "{case}, {how}");
        }
    }
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
    object["apiVersion"].as_str().unwrap().starts_with("sparkoperator.k8s.io/")
}
