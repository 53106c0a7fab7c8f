//! The platform's chart: the operator, the webhook, and what users' drivers run as.

use std::fs;

use serde_json::{Value, json};

use crate::{
    built::{Built, platform},
    documented,
    helm::{chart, find},
    needs_helm,
    refused::refused,
    rows::{Row, row, same, silent, wrong},
    support::process::spark_admission,
};

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind && object["metadata"]["name"] == name).collect()
}

/// The namespaces in which something of this name is made.
fn namespaces<'a>(objects: &'a [Value], kind: &str, name: &str) -> Vec<&'a str> {
    named(objects, kind, name).iter().map(|object| object["metadata"]["namespace"].as_str().unwrap()).collect()
}

#[test]
fn users_drivers_may_do_what_drivers_do_and_only_there() {
    needs_helm!();
    let objects = Built::new().rendered(&[]);
    assert_eq!(namespaces(&objects, "ServiceAccount", "spark-driver"), ["jupyterhub-users"]);
    let role = named(&objects, "Role", "spark-driver-role");
    let expected = json!([
        {
            "apiGroups": [""],
            "resources": ["pods", "services", "configmaps", "persistentvolumeclaims", "events"],
            "verbs": ["create", "get", "list", "watch", "delete", "deletecollection"]
        },
        {"apiGroups": [""], "resources": ["services", "configmaps", "persistentvolumeclaims"], "verbs": ["patch"]}
    ]);
    assert_eq!(role[0]["rules"], expected);
    let binding = named(&objects, "RoleBinding", "spark-driver-binding");
    assert_eq!(binding[0]["roleRef"]["name"], "spark-driver-role");
    assert_eq!(
        binding[0]["subjects"],
        json!([{"kind": "ServiceAccount", "name": "spark-driver", "namespace": "jupyterhub-users"}])
    );
    // The operator's own account and role would stand beside them.
    assert!(named(&objects, "ServiceAccount", "spark-operator-spark").is_empty());
}

#[test]
fn who_gets_an_account_follows_the_namespaces() {
    needs_helm!();
    let built = Built::new();
    for (case, arguments, accounts, made) in [
        ("as it comes", vec![], vec!["jupyterhub-users"], vec!["jupyterhub-users"]),
        ("others", vec!["--set=spark-operator.spark.jobNamespaces={a,b}"], vec!["a", "b"], vec!["a", "b"]),
        (
            "some of them",
            vec!["--set=spark-operator.spark.jobNamespaces={a,b}", "--set=userNamespaces={b}"],
            vec!["b"],
            vec!["a", "b"],
        ),
        ("all, and none is named", vec!["--set-json=spark-operator.spark.jobNamespaces=[\"\"]"], vec![], vec![]),
        (
            "all, and some are named",
            vec!["--set-json=spark-operator.spark.jobNamespaces=[\"\"]", "--set=userNamespaces={c}"],
            vec!["c"],
            vec!["c"],
        ),
        ("none is to be made", vec!["--set=createNamespaces=false"], vec!["jupyterhub-users"], vec![]),
        (
            "the release's own is there",
            vec!["--set=spark-operator.spark.jobNamespaces={operators}"],
            vec!["operators"],
            vec![],
        ),
    ] {
        let objects = built.rendered(&arguments);
        let found: Vec<_> = objects.iter().filter(|object| object["kind"] == "Namespace").collect();
        let found: Vec<_> = found.iter().map(|object| object["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(namespaces(&objects, "ServiceAccount", "spark-driver"), accounts, "{case}");
        assert_eq!(found, made, "{case}");
        let is_kept = |name: &&str| {
            named(&objects, "Namespace", name)[0]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        };
        assert!(found.iter().all(is_kept), "{case}");
    }
}

#[test]
fn the_operator_has_its_sidecar_and_the_webhook_its_policy() {
    needs_helm!();
    let objects = Built::new().rendered(&[]);
    let containers = objects.iter().map(|object| &object["spec"]["template"]["spec"]["containers"]);
    let containers = containers.into_iter().find(|all| all[0]["name"] == "spark-operator-controller").unwrap();
    assert_eq!(containers[1]["name"], "ivy-clean");
    assert_eq!(containers[1]["securityContext"]["runAsUser"], 185);
    let text = serde_json::to_string(&objects).unwrap();
    assert!(text.contains("submission: per-application"), "the webhook's policy");
    let charts = [platform(), chart()].map(|chart| fs::read_to_string(chart.join("Chart.yaml")).unwrap());
    let [platform, webhook]: [Value; 2] = charts.map(|text| serde_saphyr::from_str(&text).unwrap());
    let tag = format!(":{}", platform["version"].as_str().unwrap());
    assert!(containers[1]["image"].as_str().unwrap().ends_with(&tag), "the sidecar is of this chart's version");
    assert_eq!(platform["version"], webhook["version"]);
    assert_eq!(platform["dependencies"][1]["version"], webhook["version"]);
}

#[test]
fn the_examples_are_taken_and_nothing_is_found_in_them() {
    for entry in fs::read_dir(platform().join("examples")).unwrap() {
        let file = entry.unwrap().path().display().to_string();
        let output = spark_admission(&["review", "-o", "json", &file]).output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        let reviewed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(reviewed[0]["findings"], json!([]), "{file}");
    }
}

const CONTROLLER: &str = "Deployment/spark-operator-controller";

fn table() -> Vec<Row> {
    let cloud = json!({"iam.gke.io/gcp-service-account": "spark@example.iam.gserviceaccount.com"});
    let rule = json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]);
    let pod = |field: &str| format!("/spec/template/spec/{field}");
    let more = json!([{"name": "tmp", "emptyDir": {}}, {"name": "jars", "emptyDir": {}}]);
    let policy = |submission: &str, level: &str| {
        format!(
            "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nchecks:\n  namespace-not-watched:\n    level: {level}\n\
             mutations:\n  ivy-dir:\n    submission: {submission}\n"
        )
    };
    vec![
        row("createNamespaces", json!(false), "Namespace/jupyterhub-users", "", Value::Null),
        row("userNamespaces", json!(["b"]), "ServiceAccount/spark-driver", "/metadata/namespace", json!("b"))
            .with(r#"spark-operator.spark.jobNamespaces=[""]"#),
        same("serviceAccount.annotations", cloud, "ServiceAccount/spark-driver", "/metadata/annotations"),
        row("extraRules", rule.clone(), "Role/spark-driver-role", "/rules/2", rule[0].clone()),
        row(
            "spark-operator.fullnameOverride",
            json!("so"),
            "Deployment/so-controller",
            "/metadata/name",
            json!("so-controller"),
        ),
        row("spark-admission.fullnameOverride", json!("sa"), "Deployment/sa", "/metadata/name", json!("sa")),
        row(
            "spark-operator.spark.jobNamespaces",
            json!(["a", "b"]),
            CONTROLLER,
            &pod("containers/0/args/4"),
            json!("--namespaces=a,b"),
        ),
        row("spark-operator.spark.jobNamespaces", json!(["a"]), "Namespace/a", "/metadata/name", json!("a")),
        row(
            "spark-operator.spark.jobNamespaces",
            json!(["a"]),
            "RoleBinding/spark-driver-binding",
            "/subjects/0/namespace",
            json!("a"),
        ),
        row(
            "spark-operator.spark.serviceAccount.create",
            json!(true),
            "ServiceAccount/another",
            "/metadata/namespace",
            json!("jupyterhub-users"),
        )
        .with("spark-operator.spark.serviceAccount.name=another"),
        row(
            "spark-operator.spark.serviceAccount.name",
            json!("another"),
            "RoleBinding/another",
            "/subjects/0/name",
            json!("another"),
        )
        .with("spark-operator.spark.rbac.create=true"),
        row(
            "spark-operator.spark.rbac.create",
            json!(true),
            "Role/spark-driver",
            "/metadata/namespace",
            json!("jupyterhub-users"),
        ),
        same("spark-operator.controller.volumes", more, CONTROLLER, &pod("volumes")),
        row("spark-operator.controller.sidecars", json!([]), CONTROLLER, &pod("containers/1"), Value::Null),
        row("spark-admission.enabled", json!(false), "Deployment/spark-admission", "", Value::Null),
        row(
            "spark-admission.policy.mutations.ivy-dir.submission",
            json!("shared"),
            "ConfigMap/spark-admission-policy",
            "/data/policy.yaml",
            json!(policy("shared", "deny")),
        ),
        row(
            "spark-admission.policy.checks.namespace-not-watched.level",
            json!("warn"),
            "ConfigMap/spark-admission-policy",
            "/data/policy.yaml",
            json!(policy("per-application", "warn")),
        ),
    ]
}

#[test]
fn every_value_changes_what_it_says() {
    needs_helm!();
    let built = Built::new();
    let wrong = wrong(&table(), |flags| built.rendered(flags));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_value_has_a_row() {
    let silent = silent(&table(), &documented::values(&platform()));
    assert!(silent.is_empty(), "nothing shows what these do: {silent:?}");
}

/// What the operator makes by itself goes with the release, since the release has it.
#[test]
fn what_the_operator_makes_itself_is_made_before() {
    needs_helm!();
    let built = Built::new();
    let objects = built.rendered(&[]);
    let all = [
        "Secret/spark-operator-webhook-certs",
        "Lease/spark-operator-controller-lock",
        "Lease/spark-operator-webhook-lock",
    ];
    for made in all {
        let object = find(&objects, made).unwrap_or_else(|| panic!("no {made}"));
        assert_eq!(object["metadata"]["namespace"], "operators", "{made}");
        assert!(object["data"].is_null() && object["spec"].is_null(), "{made} is the operator's to fill");
    }
    let arguments = serde_json::to_string(&objects).unwrap();
    for name in ["spark-operator-webhook-certs", "spark-operator-controller-lock", "spark-operator-webhook-lock"] {
        assert!(arguments.contains(&format!("={name}\"")), "the operator is not told of {name}");
    }
    for (case, arguments, left) in [
        ("without its webhook", "spark-operator.webhook.enable=false", vec![all[1]]),
        (
            "with one replica that asks nobody",
            "spark-operator.controller.leaderElection.enable=false",
            vec![all[0], all[2]],
        ),
        ("with a webhook that asks nobody", "spark-operator.webhook.leaderElection.enable=false", vec![all[0], all[1]]),
    ] {
        let objects = built.rendered(&["--set", arguments]);
        let found: Vec<_> = all.into_iter().filter(|name| find(&objects, name).is_some()).collect();
        assert_eq!(found, left, "{case}");
    }
}

#[test]
fn helm_finds_nothing_wrong_with_it_and_renders_the_same_bytes_twice() {
    needs_helm!();
    let built = Built::new();
    for values in [
        &[][..],
        &["--set=spark-operator.spark.jobNamespaces={a,b}", "--set=userNamespaces={b}"],
        &["--set-json=spark-operator.spark.jobNamespaces=[\"\"]"],
        &["--set=spark-admission.enabled=false"],
    ] {
        built.lint(values).unwrap_or_else(|error| panic!("{values:?}: {error}"));
        assert_eq!(built.template(values), built.template(values), "{values:?}");
    }
}

#[test]
fn what_is_watched_when_nobody_is_named_is_said_with_what_to_do() {
    needs_helm!();
    let built = Built::new();
    let all = "--set-json=spark-operator.spark.jobNamespaces=[\"\"]";
    let notes = built.notes(&[all]);
    assert!(
        notes.contains("The operator watches every namespace, so it is not known which ones are users'"),
        "{notes}"
    );
    assert!(notes.contains("--set 'userNamespaces={team-a,team-b}'"), "{notes}");
    let notes = built.notes(&[all, "--set=userNamespaces={team-a,team-b}"]);
    assert!(notes.contains("Spark is ready to be used in team-a, team-b.") && !notes.contains("not known"), "{notes}");
}

#[test]
fn bad_values() {
    needs_helm!();
    let built = Built::new();
    for (case, flag, says) in [
        ("a value that there is not", "--set=jobNamespaces={a}", "additional properties 'jobNamespaces' not allowed"),
        (
            "one namespace, and no list",
            "--set=spark-operator.spark.jobNamespaces=team-a",
            "at '/spark-operator/spark/jobNamespaces': got string, want null or array",
        ),
        (
            "a name that no namespace can have",
            "--set=userNamespaces={Team_A}",
            "at '/userNamespaces/0': 'Team_A' does not match pattern",
        ),
        ("a word for a switch", "--set=createNamespaces=maybe", "at '/createNamespaces': got string, want boolean"),
        (
            "a rule without verbs",
            r#"--set-json=extraRules=[{"apiGroups": [""], "resources": ["secrets"]}]"#,
            "at '/extraRules/0': missing property 'verbs'",
        ),
        (
            "a number for an annotation",
            r#"--set-json=serviceAccount.annotations={"team": 1}"#,
            "at '/serviceAccount/annotations/team': got number, want string",
        ),
        (
            "a field that the webhook's policy has not",
            "--set=spark-admission.policy.mutations.ivy-dir.submission=per-app",
            "at '/policy/mutations/ivy-dir/submission': value must be one of",
        ),
        (
            "users where nobody watches",
            "--set=userNamespaces={elsewhere}",
            "userNamespaces names elsewhere, which the operator does not watch: add it to spark-operator.spark.jobNamespaces",
        ),
        (
            "volumes without the one that is needed",
            r#"--set-json=spark-operator.controller.volumes=[{"name": "jars", "emptyDir": {}}]"#,
            "spark-operator.controller.sidecars: ivy-clean mounts the volume tmp, which spark-operator.controller.volumes does not have",
        ),
    ] {
        refused(case, &built.template(&[flag]), says);
    }
}
