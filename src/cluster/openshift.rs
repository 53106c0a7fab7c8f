//! Whether the cluster is OpenShift, which gives each namespace user ids of its own.

use std::time::Duration;

use super::{Cluster, Error};

/// Served by OpenShift, and by nobody else.
const GROUP: &str = "security.openshift.io";

/// Whether it is OpenShift now.
///
/// # Errors
/// Nobody answered.
pub async fn is_served(cluster: &Cluster) -> Result<bool, Error> {
    cluster.serves(GROUP).await
}

/// Looks again and again, for ever, and tells of each change. While nobody answers, what was seen last stays true.
pub async fn follow(cluster: Cluster, mut openshift: bool, every: Duration, changed: impl Fn(bool)) {
    loop {
        tokio::time::sleep(every).await;
        match is_served(&cluster).await {
            Ok(now) if now == openshift => {}
            Ok(now) => {
                openshift = now;
                tracing::info!(openshift, "the API group {GROUP} has come or gone");
                changed(openshift);
            }
            Err(error) => tracing::warn!(%error, openshift, "cannot look for OpenShift; what was seen last stays true"),
        }
    }
}
