//! A small HTTPS client that shows what happened on the wire.

use std::{net::SocketAddr, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    body::Bytes,
    client::conn::{http1, http2},
    header::{HeaderMap, HeaderName},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::pki::Leaf;

/// How a client connects.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    config: Arc<ClientConfig>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name.parse::<HeaderName>().unwrap())?.to_str().ok()
    }
}

pub enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    /// TLS 1.3 and 1.2, HTTP/1.1.
    pub fn new(address: SocketAddr, ca_pem: &str) -> Self {
        Self::with(address, ca_pem, rustls::ALL_VERSIONS, None)
    }

    pub fn with(
        address: SocketAddr,
        ca_pem: &str,
        versions: &[&'static SupportedProtocolVersion],
        identity: Option<&Leaf>,
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(leaf) => {
                let chain = vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { address, config: Arc::new(config) }
    }

    pub fn http2(mut self) -> Self {
        Arc::make_mut(&mut self.config).alpn_protocols = vec![b"h2".to_vec()];
        self
    }

    pub async fn tls(&self) -> Result<TlsStream<TcpStream>, Failure> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(self.tls_over(tcp).await?)
    }

    pub async fn tls_over(&self, tcp: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::clone(&self.config)).connect(name, tcp).await
    }

    pub async fn connect(&self) -> Result<Connection, Failure> {
        Connection::over(self.tls().await?).await
    }

    /// One review on a connection of its own.
    pub async fn review(&self, uid: &str) -> Result<Answer, Failure> {
        self.connect().await?.review(uid).await
    }
}

impl Connection {
    pub async fn over(tls: TlsStream<TcpStream>) -> Result<Self, Failure> {
        if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await?;
            tokio::spawn(connection);
            return Ok(Self::Http2(sender));
        }
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await?;
        tokio::spawn(connection);
        Ok(Self::Http1(sender))
    }

    pub async fn review(&mut self, uid: &str) -> Result<Answer, Failure> {
        self.post("/mutate", "application/json", super::review(uid)).await
    }

    pub async fn post(&mut self, path: &str, content_type: &str, body: impl Into<Bytes>) -> Result<Answer, Failure> {
        let request = Request::post(path).header("host", "localhost").header("content-type", content_type);
        self.send(request.body(Full::new(body.into()))?).await
    }

    pub async fn send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        let response = match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                *request.uri_mut() = format!("https://localhost{}", request.uri()).parse()?;
                request.headers_mut().remove("host");
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, text })
    }

    /// Whether the other side has closed it.
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_closed(),
            Self::Http2(sender) => sender.is_closed(),
        }
    }

    /// Whether a request can be sent: not closed, and the last answer did not ask to go.
    pub async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}

/// A plain GET, for the admin port.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer, Failure> {
    let tcp = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", "localhost").body(Full::new(Bytes::new()))?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, text })
}
