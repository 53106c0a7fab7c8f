//! Two mounts at one path, and two volumes of one name: what the API server answers to the operator, its webhook and Spark where nobody
//! has told the user, and what it takes.

use serde_json::{Value, json};

use crate::{
    cluster::{Called, Namespace, Operator, Spark},
    spark_operator::{SUBMISSION, application, controller},
    support::within,
};

/// A case, what it changes in a plain application, and the operator's message where no driver comes of it.
type Case = (&'static str, Value, Option<&'static str>);

/// The API server's word for two mounts at one path, and for two volumes of one name.
const UNIQUE: &str = "must be unique";
const DUPLICATE: &str = "Duplicate value";

fn driver_cases() -> Vec<Case> {
    let volumes = |names: &[&str]| names.iter().map(|name| json!({"name": name, "emptyDir": {}})).collect::<Value>();
    let mounts =
        |all: &[(&str, &str)]| all.iter().map(|(name, at)| json!({"name": name, "mountPath": at})).collect::<Value>();
    let mounted = |all: &[(&str, &str)]| {
        let mut names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
        names.dedup();
        json!({"volumes": volumes(&names), "driver": {"volumeMounts": mounts(all)}})
    };
    let and = |mut spec: Value, more: Value| {
        json_patch::merge(&mut spec, &more);
        spec
    };
    let template = |volumes: Value, mounts: Value| {
        json!({"driver": {"template": {"spec": {
            "containers": [{"name": "spark-kubernetes-driver", "volumeMounts": mounts}], "volumes": volumes
        }}}})
    };
    vec![
        ("two volumes at one path", mounted(&[("a", "/data"), ("b", "/data")]), Some(UNIQUE)),
        ("the same, one with a slash at its end", mounted(&[("a", "/data"), ("b", "/data/")]), None),
        ("one volume at two paths", mounted(&[("a", "/data"), ("a", "/more")]), None),
        ("where Spark mounts its configuration", mounted(&[("a", "/opt/spark/conf")]), Some(UNIQUE)),
        (
            "a file in Spark's configuration",
            json!({"volumes": volumes(&["a"]), "driver": {"volumeMounts": [{"name": "a", "mountPath": "/opt/spark/conf/log4j2.properties", "subPath": "log4j2.properties"}]}}),
            None,
        ),
        (
            "a config map where Spark mounts its configuration",
            json!({"driver": {"configMaps": [{"name": "settings", "path": "/opt/spark/conf"}]}}),
            Some(UNIQUE),
        ),
        (
            "a config map at two paths",
            json!({"driver": {"configMaps": [{"name": "settings", "path": "/a"}, {"name": "settings", "path": "/b"}]}}),
            Some(DUPLICATE),
        ),
        (
            "a secret at two paths: the last one counts",
            json!({"driver": {"secrets": [{"name": "s", "path": "/a", "secretType": "Generic"}, {"name": "s", "path": "/b", "secretType": "Generic"}]}}),
            None,
        ),
        (
            "a secret where a volume is",
            and(
                mounted(&[("a", "/data")]),
                json!({"driver": {"secrets": [{"name": "s", "path": "/data", "secretType": "Generic"}]}}),
            ),
            Some(UNIQUE),
        ),
        (
            "spark.local.dir where a volume is",
            and(mounted(&[("a", "/scratch")]), json!({"sparkConf": {"spark.local.dir": "/scratch"}})),
            Some(UNIQUE),
        ),
        (
            "spark.local.dir on a volume for it",
            and(mounted(&[("spark-local-dir-1", "/scratch")]), json!({"sparkConf": {"spark.local.dir": "/scratch"}})),
            None,
        ),
        (
            "a volume of sparkConf where another is",
            and(
                mounted(&[("a", "/data")]),
                json!({"sparkConf": {"spark.kubernetes.driver.volumes.emptyDir.b.mount.path": "/data"}}),
            ),
            Some(UNIQUE),
        ),
        (
            "two volumes of sparkConf at one path",
            json!({"sparkConf": {"spark.kubernetes.driver.volumes.emptyDir.a.mount.path": "/data", "spark.kubernetes.driver.volumes.emptyDir.b.mount.path": "/data"}}),
            Some("Found duplicated mountPath"),
        ),
        (
            "a volume of sparkConf of the name of another",
            and(
                mounted(&[("a", "/data")]),
                json!({"sparkConf": {"spark.kubernetes.driver.volumes.emptyDir.a.mount.path": "/more"}}),
            ),
            Some(DUPLICATE),
        ),
        (
            "two volumes of one name, of which the operator takes the last",
            json!({"volumes": volumes(&["a", "a"]), "driver": {"volumeMounts": mounts(&[("a", "/data")])}}),
            None,
        ),
        (
            "a mount without its volume is left out",
            json!({"volumes": volumes(&["a"]), "driver": {"volumeMounts": mounts(&[("a", "/data"), ("b", "/data")])}}),
            None,
        ),
        (
            "a template's mount where a volume is",
            and(mounted(&[("a", "/data")]), template(volumes(&["b"]), mounts(&[("b", "/data")]))),
            Some(UNIQUE),
        ),
        (
            "a template's volume of the name of another",
            and(mounted(&[("a", "/data")]), template(volumes(&["a"]), json!([]))),
            Some(DUPLICATE),
        ),
        (
            "a template's mount of its own",
            and(mounted(&[("a", "/data")]), template(volumes(&["b"]), mounts(&[("b", "/more")]))),
            None,
        ),
        (
            "the operator's own folder for a configuration",
            json!({"sparkConfigMap": "settings", "driver": {"configMaps": [{"name": "more", "path": "/etc/spark/conf"}]}}),
            Some(UNIQUE),
        ),
        (
            "a sidecar's volume that the driver does not mount",
            json!({"volumes": volumes(&["a"]), "driver": {"sidecars": [{"name": "log", "image": "busybox", "volumeMounts": mounts(&[("a", "/log")])}]}}),
            Some("Not found"),
        ),
        (
            "a sidecar's volume that the driver mounts",
            and(
                mounted(&[("a", "/data")]),
                json!({"driver": {"sidecars": [{"name": "log", "image": "busybox", "volumeMounts": mounts(&[("a", "/data")])}]}}),
            ),
            None,
        ),
        (
            "a mount of a local directory without its volume",
            json!({"driver": {"volumeMounts": mounts(&[("spark-local-dir-1", "/scratch")])}}),
            Some("volume spark-local-dir-1 not found"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_operator_gets_no_driver_with_two_mounts_at_one_path() {
    let here = Namespace::new().await;
    let test = the_operator_gets_no_driver_with_two_mounts_at_one_path;
    let Some(spark) = Spark::release("4", &here, test).await else { return };
    let _theirs = Operator::webhook(&here, Called::AfterOurs).await;
    let _operator = controller(&here, &spark, &[]).await;
    let cases = driver_cases();
    let mut applications = Vec::new();
    for (i, (case, changes, _)) in cases.iter().enumerate() {
        let mut application = application(&spark, &format!("report-{i}"), &json!({}));
        application["spec"]["deps"] = json!({});
        json_patch::merge(&mut application["spec"], changes);
        let created = here.create(&application).await;
        assert!(created.is_success(), "{case}: {}", created.message());
        applications.push(application);
    }
    for ((case, _, refusal), application) in cases.iter().zip(&applications) {
        let mut status = Value::Null;
        within(SUBMISSION, case, async || {
            !here.get(application).await["status"]["applicationState"]["state"].is_null()
        })
        .await;
        status = here.get(application).await["status"]["applicationState"].clone();
        eprintln!("{case}: {refusal:?} -> {}", status.to_string().chars().take(100000).collect::<String>());
    }
}
