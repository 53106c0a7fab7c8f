//! The chart on a real API server, from the first install until nothing of it is left: its pods run here as their accounts, and the API
//! server reaches them through their Service.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Namespace, RunningPods, THROUGH_EGRESS, probe},
    support::{eventually, pki::Ca, within},
};

const RELEASE: &str = "spark-admission";
const CHART: &str = "manifests/helm/spark-admission";
/// How long pods may take to come or go.
pub const ROLLOUT: Duration = Duration::from_mins(1);

/// The definitions that the chart's certificates, monitors and alerts need, without what is in them.
fn definitions() -> Vec<Value> {
    let all = [
        ("cert-manager.io", "v1", "Certificate"),
        ("cert-manager.io", "v1", "Issuer"),
        ("monitoring.coreos.com", "v1", "PodMonitor"),
        ("monitoring.coreos.com", "v1", "ServiceMonitor"),
        ("monitoring.coreos.com", "v1", "PrometheusRule"),
    ];
    let made = all.map(|(group, version, kind)| {
        let plural = kind.to_lowercase() + "s";
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.{group}")},
            "spec": {
                "group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
                "versions": [{"name": version, "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
                }}}]
            }
        })
    });
    made.into()
}

/// A namespace for the release, in which nothing may run that the Pod Security Standard `restricted` refuses.
async fn namespace(here: &Namespace) {
    let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": RELEASE, "labels": labels}});
    here.send("POST", "/api/v1/namespaces", &namespace).await.object();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_object_in_every_way() {
    let cluster = Cluster::of_my_own().await;
    let here = Namespace::on(cluster, &json!({})).await;
    namespace(&here).await;
    for definition in definitions() {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        here.send("POST", path, &definition).await.object();
    }
    // A pod, the test's, is taken only where its account is.
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "spark-admission-probe"}});
    here.send("POST", &format!("/api/v1/namespaces/{RELEASE}/serviceaccounts"), &account).await.object();
    let apply = "kubectl apply --server-side --dry-run=server --validate=strict -f";
    let provided = "certificates.mode=provided,certificates.provided.secretName=mine,certificates.provided.caBundle=$(printf -- '-----BEGIN CERTIFICATE-----')";
    eventually("what was defined is served", async || {
        let group = here.send("GET", "/apis/monitoring.coreos.com/v1/podmonitors", &Value::Null).await;
        group.is_success()
    })
    .await;
    let all = "metrics.monitor.enabled=true,metrics.rules.enabled=true,metrics.dashboard.enabled=true,networkPolicy.enabled=true,\
               policy.flaggedNodes.labelFlaggedNodes=true,hostNetwork=true";
    for (case, flags) in [
        ("self-managed", ""),
        ("highly available", "-f manifests/helm/spark-admission/values-ha.yaml"),
        ("cert-manager", "--set certificates.mode=certManager"),
        (
            "cert-manager with an issuer",
            "--set certificates.mode=certManager,certificates.certManager.issuerRef.name=mine",
        ),
        ("provided", &format!("--set \"{provided}\"")),
        ("everything", &format!("--set {all}")),
        ("everything, with a ServiceMonitor", &format!("--set {all},metrics.monitor.kind=ServiceMonitor")),
    ] {
        let rendered = format!("helm template {RELEASE} {CHART} -n {RELEASE} --kube-version 1.37.2 {flags}");
        let taken = cluster.shell(&format!("{rendered} | {apply} -")).await;
        assert!(taken.lines().count() >= 15, "{case}: {taken}");
        assert!(taken.lines().all(|line| line.ends_with("(server dry run)")), "{case}: {taken}");
    }
    for flag in [
        "-f manifests/install.yaml",
        "-k manifests/kustomize/base",
        "-k manifests/kustomize/overlays/ha",
        "-k manifests/kustomize/overlays/cert-manager",
    ] {
        let apply = apply.trim_end_matches("-f");
        let taken = cluster.shell(&format!("{apply} --force-conflicts {flag}")).await;
        assert!(taken.lines().count() >= 12, "{flag}: {taken}");
    }
    let taken = cluster.shell(&format!("{apply} certs/cert-manager.yaml")).await;
    assert_eq!(taken.lines().count(), 4, "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_certificate_that_is_provided() {
    let (cluster, here) = prepared().await;
    let ca = Ca::new("mine");
    let leaf = ca.server(&["spark-admission.spark-admission.svc"]);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine"}, "type": "kubernetes.io/tls",
        "data": {"tls.crt": STANDARD.encode(leaf.certificate), "tls.key": STANDARD.encode(leaf.key)}
    });
    here.send("POST", &format!("/api/v1/namespaces/{RELEASE}/secrets"), &secret).await.object();
    let bundle = cluster.scratch().join("ca.crt");
    std::fs::write(&bundle, &ca.pem).unwrap();
    let provided = "--set certificates.mode=provided,certificates.provided.secretName=mine";
    let flags = format!("{provided} --set-file certificates.provided.caBundle={}", bundle.display());
    it_lives_and_goes_and_no_driver_is_refused(cluster, here, &flags, async |_| {}).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_certificates_that_look_after_themselves() {
    let (cluster, here) = prepared().await;
    let soon = "--set extraEnv[0].name=SPARK_ADMISSION_CERTIFICATE_OVERLAP,extraEnv[0].value=2s";
    it_lives_and_goes_and_no_driver_is_refused(cluster, here, soon, async |here| {
        // What it takes to put things right again that somebody has spoilt: the rights to are there for that alone.
        let secret = format!("/api/v1/namespaces/{RELEASE}/secrets/spark-admission-certificates");
        let is_whole = async || {
            let found = here.send("GET", &secret, &Value::Null).await.body;
            found["immutable"] != true && found["data"]["tls.crt"].as_str().is_some_and(|text| !text.is_empty())
        };
        for (case, method, change) in [
            ("deleted", "DELETE", Value::Null),
            (
                "emptied, and not to be changed",
                "PATCH",
                json!({"data": {"tls.crt": "", "tls.key": ""}, "immutable": true}),
            ),
        ] {
            if method == "DELETE" {
                here.send(method, &secret, &change).await.object();
            } else {
                here.merge_at(&secret, &change).await.object();
            }
            eventually(case, is_whole).await;
        }
        let page = std::fs::read_to_string("docs/certificates.md").unwrap();
        let commands: Vec<_> = commands(&page).collect();
        assert!(commands.len() >= 3, "{commands:?}");
        for command in commands {
            eprintln!("docs/certificates.md: {command}");
            cluster.shell(command).await;
        }
    })
    .await;
}

/// A control plane whose API server streams no lists, as before Kubernetes 1.34: what is watched is listed first, and no right is idle.
async fn prepared() -> (&'static Cluster, Arc<Namespace>) {
    let cluster = Cluster::of_my_own_with(&[THROUGH_EGRESS, "--feature-gates=WatchList=false"]).await;
    let here = Arc::new(Namespace::on(cluster, &json!({})).await);
    namespace(&here).await;
    (cluster, here)
}

/// Installs it with these values, changes it, takes that back, and uninstalls it, while drivers are asked for.
async fn it_lives_and_goes_and_no_driver_is_refused(
    cluster: &'static Cluster,
    here: Arc<Namespace>,
    values: &str,
    spoil: impl AsyncFn(&Namespace),
) {
    let kubelet = RunningPods::start(cluster, RELEASE).await;
    let before = objects(&here).await;
    let flags = format!("-n {RELEASE} {values}");
    let wait = "--wait --timeout 120s";
    cluster.shell(&format!("helm install {RELEASE} {CHART} {flags} {wait}")).await;
    eventually("a driver is changed", async || size_of_volume(&here).await == "512Mi").await;
    let load = Load::start(Arc::clone(&here));

    // Another policy: in force without another pod.
    let first = pods(&here).await;
    assert_eq!(first.len(), 2, "{first:?}");
    let policy = "--set policy.mutations.ivy-cache.sizeLimit=1Gi";
    cluster.shell(&format!("helm upgrade {RELEASE} {CHART} {flags} {policy} {wait}")).await;
    eventually("another policy is in force", async || size_of_volume(&here).await == "1Gi").await;
    assert_eq!(pods(&here).await, first, "no pod was replaced");

    // Other pods: the old ones go when the new ones are ready.
    cluster.shell(&format!("helm upgrade {RELEASE} {CHART} {flags} {policy} --set logFormat=text {wait}")).await;
    let are_replaced = async || pods(&here).await.is_disjoint(&first) && pods(&here).await.len() == 2;
    within(ROLLOUT, "the old pods are gone", are_replaced).await;
    eventually("the new ones log as text", async || kubelet.said(RELEASE).contains(" INFO ")).await;
    cluster.shell(&format!("helm rollback {RELEASE} 1 -n {RELEASE} {wait}")).await;
    eventually("the first policy is in force", async || size_of_volume(&here).await == "512Mi").await;
    spoil(&here).await;
    // What is looked up for a resource and its driver.
    let application = here.create_dry(&application()).await;
    assert!(application.is_success(), "{}", application.message());

    cluster.shell(&format!("helm test {RELEASE} -n {RELEASE} --timeout 60s")).await;
    let tested = kubelet.said("spark-admission-probe");
    let asked = "the webhook was asked: a driver in the namespace default is changed by ivy-cache,";
    assert!(tested.contains(asked), "{tested}");

    // Later its rights go before its pods do.
    assert_eq!(forbidden(cluster, RELEASE), [""; 0]);
    cluster.shell(&format!("helm uninstall {RELEASE} -n {RELEASE} --wait --timeout 120s")).await;
    assert_eq!(forbidden(cluster, "spark-admission-cleanup"), [""; 0]);
    assert_eq!(forbidden(cluster, "spark-admission-probe"), [""; 0]);
    let removed = kubelet.said("spark-admission-cleanup");
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        assert!(removed.contains(&format!("removed: {kind} {RELEASE}\n")), "{removed}");
    }
    eventually("nobody is asked any more", async || size_of_volume(&here).await.is_null()).await;
    load.end().await;
    gone(&here, &before).await;

    let rendered = cluster.shell(&format!("helm template {RELEASE} {CHART} {flags} --kube-version 1.37.2")).await;
    no_right_is_idle(cluster, &rendered);
}

fn application() -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "pi"},
        "spec": {
            "type": "Scala", "mode": "cluster", "sparkVersion": "3.5.9", "image": "apache/spark:3.5.9", "mainClass": "Pi",
            "mainApplicationFile": "local:///pi.jar", "driver": {"serviceAccount": "spark"}, "executor": {}
        }
    })
}

/// What an account of the release's namespace has asked for and was not allowed to.
fn forbidden(cluster: &Cluster, account: &str) -> Vec<String> {
    forbidden_in(cluster, RELEASE, account)
}

/// What an account of a namespace has asked for and was not allowed to.
pub fn forbidden_in(cluster: &Cluster, namespace: &str, account: &str) -> Vec<String> {
    let asked = cluster.requests_of(&format!("system:serviceaccount:{namespace}:{account}"));
    assert!(!asked.is_empty(), "{account} has asked for nothing");
    asked.iter().filter(|event| event.is_forbidden()).map(ToString::to_string).collect()
}

/// What the pages say to type, in their order; what one of them installs is taken away by it or by the next.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_pages_can_be_typed() {
    let cluster = Cluster::of_my_own_with(&[THROUGH_EGRESS]).await;
    let here = Namespace::on(cluster, &json!({})).await;
    let kubelet = RunningPods::start(cluster, RELEASE).await;
    let before = objects(&here).await;
    for page in ["manifests/helm/spark-admission/README.md", "docs/upgrade.md", "docs/install.md", "docs/gitops.md"] {
        let text = std::fs::read_to_string(page).unwrap();
        // What is said of the platform is typed in platform_chart.rs.
        let text = text.replace(section(&text, "The whole platform"), "");
        let commands: Vec<_> = commands(&text).collect();
        assert!(commands.len() >= 2, "{page}: {commands:?}");
        for command in commands {
            eprintln!("{page}: {command}");
            cluster.shell(command).await;
        }
    }
    gone(&here, &before).await;
    drop(kubelet);
}

/// The lines that begin with `$ ` in the blocks of a page that are marked `console`.
pub fn commands(page: &str) -> impl Iterator<Item = &str> {
    let blocks = page.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("$ "))
}

/// What stands below a heading of a page; nothing where the page does not have it.
pub fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let below = page.split_once(&format!("\n## {heading}\n")).map_or("", |(_, below)| below);
    below.split("\n## ").next().unwrap_or_default()
}

/// The size of the volume that a driver gets; null where it is not changed.
async fn size_of_volume(here: &Namespace) -> Value {
    let pod = here.create_dry(&probe()).await.body;
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    volumes
        .filter(|volume| volume["name"] == "ivy-cache")
        .map(|volume| volume["emptyDir"]["sizeLimit"].clone())
        .next()
        .unwrap_or_default()
}

/// The names of the webhook's pods.
async fn pods(here: &Namespace) -> BTreeSet<String> {
    let path = format!("/api/v1/namespaces/{RELEASE}/pods?labelSelector=app.kubernetes.io/component%3Dwebhook");
    names(&here.send("GET", &path, &Value::Null).await.object()).collect()
}

fn names(list: &Value) -> impl Iterator<Item = String> {
    let items = list["items"].as_array().into_iter().flatten();
    items.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
}

/// Waits until nothing is left but what was there before; fails with what that is.
async fn gone(here: &Namespace, before: &BTreeSet<String>) {
    gone_but(here, before, |_| false).await;
}

/// The same, but for what is to be kept.
pub async fn gone_but(here: &Namespace, before: &BTreeSet<String>, is_kept: impl Fn(&str) -> bool) {
    let start = Instant::now();
    loop {
        let now = objects(here).await;
        let left: Vec<_> = now.difference(before).filter(|object| !is_kept(object)).collect();
        if left.is_empty() {
            return;
        }
        assert!(start.elapsed() < ROLLOUT, "left behind: {left:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What an install could leave behind, in the whole cluster.
pub async fn objects(here: &Namespace) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in [
        "/api/v1/configmaps",
        "/api/v1/secrets",
        "/api/v1/serviceaccounts",
        "/api/v1/services",
        "/api/v1/pods",
        "/apis/apps/v1/deployments",
        "/apis/apps/v1/replicasets",
        "/apis/batch/v1/jobs",
        "/apis/coordination.k8s.io/v1/leases",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/apis/policy/v1/poddisruptionbudgets",
        "/apis/networking.k8s.io/v1/networkpolicies",
        "/apis/rbac.authorization.k8s.io/v1/roles",
        "/apis/rbac.authorization.k8s.io/v1/rolebindings",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
    ] {
        let list = here.send("GET", path, &Value::Null).await.object();
        for object in list["items"].as_array().unwrap() {
            let metadata = &object["metadata"];
            // What controllers make for every namespace comes when it comes.
            if metadata["name"] != "kube-root-ca.crt" && metadata["name"] != "default" {
                found.insert(format!("{path} {}/{}", metadata["namespace"], metadata["name"]));
            }
        }
    }
    found
}

/// Drivers that are asked for one after another.
struct Load {
    is_over: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<Vec<String>>,
}

impl Load {
    fn start(here: Arc<Namespace>) -> Self {
        let (is_over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, count) = (Arc::clone(&is_over), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            let mut refused = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let answer = here.create_dry(&probe()).await;
                if !answer.is_success() {
                    refused.push(answer.message().to_owned());
                }
                count.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            refused
        });
        Self { is_over, asked, task }
    }

    /// Ends it; none was refused.
    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        let refused = self.task.await.unwrap();
        let asked = self.asked.load(Ordering::Relaxed);
        assert!(refused.is_empty(), "{} of {asked} were refused: {refused:?}", refused.len());
        assert!(asked > 30, "only {asked} were asked for");
    }
}

/// Every verb of every rule of the chart's roles was used by its account.
fn no_right_is_idle(cluster: &Cluster, rendered: &str) {
    let parts = format!("\n{rendered}").replace("\n---\n", "\n\u{0}");
    let objects: Vec<Value> = parts.split('\u{0}').filter_map(|part| serde_saphyr::from_str(part).ok()).collect();
    let of = |kinds: [&str; 2]| {
        objects.iter().filter(move |object| kinds.iter().any(|kind| object["kind"] == *kind)).collect::<Vec<_>>()
    };
    let (roles, bindings) = (of(["Role", "ClusterRole"]), of(["RoleBinding", "ClusterRoleBinding"]));
    assert!(roles.len() >= 4 && roles.len() == bindings.len(), "{} roles", roles.len());
    let mut idle = Vec::new();
    for role in roles {
        let key = |kind: &Value, name: &Value, namespace: &Value| (kind.clone(), name.clone(), namespace.clone());
        let metadata = &role["metadata"];
        let binding = bindings.iter().find(|binding| {
            let named = &binding["roleRef"];
            key(&named["kind"], &named["name"], &binding["metadata"]["namespace"])
                == key(&role["kind"], &metadata["name"], &metadata["namespace"])
        });
        let subject = &binding.unwrap()["subjects"][0];
        let account = format!("system:serviceaccount:{RELEASE}:{}", subject["name"].as_str().unwrap());
        let asked = cluster.requests_of(&account);
        let texts = |list: &Value| {
            list.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        for rule in role["rules"].as_array().unwrap() {
            let names = rule["resourceNames"].as_array().cloned().unwrap_or_default();
            for (group, resource) in texts(&rule["apiGroups"])
                .iter()
                .flat_map(|group| texts(&rule["resources"]).into_iter().map(move |it| (group.clone(), it)))
            {
                for verb in texts(&rule["verbs"]) {
                    let namespace = metadata["namespace"].as_str();
                    if !asked.iter().any(|event| event.is_by(&verb, &group, &resource, &names, namespace)) {
                        idle.push(format!("{account} never has to {verb} {resource}"));
                    }
                }
            }
        }
    }
    assert!(idle.is_empty(), "rights that nobody uses: {idle:#?}");
}
