//! The end-to-end test: a real node with the real operator and real Spark, without the webhook and with it.
#![allow(dead_code, unreachable_pub, reason = "parts of other tests are used here too")]

#[path = "../support/pki.rs"]
mod pki;
#[path = "../control_plane/cluster/programs.rs"]
mod programs;

mod node;
mod platform;

use std::{path::PathBuf, time::Instant};

use anyhow::{Result, ensure};

use node::Node;
use platform::Platform;

fn main() -> Result<()> {
    let started = Instant::now();
    let node = Node::start(&images()?)?;
    eprintln!("{:.1} s: node", started.elapsed().as_secs_f64());
    let platform = Platform::new(&node)?;
    platform.import_webhook()?;
    platform.install(&["spark-admission.enabled=false"])?;
    eprintln!("{:.1} s: operator", started.elapsed().as_secs_f64());
    if std::env::var_os("HOLD").is_some() {
        eprintln!("KUBECONFIG={}", node.kubeconfig().display());
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

/// The archives of the images, made where they are not there.
fn images() -> Result<Vec<PathBuf>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/node-images");
    let output = std::process::Command::new(script).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{script} says above what is missing");
    let said = String::from_utf8(output.stdout)?;
    Ok(said.lines().filter_map(|line| line.split_once('=')).map(|(_, path)| path.into()).collect())
}
