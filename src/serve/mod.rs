//! The composition root of `serve`: puts the parts together, starts the tasks, and ends them in order.

mod announcement;
mod certificate;
mod error;
mod files;
mod registrar;
mod signals;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use tokio::{runtime::Builder, sync::Notify, task::JoinHandle, time::timeout};

use crate::{
    args::ServeArguments,
    cluster::{self, Cluster, Place, WebhookUrl, openshift},
    metrics::{Metrics, Reloaded},
    policy::{Policy, Snapshot},
    server::{Admin, Lifecycle, Limits, Listener, ServerTls, Stage, Webhook, admin_router, router},
    telemetry,
};
use announcement::announce;
pub use error::Error;
use files::Files;
use registrar::Registrar;
use signals::Signals;

/// Reviews take microseconds: more threads than this would only cost memory on a large node.
const THREADS: usize = 4;
/// File descriptors that are kept for everything but connections.
const OTHER_DESCRIPTORS: u64 = 64;
/// How long a cluster is given to take this replica out of its endpoints, where there is a cluster.
const DRAIN_DELAY: Duration = Duration::from_secs(10);
/// How often to look whether the cluster has become, or is no longer, OpenShift.
const OPENSHIFT_EVERY: Duration = Duration::from_mins(10);

/// Runs the server until it is told to go.
///
/// # Errors
/// Why it could not start.
pub fn serve(arguments: &ServeArguments) -> Result<ExitCode, Error> {
    telemetry::start(arguments.log_format, arguments.log_level)?;
    let threads = std::thread::available_parallelism().map_or(THREADS, |cores| cores.get().min(THREADS));
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let ended = runtime.block_on(async {
        if arguments.unregister { unregister(arguments).await } else { serve_until_told(arguments).await }
    });
    // Without waiting for what was not finished in its time.
    runtime.shutdown_background();
    telemetry::flush();
    ended
}

async fn serve_until_told(arguments: &ServeArguments) -> Result<ExitCode, Error> {
    // Before anything is printed: who reads the address may send a signal at once.
    let mut signals = Signals::listen()?;
    let metrics = Arc::new(Metrics::default());
    let lifecycle = Lifecycle::default();
    let limits = limits();
    let files = Files { metrics: Arc::clone(&metrics), changed: Arc::new(Notify::new()) };

    let webhook = webhook(arguments, &files, &limits)?;
    // Before a certificate is made: a start that fails must not replace what another server uses.
    can_listen("--listen", arguments.listen)?;
    let cluster = cluster_of(arguments).await?;
    if let Some(cluster) = &cluster {
        follow_openshift(cluster, &webhook).await?;
    }
    let (tls, standalone) = certificate::tls(arguments, &files)?;
    let certificate = Arc::clone(tls.certificate());
    let admin =
        Admin { metrics: Arc::clone(&metrics), lifecycle: lifecycle.clone(), certificate: Arc::clone(&certificate) };

    let router = router(Arc::clone(&webhook));
    let reviews = listen("--listen", arguments.listen, Some(tls), router, &limits, &metrics, &lifecycle).await?;
    // The admin port ends with the process: probes and metrics are there while reviews are finished. Its connections are not the
    // webhook's, and so not in its metrics.
    let own_metrics = Arc::new(Metrics::default());
    let probes = listen(
        "--admin-listen",
        arguments.admin_listen,
        None,
        admin_router(admin),
        &limits,
        &own_metrics,
        &Lifecycle::default(),
    )
    .await?;
    let registrar = match cluster {
        Some(cluster) if arguments.register => Some(Registrar {
            cluster,
            name: arguments.webhook_configuration.clone(),
            url: url(arguments, reviews.local_addr()?)?,
            webhook,
            certificate,
            standalone: standalone.clone(),
        }),
        _ => None,
    };
    if let Some(registrar) = &registrar {
        registrar.register().await?;
    }
    announce(reviews.local_addr()?, probes.local_addr()?, standalone.as_ref(), registrar.as_ref())?;
    if let Some(registrar) = registrar {
        tokio::spawn(registrar.keep(files.changed));
    }
    tokio::spawn(probes.run());
    let reviews = tokio::spawn(reviews.run());

    let first = signals.next().await;
    tracing::info!(signal = first.name, "shutting down");
    let delay = arguments.drain_delay.unwrap_or(if standalone.is_some() { Duration::ZERO } else { DRAIN_DELAY });
    tokio::select! {
        () = drain(&lifecycle, reviews, delay, arguments.drain_timeout) => Ok(ExitCode::SUCCESS),
        second = signals.next() => {
            tracing::warn!(signal = second.name, "a second signal: ending at once");
            Ok(ExitCode::from(second.exit_code))
        }
    }
}

/// Not ready at once, serving while endpoints change, then finishing what is in flight.
async fn drain(lifecycle: &Lifecycle, reviews: JoinHandle<()>, delay: Duration, limit: Duration) {
    lifecycle.advance(Stage::Draining);
    tokio::time::sleep(delay).await;
    lifecycle.advance(Stage::Stopping);
    if timeout(limit, reviews).await.is_ok() {
        tracing::info!("all reviews finished");
    } else {
        tracing::warn!(?limit, "some connections did not finish in time");
    }
}

/// The cluster that the server works for, where it works for one.
async fn cluster_of(arguments: &ServeArguments) -> Result<Option<Cluster>, Error> {
    let chosen = &arguments.cluster;
    match Place::chosen(chosen.kubeconfig.as_deref(), chosen.context.as_deref()) {
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

/// Looks whether the cluster is OpenShift, and goes on looking.
async fn follow_openshift(cluster: &Cluster, webhook: &Arc<Webhook>) -> Result<(), Error> {
    let openshift = openshift::is_served(cluster).await?;
    tracing::info!(openshift, "the cluster answers");
    let webhook = Arc::clone(webhook);
    let know = move |openshift| {
        webhook.snapshot.rcu(|known| Snapshot { openshift, ..Snapshot::clone(known) });
    };
    know(openshift);
    tokio::spawn(openshift::follow(cluster.clone(), openshift, OPENSHIFT_EVERY, know));
    Ok(())
}

/// How the API server calls this server: as it was told, else where the server listens.
fn url(arguments: &ServeArguments, listening: SocketAddr) -> Result<WebhookUrl, Error> {
    let anywhere = Error::Flags("--register needs to know how the API server reaches this server: say it with --url");
    match &arguments.url {
        Some(url) => Ok(url.clone()),
        None if listening.ip().is_unspecified() => Err(anywhere),
        None => format!("https://{listening}").parse().map_err(|_| anywhere),
    }
}

/// Removes what an earlier server registered, and says what that was.
async fn unregister(arguments: &ServeArguments) -> Result<ExitCode, Error> {
    let name = &arguments.webhook_configuration;
    let Some(cluster) = cluster_of(arguments).await? else { return Ok(ExitCode::SUCCESS) };
    let removed = cluster::unregister(&cluster, name).await?;
    for kind in &removed {
        println!("removed: {kind} {name}");
    }
    if removed.is_empty() {
        println!("nothing is registered under the name {name}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The policy and what answers reviews by it; the file is followed from here on.
fn webhook(arguments: &ServeArguments, files: &Files, limits: &Limits) -> Result<Arc<Webhook>, Error> {
    let Some(file) = &arguments.policy else {
        return Ok(Arc::new(Webhook::new(Policy::default(), Arc::clone(&files.metrics), limits)));
    };
    let (source, policy) =
        Files::load(("the policy", "--policy"), Reloaded::Policy, vec![file.clone()], |bytes| policy(&bytes[0]))?;
    let webhook = Arc::new(Webhook::new(policy, Arc::clone(&files.metrics), limits));
    let followed = Arc::clone(&webhook);
    files.follow(source, move |policy| followed.policy.store(Arc::new(policy)));
    Ok(webhook)
}

fn policy(bytes: &[u8]) -> Result<Policy, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8 text: {error}"))?;
    Policy::parse(text).map_err(|error| error.to_string())
}

/// Whether the address is free and this machine's own.
fn can_listen(flag: &'static str, address: SocketAddr) -> Result<(), Error> {
    std::net::TcpListener::bind(address).map(drop).map_err(|source| Error::Listen { address, source, flag })
}

async fn listen(
    flag: &'static str,
    address: SocketAddr,
    tls: Option<Arc<ServerTls>>,
    router: axum::Router,
    limits: &Limits,
    metrics: &Arc<Metrics>,
    lifecycle: &Lifecycle,
) -> Result<Listener, Error> {
    Listener::bind(address, tls, router, limits.clone(), Arc::clone(metrics), lifecycle.clone())
        .await
        .map_err(|source| Error::Listen { address, source, flag })
}

/// The default limits, and no more connections than there are file descriptors for.
fn limits() -> Limits {
    let mut limits = Limits::default();
    if let Ok(descriptors) = rlimit::increase_nofile_limit(u64::MAX) {
        let room = usize::try_from(descriptors.saturating_sub(OTHER_DESCRIPTORS)).unwrap_or(usize::MAX);
        limits.connections = limits.connections.min(room.max(1));
    }
    limits
}
