//! The webhooks that Spark's objects pass, ours and the operator's: registered, served, trusted, reached.
//!
//! Of a webhook that fails nobody learns but who submits: with `failurePolicy: Fail` the API server refuses what it would be asked
//! about, with `Ignore` it takes the object unchanged and says nothing.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{certificate::refused, operators};
use crate::{
    certs::{Bundle, describe},
    doctor::{
        Cure, Evidence, Finding, Level, ObjectName, Observed, Symptom,
        objects::{WebhookConfiguration, WebhookEntry},
        observed::ServedCertificate,
    },
    policy::{
        names::{ENABLED, MUTATED},
        values::timestamp,
    },
};

/// What the names of our webhooks end with, and of the operator's.
const OURS: &str = ".spark-admission.io";
const OPERATORS: &str = ".sparkoperator.k8s.io";
/// The kinds of configurations.
const KINDS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Whether a configuration is ours or the operator's.
#[must_use]
pub fn is_of_spark(configuration: &WebhookConfiguration) -> bool {
    configuration.is_ours() || configuration.webhooks.iter().any(|webhook| webhook.name.ends_with(OPERATORS))
}

impl WebhookConfiguration {
    /// The Services that its webhooks are behind.
    pub fn services(&self) -> impl Iterator<Item = ObjectName> {
        self.webhooks.iter().filter_map(WebhookEntry::service)
    }

    fn is_ours(&self) -> bool {
        self.webhooks.iter().any(|webhook| webhook.name.ends_with(OURS))
    }

    fn object(&self) -> ObjectName {
        ObjectName::global(&self.kind, &self.metadata.name)
    }

    /// Whose it is.
    fn owner(&self) -> &'static str {
        if self.is_ours() { "spark-admission" } else { "the operator" }
    }

    /// An error where objects are refused while it does not work, a warning where they come in unchanged.
    fn level(&self) -> Level {
        let refuses = self.webhooks.iter().any(|webhook| webhook.failure_policy != "Ignore");
        if refuses { Level::Error } else { Level::Warning }
    }
}

impl WebhookEntry {
    fn service(&self) -> Option<ObjectName> {
        let service = self.client_config.service.as_ref()?;
        Some(ObjectName::of("Service", &service.namespace, &service.name))
    }
}

/// The configurations that were seen.
fn configurations(observed: &Observed) -> impl Iterator<Item = &WebhookConfiguration> {
    observed.webhooks.iter().flatten()
}

/// The Secrets that webhooks serve from: of the operator's as its arguments name it, and those that pods behind Services mount.
#[must_use]
pub fn secrets(observed: &Observed) -> BTreeSet<ObjectName> {
    let of_operators =
        observed.operators.iter().flatten().filter(|it| operators::is_webhook(it)).filter_map(|deployment| {
            let value = |flag: &str| operators::arguments(deployment).into_iter().find_map(|it| it.strip_prefix(flag));
            let namespace = value("--webhook-secret-namespace=").unwrap_or(&deployment.metadata.namespace);
            Some(ObjectName::of("Secret", namespace, value("--webhook-secret-name=")?))
        });
    let mounted =
        observed.services.iter().filter_map(|(service, found)| Some((service, found.as_ref().ok()?.as_ref()?)));
    let mounted = mounted.flat_map(|(service, found)| {
        found.secrets.iter().map(|secret| ObjectName::of("Secret", &service.namespace, secret))
    });
    of_operators.chain(mounted).collect()
}

/// A namespace in which it can be tried whether webhooks answer: the one asked for, else the first with Spark's work.
#[must_use]
pub fn namespace_to_try(observed: &Observed) -> Option<String> {
    let opted_out = |namespace: &str| {
        let labels = observed.namespaces.as_ref().ok().and_then(|all| all.get(namespace));
        labels.is_some_and(|labels| labels.get(ENABLED).is_some_and(|value| value == "false"))
    };
    let of_resources = observed.resources().map(|resource| resource.metadata.namespace.as_str());
    let of_pods = observed.pods().map(|pod| pod.metadata.namespace.as_str());
    let found = observed.asked.namespace.as_deref().into_iter().chain(of_resources).chain(of_pods);
    found.into_iter().find(|namespace| !opted_out(namespace)).map(str::to_owned)
}

/// Half a registration, or none though there was one.
pub(super) fn look_at_registrations(observed: &Observed, findings: &mut Vec<Finding>) {
    if observed.webhooks.is_err() {
        return;
    }
    let mut by_name: BTreeMap<&str, Vec<&WebhookConfiguration>> = BTreeMap::new();
    for configuration in configurations(observed).filter(|it| it.is_ours()) {
        by_name.entry(&configuration.metadata.name).or_default().push(configuration);
    }
    for (name, registered) in &by_name {
        if let Some(kind) = KINDS.into_iter().find(|kind| registered.iter().all(|it| it.kind != *kind)) {
            let evidence = vec![Evidence::field(&registered[0].object(), "metadata.name", name)];
            findings.push(unregistered(ObjectName::global(kind, name), "only the other half is registered", evidence));
        }
    }
    let changed = observed.pods().find(|pod| pod.metadata.annotations.contains_key(MUTATED));
    if let (true, Some(pod)) = (by_name.is_empty(), changed) {
        let by = &pod.metadata.annotations[MUTATED];
        let evidence = vec![Evidence::field(&pod.object(), &format!("metadata.annotations[{MUTATED}]"), by)];
        let object = ObjectName::global(KINDS[0], "spark-admission");
        findings.push(unregistered(object, "the webhook changed pods here and is no longer registered", evidence));
    }
    let has_theirs = configurations(observed).any(|it| !it.is_ours());
    let deployment = observed.operators.iter().flatten().find(|it| operators::is_webhook(it));
    if let (false, Some(deployment)) = (has_theirs, deployment) {
        let object = deployment.metadata.object("Deployment");
        findings.push(Finding {
            symptom: Symptom::WebhookMissing,
            level: Level::Warning,
            problem: "the operator's webhook runs and is not registered: volumes, affinity and the like of driver and executor are left out".to_owned(),
            evidence: vec![Evidence::field(&object, "--mutating-webhook-name", "no configuration of the operator's webhooks is registered")],
            cure: Cure::of("Have the chart register it again:", operators::upgrade(deployment, "")),
            object,
        });
    }
}

fn unregistered(object: ObjectName, why: &str, evidence: Vec<Evidence>) -> Finding {
    Finding {
        symptom: Symptom::WebhookMissing,
        level: Level::Warning,
        problem: format!("spark-admission is not registered: {why}"),
        evidence,
        cure: Cure::of(
            "Register it as it was installed: by manifests/webhook.yaml with your CA as caBundle, or from outside of the cluster:",
            "spark-admission serve --kubeconfig ~/.kube/config --register --url https://HOST:8443",
        ),
        object,
    }
}

/// Services that are not there, or that nobody is ready behind.
pub(super) fn look_at_services(observed: &Observed, findings: &mut Vec<Finding>) {
    for (service, found) in &observed.services {
        let Ok(found) = found else { continue };
        let mut registered = configurations(observed).filter(|it| it.services().any(|name| name == *service));
        let Some(configuration) = registered.next() else { continue };
        let (problem, says) = match found {
            None => ("there is no such Service", "not found".to_owned()),
            Some(it) if it.ready == 0 => ("no pod behind it is ready", format!("0 ready, {} not ready", it.unready)),
            Some(_) => continue,
        };
        // Said already, with the reason.
        let halted = observed.operators.iter().flatten().any(|it| {
            operators::is_webhook(it) && it.metadata.namespace == service.namespace && it.status.ready_replicas == 0
        });
        if halted && !configuration.is_ours() {
            continue;
        }
        let field = if found.is_none() { "metadata.name" } else { "endpoints" };
        let evidence = vec![
            Evidence::field(&configuration.object(), "webhooks[].clientConfig.service", service),
            Evidence::field(service, field, says),
        ];
        findings.push(unreachable(configuration, service, problem, evidence));
    }
}

fn unreachable(
    configuration: &WebhookConfiguration,
    object: &ObjectName,
    problem: &str,
    evidence: Vec<Evidence>,
) -> Finding {
    let ObjectName { namespace, .. } = object;
    let name = &configuration.metadata.name;
    let (sentence, copy) = if configuration.is_ours() {
        (
            "Have the webhook run again; where that takes time, remove its registration, which leaves Spark's work as it is submitted:",
            format!(
                "kubectl delete mutatingwebhookconfiguration,validatingwebhookconfiguration {name} --ignore-not-found"
            ),
        )
    } else {
        (
            "Have the operator's webhook run again:",
            format!(
                "kubectl rollout restart deployment -n {namespace} -l app.kubernetes.io/component=webhook,app.kubernetes.io/name=spark-operator"
            ),
        )
    };
    Finding {
        symptom: Symptom::WebhookUnreachable,
        level: configuration.level(),
        problem: format!(
            "the API server cannot reach the webhook of {}: {problem}; {}",
            configuration.owner(),
            consequence(configuration)
        ),
        evidence,
        cure: Cure::of(sentence, copy),
        object: object.clone(),
    }
}

fn consequence(configuration: &WebhookConfiguration) -> &'static str {
    match configuration.level() {
        Level::Error => "it refuses what the webhook would be asked about",
        Level::Warning => "it takes Spark's work as if there were no webhook",
    }
}

/// What the API server is told to trust: nothing, what has expired, or what did not sign what is served.
pub(super) fn look_at_certificates(observed: &Observed, findings: &mut Vec<Finding>) {
    for configuration in configurations(observed) {
        let mut seen = BTreeSet::new();
        for webhook in &configuration.webhooks {
            let bundle = &webhook.client_config.ca_bundle;
            if !seen.insert((bundle, webhook.service())) {
                continue;
            }
            if let Some((problem, evidence)) = distrusted(configuration, webhook, observed) {
                findings.push(untrusted(configuration, &problem, evidence, observed));
            }
        }
    }
}

/// What is wrong with a webhook's certificate or with what is trusted, and how that is seen.
fn distrusted(
    configuration: &WebhookConfiguration,
    webhook: &WebhookEntry,
    observed: &Observed,
) -> Option<(String, Vec<Evidence>)> {
    let object = configuration.object();
    let path = format!("webhooks[{}].clientConfig.caBundle", webhook.name);
    let bundle = &webhook.client_config.ca_bundle;
    let service = webhook.service();
    if bundle.is_empty() {
        // A URL may have a certificate that everybody trusts; nobody signs one for a Service.
        let evidence = vec![Evidence::field(&object, &path, "empty")];
        return service.is_some().then(|| ("caBundle is empty, so the API server trusts nobody".to_owned(), evidence));
    }
    let trusted = Bundle::from_pem(&STANDARD.decode(bundle).unwrap_or_default());
    if trusted.certificates().is_empty() {
        let evidence = vec![Evidence::field(&object, &path, "no certificate in PEM text")];
        return Some(("caBundle holds no certificate".to_owned(), evidence));
    }
    let until = trusted.certificates().iter().filter_map(describe).map(|certificate| certificate.not_after).max();
    if let Some(until) = until.filter(|until| *until < observed.now) {
        let evidence = vec![Evidence::field(&object, &path, format!("valid until {}", date(until)))];
        return Some(("what caBundle trusts has expired".to_owned(), evidence));
    }
    let service = service?;
    let host = format!("{}.{}.svc", service.name, service.namespace);
    let (secret, served) = served_by(&service, configuration, observed)?;
    let chain = Bundle::from_pem(served.chain.as_bytes());
    let why = refused(&chain, &trusted, &host, observed.now)?;
    let leaf = chain.certificates().first().and_then(describe);
    let until = leaf.map_or_else(String::new, |leaf| format!(", valid until {}", date(leaf.not_after)));
    let evidence = vec![
        Evidence::field(secret, "data, the server's certificate", format!("{why}{until}")),
        Evidence::field(&object, &path, format!("{} certificates", trusted.certificates().len())),
    ];
    Some((format!("the certificate that is served {why}"), evidence))
}

/// The certificate that is served behind a Service, where it is known which it is.
fn served_by<'a>(
    service: &ObjectName,
    configuration: &WebhookConfiguration,
    observed: &'a Observed,
) -> Option<(&'a ObjectName, &'a ServedCertificate)> {
    let mut of_operators = Vec::new();
    for deployment in observed.operators.iter().flatten().filter(|it| operators::is_webhook(it)) {
        let arguments = operators::arguments(deployment);
        if arguments.contains(&format!("--webhook-svc-name={}", service.name).as_str()) {
            of_operators.extend(arguments.into_iter().filter_map(|it| it.strip_prefix("--webhook-secret-name=")));
        }
    }
    let mounted = observed.services.get(service).and_then(|found| found.as_ref().ok()?.as_ref());
    let is_its = |secret: &ObjectName| {
        let is_mounted = mounted.is_some_and(|service| service.secrets.contains(&secret.name));
        secret.namespace == service.namespace
            && (is_mounted || !configuration.is_ours() && of_operators.contains(&secret.name.as_str()))
    };
    let mut found = observed.certificates.iter().filter(|(secret, _)| is_its(secret));
    found.find_map(|(secret, served)| {
        Some((secret, served.as_ref().ok()?.as_ref()?)).filter(|(_, it)| !it.chain.is_empty())
    })
}

fn untrusted(
    configuration: &WebhookConfiguration,
    problem: &str,
    evidence: Vec<Evidence>,
    observed: &Observed,
) -> Finding {
    Finding {
        symptom: Symptom::WebhookCertificate,
        level: configuration.level(),
        problem: format!(
            "the API server does not trust the webhook of {}: {problem}; {}",
            configuration.owner(),
            consequence(configuration)
        ),
        evidence,
        cure: if configuration.is_ours() {
            trust_ours(configuration, observed)
        } else {
            renew_operators(configuration, observed)
        },
        object: configuration.object(),
    }
}

/// The operator makes a new CA and certificate where their Secret is gone, and registers them when it starts
/// (pkg/certificate/certificate.go of 2.4.0); cert-manager does so too.
fn renew_operators(configuration: &WebhookConfiguration, observed: &Observed) -> Cure {
    let named = observed.operators.iter().flatten().filter(|it| operators::is_webhook(it));
    let mut named = named.filter(|it| {
        it.metadata.name == configuration.metadata.name
            || configuration.services().any(|service| service.namespace == it.metadata.namespace)
    });
    let (namespace, deployment, secret) = match named.next() {
        Some(deployment) => {
            let arguments = operators::arguments(deployment);
            let secret = arguments.into_iter().find_map(|it| it.strip_prefix("--webhook-secret-name="));
            (
                deployment.metadata.namespace.as_str(),
                deployment.metadata.name.as_str(),
                secret.unwrap_or("spark-operator-webhook-certs"),
            )
        }
        None => ("spark-operator", "spark-operator-webhook", "spark-operator-webhook-certs"),
    };
    Cure::of(
        "Have the operator's webhook make a new certificate, which it registers itself:",
        format!(
            "kubectl delete secret {secret} -n {namespace}\nkubectl rollout restart deployment {deployment} -n {namespace}"
        ),
    )
}

/// Registers who signed what is served. At a URL is a server that registered itself, and does it again.
fn trust_ours(configuration: &WebhookConfiguration, observed: &Observed) -> Cure {
    let name = &configuration.metadata.name;
    let Some(service) = configuration.services().next() else {
        let url = configuration.webhooks.iter().find_map(|webhook| webhook.client_config.url.rsplit_once('/'));
        let url = url.map_or("https://HOST:8443", |(base, _)| base);
        let serve = format!("spark-admission serve --kubeconfig ~/.kube/config --webhook-configuration {name}");
        return Cure::of(
            "Take the registration away and start the server anew, which registers who signed its certificate:",
            format!("{serve} --unregister\n{serve} --register --url {url}"),
        );
    };
    let signed = served_by(&service, configuration, observed).filter(|(_, served)| {
        let host = format!("{}.{}.svc", service.name, service.namespace);
        let [chain, authority] = [&served.chain, &served.authority].map(|pem| Bundle::from_pem(pem.as_bytes()));
        !authority.certificates().is_empty() && refused(&chain, &authority, &host, observed.now).is_none()
    });
    let (sentence, ca) = match signed {
        Some((secret, _)) => (
            "Register who signed what is served:",
            format!("$(kubectl get secret {} -n {} -o jsonpath='{{.data.ca\\.crt}}')", secret.name, secret.namespace),
        ),
        None => (
            "Renew the webhook's certificate if it has expired, and register who signed it, here in the file ca.crt:",
            "$(base64 -w0 ca.crt)".to_owned(),
        ),
    };
    let places = 0..configuration.webhooks.len();
    let patch: Vec<_> = places
        .map(|place| json!({"op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": "CA"}))
        .collect();
    let patch = json!(patch).to_string().replace("\"CA\"", "\"'$CA'\"");
    let kind = configuration.kind.to_lowercase();
    Cure::of(sentence, format!("CA={ca}\nkubectl patch {kind} {name} --type=json -p '{patch}'"))
}

/// What the API server itself says: of objects that it was to take and not to keep, of a webhook that it could not call.
pub(super) fn look_at_answers(observed: &Observed, findings: &mut Vec<Finding>) {
    for (object, answer) in &observed.dry_runs {
        let Ok(Some(message)) = answer else { continue };
        let Some(failed) = webhook_of(message) else { continue };
        let evidence = Evidence::answer(object, message);
        let is_about = |finding: &&mut Finding| {
            matches!(
                finding.symptom,
                Symptom::WebhookUnreachable | Symptom::WebhookCertificate | Symptom::OperatorNotRunning
            ) && concerns(finding, failed, observed)
        };
        if let Some(known) = findings.iter_mut().find(is_about) {
            known.evidence.push(evidence);
            continue;
        }
        findings.push(failing(failed, message, evidence, observed));
    }
}

/// The webhook that could not be called: `failed calling webhook "NAME": ...` (apiserver/pkg/util/webhook/error.go).
fn webhook_of(message: &str) -> Option<&str> {
    message.split_once("failed calling webhook \"")?.1.split('"').next()
}

fn configuration_of<'a>(webhook: &str, observed: &'a Observed) -> Option<&'a WebhookConfiguration> {
    configurations(observed).find(|it| it.webhooks.iter().any(|entry| entry.name == webhook))
}

/// Whether a finding is about the configuration of a webhook, or about what is behind it.
fn concerns(finding: &Finding, webhook: &str, observed: &Observed) -> bool {
    let same = configurations(observed).filter(|it| it.webhooks.iter().any(|entry| entry.name == webhook));
    same.into_iter().any(|configuration| {
        let object = &finding.object;
        let is_behind = configuration.services().any(|service| service.namespace == object.namespace);
        *object == configuration.object() || is_behind
    })
}

fn failing(webhook: &str, message: &str, evidence: Evidence, observed: &Observed) -> Finding {
    let why = message.rsplit(": ").next().unwrap_or(message);
    let object = ObjectName::global("webhook", webhook);
    match configuration_of(webhook, observed) {
        Some(it) if message.contains("x509") || message.contains("tls:") => {
            untrusted(it, why, vec![evidence], observed)
        }
        Some(it) => {
            let object = it.services().next().unwrap_or_else(|| it.object());
            unreachable(it, &object, why, vec![evidence])
        }
        None => Finding {
            symptom: Symptom::WebhookUnreachable,
            level: Level::Error,
            problem: format!("the API server cannot call a webhook that Spark's objects pass: {why}"),
            evidence: vec![evidence],
            cure: Cure::of(
                "See which configuration has it, and repair what is behind it:",
                format!(
                    "kubectl get mutatingwebhookconfigurations,validatingwebhookconfigurations -o yaml | grep -B40 'name: {webhook}'"
                ),
            ),
            object,
        },
    }
}

fn date(seconds: i64) -> String {
    timestamp::text(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{
        Unseen,
        observed::WebhookService,
        testing::{found, observed},
    };
    use serde_json::Value;

    fn configuration(kind: &str, webhook: &str, client: &Value, policy: &str) -> Value {
        json!({
            "kind": kind, "metadata": {"name": "here"},
            "webhooks": [{"name": webhook, "clientConfig": client, "failurePolicy": policy}]
        })
    }

    fn both(client: &Value) -> Vec<Value> {
        KINDS.map(|kind| configuration(kind, "pods.spark-admission.io", client, "Fail")).to_vec()
    }

    fn behind_service() -> Value {
        json!({"service": {"namespace": "ours", "name": "webhook"}, "caBundle": ""})
    }

    #[test]
    fn knows_whose_a_configuration_is() {
        for (webhook, expected) in [
            ("pods.spark-admission.io", true),
            ("mutate--v1-pod.sparkoperator.k8s.io", true),
            ("validate.kyverno.svc", false),
        ] {
            let object = configuration(KINDS[0], webhook, &json!({}), "Fail");
            assert_eq!(is_of_spark(&serde_json::from_value(object).unwrap()), expected, "{webhook}");
        }
    }

    #[test]
    fn misses_half_a_registration() {
        let [mutating, validating] =
            KINDS.map(|kind| configuration(kind, "pods.spark-admission.io", &json!({}), "Fail"));
        let changed = json!({
            "kind": "Pod", "metadata": {"name": "d", "namespace": "a", "labels": {"spark-role": "driver"}, "annotations": {MUTATED: "ivy-cache"}}
        });
        let missing = |kind: &str, name: &str, why: &str| {
            vec![format!("warning webhook-missing {kind} {name}: spark-admission is not registered: {why}")]
        };
        for (case, objects, expected) in [
            ("both halves", vec![mutating.clone(), validating.clone()], vec![]),
            ("not installed", vec![], vec![]),
            ("half", vec![mutating], missing(KINDS[1], "here", "only the other half is registered")),
            ("the other half", vec![validating], missing(KINDS[0], "here", "only the other half is registered")),
            (
                "no longer",
                vec![changed],
                missing(KINDS[0], "spark-admission", "the webhook changed pods here and is no longer registered"),
            ),
        ] {
            assert_eq!(found(look_at_registrations, &observed(&objects)), expected, "{case}");
        }
    }

    #[test]
    fn says_who_is_not_behind_a_service() {
        let text = |level: &str, why: &str, so: &str| {
            vec![format!(
                "{level} webhook-unreachable Service ours/webhook: the API server cannot reach the webhook of spark-admission: {why}; it {so}"
            )]
        };
        let refuses = "refuses what the webhook would be asked about";
        let passes = "takes Spark's work as if there were no webhook";
        let ready = |ready| Ok(Some(WebhookService { ready, unready: 1, secrets: vec![] }));
        for (case, policy, service, expected) in [
            ("somebody is", "Fail", ready(1), vec![]),
            ("nobody is ready", "Fail", ready(0), text("error", "no pod behind it is ready", refuses)),
            (
                "nobody is ready, and it may fail",
                "Ignore",
                ready(0),
                text("warning", "no pod behind it is ready", passes),
            ),
            ("no Service", "Fail", Ok(None), text("error", "there is no such Service", refuses)),
            ("nobody knows", "Fail", Err(Unseen::default()), vec![]),
        ] {
            let object = configuration(KINDS[0], "pods.spark-admission.io", &behind_service(), policy);
            let mut observed = observed(&[object]);
            observed.services = [(ObjectName::of("Service", "ours", "webhook"), service)].into();
            assert_eq!(found(look_at_services, &observed), expected, "{case}");
        }
    }

    #[test]
    fn says_what_is_not_trusted() {
        let url = |bundle: &str| json!({"url": "https://example.com/mutate", "caBundle": bundle});
        let nonsense = STANDARD.encode("nonsense");
        for (case, client, expected) in [
            (
                "a Service and nothing trusted",
                behind_service(),
                Some("caBundle is empty, so the API server trusts nobody"),
            ),
            ("a URL that everybody trusts", url(""), None),
            ("no certificate", url(&nonsense), Some("caBundle holds no certificate")),
            ("no base64", url("???"), Some("caBundle holds no certificate")),
        ] {
            let findings = found(look_at_certificates, &observed(&both(&client)));
            assert_eq!(findings.len(), if expected.is_some() { 2 } else { 0 }, "{case}: {findings:?}");
            assert!(findings.iter().all(|finding| finding.contains(expected.unwrap())), "{case}: {findings:?}");
        }
    }

    #[test]
    fn reads_what_the_api_server_says_of_a_webhook() {
        let call = |webhook: &str, why: &str| {
            format!(
                "Internal error occurred: failed calling webhook \"{webhook}\": failed to call webhook: Post \"https://x/mutate?timeout=5s\": {why}"
            )
        };
        let ours = |why: &str| Ok(Some(call("pods.spark-admission.io", why)));
        for (case, answer, expected) in [
            ("taken", Ok(None), None),
            ("refused by somebody", Ok(Some("exceeded quota: q".to_owned())), None),
            ("not allowed", Err(Unseen::default()), None),
            ("refused", ours("dial tcp 10.0.0.1:443: connect: connection refused"), Some("error webhook-unreachable")),
            (
                "distrusted",
                ours("tls: failed to verify certificate: x509: certificate has expired"),
                Some("error webhook-certificate"),
            ),
            (
                "of somebody else",
                Ok(Some(call("validate.kyverno.svc", "EOF"))),
                Some("error webhook-unreachable webhook validate.kyverno.svc"),
            ),
        ] {
            let mut observed = observed(&both(&json!({"url": "https://x/mutate"})));
            observed.dry_runs = vec![(ObjectName::of("Pod", "a", "probe"), answer)];
            let findings = found(look_at_answers, &observed);
            assert_eq!(findings.len(), usize::from(expected.is_some()), "{case}: {findings:?}");
            assert!(findings.iter().all(|finding| finding.starts_with(expected.unwrap())), "{case}: {findings:?}");
        }
    }

    #[test]
    fn tries_where_spark_works_and_nobody_opted_out() {
        let namespace =
            |name: &str, labels: Value| json!({"kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        let application =
            |namespace: &str| json!({"kind": "SparkApplication", "metadata": {"name": "pi", "namespace": namespace}});
        let opted_out = || namespace("a", json!({ENABLED: "false"}));
        for (case, objects, expected) in [
            ("nowhere", vec![], None),
            ("where a resource is", vec![application("a")], Some("a")),
            ("not where nothing is changed", vec![opted_out(), application("a"), application("b")], Some("b")),
        ] {
            assert_eq!(namespace_to_try(&observed(&objects)).as_deref(), expected, "{case}");
        }
    }
}
