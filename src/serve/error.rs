//! Why a server does not start, in sentences that say what to do.

use std::{io, net::SocketAddr, process::ExitCode};

use crate::{certs::StandaloneError, cluster, server::TlsError};

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
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// The API server would refuse the certificate.
    #[error(
        "the server's certificate is not for {host}, by which the API server is to call it: give one that is (--tls-cert), or another \
         --url"
    )]
    Host {
        /// The host of the URL.
        host: String,
    },
    /// There is nothing to register with.
    #[error("there is no certificate to register with; the log says why")]
    NoCertificate,
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
            Self::Standalone(_) | Self::NoCertificate | Self::Tls(_) | Self::Process(_) => ExitCode::FAILURE,
            Self::Flags(_) | Self::File { .. } | Self::Cluster(_) | Self::Host { .. } | Self::Listen { .. } => {
                ExitCode::from(2)
            }
        }
    }
}
