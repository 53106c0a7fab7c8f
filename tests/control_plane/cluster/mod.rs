//! A real etcd and kube-apiserver for the tests of one binary, started once, with a namespace for each test.
//!
//! ```text
//! Programs    where etcd, kube-apiserver and the rest are
//! Processes   a folder, and processes that never outlive the tests
//! Cluster     the control plane: certificates, addresses, the definitions of Spark's resources
//! Namespace   what a test does on it, and what is printed when it fails
//! Registered  the webhook, registered for one namespace
//! Followed    the snapshot of the cluster, kept current in this process
//! Operator    Kubeflow's operator, its webhook or its controller, for one namespace
//! Platform    a control plane of its own with the operator, installed by Helm
//! Spark       a release of Spark, and its programs for one namespace
//! InPod       what a pod would run, on this machine
//! Kubelet     a node that has the logs of its containers
//! RunningPods runs the pods of a namespace, and connects the API server with them
//! Image       what is in the image of a container, as a program of this machine
//! PackageRepository  has packages, and takes its time
//! ChartRepository  has the operator's chart where Kubeflow has it
//! tools       helm and kubectl, as an administrator runs them
//! audit       what the API server's audit log says
//! ```

pub mod audit;
mod chart_repository;
mod followed;
mod images;
mod in_pod;
mod kubelet;
mod namespace;
mod operator;
mod package_repository;
pub mod platform;
mod processes;
mod programs;
mod running_pods;
mod spark;
mod tools;
mod webhook;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use hyper::Request;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

pub use chart_repository::ChartRepository;
pub use followed::Followed;
pub use images::Image;
pub use in_pod::InPod;
pub use kubelet::Kubelet;
pub use namespace::{Answer, Namespace};
pub use operator::{Called, Operator};
pub use package_repository::PackageRepository;
pub use running_pods::{RunningPods, THROUGH_EGRESS};
pub use spark::{JAR, PACKAGE, Running, Spark};
pub use webhook::{Registered, manifests, probe, register};

use crate::support::pki::Ca;
use processes::Processes;
use programs::Programs;

/// How long the control plane may take to be there, on a busy machine.
const START: Duration = Duration::from_secs(90);
/// What every test needs.
const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "spark-operator-crds"];
/// What [`Cluster::start_controllers`] starts.
const CONTROLLERS: [&str; 2] = ["kube-scheduler", "kube-controller-manager"];

/// A running control plane.
pub struct Cluster {
    processes: Processes,
    /// How its API server is started.
    apiserver: Vec<String>,
    /// The API server's, on the loopback address.
    port: u16,
    kubeconfig: Kubeconfig,
    controllers: OnceCell<()>,
}

/// The control plane of this process; started by the first test that asks. If it cannot be started, every test says why.
pub async fn cluster() -> &'static Cluster {
    static SHARED: OnceCell<Result<Cluster, String>> = OnceCell::const_new();
    let shared = SHARED.get_or_init(|| Cluster::start(&[])).await;
    shared.as_ref().unwrap_or_else(|why| panic!("{why}"))
}

thread_local! {
    /// A test runs on a thread of its own, and what stands here ends with that: two dozen idle API servers would take all there is.
    static ENDED_WITH_THE_TEST: RefCell<Vec<Ending>> = const { RefCell::new(Vec::new()) };
}

/// Ends a control plane when it is dropped.
struct Ending(&'static Cluster);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.processes.end_all();
    }
}

impl Cluster {
    /// Another one, for a test that changes what concerns every namespace. It ends with the test.
    pub async fn of_my_own() -> &'static Self {
        Self::of_my_own_with(&[]).await
    }

    /// Another one, whose API server has these flags too.
    pub async fn of_my_own_with(flags: &'static [&str]) -> &'static Self {
        let cluster = Self::of_several_tests_with(flags).await;
        ENDED_WITH_THE_TEST.with_borrow_mut(|mine| mine.push(Ending(cluster)));
        cluster
    }

    /// Another one, for tests that share it among themselves. It ends with the process.
    pub async fn of_several_tests() -> &'static Self {
        Self::of_several_tests_with(&[]).await
    }

    async fn of_several_tests_with(flags: &'static [&str]) -> &'static Self {
        let started = Self::start(flags).await.unwrap_or_else(|why| panic!("{why}"));
        Box::leak(Box::new(started))
    }

    /// Has its API server end, as a crash does; etcd goes on.
    pub fn end_apiserver(&self) {
        self.processes.end("kube-apiserver");
    }

    /// Has the API server start again that was ended.
    pub async fn start_apiserver(&self) {
        let programs = programs(&PROGRAMS).await.unwrap();
        self.processes.start(programs.path("kube-apiserver"), &self.apiserver).unwrap();
        self.until_ready(Instant::now() + START).await.unwrap();
    }

    /// Has its API server stand still: connections stay open, and nobody answers.
    pub fn stop_apiserver(&self) {
        self.processes.signal("kube-apiserver", "STOP");
    }

    /// Has the API server go on that stands still.
    pub fn continue_apiserver(&self) {
        self.processes.signal("kube-apiserver", "CONT");
    }

    /// Lets a command join: it ends with the tests.
    pub fn adopt<'a>(&self, command: &'a mut std::process::Command) -> &'a mut std::process::Command {
        self.processes.adopt(command)
    }

    /// The kubeconfig of its administrator.
    pub fn admin(&self) -> PathBuf {
        self.processes.folder().join("admin.conf")
    }

    /// What an account asked for, in its order.
    pub fn requests_of(&self, account: &str) -> Vec<audit::Event> {
        audit::requests_of(self.processes.folder(), account)
    }

    /// A new folder, which goes when the control plane does.
    pub fn scratch(&self) -> PathBuf {
        tempfile::tempdir_in(self.processes.folder()).unwrap().keep()
    }

    /// A new kubeconfig, made of the administrator's.
    pub fn kubeconfig(&self, name: &str, edit: impl Fn(&mut Value)) -> PathBuf {
        let mut kubeconfig: Value = serde_saphyr::from_str(&fs::read_to_string(self.admin()).unwrap()).unwrap();
        edit(&mut kubeconfig);
        let file = self.processes.folder().join(name).with_extension("conf");
        fs::write(&file, kubeconfig.to_string()).unwrap();
        file
    }

    async fn start(flags: &[&str]) -> Result<Self, String> {
        let programs = programs(&PROGRAMS).await?;
        // A port that was free a moment ago may be taken by the time that it is wanted.
        let mut why = String::new();
        for _ in 0..3 {
            match Self::start_once(&programs, flags).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) => why = error,
            }
        }
        Err(format!("the control plane does not start: {why}"))
    }

    async fn start_once(programs: &Programs, flags: &[&str]) -> Result<Self, String> {
        let started = Instant::now();
        let said = |error: io::Error| error.to_string();
        let processes = Processes::new().map_err(said)?;
        let folder = processes.folder();
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).map_err(said)?.port();
        let kubeconfig = write_files(folder, port).map_err(said)?;

        processes.start(programs.path("etcd"), &etcd_arguments(folder)).map_err(said)?;
        let mut apiserver = apiserver_arguments(folder, port);
        apiserver.extend(flags.iter().map(|&flag| flag.to_owned()));
        processes.start(programs.path("kube-apiserver"), &apiserver).map_err(said)?;
        let cluster = Self { processes, apiserver, port, kubeconfig, controllers: OnceCell::new() };
        cluster.until_ready(started + START).await?;
        cluster.prepare(programs.path("spark-operator-crds"), started + START).await?;
        cluster.announce(started).await;
        Ok(cluster)
    }

    /// What a user has asked for, each as `VERB RESOURCE`, of what the audit policy names.
    pub fn asked_by(&self, user: &str) -> BTreeSet<String> {
        audit::asked_by(self.processes.folder(), user)
    }

    /// Starts the scheduler and the controllers, for whoever needs them; the others do not mind.
    pub async fn start_controllers(&self) {
        let start = async || {
            let programs = programs(&CONTROLLERS).await.unwrap();
            let both = ["--kubeconfig=admin.conf", "--leader-elect=false", "--secure-port=0"].map(str::to_owned);
            let signed =
                ["--service-account-private-key-file=accounts.key", "--root-ca-file=ca.crt"].map(str::to_owned);
            // The nodes of a test have nobody who says every few seconds that they are well.
            let controllers = ["--controllers=*,-node-lifecycle-controller".to_owned()];
            self.processes.start(programs.path(CONTROLLERS[0]), &both).unwrap();
            let arguments = [&both[..], &signed, &controllers].concat();
            self.processes.start(programs.path(CONTROLLERS[1]), &arguments).unwrap();
        };
        self.controllers.get_or_init(start).await;
    }

    /// Says what and where it is, for whoever keeps it to look at.
    async fn announce(&self, started: Instant) {
        let version =
            namespace::send(&self.client().await, "GET", "/version", "application/json", &Value::Null).await.body;
        let version = version["gitVersion"].as_str().unwrap_or("of an unknown version");
        eprintln!("Kubernetes {version} started in {:.1} s", started.elapsed().as_secs_f64());
        if Processes::is_kept() {
            let folder = self.processes.folder().display();
            eprintln!("its folder is kept: KUBECONFIG={folder}/admin.conf while it runs, logs in {folder}");
        }
    }

    /// A client of the test's own, since connections end with the runtime that they were made on.
    async fn client(&self) -> Client {
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(self.kubeconfig.clone(), &options).await;
        Client::try_from(config.unwrap()).unwrap()
    }

    async fn until_ready(&self, deadline: Instant) -> Result<(), String> {
        let client = self.client().await;
        loop {
            let ready = Request::get("/readyz").body(Body::empty()).unwrap();
            if client.send(ready).await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            let ended = self.processes.ended();
            if !ended.is_empty() {
                return Err(ended.join("\n"));
            }
            if Instant::now() > deadline {
                return Err(format!("not ready after {START:?}:\n{}", self.processes.log_end("kube-apiserver", 20)));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kubeflow's resources, and what the captured pods refer to.
    async fn prepare(&self, definitions: &Path, deadline: Instant) -> Result<(), String> {
        let client = self.client().await;
        let mut kinds = Vec::new();
        for file in fs::read_dir(definitions).map_err(|error| error.to_string())? {
            let text = fs::read_to_string(file.unwrap().path()).map_err(|error| error.to_string())?;
            let definition: Value = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
            let spec = &definition["spec"];
            kinds.push(format!(
                "/apis/{}/{}/{}",
                spec["group"].as_str().unwrap(),
                spec["versions"][0]["name"].as_str().unwrap(),
                spec["names"]["plural"].as_str().unwrap()
            ));
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            namespace::send(&client, "POST", path, "application/json", &definition).await.created()?;
        }
        let path = "/apis/scheduling.k8s.io/v1/priorityclasses";
        let class = json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "batch-high"}, "value": 1000});
        namespace::send(&client, "POST", path, "application/json", &class).await.created()?;
        for kind in kinds {
            while namespace::send(&client, "GET", &kind, "application/json", &Value::Null).await.status != 200 {
                if Instant::now() > deadline {
                    return Err(format!("{kind} is not served"));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }
}

async fn programs(names: &'static [&str]) -> Result<Programs, String> {
    tokio::task::spawn_blocking(move || Programs::ensure(names)).await.unwrap()
}

/// Writes keys, certificates and configuration, and returns the administrator's way in.
fn write_files(folder: &Path, port: u16) -> io::Result<Kubeconfig> {
    let ca = Ca::new("test-control-plane");
    let server = ca.server(&["127.0.0.1", "10.0.0.1", "localhost", "kubernetes.default.svc"]);
    let admin = ca.client("admin", "system:masters");
    let accounts = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         clusters: [{{name: test, cluster: {{server: \"https://127.0.0.1:{port}\", certificate-authority: {0}/ca.crt}}}}]\n\
         users: [{{name: admin, user: {{client-certificate: {0}/admin.crt, client-key: {0}/admin.key}}}}]\n\
         contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]\n",
        folder.display()
    );
    for (name, text) in [
        ("ca.crt", ca.pem.as_str()),
        ("server.crt", &server.certificate),
        ("server.key", &server.key),
        ("admin.crt", &admin.certificate),
        ("admin.key", &admin.key),
        ("accounts.key", &accounts.serialize_pem()),
        ("accounts.pub", &accounts.public_key_pem()),
        ("audit-policy.yaml", audit::POLICY),
        ("egress.yaml", running_pods::EGRESS),
        ("admin.conf", &kubeconfig),
    ] {
        fs::write(folder.join(name), text)?;
    }
    Kubeconfig::read_from(folder.join("admin.conf")).map_err(io::Error::other)
}

fn etcd_arguments(folder: &Path) -> Vec<String> {
    let clients = format!("unix://{}", etcd_socket(folder));
    [
        "--data-dir=etcd".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        // What is lost with the machine is not missed.
        "--unsafe-no-fsync".to_owned(),
    ]
    .into()
}

fn etcd_socket(folder: &Path) -> String {
    folder.join("etcd.sock").display().to_string()
}

fn apiserver_arguments(folder: &Path, port: u16) -> Vec<String> {
    let etcd = format!("--etcd-servers=unix://{}", etcd_socket(folder));
    let port = format!("--secure-port={port}");
    let log = format!("--audit-log-path={}", audit::LOG);
    [
        etcd.as_str(),
        &port,
        &log,
        "--bind-address=127.0.0.1",
        // The address that it would tell others is a loopback one, which it refuses to.
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--tls-cert-file=server.crt",
        "--tls-private-key-file=server.key",
        "--client-ca-file=ca.crt",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=accounts.pub",
        "--service-account-signing-key-file=accounts.key",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        "--audit-policy-file=audit-policy.yaml",
    ]
    .map(str::to_owned)
    .into()
}
