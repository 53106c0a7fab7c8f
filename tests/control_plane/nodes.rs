//! What is known of nodes while the server runs: what flags them and what does not, and what it takes to be allowed to look.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing::get};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde_json::{Value, json};
use spark_admission::{
    cluster::{Place, Platform},
    metrics::Metrics,
};
use time::OffsetDateTime;
use tokio::{net::TcpListener, sync::OnceCell};

use crate::{
    cluster::{Cluster, Followed, Namespace, probe, register},
    openshift::{DEFINITIONS, definition},
    support::{
        client, eventually, metric,
        process::{Serving, run, spark_admission},
        server::Setup,
    },
};

const NODES: &str = "/api/v1/nodes";

/// A control plane for the tests of this file: nodes concern everybody.
async fn cluster() -> &'static Cluster {
    static MINE: OnceCell<&Cluster> = OnceCell::const_new();
    MINE.get_or_init(Cluster::of_several_tests).await
}

#[tokio::test]
async fn what_flags_a_node_counts_while_it_is_there() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    let followed = Followed::start(here.cluster().admin(), "").await;
    let name = made(&here, "flags").await["metadata"]["name"].as_str().unwrap().to_owned();
    let (node, status) = (format!("{NODES}/{name}"), format!("{NODES}/{name}/status"));
    eventually("the node is known", async || followed.flags(&name) == Some(vec![])).await;
    let condition = |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status}]}});
    let metadata = |kind: &str, value: Value| json!({"metadata": {kind: {"spark-admission.io/flagged": value}}});
    let taint = json!({"key": "spark-admission.io/flagged", "effect": "PreferNoSchedule"});
    for (flag, path, bad, good) in [
        ("label", &node, metadata("labels", "".into()), metadata("labels", Value::Null)),
        ("annotation", &node, metadata("annotations", "disk".into()), metadata("annotations", Value::Null)),
        ("taint", &node, json!({"spec": {"taints": [taint]}}), json!({"spec": {"taints": null}})),
        ("condition", &status, condition("ReadonlyFilesystem", "True"), condition("ReadonlyFilesystem", "False")),
        ("condition", &status, condition("StorageReady", "False"), condition("StorageReady", "True")),
    ] {
        here.merge_at(path, &bad).await.object();
        eventually(flag, async || followed.flags(&name) == Some(vec![flag])).await;
        assert!(followed.metric(&format!("spark_admission_nodes_flagged{{reason=\"{flag}\"}}")) >= 1.0, "{flag}");
        here.merge_at(path, &good).await.object();
        eventually(&format!("{flag}, repaired"), async || followed.flags(&name) == Some(vec![])).await;
    }
    here.send("DELETE", &node, &Value::Null).await.object();
    eventually("the node is gone", async || followed.flags(&name).is_none()).await;
}

/// The real server and the real API server: the next driver of a node's selector loses its limits, and gets them back.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_driver_is_decided_on_by_what_is_known_then() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let server = Setup::default().start().await;
    let followed = Followed::start(here.cluster().admin(), "").await;
    let published = Arc::clone(&server.webhook);
    tokio::spawn(async move {
        loop {
            published.snapshot.store(followed.snapshot.load_full());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    register(&here, server.address, &server.ca.pem, |_| {}).await;
    let name = made(&here, "pinned").await["metadata"]["name"].as_str().unwrap().to_owned();
    let node = format!("{NODES}/{name}");
    here.merge_at(&node, &json!({"metadata": {"labels": {"pool": "spark"}}})).await.object();
    let mut driver = probe();
    driver["spec"]["nodeSelector"] = json!({"pool": "spark"});
    driver["spec"]["tolerations"] = json!([{"operator": "Exists"}]);
    driver["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2", "memory": "2Gi"}});
    let limits =
        async || here.create_dry(&driver).await.object()["spec"]["containers"][0]["resources"]["limits"].clone();
    assert_eq!(limits().await["memory"], "2Gi");
    let flagged = |value: Value| json!({"metadata": {"labels": {"spark-admission.io/flagged": value}}});
    here.merge_at(&node, &flagged("".into())).await.object();
    eventually("a driver that can land nowhere else has no limits", async || limits().await.is_null()).await;
    here.merge_at(&node, &flagged(Value::Null)).await.object();
    eventually("it keeps them when the node is repaired", async || limits().await["memory"] == "2Gi").await;
}

/// An API server of a cluster that was told not to send lists in watches.
#[tokio::test]
async fn lists_are_paged_where_they_are_not_streamed() {
    let cluster = Cluster::of_my_own_with(&["--feature-gates=WatchList=false"]).await;
    let here = Namespace::on(cluster, &json!({})).await;
    for number in 0..3 {
        made(&here, &format!("n{number}")).await;
    }
    let followed = Followed::start(cluster.admin(), "").await;
    assert_eq!(followed.metric("spark_admission_nodes"), 3.0);
    let name = made(&here, "later").await["metadata"]["name"].as_str().unwrap().to_owned();
    eventually("a new one is seen", async || followed.flags(&name).is_some()).await;
}

#[tokio::test]
async fn karpenter_is_known_by_its_nodepools() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let followed = Followed::start(here.cluster().admin(), "").await;
    let place = Place::Kubeconfig { file: Some(here.cluster().admin()), context: None };
    let cluster = spark_admission::cluster::Cluster::at(place).await.unwrap();
    let karpenter = || followed.snapshot.load().karpenter;
    for (plural, kind, expected) in [("nodeclaims", "NodeClaim", false), ("nodepools", "NodePool", true)] {
        here.send("POST", DEFINITIONS, &definition("karpenter.sh", plural, kind)).await.object();
        let served = format!("/apis/karpenter.sh/v1/{plural}");
        eventually(plural, async || here.send("GET", &served, &Value::Null).await.status == 200).await;
        assert_eq!(Platform::of(&cluster).await.unwrap().karpenter, expected, "{plural}");
    }
    eventually("Karpenter is there", async || karpenter()).await;
    here.send("DELETE", &format!("{DEFINITIONS}/nodepools.karpenter.sh"), &Value::Null).await.object();
    eventually("Karpenter is gone", async || !karpenter()).await;
}

#[tokio::test]
async fn a_heartbeat_composes_no_snapshot() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let followed = Followed::start(here.cluster().admin(), "").await;
    let name = made(&here, "heartbeats").await["metadata"]["name"].as_str().unwrap().to_owned();
    eventually("the node is known", async || followed.flags(&name).is_some()).await;
    // Four are made by the API server when it starts.
    eventually("the namespaces too", async || followed.snapshot.load().namespaces.len() == 5).await;
    let (composed, seen) =
        ("spark_admission_snapshots_total", "spark_admission_watch_last_event_timestamp_seconds{kind=\"nodes\"}");
    let before = followed.metric(composed);
    for beat in 0..20 {
        let seen_before = followed.metric(seen);
        let condition =
            json!({"type": "Ready", "status": "True", "lastHeartbeatTime": format!("2026-11-22T10:00:{beat:02}Z")});
        let beat = json!({"status": {"conditions": [condition]}});
        here.merge_at(&format!("{NODES}/{name}/status"), &beat).await.object();
        eventually("the heartbeat is seen", async || followed.metric(seen) > seen_before).await;
    }
    assert_eq!(followed.metric(composed), before);
    here.merge_at(&format!("{NODES}/{name}"), &json!({"spec": {"unschedulable": true}})).await.object();
    eventually("what decides composes one", async || followed.metric(composed) > before).await;
}

/// The shapes are those of real components; what was written through events.k8s.io is served by the core API, where it is watched.
#[tokio::test]
async fn events_flag_the_node_that_they_are_about_and_no_other() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    let elsewhere = Namespace::on(cluster().await, &json!({})).await;
    let followed = Followed::start(here.cluster().admin(), &format!("eventNamespaces: [default, {}]", here.name)).await;
    let forger = forger(&elsewhere).await;
    for (case, flagged) in [
        ("uid-of-problem-detector", true),
        ("no-uid", true),
        ("real-uid", true),
        ("in-default", true),
        ("events-k8s-io", true),
        ("sibling-reason", false),
        ("another-component", false),
        ("about-a-pod-of-that-name", false),
        ("of-a-recreated-node", false),
        ("older-than-the-node", false),
        ("before-the-repair", false),
        ("forged-elsewhere", false),
    ] {
        let node = made(&here, case).await;
        let (name, uid) = (node["metadata"]["name"].as_str().unwrap(), node["metadata"]["uid"].as_str().unwrap());
        let mut core = event(&here.name, name, "");
        match case {
            "uid-of-problem-detector" => core["involvedObject"]["uid"] = name.into(),
            "no-uid" => {}
            "real-uid" => core["involvedObject"]["uid"] = uid.into(),
            "in-default" => core = event("default", name, name),
            "events-k8s-io" => core = modern(&core),
            "sibling-reason" => core["reason"] = "FileSystemDetected".into(),
            "another-component" => core["source"]["component"] = "kubelet".into(),
            "about-a-pod-of-that-name" => core["involvedObject"]["kind"] = "Pod".into(),
            "of-a-recreated-node" => core["involvedObject"]["uid"] = "7a3f7d1c-0000-4000-8000-000000000000".into(),
            "older-than-the-node" => {
                core["firstTimestamp"] = "2020-01-01T00:00:00Z".into();
                core["lastTimestamp"] = "2020-01-01T00:00:00Z".into();
            }
            "before-the-repair" => {
                let later =
                    json!({"metadata": {"annotations": {"spark-admission.io/repaired": "2099-01-01T00:00:00Z"}}});
                here.merge_at(&format!("{NODES}/{name}"), &later).await.object();
            }
            "forged-elsewhere" => core = event(&elsewhere.name, name, ""),
            other => panic!("{other}"),
        }
        let namespace = core["metadata"]["namespace"].as_str().unwrap();
        let root = if core["apiVersion"] == "v1" { "/api/v1" } else { "/apis/events.k8s.io/v1" };
        let path = format!("{root}/namespaces/{namespace}/events");
        let sender = if case == "forged-elsewhere" { &forger } else { &here };
        let sent = sender.send("POST", &path, &core).await;
        assert!(sent.is_success(), "{case}: {}", sent.message());
        // Behind it comes one that counts, so that what does not count has had its turn.
        let behind = made(&here, &format!("behind-{case}")).await;
        let behind = behind["metadata"]["name"].as_str().unwrap();
        here.create(&event(&here.name, behind, "")).await.object();
        eventually(&format!("{case}: the one behind"), async || followed.flags(behind) == Some(vec!["event"])).await;
        if flagged {
            eventually(case, async || followed.flags(name) == Some(vec!["event"])).await;
        } else {
            assert_eq!(followed.flags(name), Some(vec![]), "{case}");
        }
    }
}

/// `nodes` sees what the server sees, and what kubectl's output holds too.
#[tokio::test(flavor = "multi_thread")]
async fn the_command_shows_each_node_and_what_flags_it() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    let folder = here.cluster().scratch();
    let file = |name: &str| folder.join(name).display().to_string();
    let policy = format!(
        "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nflaggedNodes: {{eventNamespaces: [{}]}}\n",
        here.name
    );
    fs::write(file("policy.yaml"), policy).unwrap();
    let [good, labelled, evented] =
        [made(&here, "good").await, made(&here, "labelled").await, made(&here, "evented").await]
            .map(|node| node["metadata"]["name"].as_str().unwrap().to_owned());
    here.merge_at(&format!("{NODES}/{labelled}"), &json!({"metadata": {"labels": {"spark-admission.io/flagged": ""}}}))
        .await
        .object();
    here.create(&event(&here.name, &evented, &evented)).await.object();
    for (name, path) in
        [("nodes.json", NODES.to_owned()), ("events.json", format!("/api/v1/namespaces/{}/events", here.name))]
    {
        fs::write(file(name), here.send("GET", &path, &Value::Null).await.object().to_string()).unwrap();
    }
    let (admin, policy) = (here.cluster().admin().display().to_string(), file("policy.yaml"));
    let (nodes, events) = (file("nodes.json"), file("events.json"));
    for (case, source) in [
        ("the cluster", ["--kubeconfig", &admin, "--context", "test"]),
        ("files", ["--nodes", &nodes, "--events", &events]),
    ] {
        let arguments = [&["nodes", "-o", "json", "--policy", &policy][..], &source].concat();
        let (status, shown, errors) = run(&mut spark_admission(&arguments));
        assert_eq!(status, Some(0), "{case}: {errors}");
        let shown: Vec<Value> = serde_json::from_str(&shown).unwrap();
        let by = |name: &str| shown.iter().find(|node| node["name"] == name).unwrap()["flags"][0]["by"].clone();
        assert_eq!([by(&good), by(&labelled), by(&evented)], [Value::Null, "label".into(), "event".into()], "{case}");
    }
    let mut habit = spark_admission(&["nodes"]);
    let (status, shown, errors) = run(habit.env("KUBECONFIG", &admin));
    assert!(status == Some(0) && shown.contains(&labelled), "as kubectl does: {errors}");
    let nobody = here.cluster().kubeconfig("nobody", |it| it["users"][0]["user"] = json!({"token": "nonsense"}));
    let (status, shown, errors) = run(spark_admission(&["nodes"]).env("KUBECONFIG", nobody));
    assert_eq!((status, shown.as_str()), (Some(2), ""));
    assert!(errors.contains("does not accept the credentials"), "{errors}");
}

#[tokio::test]
async fn an_event_flags_until_its_time_is_over_and_only_where_the_policy_looks() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    let followed = Followed::start(here.cluster().admin(), "").await;
    let node = made(&here, "expires").await;
    let name = node["metadata"]["name"].as_str().unwrap();
    here.create(&event(&here.name, name, "")).await.object();
    eventually("the node is known", async || followed.flags(name) == Some(vec![])).await;
    followed.change(&format!("eventNamespaces: [{}]", here.name));
    eventually("the namespace counts now", async || followed.flags(name) == Some(vec!["event"])).await;
    followed.change(&format!("eventNamespaces: [{}], eventTTL: 3s", here.name));
    eventually("its time is over", async || followed.flags(name) == Some(vec![])).await;
    followed.change(&format!("eventNamespaces: [{}]", here.name));
    eventually("its time is not over", async || followed.flags(name) == Some(vec!["event"])).await;
    followed.change("eventNamespaces: [default]");
    eventually("the namespace no longer counts", async || followed.flags(name) == Some(vec![])).await;
    let by_annotation = |key: &str| format!("annotation: {key}");
    here.merge_at(&format!("{NODES}/{name}"), &json!({"metadata": {"annotations": {"example.com/bad": "x"}}}))
        .await
        .object();
    followed.change(&by_annotation("example.com/bad"));
    eventually("another annotation counts", async || followed.flags(name) == Some(vec!["annotation"])).await;
}

#[tokio::test]
async fn limits_are_known_to_be_demanded_and_namespaces_to_have_opted_out() {
    let here = Namespace::on(cluster().await, &json!({"spark-admission.io/enabled": "false"})).await;
    let followed = Followed::start(here.cluster().admin(), "").await;
    let label =
        || followed.snapshot.load().namespace_label(&here.name, "spark-admission.io/enabled").map(str::to_owned);
    assert_eq!(label().as_deref(), Some("false"));
    let demanding = || followed.snapshot.load().constraints.get(&here.name).is_some_and(|demands| !demands.is_empty());
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"limits.cpu": "4"}}});
    let range = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "r"}, "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}
    });
    for object in [quota, range] {
        assert!(!demanding());
        here.create(&object).await.object();
        eventually("limits are demanded", async || demanding()).await;
        here.delete(&object).await.object();
        eventually("they no longer are", async || !demanding()).await;
    }
    let path = format!("/api/v1/namespaces/{}", here.name);
    here.merge_at(&path, &json!({"metadata": {"labels": {"spark-admission.io/enabled": null}}})).await.object();
    eventually("the namespace has come back", async || label().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_the_manifest_are_enough_and_what_is_missing_is_said() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let kubeconfig = account(&here).await;
    let serving = serve(here.cluster(), &kubeconfig, &[]);
    for kind in Metrics::WATCHED {
        serving.log_with(&format!("may not list and watch {kind}: give it the rights of manifests/rbac.yaml"));
    }
    eventually("ready all the same", async || is_ready(&serving).await).await;
    assert_eq!(measured(&serving, "spark_admission_nodes_known").await, 0.0);

    give_rights(&here, "rbac.yaml").await;
    for kind in Metrics::WATCHED {
        let line = format!("spark_admission_watch_in_sync{{kind=\"{kind}\"}}");
        patiently(&format!("{kind} in sync, without a restart"), async || measured(&serving, &line).await == 1.0).await;
    }
    patiently("nodes are known", async || measured(&serving, "spark_admission_nodes_known").await == 1.0).await;
    let fresh = serve(here.cluster(), &kubeconfig, &[]);
    eventually("ready", async || is_ready(&fresh).await).await;
    assert_eq!(measured(&fresh, "spark_admission_nodes_known").await, 1.0, "it is ready when it knows nodes");
    assert!(!fresh.log().contains("WARN") && !fresh.log().contains("ERROR"), "{}", fresh.log());
}

#[tokio::test]
async fn rights_that_are_taken_away_and_given_back() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let kubeconfig = account(&here).await;
    give_rights(&here, "rbac.yaml").await;
    // The authorizer learns of rights by a watch of its own.
    eventually("the rights count", async || Followed::may_list_nodes(&kubeconfig).await).await;
    let followed = Followed::start(kubeconfig, "staleAfter: 3s").await;
    assert!(followed.knows_nodes());
    take_rights(&here).await;
    let in_sync = "spark_admission_watch_in_sync{kind=\"nodes\"}";
    eventually("sync is lost", async || followed.metric(in_sync) == 0.0).await;
    assert!(followed.knows_nodes(), "what was seen last stays in use");
    eventually("and not for ever", async || !followed.knows_nodes()).await;
    give_rights(&here, "rbac.yaml").await;
    patiently("nodes are known again", async || followed.knows_nodes()).await;
}

/// Groups are listed and nothing else is answered: the server says so, and does not wait for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_cluster_does_not_answer_is_ready_without_nodes_after_a_while() {
    let silent = async || {
        tokio::time::sleep(Duration::from_hours(1)).await;
    };
    let groups = async || r#"{"kind": "APIGroupList", "apiVersion": "v1", "groups": []}"#;
    let router = Router::new().route("/apis", get(groups)).fallback(silent);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(answer_all(listener, router));
    let cluster = cluster().await;
    let kubeconfig = cluster.kubeconfig("silent", |kubeconfig| {
        kubeconfig["clusters"][0]["cluster"] = json!({"server": format!("http://{address}")});
    });
    let serving = serve(cluster, &kubeconfig, &["--sync-timeout", "2s"]);
    let answer = client::get(serving.admin, "/readyz").await.unwrap();
    assert_eq!((answer.status, answer.text.as_str()), (503, "not ready: the nodes of the cluster are not known yet\n"));
    eventually("ready", async || is_ready(&serving).await).await;
    serving.log_with("the cluster is not known yet: ready without its nodes");
    assert_eq!(measured(&serving, "spark_admission_nodes_known").await, 0.0);
}

/// A plain HTTP server for whoever connects.
async fn answer_all(listener: TcpListener, router: Router) {
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(connection), service));
    }
}

/// For what follows a try that comes only after a pause, which grows to half a minute.
pub async fn patiently<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(90), holds).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// The real server, following a cluster.
pub fn serve(cluster: &Cluster, kubeconfig: &Path, more: &[&str]) -> Serving {
    let (kubeconfig, state) = (kubeconfig.display().to_string(), cluster.scratch().display().to_string());
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    arguments.extend(["--kubeconfig", &kubeconfig, "--state-dir", &state]);
    arguments.extend(more);
    Serving::start(cluster.adopt(&mut spark_admission(&arguments)))
}

pub async fn is_ready(serving: &Serving) -> bool {
    client::get(serving.admin, "/readyz").await.unwrap().status == 200
}

pub async fn measured(serving: &Serving, line: &str) -> f64 {
    metric(&client::get(serving.admin, "/metrics").await.unwrap().text, line)
}

/// Makes a node for a case of a test.
pub async fn made(here: &Namespace, case: &str) -> Value {
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("{case}.{}", here.name)}});
    here.send("POST", NODES, &node).await.object()
}

/// What GKE's monitor writes about a node whose filesystem it found read-only, of now.
pub fn event(namespace: &str, node: &str, uid: &str) -> Value {
    let now = now();
    // Only in `default` the API server takes an event about something that is in no namespace.
    let about = if namespace == "default" { "" } else { namespace };
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("event.{node}"), "namespace": namespace},
        "involvedObject": {"kind": "Node", "namespace": about, "name": node, "uid": uid}, "reason": "ReadOnlyFileSystemDetected", "type": "Warning",
        "source": {"component": "device-fs-monitor", "host": node}, "firstTimestamp": now, "lastTimestamp": now, "count": 1
    })
}

/// An account that may create events in its own namespace, and nothing else.
async fn forger(here: &Namespace) -> Namespace {
    let api = "rbac.authorization.k8s.io";
    let role = json!({
        "apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": {"name": "forger"},
        "rules": [{"apiGroups": [""], "resources": ["events"], "verbs": ["create"]}]
    });
    let binding = json!({
        "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": {"name": "forger"},
        "roleRef": {"apiGroup": api, "kind": "Role", "name": "forger"},
        "subjects": [{"kind": "ServiceAccount", "namespace": here.name, "name": "default"}]
    });
    here.create(&role).await.object();
    here.create(&binding).await.object();
    let forger = here.as_account("default").await;
    eventually("it may write events here", async || {
        forger.create_dry(&event(&here.name, "any", "")).await.is_success()
    })
    .await;
    let elsewhere = forger.send("POST", "/api/v1/namespaces/default/events", &event("default", "any", "")).await;
    assert_eq!(elsewhere.status, 403, "{}", elsewhere.message());
    forger
}

/// The same event in the words of events.k8s.io/v1.
fn modern(core: &Value) -> Value {
    json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": core["metadata"], "regarding": core["involvedObject"],
        "reason": core["reason"], "type": "Warning", "action": "Detecting", "reportingController": core["source"]["component"],
        "reportingInstance": core["source"]["host"],
        "eventTime": core["lastTimestamp"].as_str().unwrap().replace('Z', ".000000Z")
    })
}

fn now() -> String {
    let now = OffsetDateTime::now_utc();
    let (date, time) = (now.date(), now.time());
    let (hour, minute, second) = time.as_hms();
    format!("{date}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The objects of a file of `manifests`.
fn rights(file: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").join(file);
    let text = fs::read_to_string(file).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

/// The path of the kind of an object of RBAC.
fn path_of_kind(object: &Value) -> String {
    let place = object["metadata"]["namespace"].as_str().map_or(String::new(), |it| format!("/namespaces/{it}"));
    format!("/apis/rbac.authorization.k8s.io/v1{place}/{}s", object["kind"].as_str().unwrap().to_lowercase())
}

/// A kubeconfig of the account that the manifest gives rights to; it has none yet.
pub async fn account(here: &Namespace) -> PathBuf {
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "spark-admission"}});
    here.send("POST", "/api/v1/namespaces", &namespace).await.object();
    let accounts = "/api/v1/namespaces/spark-admission/serviceaccounts";
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "spark-admission"}});
    here.send("POST", accounts, &account).await.object();
    let path = format!("{accounts}/spark-admission/token");
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = here.send("POST", &path, &request).await.object()["status"]["token"].clone();
    here.cluster().kubeconfig("account", |kubeconfig| kubeconfig["users"][0]["user"] = json!({"token": token}))
}

pub async fn give_rights(here: &Namespace, file: &str) {
    for object in rights(file) {
        here.send("POST", &path_of_kind(&object), &object).await.object();
    }
}

async fn take_rights(here: &Namespace) {
    for object in rights("rbac.yaml") {
        let path = format!("{}/{}", path_of_kind(&object), object["metadata"]["name"].as_str().unwrap());
        here.send("DELETE", &path, &Value::Null).await.object();
    }
}
