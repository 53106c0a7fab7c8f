//! Online and offline agree: what is created where the webhook is asked is what the command `review` makes of it, and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    cluster::{Answer, Namespace, Registered},
    offline::{comparable, review},
};

/// A namespace where the webhook is asked, and one where it is not.
pub struct Agreement {
    asked: Namespace,
    plain: Namespace,
    _webhook: Registered,
}

impl Agreement {
    pub async fn new() -> Self {
        Self::labelled(&json!({})).await
    }

    /// With labels on both namespaces.
    pub async fn labelled(labels: &Value) -> Self {
        let (asked, plain) = (Namespace::labelled(labels).await, Namespace::labelled(labels).await);
        let webhook = Registered::real(&asked).await;
        Self { asked, plain, _webhook: webhook }
    }

    /// What the API server says of the object where no webhook is asked about it.
    pub async fn without(&self, object: &Value) -> Answer {
        self.plain.create_dry(object).await
    }

    /// Makes room for another object of the same name.
    pub async fn remove(&self, object: &Value) {
        if object["metadata"]["name"].is_string() {
            self.asked.delete_now(object).await;
            self.plain.delete_now(object).await;
        }
    }

    /// Creates the object where the webhook is asked, and what `review` makes of it where it is not. Returns the status, which is
    /// the same: the API server's own validation accepts or refuses both.
    pub async fn create(&self, case: &str, object: &Value) -> u16 {
        let offline = review(object, &self.asked.name);
        let stored = self.asked.create(object).await;
        if !offline.allowed {
            assert!(!stored.is_success(), "{case}: refused offline, and stored");
            return stored.status;
        }
        let expected = self.plain.create(&offline.after).await;
        assert_eq!(stored.status, expected.status, "{case}: {} {}", stored.message(), expected.message());
        if !stored.is_success() {
            let foreign = stored.message().replace(&self.asked.name, &self.plain.name);
            assert_eq!(foreign, expected.message(), "{case}");
            return stored.status;
        }
        assert_eq!(comparable(stored.body.clone()), comparable(expected.body), "{case}");
        // The API server has warnings of its own.
        assert_eq!(sorted(stored.warnings), sorted([offline.warnings, expected.warnings].concat()), "{case}");

        let audited = self.asked.audited(&stored.body);
        let (called, annotations): (Vec<_>, BTreeMap<_, _>) = match webhook_of(object) {
            Some(webhook) => (
                // Once: nothing that others change behind us is there, so there is no second round.
                vec![(format!("0 {webhook}"), offline.after != *object)],
                offline.audit_annotations.into_iter().map(|(key, value)| (format!("{webhook}/{key}"), value)).collect(),
            ),
            None => (Vec::new(), BTreeMap::new()),
        };
        // The last one: another of this name may have been here before, and controllers may be at work on this one already.
        let created = audited.iter().rfind(|event| event.is_creation()).unwrap();
        assert_eq!(created.calls(), called, "{case}");
        assert_eq!(created.annotations(), annotations, "{case}");
        stored.status
    }
}

/// The webhook that is asked about an object.
fn webhook_of(object: &Value) -> Option<&'static str> {
    let labels = &object["metadata"]["labels"];
    if object["apiVersion"].as_str()?.starts_with("sparkoperator.k8s.io/") {
        return Some("resources.spark-admission.io");
    }
    match (object["kind"].as_str()?, labels["spark-role"].as_str(), labels["spark-admission.io/notebook"].as_str()) {
        ("Pod", Some("driver" | "connect-server"), _) | ("Pod", None, Some("true")) => Some("pods.spark-admission.io"),
        ("Pod", Some("executor"), _) => Some("executors.spark-admission.io"),
        _ => None,
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}
