//! Beside a `LimitRange`: the defaults that the API server adds to pods, and what it refuses.

use serde_json::{Value, json};

use crate::{
    admitted::{Limits, assert_documented},
    cluster::{Namespace, Registered},
    offline::{comparable, review},
};

#[tokio::test]
async fn a_pod_gets_the_defaults_of_the_limit_range_and_ours() {
    let (here, plain) = (Namespace::new().await, Namespace::new().await);
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "defaults"},
        "spec": {"limits": [{
            "type": "Container",
            "default": {"cpu": "2", "memory": "2Gi"}, "defaultRequest": {"cpu": "500m", "memory": "1Gi"}, "max": {"memory": "4Gi"}
        }]}
    });
    here.create(&range).await.object();
    plain.create(&range).await.object();
    let _webhook = Registered::real(&here).await;
    for (case, resources) in [
        ("nothing is set", json!({})),
        ("only requests", json!({"requests": {"cpu": "1", "memory": "1433Mi"}})),
        ("only limits", json!({"limits": {"cpu": "1", "memory": "1433Mi"}})),
        ("memory as Java writes it", json!({"limits": {"memory": "1433m"}, "requests": {"memory": "1433m"}})),
    ] {
        let pod = driver(case, &resources);
        let offline = review(&pod, &here.name);
        // Until the API server knows of the range, a pod gets no defaults: it learns of it by a watch.
        crate::support::eventually("the range is known in both namespaces", async || {
            let mut known = true;
            for namespace in [&here, &plain] {
                let probe = namespace.create_dry(&driver("probe", &json!({"limits": {"memory": "5Gi"}}))).await;
                known &= probe.status == 403;
            }
            known
        })
        .await;
        let stored = here.create(&pod).await.object();
        let expected = plain.create(&offline.after).await.object();
        assert_eq!(comparable(stored), comparable(expected), "{case}");
    }
}

fn driver(case: &str, resources: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{}-driver", case.to_lowercase().replace(' ', "-")), "labels": {"spark-role": "driver"}},
        "spec": {"containers": [{
            "name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9", "args": ["driver"], "resources": resources
        }]}
    })
}

/// A `LimitRange` of these limits. The API server learns of it by a watch, and then refuses the claim.
fn limited(title: &'static str, mut limits: Vec<Value>) -> Limits {
    limits.push(json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}}));
    let range =
        json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"}, "spec": {"limits": limits}});
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "probe"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}}
    });
    Limits { objects: vec![range], refuses: Some(claim), ..Limits::none(title) }
}

#[tokio::test]
async fn what_a_limit_range_admits_it_admits_with_the_webhook_too() {
    let of_container = |mut limit: Value| {
        limit["type"] = "Container".into();
        vec![limit]
    };
    let defaults =
        json!({"default": {"cpu": "2", "memory": "2Gi"}, "defaultRequest": {"cpu": "500m", "memory": "1Gi"}});
    assert_documented("LimitRange", &[
        Limits::none("nothing"),
        limited("defaults of 2Gi, 1Gi requested", of_container(defaults)),
        limited("`max` of 4Gi", of_container(json!({"max": {"cpu": "4", "memory": "4Gi"}}))),
        limited("`max` of 1Gi", of_container(json!({"max": {"memory": "1Gi"}}))),
        limited("`max` of 256Mi", of_container(json!({"max": {"memory": "256Mi"}}))),
        limited("`min` of 128Mi", of_container(json!({"min": {"memory": "128Mi"}}))),
        limited("`maxLimitRequestRatio` of 2", of_container(json!({"maxLimitRequestRatio": {"cpu": "2", "memory": "2"}}))),
        limited(
            "all of them",
            of_container(json!({
                "default": {"cpu": "2", "memory": "2Gi"}, "defaultRequest": {"cpu": "1", "memory": "1Gi"},
                "min": {"cpu": "100m", "memory": "128Mi"}, "max": {"cpu": "2", "memory": "2Gi"}, "maxLimitRequestRatio": {"memory": "2"}
            })),
        ),
        limited("`max` of 256Mi for pods", vec![json!({"type": "Pod", "max": {"memory": "256Mi"}})]),
        limited("`max` of 4Gi for pods", vec![json!({"type": "Pod", "max": {"cpu": "4", "memory": "4Gi"}})]),
    ])
    .await;
}
