//! What `serve` has to do with a cluster: which one it is, what is known of it, and how its API server comes to ask us.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{Error, files::Files};
use crate::{
    args::{Certificates, ServeArguments},
    cluster::{self, Cluster, FirstSync, Lookups, Pace, Place, Platform, Snapshots, WebhookUrl, labelling},
    policy::Snapshot,
    server::{Lifecycle, Stage, Webhook},
};

/// How often to look whether a node is to be labelled.
const LABEL_EVERY: Duration = Duration::from_secs(1);

/// The cluster that the server works for, where it works for one.
pub(super) async fn cluster_of(arguments: &ServeArguments) -> Result<Option<Cluster>, Error> {
    let chosen = &arguments.cluster;
    let (file, context) = (chosen.kubeconfig.as_deref(), chosen.context.as_deref());
    let is_asked_for = arguments.certificates == Some(Certificates::SelfManaged);
    match Place::chosen(file, context).or_else(|| is_asked_for.then(|| Place::of_kubectl(file, context))) {
        Some(place) => Ok(Some(Cluster::at(place).await?)),
        None if arguments.register || arguments.unregister => {
            Err(Error::Flags("--register and --unregister need a cluster: name one with --kubeconfig or --context"))
        }
        None => {
            if let Some(kubeconfig) = Place::unused_kubeconfig() {
                let kubeconfig = kubeconfig.display();
                tracing::info!(%kubeconfig, "no cluster is used, and the kubeconfig ignored: --kubeconfig or --context names one");
            }
            Ok(None)
        }
    }
}

/// Looks what the cluster serves, and keeps what is known of it current from here on.
pub(super) async fn know(cluster: &Cluster, webhook: &Arc<Webhook>, files: &Files) -> Result<FirstSync, Error> {
    let platform = Platform::of(cluster).await?;
    let Platform { openshift, karpenter } = platform;
    tracing::info!(openshift, karpenter, "the cluster answers");
    // The first review may come before the nodes are known, and is decided by this.
    webhook.snapshot.store(Arc::new(Snapshot { openshift, karpenter, ..Snapshot::default() }));
    webhook.lookups.get_or_init(|| Lookups::new(cluster.clone(), Arc::clone(&files.metrics)));
    let (decided_by, kept_current) = (Arc::clone(webhook), Arc::clone(webhook));
    let snapshots = Snapshots {
        cluster: cluster.clone(),
        platform,
        policy: Box::new(move || decided_by.policy.load_full()),
        policy_changed: files.changed.subscribe(),
        publish: Box::new(move |snapshot| kept_current.snapshot.store(Arc::new(snapshot))),
        metrics: Arc::clone(&files.metrics),
        pace: Pace::default(),
    };
    let labelled_by = Arc::clone(webhook);
    let known = move || (labelled_by.policy.load_full(), labelled_by.snapshot.load().nodes.clone());
    tokio::spawn(labelling::follow(cluster.clone(), LABEL_EVERY, known));
    Ok(snapshots.start())
}

/// Ready as soon as the cluster is known, or when that has taken too long.
pub(super) async fn ready_when_synced(mut first_sync: FirstSync, limit: Duration, lifecycle: Lifecycle) {
    if timeout(limit, first_sync.wait_for(|synced| *synced)).await.is_err() {
        tracing::warn!(
            ?limit,
            "the cluster is not known yet: ready without its nodes, and no pod is changed on their account"
        );
    }
    lifecycle.advance(Stage::Serving);
}

/// How the API server calls this server: as it was told, else where the server listens.
pub(super) fn url(arguments: &ServeArguments, listening: SocketAddr) -> Result<WebhookUrl, Error> {
    let anywhere = Error::Flags("--register needs to know how the API server reaches this server: say it with --url");
    match &arguments.url {
        Some(url) => Ok(url.clone()),
        None if listening.ip().is_unspecified() => Err(anywhere),
        None => format!("https://{listening}").parse().map_err(|_| anywhere),
    }
}

/// Removes what an earlier server registered, and says what that was.
pub(super) async fn unregister(arguments: &ServeArguments) -> Result<ExitCode, Error> {
    let name = &arguments.webhook_configuration;
    let Some(cluster) = cluster_of(arguments).await? else { return Ok(ExitCode::SUCCESS) };
    let removed = cluster::unregister(&cluster, name, arguments.instance.as_deref()).await?;
    for kind in &removed {
        println!("removed: {kind} {name}");
    }
    if removed.is_empty() {
        println!("nothing is registered under the name {name}");
    }
    Ok(ExitCode::SUCCESS)
}
