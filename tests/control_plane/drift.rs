//! No drift: whoever submits the same manifest again changes nothing, whichever tool does it; and what such a tool shows as a
//! difference.
//!
//! Client-side `kubectl apply` and Argo CD compare three ways: the manifest that was applied last, the one to apply, and what stands
//! there. Of Kubeflow's resources they make a JSON merge patch, as `CreateThreeWayJSONMergePatch` of k8s.io/apimachinery does it.

use serde_json::{Map, Value, json};

use crate::{
    cluster::{Namespace, Registered},
    resources::{is_kubeflows, manifests},
    support::eventually,
};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manifests that a user can submit again: those of a name.
fn named(wanted: impl Fn(&Value) -> bool) -> Vec<(String, Value)> {
    let all = manifests().into_iter().filter(|(_, object)| object["metadata"]["name"].is_string() && wanted(object));
    all.collect()
}

#[tokio::test]
async fn a_resource_that_kubectl_applies_again_stays_as_it_is() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    for (case, manifest) in named(is_kubeflows) {
        let submitted = with_last_applied(&here.here(&manifest));
        let first = here.create(&submitted).await.object();
        let patch = three_way(&submitted, &first);
        assert!(patch.as_object().unwrap().keys().all(|field| field == "spec"), "{case}: {patch}");
        for (how, query) in [("a dry run", "dryRun=All"), ("apply", ""), ("apply once more", "")] {
            let again = here.patch(&manifest, "merge-patch+json", query, &patch).await.object();
            assert_same(&format!("{case}, {how}"), &again, &first);
        }
        assert_same(&case, &here.get(&manifest).await, &first);
    }
}

#[tokio::test]
async fn a_resource_that_is_applied_server_side_again_stays_as_it_is() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    for (case, manifest) in named(is_kubeflows) {
        let applied = here.here(&manifest);
        let first = here.patch(&manifest, "apply-patch+yaml", "fieldManager=flux", &applied).await.object();
        for (how, query) in [
            // As Flux and Argo CD look for differences.
            ("a dry run", "fieldManager=flux&force=true&dryRun=All"),
            ("apply", "fieldManager=flux"),
            ("apply by force", "fieldManager=flux&force=true"),
        ] {
            let again = here.patch(&manifest, "apply-patch+yaml", query, &applied).await.object();
            assert_same(&format!("{case}, {how}"), &again, &first);
        }
        assert_same(&case, &here.get(&manifest).await, &first);
    }
}

#[tokio::test]
async fn a_resource_that_is_replaced_or_edited_keeps_its_spec() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    for (case, manifest) in named(is_kubeflows) {
        let first = here.create(&manifest).await.object();
        let label = |value: Value| json!({"metadata": {"labels": {"edited": value}}});
        for (how, again) in [
            ("kubectl replace, of the manifest", here.replace(&manifest).await),
            ("kubectl replace, of what stands there", here.replace(&first).await),
            ("kubectl edit, a label", here.merge(&manifest, &label("yes".into())).await),
            ("kubectl edit, the label put back", here.merge(&manifest, &label(Value::Null)).await),
            (
                "a patch that sets the manifest's spec, lists as a whole",
                here.merge(&manifest, &json!({"spec": manifest["spec"]})).await,
            ),
        ] {
            let again = again.object();
            assert_eq!(again["spec"], first["spec"], "{case}, {how}");
            assert_eq!(again["metadata"]["generation"], first["metadata"]["generation"], "{case}, {how}");
            assert_eq!(again["metadata"]["annotations"], first["metadata"]["annotations"], "{case}, {how}");
        }
    }
}

/// The manifests in which the author's own words are changed, and not only completed, and where: what docs/operations.md says of them.
const CHANGED: [(&str, &[&str]); 4] = [
    ("application-connect-plugin.yaml plugin-deps", &["spec.deps.packages"]),
    (
        "application-memory.yaml memory",
        &["spec.volumes", "spec.driver.sidecars", "spec.driver.template.spec.containers"],
    ),
    ("connect-3.5.7.yaml connect-357", &["spec.sparkConf.spark.jars.packages", "spec.server.template.spec.containers"]),
    ("connect-versions-disagree.yaml connect-disagree", &["spec.executor.template.spec.containers"]),
];

fn changed(case: &str) -> &'static [&'static str] {
    CHANGED.iter().find(|(changed, _)| *changed == case).map_or(&[], |(_, paths)| paths)
}

#[tokio::test]
async fn what_was_added_is_no_difference_to_a_gitops_tool_and_what_was_changed_is_one() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    for (case, manifest) in named(is_kubeflows) {
        let submitted = with_last_applied(&here.here(&manifest));
        let live = here.create(&submitted).await.object();
        assert_eq!(spec_paths(&three_way(&submitted, &live)), changed(&case), "{case}");
    }
}

#[tokio::test]
async fn what_was_added_stays_when_the_webhook_is_gone_and_what_was_changed_goes_back() {
    let (by_kubectl, server_side) = (Namespace::new().await, Namespace::new().await);
    let mut webhook = Registered::real(&by_kubectl).await;
    let _other = Registered::real(&server_side).await;
    let all = named(is_kubeflows);
    let mut firsts = Vec::new();
    for (_, manifest) in &all {
        let submitted = with_last_applied(&by_kubectl.here(manifest));
        let first = by_kubectl.create(&submitted).await.object();
        firsts.push((first["metadata"]["generation"].clone(), three_way(&submitted, &first)));
        server_side.apply(manifest).await.object();
    }
    webhook.stop();
    for ((case, manifest), (_, patch)) in all.iter().zip(&firsts) {
        let answer = by_kubectl.merge(manifest, patch).await;
        assert_eq!(answer.is_success(), changed(case).is_empty(), "{case}, while it is down: {}", answer.message());
    }
    for namespace in [&by_kubectl, &server_side] {
        uninstall(namespace).await;
    }
    for ((case, manifest), (generation, patch)) in all.iter().zip(&firsts) {
        for (how, again) in [
            ("kubectl apply", by_kubectl.merge(manifest, patch).await),
            ("server-side", server_side.apply(manifest).await),
        ] {
            let stays = again.object()["metadata"]["generation"] == *generation;
            assert_eq!(stays, changed(case).is_empty(), "{case}, {how}");
        }
    }
}

/// Takes the registration away, and waits until the API server asks nobody.
async fn uninstall(namespace: &Namespace) {
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let path = format!("/apis/admissionregistration.k8s.io/v1/{kind}/spark-admission-{}", namespace.name);
        namespace.send("DELETE", &path, &Value::Null).await.object();
    }
    let driver = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe", "labels": {"spark-role": "driver"}},
        "spec": {"containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9"}]}
    });
    eventually("the API server asks nobody", async || {
        let answer = namespace.create_dry(&driver).await;
        answer.is_success() && answer.body["metadata"]["annotations"].is_null()
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_is_applied_again_stays_as_it_is_unless_what_it_says_was_changed() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    for (case, manifest) in named(|object| object["kind"] == "Pod") {
        let mut manifest = here.here(&manifest);
        // The scheduler, which other tests start, would write to its status.
        manifest["spec"]["schedulerName"] = "nobody".into();
        let submitted = with_last_applied(&manifest);
        let first = here.create(&submitted).await.object();
        // The whole manifest: kubectl sends the part of it that differs, merged by the same rules.
        let again = here.patch(&manifest, "strategic-merge-patch+json", "", &submitted).await;
        match case.as_str() {
            // A limit of `2048m`, and options for Java to which one was added: a pod's spec cannot be changed back.
            "notebook.yaml jupyter-ada" | "pods.yaml sidecar-driver" => {
                assert_eq!(again.status, 422, "{case}");
                assert!(again.message().contains("pod updates may not change fields"), "{case}: {}", again.message());
            }
            _ => assert_same(&case, &again.object(), &first),
        }
    }
}

/// Nothing is written: not even the version is another, so whoever watches it sees nothing.
#[track_caller]
fn assert_same(case: &str, again: &Value, first: &Value) {
    for field in ["spec", "metadata"] {
        assert_eq!(again[field], first[field], "{case}");
    }
}

/// The manifest as `kubectl apply` sends it at first: with itself in an annotation.
fn with_last_applied(manifest: &Value) -> Value {
    let mut submitted = manifest.clone();
    submitted["metadata"]["annotations"][LAST_APPLIED] = format!("{manifest}\n").into();
    submitted
}

/// The patch that `kubectl apply` sends for a manifest that was applied last and now again; `{}` is not even sent.
fn three_way(submitted: &Value, live: &Value) -> Value {
    let last_applied = live["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap();
    let last_applied: Value = serde_json::from_str(last_applied).unwrap();
    let deleted = part(&merge_patch(&last_applied, submitted), true);
    let mut patch = part(&merge_patch(live, submitted), false);
    json_patch::merge(&mut patch, &deleted);
    patch
}

/// The JSON merge patch from one object to another: lists as a whole, and null for what is not there.
fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            Some(same) if same == value => {}
            Some(other) if other.is_object() && value.is_object() => {
                patch.insert(key.clone(), merge_patch(other, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    patch.into()
}

/// The part of a merge patch that deletes, or the one that does not.
fn part(patch: &Value, deletes: bool) -> Value {
    let Value::Object(fields) = patch else { return patch.clone() };
    let mut kept = Map::new();
    for (key, value) in fields {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let inner = part(value, deletes);
                if inner != json!({}) {
                    kept.insert(key.clone(), inner);
                }
            }
            other if other.is_null() == deletes => {
                kept.insert(key.clone(), other.clone());
            }
            _ => {}
        }
    }
    kept.into()
}

/// Where a merge patch changes the spec.
fn spec_paths(patch: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), found));
            }
            _ => found.push(path.to_owned()),
        }
    }
    let mut found = Vec::new();
    if !patch["spec"].is_null() {
        walk(&patch["spec"], "spec", &mut found);
    }
    found
}
