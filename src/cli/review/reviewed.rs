//! A manifest and the server's answer to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::manifests::{Manifest, Place};
use crate::policy::field_path::{FieldPath, Step};
use crate::policy::outcome::{Outcome, Untouched};
use crate::policy::{Decision, Mutation, Policy, Snapshot};
use crate::review::{Answer, Endpoint, Record, UnreadableEnvelope, answer};

/// A manifest that was reviewed.
#[derive(Debug)]
pub(super) struct Reviewed {
    /// Where it stands.
    pub(super) place: Place,
    /// The object as it was; null where the review carries none.
    pub(super) before: Value,
    /// The object as it would be persisted, if it is allowed.
    pub(super) after: Value,
    /// The JSON Patch between them; empty where nothing is changed.
    pub(super) patch: Value,
    /// The answer as the API server reads it, without the patch.
    pub(super) response: Value,
    /// What was decided; none where the review ended in an error.
    pub(super) decision: Option<Decision>,
    /// What the server would log.
    pub(super) record: Record,
    /// The object's apiVersion.
    pub(super) api_version: String,
}

/// Why a manifest could not be reviewed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// An AdmissionReview file without a uid.
    #[error("{0}")]
    Envelope(#[from] UnreadableEnvelope),
    /// The answer is not what the webhook promises.
    #[error("the webhook's answer is wrong, which is a bug; please report it with this manifest: {0}")]
    Answer(String),
}

impl Reviewed {
    /// Reviews a manifest: the very bytes that the server would read go through the function that the server calls.
    ///
    /// # Errors
    /// [`Failure`] where there is no answer.
    pub(super) fn of(manifest: Manifest, policy: &Policy, snapshot: &Snapshot) -> Result<Self, Failure> {
        let Manifest { place, mut review } = manifest;
        let body = serde_json::to_vec(&review).map_err(wrong)?;
        let answer = answer(Endpoint::Mutate, &body, policy, snapshot)?;
        let mut response: Value = serde_json::from_slice(&answer.body).map_err(wrong)?;
        let mut response = response["response"].take();
        let patch = patch(&mut response)?;
        let before = review["request"]["object"].take();
        let api_version = before["apiVersion"].as_str().unwrap_or_default().to_owned();
        let after = patched(&before, &patch)?;
        let Answer { record, decision, .. } = answer;
        Ok(Self { place, before, after, patch, response, decision, record, api_version })
    }

    /// Whether the object may be persisted.
    pub(super) fn is_allowed(&self) -> bool {
        self.response["allowed"] == true
    }

    /// Why it may not, as the user of kubectl would read it.
    pub(super) fn refusal(&self) -> &str {
        self.response["status"]["message"].as_str().unwrap_or("denied")
    }

    /// Whether anything is changed.
    pub(super) fn is_changed(&self) -> bool {
        self.patch.as_array().is_some_and(|operations| !operations.is_empty())
    }

    /// What the object's author is told.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str)
    }

    /// Why no mutation looked at the object, where none did.
    pub(super) fn untouched(&self) -> Option<Untouched> {
        self.decision.as_ref().and_then(|decision| decision.untouched)
    }

    /// Every mutation that looked at the object, and how it ended.
    pub(super) fn outcomes(&self) -> &[(Mutation, Outcome)] {
        self.decision.as_ref().map_or(&[], |decision| &decision.outcomes)
    }

    /// What stands at a path before; none where nothing does, or null.
    pub(super) fn old(&self, path: &FieldPath) -> Option<&Value> {
        let there = path.steps().iter().try_fold(&self.before, |value, step| match step {
            Step::Key(key) => value.get(key.as_ref()),
            Step::Index(index) => value.get(*index),
        });
        there.filter(|value| !value.is_null())
    }
}

fn patch(response: &mut Value) -> Result<Value, Failure> {
    let Some(encoded) = response.as_object_mut().and_then(|members| members.shift_remove("patch")) else {
        return Ok(Value::Array(Vec::new()));
    };
    let bytes = STANDARD.decode(encoded.as_str().unwrap_or_default()).map_err(wrong)?;
    serde_json::from_slice(&bytes).map_err(wrong)
}

fn patched(before: &Value, patch: &Value) -> Result<Value, Failure> {
    let operations: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(wrong)?;
    let mut after = before.clone();
    json_patch::patch(&mut after, &operations).map_err(wrong)?;
    Ok(after)
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::Answer(error.to_string())
}
