//! A port: accepts connections, holds them to their limits, and ends without dropping a review.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use super::{
    activity::Watched,
    connection::Protocol,
    connections::{Admitted, Connections},
    lifecycle::Lifecycle,
    limits::Limits,
    tls::{self, HandshakeFailure, ServerTls},
};
use crate::metrics::Metrics;

/// A bound port that does not serve yet.
pub struct Listener {
    tcp: TcpListener,
    port: Arc<Port>,
    tasks: TaskTracker,
}

/// What the connections of a port share.
struct Port {
    tls: Option<Arc<ServerTls>>,
    protocol: Protocol,
    connections: Arc<Connections>,
    metrics: Arc<Metrics>,
    lifecycle: Lifecycle,
    limits: Limits,
    complained: Mutex<Option<Instant>>,
}

/// How long to wait when the kernel has no file descriptor for a new connection.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(50);

/// How often a certificate that clients refuse is worth a line.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);

impl Listener {
    /// Binds the port; without `tls` it speaks plain HTTP.
    ///
    /// # Errors
    /// The address is taken or not this machine's.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<Arc<ServerTls>>,
        router: Router,
        limits: Limits,
        metrics: Arc<Metrics>,
        lifecycle: Lifecycle,
    ) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let protocol = Protocol::new(router, lifecycle.clone(), limits.clone());
        let connections = Arc::new(Connections::new(limits.clone(), Arc::clone(&metrics)));
        let port =
            Arc::new(Port { tls, protocol, connections, metrics, lifecycle, limits, complained: Mutex::default() });
        Ok(Self { tcp, port, tasks: TaskTracker::new() })
    }

    /// Where it really listens.
    ///
    /// # Errors
    /// The socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until the lifecycle stops, and then until the last connection has ended.
    pub async fn run(self) {
        let connections = Arc::clone(&self.port.connections);
        tokio::select! {
            () = connections.close_overdue() => {}
            () = self.accept_and_drain() => {}
        }
    }

    async fn accept_and_drain(self) {
        let lifecycle = self.port.lifecycle.clone();
        let mut stopping = pin!(lifecycle.stopping());
        loop {
            tokio::select! {
                biased;
                () = &mut stopping => break,
                accepted = self.tcp.accept() => match accepted {
                    Ok((tcp, _)) => self.open(tcp).await,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                    }
                }
            }
        }
        self.accept_the_rest().await;
        drop(self.tcp);
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Takes what the kernel has accepted already: to those clients the connection stands, and closing the port would reset it.
    /// Asks the kernel itself: what the runtime knows of the port is from its last turn.
    async fn accept_the_rest(&self) {
        while let Ok((tcp, _)) = socket2::SockRef::from(&self.tcp).accept() {
            let tcp = tcp.set_nonblocking(true).and_then(|()| TcpStream::from_std(tcp.into()));
            if let Ok(tcp) = tcp {
                self.open(tcp).await;
            }
        }
    }

    async fn open(&self, tcp: TcpStream) {
        let admitted = self.port.connections.admit().await;
        let port = Arc::clone(&self.port);
        self.tasks.spawn(async move { port.serve(tcp, admitted).await });
    }
}

impl Port {
    async fn serve(&self, tcp: TcpStream, admitted: Admitted) {
        // Answers are small and complete: waiting to fill a segment would only add 40 ms.
        let _ = tcp.set_nodelay(true);
        let activity = &admitted.activity;
        let Some(tls) = &self.tls else {
            return self.protocol.serve(Watched::new(tcp, Arc::clone(activity)), false, activity).await;
        };
        let handshake = tokio::select! {
            biased;
            () = activity.closed() => return,
            handshake = tls.handshake(tcp, activity, self.limits.handshake) => handshake,
        };
        match handshake {
            Ok(stream) => {
                let http2 = tls::is_http2(&stream);
                self.protocol.serve(stream, http2, activity).await;
            }
            Err(failure) => self.complain(failure),
        }
    }

    /// Counts a failed handshake, and tells the administrator of the one kind that is theirs to cure; anybody can cause it, so once
    /// in a while must do.
    fn complain(&self, failure: HandshakeFailure) {
        self.metrics.handshake_failed(failure.name());
        tracing::debug!(reason = failure.name(), "no TLS");
        if failure != HandshakeFailure::ServerCertificateRefused {
            return;
        }
        let mut last = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() > COMPLAIN_EVERY) {
            *last = Some(Instant::now());
            tracing::warn!(
                "a client does not trust this server's certificate; is the CA that it was given (caBundle) the current one?"
            );
        }
    }
}
