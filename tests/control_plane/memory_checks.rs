//! Memory under 1Mi, and memory that there is no room for: what the API server and Spark do, and what the checks say before.

use serde_json::{Value, json};
use spark_admission::policy::{
    document::Document,
    subject::{PodMemory, Resource, ResourceKind},
};

use crate::{
    cluster::{Namespace, Registered, Spark, cluster},
    support::eventually,
};

const HEADER: &str = "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n";

#[tokio::test]
async fn half_a_byte_is_refused_where_nothing_repairs_it_and_somebody_sees_that() {
    let (here, unrepaired) = (Namespace::new().await, Namespace::new().await);
    let _webhook = Registered::real(&here).await;
    let off = format!("{HEADER}mutations: {{memory-quantity: {{mode: \"off\"}}}}\n");
    let _other = Registered::with_policy(&unrepaired, &off).await;
    let limit = "spec.containers[0].resources.limits.memory";

    for (case, memory, repaired, status) in [
        ("half a byte, repaired", "512m", true, 201),
        ("half a byte", "512m", false, 422),
        ("what nobody can tell", "512", true, 422),
        ("just under", "1048575", true, 422),
        ("just enough", "1Mi", true, 201),
        ("1.6Gi", "1.6Gi", false, 201),
        ("no limit", "0", false, 201),
    ] {
        let namespace = if repaired { &here } else { &unrepaired };
        let answer = namespace.create_dry(&pod("driver", &json!({"limits": {"memory": memory}}))).await;
        assert_eq!(answer.status, status, "{case}: {}", answer.message());
        if status == 422 {
            let cause = &answer.body["details"]["causes"][0];
            assert_eq!(cause["field"], limit, "{case}: {cause}");
            assert!(cause["message"].as_str().unwrap().contains("no container starts; write "), "{case}: {cause}");
        } else {
            let told = answer.warnings.iter().filter(|it| it.starts_with("memory-quantity: ")).count();
            // Of the limit, and of the request that the API server made of it.
            assert_eq!(told, if memory == "512m" { 2 } else { 0 }, "{case}: {:?}", answer.warnings);
        }
    }
    // Spark asks for a refused executor again, for ever: it is told, and taken.
    let executor = unrepaired.create_dry(&pod("executor", &json!({"limits": {"memory": "512m"}}))).await;
    assert!(executor.is_success(), "{}", executor.message());
    let told: Vec<_> = executor.warnings.iter().filter(|it| it.starts_with("memory-quantity: ")).collect();
    assert_eq!(
        told,
        [&format!(
            "memory-quantity: {limit}: 512m is less than 1Mi, and with such a limit no container starts; write 512Mi"
        )]
    );

    // A schedule is not changed, and its runs are.
    let sidecar = json!([{"name": "log", "image": "log", "resources": {"limits": {"memory": "512m"}}}]);
    let mut schedule = json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "ScheduledSparkApplication", "metadata": {"name": "nightly"},
        "spec": {"schedule": "@daily", "template": application(&json!({"driver": {"sidecars": sidecar}}))["spec"]}
    });
    let answer = here.create_dry(&schedule).await;
    assert!(answer.is_success(), "{}", answer.message());
    assert_eq!(
        answer.warnings.iter().filter(|it| it.starts_with("memory-quantity: ")).count(),
        1,
        "{:?}",
        answer.warnings
    );
    assert_eq!(unrepaired.create_dry(&schedule).await.status, 422);
    schedule["spec"]["template"]["driver"]["sidecars"][0]["resources"]["limits"]["memory"] = "512Mi".into();
    assert!(unrepaired.create_dry(&schedule).await.is_success());
}

#[tokio::test]
async fn spark_3_5_asks_for_the_memory_that_the_check_counts() {
    let here = Namespace::new().await;
    if let Some(spark) = Spark::release("3.5", &here, spark_3_5_asks_for_the_memory_that_the_check_counts).await {
        compare(&here, &spark).await;
    }
}

#[tokio::test]
async fn spark_4_asks_for_the_memory_that_the_check_counts() {
    let here = Namespace::new().await;
    if let Some(spark) = Spark::release("4", &here, spark_4_asks_for_the_memory_that_the_check_counts).await {
        compare(&here, &spark).await;
    }
}

async fn compare(here: &Namespace, spark: &Spark<'_>) {
    for (index, (file, conf)) in [
        ("job.jar", json!({"spark.driver.memory": "5g", "spark.driver.memoryOverheadFactor": "0.25", "spark.kubernetes.memoryOverheadFactor": "0.5"})),
        ("job.py", json!({"spark.driver.memory": "2560m"})),
    ]
    .into_iter()
    .enumerate()
    {
        let spec = json!({"mainApplicationFile": format!("local:///{file}"), "sparkConf": conf});
        let mut command = spark.program("bin/spark-submit");
        command.env("KUBECONFIG", spark.kubeconfig());
        command.args(["--master", &spark.master(), "--deploy-mode", "cluster", "--name", "sized", "--class", "Main"]);
        for (key, value) in [
            ("spark.kubernetes.namespace", here.name.as_str()),
            ("spark.kubernetes.container.image", &spark.image()),
            ("spark.kubernetes.driver.pod.name", &format!("driver-{index}")),
            ("spark.kubernetes.submission.waitAppCompletion", "false"),
        ]
        .into_iter()
        .chain(conf.as_object().unwrap().iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap())))
        {
            command.args(["--conf", &format!("{key}={value}")]);
        }
        let ran = spark.run(&format!("submission-{index}"), command.arg(format!("local:///{file}"))).await;
        assert!(ran.status.success(), "{}", ran.said);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("driver-{index}")}});
        let resources = here.get(&pod).await["spec"]["containers"][0]["resources"].clone();
        let counted = format!("{}Mi", driver_memory(&spec).total());
        assert_eq!(resources["requests"]["memory"], counted, "{spec}");
        assert_eq!(resources["limits"]["memory"], counted, "{spec}");
    }
}

fn driver_memory(spec: &Value) -> PodMemory {
    let text = json!({"spec": spec}).to_string();
    let document = Document::parse(&text).unwrap();
    Resource::of(ResourceKind::SparkApplication, document.root()).driver_memory().unwrap()
}

#[tokio::test]
async fn what_a_limit_range_or_a_quota_will_refuse_is_told_when_it_is_submitted() {
    cluster().await.start_controllers().await;
    let ranged = Namespace::new().await;
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}, "default": {"memory": "256Mi"}, "defaultRequest": {"memory": "256Mi"}}]}
    });
    ranged.create(&range).await.object();
    let _webhook = Registered::watching(&ranged, HEADER).await;
    let (small, usual) = (
        json!({"driver": {"memory": "512m"}, "executor": {"memory": "512m"}}),
        json!({"driver": {"memory": "1g"}, "executor": {"memory": "512m"}}),
    );
    told(&ranged, "a LimitRange", &usual, &["memory-budget: spec.driver: its pods ask for 1408Mi (1Gi of heap and 384Mi beside it), and LimitRange limits admits 1Gi a container: they will be refused; ask for less memory"]).await;
    told(&ranged, "what a LimitRange admits", &small, &[]).await;
    refuses(&ranged, "a LimitRange", "1408Mi", "896Mi").await;

    let shared = Namespace::new().await;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team"}, "spec": {"hard": {"requests.memory": "4Gi"}}
    });
    let _other = Registered::watching(&shared, HEADER).await;
    shared.create(&quota).await.object();
    eventually("the quota counts", async || shared.create_dry(&asking("9Ti")).await.status == 403).await;
    let roomy = json!({"driver": {"memory": "1g"}, "executor": {"memory": "1g"}});
    told(&shared, "room for both", &roomy, &[]).await;
    let mut others = asking("3Gi");
    others["metadata"]["name"] = "others".into();
    others["metadata"]["labels"] = json!({});
    shared.create(&others).await.object();
    told(&shared, "no room for the driver", &roomy, &["memory-budget: spec.driver: the driver asks for 1408Mi, and ResourceQuota team has 1Gi left of 4Gi (requests.memory); ask for less memory, or wait until others have ended"]).await;
    refuses(&shared, "a quota", "1408Mi", "1Gi").await;
    shared.delete_now(&others).await.object();
    told(&shared, "room again", &roomy, &[]).await;
}

/// The API server refuses what is over, and takes what is just inside.
async fn refuses(here: &Namespace, case: &str, over: &str, inside: &str) {
    let answer = here.create_dry(&asking(over)).await;
    assert_eq!(answer.status, 403, "{case}: {}", answer.message());
    eventually(&format!("{case}: {inside} fits"), async || here.create_dry(&asking(inside)).await.is_success()).await;
}

/// What the check says of an application, once the webhook has seen what there is.
async fn told(here: &Namespace, case: &str, spec: &Value, expected: &[&str]) {
    eventually(&format!("{case}: {expected:?}"), async || {
        let answer = here.create_dry(&application(spec)).await;
        assert!(answer.is_success(), "{case}: {}", answer.message());
        let told: Vec<_> = answer.warnings.iter().filter(|it| it.starts_with("memory-budget: ")).collect();
        told == expected
    })
    .await;
}

#[tokio::test]
async fn a_limit_under_what_the_pod_needs_is_told_and_a_request_over_it_refused() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    for (case, limit, expected) in [("under", "1g", 1), ("just enough", "1408m", 0)] {
        let spec = json!({"driver": {"memory": "1g", "memoryLimit": limit}});
        let answer = here.create_dry(&application(&spec)).await;
        let told =
            answer.warnings.iter().filter(|it| it.starts_with("memory-budget: spec.driver.memoryLimit: ")).count();
        assert_eq!((answer.is_success(), told), (true, expected), "{case}: {:?}", answer.warnings);
        // As the operator's webhook would have it.
        let limit = limit.to_uppercase() + "i";
        let resources = json!({"requests": {"memory": "1408Mi"}, "limits": {"memory": limit}});
        let answer = here.create_dry(&pod("", &resources)).await;
        assert_eq!(answer.is_success(), expected == 0, "{case}: {}", answer.message());
    }
}

fn asking(memory: &str) -> Value {
    pod("driver", &json!({"requests": {"memory": memory}, "limits": {"memory": memory}}))
}

/// A pod of a role of Spark's, or of none.
fn pod(role: &str, resources: &Value) -> Value {
    let labels = if role.is_empty() { json!({}) } else { json!({"spark-role": role}) };
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", "labels": labels},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9", "resources": resources}]}
    })
}

fn application(spec: &Value) -> Value {
    let mut application = json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "report"},
        "spec": {
            "type": "Scala", "mode": "cluster", "image": "apache/spark:3.5.9", "sparkVersion": "3.5.9", "mainClass": "Main",
            "mainApplicationFile": "local:///job.jar", "restartPolicy": {"type": "Never"}, "driver": {}, "executor": {"instances": 1}
        }
    });
    json_patch::merge(&mut application["spec"], spec);
    application
}
