//! The composition root of `serve`: puts the parts together, starts the tasks, and ends them in order.

use std::{
    future::pending,
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustls::RootCertStore;
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    args::{Certificates, ServeArguments},
    certs::{CurrentCertificate, Pair, Standalone, StandaloneError, client_authorities},
    metrics::{Metrics, Reloaded},
    policy::Policy,
    reload::{self, Source},
    server::{Admin, Lifecycle, Limits, Listener, ServerTls, Stage, TlsError, Webhook, admin_router, router},
    telemetry,
};

/// Reviews take microseconds: more threads than this would only cost memory on a large node.
const THREADS: usize = 4;
/// File descriptors that are kept for everything but connections.
const OTHER_DESCRIPTORS: u64 = 64;
/// How long a cluster is given to take this replica out of its endpoints, where there is a cluster.
const DRAIN_DELAY: Duration = Duration::from_secs(10);
/// How often a standalone server looks whether it needs another certificate.
const RENEW_EVERY: Duration = Duration::from_hours(24);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Flags that do not go together.
    #[error("{0}")]
    Flags(&'static str),
    /// A file that was given is bad.
    #[error("cannot use {what}: {why}; correct the file or the flag {flag}, and start again")]
    File {
        /// What the file is for.
        what: &'static str,
        /// What is wrong with it.
        why: String,
        /// The flag that named it.
        flag: &'static str,
    },
    /// A standalone server's own certificate.
    #[error(transparent)]
    Standalone(#[from] StandaloneError),
    /// TLS itself.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A port.
    #[error("cannot listen on {address}: {source}; stop what listens there, or choose another address with {flag}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
        /// The flag that named it.
        flag: &'static str,
    },
    /// The process itself.
    #[error("cannot start, the system says: {0}")]
    Process(#[from] io::Error),
}

impl Error {
    /// 2 where what was given is wrong, else 1.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Flags(_) | Self::File { .. } => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

/// Runs the server until it is told to go.
///
/// # Errors
/// Why it could not start.
pub fn serve(arguments: &ServeArguments) -> Result<ExitCode, Error> {
    telemetry::start(arguments.log_format, arguments.log_level)?;
    let threads = std::thread::available_parallelism().map_or(THREADS, |cores| cores.get().min(THREADS));
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let ended = runtime.block_on(serve_until_told(arguments));
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
    if std::env::var_os("KUBECONFIG").is_some() {
        tracing::info!("KUBECONFIG is set and ignored: serve does not use it");
    }

    let webhook = webhook(arguments, &metrics, &limits)?;
    // Before a certificate is made: a start that fails must not replace what another server uses.
    can_listen("--listen", arguments.listen)?;
    let (tls, standalone) = tls(arguments, &metrics)?;
    let admin = Admin {
        metrics: Arc::clone(&metrics),
        lifecycle: lifecycle.clone(),
        certificate: Arc::clone(tls.certificate()),
    };

    let reviews =
        listen("--listen", arguments.listen, Some(tls), router(webhook), &limits, &metrics, &lifecycle).await?;
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
    announce(reviews.local_addr()?, probes.local_addr()?, standalone.as_ref())?;
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

/// The policy and what answers reviews by it; the file is followed from here on.
fn webhook(arguments: &ServeArguments, metrics: &Arc<Metrics>, limits: &Limits) -> Result<Arc<Webhook>, Error> {
    let Some(file) = &arguments.policy else {
        return Ok(Arc::new(Webhook::new(Policy::default(), Arc::clone(metrics), limits)));
    };
    let (source, policy) =
        load("the policy", "--policy", Reloaded::Policy, vec![file.clone()], |bytes| policy(&bytes[0]))?;
    let webhook = Arc::new(Webhook::new(policy, Arc::clone(metrics), limits));
    let followed = Arc::clone(&webhook);
    follow(source, metrics, move |policy| followed.policy.store(Arc::new(policy)));
    Ok(webhook)
}

fn policy(bytes: &[u8]) -> Result<Policy, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8 text: {error}"))?;
    Policy::parse(text).map_err(|error| error.to_string())
}

/// The certificate and the clients' CA; their files are followed from here on.
fn tls(arguments: &ServeArguments, metrics: &Arc<Metrics>) -> Result<(Arc<ServerTls>, Option<Standalone>), Error> {
    let (files, standalone) = certificate_files(arguments)?;
    let (source, pair) = load("the certificate", "--tls-cert or --tls-key", Reloaded::Certificate, files, |bytes| {
        Pair::from_pem(&bytes[0], &bytes[1]).map_err(|error| error.to_string())
    })?;
    if let Some(why) = pair.why_invalid(SystemTime::now()) {
        tracing::error!(why, "clients will refuse this certificate");
    }
    metrics.certificate_expires(pair.not_after);
    let certificate = Arc::new(CurrentCertificate::new(pair));
    let authorities = arguments.client_ca.as_ref().map(|file| {
        load("the clients' CA", "--client-ca", Reloaded::ClientCa, vec![file.clone()], |bytes| {
            client_authorities(&bytes[0])
        })
    });
    let (authorities, authorities_now) = authorities.transpose()?.unzip();
    let tls = Arc::new(ServerTls::new(Arc::clone(&certificate), authorities_now)?);

    let gauge = Arc::clone(metrics);
    follow(source, metrics, move |pair: Pair| {
        gauge.certificate_expires(pair.not_after);
        certificate.replace(pair);
    });
    if let Some(authorities) = authorities {
        let followed = Arc::clone(&tls);
        follow(authorities, metrics, move |authorities: RootCertStore| {
            if let Err(error) = followed.trust(authorities) {
                tracing::error!(%error, "the last good CA stays in force");
            }
        });
    }
    Ok((tls, standalone))
}

/// The certificate's and the key's file: given, or a standalone server's own, which are renewed from here on.
fn certificate_files(arguments: &ServeArguments) -> Result<(Vec<PathBuf>, Option<Standalone>), Error> {
    match (arguments.certificates, &arguments.tls_cert, &arguments.tls_key) {
        (Some(Certificates::Standalone), Some(_), _) => {
            Err(Error::Flags("--certificates standalone makes its own: leave out --tls-cert"))
        }
        (_, Some(certificate), Some(key)) => Ok((vec![certificate.clone(), key.clone()], None)),
        (Some(Certificates::Files), ..) => Err(Error::Flags("--certificates files needs --tls-cert and --tls-key")),
        _ => {
            let directory = arguments.state_dir.clone().or_else(default_state_dir).ok_or(Error::Flags(
                "there is no home directory for a standalone server's certificates: give a directory with --state-dir, or --tls-cert",
            ))?;
            let host = arguments.listen.ip();
            let standalone = Standalone::ensure(&directory, host)?;
            tokio::spawn(Standalone::keep(directory, host, RENEW_EVERY));
            Ok((vec![standalone.certificate.clone(), standalone.key.clone()], Some(standalone)))
        }
    }
}

/// The XDG base directory for state.
fn default_state_dir() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = given.or_else(|| Some(std::env::home_dir()?.join(".local/state")))?;
    Some(state.join("spark-admission"))
}

fn load<T>(
    what: &'static str,
    flag: &'static str,
    reloaded: Reloaded,
    files: Vec<PathBuf>,
    parse: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
) -> Result<(Source<T>, T), Error> {
    Source::load(reloaded, files, parse).map_err(|why| Error::File { what, why, flag })
}

fn follow<T: Send + 'static>(source: Source<T>, metrics: &Arc<Metrics>, apply: impl Fn(T) + Send + 'static) {
    tokio::spawn(reload::follow(source, reload::EVERY, Arc::clone(metrics), apply));
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

/// Says on standard output where the server is, and how to try a standalone one.
fn announce(reviews: SocketAddr, probes: SocketAddr, standalone: Option<&Standalone>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "reviews: https://{reviews}/mutate and /validate")?;
    writeln!(out, "probes and metrics: http://{probes}/livez, /readyz and /metrics")?;
    if let Some(standalone) = standalone {
        let ca = standalone.ca.display().to_string();
        writeln!(out, "certificate authority: {ca}")?;
        writeln!(out, "try it:\n  {}", curl_line(&ca, reviews))?;
    }
    out.flush()
}

const EXAMPLE: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"hello","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","namespace":"default","userInfo":{"username":"me"},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"pi-driver","labels":{"spark-role":"driver"}},"spec":{"containers":[{"name":"spark-kubernetes-driver","image":"apache/spark:3.5.9"}]}}}}"#;

fn curl_line(ca: &str, reviews: SocketAddr) -> String {
    let mut address = reviews;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    let ca = ca.replace('\'', r"'\''");
    format!("curl --cacert '{ca}' -H 'content-type: application/json' -d '{EXAMPLE}' https://{address}/mutate")
}

/// The signals that end the server.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A signal, and the exit status that says so.
struct Caught {
    name: &'static str,
    exit_code: u8,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> Caught {
        tokio::select! {
            Some(()) = self.terminate.recv() => Caught { name: "SIGTERM", exit_code: 128 + 15 },
            Some(()) = self.interrupt.recv() => Caught { name: "SIGINT", exit_code: 128 + 2 },
            else => pending().await,
        }
    }
}
