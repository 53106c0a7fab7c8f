//! `nodes`: each node of the cluster, and what flags it, as the webhook sees it.

use std::{
    io,
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{objects, policy};
use crate::{
    cluster::{Cluster, Place},
    policy::{
        configuration::FlaggedNodes,
        nodes::{
            Flag, Node, NodeEvent, Nodes,
            objects::{EventObject, NodeObject},
        },
        values::timestamp,
    },
};

/// The exit status when the nodes are shown.
const SHOWN: u8 = 0;
/// The exit status when it could not be looked.
const UNKNOWN: u8 = 2;

/// What `--help` says behind the flags.
const AFTER_HELP: &str = "\
Exit status: 0, or 2 if the nodes could not be looked at.

Examples:
  spark-admission nodes
  spark-admission nodes --context staging --policy policy.yaml -o json
  kubectl get nodes -o yaml > nodes.yaml; spark-admission nodes --nodes nodes.yaml";

/// Shows each node, and what flags it
#[derive(Debug, Clone, Args)]
#[command(after_help = AFTER_HELP)]
pub struct NodesCommand {
    /// What to print
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// The policy that says what flags a node; the default policy without it
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// The kubeconfig of the cluster; without it the one that kubectl would use
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Look at the nodes in this file, which `kubectl get nodes -o yaml` printed, and at no cluster
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kubeconfig", "context"])]
    pub nodes: Option<PathBuf>,
    /// Look at the events in this file too, which `kubectl get events -o yaml` printed
    #[arg(long, value_name = "FILE", requires = "nodes")]
    pub events: Option<PathBuf>,
}

/// What `nodes` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A line for each node, and one more for each further thing that flags it
    Table,
    /// Everything, for programs: one array
    Json,
}

impl NodesCommand {
    /// Runs the command and returns its exit status: 0, or 2 if the nodes could not be looked at. Nodes go to `output`, complaints
    /// to `errors`.
    ///
    /// # Errors
    /// When `output` or `errors` cannot be written to, such as a pipe that was closed.
    pub fn run(&self, output: &mut dyn Write, errors: &mut dyn Write) -> io::Result<u8> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let found = self.settings().and_then(|settings| {
            let (nodes, events) = self.objects(&settings)?;
            Ok(Nodes::new(nodes, &events, &settings, now))
        });
        match found {
            Ok(nodes) => self.write(&nodes, now, output).map(|()| SHOWN),
            Err(complaint) => writeln!(errors, "{complaint}").map(|()| UNKNOWN),
        }
    }

    fn settings(&self) -> Result<FlaggedNodes, String> {
        let Some(file) = &self.policy else { return Ok(FlaggedNodes::default()) };
        policy::read_policy(file).map(|policy| policy.flagged_nodes)
    }

    fn objects(&self, settings: &FlaggedNodes) -> Result<(Vec<Arc<Node>>, Vec<NodeEvent>), String> {
        let Some(file) = &self.nodes else { return self.of_cluster(settings) };
        let nodes = objects::read::<NodeObject>(file, "Node")?;
        let events = self.events.as_ref().map(|file| objects::read::<EventObject>(file, "Event")).transpose()?;
        Ok((
            nodes.into_iter().map(|node| Arc::new(Node::read(node, settings))).collect(),
            events.into_iter().flatten().filter_map(|event| NodeEvent::read(event, settings)).collect(),
        ))
    }

    fn of_cluster(&self, settings: &FlaggedNodes) -> Result<(Vec<Arc<Node>>, Vec<NodeEvent>), String> {
        let place = Place::of_kubectl(self.kubeconfig.as_deref(), self.context.as_deref());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let looked = runtime.map_err(|error| format!("cannot start: {error}"))?.block_on(async {
            let cluster = Cluster::at(place).await?;
            let nodes = cluster.nodes(settings).await?;
            let mut events = Vec::new();
            for namespace in &settings.event_namespaces {
                events.extend(cluster.node_events(namespace, settings).await?);
            }
            Ok((nodes, events))
        });
        looked.map_err(|error: crate::cluster::Error| error.to_string())
    }

    fn write(&self, nodes: &Nodes, now: i64, output: &mut dyn Write) -> io::Result<()> {
        match self.output {
            Output::Table => table(nodes, now, output),
            Output::Json => {
                writeln!(output, "{:#}", nodes.iter().map(|(node, flags)| report(node, flags)).collect::<Value>())
            }
        }
    }
}

fn table(nodes: &Nodes, now: i64, output: &mut dyn Write) -> io::Result<()> {
    let mut lines = vec![["NODE".to_owned(), "FLAGGED BY".to_owned(), "SINCE".to_owned()]];
    for (node, flags) in nodes.iter() {
        let name = node.name.to_string();
        if flags.is_empty() {
            lines.push([name.clone(), "-".to_owned(), "-".to_owned()]);
        }
        lines.extend(flags.iter().map(|flag| [name.clone(), by(flag), since(flag, now)]));
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or_default();
    let (names, flags) = (width(0), width(1));
    lines.iter().try_for_each(|[name, by, since]| writeln!(output, "{name:names$}   {by:flags$}   {since}"))
}

/// `label`, or `condition ReadonlyFilesystem`.
fn by(flag: &Flag) -> String {
    flag.detail().map_or_else(|| flag.name().to_owned(), |detail| format!("{} {detail}", flag.name()))
}

/// `3h12m ago`, and when it ends where it does by itself.
fn since(flag: &Flag, now: i64) -> String {
    let Some(since) = flag.since() else { return "-".to_owned() };
    let ends = flag.until().map_or(String::new(), |until| format!(", for another {}", span(until - now)));
    format!("{} ago{ends}", span(now - since))
}

/// A span of time in its two largest units, as kubectl writes ages.
fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m"),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

fn report(node: &Node, flags: &[Flag]) -> Value {
    let flag = |flag: &Flag| {
        json!({
            "by": flag.name(), "detail": flag.detail(),
            "since": flag.since().and_then(timestamp::text), "until": flag.until().and_then(timestamp::text)
        })
    };
    json!({"name": *node.name, "flagged": !flags.is_empty(), "flags": flags.iter().map(flag).collect::<Value>()})
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const NODES: &str = "
apiVersion: v1
kind: List
items:
- {kind: Node, metadata: {name: good, creationTimestamp: 2026-11-20T10:00:00Z}}
- kind: Node
  metadata: {name: bad, creationTimestamp: 2026-11-20T10:00:00Z, labels: {spark-admission.io/flagged: ''}}
  status: {conditions: [{type: XfsShutdown, status: 'True', lastTransitionTime: 2026-11-21T10:00:00Z}]}
";

    fn run(nodes: &str, events: Option<&str>, output: Output) -> (u8, String, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            file
        };
        let command = NodesCommand {
            output,
            policy: None,
            kubeconfig: None,
            context: None,
            nodes: Some(file("nodes.yaml", nodes)),
            events: events.map(|events| file("events.yaml", events)),
        };
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let status = command.run(&mut out, &mut errors).unwrap();
        (status, String::from_utf8(out).unwrap(), String::from_utf8(errors).unwrap())
    }

    #[test]
    fn shows_every_node_and_what_flags_it() {
        let (status, shown, errors) = run(NODES, None, Output::Table);
        assert_eq!((status, errors.as_str()), (0, ""));
        let columns: Vec<_> = shown
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>())
            .collect();
        assert_eq!(columns[0], ["NODE", "FLAGGED BY", "SINCE"]);
        assert_eq!(columns[1], ["bad", "label", "-"]);
        assert_eq!(columns[2][..2], ["bad", "condition XfsShutdown"]);
        assert!(columns[2][2].ends_with(" ago"), "{shown}");
        assert_eq!(columns[3], ["good", "-", "-"]);
    }

    #[test]
    fn shows_everything_to_programs() {
        let (status, shown, _) = run(NODES, None, Output::Json);
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let condition =
            json!({"by": "condition", "detail": "XfsShutdown", "since": "2026-11-21T10:00:00Z", "until": null});
        assert_eq!((status, &shown[0]["flags"][1]), (0, &condition));
        assert_eq!((&shown[0]["flagged"], &shown[1]["flagged"]), (&json!(true), &json!(false)));
    }

    #[test]
    fn what_cannot_be_read_is_status_2_with_its_place() {
        for (case, nodes, events, expected) in [
            ("a broken file", "kind: [", None, "nodes.yaml, line 1: "),
            ("a pod", "kind: Pod", None, "nodes.yaml, line 1: this is no Node but a \"Pod\""),
            ("nodes for events", NODES, Some(NODES), "events.yaml, line 2: this is no Event but a \"Node\""),
        ] {
            let (status, shown, errors) = run(nodes, events, Output::Table);
            assert_eq!((status, shown.as_str()), (2, ""), "{case}");
            assert!(errors.contains(expected), "{case}: {errors}");
        }
    }

    #[test]
    fn writes_spans_as_kubectl_does() {
        for (seconds, expected) in [(-1, "0s"), (59, "59s"), (60, "1m"), (11_520, "3h12m"), (90_000, "1d1h")] {
            assert_eq!(span(seconds), expected);
        }
    }
}
