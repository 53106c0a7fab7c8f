//! What spark-admission does, in half a minute and without a cluster: starts the server, sends it two reviews over TLS as the API
//! server would, shows what it changes, and stops it.
//!
//! `make demo` runs it. By hand: `cargo build && cargo run --example demo`. Another binary than the one beside this example is named
//! by the environment variable `SPARK_ADMISSION_BIN`.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use spark_admission::cli::review::{is_colour_wanted, purpose, write_diff};
use spark_admission::policy::Mutation;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A driver as spark-submit of Spark 4.3.0 sends it for the example `SparkPi`.
const DRIVER: &str = include_str!("../tests/fixtures/captured/4.3.0/basic--driver.json");
/// A SparkConnect as somebody writes it who has read the operator's first example.
const CONNECT: &str = include_str!("../tests/fixtures/resources/connect-minimal.yaml");
/// How long the server may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let state = tempfile::tempdir()?;
    let server = Server::start(&binary()?, state.path())?;
    println!("The server listens on https://{} with a certificate of its own CA.", server.address);

    let driver = serde_json::from_str(DRIVER)?;
    show(
        "1. A driver pod, as spark-submit of Spark 4.3.0 makes it for SparkPi",
        &driver,
        &runtime.block_on(server.review("pods", &driver))?,
    )?;
    let connect = serde_saphyr::from_str(CONNECT)?;
    show(
        "2. A SparkConnect of Spark 3.5.7, with the few fields that its author thought necessary",
        &connect,
        &runtime.block_on(server.review("sparkconnects", &connect))?,
    )?;

    let status = server.stop()?;
    ensure!(status.success(), "the server was told to end and ended with {status}, not with 0");
    println!("\nThe server was told to end (SIGTERM), finished what was in flight and ended with exit status 0.");
    println!("Without a server: spark-admission review FILE, and -o explain for the reasons.");
    Ok(())
}

/// The binary to show: beside this example's folder, where cargo puts both.
fn binary() -> Result<PathBuf> {
    if let Some(named) = env::var_os("SPARK_ADMISSION_BIN") {
        return Ok(named.into());
    }
    let example = env::current_exe()?;
    let profile = example.ancestors().nth(2).context("this example lies in no folder of cargo's")?;
    let binary = profile.join("spark-admission");
    ensure!(binary.is_file(), "there is no {}; build it first, with cargo build or make demo", binary.display());
    Ok(binary)
}

/// A running `spark-admission serve`; ended when dropped.
struct Server {
    process: Child,
    /// Where reviews are received.
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    /// Kept open: the server may have more to say.
    _output: BufReader<ChildStdout>,
}

impl Server {
    /// Starts the server on free ports and waits until it has said where it listens.
    fn start(binary: &Path, state: &Path) -> Result<Self> {
        let log = state.join("log");
        let mut process = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--state-dir"])
            .arg(state)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let mut output = BufReader::new(process.stdout.take().context("the server has no standard output")?);
        match Announced::read(&mut output) {
            Ok(Announced { address, authority }) => {
                Ok(Self { process, address, tls: trusting(&authority)?, _output: output })
            }
            Err(error) => {
                // Best effort: it may have ended by itself.
                let _ = process.kill();
                let _ = process.wait();
                bail!("{error:#}\n{}", fs::read_to_string(log)?)
            }
        }
    }

    /// Sends the creation of an object, as the API server would, and returns the response.
    async fn review(&self, resource: &str, object: &Value) -> Result<Value> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        let connection = tokio::spawn(connection);
        let request = Request::post("/mutate")
            .header("host", self.address.to_string())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(creation(resource, object).to_string())))?;
        let answer = sender.send_request(request).await?;
        ensure!(answer.status().is_success(), "the server answered with HTTP status {}", answer.status());
        let body = answer.into_body().collect().await?.to_bytes();
        drop(sender);
        connection.await??;
        let mut answer: Value = serde_json::from_slice(&body)?;
        Ok(answer["response"].take())
    }

    /// A connection whose certificate was verified against the server's CA.
    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let name = ServerName::from(self.address.ip());
        let connection = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::clone(&self.tls)).connect(name, connection).await.context("TLS")
    }

    /// Tells the server to end as a kubelet does, and waits for it.
    fn stop(mut self) -> Result<ExitStatus> {
        let told = Command::new("kill").args(["-s", "TERM", &self.process.id().to_string()]).status()?;
        ensure!(told.success(), "cannot send the server a signal");
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            sleep(Duration::from_millis(20));
        }
        bail!("the server still runs {} seconds after it was told to end", PATIENCE.as_secs())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort, and nothing to do where it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a standalone server says on its standard output when it is ready.
struct Announced {
    address: SocketAddr,
    /// The file of its CA's certificate.
    authority: PathBuf,
}

impl Announced {
    fn read(output: &mut BufReader<ChildStdout>) -> Result<Self> {
        let (mut address, mut authority) = (None, None);
        for line in output.lines() {
            let line = line?;
            if let Some(rest) = line.strip_prefix("reviews: https://") {
                address = rest.split('/').next().map(str::parse).transpose()?;
            } else if let Some(path) = line.strip_prefix("certificate authority: ") {
                authority = Some(PathBuf::from(path));
            }
            if let (Some(address), Some(authority)) = (address, &authority) {
                return Ok(Self { address, authority: authority.clone() });
            }
        }
        bail!("the server ended without saying where it listens")
    }
}

/// TLS that trusts this CA and no other.
fn trusting(authority: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).with_context(|| authority.display().to_string())?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The review of an object's creation.
fn creation(resource: &str, object: &Value) -> Value {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let api_version = text(&object["apiVersion"]);
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": group, "version": version, "kind": object["kind"]},
            "resource": {"group": group, "version": version, "resource": resource},
            "name": object["metadata"]["name"],
            "namespace": "spark",
            "operation": "CREATE",
            "userInfo": {"username": "ada"},
            "object": object,
            "oldObject": null,
            "dryRun": false,
        },
    })
}

/// Shows what the server made of an object, and why.
fn show(title: &str, object: &Value, response: &Value) -> Result<()> {
    ensure!(response["allowed"] == true, "the server denied it: {response}");
    let encoded = response["patch"].as_str().context("the server changed nothing")?;
    let patch: json_patch::Patch = serde_json::from_slice(&STANDARD.decode(encoded)?)?;
    let mut changed = object.clone();
    json_patch::patch(&mut changed, &patch)?;

    let mut output = io::stdout().lock();
    writeln!(output, "\n{title}\n")?;
    let is_pod = object["kind"] == "Pod";
    let applied = response["auditAnnotations"].as_object().into_iter().flatten();
    for mutation in applied.filter_map(|(name, _)| Mutation::from_name(name)) {
        writeln!(output, "  {}: {}", mutation.name(), purpose(mutation, is_pod))?;
    }
    for warning in response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        writeln!(output, "  the author reads: Warning: {warning}")?;
    }
    writeln!(output)?;
    write_diff(object, &changed, is_colour_wanted(), &mut output)?;
    Ok(())
}
