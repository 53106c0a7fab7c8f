//! Keeps a server registered with the cluster: its URL, the policy's notebooks and the certificates to trust.

use std::{fs, sync::Arc, time::Duration};

use tokio::sync::Notify;

use super::Error;
use crate::{
    certs::{CurrentCertificate, Standalone},
    cluster::{Cluster, Registration, WebhookUrl},
    server::Webhook,
};

/// How long to wait before another try.
const AGAIN: Duration = Duration::from_secs(5);

/// A server that registers itself.
pub(super) struct Registrar {
    pub(super) cluster: Cluster,
    pub(super) name: String,
    pub(super) url: WebhookUrl,
    pub(super) webhook: Arc<Webhook>,
    pub(super) certificate: Arc<CurrentCertificate>,
    pub(super) standalone: Option<Standalone>,
}

impl Registrar {
    /// Registers the server as it is now.
    pub(super) async fn register(&self) -> Result<(), Error> {
        let pair = self.certificate.pair();
        if !pair.is_for(self.url.host()) {
            return Err(Error::Host { host: self.url.host().to_owned() });
        }
        // Where no CA is known the server's own certificate is trusted, and those behind it: Go takes any of them for a root
        // (crypto/x509, Certificate.Verify).
        let authorities = match &self.standalone {
            Some(standalone) => fs::read_to_string(&standalone.ca)?,
            None => pair.chain_pem(),
        };
        let policy = self.webhook.policy.load();
        let registration =
            Registration { name: &self.name, url: &self.url, authorities: &authorities, policy: &policy };
        Ok(registration.register(&self.cluster).await?)
    }

    /// Registers it anew whenever a file has changed, for ever.
    pub(super) async fn keep(self, changed: Arc<Notify>) {
        loop {
            changed.notified().await;
            while let Err(error) = self.register().await {
                tracing::error!(%error, "cannot register what has changed; trying again");
                tokio::time::sleep(AGAIN).await;
            }
            tracing::info!(name = self.name, "registered what has changed");
        }
    }
}
