//! Every pod that real Spark sent, created for real: stored as the command `review` says offline, and nothing else.

use std::{collections::BTreeMap, fs};

use serde_json::Value;

use crate::{
    cluster::{Namespace, Registered},
    offline::{comparable, fixtures, review, sorted},
};

#[tokio::test]
async fn every_pod_of_spark_3_5_is_stored_as_review_says() {
    every_pod_is_stored_as_review_says("captured/3.5.9", 36).await;
}

#[tokio::test]
async fn every_pod_of_spark_4_is_stored_as_review_says() {
    every_pod_is_stored_as_review_says("captured/4.3.0", 38).await;
}

/// What Spark sent here no API server takes, with or without a webhook: a sizeLimit of `1g`, which is no quantity, and a request above
/// the template's limit.
const REFUSED: [(&str, u16); 2] = [("sizelimit-512m--exec1.json", 400), ("template-nocname--driver.json", 422)];

async fn every_pod_is_stored_as_review_says(folder: &str, at_least: usize) {
    // What `review` makes of a pod, stored where no webhook is asked, is what the webhook must make of it.
    let (here, plain) = (Namespace::new().await, Namespace::new().await);
    let _webhook = Registered::real(&here).await;
    let mut pods = 0;
    for file in fixtures(folder) {
        let case = file.file_name().unwrap().to_str().unwrap();
        let pod: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        if pod["kind"] != "Pod" {
            continue;
        }
        let offline = review(&pod, &here.name);
        assert!(offline.allowed, "{case}");

        let expected = plain.create(&offline.after).await;
        let stored = here.create(&pod).await;
        if let Some((_, status)) = REFUSED.iter().find(|(refused, _)| *refused == case) {
            assert_eq!([expected.status, stored.status], [*status; 2], "{case}");
            assert_eq!(stored.message(), expected.message(), "{case}");
            continue;
        }
        assert!(expected.is_success(), "{case}: {}", expected.message());
        assert!(stored.is_success(), "{case}: {}", stored.message());
        pods += 1;
        assert_eq!(comparable(stored.body), comparable(expected.body), "{case}");

        // The API server has warnings of its own.
        assert_eq!(sorted(stored.warnings), sorted([offline.warnings, expected.warnings].concat()), "{case}");

        let role = pod["metadata"]["labels"]["spark-role"].as_str().unwrap();
        let webhook = if role == "executor" { "executors" } else { "pods" };
        let said = offline.audit_annotations.into_iter();
        let said: BTreeMap<_, _> =
            said.map(|(key, value)| (format!("{webhook}.spark-admission.io/{key}"), value)).collect();
        let events = here.audited(&pod);
        assert_eq!(events.len(), 1, "{case}");
        assert_eq!(events[0].annotations(), said, "{case}");
        let called = (format!("0 {webhook}.spark-admission.io"), offline.after != pod);
        assert_eq!(events[0].calls(), [called], "{case}");
    }
    assert!(pods >= at_least, "only {pods} pods in {folder}");
}
