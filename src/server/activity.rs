//! What a connection is doing: what time limits, eviction and the drain decide by.
//!
//! hyper's own timer for reading a head also runs while a kept connection is idle, so it would close the API server's idle
//! connections after seconds (hyper 1.12, `Conn::poll_read_head`). The bytes are therefore watched here, below TLS.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
};

use super::limits::Limits;

/// What one connection is doing. Its own task writes, the registry of connections reads.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    /// When the present state began, in milliseconds after `opened`.
    since: AtomicU64,
    in_flight: AtomicU32,
    /// Whether bytes tell of a request: so over HTTP/1 after the handshake, not over HTTP/2, where pings and settings come too.
    bytes_are_requests: AtomicBool,
    /// Whether bytes of a request have come whose head is not complete.
    in_head: AtomicBool,
    leaving: AtomicBool,
    /// Whether the socket held unread bytes when it was last looked at.
    unread: AtomicBool,
    close: Notify,
    /// Told when a review ends: whoever waits for a place may take this connection's now.
    idle: Arc<Notify>,
}

impl Activity {
    pub(super) fn new(idle: Arc<Notify>) -> Self {
        Self {
            opened: Instant::now(),
            since: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            bytes_are_requests: AtomicBool::new(false),
            in_head: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            unread: AtomicBool::new(true),
            close: Notify::new(),
            idle,
        }
    }

    fn begin_state(&self) {
        self.since.store(u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The handshake is over.
    pub(super) fn connected(&self, http2: bool) {
        self.begin_state();
        self.bytes_are_requests.store(!http2, Relaxed);
    }

    fn heard(&self) {
        if self.bytes_are_requests.load(Relaxed)
            && self.in_flight.load(Relaxed) == 0
            && !self.in_head.swap(true, Relaxed)
        {
            self.begin_state();
        }
    }

    /// A request's head is complete; its review is in flight until the guard is dropped.
    pub(super) fn begin_review(self: &Arc<Self>) -> ReviewInFlight {
        self.in_head.store(false, Relaxed);
        self.in_flight.fetch_add(1, Relaxed);
        ReviewInFlight(Arc::clone(self))
    }

    pub(super) fn has_review_in_flight(&self) -> bool {
        self.in_flight.load(Relaxed) > 0
    }

    /// Since when nothing has been in flight; `None` while something is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (!self.has_review_in_flight()).then(|| self.opened + Duration::from_millis(self.since.load(Relaxed)))
    }

    /// Whether the connection has taken longer for what it does than it may.
    pub(super) fn is_overdue(&self, now: Instant, limits: &Limits) -> bool {
        let allowed = if self.in_head.load(Relaxed) { limits.header } else { limits.idle };
        self.idle_since().is_some_and(|since| now.saturating_duration_since(since) > allowed)
    }

    /// Asks the connection's task to close it, after what is in flight.
    pub(super) fn close(&self) {
        self.close.notify_one();
    }

    /// Returns once somebody asked to close.
    pub(super) async fn closed(&self) {
        self.close.notified().await;
    }

    /// From now on every read that finds nothing looks into the socket itself.
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
    }

    /// Whether no request is in flight, in parts, or unread in the socket.
    pub(super) fn is_quiet(&self) -> bool {
        !self.has_review_in_flight() && !self.in_head.load(Relaxed) && !self.unread.load(Relaxed)
    }
}

/// Keeps its connection from counting as idle.
pub(super) struct ReviewInFlight(Arc<Activity>);

impl Drop for ReviewInFlight {
    fn drop(&mut self) {
        self.0.begin_state();
        if self.0.in_flight.fetch_sub(1, Relaxed) == 1 {
            self.0.idle.notify_one();
        }
    }
}

/// A TCP stream that tells its connection's [`Activity`] of what is read.
#[derive(Debug)]
pub(super) struct Watched {
    tcp: TcpStream,
    activity: Arc<Activity>,
}

impl Watched {
    pub(super) fn new(tcp: TcpStream, activity: Arc<Activity>) -> Self {
        Self { tcp, activity }
    }

    /// Whether bytes wait in the socket. Asks the kernel: what the runtime knows is from its last turn.
    fn has_unread(&self) -> bool {
        socket2::SockRef::from(&self.tcp).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0)
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.tcp).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.heard();
        } else if read.is_pending() && self.activity.leaving.load(Relaxed) {
            self.activity.unread.store(self.has_unread(), Relaxed);
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}
