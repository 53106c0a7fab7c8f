//! What real Spark does with which of its account's rights: what `driver-permissions` asks for is what is needed, and no more.

use serde_json::json;

use crate::cluster::{Namespace, Spark};

/// Every right that the check asks about, for a driver without claims.
const RIGHTS: [(&str, &[&str]); 3] = [
    ("pods", &["get", "list", "watch", "create", "delete", "deletecollection"]),
    ("configmaps", &["create", "deletecollection"]),
    ("services", &["deletecollection"]),
];

#[tokio::test]
async fn adhoc() {
    let here = Namespace::new().await;
    for line in std::env::var("LINES_OF_SPARK").unwrap().split(',') {
        for case in std::env::var("CASES").unwrap().split(';') {
            let here = Namespace::new().await;
            let Some(spark) = Spark::release(line, &here, adhoc).await else { return };
            let without: Vec<_> = case.split(',').collect();
            grant(&here, &without).await;
            let ran = session(&here, &spark).await;
            std::fs::write(format!("/tmp/rights-{line}-{}.log", case.replace([' ', ','], "_")), &ran.1).unwrap();
            let forbidden: Vec<_> = ran
                .1
                .lines()
                .filter(|line| line.contains("orbidden"))
                .map(|line| line.chars().take(300).collect::<String>())
                .collect();
            eprintln!(
                "== {line} without {case}: success {} started {} forbidden {}",
                ran.0,
                ran.1.contains("session started"),
                forbidden.len()
            );
            for line in forbidden.iter().take(4) {
                eprintln!("     {line}");
            }
            for plural in ["pods", "configmaps", "services", "persistentvolumeclaims"] {
                let names: Vec<_> = here
                    .all(plural)
                    .await
                    .iter()
                    .map(|it| it["metadata"]["name"].as_str().unwrap().to_owned())
                    .collect();
                eprintln!("     {plural} left: {names:?}");
            }
        }
    }
    drop(here);
}

/// Gives the account these rights but for some, written as `verb resource`.
async fn grant(here: &Namespace, without: &[&str]) {
    let mut rules = Vec::new();
    let more: &[(&str, &[&str])] =
        &[("persistentvolumeclaims", &["create", "list", "deletecollection", "get", "watch", "delete"])];
    for (resource, verbs) in RIGHTS.iter().chain(more) {
        let verbs: Vec<_> =
            verbs.iter().filter(|verb| !without.contains(&format!("{verb} {resource}").as_str())).collect();
        if !verbs.is_empty() {
            rules.push(json!({"apiGroups": [""], "resources": [resource], "verbs": verbs}));
        }
    }
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "spark"}, "rules": rules
    });
    here.replace(&role).await.object();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
}

async fn session(here: &Namespace, spark: &Spark<'_>) -> (bool, String) {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "me"}, "spec": {"serviceAccountName": "spark", "containers": [{"name": "c", "image": "i"}]}});
    here.create(&pod).await.object();
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    here.merge_status(&pod, &status).await.object();
    let claims = if std::env::var("CLAIMS").is_ok() {
        "--conf spark.kubernetes.executor.volumes.persistentVolumeClaim.data.options.claimName=OnDemand --conf spark.kubernetes.executor.volumes.persistentVolumeClaim.data.options.storageClass=standard --conf spark.kubernetes.executor.volumes.persistentVolumeClaim.data.options.sizeLimit=1Gi --conf spark.kubernetes.executor.volumes.persistentVolumeClaim.data.mount.path=/data"
    } else {
        ""
    };
    let settings = [
        ("spark.kubernetes.namespace", here.name.clone()),
        ("spark.kubernetes.container.image", spark.image()),
        ("spark.kubernetes.driver.pod.name", "me".to_owned()),
        ("spark.kubernetes.authenticate.oauthTokenFile", spark.token_file().display().to_string()),
        ("spark.kubernetes.authenticate.caCertFile", spark.authority().display().to_string()),
        ("spark.executor.instances", "1".to_owned()),
        ("spark.driver.host", "127.0.0.1".to_owned()),
        ("spark.scheduler.minRegisteredResourcesRatio", "0".to_owned()),
        ("spark.ui.enabled", "false".to_owned()),
    ];
    let settings = settings.map(|(key, value)| format!("--conf {key}={value}")).join(" ");
    let arguments = format!("--master {} {settings} {claims} pyspark-shell", spark.master());
    let mut command = spark.python();
    command.arg(spark.session_file()).env("PYSPARK_SUBMIT_ARGS", arguments);
    let mut running = spark.start("session", &mut command);
    let begin = std::time::Instant::now();
    loop {
        let said = running.said();
        let has_executor = here.pods_of("executor").await.len() == 1;
        if (said.contains("session started") && (has_executor || begin.elapsed().as_secs() > 20))
            || said.contains("Traceback")
            || begin.elapsed().as_secs() > 40
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    drop(running.input.take());
    let ran = running.end().await;
    (ran.status.success(), ran.said)
}
