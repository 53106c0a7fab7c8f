//! What the mutations want: edits of the object, warnings for its author, and notes for the mutations after them.
//!
//! Mutations run in the order of one list (see [`super::mutations`]) on one plan. A mutation that is only observed writes
//! into the same plan, but nothing that it wrote is done, nor seen by a mutation that is enforced.

use serde_json::{Value, json};

use super::field_path::{FieldPath, path};
use super::mutation::Mutation;
use super::outcome::{Outcome, Skip};
use super::subject::Container;

/// One wanted change of the object, by the mutation that wants it; by none where it is the hand-over.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// Where.
    pub path: FieldPath,
    /// What is to happen there.
    pub change: Change,
    /// Who wants it; none for the hand-over and the `mutated` annotation.
    pub mutation: Option<Mutation>,
    /// Whether it is only observed, so not done.
    pub observed: bool,
}

/// What is to happen at a path. Parents that are absent or null are created by whoever carries it out.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The value stands there, whatever stood there before.
    Set(Value),
    /// The value is added behind the array that stands there.
    Append(Value),
    /// What stands there goes; something surely does.
    Remove,
}

/// What a mutation tells those that run after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Spark's container has (or gets) the webhook's volume mounted here.
    IvyMountedAt(String),
    /// These coordinates were added to the packages.
    PackageAdded(String),
}

/// The longest warning that `kubectl` shows whole (Kubernetes asks for at most 120 characters).
pub const LONGEST_WARNING: usize = 120;

/// The most warnings for one object: nobody reads more, and the API server shortens what exceeds 4096 characters in all.
const MOST_WARNINGS: usize = 20;

/// Collects what the mutations want of one object.
#[derive(Debug, Default)]
pub struct Plan {
    edits: Vec<Edit>,
    warnings: Vec<String>,
    notes: Vec<(Note, bool)>,
    mutation: Option<Mutation>,
    observing: bool,
}

impl Plan {
    /// Everything up to the next call belongs to this mutation, and is only observed if `observing`.
    pub fn begin(&mut self, mutation: Mutation, observing: bool) {
        self.mutation = Some(mutation);
        self.observing = observing;
    }

    /// Everything from here on belongs to no mutation and is done.
    pub fn begin_unowned(&mut self) {
        self.mutation = None;
        self.observing = false;
    }

    /// Wants `value` to stand at `path`.
    pub fn set(&mut self, path: FieldPath, value: impl Into<Value>) {
        self.want(path, Change::Set(value.into()));
    }

    /// Wants `value` behind the array at `path`.
    pub fn append(&mut self, path: FieldPath, value: impl Into<Value>) {
        self.want(path, Change::Append(value.into()));
    }

    /// Wants nothing to stand at `path`, where something surely does.
    pub fn remove(&mut self, path: FieldPath) {
        self.want(path, Change::Remove);
    }

    /// Whether something is wanted to stand at `path` already.
    #[must_use]
    pub fn wants(&self, path: &FieldPath) -> bool {
        self.edits.iter().any(|edit| edit.path == *path && (self.observing || !edit.observed))
    }

    /// What is wanted to stand at `path`, by the last who wanted something there.
    #[must_use]
    pub fn wanted(&self, path: &FieldPath) -> Option<&Value> {
        let mut edits = self.edits.iter().rev().filter(|edit| edit.path == *path && (self.observing || !edit.observed));
        edits.find_map(|edit| if let Change::Set(value) = &edit.change { Some(value) } else { None })
    }

    fn want(&mut self, path: FieldPath, change: Change) {
        self.edits.push(Edit { path, change, mutation: self.mutation, observed: self.observing });
    }

    /// Tells the object's author something, under the name of the mutation; longer texts are cut to [`LONGEST_WARNING`].
    pub fn warn(&mut self, text: impl AsRef<str>) {
        if self.observing {
            return;
        }
        let text = match self.mutation {
            Some(mutation) => format!("{}: {}", mutation.name(), text.as_ref()),
            None => text.as_ref().to_owned(),
        };
        // The API server drops a warning with control characters, and a terminal would obey them.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = shortened(&text, LONGEST_WARNING);
        match self.warnings.len() {
            0..MOST_WARNINGS if !self.warnings.contains(&text) => self.warnings.push(text),
            MOST_WARNINGS => self.warnings.push("there is more to warn about; correct this first".to_owned()),
            _ => {}
        }
    }

    /// Tells the mutations after this one something.
    pub fn note(&mut self, note: Note) {
        self.notes.push((note, self.observing));
    }

    /// What earlier mutations told; of observed ones only while observing.
    pub fn notes(&self) -> impl Iterator<Item = &Note> {
        self.notes.iter().filter(|(_, observed)| self.observing || !observed).map(|(note, _)| note)
    }

    /// `Applied` if the current mutation wants anything, else skipped: nothing is missing.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.edits.iter().any(|edit| edit.mutation == self.mutation) {
            Outcome::Applied
        } else {
            Outcome::Skipped(Skip::NothingToDo)
        }
    }

    /// The edits and the warnings.
    #[must_use]
    pub fn finish(self) -> (Vec<Edit>, Vec<String>) {
        (self.edits, self.warnings)
    }
}

/// What is wanted of pods.
impl Plan {
    /// Adds a volume to the pod.
    pub fn add_volume(&mut self, volume: Value) {
        self.append(path(["spec", "volumes"]), volume);
    }

    /// Mounts a volume into a container.
    pub fn mount(&mut self, container: &Container<'_>, volume: &str, at: &str) {
        self.append(container.path().then(["volumeMounts"]), json!({"name": volume, "mountPath": at}));
    }

    /// Adds an environment variable to a container.
    pub fn add_env(&mut self, container: &Container<'_>, name: &str, value: &str) {
        self.append(container.path().then(["env"]), json!({"name": name, "value": value}));
    }

    /// Changes the value of the environment variable that stands at `index`.
    pub fn set_env(&mut self, container: &Container<'_>, index: usize, value: &str) {
        self.set(container.path().then(["env"]).at(index).then(["value"]), value);
    }

    /// Sets a field of the pod's security context.
    pub fn set_pod_security(&mut self, field: &'static str, value: impl Into<Value>) {
        self.set(path(["spec", "securityContext", field]), value);
    }

    /// Sets a field of a container's security context.
    pub fn set_container_security(&mut self, container: &Container<'_>, field: &'static str, value: impl Into<Value>) {
        self.set(container.path().then(["securityContext", field]), value);
    }
}

/// What is wanted of resources.
impl Plan {
    /// Sets a key of `spec.sparkConf`.
    pub fn set_spark_conf(&mut self, key: &'static str, value: &str) {
        self.set(path(["spec", "sparkConf", key]), value);
    }
}

/// What is wanted of any object.
impl Plan {
    /// Sets an annotation of the object itself.
    pub fn annotate(&mut self, key: &'static str, value: &str) {
        self.set(path(["metadata", "annotations", key]), value);
    }
}

/// The text, cut to `length` characters with an ellipsis as the last.
#[must_use]
pub fn shortened(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_observed_is_seen_by_observers_only() {
        let mut plan = Plan::default();
        plan.begin(Mutation::IvyCache, true);
        plan.note(Note::IvyMountedAt("/tmp/.ivy2".into()));
        plan.warn("nobody hears this");
        assert_eq!(plan.notes().count(), 1);
        plan.begin(Mutation::IvyDir, false);
        assert_eq!(plan.notes().count(), 0);
        assert_eq!(plan.finish().1, Vec::<String>::new());
    }

    #[test]
    fn warnings_fit_what_kubectl_shows() {
        let mut plan = Plan::default();
        plan.begin(Mutation::IvyDir, false);
        plan.warn("ü".repeat(200));
        let (_, warnings) = plan.finish();
        assert_eq!(warnings[0].chars().count(), LONGEST_WARNING);
        assert!(warnings[0].starts_with("ivy-dir: ü") && warnings[0].ends_with('…'));
    }
}
