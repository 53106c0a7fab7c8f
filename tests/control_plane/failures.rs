//! What users see when the webhook is down, slow, or answers nonsense: each failure policy as `manifests/webhook.yaml` promises.

use std::{thread::sleep, time::Duration};

use serde_json::{Value, json};
use spark_admission::{
    policy::{Policy, Snapshot},
    review::{self, Answer, Endpoint, UnreadableEnvelope},
};

use crate::{
    cluster::{Namespace, Registered, register},
    support::{eventually, server::Setup},
};

/// The label that tells [`odd`] what to do.
const BEHAVE: &str = "behave";

#[tokio::test]
async fn when_it_is_down_executors_start_and_everybody_else_is_told_why() {
    let here = Namespace::new().await;
    let mut webhook = Registered::real(&here).await;
    webhook.stop();
    // A connection that the API server kept fails in another way, once.
    eventually("the API server has given up its connections", async || {
        here.create_dry(&pod("driver", "down")).await.message().contains("connection refused")
    })
    .await;
    refuses_all_but_executors(&here, "down", "connection refused").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn when_it_is_slow_or_answers_nonsense_executors_start_and_everybody_else_is_told_why() {
    let here = Namespace::new().await;
    let server = Setup { decide: odd, ..Setup::default() }.start().await;
    register(&here, server.address, &server.ca.pem, |webhook| {
        assert_eq!(webhook["timeoutSeconds"], 5, "as promised; a test need not wait for as long");
        webhook["timeoutSeconds"] = 3.into();
    })
    .await;
    for (behaviour, message) in [
        ("slow", "context deadline exceeded"),
        ("no-json", "couldn't get version/kind; json parse error"),
        ("of-another", "expected response.uid="),
        ("panic", "an error on the server"),
    ] {
        refuses_all_but_executors(&here, behaviour, message).await;
    }
}

async fn refuses_all_but_executors(here: &Namespace, behaviour: &str, message: &str) {
    for (webhook, object) in [
        ("pods", pod("driver", behaviour)),
        ("pods", pod("connect-server", behaviour)),
        ("resources", application(behaviour)),
    ] {
        let answer = here.create(&object).await;
        let said = answer.message();
        assert_eq!(answer.status, 500, "{behaviour}: {said}");
        let name = format!("\"{webhook}.spark-admission.io\"");
        assert!(said.contains(&name) && said.contains(message), "{behaviour}: {said}");
    }
    let executor = here.create(&pod("executor", behaviour)).await.object();
    assert!(executor["metadata"]["annotations"].is_null(), "{behaviour}: {executor}");
}

fn pod(role: &str, behaviour: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{behaviour}-{role}"), "labels": {"spark-role": role, BEHAVE: behaviour}},
        "spec": {"containers": [{"name": "spark", "image": "apache/spark:3.5.9"}]}
    })
}

fn application(behaviour: &str) -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication",
        "metadata": {"name": behaviour, "labels": {BEHAVE: behaviour}},
        "spec": {"type": "Scala", "sparkVersion": "3.5.7", "driver": {}, "executor": {}}
    })
}

/// The real core, unless the object's label asks for something else.
fn odd(endpoint: Endpoint, body: &[u8], policy: &Policy, snapshot: &Snapshot) -> Result<Answer, UnreadableEnvelope> {
    let review: Value = serde_json::from_slice(body).unwrap();
    let mut answer = review::answer(endpoint, body, policy, snapshot)?;
    match review["request"]["object"]["metadata"]["labels"][BEHAVE].as_str() {
        Some("slow") => sleep(Duration::from_secs(4)),
        Some("no-json") => answer.body = b"<html>who are you?</html>".to_vec(),
        Some("of-another") => {
            let uid = review["request"]["uid"].as_str().unwrap();
            answer.body = String::from_utf8(answer.body).unwrap().replace(uid, "another").into_bytes();
        }
        Some("panic") => panic!("as asked"),
        _ => {}
    }
    Ok(answer)
}
