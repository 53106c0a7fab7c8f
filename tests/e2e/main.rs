//! The end-to-end test: a real node with the real operator and real Spark, without the webhook and with it.
//!
//! ```text
//! node      a cluster of one node, with kubelet and containerd
//! Platform  the operator and the webhook on it, as the platform's chart installs them
//! cells     the scenarios: what a user submits
//! lane      runs scenarios, a few at a time
//! outcome   what became of one, read from the cluster
//! ```
#![allow(dead_code, unreachable_pub, reason = "parts of other tests are used here too")]

mod cells;
mod lane;
mod node;
mod outcome;
#[path = "../support/pki.rs"]
mod pki;
mod platform;
#[path = "../control_plane/cluster/programs.rs"]
mod programs;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Result, ensure};

use cells::{Cell, Line, Packages, Row, Surroundings};
use node::Node;
use platform::Platform;

/// The scenarios of `make e2e`.
const CELLS: [Cell; 12] = [
    Cell::new(Row::Scala, Line::Three, Packages::No, Surroundings::Plain),
    Cell::new(Row::Python, Line::Three, Packages::Deps, Surroundings::Plain),
    Cell::new(Row::Scala, Line::Four, Packages::Conf, Surroundings::Plain),
    Cell::new(Row::Scheduled, Line::Three, Packages::Deps, Surroundings::Plain),
    Cell::new(Row::Connect, Line::Three, Packages::No, Surroundings::Plain),
    Cell::new(Row::Connect, Line::Four, Packages::No, Surroundings::NoExecutorTemplate),
    Cell::new(Row::Connect, Line::Three, Packages::No, Surroundings::MemoryMistake),
    Cell::new(Row::Submit, Line::Three, Packages::Conf, Surroundings::Plain),
    Cell::new(Row::Notebook, Line::Three, Packages::Conf, Surroundings::Plain),
    Cell::new(Row::Scala, Line::Three, Packages::Deps, Surroundings::UnnamedUser),
    Cell::new(Row::Scala, Line::Three, Packages::Deps, Surroundings::Limited),
    Cell::new(Row::Python, Line::Four, Packages::Deps, Surroundings::Restricted),
];

fn main() -> Result<()> {
    let started = Instant::now();
    let node = Node::start(&images()?)?;
    eprintln!("{:.1} s: node", started.elapsed().as_secs_f64());
    let platform = Platform::new(&node)?;
    platform.import_webhook()?;
    platform.install(&["spark-admission.enabled=false"])?;
    platform.prepare_namespaces()?;
    eprintln!("{:.1} s: operator", started.elapsed().as_secs_f64());
    let wanted = std::env::args().nth(1);
    let cells: Vec<_> = CELLS
        .into_iter()
        .filter(|cell| wanted.as_ref().is_none_or(|wanted| cell.name().contains(wanted.as_str())))
        .collect();
    for webhook in [false, true] {
        if webhook {
            platform.install(&["spark-admission.enabled=true", "spark-admission.replicas=3"])?;
        }
        eprintln!("{:.1} s: {} the webhook", started.elapsed().as_secs_f64(), if webhook { "with" } else { "without" });
        lane::run(&node, &cells)?;
    }
    eprintln!("{:.1} s", started.elapsed().as_secs_f64());
    if std::env::var_os("HOLD").is_some() {
        eprintln!("KUBECONFIG={}", node.kubeconfig().display());
        std::io::stdin().read_line(&mut String::new())?;
    }
    Ok(())
}

/// The archives of the images, made where they are not there.
fn images() -> Result<Vec<PathBuf>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/node-images");
    let output = Command::new(script).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{script} says above what is missing");
    let said = String::from_utf8(output.stdout)?;
    Ok(said.lines().filter_map(|line| line.split_once('=')).map(|(_, path)| path.into()).collect())
}
