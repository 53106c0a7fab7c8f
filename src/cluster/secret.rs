//! One Secret, read and written so that nobody's write is lost: a write counts only if the Secret is still what was read.

use std::{collections::BTreeMap, fmt, str::FromStr};

use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{Cluster, Error};

const JSON: &str = "application/json";

/// Where a Secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretName {
    /// Its namespace.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

impl SecretName {
    fn path(&self) -> String {
        format!("/api/v1/namespaces/{}/secrets", self.namespace)
    }

    fn path_of_it(&self) -> String {
        format!("{}/{}", self.path(), self.name)
    }
}

/// `NAMESPACE/NAME`.
impl FromStr for SecretName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-.".contains(&it))
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("write NAMESPACE/NAME, like spark-admission/spark-admission-certificates".to_owned()),
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A Secret as it was read.
#[derive(Debug, Clone)]
pub struct Secret(Value);

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It stands there now.
    Done,
    /// Somebody else has written since it was read.
    Lost,
}

impl Secret {
    /// What it holds; what is not base64 is left out.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = self.0["data"].as_object().into_iter().flatten();
        entries.filter_map(|(key, value)| Some((key.clone(), STANDARD.decode(value.as_str()?).ok()?))).collect()
    }

    /// One of its annotations.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.0["metadata"]["annotations"][key].as_str()
    }
}

impl Cluster {
    /// The Secret as it stands now; none where there is none.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn secret(&self, name: &SecretName) -> Result<Option<Secret>, Error> {
        let what = format!("read the Secret {name}");
        match self.send(&what, Method::GET, &name.path_of_it(), JSON, &Value::Null).await {
            Ok(secret) => Ok(Some(Secret(secret))),
            Err(Error::Refused { code: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts data in place of what was read, or makes the Secret where there was none. Annotations that are `None` go; what else stands
    /// in its metadata stays. A Secret that cannot be changed, since it is immutable or of another type, is removed instead; who then
    /// looks finds none, and makes one.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn write_secret(
        &self,
        name: &SecretName,
        found: Option<&Secret>,
        data: &BTreeMap<String, Vec<u8>>,
        annotations: &[(&str, Option<String>)],
    ) -> Result<Written, Error> {
        let mut secret = found.map_or_else(|| new(name), |found| found.0.clone());
        let data = data.iter().map(|(key, bytes)| (key.clone(), Value::from(STANDARD.encode(bytes))));
        secret["data"] = data.collect();
        for (key, value) in annotations {
            match value {
                Some(value) => secret["metadata"]["annotations"][key] = value.as_str().into(),
                None => {
                    if let Some(annotations) = secret["metadata"]["annotations"].as_object_mut() {
                        annotations.remove(*key);
                    }
                }
            }
        }
        let what = format!("write the Secret {name}");
        let written = match found {
            None => self.send(&what, Method::POST, &name.path(), JSON, &secret).await,
            Some(_) => self.send(&what, Method::PUT, &name.path_of_it(), JSON, &secret).await,
        };
        match (written, found) {
            (Ok(_), _) => Ok(Written::Done),
            // Gone, made or changed by somebody else.
            (Err(Error::Refused { code: 409, .. }), _) | (Err(Error::Refused { code: 404, .. }), Some(_)) => {
                Ok(Written::Lost)
            }
            (Err(Error::Refused { code: 422, .. }), Some(found)) => self.remove_secret(name, found).await,
            (Err(error), _) => Err(error),
        }
    }

    async fn remove_secret(&self, name: &SecretName, found: &Secret) -> Result<Written, Error> {
        let metadata = &found.0["metadata"];
        let only = json!({"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]});
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": only});
        let what = format!("remove the Secret {name}, which cannot be changed");
        match self.send(&what, Method::DELETE, &name.path_of_it(), JSON, &options).await {
            Ok(_) | Err(Error::Refused { code: 404 | 409, .. }) => Ok(Written::Lost),
            Err(error) => Err(error),
        }
    }

    /// Sets an annotation of a Secret, whatever else happens to it.
    ///
    /// # Errors
    /// Nobody answered, it is not allowed, or there is no such Secret.
    pub async fn annotate_secret(&self, name: &SecretName, key: &str, value: &str) -> Result<(), Error> {
        let change = json!({"metadata": {"annotations": {key: value}}});
        let what = format!("annotate the Secret {name}");
        let path = name.path_of_it();
        self.send(&what, Method::PATCH, &path, "application/merge-patch+json", &change).await.map(drop)
    }
}

fn new(name: &SecretName) -> Value {
    let labels =
        json!({"app.kubernetes.io/name": "spark-admission", "app.kubernetes.io/managed-by": "spark-admission"});
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
        "metadata": {"namespace": name.namespace, "name": name.name, "labels": labels}
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names() {
        for (text, expected) in [
            ("operators/spark-admission-certificates", Some(("operators", "spark-admission-certificates"))),
            ("a/b.c", Some(("a", "b.c"))),
            ("spark-admission-certificates", None),
            ("/a", None),
            ("a/", None),
            ("a/b/c", None),
            ("a/B", None),
            ("a/b?c", None),
            ("", None),
        ] {
            let name = text.parse::<SecretName>().ok();
            let read = name.as_ref().map(|name| (name.namespace.as_str(), name.name.as_str()));
            assert_eq!(read, expected, "{text}");
            assert!(name.is_none_or(|name| name.to_string() == text));
        }
    }
}
