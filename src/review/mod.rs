//! AdmissionReview bytes to a decision and back.

use crate::policy::{Policy, Snapshot, mutations::Mutation};

/// Which webhook path a review came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /mutate`.
    Mutate,
    /// `POST /validate`.
    Validate,
}

/// The answer to one review: the bytes for the API server, and what metrics and logs say of it.
#[derive(Debug)]
pub struct Answer {
    /// The AdmissionReview response as JSON.
    pub body: Vec<u8>,
    /// What was decided, for the metrics and the log line.
    pub record: Record,
}

/// What metrics and logs say of one review. Every `&'static str` comes from a closed set and may be a metric label.
#[derive(Debug)]
pub struct Record {
    /// The request's uid.
    pub uid: String,
    /// `create`, `update`, `delete`, `connect` or `other`.
    pub operation: &'static str,
    /// `pods`, `sparkapplications`, `scheduledsparkapplications`, `sparkconnects` or `other`.
    pub resource: &'static str,
    /// `driver`, `executor`, `connect-server`, `notebook` or `none`.
    pub role: &'static str,
    /// `allowed`, `mutated`, `denied` or `error`.
    pub outcome: &'static str,
    /// The kind as the request names it; user input, never a label.
    pub kind: String,
    /// The request's namespace; user input, never a label.
    pub namespace: String,
    /// The object's name or generateName; user input, never a label.
    pub name: String,
    /// Who asked; user input, never a label.
    pub user: String,
    /// Whether this is a dry run.
    pub dry_run: bool,
    /// Each mutation that was looked at: the mutation, `applied`, `observed` or `skipped`, and the reason (`none` where there is none).
    pub mutations: Vec<(Mutation, &'static str, &'static str)>,
    /// Why the review ended in an error, for the log.
    pub error: Option<String>,
}

/// The bytes are no AdmissionReview with a decodable uid; the only case that is answered with HTTP 400.
#[derive(Debug, thiserror::Error)]
#[error("not an AdmissionReview: {0}")]
pub struct UnreadableEnvelope(pub String);

/// Answers one review. Pure: no clock, no I/O; a panic of the policy core is caught and becomes an answer by `onError`.
///
/// # Errors
/// [`UnreadableEnvelope`] where no uid can be read.
pub fn answer(_endpoint: Endpoint, _body: &[u8], _policy: &Policy, _snapshot: &Snapshot) -> Result<Answer, UnreadableEnvelope> {
    Err(UnreadableEnvelope("to come".into()))
}
