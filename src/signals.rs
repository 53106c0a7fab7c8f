//! The signals that end whatever runs until it is told to stop.

use std::{future::pending, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end whatever runs until it is told to stop.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A signal, and the exit status that says so.
pub(crate) struct Caught {
    pub(crate) name: &'static str,
    pub(crate) exit_code: u8,
}

impl Signals {
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    pub(crate) async fn next(&mut self) -> Caught {
        tokio::select! {
            Some(()) = self.terminate.recv() => Caught { name: "SIGTERM", exit_code: 128 + 15 },
            Some(()) = self.interrupt.recv() => Caught { name: "SIGINT", exit_code: 128 + 2 },
            else => pending().await,
        }
    }
}
