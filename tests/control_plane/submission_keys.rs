//! Keys of `sparkConf` that come to nothing: what the real operator and Spark make of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    cluster::{Called, Namespace, Operator, Registered, Spark},
    spark_connect::{connect, server_of},
    spark_operator::{SUBMISSION, application, controller, driver_of},
    support::within,
};

/// What Spark refuses.
const BIND_ADDRESS: &str = "spark.driver.bindAddress";

/// A key, the field of the resource that counts (a JSON pointer) with its value, the key's own value, and what Spark is told.
const OF_APPLICATION: [(&str, &str, &str, &str, &str); 22] = [
    ("spark.driver.cores", "/driver/cores", "1", "2", "1"),
    ("spark.driver.memory", "/driver/memory", r#""600m""#, "700m", "600m"),
    ("spark.driver.memoryOverhead", "/driver/memoryOverhead", r#""400m""#, "500m", "400m"),
    ("spark.driver.extraJavaOptions", "/driver/javaOptions", r#""-Da=b""#, "-Dc=d", "-Da=b"),
    ("spark.kubernetes.driver.request.cores", "/driver/coreRequest", r#""500m""#, "600m", "500m"),
    ("spark.kubernetes.driver.limit.cores", "/driver/coreLimit", r#""1200m""#, "1300m", "1200m"),
    ("spark.kubernetes.driver.pod.name", "/driver/podName", r#""named-driver""#, "another", "named-driver"),
    (
        "spark.kubernetes.authenticate.driver.serviceAccountName",
        "/driver/serviceAccount",
        r#""spark""#,
        "default",
        "spark",
    ),
    ("spark.executor.instances", "/executor/instances", "1", "2", "1"),
    ("spark.executor.cores", "/executor/cores", "1", "2", "1"),
    ("spark.executor.memory", "/executor/memory", r#""600m""#, "700m", "600m"),
    ("spark.executor.memoryOverhead", "/executor/memoryOverhead", r#""400m""#, "500m", "400m"),
    ("spark.executor.extraJavaOptions", "/executor/javaOptions", r#""-Da=b""#, "-Dc=d", "-Da=b"),
    ("spark.kubernetes.executor.request.cores", "/executor/coreRequest", r#""500m""#, "600m", "500m"),
    ("spark.kubernetes.executor.limit.cores", "/executor/coreLimit", r#""1200m""#, "1300m", "1200m"),
    ("spark.kubernetes.executor.deleteOnTermination", "/executor/deleteOnTermination", "false", "true", "false"),
    (
        "spark.kubernetes.executor.container.image",
        "/executor/image",
        r#""apache/spark:x""#,
        "apache/spark:y",
        "apache/spark:x",
    ),
    ("spark.jars", "/deps/jars", r#"["local:///a.jar"]"#, "local:///b.jar", "local:///a.jar"),
    ("spark.files", "/deps/files", r#"["local:///a.txt"]"#, "local:///b.txt", "local:///a.txt"),
    ("spark.dynamicAllocation.enabled", "/dynamicAllocation/enabled", "true", "false", "true"),
    ("spark.dynamicAllocation.maxExecutors", "/dynamicAllocation/maxExecutors", "3", "4", "3"),
    (
        "spark.dynamicAllocation.shuffleTracking.enabled",
        "/dynamicAllocation/shuffleTrackingEnabled",
        "true",
        "false",
        "true",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keys_of_an_application_are_overwritten_as_the_check_says() {
    let here = Namespace::new().await;
    let test = keys_of_an_application_are_overwritten_as_the_check_says;
    let Some(spark) = Spark::release("4", &here, test).await else { return };
    let checked = Namespace::new().await;
    let _ours = Registered::real(&checked).await;
    let _theirs = Operator::webhook(&here, Called::AfterOurs).await;
    let _operator = controller(&here, &spark, &[]).await;
    let mut report = application(&spark, "report", &json!({}));
    report["spec"]["deps"] = json!({});
    let mut refused = report.clone();
    refused["metadata"]["name"] = "refused".into();
    refused["spec"]["sparkConf"] = json!({BIND_ADDRESS: "0.0.0.0"});
    let mut expected = BTreeMap::new();
    for (key, pointer, field, value, told) in OF_APPLICATION {
        set(&mut report["spec"], pointer, serde_json::from_str(field).unwrap());
        report["spec"]["sparkConf"][key] = value.into();
        expected.insert(key, told);
    }
    for (key, value, told) in [
        ("spark.app.name", "My report", "report"),
        ("spark.submit.deployMode", "client", "cluster"),
        ("spark.kubernetes.executor.podTemplateContainerName", "mine", "spark-kubernetes-executor"),
    ] {
        report["spec"]["sparkConf"][key] = value.into();
        expected.insert(key, told);
    }
    report["spec"]["sparkConf"]["spark.kubernetes.driver.podTemplateFile"] = "/nowhere.yaml".into();
    report["spec"]["sparkConf"]["spark.kubernetes.executor.podTemplateFile"] = "/nowhere.yaml".into();
    // Where the field is not set, the key counts.
    report["spec"]["sparkConf"]["spark.kubernetes.container.image.pullPolicy"] = "Always".into();

    let said = checked.create_dry(&report).await;
    let mut warned: Vec<_> = said.warnings.iter().filter_map(|it| told_key(it)).collect();
    warned.sort_unstable();
    let mut keys: Vec<_> = expected.keys().copied().collect();
    keys.extend(["spark.kubernetes.driver.podTemplateFile", "spark.kubernetes.executor.podTemplateFile"]);
    keys.sort_unstable();
    // No more than twenty are told of one object.
    assert!(
        said.is_success() && warned.len() == 20 && warned.iter().all(|key| keys.contains(key)),
        "{:?}",
        said.warnings
    );

    here.create(&refused).await.object();
    here.create(&report).await.object();
    let pod = json!({"metadata": {"name": "named"}});
    let driver = driver_of(&here, &pod).await;
    let properties = properties_of(&here, &driver).await;
    for (key, told) in expected {
        // Behind the jars stands the application's own.
        let value = properties.get(key).and_then(|value| value.split(',').next());
        assert_eq!(value, Some(told), "{key} in {properties:#?}");
    }
    assert_eq!(properties["spark.kubernetes.container.image.pullPolicy"], "Always");
    let said = checked.create_dry(&refused).await;
    assert_eq!(said.warnings.iter().filter_map(|it| told_key(it)).collect::<Vec<_>>(), [BIND_ADDRESS]);
    within(SUBMISSION, BIND_ADDRESS, async || {
        let status = here.get(&refused).await["status"]["applicationState"].clone();
        status["errorMessage"].as_str().is_some_and(|why| why.contains("spark.driver.bindAddress is not supported"))
    })
    .await;
}

#[tokio::test]
async fn keys_of_a_spark_connect_are_overwritten_as_the_check_says() {
    let (here, checked) = (Namespace::new().await, Namespace::new().await);
    let _ours = Registered::real(&checked).await;
    let _operator = Operator::controller(&here, &[], &[]).await;
    let mut expected = vec![
        ("spark.driver.cores", "2", "1"),
        ("spark.driver.memory", "700m", "600m"),
        ("spark.executor.instances", "2", "1"),
        ("spark.executor.cores", "2", "1"),
        ("spark.executor.memory", "700m", "600m"),
        ("spark.dynamicAllocation.maxExecutors", "4", "3"),
        ("spark.driver.bindAddress", "127.0.0.1", "0.0.0.0"),
        ("spark.driver.port", "7000", "7078"),
        ("spark.kubernetes.driver.pod.name", "another", "analytics-server"),
        ("spark.kubernetes.executor.podNamePrefix", "another", "analytics"),
        ("spark.kubernetes.executor.podTemplateFile", "/nowhere.yaml", "/tmp/spark/executor-pod-template.yaml"),
        ("spark.kubernetes.executor.podTemplateContainerName", "mine", "spark-kubernetes-executor"),
    ];
    let conf: Value = expected.iter().map(|(key, value, _)| ((*key).to_owned(), json!(value))).collect();
    let connect = connect(
        "analytics",
        &json!({
            "sparkConf": conf,
            "server": {"cores": 1, "memory": "600m"},
            "executor": {"cores": 1, "memory": "600m", "template": {"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}}},
            "dynamicAllocation": {"enabled": true, "maxExecutors": 3}
        }),
    );
    let said = checked.create_dry(&connect).await;
    let mut warned: Vec<_> = said.warnings.iter().filter_map(|it| told_key(it)).collect();
    warned.sort_unstable();
    expected.sort_unstable();
    assert_eq!(warned, expected.iter().map(|(key, ..)| *key).collect::<Vec<_>>(), "{:?}", said.warnings);

    here.create(&connect).await.object();
    let server = server_of(&here, "analytics").await;
    let arguments = server["spec"]["containers"][0]["args"][0].as_str().unwrap();
    for (key, _, told) in expected {
        let last = arguments.rsplit_once(&format!("--conf {key}=")).unwrap().1.split(' ').next();
        assert_eq!(last, Some(told), "{key} in {arguments}");
    }
}

/// The key that a warning of the check is about.
fn told_key(warning: &str) -> Option<&str> {
    warning.strip_prefix("submission-keys: spec.sparkConf[")?.split(']').next()
}

/// What Spark wrote for its driver.
async fn properties_of(here: &Namespace, driver: &Value) -> BTreeMap<String, String> {
    let volumes = driver["spec"]["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "spark-conf-volume-driver").unwrap();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": volume["configMap"]["name"]}});
    within(SUBMISSION, "Spark's configuration", async || here.find(&map).await.is_success()).await;
    let text = here.get(&map).await["data"]["spark.properties"].as_str().unwrap().to_owned();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    // As java.util.Properties writes them.
    pairs.map(|(key, value)| (key.to_owned(), value.replace('\\', ""))).collect()
}

fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut steps = pointer.trim_start_matches('/').split('/').peekable();
    let mut place = object;
    while let Some(step) = steps.next() {
        place = &mut place[step];
        if steps.peek().is_none() {
            break;
        }
    }
    *place = value;
}
