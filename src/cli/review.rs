//! `review`: what the webhook would do to manifests, without a cluster or for one.
//!
//! ```text
//! text ──> documents ──> manifests (an AdmissionReview each) ──> reviewed (the server's answer) ──> one of five outputs
//! ```

mod beside;
mod cluster;
mod diff;
pub(super) mod documents;
mod explanation;
mod manifests;
mod report;
mod reviewed;
mod summary;
mod yaml;

use std::env;
use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};

use super::policy;
use crate::policy::lookup::Answers;
use crate::policy::nodes::Nodes;
use crate::policy::{Policy, Snapshot};
pub use diff::write_diff;
pub use explanation::purpose;

use beside::{Beside, Making};
use manifests::{Manifest, Unreadable, manifests, title};
use reviewed::Reviewed;

/// The exit status when every object is allowed.
const ALLOWED: u8 = 0;
/// The exit status when an object is denied.
const DENIED: u8 = 1;
/// The exit status when something could not be read.
const UNREADABLE: u8 = 2;

/// What `--help` says behind the flags.
const AFTER_HELP: &str = "\
Exit status: 0 if every object is allowed, 1 if one is denied, 2 if something could not be read or there was nothing to review; the
rest is reviewed all the same.

Examples:
  spark-admission review application.yaml
  helm template ./chart | spark-admission review -o explain
  kubectl get pod pi-driver -o yaml | spark-admission review --policy policy.yaml
  kubectl get nodes -o yaml > nodes.yaml; spark-admission review --nodes nodes.yaml pod.yaml
  spark-admission review --context staging -n jobs application.yaml
  spark-admission review -o yaml application.yaml | kubectl apply -f -";

/// Shows what the webhook would do to manifests, without a cluster or for one
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct ReviewCommand {
    /// Manifests in YAML or JSON: several documents, lists and AdmissionReview files too; `-` or nothing is standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<String>,
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Diff)]
    pub output: Output,
    /// The policy to review by; the default policy without it
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    pub namespace: String,
    /// Labels that every namespace is assumed to have, such as spark-admission.io/enabled=false
    #[arg(long, value_name = "KEY=VALUE,...", value_delimiter = ',', value_parser = label)]
    pub namespace_labels: Vec<(String, String)>,
    /// Look up in a cluster, by this kubeconfig, what is there: accounts and their rights, operators, namespaces, limits and nodes
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The same, by this context of the kubeconfig; without --kubeconfig of the one that kubectl uses
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Assume a cluster with OpenShift, which gives every namespace user ids of its own
    #[arg(long)]
    pub openshift: bool,
    /// The nodes of a cluster, as `kubectl get nodes -o yaml` or `-o json` prints them; without them none is flagged
    #[arg(long, value_name = "FILE")]
    pub nodes: Option<PathBuf>,
    /// Events about these nodes, as `kubectl get events -o yaml` prints them; they count as they did when the last of them happened
    #[arg(long, value_name = "FILE", requires = "nodes")]
    pub events: Option<PathBuf>,
    /// Whether diffs are coloured; not a flag: on a terminal they are, unless the environment has `NO_COLOR`.
    #[arg(skip = is_colour_wanted())]
    pub colour: bool,
}

/// What `review` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// What would change, as a diff of the YAML
    Diff,
    /// The objects as they would be stored, for kubectl apply; comments are lost
    Yaml,
    /// Everything, for programs: one array
    Json,
    /// The JSON Patch of each object, one a line
    Patch,
    /// Every mutation, what it did or why it did nothing
    Explain,
}

impl ReviewCommand {
    /// Runs the command and returns its exit status: 0 if all objects are allowed, 1 if one is denied, 2 if something could not
    /// be read. Results go to `output`, complaints to `errors`.
    ///
    /// # Errors
    /// When `output` or `errors` cannot be written to, such as a pipe that was closed.
    pub fn run(&self, input: &mut dyn Read, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        let policy = match self.read_policy() {
            Ok(policy) => policy,
            Err(complaint) => return writeln!(errors, "{complaint}").map(|()| UNREADABLE),
        };
        let nodes = match self.read_nodes(&policy) {
            Ok(nodes) => nodes,
            Err(complaint) => return writeln!(errors, "{complaint}").map(|()| UNREADABLE),
        };
        let manifests = self.manifests(input);
        let mut beside = match self.reach(&policy, nodes.clone(), &manifests) {
            Ok(beside) => beside,
            Err(complaint) => return writeln!(errors, "{complaint}").map(|()| UNREADABLE),
        };
        let mut status = ALLOWED;
        let mut reviewed = Vec::new();
        for result in manifests {
            match result.and_then(|manifest| self.review(manifest, &policy, nodes.clone(), beside.as_mut())) {
                Ok(object) => {
                    status = status.max(if object.is_allowed() { ALLOWED } else { DENIED });
                    reviewed.push(object);
                }
                Err(complaint) => {
                    writeln!(errors, "{complaint}")?;
                    status = UNREADABLE;
                }
            }
        }
        for unknown in beside.iter().flat_map(Beside::unknown) {
            writeln!(errors, "{unknown}")?;
        }
        if reviewed.is_empty() && status == ALLOWED {
            // A pipeline whose left side failed must not pass for a manifest that is in order.
            writeln!(errors, "there is no Kubernetes object in what was given; nothing was reviewed")?;
            status = UNREADABLE;
        }
        self.write(&reviewed, output, errors)?;
        Ok(status)
    }

    fn read_policy(&self) -> Result<Policy, String> {
        let Some(file) = &self.policy else { return Ok(Policy::default()) };
        policy::read_policy(file)
    }

    fn read_nodes(&self, policy: &Policy) -> Result<Option<Arc<Nodes>>, String> {
        let Some(file) = &self.nodes else { return Ok(None) };
        cluster::nodes(file, self.events.as_deref(), &policy.flagged_nodes).map(|nodes| Some(Arc::new(nodes)))
    }

    /// The objects of all files, or why one cannot be read.
    fn manifests(&self, input: &mut dyn Read) -> Vec<Result<Manifest, String>> {
        let standard_input = ["-".to_owned()];
        let files = if self.files.is_empty() { &standard_input[..] } else { &self.files };
        let mut all = Vec::new();
        for file in files {
            match read(file, input) {
                Ok(text) => {
                    let found = manifests(file, &text, &self.namespace).into_iter();
                    all.extend(found.map(|manifest| manifest.map_err(|unreadable| unreadable.to_string())));
                }
                Err(complaint) => all.push(Err(complaint)),
            }
        }
        all
    }

    /// The cluster, where the flags name one.
    fn reach(
        &self,
        policy: &Policy,
        nodes: Option<Arc<Nodes>>,
        manifests: &[Result<Manifest, String>],
    ) -> Result<Option<Beside>, String> {
        if self.kubeconfig.is_none() && self.context.is_none() {
            return Ok(None);
        }
        let place = crate::cluster::Place::Kubeconfig { file: self.kubeconfig.clone(), context: self.context.clone() };
        let mut making = Making::default();
        for manifest in manifests.iter().flatten() {
            let request = &manifest.review["request"];
            making.note(&request["object"], request["namespace"].as_str().unwrap_or_default());
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        Beside::reach(place, policy, nodes, now, making).map(Some)
    }

    fn review(
        &self,
        manifest: Manifest,
        policy: &Policy,
        nodes: Option<Arc<Nodes>>,
        mut beside: Option<&mut Beside>,
    ) -> Result<Reviewed, String> {
        let place = manifest.place.clone();
        let namespace = manifest.review["request"]["namespace"].as_str().unwrap_or_default().to_owned();
        let mut snapshot = match &mut beside {
            Some(beside) => beside.snapshot(&namespace)?,
            None => Snapshot { nodes, ..Snapshot::default() },
        };
        snapshot.openshift |= self.openshift;
        let mut labels = snapshot.namespaces.get(&namespace).cloned().unwrap_or_default();
        labels.extend(self.namespace_labels.iter().cloned());
        snapshot.namespaces = Arc::new([(namespace, labels)].into());
        let mut look_up = |questions, known: &Snapshot| match &mut beside {
            Some(beside) => beside.answers(questions, known),
            None => Ok(Answers::default()),
        };
        Reviewed::of(manifest, policy, &snapshot, &mut look_up)
            .map_err(|failure| Unreadable::at(place, failure.to_string()).to_string())
    }

    fn write(&self, reviewed: &[Reviewed], output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<()> {
        match self.output {
            Output::Diff => diff::write(reviewed, self.colour, output),
            Output::Explain => explanation::write(reviewed, output),
            Output::Json => report::write(reviewed, output),
            Output::Yaml => {
                say_besides(reviewed, errors)?;
                objects(reviewed, output)
            }
            Output::Patch => {
                say_besides(reviewed, errors)?;
                reviewed.iter().try_for_each(|object| writeln!(output, "{}", object.patch))
            }
        }
    }
}

/// What outputs that are for other programs leave no room for: refusals, and warnings as kubectl prints them.
fn say_besides(reviewed: &[Reviewed], errors: &mut dyn Write) -> io::Result<()> {
    for object in reviewed {
        if !object.is_allowed() {
            writeln!(errors, "{}: {}", object.place, summary::verdict(object))?;
        }
        object.warnings().try_for_each(|warning| writeln!(errors, "Warning: {}: {warning}", object.place))?;
    }
    Ok(())
}

/// The objects that would be stored, as YAML documents.
fn objects(reviewed: &[Reviewed], output: &mut dyn Write) -> io::Result<()> {
    let stored = reviewed.iter().filter(|object| object.is_allowed() && object.after.is_object());
    for (index, object) in stored.enumerate() {
        if index > 0 {
            writeln!(output, "---")?;
        }
        output.write_all(yaml::yaml(&object.after).map_err(io::Error::other)?.as_bytes())?;
    }
    Ok(())
}

fn read(file: &str, input: &mut dyn Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = match file {
        "-" => input.read_to_end(&mut bytes).map(|_| ()),
        file => fs::read(file).map(|content| bytes = content),
    };
    read.map_err(|error| format!("{}: cannot be read: {error}", title(file)))?;
    String::from_utf8(bytes).map_err(|error| {
        let readable = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..readable].split(|byte| *byte == b'\n').count();
        format!("{}, line {line}: cannot be read: this is no UTF-8 text", title(file))
    })
}

/// `key=value`.
fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a label is key=value, such as spark-admission.io/enabled=false".to_owned()),
    }
}

/// Whether standard output is to be coloured: on a terminal, unless its user said no (<https://no-color.org>).
#[must_use]
pub fn is_colour_wanted() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
