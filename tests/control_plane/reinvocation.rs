//! Beside another webhook, which adds a container to every pod: before ours or after it, the pod is the same.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use spark_admission::{
    policy::{Policy, Snapshot},
    review::{self, Answer, Endpoint, UnreadableEnvelope},
};

use crate::{
    cluster::{Namespace, Registered},
    offline::comparable,
    support::{eventually, server::Setup},
};

/// A driver to which a container is added by a webhook that is called first (`aa`) or last (`zz`), as the API server sorts names; and
/// the calls that changed it, each with its round.
async fn driver_beside(other: &str) -> (Value, Vec<String>) {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    let server = Setup { decide: adds_a_sidecar, ..Setup::default() }.start().await;
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": format!("{other}-{}", here.name)},
        "webhooks": [{
            "name": "sidecars.example.com",
            "clientConfig": {
                "url": format!("https://localhost:{}/mutate", server.address.port()), "caBundle": STANDARD.encode(&server.ca.pem)
            },
            "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": here.name}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]}]
        }]
    });
    here.send("POST", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", &configuration)
        .await
        .object();
    eventually("the other webhook is asked", async || {
        let pod = here.create_dry(&driver()).await.object();
        pod["spec"]["containers"][1]["name"] == "sidecar"
    })
    .await;
    let stored = here.create(&driver()).await.object();
    let calls = here.audited(&driver()).last().unwrap().calls();
    let mut changes: Vec<_> = calls.into_iter().filter(|(_, mutated)| *mutated).map(|(call, _)| call).collect();
    changes.sort();
    (comparable(stored), changes)
}

fn driver() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "report-driver", "labels": {"spark-role": "driver"}},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9", "args": ["driver"]}]}
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_container_that_another_webhook_adds_is_looked_at_too() {
    for (other, expected) in [
        ("aa", vec!["0 pods.spark-admission.io", "0 sidecars.example.com"]),
        ("zz", vec!["0 pods.spark-admission.io", "0 sidecars.example.com", "1 pods.spark-admission.io"]),
    ] {
        let (pod, changes) = driver_beside(other).await;
        assert_eq!(changes, expected, "{other}");
        let sidecar = &pod["spec"]["containers"][1];
        assert_eq!(sidecar["resources"]["limits"]["memory"], "512Mi", "{other}");
        let mutated = pod["metadata"]["annotations"]["spark-admission.io/mutated"].as_str().unwrap();
        assert_eq!(mutated, "ivy-cache,ivy-dir,spark-user,memory-quantity", "{other}");
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        assert_eq!(volumes.iter().filter(|volume| volume["name"] == "ivy-cache").count(), 1, "{other}");
        let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
        assert_eq!(mounts.iter().filter(|mount| mount["name"] == "ivy-cache").count(), 1, "{other}");
        assert_eq!(pod["spec"]["containers"][0]["env"].as_array().unwrap().len(), 1, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_container_that_another_webhook_adds_does_not_run_as_sparks_user() {
    for other in ["aa", "zz"] {
        let (pod, _) = driver_beside(other).await;
        assert_eq!(pod["spec"]["containers"][0]["securityContext"]["runAsUser"], 185, "{other}");
        assert_eq!(pod["spec"]["securityContext"]["runAsUser"], Value::Null, "{other}: the sidecar would inherit it");
    }
}

/// Adds a container with memory as Java writes it, where it is not there yet.
fn adds_a_sidecar(
    endpoint: Endpoint,
    body: &[u8],
    policy: &Policy,
    snapshot: &Snapshot,
) -> Result<Answer, UnreadableEnvelope> {
    let review: Value = serde_json::from_slice(body).unwrap();
    let mut answer = review::answer(endpoint, body, policy, snapshot)?;
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if review["request"]["object"]["spec"]["containers"].as_array().unwrap().len() == 1 {
        let sidecar =
            json!({"name": "sidecar", "image": "envoyproxy/envoy:v1.31", "resources": {"limits": {"memory": "512m"}}});
        let patch = json!([{"op": "add", "path": "/spec/containers/-", "value": sidecar}]);
        response["patchType"] = "JSONPatch".into();
        response["patch"] = STANDARD.encode(patch.to_string()).into();
    }
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    answer.body = review.to_string().into_bytes();
    Ok(answer)
}
