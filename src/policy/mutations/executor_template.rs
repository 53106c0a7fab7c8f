//! `executor-template`: a `SparkConnect` has an executor template with Spark's container in it.
//!
//! Operator 2.4.0 dereferences `executor.template` without a check and panics for ever where it is absent
//! (internal/controller/sparkconnect/options.go; kubeflow/spark-operator#2807); a template without containers makes Spark die of a
//! `NullPointerException` in selectSparkContainer. A container that has but its name changes nothing else.

use serde_json::json;

use super::{Case, Outcome, Plan, Resource};
use crate::policy::names::EXECUTOR_CONTAINER;
use crate::policy::outcome::Skip;

pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let executor = resource.spec().get("executor");
    if !executor.is_object() {
        return Outcome::Skipped(Skip::NoExecutor);
    }
    if executor.get("template").get("spec").get("containers").items().next().is_none() {
        let containers = resource.spec_path().then(["executor", "template", "spec", "containers"]);
        plan.append(containers, json!({"name": EXECUTOR_CONTAINER}));
        plan.warn("added the container that the operator needs to spec.executor.template.spec.containers");
    }
    plan.outcome()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Mutation;
    use crate::policy::testing::{application, spark_connect};

    #[test]
    #[rustfmt::skip]
    fn decides() {
        let added = r#"spec.executor.template.spec.containers + {"name":"spark-kubernetes-executor"}"#;
        let other = json!([{"name": "mine"}]);
        for (case, resource, expected) in [
            ("a template with a container of another name", spark_connect().with("/spec/executor/template/spec/containers", other), &["skipped: nothing-to-do"][..]),
            ("no template", spark_connect().with("/spec/executor/template", serde_json::Value::Null), &[added]),
            ("an empty template", spark_connect().with("/spec/executor/template", json!({})), &[added]),
            ("a template without containers", spark_connect().with("/spec/executor/template/spec", json!({"nodeSelector": {"a": "b"}})), &[added]),
            ("an empty list of containers", spark_connect().with("/spec/executor/template/spec/containers", json!([])), &[added]),
            ("no executor section, which the operator's schema refuses", spark_connect().with("/spec/executor", serde_json::Value::Null), &["skipped: no-executor"]),
            ("an application has no such template", application(), &[]),
        ] {
            assert_eq!(resource.by(Mutation::ExecutorTemplate), expected, "{case}");
        }
    }
}
