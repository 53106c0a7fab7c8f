//! What the API server does not even send: shown with the webhook down, where every review that is wanted fails.

use serde_json::{Value, json};

use crate::cluster::{Namespace, Registered};

fn application() -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "report"},
        "spec": {
            "type": "Scala", "mode": "cluster", "image": "apache/spark:3.5.7", "sparkVersion": "3.5.7",
            "mainClass": "org.example.Main", "mainApplicationFile": "local:///opt/app/app.jar",
            "deps": {"packages": ["org.postgresql:postgresql:42.7.4"]},
            "driver": {"cores": 1, "memory": "512m"}, "executor": {"instances": 2, "memory": "512m"}
        }
    })
}

fn connect() -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": "connect"},
        "spec": {"image": "apache/spark:3.5.7", "sparkVersion": "3.5.7", "server": {"cores": 1}, "executor": {"instances": 1}}
    })
}

#[tokio::test]
async fn a_running_workload_does_not_notice_that_the_webhook_is_down() {
    let here = Namespace::new().await;
    let mut webhook = Registered::real(&here).await;
    for workload in [application(), connect()] {
        let created = here.apply(&workload).await.object();
        assert!(!created["metadata"]["annotations"]["spark-admission.io/mutated"].is_null(), "{created}");
    }
    webhook.stop();
    for workload in [application(), connect()] {
        let kind = workload["kind"].as_str().unwrap();
        let generation = here.get(&workload).await["metadata"]["generation"].clone();
        for (case, patch) in [
            ("a label", json!({"metadata": {"labels": {"team": "data"}}})),
            ("an annotation", json!({"metadata": {"annotations": {"checked": "yes"}}})),
            ("a finalizer", json!({"metadata": {"finalizers": ["example.com/keep"]}})),
        ] {
            let answer = here.merge(&workload, &patch).await;
            assert!(answer.is_success(), "{kind}, {case}: {}", answer.message());
            assert_eq!(answer.body["metadata"]["generation"], generation, "{kind}, {case}");
        }
        let status = match kind {
            "SparkApplication" => json!({"status": {"applicationState": {"state": "RUNNING"}, "driverInfo": {}}}),
            _ => json!({"status": {"state": "Ready"}}),
        };
        here.merge_status(&workload, &status).await.object();
        let applied = here.apply(&workload).await;
        assert!(applied.is_success(), "{kind}, applied again: {}", applied.message());
        assert_eq!(applied.body["metadata"]["generation"], generation, "{kind}, applied again");
        let replaced = here.replace(&here.get(&workload).await).await;
        assert!(replaced.is_success(), "{kind}, edited without a change: {}", replaced.message());
    }
    let suspended = here.merge(&application(), &json!({"spec": {"suspend": true}})).await;
    assert!(suspended.is_success(), "{}", suspended.message());
    let resumed = here.merge(&application(), &json!({"spec": {"suspend": null}})).await;
    assert!(resumed.is_success(), "{}", resumed.message());
}

#[tokio::test]
async fn a_changed_spec_is_sent() {
    let here = Namespace::new().await;
    let mut webhook = Registered::real(&here).await;
    here.create(&application()).await.object();
    here.create(&connect()).await.object();
    webhook.stop();
    for (case, workload, patch) in [
        ("a new key", application(), json!({"spec": {"timeToLiveSeconds": 60}})),
        ("another value", application(), json!({"spec": {"image": "apache/spark:3.5.6"}})),
        ("a value deep inside", application(), json!({"spec": {"driver": {"cores": 2}}})),
        ("a key less", application(), json!({"spec": {"deps": null}})),
        ("another value and suspend", application(), json!({"spec": {"suspend": true, "image": "apache/spark:3.5.6"}})),
        ("another value of a SparkConnect", connect(), json!({"spec": {"executor": {"instances": 2}}})),
    ] {
        let answer = here.merge(&workload, &patch).await;
        assert_eq!(answer.status, 500, "{case}: {}", answer.message());
        assert!(answer.message().contains("resources.spark-admission.io"), "{case}: {}", answer.message());
    }
}

#[tokio::test]
async fn a_workload_goes_away_while_the_webhook_is_down() {
    let here = Namespace::new().await;
    let mut webhook = Registered::real(&here).await;
    for workload in [application(), connect()] {
        here.create(&workload).await.object();
        here.merge(&workload, &json!({"metadata": {"finalizers": ["example.com/keep"]}})).await.object();
    }
    webhook.stop();
    for workload in [application(), connect()] {
        here.delete(&workload).await.object();
        assert!(here.get(&workload).await["metadata"]["deletionTimestamp"].is_string());
        let changed = here.merge(&workload, &json!({"spec": {"sparkVersion": "3.5.6"}})).await;
        assert!(changed.is_success(), "while it is being deleted: {}", changed.message());
        let finished = here.merge(&workload, &json!({"metadata": {"finalizers": null}})).await;
        assert!(finished.is_success(), "the finalizer is taken off: {}", finished.message());
        assert_eq!(here.find(&workload).await.status, 404);
    }
}

#[tokio::test]
async fn nobody_else_waits_for_the_webhook() {
    let (here, elsewhere) =
        (Namespace::new().await, Namespace::labelled(&json!({"spark-admission.io/enabled": "false"})).await);
    let mut webhook = Registered::real(&here).await;
    webhook.stop();
    let pod = |name: &str, labels: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{"name": "main", "image": "apache/spark:3.5.9"}]}
        })
    };
    for (case, pod) in [
        ("a pod without labels", pod("web", Value::Null)),
        ("a pod of somebody else's", pod("app", json!({"app": "web"}))),
        ("a master of the Apache operator", pod("master", json!({"spark-role": "master"}))),
        ("a notebook's label with another value", pod("lab", json!({"spark-admission.io/notebook": "no"}))),
    ] {
        let created = here.create(&pod).await;
        assert!(created.is_success(), "{case}: {}", created.message());
        assert_eq!(here.audited(&pod)[0].calls(), [], "{case}");
    }
    // A pod is sent when it is created, and never again.
    let labelled =
        here.merge(&pod("app", Value::Null), &json!({"metadata": {"labels": {"spark-role": "driver"}}})).await;
    assert!(labelled.is_success(), "{}", labelled.message());
    let opted_out = elsewhere.create(&pod("driver", json!({"spark-role": "driver"}))).await;
    assert!(opted_out.is_success(), "{}", opted_out.message());
}
