//! The label on flagged nodes, where the policy wants the webhook to put it there.

use std::fs;

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Namespace},
    nodes::{account, give_rights, made, serve},
    support::eventually,
};

const POLICY: &str = "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nflaggedNodes: {labelFlaggedNodes: true}\n";
const LABEL: &str = "spark-admission.io/flagged";

#[tokio::test(flavor = "multi_thread")]
async fn flagged_nodes_have_the_label_while_something_else_flags_them() {
    let here = Namespace::on(Cluster::of_my_own().await, &json!({})).await;
    let kubeconfig = account(&here).await;
    give_rights(&here, "rbac.yaml").await;
    let node = async |case| made(&here, case).await["metadata"]["name"].as_str().unwrap().to_owned();
    let (broken, sound, marked) = (node("broken").await, node("sound").await, node("marked").await);
    let path = |name: &str| format!("/api/v1/nodes/{name}");
    let label = async |name: &str| {
        here.send("GET", &path(name), &Value::Null).await.object()["metadata"]["labels"][LABEL].clone()
    };
    let condition = async |name: &str, status: &str| {
        let change = json!({"status": {"conditions": [{"type": "ReadonlyFilesystem", "status": status}]}});
        here.merge_at(&(path(name) + "/status"), &change).await.object();
    };
    here.merge_at(&path(&marked), &json!({"metadata": {"labels": {LABEL: "disk"}}})).await.object();
    for name in [&broken, &marked] {
        condition(name, "True").await;
    }

    let policy = tempfile::NamedTempFile::new().unwrap();
    fs::write(&policy, POLICY).unwrap();
    let serving = serve(here.cluster(), &kubeconfig, &["--policy", policy.path().to_str().unwrap()]);
    serving.log_with("give this account the rights of manifests/rbac-label-flagged-nodes.yaml");
    drop(serving);
    give_rights(&here, "rbac-label-flagged-nodes.yaml").await;
    let serving = serve(here.cluster(), &kubeconfig, &["--policy", policy.path().to_str().unwrap()]);
    eventually("the broken node has the label", async || label(&broken).await == "detected").await;
    assert_eq!((label(&sound).await, label(&marked).await), (Value::Null, "disk".into()));

    for name in [&broken, &marked] {
        condition(name, "False").await;
    }
    eventually("the repaired node has lost it", async || label(&broken).await.is_null()).await;
    assert_eq!(label(&marked).await, "disk", "an administrator's label stays: {}", serving.log());
}
