//! A repository of charts in the place of Kubeflow's: whoever goes through its proxy and trusts its CA finds the operator's chart at the
//! address that everybody else does, in the same form.
//!
//! ```text
//! helm ── CONNECT kubeflow.github.io:443 ──▶ proxy ── TLS as that host ──▶ index.yaml, and packages at github.com
//! ```

use std::{
    convert::Infallible,
    fs,
    future::ready,
    path::{Path, PathBuf},
};

use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{Cluster, kubelet::acceptor, programs};
use crate::support::pki::Ca;

/// Where the index is, and where it says that packages are.
const HOSTS: [&str; 2] = ["kubeflow.github.io", "github.com"];
const INDEX: &str = "/spark-operator/index.yaml";
const PACKAGES: &str = "/kubeflow/spark-operator/releases/download";

/// A repository that serves; ended when dropped.
pub struct ChartRepository {
    proxy: String,
    authority: PathBuf,
    serving: JoinHandle<()>,
}

impl ChartRepository {
    /// One with these charts of the operator, by the names that `scripts/control-plane` gives them.
    pub async fn start(cluster: &'static Cluster, charts: &'static [&'static str]) -> Self {
        let folder = cluster.scratch();
        let found = programs(charts).await.unwrap();
        for name in charts {
            let (chart, folder) = (found.path(name).display(), folder.display());
            cluster.shell(&format!("helm package {chart} --destination {folder}")).await;
        }
        let index = format!("helm repo index {} --url https://{}{PACKAGES}", folder.display(), HOSTS[1]);
        cluster.shell(&index).await;
        let ca = Ca::new("chart-repository");
        let authority = folder.join("ca.crt");
        fs::write(&authority, &ca.pem).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(serve(listener, acceptor(&ca.server(&HOSTS)), folder));
        Self { proxy, authority, serving }
    }

    /// What a program must have in its environment to get there.
    pub fn environment(&self) -> [(&'static str, String); 3] {
        let authority = self.authority.display().to_string();
        [("HTTPS_PROXY", self.proxy.clone()), ("NO_PROXY", "127.0.0.1".to_owned()), ("SSL_CERT_FILE", authority)]
    }
}

impl Drop for ChartRepository {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, folder: PathBuf) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(connect(stream, acceptor.clone(), folder.clone()));
    }
}

/// One connection through the proxy, to one of the hosts.
async fn connect(stream: TcpStream, acceptor: TlsAcceptor, folder: PathBuf) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let host = head.strip_prefix("CONNECT ")?.split(':').next()?;
    let status = if HOSTS.contains(&host) { "200 OK" } else { "502 Bad Gateway" };
    stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).await.ok()?;
    let tls = acceptor.accept(stream).await.ok()?;
    let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(&request, &folder))));
    http1::Builder::new().serve_connection(TokioIo::new(tls), service).await.ok()
}

fn answer(request: &Request<Incoming>, folder: &Path) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let package = path.strip_prefix(PACKAGES).map(|name| name.trim_start_matches('/'));
    file(&folder.join(if path == INDEX { "index.yaml" } else { package.unwrap_or("none") }))
}

/// The answer with a file, or that it is not there.
pub(super) fn file(path: &Path) -> Response<Full<Bytes>> {
    let content = fs::read(path);
    let status = if content.is_ok() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::from(content.unwrap_or_default()));
    *response.status_mut() = status;
    response
}
