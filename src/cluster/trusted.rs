//! Whom the webhook configurations trust: the `caBundle` of each webhook of ours, read, and changed alone.
//!
//! Promised: of a configuration nothing changes but `caBundle`, and that only if the webhook still is what was read.

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Cluster, Error, WebhookUrl,
    registration::{FIELD_MANAGER, OURS},
};

const API: &str = "/apis/admissionregistration.k8s.io/v1";
const KINDS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// A webhook configuration as it was read.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// What it is, such as `MutatingWebhookConfiguration`.
    pub kind: &'static str,
    /// Its webhooks that are ours.
    pub webhooks: Vec<TrustedWebhook>,
    path: String,
}

/// The namespace and the name of a Service.
pub type Service = (String, String);

/// A webhook in it.
#[derive(Debug, Clone, PartialEq)]
pub struct TrustedWebhook {
    /// Its name, such as `pods.spark-admission.io`.
    pub name: String,
    /// What a server's certificate must be for: a DNS name, or an address.
    pub host: String,
    /// Where the server is.
    pub port: u16,
    /// The Service by which it is called, if it is called by one.
    pub service: Option<Service>,
    /// PEM text of whom it trusts; empty where that is nobody.
    pub bundle: Vec<u8>,
    place: usize,
    client_config: Value,
}

impl Cluster {
    /// Both webhook configurations of a name, without those that are not there.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn trusted(&self, name: &str) -> Result<Vec<Trusted>, Error> {
        let mut found = Vec::new();
        for kind in KINDS {
            let path = format!("{API}/{}s/{name}", kind.to_lowercase());
            let what = format!("read the {kind} {name}");
            match self.send(&what, Method::GET, &path, "application/json", &Value::Null).await {
                Ok(configuration) => found.push(Trusted { kind, webhooks: webhooks(&configuration), path }),
                Err(Error::Refused { code: 404, .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Has a configuration trust these certificates, PEM text. False if somebody else has changed it since it was read.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn trust(&self, configuration: &Trusted, bundle: &[u8]) -> Result<bool, Error> {
        let patch = patch(configuration, bundle);
        if patch.as_array().is_none_or(Vec::is_empty) {
            return Ok(true);
        }
        let what = format!("write caBundle into the {}", configuration.kind);
        let at = format!("{}?fieldManager={FIELD_MANAGER}", configuration.path);
        match self.send(&what, Method::PATCH, &at, "application/json-patch+json", &patch).await {
            Ok(_) => Ok(true),
            // A test failed, or it is gone.
            Err(Error::Refused { code: 404 | 409 | 422, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// JSON Patch for the webhooks that trust anybody else. Its tests make it apply to what was read alone.
fn patch(configuration: &Trusted, bundle: &[u8]) -> Value {
    let different = configuration.webhooks.iter().filter(|webhook| webhook.bundle != bundle);
    let operations = different.flat_map(|webhook| {
        let path = format!("/webhooks/{}", webhook.place);
        [
            json!({"op": "test", "path": format!("{path}/name"), "value": webhook.name}),
            json!({"op": "test", "path": format!("{path}/clientConfig"), "value": webhook.client_config}),
            json!({"op": "add", "path": format!("{path}/clientConfig/caBundle"), "value": STANDARD.encode(bundle)}),
        ]
    });
    operations.collect()
}

fn webhooks(configuration: &Value) -> Vec<TrustedWebhook> {
    let all = configuration["webhooks"].as_array().into_iter().flatten().enumerate();
    all.filter_map(|(place, webhook)| {
        let name = webhook["name"].as_str().filter(|name| name.ends_with(OURS))?;
        let client_config = &webhook["clientConfig"];
        let bundle = client_config["caBundle"].as_str().unwrap_or_default();
        let (host, port, service) = address(client_config)?;
        Some(TrustedWebhook {
            name: name.to_owned(),
            host,
            port,
            service,
            bundle: STANDARD.decode(bundle).unwrap_or_default(),
            place,
            client_config: client_config.clone(),
        })
    })
    .collect()
}

/// How the API server calls a webhook, and so what it wants to read on the certificate (k8s.io/apiserver, pkg/util/webhook/client.go).
fn address(client_config: &Value) -> Option<(String, u16, Option<Service>)> {
    let service = &client_config["service"];
    if let (Some(name), Some(namespace)) = (service["name"].as_str(), service["namespace"].as_str()) {
        let port = service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443);
        return Some((format!("{name}.{namespace}.svc"), port, Some((namespace.to_owned(), name.to_owned()))));
    }
    let url = client_config["url"].as_str()?;
    // The path is the server's own matter.
    let end = url.find("://").map_or(0, |end| end + 3);
    let base = url[end..].find('/').map_or(url, |path| &url[..end + path]);
    let url: WebhookUrl = base.parse().ok()?;
    Some((url.host().to_owned(), url.port(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_how_a_webhook_is_called() {
        for (case, config, expected) in [
            (
                "a service",
                json!({"service": {"namespace": "operators", "name": "hook", "path": "/mutate"}}),
                Some(("hook.operators.svc", 443)),
            ),
            (
                "a service on a port",
                json!({"service": {"namespace": "a", "name": "b", "port": 8443}}),
                Some(("b.a.svc", 8443)),
            ),
            ("a URL", json!({"url": "https://localhost:8443/mutate"}), Some(("localhost", 8443))),
            (
                "a URL without a port",
                json!({"url": "https://hook.example.com/mutate"}),
                Some(("hook.example.com", 443)),
            ),
            ("an address", json!({"url": "https://[::1]:8443/mutate"}), Some(("::1", 8443))),
            ("nothing", json!({}), None),
        ] {
            let address = address(&config);
            assert_eq!(address.as_ref().map(|(host, port, _)| (host.as_str(), *port)), expected, "{case}");
        }
    }

    #[test]
    fn only_what_differs_is_changed_and_only_ours() {
        let service = |bundle: Option<&str>| {
            let mut config = json!({"service": {"namespace": "operators", "name": "hook"}});
            if let Some(bundle) = bundle {
                config["caBundle"] = STANDARD.encode(bundle).into();
            }
            config
        };
        let configuration = json!({"webhooks": [
            {"name": "pods.spark-admission.io", "clientConfig": service(Some("ours"))},
            {"name": "mesh.example.com", "clientConfig": service(Some("theirs"))},
            {"name": "resources.spark-admission.io", "clientConfig": service(Some("theirs"))},
            {"name": "executors.spark-admission.io", "clientConfig": service(None)},
        ]});
        let trusted =
            |configuration: &Value| Trusted { kind: KINDS[0], webhooks: webhooks(configuration), path: String::new() };
        let patch = patch(&trusted(&configuration), b"ours");
        let mut patched = configuration.clone();
        json_patch::patch(&mut patched, &serde_json::from_value::<json_patch::Patch>(patch.clone()).unwrap()).unwrap();
        let mut expected = configuration.clone();
        for place in [2, 3] {
            expected["webhooks"][place]["clientConfig"]["caBundle"] = STANDARD.encode("ours").into();
        }
        assert_eq!(patched, expected);
        assert_eq!(super::patch(&trusted(&patched), b"ours"), json!([]));

        let mut changed = configuration;
        changed["webhooks"][3]["clientConfig"]["caBundle"] = STANDARD.encode("newer").into();
        let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
        assert!(json_patch::patch(&mut changed, &patch).is_err(), "somebody was faster");
    }
}
