//! Values that cannot work are refused in one sentence, before anything is installed.

use crate::{
    helm::{RELEASE, template},
    needs_helm,
};

#[test]
fn bad_values() {
    needs_helm!();
    for (case, flags, says) in [
        ("a value that there is not", "replicaCount=3", "additional properties 'replicaCount' not allowed"),
        ("one below another", "image.name=x", "at '/image': additional properties 'name' not allowed"),
        ("no replica", "replicas=0", "at '/replicas': minimum: got 0, want 1"),
        ("a text for a number", "port=https", "at '/port': got string, want integer"),
        ("a port that there is not", "port=70000", "at '/port': maximum: got 70,000, want 65,535"),
        (
            "another way to a certificate",
            "certificates.mode=vault",
            "at '/certificates/mode': value must be one of 'selfManaged', 'certManager', 'provided'",
        ),
        (
            "a failure policy in small letters",
            "webhooks.pods.failurePolicy=ignore",
            "at '/webhooks/pods/failurePolicy': value must be one of 'Fail', 'Ignore'",
        ),
        (
            "more patience than Kubernetes has",
            "webhooks.timeoutSeconds=60",
            "at '/webhooks/timeoutSeconds': maximum: got 60, want 30",
        ),
        (
            "a tag in the repository",
            "image.repository=example.com/spark-admission:1",
            "at '/image/repository': 'example.com/spark-admission:1' does not match pattern",
        ),
        ("half a digest", "image.digest=sha256:abc", "at '/image/digest': 'sha256:abc' does not match pattern"),
        (
            "a name that no object can have",
            "fullnameOverride=Spark_Admission",
            "at '/fullnameOverride': 'Spark_Admission' does not match pattern",
        ),
        (
            "a duration in days",
            "certificates.certManager.duration=90d",
            "at '/certificates/certManager/duration': '90d' does not match pattern",
        ),
        (
            "a CA that is none",
            "certificates.provided.caBundle=LS0tLS1",
            "at '/certificates/provided/caBundle': 'LS0tLS1' does not match pattern",
        ),
        (
            "a field that the policy has not",
            "policy.mutations.ivy-cahce.mode=off",
            "at '/policy/mutations': additional properties 'ivy-cahce' not allowed",
        ),
        (
            "a word that the policy has not",
            "policy.mode=audit",
            "at '/policy/mode': value must be one of 'enforce', 'observe'",
        ),
        ("a policy's kind", "policy.kind=Policy", "at '/policy': additional properties 'kind' not allowed"),
        (
            "a Secret that nobody named",
            "certificates.mode=provided,certificates.provided.caBundle=-----BEGIN CERTIFICATE-----",
            "certificates.provided.secretName must name a Secret with tls.crt and tls.key",
        ),
        (
            "a CA that nobody gave",
            "certificates.mode=provided,certificates.provided.secretName=mine",
            "certificates.provided.caBundle must be the PEM text of the CA",
        ),
        ("one port for both", "adminPort=8443", "port and adminPort are both 8443: they must differ"),
        (
            "a pod that is killed while it drains",
            "drainDelaySeconds=20",
            "terminationGracePeriodSeconds is 30: it must be more than drainDelaySeconds and drainTimeoutSeconds together, 35",
        ),
        (
            "a budget with two measures",
            "podDisruptionBudget.minAvailable=1",
            "podDisruptionBudget has minAvailable and maxUnavailable: set one of them to null",
        ),
    ] {
        refused(case, &template(RELEASE, &["--set", flags]), says);
    }
}

/// Values were refused, in this one sentence.
#[track_caller]
pub fn refused(case: &str, rendered: &Result<String, String>, says: &str) {
    let Err(error) = rendered else { panic!("{case}: taken") };
    assert!(error.contains(says), "{case}: {error}");
    let told = error.lines().filter(|line| line.starts_with("- at ") || line.contains("execution error"));
    assert_eq!(told.count(), 1, "{case}: one sentence: {error}");
}

#[test]
fn a_kubernetes_that_is_too_old() {
    needs_helm!();
    let error = template(RELEASE, &["--kube-version", "1.29.4"]).unwrap_err();
    assert!(error.contains("chart requires kubeVersion: >=1.30.0-0"), "{error}");
}
