//! Every pod that real Spark sent, created for real.

use std::fs;

use serde_json::Value;

use crate::{agreement::Agreement, offline::fixtures};

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
    let agreement = Agreement::new().await;
    let mut stored = 0;
    for file in fixtures(folder) {
        let case = file.file_name().unwrap().to_str().unwrap();
        let pod: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        if pod["kind"] != "Pod" {
            continue;
        }
        let refused = REFUSED.iter().find(|(refused, _)| *refused == case);
        let status = agreement.create(case, &pod).await;
        assert_eq!(status, refused.map_or(201, |(_, status)| *status), "{case}");
        stored += usize::from(status == 201);
    }
    assert!(stored >= at_least, "only {stored} pods of {folder}");
}
