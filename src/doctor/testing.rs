//! For unit tests: what a cluster holds, written as `kubectl get -o json` prints it, and findings as lines.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Asked, Finding, Look, Observed,
    objects::{Pod, Resource},
};
use crate::policy::{Policy, subject::ResourceKind};

/// The time of every test: 2026-11-22T10:00:00Z.
pub(crate) const NOW: i64 = 1_795_341_600;

/// A cluster that holds these objects and nothing else; all of it was looked at.
pub(crate) fn observed(objects: &[Value]) -> Observed {
    let mut observed = Observed::nothing(Asked::default(), NOW, Policy::default());
    observed.definitions = Ok(all(objects, "CustomResourceDefinition"));
    observed.operators = Ok(all(objects, "Deployment"));
    observed.webhooks = Ok(all(objects, "MutatingWebhookConfiguration"));
    observed.webhooks.as_mut().unwrap().extend(all(objects, "ValidatingWebhookConfiguration"));
    observed.events = Ok(all(objects, "Event"));
    observed.quotas = Ok(all(objects, "ResourceQuota"));
    observed.limit_ranges = Ok(all(objects, "LimitRange"));
    let named = |object: &Value| {
        let metadata: super::objects::Metadata = serde_json::from_value(object["metadata"].clone()).unwrap();
        metadata
    };
    observed.accounts =
        Ok(of_kind(objects, "ServiceAccount").map(|account| named(account).object("ServiceAccount")).collect());
    observed.namespaces =
        Ok(of_kind(objects, "Namespace").map(named).map(|namespace| (namespace.name, namespace.labels)).collect());
    let pods = of_kind(objects, "Pod").map(|pod| Pod::read(pod.clone()).unwrap());
    let (spark, operators) = pods.partition(|pod| !pod.role().is_empty());
    (observed.pods, observed.operator_pods) = (Ok(spark), Ok(operators));
    let resources = objects.iter().filter_map(|object| {
        let kind = ResourceKind::of("sparkoperator.k8s.io", object["kind"].as_str().unwrap_or_default())?;
        Resource::read(kind, object.clone())
    });
    observed.resources = Ok(resources.collect());
    observed
}

/// What one look finds, a line each: `level symptom object: problem`.
pub(crate) fn found(look: Look, observed: &Observed) -> Vec<String> {
    let mut findings = Vec::new();
    look(observed, &mut findings);
    findings.iter().map(line).collect()
}

fn line(finding: &Finding) -> String {
    let Finding { symptom, level, object, problem, evidence, cure } = finding;
    assert!(!evidence.is_empty() && !cure.sentence.is_empty(), "{object}: neither evidence nor cure may lack");
    format!("{} {} {object}: {problem}", level.name(), symptom.name())
}

fn all<O: DeserializeOwned>(objects: &[Value], kind: &str) -> Vec<O> {
    of_kind(objects, kind).map(|object| serde_json::from_value(object.clone()).unwrap()).collect()
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}
