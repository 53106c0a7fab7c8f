//! `submission-keys`: no key of `sparkConf` is refused, or comes to nothing because the operator or spark-submit decides otherwise.
//!
//! Operator 2.4.0 gives `sparkConf` to spark-submit before what it makes of the resource's own fields, and of two values spark-submit
//! takes the last (internal/controller/sparkapplication/submission.go, internal/controller/sparkconnect/options.go). An option such as
//! `--name` beats its key wherever it stands (`SparkSubmitArguments.scala`). From 2.5.2 on its webhook refuses some keys altogether
//! (`internal/webhook/sparkconf_validator.go`). A key that says the same as the field is nothing to find.

use crate::policy::document::Json;
use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::subject::{Resource, ResourceKind};

/// What operator 2.5.2 refuses, and what to write instead.
const REFUSED: [(&str, &str); 13] = [
    ("spark.kubernetes.authenticate.driver.serviceAccountName", SERVICE_ACCOUNT),
    ("spark.kubernetes.authenticate.executor.serviceAccountName", SERVICE_ACCOUNT),
    ("spark.kubernetes.authenticate.oauthTokenFile", CREDENTIALS),
    ("spark.kubernetes.authenticate.oauthToken", CREDENTIALS),
    ("spark.kubernetes.authenticate.driver.oauthTokenFile", CREDENTIALS),
    ("spark.kubernetes.authenticate.driver.oauthToken", CREDENTIALS),
    ("spark.kubernetes.authenticate.executor.oauthTokenFile", CREDENTIALS),
    ("spark.kubernetes.authenticate.executor.oauthToken", CREDENTIALS),
    ("spark.master", MASTER),
    ("spark.kubernetes.driver.master", MASTER),
    ("spark.kubernetes.container.image", "use the field image"),
    ("spark.kubernetes.driver.container.image", "use the field image"),
    ("spark.kubernetes.executor.container.image", "use the field image"),
];
const SERVICE_ACCOUNT: &str = "name the account in the resource's own fields";
const CREDENTIALS: &str = "remove it: the operator has credentials of its own";
const MASTER: &str = "remove it: the operator knows its API server";

/// Where a value stands that counts in place of a key's, from the application's `spec` on.
type Field = &'static [&'static str];

/// What counts in an application where it is set.
const OF_APPLICATIONS: &[(&str, Field)] = &[
    ("spark.driver.cores", &["driver", "cores"]),
    ("spark.driver.memory", &["driver", "memory"]),
    ("spark.driver.memoryOverhead", &["driver", "memoryOverhead"]),
    ("spark.driver.extraJavaOptions", &["driver", "javaOptions"]),
    ("spark.kubernetes.driver.request.cores", &["driver", "coreRequest"]),
    ("spark.kubernetes.driver.limit.cores", &["driver", "coreLimit"]),
    ("spark.kubernetes.driver.pod.name", &["driver", "podName"]),
    ("spark.kubernetes.driver.master", &["driver", "kubernetesMaster"]),
    ("spark.kubernetes.driver.container.image", &["driver", "image"]),
    ("spark.kubernetes.driver.container.image", &["image"]),
    ("spark.kubernetes.authenticate.driver.serviceAccountName", &["driver", "serviceAccount"]),
    ("spark.executor.memoryOverhead", &["executor", "memoryOverhead"]),
    ("spark.executor.extraJavaOptions", &["executor", "javaOptions"]),
    ("spark.kubernetes.executor.request.cores", &["executor", "coreRequest"]),
    ("spark.kubernetes.executor.limit.cores", &["executor", "coreLimit"]),
    ("spark.kubernetes.executor.deleteOnTermination", &["executor", "deleteOnTermination"]),
    ("spark.kubernetes.executor.container.image", &["executor", "image"]),
    ("spark.kubernetes.executor.container.image", &["image"]),
    ("spark.kubernetes.authenticate.executor.serviceAccountName", &["executor", "serviceAccount"]),
    ("spark.jars", &["deps", "jars"]),
    ("spark.jars.packages", &["deps", "packages"]),
    ("spark.jars.excludes", &["deps", "excludePackages"]),
    ("spark.jars.repositories", &["deps", "repositories"]),
    ("spark.submit.pyFiles", &["deps", "pyFiles"]),
    ("spark.files", &["deps", "files"]),
    ("spark.archives", &["deps", "archives"]),
];

/// What counts in a `SparkConnect` where it is set.
const OF_CONNECTS: &[(&str, Field)] =
    &[("spark.driver.cores", &["server", "cores"]), ("spark.driver.memory", &["server", "memory"])];

/// What counts in both.
const OF_BOTH: &[(&str, Field)] = &[
    ("spark.executor.instances", &["executor", "instances"]),
    ("spark.executor.cores", &["executor", "cores"]),
    ("spark.executor.memory", &["executor", "memory"]),
];

/// What counts in both where `dynamicAllocation` is enabled.
const OF_DYNAMIC_ALLOCATION: &[(&str, &str)] = &[
    ("spark.dynamicAllocation.enabled", "enabled"),
    ("spark.dynamicAllocation.initialExecutors", "initialExecutors"),
    ("spark.dynamicAllocation.minExecutors", "minExecutors"),
    ("spark.dynamicAllocation.maxExecutors", "maxExecutors"),
    ("spark.dynamicAllocation.shuffleTracking.enabled", "shuffleTrackingEnabled"),
    ("spark.dynamicAllocation.shuffleTracking.timeout", "shuffleTrackingTimeout"),
];

/// What an application never gets: the operator gives Spark a file of its own, and Spark refuses to be told an address.
const NEVER_IN_APPLICATIONS: &[(&str, &str, &str)] = &[
    ("spark.kubernetes.driver.podTemplateFile", OVERWRITTEN, "use driver.template"),
    ("spark.kubernetes.executor.podTemplateFile", OVERWRITTEN, "use executor.template"),
    ("spark.driver.bindAddress", "Spark refuses this key on Kubernetes, and the submission fails", "remove it"),
];
const OVERWRITTEN: &str = "the operator overwrites it";

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let conf = resource.spec().get("sparkConf");
    let mut keys: Vec<_> = conf.members().filter_map(|(key, value)| Some((key, value.as_str()?))).collect();
    keys.sort_unstable();
    for (key, value) in keys {
        let field = resource.spec_path().then(["sparkConf"]).then([key.to_owned()]);
        if let Some((problem, cure)) = verdict(resource, case, key, value) {
            findings.add_likely(field, problem, cure);
        }
    }
}

/// What becomes of a key, where that is not what it says; and what to do.
fn verdict(resource: &Resource<'_>, case: &Case<'_>, key: &str, value: &str) -> Option<(String, String)> {
    let told = |problem: &str, cure: &str| Some((problem.to_owned(), cure.to_owned()));
    if let Some((field, counts)) = counting_field(resource, key) {
        let is_same = counts == value.trim();
        return (!is_same).then(|| (format!("{field} counts, and not this"), "remove one of the two".to_owned()));
    }
    if let Some((_, cure)) = REFUSED.iter().find(|(refused, _)| *refused == key) {
        return told("the operator refuses this key from 2.5.2 on", cure);
    }
    let namespace = case.request.object.get("metadata").get("namespace").as_str();
    if key == "spark.kubernetes.namespace" && namespace.is_some_and(|namespace| namespace != value) {
        return told("the operator finds no driver elsewhere, and refuses this from 2.5.2 on", "remove it");
    }
    match resource.kind() {
        ResourceKind::SparkConnect => overwritten_in_connect(resource, key, value),
        _ => overwritten_in_application(resource, key, value),
    }
}

/// The field of the resource that counts in place of a key, and its value as the operator writes it.
fn counting_field(resource: &Resource<'_>, key: &str) -> Option<(FieldPath, String)> {
    let spec = resource.spec();
    let own = if resource.kind() == ResourceKind::SparkConnect { OF_CONNECTS } else { OF_APPLICATIONS };
    let of_resource = own.iter().chain(OF_BOTH).filter(|(known, _)| *known == key);
    for (_, field) in of_resource {
        let value = field.iter().fold(spec, |json, member| json.get(member));
        if let Some(text) = written(value) {
            return Some((resource.spec_path().then(field.iter().copied()), text));
        }
    }
    let allocation = spec.get("dynamicAllocation");
    let member = OF_DYNAMIC_ALLOCATION.iter().find(|(known, _)| *known == key).map(|(_, member)| *member)?;
    let value = written(allocation.get(member)).filter(|_| allocation.get("enabled").as_bool() == Some(true))?;
    Some((resource.spec_path().then(["dynamicAllocation", member]), value))
}

/// A value as the operator writes it into an argument; nothing where it writes none.
fn written(value: Json<'_>) -> Option<String> {
    let entries: Vec<_> = value.items().filter_map(Json::as_str).collect();
    if !entries.is_empty() {
        return Some(entries.join(","));
    }
    let number = || value.as_i64().map(|number| number.to_string());
    let text = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    text.or_else(number).or_else(|| value.as_bool().map(|it| it.to_string()))
}

fn overwritten_in_application(resource: &Resource<'_>, key: &str, value: &str) -> Option<(String, String)> {
    if let Some((_, problem, cure)) = NEVER_IN_APPLICATIONS.iter().find(|(never, ..)| *never == key) {
        return Some(((*problem).to_owned(), (*cure).to_owned()));
    }
    let monitored = resource.spec().get("monitoring").get("prometheus").is_object();
    let operators_own = match key {
        "spark.app.name" if resource.kind() == ResourceKind::SparkApplication => resource.metadata().name(),
        "spark.app.name" => "that of the run",
        "spark.submit.deployMode" => resource.spec().get("mode").as_str().unwrap_or("cluster"),
        "spark.kubernetes.driver.podTemplateContainerName" => "spark-kubernetes-driver",
        "spark.kubernetes.executor.podTemplateContainerName" => "spark-kubernetes-executor",
        "spark.metrics.namespace" if monitored => "namespace and name",
        "spark.metrics.conf" if monitored => "the file of spec.monitoring",
        _ => return None,
    };
    overwritten(operators_own, value)
}

fn overwritten_in_connect(resource: &Resource<'_>, key: &str, value: &str) -> Option<(String, String)> {
    let name = resource.metadata().name();
    match key {
        "spark.driver.host" => overwritten("the pod's address", value),
        "spark.driver.bindAddress" => overwritten("0.0.0.0", value),
        "spark.driver.port" => overwritten("7078", value),
        "spark.kubernetes.driver.pod.name" => overwritten(&format!("{name}-server"), value),
        "spark.kubernetes.executor.podNamePrefix" => overwritten(name, value),
        "spark.kubernetes.executor.podTemplateFile" => {
            Some((OVERWRITTEN.to_owned(), "use executor.template".to_owned()))
        }
        "spark.kubernetes.executor.podTemplateContainerName" => overwritten("spark-kubernetes-executor", value),
        _ => None,
    }
}

fn overwritten(operators_own: &str, value: &str) -> Option<(String, String)> {
    let problem = || (format!("the operator overwrites it with its own: {operators_own}"), "remove it".to_owned());
    (operators_own != value.trim()).then(problem)
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, scheduled, spark_connect};
    use serde_json::{Value, json};

    fn conf(sample: Sample, key: &str, value: &str) -> Sample {
        sample.with(&format!("/spec/sparkConf/{key}"), value)
    }

    fn field(sample: Sample, pointer: &str, value: Value) -> Sample {
        sample.with(pointer, value)
    }

    #[test]
    #[rustfmt::skip]
    fn finds_keys_that_come_to_nothing() {
        let app = |key: &str, value: &str| conf(application(), key, value);
        let connect = |key: &str, value: &str| conf(spark_connect(), key, value);
        for (case, sample, expected) in [
            ("a field that counts", app("spark.driver.memory", "4g"), "[spark.driver.memory]: spec.driver.memory counts, and not this; remove one of the two"),
            ("a number", field(app("spark.executor.instances", "4"), "/spec/executor/instances", json!(2)), "[spark.executor.instances]: spec.executor.instances counts, and not this; remove one of the two"),
            ("a list", field(app("spark.jars.packages", "a:b:1"), "/spec/deps/packages", json!(["c:d:1"])), "[spark.jars.packages]: spec.deps.packages counts, and not this; remove one of the two"),
            ("a field that counts, of a key that is refused later", field(app("spark.kubernetes.authenticate.driver.serviceAccountName", "a"), "/spec/driver/serviceAccount", json!("b")), "[spark.kubernetes.authenticate.driver.serviceAccountName]: spec.driver.serviceAccount counts, and not this; remove one of the two"),
            ("the resource's image", app("spark.kubernetes.executor.container.image", "a"), "[spark.kubernetes.executor.container.image]: spec.image counts, and not this; remove one of the two"),
            ("dynamic allocation", field(app("spark.dynamicAllocation.maxExecutors", "9"), "/spec/dynamicAllocation", json!({"enabled": true, "maxExecutors": 5})), "[spark.dynamicAllocation.maxExecutors]: spec.dynamicAllocation.maxExecutors counts, and not this; remove one of the two"),
            ("refused", app("spark.kubernetes.container.image", "a"), "[spark.kubernetes.container.image]: the operator refuses this key from 2.5.2 on; use the field image"),
            ("refused in a SparkConnect", connect("spark.kubernetes.authenticate.driver.serviceAccountName", "a"), "[spark.kubernetes.authenticate.driver.serviceAccountName]: the operator refuses this key from 2.5.2 on; name the account in the resource's own fields"),
            ("another namespace", app("spark.kubernetes.namespace", "b").with("/metadata/namespace", "a"), "[spark.kubernetes.namespace]: the operator finds no driver elsewhere, and refuses this from 2.5.2 on; remove it"),
            ("the name", app("spark.app.name", "My report"), "[spark.app.name]: the operator overwrites it with its own: pi; remove it"),
            ("the mode", app("spark.submit.deployMode", "client"), "[spark.submit.deployMode]: the operator overwrites it with its own: cluster; remove it"),
            ("a template's file", app("spark.kubernetes.driver.podTemplateFile", "/t.yaml"), "[spark.kubernetes.driver.podTemplateFile]: the operator overwrites it; use driver.template"),
            ("an address", app("spark.driver.bindAddress", "h"), "[spark.driver.bindAddress]: Spark refuses this key on Kubernetes, and the submission fails; remove it"),
            ("metrics", field(app("spark.metrics.conf", "/m"), "/spec/monitoring", json!({"prometheus": {"jmxExporterJar": "/j"}})), "[spark.metrics.conf]: the operator overwrites it with its own: the file of spec.monitoring; remove it"),
            ("a server's address", connect("spark.driver.host", "h"), "[spark.driver.host]: the operator overwrites it with its own: the pod's address; remove it"),
            ("a server's port", connect("spark.driver.port", "7000"), "[spark.driver.port]: the operator overwrites it with its own: 7078; remove it"),
            ("a server's pod", connect("spark.kubernetes.driver.pod.name", "x"), "[spark.kubernetes.driver.pod.name]: the operator overwrites it with its own: pi-server; remove it"),
            ("a server's memory", field(connect("spark.driver.memory", "4g"), "/spec/server/memory", json!("2g")), "[spark.driver.memory]: spec.server.memory counts, and not this; remove one of the two"),
        ] {
            assert_eq!(sample.found(Check::SubmissionKeys), [format!("spec.sparkConf{expected} (at most a warning)")], "{case}");
        }
        let schedule = scheduled().with("/spec/template/sparkConf/spark.driver.memory", "4g");
        assert_eq!(schedule.found(Check::SubmissionKeys), ["spec.template.sparkConf[spark.driver.memory]: spec.template.driver.memory counts, and not this; remove one of the two (at most a warning)"]);
    }

    #[test]
    #[rustfmt::skip]
    fn lets_pass_what_counts() {
        let app = |key: &str, value: &str| conf(application(), key, value);
        let connect = |key: &str, value: &str| conf(spark_connect(), key, value);
        for (case, sample) in [
            ("a key of the application's own", app("spark.sql.shuffle.partitions", "10")),
            ("a key whose field is not set", app("spark.driver.memoryOverhead", "1g")),
            ("a key whose field is empty", field(app("spark.jars.packages", "a:b:1"), "/spec/deps/packages", json!([]))),
            ("a key that says the same", app("spark.driver.memory", "512m")),
            ("a number that is the same", field(app("spark.executor.instances", "2"), "/spec/executor/instances", json!(2))),
            ("a list that is the same", field(app("spark.jars.packages", "a:b:1,c:d:1"), "/spec/deps/packages", json!(["a:b:1", "c:d:1"]))),
            ("the pod's name, which the operator reads", app("spark.kubernetes.driver.pod.name", "x")),
            ("dynamic allocation without the field", app("spark.dynamicAllocation.enabled", "true")),
            ("dynamic allocation that is off", field(app("spark.dynamicAllocation.maxExecutors", "9"), "/spec/dynamicAllocation", json!({"enabled": false, "maxExecutors": 5}))),
            ("its own namespace", app("spark.kubernetes.namespace", "a").with("/metadata/namespace", "a")),
            ("its own name", app("spark.app.name", "pi")),
            ("its own mode", app("spark.submit.deployMode", "cluster")),
            ("metrics without monitoring", app("spark.metrics.conf", "/m")),
            ("an address, which Spark 4 takes", app("spark.driver.host", "h")),
            ("what comes behind the operator's", app("spark.kubernetes.container.image.pullPolicy", "Always")),
            ("a server's own port", connect("spark.driver.port", "7078")),
            ("a server's own name", connect("spark.kubernetes.driver.pod.name", "pi-server")),
            ("a server's name in the UI", connect("spark.app.name", "shared")),
            ("a server's port of Connect", connect("spark.connect.grpc.binding.port", "15002")),
        ] {
            assert_eq!(sample.found(Check::SubmissionKeys), Vec::<String>::new(), "{case}");
        }
    }
}
