//! A real session in client mode, as a notebook has it: its pod is changed, it downloads its packages, and so are its executors.

use serde_json::{Value, json};

use crate::{
    cluster::{InPod, JAR, Namespace, PACKAGE, Registered, Spark},
    support::eventually,
};

#[tokio::test]
async fn a_notebook_with_spark_3_5_gets_its_packages_and_its_executors() {
    let here = Namespace::new().await;
    if let Some(spark) =
        Spark::release("3.5", &here, a_notebook_with_spark_3_5_gets_its_packages_and_its_executors).await
    {
        hold_a_session(&here, &spark).await;
    }
}

#[tokio::test]
async fn a_notebook_with_spark_4_gets_its_packages_and_its_executors() {
    let here = Namespace::new().await;
    if let Some(spark) = Spark::release("4", &here, a_notebook_with_spark_4_gets_its_packages_and_its_executors).await {
        hold_a_session(&here, &spark).await;
    }
}

async fn hold_a_session(here: &Namespace, spark: &Spark<'_>) {
    let _webhook = Registered::real(here).await;
    let notebook = here.create(&pod(spark)).await.object();
    assert_eq!(notebook["metadata"]["annotations"]["spark-admission.io/mutated"], "ivy-cache,ivy-dir");
    let in_pod = InPod::of(here, &notebook, spark.folder.join("pod")).await;

    let mut command = spark.python();
    command
        .arg(spark.session_file())
        .envs(in_pod.environment())
        .env("PYSPARK_SUBMIT_ARGS", spark.submit_arguments("jupyter-ada", 2, &format!("--packages {PACKAGE}")));
    let mut session = spark.start("session", &mut command);
    session.until("the session starts", async |said| said.contains("session started")).await;
    assert!(in_pod.volume("ivy-cache").join(JAR).is_file(), "the package is not in the volume: {}", session.said());

    session.until("there are two executors", async |_| here.pods_of("executor").await.len() == 2).await;
    for executor in here.pods_of("executor").await {
        assert_eq!(executor["metadata"]["annotations"]["spark-admission.io/mutated"], "spark-user");
        assert_eq!(executor["spec"]["securityContext"]["runAsUser"], 185);
        assert_eq!(executor["spec"]["securityContext"]["fsGroup"], 185);
        assert_eq!(executor["metadata"]["ownerReferences"][0]["uid"], notebook["metadata"]["uid"]);
    }
    assert_eq!(here.all("persistentvolumeclaims").await.len(), 2, "a claim for each executor");

    drop(session.input.take());
    let ended = session.end().await;
    assert!(ended.status.success(), "{}", ended.said);
    eventually("the executors are gone", async || here.pods_of("executor").await.is_empty()).await;
}

/// A notebook with the policy's label.
fn pod(spark: &Spark<'_>) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "jupyter-ada", "labels": {"spark-admission.io/notebook": "true"}},
        "spec": {
            "serviceAccountName": "spark",
            "containers": [{
                "name": "notebook", "image": format!("quay.io/jupyter/pyspark-notebook:spark-{}", spark.version),
                "args": ["jupyterhub-singleuser"], "env": [{"name": "JUPYTERHUB_USER", "value": "ada"}]
            }]
        }
    })
}
