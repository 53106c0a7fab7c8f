//! What each value changes. A value without a row here fails the test, so none can be there that does nothing.

use serde_json::{Value, json};

use crate::{
    documented,
    helm::{chart, rendered},
    needs_helm,
    rows::{Row, row, same, silent, wrong},
};

const POD: &str = "/spec/template/spec";
const DEPLOYMENT: &str = "Deployment/spark-admission";
const MUTATING: &str = "MutatingWebhookConfiguration/spark-admission";
const VALIDATING: &str = "ValidatingWebhookConfiguration/spark-admission";

fn argument(path: &'static str, value: Value, place: usize, shows: &str) -> Row {
    row(path, value, DEPLOYMENT, &format!("{POD}/containers/0/args/{place}"), shows.into())
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<Row> {
    let pod = |field: &str| format!("{POD}/{field}");
    let container = |field: &str| format!("{POD}/containers/0/{field}");
    let selector = |field: &str| format!("/webhooks/0/namespaceSelector/{field}");
    let certificate = "Certificate/spark-admission";
    let provided = "certificates.mode=provided,certificates.provided.secretName=mine,certificates.provided.caBundle=-----BEGIN CERTIFICATE-----";
    let labels = json!({"team": "data"});
    let peers = json!([{"ipBlock": {"cidr": "172.16.0.0/28"}}]);
    vec![
        row(
            "nameOverride",
            json!("other"),
            "Deployment/spark-admission-other",
            "/metadata/labels/app.kubernetes.io~1name",
            json!("other"),
        ),
        row("fullnameOverride", json!("other"), "Deployment/other", "/metadata/name", json!("other")),
        same("commonLabels.team", json!("data"), DEPLOYMENT, "/metadata/labels/team"),
        same("commonLabels.team", json!("data"), MUTATING, "/metadata/labels/team"),
        row(
            "image.repository",
            json!("localhost:5000/mine"),
            DEPLOYMENT,
            &container("image"),
            json!("localhost:5000/mine:0.1.0"),
        ),
        row(
            "image.tag",
            json!("edge"),
            DEPLOYMENT,
            &container("image"),
            json!("ghcr.io/spark-admission/spark-admission:edge"),
        ),
        row(
            "image.tag",
            json!("edge"),
            "Job/spark-admission-cleanup",
            &container("image"),
            json!("ghcr.io/spark-admission/spark-admission:edge"),
        ),
        row(
            "image.digest",
            json!(format!("sha256:{}", "0".repeat(64))),
            "Pod/spark-admission-probe",
            "/spec/containers/0/image",
            json!(format!("ghcr.io/spark-admission/spark-admission@sha256:{}", "0".repeat(64))),
        ),
        same("image.pullPolicy", json!("Always"), DEPLOYMENT, &container("imagePullPolicy")),
        same("imagePullSecrets", json!([{"name": "mine"}]), DEPLOYMENT, &pod("imagePullSecrets")),
        same("imagePullSecrets", json!([{"name": "mine"}]), "Pod/spark-admission-probe", "/spec/imagePullSecrets"),
        same("replicas", json!(5), DEPLOYMENT, "/spec/replicas"),
        same(
            "updateStrategy.rollingUpdate.maxSurge",
            json!("50%"),
            DEPLOYMENT,
            "/spec/strategy/rollingUpdate/maxSurge",
        ),
        row("podDisruptionBudget.enabled", json!(false), "PodDisruptionBudget/spark-admission", "", Value::Null),
        same(
            "podDisruptionBudget.maxUnavailable",
            json!("30%"),
            "PodDisruptionBudget/spark-admission",
            "/spec/maxUnavailable",
        ),
        same("podDisruptionBudget.minAvailable", json!(1), "PodDisruptionBudget/spark-admission", "/spec/minAvailable")
            .with("podDisruptionBudget.maxUnavailable=null"),
        row("topologySpreadConstraints", json!([]), DEPLOYMENT, &pod("topologySpreadConstraints"), Value::Null),
        row(
            "topologySpreadConstraints",
            json!([{"maxSkew": 2, "topologyKey": "zone", "labelSelector": {}}]),
            DEPLOYMENT,
            &pod("topologySpreadConstraints/0/maxSkew"),
            json!(2),
        ),
        same("affinity", json!({"nodeAffinity": {}}), DEPLOYMENT, &pod("affinity")),
        same("nodeSelector", json!({"pool": "system"}), DEPLOYMENT, &pod("nodeSelector")),
        same("nodeSelector", json!({"pool": "system"}), "Job/spark-admission-cleanup", &pod("nodeSelector")),
        same("tolerations", json!([{"operator": "Exists"}]), DEPLOYMENT, &pod("tolerations")),
        same("priorityClassName", json!("system-cluster-critical"), DEPLOYMENT, &pod("priorityClassName")),
        same("resources.limits.memory", json!("128Mi"), DEPLOYMENT, &container("resources/limits/memory")),
        row("resources", Value::Null, DEPLOYMENT, &container("resources"), Value::Null),
        same("podSecurityContext.runAsUser", json!(1000), DEPLOYMENT, &pod("securityContext/runAsUser")),
        row(
            "podSecurityContext.runAsUser",
            Value::Null,
            "Pod/spark-admission-probe",
            "/spec/securityContext/runAsUser",
            Value::Null,
        ),
        row("podSecurityContext", Value::Null, DEPLOYMENT, &pod("securityContext"), Value::Null),
        same(
            "securityContext.readOnlyRootFilesystem",
            json!(false),
            DEPLOYMENT,
            &container("securityContext/readOnlyRootFilesystem"),
        ),
        row("securityContext", Value::Null, "Job/spark-admission-cleanup", &container("securityContext"), Value::Null),
        same("podAnnotations", json!({"a": "b"}), DEPLOYMENT, "/spec/template/metadata/annotations"),
        same("podLabels.team", json!("data"), DEPLOYMENT, "/spec/template/metadata/labels/team"),
        same("extraEnv", json!([{"name": "RUST_BACKTRACE", "value": "1"}]), DEPLOYMENT, &container("env")),
        same("hostNetwork", json!(true), DEPLOYMENT, &pod("hostNetwork")),
        argument("listenAddress", json!("[::]"), 1, "--listen=[::]:8443"),
        argument("listenAddress", json!("[::]"), 2, "--admin-listen=[::]:8081"),
        argument("port", json!(9443), 1, "--listen=0.0.0.0:9443"),
        same("port", json!(9443), DEPLOYMENT, &container("ports/0/containerPort")),
        argument("adminPort", json!(9081), 2, "--admin-listen=0.0.0.0:9081"),
        same("adminPort", json!(9081), DEPLOYMENT, &container("ports/1/containerPort")),
        same("service.annotations", json!({"a": "b"}), "Service/spark-admission", "/metadata/annotations"),
        row("serviceAccount.create", json!(false), "ServiceAccount/spark-admission", "", Value::Null),
        row("serviceAccount.create", json!(false), DEPLOYMENT, &pod("serviceAccountName"), json!("default")),
        same("serviceAccount.name", json!("mine"), DEPLOYMENT, &pod("serviceAccountName")),
        same("serviceAccount.name", json!("mine"), "ClusterRoleBinding/spark-admission", "/subjects/0/name"),
        same(
            "serviceAccount.annotations",
            json!({"a": "b"}),
            "ServiceAccount/spark-admission",
            "/metadata/annotations",
        ),
        row("rbac.create", json!(false), "ClusterRole/spark-admission", "", Value::Null),
        row("rbac.create", json!(false), "Role/spark-admission-self-managed", "", Value::Null),
        argument("certificates.mode", json!("certManager"), 4, "--certificates=files"),
        row("certificates.mode", json!("certManager"), "Secret/spark-admission-certificates", "", Value::Null),
        row("certificates.mode", json!("certManager"), "ClusterRole/spark-admission-self-managed", "", Value::Null),
        row(
            "certificates.mode",
            json!("certManager"),
            VALIDATING,
            "/metadata/annotations/cert-manager.io~1inject-ca-from",
            json!("spark-admission/spark-admission"),
        ),
        row(
            "certificates.mode",
            json!("certManager"),
            certificate,
            "/spec/dnsNames",
            json!(["spark-admission.spark-admission.svc"]),
        ),
        same(
            "certificates.certManager.issuerRef",
            json!({"kind": "ClusterIssuer", "name": "mine"}),
            certificate,
            "/spec/issuerRef",
        )
        .with("certificates.mode=certManager"),
        row(
            "certificates.certManager.issuerRef",
            json!({"name": "mine"}),
            "Issuer/spark-admission-ca",
            "",
            Value::Null,
        )
        .with("certificates.mode=certManager"),
        same("certificates.certManager.duration", json!("720h"), certificate, "/spec/duration")
            .with("certificates.mode=certManager"),
        same("certificates.certManager.renewBefore", json!("360h"), certificate, "/spec/renewBefore")
            .with("certificates.mode=certManager"),
        same("certificates.provided.secretName", json!("yours"), DEPLOYMENT, &pod("volumes/1/secret/secretName"))
            .with(provided),
        row(
            "certificates.provided.caBundle",
            json!("-----BEGIN CERTIFICATE-----\nMII\n"),
            MUTATING,
            "/webhooks/2/clientConfig/caBundle",
            json!("LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSQ=="),
        )
        .with(provided),
        same("webhooks.timeoutSeconds", json!(10), VALIDATING, "/webhooks/1/timeoutSeconds"),
        same("webhooks.resources.failurePolicy", json!("Ignore"), MUTATING, "/webhooks/0/failurePolicy"),
        same("webhooks.pods.failurePolicy", json!("Ignore"), MUTATING, "/webhooks/1/failurePolicy"),
        same("webhooks.executors.failurePolicy", json!("Fail"), VALIDATING, "/webhooks/2/failurePolicy"),
        same("webhooks.namespaceSelector.matchLabels", labels.clone(), MUTATING, &selector("matchLabels")),
        row(
            "webhooks.namespaceSelector.matchExpressions",
            json!([{"key": "a", "operator": "Exists"}]),
            MUTATING,
            &selector("matchExpressions/2"),
            json!({"key": "a", "operator": "Exists"}),
        ),
        same(
            "webhooks.objectSelector",
            json!({"matchLabels": {"team": "data"}}),
            MUTATING,
            "/webhooks/2/objectSelector",
        ),
        row(
            "webhooks.matchConditions",
            json!([{"name": "n", "expression": "true"}]),
            VALIDATING,
            "/webhooks/1/matchConditions/1",
            json!({"name": "n", "expression": "true"}),
        ),
        same("webhooks.annotations", json!({"a": "b"}), MUTATING, "/metadata/annotations"),
        row(
            "policy",
            json!({"mode": "observe"}),
            "ConfigMap/spark-admission-policy",
            "/data/policy.yaml",
            json!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nmode: observe\n"),
        ),
        row(
            "policy",
            json!({"mode": "observe"}),
            "Pod/spark-admission-probe",
            "/spec/containers/0/args/2",
            json!("--observes"),
        ),
        row(
            "policy",
            json!({"excludedNamespaces": ["a", "b-*"]}),
            MUTATING,
            &selector("matchExpressions/0/values"),
            json!(["a", "spark-admission"]),
        ),
        row(
            "policy",
            json!({"flaggedNodes": {"labelFlaggedNodes": true}}),
            "ClusterRole/spark-admission-label-flagged-nodes",
            "/rules/0/verbs",
            json!(["patch"]),
        ),
        row(
            "policy",
            json!({"flaggedNodes": {"eventNamespaces": ["monitoring"]}}),
            "Role/spark-admission",
            "/metadata/namespace",
            json!("monitoring"),
        ),
        argument("logLevel", json!("debug"), 11, "--log-level=debug"),
        argument("logFormat", json!("text"), 10, "--log-format=text"),
        argument("syncTimeoutSeconds", json!(60), 7, "--sync-timeout=60s"),
        argument("drainDelaySeconds", json!(5), 8, "--drain-delay=5s"),
        argument("drainTimeoutSeconds", json!(5), 9, "--drain-timeout=5s"),
        same("terminationGracePeriodSeconds", json!(60), DEPLOYMENT, &pod("terminationGracePeriodSeconds")),
        row(
            "metrics.monitor.enabled",
            json!(true),
            "PodMonitor/spark-admission",
            "/spec/podMetricsEndpoints/0/port",
            json!("admin"),
        ),
        row(
            "metrics.monitor.kind",
            json!("ServiceMonitor"),
            "ServiceMonitor/spark-admission",
            "/spec/endpoints/0/port",
            json!("admin"),
        )
        .with("metrics.monitor.enabled=true"),
        same(
            "metrics.monitor.interval",
            json!("10s"),
            "PodMonitor/spark-admission",
            "/spec/podMetricsEndpoints/0/interval",
        )
        .with("metrics.monitor.enabled=true"),
        same("metrics.monitor.labels.team", json!("data"), "PodMonitor/spark-admission", "/metadata/labels/team")
            .with("metrics.monitor.enabled=true"),
        row(
            "metrics.rules.enabled",
            json!(true),
            "PrometheusRule/spark-admission",
            "/spec/groups/0/name",
            json!("spark-admission"),
        ),
        same("metrics.rules.labels.team", json!("data"), "PrometheusRule/spark-admission", "/metadata/labels/team")
            .with("metrics.rules.enabled=true"),
        row(
            "metrics.rules.extra",
            json!([{"alert": "Mine", "expr": "1"}]),
            "PrometheusRule/spark-admission",
            "/spec/groups/0/rules/10",
            json!({"alert": "Mine", "expr": "1"}),
        )
        .with("metrics.rules.enabled=true"),
        row(
            "metrics.dashboard.enabled",
            json!(true),
            "ConfigMap/spark-admission-dashboard",
            "/metadata/labels/grafana_dashboard",
            json!("1"),
        ),
        same(
            "metrics.dashboard.namespace",
            json!("monitoring"),
            "ConfigMap/spark-admission-dashboard",
            "/metadata/namespace",
        )
        .with("metrics.dashboard.enabled=true"),
        same(
            "metrics.dashboard.labels.grafana_dashboard",
            json!("yes"),
            "ConfigMap/spark-admission-dashboard",
            "/metadata/labels/grafana_dashboard",
        )
        .with("metrics.dashboard.enabled=true"),
        row(
            "networkPolicy.enabled",
            json!(true),
            "NetworkPolicy/spark-admission",
            "/spec/policyTypes",
            json!(["Ingress", "Egress"]),
        ),
        same("networkPolicy.reviewsFrom", peers.clone(), "NetworkPolicy/spark-admission", "/spec/ingress/0/from")
            .with("networkPolicy.enabled=true"),
        same("networkPolicy.metricsFrom", peers.clone(), "NetworkPolicy/spark-admission", "/spec/ingress/1/from")
            .with("networkPolicy.enabled=true"),
        same("networkPolicy.apiServerTo", peers, "NetworkPolicy/spark-admission", "/spec/egress/0/to")
            .with("networkPolicy.enabled=true"),
        row("cleanup.enabled", json!(false), "Job/spark-admission-cleanup", "", Value::Null),
        row(
            "test.namespace",
            json!("team-a"),
            "Pod/spark-admission-probe",
            "/spec/containers/0/args/1",
            json!("--namespace=team-a"),
        ),
        same("test.namespace", json!("team-a"), "Role/spark-admission-probe", "/metadata/namespace"),
    ]
}

#[test]
fn every_value_changes_what_it_says() {
    needs_helm!();
    let wrong = wrong(&table(), rendered);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_value_has_a_row() {
    let silent = silent(&table(), &documented::values(&chart()));
    assert!(silent.is_empty(), "nothing shows what these do: {silent:?}");
}
