//! Real `spark-submit` in cluster mode: what it makes is there and changed, and what the driver's pod would run then works.

use serde_json::Value;

use crate::cluster::{InPod, JAR, Namespace, PACKAGE, Registered, Spark};

#[tokio::test]
async fn a_driver_that_spark_3_5_submits_downloads_its_packages() {
    let here = Namespace::new().await;
    if let Some(spark) = Spark::release("3.5", &here, a_driver_that_spark_3_5_submits_downloads_its_packages).await {
        submit_and_run(&here, &spark).await;
    }
}

#[tokio::test]
async fn a_driver_that_spark_4_submits_downloads_its_packages() {
    let here = Namespace::new().await;
    if let Some(spark) = Spark::release("4", &here, a_driver_that_spark_4_submits_downloads_its_packages).await {
        submit_and_run(&here, &spark).await;
    }
}

async fn submit_and_run(here: &Namespace, spark: &Spark<'_>) {
    let _webhook = Registered::real(here).await;
    let driver = submit(here, spark).await;
    let uid = &driver["metadata"]["uid"];
    let owned = async |plural: &str| {
        let all = here.all(plural).await;
        all.into_iter().filter(|object| object["metadata"]["ownerReferences"][0]["uid"] == *uid).count()
    };
    assert_eq!(owned("services").await, 1, "the driver's service");
    assert_eq!(owned("configmaps").await, 1, "the driver's configuration");
    assert_eq!(owned("persistentvolumeclaims").await, 1, "the driver's claim");

    assert_eq!(driver["metadata"]["annotations"]["spark-admission.io/mutated"], "ivy-cache,ivy-dir,spark-user");
    assert_eq!(driver["spec"]["securityContext"]["runAsUser"], 185);
    assert_eq!(driver["spec"]["securityContext"]["fsGroup"], 185);

    let in_pod = InPod::of(here, &driver, spark.folder.join("pod")).await;
    // As the images' entrypoint does it.
    let driver = || {
        let mut command = spark.program("bin/spark-submit");
        command.args(["--deploy-mode", "client"]).args(&in_pod.arguments()[1..]).envs(in_pod.environment());
        command
    };
    let unprepared = spark.run("unprepared-driver", driver().env_remove("SPARK_SUBMIT_OPTS")).await;
    assert!(!unprepared.status.success(), "without what the webhook added: {}", unprepared.said);
    assert!(unprepared.said.contains("java.io.FileNotFoundException: /dev/null/home/.ivy2"), "{}", unprepared.said);

    let ran = spark.run("driver", &mut driver()).await;
    assert!(ran.status.success() && ran.said.contains("\nHadoop 3."), "{}", ran.said);
    assert!(in_pod.volume("ivy-cache").join(JAR).is_file(), "the package is not in the volume: {}", ran.said);
}

/// Has an application submitted by a user with a home of his own, and returns the driver's pod.
async fn submit(here: &Namespace, spark: &Spark<'_>) -> Value {
    let mut command = spark.program("bin/spark-submit");
    command.env("KUBECONFIG", spark.kubeconfig());
    command.env("SPARK_SUBMIT_OPTS", format!("-Duser.home={}/home", spark.folder.display()));
    command.args(["--master", &spark.master(), "--deploy-mode", "cluster", "--name", "report", "--packages", PACKAGE]);
    // A program that is in every Spark, and that says one thing.
    command.args(["--class", "org.apache.hadoop.util.VersionInfo"]);
    let claim = "spark.kubernetes.driver.volumes.persistentVolumeClaim.data";
    for (key, value) in [
        ("spark.kubernetes.namespace", here.name.as_str()),
        ("spark.kubernetes.container.image", &spark.image()),
        ("spark.kubernetes.authenticate.driver.serviceAccountName", "spark"),
        ("spark.kubernetes.submission.waitAppCompletion", "false"),
        (&format!("{claim}.options.claimName"), "OnDemand"),
        (&format!("{claim}.options.storageClass"), "standard"),
        (&format!("{claim}.options.sizeLimit"), "1Gi"),
        (&format!("{claim}.mount.path"), "/data"),
    ] {
        command.args(["--conf", &format!("{key}={value}")]);
    }
    let ran = spark.run("submission", command.arg(format!("local://{}", spark.jar().display()))).await;
    assert!(ran.status.success(), "{}", ran.said);
    let mut drivers = here.all("pods").await;
    assert_eq!(drivers.len(), 1, "{}", ran.said);
    drivers.remove(0)
}
