//! Pods that have a node and get no further: volumes, images, configuration.

use serde_json::json;

use super::about::About;
use crate::{
    doctor::{
        Cure, Evidence, Finding, Level, ObjectName, Symptom,
        objects::{ContainerStatus, Event, Terminated, Waiting},
    },
    policy::{nodes::Flag, values::quantity::Quantity},
};

/// What a fresh driver may wait for: Spark makes the pod first, and then what belongs to it.
const PATIENCE: i64 = 120;

/// What keeps the kubelet from the containers of a pod, as its events say.
pub(super) fn look(about: &About<'_>) -> Option<Finding> {
    let object = about.object();
    let events = about.events();
    if let Some(event) = events.iter().rev().find(|event| is_of_space(about, &event.message)) {
        return Some(no_space(about, Evidence::event(&object, &event.reason, &event.message)));
    }
    let of = |reason: &str| events.iter().rev().find(|event| event.reason == reason);
    let (symptom, problem, cure, event) = if let Some(event) = of("FailedMount").or_else(|| of("FailedAttachVolume")) {
        let (symptom, problem, cure) = not_mounted(about, event)?;
        (symptom, problem, cure, event)
    } else {
        let event = of("FailedCreatePodSandBox")?;
        let problem = format!("the container runtime makes no sandbox for it: {}", short(&event.message));
        (
            Symptom::SandboxFailed,
            problem,
            describe(about, "It is a matter of the node or its network: see who else has it there:"),
            event,
        )
    };
    let evidence = vec![Evidence::event(&object, &event.reason, &event.message)];
    Some(Finding { symptom, level: Level::Error, object, problem, evidence, cure })
}

/// A container that the runtime could not start. Where nothing is started again this is how it ended, and it has said nothing.
pub(super) fn not_started(about: &About<'_>, status: &ContainerStatus, ended: &Terminated) -> Option<Finding> {
    if ended.reason != "StartError" {
        return None;
    }
    let object = about.object();
    let evidence = Evidence::field(&object, &format!("status, container {}", status.name), &ended.message);
    if is_of_space(about, &ended.message) {
        return Some(no_space(about, evidence));
    }
    Some(Finding {
        symptom: Symptom::ContainerConfig,
        level: Level::Error,
        object,
        problem: format!("the container runtime cannot start {}: {}", status.name, short(&ended.message)),
        evidence: vec![evidence],
        cure: describe(about, "Change what the message names, such as the command:"),
    })
}

/// Whether something finds no room, in memory or on a disk.
fn is_of_space(about: &About<'_>, message: &str) -> bool {
    let says = |words: &str| message.contains(words);
    says("no space left on device")
        || says("cannot allocate memory")
        || (says("memory limit too low") && tiny(about).is_some())
}

/// The same words have three causes.
fn no_space(about: &About<'_>, said: Evidence) -> Finding {
    let object = about.object();
    let mut evidence = vec![said];
    let (symptom, problem, cure) = if let Some((path, written, right)) = tiny(about) {
        evidence.push(Evidence::field(&object, &path, &written));
        let field = path.rsplit('.').next().unwrap_or_default();
        (
            Symptom::MemoryInBytes,
            format!(
                "{path} is {written}: to Kubernetes less than a mebibyte, which leaves no room for the pod's token"
            ),
            tiny_cure(about, &right, field),
        )
    } else if let Some(flags) = flags_of_node(about) {
        let node = about.pod.map(|pod| pod.spec.node_name.as_str()).unwrap_or_default();
        let flags: Vec<_> = flags
            .iter()
            .map(|flag| flag.detail().map_or(flag.name().to_owned(), |it| format!("{} {it}", flag.name())))
            .collect();
        evidence.push(Evidence::field(&ObjectName::global("Node", node), "flagged by", flags.join(", ")));
        (
            Symptom::BrokenNode,
            format!("its node {node} cannot write what limits and volumes take; it is flagged by {}", flags.join(", ")),
            Cure::of(
                "Keep Spark off the node, have the pod made anew, and have the node repaired or replaced:",
                format!("kubectl cordon {node}\n{}", about.delete()),
            ),
        )
    } else {
        let node = about.pod.map(|pod| pod.spec.node_name.as_str()).unwrap_or_default();
        (
            Symptom::NoSpaceToStart,
            format!("the kubelet of {node} finds no space to start it, and neither the pod nor the node says why"),
            Cure::of(
                "Have it made anew elsewhere. Where it starts there, its node is broken: see whether others fail on it, and flag it. \
                 Where it does not, a memory limit or a sizeLimit is too small for what is written.",
                format!(
                    "kubectl describe node {node}\nkubectl get events -A --field-selector reason=FailedMount\n\
                     kubectl cordon {node}\n{}\nkubectl label node {node} spark-admission.io/flagged=disk",
                    about.delete()
                ),
            ),
        )
    };
    Finding { symptom, level: Level::Error, object, problem, evidence, cure }
}

/// The first memory limit of the pod under a mebibyte: its path, what is written, and what was meant.
fn tiny(about: &About<'_>) -> Option<(String, String, String)> {
    let spec = &about.pod?.json["spec"];
    let lists = ["initContainers", "containers"].into_iter();
    let mut limits = lists.flat_map(|list| {
        let containers = spec[list].as_array().into_iter().flatten().enumerate();
        containers.filter_map(move |(place, container)| {
            let limit = container["resources"]["limits"]["memory"].as_str()?;
            Some((format!("spec.{list}[{place}].resources.limits.memory"), limit.to_owned()))
        })
    });
    let pods = spec["resources"]["limits"]["memory"].as_str();
    let (path, written) = limits.find(|(_, limit)| is_tiny(limit)).or_else(|| {
        Some(("spec.resources.limits.memory".to_owned(), pods.filter(|limit| is_tiny(limit))?.to_owned()))
    })?;
    let right = match written.strip_suffix('m') {
        Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("{number}Mi"),
        _ => "1Gi".to_owned(),
    };
    Some((path, written, right))
}

/// More than nothing, which is no limit, and less than a mebibyte.
fn is_tiny(quantity: &str) -> bool {
    Quantity::parse(quantity).is_some_and(|size| Quantity::ZERO < size && size < Quantity::MEBIBYTE)
}

fn tiny_cure(about: &About<'_>, right: &str, field: &str) -> Cure {
    let sentence = format!("Write {right}; spark-admission does so for whatever is submitted while it runs:");
    let section = about.section();
    let template = about.spec(&format!("/{section}/template")).cloned();
    let Some(mut containers) = template.as_ref().and_then(|it| it["spec"]["containers"].as_array().cloned()) else {
        return Cure::of(format!("{sentence} look for {field} in what the pod was made of."), "");
    };
    for container in &mut containers {
        for path in ["/resources/limits/memory", "/resources/requests/memory"] {
            if let Some(memory) = container.pointer_mut(path).filter(|memory| memory.as_str().is_some_and(is_tiny)) {
                *memory = json!(right);
            }
        }
    }
    Cure::of(
        sentence,
        about.patch(&json!({section: {"template": {"spec": {"containers": containers}}}})).unwrap_or_default(),
    )
}

fn flags_of_node(about: &About<'_>) -> Option<Vec<Flag>> {
    let node = &about.pod?.spec.node_name;
    let nodes = about.observed.nodes.as_ref().ok()?;
    let mut flagged = nodes.flagged();
    flagged.find(|(flagged, _)| *flagged.name == **node).map(|(_, flags)| flags.to_vec())
}

/// What a volume lacks, where it is not just late.
fn not_mounted(about: &About<'_>, event: &Event) -> Option<(Symptom, String, Cure)> {
    let message = &event.message;
    let pod = about.pod?;
    let namespace = about.namespace();
    let is_fresh = about.observed.age(&pod.metadata.creation_timestamp).is_none_or(|age| age < PATIENCE);
    for (kind, plural, example) in [
        ("secret", "secrets", "kubectl create secret generic"),
        ("configmap", "configmaps", "kubectl create configmap"),
        ("persistentvolumeclaim", "persistentvolumeclaims", ""),
    ] {
        let Some(name) = named(message, kind) else { continue };
        if kind == "configmap" && is_sparks_own(&name) && is_fresh {
            return None;
        }
        let sentence = if kind == "configmap" && is_sparks_own(&name) {
            "Spark makes it right behind the driver, and was ended or refused in between: submit it again.".to_owned()
        } else {
            format!("Make it, or take it out of the volumes of the {}:", about.section())
        };
        let copy = if example.is_empty() {
            format!("kubectl get {plural} -n {namespace}")
        } else {
            format!("kubectl get {plural} -n {namespace}\n{example} {name} -n {namespace} --from-file=FILE")
        };
        return Some((
            Symptom::VolumeSourceMissing,
            format!("a volume is made of the {kind} {name}, which is not there"),
            Cure::of(sentence, copy),
        ));
    }
    let is_on_time_out =
        message.contains("timed out waiting for the condition") || message.contains("unmounted volumes=");
    if is_on_time_out && is_fresh {
        return None;
    }
    let cure = describe(about, "See what the kubelet and the volume's driver say:");
    Some((Symptom::MountFailed, format!("a volume cannot be mounted: {}", short(message)), cure))
}

/// `name` in `secret "name" not found`, which the kubelet also writes as `secrets "name" not found`.
fn named(message: &str, kind: &str) -> Option<String> {
    let is_missing = message.contains("not found");
    let (_, rest) = message.split_once(&format!("{kind} \"")).or_else(|| message.split_once(&format!("{kind}s \"")))?;
    let name = rest.split('"').next()?;
    is_missing.then(|| name.rsplit('/').next().unwrap_or(name).to_owned())
}

fn is_sparks_own(config_map: &str) -> bool {
    config_map.ends_with("-conf-map")
        || config_map.ends_with("-driver-podspec-conf-map")
        || config_map.ends_with("-hadoop-config")
}

/// A container that waits for its image or its configuration.
pub(super) fn waiting(about: &About<'_>, status: &ContainerStatus, waiting: &Waiting) -> Option<Finding> {
    let object = about.object();
    let containers = about.pod.map(|pod| pod.spec.containers.iter().chain(&pod.spec.init_containers));
    let image = containers.into_iter().flatten().find(|it| it.name == status.name).map_or("", |it| it.image.as_str());
    let reason = waiting.reason.as_str();
    let path = format!("status, container {}", status.name);
    let mut evidence = vec![Evidence::field(&object, &path, format!("{reason}: {}", waiting.message))];
    // A container that backs off no longer says why it does; the event of its first failure does.
    let said = about.events().into_iter().filter(|event| event.reason == "Failed").map(|event| &event.message);
    let said: Vec<&String> = said.filter(|message| !message.starts_with("Error: ")).collect();
    if let Some(message) = said.last() {
        evidence.push(Evidence::event(&object, "Failed", message));
    }
    if reason == "RunContainerError" && is_of_space(about, &waiting.message) {
        return Some(no_space(about, evidence.remove(0)));
    }
    let all = said.iter().fold(waiting.message.clone(), |all, message| all + " " + message);
    let (symptom, problem, cure) = match reason {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            image_problem(about, reason, image, &all)
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            configuration(about, status, &waiting.message)
        }
        _ => return None,
    };
    Some(Finding { symptom, level: Level::Error, object, problem, evidence, cure })
}

fn image_problem(about: &About<'_>, reason: &str, image: &str, says: &str) -> (Symptom, String, Cure) {
    let namespace = about.namespace();
    let says = says.to_lowercase();
    let has = |texts: &[&str]| texts.iter().any(|text| says.contains(text));
    let rename = || {
        let patch = if image.is_empty() { None } else { about.patch(&json!({"image": "REPOSITORY:TAG"})) };
        patch.unwrap_or_else(|| "--conf spark.kubernetes.container.image=REPOSITORY:TAG".to_owned())
    };
    let (problem, cure) = if reason == "InvalidImageName" {
        (format!("{image} is no image's name"), Cure::of("Correct it:", rename()))
    } else if reason == "ErrImageNeverPull" {
        (
            format!("{image} is not on the node, and imagePullPolicy is Never"),
            Cure::of("Let it be pulled (spec.imagePullPolicy: IfNotPresent), or load it onto the nodes.", ""),
        )
    } else if has(&[
        "unauthorized",
        "authentication required",
        "pull access denied",
        "403 forbidden",
        "denied:",
        "no basic auth",
    ]) {
        (
            format!("{image} cannot be pulled: the registry wants credentials, or hides that there is no such image"),
            Cure::of(
                "See that the name is right, and give the pod credentials for the registry:",
                format!(
                    "kubectl create secret docker-registry registry -n {namespace} --docker-server=REGISTRY --docker-username=USER --docker-password=PASSWORD\n{}",
                    about
                        .patch(&json!({"imagePullSecrets": ["registry"]}))
                        .unwrap_or_else(|| "--conf spark.kubernetes.container.image.pullSecrets=registry".to_owned())
                ),
            ),
        )
    } else if has(&["not found", "manifest unknown", "does not exist", "name unknown"]) {
        (format!("there is no image {image}"), Cure::of("Correct repository or tag:", rename()))
    } else if has(&[
        "no such host",
        "i/o timeout",
        "connection refused",
        "dial tcp",
        "tls:",
        "x509:",
        "deadline exceeded",
        "no route to host",
    ]) {
        (
            format!("the node does not reach the registry of {image}"),
            Cure::of("Allow nodes the way to the registry, or take the image from one that they reach:", rename()),
        )
    } else if has(&["toomanyrequests", "rate limit"]) {
        (
            format!("the registry of {image} gives no more for now: too many pulls"),
            Cure::of("Pull with credentials, or from a mirror of your own:", rename()),
        )
    } else {
        (format!("{image} cannot be pulled"), describe(about, "See what the node says:"))
    };
    (Symptom::ImageNotPulled, problem, cure)
}

fn configuration(about: &About<'_>, status: &ContainerStatus, message: &str) -> (Symptom, String, Cure) {
    let namespace = about.namespace();
    for (kind, plural) in [("secret", "secrets"), ("configmap", "configmaps")] {
        if let Some(name) = named(message, kind) {
            return (
                Symptom::ContainerConfig,
                format!("{} takes variables from the {kind} {name}, which is not there", status.name),
                Cure::of(
                    format!("Make it, or take it out of env, envFrom and envSecretKeyRefs of the {}:", about.section()),
                    format!("kubectl get {plural} -n {namespace}"),
                ),
            );
        }
    }
    if message.contains("couldn't find key ") {
        return (
            Symptom::ContainerConfig,
            format!("{} takes a variable from a key that is not there: {}", status.name, short(message)),
            Cure::of(
                "Correct the key, or add it to the secret or config map:",
                format!("kubectl get secrets,configmaps -n {namespace}"),
            ),
        );
    }
    if message.contains("runAsNonRoot") {
        return (
            Symptom::ContainerConfig,
            format!("{} may not run as root, and its image says no other user", status.name),
            Cure::of("Name the user; Spark's own is 185:", about.secure(&json!({"runAsUser": 185}))),
        );
    }
    (
        Symptom::ContainerConfig,
        format!("the kubelet cannot make the container {}: {}", status.name, short(message)),
        describe(about, "Change what the message names:"),
    )
}

fn describe(about: &About<'_>, sentence: &str) -> Cure {
    Cure::of(sentence, about.describe())
}

fn short(message: &str) -> String {
    let mut kept: String = message.chars().take(300).collect();
    if kept.len() < message.len() {
        kept.push('…');
    }
    kept
}
