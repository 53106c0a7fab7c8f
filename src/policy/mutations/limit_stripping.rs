//! `limit-stripping`: a pod that would run on flagged nodes has no limits of cpu and memory, with which it would not start there.
//!
//! On a node whose filesystem is in trouble the kubelet fails to write a pod's cgroup files, and with them every pod that has such
//! limits. Requests stay, and so do limits of extended resources and pages, which must equal their requests. Limits go from every
//! container or from none: one is enough to fail. `LimitRanger` puts its defaults back between two rounds of an admission, so that this
//! is done again in the second (`reinvocationPolicy: IfNeeded`).

use serde_json::Value;

use super::treatment::{Reach, Treatment, names, treatment};
use super::{Case, Outcome, Plan, Pod};
use crate::policy::check::{Check, Level};
use crate::policy::configuration::Strippable;
use crate::policy::document::Json;
use crate::policy::field_path::{FieldPath, path};
use crate::policy::nodes::Flagged;
use crate::policy::nodes::constraints::Counted;
use crate::policy::outcome::Skip;
use crate::policy::subject::Container;
use crate::policy::values::quantity::Quantity;

pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let (reach, flagged) = match treatment(pod, case) {
        Treatment::None(why) => return Outcome::Skipped(why),
        Treatment::Avoid(..) => return Outcome::Skipped(Skip::Steered),
        Treatment::Strip(reach, flagged) => (reach, flagged),
    };
    let limited = Limited::of(pod, &case.policy.flagged_nodes.strip);
    if limited.is_free() {
        return Outcome::Skipped(Skip::NothingToDo);
    }
    let why = because(reach, &flagged);
    // What befalls a pod that can only run on flagged nodes is told by the check, where it looks.
    let tells = reach == Reach::OthersToo || case.level_of(Check::FlaggedNode) == Level::Off;
    if let Some(by) = limited.demanded_by(case) {
        if tells {
            plan.warn(format!("limits stay, for {by} demands them, though {why}"));
        }
        return Outcome::Skipped(Skip::LimitsRequired);
    }
    limited.places.iter().for_each(|place| strip(place, &limited.going, plan));
    if tells {
        plan.warn(format!("limits of {} removed: {why}", enumerate(&limited.going)));
    }
    if limited.is_guaranteed() {
        plan.warn("its QoS class is now Burstable, not Guaranteed: it is evicted earlier where memory is short");
    }
    plan.outcome()
}

fn because(reach: Reach, flagged: &[Flagged<'_>]) -> String {
    match reach {
        Reach::FlaggedOnly => format!("it can only run on flagged nodes ({})", names(flagged)),
        Reach::OthersToo => format!("it could run on flagged nodes ({})", names(flagged)),
    }
}

fn enumerate(resources: &[Strippable]) -> String {
    resources.iter().map(|resource| resource.name()).collect::<Vec<_>>().join(" and ")
}

/// The `resources` of a container, or of the pod as a whole.
struct Place<'a> {
    resources: Json<'a>,
    path: FieldPath,
}

impl Place<'_> {
    fn has(&self, list: &str, resource: Strippable) -> bool {
        !self.resources.get(list).get(resource.name()).is_null()
    }

    fn amount(&self, list: &str, resource: Strippable) -> Option<Quantity> {
        Quantity::parse(&self.resources.get(list).get(resource.name()).to_string())
    }
}

/// Takes the limits off one place. A request that is missing becomes what the limit was: so does the API server before it asks webhooks,
/// and a manifest that is reviewed without one must not lose its requests.
fn strip(place: &Place<'_>, going: &[Strippable], plan: &mut Plan) {
    let limits = place.resources.get("limits");
    let going: Vec<_> = going.iter().copied().filter(|resource| place.has("limits", *resource)).collect();
    if going.is_empty() {
        return;
    }
    for resource in going.iter().filter(|resource| !place.has("requests", **resource)) {
        let limit = place.path.clone().then(["limits", resource.name()]);
        let repaired = plan.wanted(&limit).cloned();
        let amount = repaired.unwrap_or_else(|| Value::from(limits.get(resource.name()).to_string()));
        plan.set(place.path.clone().then(["requests", resource.name()]), amount);
    }
    let is_going = |name: &str| going.iter().any(|resource| resource.name() == name);
    if limits.members().all(|(name, amount)| is_going(name) || amount.is_null()) {
        return plan.remove(place.path.clone().then(["limits"]));
    }
    for resource in going {
        plan.remove(place.path.clone().then(["limits", resource.name()]));
    }
}

/// A pod whose limits are to go.
pub(in crate::policy) struct Limited<'a> {
    spec: Json<'a>,
    /// The pod as a whole first, then its containers and init containers.
    places: Vec<Place<'a>>,
    /// The limits that go from it, of those that the policy names.
    going: Vec<Strippable>,
}

/// The resources that decide how a pod is ranked on its node (its `qosClass`).
const OF_QOS: [Strippable; 2] = [Strippable::Cpu, Strippable::Memory];

impl<'a> Limited<'a> {
    /// The pod, and which of these limits it has.
    pub(in crate::policy) fn of(pod: &Pod<'a>, strip: &[Strippable]) -> Self {
        let spec = pod.spec();
        let containers = ["containers", "initContainers"].into_iter().flat_map(|list| Container::all(spec, list));
        let of_containers =
            containers.map(|it| Place { resources: it.json().get("resources"), path: it.path().then(["resources"]) });
        let of_pod = Place { resources: spec.get("resources"), path: path(["spec", "resources"]) };
        let places: Vec<_> = [of_pod].into_iter().chain(of_containers).collect();
        let is_there = |resource: &Strippable| places.iter().any(|place| place.has("limits", *resource));
        let going = strip.iter().copied().filter(is_there).collect();
        Self { spec, places, going }
    }

    /// Whether there is nothing to take off.
    pub(in crate::policy) fn is_free(&self) -> bool {
        self.going.is_empty()
    }

    /// Who of the namespace demands that the limits stay.
    pub(in crate::policy) fn demanded_by<'c>(&self, case: &Case<'c>) -> Option<&'c str> {
        case.snapshot.constraints.get(case.request.namespace)?.demanded(self, &self.going)
    }

    /// Whether its `qosClass` was to be Guaranteed: by the pod as a whole where that has resources, else by every container.
    fn is_guaranteed(&self) -> bool {
        let counted = if self.has_pod_level_resources() { &self.places[..1] } else { &self.places[1..] };
        counted.iter().all(|place| {
            OF_QOS.into_iter().all(|resource| {
                let limit = place.amount("limits", resource);
                limit > Some(Quantity::ZERO) && place.amount("requests", resource).is_none_or(|it| Some(it) == limit)
            })
        })
    }
}

impl Counted for Limited<'_> {
    fn priority_class(&self) -> &str {
        self.spec.get("priorityClassName").as_str().unwrap_or_default()
    }

    fn is_terminating(&self) -> bool {
        !self.spec.get("activeDeadlineSeconds").is_null()
    }

    fn is_best_effort(&self) -> bool {
        let is_positive = |amount: Option<Quantity>| amount > Some(Quantity::ZERO);
        let asks = |place: &Place<'_>, resource| {
            // A limit that stays counts as well, and one without a request leaves a request behind.
            let keeps = !self.going.contains(&resource) || !place.has("requests", resource);
            is_positive(place.amount("requests", resource)) || keeps && is_positive(place.amount("limits", resource))
        };
        !self.places.iter().any(|place| OF_QOS.into_iter().any(|resource| asks(place, resource)))
    }

    fn reaches_other_namespaces(&self) -> bool {
        let affinity = self.spec.get("affinity");
        let terms = ["podAffinity", "podAntiAffinity"].into_iter().flat_map(|kind| {
            let required = affinity.get(kind).get("requiredDuringSchedulingIgnoredDuringExecution").items();
            let preferred = affinity.get(kind).get("preferredDuringSchedulingIgnoredDuringExecution").items();
            required.chain(preferred.map(|weighted| weighted.get("podAffinityTerm")))
        });
        let mut terms = terms;
        terms.any(|term| term.get("namespaces").items().next().is_some() || !term.get("namespaceSelector").is_null())
    }

    fn has_pod_level_resources(&self) -> bool {
        let resources = self.spec.get("resources");
        let mut named = ["requests", "limits"].into_iter().flat_map(|list| resources.get(list).members());
        named.any(|(name, _)| ["cpu", "memory"].contains(&name) || name.starts_with("hugepages-"))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::policy::Mutation;
    use crate::policy::nodes::Constraints;
    use crate::policy::testing::{Sample, connect_server, driver, executor, flagged_node, node, notebook};
    use serde_json::{Value, json};

    const RESOURCES: &str = "/spec/containers/0/resources";

    /// On a cluster all of whose nodes are flagged.
    fn pinned(sample: Sample) -> Sample {
        sample.on(vec![flagged_node("bad", &json!({"zone": "a"}))])
    }

    /// On a cluster with a flagged node in zone a, and another one in zone b.
    fn mixed(sample: Sample) -> Sample {
        sample.on(vec![flagged_node("bad", &json!({"zone": "a"})), node("good", &json!({"zone": "b"}))])
    }

    fn limited(sample: Sample) -> Sample {
        sample.with(
            RESOURCES,
            json!({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}),
        )
    }

    #[test]
    #[rustfmt::skip]
    fn decides() {
        let all = vec!["spec.containers[0].resources.limits removed".to_owned()];
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let with = |limits: Value, requests: Value| pinned(driver().with(RESOURCES, json!({"limits": limits, "requests": requests})));
        let extended = json!({"cpu": "1", "memory": "1Gi"});
        for (case, pod, expected) in [
            ("the nodes are not known", limited(driver()), lines(&["skipped: nodes-unknown"])),
            ("no node is flagged", limited(driver()).on(vec![node("one", &json!({}))]), lines(&["skipped: no-flagged-node"])),
            ("scale from zero: no node at all", limited(driver()).on(vec![]), lines(&["skipped: no-flagged-node"])),
            ("kept off flagged nodes instead", mixed(limited(driver())), lines(&["skipped: steered"])),
            ("a driver", pinned(limited(driver())), all.clone()),
            ("an executor", pinned(limited(executor())), all.clone()),
            ("a Connect server", pinned(limited(connect_server(""))), all.clone()),
            ("a notebook", pinned(limited(notebook())), all.clone()),
            ("a pod that selects the flagged node", mixed(limited(driver())).with("/spec/nodeSelector/zone", "a"), all.clone()),
            ("a pod that names the flagged node", mixed(limited(driver())).with("/spec/nodeName", "bad"), all.clone()),
            ("no limits", pinned(driver()), lines(&["skipped: nothing-to-do"])),
            ("requests alone", with(Value::Null, extended.clone()), lines(&["skipped: nothing-to-do"])),
            ("a GPU that no node has", with(json!({"cpu": 1, "nvidia.com/gpu": 1}), json!({"cpu": 1, "nvidia.com/gpu": 1})), lines(&["skipped: no-flagged-node"])),
            ("pages stay", with(json!({"cpu": 1, "hugepages-2Mi": "1Gi"}), extended.clone()), lines(&["spec.containers[0].resources.limits.cpu removed"])),
            ("ephemeral storage stays", with(json!({"memory": "1Gi", "ephemeral-storage": "1Gi"}), extended.clone()), lines(&["spec.containers[0].resources.limits.memory removed"])),
            ("ephemeral storage goes, as the policy says", with(json!({"ephemeral-storage": "1Gi"}), json!({"ephemeral-storage": "1Gi"})).under_flagged("strip: [ephemeral-storage]"), all.clone()),
            ("a limit that becomes a request, as the API server has it", with(json!({"memory": 1_024}), Value::Null), lines(&["spec.containers[0].resources.requests.memory = 1024", "spec.containers[0].resources.limits removed"])),
            ("a limit that was repaired becomes the request", with(json!({"memory": "512m"}), Value::Null), lines(&["spec.containers[0].resources.requests.memory = 512Mi", "spec.containers[0].resources.limits removed"])),
            ("init containers, sidecars and the pod itself", pinned(driver())
                .and("/spec/initContainers", json!({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}))
                .and("/spec/containers", json!({"resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}}}))
                .with("/spec/resources", json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}})),
                lines(&["spec.resources.limits removed", "spec.containers[1].resources.limits removed", "spec.initContainers[0].resources.limits removed"])),
            ("not pinned, but stripped as the policy says", mixed(limited(driver())).under_flagged("unpinned: {driver: strip}"), all.clone()),
            ("not pinned, and ignored", mixed(limited(driver())).under_flagged("unpinned: {driver: ignore}"), lines(&["skipped: unpinned-ignored"])),
            ("pinned, though such as are not are ignored", pinned(limited(driver())).under_flagged("unpinned: {driver: ignore}"), all.clone()),
            ("not to be kept off by name beside Karpenter", mixed(limited(driver())).beside_karpenter(), all.clone()),
            ("kept off by nobody, for that is switched off", mixed(limited(driver())).under("node-steering: {mode: off}"), all.clone()),
            ("kept off by nobody, for the author declined", mixed(limited(driver())).with("/metadata/annotations/spark-admission.io~1skip", "node-steering"), all),
            ("kept off, though that is only observed", mixed(limited(driver())).under("node-steering: {mode: observe}"), lines(&["skipped: steered"])),
        ] {
            assert_eq!(pod.by(Mutation::LimitStripping), expected, "{case}");
        }
    }

    #[test]
    fn a_gpus_limit_stays() {
        let mut bad = flagged_node("bad", &json!({}));
        bad["status"]["allocatable"] = json!({"nvidia.com/gpu": "1"});
        let resources = json!({"cpu": 1, "nvidia.com/gpu": 1});
        let pod = driver().with(RESOURCES, json!({"limits": resources, "requests": resources}));
        let only_gpus = pod.on(vec![bad, node("good", &json!({}))]);
        assert_eq!(only_gpus.by(Mutation::LimitStripping), ["spec.containers[0].resources.limits.cpu removed"]);
    }

    fn demanding(sample: Sample, kind: &str, spec: &Value) -> Sample {
        let mut sample = sample;
        let object = json!({"metadata": {"name": "team"}, "spec": spec});
        let constraints = if kind == "LimitRange" {
            Constraints::read(&[serde_json::from_value(object).unwrap()], &[])
        } else {
            Constraints::read(&[], &[serde_json::from_value(object).unwrap()])
        };
        sample.snapshot.constraints = Arc::new([("jupyterhub-users".to_owned(), constraints)].into());
        sample
    }

    #[test]
    #[rustfmt::skip]
    fn leaves_limits_that_are_demanded() {
        let quota = |hard: &str| json!({"hard": {hard: "10"}});
        let required = "skipped: limits-required";
        let stripped = "spec.containers[0].resources.limits removed";
        let pod = || pinned(limited(driver()));
        let of_zero = || pinned(driver().with(RESOURCES, json!({"limits": {"memory": "1Gi"}, "requests": {"memory": "0"}})));
        let scoped = |scope: &str| json!({"hard": {"limits.memory": "10Gi"}, "scopes": [scope]});
        for (case, pod, expected) in [
            ("by a quota", demanding(pod(), "ResourceQuota", &quota("limits.memory")), required),
            ("by a quota of another resource", demanding(pod(), "ResourceQuota", &quota("limits.nvidia.com/gpu")), stripped),
            ("by a quota, where the pod has no such limit", demanding(pod().with(RESOURCES, json!({"limits": {"cpu": 1}, "requests": {"cpu": 1}})), "ResourceQuota", &quota("limits.memory")), stripped),
            ("by a quota, but not of a pod with resources of its own", demanding(pod().with("/spec/resources/requests/cpu", "1"), "ResourceQuota", &quota("limits.memory")), stripped),
            ("by a quota for pods that end, which it does", demanding(pod().with("/spec/activeDeadlineSeconds", 60), "ResourceQuota", &scoped("Terminating")), required),
            ("by a quota for pods that end, which it does not", demanding(pod(), "ResourceQuota", &scoped("Terminating")), stripped),
            ("by a quota for pods that ask for something", demanding(pod(), "ResourceQuota", &scoped("NotBestEffort")), required),
            ("by a quota for those, of a pod that asks for nothing then", demanding(of_zero(), "ResourceQuota", &scoped("NotBestEffort")), stripped),
            ("by a quota for pods that ask for nothing, which it does then", demanding(of_zero(), "ResourceQuota", &scoped("BestEffort")), required),
            ("by a quota for pods that reach into other namespaces", demanding(pod().with("/spec/affinity/podAffinity/requiredDuringSchedulingIgnoredDuringExecution", json!([{"namespaces": ["a"]}])), "ResourceQuota", &scoped("CrossNamespacePodAffinity")), required),
            ("by a quota for a priority class", demanding(pod().with("/spec/priorityClassName", "high"), "ResourceQuota", &json!({"hard": {"limits.cpu": 1}, "scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}})), required),
            ("by a limit range", demanding(pod(), "LimitRange", &json!({"limits": [{"type": "Container", "max": {"cpu": "4"}}]})), required),
            ("by a limit range that only has defaults", demanding(pod(), "LimitRange", &json!({"limits": [{"type": "Container", "default": {"cpu": "4"}}]})), stripped),
        ] {
            assert_eq!(pod.by(Mutation::LimitStripping), [expected], "{case}");
        }
    }

    /// Where the check `flagged-node`, which would tell, does not look.
    fn unchecked(sample: Sample) -> Sample {
        sample.checked_under("flagged-node: {level: \"off\"}")
    }

    #[test]
    #[rustfmt::skip]
    fn says_what_was_done_and_why() {
        let qos = "limit-stripping: its QoS class is now Burstable, not Guaranteed: it is evicted earlier where memory is short";
        let burstable = || driver().with(RESOURCES, json!({"limits": {"memory": "2Gi"}, "requests": {"memory": "1Gi"}}));
        for (case, pod, expected) in [
            ("a Guaranteed pod", unchecked(pinned(limited(driver()))), &["limit-stripping: limits of cpu and memory removed: it can only run on flagged nodes (bad)", qos][..]),
            ("a Burstable pod", unchecked(pinned(burstable())), &["limit-stripping: limits of memory removed: it can only run on flagged nodes (bad)"]),
            ("a Guaranteed pod as a whole", unchecked(pinned(driver().with("/spec/resources", json!({"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 1, "memory": "1Gi"}})))), &["limit-stripping: limits of cpu and memory removed: it can only run on flagged nodes (bad)", qos]),
            ("told by the check", pinned(limited(driver())), &[qos]),
            ("one that could run elsewhere", mixed(burstable()).under_flagged("unpinned: {driver: strip}"), &["limit-stripping: limits of memory removed: it could run on flagged nodes (bad)"]),
            ("limits that are demanded", demanding(unchecked(pinned(burstable())), "ResourceQuota", &json!({"hard": {"limits.memory": "9Gi"}})), &["limit-stripping: limits stay, for ResourceQuota team demands them, though it can only run on flagged nodes (bad)"]),
        ] {
            assert_eq!(pod.warnings(), expected, "{case}");
        }
    }
}
