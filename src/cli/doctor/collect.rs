//! What is collected of a cluster: a few lists at once, then the logs and rights of what is in trouble.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures_util::future::join_all;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::asking::{Asking, Kind};
use crate::{
    cluster::{Error, Platform},
    doctor::{Asked, LogKey, ObjectName, Observed, Rule, Seen, Unseen, objects, platform, workload},
    policy::{
        Policy,
        configuration::FlaggedNodes,
        nodes::{Constraints, Nodes, objects::Texts},
        subject::ResourceKind,
    },
};

/// How many logs are read: where hundreds of pods are in trouble, they are in the same.
const LOGS: usize = 100;

pub(super) const PODS: Kind = Kind::core("pods");
const EVENTS: Kind = Kind::core("events");
const ACCOUNTS: Kind = Kind::core("serviceaccounts");
const QUOTAS: Kind = Kind::core("resourcequotas");
const LIMIT_RANGES: Kind = Kind::core("limitranges");
pub(super) const NAMESPACES: Kind = Kind::core("namespaces");
const DEFINITIONS: Kind = Kind::of("apiextensions.k8s.io", "v1", "customresourcedefinitions");
const DEPLOYMENTS: Kind = Kind::of("apps", "v1", "deployments");
const RBAC: &str = "rbac.authorization.k8s.io";

/// The operator's kinds.
pub(super) const RESOURCES: [(ResourceKind, Kind); 3] = [
    (ResourceKind::SparkApplication, Kind::of("sparkoperator.k8s.io", "v1beta2", "sparkapplications")),
    (
        ResourceKind::ScheduledSparkApplication,
        Kind::of("sparkoperator.k8s.io", "v1beta2", "scheduledsparkapplications"),
    ),
    (ResourceKind::SparkConnect, Kind::of("sparkoperator.k8s.io", "v1alpha1", "sparkconnects")),
];

/// Collects what findings are made of.
///
/// # Errors
/// Nobody answers, or nobody knows who asks: then there is nothing to say.
pub(super) async fn collect(
    asking: &Asking,
    asked: Asked,
    policy: Policy,
    now: i64,
    may_dry_run: bool,
) -> Result<Observed, Error> {
    // The first request: every account may make it.
    let Platform { openshift, .. } = Platform::of(&asking.cluster).await?;
    let mut observed = Observed::nothing(asked, now, policy);
    observed.openshift = openshift;
    let namespace = observed.asked.namespace.clone();
    let namespace = namespace.as_deref();
    let settings = observed.policy.flagged_nodes.clone();
    let (subjects, events, quotas, limit_ranges, accounts, namespaces, nodes, definitions, operators, webhooks) = tokio::join!(
        super::subjects::subjects(asking, &observed.asked, &observed.policy),
        asking.list(EVENTS, namespace, "fieldSelector=type!=Normal"),
        asking.list(QUOTAS, namespace, ""),
        asking.list(LIMIT_RANGES, namespace, ""),
        asking.list(ACCOUNTS, namespace, ""),
        labels_of_namespaces(asking, namespace),
        nodes(asking, &settings, now),
        definitions(asking),
        operators(asking),
        super::webhooks::webhooks(asking),
    );
    (observed.resources, observed.pods) = subjects;
    observed.events = read(events);
    observed.constraints = constraints(&quotas, &limit_ranges);
    observed.quotas = read(quotas);
    observed.limit_ranges = read(limit_ranges);
    observed.accounts = accounts.map(|accounts| accounts.iter().filter_map(account).collect());
    observed.namespaces = namespaces;
    observed.nodes = nodes;
    observed.definitions = definitions;
    (observed.operators, observed.operator_pods) = operators;
    super::webhooks::Webhooks { configurations: observed.webhooks, services: observed.services } = webhooks;
    look_closer(asking, &mut observed, may_dry_run).await;
    Ok(observed)
}

/// What depends on what was seen: rights of the accounts in use, logs of what is in trouble, and what webhooks answer.
async fn look_closer(asking: &Asking, observed: &mut Observed, may_dry_run: bool) {
    let mut wanted = logs_wanted(observed);
    let left = wanted.split_off(wanted.len().min(LOGS));
    observed.unread = not_read(left.len());
    let (logs, missing_rights, certificates, dry_runs) = tokio::join!(
        join_all(wanted.into_iter().map(async |key| (key.clone(), asking.log(&key).await))),
        super::rights::missing(asking, observed),
        super::webhooks::certificates(asking, observed),
        super::webhooks::dry_runs(asking, observed, may_dry_run),
    );
    observed.logs = logs.into_iter().collect();
    observed.missing_rights = missing_rights;
    (observed.certificates, observed.dry_runs) = (certificates, dry_runs);
    (observed.bindings, observed.roles) = super::rights::given(asking, observed).await;
}

/// The operator's first: they say most.
fn logs_wanted(observed: &Observed) -> Vec<LogKey> {
    let of_work = observed.pods.iter().flat_map(|pods| workload::logs_wanted(pods));
    platform::logs_wanted(observed).into_iter().chain(of_work).collect()
}

/// What is said of logs that were not read, where there are any.
fn not_read(count: usize) -> Option<Unseen> {
    (count > 0).then(|| Unseen {
        what: format!("read {count} more logs"),
        why: format!("{LOGS} are read at most; ask for an application or a pod by its name"),
        rule: None,
    })
}

/// Objects as structs. One that cannot be read is left out: the API server keeps none of its own kinds that it cannot read itself.
pub(super) fn read<O: DeserializeOwned>(objects: Seen<Vec<Value>>) -> Seen<Vec<O>> {
    Ok(objects?.into_iter().filter_map(|object| serde_json::from_value(object).ok()).collect())
}

/// Pods as far as they can be read.
pub(super) fn read_pods(pods: Seen<Vec<Value>>) -> Seen<Vec<objects::Pod>> {
    Ok(pods?.into_iter().filter_map(objects::Pod::read).collect())
}

fn account(account: &Value) -> Option<ObjectName> {
    let metadata: objects::Metadata = serde_json::from_value(account["metadata"].clone()).ok()?;
    Some(metadata.object("ServiceAccount"))
}

fn constraints(quotas: &Seen<Vec<Value>>, limit_ranges: &Seen<Vec<Value>>) -> BTreeMap<String, Constraints> {
    fn by_namespace<O: DeserializeOwned>(objects: &Seen<Vec<Value>>) -> BTreeMap<String, Vec<O>> {
        let mut by_namespace: BTreeMap<String, Vec<O>> = BTreeMap::new();
        for object in objects.iter().flatten() {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
            if let Ok(read) = serde_json::from_value(object.clone()) {
                by_namespace.entry(namespace.to_owned()).or_default().push(read);
            }
        }
        by_namespace
    }
    let (quotas, limit_ranges) = (by_namespace(quotas), by_namespace(limit_ranges));
    let namespaces: BTreeSet<&String> = quotas.keys().chain(limit_ranges.keys()).collect();
    let of = |namespace: &String| {
        let limit_ranges = limit_ranges.get(namespace).map_or(&[][..], Vec::as_slice);
        let quotas = quotas.get(namespace).map_or(&[][..], Vec::as_slice);
        (namespace.clone(), Constraints::read(limit_ranges, quotas))
    };
    namespaces.into_iter().map(of).collect()
}

async fn labels_of_namespaces(asking: &Asking, namespace: Option<&str>) -> Seen<BTreeMap<String, Texts>> {
    let found = match namespace {
        Some(name) => asking.get(NAMESPACES, None, name).await?.into_iter().collect(),
        None => asking.list(NAMESPACES, None, "").await?,
    };
    let labels = |namespace: &Value| {
        let metadata: objects::Metadata = serde_json::from_value(namespace["metadata"].clone()).ok()?;
        Some((metadata.name, metadata.labels))
    };
    Ok(found.iter().filter_map(labels).collect())
}

async fn nodes(asking: &Asking, settings: &FlaggedNodes, now: i64) -> Seen<Arc<Nodes>> {
    let rule = |resource: &str, namespace: &str| Rule {
        verb: "list".to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        ..Rule::default()
    };
    let nodes = asking.turn(&rule("nodes", ""), async |_| asking.cluster.nodes(settings).await).await?;
    let events = join_all(settings.event_namespaces.iter().map(async |namespace| {
        let rule = rule("events", namespace);
        asking.turn(&rule, async |_| asking.cluster.node_events(namespace, settings).await).await
    }));
    // A node is flagged by everything else where its events cannot be read.
    let events: Vec<_> = events.await.into_iter().flatten().flatten().collect();
    Ok(Arc::new(Nodes::new(nodes, &events, settings, now)))
}

async fn definitions(asking: &Asking) -> Seen<Vec<objects::Definition>> {
    let found = RESOURCES.map(|(_, kind)| async move {
        asking.get(DEFINITIONS, None, &format!("{}.{}", kind.plural, kind.group)).await
    });
    let found: Result<Vec<_>, Unseen> = join_all(found).await.into_iter().collect();
    read(Ok(found?.into_iter().flatten().collect()))
}

/// The operator's Deployments, wherever they are, and their pods.
async fn operators(asking: &Asking) -> (Seen<Vec<objects::Deployment>>, Seen<Vec<objects::Pod>>) {
    let labelled = asking.list(DEPLOYMENTS, None, "labelSelector=app.kubernetes.io/name=spark-operator").await;
    let found = match labelled {
        // Its chart can be told another name.
        Ok(found) if found.is_empty() => asking.list(DEPLOYMENTS, None, "").await,
        found => found,
    };
    let operators: Vec<objects::Deployment> = match read(found) {
        Ok(deployments) => deployments.into_iter().filter(platform::is_operator).collect(),
        Err(unseen) => return (Err(unseen.clone()), Err(unseen)),
    };
    let pods = join_all(operators.iter().map(async |operator| {
        let labels = operator.spec.selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
        let selector = format!("labelSelector={}", labels.collect::<Vec<_>>().join(","));
        read_pods(asking.list(PODS, Some(&operator.metadata.namespace), &selector).await)
    }));
    let pods: Result<Vec<_>, Unseen> = pods.await.into_iter().collect();
    (Ok(operators), pods.map(|pods| pods.into_iter().flatten().collect()))
}

/// The API group of roles and bindings.
pub(super) const fn of_rbac(plural: &'static str) -> Kind {
    Kind::of(RBAC, "v1", plural)
}
