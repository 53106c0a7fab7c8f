//! The answer as the API server reads it: admission.k8s.io/v1, patch as a base64 text.
//!
//! An own struct, because the answer is checked to the letter: kube-core's writes the patch as an array of numbers, and leaves the
//! uid of some refusals empty, which the API server takes for a broken webhook.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::patch::Operation;

/// A whole AdmissionReview with its response.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review<'a> {
    /// As the request's.
    pub(super) api_version: &'a str,
    /// `AdmissionReview`.
    pub(super) kind: &'static str,
    /// The answer.
    pub(super) response: Response<'a>,
}

/// The answer to one request.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response<'a> {
    /// The request's uid.
    pub(super) uid: &'a str,
    /// Whether the object may be persisted.
    pub(super) allowed: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
    /// `JSONPatch` where there is a patch; both or neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patch_type: Option<&'static str>,
    /// A JSON Patch document in standard base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) patch: Option<String>,
    /// What the client is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
    /// What the audit log keeps, as `<webhook name>/<key>`. Values never depend on the round of reinvocation.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) audit_annotations: BTreeMap<&'static str, &'static str>,
}

/// Why a request was refused.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    /// An HTTP status.
    pub(super) code: u16,
    /// The API machinery's name for it.
    pub(super) reason: &'static str,
    /// What was refused, why, and what to do.
    pub(super) message: String,
    /// The same, field by field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) details: Option<Details>,
}

impl Status {
    pub(super) fn new(code: u16, reason: &'static str, message: String) -> Self {
        Self { code, reason, message, details: None }
    }
}

/// What was refused, and its causes.
#[derive(Debug, Serialize)]
pub(super) struct Details {
    /// The object's name; kubectl says it in place of the message.
    pub(super) name: String,
    /// The object's kind.
    pub(super) kind: String,
    /// Each thing for which it was refused.
    pub(super) causes: Vec<Cause>,
}

/// One thing for which an object was refused.
#[derive(Debug, Serialize)]
pub(super) struct Cause {
    /// The API machinery's name for it.
    pub(super) reason: &'static str,
    /// What is wrong, and what to do.
    pub(super) message: String,
    /// Where.
    pub(super) field: String,
}

impl Response<'_> {
    /// Puts operations into the answer; none leave it without a patch.
    ///
    /// # Errors
    /// None in practice: operations hold nothing that cannot be JSON.
    pub(super) fn patch_with(&mut self, operations: &[Operation<'_>]) -> Result<(), serde_json::Error> {
        if !operations.is_empty() {
            self.patch = Some(STANDARD.encode(serde_json::to_vec(operations)?));
            self.patch_type = Some("JSONPatch");
        }
        Ok(())
    }
}
