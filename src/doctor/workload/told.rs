//! What a log or the operator says, as a finding: which symptom it is, in whose words, and what cures it here.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    about::About,
    directory, executors,
    memory::bytes,
    said::{By, Cause, Said},
};
use crate::{
    doctor::{Cure, Evidence, Finding, Level, ObjectName, Rule, Symptom},
    policy::{
        lookup::DRIVER_VERBS,
        values::{coordinates::names_connect_package, image::ImageReference, spark_version::SparkVersion},
    },
};

/// Where Spark can write in every image, and where the webhook mounts its volume.
const IVY: &str = "/tmp/.ivy2";

/// The finding; none where what was said is no trouble here.
pub(super) fn finding(said: &Said, about: &About<'_>, evidence: Vec<Evidence>) -> Option<Finding> {
    let (symptom, problem, cure) = explained(&said.cause, about)?;
    let level = if symptom == Symptom::CleanupForbidden { Level::Warning } else { Level::Error };
    Some(Finding { symptom, level, object: about.object(), problem, evidence, cure })
}

fn explained(cause: &Cause, about: &About<'_>) -> Option<(Symptom, String, Cure)> {
    Some(match cause {
        Cause::HeapSize(flag) => heap_size(flag, about),
        Cause::HeapTooSmall => heap_too_small(about),
        Cause::HeapBelowSparks(has, needs) => (
            Symptom::HeapSize,
            format!("Spark wants a heap of {} at least, and has {}", bytes(*needs), bytes(*has)),
            Cure::of("Give it more:", about.heap("1g")),
        ),
        Cause::MemoryNotPositive(section) => not_positive(section, about),
        Cause::ConnectClass { is_asked_for } => connect_class(*is_asked_for, about),
        Cause::MainClass(class) => (
            Symptom::ClassMissing,
            format!("the class {class} is in none of the application's jars"),
            Cure::of(
                "Correct mainClass, or mainApplicationFile to the jar that holds it; in the image it is a path that begins with local://.",
                "",
            ),
        ),
        Cause::IvyDirectory(directory) => ivy_directory(
            format!("packages cannot be downloaded: {directory} is not there for Spark, or is not its own to write to"),
            about,
        ),
        Cause::IvyRelative(path) => ivy_directory(
            if path.starts_with('~') {
                format!("packages cannot be downloaded: Ivy takes {path} as it is written, nobody expands the ~")
            } else {
                format!("packages cannot be downloaded: the pod's user has no home, so Ivy's directory is {path}")
            },
            about,
        ),
        Cause::IvyShared => (
            Symptom::IvyShared,
            "two applications filled one Ivy directory at the same time, and one lost a file".to_owned(),
            Cure::of(
                "Give each application a directory of its own, or submit it again now that the directory is filled:",
                about.configure(&[("spark.jars.ivy", &ivy_of(about))]),
            ),
        ),
        Cause::IvyFull => ivy_full(about),
        Cause::IvyUnresolved(missing) => unresolved(missing, about),
        Cause::IvyUnreachable(host, missing) => unreachable(host, missing),
        Cause::Template => template(about),
        Cause::DuplicateMount(path) => (
            Symptom::ExecutorsRefused,
            format!("no executor can be made: two volumes are to be mounted at {path}"),
            Cure::of(
                format!(
                    "Leave one of them out: look for {path} in spec.executor.volumeMounts, executor templates and keys that begin with spark.kubernetes.executor.volumes."
                ),
                "",
            ),
        ),
        Cause::UnnamedUser => unnamed(about),
        Cause::ConnectCore => return connect_core(about),
        Cause::AccountMissing(account) => account_missing(account, about),
        Cause::WebhookDenied(webhook, message) => (
            Symptom::WebhookDenied,
            format!("the admission webhook {webhook} has refused it: {}", short(message)),
            Cure::of(
                "Repair what the message names and submit it again; who installed the webhook knows its rules:",
                "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations",
            ),
        ),
        Cause::WebhookFailed(webhook, message) => (
            Symptom::WebhookFailed,
            format!("the admission webhook {webhook} did not answer: {}", short(message)),
            Cure::of(
                "See that what it points to runs and has the certificate of its caBundle, then submit again:",
                "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations -o wide",
            ),
        ),
        Cause::Forbidden { account, rules } => forbidden(account, rules, about),
        Cause::CleanupForbidden { account, rules } => {
            let (_, _, cure) = forbidden(account, rules, about);
            let problem =
                "the account may not delete what a job leaves behind: its services and config maps stay".to_owned();
            (Symptom::CleanupForbidden, problem, cure)
        }
        Cause::Refused { pod, by, message } => refused(pod, *by, message, about),
        Cause::OutOfMemory(kind) => out_of_memory(kind, about),
        Cause::DiskFull => (
            Symptom::DiskFull,
            "a disk or volume that Spark writes to is full".to_owned(),
            Cure::of(
                "Give Spark's local directories more room: a larger sizeLimit, or a claim of their own (spark.kubernetes.*.volumes.persistentVolumeClaim.spark-local-dir-1).",
                "",
            ),
        ),
        Cause::ExecutorsFailed => (
            Symptom::ExecutorsFailing,
            "its executors ended as soon as they had begun, so often that Spark gave up".to_owned(),
            executors::keep_them(about),
        ),
        Cause::Directory { path, is_read_only } => directory::not_writable(path, *is_read_only, about),
        Cause::Exception => return None,
    })
}

/// `512Mi` is Kubernetes' word, and a fraction nobody's: what Java reads instead.
pub(super) fn in_javas_words(memory: &str) -> Option<String> {
    let digits = memory.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(memory.len());
    let (number, suffix) = memory.split_at(digits);
    let unit = suffix.chars().next().map(|unit| unit.to_ascii_lowercase());
    match (number.parse::<u64>().ok(), unit) {
        (Some(number), None) => Some(format!("{number}m")),
        (Some(number), Some(unit @ ('k' | 'm' | 'g' | 't'))) => Some(format!("{number}{unit}")),
        (None, Some(unit @ ('g' | 't'))) => {
            let (whole, fraction) = number.split_once('.')?;
            let (whole, tenths): (u64, u64) = (whole.parse().ok()?, fraction.chars().next()?.to_digit(10)?.into());
            let mebibytes = (whole * 10 + tenths) * 1024 / 10;
            Some(format!("{}m", if unit == 't' { mebibytes * 1024 } else { mebibytes }))
        }
        _ => None,
    }
}

fn heap_size(flag: &str, about: &About<'_>) -> (Symptom, String, Cure) {
    let memory = flag.trim_start_matches("-Xmx");
    let right = in_javas_words(memory).unwrap_or_else(|| "1g".to_owned());
    (
        Symptom::HeapSize,
        format!("Java does not read {memory} as a heap's size"),
        Cure::of(format!("Write {right}, as Spark and Java do:"), about.heap(&right)),
    )
}

fn heap_too_small(about: &About<'_>) -> (Symptom, String, Cure) {
    let named = about.spec(&format!("/{}/memory", about.section())).and_then(Value::as_str);
    let number = named.filter(|memory| memory.bytes().all(|byte| byte.is_ascii_digit()));
    let right = number.map_or_else(|| "1g".to_owned(), |number| format!("{number}m"));
    (
        Symptom::HeapSize,
        "the heap has less than a mebibyte: a number without a unit is bytes to Java".to_owned(),
        Cure::of("Write the unit:", about.heap(&right)),
    )
}

fn not_positive(section: &str, about: &About<'_>) -> (Symptom, String, Cure) {
    let memory = about.spec(&format!("/{section}/memory")).and_then(Value::as_str).unwrap_or_default();
    let right = in_javas_words(memory).unwrap_or_else(|| "1g".to_owned());
    let patch = about.patch(&json!({section: {"memory": right}}));
    (
        Symptom::HeapSize,
        format!(
            "Spark does not read the {section}'s memory{}",
            if memory.is_empty() { String::new() } else { format!(" {memory}") }
        ),
        Cure::of(
            format!("Write {right}: whole numbers with k, m or g:"),
            patch.unwrap_or_else(|| format!("--conf spark.{section}.memory={right}")),
        ),
    )
}

fn connect_class(is_asked_for: bool, about: &About<'_>) -> (Symptom, String, Cure) {
    if is_asked_for {
        return (
            Symptom::IvyFull,
            "the jar of Spark Connect was not downloaded whole: Ivy ran out of room before, and takes half a jar for a whole one"
                .to_owned(),
            Cure::of("Give the volume more room, and have the pod made anew: its volume outlives a restart.", ivy_room(about)),
        );
    }
    let coordinate = connect_package(about);
    let sentence = format!("Add {coordinate} to the packages; Spark 4 brings it along.");
    let problem = "Spark Connect is in neither the image nor the packages".to_owned();
    let Some(named) = about.spec("/deps/packages").and_then(Value::as_array).filter(|named| !named.is_empty()) else {
        let packages = match about.configured("spark.jars.packages").map(str::trim).filter(|named| !named.is_empty()) {
            Some(named) => format!("{},{coordinate}", named.trim_end_matches(',')),
            None => coordinate,
        };
        let mut keys = vec![("spark.jars.packages", packages)];
        if about.configured("spark.jars.ivy").is_none() {
            keys.push(("spark.jars.ivy", ivy_of(about)));
        }
        let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, value.as_str())).collect();
        return (Symptom::ConnectClassMissing, problem, Cure::of(sentence, about.configure(&keys)));
    };
    // They win over spark.jars.packages.
    let packages: Vec<_> = named.iter().cloned().chain([json!(coordinate)]).collect();
    let patch = about.patch(&json!({"deps": {"packages": packages}})).unwrap_or_default();
    (Symptom::ConnectClassMissing, problem, Cure::of(sentence, patch))
}

/// The package of Spark Connect for the Spark that runs: 3.5.0 where nobody says which.
fn connect_package(about: &About<'_>) -> String {
    let version = about.version().unwrap_or(SparkVersion { major: 3, minor: 5, patch: Some(0) });
    let version = SparkVersion { patch: version.patch.or(Some(0)), ..version };
    let scala = ImageReference::parse(about.image()).scala_version().unwrap_or("2.12");
    format!("org.apache.spark:spark-connect_{scala}:{version}")
}

fn ivy_directory(problem: String, about: &About<'_>) -> (Symptom, String, Cure) {
    (
        Symptom::IvyNotWritable,
        problem,
        Cure::of(
            "Name a directory that Spark can write to; spark-admission does so for whatever is submitted while it runs:",
            about.configure(&[("spark.jars.ivy", &ivy_of(about))]),
        ),
    )
}

/// An Ivy directory: of an application's own, because the operator resolves packages of several at once.
fn ivy_of(about: &About<'_>) -> String {
    match about.resource {
        Some(resource) if !about.is_connect() => format!("{IVY}/{}", resource.metadata.name),
        _ => IVY.to_owned(),
    }
}

fn ivy_full(about: &About<'_>) -> (Symptom, String, Cure) {
    (
        Symptom::IvyFull,
        "there is no room for the packages that Ivy downloads".to_owned(),
        Cure::of(
            "Give the volume more room, and have the pod made anew: its volume outlives a restart, and half a jar in it counts as a whole one.",
            ivy_room(about),
        ),
    )
}

fn ivy_room(about: &About<'_>) -> String {
    let namespace = about.namespace();
    let sizes = "spark-admission.io/ivy-cache-medium=Disk spark-admission.io/ivy-cache-size=4Gi --overwrite";
    match about.resource {
        Some(resource) => {
            let kind = resource.kind.name().to_lowercase();
            let annotate = format!("kubectl annotate {kind} {} -n {namespace} {sizes}", resource.metadata.name);
            format!("{annotate}\n{}", about.delete()).trim_end().to_owned()
        }
        None => "--conf spark.kubernetes.driver.annotation.spark-admission.io/ivy-cache-medium=Disk \
                 --conf spark.kubernetes.driver.annotation.spark-admission.io/ivy-cache-size=4Gi"
            .to_owned(),
    }
}

fn unresolved(missing: &[String], about: &About<'_>) -> (Symptom, String, Cure) {
    let names = missing.join(", ");
    let is_of_spark_4 = about.version().is_some_and(SparkVersion::bundles_connect);
    let sentence = if is_of_spark_4 && missing.iter().any(|name| names_connect_package(name)) {
        "Leave it out: Spark 4 brings Spark Connect along.".to_owned()
    } else if is_of_spark_4 && missing.iter().any(|name| name.contains("_2.12:")) {
        "Spark 4 is built for Scala 2.13: take the packages that end in _2.13.".to_owned()
    } else {
        "Correct group, artifact or version, or name the repository that has it in spec.deps.repositories (spark.jars.repositories):"
            .to_owned()
    };
    let link = |name: &String| {
        let mut parts = name.split(':');
        let (group, artifact) = (parts.next()?.replace('.', "/"), parts.next()?);
        Some(format!("curl -fsS https://repo1.maven.org/maven2/{group}/{artifact}/maven-metadata.xml"))
    };
    let links: Vec<_> = missing.iter().filter_map(link).collect();
    (Symptom::IvyUnresolved, format!("no repository has {names}"), Cure::of(sentence, links.join("\n")))
}

fn unreachable(host: &str, missing: &[String]) -> (Symptom, String, Cure) {
    let what = if missing.is_empty() { String::new() } else { format!(" for {}", missing.join(", ")) };
    (
        Symptom::IvyUnreachable,
        format!("{host} cannot be reached{what}: whether it has it is not known"),
        Cure::of(
            "Allow the way there (DNS, network policies, proxy), or have the packages in the image or in a repository of your own. \
             Spark's own two repositories are replaced by this variable of the image or pod:",
            "DEFAULT_ARTIFACT_REPOSITORY=https://maven.example.com/repository/",
        ),
    )
}

fn template(about: &About<'_>) -> (Symptom, String, Cure) {
    let containers =
        json!({"executor": {"template": {"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}}}});
    let by_hand = || "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: spark-kubernetes-executor".to_owned();
    (
        Symptom::ExecutorTemplate,
        "Spark cannot use the template of its executors: it has no containers, or is no pod".to_owned(),
        Cure::of("Have a container in it, of this name at least:", about.patch(&containers).unwrap_or_else(by_hand)),
    )
}

fn unnamed(about: &About<'_>) -> (Symptom, String, Cure) {
    let uid = about.user().map_or("the user".to_owned(), |uid| format!("user {uid}"));
    (
        Symptom::UnnamedUser,
        format!("{uid} of the pod has no name in the image, and Hadoop wants one"),
        Cure::of(
            "Run it as Spark's own user, 185. Where the platform chooses the user (OpenShift), use an image that has an entry for it in /etc/passwd.",
            about.secure(&json!({"runAsUser": 185})),
        ),
    )
}

fn connect_core(about: &About<'_>) -> Option<(Symptom, String, Cure)> {
    let version = about.version()?;
    if !about.is_connect() && !version.connect_cannot_use_executors() {
        return None;
    }
    let repository = ImageReference::parse(about.image()).repository;
    let image = format!("{}:3.5.7", if repository.is_empty() { "apache/spark" } else { repository });
    Some((
        Symptom::ConnectCore,
        format!("Spark Connect from a package runs no job on executors with the core of Spark {version}"),
        Cure::of(
            "Use an image of Spark 3.5.6 or newer, or one that has the jar of Spark Connect in it:",
            about.patch(&json!({"image": image, "sparkVersion": "3.5.7"})).unwrap_or_default(),
        ),
    ))
}

fn account_missing(account: &str, about: &About<'_>) -> (Symptom, String, Cure) {
    let wanted = account_of(account, about);
    let ObjectName { namespace, name, .. } = &wanted;
    if about.observed.accounts.is_ok() {
        return (
            Symptom::ServiceAccountMissing,
            format!("the service account {name} was not there when its pod was to be made; it is now"),
            Cure::of("Submit it again:", about.again()),
        );
    }
    (
        Symptom::ServiceAccountMissing,
        format!("there is no service account {name} in the namespace {namespace}, which its pod is to run as"),
        Cure::of(
            "Make it and give it its rights, or name one that is there (spec.driver.serviceAccount):",
            format!("kubectl create serviceaccount {name} -n {namespace}\n{}", rights(namespace, name)),
        ),
    )
}

/// Whether another finding tells of it: an account that is still missing, or still lacks rights, is found by what looks at accounts.
pub(super) fn is_told_elsewhere(cause: &Cause, about: &About<'_>) -> bool {
    match cause {
        Cause::AccountMissing(account) => {
            let wanted = account_of(account, about);
            about.observed.accounts.as_ref().is_ok_and(|accounts| !accounts.contains(&wanted))
        }
        Cause::Forbidden { account, .. } | Cause::CleanupForbidden { account, .. } => {
            let asked = about.observed.missing_rights.get(&account_of(account, about));
            matches!(asked, Some(Ok(missing)) if !missing.is_empty())
        }
        _ => false,
    }
}

/// An account as `namespace/name`; the pod's own where no name was said.
fn account_of(account: &str, about: &About<'_>) -> ObjectName {
    let own = || about.account().unwrap_or_else(|| ObjectName::of("ServiceAccount", about.namespace(), "default"));
    account.split_once('/').map_or_else(own, |(namespace, name)| ObjectName::of("ServiceAccount", namespace, name))
}

fn rights(namespace: &str, account: &str) -> String {
    format!(
        "kubectl create role {account}-driver -n {namespace} --verb={DRIVER_VERBS} \
         --resource=pods,services,configmaps,persistentvolumeclaims\n\
         kubectl create rolebinding {account}-driver -n {namespace} --role={account}-driver --serviceaccount={namespace}:{account}"
    )
}

fn forbidden(account: &str, rules: &BTreeSet<Rule>, about: &About<'_>) -> (Symptom, String, Cure) {
    let account = account_of(account, about);
    let ObjectName { namespace, name, .. } = &account;
    let what: Vec<_> = rules.iter().take(6).map(|rule| format!("{} {}", rule.verb, rule.resource)).collect();
    let what = if what.is_empty() { "use the Kubernetes API here".to_owned() } else { what.join(", ") };
    // A log remembers what is mended.
    let (problem, cure) = if matches!(about.observed.missing_rights.get(&account), Some(Ok(_))) {
        let problem = format!("the service account {name} was not allowed to {what}; now it is");
        (problem, Cure::of("Have it run again:", about.again()))
    } else {
        let problem = format!("the service account {name} may not {what}");
        (problem, Cure::of("Give it what a driver needs, and have the pod made anew:", rights(namespace, name)))
    };
    (Symptom::DriverForbidden, problem, cure)
}

fn refused(pod: &str, by: By, message: &str, about: &About<'_>) -> (Symptom, String, Cure) {
    let namespace = about.namespace();
    let is_executor = pod.contains("-exec-");
    let section = if is_executor { "executor" } else { "driver" };
    let (symptom, who) = if is_executor {
        (Symptom::ExecutorsRefused, "the API server takes no executor")
    } else {
        (Symptom::PodRefused, "the API server does not take the pod")
    };
    let problem = format!("{who}: {}", short(message));
    let memory = format!("{section}.memory and {section}.memoryOverhead");
    let cure = match by {
        By::QuotaUsedUp => Cure::of(
            format!(
                "Ask for less in spec.{memory}, {section}.cores or the number of executors, end something else, or have the quota raised:"
            ),
            format!("kubectl describe resourcequota -n {namespace}"),
        ),
        By::QuotaDemands if message.contains("limits.cpu") => Cure::of(
            "The quota counts limits of cpu, so every pod must have one. Spark sets none by itself:",
            about.configure(&[(&format!("spark.kubernetes.{section}.limit.cores"), "1")]),
        ),
        By::QuotaDemands => Cure::of(
            "The quota counts what the pod does not say: say it in a pod template, or have a LimitRange say it for everybody:",
            format!("kubectl describe resourcequota -n {namespace}"),
        ),
        By::LimitRange => Cure::of(
            format!("Stay within it with spec.{memory} or {section}.cores, or have the LimitRange changed:"),
            format!("kubectl get limitrange -n {namespace} -o yaml"),
        ),
        By::PodSecurity => Cure::of(
            "Set what the message names in the pod's template, or have the namespace enforce a lower standard:",
            format!("kubectl get namespace {namespace} --show-labels"),
        ),
        By::Invalid | By::Other => {
            Cure::of("Change what the message names, in the resource or in its templates.".to_owned(), String::new())
        }
    };
    (symptom, problem, cure)
}

fn out_of_memory(kind: &str, about: &About<'_>) -> (Symptom, String, Cure) {
    let doubled = about
        .spec(&format!("/{}/memory", about.section()))
        .and_then(Value::as_str)
        .and_then(super::memory::of_java)
        .map_or_else(|| "2g".to_owned(), |bytes| super::memory::in_mebibytes(bytes * 2));
    let who = about.section();
    if kind.contains("direct buffer") || kind.contains("Direct buffer") {
        return (
            Symptom::HeapExhausted,
            format!("the {who}'s memory for direct buffers is used up, of which there is as much as heap"),
            Cure::of("Give it more of both:", about.heap(&doubled)),
        );
    }
    if kind.contains("native thread") {
        return (
            Symptom::HeapExhausted,
            format!("the {who} can start no more threads: {}", short(kind)),
            Cure::of("Give it more memory beside the heap, for the threads' stacks:", about.overhead("1g")),
        );
    }
    let kind = if kind.is_empty() { String::new() } else { format!(": {}", short(kind)) };
    (
        Symptom::HeapExhausted,
        format!("the {who}'s heap is used up{kind}"),
        Cure::of(
            "Give it a larger heap, or have it hold less at once (collect, broadcast, partitions):",
            about.heap(&doubled),
        ),
    )
}

fn short(message: &str) -> String {
    let mut kept: String = message.chars().take(300).collect();
    if kept.len() < message.len() {
        kept.push('…');
    }
    kept
}
