//! Names: how long they may be before what the operator and Spark make of them is refused, and that the check knows it.

use serde_json::{Value, json};

use crate::{
    cluster::{Called, Namespace, Operator, Registered, Spark},
    spark_operator::{SUBMISSION, controller},
    support::{eventually, within},
};

/// What the operator's log says where the API server refuses a Service, or a pod for its label.
const TOO_LONG: &str = "must be no more than 63";

#[tokio::test]
async fn a_server_whose_names_are_refused_has_no_service() {
    let (here, asked) = (Namespace::new().await, Namespace::new().await);
    let operator = Operator::controller(&here, &[], &[]).await;
    let _webhook = Registered::real(&asked).await;
    let own = json!({"metadata": {"name": "mine"}, "spec": {"type": "ClusterIP"}});
    let cases = [
        ("its Service", connect(&"a".repeat(56), None), connect(&"b".repeat(57), None), TOO_LONG),
        ("its pods' label", connect(&"c".repeat(63), Some(own.clone())), connect(&"d".repeat(64), Some(own)), TOO_LONG),
        ("dots", connect("with-hyphens", None), connect("with.dots", None), "with.dots-server"),
        (
            "a Service without a name",
            connect("named", Some(json!({"metadata": {"name": "named"}}))),
            connect("unnamed", Some(json!({"spec": {"type": "NodePort"}}))),
            r#"Service \"\" is invalid"#,
        ),
        (
            "a Service with a long name",
            connect("long", Some(json!({"metadata": {"name": "e".repeat(63)}}))),
            connect("longer", Some(json!({"metadata": {"name": "f".repeat(64)}}))),
            TOO_LONG,
        ),
    ];
    for (_, fits, refused, _) in &cases {
        here.create(fits).await.object();
        here.create(refused).await.object();
    }
    for (case, fits, refused, why) in &cases {
        eventually(&format!("{case}: what fits has a Service"), async || {
            here.get(fits).await["status"]["server"]["serviceName"].is_string()
        })
        .await;
        let name = refused["metadata"]["name"].as_str().unwrap();
        eventually(&format!("{case}: the operator is refused"), async || {
            operator.log().lines().any(|line| line.contains(&format!("\"{name}\"")) && line.contains(why))
        })
        .await;
        assert_eq!(here.get(refused).await["status"], Value::Null, "{case}: nobody is told");
        judged(&asked, case, fits, refused).await;
    }
}

/// Only newer Kubernetes takes such a Service, so nobody knows.
#[tokio::test]
async fn a_name_that_begins_with_a_digit_is_not_judged() {
    let asked = Namespace::new().await;
    let _webhook = Registered::real(&asked).await;
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "1st-server"}, "spec": {"ports": [{"port": 80}]}
    });
    let version = asked.send("GET", "/version", &Value::Null).await.object();
    let minor: u32 = version["minor"].as_str().unwrap().trim_end_matches('+').parse().unwrap();
    assert_eq!(asked.create_dry(&service).await.is_success(), minor >= 36);
    let answer = asked.create_dry(&connect("1st", None)).await;
    assert!(answer.is_success() && !answer.warnings.iter().any(|it| it.starts_with("name-too-long")), "{answer:?}");
}

#[tokio::test]
async fn a_schedule_whose_runs_would_have_too_long_names_never_runs() {
    let (here, asked) = (Namespace::new().await, Namespace::new().await);
    let operator = Operator::controller(&here, &[], &[]).await;
    let _theirs = Operator::webhook(&here, Called::AfterOurs).await;
    let _webhook = Registered::real(&asked).await;
    let [fits, unsure, refused] =
        [("a", 43), ("b", 44), ("c", 55)].map(|(letter, length)| schedule(&letter.repeat(length)));
    for schedule in [&fits, &unsure, &refused] {
        here.create(schedule).await.object();
    }
    eventually("the one that fits runs", async || here.get(&fits).await["status"]["lastRunName"].is_string()).await;
    let run = here.get(&fits).await["status"]["lastRunName"].as_str().unwrap().to_owned();
    assert_eq!(run.len(), 63, "{run}");
    for schedule in [&unsure, &refused] {
        let name = schedule["metadata"]["name"].as_str().unwrap();
        eventually("the others do not", async || {
            operator.log().lines().any(|line| line.contains(&format!("{name}-")) && line.contains(TOO_LONG))
        })
        .await;
        assert_eq!(here.get(schedule).await["status"]["lastRunName"], Value::Null, "{name}");
    }
    judged(&asked, "a schedule", &fits, &refused).await;
    let answer = asked.create_dry(&unsure).await;
    assert!(answer.is_success(), "a newer operator can be set to shorter names: {}", answer.message());
    let told = answer.warnings.iter().filter(|it| it.starts_with("name-too-long: metadata.name: ")).count();
    assert_eq!(told, 1, "{:?}", answer.warnings);
}

#[tokio::test]
async fn an_application_whose_name_fits_no_label_gets_no_driver() {
    let (here, asked) = (Namespace::new().await, Namespace::new().await);
    let Some(spark) = Spark::release("3.5", &here, an_application_whose_name_fits_no_label_gets_no_driver).await else {
        return;
    };
    let _operator = controller(&here, &spark, &[]).await;
    let _webhook = Registered::real(&asked).await;
    let (fits, refused) = (application(&spark, &"a".repeat(63)), application(&spark, &"b".repeat(64)));
    for application in [&fits, &refused] {
        here.create(application).await.object();
    }
    within(SUBMISSION, "the one that fits has a driver, and a Service for its web UI", async || {
        let driver = here.get(&fits).await["status"]["driverInfo"].clone();
        driver["podName"].is_string() && driver["webUIServiceName"].is_string()
    })
    .await;
    within(SUBMISSION, "the other one fails", async || {
        let status = here.get(&refused).await["status"]["applicationState"].clone();
        status["errorMessage"].as_str().is_some_and(|why| why.contains(TOO_LONG))
    })
    .await;
    judged(&asked, "an application", &fits, &refused).await;
}

/// Asks Spark about each line of its input as a prefix of executors' names.
const ASK: &str = "
import sys
from pyspark.java_gateway import launch_gateway
gateway = launch_gateway()
config = getattr(getattr(gateway.jvm.org.apache.spark.deploy.k8s, 'Config$'), 'MODULE$')
entry = config.KUBERNETES_EXECUTOR_POD_NAME_PREFIX()
for line in sys.stdin.read().split('\\n'):
    conf = gateway.jvm.org.apache.spark.SparkConf(False).set(entry.key(), line)
    try:
        conf.get(entry)
        print('answer taken')
    except Exception:
        print('answer refused')
gateway.shutdown()
";

#[tokio::test]
async fn spark_takes_a_prefix_of_executors_names_as_the_check_does() {
    use std::io::Write as _;
    let (here, asked) = (Namespace::new().await, Namespace::new().await);
    let test = spark_takes_a_prefix_of_executors_names_as_the_check_does;
    let Some(spark) = Spark::release("4", &here, test).await else { return };
    let _webhook = Registered::real(&asked).await;
    let prefixes =
        ["a".repeat(237), "a".repeat(238), "a.b".into(), "1st".into(), "Etl".into(), "my_etl".into(), "etl-".into()];
    let mut asking = spark.start("prefixes", spark.python().args(["-c", ASK]));
    asking.input.take().unwrap().write_all(prefixes.join("\n").as_bytes()).unwrap();
    let ran = asking.end().await;
    let answers: Vec<_> = ran.said.lines().filter_map(|line| line.strip_prefix("answer ")).collect();
    assert_eq!(answers, ["taken", "refused", "taken", "taken", "refused", "refused", "refused"], "{}", ran.said);
    for (prefix, answer) in prefixes.iter().zip(answers) {
        let mut application = application(&spark, "report");
        application["spec"]["sparkConf"] = json!({"spark.kubernetes.executor.podNamePrefix": prefix});
        let status = asked.create_dry(&application).await.status;
        assert_eq!(status, if answer == "taken" { 201 } else { 422 }, "{prefix}");
    }
}

/// What fits passes in silence, and the other one is refused by this check.
async fn judged(asked: &Namespace, case: &str, fits: &Value, refused: &Value) {
    let answer = asked.create_dry(fits).await;
    assert!(answer.is_success(), "{case}: {}", answer.message());
    assert!(!answer.warnings.iter().any(|it| it.starts_with("name-too-long")), "{case}: {:?}", answer.warnings);
    let answer = asked.create_dry(refused).await;
    assert_eq!(answer.status, 422, "{case}: {}", answer.message());
    assert!(answer.message().contains("name-too-long: "), "{case}: {}", answer.message());
}

fn connect(name: &str, service: Option<Value>) -> Value {
    let template = json!({"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}});
    let mut connect = json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": name},
        "spec": {
            "sparkVersion": "4.0.0", "image": "apache/spark:4.0.0", "server": {}, "executor": {"instances": 1, "template": template}
        }
    });
    if let Some(service) = service {
        connect["spec"]["server"]["service"] = service;
    }
    connect
}

fn schedule(name: &str) -> Value {
    let template = json!({
        "type": "Scala", "mode": "cluster", "image": "apache/spark:3.5.9", "sparkVersion": "3.5.9", "mainClass": "Main",
        "mainApplicationFile": "local:///job.jar", "restartPolicy": {"type": "Never"}, "driver": {}, "executor": {}
    });
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "ScheduledSparkApplication", "metadata": {"name": name},
        "spec": {"schedule": "@every 1s", "concurrencyPolicy": "Forbid", "template": template}
    })
}

fn application(spark: &Spark<'_>, name: &str) -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": name},
        "spec": {
            "type": "Scala", "mode": "cluster", "image": spark.image(), "sparkVersion": spark.version,
            "mainClass": "org.apache.hadoop.util.VersionInfo", "mainApplicationFile": format!("local://{}", spark.jar().display()),
            "restartPolicy": {"type": "Never"}, "driver": {"serviceAccount": "spark"}, "executor": {"instances": 1}
        }
    })
}
