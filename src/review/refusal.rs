//! What findings read like to whoever submitted the object.
//!
//! Of a refusal with status 422 kubectl shows the causes and not the message, of one with 403 the message alone (pkg/cmd/util/helpers.go
//! of kubectl 1.37). So each says everything.

use super::response::{Cause, Details, Status};
use crate::policy::Judgement;
use crate::policy::check::Fault;
use crate::policy::finding::Finding;
use crate::policy::plan::shortened;

/// The longest warning: the API server may cut what exceeds 256 bytes where all warnings together are longer than [`LONGEST_TOGETHER`]
/// (staging/src/k8s.io/apiserver/pkg/endpoints/filters/warning.go).
const LONGEST_WARNING: usize = 250;

/// What may be told of one object without being cut; other webhooks want their part of 4096 bytes.
const LONGEST_TOGETHER: usize = 2_000;

/// The most warnings for one object: nobody reads more.
const MOST_WARNINGS: usize = 20;

/// Why an object is refused, worst first.
pub(super) fn refusal(judgement: &Judgement, kind: &str, name: &str) -> Status {
    let is_of_object = |finding: &Finding| finding.check.fault() == Fault::Object;
    let (code, reason) = if judgement.denied().any(is_of_object) { (422, "Invalid") } else { (403, "Forbidden") };
    let causes = judgement.denied().map(cause).collect();
    let details = Details { name: name.to_owned(), kind: kind.to_owned(), causes };
    Status { code, reason, message: message(judgement), details: Some(details) }
}

/// One finding as a sentence, several as lines.
fn message(judgement: &Judgement) -> String {
    let problems: Vec<_> = judgement.denied().map(ToString::to_string).collect();
    match problems.as_slice() {
        [only] => only.clone(),
        several => format!("{} problems:\n  {}", several.len(), several.join("\n  ")),
    }
}

fn cause(finding: &Finding) -> Cause {
    let reason = match finding.check.fault() {
        Fault::Object => "FieldValueInvalid",
        Fault::Surroundings => "FieldValueForbidden",
    };
    let Finding { problem, cure, .. } = finding;
    let message = format!("{problem}; {cure} ({})", finding.check.name());
    let field = if finding.path.steps().is_empty() { "metadata".to_owned() } else { finding.path.to_string() };
    Cause { reason, message, field }
}

/// What the author is told without being refused, or besides.
pub(super) fn warnings(judgement: &Judgement) -> Vec<String> {
    let printable = |text: String| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let told: Vec<_> = judgement.told().take(MOST_WARNINGS).map(|finding| printable(finding.to_string())).collect();
    if told.iter().map(String::len).sum::<usize>() <= LONGEST_TOGETHER {
        return told;
    }
    told.iter().map(|text| shortened(text, LONGEST_WARNING)).collect()
}
