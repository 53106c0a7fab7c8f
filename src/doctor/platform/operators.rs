//! The operator: whether there is one, whether it runs, and which namespaces it watches.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::resources;
use crate::{
    doctor::{
        Cure, Evidence, Finding, Level, LogKey, ObjectName, Observed, Symptom,
        objects::{ContainerStatus, Deployment, Pod},
    },
    policy::operators::{DeploymentObject, Operator, Operators, Watches},
};

/// The operator's chart, and where Helm finds it.
const CHART: &str = "spark-operator --repo https://kubeflow.github.io/spark-operator";

/// Whether a Deployment runs a half of the operator: its controller or its webhook.
#[must_use]
pub fn is_operator(deployment: &Deployment) -> bool {
    is_controller(deployment) || is_webhook(deployment)
}

/// Whether a Deployment runs the operator's controller, which makes pods of resources.
#[must_use]
pub fn is_controller(deployment: &Deployment) -> bool {
    controller(deployment).is_some()
}

/// Whether a Deployment runs the operator's webhook.
pub(super) fn is_webhook(deployment: &Deployment) -> bool {
    arguments(deployment).windows(2).any(|pair| pair == ["webhook", "start"])
        && deployment.spec.template.spec.to_string().contains("spark-operator")
}

/// What the containers of a Deployment run.
pub(super) fn arguments(deployment: &Deployment) -> Vec<&str> {
    let containers = deployment.spec.template.spec["containers"].as_array().into_iter().flatten();
    let words = containers.flat_map(|container| [&container["command"], &container["args"]]);
    words.filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect()
}

fn controller(deployment: &Deployment) -> Option<Operator> {
    let Deployment { metadata, spec, .. } = deployment;
    let object = json!({
        "metadata": {"namespace": metadata.namespace, "name": metadata.name}, "spec": {"template": {"spec": spec.template.spec}}
    });
    let object: DeploymentObject = serde_json::from_value(object).ok()?;
    Operator::read(&object)
}

/// The controllers that were seen, and what each watches.
fn controllers(observed: &Observed) -> impl Iterator<Item = (&Deployment, Operator)> {
    observed.operators.iter().flatten().filter_map(|deployment| Some((deployment, controller(deployment)?)))
}

/// The controllers, as the policy's checks know them; none where they could not be seen.
#[must_use]
pub fn operators(observed: &Observed) -> Option<Operators> {
    observed.operators.as_ref().ok()?;
    Some(Operators::new(controllers(observed).map(|(_, operator)| Arc::new(operator)).collect()))
}

/// The oldest release of the controllers, as their labels or images say it: none where one does not.
pub(super) fn release_of_controllers(observed: &Observed) -> Option<(u32, u32)> {
    let versions = controllers(observed).map(|(deployment, _)| {
        let label = deployment.metadata.labels.get("app.kubernetes.io/version").map(String::as_str);
        let image = deployment.spec.template.spec["containers"][0]["image"].as_str();
        label.and_then(release_in).or_else(|| release_in(image?.rsplit(':').next()?))
    });
    versions.collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// The first two numbers of `2.4.0` or `v2.4.0-rc.1`.
fn release_in(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Whether it is known that nobody watches a namespace.
pub(super) fn is_unwatched(observed: &Observed, namespace: &str) -> bool {
    operators(observed).is_some_and(|operators| operators.is_watched(namespace) == Some(false))
}

/// Whether it is known that no controller runs.
pub(super) fn none_runs(observed: &Observed) -> bool {
    observed.operators.is_ok() && controllers(observed).all(|(deployment, _)| deployment.status.ready_replicas == 0)
}

/// The logs of the controllers' pods.
pub(super) fn controller_logs(observed: &Observed) -> Vec<LogKey> {
    let of_controller = |pod: &&Pod| controllers(observed).any(|(deployment, _)| is_pod_of(deployment, pod));
    let logs = |pod: &Pod| {
        let pod = pod.clone();
        pod.spec.containers.into_iter().map(move |container| LogKey {
            namespace: pod.metadata.namespace.clone(),
            pod: pod.metadata.name.clone(),
            container: container.name,
            previous: false,
        })
    };
    observed.operator_pods.iter().flatten().filter(of_controller).flat_map(logs).collect()
}

fn is_pod_of(deployment: &Deployment, pod: &Pod) -> bool {
    let labels = &deployment.spec.selector.match_labels;
    pod.metadata.namespace == deployment.metadata.namespace
        && labels.iter().all(|(key, value)| pod.metadata.labels.get(key) == Some(value))
}

/// No controller anywhere: resources are submitted to nobody.
pub(super) fn look_for_any(observed: &Observed, findings: &mut Vec<Finding>) {
    if observed.operators.is_err() || controllers(observed).next().is_some() {
        return;
    }
    let defined = observed.definitions.as_ref().is_ok_and(|definitions| !definitions.is_empty());
    let submitted = observed.resources().next();
    // Without its definitions either nobody was promised an operator: Spark's pods may come from elsewhere.
    if !defined && submitted.is_none() {
        return;
    }
    let object = ObjectName::global("Deployment", "spark-operator-controller");
    let mut evidence = vec![Evidence::field(
        &object,
        "metadata.name",
        "no Deployment of any namespace runs the operator's controller",
    )];
    evidence.extend(submitted.map(|resource| {
        Evidence::field(&resource.object(), "metadata.creationTimestamp", &resource.metadata.creation_timestamp)
    }));
    findings.push(Finding {
        symptom: Symptom::OperatorMissing,
        level: Level::Error,
        problem: "Kubeflow's operator is not installed, so no resource becomes pods".to_owned(),
        evidence,
        cure: Cure::of(
            "Install the operator, and name the namespaces that it is to watch:",
            format!(
                "helm upgrade --install spark-operator {CHART} --version 2.4.0 --namespace spark-operator --create-namespace --set 'spark.jobNamespaces={{{}}}'",
                wanted(observed)
            ),
        ),
        object,
    });
}

/// The namespaces that the operator should watch, as far as was asked: `team-a,team-b`.
fn wanted(observed: &Observed) -> String {
    let mut namespaces: BTreeSet<_> =
        observed.resources().map(|resource| resource.metadata.namespace.clone()).collect();
    namespaces.extend(observed.asked.namespace.clone());
    let namespaces: Vec<_> = namespaces.into_iter().collect();
    namespaces.join(",")
}

/// Halves of the operator that nobody is ready of.
pub(super) fn look_whether_they_run(observed: &Observed, findings: &mut Vec<Finding>) {
    for deployment in observed.operators.iter().flatten() {
        if deployment.status.ready_replicas == 0 {
            findings.push(not_running(deployment, observed));
        }
    }
}

fn not_running(deployment: &Deployment, observed: &Observed) -> Finding {
    let object = deployment.metadata.object("Deployment");
    let (namespace, name) = (&object.namespace, &object.name);
    let half = if is_controller(deployment) { "operator" } else { "operator's webhook" };
    let mut evidence = vec![Evidence::field(&object, "status.readyReplicas", 0)];
    let cure;
    if deployment.spec.replicas == Some(0) {
        evidence[0] = Evidence::field(&object, "spec.replicas", 0);
        cure = Cure::of("Have it run:", format!("kubectl scale deployment {name} -n {namespace} --replicas=1"));
    } else {
        let pods = observed.operator_pods.iter().flatten().filter(|pod| is_pod_of(deployment, pod));
        evidence.extend(pods.flat_map(|pod| why(pod, observed)));
        let failed =
            deployment.status.conditions.iter().filter(|it| it.kind == "ReplicaFailure" && it.status == "True");
        evidence.extend(
            failed.map(|it| Evidence::field(&object, "status.conditions[ReplicaFailure].message", &it.message)),
        );
        cure = Cure::of(
            "Repair what the evidence names; its pods and its log tell the rest:",
            format!(
                "kubectl describe deployment {name} -n {namespace}\nkubectl logs deployment/{name} -n {namespace} --tail=50"
            ),
        );
    }
    Finding {
        symptom: Symptom::OperatorNotRunning,
        level: Level::Error,
        problem: format!("the {half} does not run"),
        evidence,
        cure,
        object,
    }
}

/// Why a pod is not ready, as its status and its log say it.
fn why(pod: &Pod, observed: &Observed) -> Vec<Evidence> {
    let object = pod.object();
    let mut evidence = Vec::new();
    for status in pod.statuses().filter(|status| !status.ready) {
        if let Some(waiting) = &status.state.waiting {
            let says = format!("{}: {}", waiting.reason, waiting.message);
            evidence.push(Evidence::field(
                &object,
                &format!("status.containerStatuses[{}].state.waiting", status.name),
                says,
            ));
        }
        evidence.extend(last_words(pod, status, observed));
    }
    let unschedulable = pod.status.conditions.iter().filter(|it| it.kind == "PodScheduled" && it.status == "False");
    evidence.extend(
        unschedulable.map(|it| Evidence::field(&object, "status.conditions[PodScheduled].message", &it.message)),
    );
    evidence
}

/// The last line that a container logged before it ended.
fn last_words(pod: &Pod, status: &ContainerStatus, observed: &Observed) -> Option<Evidence> {
    let (log, previous) = match observed.log(pod, &status.name, true) {
        Some(log) => (log, true),
        None => (observed.log(pod, &status.name, false)?, false),
    };
    let line = log.lines().rev().find(|line| !line.trim().is_empty())?;
    Some(Evidence::log(&pod.object(), &status.name, previous, line))
}

/// Namespaces with resources, or asked for by name, that no controller watches.
pub(super) fn look_what_they_watch(observed: &Observed, findings: &mut Vec<Finding>) {
    let controllers: Vec<_> = controllers(observed).collect();
    let Some((deployment, operator)) = controllers.first() else { return };
    let mut namespaces: BTreeSet<&str> =
        observed.resources().map(|resource| resource.metadata.namespace.as_str()).collect();
    namespaces.retain(|namespace| is_unwatched(observed, namespace));
    for namespace in namespaces {
        let object = ObjectName::global("Namespace", namespace);
        let mut evidence: Vec<_> = controllers
            .iter()
            .map(|(deployment, operator)| {
                Evidence::field(&deployment.metadata.object("Deployment"), "--namespaces", watched(operator))
            })
            .collect();
        let waiting = resources::not_taken_up(observed).filter(|resource| resource.metadata.namespace == namespace);
        evidence.extend(waiting.take(3).map(|resource| Evidence::field(&resource.object(), "status", "none")));
        findings.push(Finding {
            symptom: Symptom::NamespaceNotWatched,
            level: Level::Error,
            problem: "no operator watches this namespace, so its resources never become pods".to_owned(),
            evidence,
            cure: Cure::of(
                "Add the namespace to those that the operator watches; its chart gives it the rights there, too:",
                watch_too(deployment, operator, namespace),
            ),
            object,
        });
    }
}

fn watched(operator: &Operator) -> String {
    match &operator.watches {
        Watches::All => "all".to_owned(),
        Watches::Unclear => "unclear".to_owned(),
        Watches::These(names) => names.join(","),
    }
}

/// How an operator is told to watch one more: by its chart where Helm installed it, else by its arguments.
fn watch_too(deployment: &Deployment, operator: &Operator, namespace: &str) -> String {
    let (own, name) = (&deployment.metadata.namespace, &deployment.metadata.name);
    let all = format!("{},{namespace}", watched(operator));
    if release(deployment).is_some() {
        return upgrade(deployment, &format!(" --set 'spark.jobNamespaces={{{all}}}'"));
    }
    format!("kubectl edit deployment {name} -n {own}   # --namespaces={all}, and a Role for its account in {namespace}")
}

/// The release that a Deployment belongs to, where Helm made it.
fn release(deployment: &Deployment) -> Option<&str> {
    deployment.metadata.annotations.get("meta.helm.sh/release-name").map(String::as_str)
}

/// The command that has Helm make again what is missing of the operator, with other values.
pub(super) fn upgrade(deployment: &Deployment, values: &str) -> String {
    let namespace = &deployment.metadata.namespace;
    let release = release(deployment).unwrap_or("spark-operator");
    let version = deployment.metadata.labels.get("app.kubernetes.io/version").map_or("2.4.0", String::as_str);
    format!("helm upgrade {release} {CHART} --version {version} --namespace {namespace} --reuse-values{values}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::{found, observed};

    /// A Deployment of the chart's with these arguments, of which so many pods are ready.
    fn deployment(name: &str, arguments: &[&str], ready: u32) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {
                "name": name, "namespace": "operators", "labels": {"app.kubernetes.io/version": "2.4.0"},
                "annotations": {"meta.helm.sh/release-name": "so"}
            },
            "spec": {
                "replicas": 1, "selector": {"matchLabels": {"app": name}},
                "template": {"spec": {"containers": [{"image": "ghcr.io/kubeflow/spark-operator/controller:2.4.0", "args": arguments}]}}
            },
            "status": {"readyReplicas": ready}
        })
    }

    fn controller(namespaces: &str, ready: u32) -> Value {
        deployment("so-controller", &["controller", "start", &format!("--namespaces={namespaces}")], ready)
    }

    fn application(namespace: &str) -> Value {
        json!({
            "kind": "SparkApplication",
            "metadata": {"name": "pi", "namespace": namespace, "creationTimestamp": "2026-11-22T09:00:00Z"}
        })
    }

    fn definition() -> Value {
        json!({"kind": "CustomResourceDefinition", "metadata": {"name": "sparkapplications.sparkoperator.k8s.io"}})
    }

    #[test]
    fn knows_the_halves() {
        let read = |arguments: &[&str], image: &str| {
            let mut deployment = deployment("so", arguments, 1);
            deployment["spec"]["template"]["spec"]["containers"][0]["image"] = image.into();
            serde_json::from_value::<Deployment>(deployment).unwrap()
        };
        let operator = "ghcr.io/kubeflow/spark-operator/controller:2.4.0";
        for (case, deployment, expected) in [
            ("the controller", read(&["controller", "start"], operator), (true, false)),
            ("the webhook", read(&["webhook", "start"], operator), (false, true)),
            ("somebody else's webhook", read(&["webhook", "start"], "cert-manager"), (false, false)),
            ("a web server", read(&[], "nginx"), (false, false)),
        ] {
            assert_eq!((is_controller(&deployment), is_webhook(&deployment)), expected, "{case}");
        }
    }

    #[test]
    fn reads_releases() {
        for (text, expected) in [
            ("2.4.0", Some((2, 4))),
            ("v2.10.1-rc.1", Some((2, 10))),
            ("v1beta2-1.6.2-3.5.0", None),
            ("latest", None),
            ("", None),
        ] {
            assert_eq!(release_in(text), expected, "{text}");
        }
    }

    #[test]
    fn misses_an_operator_where_one_is_expected() {
        let missing = "error operator-missing Deployment spark-operator-controller: Kubeflow's operator is not installed, so no resource \
                       becomes pods";
        for (case, objects, expected) in [
            ("neither definitions nor resources", vec![], vec![]),
            ("definitions", vec![definition()], vec![missing]),
            ("a resource", vec![application("team-a")], vec![missing]),
            ("it is there", vec![definition(), controller("team-a", 0)], vec![]),
            (
                "only its webhook is",
                vec![definition(), deployment("so-webhook", &["webhook", "start"], 1)],
                vec![missing],
            ),
        ] {
            assert_eq!(found(look_for_any, &observed(&objects)), expected, "{case}");
        }
        let mut unseen = observed(&[definition()]);
        unseen.operators = Err(crate::doctor::Unseen::default());
        assert_eq!(found(look_for_any, &unseen), [""; 0], "it may be there");
    }

    #[test]
    fn says_who_does_not_run_and_why() {
        let pod = json!({
            "kind": "Pod", "metadata": {"name": "so-1", "namespace": "operators", "labels": {"app": "so-controller"}},
            "status": {
                "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}],
                "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}}}]
            }
        });
        let mut scaled = controller("", 0);
        scaled["spec"]["replicas"] = 0.into();
        let mut quota = controller("", 0);
        quota["status"]["conditions"] =
            json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]);
        for (case, objects, evidence) in [
            ("ready", vec![controller("", 1)], vec![]),
            ("nobody wanted", vec![scaled], vec!["0"]),
            (
                "waiting",
                vec![controller("", 0), pod],
                vec!["0", "CrashLoopBackOff: back-off 5m0s", "0/3 nodes are available"],
            ),
            ("no pod", vec![quota], vec!["0", "exceeded quota"]),
        ] {
            let mut findings = Vec::new();
            look_whether_they_run(&observed(&objects), &mut findings);
            let says: Vec<_> = findings.iter().flat_map(|it| &it.evidence).map(|it| it.says.as_str()).collect();
            assert_eq!(says, evidence, "{case}");
        }
    }

    #[test]
    fn names_namespaces_that_nobody_watches() {
        let unwatched = "error namespace-not-watched Namespace team-b: no operator watches this namespace, so its resources never become pods";
        for (case, objects, expected) in [
            ("watched", vec![controller("team-a,team-b", 1), application("team-b")], vec![]),
            ("all are", vec![controller("", 1), application("team-b")], vec![]),
            ("not this one", vec![controller("team-a", 1), application("team-b")], vec![unwatched]),
            ("not even while it does not run", vec![controller("team-a", 0), application("team-b")], vec![unwatched]),
            ("by another", vec![controller("team-a", 1), controller("team-b", 1), application("team-b")], vec![]),
            ("perhaps", vec![controller("$(NAMESPACES)", 1), application("team-b")], vec![]),
            ("nobody at all", vec![application("team-b")], vec![]),
            ("nothing of Spark's there", vec![controller("team-a", 1)], vec![]),
        ] {
            assert_eq!(found(look_what_they_watch, &observed(&objects)), expected, "{case}");
        }
        let mut findings = Vec::new();
        look_what_they_watch(&observed(&[controller("team-a", 1), application("team-b")]), &mut findings);
        assert_eq!(
            findings[0].cure.copy,
            "helm upgrade so spark-operator --repo https://kubeflow.github.io/spark-operator --version 2.4.0 --namespace operators \
             --reuse-values --set 'spark.jobNamespaces={team-a,team-b}'"
        );
    }
}
