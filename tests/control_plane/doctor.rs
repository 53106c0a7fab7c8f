//! What the doctor says of a platform: of a good one nothing, of a broken one what is broken; and its cures, as printed, cure it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use spark_admission::policy::values::timestamp;

use crate::{
    cluster::{
        Cluster, Namespace, cluster,
        platform::{self, CONTROLLER, Diagnosis, Platform, Terminal, WEBHOOK, deployment, slice},
    },
    support::{
        DEADLINE, eventually,
        pki::Ca,
        process::{Serving, spark_admission},
        within,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_good_platform_is_healthy_and_what_breaks_in_it_is_said_and_cured() {
    let mut platform = Platform::installed().await;
    let healthy = diagnosed(&platform);
    assert_eq!((healthy.status, healthy.found()), (0, vec![]), "{:#}", healthy.report);
    assert_eq!(healthy.report["notLookedAt"], json!([]), "{:#}", healthy.report);

    scaled_to_nothing(&mut platform).await;
    failing_again_and_again(&platform).await;
    definitions_that_are_missing_or_old(&platform).await;
    let watched = a_namespace_that_nobody_watches(&mut platform).await;
    let stuck = submitted_in_vain(&watched).await;
    nobody_behind_the_operators_webhook(&platform).await;
    a_certificate_that_nobody_trusts(&mut platform).await;
    a_registration_that_is_gone(&platform).await;
    who_signed_what_is_served(&platform).await;
    what_the_operator_cannot_take_up(&platform, &watched, &stuck).await;
    not_installed(&platform).await;
}

fn diagnosed(platform: &Platform) -> Diagnosis {
    platform.terminal.doctor(&["-n", &platform.jobs.name])
}

/// What is found, where it must be just that and no more.
#[track_caller]
fn only(diagnosis: &Diagnosis, name: &str) -> Value {
    assert_eq!((diagnosis.status, diagnosis.findings().len()), (1, 1), "{:#}", diagnosis.report);
    diagnosis.the(name).clone()
}

#[track_caller]
fn is_silent(diagnosis: &Diagnosis, case: &str) {
    assert_eq!((diagnosis.status, diagnosis.found()), (0, vec![]), "{case}: {:#}", diagnosis.report);
}

/// The API server learns of registrations and of what is behind a Service after a moment.
async fn healthy_again(platform: &Platform) {
    let start = Instant::now();
    loop {
        let diagnosis = diagnosed(platform);
        if diagnosis.status == 0 {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "not healthy again: {:#}", diagnosis.report);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The evidence of a finding as lines.
fn evidence(finding: &Value) -> String {
    let lines = finding["evidence"].as_array().unwrap().iter();
    let lines = lines.map(|it| format!("{}: {}", it["place"].as_str().unwrap(), it["says"].as_str().unwrap()));
    lines.collect::<Vec<_>>().join("\n")
}

async fn scaled_to_nothing(platform: &mut Platform) {
    for (name, what) in [(CONTROLLER, "the operator does not run"), (WEBHOOK, "the operator's webhook does not run")] {
        platform.terminal.shell(&format!("kubectl scale deployment {name} -n {} --replicas=0", platform.home.name));
        platform.have_ready(name, 0).await;
        platform.end(name);
        let found = only(&diagnosed(platform), "operator-not-running");
        assert!(found["problem"].as_str().unwrap().starts_with(what), "{found:#}");
        assert!(evidence(&found).contains("spec.replicas: 0"), "{found:#}");
        if name == WEBHOOK {
            let answer = platform.jobs.create(&platform::application("nobody", &json!({}))).await;
            assert_eq!(answer.status, 500, "without it: {}", answer.message());
            assert!(evidence(&found).contains("failed calling webhook"), "{found:#}");
        }
        platform.terminal.shell(found["cure"]["copy"].as_str().unwrap());
        assert_eq!(platform.home.get(&deployment(name)).await["spec"]["replicas"], 1);
        platform.run(name).await;
        platform.have_ready(name, 1).await;
        healthy_again(platform).await;
    }
}

async fn failing_again_and_again(platform: &Platform) {
    platform.have_ready(CONTROLLER, 0).await;
    let labels = &platform.home.get(&deployment(CONTROLLER)).await["spec"]["template"]["metadata"]["labels"];
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "so-1", "labels": labels},
        "spec": {"containers": [{"name": "spark-operator-controller", "image": "ghcr.io/kubeflow/spark-operator/controller:2.4.O"}]}
    });
    platform.home.create(&pod).await.object();
    let waiting =
        json!({"reason": "ImagePullBackOff", "message": "Back-off pulling image \"controller:2.4.O\": not found"});
    let status = json!({"status": {"containerStatuses": [{
        "name": "spark-operator-controller", "ready": false, "restartCount": 0, "image": "", "imageID": "", "state": {"waiting": waiting}
    }]}});
    platform.home.merge_status(&pod, &status).await.object();
    let found = only(&diagnosed(platform), "operator-not-running");
    assert!(evidence(&found).contains("ImagePullBackOff: Back-off pulling image"), "{found:#}");
    platform.home.delete_now(&pod).await.object();
    platform.have_ready(CONTROLLER, 1).await;
    is_silent(&diagnosed(platform), "the operator runs");
}

async fn a_namespace_that_nobody_watches(platform: &mut Platform) -> Namespace {
    let other = Namespace::on(platform.home.cluster(), &json!({})).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "spark-operator-spark"}});
    other.delete(&account).await.object();
    is_silent(&platform.terminal.doctor(&["-n", &other.name]), "a namespace without Spark");
    let application = platform::application("pi", &json!({}));
    other.create(&application).await.object();
    let diagnosis = platform.terminal.doctor(&["-n", &other.name]);
    let found = diagnosis.the("namespace-not-watched");
    assert_eq!(found["object"]["name"], *other.name);
    assert!(evidence(found).contains(&format!("--namespaces: {}", platform.jobs.name)), "{found:#}");
    assert_eq!(other.get(&application).await["status"], Value::Null, "nobody has seen it");

    platform.terminal.shell(diagnosis.cure("namespace-not-watched"));
    platform.run(CONTROLLER).await;
    eventually("the operator sees it", async || other.get(&application).await["status"].is_object()).await;
    let cured = platform.terminal.doctor(&["-n", &other.name]).found();
    assert!(cured.iter().all(|found| !found.contains("watched") && !found.contains("account")), "{cured:?}");
    other
}

/// A Connect server whose pod the API server does not take, which the operator tells nobody but its own log.
async fn submitted_in_vain(here: &Namespace) -> Value {
    let connect = json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": "analytics"},
        "spec": {
            "image": "apache/spark:3.5.7", "sparkVersion": "3.5.7", "server": {"template": {
                "metadata": {"labels": {"team": "of two words"}}, "spec": {"serviceAccountName": "spark-operator-spark"}
            }},
            "executor": {"template": {"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}}}
        }
    });
    here.create(&connect).await.object()
}

async fn what_the_operator_cannot_take_up(platform: &Platform, here: &Namespace, stuck: &Value) {
    let name = stuck["metadata"]["name"].as_str().unwrap();
    let say = || platform.terminal.doctor(&["-n", &here.name, name]);
    let made = timestamp::parse(stuck["metadata"]["creationTimestamp"].as_str().unwrap()).unwrap();
    let age = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed() - made;
    let grace = Duration::from_secs(90);
    within(grace, "the operator has had a minute", async || age() > 60).await;
    let found = only(&say(), "no-status");
    assert!(evidence(&found).contains("status: none"), "{found:#}");
    assert!(platform.log(CONTROLLER).contains("failed to create or update server pod"), "without it: that alone");
    let mended = json!({"spec": {"server": {"template": {"metadata": {"labels": {"team": "etl"}}}}}});
    here.merge(stuck, &mended).await.object();
    eventually("the operator takes it up", async || here.get(stuck).await["status"].is_object()).await;
    let cured = say().found();
    assert!(cured.iter().all(|found| !found.contains("no-status")), "{cured:?}");
}

async fn definitions_that_are_missing_or_old(platform: &Platform) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sparkconnects.sparkoperator.k8s.io";
    platform.home.send("DELETE", path, &Value::Null).await.object();
    eventually("it is gone", async || platform.home.send("GET", path, &Value::Null).await.status == 404).await;
    let found = only(&diagnosed(platform), "definition-missing");
    assert_eq!(found["object"]["name"], "sparkconnects.sparkoperator.k8s.io");
    platform.terminal.shell(found["cure"]["copy"].as_str().unwrap());
    is_silent(&diagnosed(platform), "the definition is there again");

    // As an operator before 2.4 left it: Helm upgrades no definitions.
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/sparkapplications.sparkoperator.k8s.io";
    let mut definition = platform.home.send("GET", path, &Value::Null).await.object();
    let spec = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"];
    spec.as_object_mut().unwrap().shift_remove("suspend").unwrap();
    platform.home.send("PUT", path, &definition).await.object();
    let found = only(&diagnosed(platform), "definition-outdated");
    assert!(evidence(&found).contains("no spec.suspend"), "{found:#}");
    platform.terminal.shell(found["cure"]["copy"].as_str().unwrap());
    is_silent(&diagnosed(platform), "the definition is current again");
}

async fn nobody_behind_the_operators_webhook(platform: &Platform) {
    platform.have_endpoints(false).await;
    let found = only(&diagnosed(platform), "webhook-unreachable");
    assert_eq!(found["object"]["name"], "spark-operator-webhook-svc");
    assert!(evidence(&found).contains("0 ready, 1 not ready"), "{found:#}");
    platform.terminal.shell(found["cure"]["copy"].as_str().unwrap());
    let annotations = &platform.home.get(&deployment(WEBHOOK)).await["spec"]["template"]["metadata"]["annotations"];
    assert!(annotations["kubectl.kubernetes.io/restartedAt"].is_string(), "the cure restarts it: {annotations}");
    platform.have_endpoints(true).await;
    healthy_again(platform).await;
}

async fn a_certificate_that_nobody_trusts(platform: &mut Platform) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "spark-operator-webhook-certs"}});
    let foreign = STANDARD.encode(Ca::new("foreign").pem);
    for kind in KINDS {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}/spark-operator-webhook");
        let mut configuration = platform.home.send("GET", &path, &Value::Null).await.object();
        platform.end(WEBHOOK); // It would put its own there again.
        for webhook in configuration["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = foreign.as_str().into();
        }
        platform.home.send("PUT", &path, &configuration).await.object();
    }
    let diagnosis = diagnosed(platform);
    assert_eq!(
        diagnosis.found(),
        [
            "webhook-certificate MutatingWebhookConfiguration/spark-operator-webhook",
            "webhook-certificate ValidatingWebhookConfiguration/spark-operator-webhook"
        ],
        "{:#}",
        diagnosis.report
    );
    let found = &diagnosis.findings()[0];
    assert!(evidence(found).contains("is not signed by what caBundle trusts"), "{found:#}");
    let before = platform.home.get(&secret).await;
    platform.terminal.shell(found["cure"]["copy"].as_str().unwrap());
    assert_eq!(platform.home.find(&secret).await.status, 404);
    platform.run(WEBHOOK).await;
    healthy_again(platform).await;
    assert_ne!(platform.home.get(&secret).await["data"], before["data"]);
}

async fn a_registration_that_is_gone(platform: &Platform) {
    for kind in KINDS {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}/spark-operator-webhook");
        platform.home.send("DELETE", &path, &Value::Null).await.object();
    }
    let found = only(&diagnosed(platform), "webhook-missing");
    platform.terminal.shell(found["cure"]["copy"].as_str().unwrap());
    healthy_again(platform).await;
}

/// Our webhook as a chart has it: behind a Service, with its certificate in a Secret that its pods mount.
async fn who_signed_what_is_served(platform: &Platform) {
    let home = Namespace::called(platform.home.cluster(), "spark-admission").await;
    let ca = Ca::new("ours");
    let leaf = ca.server(&["spark-admission.spark-admission.svc"]);
    let state = home.cluster().scratch();
    let file = |name: &str, text: &str| {
        let file = state.join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let (certificate, key) = (file("tls.crt", &leaf.certificate), file("tls.key", &leaf.key));
    let arguments = ["serve", "--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0"];
    let arguments = [&arguments[..], &["--tls-cert", &certificate, "--tls-key", &key]].concat();
    let serving = Serving::start(home.cluster().adopt(&mut spark_admission(&arguments)));
    let labels = json!({"app.kubernetes.io/name": "spark-admission"});
    let data =
        json!({"tls.crt": STANDARD.encode(&leaf.certificate), "ca.crt": STANDARD.encode(&ca.pem), "tls.key": ""});
    for object in [
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "spark-admission"}, "spec": {"selector": labels, "ports": [{"name": "webhook", "port": 443}]}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "certificate"}, "type": "kubernetes.io/tls", "data": data}),
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "spark-admission-1", "labels": labels},
            "spec": {"containers": [{"name": "webhook", "image": "spark-admission"}], "volumes": [{"name": "tls", "secret": {"secretName": "certificate"}}]}
        }),
        slice("spark-admission", serving.reviews.port(), true),
    ] {
        home.create(&object).await.object();
    }
    let foreign = STANDARD.encode(Ca::new("foreign").pem);
    for document in MANIFEST.split("\n---\n") {
        let mut object: Value = serde_saphyr::from_str(document).unwrap();
        for webhook in object["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = foreign.as_str().into();
        }
        let plural = object["kind"].as_str().unwrap().to_lowercase() + "s";
        home.send("POST", &format!("/apis/admissionregistration.k8s.io/v1/{plural}"), &object).await.object();
    }
    let diagnosis = diagnosed(platform);
    assert_eq!(
        diagnosis.found(),
        [
            "webhook-certificate MutatingWebhookConfiguration/spark-admission",
            "webhook-certificate ValidatingWebhookConfiguration/spark-admission"
        ],
        "{:#}",
        diagnosis.report
    );
    for found in diagnosis.findings() {
        assert!(evidence(found).contains("Secret spark-admission/certificate"), "{found:#}");
        platform.terminal.shell(found["cure"]["copy"].as_str().unwrap());
    }
    healthy_again(platform).await;
    drop(serving);
    for kind in KINDS {
        home.send("DELETE", &configuration(kind), &Value::Null).await.object();
    }
    healthy_again(platform).await;
}

async fn not_installed(platform: &Platform) {
    let application = platform::application("pi", &json!({}));
    platform.jobs.create(&application).await.object();
    platform.terminal.shell(&format!("helm uninstall spark-operator -n {}", platform.home.name));
    let diagnosis = diagnosed(platform);
    let found = diagnosis.the("operator-missing");
    let cure = found["cure"]["copy"].as_str().unwrap();
    assert!(cure.contains(&format!("spark.jobNamespaces={{{}}}", platform.jobs.name)), "{cure}");
    platform.terminal.shell(&cure.replace("helm upgrade", "helm upgrade --skip-crds"));
    let cured = diagnosed(platform).found();
    assert!(cured.iter().all(|found| !found.contains("operator-missing")), "{cured:?}");
}

/// An application that is to run as an account.
fn application(name: &str, account: &str) -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": name},
        "spec": {
            "type": "Python", "mode": "cluster", "image": "apache/spark:3.5.7", "sparkVersion": "3.5.7",
            "mainApplicationFile": "local:///opt/job.py", "driver": {"serviceAccount": account}, "executor": {}
        }
    })
}

/// What is said of accounts: another operator's absence, in whose namespace these tests are, is not what they are about.
fn of_accounts(diagnosis: &Diagnosis) -> Vec<String> {
    diagnosis.found().into_iter().filter(|found| found.contains("ServiceAccount/")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn accounts_that_are_missing_or_lack_rights_are_named_with_what_cures_them() {
    let here = Namespace::new().await;
    let terminal = Terminal::of(here.cluster()).await;
    let say = || terminal.doctor(&["-n", &here.name, "--no-dry-run"]);
    here.create(&application("pi", "etl")).await.object();
    let diagnosis = say();
    assert_eq!(of_accounts(&diagnosis), ["service-account-missing ServiceAccount/etl"], "{:#}", diagnosis.report);
    assert!(evidence(diagnosis.the("service-account-missing")).contains("spec.driver.serviceAccount: etl"));
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "as-etl"},
        "spec": {"serviceAccountName": "etl", "containers": [{"name": "a", "image": "a"}]}
    });
    let refused = here.create_dry(&pod).await;
    assert!(refused.message().contains("error looking up service account"), "without it: {}", refused.message());
    terminal.shell(diagnosis.cure("service-account-missing"));
    eventually("cured", async || of_accounts(&say()).is_empty()).await;
    let asked = terminal.shell(&format!(
        "kubectl auth can-i deletecollection configmaps -n {0} --as system:serviceaccount:{0}:etl",
        here.name
    ));
    assert_eq!(asked.trim(), "yes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_binding_or_role_that_is_nearly_right_is_named_and_mended() {
    let terminal = Terminal::of(cluster().await).await;
    let all = "create,get,list,watch,delete,deletecollection";
    let role = |verbs: &str| format!("kubectl create role spark --verb={verbs} --resource=pods,services,configmaps");
    let bind =
        |namespace: &str| format!("kubectl create rolebinding spark --role=spark --serviceaccount={namespace}:spark");
    for (case, prepare, place, says) in [
        ("nothing is bound", String::new(), "", "may not create"),
        (
            "another namespace's account",
            format!("{}\n{}", role(all), bind("default")),
            "subjects[].namespace",
            "default",
        ),
        ("a role that is not there", bind("HERE"), "roleRef", "role spark, which does not exist"),
        (
            "as Spark's users often have it",
            format!("{}\n{}", role("create,get,list,watch,delete"), bind("HERE")),
            "rules",
            "create, get, list, watch, delete",
        ),
        (
            "pods only",
            format!("kubectl create role spark --verb={all} --resource=pods\n{}", bind("HERE")),
            "rules",
            "pods",
        ),
    ] {
        let here = Namespace::new().await;
        for line in prepare.lines() {
            terminal.shell(&format!("{} -n {}", line.replace("HERE", &here.name), here.name));
        }
        here.create(&application("pi", "spark")).await.object();
        let say = || terminal.doctor(&["-n", &here.name, "--no-dry-run"]);
        eventually("the rights are known", async || of_accounts(&say()) == ["driver-permissions ServiceAccount/spark"])
            .await;
        let diagnosis = say();
        let found = diagnosis.the("driver-permissions");
        assert!(evidence(found).contains(place) && evidence(found).contains(says), "{case}: {found:#}");
        // What lacks the clean-up alone runs, and leaves things behind.
        let expected = if case.starts_with("as Spark's") { "warning" } else { "error" };
        assert_eq!(found["level"], expected, "{case}");
        terminal.shell(diagnosis.cure("driver-permissions"));
        eventually(case, async || of_accounts(&say()).is_empty()).await;
    }
}

const KINDS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

fn configuration(kind: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{kind}/spark-admission")
}

/// What is said of webhooks, and of nothing else.
fn of_webhooks(diagnosis: &Diagnosis) -> Vec<String> {
    diagnosis.found().into_iter().filter(|found| found.starts_with("webhook-")).collect()
}

async fn trust(here: &Namespace, bundle: &str) {
    for kind in KINDS {
        let mut configuration_now = here.send("GET", &configuration(kind), &Value::Null).await.object();
        for webhook in configuration_now["webhooks"].as_array_mut().unwrap() {
            webhook["clientConfig"]["caBundle"] = STANDARD.encode(bundle).into();
        }
        here.send("PUT", &configuration(kind), &configuration_now).await.object();
    }
}

/// Its own control plane: a registration concerns every namespace.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn our_webhook_that_is_unreachable_distrusted_or_half_registered() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let terminal = Terminal::of(here.cluster()).await;
    let say = || terminal.doctor(&["-n", &here.name]);
    let until = async |case: &str, expected: &[&str]| {
        let start = Instant::now();
        loop {
            let diagnosis = say();
            if of_webhooks(&diagnosis) == expected {
                return diagnosis;
            }
            assert!(start.elapsed() < DEADLINE, "{case}: {expected:?} is not what is found: {:#}", diagnosis.report);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let state = here.cluster().scratch().display().to_string();
    let admin = here.cluster().admin().display().to_string();
    let serve = |port: u16| {
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["serve", "--listen", &listen, "--admin-listen", "127.0.0.1:0", "--state-dir", &state];
        let arguments = [&arguments[..], &["--kubeconfig", &admin, "--register"]].concat();
        Serving::start(here.cluster().adopt(&mut spark_admission(&arguments)))
    };
    let serving = serve(0);
    let port = serving.reviews.port();
    until("registered and running", &[]).await;

    let (mutating, validating) = (
        "webhook-unreachable MutatingWebhookConfiguration/spark-admission",
        "webhook-certificate MutatingWebhookConfiguration/spark-admission",
    );
    drop(serving);
    let diagnosis = until("it ended", &[mutating]).await;
    let says = evidence(diagnosis.the("webhook-unreachable"));
    assert!(
        says.contains("failed calling webhook \"pods.spark-admission.io\"") && says.contains("connection refused"),
        "{says}"
    );
    let serving = serve(port);
    until("it runs again", &[]).await;

    trust(&here, &Ca::new("somebody").pem).await;
    let diagnosis = until("somebody else is trusted", &[validating]).await;
    assert!(evidence(diagnosis.the("webhook-certificate")).contains("x509: certificate signed by unknown authority"));
    // Its second line starts a server.
    let anew = |cure: &str| {
        let (unregister, register) = cure.split_once('\n').unwrap();
        assert!(register.ends_with(&format!(" --register --url https://127.0.0.1:{port}")), "{register}");
        terminal.shell(unregister);
    };
    anew(diagnosis.cure("webhook-certificate"));
    drop(serving);
    let serving = serve(port);
    until("it has registered anew", &[]).await;

    let mut expired = rcgen::CertificateParams::new(vec!["old".to_owned()]).unwrap();
    expired.not_after = rcgen::date_time_ymd(2020, 1, 1);
    trust(&here, &expired.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()).await;
    let both = [validating, "webhook-certificate ValidatingWebhookConfiguration/spark-admission"];
    let diagnosis = until("what is trusted has expired", &both).await;
    let first = |diagnosis: &Diagnosis| {
        diagnosis.findings().iter().find(|finding| finding["finding"] == "webhook-certificate").unwrap().clone()
    };
    assert!(evidence(&first(&diagnosis)).contains("valid until 2020-01-01T00:00:00Z"), "{:#}", diagnosis.report);
    anew(first(&diagnosis)["cure"]["copy"].as_str().unwrap());
    drop(serving);
    let serving = serve(port);
    until("it has registered anew, again", &[]).await;

    here.send("DELETE", &configuration(KINDS[1]), &Value::Null).await.object();
    until("half is gone", &["webhook-missing ValidatingWebhookConfiguration/spark-admission"]).await;
    drop(serving);
    let half = [mutating, "webhook-missing ValidatingWebhookConfiguration/spark-admission"];
    let diagnosis = until("and it ended", &half).await;
    terminal.shell(diagnosis.cure("webhook-unreachable"));
    until("nothing is registered: it is not installed", &[]).await;
    let changed = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "pi-driver", "labels": {"spark-role": "driver"}, "annotations": {"spark-admission.io/mutated": "ivy-cache"}},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.7"}]}
    });
    here.create(&changed).await.object();
    until("it was", &["webhook-missing MutatingWebhookConfiguration/spark-admission"]).await;
    here.delete_now(&changed).await.object();

    // As the manifest has it, without anything installed.
    for document in MANIFEST.split("\n---\n") {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        let plural = object["kind"].as_str().unwrap().to_lowercase() + "s";
        here.send("POST", &format!("/apis/admissionregistration.k8s.io/v1/{plural}"), &object).await.object();
    }
    let diagnosis =
        until("the manifest alone", &[both[0], both[1], "webhook-unreachable Service/spark-admission"]).await;
    assert!(evidence(&first(&diagnosis)).contains("caBundle: empty"), "{:#}", diagnosis.report);
}

const MANIFEST: &str = include_str!("../../manifests/webhook.yaml");

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn names_and_namespaces_are_kubectls() {
    let here = Namespace::new().await;
    let terminal = Terminal::of(here.cluster()).await;
    for name in ["daily-report", "hourly-report"] {
        here.create(&application(name, "spark")).await.object();
    }
    let elsewhere = Namespace::new().await;
    elsewhere.create(&application("elsewhere", "spark")).await.object();
    let doctor = |program: &str, arguments: &[&str]| {
        let output = terminal.command(program).args(arguments).args(["-o", "json"]).output().unwrap();
        Diagnosis::read(&output)
    };
    let resources = |diagnosis: &Diagnosis| diagnosis.report["lookedAt"]["resources"].as_u64();
    let named = doctor("spark-admission", &["doctor", "-n", &here.name, "daily-report"]);
    assert_eq!((resources(&named), &named.report["name"]), (Some(1), &json!("daily-report")), "{}", named.errors);
    assert_eq!(resources(&doctor("spark-admission", &["doctor", "-n", &here.name])), Some(2));
    assert!(resources(&doctor("spark-admission", &["doctor", "--all"])) >= Some(3));
    let plugin = doctor("kubectl", &["spark-admission", "doctor", "-n", &here.name]);
    assert_eq!(resources(&plugin), Some(2), "as a plugin of kubectl: {}", plugin.errors);

    // The namespace of the context, as kubectl has it.
    let kubeconfig = here.cluster().kubeconfig(&format!("context.{}", here.name), |it| {
        it["contexts"][0]["context"]["namespace"] = here.name.as_str().into();
    });
    let output = terminal
        .command("kubectl")
        .args(["spark-admission", "doctor", "-o", "json"])
        .env("KUBECONFIG", &kubeconfig)
        .output();
    let diagnosis = Diagnosis::read(&output.unwrap());
    assert_eq!(diagnosis.report["namespace"], *here.name, "{}", diagnosis.errors);

    let unreachable = here.cluster().kubeconfig(&format!("unreachable.{}", here.name), |it| {
        it["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1".into();
    });
    let unreachable = unreachable.display().to_string();
    for (case, arguments, says) in [
        (
            "a name that is nearly right",
            &["-n", &here.name, "dialy-report"][..],
            "did you mean daily-report or hourly-report?",
        ),
        ("in capitals", &["-n", &here.name, "Daily-Report"], "did you mean daily-report"),
        (
            "a name that nothing is like",
            &["-n", &here.name, "xyz"],
            "there is no application, Connect server, schedule or pod \"xyz\"",
        ),
        ("no name of anything", &["-n", &here.name, "../secrets"], "there is no application"),
        ("in another namespace", &["-n", &elsewhere.name, "daily-report"], "there is no application"),
        ("no namespace", &["-n", "no-such-namespace"], "there is no namespace \"no-such-namespace\""),
        ("no context", &["--context", "elsewhere"], "cannot use the kubeconfig"),
        ("no cluster", &["--kubeconfig", &unreachable], "cannot reach the cluster at https://127.0.0.1:1/"),
        ("no policy", &["--policy", "/no/such/policy.yaml"], "cannot read the policy"),
    ] {
        let diagnosis = doctor("spark-admission", &[&["doctor"], arguments].concat());
        assert!(diagnosis.status == 2 && diagnosis.errors.contains(says), "{case}: {}", diagnosis.errors);
    }
}

/// It came in before the webhook; what its checks would say now is said, and what its mutations would do.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_check_would_refuse_is_found_in_what_is_there_already() {
    let here = Namespace::new().await;
    let terminal = Terminal::of(here.cluster()).await;
    let mut wrong = application("pi", "default");
    wrong["spec"]["driver"]["memory"] = "512Mi".into();
    here.create(&wrong).await.object();
    let say = || terminal.doctor(&["-n", &here.name, "--no-dry-run"]);
    let diagnosis = say();
    let found = diagnosis.the("fails-check");
    assert_eq!((&found["level"], &found["object"]["name"]), (&json!("error"), &json!("pi")), "{found:#}");
    assert!(evidence(found).contains("spec.driver.memory: "), "{found:#}");
    assert!(found["cure"]["sentence"].as_str().unwrap().contains("docs/checks.md#spark-memory"), "{found:#}");
    here.merge(&wrong, &json!({"spec": {"driver": {"memory": "512m"}, "deps": {"packages": ["a:b:1"]}}}))
        .await
        .object();
    let mended = say().found();
    assert!(mended.iter().all(|found| !found.starts_with("fails-check")), "{mended:?}");
    let shown = terminal.shell(&format!("spark-admission doctor -n {} pi --no-dry-run || true", here.name));
    let line = format!("SparkApplication {}/pi: not changed; created now, it would be changed by ivy-dir", here.name);
    assert!(shown.contains(&line), "{shown}");
    let help = terminal.shell("kubectl spark-admission doctor --help");
    assert!(help.contains("Usage: kubectl spark-admission doctor [OPTIONS] [NAME]"), "{help}");
}

/// Somebody who may look at nothing is told of each thing which rule it takes; with just these rules nothing is missing any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_may_not_be_looked_at_is_said_with_the_rule_that_it_takes() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let terminal = Terminal::of(here.cluster()).await;
    here.create(&application("pi", "default")).await.object();
    let token = here.token("spark").await;
    let kubeconfig = here.cluster().kubeconfig("spark", |it| it["users"][0]["user"] = json!({"token": token}));
    let say = || {
        let mut command = terminal.command("spark-admission");
        let output = command.args(["doctor", "-o", "json", "-n", &here.name]).env("KUBECONFIG", &kubeconfig).output();
        Diagnosis::read(&output.unwrap())
    };
    let diagnosis = say();
    assert_eq!(
        (diagnosis.status, diagnosis.found()),
        (2, vec![]),
        "nothing seen, nothing concluded: {:#}",
        diagnosis.report
    );
    let mut given = std::collections::BTreeSet::new();
    loop {
        let diagnosis = say();
        let missing = diagnosis.report["notLookedAt"].as_array().unwrap();
        if missing.is_empty() {
            assert_eq!(diagnosis.report["lookedAt"]["resources"], 1);
            assert!(
                diagnosis.found().contains(&"driver-permissions ServiceAccount/default".to_owned()),
                "{:#}",
                diagnosis.report
            );
            break;
        }
        for unseen in missing {
            let wanted = &unseen["rule"];
            assert!(unseen["why"].as_str().unwrap().contains("forbidden"), "{unseen:#}");
            assert!(given.insert(wanted.to_string()), "given already: {unseen:#}");
            let namespaced = wanted["namespace"] != "";
            let name = format!("rule-{}", given.len());
            let prefix = if namespaced { "" } else { "Cluster" };
            let api = "rbac.authorization.k8s.io";
            let role = json!({
                "apiVersion": format!("{api}/v1"), "kind": format!("{prefix}Role"), "metadata": {"name": name},
                "rules": [{"apiGroups": wanted["apiGroups"], "resources": wanted["resources"], "verbs": wanted["verbs"]}]
            });
            let binding = json!({
                "apiVersion": format!("{api}/v1"), "kind": format!("{prefix}RoleBinding"), "metadata": {"name": name},
                "roleRef": {"apiGroup": api, "kind": format!("{prefix}Role"), "name": name},
                "subjects": [{"kind": "ServiceAccount", "namespace": here.name, "name": "spark"}]
            });
            for object in [role, binding] {
                let place = wanted["namespace"]
                    .as_str()
                    .filter(|_| namespaced)
                    .map_or(String::new(), |it| format!("/namespaces/{it}"));
                let plural = object["kind"].as_str().unwrap().to_lowercase() + "s";
                here.send("POST", &format!("/apis/{api}/v1{place}/{plural}"), &object).await.object();
            }
        }
        // The authorizer learns of rights by a watch of its own.
        let last = missing.last().unwrap()["what"].clone();
        eventually("the last rule counts", async || {
            let still = say();
            let still = still.report["notLookedAt"].as_array().unwrap();
            still.iter().all(|unseen| unseen["what"] != last)
        })
        .await;
    }
}

/// How many requests about Spark's work the API server has answered.
async fn answered(here: &Namespace) -> f64 {
    let metrics = here.send("GET", "/metrics", &Value::Null).await.body;
    let counts = metrics.as_str().unwrap().lines().filter(|line| line.starts_with("apiserver_request_total{"));
    let about =
        ["pods", "events", "sparkapplications", "sparkconnects", "scheduledsparkapplications", "subjectaccessreviews"];
    let counts = counts.filter(|line| about.iter().any(|it| line.contains(&format!("resource=\"{it}\""))));
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn five_hundred_applications_take_a_few_requests() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let terminal = Terminal::of(here.cluster()).await;
    let make = async |number: usize| {
        here.create(&application(&format!("pi-{number}"), "spark")).await.object();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("pi-{number}-driver"), "labels": {"spark-role": "driver"}},
            "spec": {
                "nodeName": "somewhere", "serviceAccountName": "spark",
                "containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.7"}]
            }
        });
        here.create(&pod).await.object();
        // A few fail again and again, the others run and have no executors: the log of each would tell more.
        let trouble = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let state = if number < 10 { trouble } else { json!({"running": {}}) };
        let status = json!({"status": {"phase": "Running", "containerStatuses": [{
            "name": "spark-kubernetes-driver", "ready": true, "restartCount": i32::from(number < 10), "image": "", "imageID": "", "state": state,
            "lastState": if number < 10 { json!({"terminated": {"exitCode": 1}}) } else { json!({}) }
        }]}});
        here.merge_status(&pod, &status).await.object();
    };
    // One more than fits on a page.
    futures_util::future::join_all((0..501).map(make)).await;
    let before = answered(&here).await;
    let start = Instant::now();
    let diagnosis = terminal.doctor(&["-n", &here.name]);
    let (requests, took) = (answered(&here).await - before, start.elapsed());
    assert_eq!(diagnosis.report["lookedAt"], json!({"resources": 501, "pods": 501}), "{}", diagnosis.errors);
    // Two pages each of pods and resources, nine rights of the account, and a hundred logs.
    assert!((100.0..140.0).contains(&requests), "{requests} requests, {took:?}");
    let unread = diagnosis.report["notLookedAt"].as_array().unwrap();
    assert!(unread.iter().any(|it| it["what"] == "read 401 more logs"), "{unread:#?}");
    assert!(took < Duration::from_secs(15), "{took:?}");
    let one = answered(&here).await;
    let diagnosis = terminal.doctor(&["-n", &here.name, "pi-250"]);
    assert_eq!(diagnosis.report["lookedAt"]["resources"], 1);
    let requests = answered(&here).await - one;
    assert!(requests < 40.0, "{requests} requests for one name");
}
