//! Tells that a Secret or the webhook configurations have changed, so that who keeps them in order looks again at once.
//!
//! What has changed is not told: who is woken asks the API server itself, and what it then answers is what stands there.

use std::sync::Arc;

use kube::Api;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Cluster, SecretName,
    watch::{Known, Watch},
    watched::Watched,
};
use crate::{
    metrics::Metrics,
    policy::nodes::objects::{Metadata, Texts},
};

/// After how many seconds a request that watches is ended, and followed by another one.
const WATCH_SECONDS: u32 = 60;

/// Watches as long as it lives.
pub struct Changes {
    changed: Arc<Notify>,
    _watches: [AbortOnDropHandle<()>; 3],
}

impl Changes {
    /// Watches one Secret, and both webhook configurations of a name.
    #[must_use]
    pub fn of(cluster: &Cluster, secret: &SecretName, configuration: &str, metrics: &Arc<Metrics>) -> Self {
        let changed = Arc::new(Notify::new());
        let SecretName { namespace, name } = secret;
        let secrets = Watch::<SecretObject> {
            api: Api::namespaced_with(cluster.client(), namespace, &()),
            fields: Some(format!("metadata.name={name}")),
            seconds: WATCH_SECONDS,
            metrics: Arc::clone(metrics),
        };
        let secrets = secrets.start(Known::new(&changed), |secret| Some((secret.data, secret.metadata.annotations)));
        let watches = [
            secrets,
            configurations::<Mutating>(cluster, configuration, metrics, &changed),
            configurations::<Validating>(cluster, configuration, metrics, &changed),
        ];
        Self { changed, _watches: watches.map(AbortOnDropHandle::new) }
    }

    /// Waits until something has changed since it was waited for last.
    pub async fn next(&self) {
        self.changed.notified().await;
    }
}

fn configurations<O: Watched + Into<Value>>(
    cluster: &Cluster,
    name: &str,
    metrics: &Arc<Metrics>,
    changed: &Arc<Notify>,
) -> tokio::task::JoinHandle<()> {
    let watch = Watch::<O> {
        api: Api::all_with(cluster.client(), &()),
        fields: Some(format!("metadata.name={name}")),
        seconds: WATCH_SECONDS,
        metrics: Arc::clone(metrics),
    };
    watch.start(Known::new(changed), |configuration| Some(configuration.into()))
}

/// What of a Secret matters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct SecretObject {
    metadata: Metadata,
    data: Option<Texts>,
}

impl Watched for SecretObject {
    const GROUP: &'static str = "";
    const KIND: &'static str = "Secret";
    const PLURAL: &'static str = "secrets";
    const RIGHTS: &'static str = RIGHTS;

    fn metadata(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

/// The rights that all of this takes.
const RIGHTS: &str = "manifests/rbac-self-managed.yaml";

/// A webhook configuration, of which the webhooks matter.
macro_rules! configuration {
    ($object:ident, $kind:literal, $plural:literal) => {
        #[derive(Debug, Clone, Default, Deserialize)]
        #[serde(default)]
        struct $object {
            metadata: Metadata,
            webhooks: Value,
        }

        impl Watched for $object {
            const KIND: &'static str = $kind;
            const PLURAL: &'static str = $plural;
            const GROUP: &'static str = "admissionregistration.k8s.io";
            const RIGHTS: &'static str = RIGHTS;

            fn metadata(&mut self) -> &mut Metadata {
                &mut self.metadata
            }
        }

        impl From<$object> for Value {
            fn from(configuration: $object) -> Self {
                configuration.webhooks
            }
        }
    };
}

configuration!(Mutating, "MutatingWebhookConfiguration", "mutatingwebhookconfigurations");
configuration!(Validating, "ValidatingWebhookConfiguration", "validatingwebhookconfigurations");
