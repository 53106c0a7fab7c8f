//! The outer half of a review: whose answer is expected, and what the object is.
//!
//! Two stages, so that whatever the object is, the API server gets an answer with its uid: a broken review would be handled by
//! the webhook's failurePolicy, which fails open or blocks everybody.

use serde::Deserialize;

use crate::policy::document::{Document, Json};
use crate::policy::request::{Operation, Request};

/// The version of reviews that is understood.
pub(super) const API_VERSION: &str = "admission.k8s.io/v1";

/// The bytes are no AdmissionReview with a decodable uid; the only case that is answered with HTTP 400.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableEnvelope {
    /// The body is no text.
    #[error("the body is no AdmissionReview: it is not UTF-8 ({0})")]
    NotText(#[source] std::str::Utf8Error),
    /// The body is no JSON.
    #[error("the body is no AdmissionReview: it is not JSON ({0})")]
    NotJson(#[source] serde_json::Error),
    /// The body is JSON without `request.uid`.
    #[error("the body is no AdmissionReview: request.uid is missing")]
    NoUid,
}

/// A review whose sender can be answered.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    uid: String,
    review: Result<Document<'a>, Unreadable>,
}

/// Why a review that can be answered cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// Another version of the protocol.
    #[error("reviews of {0} are not supported; register the webhook with admissionReviewVersions: [v1]")]
    Version(String),
    /// The object cannot be read.
    #[error("the object cannot be read: {0}")]
    Object(String),
}

/// All that must be readable.
#[derive(Deserialize)]
struct Uid {
    request: UidOfRequest,
}

#[derive(Deserialize)]
struct UidOfRequest {
    uid: String,
}

impl<'a> Envelope<'a> {
    /// Reads a request body.
    ///
    /// # Errors
    /// [`UnreadableEnvelope`] where no uid can be read.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, UnreadableEnvelope> {
        // Checked once and whole, which is faster than text by text.
        let body = std::str::from_utf8(body).map_err(UnreadableEnvelope::NotText)?;
        let review = match Document::parse(body) {
            Ok(review) => review,
            // An object that is nested too deep, say: its sender is still known.
            Err(error) => return Self::of_uid_alone(body, error),
        };
        let uid = review.root().get("request").get("uid").as_str().filter(|uid| !uid.is_empty());
        let uid = uid.ok_or(UnreadableEnvelope::NoUid)?.to_owned();
        let review = supported(review);
        Ok(Self { uid, review })
    }

    fn of_uid_alone(body: &'a str, error: serde_json::Error) -> Result<Self, UnreadableEnvelope> {
        match serde_json::from_str::<Uid>(body) {
            Ok(Uid { request }) if !request.uid.is_empty() => {
                Ok(Self { uid: request.uid, review: Err(Unreadable::Object(error.to_string())) })
            }
            _ => Err(UnreadableEnvelope::NotJson(error)),
        }
    }

    /// The review's id, which the answer must repeat.
    #[must_use]
    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    /// The version of reviews that the sender speaks.
    #[must_use]
    pub(super) fn api_version(&self) -> &str {
        match &self.review {
            Err(Unreadable::Version(version)) if version.starts_with("admission.k8s.io/") => version,
            _ => API_VERSION,
        }
    }

    /// The request, if it can be judged.
    ///
    /// # Errors
    /// [`Unreadable`] says why not.
    pub(super) fn request(&'a self) -> Result<Request<'a>, Unreadable> {
        let request = self.review.as_ref().map_err(Clone::clone)?.root().get("request");
        let kind = request.get("kind");
        let text = |value: Json<'a>| value.as_str().unwrap_or_default();
        Ok(Request {
            uid: &self.uid,
            operation: Operation::of(text(request.get("operation"))),
            group: text(kind.get("group")),
            kind: text(kind.get("kind")),
            subresource: text(request.get("subResource")),
            namespace: text(request.get("namespace")),
            object: request.get("object"),
            old_object: request.get("oldObject"),
        })
    }

    /// A text of the request, empty where it is none; for logs.
    #[must_use]
    pub(super) fn text(&'a self, keys: &[&'static str]) -> &'a str {
        let Ok(review) = &self.review else { return "" };
        keys.iter().fold(review.root().get("request"), |value, key| value.get(key)).as_str().unwrap_or_default()
    }

    /// Whether nothing will be persisted. `null` counts as no.
    #[must_use]
    pub(super) fn is_dry_run(&'a self) -> bool {
        self.review.as_ref().is_ok_and(|review| review.root().get("request").get("dryRun").as_bool() == Some(true))
    }
}

fn supported(review: Document<'_>) -> Result<Document<'_>, Unreadable> {
    let is_review = review.root().get("kind").as_str() == Some("AdmissionReview");
    match review.root().get("apiVersion").as_str().unwrap_or_default() {
        API_VERSION if is_review => Ok(review),
        API_VERSION => Err(Unreadable::Version("another kind than AdmissionReview".to_owned())),
        "" => Err(Unreadable::Version("no apiVersion".to_owned())),
        other => Err(Unreadable::Version(other.to_owned())),
    }
}
