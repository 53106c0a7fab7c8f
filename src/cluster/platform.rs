//! What kind of cluster it is: the API groups that it serves tell.

use std::time::Duration;

use tokio::sync::watch;

use super::{Cluster, Error};

/// Served by OpenShift, and by nobody else.
const OPENSHIFT: &str = "security.openshift.io";
/// Served by Karpenter, with the resource that it makes nodes by.
const KARPENTER: (&str, &str) = ("karpenter.sh", "nodepools");

/// What the cluster is, as far as decisions depend on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Platform {
    /// OpenShift, which gives each namespace user ids of its own.
    pub openshift: bool,
    /// Karpenter makes nodes for pods that wait for one.
    pub karpenter: bool,
}

impl Platform {
    /// What it is now.
    ///
    /// # Errors
    /// Nobody answered.
    pub async fn of(cluster: &Cluster) -> Result<Self, Error> {
        let (group, resource) = KARPENTER;
        Ok(Self {
            openshift: !cluster.versions(OPENSHIFT).await?.is_empty(),
            karpenter: cluster.serves(group, resource).await?,
        })
    }

    /// Looks again and again, for ever, and tells of each change. While nobody answers, what was seen last stays true.
    pub async fn follow(cluster: Cluster, every: Duration, platform: watch::Sender<Self>) {
        loop {
            tokio::time::sleep(every).await;
            let seen = *platform.borrow();
            let Self { openshift, karpenter } = seen;
            match Self::of(&cluster).await {
                Ok(now) if now == seen => {}
                Ok(now) => {
                    let Self { openshift, karpenter } = now;
                    tracing::info!(openshift, karpenter, "what the cluster serves has changed");
                    platform.send_replace(now);
                }
                Err(error) => {
                    tracing::warn!(%error, openshift, karpenter, "cannot look what the cluster serves; what was seen last stays true");
                }
            }
        }
    }
}
