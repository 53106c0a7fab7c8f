//! Containers that memory ended, and the sum that did it: heap, overhead and memory-backed volumes against the limit.

use std::fmt::Write as _;

use serde_json::Value;

use super::about::About;
use crate::{
    doctor::{
        Cure, Evidence, Finding, Level, Symptom,
        objects::{Container, ContainerStatus, Terminated},
    },
    policy::values::quantity::Quantity,
};

const MEBIBYTE: u64 = 1 << 20;

/// The exit status of an executor that Java's memory ended (Spark's `SparkExitCode.OOM`).
const SPARK_OUT_OF_MEMORY: i64 = 52;
/// 128 + SIGKILL.
const KILLED: i64 = 137;

/// The finding about a container that memory ended, as its status has it; none where it ended otherwise.
pub(super) fn ended(about: &About<'_>, status: &ContainerStatus, ended: &Terminated) -> Option<Finding> {
    let object = about.object();
    let container = about.pod?.spec.containers.iter().find(|container| container.name == status.name)?;
    let sum = Sum::of(about, container);
    let field = Evidence::field(
        &object,
        &format!("status, container {}", status.name),
        format!("ended with {}, {}", ended.exit_code, ended.reason),
    );
    let (symptom, problem) = match (ended.reason.as_str(), ended.exit_code) {
        ("OOMKilled", _) => (Symptom::OomKilled, format!("the kernel ended {}: {sum}", status.name)),
        (_, SPARK_OUT_OF_MEMORY) if about.is_executor() => {
            (Symptom::HeapExhausted, "the executor's heap is used up (exit status 52)".to_owned())
        }
        (_, KILLED) => (
            Symptom::Killed,
            format!(
                "{} was killed (137), and not for its own memory: the node's, a probe's or somebody's doing",
                status.name
            ),
        ),
        _ => return None,
    };
    let cure = match symptom {
        Symptom::OomKilled => Cure::of(sum.advice(), about.overhead(&in_mebibytes(sum.overhead_needed()))),
        Symptom::HeapExhausted => Cure::of(
            "Give it a larger heap, or have it hold less at once:",
            about.heap(&in_mebibytes(sum.heap.unwrap_or(1 << 30) * 2)),
        ),
        _ => Cure::of("See what happened to it and on its node at that time:", about.describe()),
    };
    Some(Finding { symptom, level: Level::Error, evidence: vec![field], object, problem, cure })
}

/// What has to fit into a container's memory limit.
struct Sum {
    limit: Option<u64>,
    heap: Option<u64>,
    /// The memory-backed volumes that are mounted, by name: what is in them counts as the container's memory.
    volumes: Vec<(String, Option<u64>)>,
}

impl Sum {
    fn of(about: &About<'_>, container: &Container) -> Self {
        let own = container.resources.limits.get("memory").map(|limit| limit.0.as_str());
        let pods = || about.pod?.json["spec"]["resources"]["limits"]["memory"].as_str();
        let limit = own.or_else(pods).and_then(in_bytes);
        let named = |path: &str| about.spec(path).and_then(Value::as_str).and_then(of_java);
        let variable = |name: &str| {
            let variables = about.pod?.container(&container.name)?["env"].as_array()?;
            of_java(variables.iter().find(|variable| variable["name"] == name)?["value"].as_str()?)
        };
        let heap = variable("SPARK_EXECUTOR_MEMORY").or_else(|| named(&format!("/{}/memory", about.section())));
        Self { limit, heap, volumes: volumes(about, container) }
    }

    fn in_volumes(&self) -> u64 {
        self.volumes.iter().filter_map(|(_, size)| *size).sum()
    }

    fn overhead(&self) -> Option<u64> {
        Some(self.limit?.saturating_sub(self.heap?))
    }

    /// What beside the heap would hold the volumes and half as much again as there was.
    fn overhead_needed(&self) -> u64 {
        let now = self.overhead().unwrap_or(384 * MEBIBYTE).max(384 * MEBIBYTE);
        now + self.in_volumes().max(now / 2)
    }

    fn advice(&self) -> String {
        match (self.limit, self.in_volumes()) {
            (Some(_), 1..) => "Give it more memory beside the heap: what is in memory-backed volumes counts.",
            (Some(_), 0) => "Give it more memory beside the heap: Python, buffers and threads are not in it.",
            (None, _) => "It has no limit, so the node ran out of memory: ask for what it needs, that it lands on a node with room.",
        }
        .to_owned()
    }
}

/// `its limit is 1408 MiB; heap 1024 MiB, 384 MiB beside it, of which volumes can take ivy-cache 512 MiB`.
impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.limit {
            Some(limit) => write!(f, "its limit is {}", bytes(limit))?,
            None => f.write_str("it has no limit of its own, so the node was out of memory")?,
        }
        if let Some(heap) = self.heap {
            write!(f, "; heap {}", bytes(heap))?;
        }
        if let Some(overhead) = self.overhead() {
            write!(f, ", {} beside it", bytes(overhead))?;
        }
        for (place, (name, size)) in self.volumes.iter().enumerate() {
            f.write_str(if place == 0 { ", of which memory-backed volumes can take " } else { " and " })?;
            f.write_str(name)?;
            match size {
                Some(size) => write!(f, " {}", bytes(*size))?,
                None => f.write_str(" all")?,
            }
        }
        Ok(())
    }
}

fn volumes(about: &About<'_>, container: &Container) -> Vec<(String, Option<u64>)> {
    let Some(pod) = about.pod else { return Vec::new() };
    let Some(own) = pod.container(&container.name) else { return Vec::new() };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mounted: Vec<_> = list(&own["volumeMounts"]).iter().map(|mount| mount["name"].clone()).collect();
    let in_memory =
        list(&pod.json["spec"]["volumes"]).into_iter().filter(|volume| volume["emptyDir"]["medium"] == "Memory");
    let mut volumes: Vec<_> = in_memory
        .filter(|volume| mounted.contains(&volume["name"]))
        .map(|volume| {
            let size = volume["emptyDir"]["sizeLimit"].as_str().and_then(in_bytes);
            (volume["name"].as_str().unwrap_or_default().to_owned(), size)
        })
        .collect();
    volumes.dedup();
    volumes
}

/// A quantity of Kubernetes' in whole bytes; none where it is none, or next to nothing.
pub(super) fn in_bytes(quantity: &str) -> Option<u64> {
    Quantity::parse(quantity)?.whole()
}

/// Memory as Java and Spark write it: `512m`, `1g`, and a number alone is bytes to Java.
pub(super) fn of_java(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (number, factor) = match text.strip_suffix(['k', 'm', 'g', 't']) {
        Some(number) => (number, 1_u64 << (10 * (1 + "kmgt".find(&text[number.len()..])?))),
        None => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// `1408m`, as Spark reads it: rounded up.
pub(super) fn in_mebibytes(bytes: u64) -> String {
    format!("{}m", bytes.div_ceil(MEBIBYTE))
}

/// `1408 MiB`, for people.
pub(super) fn bytes(bytes: u64) -> String {
    let mut text = String::new();
    // Writing to a text does not fail.
    let _ = if bytes < MEBIBYTE { write!(text, "{bytes} bytes") } else { write!(text, "{} MiB", bytes / MEBIBYTE) };
    text
}
