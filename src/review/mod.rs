//! AdmissionReview bytes to a decision and back.
//!
//! ```text
//! bytes ──> envelope ──> request ──> policy::decide ──> edits ──> patch ──> response bytes
//!             │ no uid                  │ panic            │ wrong shape
//!             ▼                         ▼                  ▼
//!          HTTP 400                  an answer by the policy's onError
//!
//! bytes ──> envelope ──> request ──> policy::lookup ──> questions, whose answers come with the snapshot
//! bytes ──> envelope ──> request ──> policy::judge ──> findings ──> refusal, or warnings
//! ```
//!
//! Promises: whoever sent a readable uid gets an AdmissionReview back, whatever the rest is; the same bytes, policy and snapshot
//! give the same answer.

mod envelope;
pub mod patch;
mod record;
mod refusal;
mod response;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use envelope::UnreadableEnvelope;
pub use record::Record;

use crate::policy::configuration::OnError;
use crate::policy::lookup::{self, Question};
use crate::policy::outcome::{Outcome, Skip};
use crate::policy::request::Request;
use crate::policy::{Decision, Judgement, Policy, Role, Snapshot, decide, decision, judge};
use envelope::{Envelope, Unreadable};
use patch::operations;
use refusal::{refusal, warnings};
use response::{Response, Review, Status};

/// Which webhook path a review came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `POST /mutate`.
    Mutate,
    /// `POST /validate`.
    Validate,
}

impl Endpoint {
    /// Its name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mutate => "mutate",
            Self::Validate => "validate",
        }
    }
}

/// The answer to one review: the bytes for the API server, and what metrics and logs say of it.
#[derive(Debug)]
pub struct Answer {
    /// The AdmissionReview response as JSON.
    pub body: Vec<u8>,
    /// What was decided, for the metrics and the log line.
    pub record: Record,
    /// The decision itself, for whoever explains it; none on `/validate`, and where the review ended in an error.
    pub decision: Option<Decision>,
    /// The judgement itself; none on `/mutate`, and where the review ended in an error.
    pub judgement: Option<Judgement>,
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

/// What must be looked up before a review is judged, for the snapshot that it is answered by. Nothing where it cannot be read: its
/// answer says so.
#[must_use]
pub fn questions(body: &[u8], policy: &Policy, snapshot: &Snapshot) -> Vec<Question> {
    let Ok(envelope) = Envelope::parse(body) else { return Vec::new() };
    let Ok(request) = envelope.request() else { return Vec::new() };
    guarded(|| lookup::questions(&request, policy, snapshot)).unwrap_or_default()
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
    let (mut decision, mut judgement) = (None, None);
    let answered = match endpoint {
        Endpoint::Mutate => decided(decide, &envelope, policy, snapshot, &mut record).map(|(response, made)| {
            decision = Some(made);
            response
        }),
        Endpoint::Validate => judged(&envelope, policy, snapshot, &mut record).map(|(response, made)| {
            judgement = Some(made);
            response
        }),
    };
    let response = answered.unwrap_or_else(|failure| failed(&failure, policy, &mut record));
    let review = Review {
        api_version: envelope.api_version(),
        kind: "AdmissionReview",
        response: Response { uid: envelope.uid(), ..response },
    };
    // Texts, numbers and maps with text keys: there is nothing in a review that cannot be written.
    let body = serde_json::to_vec(&review).unwrap_or_default();
    Ok(Answer { body, record, decision, judgement })
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

fn decided<'a>(
    decide: Decide,
    envelope: &Envelope<'_>,
    policy: &Policy,
    snapshot: &Snapshot,
    record: &mut Record,
) -> Result<(Response<'a>, Decision), Failure> {
    let request = envelope.request()?;
    let decision = sparing_executors(&request, policy, record, || decide(&request, policy, snapshot))?;
    record.role = decision.role.map(Role::name);
    let mut response = Response { allowed: true, ..Response::default() };
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

fn judged<'a>(
    envelope: &Envelope<'_>,
    policy: &Policy,
    snapshot: &Snapshot,
    record: &mut Record,
) -> Result<(Response<'a>, Judgement), Failure> {
    let request = envelope.request()?;
    let judgement = sparing_executors(&request, policy, record, || judge(&request, policy, snapshot))?;
    record.role = judgement.role.map(Role::name);
    record.judge(&judgement);
    let response = Response {
        allowed: judgement.is_allowed(),
        status: (!judgement.is_allowed()).then(|| refusal(&judgement, request.kind, &record.name)),
        warnings: warnings(&judgement),
        audit_annotations: judgement
            .findings
            .iter()
            .rev() // The worst verdict of a check comes first, and stays.
            .map(|(finding, verdict)| (finding.check.audit_key(), verdict.name()))
            .collect(),
        ..Response::default()
    };
    Ok((response, judgement))
}

/// Runs code of the policy core; where it panics, the record says at least whether this is an executor's review.
fn sparing_executors<T>(
    request: &Request<'_>,
    policy: &Policy,
    record: &mut Record,
    run: impl FnOnce() -> T,
) -> Result<T, Failure> {
    guarded(run).inspect_err(|_| {
        // Executors are let through, whatever befell their review.
        record.role = guarded(|| decision::role_of(request, policy)).ok().flatten().map(Role::name);
    })
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
        Failure::Unreadable(Unreadable::Version(_)) => Status::new(400, "BadRequest", message),
        Failure::Unreadable(_) | Failure::WrongShape(_) => {
            Status::new(422, "Invalid", message + "; correct the object and submit it again")
        }
        Failure::Panic | Failure::Answer(_) => Status::new(
            500,
            "InternalError",
            message
                + "; report this, and set the policy's onError to allow, or the namespace's label spark-admission.io/enabled=false, meanwhile",
        ),
    }
}
