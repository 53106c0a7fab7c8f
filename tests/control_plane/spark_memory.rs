//! Amounts of memory: what Spark and the JVM make of them, what becomes of applications without the check, and what it refuses.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use spark_admission::policy::values::spark_memory::{Amount, heap_bytes};

use crate::{
    cluster::{Namespace, Operator, Registered, Spark, cluster},
    spark_operator::{SUBMISSION, controller},
    support::{eventually, skip, within},
};

/// The amounts of the unit test beside `Amount`, and more.
const AMOUNTS: &[&str] = &[
    "512m",
    "512M",
    " 512m ",
    "2g",
    "1t",
    "512k",
    "512",
    "1048575",
    "0",
    "0m",
    "512mb",
    "1gb",
    "1tb",
    "1p",
    "1pb",
    "512b",
    "512Mi",
    "512MI",
    "1GiB",
    "1Ki",
    "1kib",
    "1Ti",
    "1Pi",
    "1pib",
    "1.5g",
    "1.0g",
    "1.5Gi",
    "1.5",
    ".5g",
    "1.g",
    "512 m",
    "-1g",
    "+1g",
    "1e3",
    "1e",
    "1E",
    "lots",
    "m",
    "1gg",
    "1mi b",
    "9223372036854775807",
    "9223372036854775808",
    "0x10",
    "1_000",
    "007m",
    "",
    "  ",
];

/// Asks Spark's own class about each line of its input: the bytes, or `refused`.
const ASK: &str = "
import sys
from pyspark.java_gateway import launch_gateway
gateway = launch_gateway()
utils = gateway.jvm.org.apache.spark.network.util.JavaUtils
for line in sys.stdin.read().split('\\n'):
    try:
        print('answer', utils.byteStringAsBytes(line))
    except Exception:
        print('answer', 'refused')
gateway.shutdown()
";

#[tokio::test]
async fn spark_3_5_reads_amounts_as_the_check_does() {
    let here = Namespace::new().await;
    if let Some(spark) = Spark::release("3.5", &here, spark_3_5_reads_amounts_as_the_check_does).await {
        ask(&spark, false).await;
    }
}

#[tokio::test]
async fn spark_4_reads_amounts_as_the_check_does() {
    let here = Namespace::new().await;
    if let Some(spark) = Spark::release("4", &here, spark_4_reads_amounts_as_the_check_does).await {
        ask(&spark, true).await;
    }
}

/// The newest Spark 4 reads the suffixes of Kubernetes.
async fn ask(spark: &Spark<'_>, reads_kubernetes: bool) {
    let mut asking = spark.start("amounts", spark.python().args(["-c", ASK]));
    asking.input.take().unwrap().write_all(AMOUNTS.join("\n").as_bytes()).unwrap();
    let ran = asking.end().await;
    let answers: Vec<_> = ran.said.lines().filter_map(|line| line.strip_prefix("answer ")).collect();
    assert_eq!(answers.len(), AMOUNTS.len(), "{}", ran.said);
    for (amount, answer) in AMOUNTS.iter().zip(answers) {
        let expected = match Amount::read(amount) {
            Amount::Read(bytes) => bytes.to_string(),
            Amount::ReadSince4_2(bytes) if reads_kubernetes => bytes.to_string(),
            _ => "refused".to_owned(),
        };
        assert_eq!(answer, expected, "{amount:?}");
    }
}

#[tokio::test]
async fn the_jvm_reads_a_heap_as_the_check_does() {
    if Command::new("java").arg("-version").output().is_err() {
        return skip(std::any::type_name_of_val(&the_jvm_reads_a_heap_as_the_check_does), "there is no java");
    }
    let cluster = cluster().await;
    let starts = |amount: &str| {
        let mut command = Command::new("java");
        command.args([&format!("-Xmx{}", amount.trim()), "-XX:-UsePerfData", "-version"]).stderr(Stdio::null());
        cluster.adopt(&mut command).status().unwrap().success()
    };
    for amount in AMOUNTS {
        match heap_bytes(amount) {
            None => assert!(!starts(amount), "{amount:?} is read"),
            Some(bytes) if bytes < 1 << 20 => assert!(!starts(amount), "{amount:?} is enough"),
            Some(bytes) if (1 << 29..1 << 40).contains(&bytes) => assert!(starts(amount), "{amount:?} is refused"),
            Some(_) => {}
        }
    }
}

#[tokio::test]
async fn what_the_check_refuses_fails_at_submission_or_in_the_driver() {
    let (here, asked) = (Namespace::new().await, Namespace::new().await);
    let test = what_the_check_refuses_fails_at_submission_or_in_the_driver;
    let Some(spark) = Spark::release("3.5", &here, test).await else { return };
    let _operator = controller(&here, &spark, &[]).await;
    let _webhook = Registered::real(&asked).await;

    let refused = [
        ("of-kubernetes", json!({"driver": {"memory": "512Mi"}}), "Driver memory must be a positive number"),
        ("of-executors", json!({"executor": {"memory": "1.5g"}}), "Executor memory must be a positive number"),
        ("overhead", json!({"driver": {"memoryOverhead": "384Mi"}}), "Invalid suffix: \"mi\""),
    ];
    for (name, spec, _) in &refused {
        here.create(&application(&spark, name, spec)).await.object();
    }
    for (name, spec, why) in &refused {
        let application = application(&spark, name, spec);
        within(SUBMISSION, &format!("{name} fails"), async || {
            let status = &here.get(&application).await["status"]["applicationState"];
            status["errorMessage"].as_str().is_some_and(|message| message.contains(why))
        })
        .await;
        is_denied(&asked, &application).await;
    }

    // What is submitted, and fails where the driver's pod starts Spark with the properties that it gets.
    for (name, memory, why) in [
        ("bytes", "512", "Too small maximum heap"),
        ("suffix", "1gb", "Invalid maximum heap size: -Xmx1gb"),
        ("too-much", "1p", "Invalid maximum heap size: -Xmx1p"),
    ] {
        let ran = spark.run(name, &mut driver(&spark, &[("spark.driver.memory", memory)])).await;
        assert!(!ran.status.success() && ran.said.contains(why), "{name}: {}", ran.said);
        is_denied(&asked, &application(&spark, name, &json!({"driver": {"memory": memory}}))).await;
    }
    let overhead = [("spark.executor.memoryOverhead", "0.5g"), ("spark.driver.memory", "1g")];
    let ran = spark.run("overhead-of-executors", &mut driver(&spark, &overhead)).await;
    assert!(!ran.status.success() && ran.said.contains("Fractional values are not supported"), "{}", ran.said);
    is_denied(&asked, &application(&spark, "overhead-of-executors", &json!({"executor": {"memoryOverhead": "0.5g"}})))
        .await;

    for (case, spec) in [
        (
            "amounts as Spark has them",
            json!({"driver": {"memory": "1g", "memoryOverhead": "384m"}, "executor": {"memory": "512M"}}),
        ),
        ("plain numbers of executors", json!({"executor": {"memory": "512", "memoryOverhead": "384"}})),
        (
            "a bad key that the field overrides",
            json!({"driver": {"memory": "1g"}, "sparkConf": {"spark.driver.memory": "1Gi"}}),
        ),
        ("nothing", json!({})),
    ] {
        let answer = asked.create_dry(&application(&spark, "fine", &spec)).await;
        assert!(answer.is_success(), "{case}: {}", answer.message());
        // That a key is not read is another check's to say.
        let told = answer.warnings.iter().filter(|warning| !warning.starts_with("submission-keys: "));
        assert_eq!(told.count(), 0, "{case}: {:?}", answer.warnings);
    }
}

/// What nobody tells: the server ends again and again, and only its log says why.
#[tokio::test]
async fn a_server_whose_heap_no_jvm_reads_is_refused_and_runs_otherwise() {
    let (here, asked) = (Namespace::new().await, Namespace::new().await);
    let _operator = Operator::controller(&here, &[], &[]).await;
    let _webhook = Registered::real(&asked).await;
    let connect = json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": "analytics"},
        "spec": {
            "sparkVersion": "4.0.0", "image": "apache/spark:4.0.0", "server": {"memory": "512Mi"},
            "executor": {"instances": 1, "template": {"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}}}
        }
    });
    here.create(&connect).await.object();
    eventually("the server's pod is made", async || here.pods_of("connect-server").await.len() == 1).await;
    let server = here.pods_of("connect-server").await.remove(0);
    let script = server["spec"]["containers"][0]["args"][0].as_str().unwrap();
    assert!(script.contains("--conf spark.driver.memory=512Mi"), "{script}");
    let denied = is_denied(&asked, &connect).await;
    assert_eq!(
        denied["details"]["causes"][0],
        json!({
            "reason": "FieldValueInvalid", "field": "spec.server.memory",
            "message": "the JVM cannot read \"512Mi\", which becomes its -Xmx; write 512m (spark-memory)"
        })
    );
    let mut repaired = connect.clone();
    repaired["spec"]["server"]["memory"] = "512m".into();
    assert!(asked.create_dry(&repaired).await.is_success());
}

/// Refused, by this check.
async fn is_denied(asked: &Namespace, resource: &Value) -> Value {
    let answer = asked.create_dry(resource).await;
    assert_eq!(answer.status, 422, "{}: {}", resource["spec"], answer.message());
    assert!(answer.message().contains("spark-memory: "), "{}", answer.message());
    answer.body
}

/// An application that is nothing but a program of Hadoop's.
fn application(spark: &Spark<'_>, name: &str, spec: &Value) -> Value {
    let mut application = json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": name},
        "spec": {
            "type": "Scala", "mode": "cluster", "image": spark.image(), "sparkVersion": spark.version,
            "mainClass": "org.apache.hadoop.util.VersionInfo", "mainApplicationFile": format!("local://{}", spark.jar().display()),
            "restartPolicy": {"type": "Never"}, "driver": {"serviceAccount": "spark"}, "executor": {"instances": 1}
        }
    });
    json_patch::merge(&mut application["spec"], spec);
    application
}

/// What a driver's pod runs: its configuration comes from a file, and its program makes a session.
fn driver(spark: &Spark<'_>, properties: &[(&str, &str)]) -> Command {
    let file = spark.folder.join("spark.properties");
    let lines: Vec<_> = properties.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    std::fs::write(&file, lines.concat()).unwrap();
    let mut command = spark.program("bin/spark-submit");
    command.arg("--properties-file").arg(file).args(["--master", "local[1]", "--conf", "spark.ui.enabled=false"]);
    command.arg(spark.session_file());
    command
}
