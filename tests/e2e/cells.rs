//! The scenarios: what a user submits, as a manifest in which no workaround is.
//!
//! A cell is a way of submitting (row), a line of Spark's releases, a way of naming packages, and what surrounds it. All combinations
//! are made by the same code, so that two cells differ in nothing but what their names say.

use serde_json::{Value, json};

use crate::{
    outcome::Outcome,
    platform::{LIMITED, RESTRICTED, UNWATCHED, USERS},
};

/// What a scenario is expected to become, without the webhook and with it.
pub struct Scenario {
    pub cell: Cell,
    pub without: Expected,
    pub with: Expected,
}

/// How a scenario must end.
#[derive(Clone, Copy)]
pub enum Expected {
    Ran,
    /// Not, and where or with what message holds this text.
    Not(&'static str),
}

impl Expected {
    pub fn holds(self, outcome: &Outcome) -> bool {
        match self {
            Self::Ran => *outcome == Outcome::Ran,
            Self::Not(text) => *outcome != Outcome::Ran && outcome.to_string().contains(text),
        }
    }
}

/// The Spark of the images, as tests/e2e/spark says.
const VERSIONS: [(Line, &str, &str); 2] = [(Line::Three, "3.5.7", "2.12"), (Line::Four, "4.0.0", "2.13")];
/// A package without dependencies, of 19 KB.
const SMALL: &str = "com.google.code.findbugs:jsr305:3.0.2";
/// What computes pi in Python on the executors, in a session of its own: what is in a cell of a notebook.
const NOTEBOOK: &str = r#"
export PYTHONPATH=$SPARK_HOME/python:$(echo "$SPARK_HOME"/python/lib/py4j-*-src.zip)
exec python3 - <<'END'
import os
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("k8s://https://kubernetes.default.svc")
for key, value in CONF.items():
    builder = builder.config(key, value)
session = builder.config("spark.driver.host", os.environ["POD_IP"]).getOrCreate()
print("counted", session.sparkContext.parallelize(range(1000), 2).map(lambda number: number + 1).count())
session.stop()
END
"#;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Row {
    Scala,
    Python,
    Scheduled,
    Connect,
    /// `spark-submit` in cluster mode, from a pod.
    Submit,
    /// A session in client mode, in a notebook's pod.
    Notebook,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line {
    Three,
    Four,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packages {
    No,
    /// `deps.packages`
    Deps,
    /// `spark.jars.packages`
    Conf,
    /// `spark.jars.packages` and a directory for Ivy
    OwnIvy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Surroundings {
    Plain,
    /// A SparkConnect without a template for its executors.
    NoExecutorTemplate,
    ReadOnlyRoot,
    /// A user who is not in the image's passwd file.
    UnnamedUser,
    /// An image that runs as 1001.
    OtherUser,
    /// An init container that must be root.
    RootInit,
    /// A LimitRange and a ResourceQuota.
    Limited,
    /// The Pod Security Standard `restricted`.
    Restricted,
    /// `limits.memory: 512m`, the mistake.
    MemoryMistake,
    /// A volume of the user's for Ivy with `sizeLimit: 512m`, the mistake.
    SizeMistake,
    /// On a node whose file system takes no limits.
    BrokenNode,
    /// A namespace that the operator does not watch.
    UnwatchedNamespace,
    /// An account that is not there.
    MissingAccount,
    /// `ivy-cache-size: 20Mi`, less than the packages need.
    SmallCache,
}

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub row: Row,
    pub line: Line,
    pub packages: Packages,
    pub surroundings: Surroundings,
}

/// What surroundings mean for a pod.
#[derive(Default)]
struct Wishes {
    pod_security: Option<Value>,
    security: Option<Value>,
    init_containers: Vec<Value>,
    volumes: Vec<Value>,
    mounts: Vec<Value>,
    resources: Option<Value>,
}

impl Cell {
    pub const fn new(row: Row, line: Line, packages: Packages, surroundings: Surroundings) -> Self {
        Self { row, line, packages, surroundings }
    }

    /// Of letters and dashes, so that everything can be called after it.
    pub fn name(self) -> String {
        let words = format!("{:?}{:?}{:?}{:?}", self.row, self.line, self.packages, self.surroundings);
        let mut name = String::new();
        for letter in words.chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name.replace("-plain", "").replace("-no-", "-").trim_end_matches("-no").to_owned()
    }

    pub const fn namespace(self) -> &'static str {
        match self.surroundings {
            Surroundings::Limited => LIMITED,
            Surroundings::Restricted => RESTRICTED,
            Surroundings::UnwatchedNamespace => UNWATCHED,
            _ => USERS,
        }
    }

    /// What is submitted.
    pub fn manifest(self) -> Value {
        match self.row {
            Row::Scala | Row::Python => {
                json!({"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": self.metadata(), "spec": self.application()})
            }
            Row::Scheduled => json!({
                "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "ScheduledSparkApplication", "metadata": self.metadata(),
                "spec": {"schedule": "@every 5s", "concurrencyPolicy": "Forbid", "template": self.application()}
            }),
            Row::Connect => self.connect(),
            Row::Submit => self.submitting_pod(),
            Row::Notebook => self.notebook(),
        }
    }

    fn metadata(self) -> Value {
        let mut metadata = json!({"name": self.name(), "namespace": self.namespace()});
        if self.surroundings == Surroundings::SmallCache {
            metadata["annotations"] = json!({"spark-admission.io/ivy-cache-size": "20Mi"});
        }
        metadata
    }

    fn account(self) -> &'static str {
        if self.surroundings == Surroundings::MissingAccount { "spark-drvier" } else { "spark-driver" }
    }

    fn version(self) -> (&'static str, &'static str) {
        let (_, version, scala) = VERSIONS[self.line as usize];
        (version, scala)
    }

    fn image(self) -> String {
        let (version, _) = self.version();
        match self.surroundings {
            Surroundings::OtherUser => format!("example/spark:{version}-user-1001"),
            _ => format!("apache/spark:{version}"),
        }
    }

    /// Spark's properties for the packages.
    fn conf(self) -> Value {
        let mut conf = json!({});
        if matches!(self.packages, Packages::Conf | Packages::OwnIvy) {
            conf["spark.jars.packages"] = json!(SMALL);
        }
        if self.packages == Packages::OwnIvy || self.surroundings == Surroundings::SizeMistake {
            conf["spark.jars.ivy"] = json!("/tmp/.ivy2");
        }
        conf
    }

    fn application(self) -> Value {
        let (version, _) = self.version();
        let wishes = self.wishes();
        let mut driver = json!({"cores": 1, "coreRequest": "200m", "memory": "512m", "serviceAccount": self.account()});
        let mut executor = json!({"instances": 1, "cores": 1, "coreRequest": "200m", "memory": "512m"});
        if let Some(security) = &wishes.pod_security {
            driver["podSecurityContext"] = security.clone();
            executor["podSecurityContext"] = security.clone();
        }
        if let Some(security) = &wishes.security {
            driver["securityContext"] = security.clone();
            executor["securityContext"] = security.clone();
        }
        set_list(&mut driver, "initContainers", &wishes.init_containers);
        set_list(&mut driver, "volumeMounts", &wishes.mounts);
        let mut spec = json!({
            "type": if self.row == Row::Python { "Python" } else { "Scala" }, "mode": "cluster", "image": self.image(), "sparkVersion": version,
            "driver": driver, "executor": executor,
        });
        if self.row == Row::Python {
            spec["mainApplicationFile"] = json!("local:///opt/spark/examples/src/main/python/pi.py");
        } else {
            spec["mainClass"] = json!("org.apache.spark.examples.SparkPi");
            spec["mainApplicationFile"] = json!("local:///opt/spark/examples/jars/spark-examples.jar");
        }
        if self.packages == Packages::Deps {
            spec["deps"] = json!({"packages": [SMALL]});
        }
        if self.conf() != json!({}) {
            spec["sparkConf"] = self.conf();
        }
        set_list(&mut spec, "volumes", &wishes.volumes);
        spec
    }

    fn connect(self) -> Value {
        let (version, _) = self.version();
        let wishes = self.wishes();
        let mut container = json!({"name": "spark-kubernetes-driver"});
        wishes.of_container(&mut container);
        let mut pod = json!({"serviceAccountName": self.account()});
        wishes.of_pod(&mut pod);
        if container.as_object().is_some_and(|container| container.len() > 1) {
            pod["containers"] = json!([container]);
        }
        let mut executor = json!({"instances": 1, "cores": 1, "memory": "512m"});
        if self.surroundings != Surroundings::NoExecutorTemplate {
            let mut container = json!({"name": "spark-kubernetes-executor"});
            Wishes { security: wishes.security.clone(), ..Wishes::default() }.of_container(&mut container);
            let mut pod = json!({"containers": [container]});
            Wishes { pod_security: wishes.pod_security, ..Wishes::default() }.of_pod(&mut pod);
            executor["template"] = json!({"spec": pod});
        }
        let mut conf = self.conf();
        conf["spark.kubernetes.executor.request.cores"] = json!("200m");
        json!({
            "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": self.metadata(),
            "spec": {
                "image": self.image(), "sparkVersion": version, "sparkConf": conf,
                "server": {"cores": 1, "memory": "768m", "template": {"spec": pod}}, "executor": executor,
            }
        })
    }

    fn submitting_pod(self) -> Value {
        let name = self.name();
        let mut conf = self.conf();
        for (key, value) in [
            ("spark.kubernetes.namespace", self.namespace()),
            ("spark.kubernetes.container.image", &self.image()),
            ("spark.kubernetes.authenticate.driver.serviceAccountName", "spark-driver"),
            ("spark.kubernetes.driver.pod.name", &format!("{name}-driver")),
            ("spark.kubernetes.driver.request.cores", "200m"),
            ("spark.kubernetes.executor.request.cores", "200m"),
            ("spark.driver.memory", "512m"),
            ("spark.executor.memory", "512m"),
            ("spark.executor.instances", "1"),
        ] {
            conf[key] = json!(value);
        }
        let mut command = vec![
            "/opt/spark/bin/spark-submit",
            "--master",
            "k8s://https://kubernetes.default.svc",
            "--deploy-mode",
            "cluster",
        ];
        let settings: Vec<_> = conf
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
            .collect();
        for setting in &settings {
            command.extend(["--conf", setting]);
        }
        command.extend([
            "--class",
            "org.apache.spark.examples.SparkPi",
            "local:///opt/spark/examples/jars/spark-examples.jar",
        ]);
        self.pod(json!({"name": "submit", "image": self.image(), "command": command}))
    }

    fn notebook(self) -> Value {
        let mut conf = self.conf();
        for (key, value) in [
            ("spark.kubernetes.namespace", self.namespace()),
            ("spark.kubernetes.container.image", &self.image()),
            ("spark.kubernetes.executor.request.cores", "200m"),
            ("spark.executor.memory", "512m"),
            ("spark.executor.instances", "1"),
        ] {
            conf[key] = json!(value);
        }
        let script = NOTEBOOK.replace("CONF", &conf.to_string());
        let address = json!({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}});
        let mut container =
            json!({"name": "notebook", "image": self.image(), "command": ["bash", "-c", script], "env": [address]});
        self.wishes().of_container(&mut container);
        let mut pod = self.pod(container);
        self.wishes().of_pod(&mut pod["spec"]);
        pod
    }

    /// A pod of a user who runs Spark in it, which its label says.
    fn pod(self, container: Value) -> Value {
        let mut metadata = self.metadata();
        metadata["labels"] = json!({"spark-admission.io/notebook": "true"});
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"serviceAccountName": "spark-driver", "restartPolicy": "Never", "containers": [container]}
        })
    }

    fn wishes(self) -> Wishes {
        let none = Wishes::default();
        match self.surroundings {
            Surroundings::ReadOnlyRoot => Wishes { security: Some(json!({"readOnlyRootFilesystem": true})), ..none },
            Surroundings::UnnamedUser => {
                Wishes { pod_security: Some(json!({"runAsUser": 12345, "runAsGroup": 0})), ..none }
            }
            Surroundings::RootInit => {
                let init = json!({"name": "prepare", "image": self.image(), "command": ["touch", "/etc/prepared"], "securityContext": {"runAsUser": 0}});
                Wishes { init_containers: vec![init], ..none }
            }
            Surroundings::Restricted => Wishes {
                pod_security: Some(
                    json!({"runAsNonRoot": true, "runAsUser": 185, "seccompProfile": {"type": "RuntimeDefault"}}),
                ),
                security: Some(json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})),
                ..none
            },
            Surroundings::MemoryMistake => Wishes {
                resources: Some(json!({"requests": {"cpu": "200m", "memory": "512m"}, "limits": {"memory": "512m"}})),
                ..none
            },
            Surroundings::SizeMistake => Wishes {
                volumes: vec![json!({"name": "packages", "emptyDir": {"medium": "Memory", "sizeLimit": "512m"}})],
                mounts: vec![json!({"name": "packages", "mountPath": "/tmp/.ivy2"})],
                ..none
            },
            _ => none,
        }
    }
}

impl Wishes {
    fn of_pod(&self, spec: &mut Value) {
        if let Some(security) = &self.pod_security {
            spec["securityContext"] = security.clone();
        }
        set_list(spec, "initContainers", &self.init_containers);
        set_list(spec, "volumes", &self.volumes);
    }

    fn of_container(&self, container: &mut Value) {
        if let Some(security) = &self.security {
            container["securityContext"] = security.clone();
        }
        if let Some(resources) = &self.resources {
            container["resources"] = resources.clone();
        }
        set_list(container, "volumeMounts", &self.mounts);
    }
}

fn set_list(object: &mut Value, key: &str, list: &[Value]) {
    if !list.is_empty() {
        object[key] = json!(list);
    }
}
