//! Kubeflow's resources, with Kubeflow's own definitions: created as the command `review` says offline.

use std::fs;

use serde_json::Value;

use crate::{
    cluster::{Namespace, Registered},
    offline::{comparable, fixtures, review, sorted},
};

#[tokio::test]
async fn every_resource_is_stored_as_review_says() {
    let (here, plain) = (Namespace::new().await, Namespace::new().await);
    let _webhook = Registered::real(&here).await;
    let mut stored = 0;
    for (case, resource) in resources() {
        let offline = review(&resource, &here.name);
        let expected = plain.create(&offline.after).await;
        let created = here.create(&resource).await;
        assert_eq!(created.status, expected.status, "{case}: {} {}", created.message(), expected.message());
        if !created.is_success() {
            // Kubeflow's definitions refuse it, with or without us.
            continue;
        }
        stored += 1;
        let mut object = created.body.clone();
        if resource["metadata"]["generateName"].is_string() {
            object["metadata"]["name"] = expected.body["metadata"]["name"].clone();
        }
        assert_eq!(comparable(object), comparable(expected.body), "{case}");
        assert_eq!(sorted(created.warnings), sorted([offline.warnings, expected.warnings].concat()), "{case}");

        let said = offline.audit_annotations.into_iter();
        let said: Vec<_> = said.map(|(key, value)| (format!("resources.spark-admission.io/{key}"), value)).collect();
        let events = here.audited(&created.body);
        assert_eq!(events[0].annotations().into_iter().collect::<Vec<_>>(), said, "{case}");
    }
    assert!(stored >= 24, "only {stored} were accepted");
}

#[tokio::test]
async fn a_manifest_that_is_applied_again_changes_nothing() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    for (case, resource) in resources() {
        if resource["metadata"]["name"].is_null() {
            continue;
        }
        let first = here.apply(&resource).await;
        if !first.is_success() {
            continue;
        }
        // Server-side apply, a patch with all of the manifest's spec as a three-way diff makes it of lists, and kubectl replace.
        let again = here.apply(&resource).await.object();
        assert_eq!(again["metadata"]["generation"], first.body["metadata"]["generation"], "{case}, applied");
        let patched = here.merge(&resource, &serde_json::json!({"spec": resource["spec"]})).await.object();
        assert_eq!(patched["metadata"]["generation"], first.body["metadata"]["generation"], "{case}, patched");
        let replaced = here.replace(&resource).await.object();
        assert_eq!(replaced["spec"], first.body["spec"], "{case}, replaced");
        let generation = &first.body["metadata"]["generation"];
        assert_eq!(&replaced["metadata"]["generation"], generation, "{case}, replaced");
    }
}

/// The manifests of Kubeflow's kinds among the fixtures, each with its file and name.
fn resources() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for file in fixtures("resources") {
        let text = fs::read_to_string(&file).unwrap();
        for document in text.split("\n---\n") {
            let object: Value = serde_saphyr::from_str(document).unwrap();
            if object["apiVersion"].as_str().unwrap().starts_with("sparkoperator.k8s.io/") {
                let mut object = object;
                object["metadata"].as_object_mut().unwrap().remove("namespace");
                let name = object["metadata"]["name"].as_str().unwrap_or("generated").to_owned();
                found.push((format!("{} {name}", file.file_name().unwrap().display()), object));
            }
        }
    }
    found
}
