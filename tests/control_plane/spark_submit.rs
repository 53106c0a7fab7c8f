//! Real `spark-submit` in cluster mode: what it makes is there and changed, and what the driver's pod runs then works.

use std::net::TcpListener;

use serde_json::Value;

use crate::cluster::{InPod, JAR, Namespace, PACKAGE, Registered, Spark};

#[tokio::test]
async fn a_driver_that_spark_3_5_submits_gets_its_packages_and_its_executors() {
    let here = Namespace::new().await;
    let test = a_driver_that_spark_3_5_submits_gets_its_packages_and_its_executors;
    if let Some(spark) = Spark::release("3.5", &here, test).await {
        submit_and_run(&here, &spark).await;
    }
}

#[tokio::test]
async fn a_driver_that_spark_4_submits_gets_its_packages_and_its_executors() {
    let here = Namespace::new().await;
    let test = a_driver_that_spark_4_submits_gets_its_packages_and_its_executors;
    if let Some(spark) = Spark::release("4", &here, test).await {
        submit_and_run(&here, &spark).await;
    }
}

async fn submit_and_run(here: &Namespace, spark: &Spark<'_>) {
    let _webhook = Registered::real(here).await;
    submit(here, spark).await;
    let driver = here.pods_of("driver").await.remove(0);
    let owned = async |plural: &str| {
        let all = here.all(plural).await;
        let is_drivers = |object: &Value| object["metadata"]["ownerReferences"][0]["uid"] == driver["metadata"]["uid"];
        all.into_iter().filter(is_drivers).count()
    };
    assert_eq!(owned("services").await, 1, "the driver's service");
    assert_eq!(owned("configmaps").await, 1, "the driver's configuration");
    assert_eq!(owned("persistentvolumeclaims").await, 1, "the driver's claim");
    assert_eq!(driver["metadata"]["annotations"]["spark-admission.io/mutated"], "ivy-cache,ivy-dir,spark-user");
    assert_eq!(driver["spec"]["securityContext"]["runAsUser"], 185);
    assert_eq!(driver["spec"]["securityContext"]["fsGroup"], 185);

    let in_pod = InPod::of(here, &driver, spark.folder.join("pod")).await;
    let mut unprepared = spark.driver(&in_pod);
    let unprepared = spark.run("unprepared-driver", unprepared.env_remove("SPARK_SUBMIT_OPTS")).await;
    assert!(!unprepared.status.success(), "without what the webhook added: {}", unprepared.said);
    assert!(unprepared.said.contains("java.io.FileNotFoundException: /dev/null/home/.ivy2"), "{}", unprepared.said);

    let mut running = spark.start("driver", &mut spark.driver(&in_pod));
    running.until("the driver has an executor", async |_| here.pods_of("executor").await.len() == 1).await;
    assert!(in_pod.volume("ivy-cache").join(JAR).is_file(), "the package is not in the volume: {}", running.said());
    let executor = here.pods_of("executor").await.remove(0);
    assert_eq!(executor["metadata"]["annotations"]["spark-admission.io/mutated"], "spark-user");
    assert_eq!(executor["metadata"]["ownerReferences"][0]["uid"], driver["metadata"]["uid"]);
}

/// Submits an application as a user who has a home.
async fn submit(here: &Namespace, spark: &Spark<'_>) {
    let mut command = spark.program("bin/spark-submit");
    command.env("KUBECONFIG", spark.kubeconfig());
    command.env("SPARK_SUBMIT_OPTS", format!("-Duser.home={}/home", spark.folder.display()));
    command.args(["--master", &spark.master(), "--deploy-mode", "cluster", "--name", "report", "--packages", PACKAGE]);
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
        ("spark.executor.instances", "1"),
        // In a pod of its own a driver has an address and ports of its own.
        ("spark.kubernetes.driver.master", &spark.address()),
        ("spark.driver.port", &free_port()),
        ("spark.driver.blockManager.port", &free_port()),
        // Nobody starts the executor, and the driver is not to wait for it.
        ("spark.scheduler.minRegisteredResourcesRatio", "0"),
        ("spark.ui.enabled", "false"),
    ] {
        command.args(["--conf", &format!("{key}={value}")]);
    }
    let application = format!("local://{}", spark.session_file().display());
    let ran = spark.run("submission", command.arg(application)).await;
    assert!(ran.status.success(), "{}", ran.said);
}

pub fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}
