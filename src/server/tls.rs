//! TLS: what the server offers, and a handshake that ends well or for a reason that has a name.

use std::{io, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use rustls::{
    AlertDescription, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::activity::{Activity, Watched};
use crate::certs::CurrentCertificate;

/// What the server offers in handshakes; the certificate and the clients' CA may change while it runs.
pub struct ServerTls {
    certificate: Arc<CurrentCertificate>,
    config: ArcSwap<ServerConfig>,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The cryptography lacks a protocol version.
    #[error("cannot offer TLS: {0}")]
    Versions(#[from] rustls::Error),
    /// The clients' CA.
    #[error("cannot check clients with this CA: {0}")]
    ClientAuthorities(#[from] VerifierBuilderError),
}

impl ServerTls {
    /// TLS 1.2 and 1.3, the post-quantum group first, HTTP/2 and HTTP/1.1. With authorities, clients must present a certificate that
    /// one of them signed.
    ///
    /// # Errors
    /// The authorities cannot be used.
    pub fn new(certificate: Arc<CurrentCertificate>, authorities: Option<RootCertStore>) -> Result<Self, TlsError> {
        let config = ArcSwap::from_pointee(config(&certificate, authorities)?);
        Ok(Self { certificate, config })
    }

    /// Checks clients with other authorities from the next handshake on; sessions of the old ones are not resumed.
    ///
    /// # Errors
    /// The authorities cannot be used; the old ones stay in force.
    pub fn trust(&self, authorities: RootCertStore) -> Result<(), TlsError> {
        self.config.store(Arc::new(config(&self.certificate, Some(authorities))?));
        Ok(())
    }

    /// The certificate in force.
    #[must_use]
    pub fn certificate(&self) -> &Arc<CurrentCertificate> {
        &self.certificate
    }

    /// Makes a TLS connection of a TCP connection, within a time.
    pub(super) async fn handshake(
        &self,
        tcp: TcpStream,
        activity: &Arc<Activity>,
        limit: Duration,
    ) -> Result<TlsStream<Watched>, HandshakeFailure> {
        let handshake = async {
            let tcp = refuse_plain_text(tcp).await?;
            let acceptor = TlsAcceptor::from(self.config.load_full());
            acceptor.accept(Watched::new(tcp, Arc::clone(activity))).await.map_err(|error| HandshakeFailure::of(&error))
        };
        timeout(limit, handshake).await.unwrap_or(Err(HandshakeFailure::Timeout))
    }
}

/// Whether the client chose HTTP/2.
pub(super) fn is_http2(stream: &TlsStream<Watched>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

fn config(certificate: &Arc<CurrentCertificate>, authorities: Option<RootCertStore>) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients: Arc<dyn ClientCertVerifier> = match authorities {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(authorities) => {
            WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider)).build()?
        }
    };
    let resolver: Arc<CurrentCertificate> = Arc::clone(certificate);
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(clients)
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The first byte of every TLS connection: a record of the handshake.
const HANDSHAKE_RECORD: u8 = 0x16;

const SPEAK_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n\
    this port speaks TLS: use https:// (probes and metrics are on the admin port)\n";

/// Looks at the first byte, so that who forgot the `s` of `https` reads a sentence instead of the bytes of an alert.
async fn refuse_plain_text(mut tcp: TcpStream) -> Result<TcpStream, HandshakeFailure> {
    let mut first = [0];
    match tcp.peek(&mut first).await {
        Ok(0) | Err(_) => Err(HandshakeFailure::Closed),
        Ok(_) if first[0] == HANDSHAKE_RECORD => Ok(tcp),
        Ok(_) if first[0].is_ascii_uppercase() => {
            // What is read is not answered with a reset, which would take the sentence with it.
            let _ = tcp.read(&mut [0; 4096]).await;
            let _ = tcp.write_all(SPEAK_TLS).await;
            let _ = tcp.shutdown().await;
            Err(HandshakeFailure::PlainHttp)
        }
        Ok(_) => Err(HandshakeFailure::NotTls),
    }
}

/// Why a handshake failed: a closed set, for the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HandshakeFailure {
    Timeout,
    /// The client went away; what a TCP probe does.
    Closed,
    PlainHttp,
    NotTls,
    /// No protocol version, cipher or group in common.
    NothingInCommon,
    /// The client's certificate is missing or not one of the CA's.
    ClientCertificate,
    /// The client does not trust this server: a wrong `caBundle`, or a name that the certificate lacks.
    ServerCertificateRefused,
    Other,
}

impl HandshakeFailure {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::PlainHttp => "plain-http",
            Self::NotTls => "not-tls",
            Self::NothingInCommon => "nothing-in-common",
            Self::ClientCertificate => "client-certificate",
            Self::ServerCertificateRefused => "server-certificate-refused",
            Self::Other => "other",
        }
    }

    fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|source| source.downcast_ref::<rustls::Error>()) {
            None => Self::Closed,
            Some(rustls::Error::PeerIncompatible(_)) => Self::NothingInCommon,
            Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
                Self::ClientCertificate
            }
            Some(rustls::Error::AlertReceived(alert)) if is_about_certificate(*alert) => Self::ServerCertificateRefused,
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            Some(_) => Self::Other,
        }
    }
}

fn is_about_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
    )
}
