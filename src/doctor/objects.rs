//! Objects as the API server writes them, only the fields that findings are made of. Whatever else stands there is kept where it may
//! be needed ([`Pod::json`], [`Resource::json`]) or dropped; null is as good as absent.

use serde::Deserialize;
use serde_json::Value;

use super::ObjectName;
use crate::policy::{
    nodes::objects::{Quantities, Texts, or_default},
    subject::ResourceKind,
};

/// Structs whose fields are all read in the API server's spelling, and none of which must be there.
macro_rules! objects {
    ($($(#[$about:meta])* $object:ident { $($(#[$field_about:meta])* $field:ident: $type:ty,)+ })+) => {$(
        $(#[$about])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub struct $object {
            $($(#[$field_about])* #[serde(deserialize_with = "or_default")] pub $field: $type,)+
        }
    )+};
}

objects! {
    /// `metadata` of any object.
    Metadata {
        /// Its name.
        name: String,
        /// Its namespace; empty for what is in none.
        namespace: String,
        /// Its uid.
        uid: String,
        /// When it was created, RFC 3339.
        creation_timestamp: String,
        /// Since when it is being deleted; empty where it is not.
        deletion_timestamp: String,
        /// Its labels.
        labels: Texts,
        /// Its annotations.
        annotations: Texts,
        /// What it belongs to.
        owner_references: Vec<Owner>,
    }

    /// What an object belongs to.
    Owner {
        /// Such as `SparkApplication`.
        kind: String,
        /// The owner's name.
        name: String,
        /// The owner's uid.
        uid: String,
    }

    /// `spec` of a pod, as far as it is the same for every pod.
    PodSpec {
        /// Where it was put; empty while it is nowhere.
        node_name: String,
        /// The account it runs as.
        service_account_name: String,
        /// Its containers.
        containers: Vec<Container>,
        /// Those that run before.
        init_containers: Vec<Container>,
    }

    /// A container of a pod.
    Container {
        /// Its name.
        name: String,
        /// Its image.
        image: String,
        /// What it asks for, and how much it may have.
        resources: Resources,
    }

    /// What a container asks for, and how much it may have.
    Resources {
        /// What it asks for.
        requests: Quantities,
        /// How much it may have.
        limits: Quantities,
    }

    /// `status` of a pod.
    PodStatus {
        /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
        phase: String,
        /// Why, a word, such as `Evicted`.
        reason: String,
        /// Why, a sentence.
        message: String,
        /// Such as `PodScheduled`.
        conditions: Vec<Condition>,
        /// How each container is.
        container_statuses: Vec<ContainerStatus>,
        /// How each init container is.
        init_container_statuses: Vec<ContainerStatus>,
    }

    /// A condition of a pod, a deployment or a definition.
    Condition {
        /// Such as `PodScheduled`.
        #[serde(rename = "type")]
        kind: String,
        /// `True`, `False` or `Unknown`.
        status: String,
        /// Why, a word.
        reason: String,
        /// Why, a sentence.
        message: String,
        /// Since when.
        last_transition_time: String,
    }

    /// How a container is.
    ContainerStatus {
        /// Its name.
        name: String,
        /// Whether it is ready.
        ready: bool,
        /// How often it was started again.
        restart_count: i64,
        /// How it is.
        state: ContainerState,
        /// How it ended before its last restart.
        last_state: ContainerState,
    }

    /// One of three.
    ContainerState {
        /// It has not started.
        waiting: Option<Waiting>,
        /// It runs.
        running: Option<Running>,
        /// It has ended.
        terminated: Option<Terminated>,
    }

    /// A container that has not started.
    Waiting {
        /// Such as `ContainerCreating`, `CrashLoopBackOff` or `ImagePullBackOff`.
        reason: String,
        /// A sentence.
        message: String,
    }

    /// A container that runs.
    Running {
        /// Since when.
        started_at: String,
    }

    /// A container that has ended.
    Terminated {
        /// Its exit status.
        exit_code: i64,
        /// The signal that ended it, where one did.
        signal: i64,
        /// Such as `OOMKilled`, `Error` or `Completed`.
        reason: String,
        /// A sentence, or the end of its log.
        message: String,
        /// When it ended.
        finished_at: String,
    }

    /// A v1 `Event`.
    Event {
        /// Its namespace and name.
        metadata: Metadata,
        /// What it is about.
        involved_object: Involved,
        /// Why, a word, such as `FailedMount`.
        reason: String,
        /// A sentence.
        message: String,
        /// `Warning` or `Normal`.
        #[serde(rename = "type")]
        kind: String,
        /// How often it was seen.
        count: i64,
        /// When it was seen last, in the old form.
        last_timestamp: String,
        /// When it was seen first, in the new form.
        event_time: String,
        /// How it went on, in the new form.
        series: Series,
        /// Who wrote it, in the old form.
        source: Source,
        /// Who wrote it, in the new form.
        reporting_component: String,
    }

    /// What an event is about.
    Involved {
        /// Its kind.
        kind: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
        /// Such as `spec.containers{spark-kubernetes-driver}`.
        field_path: String,
    }

    /// How an event went on.
    Series {
        /// How often it was seen.
        count: i64,
        /// When it was seen last.
        last_observed_time: String,
    }

    /// Who wrote an event.
    Source {
        /// The component.
        component: String,
        /// The node.
        host: String,
    }

    /// An apps/v1 `Deployment`.
    Deployment {
        /// Its name and labels.
        metadata: Metadata,
        /// What it makes.
        spec: DeploymentSpec,
        /// How far it is.
        status: DeploymentStatus,
    }

    /// `spec` of a deployment.
    DeploymentSpec {
        /// How many pods there shall be; 1 where nothing is said.
        replicas: Option<i64>,
        /// Which pods are its own.
        selector: Selector,
        /// The pods that it makes.
        template: PodTemplate,
    }

    /// Which objects are meant.
    Selector {
        /// Labels that they have.
        match_labels: Texts,
    }

    /// The pods that a deployment makes.
    PodTemplate {
        /// Their labels.
        metadata: Metadata,
        /// As JSON: what the operator is told stands in its arguments.
        spec: Value,
    }

    /// `status` of a deployment.
    DeploymentStatus {
        /// How many pods are ready.
        ready_replicas: i64,
        /// How it is.
        conditions: Vec<Condition>,
    }

    /// An apiextensions.k8s.io/v1 `CustomResourceDefinition`.
    Definition {
        /// Its name.
        metadata: Metadata,
        /// What it defines.
        spec: DefinitionSpec,
        /// How it is.
        status: DefinitionStatus,
    }

    /// `spec` of a definition.
    DefinitionSpec {
        /// The API group.
        group: String,
        /// The versions of the kind.
        versions: Vec<Version>,
    }

    /// A version of a kind.
    Version {
        /// Such as `v1beta2`.
        name: String,
        /// Whether it is served.
        served: bool,
        /// Whether objects are kept in it.
        storage: bool,
        /// The parts of an object that have a path of their own.
        subresources: Value,
        /// What objects may hold.
        schema: Value,
    }

    /// `status` of a definition.
    DefinitionStatus {
        /// Such as `Established`.
        conditions: Vec<Condition>,
    }

    /// A v1 `ResourceQuota`.
    Quota {
        /// Its namespace and name.
        metadata: Metadata,
        /// How much there is, and how much is used.
        status: QuotaStatus,
    }

    /// `status` of a quota.
    QuotaStatus {
        /// How much there may be.
        hard: Quantities,
        /// How much there is.
        used: Quantities,
    }

    /// A mutating or validating webhook configuration.
    WebhookConfiguration {
        /// `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`; lists leave it out.
        kind: String,
        /// Its name.
        metadata: Metadata,
        /// The webhooks.
        webhooks: Vec<WebhookEntry>,
    }

    /// One webhook of a configuration.
    WebhookEntry {
        /// Its name, with dots.
        name: String,
        /// Where it is.
        client_config: ClientConfig,
        /// `Fail` or `Ignore`.
        failure_policy: String,
        /// Which namespaces it is asked about.
        namespace_selector: Value,
    }

    /// Where a webhook is.
    ClientConfig {
        /// At this address.
        url: String,
        /// At this Service.
        service: Option<ServiceReference>,
        /// Who must have signed its certificate: base64 of PEM.
        ca_bundle: String,
    }

    /// A rbac.authorization.k8s.io/v1 `RoleBinding`, or a `ClusterRoleBinding`, which is in no namespace.
    Binding {
        /// Its namespace and name.
        metadata: Metadata,
        /// Who gets the rights.
        subjects: Vec<Subject>,
        /// Which rights.
        role_ref: RoleReference,
    }

    /// Who gets rights.
    Subject {
        /// `ServiceAccount`, `User` or `Group`.
        kind: String,
        /// The account's namespace.
        namespace: String,
        /// Its name.
        name: String,
    }

    /// The role of a binding.
    RoleReference {
        /// `Role` or `ClusterRole`.
        kind: String,
        /// Its name.
        name: String,
    }

    /// A rbac.authorization.k8s.io/v1 `Role`, or a `ClusterRole`, which is in no namespace.
    Role {
        /// Its namespace and name.
        metadata: Metadata,
        /// What it allows.
        rules: Vec<PolicyRule>,
    }

    /// What a role allows.
    PolicyRule {
        /// In these API groups; `*` is all.
        api_groups: Vec<String>,
        /// These resources; `*` is all.
        resources: Vec<String>,
        /// These verbs; `*` is all.
        verbs: Vec<String>,
        /// Only objects of these names, where there are any.
        resource_names: Vec<String>,
    }

    /// A Service that a webhook is behind.
    ServiceReference {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port; 443 where nothing is said.
        port: Option<i64>,
    }
}

impl Metadata {
    /// What a finding calls the object.
    #[must_use]
    pub fn object(&self, kind: &str) -> ObjectName {
        ObjectName::of(kind, &self.namespace, &self.name)
    }

    /// Whether it is being deleted.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        !self.deletion_timestamp.is_empty()
    }
}

impl ContainerStatus {
    /// How it ended: the last time, or before it was started again.
    #[must_use]
    pub fn ended(&self) -> Option<&Terminated> {
        self.state.terminated.as_ref().or(self.last_state.terminated.as_ref())
    }
}

/// A v1 `Pod`.
#[derive(Debug, Clone, Default)]
pub struct Pod {
    /// Name, labels, owners.
    pub metadata: Metadata,
    /// What it shall be.
    pub spec: PodSpec,
    /// How it is.
    pub status: PodStatus,
    /// All of it, but for its managed fields.
    pub json: Value,
}

#[derive(Deserialize)]
struct PodFields {
    #[serde(default, deserialize_with = "or_default")]
    metadata: Metadata,
    #[serde(default, deserialize_with = "or_default")]
    spec: PodSpec,
    #[serde(default, deserialize_with = "or_default")]
    status: PodStatus,
}

impl Pod {
    /// The pod, if it is one.
    #[must_use]
    pub fn read(json: Value) -> Option<Self> {
        let PodFields { metadata, spec, status } = PodFields::deserialize(&json).ok()?;
        Some(Self { metadata, spec, status, json })
    }

    /// What a finding calls it.
    #[must_use]
    pub fn object(&self) -> ObjectName {
        self.metadata.object("Pod")
    }

    /// `driver`, `executor` or `connect-server`; empty where it is none of them.
    #[must_use]
    pub fn role(&self) -> &str {
        self.metadata.labels.get(crate::policy::names::SPARK_ROLE).map_or("", String::as_str)
    }

    /// How its init containers and containers are, in the order in which they run.
    pub fn statuses(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.status.init_container_statuses.iter().chain(&self.status.container_statuses)
    }

    /// A container or init container of the pod's spec.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Value> {
        let lists = ["containers", "initContainers"].into_iter();
        let mut all = lists.filter_map(|list| self.json["spec"][list].as_array()).flatten();
        all.find(|container| container["name"] == *name)
    }

    /// Whether a container is ready because a probe says so: without one every container is that runs, even for a moment.
    #[must_use]
    pub fn proves_ready(&self, status: &ContainerStatus) -> bool {
        status.ready && self.container(&status.name).is_some_and(|container| container["readinessProbe"].is_object())
    }
}

/// A resource of the operator's.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Which of its kinds.
    pub kind: ResourceKind,
    /// Name, labels, owners.
    pub metadata: Metadata,
    /// All of it, but for its managed fields.
    pub json: Value,
}

impl Resource {
    /// The resource, if its metadata can be read.
    #[must_use]
    pub fn read(kind: ResourceKind, json: Value) -> Option<Self> {
        let metadata = Metadata::deserialize(&json["metadata"]).ok()?;
        Some(Self { kind, metadata, json })
    }

    /// What a finding calls it.
    #[must_use]
    pub fn object(&self) -> ObjectName {
        self.metadata.object(self.kind.name())
    }

    /// Its state as the operator has it; empty where it has none yet.
    #[must_use]
    pub fn state(&self) -> &str {
        let status = &self.json["status"];
        let state = match self.kind {
            ResourceKind::SparkApplication => &status["applicationState"]["state"],
            ResourceKind::ScheduledSparkApplication => &status["scheduleState"],
            ResourceKind::SparkConnect => &status["state"],
        };
        state.as_str().unwrap_or_default()
    }

    /// Why it failed, as the operator has it: kilobytes of spark-submit's log, sometimes.
    #[must_use]
    pub fn error_message(&self) -> &str {
        self.json["status"]["applicationState"]["errorMessage"].as_str().unwrap_or_default()
    }
}
