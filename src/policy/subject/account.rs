//! The service account that a driver, a server or executors run as, and whether it is what they come to the API server with.

use super::{Pod, Resource, ResourceKind};
use crate::policy::document::Json;
use crate::policy::field_path::{FieldPath, path};
use crate::policy::values::label::is_subdomain;

/// The account of a pod that names none (the API server's admission plugin `ServiceAccount`).
const DEFAULT: &str = "default";
/// What sets the driver's account (`DriverKubernetesCredentialsFeatureStep`).
const OF_DRIVER: &str = "spark.kubernetes.authenticate.driver.serviceAccountName";
/// What sets the executors' (`ExecutorKubernetesCredentialsFeatureStep`, from Spark 3.1 on).
const OF_EXECUTORS: &str = "spark.kubernetes.authenticate.executor.serviceAccountName";

/// What tells clients of Kubernetes to come as somebody else.
const KUBECONFIG: &str = "KUBECONFIG";

/// A service account of the object's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedAccount<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it is named, or would be.
    pub path: FieldPath,
    /// Whether the object names it; else it is the namespace's own.
    pub is_named: bool,
}

impl NamedAccount<'_> {
    /// Whether it is the account that every namespace has.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.name == DEFAULT
    }

    /// Whether an account can have this name: a DNS subdomain (`ValidateServiceAccountName`).
    #[must_use]
    pub fn is_possible(&self) -> bool {
        is_subdomain(self.name)
    }
}

impl<'a> Pod<'a> {
    /// The account that it runs as.
    #[must_use]
    pub fn service_account(&self) -> Option<NamedAccount<'a>> {
        let of = |field: &'static str| named(self.spec().get(field), path(["spec", field]));
        of("serviceAccountName").or_else(|| of("serviceAccount"))
    }

    /// Whether it may have other credentials for the API server than its account's token: whatever is mounted that may be one, but for
    /// what the API server adds.
    #[must_use]
    pub fn has_credentials_of_its_own(&self) -> bool {
        let is_secret = |volume: Json<'_>| {
            let is_added = volume.get("name").as_str().is_some_and(|name| name.starts_with("kube-api-access-"));
            !is_added && ["secret", "projected", "csi"].iter().any(|kind| !volume.get(kind).is_null())
        };
        self.spec().get("volumes").items().any(is_secret)
            || self.spec().get("automountServiceAccountToken").as_bool() == Some(false)
            || self.spark_container().is_some_and(|container| container.env(KUBECONFIG).is_some())
    }
}

impl<'a> Resource<'a> {
    /// The account that the driver or server will run as. None where that is not for the resource alone to say.
    #[must_use]
    pub fn driver_account(&self) -> Option<NamedAccount<'a>> {
        match self.kind() {
            ResourceKind::SparkConnect => {
                let path = self.spec_path().then([self.driver_section()]);
                self.template_account("server")
                    .or_else(|| Some(default(path.then(["template", "spec", "serviceAccountName"]))))
            }
            _ if !self.is_in_cluster_mode() || self.has_driver_credentials() => None,
            _ => self.application_account(),
        }
    }

    /// The account that the executors will run as, where the resource names one for them. Else it is the driver's, mostly.
    #[must_use]
    pub fn executor_account(&self) -> Option<NamedAccount<'a>> {
        if !self.is_in_cluster_mode() || self.template_account("executor").is_some() {
            // Which of a template's two fields Spark looks at is different in its versions.
            return None;
        }
        let (value, path) = self.set_by("executor", OF_EXECUTORS)?;
        named(value, path)
    }

    /// Whether the driver or server may come to the API server as somebody else than its account, or to another API server.
    #[must_use]
    pub fn has_credentials_of_its_own(&self) -> bool {
        let is_other = |key: &str| {
            key.starts_with("spark.kubernetes.authenticate.")
                && !key.starts_with("spark.kubernetes.authenticate.submission.")
                && !key.ends_with(".serviceAccountName")
        };
        let mut keys = self.spec().get("sparkConf").members().map(|(key, _)| key);
        let template = self.driver().get("template").get("spec");
        keys.any(is_other)
            || template.get("automountServiceAccountToken").as_bool() == Some(false)
            || self.driver_env(KUBECONFIG).is_some()
            || self.spark_conf("spark.kubernetes.driver.master").is_some()
            || !self.driver().get("kubernetesMaster").is_null()
    }

    /// Whether the operator submits it to the cluster; else the driver runs in the operator's own pod.
    #[must_use]
    pub fn is_in_cluster_mode(&self) -> bool {
        self.spec().get("mode").as_str().is_none_or(|mode| mode == "cluster")
    }

    /// Whether Spark puts credentials into the driver's pod, in place of an account.
    fn has_driver_credentials(&self) -> bool {
        let mut keys = self.spec().get("sparkConf").members().map(|(key, _)| key);
        keys.any(|key| key.starts_with("spark.kubernetes.authenticate.driver.") && key != OF_DRIVER)
    }

    /// The field beats the key: the operator's arguments for it stand behind those of sparkConf (submission.go of 2.4.0); both beat the
    /// template, since Spark sets what it finds in its configuration.
    fn application_account(&self) -> Option<NamedAccount<'a>> {
        if let Some((value, path)) = self.set_by("driver", OF_DRIVER) {
            return named(value, path);
        }
        let is_elsewhere = self.spark_conf("spark.kubernetes.driver.podTemplateFile").is_some();
        match self.template_account("driver") {
            None if is_elsewhere => None,
            None => Some(default(self.spec_path().then(["driver", "serviceAccount"]))),
            named => named,
        }
    }

    /// What the section's field says, else the key, whatever it is.
    fn set_by(&self, section: &'static str, key: &'static str) -> Option<(Json<'a>, FieldPath)> {
        let field = (self.spec().get(section).get("serviceAccount"), [section, "serviceAccount"]);
        let value = (self.spec().get("sparkConf").get(key), ["sparkConf", key]);
        let (json, steps) = [field, value].into_iter().find(|(json, _)| !json.is_null())?;
        Some((json, self.spec_path().then(steps)))
    }

    /// Of the two fields of a pod the API server takes `serviceAccountName` first (pkg/apis/core/v1/conversion.go).
    fn template_account(&self, section: &'static str) -> Option<NamedAccount<'a>> {
        let spec = self.spec().get(section).get("template").get("spec");
        let path = self.spec_path().then([section, "template", "spec"]);
        let of = |field: &'static str| named(spec.get(field), path.clone().then([field]));
        of("serviceAccountName").or_else(|| of("serviceAccount"))
    }
}

fn named(json: Json<'_>, path: FieldPath) -> Option<NamedAccount<'_>> {
    let name = json.as_str().filter(|name| !name.trim().is_empty())?;
    Some(NamedAccount { name, path, is_named: true })
}

fn default<'a>(path: FieldPath) -> NamedAccount<'a> {
    NamedAccount { name: DEFAULT, path, is_named: false }
}

#[cfg(test)]
mod tests {
    use crate::policy::document::Document;
    use crate::policy::subject::{Resource, ResourceKind};
    use serde_json::{Value, json};

    const DRIVER_KEY: &str = "spark.kubernetes.authenticate.driver.serviceAccountName";
    const EXECUTOR_KEY: &str = "spark.kubernetes.authenticate.executor.serviceAccountName";

    /// The accounts of driver and executors, each with its place.
    fn accounts(kind: ResourceKind, spec: &Value) -> [String; 2] {
        let text = json!({"spec": spec}).to_string();
        let document = Document::parse(&text).unwrap();
        let resource = Resource::of(kind, document.root());
        [resource.driver_account(), resource.executor_account()]
            .map(|account| account.map_or("unknown".to_owned(), |it| format!("{} at {}", it.name, it.path)))
    }

    #[test]
    #[rustfmt::skip]
    fn of_the_driver_of_an_application() {
        let template = |field: &str| json!({"spec": {field: "spark"}});
        for (case, spec, expected) in [
            ("the field", json!({"driver": {"serviceAccount": "spark"}}), "spark at spec.driver.serviceAccount"),
            ("the key", json!({"sparkConf": {DRIVER_KEY: "spark"}}), "spark at spec.sparkConf[spark.kubernetes.authenticate.driver.serviceAccountName]"),
            ("the field and the key", json!({"driver": {"serviceAccount": "spark"}, "sparkConf": {DRIVER_KEY: "other"}}), "spark at spec.driver.serviceAccount"),
            ("the template", json!({"driver": {"template": template("serviceAccountName")}}), "spark at spec.driver.template.spec.serviceAccountName"),
            ("the template's old field", json!({"driver": {"template": template("serviceAccount")}}), "spark at spec.driver.template.spec.serviceAccount"),
            ("the field and a template", json!({"driver": {"serviceAccount": "mine", "template": template("serviceAccountName")}}), "mine at spec.driver.serviceAccount"),
            ("the key and a template", json!({"driver": {"template": template("serviceAccountName")}, "sparkConf": {DRIVER_KEY: "mine"}}), "mine at spec.sparkConf[spark.kubernetes.authenticate.driver.serviceAccountName]"),
            ("nothing", json!({"driver": {}}), "default at spec.driver.serviceAccount"),
            ("null", json!({"driver": {"serviceAccount": null}}), "default at spec.driver.serviceAccount"),
            ("cluster mode, said", json!({"mode": "cluster", "driver": {"serviceAccount": "spark"}}), "spark at spec.driver.serviceAccount"),
            ("client mode, in the operator's pod", json!({"mode": "client", "driver": {"serviceAccount": "spark"}}), "unknown"),
            ("an empty name", json!({"driver": {"serviceAccount": ""}}), "unknown"),
            ("a blank name that hides the key", json!({"driver": {"serviceAccount": " "}, "sparkConf": {DRIVER_KEY: "spark"}}), "unknown"),
            ("a number", json!({"driver": {"serviceAccount": 5}}), "unknown"),
            ("a template in a file", json!({"sparkConf": {"spark.kubernetes.driver.podTemplateFile": "/t.yaml"}}), "unknown"),
            ("the field and a template in a file", json!({"driver": {"serviceAccount": "spark"}, "sparkConf": {"spark.kubernetes.driver.podTemplateFile": "/t.yaml"}}), "spark at spec.driver.serviceAccount"),
            ("a token in place of an account", json!({"driver": {"serviceAccount": "spark"}, "sparkConf": {"spark.kubernetes.authenticate.driver.oauthToken": "x"}}), "unknown"),
            ("the key of client mode, which Spark never reads", json!({"sparkConf": {"spark.kubernetes.authenticate.serviceAccountName": "spark"}}), "default at spec.driver.serviceAccount"),
        ] {
            assert_eq!(accounts(ResourceKind::SparkApplication, &spec)[0], expected, "{case}");
            let of_schedule = &accounts(ResourceKind::ScheduledSparkApplication, &json!({"template": spec}))[0];
            assert_eq!(*of_schedule, expected.replace("at spec.", "at spec.template."), "{case}, in a schedule");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn of_executors() {
        for (case, spec, expected) in [
            ("the field", json!({"executor": {"serviceAccount": "spark"}}), "spark at spec.executor.serviceAccount"),
            ("the key", json!({"sparkConf": {EXECUTOR_KEY: "spark"}}), "spark at spec.sparkConf[spark.kubernetes.authenticate.executor.serviceAccountName]"),
            ("nothing", json!({"driver": {"serviceAccount": "spark"}}), "unknown"),
            ("an empty name", json!({"executor": {"serviceAccount": ""}}), "unknown"),
            ("a template that may win", json!({"executor": {"serviceAccount": "spark", "template": {"spec": {"serviceAccount": "other"}}}}), "unknown"),
            ("client mode", json!({"mode": "client", "executor": {"serviceAccount": "spark"}}), "unknown"),
        ] {
            assert_eq!(accounts(ResourceKind::SparkApplication, &spec)[1], expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn of_a_connect_server() {
        for (case, spec, expected) in [
            ("the template", json!({"server": {"template": {"spec": {"serviceAccountName": "spark"}}}}), "spark at spec.server.template.spec.serviceAccountName"),
            ("both of its fields", json!({"server": {"template": {"spec": {"serviceAccountName": "spark", "serviceAccount": "other"}}}}), "spark at spec.server.template.spec.serviceAccountName"),
            ("nothing", json!({"server": {}}), "default at spec.server.template.spec.serviceAccountName"),
            ("an empty name", json!({"server": {"template": {"spec": {"serviceAccountName": ""}}}}), "default at spec.server.template.spec.serviceAccountName"),
            ("a key, which the operator makes no pod by", json!({"sparkConf": {DRIVER_KEY: "spark"}}), "default at spec.server.template.spec.serviceAccountName"),
        ] {
            assert_eq!(accounts(ResourceKind::SparkConnect, &spec)[0], expected, "{case}");
        }
    }
}
