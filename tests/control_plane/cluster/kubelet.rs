//! A node with the one thing of a kubelet's that the API server asks for by itself: the logs of containers, over TLS, as the kubelet
//! serves them (pkg/kubelet/server of Kubernetes 1.37). What they said is what the test says.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
};

use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kube::Client;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use super::{Namespace, namespace::send};
use crate::support::pki::{Ca, Leaf};

/// What containers said, by `pod/container` and whether that was before their restart.
type Logs = Arc<Mutex<HashMap<(String, bool), Vec<u8>>>>;

/// A node, and who serves its logs; ended when dropped.
pub struct Kubelet {
    pub node: String,
    logs: Logs,
    serving: JoinHandle<()>,
}

impl Kubelet {
    /// A new node, which has room, and takes pods that select it by the label `test`.
    pub async fn join(here: &Namespace, name: &str, labels: &Value) -> Self {
        let mut labels = labels.clone();
        labels["test"] = here.name.as_str().into();
        Self::join_as(&here.cluster().client().await, &format!("{name}.{}", here.name), &labels).await
    }

    /// A new node of exactly this name, with these labels.
    pub async fn join_as(client: &Client, name: &str, labels: &Value) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let room = json!({"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"});
        let object = json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels},
            "status": {
                "capacity": room, "allocatable": room,
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
                "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": "made by a test"}]
            }
        });
        send(client, "POST", "/api/v1/nodes", "application/json", &object).await.object();
        let (logs, certificate) = (Logs::default(), Ca::new("kubelet").server(&["127.0.0.1"]));
        let serving = tokio::spawn(serve(listener, acceptor(&certificate), Arc::clone(&logs)));
        Self { node: name.to_owned(), logs, serving }
    }

    /// What a container says, or said before it was started again.
    pub fn says(&self, pod: &str, container: &str, previous: bool, log: impl Into<Vec<u8>>) {
        self.logs.lock().unwrap().insert((format!("{pod}/{container}"), previous), log.into());
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Presents this certificate to whoever connects.
pub(super) fn acceptor(leaf: &Leaf) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, logs: Logs) {
    while let Ok((tcp, _)) = listener.accept().await {
        let (acceptor, logs) = (acceptor.clone(), Arc::clone(&logs));
        tokio::spawn(async move {
            let Ok(tls) = acceptor.accept(tcp).await else { return };
            let answer = service_fn(|request: Request<hyper::body::Incoming>| {
                std::future::ready(Ok::<_, std::convert::Infallible>(answer(&request, &logs)))
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(tls), answer).await;
        });
    }
}

/// `/containerLogs/NAMESPACE/POD/CONTAINER?tailLines=500&limitBytes=262144&previous=true`
fn answer(request: &Request<hyper::body::Incoming>, logs: &Logs) -> Response<Full<Bytes>> {
    let parts: Vec<_> = request.uri().path().trim_matches('/').split('/').collect();
    let query: HashSet<_> = request.uri().query().unwrap_or_default().split('&').collect();
    let number = |name: &str| query.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
    let found = match parts.as_slice() {
        ["containerLogs", _, pod, container] => {
            let key = (format!("{pod}/{container}"), query.contains("previous=true"));
            logs.lock().unwrap().get(&key).cloned()
        }
        _ => None,
    };
    let mut response = Response::new(Full::default());
    match found {
        Some(log) => {
            let tail = tail(&log, number("tailLines").unwrap_or(usize::MAX));
            let tail = &tail[..tail.len().min(number("limitBytes").unwrap_or(usize::MAX))];
            *response.body_mut() = Full::from(tail.to_vec());
        }
        None => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response
}

/// The last lines.
fn tail(log: &[u8], lines: usize) -> &[u8] {
    let ends = log.iter().enumerate().rev().filter(|(place, byte)| **byte == b'\n' && place + 1 < log.len());
    let start = ends.map(|(place, _)| place + 1).nth(lines.saturating_sub(1));
    &log[start.unwrap_or(0)..]
}
