//! What the limit ranges and quotas of a namespace demand of pods, limits without which the API server refuses them; and how much memory
//! they allow.
//!
//! Limit ranges with a `max` or a `maxLimitRequestRatio` demand a limit of every container or of the pod as a whole
//! (plugin/pkg/admission/limitranger); a quota on `limits.cpu` or `limits.memory` demands one of every container of the pods that it
//! counts (pkg/quota/v1/evaluator/core/pods.go).

use super::objects::{LimitRangeObject, Quantities, ResourceQuotaObject, ScopeExpression};
use crate::policy::configuration::Strippable;
use crate::policy::values::quantity::Quantity;

/// What the limit ranges and quotas of one namespace demand and allow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    demands: Vec<Demand>,
    ceilings: Vec<Ceiling>,
    budgets: Vec<Budget>,
}

/// The most memory that a container or a pod may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling {
    /// As it is called to users: `LimitRange limits`.
    pub by: Box<str>,
    /// `Container` or `Pod`.
    pub of: Box<str>,
    /// That much.
    pub most: Quantity,
}

/// The memory that all pods together may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// As it is called to users: `ResourceQuota compute`.
    pub by: Box<str>,
    /// `requests.memory` or `limits.memory`.
    pub of: Box<str>,
    /// That much.
    pub hard: Quantity,
    /// So much of it is taken.
    pub used: Quantity,
}

/// One thing that demands limits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Demand {
    /// As it is called to users: `LimitRange limits`.
    by: Box<str>,
    resources: Vec<Strippable>,
    /// Of which pods; none is of all.
    quota: Option<Vec<ScopeExpression>>,
}

/// What of a pod decides which quotas count it, once its limits are gone.
pub trait Counted {
    /// `spec.priorityClassName`, empty where there is none.
    fn priority_class(&self) -> &str;
    /// Whether it has an `activeDeadlineSeconds`.
    fn is_terminating(&self) -> bool;
    /// Whether it asks for no cpu and no memory.
    fn is_best_effort(&self) -> bool;
    /// Whether its affinity to other pods reaches into other namespaces.
    fn reaches_other_namespaces(&self) -> bool;
    /// Whether resources are set for the pod as a whole, so that its containers need none.
    fn has_pod_level_resources(&self) -> bool;
}

impl Constraints {
    /// What these objects, all of one namespace, demand.
    #[must_use]
    pub fn read(limit_ranges: &[LimitRangeObject], quotas: &[ResourceQuotaObject]) -> Self {
        let of_ranges = limit_ranges.iter().map(|range| Demand {
            by: format!("LimitRange {}", range.metadata.name).into(),
            resources: resources_in(|name| is_demanded_by(range, name)),
            quota: None,
        });
        let of_quotas = quotas.iter().map(|quota| Demand {
            by: format!("ResourceQuota {}", quota.metadata.name).into(),
            resources: resources_in(|name| is_counted_by(&quota.spec.hard, name)),
            quota: Some(scopes(quota)),
        });
        Self {
            demands: of_ranges.chain(of_quotas).filter(|demand| !demand.resources.is_empty()).collect(),
            ceilings: limit_ranges.iter().flat_map(ceilings).collect(),
            budgets: quotas.iter().flat_map(budgets).collect(),
        }
    }

    /// What several demand together.
    pub fn add(&mut self, other: &Self) {
        self.demands.extend_from_slice(&other.demands);
        self.ceilings.extend_from_slice(&other.ceilings);
        self.budgets.extend_from_slice(&other.budgets);
    }

    /// The most memory that containers and pods may ask for.
    #[must_use]
    pub fn ceilings(&self) -> &[Ceiling] {
        &self.ceilings
    }

    /// The memory that all pods of Spark's together may ask for.
    #[must_use]
    pub fn budgets(&self) -> &[Budget] {
        &self.budgets
    }

    /// Whether nothing is demanded, and everything allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.demands.is_empty() && self.ceilings.is_empty() && self.budgets.is_empty()
    }

    /// Who demands that a pod has one of these limits: `LimitRange limits`, `ResourceQuota compute`.
    #[must_use]
    pub fn demanded(&self, pod: &impl Counted, limits: &[Strippable]) -> Option<&str> {
        let demands = |demand: &&Demand| {
            let concerns = demand.resources.iter().any(|resource| limits.contains(resource));
            concerns && demand.quota.as_ref().is_none_or(|scopes| is_held_by(pod, scopes))
        };
        self.demands.iter().find(demands).map(|demand| &*demand.by)
    }
}

fn resources_in(is_demanded: impl Fn(&str) -> bool) -> Vec<Strippable> {
    let all = [Strippable::Cpu, Strippable::Memory, Strippable::EphemeralStorage];
    all.into_iter().filter(|resource| is_demanded(resource.name())).collect()
}

fn is_demanded_by(range: &LimitRangeObject, resource: &str) -> bool {
    let of_pods = range.spec.limits.iter().filter(|item| ["Container", "Pod"].contains(&item.kind.as_str()));
    let has = |quantities: &Quantities| quantities.contains_key(resource);
    of_pods.into_iter().any(|item| has(&item.max) || has(&item.max_limit_request_ratio))
}

fn ceilings(range: &LimitRangeObject) -> impl Iterator<Item = Ceiling> {
    let by = format!("LimitRange {}", range.metadata.name);
    let items = range.spec.limits.iter().filter(|item| ["Container", "Pod"].contains(&item.kind.as_str()));
    items.filter_map(move |item| {
        let most = Quantity::parse(&item.max.get("memory")?.0)?;
        Some(Ceiling { by: by.as_str().into(), of: item.kind.as_str().into(), most })
    })
}

/// Of quotas that count some pods only, just those that surely count Spark's: they ask for memory, and end by themselves.
fn budgets(quota: &ResourceQuotaObject) -> impl Iterator<Item = Budget> {
    let counts_sparks =
        |scope: &ScopeExpression| ["NotBestEffort", "NotTerminating"].contains(&scope.scope_name.as_str());
    let counted = scopes(quota).iter().all(counts_sparks);
    let of = |name: &'static str, of: &'static str| {
        let value = |quantities: &Quantities| Quantity::parse(&quantities.get(name)?.0);
        let by = format!("ResourceQuota {}", quota.metadata.name).into();
        let used = value(&quota.status.used).unwrap_or_default();
        Some(Budget { by, of: of.into(), hard: value(&quota.spec.hard)?, used }).filter(|_| counted)
    };
    let requests = of("requests.memory", "requests.memory").or_else(|| of("memory", "requests.memory"));
    requests.into_iter().chain(of("limits.memory", "limits.memory"))
}

/// Of ephemeral storage a quota only counts the limits that are there (`validationSet` of the evaluator).
fn is_counted_by(hard: &Quantities, resource: &str) -> bool {
    resource != Strippable::EphemeralStorage.name() && hard.contains_key(&format!("limits.{resource}"))
}

/// Which pods a quota counts: the old form of a scope says that it exists.
fn scopes(quota: &ResourceQuotaObject) -> Vec<ScopeExpression> {
    let exists = |scope: &String| ScopeExpression {
        scope_name: scope.clone(),
        operator: "Exists".to_owned(),
        values: Vec::new(),
    };
    let expressions = quota.spec.scope_selector.match_expressions.iter().cloned();
    quota.spec.scopes.iter().map(exists).chain(expressions).collect()
}

/// Whether a quota with these scopes refuses the pod where it has no limits.
fn is_held_by(pod: &impl Counted, scopes: &[ScopeExpression]) -> bool {
    !pod.has_pod_level_resources() && scopes.iter().all(|scope| matches(pod, scope))
}

/// `podMatchesScopeFunc` of the evaluator. A scope that nobody knows yet counts as one that holds the pod: limits then stay.
fn matches(pod: &impl Counted, scope: &ScopeExpression) -> bool {
    match scope.scope_name.as_str() {
        "Terminating" => pod.is_terminating(),
        "NotTerminating" => !pod.is_terminating(),
        "BestEffort" => pod.is_best_effort(),
        "NotBestEffort" => !pod.is_best_effort(),
        "CrossNamespacePodAffinity" => pod.reaches_other_namespaces(),
        "PriorityClass" => matches_priority(pod.priority_class(), scope),
        _ => true,
    }
}

/// A pod without a class has no value here, so `NotIn` and `DoesNotExist` match it.
fn matches_priority(class: &str, scope: &ScopeExpression) -> bool {
    let is_named = !class.is_empty() && scope.values.iter().any(|value| value == class);
    match scope.operator.as_str() {
        "Exists" => !class.is_empty(),
        "DoesNotExist" => class.is_empty(),
        "In" => is_named,
        "NotIn" => !is_named,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[derive(Default)]
    struct Pod {
        class: &'static str,
        is: &'static [&'static str],
    }

    impl Counted for Pod {
        fn priority_class(&self) -> &str {
            self.class
        }
        fn is_terminating(&self) -> bool {
            self.is.contains(&"terminating")
        }
        fn is_best_effort(&self) -> bool {
            self.is.contains(&"best effort")
        }
        fn reaches_other_namespaces(&self) -> bool {
            self.is.contains(&"reaching")
        }
        fn has_pod_level_resources(&self) -> bool {
            self.is.contains(&"set as a whole")
        }
    }

    const BOTH: &[Strippable] = &[Strippable::Cpu, Strippable::Memory];

    fn range(limits: &Value) -> Constraints {
        let object = json!({"metadata": {"name": "r"}, "spec": {"limits": limits}});
        Constraints::read(&[serde_json::from_value(object).unwrap()], &[])
    }

    fn quota(spec: &Value) -> Constraints {
        let object = json!({"metadata": {"name": "q"}, "spec": spec});
        Constraints::read(&[], &[serde_json::from_value(object).unwrap()])
    }

    #[test]
    #[rustfmt::skip]
    fn of_limit_ranges() {
        for (case, limits, strip, expected) in [
            ("a default", json!([{"type": "Container", "default": {"memory": "1Gi"}, "defaultRequest": {"cpu": "1"}}]), BOTH, None),
            ("a minimum", json!([{"type": "Container", "min": {"memory": "1Gi"}}]), BOTH, None),
            ("a maximum", json!([{"type": "Container", "max": {"memory": "1Gi"}}]), BOTH, Some("LimitRange r")),
            ("a maximum of pods", json!([{"type": "Pod", "max": {"cpu": 4}}]), BOTH, Some("LimitRange r")),
            ("a ratio", json!([{"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}]), BOTH, Some("LimitRange r")),
            ("a maximum of what is not stripped", json!([{"type": "Container", "max": {"ephemeral-storage": "1Gi"}}]), BOTH, None),
            ("a maximum of ephemeral storage", json!([{"type": "Container", "max": {"ephemeral-storage": "1Gi"}}]), &[Strippable::EphemeralStorage], Some("LimitRange r")),
            ("a maximum of claims", json!([{"type": "PersistentVolumeClaim", "max": {"memory": "1Gi"}}]), BOTH, None),
            ("of another resource", json!([{"type": "Container", "max": {"memory": "1Gi"}}]), &[Strippable::Cpu], None),
            ("nothing", Value::Null, BOTH, None),
        ] {
            assert_eq!(range(&limits).demanded(&Pod::default(), strip), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn of_quotas() {
        let hard = json!({"limits.memory": "1Gi", "pods": 3});
        let scoped = |scope: &str| json!({"hard": {"limits.memory": "1Gi"}, "scopes": [scope]});
        let priority = |operator: &str, values: Value| json!({"hard": {"limits.cpu": 1}, "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": operator, "values": values}]}});
        let by = Some("ResourceQuota q");
        for (case, spec, pod, expected) in [
            ("of limits", json!({"hard": hard}), Pod::default(), by),
            ("of requests", json!({"hard": {"requests.memory": "1Gi", "memory": "1Gi"}}), Pod::default(), None),
            ("of limits of ephemeral storage, which are only counted", json!({"hard": {"limits.ephemeral-storage": "1Gi"}}), Pod::default(), None),
            ("resources of the pod as a whole", json!({"hard": hard}), Pod { is: &["set as a whole"], ..Pod::default() }, None),
            ("for pods that end, and it does", scoped("Terminating"), Pod { is: &["terminating"], ..Pod::default() }, by),
            ("for pods that end, and it does not", scoped("Terminating"), Pod::default(), None),
            ("for pods that do not end", scoped("NotTerminating"), Pod::default(), by),
            ("for pods that ask for something", scoped("NotBestEffort"), Pod::default(), by),
            ("for pods that ask for something, and it does not", scoped("NotBestEffort"), Pod { is: &["best effort"], ..Pod::default() }, None),
            ("for pods that ask for nothing", scoped("BestEffort"), Pod::default(), None),
            ("for pods that reach into other namespaces", scoped("CrossNamespacePodAffinity"), Pod::default(), None),
            ("for pods that reach, and it does", scoped("CrossNamespacePodAffinity"), Pod { is: &["reaching"], ..Pod::default() }, by),
            ("of a scope that nobody knows", scoped("Tomorrow"), Pod::default(), by),
            ("for a priority class", priority("In", json!(["high"])), Pod { class: "high", ..Pod::default() }, by),
            ("for another priority class", priority("In", json!(["high"])), Pod { class: "low", ..Pod::default() }, None),
            ("for a priority class, of a pod without", priority("In", json!(["high"])), Pod::default(), None),
            ("for all other priority classes", priority("NotIn", json!(["high"])), Pod { class: "low", ..Pod::default() }, by),
            ("for any priority class", priority("Exists", Value::Null), Pod { class: "low", ..Pod::default() }, by),
            ("for any priority class, of a pod without", priority("Exists", Value::Null), Pod::default(), None),
            ("for no priority class", priority("DoesNotExist", Value::Null), Pod::default(), by),
        ] {
            assert_eq!(quota(&spec).demanded(&pod, BOTH), expected, "{case}");
        }
    }

    #[test]
    fn of_several() {
        let quota = |name: &str, hard: &str| {
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"hard": {hard: "1"}}})).unwrap()
        };
        let constraints = Constraints::read(&[], &[quota("pods", "pods"), quota("limits", "limits.cpu")]);
        assert!(!constraints.is_empty());
        assert_eq!(constraints.demanded(&Pod::default(), BOTH), Some("ResourceQuota limits"));
        assert!(Constraints::read(&[], &[quota("pods", "pods")]).is_empty());
    }

    #[test]
    #[rustfmt::skip]
    fn of_memory_that_is_allowed() {
        let of_range = |limits: Value| range(&limits).ceilings().iter().map(|it| format!("{} of {}: {}Mi", it.by, it.of, it.most.mebibytes())).collect::<Vec<_>>();
        assert_eq!(of_range(json!([{"type": "Container", "max": {"memory": "1Gi", "cpu": 1}}, {"type": "Pod", "max": {"memory": "2Gi"}}, {"type": "PersistentVolumeClaim", "max": {"memory": "1Gi"}}, {"type": "Container", "max": {"cpu": 1}}])), ["LimitRange r of Container: 1024Mi", "LimitRange r of Pod: 2048Mi"]);

        let of_quota = |spec: Value| {
            let object = json!({"metadata": {"name": "q"}, "spec": spec, "status": {"used": {"requests.memory": "1Gi", "pods": 1}}});
            let constraints = Constraints::read(&[], &[serde_json::from_value(object).unwrap()]);
            constraints.budgets().iter().map(|it| format!("{}: {}Mi of {}Mi", it.of, it.used.mebibytes(), it.hard.mebibytes())).collect::<Vec<_>>()
        };
        for (case, spec, expected) in [
            ("requests", json!({"hard": {"requests.memory": "4Gi"}}), &["requests.memory: 1024Mi of 4096Mi"][..]),
            ("both, in the short form", json!({"hard": {"memory": "4Gi", "limits.memory": "8Gi"}}), &["requests.memory: 0Mi of 4096Mi", "limits.memory: 0Mi of 8192Mi"]),
            ("of pods that end by themselves", json!({"hard": {"requests.memory": "4Gi"}, "scopes": ["NotTerminating", "NotBestEffort"]}), &["requests.memory: 1024Mi of 4096Mi"]),
            ("of pods with a deadline", json!({"hard": {"requests.memory": "4Gi"}, "scopes": ["Terminating"]}), &[]),
            ("of others", json!({"hard": {"pods": 3, "requests.cpu": 1}}), &[]),
        ] {
            assert_eq!(of_quota(spec), expected, "{case}");
        }
    }
}
