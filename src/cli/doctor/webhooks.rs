//! The webhooks that Spark's objects pass: how they are registered, what is behind them, what they serve, and whether they answer.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    asking::{Asking, Kind},
    collect::{PODS, RESOURCES, read},
};
use crate::doctor::{
    ObjectName, Observed, Seen,
    objects::WebhookConfiguration,
    observed::{ServedCertificate, WebhookService},
    platform::webhooks::{self, is_of_spark},
};

const SERVICES: Kind = Kind::core("services");
const SECRETS: Kind = Kind::core("secrets");
const SLICES: Kind = Kind::of("discovery.k8s.io", "v1", "endpointslices");
const GROUP: &str = "admissionregistration.k8s.io";
const MUTATING: Kind = Kind::of(GROUP, "v1", "mutatingwebhookconfigurations");
const VALIDATING: Kind = Kind::of(GROUP, "v1", "validatingwebhookconfigurations");

/// The registrations, and the Services behind them.
pub(super) struct Webhooks {
    pub(super) configurations: Seen<Vec<WebhookConfiguration>>,
    pub(super) services: BTreeMap<ObjectName, Seen<Option<WebhookService>>>,
}

pub(super) async fn webhooks(asking: &Asking) -> Webhooks {
    let (mutating, validating) = tokio::join!(asking.list(MUTATING, None, ""), asking.list(VALIDATING, None, ""));
    let configurations = of_kind(mutating, "MutatingWebhookConfiguration").and_then(|mut all| {
        all.extend(of_kind(validating, "ValidatingWebhookConfiguration")?);
        Ok(all)
    });
    let behind: BTreeSet<ObjectName> =
        configurations.iter().flatten().flat_map(WebhookConfiguration::services).collect();
    let services = join_all(behind.into_iter().map(async |name| (name.clone(), service(asking, &name).await)));
    Webhooks { services: services.await.into_iter().collect(), configurations }
}

fn of_kind(list: Seen<Vec<Value>>, kind: &str) -> Seen<Vec<WebhookConfiguration>> {
    let mut configurations: Vec<WebhookConfiguration> = read(list)?;
    configurations.retain(is_of_spark);
    for configuration in &mut configurations {
        kind.clone_into(&mut configuration.kind);
    }
    Ok(configurations)
}

async fn service(asking: &Asking, name: &ObjectName) -> Seen<Option<WebhookService>> {
    let namespace = Some(name.namespace.as_str());
    let selector = format!("labelSelector=kubernetes.io/service-name={}", name.name);
    let (service, slices) =
        tokio::join!(asking.get(SERVICES, namespace, &name.name), asking.list(SLICES, namespace, &selector));
    let Some(service) = service? else { return Ok(None) };
    let mut found =
        WebhookService { secrets: secrets_behind(asking, name, &service).await, ..WebhookService::default() };
    for endpoint in slices?.iter().filter_map(|slice| slice["endpoints"].as_array()).flatten() {
        // Nothing said is ready (discovery.k8s.io/v1 EndpointConditions).
        let is_ready = endpoint["conditions"]["ready"].as_bool().unwrap_or(true);
        *(if is_ready { &mut found.ready } else { &mut found.unready }) += 1;
    }
    Ok(Some(found))
}

/// The Secrets that the pods behind a Service mount; none where its pods cannot be seen.
async fn secrets_behind(asking: &Asking, name: &ObjectName, service: &Value) -> Vec<String> {
    let selector = service["spec"]["selector"].as_object().into_iter().flatten();
    let selector: Vec<_> = selector.filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?))).collect();
    if selector.is_empty() {
        return Vec::new();
    }
    let pods = asking.list(PODS, Some(&name.namespace), &format!("labelSelector={}", selector.join(","))).await;
    let volumes = pods.iter().flatten().filter_map(|pod| pod["spec"]["volumes"].as_array()).flatten();
    let secrets = volumes.filter_map(|volume| volume["secret"]["secretName"].as_str().map(str::to_owned));
    secrets.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The certificates that webhooks serve: of the operator's where its Deployment says, of ours in the Secrets that its pods mount.
pub(super) async fn certificates(
    asking: &Asking,
    observed: &Observed,
) -> BTreeMap<ObjectName, Seen<Option<ServedCertificate>>> {
    let secrets = webhooks::secrets(observed);
    join_all(secrets.into_iter().map(async |name| (name.clone(), secret(asking, &name).await)))
        .await
        .into_iter()
        .collect()
}

/// The certificates in a Secret; its keys are dropped here.
async fn secret(asking: &Asking, name: &ObjectName) -> Seen<Option<ServedCertificate>> {
    let Some(secret) = asking.get(SECRETS, Some(&name.namespace), &name.name).await? else { return Ok(None) };
    let text = |keys: [&str; 2]| {
        let encoded = keys.iter().find_map(|key| secret["data"][key].as_str()).unwrap_or_default();
        String::from_utf8(STANDARD.decode(encoded).unwrap_or_default()).unwrap_or_default()
    };
    Ok(Some(ServedCertificate {
        chain: text(["tls.crt", "server-cert.pem"]),
        authority: text(["ca.crt", "ca-cert.pem"]),
    }))
}

/// Has the API server judge a driver's pod and an application, which it does not keep: the only way to see, from outside, whether it
/// reaches the webhooks and trusts them.
pub(super) async fn dry_runs(
    asking: &Asking,
    observed: &Observed,
    may_dry_run: bool,
) -> Vec<(ObjectName, Seen<Option<String>>)> {
    let has_webhooks = observed.webhooks.as_ref().map_or(true, |webhooks| !webhooks.is_empty());
    let Some(namespace) = webhooks::namespace_to_try(observed).filter(|_| may_dry_run && has_webhooks) else {
        return Vec::new();
    };
    let name = |kind: &str| ObjectName::of(kind, &namespace, NAME);
    let (pod, application) = (pod(), application());
    let (of_pod, of_application) =
        tokio::join!(asking.dry_run(PODS, &namespace, &pod), asking.dry_run(RESOURCES[0].1, &namespace, &application),);
    vec![(name("Pod"), of_pod), (name("SparkApplication"), of_application)]
}

const NAME: &str = "spark-admission-doctor";

fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"spark-role": "driver"}},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark", "args": ["driver"]}]}
    })
}

fn application() -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": NAME},
        "spec": {
            "type": "Python", "mode": "cluster", "sparkVersion": "3.5.7", "image": "apache/spark:3.5.7",
            "mainApplicationFile": "local:///opt/spark/examples/src/main/python/pi.py", "driver": {}, "executor": {}
        }
    })
}
