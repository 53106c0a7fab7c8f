//! Kubeflow's own webhook, the real one, called before ours and after it: the pods are the same, nothing is in them twice, and they
//! differ from what Kubeflow's alone makes by what is ours.
//!
//! The pods are those that Spark sent with the arguments of operator 2.4.0, with what operator and Spark make of a case's application.
//! The cases are the places of Kubeflow's `sparkpod_defaulter.go` where it replaces or appends.

use std::fs;

use serde_json::{Map, Value, json};

use crate::{
    cluster::{Called, Namespace, Operator, Registered},
    offline::comparable,
    resources::{is_kubeflows, manifests},
    support::eventually,
};

/// A case's application, by what it changes in a plain one, and in words what ours adds to its driver and its executor.
type Case<'a> = (&'a str, Value, &'a [&'a str], &'a [&'a str]);

/// What the lines of [`changes`] mean.
const WORDS: [(&str, &[&str]); 4] = [
    (
        "Ivy volume",
        &[
            r#"spec.volumes + {"name":"ivy-cache","emptyDir":{"medium":"Memory","sizeLimit":"512Mi"}}"#,
            r#"spec.containers[spark].volumeMounts + {"name":"ivy-cache","mountPath":"/tmp/.ivy2"}"#,
        ],
    ),
    ("group", &["spec.securityContext.fsGroup = 185", "spec.securityContext.fsGroupChangePolicy = OnRootMismatch"]),
    ("user on pod", &["spec.securityContext.runAsUser = 185"]),
    ("user on Spark", &["spec.containers[spark].securityContext.runAsUser = 185"]),
];

const ALL: &[&str] = &["Ivy volume", "group", "user on pod"];
const ON_SPARK: &[&str] = &["Ivy volume", "group", "user on Spark"];
const DECLINED: &[&str] = &["group", "user on pod", "metadata.annotations.spark-admission.io/skip = ivy-cache"];
const EXECUTOR: &[&str] = &["group", "user on pod"];
const EXECUTOR_ON_SPARK: &[&str] = &["group", "user on Spark"];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn volumes_are_mounted_once_and_the_users_own_win() {
    let own = |name: &str, at: &str| json!({"spec": {"volumes": [volume(name)], "driver": {"volumeMounts": [{"name": name, "mountPath": at}]}}});
    let config_map = |at: &str| json!({"spec": {"driver": {"configMaps": [{"name": "settings", "path": at}]}}});
    let mut of_executors = own("scratch", "/scratch");
    of_executors["spec"]["volumes"] = json!([volume("scratch"), volume("ivy-cache")]);
    of_executors["spec"]["executor"] = json!({"volumeMounts": [{"name": "ivy-cache", "mountPath": "/ivy"}]});
    let ivy = |mut application: Value| {
        application["spec"]["sparkConf"] = json!({"spark.jars.ivy": "/data/ivy"});
        application
    };
    in_both_orders(&[
        ("no volumes", json!({}), ALL, EXECUTOR),
        ("a volume in nobody's way", own("data", "/data"), ALL, EXECUTOR),
        ("a volume called ivy-cache where ours would be", own("ivy-cache", "/tmp/.ivy2"), DECLINED, EXECUTOR),
        ("a volume called ivy-cache in a home", own("ivy-cache", "/home/spark/.ivy2"), DECLINED, EXECUTOR),
        ("a volume called ivy-cache that only executors mount", of_executors, DECLINED, EXECUTOR),
        ("another volume where ours would be", own("mine", "/tmp/.ivy2"), DECLINED, EXECUTOR),
        ("a volume on all of /tmp", own("mine", "/tmp"), DECLINED, EXECUTOR),
        ("a config map where ours would be", config_map("/tmp/.ivy2"), DECLINED, EXECUTOR),
        ("a config map over a home", config_map("/home/spark"), DECLINED, EXECUTOR),
        ("an Ivy directory in a volume", ivy(own("data", "/data")), ALL, EXECUTOR),
        ("an Ivy directory that is a config map", ivy(config_map("/data/ivy")), ALL, EXECUTOR),
        (
            "an Ivy directory of its own",
            ivy(json!({"spec": {}})),
            &[
                "group",
                "user on pod",
                "metadata.annotations.spark-admission.io/ivy-dir = /data/ivy",
                r#"spec.volumes + {"name":"ivy-cache","emptyDir":{"medium":"Memory","sizeLimit":"512Mi"}}"#,
                r#"spec.containers[spark].volumeMounts + {"name":"ivy-cache","mountPath":"/data/ivy"}"#,
            ],
            EXECUTOR,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_kubeflow_replaces_undoes_neither_ours_nor_the_users() {
    let pod_and = |context: Value, mut more: Value| {
        more["podSecurityContext"] = context;
        for_both(&more)
    };
    let pod = |context: Value| pod_and(context, json!({}));
    let container = |context: Value| for_both(&json!({"securityContext": context}));
    let beside_proxy = |context: Value| for_both(&json!({"securityContext": context, "sidecars": [proxy(None)]}));
    let hardened = || json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    in_both_orders(&[
        ("an empty context for the pod", pod(json!({})), ALL, EXECUTOR),
        ("a user for the pod", pod(json!({"runAsUser": 1000})), &["Ivy volume", "group"], &["group"]),
        ("a group for the pod", pod(json!({"fsGroup": 1000})), &["Ivy volume", "user on pod"], &["user on pod"]),
        ("both for the pod", pod(json!({"runAsUser": 1000, "fsGroup": 1000})), &["Ivy volume"], &[]),
        (
            "Spark's own for the pod, beside a sidecar",
            pod_and(json!({"runAsUser": 185, "fsGroup": 185}), json!({"sidecars": [proxy(None)]})),
            &["Ivy volume"],
            &[],
        ),
        (
            "a pod that must not be root",
            pod(json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})),
            ALL,
            EXECUTOR,
        ),
        (
            "a user for the pod, beside a sidecar",
            pod_and(json!({"runAsUser": 1000}), json!({"sidecars": [proxy(None)]})),
            &["Ivy volume", "group"],
            &["group"],
        ),
        ("a user for Spark", container(json!({"runAsUser": 1000})), &["Ivy volume", "group"], &["group"]),
        (
            "a user for Spark, beside a sidecar",
            beside_proxy(json!({"runAsUser": 1000})),
            &["Ivy volume", "group"],
            &["group"],
        ),
        ("no user for Spark", container(hardened()), ALL, EXECUTOR),
        ("no user for Spark, beside a sidecar", beside_proxy(hardened()), ON_SPARK, EXECUTOR_ON_SPARK),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_kubeflow_adds_is_there_once_and_does_not_become_sparks() {
    let list = |list: &str, container: Value| for_both(&json!({list: [container]}));
    let environment = json!({
        "env": [{"name": "SPARK_SUBMIT_OPTS", "value": "-Dmine=1"}, {"name": "TZ", "value": "UTC"}],
        "envFrom": [{"configMapRef": {"name": "settings"}}]
    });
    let mut small = proxy(None);
    small["resources"] = json!({"limits": {"memory": "512m"}});
    let everything = json!({
        "memoryLimit": "2g", "gpu": {"name": "nvidia.com/gpu", "quantity": 1}, "hostNetwork": true, "priorityClassName": "batch-high",
        "schedulerName": "volcano", "nodeSelector": {"pool": "spark"}, "tolerations": [{"key": "spark", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchExpressions": [{"key": "spark", "operator": "Exists"}]}]}}},
        "ports": [{"name": "app", "protocol": "TCP", "containerPort": 9999}], "dnsConfig": {"nameservers": ["10.0.0.10"]},
        "hostAliases": [{"ip": "10.0.0.9", "hostnames": ["db"]}], "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
        "terminationGracePeriodSeconds": 60, "shareProcessNamespace": true
    });
    let mut everything = for_both(&everything);
    let of_application = json!({"spec": {
        "hadoopConfigMap": "hadoop", "sparkConfigMap": "spark",
        "monitoring": {"exposeDriverMetrics": true, "exposeExecutorMetrics": true, "prometheus": {"jmxExporterJar": "/prometheus/agent.jar"}}
    }});
    json_patch::merge(&mut everything, &of_application);
    in_both_orders(&[
        ("environment", for_both(&environment), ALL, EXECUTOR),
        ("a sidecar", list("sidecars", proxy(None)), ON_SPARK, EXECUTOR_ON_SPARK),
        ("a sidecar with a user", list("sidecars", proxy(Some(101))), ALL, EXECUTOR),
        ("an init container", list("initContainers", proxy(None)), ON_SPARK, EXECUTOR_ON_SPARK),
        ("an init container that is root", list("initContainers", proxy(Some(0))), ALL, EXECUTOR),
        (
            "a sidecar with half a byte of memory",
            json!({"spec": {"driver": {"sidecars": [small]}}}),
            &[
                "Ivy volume",
                "group",
                "user on Spark",
                "spec.containers[proxy].resources.limits.memory = 512Mi",
                "spec.containers[proxy].resources.requests.memory = 512Mi",
            ],
            EXECUTOR,
        ),
        ("everything else that it copies", everything, ALL, EXECUTOR),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_template_makes_no_difference() {
    let on = |containers: &[&str], mut more: Value| {
        let mut application = json!({"spec": {}});
        for role in ["driver", "executor"] {
            let container = |name: &&str| match *name {
                "proxy" => proxy(None),
                "spark" => {
                    json!({"name": format!("spark-kubernetes-{role}"), "securityContext": {"allowPrivilegeEscalation": false}})
                }
                other => json!({"name": other}),
            };
            let containers: Vec<_> = containers.iter().map(container).collect();
            more["template"] =
                json!({"metadata": {"annotations": {"team": "data"}}, "spec": {"containers": containers}});
            application["spec"][role] = more.clone();
        }
        application
    };
    let proxied = ["proxy", "spark"];
    let none = || json!({});
    in_both_orders(&[
        ("a template", on(&["spark"], none()), ALL, EXECUTOR),
        ("with a sidecar", on(&proxied, none()), ON_SPARK, EXECUTOR_ON_SPARK),
        (
            "with a sidecar, which is named once more",
            on(&proxied, json!({"sidecars": [proxy(None)]})),
            ON_SPARK,
            EXECUTOR_ON_SPARK,
        ),
        (
            "with a sidecar, and a user for the pod",
            on(&proxied, json!({"podSecurityContext": {"runAsUser": 1000}})),
            &["Ivy volume", "group"],
            &["group"],
        ),
        (
            "with a sidecar, and a context for Spark",
            on(&proxied, json!({"securityContext": {"readOnlyRootFilesystem": true}})),
            ON_SPARK,
            EXECUTOR_ON_SPARK,
        ),
        (
            "with a sidecar, and a user for Spark",
            on(&proxied, json!({"securityContext": {"runAsUser": 1000}})),
            &["Ivy volume", "group"],
            &["group"],
        ),
        (
            "with another name for Spark's container",
            on(&["spark-as-i-call-it", "proxy"], none()),
            ON_SPARK,
            EXECUTOR_ON_SPARK,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn wishes_on_an_application_reach_its_pods() {
    let annotated = |annotations: Value| json!({"metadata": {"annotations": annotations}});
    let opted_out = json!({"metadata": {"labels": {"spark-admission.io/enabled": "false"}}});
    let mut opted_out_with_user = opted_out.clone();
    opted_out_with_user["spec"] = json!({"driver": {"securityContext": {"runAsUser": 1000}}});
    let skip = "metadata.annotations.spark-admission.io/skip = spark-user,ivy-cache";
    let disk = "metadata.annotations.spark-admission.io/ivy-cache-medium = Disk";
    let size = "metadata.annotations.spark-admission.io/ivy-cache-size = 2Gi";
    let volume = r#"spec.volumes + {"name":"ivy-cache","emptyDir":{"sizeLimit":"2Gi"}}"#;
    let mount = r#"spec.containers[spark].volumeMounts + {"name":"ivy-cache","mountPath":"/tmp/.ivy2"}"#;
    let wishes =
        annotated(json!({"spark-admission.io/ivy-cache-medium": "Disk", "spark-admission.io/ivy-cache-size": "2Gi"}));
    in_both_orders(&[
        ("opted out", opted_out, &[], &[]),
        ("opted out, with a user for Spark", opted_out_with_user, &[], &[]),
        ("skipped", annotated(json!({"spark-admission.io/skip": "spark-user, ivy-cache"})), &[skip], &[skip]),
        ("another volume", wishes, &["group", "user on pod", disk, size, volume, mount], EXECUTOR),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_application_that_is_older_than_the_webhook_starts_as_before() {
    let own = |name: &str, at: &str| json!({"spec": {"volumes": [volume(name)], "driver": {"volumeMounts": [{"name": name, "mountPath": at}]}}});
    let own_user: &[&str] = &["group", "user on pod"];
    compare_orders(
        Age::Older,
        &[
            ("a volume called ivy-cache where ours would be", own("ivy-cache", "/tmp/.ivy2"), own_user, EXECUTOR),
            ("a volume called ivy-cache elsewhere", own("ivy-cache", "/opt/ivy"), own_user, EXECUTOR),
            ("another volume where ours would be", own("mine", "/tmp/.ivy2"), own_user, EXECUTOR),
            ("a volume over a home", own("mine", "/home/spark"), own_user, EXECUTOR),
            (
                "a config map where ours would be",
                json!({"spec": {"driver": {"configMaps": [{"name": "settings", "path": "/tmp/.ivy2"}]}}}),
                own_user,
                EXECUTOR,
            ),
            ("no volumes", json!({}), ALL, EXECUTOR),
        ],
    )
    .await;
}

/// Kubeflow's webhook takes the first container for Spark's where none is called spark-kubernetes-driver, and gives that one what the
/// author meant for Spark. Ours tells Spark's by its argument.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn spark_runs_as_its_user_where_kubeflow_takes_another_container_for_it() {
    let containers = json!([{"name": "spark-as-i-call-it"}, proxy(None)]);
    let driver = json!({"template": {"spec": {"containers": containers}}, "securityContext": {"runAsUser": 1000}});
    let case = [("a template", json!({"spec": {"driver": driver}}), ALL, EXECUTOR)];
    for order in [Called::BeforeOurs, Called::AfterOurs] {
        let [driver, _] = &stored(&case, Some(order), Age::Newer).await[0];
        let [proxy, spark] = driver["spec"]["containers"].as_array().unwrap().as_slice() else { panic!("{driver}") };
        let user = |container: &Value| {
            let of_pod = &driver["spec"]["securityContext"]["runAsUser"];
            container["securityContext"]["runAsUser"].as_i64().or(of_pod.as_i64())
        };
        assert_eq!((user(proxy), user(spark)), (Some(1000), Some(185)), "Kubeflow's {order:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn resources_are_accepted_and_stored_alike_in_both_orders() {
    let (alone, before, after) =
        tokio::join!(resources(None), resources(Some(Called::BeforeOurs)), resources(Some(Called::AfterOurs)));
    let mut changed = 0;
    for (((case, alone), (_, before)), (_, after)) in alone.iter().zip(&before).zip(&after) {
        let statuses = |answers: &[(u16, Value)]| answers.iter().map(|(status, _)| *status).collect::<Vec<_>>();
        assert_eq!(statuses(before), statuses(alone), "{case}: {before:?}");
        assert_eq!(statuses(after), statuses(alone), "{case}: {after:?}");
        for (stage, ((_, before), (_, after))) in
            ["created", "relabelled", "changed"].iter().zip(before.iter().zip(after))
        {
            assert_eq!(changes(before, after), Vec::<String>::new(), "{case}, {stage}");
        }
        changed += usize::from(!changes(&alone[0].1["spec"], &after[0].1["spec"]).is_empty());
    }
    assert!(changed >= 15, "ours changed only {changed} of {} resources", alone.len());
}

/// Kubeflow's webhook writes quantities anew on every update, which is no change to the operator, and must be none to ours. The
/// application is running, else Kubeflow's would fill in what is missing.
#[tokio::test]
async fn a_label_on_an_application_that_is_older_than_the_webhook_does_not_run_it_again() {
    for order in [Called::BeforeOurs, Called::AfterOurs] {
        let here = Namespace::new().await;
        let resources = json!({"limits": {"memory": "2048Mi", "cpu": "1000m"}, "requests": {"cpu": 1}});
        let template = json!({"spec": {
            "containers": [{"name": "spark-kubernetes-driver", "resources": resources}],
            "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1024Mi"}}]
        }});
        let changed = json!({"spec": {"deps": {"packages": ["org.apache.spark:spark-avro_2.12:3.5.9"]}, "driver": {"template": template}}});
        let older = here.create(&application("report", &changed)).await.object();
        here.merge_status(&older, &json!({"status": {"applicationState": {"state": "RUNNING"}, "driverInfo": {}}}))
            .await
            .object();
        let _theirs = Operator::webhook(&here, order).await;
        let _ours = Registered::real(&here).await;
        let labelled = here.merge(&older, &json!({"metadata": {"labels": {"team": "data"}}})).await.object();
        let written = &labelled["spec"]["driver"]["template"]["spec"]["containers"][0]["resources"];
        assert_eq!(written["limits"]["memory"], "2Gi", "{order:?}: Kubeflow's webhook writes quantities anew");
        assert_eq!(labelled["spec"]["sparkConf"], Value::Null, "Kubeflow's {order:?}");
        assert_eq!(labelled["metadata"]["annotations"], Value::Null, "Kubeflow's {order:?}");
    }
}

/// Every manifest of Kubeflow's kinds: what was answered when it was created, got a label, and got another version of Spark; less
/// where it was refused.
async fn resources(order: Option<Called>) -> Vec<(String, Vec<(u16, Value)>)> {
    let here = Namespace::new().await;
    let _theirs = Operator::webhook(&here, order.unwrap_or(Called::AfterOurs)).await;
    let mut ours = None;
    if order.is_some() {
        ours = Some(Registered::real(&here).await);
    }
    let mut all = Vec::new();
    for (case, resource) in manifests().into_iter().filter(|(_, resource)| is_kubeflows(resource)) {
        let created = here.create(&resource).await;
        let mut answers = vec![(created.status, created.body.clone())];
        if created.is_success() {
            let schedules = resource["kind"] == "ScheduledSparkApplication";
            let version = json!({"sparkVersion": "3.5.8"});
            let spec = if schedules { json!({"template": version}) } else { version };
            for patch in [json!({"metadata": {"labels": {"team": "data"}}}), json!({"spec": spec})] {
                let patched = here.merge(&created.body, &patch).await;
                answers.push((patched.status, patched.body));
            }
        }
        all.push((case, answers.into_iter().map(comparable_answer).collect()));
    }
    drop(ours);
    all
}

/// Kubeflow's webhook writes every quantity in a template anew, in the shortest way: what ours wrote before it at once, and what ours
/// wrote after it with the next update, which is then a new generation.
fn comparable_answer((status, body): (u16, Value)) -> (u16, Value) {
    if status >= 300 {
        return (status, Value::Null);
    }
    let mut object = comparable(body);
    object["metadata"]["generation"] = Value::Null;
    let text = object.to_string().replace(r#""2048Mi""#, r#""2Gi""#);
    (status, serde_json::from_str(&text).unwrap())
}

/// Whether an application was created before our webhook was registered.
#[derive(Clone, Copy, PartialEq)]
enum Age {
    Newer,
    Older,
}

async fn in_both_orders(cases: &[Case<'_>]) {
    compare_orders(Age::Newer, cases).await;
}

/// Creates the pods of each case beside Kubeflow's webhook alone, with it called before ours, and with it called after ours.
async fn compare_orders(age: Age, cases: &[Case<'_>]) {
    let (alone, before, after) = tokio::join!(
        stored(cases, None, age),
        stored(cases, Some(Called::BeforeOurs), age),
        stored(cases, Some(Called::AfterOurs), age)
    );
    for (i, (case, _, driver, executor)) in cases.iter().enumerate() {
        for (role, expected) in [driver, executor].into_iter().enumerate() {
            let case = format!("{case}, {}", ["driver", "executor"][role]);
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            let theirs_first = in_words(changes(&alone[i][role], &before[i][role]));
            assert_eq!(theirs_first, expected, "{case}: what ours adds to what Kubeflow's has made");
            let ours_first = in_words(changes(&alone[i][role], &after[i][role]));
            assert_eq!(ours_first, expected, "{case}: the same with ours called first");
        }
    }
}

fn in_words(mut lines: Vec<String>) -> Vec<String> {
    for (word, meaning) in WORDS {
        if meaning.iter().all(|line| lines.iter().any(|it| it == line)) {
            lines.retain(|line| !meaning.contains(&line.as_str()));
            lines.push(word.to_owned());
        }
    }
    lines.sort_unstable();
    lines
}

/// The same for driver and executor.
fn for_both(section: &Value) -> Value {
    json!({"spec": {"driver": section, "executor": section}})
}

fn volume(name: &str) -> Value {
    json!({"name": name, "emptyDir": {}})
}

fn proxy(user: Option<i64>) -> Value {
    let mut proxy = json!({"name": "proxy", "image": "envoyproxy/envoy:v1.31"});
    if let Some(user) = user {
        proxy["securityContext"] = json!({"runAsUser": user});
    }
    proxy
}

/// The driver and the executor of each case, as they are stored beside Kubeflow's webhook, called before ours or after it, or alone.
async fn stored(cases: &[Case<'_>], order: Option<Called>, age: Age) -> Vec<[Value; 2]> {
    let here = Namespace::new().await;
    let _theirs = Operator::webhook(&here, order.unwrap_or(Called::AfterOurs)).await;
    let mut ours = None;
    if order.is_some() && age == Age::Newer {
        ours = Some(Registered::real(&here).await);
    }
    let mut applications = Vec::new();
    for (i, (case, changes, ..)) in cases.iter().enumerate() {
        let created = here.create(&application(&format!("report-{i}"), changes)).await;
        assert!(created.is_success(), "{case}, Kubeflow's {order:?}: {}", created.message());
        applications.push(created.body);
    }
    if order.is_some() && age == Age::Older {
        ours = Some(Registered::real(&here).await);
    }
    let mut pods = Vec::new();
    for ((case, ..), application) in cases.iter().zip(&applications) {
        let mut both = ["driver", "executor"].map(|role| pod(application, role));
        eventually("Kubeflow's webhook knows the application", async || {
            !here.create_dry(&both[0]).await.message().contains("failed to get SparkApplication")
        })
        .await;
        for pod in &mut both {
            let created = here.create(pod).await;
            assert!(created.is_success(), "{case}, Kubeflow's {order:?}: {}", created.message());
            *pod = only_what_matters(created.body);
        }
        pods.push(both);
    }
    drop(ours);
    pods
}

/// Without what is another's in every namespace, and without the names in `mutated`: a first round is in them also where Kubeflow's
/// webhook has since replaced all that it set.
fn only_what_matters(pod: Value) -> Value {
    let mut pod = comparable(pod);
    for owner in pod["metadata"]["ownerReferences"].as_array_mut().unwrap() {
        owner["uid"] = Value::Null;
    }
    if let Some(annotations) = pod["metadata"]["annotations"].as_object_mut() {
        annotations.remove("spark-admission.io/mutated");
    }
    let is_sparks = |container: &Value| ["driver", "executor"].iter().any(|role| container["args"][0] == *role);
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        if is_sparks(container) {
            container["name"] = "spark".into();
        }
    }
    pod
}

pub fn application(name: &str, changes: &Value) -> Value {
    let mut application = json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": name},
        "spec": {
            "type": "Scala", "mode": "cluster", "image": "apache/spark:3.5.9", "sparkVersion": "3.5.9",
            "mainClass": "org.apache.spark.examples.SparkPi", "mainApplicationFile": "local:///opt/spark/examples/jars/spark-examples.jar",
            "driver": {"serviceAccount": "spark-operator-spark"}, "executor": {}
        }
    });
    json_patch::merge(&mut application, changes);
    application
}

/// The pod that Spark sends for an application: one that it did send, with the application's name, labels, annotations and template.
pub fn pod(application: &Value, role: &str) -> Value {
    let file = if role == "driver" { "kubeflow-args--driver.json" } else { "kubeflow-args--exec1.json" };
    let file = format!("{}/tests/fixtures/captured/3.5.9/{file}", env!("CARGO_MANIFEST_DIR"));
    let name = application["metadata"]["name"].as_str().unwrap();
    let mut pod: Value = serde_json::from_str(&fs::read_to_string(file).unwrap().replace("spark-pi", name)).unwrap();
    pod["metadata"]["ownerReferences"][0]["uid"] = application["metadata"]["uid"].clone();
    let section = &application["spec"][role];
    let of_template = &section["template"]["metadata"];
    for (kind, sources) in [
        ("labels", [&application["metadata"]["labels"], &section["labels"], &of_template["labels"]]),
        ("annotations", [&Value::Null, &section["annotations"], &of_template["annotations"]]),
    ] {
        for source in sources {
            json_patch::merge(&mut pod["metadata"][kind], &if source.is_null() { json!({}) } else { source.clone() });
        }
    }
    if section["template"].is_object() {
        pod["metadata"]["labels"].as_object_mut().unwrap().remove("sparkoperator.k8s.io/mutated-by-spark-operator");
        pod["spec"] = on_template(&section["template"]["spec"], &pod["spec"], &format!("spark-kubernetes-{role}"));
    }
    pod
}

/// Spark's pod on a template: its container is the one of that name, else the first, and comes to stand last.
fn on_template(template: &Value, spark: &Value, name: &str) -> Value {
    let mut containers = template["containers"].as_array().cloned().unwrap_or_default();
    let place = containers.iter().position(|container| container["name"] == name).unwrap_or(0);
    let of_template = containers.remove(place);
    let mut container = joined(&of_template, &spark["containers"][0]);
    container["name"] = of_template["name"].clone();
    containers.push(container);
    let mut spec = joined(template, spark);
    spec["containers"] = containers.into();
    spec
}

/// The fields of both; of two lists the one behind the other, of two other values the second.
fn joined(first: &Value, second: &Value) -> Value {
    let mut joined = first.as_object().cloned().unwrap_or_default();
    for (key, value) in second.as_object().unwrap() {
        match (joined.get_mut(key).and_then(Value::as_array_mut), value.as_array()) {
            (Some(list), Some(more)) => list.extend(more.iter().cloned()),
            _ => drop(joined.insert(key.clone(), value.clone())),
        }
    }
    joined.into()
}

/// What was changed, a line for each value; the elements of a list are known by name, or by where they are mounted.
fn changes(before: &Value, after: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    compare("", before, after, &mut lines);
    lines
}

fn compare(path: &str, before: &Value, after: &Value, lines: &mut Vec<String>) {
    if before == after {
        return;
    }
    if let Some(after) = after.as_array() {
        let none = Vec::new();
        let before = before.as_array().unwrap_or(&none);
        let (before, after) = (keyed(before), keyed(after));
        lines.extend(before.keys().filter(|key| !after.contains_key(*key)).map(|key| format!("{path} - {key}")));
        for (key, value) in &after {
            match before.get(key) {
                Some(before) => compare(&format!("{path}[{key}]"), before, value, lines),
                None => lines.push(format!("{path} + {value}")),
            }
        }
        return;
    }
    if let Some(after) = after.as_object() {
        let none = Map::new();
        let before = before.as_object().unwrap_or(&none);
        let under = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            lines.push(format!("{} removed", under(key)));
        }
        for (key, value) in after {
            compare(&under(key), before.get(key).unwrap_or(&Value::Null), value, lines);
        }
        return;
    }
    lines.push(format!("{path} = {}", after.as_str().map_or_else(|| after.to_string(), str::to_owned)));
}

fn keyed(list: &[Value]) -> Map<String, Value> {
    let mut keyed = Map::new();
    for element in list {
        let key = element["mountPath"]
            .as_str()
            .or(element["name"].as_str())
            .map_or_else(|| element.to_string(), str::to_owned);
        let mut unique = key.clone();
        while keyed.contains_key(&unique) {
            unique += ", again";
        }
        keyed.insert(unique, element.clone());
    }
    keyed
}
