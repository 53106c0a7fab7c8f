//! What the chart renders: the registration of the tests, policies that the server reads, metrics that there are; and what kustomize
//! makes of it.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};
use spark_admission::{
    metrics::Metrics,
    policy::{Policy, configuration::schema},
};

use crate::{
    helm::{RELEASE, called, chart, documents, find, rendered, root, said_by, template},
    needs_helm,
};

/// The three ways to a certificate.
const WAYS: [&[&str]; 3] = [
    &[],
    &["--set", "certificates.mode=certManager"],
    &[
        "--set",
        "certificates.mode=provided,certificates.provided.secretName=mine,certificates.provided.caBundle=-----BEGIN CERTIFICATE-----",
    ],
];
/// Everything that can be switched on.
const ALL: [&str; 2] = [
    "--set",
    "metrics.monitor.enabled=true,metrics.rules.enabled=true,metrics.dashboard.enabled=true,networkPolicy.enabled=true,\
     policy.flaggedNodes.labelFlaggedNodes=true",
];

#[test]
fn helm_finds_nothing_wrong_with_it() {
    needs_helm!();
    let chart = chart().display().to_string();
    let ha = format!("{chart}/values-ha.yaml");
    for way in WAYS {
        for more in [&[][..], &ALL, &["--values", &ha]] {
            let flags = [&["lint", "--strict", "--kube-version", "1.37.2", &chart][..], way, more].concat();
            said_by("helm", &flags).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
        }
    }
}

#[test]
fn rendering_twice_gives_the_same_bytes() {
    needs_helm!();
    for way in WAYS {
        let flags = [way, &ALL].concat();
        assert_eq!(template(RELEASE, &flags), template(RELEASE, &flags));
    }
}

/// What `--register` and the tests on the control plane register is what the chart does.
#[test]
fn its_registration_is_that_of_the_manifest() {
    needs_helm!();
    let chart = rendered(&[]);
    let manifest = documents(&fs::read_to_string(root().join("manifests/webhook.yaml")).unwrap());
    assert_eq!(manifest.len(), 2);
    for wanted in &manifest {
        let found = find(&chart, &called(wanted)).unwrap_or_else(|| panic!("no {}", called(wanted)));
        assert_eq!(found["webhooks"], wanted["webhooks"], "{}", called(wanted));
    }
}

/// Whoever installs without the chart copies the same certificates.
#[test]
fn its_certificates_of_cert_manager_are_those_to_copy() {
    needs_helm!();
    let chart = rendered(WAYS[1]);
    let copied = documents(&fs::read_to_string(root().join("certs/cert-manager.yaml")).unwrap());
    assert_eq!(copied.len(), chart.iter().filter(|it| it["apiVersion"] == "cert-manager.io/v1").count());
    for wanted in &copied {
        let found = find(&chart, &called(wanted)).unwrap_or_else(|| panic!("no {}", called(wanted)));
        assert_eq!(found["spec"], wanted["spec"], "{}", called(wanted));
    }
}

#[test]
fn its_policies_are_right() {
    needs_helm!();
    let everything = Policy::parse("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n").unwrap();
    let mut everything = serde_json::to_value(everything).unwrap();
    let fields = everything.as_object_mut().unwrap();
    fields.retain(|name, _| schema()["properties"][name].is_object() && name != "apiVersion" && name != "kind");
    for (case, policy) in [
        ("none", json!({})),
        ("the default one, written out", everything),
        ("observe", json!({"mode": "observe", "excludedNamespaces": ["kube-*", "istio-system"]})),
        (
            "numbers and texts that look like them",
            json!({"flaggedNodes": {"maxExcludedNames": 100}, "mutations": {"connect-package": {"versions": {"3.5.4": "3.5.3"}}}}),
        ),
        ("another notebook", json!({"notebooks": {"label": "app=jupyter"}})),
    ] {
        let value = format!("policy={policy}");
        let objects = rendered(&["--set-json", &value]);
        let map = find(&objects, "ConfigMap/spark-admission-policy").unwrap();
        let text = map["data"]["policy.yaml"].as_str().unwrap();
        Policy::parse(text).unwrap_or_else(|error| panic!("{case}: {error}\n{text}"));
        let read: Value = serde_saphyr::from_str(text).unwrap();
        for (field, wanted) in policy.as_object().unwrap() {
            assert_eq!(&read[field], wanted, "{case}: {field}");
        }
    }
}

#[test]
fn what_the_api_server_selects_by_follows_the_policy() {
    needs_helm!();
    let policy = json!({"excludedNamespaces": ["kube-*", "istio-system", "team-?"], "notebooks": {"label": "example.com/kind=lab=1"}});
    let objects = rendered(&["--set-json", &format!("policy={policy}")]);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let webhooks = &find(&objects, &format!("{kind}/spark-admission")).unwrap()["webhooks"];
        let names = &webhooks[0]["namespaceSelector"]["matchExpressions"][0]["values"];
        assert_eq!(*names, json!(["istio-system", "spark-admission"]), "patterns are left to the policy");
        let pods = webhooks[1]["matchConditions"][0]["expression"].as_str().unwrap();
        assert!(pods.contains("labels[?'example.com/kind'].orValue('') == 'lab=1'"), "{pods}");
    }
}

/// The Pod Security Standard `restricted`, and more: every container, those of hooks and of the test too.
#[test]
fn its_pods_may_do_nothing() {
    needs_helm!();
    let mut seen = BTreeSet::new();
    for object in rendered(&[]) {
        let pod = if object["kind"] == "Pod" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
        if pod["containers"].is_null() {
            continue;
        }
        let name = called(&object);
        for (field, wanted) in [
            ("runAsNonRoot", json!(true)),
            ("runAsUser", json!(65532)),
            ("seccompProfile", json!({"type": "RuntimeDefault"})),
        ] {
            assert_eq!(pod["securityContext"][field], wanted, "{name}: {field}");
        }
        let wanted = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true});
        for container in pod["containers"].as_array().unwrap() {
            assert_eq!(container["securityContext"], wanted, "{name}");
        }
        seen.insert(name);
    }
    let wanted = ["Deployment/spark-admission", "Job/spark-admission-cleanup", "Pod/spark-admission-probe"];
    assert_eq!(seen, wanted.map(str::to_owned).into());
}

/// A pod of a hook would otherwise be asked for reviews.
#[test]
fn only_the_webhook_s_pods_are_behind_its_service() {
    needs_helm!();
    let objects = rendered(&[&ALL[..], &["--set", "metrics.monitor.kind=ServiceMonitor"]].concat());
    let selectors = [
        ("Service/spark-admission", "/spec/selector"),
        ("Service/spark-admission-metrics", "/spec/selector"),
        ("PodDisruptionBudget/spark-admission", "/spec/selector/matchLabels"),
        ("NetworkPolicy/spark-admission", "/spec/podSelector/matchLabels"),
        ("Deployment/spark-admission", "/spec/selector/matchLabels"),
    ];
    let pods = [
        ("Deployment/spark-admission", "/spec/template/metadata/labels", true),
        ("Job/spark-admission-cleanup", "/spec/template/metadata/labels", false),
        ("Pod/spark-admission-probe", "/metadata/labels", false),
    ];
    for (object, selector) in selectors {
        let selector = find(&objects, object).unwrap().pointer(selector).unwrap().as_object().unwrap();
        for (pod, labels, wanted) in pods {
            let labels = find(&objects, pod).unwrap().pointer(labels).unwrap();
            assert_eq!(selector.iter().all(|(key, value)| labels[key] == *value), wanted, "{object} and {pod}");
        }
    }
    let monitor = &find(&objects, "ServiceMonitor/spark-admission").unwrap()["spec"]["selector"]["matchLabels"];
    let labels = &find(&objects, "Service/spark-admission-metrics").unwrap()["metadata"]["labels"];
    assert!(monitor.as_object().unwrap().iter().all(|(key, value)| labels[key] == *value));
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_there_are() {
    needs_helm!();
    let known = metrics();
    let objects = rendered(&ALL);
    let expressions: Vec<_> = find(&objects, "PrometheusRule/spark-admission").unwrap()["spec"]["groups"][0]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["expr"].as_str().unwrap().to_owned())
        .collect();
    let dashboard =
        find(&objects, "ConfigMap/spark-admission-dashboard").unwrap()["data"]["spark-admission.json"].clone();
    let dashboard: Value = serde_json::from_str(dashboard.as_str().unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    let all = expressions.into_iter().chain(targets.map(|target| target["expr"].as_str().unwrap().to_owned()));
    let mut asked = 0;
    for expression in all {
        for name in words(&expression).filter(|word| word.starts_with("spark_admission_")) {
            assert!(known.contains(name), "there is no metric {name}: {expression}");
            asked += 1;
        }
    }
    assert!(asked >= 20, "only {asked} metrics are asked for");
}

/// What /metrics can say, by its source: families of which nothing has been counted yet are not in its text.
fn metrics() -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("src/metrics.rs")).unwrap();
    let fields = source.split_once("pub struct Metrics {").unwrap().1.split_once('}').unwrap().0;
    let registered = source.split("all.register(").skip(1).map(|rest| rest.split(");").next().unwrap());
    let names = registered.flat_map(|arguments| {
        let name = arguments.split('"').nth(1).unwrap();
        let field = arguments.split("self.").nth(1).map(|rest| rest.split('.').next().unwrap());
        let kind = field.map(|field| fields.split_once(&format!("\n    {field}: ")).unwrap().1.lines().next().unwrap());
        let endings: &[&str] = match kind {
            None => &["_info"],
            Some(kind) if kind.contains("Histogram") => &["_bucket", "_sum", "_count"],
            Some(kind) if kind.contains("Counter") || kind.contains("Mutations") => &["_total"],
            Some(_) => &[""],
        };
        endings.iter().map(move |ending| format!("spark_admission_{name}{ending}"))
    });
    let names: BTreeSet<_> = names.collect();
    // What is there from the beginning is called so there.
    let text = Metrics::default().text();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    names
}

/// The names in an expression.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

#[test]
fn kustomize_installs_what_the_chart_does() {
    needs_helm!();
    let chart = chart().display().to_string();
    let ha = format!("{chart}/values-ha.yaml");
    for (folder, flags) in [
        ("base", vec![]),
        ("overlays/ha", vec!["--values", &ha]),
        ("overlays/cert-manager", vec!["--set", "certificates.mode=certManager"]),
    ] {
        let path = root().join("manifests/kustomize").join(folder).display().to_string();
        let built = said_by("kubectl", &["kustomize", &path]).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let mut built = documents(&built);
        built.retain(|object| object["kind"] != "Namespace");
        let mut wanted = rendered(&[&["--no-hooks"], &flags[..]].concat());
        for objects in [&mut built, &mut wanted] {
            objects.iter_mut().for_each(sort);
            objects.sort_by_key(|object| (called(object), object["metadata"]["namespace"].to_string()));
        }
        let names = |objects: &[Value]| objects.iter().map(called).collect::<Vec<_>>();
        assert_eq!(names(&built), names(&wanted), "{folder}");
        for (built, wanted) in built.iter().zip(&wanted) {
            assert_eq!(built, wanted, "{folder}: {}", called(wanted));
        }
    }
}

/// Lists of what has a name are in no particular order.
fn sort(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(sort);
            if items.iter().all(|item| item["name"].is_string() || item["topologyKey"].is_string()) {
                items.sort_by_key(|item| (item["name"].to_string(), item["topologyKey"].to_string()));
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(sort),
        _ => {}
    }
}
