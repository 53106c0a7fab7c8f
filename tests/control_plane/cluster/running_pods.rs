//! A kubelet for one namespace: what its pods would run runs as processes of this machine, under the tokens of the pods' own accounts,
//! with their arguments and volumes; and a network in which the API server reaches them by their Service.
//!
//! ```text
//! API server ── CONNECT <cluster IP>:443 ──▶ egress socket ── the Service's port and selector ──▶ a pod that is ready
//! ```
//! Only what [`Image`] says differs from what a pod's arguments say, such as its ports. A pod of several containers lives as long as all
//! of them do.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::Client;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpStream, UnixListener, UnixStream},
};

use super::{
    Cluster, Kubelet,
    images::{Image, list},
    namespace::{MERGE_PATCH, send},
};
use crate::support::client::get;

/// The API server's flag with which webhooks are called through the socket.
pub const THROUGH_EGRESS: &str = "--egress-selector-config-file=egress.yaml";
const SOCKET: &str = "egress.sock";
/// What is in that file.
pub(super) const EGRESS: &str = "
apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport: {uds: {udsName: egress.sock}}
";
/// How often it looks.
const EVERY: Duration = Duration::from_millis(50);

/// A kubelet at work; it ends with the test's runtime.
pub struct RunningPods {
    cluster: &'static Cluster,
    namespace: String,
    /// The node, which has the logs of containers.
    node: Kubelet,
    /// What the operator's image has in its environment.
    environment: Vec<(String, String)>,
    /// How many pods were given an address.
    addresses: AtomicU8,
    running: Mutex<BTreeMap<String, Running>>,
    /// What ended pods have said, by the name of the pod.
    said: Mutex<BTreeMap<String, String>>,
}

/// A pod and its processes, one for each container.
struct Running {
    pod: Value,
    containers: Vec<Started>,
    folder: PathBuf,
    is_ready: bool,
    is_ending: bool,
}

/// A container's process.
struct Started {
    name: String,
    image: Image,
    process: Child,
    log: String,
}

impl RunningPods {
    /// Starts one, with a node for its pods, and the controllers.
    pub async fn start(cluster: &'static Cluster, namespace: &str) -> Arc<Self> {
        Self::start_with(cluster, namespace, Vec::new()).await
    }

    /// The same, where the image of the operator has something in its environment, such as Spark.
    pub async fn start_with(
        cluster: &'static Cluster,
        namespace: &str,
        environment: Vec<(String, String)>,
    ) -> Arc<Self> {
        cluster.start_controllers().await;
        let client = cluster.client().await;
        let node = Kubelet::join_as(&client, namespace, &json!({"kubernetes.io/hostname": namespace})).await;
        let untainted = json!({"spec": {"taints": null}});
        send(&client, "PATCH", &format!("/api/v1/nodes/{namespace}"), MERGE_PATCH, &untainted).await.object();
        let kubelet = Self {
            cluster,
            namespace: namespace.to_owned(),
            node,
            environment,
            addresses: AtomicU8::default(),
            running: Mutex::default(),
            said: Mutex::default(),
        };
        let kubelet = Arc::new(kubelet);
        let socket = UnixListener::bind(cluster.processes.folder().join(SOCKET)).unwrap();
        tokio::spawn(Arc::clone(&kubelet).connect(socket, cluster.client().await));
        tokio::spawn(Arc::clone(&kubelet).work(client));
        kubelet
    }

    /// What the processes of pods with names that begin so have said so far, the ended ones' too.
    pub fn said(&self, prefix: &str) -> String {
        let running = self.running.lock().unwrap();
        let logs =
            running.values().flat_map(|it| &it.containers).map(|it| &it.log).filter(|log| log.starts_with(prefix));
        let now: String = logs.map(|log| self.cluster.processes.log(log)).collect();
        let ended = self.said.lock().unwrap();
        ended.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, text)| text.as_str()).collect::<String>()
            + &now
    }

    async fn work(self: Arc<Self>, client: Client) {
        loop {
            // A cluster that is just ending is no failure of the test.
            let pods =
                send(&client, "GET", &format!("/api/v1/namespaces/{}/pods", self.namespace), JSON, &Value::Null).await;
            for pod in pods.body["items"].as_array().into_iter().flatten() {
                self.look_after(&client, pod).await;
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn look_after(&self, client: &Client, pod: &Value) {
        let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
        let is_running = self.running.lock().unwrap().contains_key(&name);
        let is_deleted = pod["metadata"]["deletionTimestamp"].is_string();
        let is_scheduled = pod["spec"]["nodeName"].is_string();
        let is_over = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        match (is_running, is_deleted) {
            (false, true) => self.gone(client, &name).await,
            (false, false) if is_scheduled && !is_over => self.begin(client, &name, pod).await,
            (true, _) => self.follow(client, &name, is_deleted).await,
            _ => {}
        }
    }

    /// Starts what the pod runs, once everything that it mounts is there.
    async fn begin(&self, client: &Client, name: &str, pod: &Value) {
        let folder = self.cluster.processes.folder().join(format!("pod-{name}"));
        fs::create_dir_all(&folder).unwrap();
        if !self.fill(client, pod, &folder).await {
            return;
        }
        let account = pod["spec"]["serviceAccountName"].as_str().unwrap();
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", self.namespace);
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let answer = send(client, "POST", &path, JSON, &request).await;
        if !answer.is_success() {
            // The account went before its pod does.
            return;
        }
        let token = &answer.body["status"]["token"];
        let kubeconfig =
            self.cluster.kubeconfig(&format!("pod-{name}"), |it| it["users"][0]["user"] = json!({"token": token}));
        let mut containers = Vec::new();
        for container in list(&pod["spec"]["containers"]) {
            containers.push(self.start_container(name, container, &folder, &kubeconfig).await);
        }
        let running = Running { pod: pod.clone(), containers, folder, is_ready: false, is_ending: false };
        self.running.lock().unwrap().insert(name.to_owned(), running);
        // Whoever looks who is behind a Service finds an address, which nobody calls: it is one that is set aside for tests (RFC 2544).
        let address = format!("198.18.0.{}", self.addresses.fetch_add(1, Ordering::Relaxed));
        let status = json!({"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]});
        self.tell(client, name, &status).await;
    }

    async fn start_container(&self, pod: &str, container: &Value, folder: &Path, kubeconfig: &Path) -> Started {
        let image = Image::of(container).await;
        let mut command = Command::new(image.program());
        command.args(image.arguments(container, folder));
        // In place of the token and the address that a kubelet puts into the pod.
        command.env("SPARK_ADMISSION_KUBECONFIG", kubeconfig).env("KUBECONFIG", kubeconfig);
        if matches!(image, Image::Operator(_)) {
            // Without it, it looks in the home before the environment, and Spark's users have none.
            command.arg(format!("--kubeconfig={}", kubeconfig.display()));
            command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
            command.env("KUBERNETES_SERVICE_PORT", self.cluster.port.to_string());
            command.envs(self.environment.iter().cloned());
        }
        for variable in list(&container["env"]) {
            command.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap_or_default());
        }
        let name = container["name"].as_str().unwrap().to_owned();
        let log = format!("{pod}-{name}-{}", self.said.lock().unwrap().len());
        let process = self.cluster.processes.spawn(&log, &mut command).unwrap();
        Started { name, image, process, log }
    }

    /// Writes what config maps and secrets hold into the pod's folders; false where one of them is missing.
    async fn fill(&self, client: &Client, pod: &Value, folder: &Path) -> bool {
        for volume in list(&pod["spec"]["volumes"]) {
            fs::create_dir_all(folder.join(volume["name"].as_str().unwrap())).unwrap();
            let (kind, name) = match (&volume["configMap"]["name"], &volume["secret"]["secretName"]) {
                (Value::String(name), _) => ("configmaps", name),
                (_, Value::String(name)) => ("secrets", name),
                _ => continue,
            };
            let path = format!("/api/v1/namespaces/{}/{kind}/{name}", self.namespace);
            let found = send(client, "GET", &path, JSON, &Value::Null).await;
            if !found.is_success() {
                return false;
            }
            let folder = folder.join(volume["name"].as_str().unwrap());
            for (file, content) in found.body["data"].as_object().into_iter().flatten() {
                let content = content.as_str().unwrap();
                let content = if kind == "secrets" { STANDARD.decode(content).unwrap() } else { content.into() };
                if fs::read(folder.join(file)).ok().as_ref() != Some(&content) {
                    fs::write(folder.join(file), content).unwrap();
                }
            }
        }
        true
    }

    /// Looks how the process is, and tells the API server.
    async fn follow(&self, client: &Client, name: &str, is_deleted: bool) {
        let (ended, pod, folder, was_ready) = {
            let mut running = self.running.lock().unwrap();
            let it = running.get_mut(name).unwrap();
            if is_deleted && !it.is_ending {
                it.is_ending = true;
                it.containers.iter().for_each(Started::terminate);
            }
            self.keep_logs(name, it);
            (it.ended(), it.pod.clone(), it.folder.clone(), it.is_ready)
        };
        if let Some(succeeded) = ended {
            let it = self.running.lock().unwrap().remove(name).unwrap();
            for mut container in it.containers {
                let _ = container.process.kill();
                let _ = container.process.wait();
                let log = self.cluster.processes.log(&container.log);
                self.said.lock().unwrap().insert(container.log, log);
            }
            let phase = if succeeded { "Succeeded" } else { "Failed" };
            if pod["spec"]["restartPolicy"] != "Always" {
                self.tell(client, name, &json!({"phase": phase})).await;
            }
            return;
        }
        // What changes in a config map or a Secret is brought in.
        self.fill(client, &pod, &folder).await;
        let probe = &pod["spec"]["containers"][0]["readinessProbe"]["httpGet"];
        let (Some(path), Some(admin)) = (probe["path"].as_str(), self.address(name, &probe["port"])) else { return };
        let is_ready = get(admin, path).await.is_ok_and(|answer| answer.status == 200);
        if is_ready != was_ready {
            if let Some(it) = self.running.lock().unwrap().get_mut(name) {
                it.is_ready = is_ready;
            }
            let (kinds, status) = (["Ready", "ContainersReady"], if is_ready { "True" } else { "False" });
            let conditions: Vec<_> = kinds.iter().map(|kind| json!({"type": kind, "status": status})).collect();
            self.tell(client, name, &json!({"phase": "Running", "conditions": conditions})).await;
        }
    }

    /// Where a pod's first container listens for one of its ports, by the port's name or number.
    fn address(&self, name: &str, port: &Value) -> Option<SocketAddr> {
        let running = self.running.lock().unwrap();
        let first = running.get(name)?.containers.first()?;
        first.image.address(&self.cluster.processes.log(&first.log), port)
    }

    /// What containers have said, for whoever asks the API server for their logs.
    fn keep_logs(&self, pod: &str, running: &Running) {
        for container in &running.containers {
            self.node.says(pod, &container.name, false, self.cluster.processes.log(&container.log));
        }
    }

    async fn tell(&self, client: &Client, name: &str, status: &Value) {
        let path = format!("/api/v1/namespaces/{}/pods/{name}/status", self.namespace);
        send(client, "PATCH", &path, MERGE_PATCH, &json!({"status": status})).await;
    }

    /// The last of a deleted pod goes.
    async fn gone(&self, client: &Client, name: &str) {
        let path = format!("/api/v1/namespaces/{}/pods/{name}?gracePeriodSeconds=0", self.namespace);
        send(client, "DELETE", &path, JSON, &Value::Null).await;
    }

    /// Connects the API server with what it asks for.
    async fn connect(self: Arc<Self>, socket: UnixListener, client: Client) {
        let mut turn = 0;
        loop {
            let Ok((stream, _)) = socket.accept().await else { return };
            turn += 1;
            tokio::spawn(Arc::clone(&self).tunnel(stream, client.clone(), turn));
        }
    }

    async fn tunnel(self: Arc<Self>, stream: UnixStream, client: Client, turn: usize) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.ok()? == 0 {
                return None;
            }
        }
        let wanted: SocketAddr = head.strip_prefix("CONNECT ")?.split(' ').next()?.parse().ok()?;
        // A node, and not a Service.
        let is_node = wanted.ip().is_loopback();
        let backends = if is_node { vec![wanted] } else { self.behind(&client, wanted).await };
        let backend = (!backends.is_empty()).then(|| backends[turn % backends.len()]);
        let Some(mut pod) = (match backend {
            Some(address) => TcpStream::connect(address).await.ok(),
            None => None,
        }) else {
            let _ = stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
            return None;
        };
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
        copy_bidirectional(&mut stream, &mut pod).await.ok().map(drop)
    }

    /// The ready pods behind a Service, by its cluster IP and port.
    async fn behind(&self, client: &Client, wanted: SocketAddr) -> Vec<SocketAddr> {
        let path = format!("/api/v1/namespaces/{}/services", self.namespace);
        let services = send(client, "GET", &path, JSON, &Value::Null).await.body;
        let Some(service) = list(&services["items"]).find(|it| it["spec"]["clusterIP"] == wanted.ip().to_string())
        else {
            return Vec::new();
        };
        let Some(port) = list(&service["spec"]["ports"]).find(|port| port["port"] == wanted.port()) else {
            return Vec::new();
        };
        let target = &port["targetPort"];
        let is_behind = |it: &Running| {
            let labels = &it.pod["metadata"]["labels"];
            let selector = service["spec"]["selector"].as_object().unwrap();
            let ports = list(&it.pod["spec"]["containers"][0]["ports"]);
            it.is_ready
                && !it.is_ending
                && selector.iter().all(|(key, value)| labels[key] == *value)
                && ports.into_iter().any(|port| port["name"] == *target)
        };
        let names: Vec<_> = {
            let running = self.running.lock().unwrap();
            running.iter().filter(|(_, it)| is_behind(it)).map(|(name, _)| name.clone()).collect()
        };
        names.iter().filter_map(|name| self.address(name, target)).collect()
    }
}

impl Running {
    /// Whether it is over, and then whether it has done what it should: when one of the containers has ended; while it is ending, all.
    fn ended(&mut self) -> Option<bool> {
        let states: Vec<_> = self.containers.iter_mut().map(|it| it.process.try_wait().unwrap()).collect();
        let is_over =
            if self.is_ending { states.iter().all(Option::is_some) } else { states.iter().any(Option::is_some) };
        is_over.then(|| states.into_iter().flatten().all(|status| status.success()))
    }
}

impl Started {
    fn terminate(&self) {
        let _ = Command::new("kill").args(["-s", "TERM", &self.process.id().to_string()]).status();
    }
}

const JSON: &str = "application/json";
