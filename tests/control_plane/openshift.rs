//! OpenShift comes and goes while the server runs: its API group is what tells.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use spark_admission::{
    cluster::{Cluster, Place, Platform},
    policy::Snapshot,
};
use tokio::sync::watch;

use crate::{
    cluster::{Namespace, probe, register},
    support::{
        eventually,
        process::{Serving, spark_admission},
        server::Setup,
    },
};

pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

#[tokio::test(flavor = "multi_thread")]
async fn sparks_user_is_left_to_openshift_while_it_is_one() {
    let here = Namespace::new().await;
    let server = Setup::default().start().await;
    let place = Place::Kubeconfig { file: Some(here.cluster().admin()), context: None };
    let cluster = Cluster::at(place).await.unwrap();
    let webhook = Arc::clone(&server.webhook);
    let platform = Platform::of(&cluster).await.unwrap();
    assert!(!platform.openshift);
    let (tell, mut told) = watch::channel(platform);
    tokio::spawn(Platform::follow(cluster, Duration::from_millis(50), tell));
    tokio::spawn(async move {
        while told.changed().await.is_ok() {
            let openshift = told.borrow_and_update().openshift;
            webhook.snapshot.store(Arc::new(Snapshot { openshift, ..Snapshot::default() }));
        }
    });
    register(&here, server.address, &server.ca.pem, |_| {}).await;
    assert_eq!(user(&here).await, 185);

    here.send("POST", DEFINITIONS, &openshift()).await.object();
    eventually("no user is set", async || user(&here).await.is_null()).await;
    starts_knowing(&here);
    let name = openshift()["metadata"]["name"].as_str().unwrap().to_owned();
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
fn openshift() -> Value {
    definition("security.openshift.io", "securitycontextconstraints", "SecurityContextConstraints")
}

/// A resource that is in no namespace, of whatever content.
pub fn definition(group: &str, plural: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}
        },
        "spec": {
            "group": group, "scope": "Cluster",
            "names": {"plural": plural, "kind": kind},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}
            }]
        }
    })
}
