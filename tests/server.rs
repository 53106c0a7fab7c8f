//! The server from outside, over real TLS, with a core of the tests' own.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "what is counted is whole")]

mod support;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime},
};

use http_body_util::Full;
use hyper::{Request, body::Bytes};
use rustls::{NamedGroup, ProtocolVersion, pki_types::CertificateDer, version};
use spark_admission::{
    certs::client_authorities,
    server::{Limits, Stage},
};
use support::{
    DEADLINE,
    client::{Client, Connection, get},
    eventually,
    pki::{Ca, Leaf},
    review,
    server::{Server, Setup, panicking, slow},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

const SHORT: Duration = Duration::from_millis(200);

/// Reads until the other side closes; what came is returned.
async fn until_closed(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset or a missing close_notify is an end too.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("still open");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_or_refused_with_a_sentence() {
    let server = Setup::default().start().await;
    let json = "application/json";
    let cases = [
        ("a review", "POST", "/mutate", json, review("u1"), 200, r#""uid":"u1""#),
        ("a review to validate", "POST", "/validate", json, review("u2"), 200, r#""uid":"u2""#),
        ("parameters of the type", "POST", "/mutate", "Application/JSON; charset=utf-8", review("u3"), 200, "u3"),
        ("a deadline", "POST", "/mutate?timeout=5s", json, review("u4"), 200, "u4"),
        ("a strange deadline", "POST", "/mutate?timeout=soon", json, review("u5"), 200, "u5"),
        ("another type", "POST", "/mutate", "text/yaml", review("u6"), 415, "content-type: application/json"),
        ("a type that only begins so", "POST", "/mutate", "application/jsonp", review("u6"), 415, "content-type"),
        ("GET", "GET", "/mutate", json, String::new(), 405, ""),
        ("nothing", "POST", "/mutate", json, String::new(), 400, "the body is no AdmissionReview"),
        ("no JSON", "POST", "/mutate", json, "{".into(), 400, "the body is no AdmissionReview"),
        ("no uid", "POST", "/mutate", json, "{}".into(), 400, "request.uid is missing"),
        ("another path", "POST", "/", json, review("u7"), 404, "POST /mutate and POST /validate"),
        ("a large body", "POST", "/mutate", json, padded(7 * 1024 * 1024), 200, "large"),
        ("too large a body", "POST", "/mutate", json, padded(8 * 1024 * 1024), 413, "larger than 8388608 bytes"),
    ];
    for (protocol, client) in [("HTTP/1.1", server.client()), ("HTTP/2", server.client().http2())] {
        for (case, method, path, content_type, body, status, text) in &cases {
            let request = Request::builder()
                .method(*method)
                .uri(*path)
                .header("host", "localhost")
                .header("content-type", *content_type);
            let request = request.body(Full::new(Bytes::from(body.clone()))).unwrap();
            let answer = client
                .connect()
                .await
                .unwrap()
                .send(request)
                .await
                .unwrap_or_else(|error| panic!("{protocol}, {case}: {error}"));
            assert_eq!(answer.status, *status, "{protocol}, {case}: {}", answer.text);
            assert!(answer.text.contains(text), "{protocol}, {case}: {}", answer.text);
            if *status == 200 {
                assert_eq!(answer.header("content-type"), Some(json), "{protocol}, {case}");
            }
        }
    }
}

/// A review of a little more than so many bytes.
fn padded(bytes: usize) -> String {
    format!(r#"{{"request":{{"uid":"large"}},"padding":"{}"}}"#, " ".repeat(bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunked_body_of_any_length_is_held_to_the_limit() {
    let server = Setup { limits: Limits { body_bytes: 1000, ..Limits::default() }, ..Setup::default() }.start().await;
    let mut tls = server.client().tls().await.unwrap();
    let head =
        "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    tls.write_all(format!("{head}3e9\r\n{}\r\n0\r\n\r\n", " ".repeat(1001)).as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tls.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_share_a_memory_and_small_ones_need_none_of_it() {
    let large = 100 * 1024;
    let limits = Limits { body_memory: large + large / 2, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let body = padded(large - 100);
    let mut holder = server.client().tls().await.unwrap();
    let head = "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    holder.write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes()).await.unwrap();
    holder.flush().await.unwrap();
    eventually("its head is read", async || server.metric("spark_admission_reviews_in_flight") == 1.0).await;

    for client in [server.client(), server.client().http2()] {
        let mut connection = client.connect().await.unwrap();
        let answer = connection.post("/mutate?timeout=1s", "application/json", body.clone()).await.unwrap();
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")), "{answer:?}");
        assert_eq!(connection.review("small").await.unwrap().status, 200);
    }
    assert_eq!(server.metric("spark_admission_requests_refused_total{reason=\"busy\"}"), 2.0);

    let client = server.client();
    let waiting_body = body.clone();
    let waiting = tokio::spawn(async move {
        client.connect().await.unwrap().post("/mutate", "application/json", waiting_body).await.unwrap().status
    });
    holder.write_all(body.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    holder.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    assert_eq!(waiting.await.unwrap(), 200, "its turn comes");
}

#[tokio::test(flavor = "multi_thread")]
async fn both_tls_versions_are_served_and_the_post_quantum_group_is_used() {
    let server = Setup::default().start().await;
    for (case, offered, expected) in
        [("TLS 1.2", &version::TLS12, ProtocolVersion::TLSv1_2), ("TLS 1.3", &version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let client = Client::with(server.address, &server.ca.pem, &[offered], None);
        for client in [client.clone(), client.http2()] {
            let tls = client.tls().await.unwrap();
            assert_eq!(tls.get_ref().1.protocol_version(), Some(expected), "{case}");
            if expected == ProtocolVersion::TLSv1_3 {
                let group = tls.get_ref().1.negotiated_key_exchange_group().unwrap().name();
                assert_eq!(group, NamedGroup::X25519MLKEM768, "{case}");
            }
            assert_eq!(Connection::over(tls).await.unwrap().review(case).await.unwrap().status, 200, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_no_tls_is_refused_and_counted() {
    let server = Setup::default().start().await;
    for (case, bytes, answer, reason) in [
        ("plain HTTP", &b"POST /mutate HTTP/1.1\r\nhost: x\r\n\r\n"[..], "use https://", "plain-http"),
        ("garbage", &[0xff; 600][..], "", "not-tls"),
        ("garbage in a TLS record", &[0x16, 3, 1, 0, 4, 9, 9, 9, 9][..], "", "not-tls"),
    ] {
        let line = format!("spark_admission_tls_handshakes_failed_total{{reason=\"{reason}\"}}");
        let before = server.metric(&line);
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        tcp.write_all(bytes).await.unwrap();
        let said = until_closed(&mut tcp).await;
        assert!(said.contains(answer), "{case}: {said}");
        eventually(case, async || server.metric(&line) > before).await;
    }
    let strangers = Client::new(server.address, &Ca::new("another").pem);
    assert!(strangers.tls().await.is_err());
    let line = "spark_admission_tls_handshakes_failed_total{reason=\"server-certificate-refused\"}";
    eventually("a client that does not trust the server", async || server.metric(line) > 0.0).await;
    assert_eq!(server.client().review("after").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_cut_off_while_reviews_flow() {
    let limits = Limits { handshake: SHORT, header: SHORT, body: SHORT, ..Limits::default() };
    let server = Arc::new(Setup { limits, ..Setup::default() }.start().await);
    let (stop, flow) = flow_of_reviews(&server);

    let mut silent = TcpStream::connect(server.address).await.unwrap();
    until_closed(&mut silent).await;
    assert!(server.metric("spark_admission_tls_handshakes_failed_total{reason=\"timeout\"}") > 0.0, "a silent client");

    let start = Instant::now();
    let (mut reader, mut writer) = tokio::io::split(server.client().tls().await.unwrap());
    let drip = tokio::spawn(async move {
        for byte in b"POST /mutate HTTP/1.1\r\nhost: x\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
            if writer.write_all(&[*byte]).await.is_err() {
                return;
            }
            let _ = writer.flush().await;
            tokio::time::sleep(SHORT / 4).await;
        }
    });
    until_closed(&mut reader).await;
    assert!(start.elapsed() < 20 * SHORT, "a slow head took {:?}", start.elapsed());
    drip.abort();

    let mut tls = server.client().tls().await.unwrap();
    tls.write_all(b"POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
        .await
        .unwrap();
    assert!(until_closed(&mut tls).await.starts_with("HTTP/1.1 408"), "a slow body");

    stop.store(true, Relaxed);
    assert!(flow.await.unwrap() > 0);
}

/// Reviews on kept connections and on fresh ones until told to stop; every one must be answered. Returns how many there were.
fn flow_of_reviews(server: &Arc<Server>) -> (Arc<AtomicBool>, tokio::task::JoinHandle<u32>) {
    let stop = Arc::new(AtomicBool::new(false));
    let (server, stopped, done) = (Arc::clone(server), Arc::clone(&stop), Arc::new(AtomicU32::new(0)));
    let flow = tokio::spawn(async move {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..4 {
            let (client, stopped, done) = (server.client(), Arc::clone(&stopped), Arc::clone(&done));
            tasks.spawn(async move {
                let mut kept = client.connect().await.unwrap();
                while !stopped.load(Relaxed) {
                    if number % 2 == 0 {
                        kept = client.connect().await.unwrap();
                    }
                    let answer = timeout(DEADLINE, kept.review("flow")).await.expect("a review in the flow").unwrap();
                    assert_eq!(answer.status, 200);
                    done.fetch_add(1, Relaxed);
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        done.load(Relaxed)
    });
    (stop, flow)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_connections_hold_nobody_up() {
    let limits = Limits { handshake: DEADLINE, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let mut idle_tcp = Vec::new();
    for _ in 0..900 {
        idle_tcp.push(TcpStream::connect(server.address).await.unwrap());
    }
    let mut idle_tls = Vec::new();
    for _ in 0..100 {
        idle_tls.push(server.client().tls().await.unwrap());
    }
    eventually("1,000 connections are open", async || server.metric("spark_admission_connections_open") >= 1000.0)
        .await;
    for protocol in [server.client(), server.client().http2()] {
        let mut connection = protocol.connect().await.unwrap();
        for _ in 0..50 {
            let start = Instant::now();
            assert_eq!(connection.review("among idle ones").await.unwrap().status, 200);
            assert!(start.elapsed() < Duration::from_secs(1), "took {:?}", start.elapsed());
        }
    }
    drop((idle_tcp, idle_tls));
    eventually("all are gone", async || server.metric("spark_admission_connections_open") <= 2.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_makes_room_by_the_longest_idle_and_never_by_a_review_in_flight() {
    let limits = Limits { connections: 3, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let mut busy = half_sent_review(&server).await;
    let mut first = server.client().connect().await.unwrap();
    let mut second = server.client().connect().await.unwrap();
    assert_eq!(first.review("1").await.unwrap().status, 200);
    assert_eq!(second.review("2").await.unwrap().status, 200);
    // The first is used again, so it is the second that has been idle longest.
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(first.review("3").await.unwrap().status, 200);

    let mut newcomer = server.client().connect().await.unwrap();
    assert_eq!(newcomer.review("4").await.unwrap().status, 200);
    eventually("the second is closed", async || second.is_closed()).await;
    assert_eq!(first.review("5").await.unwrap().status, 200, "the first lives");
    assert!(server.metric("spark_admission_connections_evicted_total") >= 1.0);

    busy.write_all(b"}").await.unwrap();
    let mut status = [0; 12];
    busy.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200", "the review in flight is answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_full_of_reviews_lets_the_next_client_wait_for_a_place() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let mut busy = half_sent_review(&server).await;
    let client = server.client();
    let waiting = tokio::spawn(async move { client.review("waited").await.unwrap().status });
    // The kernel has its connection at once; nothing tells when the server has found no place for it, and a moment is enough.
    tokio::time::sleep(SHORT).await;
    assert!(!waiting.is_finished(), "no place yet");
    busy.write_all(b"}").await.unwrap();
    let mut status = [0; 12];
    busy.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    assert_eq!(timeout(DEADLINE, waiting).await.unwrap().unwrap(), 200);
}

/// A review whose last byte is missing; returns once the server has its head.
async fn half_sent_review(server: &Server) -> tokio_rustls::client::TlsStream<TcpStream> {
    let body = review("half");
    let (most, _) = body.split_at(body.len() - 1);
    let mut tls = server.client().tls().await.unwrap();
    let head = format!(
        "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    tls.write_all(format!("{head}{most}").as_bytes()).await.unwrap();
    tls.flush().await.unwrap();
    eventually("the review is in flight", async || server.metric("spark_admission_reviews_in_flight") == 1.0).await;
    tls
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_may_be_idle_for_longer_than_a_head_may_take() {
    let limits = Limits { header: Duration::from_millis(50), idle: Duration::from_millis(600), ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    for client in [server.client(), server.client().http2()] {
        let mut connection = client.connect().await.unwrap();
        assert_eq!(connection.review("before").await.unwrap().status, 200);
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(connection.review("after").await.unwrap().status, 200);
        eventually("idle for too long", async || connection.is_closed()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_rotate_under_load_without_a_failed_review() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new("test");
    kubelet_writes(folder.path(), 0, &ca.leaf());
    let files = vec![folder.path().join("tls.crt"), folder.path().join("tls.key")];
    let server = Arc::new(Setup { files: Some((ca, files)), decide: slow, ..Setup::default() }.start().await);
    let (stop, flow) = flow_of_reviews(&server);
    for generation in 1..=5 {
        let leaf = server.ca.leaf();
        kubelet_writes(folder.path(), generation, &leaf);
        eventually("the new certificate is served", async || is_served(&server, &leaf).await).await;
    }
    stop.store(true, Relaxed);
    assert!(flow.await.unwrap() > 0);
    assert_eq!(server.metric(&reloads("ok")), 5.0);
    assert_eq!(server.metric(&reloads("failed")), 0.0);
}

fn reloads(result: &str) -> String {
    format!("spark_admission_reloads_total{{what=\"certificate\",result=\"{result}\"}}")
}

/// Updates a mounted Secret as the kubelet does: `tls.crt` -> `..data/tls.crt`, and `..data` is renamed over.
fn kubelet_writes(mount: &Path, generation: u32, leaf: &Leaf) {
    use std::{fs, os::unix::fs::symlink};
    let data = format!("..generation-{generation}");
    fs::create_dir(mount.join(&data)).unwrap();
    fs::write(mount.join(&data).join("tls.crt"), &leaf.certificate).unwrap();
    fs::write(mount.join(&data).join("tls.key"), &leaf.key).unwrap();
    symlink(&data, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    for file in ["tls.crt", "tls.key"] {
        let _ = symlink(format!("..data/{file}"), mount.join(file));
    }
    if let Some(old) = generation.checked_sub(1) {
        fs::remove_dir_all(mount.join(format!("..generation-{old}"))).unwrap();
    }
}

async fn is_served(server: &Server, leaf: &Leaf) -> bool {
    use rustls::pki_types::pem::PemObject;
    let tls = server.client().tls().await.unwrap();
    tls.get_ref().1.peer_certificates().unwrap()[0]
        == CertificateDer::from_pem_slice(leaf.certificate.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_pair_keeps_the_last_good_one_and_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let ca = Ca::new("test");
    let (good, other) = (ca.leaf(), ca.leaf());
    std::fs::write(&certificate, &good.certificate).unwrap();
    std::fs::write(&key, &good.key).unwrap();
    let server = Setup { files: Some((ca, vec![certificate.clone(), key.clone()])), ..Setup::default() }.start().await;
    let half = &other.certificate[..other.certificate.len() / 2];
    let mut failures = 0.0;
    for (case, certificate_text, key_text) in [
        ("only the certificate is new", Some(other.certificate.as_str()), good.key.as_str()),
        ("half a certificate", Some(half), good.key.as_str()),
        ("an empty file", Some(""), good.key.as_str()),
        ("no file", None, good.key.as_str()),
        ("no key in the key's file", Some(good.certificate.as_str()), "key"),
    ] {
        match certificate_text {
            Some(text) => std::fs::write(&certificate, text).unwrap(),
            None => std::fs::remove_file(&certificate).unwrap(),
        }
        std::fs::write(&key, key_text).unwrap();
        failures += 1.0;
        eventually(case, async || server.metric(&reloads("failed")) >= failures).await;
        assert!(is_served(&server, &good).await, "{case}");
        // Several looks later it still counts once.
        tokio::time::sleep(Duration::from_millis(60)).await;
        assert_eq!(server.metric(&reloads("failed")), failures, "{case}");
    }
    std::fs::write(&certificate, &other.certificate).unwrap();
    std::fs::write(&key, &other.key).unwrap();
    eventually("a good pair again", async || is_served(&server, &other).await).await;
    assert_eq!(server.metric(&reloads("ok")), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_certificate_is_not_ready_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let ca = Ca::new("test");
    let expired = ca.leaf_until(SystemTime::now() - Duration::from_mins(1));
    std::fs::write(&certificate, &expired.certificate).unwrap();
    std::fs::write(&key, &expired.key).unwrap();
    let server = Setup { files: Some((ca, vec![certificate.clone(), key.clone()])), ..Setup::default() }.start().await;
    let answer = get(server.admin, "/readyz").await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.text.contains("the certificate expired"), "{}", answer.text);
    let fresh = server.ca.leaf();
    std::fs::write(&certificate, &fresh.certificate).unwrap();
    std::fs::write(&key, &fresh.key).unwrap();
    eventually("ready with a new certificate", async || get(server.admin, "/readyz").await.unwrap().status == 200)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_must_show_a_certificate_of_the_ca_in_force() {
    let (old, new) = (Ca::new("old"), Ca::new("new"));
    let server = Setup { client_ca: Some(old.pem.clone()), ..Setup::default() }.start().await;
    let client = |identity: Option<&Leaf>| Client::with(server.address, &server.ca.pem, rustls::ALL_VERSIONS, identity);
    let (of_old, of_new) = (old.leaf(), new.leaf());
    assert!(client(None).review("nobody").await.is_err(), "no certificate");
    assert!(client(Some(&of_new)).review("stranger").await.is_err(), "another CA's certificate");
    assert_eq!(client(Some(&of_old)).review("known").await.unwrap().status, 200);
    assert_eq!(server.metric("spark_admission_tls_handshakes_failed_total{reason=\"client-certificate\"}"), 2.0);

    server.tls.trust(client_authorities(new.pem.as_bytes()).unwrap()).unwrap();
    assert!(client(Some(&of_old)).review("former").await.is_err(), "the old CA's certificate");
    assert_eq!(client(Some(&of_new)).review("known now").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_one_review_and_not_its_connection() {
    let server = Setup { decide: panicking, ..Setup::default() }.start().await;
    for client in [server.client(), server.client().http2()] {
        let mut connection = client.connect().await.unwrap();
        for (case, body) in [("small", "panic".to_owned()), ("large", format!("panic{}", " ".repeat(300 * 1024)))] {
            let answer = connection.post("/mutate", "application/json", body).await.unwrap();
            assert_eq!(answer.status, 500, "{case}");
            assert_eq!(connection.review("next").await.unwrap().status, 200, "{case}: the next on the same connection");
        }
    }
    assert_eq!(server.metric("spark_admission_panics_total"), 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_open_metrics_and_move() {
    let server = Setup::default().start().await;
    let mut connection = server.client().connect().await.unwrap();
    for _ in 0..3 {
        connection.review("counted").await.unwrap();
    }
    connection.post("/mutate", "text/plain", "").await.unwrap();
    let answer = get(server.admin, "/metrics").await.unwrap();
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    for line in answer.text.lines() {
        let sample = line.rsplit_once(' ').and_then(|(name, value)| Some((name, value.parse::<f64>().ok()?)));
        assert!(
            line.starts_with("# ") || sample.is_some_and(|(name, _)| name.starts_with("spark_admission_")),
            "{line}"
        );
    }
    assert!(answer.text.ends_with("# EOF\n"));
    for (line, value) in [
        (
            r#"spark_admission_reviews_total{endpoint="mutate",operation="create",resource="pods",role="driver",outcome="mutated"}"#,
            3.0,
        ),
        ("spark_admission_review_duration_seconds_count", 3.0),
        (r#"spark_admission_review_duration_seconds_bucket{le="+Inf"}"#, 3.0),
        (r#"spark_admission_requests_refused_total{reason="content-type"}"#, 1.0),
        ("spark_admission_connections_open", 1.0),
        ("spark_admission_reviews_in_flight", 0.0),
        (concat!("spark_admission_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
    ] {
        assert_eq!(support::metric(&answer.text, line), value, "{line}\n{}", answer.text);
    }
    for (path, status) in [("/livez", 200), ("/readyz", 200), ("/", 404)] {
        assert_eq!(get(server.admin, path).await.unwrap().status, status, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_server_is_not_ready_and_sends_its_clients_away() {
    let server = Setup::default().start().await;
    let mut connection = server.client().connect().await.unwrap();
    assert_eq!(connection.review("before").await.unwrap().header("connection"), None);
    server.lifecycle.advance(Stage::Draining);
    assert!(get(server.admin, "/readyz").await.unwrap().text.contains("shutting down"));
    assert_eq!(connection.review("last").await.unwrap().header("connection"), Some("close"));
    assert_eq!(server.client().review("a new client is still served").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_answers_what_has_arrived_and_closes_what_is_idle() {
    let server = Setup::default().start().await;
    let mut half = half_sent_review(&server).await;
    let mut untold = server.client().connect().await.unwrap();
    let mut over_http2 = server.client().http2().connect().await.unwrap();
    assert_eq!(over_http2.review("before").await.unwrap().status, 200);
    server.lifecycle.advance(Stage::Stopping);
    assert_eq!(untold.review("a client that connected before").await.unwrap().header("connection"), Some("close"));
    assert_eq!(over_http2.review("over HTTP/2").await.unwrap().status, 200);
    eventually("HTTP/2 is told to go", async || over_http2.is_closed()).await;
    half.write_all(b"}").await.unwrap();
    let answer = until_closed(&mut half).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    eventually("no connection is left", async || server.metric("spark_admission_connections_open") == 0.0).await;
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing new is accepted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_waits_for_the_rest_of_a_head() {
    let limits = Limits { farewell: Duration::from_millis(50), ..Limits::default() };
    let server = Setup { limits, ..Setup::default() }.start().await;
    let body = review("rest");
    let head = format!(
        "POST /mutate HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut kept = server.client().tls().await.unwrap();
    kept.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = vec![0; 64 * 1024];
    assert!(timeout(DEADLINE, kept.read(&mut answer)).await.unwrap().unwrap() > 0);
    let mut idle = server.client().connect().await.unwrap();
    assert_eq!(idle.review("idle from here on").await.unwrap().status, 200);

    let (first, rest) = head.split_at(30);
    kept.write_all(first.as_bytes()).await.unwrap();
    kept.flush().await.unwrap();
    server.lifecycle.advance(Stage::Stopping);
    eventually("what is idle is closed", async || idle.is_closed()).await;
    kept.write_all(format!("{rest}{body}").as_bytes()).await.unwrap();
    let answer = until_closed(&mut kept).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
}
