//! `certs`: who signs the server's certificate, until when, and who trusts it; and rotate it now.

mod rotate;
mod status;

use std::{
    future::Future,
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, Subcommand};

use crate::certs::SECRET;
use crate::cluster::{Cluster, Place, SecretName, Trusted};
pub use rotate::RotateCommand;
pub use status::StatusCommand;

/// The exit status when everything is as it should be.
const IN_ORDER: u8 = 0;
/// The exit status when something is not.
const NOT_IN_ORDER: u8 = 1;
/// The exit status when it could not be looked.
const UNKNOWN: u8 = 2;

/// What can be asked about certificates.
#[derive(Debug, Clone, Subcommand)]
pub enum CertsCommand {
    /// Show who signs the server's certificate, until when, who trusts it, and what is really served
    Status(StatusCommand),
    /// Have the servers make a new CA and a new certificate now
    Rotate(RotateCommand),
}

/// Which certificates.
#[derive(Debug, Clone, Args)]
pub struct Subject {
    /// The Secret, as NAMESPACE/NAME
    ///
    /// Default: spark-admission-certificates in the namespace of --namespace, or else of the Service that is registered.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pub secret: Option<SecretName>,
    /// The namespace of the Secret
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "secret")]
    pub namespace: Option<String>,
    /// The name of the MutatingWebhookConfiguration and the ValidatingWebhookConfiguration
    #[arg(long, value_name = "NAME", default_value = "spark-admission")]
    pub webhook_configuration: String,
    /// The kubeconfig of the cluster; without it the one that kubectl would use
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

impl CertsCommand {
    /// Runs the command and returns its exit status: 0 in order, 1 not in order, 2 if it could not be looked. Complaints go to `errors`.
    ///
    /// # Errors
    /// When `output` or `errors` cannot be written to, such as a pipe that was closed.
    pub fn run(&self, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        match self {
            Self::Status(status) => status.run(output, errors),
            Self::Rotate(rotate) => rotate.run(output, errors),
        }
    }
}

impl Subject {
    async fn cluster(&self) -> Result<Cluster, String> {
        let place = Place::of_kubectl(self.kubeconfig.as_deref(), self.context.as_deref());
        Cluster::at(place).await.map_err(|error| error.to_string())
    }

    async fn registered(&self, cluster: &Cluster) -> Result<Vec<Trusted>, String> {
        cluster.trusted(&self.webhook_configuration).await.map_err(|error| error.to_string())
    }

    fn secret(&self, cluster: &Cluster, registered: &[Trusted]) -> SecretName {
        if let Some(secret) = &self.secret {
            return secret.clone();
        }
        let mut webhooks = registered.iter().flat_map(|configuration| &configuration.webhooks);
        let of_service = || webhooks.find_map(|webhook| Some(webhook.service.as_ref()?.0.clone()));
        let namespace = self.namespace.clone().or_else(of_service).unwrap_or_else(|| cluster.namespace().to_owned());
        SecretName { namespace, name: SECRET.to_owned() }
    }
}

/// Runs what asks a cluster.
fn block_on<T>(asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("cannot start: {error}"))?.block_on(asked)
}
