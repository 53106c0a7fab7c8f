//! What the doctor says of a platform: of a good one nothing, of a broken one what is broken; and its cures, as printed, cure it.

use serde_json::{Value, json};

use crate::cluster::platform::{CONTROLLER, Platform, WEBHOOK, deployment};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_good_platform_is_healthy() {
    let platform = Platform::installed().await;
    let jobs = platform.jobs.name.clone();
    let healthy = platform.doctor(&["-n", &jobs]);
    assert_eq!((healthy.status, healthy.found()), (0, vec![]), "{:#}", healthy.report);
    assert_eq!(healthy.report["notLookedAt"], json!([]), "{:#}", healthy.report);
}
