//! AdmissionReview bytes to a decision and back.
//!
//! ```text
//! bytes ──> envelope ──> request ──> policy::decide ──> edits ──> patch ──> response bytes
//!             │ no uid                  │ panic            │ wrong shape
//!             ▼                         ▼                  ▼
//!          HTTP 400                  an answer by the policy's onError
//! ```
//!
//! Promises: whoever sent a readable uid gets an AdmissionReview back, whatever the rest is; the same bytes, policy and snapshot
//! give the same answer.

mod envelope;
pub mod patch;
mod record;
mod response;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use envelope::UnreadableEnvelope;
pub use record::Record;

use crate::policy::configuration::OnError;
use crate::policy::outcome::{Outcome, Skip};
use crate::policy::request::Request;
use crate::policy::{Decision, Policy, Role, Snapshot, decide, decision};
use envelope::{Envelope, Unreadable};
use patch::operations;
use response::{Response, Review, Status};

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
    /// The decision itself, for whoever explains it; none where the review ended in an error.
    pub decision: Option<Decision>,
}

/// What decides; [`decide`] but in tests.
pub type Decide = fn(&Request<'_>, &Policy, &Snapshot) -> Decision;

/// Answers one review. Pure: no clock, no I/O.
///
/// # Errors
/// [`UnreadableEnvelope`] where no uid can be read.
pub fn answer(
    endpoint: Endpoint,
    body: &[u8],
    policy: &Policy,
    snapshot: &Snapshot,
) -> Result<Answer, UnreadableEnvelope> {
    answer_by(decide, endpoint, body, policy, snapshot)
}

/// [`answer`] with another decision than the policy core's, for tests of what stands around it.
///
/// # Errors
/// [`UnreadableEnvelope`] where no uid can be read.
pub fn answer_by(
    decide: Decide,
    endpoint: Endpoint,
    body: &[u8],
    policy: &Policy,
    snapshot: &Snapshot,
) -> Result<Answer, UnreadableEnvelope> {
    let envelope = Envelope::parse(body)?;
    let mut record = Record::of(&envelope);
    let (response, decision) = match judged(decide, endpoint, &envelope, policy, snapshot, &mut record) {
        Ok((response, decision)) => (response, Some(decision)),
        Err(failure) => (failed(&failure, policy, &mut record), None),
    };
    let review = Review {
        api_version: envelope.api_version(),
        kind: "AdmissionReview",
        response: Response { uid: envelope.uid(), ..response },
    };
    // Texts, numbers and maps with text keys: there is nothing in a review that cannot be written.
    let body = serde_json::to_vec(&review).unwrap_or_default();
    Ok(Answer { body, record, decision })
}

/// Why a review that was received could not be judged.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error("the object cannot be read: {0}")]
    WrongShape(#[from] patch::WrongShape),
    #[error("the webhook failed on this object; its log names the place")]
    Panic,
    #[error("the answer cannot be written: {0}")]
    Answer(#[from] serde_json::Error),
}

fn judged<'a>(
    decide: Decide,
    endpoint: Endpoint,
    envelope: &Envelope<'_>,
    policy: &Policy,
    snapshot: &Snapshot,
    record: &mut Record,
) -> Result<(Response<'a>, Decision), Failure> {
    let request = envelope.request()?;
    let mut response = Response { allowed: true, ..Response::default() };
    if endpoint == Endpoint::Validate {
        return Ok((response, Decision::default()));
    }
    let decision = guarded(|| decide(&request, policy, snapshot)).inspect_err(|_| {
        // Executors are let through, whatever befell their review.
        record.role = guarded(|| decision::role_of(&request, policy)).ok().flatten().map(Role::name);
    })?;
    record.role = decision.role.map(Role::name);
    let operations = operations(request.object, decision.enforced_edits())?;
    response.patch_with(&operations)?;
    response.audit_annotations = decision
        .outcomes
        .iter()
        .filter_map(|(mutation, outcome)| Some((mutation.name(), audited(*outcome)?)))
        .collect();
    record.take(&decision, !operations.is_empty());
    response.warnings.clone_from(&decision.warnings);
    Ok((response, decision))
}

/// What the audit log is told of an outcome: what was done, and what could not be done though it should have been.
const fn audited(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Skipped(Skip::LimitsRequired) => Some(outcome.reason()),
        Outcome::Skipped(_) => None,
        _ => Some(outcome.name()),
    }
}

/// Runs code of the policy core; a panic in it ends neither the connection nor the server.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    // The core takes shared references to plain data and leaves nothing behind that a panic could leave half done.
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| Failure::Panic)
}

/// The answer by the policy's `onError`; a denied executor would fail silently for ever, so those are always allowed.
fn failed<'a>(failure: &Failure, policy: &Policy, record: &mut Record) -> Response<'a> {
    record.fail(failure.to_string(), matches!(failure, Failure::Panic));
    let refused = matches!(failure, Failure::Unreadable(Unreadable::Version(_)));
    let allowed = !refused && (policy.on_error == OnError::Allow || record.role == Some(Role::Executor.name()));
    if allowed {
        let warning = format!("spark-admission left this object as it is: {failure}");
        let warnings = vec![crate::policy::plan::shortened(&warning, crate::policy::plan::LONGEST_WARNING)];
        return Response { allowed, warnings, ..Response::default() };
    }
    Response { status: Some(status(failure)), ..Response::default() }
}

fn status(failure: &Failure) -> Status {
    let message = format!("spark-admission: {failure}");
    match failure {
        Failure::Unreadable(Unreadable::Version(_)) => Status { code: 400, reason: "BadRequest", message },
        Failure::Unreadable(_) | Failure::WrongShape(_) => {
            Status { code: 422, reason: "Invalid", message: message + "; correct the object and submit it again" }
        }
        Failure::Panic | Failure::Answer(_) => Status {
            code: 500,
            reason: "InternalError",
            message: message
                + "; report this, and set the policy's onError to allow, or the namespace's label spark-admission.io/enabled=false, meanwhile",
        },
    }
}
