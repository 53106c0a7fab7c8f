//! The signals that end the server.

use std::{future::pending, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end the server.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A signal, and the exit status that says so.
pub(super) struct Caught {
    pub(super) name: &'static str,
    pub(super) exit_code: u8,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(super) async fn next(&mut self) -> Caught {
        tokio::select! {
            Some(()) = self.terminate.recv() => Caught { name: "SIGTERM", exit_code: 128 + 15 },
            Some(()) = self.interrupt.recv() => Caught { name: "SIGINT", exit_code: 128 + 2 },
            else => pending().await,
        }
    }
}
