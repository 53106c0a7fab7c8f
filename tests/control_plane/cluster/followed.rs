//! The snapshot of the cluster as the server keeps it, in this process and in more of a hurry.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use hyper::Request;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use spark_admission::{
    cluster::{Cluster, Pace, Place, Platform, Snapshots},
    metrics::Metrics,
    policy::{Policy, Snapshot, nodes::Flag},
};
use tokio::sync::watch;

use crate::support;

pub struct Followed {
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    policy: Arc<ArcSwap<Policy>>,
    policy_changed: watch::Sender<()>,
    metrics: Arc<Metrics>,
}

impl Followed {
    /// Follows a cluster, under a policy with this `flaggedNodes`.
    pub async fn start(kubeconfig: PathBuf, flagged_nodes: &str) -> Self {
        let place = Place::Kubeconfig { file: Some(kubeconfig), context: None };
        let cluster = Cluster::with_patience(place, Duration::from_secs(3)).await.unwrap();
        let platform = Platform::of(&cluster).await.unwrap();
        let (snapshot, policy) =
            (Arc::<ArcSwap<Snapshot>>::default(), Arc::new(ArcSwap::from_pointee(policy(flagged_nodes))));
        let (published, decided_by) = (Arc::clone(&snapshot), Arc::clone(&policy));
        let (policy_changed, metrics) = (watch::Sender::default(), Arc::new(Metrics::default()));
        let mut first_sync = Snapshots {
            cluster,
            platform,
            policy: Box::new(move || decided_by.load_full()),
            policy_changed: policy_changed.subscribe(),
            publish: Box::new(move |snapshot| published.store(Arc::new(snapshot))),
            metrics: Arc::clone(&metrics),
            pace: Pace { watch_seconds: 2, platform: Duration::from_millis(100), ..Pace::default() },
        }
        .start();
        tokio::time::timeout(support::DEADLINE, first_sync.wait_for(|synced| *synced)).await.unwrap().unwrap();
        Self { snapshot, policy, policy_changed, metrics }
    }

    /// Whether the account of a kubeconfig may list nodes yet.
    pub async fn may_list_nodes(kubeconfig: &Path) -> bool {
        let options = KubeConfigOptions::default();
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let client = Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap()).unwrap();
        let nodes = Request::get("/api/v1/nodes?limit=1").body(Body::empty()).unwrap();
        client.send(nodes).await.unwrap().status().is_success()
    }

    /// Puts another `flaggedNodes` into force.
    pub fn change(&self, flagged_nodes: &str) {
        self.policy.store(Arc::new(policy(flagged_nodes)));
        self.policy_changed.send_replace(());
    }

    pub fn knows_nodes(&self) -> bool {
        self.snapshot.load().nodes.is_some()
    }

    /// What flags a node, by name; none where the node is not known.
    pub fn flags(&self, node: &str) -> Option<Vec<&'static str>> {
        let snapshot = self.snapshot.load();
        let (_, flags) = snapshot.nodes.as_ref()?.iter().find(|(known, _)| *known.name == *node)?;
        Some(flags.iter().map(Flag::name).collect())
    }

    pub fn metric(&self, line: &str) -> f64 {
        support::metric(&self.metrics.text(), line)
    }
}

fn policy(flagged_nodes: &str) -> Policy {
    let head = "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n";
    Policy::parse(&format!("{head}flaggedNodes: {{{flagged_nodes}}}\n")).unwrap()
}
