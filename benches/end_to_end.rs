//! What a review costs over TLS, beside the floor: the least that any webhook of this kind has to do.
//!
//! The floor is a server of axum and tokio-rustls that reads a review's uid and sends it back: no limits, no metrics, no log, no
//! decision. Both are processes of their own and take turns under the same load: 16 kept connections that send a driver pod of
//! about 4 KB without a pause. What counts is the processor time per review; requests a second depend on what else the machine does.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::header, routing::post};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// As the product, so that the two differ in what they do alone.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONNECTIONS: usize = 16;
const ROUNDS: u32 = 3;
const ROUND: Duration = Duration::from_secs(3);
const WARM_UP: Duration = Duration::from_millis(500);
/// What the product aims at.
const AIM: f64 = 1.5;

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("--floor") => block_on(floor(Path::new(&arguments.next().unwrap()))),
        _ => block_on(compare()),
    }
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future);
}

async fn compare() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().display().to_string();
    let flags = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--state-dir",
        &directory,
        "--log-format",
        "json",
    ];
    let product = Server::start("spark-admission", Command::new(env!("CARGO_BIN_EXE_spark-admission")).args(flags));
    let floor = Server::start("floor", Command::new(std::env::current_exe().unwrap()).args(["--floor", &directory]));
    let ca = std::fs::read(state.path().join("ca.crt")).unwrap();
    let body = Bytes::from(driver_review().to_string());
    println!("{CONNECTIONS} connections, {ROUNDS} rounds of {ROUND:?} each, reviews of {} bytes", body.len());

    let mut results = [Result::default(), Result::default()];
    for (server, _) in [(&product, 0), (&floor, 1)] {
        load(server, &ca, &body, WARM_UP).await;
    }
    for _ in 0..ROUNDS {
        for (server, result) in [&product, &floor].into_iter().zip(&mut results) {
            result.add(load(server, &ca, &body, ROUND).await);
        }
    }
    println!(
        "{:<16} {:>10} {:>9} {:>9} {:>16} {:>12}",
        "", "reviews/s", "p50 us", "p99 us", "CPU us/review", "peak RSS MB"
    );
    for (server, result) in [&product, &floor].into_iter().zip(&mut results) {
        result.print(server);
    }
    let ratio = results[0].cpu_per_review() / results[1].cpu_per_review();
    println!("CPU per review: {ratio:.2} times the floor (aim: at most {AIM})");
    if results[0].refused > 0 {
        println!("warning: {} requests were not answered with a review; the comparison is void", results[0].refused);
    }
}

/// A server under measurement; killed when dropped.
struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it and reads its address: the first `https://` that it prints.
    fn start(name: &'static str, command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // The log goes through a pipe that somebody reads, as it does in a container.
        let mut log = child.stderr.take().unwrap();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while log.read(&mut buffer).is_ok_and(|bytes| bytes > 0) {}
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address =
            lines.find_map(|line| line.unwrap().split("https://").nth(1)?.split('/').next()?.parse().ok()).unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        Self { name, child, address }
    }

    /// Processor time used so far, in the kernel's ticks of 10 ms.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        Duration::from_millis(ticks * 10)
    }

    fn peak_rss_kb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Default)]
struct Result {
    latencies: Vec<Duration>,
    refused: usize,
    cpu: Duration,
    wall: Duration,
}

impl Result {
    fn add(&mut self, mut round: Self) {
        self.latencies.append(&mut round.latencies);
        self.refused += round.refused;
        self.cpu += round.cpu;
        self.wall += round.wall;
    }

    #[expect(clippy::cast_precision_loss, reason = "far fewer reviews than an f64 counts")]
    fn reviews(&self) -> f64 {
        self.latencies.len() as f64
    }

    /// In microseconds.
    fn cpu_per_review(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.reviews()
    }

    fn print(&mut self, server: &Server) {
        self.latencies.sort_unstable();
        let percentile = |percent: usize| self.latencies[(self.latencies.len() - 1) * percent / 100].as_micros();
        println!(
            "{:<16} {:>10.0} {:>9} {:>9} {:>16.1} {:>12.1}",
            server.name,
            self.reviews() / self.wall.as_secs_f64(),
            percentile(50),
            percentile(99),
            self.cpu_per_review(),
            server.peak_rss_kb() / 1024.0
        );
    }
}

async fn load(server: &Server, ca: &[u8], body: &Bytes, duration: Duration) -> Result {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca).unwrap()).unwrap();
    let config = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        senders.push(connect(server.address, &config).await);
    }
    let (cpu, start) = (server.cpu(), Instant::now());
    let tasks: Vec<_> =
        senders.into_iter().map(|sender| tokio::spawn(reviews(sender, body.clone(), start + duration))).collect();
    let mut result = Result::default();
    for task in tasks {
        result.add(task.await.unwrap());
    }
    result.wall = start.elapsed();
    result.cpu = server.cpu().saturating_sub(cpu);
    result
}

type Sender = http1::SendRequest<Full<Bytes>>;

async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Sender {
    let tcp = TcpStream::connect(address).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    let tls =
        TlsConnector::from(Arc::clone(config)).connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn reviews(mut sender: Sender, body: Bytes, end: Instant) -> Result {
    let mut result = Result::default();
    while Instant::now() < end {
        let request =
            Request::post("/mutate?timeout=5s").header("host", "localhost").header("content-type", "application/json");
        let request = request.body(Full::new(body.clone())).unwrap();
        let start = Instant::now();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        result.refused += usize::from(response.status() != 200);
        response.into_body().collect().await.unwrap();
        result.latencies.push(start.elapsed());
    }
    result
}

/// The floor: the uid, and nothing else.
async fn floor(state: &Path) {
    #[derive(serde::Deserialize)]
    struct Review {
        request: Request,
    }
    #[derive(serde::Deserialize)]
    struct Request {
        uid: String,
    }
    let chain = CertificateDer::pem_file_iter(state.join("tls.crt"))
        .unwrap()
        .collect::<std::result::Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_file(state.join("tls.key")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let router = Router::new().route(
        "/mutate",
        post(async |body: Bytes| {
            let Review { request: Request { uid } } = serde_json::from_slice(&body).unwrap();
            let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": uid, "allowed": true}});
            ([(header::CONTENT_TYPE, "application/json")], answer.to_string())
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("https://{}/", listener.local_addr().unwrap());
    std::io::stdout().flush().unwrap();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let tls = acceptor.accept(tcp).await.unwrap();
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tls), service).await;
        });
    }
}

/// The review of a driver pod as Spark submits it, of about 4 KB.
fn driver_review() -> Value {
    let mut variables = vec![
        json!({"name": "SPARK_USER", "value": "spark"}),
        json!({"name": "SPARK_CONF_DIR", "value": "/opt/spark/conf"}),
        json!({"name": "SPARK_DRIVER_BIND_ADDRESS", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}),
    ];
    variables.extend((0..16).map(|number| {
        json!({"name": format!("APPLICATION_SETTING_{number}"), "value": format!("/opt/application/settings/{number}.properties")})
    }));
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
            "requestResource": {"group": "", "version": "v1", "resource": "pods"},
            "name": "spark-pi-driver", "namespace": "analytics", "operation": "CREATE",
            "userInfo": {"username": "system:serviceaccount:spark-operator:spark-operator", "groups": ["system:serviceaccounts", "system:authenticated"]},
            "object": {
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {
                    "name": "spark-pi-driver", "namespace": "analytics",
                    "labels": {"spark-role": "driver", "spark-app-selector": "spark-f1b4e5", "spark-app-name": "spark-pi", "spark-version": "3.5.9"},
                    "annotations": {"prometheus.io/scrape": "true", "prometheus.io/path": "/metrics/executors/prometheus"}
                },
                "spec": {
                    "serviceAccountName": "spark", "restartPolicy": "Never", "terminationGracePeriodSeconds": 30,
                    "containers": [{
                        "name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9", "imagePullPolicy": "IfNotPresent",
                        "args": ["driver", "--properties-file", "/opt/spark/conf/spark.properties", "--class",
                            "org.apache.spark.examples.SparkPi", "local:///opt/spark/examples/jars/spark-examples_2.12-3.5.9.jar", "1000"],
                        "env": variables,
                        "ports": [{"name": "driver-rpc-port", "containerPort": 7078, "protocol": "TCP"},
                            {"name": "blockmanager", "containerPort": 7079, "protocol": "TCP"}, {"name": "spark-ui", "containerPort": 4040, "protocol": "TCP"}],
                        "resources": {"limits": {"memory": "1408Mi", "cpu": "1200m"}, "requests": {"cpu": "1", "memory": "1408Mi"}},
                        "volumeMounts": [{"name": "spark-local-dir-1", "mountPath": "/var/data/spark-2a3b"}, {"name": "spark-conf-volume-driver", "mountPath": "/opt/spark/conf"}]
                    }],
                    "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}],
                    "volumes": [{"name": "spark-local-dir-1", "emptyDir": {}}, {"name": "spark-conf-volume-driver", "configMap": {"name": "spark-drv-conf-map", "defaultMode": 420}}]
                }
            },
            "oldObject": null, "dryRun": false, "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"}
        }
    })
}
