//! The webhook configurations by which the API server comes to ask a server at a URL.
//!
//! They are `manifests/webhook.yaml`, with the URL in place of the Service. Promised: nothing is half registered, and what somebody
//! else made under our name is left as it is.

use axum::http::{HeaderValue, Method, Request, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Cluster, Error, WebhookUrl};
use crate::policy::Policy;

const MANIFEST: &str = include_str!("../../manifests/webhook.yaml");
/// Who owns the fields of what is registered (server-side apply).
pub(super) const FIELD_MANAGER: &str = "spark-admission";
/// What the name of every webhook of ours ends with.
pub(super) const OURS: &str = ".spark-admission.io";
/// The label by which a chart says which instance of it an object belongs to.
const INSTANCE: &str = "app.kubernetes.io/instance";
/// The namespace of the Service in the manifest: no server at a URL lives in it.
const SERVICE_NAMESPACE: &str = "spark-admission";
/// How the manifest asks for the notebooks of the default policy.
const DEFAULT_NOTEBOOKS: &str = "[?'spark-admission.io/notebook'].orValue('') == 'true'";

/// A server that the API server is to ask.
#[derive(Debug)]
pub struct Registration<'a> {
    /// The name of both configurations.
    pub name: &'a str,
    /// How it is called.
    pub url: &'a WebhookUrl,
    /// PEM text of the certificates that the API server is to trust.
    pub authorities: &'a str,
    /// The policy, which says what notebooks are.
    pub policy: &'a Policy,
}

impl Registration<'_> {
    /// Registers both configurations, or changes what an earlier server registered.
    ///
    /// # Errors
    /// Nobody answered, it is not allowed, or the name is somebody else's. What was not registered before is not now.
    pub async fn register(&self, cluster: &Cluster) -> Result<(), Error> {
        let [mutating, validating] = self.configurations();
        let mut is_new = false;
        for configuration in [&mutating, &validating] {
            is_new |= find(cluster, configuration).await?.is_none();
            apply(cluster, configuration, "&dryRun=All").await?;
        }
        apply(cluster, &mutating, "").await?;
        let registered = apply(cluster, &validating, "").await;
        if registered.is_err() && is_new {
            remove(cluster, &mutating).await?;
        }
        registered
    }

    /// The MutatingWebhookConfiguration and the ValidatingWebhookConfiguration.
    #[must_use]
    pub fn configurations(&self) -> [Value; 2] {
        let mut configurations = manifests(self.name);
        for webhook in configurations.iter_mut().flat_map(|configuration| list(&mut configuration["webhooks"])) {
            self.adapt(webhook);
        }
        configurations
    }

    fn adapt(&self, webhook: &mut Value) {
        let path = webhook["clientConfig"]["service"]["path"].as_str().unwrap_or_default();
        webhook["clientConfig"] = json!({"url": self.url.of(path), "caBundle": STANDARD.encode(self.authorities)});
        let label = &self.policy.notebooks.label;
        let notebooks = format!("[?'{}'].orValue('') == '{}'", label.key(), label.value());
        for condition in list(&mut webhook["matchConditions"]) {
            if let Value::String(expression) = &mut condition["expression"] {
                *expression = expression.replace(DEFAULT_NOTEBOOKS, &notebooks);
            }
        }
        for requirement in list(&mut webhook["namespaceSelector"]["matchExpressions"]) {
            if let Some(namespaces) = requirement["values"].as_array_mut() {
                namespaces.retain(|namespace| namespace != SERVICE_NAMESPACE);
            }
        }
    }
}

/// Removes what is registered under a name, and says of which kinds that was; what a chart installed only as this instance of it.
///
/// # Errors
/// Nobody answered, it is not allowed, or the name is somebody else's.
pub async fn unregister(cluster: &Cluster, name: &str, instance: Option<&str>) -> Result<Vec<String>, Error> {
    let mut removed = Vec::new();
    for configuration in manifests(name) {
        if let Some(found) = find(cluster, &configuration).await? {
            if !was_registered(&found) && !is_of(&found, instance) {
                return Err(Error::NotRegistered { what: named(&configuration) });
            }
            remove(cluster, &configuration).await?;
            removed.push(kind(&configuration).to_owned());
        }
    }
    Ok(removed)
}

/// What stands under the name of a configuration.
async fn find(cluster: &Cluster, configuration: &Value) -> Result<Option<Value>, Error> {
    let found = ask(cluster, "look for", Method::GET, configuration, "", Vec::new()).await;
    let found = match found {
        Err(Error::Refused { code: 404, .. }) => return Ok(None),
        found => found?,
    };
    let mut webhooks = found["webhooks"].as_array().into_iter().flatten();
    let is_ours = |webhook: &Value| webhook["name"].as_str().is_some_and(|name| name.ends_with(OURS));
    match webhooks.find(|webhook| !is_ours(webhook)) {
        None => Ok(Some(found)),
        Some(foreign) => Err(Error::Foreign { what: named(configuration), webhook: foreign["name"].to_string() }),
    }
}

/// Whether it was made by [`Registration::register`], and not by a chart or by hand.
fn was_registered(found: &Value) -> bool {
    let mut managers = found["metadata"]["managedFields"].as_array().into_iter().flatten();
    managers.any(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply")
}

/// Whether it was installed as an instance of a chart.
fn is_of(found: &Value, instance: Option<&str>) -> bool {
    instance.is_some_and(|instance| found["metadata"]["labels"][INSTANCE] == instance)
}

async fn apply(cluster: &Cluster, configuration: &Value, query: &str) -> Result<(), Error> {
    let query = format!("?fieldManager={FIELD_MANAGER}{query}");
    let body = configuration.to_string().into_bytes();
    ask(cluster, "register", Method::PATCH, configuration, &query, body).await.map(drop)
}

async fn remove(cluster: &Cluster, configuration: &Value) -> Result<(), Error> {
    ask(cluster, "remove", Method::DELETE, configuration, "", Vec::new()).await.map(drop)
}

async fn ask(
    cluster: &Cluster,
    verb: &str,
    method: Method,
    configuration: &Value,
    query: &str,
    body: Vec<u8>,
) -> Result<Value, Error> {
    let what = format!("{verb} the {}", named(configuration));
    let plural = kind(configuration).to_lowercase() + "s";
    let name = configuration["metadata"]["name"].as_str().unwrap_or_default();
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = format!("/apis/admissionregistration.k8s.io/v1/{plural}/{name}{query}")
        .parse()
        .map_err(|_| Error::Name { name: name.to_owned() })?;
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/apply-patch+yaml"));
    cluster.ask(&what, request).await
}

/// What is in the manifest, under another name.
fn manifests(name: &str) -> [Value; 2] {
    let mut documents = MANIFEST.split("\n---\n").map(|document| {
        let mut document: Value = serde_saphyr::from_str(document).unwrap_or_default();
        document["metadata"]["name"] = name.into();
        document
    });
    [documents.next().unwrap_or_default(), documents.next().unwrap_or_default()]
}

fn kind(configuration: &Value) -> &str {
    configuration["kind"].as_str().unwrap_or_default()
}

fn named(configuration: &Value) -> String {
    format!("{} {}", kind(configuration), configuration["metadata"]["name"].as_str().unwrap_or_default())
}

/// The items of a list that can be changed; none where it is none.
fn list(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_array_mut().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration<T>(policy: &str, use_it: impl Fn([Value; 2]) -> T) -> T {
        let policy = format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n{policy}");
        let registration = Registration {
            name: "mine",
            url: &"https://localhost:8443".parse().unwrap(),
            authorities: "-----BEGIN CERTIFICATE-----",
            policy: &Policy::parse(&policy).unwrap(),
        };
        use_it(registration.configurations())
    }

    #[test]
    fn is_the_manifest_with_another_address() {
        registration("", |configurations| {
            for (configuration, mut manifest) in configurations.into_iter().zip(manifests("mine")) {
                let path = if kind(&manifest) == "MutatingWebhookConfiguration" { "mutate" } else { "validate" };
                for webhook in list(&mut manifest["webhooks"]) {
                    webhook["clientConfig"] = json!({
                        "url": format!("https://localhost:8443/{path}"),
                        "caBundle": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t"
                    });
                    webhook["namespaceSelector"]["matchExpressions"][0]["values"] = json!(["kube-system"]);
                }
                assert_eq!(configuration, manifest);
                assert_eq!(configuration["webhooks"].as_array().unwrap().len(), 3);
            }
        });
    }

    #[test]
    fn lets_through_what_the_policy_calls_a_notebook() {
        registration("notebooks: {label: app=jupyter}", |configurations| {
            for configuration in configurations {
                let pods = configuration["webhooks"][1]["matchConditions"].to_string();
                assert!(pods.contains("labels[?'app'].orValue('') == 'jupyter'"), "{pods}");
                assert!(!pods.contains("spark-admission.io/notebook"), "{pods}");
            }
        });
    }
}
