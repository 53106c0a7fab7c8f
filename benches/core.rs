//! The pure core, bytes to bytes: an AdmissionReview in, the answer out.

use divan::{Bencher, black_box};
use serde_json::{Value, json};
use spark_admission::policy::{Policy, Snapshot};
use spark_admission::review::{Endpoint, answer};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// The reviews that are measured, each with the size that it must have about.
#[divan::bench(args = ["driver pod, 4 KB", "driver pod, 10 KB", "SparkApplication, 200 KB", "not Spark's, 4 KB"])]
fn review(bencher: Bencher<'_, '_>, case: &str) {
    let body = body(case);
    let (policy, snapshot) = (Policy::default(), Snapshot::default());
    let bytes = body.len();
    bencher
        .counter(divan::counter::BytesCount::new(bytes))
        .bench(|| answer(Endpoint::Mutate, black_box(body.as_bytes()), &policy, &snapshot).map(|answer| answer.body));
}

fn body(case: &str) -> String {
    let captured: Value =
        serde_json::from_str(include_str!("../tests/fixtures/captured/3.5.9/kubeflow-args--driver.json"))
            .unwrap_or_else(|error| panic!("the fixture is JSON: {error}"));
    let (kind, object) = match case {
        "driver pod, 4 KB" => (json!({"group": "", "version": "v1", "kind": "Pod"}), grown(captured, 11)),
        "driver pod, 10 KB" => (json!({"group": "", "version": "v1", "kind": "Pod"}), grown(captured, 64)),
        "not Spark's, 4 KB" => {
            let mut pod = grown(captured, 11);
            pod["metadata"]["labels"] = json!({"app": "web"});
            (json!({"group": "", "version": "v1", "kind": "Pod"}), pod)
        }
        _ => {
            (json!({"group": "sparkoperator.k8s.io", "version": "v1beta2", "kind": "SparkApplication"}), application())
        }
    };
    let request = json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": kind,
        "name": "spark-pi-driver",
        "namespace": "jupyterhub-users",
        "operation": "CREATE",
        "userInfo": {"username": "system:serviceaccount:operators:spark-operator-controller", "groups": ["system:serviceaccounts", "system:authenticated"]},
        "object": object,
        "oldObject": null,
        "dryRun": false,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
    });
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

/// The pod with that many environment variables more.
fn grown(mut pod: Value, variables: usize) -> Value {
    let more = (0..variables).map(|index| {
        json!({"name": format!("SETTING_{index}"), "value": "a value of the length that such values have, on the whole, or longer"})
    });
    if let Some(env) = pod["spec"]["containers"][0]["env"].as_array_mut() {
        env.extend(more);
    }
    pod
}

fn application() -> Value {
    let conf: serde_json::Map<_, _> = (0..1900)
        .map(|index| {
            (
                format!("spark.hadoop.setting.number.{index}"),
                "a value of the length that such values have, or longer".into(),
            )
        })
        .collect();
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": "large"},
        "spec": {"image": "apache/spark:3.5.7", "sparkVersion": "3.5.7", "sparkConf": conf, "deps": {"packages": ["a:b:1"]}, "driver": {}, "executor": {}},
    })
}
