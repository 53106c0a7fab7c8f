//! What a client may take of the server.

use std::time::Duration;

/// The bounds of one port. A test sets smaller ones; the defaults are what production runs with.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest body, in bytes: an API request is at most 3 MiB, and a review carries the object and the old one.
    pub body_bytes: usize,
    /// How much memory all bodies together may take, in bytes, but for those of up to 64 KiB.
    pub body_memory: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
    /// How long a request's head may take from its first byte (HTTP/1).
    pub header: Duration,
    /// How long a request's body may take; a smaller `?timeout=` wins.
    pub body: Duration,
    /// How long a connection may be idle: longer than the 90 s for which the API server keeps one, so that it is the API server that
    /// closes and no review meets a connection that has just been closed.
    pub idle: Duration,
    /// How many connections may be open; a new one takes the place of the one that has been idle longest.
    pub connections: usize,
    /// How long a connection that was not yet told to go (`connection: close`) may still send its next review while the server stops.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 8 * 1024 * 1024,
            body_memory: 64 * 1024 * 1024,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(10),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(150),
            connections: 4096,
            farewell: Duration::from_millis(500),
        }
    }
}
