//! The server in this process, with a core of the test's own.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use spark_admission::{
    certs::{CurrentCertificate, Pair, client_authorities},
    metrics::{Metrics, Reloaded},
    policy::{Policy, Snapshot},
    reload::{self, Source},
    review::{self, Answer, Endpoint, UnreadableEnvelope},
    server::{Admin, Decide, Lifecycle, Limits, Listener, ServerTls, Webhook, admin_router, router},
};

use super::{client::Client, pki::Ca};

/// A running server; the tests' way to what it is made of.
pub struct Server {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub ca: Ca,
    pub tls: Arc<ServerTls>,
    pub metrics: Arc<Metrics>,
    pub lifecycle: Lifecycle,
    pub webhook: Arc<Webhook>,
}

pub struct Setup {
    pub decide: Decide,
    pub limits: Limits,
    pub client_ca: Option<String>,
    /// The certificate's and the key's file, followed; else a pair that stays.
    pub files: Option<(Ca, Vec<PathBuf>)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self { decide: review::answer, limits: Limits::default(), client_ca: None, files: None }
    }
}

impl Setup {
    pub async fn start(self) -> Server {
        // Tests hold both ends of a thousand connections.
        rlimit::increase_nofile_limit(u64::MAX).unwrap();
        let (metrics, lifecycle) = (Arc::new(Metrics::default()), Lifecycle::default());
        let (ca, certificate) = match self.files {
            None => {
                let ca = Ca::new("test");
                let leaf = ca.leaf();
                let pair = Pair::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes()).unwrap();
                (ca, Arc::new(CurrentCertificate::new(pair)))
            }
            Some((ca, files)) => (ca, followed(files, &metrics)),
        };
        let authorities = self.client_ca.map(|pem| client_authorities(pem.as_bytes()).unwrap());
        let tls = Arc::new(ServerTls::new(Arc::clone(&certificate), authorities).unwrap());
        let mut webhook = Webhook::new(Policy::default(), Arc::clone(&metrics), &self.limits);
        webhook.decide = self.decide;
        let webhook = Arc::new(webhook);
        let admin = Admin { metrics: Arc::clone(&metrics), lifecycle: lifecycle.clone(), certificate };

        let any = "127.0.0.1:0".parse().unwrap();
        let reviews = Listener::bind(
            any,
            Some(Arc::clone(&tls)),
            router(Arc::clone(&webhook)),
            self.limits,
            Arc::clone(&metrics),
            lifecycle.clone(),
        );
        let probes = Listener::bind(
            any,
            None,
            admin_router(admin),
            Limits::default(),
            Arc::new(Metrics::default()),
            Lifecycle::default(),
        );
        let (reviews, probes) = (reviews.await.unwrap(), probes.await.unwrap());
        let (address, admin) = (reviews.local_addr().unwrap(), probes.local_addr().unwrap());
        tokio::spawn(reviews.run());
        tokio::spawn(probes.run());
        Server { address, admin, ca, tls, metrics, lifecycle, webhook }
    }
}

fn followed(files: Vec<PathBuf>, metrics: &Arc<Metrics>) -> Arc<CurrentCertificate> {
    let parse = |bytes: &[Vec<u8>]| Pair::from_pem(&bytes[0], &bytes[1]).map_err(|error| error.to_string());
    let (source, pair) = Source::load(Reloaded::Certificate, files, parse).unwrap();
    let certificate = Arc::new(CurrentCertificate::new(pair));
    let swapped = Arc::clone(&certificate);
    let every = Duration::from_millis(10);
    tokio::spawn(reload::follow(source, every, Arc::clone(metrics), move |pair| swapped.replace(pair)));
    certificate
}

impl Server {
    pub fn client(&self) -> Client {
        Client::new(self.address, &self.ca.pem)
    }

    pub fn metric(&self, line: &str) -> f64 {
        super::metric(&self.metrics.text(), line)
    }
}

/// The real core, but a review whose bytes say so is a panic.
pub fn panicking(
    endpoint: Endpoint,
    body: &[u8],
    policy: &Policy,
    snapshot: &Snapshot,
) -> Result<Answer, UnreadableEnvelope> {
    assert!(!body.windows(5).any(|bytes| bytes == b"panic"), "as asked");
    review::answer(endpoint, body, policy, snapshot)
}

/// The real core after a while.
pub fn slow(
    endpoint: Endpoint,
    body: &[u8],
    policy: &Policy,
    snapshot: &Snapshot,
) -> Result<Answer, UnreadableEnvelope> {
    std::thread::sleep(Duration::from_millis(3));
    review::answer(endpoint, body, policy, snapshot)
}
