//! The server: reviews over TLS, probes and metrics beside it.
//!
//! ```text
//! Listener --accept--> Connections (a place each) --> ServerTls (handshake) --> Protocol (HTTP/1.1, HTTP/2) --> router --> review
//! ```
//! Promised: no client holds up another, a connection is closed only between reviews, and an accepted review is answered, also
//! while certificates change and the server goes.

mod activity;
mod admin;
mod body;
mod connection;
mod connections;
mod lifecycle;
mod limits;
mod listener;
mod tls;
mod webhook;

pub use admin::{Admin, admin_router};
pub use lifecycle::{Lifecycle, Stage};
pub use limits::Limits;
pub use listener::Listener;
pub use tls::{ServerTls, TlsError};
pub use webhook::{Decide, Webhook, router};
