//! A pod that is asked for and never made: what admission says of it.

use axum::http::{HeaderValue, Method, Request, header};
use serde_json::Value;

use super::{Cluster, Error};

impl Cluster {
    /// The pod as it would be stored in a namespace.
    ///
    /// # Errors
    /// Nobody answered, it is not allowed, or admission refused it.
    pub async fn try_pod(&self, namespace: &str, pod: &Value) -> Result<Value, Error> {
        let mut request = Request::new(pod.to_string().into_bytes());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("/api/v1/namespaces/{namespace}/pods?dryRun=All")
            .parse()
            .map_err(|_| Error::Namespace { name: namespace.to_owned() })?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.ask(&format!("ask for a driver in the namespace {namespace}"), request).await
    }
}
