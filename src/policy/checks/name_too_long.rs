//! `name-too-long`: names from which the operator and Spark make others that the API server or Spark refuse later.
//!
//! | of | is made | by |
//! |---|---|---|
//! | any resource | the value of a label on what is made of it, of 63 characters at most | pkg/common/spark.go of the operator |
//! | `SparkConnect` | the Service `<name>-server`, where it names none itself | sparkconnect/util.go |
//! | `ScheduledSparkApplication` | applications `<name>-<time>` | scheduledsparkapplication/controller.go |
//! | `SparkApplication` | the driver's pod `<name>-driver`, and Services `<name>-driver-<port>` | sparkapplication/driveringress.go |
//!
//! The time is in nanoseconds, 19 digits, in operator 2.4.0; from 2.5 on the operator can be set to less, down to minutes with 8 digits. What
//! Spark makes of a name itself (its Service, its executors) it shortens. The operator's web UI does so too. A name that begins with a digit
//! is taken for a Service from Kubernetes 1.36 on; one with dots is not.

use crate::policy::field_path::{FieldPath, path};
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::subject::{Resource, ResourceKind};

/// The longest value of a label, and the longest name of a Service.
const LABEL: usize = 63;
/// The longest name of a pod.
const SUBDOMAIN: usize = 253;
/// The longest prefix of executors' names: Spark keeps room for `-exec-` and ten digits (`Config.isValidExecutorPodNamePrefix`).
const EXECUTOR_PREFIX: usize = SUBDOMAIN - 16;
/// What the API server adds to `generateName`, and how much of that it keeps.
const GENERATED: (usize, usize) = (5, LABEL - 5);
/// The digits of a time in nanoseconds, and in minutes.
const TIMES: (usize, usize) = (19, 8);

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, findings: &mut Findings) {
    match resource.kind() {
        ResourceKind::SparkApplication => of_application(resource, findings),
        ResourceKind::ScheduledSparkApplication => of_schedule(resource, findings),
        ResourceKind::SparkConnect => of_connect(resource, findings),
    }
    if resource.kind() != ResourceKind::SparkConnect {
        of_pods(resource, findings);
    }
}

fn name_path() -> FieldPath {
    path(["metadata", "name"])
}

/// How long its name is, or will be.
fn length(resource: &Resource<'_>) -> usize {
    let metadata = resource.metadata();
    let written = metadata.name().len();
    if metadata.name_is_generated() { written.min(GENERATED.1) + GENERATED.0 } else { written }
}

fn at_most(length: usize) -> String {
    format!("choose a name of at most {length} characters")
}

/// The operator puts the name into a label of all that it makes.
fn of_label(length: usize, findings: &mut Findings) {
    let problem =
        format!("its {length} characters do not fit into the label that the operator makes of it, which takes {LABEL}");
    findings.add(name_path(), problem, at_most(LABEL));
}

fn of_application(resource: &Resource<'_>, findings: &mut Findings) {
    let length = length(resource);
    if length > LABEL {
        return of_label(length, findings);
    }
    let ports =
        resource.spec().get("driverIngressOptions").items().filter_map(|option| option.get("servicePort").as_i64());
    let longest = ports.map(|port| format!("-driver-{port}")).max_by_key(String::len);
    if let Some(suffix) = longest.filter(|suffix| length + suffix.len() > LABEL) {
        let made = length + suffix.len();
        let problem = format!(
            "with {suffix:?} behind it, the name of a Service of driverIngressOptions has {made} characters of {LABEL}"
        );
        findings.add_likely(name_path(), problem, at_most(LABEL - suffix.len()));
    }
}

fn of_schedule(resource: &Resource<'_>, findings: &mut Findings) {
    let length = length(resource);
    let room = |digits: usize| LABEL - 1 - digits;
    if length > room(TIMES.1) {
        let problem = format!("with a time behind it, the names of its applications have more than {LABEL} characters");
        findings.add(name_path(), problem, at_most(room(TIMES.0)));
    } else if length > room(TIMES.0) {
        let problem = format!(
            "with \"-\" and {} digits behind it, the names of its applications have {} characters of {LABEL}, unless the operator is set to shorter ones",
            TIMES.0,
            length + 1 + TIMES.0
        );
        findings.add_likely(name_path(), problem, at_most(room(TIMES.0)));
    }
}

fn of_connect(resource: &Resource<'_>, findings: &mut Findings) {
    let length = length(resource);
    let service = resource.driver().get("service");
    if service.is_object() {
        of_own_service(service.get("metadata").get("name").as_str().unwrap_or_default(), findings);
    } else {
        of_default_service(resource.metadata().name(), length, findings);
    }
    if length > LABEL && service.is_object() {
        of_label(length, findings);
    }
}

const DEFAULT_SERVICE: &str = "-server";

fn of_default_service(name: &str, length: usize, findings: &mut Findings) {
    let made = length + DEFAULT_SERVICE.len();
    if made > LABEL {
        let problem =
            format!("with {DEFAULT_SERVICE:?} behind it, the name of its Service has {made} characters of {LABEL}");
        findings.add(name_path(), problem, at_most(LABEL - DEFAULT_SERVICE.len()));
    } else if name.contains('.') {
        let problem = "it becomes the name of a Service, which may not have dots";
        findings.add(name_path(), problem, "write hyphens, or set spec.server.service.metadata.name");
    }
}

/// The operator takes the Service as it is written, whose name it needs.
fn of_own_service(name: &str, findings: &mut Findings) {
    let place = path(["spec", "server", "service", "metadata", "name"]);
    if name.is_empty() {
        findings.add(
            place,
            "a Service of your own needs a name",
            "name it, such as the SparkConnect with \"-server\" behind it",
        );
    } else if name.len() > LABEL {
        findings.add(
            place,
            format!("{} characters are too many for a Service, which takes {LABEL}", name.len()),
            at_most(LABEL),
        );
    } else if !is_label(name) {
        let cure = "write small letters, digits and hyphens, with a letter first";
        findings.add(place, "a Service cannot have this name", cure);
    }
}

/// The names of an application's pods that are chosen and not made.
fn of_pods(resource: &Resource<'_>, findings: &mut Findings) {
    let spec = resource.spec();
    let text = |section: &'static str, member: &'static str| {
        let text = spec.get(section).get(member).as_str().filter(|text| !text.is_empty());
        text.map(|text| (resource.spec_path().then([section, member]), text))
    };
    let driver = text("driver", "podName").or_else(|| text("sparkConf", "spark.kubernetes.driver.pod.name"));
    let prefix = text("sparkConf", "spark.kubernetes.executor.podNamePrefix");
    for (chosen, most, of) in
        [(driver, SUBDOMAIN, "a pod's name"), (prefix, EXECUTOR_PREFIX, "the beginning of executors' names")]
    {
        let Some((place, name)) = chosen else { continue };
        if name.len() > most {
            let problem = format!("{} characters are too many for {of}, which takes {most}", name.len());
            findings.add(place, problem, at_most(most));
        } else if !name.split('.').all(is_label) {
            findings.add(place, format!("this cannot be {of}"), "write small letters, digits and hyphens");
        }
    }
}

/// Whether it is a DNS label as RFC 1123 has it.
fn is_label(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, scheduled, spark_connect};
    use serde_json::json;

    fn named(sample: Sample, length: usize) -> Sample {
        sample.with("/metadata/name", "a".repeat(length))
    }

    fn generated(sample: Sample, length: usize) -> Sample {
        sample.with("/metadata", json!({"generateName": "a".repeat(length)}))
    }

    #[test]
    #[rustfmt::skip]
    fn finds_names_that_are_refused_later() {
        let at_name = |text: &str| format!("metadata.name: {text}");
        let label = |length: usize| at_name(&format!("its {length} characters do not fit into the label that the operator makes of it, which takes 63; choose a name of at most 63 characters"));
        let service = |length: usize| at_name(&format!("with \"-server\" behind it, the name of its Service has {length} characters of 63; choose a name of at most 56 characters"));
        let own = |name: &str| spark_connect().with("/spec/server/service/metadata/name", name);
        let own_path = "spec.server.service.metadata.name";
        let pod_name = |name: &str| application().with("/spec/driver/podName", name);
        let prefix = |name: String| application().with("/spec/sparkConf/spark.kubernetes.executor.podNamePrefix", name);
        let ingress = named(application(), 52).with("/spec/driverIngressOptions", json!([{"servicePort": 80}, {"servicePort": 4040}]));
        for (case, resource, expected) in [
            ("an application", named(application(), 64), label(64)),
            ("an application's ingress", ingress, at_name("with \"-driver-4040\" behind it, the name of a Service of driverIngressOptions has 64 characters of 63; choose a name of at most 51 characters (at most a warning)")),
            ("a schedule, by default", named(scheduled(), 44), at_name("with \"-\" and 19 digits behind it, the names of its applications have 64 characters of 63, unless the operator is set to shorter ones; choose a name of at most 43 characters (at most a warning)")),
            ("a schedule, whatever the operator is set to", named(scheduled(), 55), at_name("with a time behind it, the names of its applications have more than 63 characters; choose a name of at most 43 characters")),
            ("a server's Service", named(spark_connect(), 57), service(64)),
            ("a server's Service, of a generated name", generated(spark_connect(), 52), service(64)),
            ("a server with a Service of its own", named(own("mine"), 64), label(64)),
            ("a name with dots", spark_connect().with("/metadata/name", "a.b"), at_name("it becomes the name of a Service, which may not have dots; write hyphens, or set spec.server.service.metadata.name")),
            ("a Service without a name", spark_connect().with("/spec/server/service", json!({"spec": {"type": "NodePort"}})), format!("{own_path}: a Service of your own needs a name; name it, such as the SparkConnect with \"-server\" behind it")),
            ("a Service with a long name", own(&"a".repeat(64)), format!("{own_path}: 64 characters are too many for a Service, which takes 63; choose a name of at most 63 characters")),
            ("a Service with capitals", own("Mine"), format!("{own_path}: a Service cannot have this name; write small letters, digits and hyphens, with a letter first")),
            ("a driver's pod", pod_name(&"a".repeat(254)), "spec.driver.podName: 254 characters are too many for a pod's name, which takes 253; choose a name of at most 253 characters".to_owned()),
            ("a driver's pod with an underscore", pod_name("my_driver"), "spec.driver.podName: this cannot be a pod's name; write small letters, digits and hyphens".to_owned()),
            ("executors", prefix("a".repeat(238)), "spec.sparkConf[spark.kubernetes.executor.podNamePrefix]: 238 characters are too many for the beginning of executors' names, which takes 237; choose a name of at most 237 characters".to_owned()),
            ("executors with capitals", prefix("Etl".to_owned()), "spec.sparkConf[spark.kubernetes.executor.podNamePrefix]: this cannot be the beginning of executors' names; write small letters, digits and hyphens".to_owned()),
        ] {
            assert_eq!(resource.found(Check::NameTooLong), [expected], "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn is_silent_about_names_that_are_taken() {
        let prefix = |name: String| application().with("/spec/sparkConf/spark.kubernetes.executor.podNamePrefix", name);
        for (case, resource) in [
            ("an application", named(application(), 63)),
            ("an application of a generated name, which is cut", generated(application(), 250)),
            ("an application's ingress", named(application(), 51).with("/spec/driverIngressOptions", json!([{"servicePort": 4040}]))),
            ("a schedule", named(scheduled(), 43)),
            ("a server's Service", named(spark_connect(), 56)),
            ("a server's Service, of a generated name", generated(spark_connect(), 51)),
            ("a long name with a Service of its own", named(spark_connect(), 63).with("/spec/server/service/metadata/name", "mine")),
            ("dots with a Service of its own", spark_connect().with("/metadata/name", "a.b").with("/spec/server/service/metadata/name", "mine")),
            ("a digit first, which newer Kubernetes takes", spark_connect().with("/metadata/name", "1st")),
            ("dots in the pod of a driver", application().with("/spec/driver/podName", "a.b.c")),
            ("a driver's pod", application().with("/spec/driver/podName", "a".repeat(253))),
            ("a bad key that the field overrides", application().with("/spec/driver/podName", "a").with("/spec/sparkConf/spark.kubernetes.driver.pod.name", "A")),
            ("executors", prefix("a".repeat(237))),
            ("executors of a server, whose name wins", spark_connect().with("/spec/sparkConf/spark.kubernetes.executor.podNamePrefix", "Etl")),
            ("no name at all", application().with("/metadata/name", "")),
        ] {
            assert_eq!(resource.found(Check::NameTooLong), Vec::<String>::new(), "{case}");
        }
    }
}
