//! Beside a `ResourceQuota`, which the real controller keeps: what it has room for is admitted with the webhook too.

use serde_json::{Value, json};

use crate::{
    admitted::{Limits, assert_documented},
    cluster::{Namespace, Registered, cluster},
    support::eventually,
};

/// What no quota has room for.
fn huge() -> Value {
    let huge = json!({"cpu": "9k", "memory": "9Ti", "ephemeral-storage": "9Ti"});
    pod("huge", &json!({"requests": huge, "limits": huge}))
}

fn pod(name: &str, resources: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"spark-role": "driver"}},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9", "resources": resources}]}
    })
}

fn quota(spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"}, "spec": spec})
}

/// A quota on these resources. It counts once a controller has written its status; until then it refuses nothing.
fn limited(title: &'static str, hard: &Value) -> Limits {
    Limits { objects: vec![quota(&json!({"hard": hard}))], refuses: Some(huge()), ..Limits::none(title) }
}

/// The same with defaults for who names no limits.
fn beside_defaults(title: &'static str, hard: &Value) -> Limits {
    let limit = json!({
        "type": "Container",
        "default": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "1Gi"}, "defaultRequest": {"cpu": "500m", "memory": "1Gi"}
    });
    let defaults = json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "defaults"}, "spec": {"limits": [limit]}});
    let mut limits = limited(title, hard);
    limits.objects.insert(0, defaults);
    limits
}

#[tokio::test]
async fn what_a_resource_quota_admits_it_admits_with_the_webhook_too() {
    cluster().await.start_controllers().await;
    let best_effort = Limits {
        objects: vec![quota(&json!({"hard": {"pods": "0"}, "scopes": ["BestEffort"]}))],
        refuses: Some(pod("best-effort", &json!({}))),
        ..Limits::none("no pod without requests (scope `BestEffort`)")
    };
    assert_documented("ResourceQuota", &[
        limited("requests, room for 4Gi", &json!({"requests.cpu": "4", "requests.memory": "4Gi"})),
        limited("limits, room for 4Gi", &json!({"limits.cpu": "4", "limits.memory": "4Gi"})),
        limited("both, room for 4Gi", &json!({
            "requests.cpu": "4", "requests.memory": "4Gi", "limits.cpu": "4", "limits.memory": "4Gi", "pods": "10"
        })),
        limited("requests, room for 256Mi", &json!({"requests.memory": "256Mi"})),
        limited("limits, room for 256Mi", &json!({"limits.memory": "256Mi"})),
        beside_defaults("both, room for 4Gi, and a LimitRange with defaults", &json!({
            "requests.cpu": "4", "requests.memory": "4Gi", "limits.cpu": "4", "limits.memory": "4Gi"
        })),
        beside_defaults("1Gi of `ephemeral-storage`, and a LimitRange with defaults", &json!({
            "requests.ephemeral-storage": "1Gi", "limits.ephemeral-storage": "1Gi"
        })),
        best_effort,
    ])
    .await;
}

#[tokio::test]
async fn as_many_pods_fit_into_a_quota_as_before() {
    cluster().await.start_controllers().await;
    let (plain, asked) = (Namespace::new().await, Namespace::new().await);
    let _webhook = Registered::real(&asked).await;
    let quota = quota(&json!({"hard": {"requests.memory": "4Gi", "limits.memory": "4Gi", "pods": "3"}}));
    let memory = json!({"requests": {"memory": "1Gi"}, "limits": {"memory": "1536Mi"}});
    let mut used = Vec::new();
    for namespace in [&plain, &asked] {
        namespace.create(&quota).await.object();
        eventually("the quota counts", async || namespace.create_dry(&huge()).await.status == 403).await;
        for (name, expected) in [("first", 201), ("second", 201), ("third", 403)] {
            let answer = namespace.create(&pod(name, &memory)).await;
            assert_eq!(answer.status, expected, "{name}: {}", answer.message());
        }
        used.push(namespace.get(&quota).await["status"]["used"].clone());
    }
    assert_eq!(used[0], json!({"limits.memory": "3Gi", "pods": "2", "requests.memory": "2Gi"}));
    assert_eq!(used[0], used[1]);
}
