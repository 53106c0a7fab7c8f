//! `probe`: whether the API server asks the webhook, seen as a user would see it: a driver is asked for in a dry run, and is changed.

use std::{io, io::Write, path::PathBuf};

use clap::Args;
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Error, Place},
    policy::names::{DRIVER_CONTAINER, MUTATED, SPARK_ROLE},
};

/// The exit status when the webhook was asked.
const ASKED: u8 = 0;
/// The exit status when it was not, or did not answer.
const NOT_ASKED: u8 = 1;
/// The exit status when that could not be found out.
const UNKNOWN: u8 = 2;

/// What `--help` says behind the flags.
const AFTER_HELP: &str = "\
Exit status: 0 if the webhook was asked, 1 if it was not or did not answer, 2 if that could not be found out.

Examples:
  spark-admission probe
  spark-admission probe --namespace team-a --context staging";

/// Asks the API server, in a dry run, for a driver, and sees whether the webhook has changed it
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ProbeCommand {
    /// The namespace to ask for the driver in; one that the webhook does not leave out
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub namespace: String,
    /// The policy observes, so a driver that is admitted unchanged is well
    #[arg(long)]
    pub observes: bool,
    /// The kubeconfig of the cluster; without it the one that kubectl would use, and in a pod its account
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl ProbeCommand {
    /// Runs the command and returns its exit status. What was seen goes to `output`, complaints to `errors`.
    ///
    /// # Errors
    /// When `output` or `errors` cannot be written to, such as a pipe that was closed.
    pub fn run(&self, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        let place = Place::of_kubectl(self.kubeconfig.as_deref(), self.context.as_deref());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async { Cluster::at(place).await?.try_pod(&self.namespace, &driver()).await });
        match self.seen(answer) {
            Ok(seen) => writeln!(output, "{seen}").map(|()| ASKED),
            Err((status, complaint)) => writeln!(errors, "{complaint}").map(|()| status),
        }
    }

    /// What the answer tells; or the exit status, with a sentence that says what to do.
    fn seen(&self, answer: Result<Value, Error>) -> Result<String, (u8, String)> {
        let namespace = &self.namespace;
        match answer {
            Ok(pod) => match pod["metadata"]["annotations"][MUTATED].as_str() {
                Some(by) => {
                    Ok(format!("the webhook was asked: a driver in the namespace {namespace} is changed by {by}"))
                }
                None if self.observes => Ok(format!("a driver is admitted unchanged in the namespace {namespace}")),
                None => Err((
                    NOT_ASKED,
                    format!(
                        "a driver is admitted unchanged: the webhook was not asked, or its policy changes nothing in the namespace \
                         {namespace}; see that the webhook configurations are there, and that neither they nor the policy leave it out"
                    ),
                )),
            },
            Err(Error::Refused { message, .. }) if message.contains("failed calling webhook") => {
                let cure = cure(&message);
                Err((NOT_ASKED, format!("the webhook does not answer: {message}{cure}")))
            }
            Err(error) => Err((UNKNOWN, error.to_string())),
        }
    }
}

/// What to do about a webhook that does not answer, where the API server's message tells.
fn cure(message: &str) -> &'static str {
    for (says, cure) in [
        (
            "deadline exceeded",
            "; let the API server reach the webhook's port: a firewall or a network policy is in the way",
        ),
        ("no endpoints available", "; no replica is ready: look at its pods"),
        ("connection refused", "; nothing listens there: look at the webhook's pods"),
        ("x509", "; caBundle in the webhook configurations is not the CA of the served certificate"),
    ] {
        if message.contains(says) {
            return cure;
        }
    }
    ""
}

/// A driver that every namespace admits, also one that enforces the Pod Security Standard `restricted`.
fn driver() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "spark-admission-probe-", "labels": {SPARK_ROLE: "driver"}},
        "spec": {
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": DRIVER_CONTAINER, "image": "apache/spark",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
            }]
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_seen_and_what_to_do() {
        let refused = |message: &str| {
            let (what, address) = ("ask for a driver".to_owned(), "https://localhost".to_owned());
            Err(Error::Refused { what, address, code: 500, message: message.to_owned() })
        };
        let calling = |why: &str| {
            refused(&format!("Internal error occurred: failed calling webhook \"pods.spark-admission.io\": {why}"))
        };
        let changed = json!({"metadata": {"annotations": {MUTATED: "ivy-cache"}}});
        for (case, observes, answer, status, says) in [
            ("changed", false, Ok(changed.clone()), ASKED, "is changed by ivy-cache"),
            ("changed, whatever it is told", true, Ok(changed), ASKED, "is changed by ivy-cache"),
            ("unchanged", false, Ok(json!({})), NOT_ASKED, "was not asked, or its policy changes nothing"),
            ("unchanged by a policy that observes", true, Ok(json!({})), ASKED, "admitted unchanged"),
            ("a firewall", false, calling("context deadline exceeded"), NOT_ASKED, "a firewall"),
            ("no pod", false, calling("no endpoints available for service \"a\""), NOT_ASKED, "no replica is ready"),
            ("another CA", true, calling("tls: x509: unknown authority"), NOT_ASKED, "is not the CA"),
            ("something else of the webhook", false, calling("EOF"), NOT_ASKED, "EOF"),
            ("no right", false, refused("pods is forbidden"), UNKNOWN, "pods is forbidden"),
        ] {
            let probe = ProbeCommand { namespace: "default".to_owned(), observes, kubeconfig: None, context: None };
            let (found, text) = match probe.seen(answer) {
                Ok(text) => (ASKED, text),
                Err(complaint) => complaint,
            };
            assert_eq!(found, status, "{case}: {text}");
            assert!(text.contains(says), "{case}: {text}");
        }
    }
}
