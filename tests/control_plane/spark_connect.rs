//! With Kubeflow's real controller, and its webhook beside ours: what becomes of a SparkConnect.

use serde_json::{Value, json};

use crate::{
    cluster::{Called, Namespace, Operator, Registered},
    offline::comparable,
    support::eventually,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_minimal_spark_connect_gets_a_server_that_can_work() {
    let (before, after) = tokio::join!(server_beside(Called::BeforeOurs), server_beside(Called::AfterOurs));
    for (order, server) in [("before", &before), ("after", &after)] {
        let spark = &server["spec"]["containers"][0];
        assert_eq!(spark["name"], "spark-kubernetes-driver", "Kubeflow's {order} ours");
        let arguments = spark["args"][0].as_str().unwrap();
        for expected in [
            "--conf spark.jars.packages=org.apache.spark:spark-connect_2.12:3.5.7",
            "--conf spark.jars.ivy=/tmp/.ivy2",
            "--conf spark.kubernetes.executor.podTemplateFile=/tmp/spark/executor-pod-template.yaml",
        ] {
            assert_eq!(arguments.matches(expected).count(), 1, "Kubeflow's {order} ours: {expected} in {arguments}");
        }
        assert_eq!(named(&server["spec"]["volumes"], "ivy-cache"), 1, "Kubeflow's {order} ours");
        assert_eq!(named(&spark["volumeMounts"], "ivy-cache"), 1, "Kubeflow's {order} ours");
        assert_eq!(spark["readinessProbe"]["tcpSocket"]["port"], 15002, "Kubeflow's {order} ours");
        let security = &server["spec"]["securityContext"];
        assert_eq!(
            (&security["runAsUser"], &security["fsGroup"]),
            (&json!(185), &json!(185)),
            "Kubeflow's {order} ours"
        );
    }
    assert_eq!(after, before);
}

/// The server of a minimal SparkConnect, beside Kubeflow's webhook.
async fn server_beside(called: Called) -> Value {
    let here = Namespace::new().await;
    let _ours = Registered::real(&here).await;
    let _theirs = Operator::webhook(&here, called).await;
    let _controller = Operator::controller(&here, &[], &[]).await;
    here.create(&connect("analytics", &json!({}))).await.object();
    let mut server = comparable(server_of(&here, "analytics").await);
    // What the scheduler says, where one runs.
    server.as_object_mut().unwrap().remove("status");
    // What differs between two namespaces, and the order in which Go goes through a map.
    let owner = server["metadata"]["ownerReferences"][0]["uid"].as_str().unwrap();
    let text = server.to_string().replace(&here.name, "here").replace(owner, "of the owner");
    let mut server: Value = serde_json::from_str(&text).unwrap();
    let arguments = server["spec"]["containers"][0]["args"][0].as_str().unwrap().to_owned();
    let mut arguments: Vec<_> = arguments.split(" --conf ").collect();
    arguments.sort_unstable();
    server["spec"]["containers"][0]["args"][0] = arguments.join(" --conf ").into();
    server
}

#[tokio::test]
async fn without_a_template_the_operator_panics_where_the_webhook_does_not_add_one() {
    let (here, bare) = (Namespace::new().await, Namespace::new().await);
    let _ours = Registered::real(&here).await;
    let controller = Operator::controller(&bare, &[], &[]).await;
    bare.create(&connect("analytics", &json!({}))).await.object();
    eventually("the operator panics", async || {
        controller.log().contains("Observed a panic") && controller.log().contains("imageOption")
    })
    .await;
    assert_eq!(bare.find(&server("analytics")).await.status, 404);

    // A template that is there and holds no container keeps Spark from starting executors: it is completed.
    let controller = Operator::controller(&here, &[], &[]).await;
    here.create(&connect("analytics", &json!({}))).await.object();
    here.create(&connect("empty", &json!({"executor": {"template": {"metadata": {"labels": {"team": "data"}}}}})))
        .await
        .object();
    for name in ["analytics", "empty"] {
        server_of(&here, name).await;
        let template = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{name}-conf")}});
        let template = here.get(&template).await["data"]["executor-pod-template.yaml"].clone();
        let template: Value = serde_saphyr::from_str(template.as_str().unwrap()).unwrap();
        assert_eq!(template["spec"]["containers"][0]["name"], "spark-kubernetes-executor", "{name}");
    }
    assert!(!controller.log().contains("Observed a panic"), "{}", controller.log());
}

#[tokio::test]
async fn wishes_on_a_spark_connect_reach_its_server_and_its_executors() {
    let here = Namespace::new().await;
    let _ours = Registered::real(&here).await;
    let _theirs = Operator::webhook(&here, Called::AfterOurs).await;
    let _controller = Operator::controller(&here, &[], &[]).await;
    let templates = json!({
        "server": {"template": {"metadata": {"annotations": {"team": "data"}}, "spec": {"containers": [{"name": "spark-kubernetes-driver"}]}}},
        "executor": {"template": {"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}}}
    });
    for (form, spec) in [("plain", json!({})), ("templates", templates)] {
        let made = async |name: &str, metadata: Value| {
            let name = format!("{form}-{name}");
            let mut connect = connect(&name, &spec);
            json_patch::merge(&mut connect["metadata"], &metadata);
            here.create(&connect).await.object();
            server_of(&here, &name).await
        };
        let annotated = |key: &str, value: &str| json!({"annotations": {format!("spark-admission.io/{key}"): value}});

        let server = made("skipped", annotated("skip", "spark-user,connect-readiness")).await;
        let spark = &server["spec"]["containers"][0];
        assert_eq!(server["spec"]["securityContext"], json!({}), "{form}: spark-user is skipped");
        assert_eq!(spark["readinessProbe"], Value::Null, "{form}: connect-readiness is skipped");
        assert_eq!(named(&server["spec"]["volumes"], "ivy-cache"), 1, "{form}: ivy-cache is not skipped");
        let executor = here.create(&executor_of(&here, &format!("{form}-skipped"), spark).await).await.object();
        assert_eq!(executor["spec"]["securityContext"], json!({}), "{form}: an executor's spark-user is skipped");

        let medium = annotated("ivy-cache-medium", "Disk");
        let mut wishes = annotated("ivy-cache-size", "2Gi");
        json_patch::merge(&mut wishes, &medium);
        let server = made("sized", wishes).await;
        let volumes = server["spec"]["volumes"].as_array().unwrap();
        let ivy = volumes.iter().find(|volume| volume["name"] == "ivy-cache").unwrap();
        assert_eq!(ivy["emptyDir"], json!({"sizeLimit": "2Gi"}), "{form}");

        // The operator fails without a template, which is not added here either: the author wants nothing changed.
        if form == "templates" {
            let server = made("opted-out", json!({"labels": {"spark-admission.io/enabled": "false"}})).await;
            assert_eq!(server["metadata"]["annotations"], json!({"team": "data"}), "{form}");
            assert_eq!(server["spec"]["securityContext"], json!({}), "{form}");
            assert_eq!(named(&server["spec"]["volumes"], "ivy-cache"), 0, "{form}");
            let executor = here
                .create(&executor_of(&here, "templates-opted-out", &server["spec"]["containers"][0]).await)
                .await
                .object();
            assert_eq!(executor["metadata"]["annotations"], Value::Null, "{form}");
        }
    }
}

pub fn connect(name: &str, spec: &Value) -> Value {
    let mut connect = json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": name},
        "spec": {"sparkVersion": "3.5.7", "image": "apache/spark:3.5.7", "server": {}, "executor": {"instances": 1}}
    });
    json_patch::merge(&mut connect["spec"], spec);
    connect
}

pub fn server(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("{name}-server")}})
}

/// The pod that the operator makes of a SparkConnect.
pub async fn server_of(here: &Namespace, name: &str) -> Value {
    eventually("the operator makes the server's pod", async || here.find(&server(name)).await.is_success()).await;
    here.get(&server(name)).await
}

/// An executor as Spark makes it: of the template in the operator's config map, with the labels and annotations that the server's
/// arguments name.
async fn executor_of(here: &Namespace, name: &str, server: &Value) -> Value {
    let template = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{name}-conf")}});
    let template = here.get(&template).await["data"]["executor-pod-template.yaml"].clone();
    let mut executor: Value = serde_saphyr::from_str(template.as_str().unwrap()).unwrap();
    executor["apiVersion"] = "v1".into();
    executor["kind"] = "Pod".into();
    executor["metadata"].as_object_mut().unwrap().remove("creationTimestamp");
    executor["metadata"]["name"] = format!("{name}-exec-1").into();
    executor["metadata"]["labels"]["spark-role"] = "executor".into();
    for argument in server["args"][0].as_str().unwrap().split(" --conf ") {
        let Some((key, value)) = argument.split_once('=') else { continue };
        for (prefix, kind) in
            [("spark.kubernetes.executor.label.", "labels"), ("spark.kubernetes.executor.annotation.", "annotations")]
        {
            if let Some(key) = key.strip_prefix(prefix) {
                executor["metadata"][kind][key] = value.into();
            }
        }
    }
    executor["spec"]["containers"][0]["image"] = "apache/spark:3.5.7".into();
    executor["spec"]["containers"][0]["args"] = json!(["executor"]);
    executor
}

/// How many elements of a list have this name.
fn named(list: &Value, name: &str) -> usize {
    list.as_array().into_iter().flatten().filter(|element| element["name"] == name).count()
}
