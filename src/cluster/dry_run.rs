//! A pod that is asked for and never made: what admission says of it.

use axum::http::Method;
use serde_json::Value;

use super::{Cluster, Error};

impl Cluster {
    /// The pod as it would be stored in a namespace.
    ///
    /// # Errors
    /// Nobody answered, it is not allowed, or admission refused it.
    pub async fn try_pod(&self, namespace: &str, pod: &Value) -> Result<Value, Error> {
        let what = format!("ask for a driver in the namespace {namespace}");
        let path = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All");
        self.send(&what, Method::POST, &path, "application/json", pod).await
    }
}
