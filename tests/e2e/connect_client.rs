//! A Spark Connect client in Python, as somebody's notebook would be one.

use std::{
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::node::Node;

/// How long it may take from the word that a server is ready until it answers: kube-proxy has to hear of it too, on two busy cores.
const READY: Duration = Duration::from_secs(10);
const ATTEMPT: Duration = Duration::from_secs(1);
/// Where a Connect server listens.
const PORT: u16 = 15002;

/// What it does on the server's executors.
const SESSION: &str = "
import sys
from pyspark.sql import SparkSession
session = SparkSession.builder.remote(sys.argv[1]).getOrCreate()
print('counted', session.range(1000).count())
";

/// A Spark Connect client in Python.
pub struct ConnectClient {
    path: String,
}

impl ConnectClient {
    /// Gets what it needs, where that is not there yet.
    pub fn find() -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/connect-client");
        let output = Command::new(&script).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "{} says above what is missing", script.display());
        let said = String::from_utf8(output.stdout)?;
        let folders: Vec<_> = said.lines().filter_map(|line| line.split_once('=')).map(|(_, path)| path).collect();
        Ok(Self { path: folders.join(":") })
    }

    /// Has a client count the numbers to a thousand on the server's executors.
    pub fn ask(&self, address: &str) -> Result<Child> {
        let mut client = Command::new("timeout");
        client.args(["120", "python3", "-c", SESSION, &format!("sc://{address}:{PORT}")]).env("PYTHONPATH", &self.path);
        Ok(client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
    }
}

/// Whether a client has counted; what it said where it has not.
pub fn has_counted(client: &Output) -> std::result::Result<(), String> {
    if client.status.success() && String::from_utf8_lossy(&client.stdout).contains("counted 1000") {
        return Ok(());
    }
    let said = [&client.stdout, &client.stderr].map(|said| String::from_utf8_lossy(said).into_owned());
    Err(format!("{}\n{}", client.status, said.concat()))
}

/// The address of a server's Service.
pub fn address(node: &Node, namespace: &str, service: &str) -> Result<String> {
    node.kubectl(&["-n", namespace, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}"])
}

/// Whether somebody listens at a server's address, at once or almost.
pub fn answers(address: &str) -> Result<bool> {
    let address = SocketAddr::new(address.parse()?, PORT);
    let started = Instant::now();
    while started.elapsed() < READY {
        if TcpStream::connect_timeout(&address, ATTEMPT).is_ok() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(false)
}
