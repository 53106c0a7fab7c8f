//! OpenShift comes and goes while the server runs: its API group is what tells.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use spark_admission::{
    cluster::{Cluster, Place, openshift},
    policy::Snapshot,
};

use crate::{
    cluster::{Namespace, probe, register},
    support::{
        eventually,
        process::{Serving, spark_admission},
        server::Setup,
    },
};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

#[tokio::test(flavor = "multi_thread")]
async fn sparks_user_is_left_to_openshift_while_it_is_one() {
    let here = Namespace::new().await;
    let server = Setup::default().start().await;
    let place = Place::Kubeconfig { file: Some(here.cluster().admin()), context: None };
    let cluster = Cluster::at(place).await.unwrap();
    let webhook = Arc::clone(&server.webhook);
    let know = move |openshift| webhook.snapshot.store(Arc::new(Snapshot { openshift, ..Snapshot::default() }));
    assert!(!openshift::is_served(&cluster).await.unwrap());
    tokio::spawn(openshift::follow(cluster, false, Duration::from_millis(50), know));
    register(&here, server.address, &server.ca.pem, |_| {}).await;
    assert_eq!(user(&here).await, 185);

    here.send("POST", DEFINITIONS, &definition()).await.object();
    eventually("no user is set", async || user(&here).await.is_null()).await;
    starts_knowing(&here);
    let name = definition()["metadata"]["name"].as_str().unwrap().to_owned();
    here.send("DELETE", &format!("{DEFINITIONS}/{name}"), &Value::Null).await.object();
    eventually("the user is set again", async || user(&here).await == 185).await;
}

/// The real binary looks before it answers its first review.
fn starts_knowing(here: &Namespace) {
    let state = tempfile::tempdir().unwrap();
    let (kubeconfig, state) = (here.cluster().admin().display().to_string(), state.path().display().to_string());
    let serving = Serving::start(&mut spark_admission(&[
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--kubeconfig",
        &kubeconfig,
        "--state-dir",
        &state,
    ]));
    serving.log_with("openshift=true");
}

async fn user(here: &Namespace) -> Value {
    let pod = here.create_dry(&probe()).await.object();
    pod["spec"]["securityContext"]["runAsUser"].clone()
}

/// What only OpenShift serves.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "securitycontextconstraints.security.openshift.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}
        },
        "spec": {
            "group": "security.openshift.io", "scope": "Cluster",
            "names": {"plural": "securitycontextconstraints", "singular": "securitycontextconstraint", "kind": "SecurityContextConstraints"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
            }]
        }
    })
}
