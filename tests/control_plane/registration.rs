//! `serve --register` and `--unregister`: what they do to the cluster, and that nothing is half done when they cannot.

use std::{fs, net::TcpListener, path::Path};

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Namespace, probe},
    support::{
        eventually,
        pki::Ca,
        process::{Serving, run, spark_admission},
    },
};

const KINDS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
const ANY: [&str; 5] = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

/// The server's own control plane: a registration concerns every namespace.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_registers_itself_follows_its_files_and_unregisters() {
    let cluster = Cluster::of_my_own().await;
    let here = Namespace::on(cluster, &json!({})).await;
    let (admin, folder) = (cluster.admin().display().to_string(), tempfile::tempdir().unwrap());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (policy, certificate, key) = (file("policy.yaml"), file("tls.crt"), file("tls.key"));
    let notebooks =
        |label: &str| format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nnotebooks: {{label: {label}}}\n");
    fs::write(&policy, notebooks("app=jupyter")).unwrap();
    let write_pair = |ca: &str| {
        let pair = Ca::new(ca).leaf();
        fs::write(&certificate, pair.certificate).unwrap();
        fs::write(&key, pair.key).unwrap();
    };
    write_pair("first");
    let arguments = [&ANY[..], &["--kubeconfig", &admin, "--register", "--policy", &policy]].concat();
    let arguments = [&arguments[..], &["--tls-cert", &certificate, "--tls-key", &key, "--drain-delay", "0s"]].concat();

    let serving = Serving::start(&mut spark_admission(&arguments));
    let printed =
        format!("registered as spark-admission, called at https://127.0.0.1:{}, until", serving.reviews.port());
    assert!(serving.printed.contains(&printed), "{}", serving.printed);
    eventually("a driver is changed", async || is_changed(&here, &probe()).await).await;
    assert!(is_changed(&here, &notebook("jupyter")).await, "the policy's notebooks are sent");
    assert!(!is_changed(&here, &notebook("lab")).await);

    fs::write(&policy, notebooks("app=lab")).unwrap();
    eventually("other notebooks are sent", async || is_changed(&here, &notebook("lab")).await).await;
    write_pair("another CA, which nobody was told of");
    serving.log_with("what=certificate");
    eventually("the API server trusts another certificate", async || is_changed(&here, &probe()).await).await;
    serving.signal("TERM");
    assert_eq!(serving.ended().0.code(), Some(0));
    let refused = here.create_dry(&probe()).await;
    assert_eq!(refused.status, 500, "it stays registered, and its failure policy holds: {}", refused.message());

    let unregister = ["serve", "--unregister", "--kubeconfig", &admin];
    let (status, output, errors) = run(&mut spark_admission(&unregister));
    assert_eq!(status, Some(0), "{errors}");
    let removed = "removed: MutatingWebhookConfiguration spark-admission\n\
                   removed: ValidatingWebhookConfiguration spark-admission\n";
    assert_eq!(output, removed);
    assert_eq!(registered(&here, "spark-admission").await, [404, 404]);
    eventually("nobody is asked any more", async || here.create_dry(&probe()).await.is_success()).await;
    let (status, output, _) = run(&mut spark_admission(&unregister));
    assert_eq!((status, output.as_str()), (Some(0), "nothing is registered under the name spark-admission\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_one_sentence_and_nothing_is_registered() {
    let here = Namespace::new().await;
    let folder = tempfile::tempdir().unwrap();
    let cluster = here.cluster();
    let shown = |path: &Path| path.display().to_string();
    let admin = shown(&cluster.admin());
    let server = |kubeconfig: &mut Value, url: &str| kubeconfig["clusters"][0]["cluster"]["server"] = url.into();
    let token = |kubeconfig: &mut Value, token: &str| kubeconfig["users"][0]["user"] = json!({"token": token});
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let unreachable = shown(&cluster.kubeconfig("unreachable", |it| server(it, &format!("https://{free}"))));
    let unknown = shown(&cluster.kubeconfig("unknown", |it| token(it, "nonsense")));
    let powerless = account_token(&here).await;
    let powerless = shown(&cluster.kubeconfig("powerless", |it| token(it, &powerless)));
    let nonsense = shown(&folder.path().join("nonsense.conf"));
    fs::write(&nonsense, "clusters: [").unwrap();
    let missing = shown(&folder.path().join("missing.conf"));
    let pair = Ca::new("test").leaf();
    let (certificate, key) = (shown(&folder.path().join("tls.crt")), shown(&folder.path().join("tls.key")));
    fs::write(&certificate, pair.certificate).unwrap();
    fs::write(&key, pair.key).unwrap();
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = occupied.local_addr().unwrap().to_string();

    let name = format!("bad-{}", here.name);
    let state = shown(&folder.path().join("state"));
    let at = |kubeconfig: &str| vec!["--kubeconfig".to_owned(), kubeconfig.to_owned()];
    let with = |more: &[&str]| [at(&admin), more.iter().map(|&it| it.to_owned()).collect()].concat();
    for (case, arguments, says) in [
        ("no cluster", vec![], "name one with --kubeconfig or --context"),
        ("nobody there", at(&unreachable), "see that it runs, and that the kubeconfig"),
        ("no such file", at(&missing), "there is no such file"),
        ("no kubeconfig", at(&nonsense), "cannot use the kubeconfig"),
        ("no such context", with(&["--context", "staging"]), "with --context"),
        ("an unknown account", at(&unknown), "does not accept the credentials of the kubeconfig"),
        ("an account that may not", at(&powerless), "is forbidden: User"),
        ("a port that is taken", with(&["--listen", &busy]), "stop what listens there"),
        ("a path", with(&["--url", "https://localhost:8443/spark"]), "paths of its own"),
        ("no https", with(&["--url", "http://localhost:8443"]), "by https only"),
        ("nowhere in particular", with(&["--listen", "0.0.0.0:0"]), "say it with --url"),
        (
            "another's certificate",
            with(&["--url", "https://spark.example.com", "--tls-cert", &certificate, "--tls-key", &key]),
            "not for spark.example.com",
        ),
        ("no name", with(&["--webhook-configuration", "Not A Name"]), "--webhook-configuration"),
    ] {
        let mut all: Vec<_> = arguments.iter().map(String::as_str).collect();
        let defaults = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--state-dir", &state];
        let defaults = [&defaults[..], &["--webhook-configuration", &name]].concat();
        for flag in defaults.chunks(2).filter(|flag| !arguments.iter().any(|given| given == flag[0])) {
            all.extend(flag);
        }
        all.splice(0..0, ["serve", "--register"]);
        let (status, output, errors) = run(&mut spark_admission(&all));
        assert_eq!(status, Some(2), "{case}: {errors}");
        assert_eq!(output, "", "{case}");
        let last = errors.lines().last().unwrap_or_default();
        assert!(errors.contains(says) && !last.is_empty(), "{case}: {errors}");
        assert_eq!(registered(&here, &name).await, [404, 404], "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_made_under_the_name_stays_as_it_is() {
    let here = Namespace::new().await;
    let state = tempfile::tempdir().unwrap();
    let (state, admin) = (state.path().display().to_string(), here.cluster().admin().display().to_string());
    for (case, webhook, kind) in [
        ("somebody else's webhook", "other.example.com", KINDS[0]),
        ("somebody else's checks", "other.example.com", KINDS[1]),
        ("ours, by another manager", "pods.spark-admission.io", KINDS[0]),
    ] {
        let name = format!("{}-{}", case.to_lowercase().replace([' ', '\'', ','], "-"), here.name);
        let foreign = foreign(&name, kind, webhook);
        let made = here.send("POST", &path(kind), &foreign).await.object();
        let more = ["--kubeconfig", &admin, "--register", "--webhook-configuration", &name, "--state-dir", &state];
        let (status, _, errors) = run(&mut spark_admission(&[&ANY[..], &more[..]].concat()));
        assert_eq!(status, Some(2), "{case}: {errors}");
        assert!(errors.contains("choose another name"), "{case}: {errors}");
        let is_left = async || {
            let now = here.send("GET", &format!("{}/{name}", path(kind)), &Value::Null).await.object();
            now["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        };
        assert!(is_left().await, "{case}");
        let statuses = registered(&here, &name).await;
        assert_eq!(statuses.iter().filter(|status| **status == 404).count(), 1, "{case}: {statuses:?}");
        let unregister = ["serve", "--unregister", "--kubeconfig", &admin, "--webhook-configuration", &name];
        let (status, _, errors) = run(&mut spark_admission(&unregister));
        assert_eq!(status, Some(2), "{case}: {errors}");
        assert!(is_left().await, "{case}, --unregister");
        here.send("DELETE", &format!("{}/{name}", path(kind)), &Value::Null).await.object();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_chart_installed_goes_with_its_own_hook_alone() {
    let here = Namespace::new().await;
    let name = format!("chart-{}", here.name);
    for kind in KINDS {
        let mut installed = foreign(&name, kind, "pods.spark-admission.io");
        installed["metadata"]["labels"] = json!({"app.kubernetes.io/instance": "mine"});
        here.send("POST", &path(kind), &installed).await.object();
    }
    let admin = here.cluster().admin().display().to_string();
    let unregister = ["serve", "--unregister", "--kubeconfig", &admin, "--webhook-configuration", &name];
    for (case, instance, status, left) in [
        ("no hook", &[][..], 2, [200, 200]),
        ("another's hook", &["--instance", "yours"], 2, [200, 200]),
        ("its own hook", &["--instance", "mine"], 0, [404, 404]),
        ("its own hook, once more", &["--instance", "mine"], 0, [404, 404]),
    ] {
        let (ended, _, errors) = run(&mut spark_admission(&[&unregister[..], instance].concat()));
        assert_eq!(ended, Some(status), "{case}: {errors}");
        assert_eq!(registered(&here, &name).await, left, "{case}");
    }
}

/// A configuration of somebody else's that is never asked.
fn foreign(name: &str, kind: &str, webhook: &str) -> Value {
    let kind = if kind == KINDS[0] { "MutatingWebhookConfiguration" } else { "ValidatingWebhookConfiguration" };
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name},
        "webhooks": [{
            "name": webhook, "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
            "clientConfig": {"url": "https://localhost:1/"}, "rules": []
        }]
    })
}

fn path(kind: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{kind}")
}

/// The statuses of a look for each of the two.
async fn registered(here: &Namespace, name: &str) -> [u16; 2] {
    let [mutating, validating] = KINDS.map(|kind| format!("{}/{name}", path(kind)));
    [here.send("GET", &mutating, &Value::Null).await.status, here.send("GET", &validating, &Value::Null).await.status]
}

async fn is_changed(here: &Namespace, pod: &Value) -> bool {
    let answer = here.create_dry(pod).await;
    answer.is_success() && !answer.body["metadata"]["annotations"]["spark-admission.io/mutated"].is_null()
}

fn notebook(app: &str) -> Value {
    let mut pod = probe();
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

/// A token of an account that nobody gave any rights.
async fn account_token(here: &Namespace) -> String {
    let path = format!("/api/v1/namespaces/{}/serviceaccounts/default/token", here.name);
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}});
    let token = here.send("POST", &path, &request).await.object();
    token["status"]["token"].as_str().unwrap().to_owned()
}
