//! Who wrote what a pod came from, and what they have to write instead: commands to copy.

use serde_json::{Map, Value, json};

use crate::{
    doctor::{
        ObjectName, Observed,
        objects::{Container, Event, Pod, Resource},
    },
    policy::{
        names::{DRIVER_CONTAINER, EXECUTOR_CONTAINER},
        subject::ResourceKind,
        values::{image::ImageReference, spark_version::SparkVersion},
    },
};

/// The labels by which the operator marks the pods of its resources (pkg/common of spark-operator 2.4.0).
const OF_APPLICATION: &str = "sparkoperator.k8s.io/app-name";
const OF_CONNECT: &str = "sparkoperator.k8s.io/connect-name";
/// What all pods of one application have in common.
const OF_RUN: &str = "spark-app-selector";

/// A pod, or a submission without one, and the resource behind it.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) observed: &'a Observed,
    pub(super) pod: Option<&'a Pod>,
    /// None where Spark was submitted by hand, and where the resource was not seen.
    pub(super) resource: Option<&'a Resource>,
}

impl<'a> About<'a> {
    pub(super) fn pod(observed: &'a Observed, pod: &'a Pod) -> Self {
        let resource = observed.resources().find(|resource| owns(resource, pod));
        Self { observed, pod: Some(pod), resource }
    }

    pub(super) fn resource(observed: &'a Observed, resource: &'a Resource) -> Self {
        Self { observed, pod: None, resource: Some(resource) }
    }

    /// What a finding is about.
    pub(super) fn object(&self) -> ObjectName {
        let resource = || self.resource.map(Resource::object);
        self.pod.map(Pod::object).or_else(resource).unwrap_or_default()
    }

    /// The events about the pod, in the order in which they happened last; not those about an earlier pod of its name.
    pub(super) fn events(&self) -> Vec<&'a Event> {
        let Some(pod) = self.pod else { return Vec::new() };
        let Observed { events, .. } = self.observed;
        let object = pod.object();
        let is_about = |event: &&Event| {
            let about = &event.involved_object;
            let is_this = about.uid.is_empty() || about.uid == pod.metadata.uid;
            is_this && about.kind == object.kind && about.name == object.name && about.namespace == object.namespace
        };
        let mut events: Vec<_> = events.iter().flatten().filter(is_about).collect();
        events.sort_by(|one, other| time_of(one).cmp(time_of(other)));
        events
    }

    pub(super) fn namespace(&self) -> &'a str {
        let metadata = self.pod.map(|pod| &pod.metadata).or(self.resource.map(|resource| &resource.metadata));
        metadata.map_or("", |metadata| &metadata.namespace)
    }

    pub(super) fn is_executor(&self) -> bool {
        self.pod.is_some_and(|pod| pod.role() == "executor")
    }

    pub(super) fn is_connect(&self) -> bool {
        self.resource.is_some_and(|resource| resource.kind == ResourceKind::SparkConnect)
            || self
                .pod
                .is_some_and(|pod| pod.role() == "connect-server" || pod.metadata.labels.contains_key(OF_CONNECT))
    }

    /// `driver`, `executor` or `server`: where the resource describes the pod.
    pub(super) fn section(&self) -> &'static str {
        match (self.is_executor(), self.is_connect()) {
            (true, _) => "executor",
            (_, true) => "server",
            _ => "driver",
        }
    }

    /// The name of the resource, where the pod has one.
    fn author(&self) -> Option<(&'static str, String)> {
        if let Some(resource) = self.resource {
            let schedule =
                resource.metadata.owner_references.iter().find(|owner| owner.kind == "ScheduledSparkApplication");
            return Some(match schedule {
                // What is changed in one run is not in the next.
                Some(schedule) => ("scheduledsparkapplication", schedule.name.clone()),
                None => (kind_of_command(resource.kind), resource.metadata.name.clone()),
            });
        }
        let labels = &self.pod?.metadata.labels;
        let named = |label: &str, kind| labels.get(label).map(|name| (kind, name.clone()));
        named(OF_APPLICATION, "sparkapplication").or_else(|| named(OF_CONNECT, "sparkconnect"))
    }

    /// A field of the resource's spec: of the application that a schedule makes, where it is one.
    pub(super) fn spec(&self, path: &str) -> Option<&'a Value> {
        let resource = self.resource?;
        let root = if resource.kind == ResourceKind::ScheduledSparkApplication { "/spec/template" } else { "/spec" };
        resource.json.pointer(&format!("{root}{path}")).filter(|value| !value.is_null())
    }

    /// The command that changes the resource's spec, and has what runs of it run anew; nothing where there is no resource.
    pub(super) fn patch(&self, spec: &Value) -> Option<String> {
        let (kind, name) = self.author()?;
        let patch = if kind == "scheduledsparkapplication" {
            json!({"spec": {"template": spec}})
        } else {
            json!({"spec": spec})
        };
        let namespace = self.namespace();
        let patch =
            format!("kubectl patch {kind} {name} -n {namespace} --type merge -p {}", quoted(&patch.to_string()));
        // The operator runs an application again whose spec has changed, and leaves a running Connect server as it is.
        let restart = (kind == "sparkconnect").then(|| format!("\n{}", self.delete()));
        Some(patch + &restart.unwrap_or_default())
    }

    /// The command, or what to give `spark-submit`, that sets keys of Spark's configuration.
    pub(super) fn configure(&self, keys: &[(&str, &str)]) -> String {
        let conf: Map<String, Value> = keys.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
        self.patch(&json!({"sparkConf": conf})).unwrap_or_else(|| {
            let conf = keys.iter().map(|(key, value)| format!("--conf {key}={}", quoted(value)));
            conf.collect::<Vec<_>>().join(" ")
        })
    }

    /// The command that sets the memory of the pod's heap.
    pub(super) fn heap(&self, memory: &str) -> String {
        let section = self.section();
        self.patch(&json!({section: {"memory": memory}}))
            .unwrap_or_else(|| format!("--conf spark.{}.memory={memory}", self.spark_section()))
    }

    /// The command that sets the memory beside the heap.
    pub(super) fn overhead(&self, memory: &str) -> String {
        let section = self.section();
        if self.is_connect() {
            // A Connect server's memory limit is its template's alone.
            return self.configure(&[(&format!("spark.{}.memoryOverhead", self.spark_section()), memory)]);
        }
        self.patch(&json!({section: {"memoryOverhead": memory}}))
            .unwrap_or_else(|| format!("--conf spark.{}.memoryOverhead={memory}", self.spark_section()))
    }

    /// The command that sets fields of the pod's security context; where there is none, what to write into the pod or its template.
    pub(super) fn secure(&self, context: &Value) -> String {
        let section = self.section();
        let mut spec = if self.is_connect() {
            json!({section: {"template": {"spec": {"securityContext": context}}}})
        } else {
            json!({section: {"podSecurityContext": context}})
        };
        // An executor's template is of no use to Spark without it.
        if self.is_connect() && self.is_executor() && self.spec("/executor/template/spec/containers").is_none() {
            spec[section]["template"]["spec"]["containers"] = json!([{"name": EXECUTOR_CONTAINER}]);
        }
        self.patch(&spec).unwrap_or_else(|| format!("securityContext: {context}"))
    }

    /// `driver` or `executor`, as Spark's own keys have it.
    pub(super) fn spark_section(&self) -> &'static str {
        if self.is_executor() { "executor" } else { "driver" }
    }

    /// The command that has the pod made anew, with empty volumes.
    pub(super) fn delete(&self) -> String {
        let namespace = self.namespace();
        match (self.pod, self.resource) {
            (Some(pod), _) if !self.is_connect() || !self.is_executor() => {
                format!("kubectl delete pod {} -n {namespace}", pod.metadata.name)
            }
            (_, Some(resource)) if resource.kind == ResourceKind::SparkConnect => {
                format!(
                    "kubectl delete pod -n {namespace} -l {OF_CONNECT}={},spark-role=connect-server",
                    resource.metadata.name
                )
            }
            (Some(pod), _) => format!("kubectl delete pod {} -n {namespace}", pod.metadata.name),
            _ => String::new(),
        }
    }

    /// The command that shows what happened to the pod.
    pub(super) fn describe(&self) -> String {
        let object = self.object();
        format!("kubectl describe pod {} -n {}", object.name, object.namespace)
    }

    /// The command that has what failed run again as it is.
    pub(super) fn again(&self) -> String {
        let namespace = self.namespace();
        match self.resource {
            Some(resource) if resource.kind == ResourceKind::SparkApplication => {
                let name = &resource.metadata.name;
                format!("kubectl get sparkapplication {name} -n {namespace} -o yaml | kubectl replace --force -f -")
            }
            _ => self.delete(),
        }
    }

    /// Spark's own container.
    pub(super) fn container(&self) -> Option<&'a Container> {
        let containers = &self.pod?.spec.containers;
        let own = |container: &&Container| [DRIVER_CONTAINER, EXECUTOR_CONTAINER].contains(&container.name.as_str());
        containers.iter().find(own).or(containers.first())
    }

    /// All of Spark's own container.
    pub(super) fn container_json(&self) -> Option<&'a Value> {
        self.pod?.container(&self.container()?.name)
    }

    pub(super) fn image(&self) -> &'a str {
        let named = |path| self.spec(path).and_then(Value::as_str);
        self.container().map(|container| container.image.as_str()).or_else(|| named("/image")).unwrap_or_default()
    }

    /// The version of Spark in the image, as its tag or the resource has it.
    pub(super) fn version(&self) -> Option<SparkVersion> {
        let tag = ImageReference::parse(self.image()).spark_version().filter(|version| version.major >= 3);
        let declared = || SparkVersion::parse(self.spec("/sparkVersion")?.as_str()?);
        let label = || SparkVersion::parse(self.pod?.metadata.labels.get("spark-version")?);
        tag.filter(|tag| tag.patch.is_some()).or_else(declared).or(tag).or_else(label)
    }

    /// The value of a key of Spark's configuration, as far as the resource has it.
    pub(super) fn configured(&self, key: &str) -> Option<&'a str> {
        self.spec("/sparkConf")?.get(key)?.as_str()
    }

    /// The user that Spark's container runs as, where it or the pod says so.
    pub(super) fn user(&self) -> Option<i64> {
        let user = |place: &Value| place["securityContext"]["runAsUser"].as_i64();
        self.container_json().and_then(user).or_else(|| user(&self.pod?.json["spec"]))
    }

    /// The account that the pod runs as, where it says so.
    pub(super) fn account(&self) -> Option<ObjectName> {
        let account = &self.pod?.spec.service_account_name;
        (!account.is_empty()).then(|| ObjectName::of("ServiceAccount", self.namespace(), account))
    }
}

/// Whether a pod was made of a resource.
pub(super) fn owns(resource: &Resource, pod: &Pod) -> bool {
    let label = match resource.kind {
        ResourceKind::SparkApplication => OF_APPLICATION,
        ResourceKind::SparkConnect => OF_CONNECT,
        ResourceKind::ScheduledSparkApplication => return false,
    };
    resource.metadata.namespace == pod.metadata.namespace
        && pod.metadata.labels.get(label) == Some(&resource.metadata.name)
}

/// Whether an executor is of this driver's or server's.
pub(super) fn is_executor_of(executor: &Pod, driver: &Pod) -> bool {
    let (own, its) = (&executor.metadata.labels, &driver.metadata.labels);
    let same = |label: &str| own.get(label).is_some_and(|value| its.get(label) == Some(value));
    executor.role() == "executor"
        && executor.metadata.namespace == driver.metadata.namespace
        && (same(OF_RUN)
            || (driver.role() == "connect-server" && same(OF_CONNECT))
            || executor.metadata.owner_references.iter().any(|owner| owner.uid == driver.metadata.uid))
}

/// When it happened last; all of these are written in the same way, so that they can be compared as texts.
fn time_of(event: &Event) -> &str {
    let times = [
        &event.series.last_observed_time,
        &event.last_timestamp,
        &event.event_time,
        &event.metadata.creation_timestamp,
    ];
    times.into_iter().find(|time| !time.is_empty()).map_or("", String::as_str)
}

const fn kind_of_command(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::SparkApplication => "sparkapplication",
        ResourceKind::ScheduledSparkApplication => "scheduledsparkapplication",
        ResourceKind::SparkConnect => "sparkconnect",
    }
}

/// For a shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
