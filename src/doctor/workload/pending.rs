//! Pods for which the scheduler finds no node, and which of their demands is why.

use serde_json::Value;

use super::about::About;
use crate::{
    doctor::{Cure, Evidence, Finding, Level, Symptom},
    policy::{
        document::Document,
        nodes::{Flag, Landing, Node, Placement},
        subject::Metadata,
    },
};

/// How long an autoscaler may take to make a node.
const PATIENCE: i64 = 180;

pub(super) fn look(about: &About<'_>) -> Option<Finding> {
    let pod = about.pod?;
    let object = pod.object();
    let condition = pod.status.conditions.iter().find(|it| it.kind == "PodScheduled" && it.status == "False");
    // An event is older than what the pod itself says, and there where the pod says nothing.
    let event = about.events().into_iter().rfind(|event| event.reason == "FailedScheduling");
    let (message, evidence) = match (condition, event) {
        (Some(condition), _) if !condition.message.is_empty() => {
            let path = "status.conditions[PodScheduled]";
            (condition.message.as_str(), Evidence::field(&object, path, &condition.message))
        }
        (_, Some(event)) => (event.message.as_str(), Evidence::event(&object, &event.reason, &event.message)),
        _ => return None,
    };
    if condition.is_some_and(|condition| condition.reason == "SchedulingGated") {
        // Somebody holds it back on purpose, such as a queue.
        return None;
    }
    let evidence = vec![evidence];
    if let Some((problem, cure)) = flagged(about) {
        return Some(Finding {
            symptom: Symptom::OnlyFlaggedNodes,
            level: Level::Error,
            object,
            problem,
            evidence,
            cure,
        });
    }
    let reasons = reasons(message);
    let (problem, cure) = explained(&reasons, message, about);
    // An autoscaler may be about to make a node.
    let is_fresh = about.observed.age(&pod.metadata.creation_timestamp).is_none_or(|age| age < PATIENCE);
    let level = if is_fresh { Level::Warning } else { Level::Error };
    Some(Finding { symptom: Symptom::PodUnschedulable, level, object, problem, evidence, cure })
}

/// What the scheduler has against the nodes, each with how many of them: `2 Insufficient cpu`.
fn reasons(message: &str) -> Vec<String> {
    let Some((_, rest)) = message.split_once("nodes are available: ") else { return vec![message.to_owned()] };
    let rest = rest.split(". ").next().unwrap_or(rest).trim_end_matches('.');
    // A taint stands in braces, and may hold a comma.
    let (mut parts, mut depth, mut part) = (Vec::new(), 0, String::new());
    for c in rest.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(std::mem::take(&mut part).trim().to_owned());
                continue;
            }
            _ => {}
        }
        part.push(c);
    }
    parts.push(part.trim().to_owned());
    parts
}

fn explained(reasons: &[String], message: &str, about: &About<'_>) -> (String, Cure) {
    let all = reasons.join(", ");
    let problem = format!("no node takes it: {all}");
    let pod = about.pod.map(|pod| pod.metadata.name.as_str()).unwrap_or_default();
    let namespace = about.namespace();
    let section = about.section();
    let says = |text: &str| all.contains(text) || message.contains(text);
    let nodes = "kubectl describe nodes | grep -A 8 'Allocated resources'".to_owned();
    let cure = if says("no nodes available to schedule pods") {
        Cure::of("There is no node at all: see why, or have the cluster's autoscaler make one:", "kubectl get nodes")
    } else if says("persistentvolumeclaim \"") && says("not found") {
        let claim = message.split("persistentvolumeclaim \"").nth(1).and_then(|rest| rest.split('"').next());
        let claim = claim.unwrap_or_default();
        Cure::of(
            format!("Make the claim {claim}, or name one that is there in the volumes of the {section}:"),
            format!("kubectl get persistentvolumeclaims -n {namespace}"),
        )
    } else if says("unbound immediate PersistentVolumeClaims") {
        Cure::of(
            "A claim of the pod has no volume: see why it waits, mostly a storage class that is not there or makes none:",
            format!("kubectl describe persistentvolumeclaims -n {namespace}; kubectl get storageclasses"),
        )
    } else if says("Insufficient ") {
        let what: Vec<_> = ["cpu", "memory", "ephemeral-storage", "nvidia.com/gpu"]
            .into_iter()
            .filter(|it| says(&format!("Insufficient {it}")))
            .collect();
        let fields = match what.as_slice() {
            ["memory"] => format!("spec.{section}.memory and memoryOverhead"),
            ["cpu"] => format!("spec.{section}.cores or coreRequest"),
            _ => format!("spec.{section}'s cores and memory"),
        };
        Cure::of(format!("Ask for less ({fields}), end something else, or add nodes with room:"), nodes)
    } else if says("untolerated taint") {
        Cure::of(
            "Every node that would do has a taint: take it away, or give the pod a toleration (spec.driver.tolerations, a template):",
            "kubectl get nodes -o custom-columns=NAME:.metadata.name,TAINTS:.spec.taints".to_owned(),
        )
    } else if says("unschedulable") && !says("didn't match") {
        Cure::of(
            "The nodes are cordoned: have one taken back into service:",
            "kubectl get nodes; kubectl uncordon NODE",
        )
    } else if says("didn't match Pod's node affinity/selector") || says("didn't satisfy plugin") {
        Cure::of(
            "No node has the labels that the pod asks for: compare nodeSelector and affinity with the nodes' labels:",
            format!(
                "kubectl get pod {pod} -n {namespace} -o jsonpath='{{.spec.nodeSelector}} {{.spec.affinity}}'; kubectl get nodes --show-labels"
            ),
        )
    } else if says("volume node affinity conflict") {
        Cure::of(
            "Its volume is in another zone than the nodes that would do: take a new claim, or a storage class that waits for the pod (WaitForFirstConsumer).",
            "",
        )
    } else {
        Cure::of("See what the scheduler asks for:", about.describe())
    };
    (problem, cure)
}

/// Where only flagged nodes would do, and the pod is kept off them.
fn flagged(about: &About<'_>) -> Option<(String, Cure)> {
    let nodes = about.observed.nodes.as_ref().ok()?;
    let text = without_exclusions(about).to_string();
    let document = Document::parse(&text).ok()?;
    let was_steered = Metadata::of(document.root()).was_changed_by(crate::policy::mutation::Mutation::NodeSteering);
    let Landing::Pinned(flagged) = nodes.landing(&Placement::of(document.root().get("spec"))) else { return None };
    // It waits because it is kept off them, or because their taint does.
    if !was_steered && !flagged.iter().any(|(node, _)| node.unschedulable || !node.taints.is_empty()) {
        return None;
    }
    let name = |(node, flags): &(&std::sync::Arc<Node>, &[Flag])| {
        let flags: Vec<_> = flags.iter().map(Flag::name).collect();
        format!("{} (by {})", node.name, flags.join(", "))
    };
    let names: Vec<_> = flagged.iter().take(5).map(name).collect();
    let node = flagged.first().map_or("", |(node, _)| &*node.name);
    Some((
        format!("only flagged nodes would take it, and it is kept off them: {}", names.join(", ")),
        Cure::of(
            "Repair or replace the nodes, then take the flag away; or let the pod run elsewhere:",
            format!(
                "spark-admission nodes\nkubectl label node {node} spark-admission.io/flagged-\n\
                 kubectl annotate node {node} --overwrite spark-admission.io/repaired=$(date -u +%FT%TZ)"
            ),
        ),
    ))
}

/// The pod as it was before it was kept off nodes: without the requirements that the webhook adds (docs/mutations.md, node-steering).
fn without_exclusions(about: &About<'_>) -> Value {
    let Some(mut pod) = about.pod.map(|pod| pod.json.clone()) else { return Value::Null };
    let settings = &about.observed.policy.flagged_nodes;
    let terms =
        pod.pointer_mut("/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms");
    for term in terms.and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(expressions) = term["matchExpressions"].as_array_mut() {
            expressions.retain(|it| it["key"] != settings.label.as_str() || it["operator"] != "DoesNotExist");
        }
        if let Some(fields) = term["matchFields"].as_array_mut() {
            fields.retain(|it| it["key"] != "metadata.name" || it["operator"] != "NotIn");
        }
    }
    // A term without anything in it matches nothing: then nothing was required before.
    let is_empty = |term: &Value| {
        ["matchExpressions", "matchFields"].iter().all(|list| term[list].as_array().is_none_or(Vec::is_empty))
    };
    let required = "/spec/affinity/nodeAffinity";
    let terms = pod.pointer(&format!("{required}/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms"));
    if terms.and_then(Value::as_array).is_some_and(|terms| terms.iter().any(is_empty))
        && let Some(affinity) = pod.pointer_mut(required).and_then(Value::as_object_mut)
    {
        affinity.remove("requiredDuringSchedulingIgnoredDuringExecution");
    }
    pod
}
