//! A namespace on the control plane, which one test has to itself; and what is printed when that test fails.

use hyper::Request;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};

use super::{Cluster, audit, cluster};

/// The service accounts that Spark and the operator use by default.
const ACCOUNTS: [&str; 3] = ["default", "spark", "spark-operator-spark"];

/// What the API server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
    /// What the user is told: the texts of the `Warning` headers.
    pub warnings: Vec<String>,
}

impl Answer {
    /// Whether it did what it was asked.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The message of a refusal.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The object, where there was no refusal.
    #[track_caller]
    pub fn object(self) -> Value {
        assert!(self.is_success(), "{}: {}", self.status, self.message());
        self.body
    }

    pub(super) fn created(self) -> Result<Value, String> {
        if self.is_success() { Ok(self.body) } else { Err(format!("{}: {}", self.status, self.message())) }
    }
}

/// Sends one request; a body that is null is none.
pub(super) async fn send(client: &Client, method: &str, path: &str, content_type: &str, body: &Value) -> Answer {
    let bytes = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
    let request = Request::builder().method(method).uri(path).header("content-type", content_type);
    let request = request.header("accept", "application/json").body(Body::from(bytes)).unwrap();
    let (head, body) = client.send(request).await.unwrap().into_parts();
    let warnings = head
        .headers
        .get_all("warning")
        .iter()
        .map(|value| warning(str::from_utf8(value.as_bytes()).unwrap()))
        .collect();
    let bytes = body.collect_bytes().await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
    Answer { status: head.status.as_u16(), body, warnings }
}

/// The text in `299 - "text"`.
fn warning(header: &str) -> String {
    let quoted = header.splitn(3, ' ').nth(2).unwrap_or_default();
    let text = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(quoted);
    text.replace("\\\"", "\"").replace("\\\\", "\\")
}

/// A namespace of the test's own.
pub struct Namespace {
    pub name: String,
    cluster: &'static Cluster,
    client: Client,
}

impl Namespace {
    /// A new one, with the accounts that Spark's pods run as.
    pub async fn new() -> Self {
        Self::labelled(&json!({})).await
    }

    pub async fn labelled(labels: &Value) -> Self {
        Self::on(cluster().await, labels).await
    }

    /// One on another control plane.
    pub async fn on(cluster: &'static Cluster, labels: &Value) -> Self {
        let client = cluster.client().await;
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-", "labels": labels}});
        let made = send(&client, "POST", "/api/v1/namespaces", JSON, &namespace).await.object();
        let namespace = Self { name: made["metadata"]["name"].as_str().unwrap().to_owned(), cluster, client };
        for account in ACCOUNTS {
            let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}});
            let made = namespace.create(&account).await;
            // Where controllers run, one of them makes the default account.
            assert!(made.is_success() || made.status == 409, "{}", made.message());
        }
        namespace
    }

    /// One of this name, on a control plane that no other test uses.
    pub async fn called(cluster: &'static Cluster, name: &str) -> Self {
        let client = cluster.client().await;
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        send(&client, "POST", "/api/v1/namespaces", JSON, &namespace).await.object();
        let namespace = Self { name: name.to_owned(), cluster, client };
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
        namespace.create(&account).await.object();
        namespace
    }

    /// One that is there already.
    pub async fn existing(cluster: &'static Cluster, name: &str) -> Self {
        Self { name: name.to_owned(), cluster, client: cluster.client().await }
    }

    /// The same namespace, as seen by an account of it.
    pub async fn as_account(&self, name: &str) -> Self {
        let token = self.token(name).await;
        let kubeconfig = self.cluster.kubeconfig(&format!("{name}.{}", self.name), |it| {
            it["users"][0]["user"] = json!({"token": token});
        });
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(Kubeconfig::read_from(kubeconfig).unwrap(), &options).await;
        Self { name: self.name.clone(), cluster: self.cluster, client: Client::try_from(config.unwrap()).unwrap() }
    }

    /// A token of one of its accounts.
    pub async fn token(&self, account: &str) -> String {
        let path = format!("/api/v1/namespaces/{}/serviceaccounts/{account}/token", self.name);
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
        let token = self.send("POST", &path, &request).await.object();
        token["status"]["token"].as_str().unwrap().to_owned()
    }

    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// Sends a request about something that is in no namespace.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        send(&self.client, method, path, JSON, body).await
    }

    pub async fn create(&self, object: &Value) -> Answer {
        self.send("POST", &self.path(object), &self.here(object)).await
    }

    pub async fn create_dry(&self, object: &Value) -> Answer {
        self.send("POST", &(self.path(object) + "?dryRun=All"), &self.here(object)).await
    }

    pub async fn find(&self, object: &Value) -> Answer {
        self.send("GET", &self.path_of(object), &Value::Null).await
    }

    /// The objects of a kind, such as `pods`.
    pub async fn all(&self, plural: &str) -> Vec<Value> {
        let path = format!("/api/v1/namespaces/{}/{plural}", self.name);
        let list = self.send("GET", &path, &Value::Null).await.object();
        list["items"].as_array().unwrap().clone()
    }

    /// The pods of a role, such as `executor`.
    pub async fn pods_of(&self, role: &str) -> Vec<Value> {
        let mut pods = self.all("pods").await;
        pods.retain(|pod| pod["metadata"]["labels"]["spark-role"] == role);
        pods
    }

    /// The object as it stands now.
    pub async fn get(&self, object: &Value) -> Value {
        self.find(object).await.object()
    }

    /// Puts an object in place of the one that stands there, whatever its version, as `kubectl replace` does it.
    pub async fn replace(&self, object: &Value) -> Answer {
        let mut object = self.here(object);
        object["metadata"]["resourceVersion"] = self.get(&object).await["metadata"]["resourceVersion"].clone();
        self.send("PUT", &self.path_of(&object), &object).await
    }

    /// Server-side apply, as `kubectl apply --server-side` does it.
    pub async fn apply(&self, object: &Value) -> Answer {
        self.patch(object, "apply-patch+yaml", "fieldManager=test&force=true", &self.here(object)).await
    }

    /// A merge patch, as `kubectl patch --type merge` and `kubectl label` do it.
    pub async fn merge(&self, object: &Value, patch: &Value) -> Answer {
        self.patch(object, MERGE, "", patch).await
    }

    /// A patch of a kind (`merge-patch+json`, `strategic-merge-patch+json`, `apply-patch+yaml`), with the query's parameters.
    pub async fn patch(&self, object: &Value, kind: &str, query: &str, patch: &Value) -> Answer {
        let uri = format!("{}?{query}", self.path_of(object));
        send(&self.client, "PATCH", &uri, &format!("application/{kind}"), patch).await
    }

    /// A merge patch of something that is in no namespace.
    pub async fn merge_at(&self, path: &str, change: &Value) -> Answer {
        send(&self.client, "PATCH", path, &format!("application/{MERGE}"), change).await
    }

    /// A JSON Patch of something that is in no namespace.
    pub async fn json_patch_at(&self, path: &str, operations: &Value) -> Answer {
        send(&self.client, "PATCH", path, "application/json-patch+json", operations).await
    }

    pub async fn merge_status(&self, object: &Value, patch: &Value) -> Answer {
        send(&self.client, "PATCH", &(self.path_of(object) + "/status"), &format!("application/{MERGE}"), patch).await
    }

    /// Deletes at once, without a kubelet's consent.
    pub async fn delete_now(&self, object: &Value) -> Answer {
        self.send("DELETE", &(self.path_of(object) + "?gracePeriodSeconds=0"), &Value::Null).await
    }

    pub async fn delete(&self, object: &Value) -> Answer {
        self.send("DELETE", &self.path_of(object), &Value::Null).await
    }

    /// What the audit log says of an object in this namespace.
    pub fn audited(&self, object: &Value) -> Vec<audit::Event> {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.requests().into_iter().filter(|event| event.is_about(name)).collect()
    }

    fn requests(&self) -> Vec<audit::Event> {
        audit::events(self.cluster.processes.folder(), &self.name)
    }

    /// The object as one in this namespace.
    pub fn here(&self, object: &Value) -> Value {
        let mut object = object.clone();
        object["metadata"]["namespace"] = self.name.as_str().into();
        object
    }

    fn path(&self, object: &Value) -> String {
        let version = object["apiVersion"].as_str().unwrap();
        let root = if version == "v1" { "api" } else { "apis" };
        // The regular plural of every kind that the tests use.
        let plural = object["kind"].as_str().unwrap().to_lowercase() + "s";
        format!("/{root}/{version}/namespaces/{}/{plural}", self.name)
    }

    fn path_of(&self, object: &Value) -> String {
        format!("{}/{}", self.path(object), object["metadata"]["name"].as_str().unwrap())
    }
}

const JSON: &str = "application/json";
const MERGE: &str = "merge-patch+json";
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

impl Drop for Namespace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let requests = self.requests();
        eprintln!("the last requests in namespace {}, as the audit log has them:", self.name);
        for request in &requests[requests.len().saturating_sub(10)..] {
            eprintln!("  {request}");
        }
        for ended in self.cluster.processes.ended() {
            eprintln!("{ended}");
        }
    }
}
