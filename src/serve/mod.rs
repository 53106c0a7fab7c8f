//! The composition root of `serve`: puts the parts together, starts the tasks, and ends them in order.

mod announcement;
mod certificate;
mod cluster;
mod error;
mod files;
mod registrar;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use tokio::{runtime::Builder, sync::watch, task::JoinHandle, time::timeout};

use crate::signals::Signals;
use crate::{
    args::ServeArguments,
    metrics::{Metrics, Reloaded},
    policy::Policy,
    server::{Admin, Lifecycle, Limits, Listener, ServerTls, Stage, Webhook, admin_router, router},
    telemetry,
};
use announcement::announce;
use cluster::{cluster_of, know, ready_when_synced, unregister, url};
pub use error::Error;
use files::Files;
use registrar::Registrar;

/// Reviews take microseconds: more threads than this would only cost memory on a large node.
const THREADS: usize = 4;
/// File descriptors that are kept for everything but connections.
const OTHER_DESCRIPTORS: u64 = 64;
/// How long a cluster is given to take this replica out of its endpoints, where there is a cluster.
const DRAIN_DELAY: Duration = Duration::from_secs(10);

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
    let limits = limits();
    let files = Files { metrics: Arc::clone(&metrics), changed: watch::Sender::default() };

    let changed = files.changed.subscribe();
    let webhook = webhook(arguments, &files, &limits)?;
    // Before a certificate is made: a start that fails must not replace what another server uses.
    can_listen("--listen", arguments.listen)?;
    let cluster = cluster_of(arguments).await?;
    let lifecycle = if cluster.is_some() { Lifecycle::starting() } else { Lifecycle::default() };
    if let Some(cluster) = &cluster {
        let first_sync = know(cluster, &webhook, &files).await?;
        tokio::spawn(ready_when_synced(first_sync, arguments.sync_timeout, lifecycle.clone()));
    }
    let certificate = certificate::certificate(arguments, cluster.as_ref(), &files).await?;
    let tls = certificate::tls(arguments, &certificate, &files)?;
    let admin = Admin {
        metrics: Arc::clone(&metrics),
        lifecycle: lifecycle.clone(),
        certificate: Arc::clone(&certificate.current),
    };

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
            certificate: Arc::clone(&certificate.current),
            authorities: certificate.authorities.clone(),
        }),
        _ => None,
    };
    if let Some(registrar) = &registrar {
        registrar.register().await?;
    }
    announce(reviews.local_addr()?, probes.local_addr()?, certificate.standalone(), registrar.as_ref())?;
    if let Some(registrar) = registrar {
        tokio::spawn(registrar.keep(changed));
    }
    tokio::spawn(probes.run());
    let reviews = tokio::spawn(reviews.run());

    let first = signals.next().await;
    tracing::info!(signal = first.name, "shutting down");
    let delay =
        arguments.drain_delay.unwrap_or(if certificate.standalone().is_some() { Duration::ZERO } else { DRAIN_DELAY });
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
