//! With Kubeflow's real controller: what becomes of a SparkConnect.

use serde_json::{Value, json};

use crate::{
    cluster::{Called, Namespace, Operator, Registered},
    support::eventually,
};

#[tokio::test]
async fn a_minimal_spark_connect_gets_a_server_that_can_work() {
    for called in [Called::BeforeOurs, Called::AfterOurs] {
        let here = Namespace::new().await;
        let _ours = Registered::real(&here).await;
        let _theirs = Operator::webhook(&here, called).await;
        let _controller = Operator::controller(&here, &[], &[]).await;
        here.create(&connect("analytics")).await.object();
        let server = server_of(&here, "analytics").await;
        let annotations = &server["metadata"]["annotations"];
        assert_eq!(annotations["spark-admission.io/mutated"], "ivy-cache,spark-user,connect-readiness", "{called:?}");
    }
}

fn connect(name: &str) -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": name},
        "spec": {"sparkVersion": "3.5.7", "image": "apache/spark:3.5.7", "server": {}, "executor": {"instances": 1}}
    })
}

/// The pod that the operator makes of a SparkConnect.
async fn server_of(here: &Namespace, name: &str) -> Value {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("{name}-server")}});
    eventually("the operator makes the server's pod", async || here.find(&pod).await.is_success()).await;
    here.get(&pod).await
}
