//! Beside what the API server itself adds to pods: the defaults of a `LimitRange`.

use serde_json::{Value, json};

use crate::{
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
