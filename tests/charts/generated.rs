//! What is made from the chart: install.yaml, the base of kustomize, rights on their own, the dashboard, the tables of values, the
//! platform's lock, the policy's part of the schema. With `UPDATE_MANIFESTS=1` they are written, else compared.

use std::fs;

use serde_json::Value;
use sha2::{Digest, Sha256};
use spark_admission::policy::configuration::schema;

use crate::{
    built::platform,
    documented,
    helm::{RELEASE, chart, root, template},
    needs_helm,
};

const HEADER: &str = "# Made from manifests/helm/spark-admission by `make manifests`: change it there.\n";
const NAMESPACE: &str = "\
apiVersion: v1
kind: Namespace
metadata:
  name: spark-admission
  labels:
    app.kubernetes.io/name: spark-admission
    pod-security.kubernetes.io/enforce: restricted
---
";

/// Writes a file, or compares it.
#[track_caller]
fn is(file: &str, wanted: &str) {
    let path = root().join(file);
    if std::env::var_os("UPDATE_MANIFESTS").is_some_and(|value| !value.is_empty()) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, wanted).unwrap();
        return;
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    assert!(
        found == wanted,
        "{file} is not what the chart makes of it: run `make manifests`. First difference: {differs:?}"
    );
}

fn rendered(arguments: &[&str]) -> String {
    let text = template(RELEASE, arguments).unwrap();
    text.trim_start_matches("---\n").to_owned()
}

#[test]
fn install_yaml_and_the_base_of_kustomize() {
    needs_helm!();
    let everything = rendered(&["--no-hooks"]);
    let about = "# spark-admission with certificates of its own making, in the namespace spark-admission: kubectl apply -f install.yaml\n";
    is("manifests/install.yaml", &format!("{HEADER}{about}{NAMESPACE}{everything}"));
    is("manifests/kustomize/base/spark-admission.yaml", &format!("{HEADER}{NAMESPACE}{everything}"));
}

#[test]
fn the_certificate_of_kustomize() {
    needs_helm!();
    let flags = ["--set", "certificates.mode=certManager", "--show-only", "templates/certificate.yaml"];
    is("manifests/kustomize/overlays/cert-manager/certificate.yaml", &format!("{HEADER}{}", rendered(&flags)));
}

/// For a server that runs outside of the cluster, and for who runs it without the chart.
#[test]
fn rights_on_their_own() {
    needs_helm!();
    is("manifests/rbac.yaml", &format!("{HEADER}{}", rendered(&["--show-only", "templates/rbac.yaml"])));
    let own = rendered(&["--show-only", "templates/rbac-self-managed.yaml"]);
    is("manifests/rbac-self-managed.yaml", &format!("{HEADER}{own}"));
    let label = ["--set", "policy.flaggedNodes.labelFlaggedNodes=true"];
    let label = [&label[..], &["--show-only", "templates/rbac-label-flagged-nodes.yaml"]].concat();
    is("manifests/rbac-label-flagged-nodes.yaml", &format!("{HEADER}{}", rendered(&label)));
}

/// For a Grafana that has no sidecar.
#[test]
fn the_dashboard_on_its_own() {
    let dashboard = fs::read_to_string(chart().join("dashboards/spark-admission.json")).unwrap();
    is("manifests/dashboards/spark-admission.json", &dashboard);
}

#[test]
fn the_table_of_values_in_each_readme() {
    for chart in ["manifests/helm/spark-admission", "manifests/helm/spark"] {
        let file = format!("{chart}/README.md");
        let page = fs::read_to_string(root().join(&file)).unwrap();
        let (before, rest) = page.split_once("\n| value | default | |\n").unwrap();
        let after = rest.split_once("\n\n").map_or(String::new(), |(_, after)| format!("\n{after}"));
        is(&file, &format!("{before}\n{}{after}", documented::table(&root().join(chart))));
    }
}

/// `helm dependency build` takes the platform's chart only with a lock that fits: that writes it where nobody reaches the operator's
/// repository. The digest is that of Helm 3 (internal/resolver, `HashReq`).
#[test]
fn the_lock_of_the_platform() {
    let text = fs::read_to_string(platform().join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    let fields = |dependency: &Value, names: &[&str]| {
        let named = names.iter().filter(|name| !dependency[name].is_null());
        format!("{{{}}}", named.map(|name| format!("\"{name}\":{}", dependency[name])).collect::<Vec<_>>().join(","))
    };
    let list = |names: &[&str]| {
        let all = chart["dependencies"].as_array().unwrap().iter().map(|it| fields(it, names));
        all.collect::<Vec<_>>().join(",")
    };
    let locked = ["name", "version", "repository"];
    let hashed = format!("[[{}],[{}]]", list(&[&locked[..], &["condition"]].concat()), list(&locked));
    let digest = hex(&Sha256::digest(hashed));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let lines = chart["dependencies"].as_array().unwrap().iter().map(|it| {
        let [name, version, repository] = locked.map(|field| text(&it[field]));
        format!("- name: {name}\n  repository: {repository}\n  version: {version}\n")
    });
    let wanted = format!(
        "dependencies:\n{}digest: sha256:{digest}\ngenerated: \"2026-11-30T00:00:00Z\"\n",
        lines.collect::<String>()
    );
    is("manifests/helm/spark/Chart.lock", &wanted);
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// A bad policy is refused before anything is installed, as far as a schema can tell.
#[test]
fn the_policy_in_the_schema_of_values() {
    let file = "manifests/helm/spark-admission/values.schema.json";
    let mut values: Value = serde_json::from_str(&fs::read_to_string(root().join(file)).unwrap()).unwrap();
    let mut policy = schema().clone();
    let own = policy.as_object_mut().unwrap();
    for of_a_file in ["$schema", "title", "required"] {
        own.remove(of_a_file).unwrap();
    }
    for of_a_file in ["apiVersion", "kind"] {
        own["properties"].as_object_mut().unwrap().remove(of_a_file).unwrap();
    }
    values["properties"]["policy"] = policy;
    is(file, &(serde_json::to_string_pretty(&values).unwrap() + "\n"));
}
