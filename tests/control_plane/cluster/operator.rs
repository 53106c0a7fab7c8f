//! Kubeflow's operator, the real one, as processes of this machine: its webhook and its controller, each for one namespace.
//!
//! What its chart installs is what runs: the arguments of its Deployments and its registrations, as `helm template` renders them. Only
//! the way to the API server, the certificate's folder and the URL of the webhook are the test's own.

use std::{
    future::ready,
    io::{Write as _, stderr},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::sleep;

use super::{Namespace, programs};
use crate::support::{DEADLINE, eventually};

const PROGRAMS: [&str; 3] = ["spark-operator", "spark-operator-chart", "helm"];
/// What registers its webhook.
const REGISTRATIONS: [(&str, &str); 2] = [
    ("MutatingWebhookConfiguration", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"),
    ("ValidatingWebhookConfiguration", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"),
];

/// When the operator's webhook is called: the API server calls webhooks in the order of their configurations' names, and that of ours
/// begins with `spark-admission`. `spark-operator-webhook`, as users have it, sorts after ours.
#[derive(Clone, Copy, Debug)]
pub enum Called {
    BeforeOurs,
    AfterOurs,
}

/// A running operator, one half of it; ended when dropped.
pub struct Operator<'a> {
    here: &'a Namespace,
    name: String,
    child: Child,
}

impl<'a> Operator<'a> {
    /// Starts its webhook for a namespace, and returns once the API server asks it about pods and resources there.
    pub async fn webhook(here: &'a Namespace, called: Called) -> Self {
        let prefix = match called {
            Called::BeforeOurs => "kubeflow",
            Called::AfterOurs => "zz-kubeflow",
        };
        let installed = format!("{prefix}-{}", here.name);
        // A port that was free a moment ago may be taken by the time that it is wanted. And once, in some hundreds of starts, the operator
        // was asked about pods and in 20 s not about resources, for a reason that is not known.
        let mut why = String::new();
        for _ in 0..3 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let port_value = format!("webhook.port={port}");
            let chart = render(here, &installed, &[&port_value]).await;
            let certificates = format!("--webhook-cert-dir={installed}");
            let mut operator = Self::start(here, &chart, "webhook", &[], &[&certificates]).await;
            match operator.come_up(&chart).await {
                Ok(()) => return operator,
                Err(error) => why = error,
            }
            // Past the test's output, which is shown of failed ones only.
            let _ = writeln!(stderr(), "the operator's webhook is started again: {why}");
        }
        panic!("the operator's webhook was started three times in vain: {why}");
    }

    /// Starts its controller for a namespace. It runs with more environment, such as `SPARK_HOME`, and more arguments than the chart's;
    /// an argument that is there twice counts as it stands last.
    pub async fn controller(here: &'a Namespace, environment: &[(&str, &str)], arguments: &[&str]) -> Self {
        let chart = render(here, &format!("kubeflow-{}", here.name), &[]).await;
        Self::start(here, &chart, "controller", environment, arguments).await
    }

    /// The Deployment of its controller, as the chart installs it for a namespace.
    pub async fn deployment(here: &Namespace) -> Value {
        let chart = render(here, &format!("kubeflow-{}", here.name), &[]).await;
        half_of(&chart, "controller").clone()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.here.cluster().processes.log(&self.name)
    }

    async fn start(
        here: &'a Namespace,
        chart: &[Value],
        half: &str,
        environment: &[(&str, &str)],
        arguments: &[&str],
    ) -> Self {
        let charts = &half_of(chart, half)["spec"]["template"]["spec"]["containers"][0]["args"];
        let programs = programs(&PROGRAMS).await.unwrap();
        let mut command = Command::new(programs.path("spark-operator"));
        command.args(charts.as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()));
        command.args(["--kubeconfig=admin.conf", "--health-probe-bind-address=0"]).args(arguments);
        // What every pod has: the operator makes the address of Spark's master of it.
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env_remove("KUBECONFIG");
        command.env("KUBERNETES_SERVICE_PORT", here.cluster().port.to_string()).envs(environment.iter().copied());
        let name = format!("spark-operator-{half}-{}", here.name);
        let child = here.cluster().processes.spawn(&name, &mut command).unwrap();
        Self { here, name, child }
    }

    async fn come_up(&mut self, chart: &[Value]) -> Result<(), String> {
        self.serves().await?;
        self.register(chart).await
    }

    /// Waits until it serves, which it does not where another had taken its port.
    async fn serves(&mut self) -> Result<(), String> {
        eventually("the operator's webhook serves or ends", || {
            let is_over = self.child.try_wait().unwrap().is_some();
            ready(is_over || self.log().contains("Serving webhook server"))
        })
        .await;
        let Some(status) = self.child.try_wait().unwrap() else { return Ok(()) };
        let log = self.log();
        assert!(log.contains("address already in use"), "the operator's webhook ended, {status}: {log}");
        Err("its port was taken".to_owned())
    }

    /// Registers it, and waits until it is asked; the operator itself puts its certificate into the registrations. If it is not asked,
    /// it is registered no more.
    async fn register(&self, chart: &[Value]) -> Result<(), String> {
        let mut registered = Vec::new();
        for (kind, path) in REGISTRATIONS {
            let mut configuration = chart.iter().find(|object| object["kind"] == kind).unwrap().clone();
            for webhook in configuration["webhooks"].as_array_mut().unwrap() {
                let service = &webhook["clientConfig"]["service"];
                let url = format!("https://localhost:{}{}", service["port"], service["path"].as_str().unwrap());
                webhook["clientConfig"] = serde_json::json!({"url": url});
            }
            self.here.send("POST", path, &configuration).await.object();
            registered.push(format!("{path}/{}", configuration["metadata"]["name"].as_str().unwrap()));
        }
        let asked = async {
            self.is_asked("pods", &orphan(), "failed to get SparkApplication").await?;
            self.is_asked("resources", &misnamed(), "invalid SparkApplication name").await
        }
        .await;
        if asked.is_err() {
            for path in &registered {
                self.here.send("DELETE", path, &Value::Null).await.object();
            }
        }
        asked
    }

    /// Waits until the API server asks it about such an object, which it refuses for that reason.
    async fn is_asked(&self, about: &str, probe: &Value, why: &str) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let answer = self.here.create_dry(probe).await;
            let said = answer.message();
            if !answer.is_success() && said.contains(why) {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("it is not asked about {about}; {}: {said}\n{}", answer.status, self.log()));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Operator<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!(
                "the end of the log of {}:\n{}",
                self.name,
                self.here.cluster().processes.log_end(&self.name, 20)
            );
        }
    }
}

/// The Deployment of one half of what the chart installs.
fn half_of<'c>(chart: &'c [Value], half: &str) -> &'c Value {
    let is_half = |object: &&Value| {
        object["kind"] == "Deployment" && object["metadata"]["labels"]["app.kubernetes.io/component"] == half
    };
    chart.iter().find(is_half).unwrap()
}

/// What the operator's chart installs for one namespace.
async fn render(here: &Namespace, name: &str, values: &[&str]) -> Vec<Value> {
    let programs = programs(&PROGRAMS).await.unwrap();
    let mut command = Command::new(programs.path("helm"));
    command.args(["template", name]).arg(programs.path("spark-operator-chart")).args(["--namespace", &here.name]);
    command.args([
        "--set",
        &format!("fullnameOverride={name}"),
        "--set",
        &format!("spark.jobNamespaces={{{}}}", here.name),
    ]);
    // One of each is enough, and nobody asks for metrics.
    for half in ["controller", "webhook"] {
        command.args(["--set", &format!("{half}.leaderElection.enable=false")]);
    }
    command.args(["--set", "prometheus.metrics.enable=false"]);
    command.args(values.iter().flat_map(|value| ["--set", value]));
    let ran = command.stdin(Stdio::null()).output().unwrap();
    assert!(ran.status.success(), "helm: {}", String::from_utf8_lossy(&ran.stderr));
    let text = String::from_utf8(ran.stdout).unwrap();
    let documents = text.split("\n---\n").filter(|document| document.contains("\nkind: "));
    documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

/// A driver of an application that there is not, which the operator refuses.
fn orphan() -> Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "orphan", "labels": {
            "sparkoperator.k8s.io/launched-by-spark-operator": "true", "sparkoperator.k8s.io/app-name": "no-such-application"
        }},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9"}]}
    })
}

/// An application whose name the API server takes and the operator does not.
fn misnamed() -> Value {
    serde_json::json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "1st-report"},
        "spec": {"type": "Scala", "mode": "cluster", "mainApplicationFile": "local:///opt/job.py", "sparkVersion": "3.5.9", "driver": {}, "executor": {}}
    })
}
