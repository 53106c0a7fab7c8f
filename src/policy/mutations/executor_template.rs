//! `executor-template`: a `SparkConnect` has an executor template with Spark's container in it.
//!
//! Operator 2.4.0 dereferences `executor.template` without a check and panics for ever where it is absent
//! (internal/controller/sparkconnect/options.go; kubeflow/spark-operator#2807); a template without containers makes Spark die of a
//! `NullPointerException` in selectSparkContainer. A container that has but its name changes nothing else.

use serde_json::json;

use super::{Case, Outcome, Plan, Resource};
use crate::policy::document::items;
use crate::policy::names::EXECUTOR_CONTAINER;
use crate::policy::outcome::Skip;

pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let executor = resource.spec().get("executor");
    if !executor.is_object() {
        return Outcome::Skipped(Skip::NoExecutor);
    }
    if items(executor.get("template").get("spec").get("containers")).is_empty() {
        let containers = resource.spec_path().then(["executor", "template", "spec", "containers"]);
        plan.append(containers, json!({"name": EXECUTOR_CONTAINER}));
        plan.warn("added the container that the operator needs to spec.executor.template.spec.containers");
    }
    plan.outcome()
}
