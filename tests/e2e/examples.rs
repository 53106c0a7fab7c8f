//! The examples of the platform's chart, as whoever has just installed it applies them.

use std::time::Instant;

use anyhow::{Context, Error, Result, ensure};

use crate::{
    cell::SPARK_3,
    connect_client::{ConnectClient, address, has_counted},
    node::Node,
    platform::{Platform, USERS},
};

/// Applications that come to an end: their files, and their names.
const APPLICATIONS: [(&str, &str); 2] = [("spark-pi.yaml", "spark-pi"), ("pyspark-with-packages.yaml", "pyspark-pi")];
const SERVER: (&str, &str) = ("spark-connect-server.yaml", "spark-connect");

/// Applies them as they are, and has a client compute on the server.
pub fn run(node: &Node, platform: &Platform<'_>) -> Result<String> {
    // The tag of the official image that has Python in it, as ours has.
    node.tag(&format!("docker.io/{SPARK_3}"), &format!("docker.io/{SPARK_3}-python3"))?;
    let started = Instant::now();
    for (file, name) in APPLICATIONS {
        let state = || {
            node.kubectl(&[
                "-n",
                USERS,
                "get",
                "sparkapplication",
                name,
                "-o",
                "jsonpath={.status.applicationState.state}",
            ])
        };
        node.kubectl(&["apply", "-f", &platform.example(file)])?;
        node.until(&format!("{file} has ended"), || {
            state().map(|state| state == "COMPLETED" || state.contains("FAILED"))
        })?;
        ensure!(state()? == "COMPLETED", "{file}: {}", state()?);
    }
    let (file, name) = SERVER;
    node.kubectl(&["apply", "-f", &platform.example(file)])?;
    let state = ["-n", USERS, "get", "sparkconnect", name, "-o", "jsonpath={.status.state}"];
    node.until(&format!("{file} is ready"), || Ok(node.kubectl(&state)? == "Ready"))?;
    let service = format!("{name}-server");
    let client = ConnectClient::find()?.ask(&address(node, USERS, &service)?)?.wait_with_output()?;
    has_counted(&client).map_err(Error::msg).context(file)?;
    for (file, _) in APPLICATIONS.iter().chain([&SERVER]) {
        node.kubectl(&["delete", "--wait=false", "-f", &platform.example(file)])?;
    }
    node.kubectl(&["-n", USERS, "delete", "pod", &service, "--ignore-not-found", "--wait=false", "--grace-period=1"])?;
    Ok(format!(
        "{}, {} and {} of the platform's chart, as they are: the applications ran, and a client computed on the server, in {} s",
        APPLICATIONS[0].0,
        APPLICATIONS[1].0,
        SERVER.0,
        started.elapsed().as_secs()
    ))
}
