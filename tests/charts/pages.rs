//! The pages about the chart: their values are taken, and what they name is there. Their commands are typed in
//! `tests/control_plane/chart.rs`.

use std::fs;

use serde_json::Value;

use crate::{
    built::Built,
    helm::{called, chart, find, rendered, root},
    needs_helm,
};

/// The YAML blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    let blocks = text.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned());
    blocks.collect()
}

/// How a chart is rendered.
type Render<'r> = &'r dyn Fn(&[&str]) -> Vec<Value>;

#[test]
fn every_value_in_them_is_taken() {
    needs_helm!();
    let folder = tempfile::tempdir().unwrap();
    let platform = Built::new();
    let of_platform = |flags: &[&str]| platform.rendered(flags);
    let of_webhook = |flags: &[&str]| rendered(flags);
    let pages: [(_, _, Render<'_>); 3] = [
        ("manifests/helm/spark-admission/README.md", 1, &of_webhook),
        ("docs/install.md", 3, &of_webhook),
        ("manifests/helm/spark/README.md", 1, &of_platform),
    ];
    for (page, at_least, rendered) in pages {
        let blocks = blocks(page);
        assert!(blocks.len() >= at_least, "{page}: {} blocks", blocks.len());
        for (i, block) in blocks.iter().enumerate() {
            let file = folder.path().join(format!("{i}.yaml"));
            fs::write(&file, block).unwrap();
            let plain = rendered(&[]);
            let changed = rendered(&["--values", file.to_str().unwrap()]);
            assert_ne!(plain, changed, "{page}: this changes nothing:\n{block}");
        }
    }
}

/// A mistake in what a tool is told to ignore is seen only when certificates are taken away.
#[test]
fn what_is_to_be_ignored_is_what_the_webhook_fills_in() {
    needs_helm!();
    let objects = rendered(&[]);
    let blocks: Vec<Value> =
        blocks("docs/gitops.md").iter().map(|block| serde_saphyr::from_str(block).unwrap()).collect();
    let filled_in = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "Secret"];
    let argo = find(&blocks, "Application/spark-admission").unwrap()["spec"]["ignoreDifferences"].as_array().unwrap();
    let kinds: Vec<_> = argo.iter().map(|ignored| ignored["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, filled_in);
    for ignored in argo {
        let object =
            objects.iter().find(|it| it["kind"] == ignored["kind"] && it["metadata"]["name"] == ignored["name"]);
        let object = object.unwrap_or_else(|| panic!("there is no {ignored}"));
        let group = object["apiVersion"].as_str().unwrap().split_once('/').map_or("", |(group, _)| group);
        assert_eq!(ignored["group"].as_str().unwrap_or_default(), group, "{}", called(object));
    }
    let flux = &find(&blocks, "HelmRelease/spark-admission").unwrap()["spec"]["driftDetection"]["ignore"];
    for (ignored, kind) in flux.as_array().unwrap().iter().zip(filled_in) {
        assert_eq!(ignored["target"]["kind"], kind);
        let object = objects.iter().find(|it| it["kind"] == kind).unwrap();
        for path in ignored["paths"].as_array().unwrap() {
            let (parent, field) = path.as_str().unwrap().rsplit_once('/').unwrap();
            assert!(object.pointer(parent).is_some_and(|parent| parent[field].is_null()), "{kind}: {path}");
        }
    }
}

/// The page about alerts names those that there are, and no others.
#[test]
fn every_alert_has_its_row() {
    needs_helm!();
    let objects = rendered(&["--set", "metrics.rules.enabled=true"]);
    let rules = &find(&objects, "PrometheusRule/spark-admission").unwrap()["spec"]["groups"][0]["rules"];
    let alerts: Vec<_> =
        rules.as_array().unwrap().iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect();
    let page = fs::read_to_string(root().join("docs/install.md")).unwrap();
    let rows = page
        .split("\n| `SparkAdmission")
        .skip(1)
        .map(|row| format!("SparkAdmission{}", row.split('`').next().unwrap()));
    assert_eq!(rows.collect::<Vec<_>>(), alerts);
}

#[test]
fn the_chart_is_of_this_version() {
    let text = fs::read_to_string(chart().join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((chart["version"].as_str(), chart["appVersion"].as_str()), (Some(version), Some(version)));
}
