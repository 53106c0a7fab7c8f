//! The hand-over: wishes that a resource's author wrote on the resource reach the pods that are made of it.
//!
//! Operator 2.4.0 copies a resource's labels to its pods and its annotations to none. So annotations travel in what does
//! arrive: `spec.driver.annotations` and `spec.executor.annotations` of a `SparkApplication`; in a `SparkConnect` the metadata of
//! templates that exist, else Spark's own configuration keys for annotations, which the server's arguments repeat and Spark puts on executors. No
//! template is ever created for this: `spec.driver.template` would change what the operator's own webhook does.

use super::document::Json;
use super::field_path::FieldPath;
use super::names::{IVY_CACHE_MEDIUM, IVY_CACHE_SIZE, SKIP};
use super::plan::Plan;
use super::subject::{Resource, ResourceKind};

/// Hands the wishes on a resource down to its pods. What already stands there wins.
pub fn hand_down(resource: &Resource<'_>, plan: &mut Plan) {
    if resource.kind() == ResourceKind::ScheduledSparkApplication {
        return warn_of_dead_end(resource, plan);
    }
    plan.begin_unowned();
    for key in [SKIP, IVY_CACHE_MEDIUM, IVY_CACHE_SIZE] {
        let Some(value) = resource.metadata().annotation(key) else { continue };
        let value: String = value.split_whitespace().collect();
        if !is_plain(&value) {
            plan.warn(format!("annotation {key} is not handed down: \"{value}\" is none of its values"));
            continue;
        }
        hand_to(resource, resource.driver_section(), key, &value, plan);
        if key == SKIP {
            hand_to(resource, "executor", key, &value, plan);
        }
    }
}

/// Whether a value is safe in the server's arguments, which the operator joins unquoted into `bash -c`.
fn is_plain(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || ",.-".contains(c))
}

/// Gives the annotation to the pods of one section. What stands there wins, and so does what was handed down before: a wish on the
/// resource counts more than what a mutation makes of its packages.
pub fn hand_to(resource: &Resource<'_>, section: &'static str, key: &str, value: &str, plan: &mut Plan) {
    if stands_in_conf(resource, section, key) {
        return;
    }
    let Some(Place { map, path, prefix }) = place(resource, section) else { return };
    let key = prefix + key;
    let field = path.then([key.clone()]);
    if map.get(&key).is_null() && !plan.wants(&field) {
        plan.set(field, value);
    }
}

/// Whether a SparkConnect's configuration gives the annotation already: a first round may have put it there, before it made the
/// executor template in which a second round would look.
fn stands_in_conf(resource: &Resource<'_>, section: &'static str, key: &str) -> bool {
    let stands = || !resource.spec().get("sparkConf").get(&(conf_prefix(section) + key)).is_null();
    resource.kind() == ResourceKind::SparkConnect && stands()
}

/// Spark's own configuration keys for the annotations of a section's pods.
fn conf_prefix(section: &'static str) -> String {
    format!("spark.kubernetes.{}.annotation.", if section == "server" { "driver" } else { section })
}

/// Where annotations of a section's pods can be written.
struct Place<'a> {
    map: Json<'a>,
    path: FieldPath,
    prefix: String,
}

/// None where the section is missing: the operator's schema refuses such a resource, and must go on refusing it.
fn place<'a>(resource: &Resource<'a>, section: &'static str) -> Option<Place<'a>> {
    let spec = resource.spec();
    let at = resource.spec_path();
    let template = spec.get(section).get("template");
    let place = match resource.kind() {
        ResourceKind::SparkConnect if template.is_object() => Place {
            map: template.get("metadata").get("annotations"),
            path: at.then([section, "template", "metadata", "annotations"]),
            prefix: String::new(),
        },
        ResourceKind::SparkConnect => {
            Place { map: spec.get("sparkConf"), path: at.then(["sparkConf"]), prefix: conf_prefix(section) }
        }
        _ => Place {
            map: spec.get(section).get("annotations"),
            path: at.then([section, "annotations"]),
            prefix: String::new(),
        },
    };
    spec.get(section).is_object().then_some(place)
}

/// A ScheduledSparkApplication's annotations reach nothing, and it is never changed.
fn warn_of_dead_end(resource: &Resource<'_>, plan: &mut Plan) {
    for key in [SKIP, IVY_CACHE_MEDIUM, IVY_CACHE_SIZE] {
        if resource.metadata().annotation(key).is_some() {
            plan.warn(format!("annotation {key} does not reach the runs; set spec.template.driver.annotations"));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Mutation;
    use crate::policy::testing::{Sample, application, scheduled, spark_connect};
    use serde_json::json;

    fn wishing(sample: Sample) -> Sample {
        sample
            .with(
                "/metadata/annotations/spark-admission.io~1skip",
                "ivy-dir,connect-package,ivy-cache,executor-template",
            )
            .with("/metadata/annotations/spark-admission.io~1ivy-cache-medium", "Disk")
            .with("/metadata/annotations/spark-admission.io~1ivy-cache-size", "2Gi")
    }

    const NAMES: &str = "ivy-dir,connect-package,ivy-cache,executor-template";

    #[test]
    fn an_application_hands_down_through_its_sections() {
        let expected = [
            format!("spec.driver.annotations[spark-admission.io/skip] = {NAMES}"),
            format!("spec.executor.annotations[spark-admission.io/skip] = {NAMES}"),
            "spec.driver.annotations[spark-admission.io/ivy-cache-medium] = Disk".to_owned(),
            "spec.driver.annotations[spark-admission.io/ivy-cache-size] = 2Gi".to_owned(),
        ];
        assert_eq!(wishing(application()).by_none(), expected);
        let opted_out = wishing(application()).with("/metadata/labels/spark-admission.io~1enabled", "false");
        assert_eq!(opted_out.by_none(), expected, "it is the only change that an opted-out resource gets");
        assert_eq!(opted_out.decided().edits.len(), expected.len());
    }

    #[test]
    fn a_spark_connect_hands_down_through_its_templates_or_arguments() {
        let expected = [
            format!("spec.sparkConf[spark.kubernetes.driver.annotation.spark-admission.io/skip] = {NAMES}"),
            format!("spec.executor.template.metadata.annotations[spark-admission.io/skip] = {NAMES}"),
            "spec.sparkConf[spark.kubernetes.driver.annotation.spark-admission.io/ivy-cache-medium] = Disk".to_owned(),
            "spec.sparkConf[spark.kubernetes.driver.annotation.spark-admission.io/ivy-cache-size] = 2Gi".to_owned(),
        ];
        assert_eq!(wishing(spark_connect()).by_none(), expected);
        let with_template = wishing(spark_connect()).with("/spec/server/template/metadata", json!({}));
        let first = format!("spec.server.template.metadata.annotations[spark-admission.io/skip] = {NAMES}");
        assert_eq!(with_template.by_none()[0], first);
    }

    #[test]
    fn what_stands_there_wins() {
        let own = wishing(application()).with(
            "/spec/driver/annotations",
            json!({"spark-admission.io/skip": "spark-user", "spark-admission.io/ivy-cache-size": "1Gi"}),
        );
        let lines = own.by_none();
        assert!(
            !lines.iter().any(|line| line.contains("driver") && (line.contains("skip") || line.contains("size"))),
            "{lines:#?}"
        );
    }

    #[test]
    fn a_wish_on_the_resource_counts_more_than_its_large_packages() {
        let sample = wishing(application())
            .with("/metadata/annotations/spark-admission.io~1skip", "none")
            .with("/spec/deps/packages", json!(["org.apache.hadoop:hadoop-aws:3.3.4"]));
        assert!(
            sample.by_none().contains(&"spec.driver.annotations[spark-admission.io/ivy-cache-size] = 2Gi".to_owned())
        );
        assert_eq!(sample.by(Mutation::IvyCache), ["skipped: nothing-to-do"]);
    }

    #[test]
    fn what_a_shell_would_read_is_not_handed_down() {
        let sample = spark_connect().with("/metadata/annotations/spark-admission.io~1skip", "ivy-dir; reboot");
        assert!(!sample.by_none().iter().any(|line| line.contains("reboot")));
        let warned = sample.warnings().iter().any(|warning| warning.contains("is not handed down"));
        assert!(warned, "{:#?}", sample.warnings());
    }

    #[test]
    fn blanks_in_a_list_do_not_lose_it() {
        let sample = application().with("/metadata/annotations/spark-admission.io~1skip", "ivy-cache, spark-user");
        assert_eq!(sample.by_none()[0], "spec.driver.annotations[spark-admission.io/skip] = ivy-cache,spark-user");
    }

    #[test]
    fn a_schedule_is_told_that_its_wishes_reach_nothing() {
        let sample = scheduled().with("/metadata/annotations/spark-admission.io~1skip", "ivy-dir");
        assert_eq!(
            sample.warnings(),
            ["annotation spark-admission.io/skip does not reach the runs; set spec.template.driver.annotations"]
        );
        assert_eq!(sample.decided().edits, []);
    }
}
