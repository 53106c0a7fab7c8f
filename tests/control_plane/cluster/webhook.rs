//! The webhook, registered with the API server as `manifests/webhook.yaml` says, but for one namespace only.

use std::{fs, net::SocketAddr, path::Path};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::Namespace;
use crate::support::{
    client, eventually,
    process::{Serving, spark_admission},
};

/// A server that the API server asks about one namespace.
pub struct Registered {
    serving: Option<Serving>,
}

impl Registered {
    /// Starts the real binary and has it asked about a namespace; returns once it is.
    pub async fn real(namespace: &Namespace) -> Self {
        Self::with_policy(namespace, "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n").await
    }

    /// The same, with a policy of the test's own.
    pub async fn with_policy(namespace: &Namespace, policy: &str) -> Self {
        Self::start(namespace, policy, &[]).await
    }

    /// The same, which watches the cluster; returns once it knows what is there.
    pub async fn watching(namespace: &Namespace, policy: &str) -> Self {
        Self::watching_as(namespace, policy, &namespace.cluster().admin()).await
    }

    /// The same, as somebody who may do less than everything.
    pub async fn watching_as(namespace: &Namespace, policy: &str, kubeconfig: &Path) -> Self {
        let kubeconfig = kubeconfig.display().to_string();
        let registered = Self::start(namespace, policy, &["--kubeconfig", &kubeconfig]).await;
        eventually("the cluster is known", async || {
            client::get(registered.serving().admin, "/readyz").await.unwrap().status == 200
        })
        .await;
        registered
    }

    async fn start(namespace: &Namespace, policy: &str, more: &[&str]) -> Self {
        let processes = &namespace.cluster().processes;
        let state = processes.folder().join(format!("webhook-{}", namespace.name));
        fs::create_dir(&state).unwrap();
        let policy_file = state.join("policy.yaml");
        fs::write(&policy_file, policy).unwrap();
        let (state_flag, policy_flag) = (state.display().to_string(), policy_file.display().to_string());
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        arguments.extend(["--state-dir", &state_flag, "--policy", &policy_flag]);
        arguments.extend(more);
        let serving = Serving::start(processes.adopt(&mut spark_admission(&arguments)));
        let ca = fs::read_to_string(state.join("ca.crt")).unwrap();
        register(namespace, serving.reviews, &ca, |_| {}).await;
        Self { serving: Some(serving) }
    }

    /// The server, while it runs.
    pub fn serving(&self) -> &Serving {
        self.serving.as_ref().unwrap()
    }

    /// Ends the server; it stays registered.
    pub fn stop(&mut self) {
        self.serving = None;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let (Some(serving), true) = (&self.serving, std::thread::panicking()) {
            let log = serving.log();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the end of the webhook's log:\n{}", lines[lines.len().saturating_sub(10)..].join("\n"));
        }
    }
}

/// The registration as the project installs it: what changes objects and what judges them.
pub fn manifests() -> [Value; 2] {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/webhook.yaml");
    let text = fs::read_to_string(file).unwrap();
    let documents: Vec<_> = text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect();
    documents.try_into().unwrap()
}

/// Has a server asked about a namespace, and waits until it is. The server must change drivers.
pub async fn register(namespace: &Namespace, address: SocketAddr, ca_pem: &str, edit: impl Fn(&mut Value)) {
    for mut configuration in manifests() {
        configuration["metadata"]["name"] = format!("spark-admission-{}", namespace.name).into();
        for webhook in configuration["webhooks"].as_array_mut().unwrap() {
            let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap().to_owned();
            let url = format!("https://localhost:{}{path}", address.port());
            webhook["clientConfig"] = json!({"url": url, "caBundle": STANDARD.encode(ca_pem)});
            let here = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [namespace.name]});
            webhook["namespaceSelector"]["matchExpressions"].as_array_mut().unwrap().push(here);
            edit(webhook);
        }
        let plural = configuration["kind"].as_str().unwrap().to_lowercase() + "s";
        let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}");
        namespace.send("POST", &path, &configuration).await.object();
    }
    // Whatever its account may do: somebody else's driver is not refused for that.
    let mut probe = probe();
    probe["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "owner", "controller": true}]);
    eventually("the API server asks the webhook", async || {
        let answer = namespace.create_dry(&probe).await;
        answer.is_success() && !answer.body["metadata"]["annotations"]["spark-admission.io/mutated"].is_null()
    })
    .await;
}

/// A driver that every namespace admits, also one that enforces the Pod Security Standard `restricted`.
pub fn probe() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": {"spark-role": "driver"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
            }]
        }
    })
}
