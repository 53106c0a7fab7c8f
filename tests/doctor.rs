//! The doctor against an API server that is made up: slow, talkative, forgetful, broken. What a real one says is shown in
//! `tests/control_plane/doctor.rs`.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of an integration test for no test")]

mod support;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request, http::StatusCode, response::IntoResponse};
use serde_json::{Value, json};
use support::process::{run, spark_admission};

/// What the made-up API server holds, and how it behaves.
#[derive(Default)]
struct Made {
    /// Objects by the path of their kind.
    objects: Vec<(&'static str, Vec<Value>)>,
    /// What it answers to certain paths instead.
    answers: Vec<(&'static str, u16, String)>,
    slowness: Duration,
    asked: Mutex<Vec<String>>,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Made {
    async fn answer(&self, request: Request) -> (StatusCode, String) {
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(self.slowness).await;
        let path = request.uri().path_and_query().unwrap().to_string();
        let answer = self.answered(&path);
        self.asked.lock().unwrap().push(path);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        answer
    }

    fn answered(&self, path: &str) -> (StatusCode, String) {
        if let Some((_, code, body)) = self.answers.iter().find(|(prefix, ..)| path.starts_with(prefix)) {
            return (StatusCode::from_u16(*code).unwrap(), body.clone());
        }
        let plain = path.split('?').next().unwrap();
        if plain == "/apis" {
            return (StatusCode::OK, json!({"kind": "APIGroupList", "groups": []}).to_string());
        }
        if plain == "/api/v1/namespaces/team-a" {
            return (StatusCode::OK, json!({"metadata": {"name": "team-a"}}).to_string());
        }
        if plain.contains("/customresourcedefinitions/") {
            return (StatusCode::NOT_FOUND, json!({"kind": "Status", "code": 404, "message": "not found"}).to_string());
        }
        if plain.ends_with("/subjectaccessreviews") {
            return (StatusCode::CREATED, json!({"status": {"allowed": true}}).to_string());
        }
        let items = self.objects.iter().find(|(kind, _)| *kind == plain).map(|(_, items)| items.clone());
        (StatusCode::OK, json!({"kind": "List", "metadata": {}, "items": items.unwrap_or_default()}).to_string())
    }

    /// Serves it, and runs the doctor on it: exit status, output, errors.
    async fn diagnosed(self: &Arc<Self>, arguments: &[&str]) -> (Option<i32>, String, String) {
        let made = Arc::clone(self);
        let router = Router::new().fallback(move |request: Request| {
            let made = Arc::clone(&made);
            async move { made.answer(request).await.into_response() }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(answer_all(listener, router));
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        std::fs::write(&kubeconfig, kubeconfig_for(address)).unwrap();
        let kubeconfig = kubeconfig.display().to_string();
        let arguments: Vec<String> =
            ["doctor", "--kubeconfig", &kubeconfig].iter().chain(arguments).map(ToString::to_string).collect();
        let ran = tokio::task::spawn_blocking(move || {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            run(&mut spark_admission(&arguments))
        });
        let ran = ran.await.unwrap();
        serving.abort();
        ran
    }

    fn asked_for(&self, what: &str) -> Vec<String> {
        self.asked.lock().unwrap().iter().filter(|path| path.contains(what)).cloned().collect()
    }
}

/// A plain HTTP server for whoever connects.
async fn answer_all(listener: tokio::net::TcpListener, router: Router) {
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let connection = hyper_util::rt::TokioIo::new(connection);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(connection, service));
    }
}

fn kubeconfig_for(address: SocketAddr) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "made-up",
        "clusters": [{"name": "made-up", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "made-up", "context": {"cluster": "made-up", "user": "me", "namespace": "team-a"}}]
    })
    .to_string()
}

const PODS: &str = "/api/v1/namespaces/team-a/pods";

/// A driver that has ended badly.
fn failed(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "team-a", "labels": {"spark-role": "driver"}, "creationTimestamp": "2026-11-22T10:00:00Z"},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.7"}]},
        "status": {"phase": "Failed", "containerStatuses": [{
            "name": "spark-kubernetes-driver", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}
        }]}
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_is_told_what_for_after_a_second() {
    let slow = Arc::new(Made { slowness: Duration::from_millis(700), ..Made::default() });
    let (status, _, errors) = slow.diagnosed(&[]).await;
    assert_eq!(status, Some(0), "{errors}");
    let line = errors.lines().next().unwrap();
    assert!(line.starts_with("looking, ") && line.contains("; waiting "), "{errors}");
    assert!(errors.contains("; waiting to list"), "{errors}");
    let quick = Arc::new(Made::default());
    assert_eq!(quick.diagnosed(&[]).await.2, "", "nobody waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_requests_are_under_way_at_once_and_lists_come_in_pages() {
    let pods = (0..40).map(|number| failed(&format!("pi-{number}-driver"))).collect();
    let slowness = Duration::from_millis(5);
    let made = Arc::new(Made { objects: vec![(PODS, pods)], slowness, ..Made::default() });
    let (_, output, errors) = made.diagnosed(&[]).await;
    assert!(output.contains("40 pods"), "{output}{errors}");
    let most = made.most_at_once.load(Ordering::SeqCst);
    assert!((2..=8).contains(&most), "{most} at once");
    assert_eq!(made.asked_for("/log?").len(), 40, "each has failed");
    let lists = made.asked_for("/pods?");
    assert!(lists.iter().all(|path| path.contains("limit=500")), "{lists:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_of_megabytes_are_read_at_their_ends_only() {
    let line = "x".repeat(3 << 20);
    let log = "/api/v1/namespaces/team-a/pods/pi-driver/log";
    let made = Arc::new(Made {
        objects: vec![(PODS, vec![failed("pi-driver")])],
        // What a kubelet would send at most.
        answers: vec![(log, 200, line[..256 << 10].to_owned())],
        ..Made::default()
    });
    let (status, output, errors) = made.diagnosed(&[]).await;
    assert!(status.is_some_and(|status| status < 2), "{errors}");
    let longest = output.lines().map(str::len).max().unwrap();
    assert!(longest < 2_000, "a line of {longest} bytes");
    let asked = made.asked_for("/log?");
    let lines = ["tailLines=500", "tailLines=100", "tailLines=20", "tailLines=5"];
    assert_eq!(asked.len(), lines.len(), "nearer to the end each time: {asked:?}");
    for (path, lines) in asked.iter().zip(lines) {
        assert!(path.contains(&format!("{lines}&limitBytes=262144")), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_gone_is_nothing_to_find() {
    let log = "/api/v1/namespaces/team-a/pods/pi-driver/log";
    for (case, code) in [("gone", 404), ("no log yet", 400), ("its node is gone", 500)] {
        let gone = json!({"kind": "Status", "status": "Failure", "code": code, "message": "gone"}).to_string();
        let made = Arc::new(Made {
            objects: vec![(PODS, vec![failed("pi-driver")])],
            answers: vec![(log, code, gone)],
            ..Made::default()
        });
        let (status, output, errors) = made.diagnosed(&[]).await;
        assert!(status.is_some_and(|status| status < 2), "{case}: {errors}");
        assert!(!output.contains("not looked at"), "{case}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_fails_is_no_finding() {
    let broken =
        |path| (path, 500, json!({"kind": "Status", "code": 500, "message": "etcd has no leader"}).to_string());
    let made = Arc::new(Made { answers: vec![broken("/api/"), broken("/apis/")], ..Made::default() });
    let (status, output, errors) = made.diagnosed(&["-o", "json"]).await;
    let report: Value = serde_json::from_str(&output).unwrap_or_else(|_| panic!("{output}{errors}"));
    assert_eq!((status, &report["findings"]), (Some(2), &json!([])));
    let unseen = report["notLookedAt"].as_array().unwrap();
    assert!(unseen.iter().all(|it| it["why"] == "etcd has no leader" && it["rule"].is_null()), "{report:#}");
    let nonsense = Arc::new(Made { answers: vec![("/", 200, "<html>".to_owned())], ..Made::default() });
    let (status, output, errors) = nonsense.diagnosed(&[]).await;
    assert_eq!((status, output.as_str()), (Some(2), ""), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_a_block_to_read_and_copy_from() {
    let application = json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication",
        "metadata": {"name": "pi", "namespace": "team-a", "creationTimestamp": "2026-11-22T10:00:00Z"},
        "spec": {"type": "Python", "driver": {}, "executor": {}}
    });
    let kind = "/apis/sparkoperator.k8s.io/v1beta2/namespaces/team-a/sparkapplications";
    let account = json!({"metadata": {"name": "default", "namespace": "team-a"}});
    let made = Arc::new(Made {
        objects: vec![(kind, vec![application]), ("/api/v1/namespaces/team-a/serviceaccounts", vec![account])],
        answers: vec![(
            "/apis/apiextensions.k8s.io",
            403,
            json!({"kind": "Status", "code": 403, "message": "forbidden"}).to_string(),
        )],
        ..Made::default()
    });
    let (status, output, errors) = made.diagnosed(&[]).await;
    assert_eq!(status, Some(1), "{errors}");
    let expected = "\
error operator-missing: Deployment spark-operator-controller
  Kubeflow's operator is not installed, so no resource becomes pods
  field: Deployment spark-operator-controller, metadata.name: no Deployment of any namespace runs the operator's controller
  field: SparkApplication team-a/pi, metadata.creationTimestamp: 2026-11-22T10:00:00Z
  cure: Install the operator, and name the namespaces that it is to watch:
    helm upgrade --install spark-operator spark-operator --repo https://kubeflow.github.io/spark-operator --version 2.4.0 --namespace spark-operator --create-namespace --set 'spark.jobNamespaces={team-a}'

not looked at: cannot get customresourcedefinitions.apiextensions.k8s.io: forbidden
  a ClusterRole with this rule allows it: {apiGroups: [\"apiextensions.k8s.io\"], resources: [customresourcedefinitions], verbs: [get]}

1 error, 0 warnings; looked at 1 resource and 0 pods in the namespace team-a
";
    assert_eq!(output, expected);
}
