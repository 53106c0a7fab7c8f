//! What was collected of a cluster: plain data. A collection is either known, or [`Unseen`] with the reason.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    ObjectName,
    objects::{Binding, Definition, Deployment, Event, Pod, Quota, Resource, Role, WebhookConfiguration},
};
use crate::policy::{
    Policy,
    nodes::{Constraints, Nodes, objects::LimitRangeObject, objects::Texts},
};

/// What was looked at; else why not.
pub type Seen<T> = Result<T, Unseen>;

/// Something that could not be looked at. It is said beside the findings, and nothing is concluded from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// What, in the words of "cannot ...", such as `list the pods in the namespace team-a`.
    pub what: String,
    /// Why not, as the API server said it.
    pub why: String,
    /// With which rule it could be, where that is why.
    pub rule: Option<Box<Rule>>,
}

/// A collection of which nothing was asked, in tests and before it is collected.
impl Default for Unseen {
    fn default() -> Self {
        Self { what: String::new(), why: "not looked at".to_owned(), rule: None }
    }
}

/// What somebody may or may not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    /// Such as `list`.
    pub verb: String,
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, with its subresource, such as `pods` or `pods/log`.
    pub resource: String,
    /// Where; empty for every namespace, and for what is in none.
    pub namespace: String,
}

/// `list pods in the namespace team-a`, `get customresourcedefinitions.apiextensions.k8s.io`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, group, resource, namespace } = self;
        write!(f, "{verb} {resource}")?;
        if !group.is_empty() {
            write!(f, ".{group}")?;
        }
        if namespace.is_empty() { Ok(()) } else { write!(f, " in the namespace {namespace}") }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The namespace; none for all of them.
    pub namespace: Option<String>,
    /// A resource or a pod; none for everything.
    pub name: Option<String>,
}

/// One log.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogKey {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Whether it is what the container said before it was started again.
    pub previous: bool,
}

/// A Service that a webhook is behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookService {
    /// How many addresses behind it are ready.
    pub ready: usize,
    /// How many are not.
    pub unready: usize,
    /// The Secrets that its pods mount.
    pub secrets: Vec<String>,
}

/// What a Secret that a webhook serves from holds, but for its keys, which are not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServedCertificate {
    /// The server's certificate and its chain, PEM text.
    pub chain: String,
    /// Who signed it, PEM text; empty where that is not kept there.
    pub authority: String,
}

/// What was collected. Where a name was asked for, `resources` and `pods` hold what belongs to it, and nothing else.
#[derive(Debug)]
pub struct Observed {
    /// What was asked for.
    pub asked: Asked,
    /// When it was collected, in seconds since 1970.
    pub now: i64,
    /// The policy that our webhook is to have.
    pub policy: Policy,
    /// Whether `security.openshift.io` is served.
    pub openshift: bool,

    /// Every `CustomResourceDefinition` of the group `sparkoperator.k8s.io`.
    pub definitions: Seen<Vec<Definition>>,
    /// The Deployments of Kubeflow's operator, of every namespace: controllers and webhooks.
    pub operators: Seen<Vec<Deployment>>,
    /// Their pods.
    pub operator_pods: Seen<Vec<Pod>>,
    /// The webhook configurations of the operator and of ours.
    pub webhooks: Seen<Vec<WebhookConfiguration>>,
    /// The Services that these webhooks are behind; none where there is no such Service.
    pub services: BTreeMap<ObjectName, Seen<Option<WebhookService>>>,
    /// The certificates in the Secrets that webhooks serve from; none where there is no such Secret.
    pub certificates: BTreeMap<ObjectName, Seen<Option<ServedCertificate>>>,
    /// What the API server said to objects that it was to take and not to keep: nothing where it would have taken them.
    pub dry_runs: Vec<(ObjectName, Seen<Option<String>>)>,
    /// The labels of the namespaces asked for, by name.
    pub namespaces: Seen<BTreeMap<String, Texts>>,
    /// The nodes, and what flags them.
    pub nodes: Seen<Arc<Nodes>>,

    /// Every `SparkApplication`, `ScheduledSparkApplication` and `SparkConnect`.
    pub resources: Seen<Vec<Resource>>,
    /// Spark's pods; without a name none that succeeded.
    pub pods: Seen<Vec<Pod>>,
    /// Events about anything in the namespaces asked for.
    pub events: Seen<Vec<Event>>,
    /// Quotas of the namespaces asked for.
    pub quotas: Seen<Vec<Quota>>,
    /// Limit ranges of the namespaces asked for.
    pub limit_ranges: Seen<Vec<LimitRangeObject>>,
    /// What quotas and limit ranges demand, by namespace.
    pub constraints: BTreeMap<String, Constraints>,
    /// The service accounts of the namespaces asked for.
    pub accounts: Seen<Vec<ObjectName>>,
    /// What an account that Spark's work runs as lacks of what a driver needs; an empty list is an account that has it all.
    pub missing_rights: BTreeMap<ObjectName, Seen<Vec<Rule>>>,
    /// The bindings of the namespaces in which an account lacks something, and cluster-wide ones.
    pub bindings: Seen<Vec<Binding>>,
    /// The roles of these namespaces, and the cluster roles that bindings name.
    pub roles: Seen<Vec<Role>>,
    /// The ends of the logs that [`super::workload::logs_wanted`] asked for.
    pub logs: BTreeMap<LogKey, Seen<String>>,
    /// That some were not read, because there are too many.
    pub unread: Option<Unseen>,
}

impl Observed {
    /// Nothing seen yet.
    #[must_use]
    pub fn nothing(asked: Asked, now: i64, policy: Policy) -> Self {
        fn unseen<T>() -> Seen<T> {
            Err(Unseen::default())
        }
        Self {
            asked,
            now,
            policy,
            openshift: false,
            definitions: unseen(),
            operators: unseen(),
            operator_pods: unseen(),
            webhooks: unseen(),
            services: BTreeMap::new(),
            certificates: BTreeMap::new(),
            dry_runs: Vec::new(),
            namespaces: unseen(),
            nodes: unseen(),
            resources: unseen(),
            pods: unseen(),
            events: unseen(),
            quotas: unseen(),
            limit_ranges: unseen(),
            constraints: BTreeMap::new(),
            accounts: unseen(),
            missing_rights: BTreeMap::new(),
            bindings: unseen(),
            roles: unseen(),
            logs: BTreeMap::new(),
            unread: None,
        }
    }

    /// Everything that could not be looked at, each once.
    #[must_use]
    pub fn unseen(&self) -> Vec<&Unseen> {
        fn of<T>(seen: &Seen<T>) -> Option<&Unseen> {
            seen.as_ref().err()
        }
        let lists = [
            of(&self.definitions),
            of(&self.operators),
            of(&self.operator_pods),
            of(&self.webhooks),
            of(&self.namespaces),
            of(&self.nodes),
            of(&self.resources),
            of(&self.pods),
            of(&self.events),
            of(&self.quotas),
            of(&self.limit_ranges),
            of(&self.accounts),
            of(&self.bindings),
            of(&self.roles),
        ];
        let mut all: Vec<_> = lists.into_iter().flatten().collect();
        all.extend(self.services.values().filter_map(of));
        all.extend(self.certificates.values().filter_map(of));
        all.extend(self.dry_runs.iter().filter_map(|(_, answer)| of(answer)));
        all.extend(self.missing_rights.values().filter_map(of));
        all.extend(self.logs.values().filter_map(of));
        all.extend(&self.unread);
        let mut said = BTreeSet::new();
        all.retain(|unseen| said.insert(&unseen.what));
        all
    }

    /// The pods that were seen.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.iter().flatten()
    }

    /// The resources that were seen.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().flatten()
    }

    /// The events about an object, as they came.
    pub fn events_about<'a>(&'a self, object: &'a ObjectName) -> impl Iterator<Item = &'a Event> {
        self.events.iter().flatten().filter(move |event| {
            let about = &event.involved_object;
            about.name == object.name && about.kind == object.kind && about.namespace == object.namespace
        })
    }

    /// The end of a log of a pod, where it was read.
    #[must_use]
    pub fn log(&self, pod: &Pod, container: &str, previous: bool) -> Option<&str> {
        let key = LogKey {
            namespace: pod.metadata.namespace.clone(),
            pod: pod.metadata.name.clone(),
            container: container.to_owned(),
            previous,
        };
        self.logs.get(&key)?.as_ref().ok().map(String::as_str)
    }

    /// How old something is, in seconds; none where its time cannot be read.
    #[must_use]
    pub fn age(&self, timestamp: &str) -> Option<i64> {
        crate::policy::values::timestamp::parse(timestamp).map(|then| self.now - then)
    }
}
