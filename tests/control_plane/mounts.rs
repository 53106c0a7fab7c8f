//! Two mounts at one path, two volumes of one name, and mounts without a volume: what the operator, its webhook and Spark get from the API
//! server where nobody has told the user, and what the checks say of it when the resource is submitted.

use serde_json::{Value, json};

use crate::{
    cluster::{Answer, Called, InPod, Namespace, Operator, Registered, Spark},
    kubeflow_webhook::{application, pod},
    spark_connect::{connect, server, server_of},
    spark_operator::{self, SUBMISSION, controller},
    spark_submit::free_port,
    support::{eventually, within},
};

/// A case, what it changes in a plain resource, what becomes of it without the checks, and what they say.
type Case = (&'static str, Value, Without, Said);

/// What becomes of a resource where nobody looks at it.
#[derive(Clone, Copy, Debug)]
enum Without {
    /// There is a pod.
    Works,
    /// There is none, and this is said where hardly anybody reads it.
    Fails(&'static str),
}

/// What the author is told.
#[derive(Clone, Copy, Debug)]
enum Said {
    Nothing,
    Warned(&'static str),
    Refused(&'static str),
}

use Said::{Nothing, Refused, Warned};
use Without::{Fails, Works};

/// The API server's word for two mounts at one path, for two volumes of one name, and for a mount without one.
const TWO_MOUNTS: Without = Fails("mountPath: Invalid value");
const TWO_VOLUMES: Without = Fails("Duplicate value");
const NO_VOLUME: Without = Fails("volumeMounts[0].name: Not found");

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[rustfmt::skip]
async fn what_the_operators_webhook_makes_of_pods_is_known_before() {
    let mounted = |all: &[(&str, &str)]| mounting("driver", all);
    let of_executors = |all: &[(&str, &str)]| mounting("executor", all);
    let config_maps = |all: &[(&str, &str)]| json!({"driver": {"configMaps": all.iter().map(|(name, at)| json!({"name": name, "path": at})).collect::<Value>()}});
    let sidecar = |at: &str| json!({"driver": {"sidecars": [{"name": "log", "image": "busybox", "volumeMounts": mounts(&[("a", at)])}]}});
    let template = |volumes: Value, mounts: Value| json!({"driver": {"template": {"spec": {
        "containers": [{"name": "spark-kubernetes-driver", "volumeMounts": mounts}], "volumes": volumes
    }}}});
    judge_and_make(&[
        ("two volumes at one path", mounted(&[("a", "/data"), ("b", "/data")]), TWO_MOUNTS, Refused("spec.driver.volumeMounts[1]")),
        ("two volumes of executors at one path", of_executors(&[("a", "/data"), ("b", "/data")]), TWO_MOUNTS, Refused("spec.executor.volumeMounts[1]")),
        ("the same, one with a slash at its end", mounted(&[("a", "/data"), ("b", "/data/")]), Works, Nothing),
        ("the same path in driver and executors", and(mounted(&[("a", "/data")]), &json!({"executor": {"volumeMounts": mounts(&[("a", "/data")])}})), Works, Nothing),
        ("one volume at two paths", mounted(&[("a", "/data"), ("a", "/more")]), Works, Nothing),
        ("where Spark mounts its configuration", mounted(&[("a", "/opt/spark/conf")]), TWO_MOUNTS, Refused("spec.driver.volumeMounts[0]")),
        ("where executors have their configuration", of_executors(&[("a", "/opt/spark/conf")]), TWO_MOUNTS, Refused("spec.executor.volumeMounts[0]")),
        ("below Spark's configuration", mounted(&[("a", "/opt/spark/conf/more")]), Works, Nothing),
        ("a config map where Spark mounts its configuration", config_maps(&[("settings", "/opt/spark/conf")]), TWO_MOUNTS, Refused("spec.driver.configMaps[0]")),
        ("a config map at two paths", config_maps(&[("settings", "/a"), ("settings", "/b")]), TWO_VOLUMES, Refused("spec.driver.configMaps[1]")),
        ("two config maps", config_maps(&[("settings", "/a"), ("more", "/b")]), Works, Nothing),
        ("a config map where a volume is", and(mounted(&[("a", "/a")]), &config_maps(&[("settings", "/a")])), TWO_MOUNTS, Refused("spec.driver.volumeMounts[0]")),
        ("a volume called as the operator calls a config map's", and(mounted(&[("settings-vol", "/b")]), &config_maps(&[("settings", "/a")])), TWO_VOLUMES, Refused("spec.driver.volumeMounts[0]")),
        ("the operator's own folder for a configuration", and(config_maps(&[("more", "/etc/spark/conf")]), &json!({"sparkConfigMap": "settings"})), TWO_MOUNTS, Refused("spec.driver.configMaps[0]")),
        ("the operator's own folder for Hadoop", and(config_maps(&[("more", "/etc/hadoop/conf")]), &json!({"hadoopConfigMap": "hadoop"})), TWO_MOUNTS, Refused("spec.driver.configMaps[0]")),
        ("the operator's own folder for metrics", and(config_maps(&[("more", "/etc/metrics/conf")]), &json!({"monitoring": {"exposeDriverMetrics": true, "exposeExecutorMetrics": false, "prometheus": {"jmxExporterJar": "/jmx.jar"}}})), TWO_MOUNTS, Refused("spec.monitoring")),
        ("two volumes of one name, of which the operator takes the last", and(mounted(&[("a", "/data")]), &json!({"volumes": volumes(&["a", "a"])})), Works, Nothing),
        ("a template's mount where a volume is", and(mounted(&[("a", "/data")]), &template(volumes(&["b"]), mounts(&[("b", "/data")]))), TWO_MOUNTS, Refused("spec.driver.volumeMounts[0]")),
        ("a template's volume of the name of another", and(mounted(&[("a", "/data")]), &template(volumes(&["a"]), json!([]))), TWO_VOLUMES, Refused("spec.driver.volumeMounts[0]")),
        ("a template's mount of its own", and(mounted(&[("a", "/data")]), &template(volumes(&["b"]), mounts(&[("b", "/more")]))), Works, Nothing),
        ("a mount without its volume is left out", and(mounted(&[("a", "/data")]), &json!({"driver": {"volumeMounts": mounts(&[("a", "/data"), ("b", "/data")])}})), Works, Warned("spec.driver.volumeMounts[1]: no volume \"b\" in spec.volumes")),
        ("a sidecar's volume that the driver does not mount", and(sidecar("/log"), &json!({"volumes": volumes(&["a"])})), NO_VOLUME, Warned("spec.driver.sidecars[0].volumeMounts[0]: the pod gets no volume \"a\"")),
        ("a sidecar's volume that the driver mounts", and(mounted(&[("a", "/data")]), &sidecar("/data")), Works, Nothing),
        ("a template's mount without its volume", template(json!([]), mounts(&[("a", "/data")])), NO_VOLUME, Warned("spec.driver.template.spec.containers[0].volumeMounts[0]: the pod has no volume \"a\"")),
    ]).await;
}

/// Submits each case's application where the checks are asked, and creates the pods that Spark sends for it where only the operator's
/// webhook is.
async fn judge_and_make(cases: &[Case]) {
    let (checked, plain) = (Namespace::new().await, Namespace::new().await);
    let _ours = Registered::real(&checked).await;
    let _theirs = Operator::webhook(&plain, Called::AfterOurs).await;
    for (i, (case, changes, without, said)) in cases.iter().enumerate() {
        let application = application(&format!("report-{i}"), &json!({"spec": changes}));
        assert_said(case, &checked.create_dry(&application).await, *said);
        let application = plain.create(&application).await.object();
        let pods = ["driver", "executor"].map(|role| pod(&application, role));
        eventually("Kubeflow's webhook knows the application", async || {
            !plain.create_dry(&pods[0]).await.message().contains("failed to get SparkApplication")
        })
        .await;
        let mut refusals = Vec::new();
        for pod in &pods {
            let created = plain.create_dry(pod).await;
            if !created.is_success() {
                assert_eq!(created.status, 422, "{case}: {}", created.message());
                refusals.push(created.message().to_owned());
            }
        }
        match without {
            Works => assert_eq!(refusals, Vec::<String>::new(), "{case}"),
            Fails(why) => assert!(refusals.len() == 1 && refusals[0].contains(why), "{case}: {refusals:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[rustfmt::skip]
async fn what_spark_makes_of_its_configuration_is_known_before() {
    let here = Namespace::new().await;
    let test = what_spark_makes_of_its_configuration_is_known_before;
    let Some(spark) = Spark::release("4", &here, test).await else { return };
    let _theirs = Operator::webhook(&here, Called::AfterOurs).await;
    let _operator = controller(&here, &spark, &[]).await;
    let checked = Namespace::new().await;
    let _ours = Registered::real(&checked).await;
    let mounted = |all: &[(&str, &str)]| mounting("driver", all);
    let conf = |key: &str, value: &str| json!({"sparkConf": {key: value}});
    let volume = |name: &str, at: &str| conf(&format!("spark.kubernetes.driver.volumes.emptyDir.{name}.mount.path"), at);
    let secrets = |all: &[(&str, &str)]| json!({"driver": {"secrets": all.iter().map(|(name, at)| json!({"name": name, "path": at, "secretType": "Generic"})).collect::<Value>()}});
    let cases: &[Case] = &[
        ("spark.local.dir where a volume is", and(mounted(&[("a", "/scratch")]), &conf("spark.local.dir", "/scratch")), TWO_MOUNTS, Refused("spec.driver.volumeMounts[0]")),
        ("spark.local.dir on a volume for it", and(mounted(&[("spark-local-dir-1", "/scratch")]), &conf("spark.local.dir", "/scratch")), Works, Nothing),
        ("two volumes of sparkConf at one path", and(volume("a", "/data"), &volume("b", "/data")), Fails("Found duplicated mountPath"), Refused("spec.sparkConf[spark.kubernetes.driver.volumes.emptyDir.b.mount.path]")),
        ("a volume of sparkConf of the name of another", and(mounted(&[("a", "/data")]), &volume("a", "/more")), TWO_VOLUMES, Refused("spec.driver.volumeMounts[0]")),
        ("a secret where a volume is, and at another path first", and(mounted(&[("a", "/data")]), &secrets(&[("s", "/a"), ("s", "/data")])), TWO_MOUNTS, Refused("spec.driver.volumeMounts[0]")),
        ("a secret at two paths, of which the last counts", secrets(&[("s", "/a"), ("s", "/b")]), Works, Nothing),
        ("a local directory without its volume", json!({"driver": {"volumeMounts": mounts(&[("spark-local-dir-1", "/scratch")])}}), Fails("volume spark-local-dir-1 not found"), Warned("spec.driver.volumeMounts[0]: no volume \"spark-local-dir-1\" in spec.volumes")),
    ];
    let mut applications = Vec::new();
    for (i, (case, changes, _, said)) in cases.iter().enumerate() {
        let mut application = spark_operator::application(&spark, &format!("report-{i}"), &json!({}));
        application["spec"]["deps"] = json!({});
        json_patch::merge(&mut application["spec"], changes);
        assert_said(case, &checked.create_dry(&application).await, *said);
        here.create(&application).await.object();
        applications.push(application);
    }
    for ((case, _, without, _), application) in cases.iter().zip(&applications) {
        let status = async || here.get(application).await["status"]["applicationState"].clone();
        within(SUBMISSION, case, async || !status().await["state"].is_null()).await;
        let status = status().await;
        match without {
            Works => assert_eq!(status["state"], "SUBMITTED", "{case}: {status}"),
            Fails(why) => assert!(status["errorMessage"].as_str().is_some_and(|said| said.contains(why)), "{case}: {status}"),
        }
    }
}

/// A volume of executors that is called as Spark calls that of their configuration.
const VOLUME: &str = "spark.kubernetes.executor.volumes.emptyDir.spark-conf-volume-exec.mount.path";

/// The driver runs, and asks for executors that the API server refuses, again and again; nobody but its log says so.
#[tokio::test]
async fn a_driver_whose_executors_are_refused_asks_for_ever() {
    let here = Namespace::new().await;
    let test = a_driver_whose_executors_are_refused_asks_for_ever;
    let Some(spark) = Spark::release("3.5", &here, test).await else { return };
    let _operator = controller(&here, &spark, &[]).await;
    let mut application = spark_operator::application(&spark, "report", &json!({}));
    let changes = json!({
        "type": "Python", "mainClass": null, "mainApplicationFile": format!("local://{}", spark.session_file().display()), "deps": null,
        "sparkConf": {
            VOLUME: "/data",
            "spark.kubernetes.driver.master": spark.address(), "spark.driver.port": free_port(),
            "spark.driver.blockManager.port": free_port(), "spark.scheduler.minRegisteredResourcesRatio": "0",
            "spark.ui.enabled": "false"
        }
    });
    json_patch::merge(&mut application["spec"], &changes);
    let checked = Namespace::new().await;
    let _ours = Registered::real(&checked).await;
    let field = "spec.sparkConf[spark.kubernetes.executor.volumes.emptyDir.spark-conf-volume-exec.mount.path]";
    assert_said("an executor's volume", &checked.create_dry(&application).await, Refused(field));

    here.create(&application).await.object();
    let driver = spark_operator::driver_of(&here, &application).await;
    let in_pod = InPod::of(&here, &driver, spark.folder.join("pod")).await;
    let mut running = spark.start("driver", &mut spark.driver(&in_pod));
    running
        .until("executors are refused again and again, and the application knows nothing of it", async |said| {
            let refusals = said.matches("Exception when notifying snapshot subscriber").count();
            let why = r#"spec.volumes[1].name: Duplicate value: "spark-conf-volume-exec""#;
            said.contains("session started") && said.contains(why) && refusals >= 2
        })
        .await;
    assert_eq!(here.pods_of("executor").await, Vec::<Value>::new());
    assert_eq!(here.get(&application).await["status"]["applicationState"]["state"], "SUBMITTED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[rustfmt::skip]
async fn a_connect_server_that_is_refused_is_never_there_and_nobody_says_why() {
    let (checked, plain) = (Namespace::new().await, Namespace::new().await);
    let _ours = Registered::real(&checked).await;
    let operator = Operator::controller(&plain, &[], &[]).await;
    let template = |volumes: Value, mounts: Value| json!({
        "server": {"template": {"spec": {"containers": [{"name": "spark-kubernetes-driver", "volumeMounts": mounts}], "volumes": volumes}}},
        "executor": {"template": {"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}}}
    });
    let at = "spec.server.template.spec";
    let cases: &[Case] = &[
        ("two volumes at one path", template(volumes(&["a", "b"]), mounts(&[("a", "/data"), ("b", "/data")])), TWO_MOUNTS, Refused("spec.server.template.spec.containers[0].volumeMounts[1]")),
        ("two volumes of one name", template(volumes(&["a", "a"]), json!([])), TWO_VOLUMES, Refused("spec.server.template.spec.volumes[1]")),
        ("a volume of the operator's name", template(volumes(&["spark-conf"]), json!([])), TWO_VOLUMES, Refused("spec.server.template.spec.volumes[0]")),
        ("a mount without its volume", template(json!([]), mounts(&[("a", "/data")])), NO_VOLUME, Refused("spec.server.template.spec.containers[0].volumeMounts[0]")),
        ("a mount with its volume", template(volumes(&["a"]), mounts(&[("a", "/data"), ("a", "/data/")])), Works, Nothing),
        ("a mount of the operator's own volume", template(json!([]), mounts(&[("spark-conf", "/template")])), Works, Nothing),
        ("a mount at Spark's configuration", template(volumes(&["a"]), mounts(&[("a", "/opt/spark/conf")])), Works, Nothing),
        ("a mount of the volume that the webhook adds", template(json!([]), mounts(&[("ivy-cache", "/cache")])), NO_VOLUME, Nothing),
    ];
    for (i, (case, changes, without, said)) in cases.iter().enumerate() {
        let connect = connect(&format!("analytics-{i}"), changes);
        assert_said(case, &checked.create_dry(&connect).await, *said);
        let connect = plain.create(&connect).await.object();
        let name = connect["metadata"]["name"].as_str().unwrap();
        match without {
            Works => drop(server_of(&plain, name).await),
            Fails(why) => {
                let pod = format!("Pod \\\"{name}-server\\\" is invalid");
                let told = || operator.log().lines().any(|line| line.contains(&pod) && line.contains(why));
                eventually(case, async || told()).await;
                assert_eq!(plain.find(&server(name)).await.status, 404, "{case}");
                assert_eq!(plain.get(&connect).await["status"], Value::Null, "{case}: {at}");
            }
        }
    }
    // With the volume that our webhook adds, the last one has its server.
    let _controller = Operator::controller(&checked, &[], &[]).await;
    checked.create(&connect("analytics", &cases[7].1)).await.object();
    let mounts = &server_of(&checked, "analytics").await["spec"]["containers"][0]["volumeMounts"];
    assert!(mounts.as_array().unwrap().iter().any(|mount| mount["mountPath"] == "/cache"), "{mounts}");
}

/// What the API server itself refuses is never asked about: pods, and what the operator's definitions let nobody say.
#[tokio::test]
async fn what_the_api_server_refuses_at_once_needs_no_check() {
    let here = Namespace::new().await;
    let _ours = Registered::real(&here).await;
    let sidecar = json!([{"name": "log", "image": "i", "volumeMounts": mounts(&[("a", "/log"), ("b", "/log")])}]);
    let application = application("report", &json!({"spec": {"driver": {"sidecars": sidecar}}}));
    let refused = here.create_dry(&application).await;
    assert!(refused.status == 422 && refused.message().contains("Duplicate value"), "{}", refused.message());
    assert!(!refused.message().contains("spark-admission"), "{}", refused.message());
    for (case, mounts, why) in [
        ("two mounts", mounts(&[("a", "/data"), ("a", "/data")]), "must be unique"),
        ("no volume", mounts(&[("b", "/data")]), "Not found"),
    ] {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "report-driver", "labels": {"spark-role": "driver"}},
            "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "i", "args": ["driver"], "volumeMounts": mounts}], "volumes": volumes(&["a"])}
        });
        let refused = here.create_dry(&pod).await;
        assert!(refused.status == 422 && refused.message().contains(why), "{case}: {}", refused.message());
        assert!(!refused.message().contains("spark-admission"), "{case}: {}", refused.message());
    }
}

fn assert_said(case: &str, answer: &Answer, said: Said) {
    let told: Vec<_> = answer
        .warnings
        .iter()
        .filter(|it| it.starts_with("duplicate-mount") || it.starts_with("unknown-volume"))
        .collect();
    match said {
        Nothing => assert!(answer.is_success() && told.is_empty(), "{case}: {} {told:?}", answer.message()),
        Warned(what) => {
            let warned =
                told.len() == 1 && told[0].strip_prefix("unknown-volume: ").is_some_and(|it| it.starts_with(what));
            assert!(answer.is_success() && warned, "{case}: {} {told:?}", answer.message());
        }
        Refused(field) => {
            let causes = answer.body["details"]["causes"].as_array().cloned().unwrap_or_default();
            let fields: Vec<_> = causes.iter().map(|cause| cause["field"].as_str().unwrap()).collect();
            assert_eq!((answer.status, fields.as_slice()), (422, [field].as_slice()), "{case}: {}", answer.message());
        }
    }
}

fn volumes(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"name": name, "emptyDir": {}})).collect()
}

fn mounts(all: &[(&str, &str)]) -> Value {
    all.iter().map(|(name, at)| json!({"name": name, "mountPath": at})).collect()
}

/// A section that mounts these, with their volumes.
fn mounting(section: &str, all: &[(&str, &str)]) -> Value {
    let mut names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    names.dedup();
    json!({"volumes": volumes(&names), section: {"volumeMounts": mounts(all)}})
}

fn and(mut spec: Value, more: &Value) -> Value {
    json_patch::merge(&mut spec, more);
    spec
}
