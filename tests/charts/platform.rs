//! The platform's chart: the operator, the webhook, and what users' drivers run as.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    helm::{chart, documents, program, root, said_by},
    needs_helm,
    support::process::spark_admission,
};

fn platform() -> std::path::PathBuf {
    root().join("manifests/helm/spark")
}

/// What Helm makes of it with these arguments, the operator's chart and ours being where `helm dependency build` puts them.
fn rendered(arguments: &[&str]) -> Result<Vec<Value>, String> {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("spark");
    copy_folder(&platform(), &copy);
    copy_folder(program("spark-operator-chart").unwrap(), &copy.join("charts/spark-operator"));
    copy_folder(&chart(), &copy.join("charts/spark-admission"));
    let copy = copy.display().to_string();
    let all = ["template", "spark", &copy, "--namespace", "operators", "--kube-version", "1.37.2"];
    said_by("helm", &[&all[..], arguments].concat()).map(|text| documents(&text))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let there = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &there);
        } else {
            fs::write(there, fs::read(path).unwrap()).unwrap();
        }
    }
}

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
    let objects = rendered(&[]).unwrap();
    assert_eq!(namespaces(&objects, "ServiceAccount", "spark-driver"), ["jupyterhub-users"]);
    let role = named(&objects, "Role", "spark-driver-role");
    let expected = json!([{
        "apiGroups": [""],
        "resources": ["pods", "services", "configmaps", "persistentvolumeclaims", "events"],
        "verbs": ["create", "get", "list", "watch", "delete", "deletecollection"]
    }]);
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
        let objects = rendered(&arguments).unwrap();
        let found: Vec<_> = objects.iter().filter(|object| object["kind"] == "Namespace").collect();
        let found: Vec<_> = found.iter().map(|object| object["metadata"]["name"].as_str().unwrap()).collect();
        assert_eq!(namespaces(&objects, "ServiceAccount", "spark-driver"), accounts, "{case}");
        assert_eq!(found, made, "{case}");
        let is_kept = |name: &&str| {
            named(&objects, "Namespace", name)[0]["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
        };
        assert!(found.iter().all(is_kept), "{case}");
    }
    let refused = rendered(&["--set=userNamespaces={elsewhere}"]).unwrap_err();
    let sentence = "userNamespaces names elsewhere, which the operator does not watch: add it to spark-operator.spark.jobNamespaces";
    assert!(refused.contains(sentence), "{refused}");
}

#[test]
fn the_operator_has_its_sidecar_and_the_webhook_its_policy() {
    needs_helm!();
    let objects = rendered(&[]).unwrap();
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
