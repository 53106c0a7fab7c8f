//! What real Spark does with which of its account's rights: what `driver-permissions` asks for is enough, and what it calls vital is.

use std::future::ready;

use serde_json::{Value, json};

use crate::{
    cluster::{Namespace, Registered, Running, Spark},
    support::eventually,
};

#[tokio::test]
async fn with_the_rights_that_are_asked_for_a_driver_of_spark_3_5_does_all_that_it_wants() {
    let here = Namespace::new().await;
    let test = with_the_rights_that_are_asked_for_a_driver_of_spark_3_5_does_all_that_it_wants;
    if let Some(spark) = Spark::release("3.5", &here, test).await {
        run_with_what_is_asked_for(&here, &spark).await;
    }
}

#[tokio::test]
async fn with_the_rights_that_are_asked_for_a_driver_of_spark_4_does_all_that_it_wants() {
    let here = Namespace::new().await;
    let test = with_the_rights_that_are_asked_for_a_driver_of_spark_4_does_all_that_it_wants;
    if let Some(spark) = Spark::release("4", &here, test).await {
        run_with_what_is_asked_for(&here, &spark).await;
    }
}

async fn run_with_what_is_asked_for(here: &Namespace, spark: &Spark<'_>) {
    let rights = asked_for(here).await;
    assert_eq!(rights.len(), 11, "{rights:?}");
    grant(here, &rights).await;
    lives_and_ends(here, spark).await;
}

/// A session gets its executor, and leaves nothing behind.
pub async fn lives_and_ends(here: &Namespace, spark: &Spark<'_>) {
    let before = config_maps(here).await;
    let mut session = start(here, spark).await;
    session.until("there is an executor", async |_| here.pods_of("executor").await.len() == 1).await;
    drop(session.input.take());
    let ran = session.end().await;
    assert!(ran.status.success() && !ran.said.contains("orbidden"), "{}", ran.said);
    assert_eq!(here.pods_of("executor").await.len(), 0, "executors stay behind");
    assert_eq!(config_maps(here).await, before, "config maps stay behind");
}

/// The names of the config maps, but for the one that the controllers, which other tests start, put into every namespace.
async fn config_maps(here: &Namespace) -> Vec<String> {
    let names =
        here.all("configmaps").await.into_iter().map(|map| map["metadata"]["name"].as_str().unwrap().to_owned());
    names.filter(|name| name != "kube-root-ca.crt").collect()
}

/// Each of them alone taken away.
#[tokio::test]
async fn without_a_vital_right_there_is_no_driver_or_no_executor() {
    let test = without_a_vital_right_there_is_no_driver_or_no_executor;
    let all = asked_for(&Namespace::new().await).await;
    for (vital, starts) in
        [("get pods", false), ("watch pods", false), ("create configmaps", false), ("create pods", true)]
    {
        let here = Namespace::new().await;
        let Some(spark) = Spark::release("3.5", &here, test).await else { return };
        let rights: Vec<_> = all.iter().filter(|right| *right != vital).cloned().collect();
        assert_eq!(rights.len(), all.len() - 1, "{vital}");
        grant(&here, &rights).await;
        let mut session = start(&here, &spark).await;
        let (verb, resource) = vital.split_once(' ').unwrap();
        let refused = format!("cannot {verb} resource \"{resource}\"");
        let is_refused = |said: &str| ready(said.contains(&refused) || said.contains("Received 403 on websocket"));
        if starts {
            session.until("it starts", async |said| said.contains("session started")).await;
            session.until("it is refused", async |said| said.matches(&refused).count() > 2).await;
            assert_eq!(here.pods_of("executor").await.len(), 0, "{vital}");
            continue;
        }
        let ran = session.end().await;
        assert!(!ran.status.success() && is_refused(&ran.said).await, "{vital}: {}", ran.said);
        assert!(!ran.said.contains("session started"), "{vital}");
    }
}

/// Every right that the check asks about for an application with claims on demand, as it tells them: `get pods` and so on.
async fn asked_for(here: &Namespace) -> Vec<String> {
    let policy =
        "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nchecks: {namespace-not-watched: {level: off}}\n";
    let _webhook = Registered::watching(here, policy).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}});
    here.create(&account).await.object();
    let claim = "spark.kubernetes.executor.volumes.persistentVolumeClaim.data.options.claimName";
    let application = json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "report"},
        "spec": {
            "type": "Scala", "mode": "cluster", "image": "apache/spark:3.5.9", "sparkVersion": "3.5.9",
            "mainApplicationFile": "local:///opt/job.jar", "sparkConf": {claim: "OnDemand"},
            "driver": {"serviceAccount": "nobody"}, "executor": {"instances": 1}
        }
    });
    let answer = here.create_dry(&application).await;
    let told = answer.warnings.iter().find_map(|it| it.split_once("the account nobody may not ")).unwrap().1;
    let missing = told.split_once(": ").unwrap().0;
    let of_resource =
        |(verbs, resource): (&str, &str)| verbs.split(',').map(|verb| format!("{verb} {resource}")).collect::<Vec<_>>();
    missing.split(", ").flat_map(|list| of_resource(list.split_once(' ').unwrap())).collect()
}

/// Gives the account these rights and no others, and waits until it is so.
async fn grant(here: &Namespace, rights: &[String]) {
    let of_right = |right: &String| {
        let (verb, resource) = right.split_once(' ').unwrap();
        json!({"apiGroups": [""], "resources": [resource], "verbs": [verb]})
    };
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "spark"},
        "rules": rights.iter().map(of_right).collect::<Value>()
    });
    here.replace(&role).await.object();
    let spark = here.as_account("spark").await;
    eventually("the old role is forgotten", async || {
        spark.find(&json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "none"}})).await.status == 403
    })
    .await;
}

/// A session in client mode whose executors are another pod's, as a Connect server's and those of a driver in cluster mode.
async fn start(here: &Namespace, spark: &Spark<'_>) -> Running {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "me"},
        "spec": {"serviceAccountName": spark.account(), "containers": [{"name": "me", "image": spark.image()}]}
    });
    here.create(&pod).await.object();
    // Spark waits until it is ready.
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    here.merge_status(&pod, &ready).await.object();
    let mut command = spark.python();
    command.arg(spark.session_file()).env("PYSPARK_SUBMIT_ARGS", spark.submit_arguments("me", 1, ""));
    spark.start("session", &mut command)
}
