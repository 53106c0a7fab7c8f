//! What a user submits for a cell: a manifest in which no workaround is.
//!
//! All cells are made by the same code, so that two of them differ in nothing but what their names say.

use serde_json::{Map, Value, json};

use crate::{
    cell::{Cell, Packages, Row, Surroundings},
    wishes::Wishes,
};

/// A package without dependencies, of 19 KB.
const SMALL: &str = "com.google.code.findbugs:jsr305:3.0.2";
/// Of the Hadoop that both lines of Spark here can use.
const LARGE: &str = "org.apache.hadoop:hadoop-aws:3.3.4";
const MASTER: &str = "k8s://https://kubernetes.default.svc";
/// What a notebook's pod runs: a cell that computes on the executors, in a session of its own. PREPARE and CONF are filled in.
const NOTEBOOK: &str = r#"
PREPARE
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

/// The manifest of a cell.
pub fn of(cell: Cell) -> Value {
    match cell.row {
        Row::Scala | Row::Python => json!({
            "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication",
            "metadata": metadata(cell), "spec": application(cell)
        }),
        Row::Scheduled => json!({
            "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "ScheduledSparkApplication", "metadata": metadata(cell),
            "spec": {"schedule": "@every 5s", "concurrencyPolicy": "Forbid", "template": application(cell)}
        }),
        Row::Connect => connect(cell),
        Row::Submit => submitting_pod(cell),
        Row::Notebook => notebook(cell),
    }
}

fn metadata(cell: Cell) -> Value {
    let mut metadata = json!({"name": cell.name(), "namespace": cell.namespace()});
    if cell.surroundings == Surroundings::SmallCache {
        metadata["annotations"] = json!({"spark-admission.io/ivy-cache-size": "20Mi"});
    }
    metadata
}

const fn driver_memory(cell: Cell) -> &'static str {
    if matches!(cell.packages, Packages::Large) { "1g" } else { "512m" }
}

/// Spark's properties for the packages.
fn conf(cell: Cell) -> Map<String, Value> {
    let mut conf = Map::new();
    match cell.packages {
        Packages::Conf | Packages::OwnIvy => drop(conf.insert("spark.jars.packages".to_owned(), json!(SMALL))),
        Packages::Large => drop(conf.insert("spark.jars.packages".to_owned(), json!(LARGE))),
        Packages::No | Packages::Deps => {}
    }
    if cell.packages == Packages::OwnIvy || cell.surroundings == Surroundings::SizeMistake {
        conf.insert("spark.jars.ivy".to_owned(), json!("/tmp/.ivy2"));
    }
    conf
}

fn application(cell: Cell) -> Value {
    let mut spec = json!({
        "type": "Scala", "mode": "cluster", "image": cell.image(), "sparkVersion": cell.version(),
        "driver": {"cores": 1, "coreRequest": "100m", "memory": driver_memory(cell), "serviceAccount": cell.account()},
        "executor": {"instances": 1, "cores": 1, "coreRequest": "100m", "memory": "512m"},
    });
    if cell.row == Row::Python {
        spec["type"] = json!("Python");
        spec["mainApplicationFile"] = json!("local:///opt/spark/examples/src/main/python/pi.py");
    } else {
        spec["mainClass"] = json!("org.apache.spark.examples.SparkPi");
        spec["mainApplicationFile"] = json!("local:///opt/spark/examples/jars/spark-examples.jar");
    }
    if cell.packages == Packages::Deps {
        spec["deps"] = json!({"packages": [SMALL]});
    }
    let conf = conf(cell);
    if !conf.is_empty() {
        spec["sparkConf"] = Value::Object(conf);
    }
    Wishes::of(cell).write_into_application(&Wishes::of_executor(cell), &mut spec);
    spec
}

fn connect(cell: Cell) -> Value {
    // The operator gives a server no resources of its own, and without a request it waits for all that have one.
    let container = json!({"name": "spark-kubernetes-driver", "resources": {"requests": {"cpu": "100m"}}});
    let mut server = json!({"serviceAccountName": cell.account(), "containers": [container]});
    Wishes::of(cell).write(&mut server, 0);
    let mut executor = json!({"instances": 1, "cores": 1, "memory": "512m"});
    if cell.surroundings != Surroundings::NoExecutorTemplate {
        executor["template"] = executor_template(cell);
    }
    let mut conf = conf(cell);
    conf.insert("spark.kubernetes.executor.request.cores".to_owned(), json!("100m"));
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": metadata(cell),
        "spec": {
            "image": cell.image(), "sparkVersion": cell.version(), "sparkConf": conf,
            "server": {"cores": 1, "memory": "768m", "template": {"spec": server}}, "executor": executor,
        }
    })
}

fn executor_template(cell: Cell) -> Value {
    let mut spec = json!({"containers": [{"name": "spark-kubernetes-executor"}]});
    Wishes::of_executor(cell).write(&mut spec, 0);
    json!({"spec": spec})
}

fn driver_template(cell: Cell) -> Value {
    let mut spec = json!({"containers": [{"name": "spark-kubernetes-driver"}]});
    Wishes::of(cell).write(&mut spec, 0);
    json!({"spec": spec})
}

/// A pod template as a file: how to write it, and Spark's setting for it. Nothing where the plain one serves.
fn template_file(role: &str, template: &Value) -> Option<(String, (String, String))> {
    let plain = json!({"spec": {"containers": [{"name": format!("spark-kubernetes-{role}")}]}});
    let file = format!("/tmp/{role}.json");
    (*template != plain).then(|| {
        let write = format!("cat >{file} <<'END'\n{template}\nEND");
        (write, (format!("spark.kubernetes.{role}.podTemplateFile"), file))
    })
}

/// What both the drivers and the sessions that come without a resource are told of the cluster.
fn settings(cell: Cell) -> Map<String, Value> {
    let mut conf = conf(cell);
    for (key, value) in [
        ("spark.kubernetes.namespace", cell.namespace()),
        ("spark.kubernetes.container.image", &cell.image()),
        ("spark.kubernetes.executor.request.cores", "100m"),
        ("spark.executor.memory", "512m"),
        ("spark.executor.instances", "1"),
    ] {
        conf.insert(key.to_owned(), json!(value));
    }
    conf
}

/// Writes the files of these templates; `conf` is told of them.
fn prepare(templates: &[(&str, Value)], conf: &mut Map<String, Value>) -> String {
    let files = templates.iter().filter_map(|(role, template)| template_file(role, template));
    let commands = files.map(|(write, (key, file))| {
        conf.insert(key, json!(file));
        write
    });
    commands.collect::<Vec<_>>().join("\n")
}

fn submitting_pod(cell: Cell) -> Value {
    let mut conf = settings(cell);
    for (key, value) in [
        ("spark.kubernetes.authenticate.driver.serviceAccountName", cell.account()),
        ("spark.kubernetes.driver.pod.name", &format!("{}-driver", cell.name())),
        ("spark.kubernetes.driver.request.cores", "100m"),
        ("spark.driver.memory", driver_memory(cell)),
    ] {
        conf.insert(key.to_owned(), json!(value));
    }
    let prepare = prepare(&[("driver", driver_template(cell)), ("executor", executor_template(cell))], &mut conf);
    let settings = conf.iter().map(|(key, value)| format!("--conf {key}={}", value.as_str().unwrap_or_default()));
    let settings = settings.collect::<Vec<_>>().join(" ");
    let submit = format!(
        "exec /opt/spark/bin/spark-submit --master {MASTER} --deploy-mode cluster {settings} \
         --class org.apache.spark.examples.SparkPi local:///opt/spark/examples/jars/spark-examples.jar"
    );
    let container = json!({
        "name": "submit", "image": cell.image(), "command": ["bash", "-c", format!("{prepare}\n{submit}")]
    });
    let mut pod = pod(cell, &container);
    // Where it is submitted from is the administrator's, and as the namespace asks.
    if cell.surroundings == Surroundings::Restricted {
        Wishes::of(cell).write(&mut pod["spec"], 0);
    }
    pod
}

fn notebook(cell: Cell) -> Value {
    let mut conf = settings(cell);
    let prepare = prepare(&[("executor", executor_template(cell))], &mut conf);
    let script = NOTEBOOK.replace("PREPARE", &prepare).replace("CONF", &Value::Object(conf).to_string());
    let address = json!({"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}});
    let container =
        json!({"name": "notebook", "image": cell.image(), "command": ["bash", "-c", script], "env": [address]});
    let mut pod = pod(cell, &container);
    Wishes::of(cell).write(&mut pod["spec"], 0);
    pod
}

/// A pod of a user who runs Spark in it, which its label says.
fn pod(cell: Cell, container: &Value) -> Value {
    let mut metadata = metadata(cell);
    metadata["labels"] = json!({"spark-admission.io/notebook": "true"});
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"serviceAccountName": "spark-driver", "restartPolicy": "Never", "containers": [container]}
    })
}
