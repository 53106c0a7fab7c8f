//! With the real scheduler and the real controllers: what was changed still finds a node, and goes away as it should.

use serde_json::{Value, json};

use crate::{
    cluster::{Namespace, Registered},
    support::eventually,
};

#[tokio::test]
async fn a_changed_driver_is_scheduled_and_takes_its_executors_along_while_the_webhook_is_down() {
    let here = Namespace::new().await;
    here.cluster().start_controllers().await;
    here.send("POST", "/api/v1/nodes", &node(&here.name)).await.object();
    let mut webhook = Registered::real(&here).await;

    let driver = here.create(&pod("report-driver", "driver", &here.name)).await.object();
    assert_eq!(driver["metadata"]["annotations"]["spark-admission.io/mutated"], "ivy-cache,ivy-dir,spark-user");
    let mut executor = pod("report-exec-1", "executor", &here.name);
    executor["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "v1", "kind": "Pod", "name": "report-driver", "uid": driver["metadata"]["uid"], "controller": true
    }]);
    here.create(&executor).await.object();
    eventually("both have a node", async || {
        here.get(&driver).await["spec"]["nodeName"] == *here.name
            && here.get(&executor).await["spec"]["nodeName"] == *here.name
    })
    .await;

    webhook.stop();
    here.delete_now(&driver).await.object();
    eventually("the executor is being deleted", async || {
        let executor = here.find(&executor).await;
        executor.status == 404 || executor.body["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
}

fn pod(name: &str, role: &str, node: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"spark-role": role}},
        "spec": {
            // The nodes of other tests are not for this one.
            "nodeSelector": {"test": node},
            // A new node is tainted until a controller finds it well, which nobody does here.
            "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
            "containers": [{
                "name": format!("spark-kubernetes-{role}"), "image": "apache/spark:3.5.9", "args": [role],
                "resources": {"requests": {"cpu": "1", "memory": "1433Mi"}, "limits": {"memory": "1433Mi"}}
            }]
        }
    })
}

/// A node with room, for the pods that ask for it by name.
fn node(name: &str) -> Value {
    let room = json!({"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "110"});
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"test": name}},
        "status": {
            "capacity": room, "allocatable": room,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": "made by a test"}]
        }
    })
}
