//! A manifest and the server's answer to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::manifests::{Manifest, Place};
use crate::policy::field_path::{FieldPath, Step};
use crate::policy::finding::Finding;
use crate::policy::judgement::Verdict;
use crate::policy::lookup::{Answers, Question};
use crate::policy::outcome::{Outcome, Untouched};
use crate::policy::{Decision, Judgement, Mutation, Policy, Snapshot};
use crate::review::{Answer, Endpoint, Record, UnreadableEnvelope, answer, questions};

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
    /// What the checks say of the object as it would be persisted; none where the review ended before.
    pub(super) judgement: Option<Judgement>,
    /// What the server would log.
    pub(super) record: Record,
    /// The object's apiVersion.
    pub(super) api_version: String,
}

/// Tells what was answered to the questions of a review, given what is known.
pub(super) type LookUp<'a> = &'a mut dyn FnMut(Vec<Question>, &Snapshot) -> Result<Answers, String>;

/// Why a manifest could not be reviewed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// An AdmissionReview file without a uid.
    #[error("{0}")]
    Envelope(#[from] UnreadableEnvelope),
    /// The cluster that it is reviewed for is gone.
    #[error("{0}")]
    Lookup(String),
    /// The answer is not what the webhook promises.
    #[error("the webhook's answer is wrong, which is a bug; please report it with this manifest: {0}")]
    Answer(String),
}

impl Reviewed {
    /// Reviews a manifest: the very bytes that the server would read go through the function that the server calls.
    ///
    /// # Errors
    /// [`Failure`] where there is no answer.
    pub(super) fn of(
        manifest: Manifest,
        policy: &Policy,
        snapshot: &Snapshot,
        look_up: LookUp<'_>,
    ) -> Result<Self, Failure> {
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
        let mut reviewed =
            Self { place, before, after, patch, response, decision, judgement: None, record, api_version };
        if reviewed.is_allowed() {
            review["request"]["object"] = reviewed.after.clone();
            reviewed.validate(&review, policy, snapshot, look_up)?;
        }
        Ok(reviewed)
    }

    /// The second half, as in the API server: the object as it was changed is judged, and its warnings follow those of the first.
    fn validate(
        &mut self,
        review: &Value,
        policy: &Policy,
        snapshot: &Snapshot,
        look_up: LookUp<'_>,
    ) -> Result<(), Failure> {
        let body = serde_json::to_vec(review).map_err(wrong)?;
        let answers = look_up(questions(&body, policy, snapshot), snapshot).map_err(Failure::Lookup)?;
        let known = Snapshot { answers, ..snapshot.clone() };
        let answer = answer(Endpoint::Validate, &body, policy, &known)?;
        let mut response: Value = serde_json::from_slice(&answer.body).map_err(wrong)?;
        let mut response = response["response"].take();
        let mut warnings: Vec<Value> = self.warnings().map(Value::from).collect();
        if let Value::Array(more) = response["warnings"].take() {
            // As kubectl does, which says each once.
            let new: Vec<_> = more.into_iter().filter(|warning| !warnings.contains(warning)).collect();
            warnings.extend(new);
        }
        let of_mutations = self.response["auditAnnotations"].as_object().cloned().unwrap_or_default();
        let of_checks = response["auditAnnotations"].as_object().cloned().unwrap_or_default();
        response["auditAnnotations"] = of_mutations.into_iter().chain(of_checks).collect();
        response["warnings"] = warnings.into();
        self.response = response;
        self.judgement = answer.judgement;
        if answer.record.outcome != "allowed" {
            self.record.outcome = answer.record.outcome;
            self.record.error = answer.record.error;
        }
        Ok(())
    }

    /// Whether the object may be persisted.
    pub(super) fn is_allowed(&self) -> bool {
        self.response["allowed"] == true
    }

    /// What the checks found, worst first, and what comes of it.
    pub(super) fn findings(&self) -> &[(Finding, Verdict)] {
        self.judgement.as_ref().map_or(&[], |judgement| &judgement.findings)
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
