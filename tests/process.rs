//! The real binary: how it starts, what it prints, and how it ends.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what is counted is whole")]

mod support;

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use support::{
    DEADLINE,
    client::{Client, get},
    eventually, metric,
    pki::Ca,
    process::{Serving, run, spark_admission},
    review,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

fn client(serving: &Serving, state: &Path) -> Client {
    Client::new(serving.reviews, &std::fs::read_to_string(state.join("ca.crt")).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_for_a_development_ca_makes_what_can_be_served_with() {
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("certs/development-ca.sh");
    let run_script =
        |names: &[&str]| Command::new(&script).arg("--folder").arg(folder.path()).args(names).output().unwrap();
    let nothing = run_script(&[]);
    assert_eq!(nothing.status.code(), Some(2), "{}", String::from_utf8_lossy(&nothing.stderr));
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let mut authorities = Vec::new();
    for _ in 0..2 {
        let made = run_script(&["spark-admission.operators.svc", "localhost", "127.0.0.1"]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        authorities.push(read("ca.crt"));
    }
    assert_eq!(authorities[0], authorities[1], "the CA is kept");
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["ca.crt", "ca.key", "tls.crt", "tls.key"], "no draft is left");
    for key in ["ca.key", "tls.key"] {
        let mode = std::fs::metadata(folder.path().join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{key} is its owner's alone");
    }
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = (file("tls.crt"), file("tls.key"));
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--tls-cert", &certificate];
    let serving = Serving::start(&mut spark_admission(&[&arguments[..], &["--tls-key", &key]].concat()));
    assert_eq!(client(&serving, folder.path()).review("mine").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_under_load_drops_no_review() {
    let state = tempfile::tempdir().unwrap();
    let serving = Serving::standalone(state.path(), &["--drain-delay", "700ms", "--log-level", "warn"]);
    let (answered, gone) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut clients = JoinSet::new();
    for number in 0..8 {
        let client = client(&serving, state.path());
        let client = if number % 4 == 3 { client.http2() } else { client };
        clients.spawn(keep_reviewing(client, number % 2 == 0, Arc::clone(&answered), Arc::clone(&gone)));
    }
    eventually("reviews flow", async || answered.load(Relaxed) > 50).await;
    serving.signal("TERM");
    eventually("not ready", async || get(serving.admin, "/readyz").await.unwrap().status == 503).await;
    let at_signal = answered.load(Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    assert_eq!(gone.load(Relaxed), 8, "every client went on until the port was gone");
    assert!(answered.load(Relaxed) > at_signal, "reviews were served during the delay");
    let (status, log) = serving.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Sends reviews until the port is gone; every review that was sent must be answered.
async fn keep_reviewing(client: Client, keep: bool, answered: Arc<AtomicU32>, gone: Arc<AtomicU32>) {
    loop {
        let Ok(tls) = client.tls().await else {
            // A connection that the kernel took while the port was closed is reset: then the next one must be refused.
            assert!(TcpStream::connect(client.address).await.is_err(), "no handshake on a port that is open");
            gone.fetch_add(1, Relaxed);
            return;
        };
        let mut connection = support::client::Connection::over(tls).await.unwrap();
        loop {
            let answer = timeout(DEADLINE, connection.review("load"))
                .await
                .expect("a review in time")
                .expect("an accepted review");
            assert_eq!(answer.status, 200, "{answer:?}");
            answered.fetch_add(1, Relaxed);
            if !keep || !connection.is_ready().await {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_flight_is_finished_and_what_never_ends_has_a_deadline() {
    for (case, finishes) in [("the body comes at last", true), ("the body never comes", false)] {
        let state = tempfile::tempdir().unwrap();
        let serving = Serving::standalone(state.path(), &["--drain-timeout", "2s"]);
        let body = review("half");
        let mut tls = client(&serving, state.path()).tls().await.unwrap();
        let head = format!(
            "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        tls.write_all(head.as_bytes()).await.unwrap();
        tls.flush().await.unwrap();
        let in_flight = async || {
            metric(&get(serving.admin, "/metrics").await.unwrap().text, "spark_admission_reviews_in_flight") == 1.0
        };
        eventually(case, in_flight).await;
        let start = Instant::now();
        serving.signal("INT");
        eventually(case, async || TcpStream::connect(serving.reviews).await.is_err()).await;
        if finishes {
            tls.write_all(body.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            tls.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 "), "{case}");
        }
        let (status, log) = serving.ended();
        assert_eq!(status.code(), Some(0), "{case}: {log}");
        assert_eq!(log.contains("did not finish in time"), !finishes, "{case}: {log}");
        assert!(start.elapsed() < Duration::from_secs(6), "{case}: {:?}", start.elapsed());
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let state = tempfile::tempdir().unwrap();
    let serving = Serving::standalone(state.path(), &["--drain-delay", "1h"]);
    serving.signal("TERM");
    serving.log_with("shutting down");
    serving.signal("TERM");
    assert_eq!(serving.ended().0.code(), Some(143));
}

#[test]
fn what_is_wrong_at_the_start_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let ca = Ca::new("test");
    let (leaf, other) = (ca.leaf(), ca.leaf());
    let (certificate, key) = (file("tls.crt", leaf.certificate.as_bytes()), file("tls.key", leaf.key.as_bytes()));
    let (foreign, junk) = (file("other.key", other.key.as_bytes()), file("junk", b"\xff\xfe"));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let state = folder.path().join("state").display().to_string();
    let pair = ["--tls-cert", certificate.as_str(), "--tls-key"];
    let cases: [(&str, Vec<&str>, i32, &str); 11] = [
        (
            "no certificate file",
            vec!["--tls-cert", "/nonexistent.crt", "--tls-key", &key],
            2,
            "cannot read /nonexistent.crt",
        ),
        ("no certificate in the file", vec!["--tls-cert", &junk, "--tls-key", &key], 2, "holds no certificate"),
        ("no key in the file", [&pair[..], &[&junk]].concat(), 2, "holds no private key"),
        ("another's key", [&pair[..], &[&foreign]].concat(), 2, "the key is not the certificate's"),
        ("a certificate without its key", vec!["--tls-cert", &certificate], 2, "--tls-key"),
        ("files that are not named", vec!["--certificates", "files"], 2, "needs --tls-cert and --tls-key"),
        ("both", [&pair[..], &[&key, "--certificates", "standalone"]].concat(), 2, "leave out --tls-cert"),
        ("no CA in the file", [&pair[..], &[&key, "--client-ca", &junk]].concat(), 2, "holds no certificate"),
        ("no policy file", vec!["--state-dir", &state, "--policy", "/nonexistent.yaml"], 2, "--policy"),
        ("a policy that is no text", vec!["--state-dir", &state, "--policy", &junk], 2, "junk"),
        ("an unwritable state directory", vec!["--state-dir", "/proc/nonexistent"], 1, "--state-dir"),
    ];
    for (case, flags, status, says) in cases {
        let arguments = [&["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"][..], &flags].concat();
        let (code, out, err) = run(&mut spark_admission(&arguments));
        assert_eq!(code, Some(status), "{case}: {out}{err}");
        assert!(err.contains(says), "{case}: {err}");
    }
    for (case, flags) in [
        ("taken", ["--listen", &taken, "--admin-listen", "127.0.0.1:0"]),
        ("admin", ["--listen", "127.0.0.1:0", "--admin-listen", &taken]),
    ] {
        let (code, _, err) = run(&mut spark_admission(&[&["serve", "--state-dir", &state][..], &flags].concat()));
        assert_eq!(code, Some(2), "{case}: {err}");
        assert!(
            err.contains(&format!("cannot listen on {taken}")) && err.contains("choose another address"),
            "{case}: {err}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standalone_server_keeps_its_ca_and_its_curl_line_works() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("it's a state");
    let mut authorities = Vec::new();
    for start in ["first", "second"] {
        let serving = Serving::standalone(&state, &[]);
        authorities.push(std::fs::read_to_string(state.join("ca.crt")).unwrap());
        assert!(serving.printed.contains(&state.join("ca.crt").display().to_string()), "{}", serving.printed);
        assert_eq!(get(serving.admin, "/readyz").await.unwrap().status, 200);
        let line = serving.printed.lines().last().unwrap();
        if Command::new("curl").arg("--version").output().is_ok() {
            let out = Command::new("sh")
                .args(["-c", &format!("{line} --silent --show-error --write-out '%{{http_code}}'")])
                .output()
                .unwrap();
            let said = String::from_utf8(out.stdout).unwrap();
            assert!(out.status.success(), "{start}: {}", String::from_utf8_lossy(&out.stderr));
            assert!(said.ends_with("200"), "{start}: {said}");
        }
        let answer = client(&serving, &state).review("hello").await.unwrap();
        assert_eq!(answer.status, 200, "{start}: {answer:?}");
    }
    assert_eq!(authorities[0], authorities[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_policy_keeps_the_last_good_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let good = "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n";
    std::fs::write(&file, good).unwrap();
    let serving = Serving::standalone(
        &folder.path().join("state"),
        &["--policy", &file.display().to_string(), "--log-format", "json"],
    );
    let reloads = async |result: &str| {
        let text = get(serving.admin, "/metrics").await.unwrap().text;
        metric(&text, &format!("spark_admission_reloads_total{{what=\"policy\",result=\"{result}\"}}"))
    };
    std::fs::write(&file, b"\xff\xfe").unwrap();
    eventually("a bad policy is counted", async || reloads("failed").await == 1.0).await;
    assert_eq!(get(serving.admin, "/readyz").await.unwrap().status, 200);
    std::fs::write(&file, format!("{good}# again\n")).unwrap();
    eventually("a good policy is taken", async || reloads("ok").await == 1.0).await;
    let log = serving.log_with("\"reloaded\"");
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let bad: Vec<_> = lines.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(bad.len(), 1, "{log}");
    assert!(bad[0]["why"].as_str().unwrap().contains("policy.yaml"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_one_line_that_says_what_was_decided() {
    let state = tempfile::tempdir().unwrap();
    let serving = Serving::standalone(state.path(), &["--log-format", "json"]);
    let mut connection = client(&serving, state.path()).connect().await.unwrap();
    let (driver, other) = (review("of-a-driver"), review("of-another-pod").replace("spark-role", "app"));
    for body in [driver, other] {
        connection.post("/mutate", "application/json", body).await.unwrap();
    }
    let log = serving.log_with("of-another-pod");
    let line_of = |uid: &str| -> serde_json::Value {
        serde_json::from_str(log.lines().find(|line| line.contains(uid)).unwrap()).unwrap()
    };
    let (driver, other) = (line_of("of-a-driver"), line_of("of-another-pod"));
    for (line, key, expected) in [
        (&driver, "message", "review"),
        (&driver, "name", "pi-driver"),
        (&driver, "role", "driver"),
        (&driver, "outcome", "mutated"),
        (&driver, "mutations", "ivy-cache,ivy-dir,spark-user"),
        (&other, "role", "none"),
        (&other, "outcome", "allowed"),
        (&other, "untouched", "not-spark"),
    ] {
        assert_eq!(line[key], expected, "{key}: {line}");
    }
    assert!(driver.get("untouched").is_none(), "{driver}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_holds_up_no_review() {
    let state = tempfile::tempdir().unwrap();
    let directory = state.path().display().to_string();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--state-dir", &directory];
    let (read, go) = std::sync::mpsc::channel();
    let serving = Serving::start_and_read_log_after(&mut spark_admission(&arguments), Some(go));
    let mut connection = client(&serving, state.path()).connect().await.unwrap();
    // Each leaves a line of more than 100 bytes: far more than the pipe and the server's own buffer take.
    for _ in 0..6000 {
        let answer =
            timeout(DEADLINE, connection.post("/mutate", "text/plain", "")).await.expect("an answer in time").unwrap();
        assert_eq!(answer.status, 415);
    }
    drop(read);
    serving.log_with("log lines were lost");
    serving.signal("TERM");
    assert_eq!(serving.ended().0.code(), Some(0));
}

#[test]
fn kubeconfig_is_ignored_and_a_line_says_so() {
    let state = tempfile::tempdir().unwrap();
    let state = state.path().display().to_string();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--state-dir", &state];
    let serving = Serving::start(spark_admission(&arguments).env("KUBECONFIG", "/nonexistent"));
    serving.log_with("the kubeconfig ignored: --kubeconfig or --context names one kubeconfig=/nonexistent");
}

#[test]
fn flags_are_environment_variables_too() {
    let (code, _, err) = run(spark_admission(&["serve"]).env("SPARK_ADMISSION_LISTEN", "nonsense"));
    assert_eq!(code, Some(2));
    assert!(err.contains("HOST:PORT"), "{err}");
}

#[test]
fn help_version_and_completions_are_there() {
    for (arguments, says) in [
        (&["--help"][..], "serve"),
        (&["serve", "--help"], "SPARK_ADMISSION_DRAIN_DELAY"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["completions", "bash"], "complete -F"),
    ] {
        let (code, out, err) = run(&mut spark_admission(arguments));
        assert_eq!(code, Some(0), "{arguments:?}: {err}");
        assert!(out.contains(says), "{arguments:?}: {out}");
    }
}
