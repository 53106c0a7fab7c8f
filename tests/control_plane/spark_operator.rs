//! The operator's real controller with real Spark: what it makes of resources is changed like everything else, and nothing is run again
//! because of the webhook.

use std::{future::ready, time::Duration};

use serde_json::{Value, json};

use crate::{
    cluster::{InPod, JAR, Namespace, Operator, PACKAGE, Registered, Spark},
    support::{eventually, within},
};

#[tokio::test]
async fn packages_of_an_application_are_downloaded_by_the_operator_and_again_by_the_driver() {
    let here = Namespace::new().await;
    let test = packages_of_an_application_are_downloaded_by_the_operator_and_again_by_the_driver;
    let Some(spark) = Spark::release("4", &here, test).await else { return };
    let ivy = spark.folder.join("ivy");
    let _webhook = Registered::with_policy(&here, &policy(&spark)).await;
    let _operator = controller(&here, &spark, &[]).await;

    let unprepared = application(&spark, "unprepared", &json!({"spark-admission.io/enabled": "false"}));
    here.create(&unprepared).await.object();
    let report = here.create(&application(&spark, "report", &json!({}))).await.object();
    let directory = report["spec"]["sparkConf"]["spark.jars.ivy"].as_str().unwrap();
    let hash = directory.strip_prefix(ivy.to_str().unwrap()).unwrap().trim_start_matches('/');

    let driver = driver_of(&here, &report).await;
    assert!(ivy.join(hash).join(JAR).is_file(), "the operator downloads to {directory}");
    assert_eq!(driver["metadata"]["annotations"]["spark-admission.io/mutated"], "ivy-cache,spark-user");
    let in_pod = InPod::of(&here, &driver, spark.folder.join("pod")).await;
    let ran = spark.run("driver", &mut spark.driver(&in_pod)).await;
    assert!(ran.status.success() && ran.said.contains("\nHadoop 3."), "{}", ran.said);
    assert!(in_pod.volume("ivy-cache").join(hash).join(JAR).is_file(), "the driver downloads: {}", ran.said);

    within(SUBMISSION, "the other one fails", async || {
        let status = &here.get(&unprepared).await["status"]["applicationState"];
        status["errorMessage"].as_str().is_some_and(|why| why.contains("FileNotFoundException: /dev/null/home/.ivy2"))
    })
    .await;
}

#[tokio::test]
async fn each_kind_of_resource_becomes_changed_pods_as_its_labels_and_annotations_wish() {
    let here = Namespace::new().await;
    let test = each_kind_of_resource_becomes_changed_pods_as_its_labels_and_annotations_wish;
    let Some(spark) = Spark::release("3.5", &here, test).await else { return };
    let _webhook = Registered::real(&here).await;
    let _operator = controller(&here, &spark, &[]).await;
    for resource in wishing(&spark) {
        here.create(&resource).await.object();
    }
    within(SUBMISSION, "there are two drivers", async || here.pods_of("driver").await.len() == 2).await;
    for driver in here.pods_of("driver").await {
        let name = &driver["metadata"]["name"];
        assert_eq!(driver["metadata"]["annotations"]["spark-admission.io/mutated"], "ivy-cache", "{name}");
        assert_eq!(driver["metadata"]["labels"]["team"], "data", "{name}");
    }
    within(SUBMISSION, "there is a server", async || here.pods_of("connect-server").await.len() == 1).await;
    let server = here.pods_of("connect-server").await.remove(0);
    assert_eq!(server["metadata"]["annotations"]["spark-admission.io/mutated"], "ivy-cache,connect-readiness");
}

/// One of each kind, without packages, which wishes that `spark-user` leaves its pods alone.
fn wishing(spark: &Spark<'_>) -> [Value; 3] {
    let (labels, skip) = (json!({"team": "data"}), json!({"spark-admission.io/skip": "spark-user"}));
    let mut application = application(spark, "report", &labels);
    application["metadata"]["annotations"] = skip.clone();
    application["spec"]["deps"] = json!({});
    // Annotations of a schedule reach nothing.
    let mut template = application["spec"].clone();
    template["driver"]["annotations"] = skip.clone();
    let schedule = json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "ScheduledSparkApplication",
        "metadata": {"name": "nightly", "labels": labels},
        "spec": {"schedule": "@every 1s", "concurrencyPolicy": "Forbid", "template": template}
    });
    let connect = json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect",
        "metadata": {"name": "analytics", "annotations": skip},
        "spec": {"sparkVersion": spark.version, "image": spark.image(), "server": {}, "executor": {"instances": 1}}
    });
    [application, schedule, connect]
}

#[tokio::test]
async fn an_application_older_than_the_webhook_is_run_again_by_an_edit_of_its_spec_alone() {
    let here = Namespace::new().await;
    let test = an_application_older_than_the_webhook_is_run_again_by_an_edit_of_its_spec_alone;
    let Some(spark) = Spark::release("4", &here, test).await else { return };
    // An operator that can download by itself, so that the application runs without the webhook.
    let home = format!("-Duser.home={}/home", spark.folder.display());
    let operator = controller(&here, &spark, &[("SPARK_SUBMIT_OPTS", &home)]).await;
    let manifest = application(&spark, "report", &json!({}));
    here.apply(&manifest).await.object();
    let state = async || here.get(&manifest).await["status"]["applicationState"]["state"].clone();
    within(SUBMISSION, "it is submitted", async || state().await == "SUBMITTED").await;
    let (driver, submission) = (driver_of(&here, &manifest).await, submission_of(&here, &manifest).await);
    let _webhook = Registered::with_policy(&here, &policy(&spark)).await;

    let labelled = |team: &str| {
        let mut manifest = manifest.clone();
        manifest["metadata"]["labels"] = json!({"team": team});
        manifest
    };
    let seen = || operator.log().matches("SparkApplication updated").count();
    let seen_before = seen();
    let mut replaced = here.get(&manifest).await;
    replaced["metadata"]["labels"] = json!({"team": "replaced"});
    for (how, answer) in [
        ("a merge patch", here.merge(&manifest, &json!({"metadata": {"labels": {"team": "patched"}}})).await),
        ("server-side apply", here.apply(&labelled("applied")).await),
        ("kubectl replace", here.replace(&replaced).await),
    ] {
        let application = answer.object();
        assert_eq!(application["metadata"]["generation"], 1, "{how}");
        assert!(application["metadata"]["labels"]["team"].is_string(), "{how}");
    }
    // What it does on a change it has decided when it logs the change.
    eventually("the operator has seen all three", || ready(seen() >= seen_before + 3)).await;
    assert_eq!(state().await, "SUBMITTED");
    assert_eq!(submission_of(&here, &manifest).await, submission);
    assert_eq!(driver_of(&here, &manifest).await["metadata"]["uid"], driver["metadata"]["uid"]);

    let edited = here.merge(&manifest, &json!({"spec": {"driver": {"cores": 2}}})).await.object();
    assert!(edited["spec"]["sparkConf"]["spark.jars.ivy"].is_string(), "now the webhook looks at it");
    within(SUBMISSION, "it is run again", async || {
        state().await == "SUBMITTED" && submission_of(&here, &manifest).await != submission
    })
    .await;
    let again = driver_of(&here, &manifest).await;
    assert_ne!(again["metadata"]["uid"], driver["metadata"]["uid"]);
    assert_eq!(again["metadata"]["annotations"]["spark-admission.io/mutated"], "ivy-cache,spark-user");
    let made = here.audited(&driver).iter().filter(|request| request.to_string().starts_with("create ")).count();
    assert_eq!(made, 2, "drivers that were made in all");
}

/// How long the operator may take to run `spark-submit`, on a busy machine.
pub const SUBMISSION: Duration = Duration::from_mins(2);

/// The controller with this Spark, in which no user has a home, and what else is in its environment.
pub async fn controller<'a>(here: &'a Namespace, spark: &Spark<'_>, more: &[(&str, &str)]) -> Operator<'a> {
    let kubeconfig = spark.kubeconfig().display().to_string();
    let mut environment = spark.environment();
    environment.push(("KUBECONFIG", kubeconfig));
    let environment = environment.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied());
    Operator::controller(here, &environment.collect::<Vec<_>>(), &[]).await
}

/// What both the operator and a driver's pod can write to is a folder of the test's.
fn policy(spark: &Spark<'_>) -> String {
    format!(
        "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nmutations: {{ivy-cache: {{mountPath: {}/ivy}}}}\n",
        spark.folder.display()
    )
}

/// An application with a package, whose program is in every Spark and says one thing.
pub fn application(spark: &Spark<'_>, name: &str, labels: &Value) -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "type": "Scala", "mode": "cluster", "image": spark.image(), "sparkVersion": spark.version,
            "mainClass": "org.apache.hadoop.util.VersionInfo", "mainApplicationFile": format!("local://{}", spark.jar().display()),
            "deps": {"packages": [PACKAGE]}, "restartPolicy": {"type": "Never"},
            "driver": {"cores": 1, "serviceAccount": "spark"}, "executor": {"instances": 1}
        }
    })
}

/// The driver's pod of an application.
pub async fn driver_of(here: &Namespace, application: &Value) -> Value {
    let name = format!("{}-driver", application["metadata"]["name"].as_str().unwrap());
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}});
    within(SUBMISSION, &format!("there is {name}"), async || here.find(&pod).await.is_success()).await;
    here.get(&pod).await
}

async fn submission_of(here: &Namespace, application: &Value) -> Value {
    here.get(application).await["status"]["submissionID"].clone()
}
