//! Self-managed certificates: from nothing, through rotations under load, and back from whatever is done to them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use serde_json::{Value, json};
use spark_admission::{
    certs::{Bundle, CurrentCertificate, Held, Keeper, SECRET, served},
    cluster::{self, Place, SecretName},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{interval, sleep},
};

use crate::{
    cluster::{Cluster, Namespace, manifests, probe},
    nodes::{account, give_rights, is_ready, measured},
    support::{
        client, eventually,
        pki::Ca,
        process::{Serving, run, spark_admission},
        skip, within,
    },
};

/// Within what time everything has to be in order again.
const HEALED: Duration = Duration::from_secs(10);
/// How long API servers and replicas are given here.
const OVERLAP: &str = "2s";
const KINDS: [&str; 2] = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];

/// Servers that look after one Secret, behind a balancer that stands in for their Service.
struct Replicas {
    here: Namespace,
    kubeconfig: PathBuf,
    balancer: Balancer,
    running: Vec<Serving>,
    secret: SecretName,
    /// The name of the webhook configurations.
    configuration: String,
}

impl Replicas {
    /// So many at once, on an empty cluster where the webhook is registered with a `caBundle` that nobody has filled in.
    async fn start(
        here: Namespace,
        kubeconfig: PathBuf,
        (secret, configuration): (SecretName, String),
        count: usize,
    ) -> Self {
        let balancer = Balancer::start().await;
        register(&here, &configuration, balancer.port).await;
        let mut replicas = Self { here, kubeconfig, balancer, running: Vec::new(), secret, configuration };
        let starting: Vec<_> = (0..count).map(|_| replicas.starting()).collect();
        for starting in starting {
            replicas.running.push(starting.await.unwrap());
        }
        replicas.balance();
        replicas
    }

    /// One more, in its own thread: all start at once.
    fn starting(&self) -> tokio::task::JoinHandle<Serving> {
        let arguments = self.arguments();
        let cluster = self.here.cluster();
        tokio::task::spawn_blocking(move || {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            Serving::start(cluster.adopt(&mut spark_admission(&arguments)))
        })
    }

    fn arguments(&self) -> Vec<String> {
        let kubeconfig = self.kubeconfig.display().to_string();
        let secret = self.secret.to_string();
        let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
        arguments.extend(["--certificates", "self-managed", "--kubeconfig", &kubeconfig, "--secret", &secret]);
        arguments.extend(["--certificate-overlap", OVERLAP, "--drain-delay", "0s"]);
        arguments.extend(["--webhook-configuration", &self.configuration]);
        arguments.into_iter().map(ToOwned::to_owned).collect()
    }

    fn balance(&self) {
        let addresses = self.running.iter().map(|serving| serving.reviews.to_string()).collect();
        *self.balancer.servers.lock().unwrap() = addresses;
    }

    async fn data(&self) -> Option<BTreeMap<String, Vec<u8>>> {
        let found = self.here.send("GET", &self.path(), &Value::Null).await;
        if found.status == 404 {
            return None;
        }
        let secret = found.object();
        let data = secret["data"].as_object().into_iter().flatten();
        Some(data.map(|(key, text)| (key.clone(), STANDARD.decode(text.as_str().unwrap()).unwrap())).collect())
    }

    /// Where the Secret is.
    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets/{}", self.secret.namespace, self.secret.name)
    }

    async fn change_secret(&self, change: &Value) {
        self.here.merge_at(&self.path(), change).await.object();
    }

    async fn delete_secret(&self) {
        self.here.send("DELETE", &self.path(), &Value::Null).await.object();
    }

    /// What stands in the Secret, if it can be served with.
    async fn held(&self) -> Option<Held> {
        Held::read(self.data().await?, SystemTime::now()).ok()
    }

    /// The caBundle of every webhook that is registered.
    async fn bundles(&self) -> Vec<Bundle> {
        let mut bundles = Vec::new();
        for kind in KINDS {
            let configuration = self.here.send("GET", &path(kind, &self.configuration), &Value::Null).await.object();
            for webhook in configuration["webhooks"].as_array().unwrap() {
                let text = webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default();
                bundles.push(Bundle::from_pem(&STANDARD.decode(text).unwrap()));
            }
        }
        bundles
    }

    /// The Secret is good, everything registered trusts it, every server presents it, and the API server is answered.
    async fn are_in_order(&self) -> bool {
        let Some(held) = self.held().await else { return false };
        if !self.bundles().await.iter().all(|bundle| bundle == held.authorities()) {
            return false;
        }
        for serving in &self.running {
            let address = serving.reviews;
            let presented = served("127.0.0.1", address.port(), HEALED).await;
            if presented.as_deref() != Ok(&held.pair().key.cert[..]) || !is_ready(serving).await {
                return false;
            }
        }
        self.is_asked().await
    }

    /// Whether the API server gets an answer, and takes it.
    async fn is_asked(&self) -> bool {
        let answer = self.here.create_dry(&probe()).await;
        answer.is_success() && !answer.body["metadata"]["annotations"]["spark-admission.io/mutated"].is_null()
    }

    /// What `certs` says.
    fn certs(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let (kubeconfig, secret) = (self.here.cluster().admin().display().to_string(), self.secret.to_string());
        let all = [&["certs"], arguments, &["--kubeconfig", &kubeconfig, "--secret", &secret]].concat();
        let all = [&all[..], &["--webhook-configuration", &self.configuration]].concat();
        run(&mut spark_admission(&all))
    }

    /// How many reviews all of them have answered.
    async fn reviewed(&self) -> f64 {
        let mut reviews = 0.0;
        for serving in &self.running {
            let text = client::get(serving.admin, "/metrics").await.unwrap().text;
            let counted = text.lines().filter(|line| line.starts_with("spark_admission_reviews_total{"));
            reviews += counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>();
        }
        reviews
    }

    fn logs(&self) -> String {
        self.running.iter().map(Serving::log).collect()
    }
}

/// The manifest as a chart installs it, but with the balancer's URL in place of the Service, and for one namespace: nobody is trusted yet.
async fn register(here: &Namespace, name: &str, port: u16) {
    for mut configuration in manifests() {
        configuration["metadata"]["name"] = name.into();
        for webhook in configuration["webhooks"].as_array_mut().unwrap() {
            let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap().to_owned();
            webhook["clientConfig"] = json!({"url": format!("https://localhost:{port}{path}")});
            let here = json!({"key": "kubernetes.io/metadata.name", "operator": "In", "values": [here.name]});
            webhook["namespaceSelector"]["matchExpressions"].as_array_mut().unwrap().push(here);
        }
        let kind = configuration["kind"].as_str().unwrap().to_lowercase() + "s";
        here.send("POST", &format!("/apis/admissionregistration.k8s.io/v1/{kind}"), &configuration).await.object();
    }
}

fn path(kind: &str, name: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{kind}/{name}")
}

/// Hands each connection to the next server, as a Service does.
struct Balancer {
    port: u16,
    servers: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Balancer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let servers = Arc::<std::sync::Mutex<Vec<String>>>::default();
        let known = Arc::clone(&servers);
        tokio::spawn(async move {
            for turn in 0.. {
                let (mut client, _) = listener.accept().await.unwrap();
                let servers = known.lock().unwrap().clone();
                let Some(server) = servers.get(turn % servers.len().max(1)).cloned() else { continue };
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { port, servers }
    }
}

/// Everything in a namespace of its own, and under its name.
async fn replicas(here: Namespace, count: usize) -> Replicas {
    let (kubeconfig, namespace) = (here.cluster().admin(), here.name.clone());
    let configuration = format!("spark-admission-{namespace}");
    let secret = SecretName { namespace, name: SECRET.to_owned() };
    Replicas::start(here, kubeconfig, (secret, configuration), count).await
}

/// For a test that counts what the API server counts, or ends it.
async fn own_control_plane() -> Namespace {
    Namespace::on(Cluster::of_my_own().await, &json!({})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_rotations_in_a_row_while_reviews_flow_and_none_fails() {
    const ROTATIONS: usize = 10;
    let replicas = Arc::new(replicas(own_control_plane().await, 3).await);
    within(HEALED, "three replicas from nothing", async || replicas.are_in_order().await).await;
    eprintln!("in order");
    let before = replicas.held().await.unwrap();
    let (reviews_before, start) = (replicas.reviewed().await, Instant::now());

    let load = Load::default();
    let tasks = [
        tokio::spawn(create(Arc::clone(&replicas), load.clone())),
        tokio::spawn(connect(Arc::clone(&replicas), load.clone())),
    ];
    let (mut seen, mut last) = (vec![before.authorities().clone()], before);
    for rotation in 0..ROTATIONS {
        let rotating = Arc::clone(&replicas);
        let rotate = move || rotating.certs(&["rotate", "--wait", "--timeout", "60s"]);
        let (status, said, errors) = tokio::task::spawn_blocking(rotate).await.unwrap();
        assert_eq!(status, Some(0), "rotation {rotation}: {errors}{}", replicas.logs());
        assert!(said.starts_with("rotated: spark-admission CA "), "{said}");
        let now = replicas.held().await.unwrap();
        assert_ne!(now.pair().key.cert, last.pair().key.cert, "rotation {rotation}: another certificate");
        assert!(!seen.contains(now.authorities()), "rotation {rotation}: another CA");
        eprintln!("rotation {rotation} is done after {:.1} s", start.elapsed().as_secs_f64());
        seen.push(now.authorities().clone());
        last = now;
    }
    let (elapsed, reviews) = (start.elapsed().as_secs_f64(), replicas.reviewed().await - reviews_before);
    for task in tasks {
        task.abort();
    }
    let creates = load.creates.load(Ordering::Relaxed);
    eprintln!(
        "{ROTATIONS} rotations in {elapsed:.0} s, {:.0} reviews a second of 200, {creates} creates",
        reviews / elapsed
    );
    let failures = load.failures.lock().unwrap().clone();
    assert!(failures.is_empty(), "{} failures, first {}: {}", failures.len(), failures[0], replicas.logs());
    // Two idle cores do all that is asked for. On a machine that does much else the load falls behind; without load nothing would be shown.
    assert!(reviews / elapsed > 30.0, "{reviews} reviews in {elapsed} s");

    let asked = asked_without_failure(&replicas.here).await;
    assert!(asked >= reviews, "the API server counts what it asks: {asked}, {reviews}");
    eventually("every replica presents the last certificate", async || replicas.are_in_order().await).await;
    for (step, times) in [("make", 1.0), ("begin", 10.0), ("switch", 10.0), ("retire", 10.0), ("restore", 0.0)] {
        let line = format!("spark_admission_certificate_steps_total{{step=\"{step}\"}}");
        let counts = join_all(replicas.running.iter().map(|serving| measured(serving, &line))).await;
        assert_eq!(counts.iter().sum::<f64>(), times, "{step} was done by one replica each time: {counts:?}");
    }
    let rotated = "spark_admission_certificate_rotated_timestamp_seconds{}";
    assert!(measured(&replicas.running[0], rotated).await > 0.0);
}

/// What is asked of the webhook meanwhile, and what failed.
#[derive(Clone, Default)]
struct Load {
    creates: Arc<AtomicUsize>,
    failures: Arc<std::sync::Mutex<Vec<String>>>,
}

/// Has the API server ask for ever, 200 times a second.
async fn create(replicas: Arc<Replicas>, load: Load) {
    /// Each is two reviews: one to change the pod, one to judge it.
    const CREATES_A_SECOND: u64 = 100;
    let mut ticks = interval(Duration::from_millis(1_000 / CREATES_A_SECOND));
    // A machine that does much else would only be buried under what it cannot do at once; what was missed is caught up with.
    let at_once = Arc::new(Semaphore::new(16));
    // As the operator makes it. Of a driver that somebody else made the account's rights are looked up: a dozen requests more to the API
    // server, which would have no time for reviews.
    let mut driver = probe();
    driver["metadata"]["labels"]["sparkoperator.k8s.io/launched-by-spark-operator"] = "true".into();
    let driver = Arc::new(driver);
    loop {
        ticks.tick().await;
        let permit = Arc::clone(&at_once).acquire_owned().await.unwrap();
        let (replicas, load, driver) = (Arc::clone(&replicas), load.clone(), Arc::clone(&driver));
        tokio::spawn(async move {
            let answer = replicas.here.create_dry(&driver).await;
            drop(permit);
            load.creates.fetch_add(1, Ordering::Relaxed);
            if !answer.is_success() {
                load.failures.lock().unwrap().push(format!("{} {}", answer.status, answer.message()));
            }
        });
    }
}

/// Connects anew for ever: an API server that has just now read what is registered must be able to connect to any replica.
async fn connect(replicas: Arc<Replicas>, load: Load) {
    loop {
        let mut bundles = replicas.bundles().await;
        bundles.dedup();
        for bundle in bundles {
            for serving in &replicas.running {
                let chain = served("127.0.0.1", serving.reviews.port(), HEALED).await.unwrap();
                if let Some(why) = bundle.refuses(&chain, "localhost", SystemTime::now()) {
                    load.failures.lock().unwrap().push(format!("a new connection: the certificate {why}"));
                }
            }
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// How often the API server has asked us, as it counts; it must have counted no failure.
async fn asked_without_failure(here: &Namespace) -> f64 {
    let said = here.send("GET", "/metrics", &Value::Null).await;
    let metrics = said.body.as_str().unwrap();
    let ours = |line: &&str| line.contains("spark-admission.io") && !line.ends_with(" 0");
    for name in ["apiserver_admission_webhook_fail_open_count", "apiserver_admission_webhook_rejection_count"] {
        let counted: Vec<_> = metrics.lines().filter(|line| line.starts_with(name)).filter(ours).collect();
        assert!(counted.is_empty(), "as the API server counts: {counted:?}");
    }
    let asked =
        metrics.lines().filter(|line| line.starts_with("apiserver_admission_webhook_request_total")).filter(ours);
    asked.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_done_to_it_is_healed_within_ten_seconds() {
    let replicas = replicas(Namespace::new().await, 2).await;
    within(HEALED, "two replicas from nothing", async || replicas.are_in_order().await).await;
    let encoded = |text: &[u8]| Value::from(STANDARD.encode(text));
    let trust = async |bundle: Value| {
        for kind in KINDS {
            let configuration =
                replicas.here.send("GET", &path(kind, &replicas.configuration), &Value::Null).await.object();
            let names = configuration["webhooks"].as_array().unwrap().iter().map(|webhook| webhook["name"].clone());
            let operations = names.enumerate().map(|(place, _)| {
                let path = format!("/webhooks/{place}/clientConfig/caBundle");
                if bundle.is_null() {
                    json!({"op": "remove", "path": path})
                } else {
                    json!({"op": "add", "path": path, "value": bundle})
                }
            });
            replicas.here.json_patch_at(&path(kind, &replicas.configuration), &operations.collect()).await.object();
        }
    };
    let good = replicas.held().await.unwrap();
    let stranger = Ca::new("spark-admission CA of somebody else");
    let foreign = stranger.server(&["localhost"]);
    let expired = stranger.leaf_until(SystemTime::now() - Duration::from_hours(1));
    let half = |key: &str| encoded(&good.data()[key][..good.data()[key].len() / 2]);
    let pair = |leaf: &crate::support::pki::Leaf| json!({"tls.crt": encoded(leaf.certificate.as_bytes()), "tls.key": encoded(leaf.key.as_bytes())});
    let everything = json!({
        "ca.crt": encoded(b"-----BEGIN NONSENSE-----"), "ca.key": encoded(b"nonsense"), "tls.crt": encoded(b""), "tls.key": encoded(b"\0")
    });
    let without_authority = json!({"ca.crt": null, "ca.key": null});
    for (case, data) in [
        ("the certificate is truncated", json!({"tls.crt": half("tls.crt")})),
        ("the key is truncated", json!({"tls.key": half("tls.key")})),
        ("the CA is truncated", json!({"ca.crt": half("ca.crt")})),
        ("the CA's key is truncated", json!({"ca.key": half("ca.key")})),
        ("the CA is gone", without_authority),
        ("everything is something else", everything),
        ("a certificate that no CA in it signed", pair(&foreign)),
        ("an expired certificate", pair(&expired)),
        ("another's CA", json!({"ca.crt": encoded(stranger.pem.as_bytes())})),
        ("RSA from elsewhere", rsa()),
    ] {
        replicas.change_secret(&json!({"data": data})).await;
        within(HEALED, case, async || replicas.are_in_order().await).await;
        assert_eq!(replicas.held().await.unwrap().data(), good.data(), "{case}: what servers remember is put back");
    }
    replicas.delete_secret().await;
    within(HEALED, "the Secret is deleted", async || replicas.are_in_order().await).await;
    assert_eq!(replicas.held().await.unwrap().data(), good.data());
    replicas.change_secret(&json!({"data": {"tls.crt": half("tls.crt")}, "immutable": true})).await;
    within(HEALED, "the Secret is immutable", async || replicas.are_in_order().await).await;
    let opaque = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": {"a": "Yg=="}});
    eventually("somebody else is faster", async || {
        replicas.here.send("DELETE", &replicas.path(), &Value::Null).await;
        replicas.here.create(&opaque).await.is_success()
    })
    .await;
    within(HEALED, "another type", async || replicas.are_in_order().await).await;

    for (case, bundle) in [
        ("caBundle is gone", Value::Null),
        ("caBundle is a line break, as charts write it", encoded(b"\n")),
        ("caBundle is another's", encoded(stranger.pem.as_bytes())),
    ] {
        trust(bundle).await;
        within(HEALED, case, async || replicas.are_in_order().await).await;
    }
    // As a tool does that applies a repository again: the whole object, without what servers have written into it.
    for kind in KINDS {
        replicas.here.send("DELETE", &path(kind, &replicas.configuration), &Value::Null).await.object();
    }
    eventually("said once", async || replicas.logs().contains("nothing of ours is registered under this name yet"))
        .await;
    register(&replicas.here, &replicas.configuration, replicas.balancer.port).await;
    within(HEALED, "registered anew", async || replicas.are_in_order().await).await;
    assert_eq!(replicas.held().await.unwrap().data(), good.data(), "nobody needed another CA");
    let failed = "spark_admission_certificate_last_failure_timestamp_seconds";
    assert!(measured(&replicas.running[0], failed).await > 0.0);
}

/// What was in the Secret before the last rotation is put back, whole and still valid, as from a backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_older_secret_from_a_backup_is_taken_by_all() {
    let replicas = Arc::new(replicas(Namespace::new().await, 3).await);
    within(HEALED, "three replicas from nothing", async || replicas.are_in_order().await).await;
    let backup = replicas.data().await.unwrap();
    let (status, _, errors) = replicas.certs(&["rotate", "--wait", "--timeout", "60s"]);
    assert_eq!(status, Some(0), "{errors}");
    let load = Load::default();
    let creating = tokio::spawn(create(Arc::clone(&replicas), load.clone()));
    let asked = || load.creates.load(Ordering::Relaxed);
    let failed = || load.failures.lock().unwrap().len();
    eventually("reviews flow", async || asked() > 20).await;
    assert_eq!(failed(), 0);

    let encoded = |(key, bytes): (&String, &Vec<u8>)| (key.clone(), Value::from(STANDARD.encode(bytes)));
    let (data, restored) = (backup.iter().map(encoded).collect::<Value>(), Instant::now());
    replicas.change_secret(&json!({"data": data})).await;
    within(HEALED, "every replica and all that is registered", async || replicas.are_in_order().await).await;
    assert_eq!(replicas.data().await.unwrap(), backup, "what is valid is nothing to heal");
    within(HEALED.saturating_sub(restored.elapsed()), "reviews flow again, and none fails", async || {
        let (asked_before, failed_before) = (asked(), failed());
        eventually("reviews flow", async || asked() > asked_before + 20).await;
        failed() == failed_before
    })
    .await;
    eprintln!("{} of {} failed, for less than {:.1} s", failed(), asked(), restored.elapsed().as_secs_f64());
    creating.abort();
}

/// All replicas are gone, and what they left behind is not good: nobody remembers, so everything is made anew.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_remembers_is_made_anew() {
    let mut replicas = replicas(Namespace::new().await, 1).await;
    within(HEALED, "from nothing", async || replicas.are_in_order().await).await;
    let first = replicas.held().await.unwrap();
    replicas.running.clear();
    let again = replicas.starting().await.unwrap();
    replicas.running.push(again);
    replicas.balance();
    within(HEALED, "a restart", async || replicas.are_in_order().await).await;
    assert_eq!(replicas.held().await.unwrap().data(), first.data(), "a restart changes nothing");
    replicas.running.clear();
    replicas.change_secret(&json!({"data": {"tls.key": STANDARD.encode("x")}})).await;
    let again = replicas.starting().await.unwrap();
    replicas.running.push(again);
    replicas.balance();
    within(HEALED, "made anew", async || replicas.are_in_order().await).await;
    assert_ne!(replicas.held().await.unwrap().authorities(), first.authorities());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_away_the_last_certificate_stays_in_force() {
    let replicas = replicas(own_control_plane().await, 1).await;
    within(HEALED, "from nothing", async || replicas.are_in_order().await).await;
    let (serving, held) = (&replicas.running[0], replicas.held().await.unwrap());
    replicas.here.cluster().end_apiserver();
    serving.log_with("cannot look after the certificate; the last one stays in force");
    let presented = served("127.0.0.1", serving.reviews.port(), HEALED).await;
    assert_eq!(presented.as_deref(), Ok(&held.pair().key.cert[..]));
    assert!(is_ready(serving).await);
    replicas.here.cluster().start_apiserver().await;
    serving.log_with("the certificate can be looked after again");
    within(HEALED, "in order", async || replicas.are_in_order().await).await;
    assert_eq!(replicas.held().await.unwrap().data(), held.data());
}

/// In this process, since a process cannot be given another clock.
#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_a_minute_apart_agree() {
    const MINUTE: Duration = Duration::from_mins(1);
    let here = Namespace::new().await;
    let configuration = format!("spark-admission-{}", here.name);
    register(&here, &configuration, 1).await;
    let secret = SecretName { namespace: here.name.clone(), name: SECRET.to_owned() };
    let clocks: [fn() -> SystemTime; 3] =
        [|| SystemTime::now() - MINUTE, SystemTime::now, || SystemTime::now() + MINUTE];
    let mut replicas = Vec::new();
    for clock in clocks {
        let place = Place::Kubeconfig { file: Some(here.cluster().admin()), context: None };
        let certificate = Arc::<CurrentCertificate>::default();
        let keeper = Keeper {
            cluster: cluster::Cluster::at(place).await.unwrap(),
            secret: secret.clone(),
            configuration: configuration.clone(),
            names: vec!["spark-admission.operators.svc".to_owned()],
            overlap: Duration::from_secs(1),
            clock,
            certificate: Arc::clone(&certificate),
            metrics: Arc::default(),
        };
        let (keeping, in_force) = keeper.start();
        tokio::spawn(keeping.run());
        replicas.push((clock, certificate, in_force));
    }
    let agree = || {
        let first = replicas[0].1.pair()?;
        let is_same = |pair: &Arc<spark_admission::certs::Pair>| pair.key.cert == first.key.cert;
        replicas.iter().all(|(_, certificate, _)| certificate.pair().as_ref().is_some_and(is_same)).then_some(first)
    };
    eventually("all have the same certificate", async || agree().is_some()).await;
    for rotation in 0..3 {
        let before = agree().unwrap();
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}});
        let wish = json!({"metadata": {"annotations": {"spark-admission.io/rotate": "now"}}});
        here.merge(&object, &wish).await.object();
        eventually("all have the next certificate", async || {
            agree().is_some_and(|now| now.key.cert != before.key.cert)
        })
        .await;
        eventually("the old CA is gone", async || {
            replicas.iter().all(|(.., in_force)| {
                in_force.borrow().as_ref().is_some_and(|held| held.authorities().certificates().len() == 1)
            })
        })
        .await;
        for (clock, certificate, in_force) in &replicas {
            assert_eq!(certificate.why_invalid(clock()), None, "rotation {rotation}");
            let (pair, held) = (certificate.pair().unwrap(), in_force.borrow().clone().unwrap());
            for host in ["localhost", "spark-admission.operators.svc"] {
                assert_eq!(held.authorities().refuses(&pair.key.cert, host, clock()), None, "rotation {rotation}");
            }
        }
    }
}

/// Under the rights of the manifest nothing is forbidden, and none of them is there for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_the_manifest_are_enough_and_all_are_used() {
    // As before Kubernetes 1.34: what is watched is listed first.
    let cluster = Cluster::of_my_own_with(&["--feature-gates=WatchList=false"]).await;
    let here = Namespace::on(cluster, &json!({})).await;
    let kubeconfig = account(&here).await;
    let secret = "spark-admission/spark-admission-certificates".parse().unwrap();
    let mut replicas = Replicas::start(here, kubeconfig, (secret, "spark-admission".to_owned()), 1).await;
    let missing = &replicas.running[0];
    missing.log_with("manifests/rbac-self-managed.yaml has the rights that it takes");
    let answer = client::get(missing.admin, "/readyz").await.unwrap();
    assert_eq!((answer.status, answer.text.contains("not ready")), (503, true), "{}", answer.text);

    give_rights(&replicas.here, "rbac.yaml").await;
    give_rights(&replicas.here, "rbac-self-managed.yaml").await;
    eventually("the rights are used without a restart", async || is_ready(&replicas.running[0]).await).await;
    // From here on nothing may be forbidden: another server, which had the rights from the start.
    let second = replicas.starting().await.unwrap();
    replicas.running.push(second);
    replicas.balance();
    let in_order = async || replicas.are_in_order().await;
    within(HEALED, "in order", in_order).await;
    let (status, _, errors) = replicas.certs(&["rotate", "--wait", "--timeout", "60s"]);
    assert_eq!(status, Some(0), "{errors}");
    replicas.delete_secret().await;
    within(HEALED, "healed", in_order).await;
    replicas.change_secret(&json!({"data": {"tls.crt": ""}, "immutable": true})).await;
    within(HEALED, "healed of being immutable", in_order).await;

    let log = replicas.running[1].log();
    assert!(!log.contains("forbidden") && !log.contains("may not"), "{log}");
    let used = replicas.here.cluster().asked_by("system:serviceaccount:spark-admission:spark-admission");
    for (resource, verbs) in [
        ("secrets", &["get", "list", "watch", "create", "update", "delete"][..]),
        (KINDS[0], &["get", "list", "watch", "patch"][..]),
        (KINDS[1], &["get", "list", "watch", "patch"][..]),
    ] {
        let granted: Vec<_> = rules().into_iter().filter(|rule| rule.contains_resource(resource)).collect();
        for verb in verbs {
            assert!(used.contains(&format!("{verb} {resource}")), "{verb} {resource} is never used: {used:?}");
            assert!(granted.iter().any(|rule| rule.verbs.iter().any(|granted| granted == verb)), "{verb} {resource}");
        }
        let granted: Vec<_> = granted.iter().flat_map(|rule| &rule.verbs).collect();
        assert_eq!(granted.len(), verbs.len(), "{resource}: {granted:?} are granted");
    }
}

/// A rule of the manifest.
struct Rule {
    resources: Vec<String>,
    verbs: Vec<String>,
}

impl Rule {
    fn contains_resource(&self, resource: &str) -> bool {
        self.resources.iter().any(|granted| granted == resource)
    }
}

fn rules() -> Vec<Rule> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/rbac-self-managed.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    let texts = |list: &Value| list.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
    let documents = text.split("\n---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    let rules = documents.flat_map(|document| document["rules"].as_array().cloned().unwrap_or_default());
    rules.map(|rule| Rule { resources: texts(&rule["resources"]), verbs: texts(&rule["verbs"]) }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_say_what_fits_and_what_does_not() {
    let mut replicas = replicas(Namespace::new().await, 1).await;
    within(HEALED, "in order", async || replicas.are_in_order().await).await;
    let (status, said, errors) = replicas.certs(&["status"]);
    assert_eq!(status, Some(0), "{said}{errors}");
    for line in [
        &format!("Secret {}", replicas.secret),
        "  CA           spark-admission CA 20",
        "  certificate  localhost, spark-admission-",
        "  signed by    spark-admission CA 20",
        &format!("MutatingWebhookConfiguration {}, pods.spark-admission.io", replicas.configuration),
        &format!("ValidatingWebhookConfiguration {}, executors.spark-admission.io", replicas.configuration),
        "presents that of the Secret, until 20",
        "In order.",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let (status, said, _) = replicas.certs(&["status", "-o", "json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((status, &said["problems"], &said["webhooks"].as_array().unwrap().len()), (Some(0), &json!([]), &6));

    let (status, said, _) = replicas.certs(&["rotate"]);
    assert_eq!((status, said), (Some(0), format!("asked the servers of the Secret {} to rotate\n", replicas.secret)));
    replicas.running.clear();
    let (status, _, errors) = replicas.certs(&["rotate", "--wait", "--timeout", "300ms"]);
    assert_eq!(status, Some(1), "{errors}");
    assert!(errors.contains("not done in 300ms"), "{errors}");
    let (status, said, _) = replicas.certs(&["status"]);
    assert!(said.contains("cannot be reached from here") && said.contains("a rotation is asked for"), "{said}");
    assert_eq!(status, Some(0), "from outside of a cluster a Service cannot be reached: {said}");

    let stranger = STANDARD.encode(Ca::new("stranger").pem);
    let change = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": stranger}]);
    replicas.here.json_patch_at(&path(KINDS[1], &replicas.configuration), &change).await.object();
    let (status, said, _) = replicas.certs(&["status"]);
    assert_eq!(status, Some(1), "{said}");
    let expected = format!(
        "- ValidatingWebhookConfiguration {}, resources.spark-admission.io: the certificate of the Secret is not signed by what is trusted",
        replicas.configuration
    );
    assert!(said.contains(&expected), "{said}");
    replicas.delete_secret().await;
    let (status, said, _) = replicas.certs(&["status"]);
    assert!(status == Some(1) && said.contains("- there is no Secret"), "{said}");
    let (status, _, errors) = replicas.certs(&["rotate"]);
    assert!(status == Some(1) && errors.contains("there is no Secret"), "{errors}");
    let nobody = replicas.here.cluster().kubeconfig("nobody", |it| it["users"][0]["user"] = json!({"token": "x"}));
    let (status, said, errors) = run(spark_admission(&["certs", "status"]).env("KUBECONFIG", nobody));
    assert_eq!((status, said.as_str()), (Some(2), ""));
    assert!(errors.contains("does not accept the credentials"), "{errors}");
}

/// `--register` with a self-managed certificate: for the URL's host, and trusted from the first moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_registers_itself_is_trusted_at_once() {
    let here = own_control_plane().await;
    let (admin, secret) = (here.cluster().admin().display().to_string(), format!("{}/mine", here.name));
    let mut arguments = vec!["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--register"];
    arguments.extend(["--certificates", "self-managed", "--kubeconfig", &admin, "--secret", &secret]);
    arguments.extend(["--certificate-overlap", "500ms", "--drain-delay", "0s"]);
    let serving = Serving::start(here.cluster().adopt(&mut spark_admission(&arguments)));
    let is_asked = async || {
        let answer = here.create_dry(&probe()).await;
        assert!(answer.is_success() || !answer.message().contains("x509"), "{}", answer.message());
        answer.is_success() && !answer.body["metadata"]["annotations"]["spark-admission.io/mutated"].is_null()
    };
    eventually("a driver is changed", is_asked).await;
    let rotate = ["certs", "rotate", "--wait", "--timeout", "20s", "--kubeconfig", &admin, "--secret", &secret];
    let (status, _, errors) = run(&mut spark_admission(&rotate));
    assert_eq!(status, Some(0), "{errors}{}", serving.log());
    eventually("after a rotation", is_asked).await;
    drop(serving);
    let serving = Serving::start(here.cluster().adopt(&mut spark_admission(&arguments)));
    eventually("after a restart", async || here.create_dry(&probe()).await.is_success() && is_ready(&serving).await)
        .await;
}

/// Nothing is said but where it is: the account's files, and the variables that the kubelet sets.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_pod_it_is_the_default() {
    const POD: &str = "mount -t tmpfs none /var/run && mkdir -p /var/run/secrets/kubernetes.io && \
        ln -s \"$1\" /var/run/secrets/kubernetes.io/serviceaccount && shift && exec \"$@\"";
    let own_mounts = ["-m", "-rm"].into_iter().find(|flags| {
        let tried = Command::new("unshare").args([flags, "mount", "-t", "tmpfs", "none", "/var/run"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    });
    let Some(own_mounts) = own_mounts else {
        return skip(
            concat!(module_path!(), "::in_a_pod_it_is_the_default"),
            "unshare cannot give a process mounts of its own",
        );
    };
    let here = own_control_plane().await;
    let kubeconfig = std::fs::read_to_string(account(&here).await).unwrap();
    let kubeconfig: Value = serde_json::from_str(&kubeconfig).unwrap();
    for manifest in ["rbac.yaml", "rbac-self-managed.yaml"] {
        give_rights(&here, manifest).await;
    }
    let cluster = &kubeconfig["clusters"][0]["cluster"];
    let folder = here.cluster().scratch();
    std::fs::copy(cluster["certificate-authority"].as_str().unwrap(), folder.join("ca.crt")).unwrap();
    std::fs::write(folder.join("token"), kubeconfig["users"][0]["user"]["token"].as_str().unwrap()).unwrap();
    std::fs::write(folder.join("namespace"), "spark-admission").unwrap();
    let address = cluster["server"].as_str().unwrap().trim_start_matches("https://");
    let (host, port) = address.split_once(':').unwrap();

    let mut pod = Command::new("unshare");
    // The shell's own name tells what is started here that there will be no standalone server.
    pod.args([own_mounts, "sh", "-c", POD, "self-managed"]).arg(&folder).arg(env!("CARGO_BIN_EXE_spark-admission"));
    pod.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).env_remove("KUBECONFIG");
    pod.env("KUBERNETES_SERVICE_HOST", host).env("KUBERNETES_SERVICE_PORT", port);
    pod.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let serving = Serving::start(here.cluster().adopt(&mut pod));
    eventually("ready", async || is_ready(&serving).await).await;
    let secret = "/api/v1/namespaces/spark-admission/secrets/spark-admission-certificates";
    let secret = here.send("GET", secret, &Value::Null).await.object();
    assert_eq!(secret["type"], "kubernetes.io/tls");
    let authorities = STANDARD.decode(secret["data"]["ca.crt"].as_str().unwrap()).unwrap();
    let chain = served("127.0.0.1", serving.reviews.port(), HEALED).await.unwrap();
    let refused =
        Bundle::from_pem(&authorities).refuses(&chain, "spark-admission.spark-admission.svc", SystemTime::now());
    assert_eq!(refused, None, "for the name by which a Service is called");
}

/// What openssl would make by default for whoever makes certificates by hand: a CA of its own, RSA.
fn rsa() -> Value {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "spark-admission CA 2026");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (certificate, key_pem) = (params.self_signed(&key).unwrap().pem(), key.serialize_pem());
    let (certificate, key) = (STANDARD.encode(certificate), STANDARD.encode(key_pem));
    json!({"ca.crt": certificate, "ca.key": key, "tls.crt": certificate, "tls.key": key})
}
