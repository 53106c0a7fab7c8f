//! Objects as they stand in the cluster now, asked for once and by path: for whoever looks at kinds that nobody watches.

use axum::http::{Method, Request, header};
use serde_json::Value;

use super::{Cluster, Error};

/// How many objects are asked for at once.
const PAGE: u32 = 500;

impl Cluster {
    /// The objects at a path such as `/api/v1/pods`, page by page, without who manages their fields, which is half of them; a kind
    /// that is not served has none. The query begins with nothing, such as `labelSelector=a`.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn objects(&self, what: &str, path: &str, query: &str) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        let mut next = String::new();
        loop {
            let page = self.get(what, &format!("{path}?limit={PAGE}&{query}{next}")).await?;
            let Some(mut page) = page else { return Ok(all) };
            if let Value::Array(items) = page["items"].take() {
                all.extend(items.into_iter().map(without_managers));
            }
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => next = format!("&continue={token}"),
                None => return Ok(all),
            }
        }
    }

    /// The object at a path, without who manages its fields; none where there is none.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn object(&self, what: &str, path: &str) -> Result<Option<Value>, Error> {
        Ok(self.get(what, path).await?.map(without_managers))
    }

    /// What is at a path that answers with text, such as a log; none where there is nothing.
    ///
    /// # Errors
    /// Nobody answered, or it is not allowed.
    pub async fn text(&self, what: &str, path: &str) -> Result<Option<String>, Error> {
        let request = request(Method::GET, what, path, Vec::new())?;
        let asked = async {
            match self.client().request_text(request).await {
                // A program may write anything to its log.
                Err(kube::Error::FromUtf8(error)) => Ok(String::from_utf8_lossy(error.as_bytes()).into_owned()),
                answered => answered,
            }
        };
        found(self.answered(what, asked).await)
    }

    /// What the API server answers to an object that it is asked to judge: a review, or with `dryRun=All` anything.
    ///
    /// # Errors
    /// Nobody answered, or the API server said no.
    pub async fn judged(&self, what: &str, path: &str, object: &Value) -> Result<Value, Error> {
        self.ask(what, request(Method::POST, what, path, object.to_string().into_bytes())?).await
    }

    async fn get(&self, what: &str, path: &str) -> Result<Option<Value>, Error> {
        found(self.ask(what, request(Method::GET, what, path, Vec::new())?).await)
    }
}

fn request(method: Method, what: &str, path: &str, body: Vec<u8>) -> Result<Request<Vec<u8>>, Error> {
    let request =
        Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json").body(body);
    request.map_err(|_| Error::Path { what: what.to_owned(), path: path.to_owned() })
}

fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(Error::Refused { code: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn without_managers(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
    }
    object
}
