//! A whole platform on a control plane of its own: the operator, installed by Helm from its chart, and running as processes of this
//! machine. What Kubernetes would do with a Deployment is done by hand: its pods, their readiness, what stands behind its Service.

use std::{
    net::{TcpListener, UdpSocket},
    os::unix::fs::symlink,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use serde_json::{Value, json};

use super::{Cluster, Namespace, programs};
use crate::support::{eventually, process::spark_admission};

const PROGRAMS: [&str; 4] = ["spark-operator-chart", "spark-operator-crds", "helm", "kubectl"];
/// The halves of the operator, by the names that the chart gives their Deployments.
pub const CONTROLLER: &str = "spark-operator-controller";
pub const WEBHOOK: &str = "spark-operator-webhook";
/// The Service of its webhook.
const SERVICE: &str = "spark-operator-webhook-svc";

/// The operator, installed in one namespace for another; its processes end when it is dropped.
pub struct Platform {
    /// The namespace of the operator.
    pub home: Namespace,
    /// The namespace that it watches.
    pub jobs: Namespace,
    /// Where its administrator sits.
    pub terminal: Terminal,
    operator: PathBuf,
    running: Vec<(String, Child)>,
}

impl Platform {
    /// A good one: whatever a test breaks was right before.
    pub async fn installed() -> Self {
        // Without kube-proxy nobody forwards what is sent to a Service: the API server itself looks who is behind it.
        let cluster = Cluster::of_my_own_with(&["--enable-aggregator-routing=true"]).await;
        let (home, jobs) = (Namespace::on(cluster, &json!({})).await, Namespace::on(cluster, &json!({})).await);
        let operator = programs(&["spark-operator"]).await.unwrap().path("spark-operator").to_owned();
        let terminal = Terminal::of(cluster).await;
        let mut platform = Self { home, jobs, terminal, operator, running: Vec::new() };
        platform.install().await;
        platform
    }

    async fn install(&mut self) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let install = format!(
            "helm install spark-operator {} --namespace {} --skip-crds --set 'spark.jobNamespaces={{{}}}' --set webhook.port={port} \
             --set controller.leaderElection.enable=false --set webhook.leaderElection.enable=false \
             --set prometheus.metrics.enable=false",
            self.terminal.chart.display(),
            self.home.name,
            self.jobs.name
        );
        // The chart makes this one itself, and Helm takes over nothing that it did not make.
        let account =
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "spark-operator-spark"}});
        self.jobs.delete(&account).await.object();
        self.terminal.shell(&install);
        self.home.create(&slice(SERVICE, port, true)).await.object();
        for name in [CONTROLLER, WEBHOOK] {
            self.have_ready(name, 1).await;
            self.run(name).await;
        }
        let misnamed = application("1st-report", &json!({}));
        eventually("the API server asks the operator's webhook", async || {
            let answer = self.jobs.create_dry(&misnamed).await;
            answer.message().contains("invalid SparkApplication name")
        })
        .await;
    }

    /// Runs what a Deployment says, in place of what runs of it.
    pub async fn run(&mut self, name: &str) {
        self.end(name);
        let deployment = self.home.get(&deployment(name)).await;
        let arguments = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        let mut command = Command::new(&self.operator);
        command.args(arguments.as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()));
        command.args(["--kubeconfig=admin.conf", "--health-probe-bind-address=0"]);
        if name == WEBHOOK {
            command.arg(format!("--webhook-cert-dir={}", self.home.cluster().scratch().display()));
        }
        let cluster = self.home.cluster();
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("KUBERNETES_SERVICE_PORT", cluster.port.to_string());
        command.env_remove("KUBECONFIG");
        let child = cluster.processes.spawn(name, &mut command).unwrap();
        self.running.push((name.to_owned(), child));
    }

    /// Ends what runs of a Deployment.
    pub fn end(&mut self, name: &str) {
        if let Some(place) = self.running.iter().position(|(running, _)| running == name) {
            let (_, mut child) = self.running.remove(place);
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What a half of the operator has logged.
    pub fn log(&self, name: &str) -> String {
        self.home.cluster().processes.log(name)
    }

    /// Says how many pods of a Deployment are ready, as its controller would.
    pub async fn have_ready(&self, name: &str, ready: u32) {
        let status = json!({"status": {"replicas": ready, "readyReplicas": ready}});
        self.home.merge_status(&deployment(name), &status).await.object();
    }

    /// Says whether what is behind the webhook's Service is ready.
    pub async fn have_endpoints(&self, ready: bool) {
        let slices = self.home.send("GET", &self.slices(), &Value::Null).await.object();
        let port = slices["items"][0]["ports"][0]["port"].as_u64().unwrap();
        self.home.replace(&slice(SERVICE, port.try_into().unwrap(), ready)).await.object();
    }

    fn slices(&self) -> String {
        format!("/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices", self.home.name)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        for (name, mut child) in self.running.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
            if std::thread::panicking() {
                eprintln!("the end of the log of {name}:\n{}", self.home.cluster().processes.log_end(&name, 20));
            }
        }
    }
}

/// A terminal with `kubectl` and `helm`, the binary under the name of a plugin, and the administrator's kubeconfig.
pub struct Terminal {
    cluster: &'static Cluster,
    /// The folder of the programs.
    path: PathBuf,
    chart: PathBuf,
    definitions: PathBuf,
}

impl Terminal {
    pub async fn of(cluster: &'static Cluster) -> Self {
        let programs = programs(&PROGRAMS).await.unwrap();
        let path = cluster.scratch();
        for name in ["helm", "kubectl"] {
            symlink(programs.path(name), path.join(name)).unwrap();
        }
        for name in ["spark-admission", "kubectl-spark_admission"] {
            symlink(spark_admission(&[]).get_program(), path.join(name)).unwrap();
        }
        let [chart, definitions] =
            ["spark-operator-chart", "spark-operator-crds"].map(|name| programs.path(name).to_owned());
        Self { cluster, path, chart, definitions }
    }

    /// What the doctor says, as JSON and as its exit status.
    pub fn doctor(&self, arguments: &[&str]) -> Diagnosis {
        let admin = self.cluster.admin().display().to_string();
        let arguments = [&["doctor", "-o", "json", "--kubeconfig", &admin][..], arguments].concat();
        let output = spark_admission(&arguments).output().unwrap();
        Diagnosis::read(&output)
    }

    /// Runs lines that somebody copied from a terminal, with the administrator's rights. What would come from the network or from the
    /// home is taken from here.
    pub fn shell(&self, lines: &str) -> String {
        let lines = lines
            .replace(
                "spark-operator --repo https://kubeflow.github.io/spark-operator --version 2.4.0",
                &self.chart.display().to_string(),
            )
            .replace(
                "https://raw.githubusercontent.com/kubeflow/spark-operator/v2.4.0/config/crd/bases",
                &self.definitions.display().to_string(),
            );
        let lines = lines.replace("~/.kube/config", &self.cluster.admin().display().to_string());
        let ran = self.command("bash").args(["-euo", "pipefail", "-c", &lines]).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{lines}\n{said}");
        said
    }

    /// A program that finds `kubectl`, `helm` and the plugin, and the cluster.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.path.display())).env("KUBECONFIG", self.cluster.admin());
        // Helm and kubectl keep what they learn in the home.
        command.env("HOME", self.cluster.scratch()).current_dir(&self.path).stdin(Stdio::null());
        command
    }
}

/// What the doctor says.
#[derive(Debug)]
pub struct Diagnosis {
    pub status: i32,
    pub report: Value,
    pub errors: String,
}

impl Diagnosis {
    pub fn read(output: &Output) -> Self {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        Self { status: output.status.code().unwrap(), report, errors }
    }

    /// The findings, each as `NAME KIND/NAME`.
    pub fn found(&self) -> Vec<String> {
        let line = |finding: &Value| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let object = &finding["object"];
            format!("{} {}/{}", text(&finding["finding"]), text(&object["kind"]), text(&object["name"]))
        };
        self.findings().iter().map(line).collect()
    }

    pub fn findings(&self) -> &[Value] {
        self.report["findings"].as_array().unwrap_or_else(|| panic!("no report: {}", self.errors))
    }

    /// The one finding of that name.
    #[track_caller]
    pub fn the(&self, name: &str) -> &Value {
        let mut found = self.findings().iter().filter(|finding| finding["finding"] == name);
        let first = found.next().unwrap_or_else(|| panic!("no {name} in {:#}", self.report));
        assert!(found.next().is_none(), "more than one {name} in {:#}", self.report);
        first
    }

    /// What is to be copied to cure the one finding of that name.
    #[track_caller]
    pub fn cure(&self, name: &str) -> &str {
        self.the(name)["cure"]["copy"].as_str().unwrap()
    }
}

/// An application that works, but for what is changed in it.
pub fn application(name: &str, change: &Value) -> Value {
    let mut application = json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": name},
        "spec": {
            "type": "Python", "mode": "cluster", "image": "apache/spark:3.5.7", "sparkVersion": "3.5.7",
            "mainApplicationFile": "local:///opt/spark/examples/src/main/python/pi.py",
            "driver": {"serviceAccount": "spark-operator-spark"}, "executor": {"instances": 1}
        }
    });
    json_patch::merge(&mut application, change);
    application
}

pub fn deployment(name: &str) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}})
}

/// This machine, behind a Service whose port is called `webhook`.
pub fn slice(service: &str, port: u16, ready: bool) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"addresses": [own_address()], "conditions": {"ready": ready}}],
        "ports": [{"name": "webhook", "port": port, "protocol": "TCP"}]
    })
}

/// An address of this machine that is no loopback, which no Service may have behind it. Nothing is sent.
fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip().to_string()
}
