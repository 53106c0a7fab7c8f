//! Keeps a server registered with the cluster: its URL, the policy's notebooks and the certificates to trust.

use std::{fs, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{Error, certificate::Authorities};
use crate::{
    certs::CurrentCertificate,
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
    pub(super) authorities: Authorities,
}

impl Registrar {
    /// Registers the server as it is now.
    pub(super) async fn register(&self) -> Result<(), Error> {
        let pair = self.certificate.pair().ok_or(Error::NoCertificate)?;
        if !pair.is_for(self.url.host()) {
            return Err(Error::Host { host: self.url.host().to_owned() });
        }
        let authorities = match &self.authorities {
            Authorities::Standalone(standalone) => fs::read_to_string(&standalone.ca)?,
            Authorities::Secret(held) => held.borrow().as_ref().ok_or(Error::NoCertificate)?.authorities().to_pem(),
            Authorities::Served => pair.chain_pem(),
        };
        let policy = self.webhook.policy.load();
        let registration =
            Registration { name: &self.name, url: &self.url, authorities: &authorities, policy: &policy };
        Ok(registration.register(&self.cluster).await?)
    }

    /// Registers it anew whenever a file has changed, for ever.
    pub(super) async fn keep(self, mut changed: watch::Receiver<()>) {
        while changed.changed().await.is_ok() {
            while let Err(error) = self.register().await {
                tracing::error!(%error, "cannot register what has changed; trying again");
                tokio::time::sleep(AGAIN).await;
            }
            tracing::info!(name = self.name, "registered what has changed");
        }
    }
}
