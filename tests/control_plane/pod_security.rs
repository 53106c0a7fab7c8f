//! In namespaces that enforce a Pod Security Standard: what was admitted stays admitted.

use std::fs;

use serde_json::{Value, json};

use crate::{
    admitted::{Limits, assert_documented},
    agreement::Agreement,
    offline::fixtures,
};

#[tokio::test]
async fn what_a_baseline_namespace_admits_it_admits_with_the_webhook_too() {
    let admitted = admitted_as_before("baseline", |_| {}).await;
    assert!(admitted > 30, "only {admitted}");
}

#[tokio::test]
async fn what_a_restricted_namespace_admits_it_admits_with_the_webhook_too() {
    let admitted = admitted_as_before("restricted", ready_for_restricted).await;
    assert!(admitted > 30, "only {admitted}");
}

#[tokio::test]
async fn pods_as_users_make_them_are_admitted_as_before() {
    let enforced = |title, level: &str| Limits {
        labels: json!({"pod-security.kubernetes.io/enforce": level}),
        ..Limits::none(title)
    };
    assert_documented(
        "Pod Security",
        &[
            enforced("`baseline`", "baseline"),
            enforced("`restricted`", "restricted"),
            Limits { prepare: ready_for_restricted, ..enforced("`restricted`, pods made ready for it", "restricted") },
        ],
    )
    .await;
}

fn ready_for_restricted(pod: &mut Value) {
    pod["spec"]["securityContext"]["runAsNonRoot"] = true.into();
    pod["spec"]["securityContext"]["seccompProfile"] = json!({"type": "RuntimeDefault"});
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            container["securityContext"]["allowPrivilegeEscalation"] = false.into();
            container["securityContext"]["capabilities"] = json!({"drop": ["ALL"]});
        }
    }
}

/// Creates every captured pod in a namespace of that level, made ready for it; returns how many were admitted.
async fn admitted_as_before(level: &str, prepare: impl Fn(&mut Value)) -> usize {
    let agreement = Agreement::labelled(&json!({"pod-security.kubernetes.io/enforce": level})).await;
    let mut admitted = 0;
    for file in fixtures("captured/4.3.0") {
        let case = file.file_name().unwrap().to_str().unwrap();
        let mut pod: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        if pod["kind"] != "Pod" {
            continue;
        }
        prepare(&mut pod);
        let before = agreement.without(&pod).await.status;
        assert_eq!(agreement.create(case, &pod).await, before, "{case}");
        admitted += usize::from(before == 201);
    }
    admitted
}
