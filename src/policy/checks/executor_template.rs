//! `executor-template`: a `SparkConnect` without an executor template, or with one in which no containers are said.
//!
//! Operator 2.4.0 reads `executor.template` without looking whether there is one, panics and tries again for ever, without a status or an
//! event (internal/controller/sparkconnect/options.go; kubeflow/spark-operator#2807, mended in 2.5.0). Of a template without `containers`
//! it writes `containers: null` into the template's file, on which Spark dies of a `NullPointerException` in
//! `KubernetesUtils.selectSparkContainer`. `containers: []` is written as such, and Spark makes a container of its own.

use crate::policy::document::Kind;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::subject::Resource;

/// The version of the operator that can do without a template.
const MENDED: (u32, u32) = (2, 5);
const CURE: &str = "write template: {spec: {containers: [{name: spark-kubernetes-executor}]}}";

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let executor = resource.spec().get("executor");
    // The operator's schema refuses a resource without the section.
    if !executor.is_object() {
        return;
    }
    let place = resource.spec_path().then(["executor", "template"]);
    if executor.get("template").is_null() {
        if case.operator_is_at_least(MENDED) {
            return;
        }
        let problem = "the operator (up to 2.4) fails without it for ever, with no status and no event";
        findings.add(place, problem, CURE);
    } else if executor.get("template").get("spec").get("containers").kind() != Kind::List {
        let problem = "Spark cannot load a template without containers (NullPointerException)";
        findings.add(place.then(["spec", "containers"]), problem, CURE);
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::spark_connect;
    use serde_json::{Value, json};

    #[test]
    #[rustfmt::skip]
    fn finds_templates_that_fail() {
        let cure = "write template: {spec: {containers: [{name: spark-kubernetes-executor}]}}";
        let none = format!("spec.executor.template: the operator (up to 2.4) fails without it for ever, with no status and no event; {cure}");
        let empty = format!("spec.executor.template.spec.containers: Spark cannot load a template without containers (NullPointerException); {cure}");
        let template = |template: Value| spark_connect().with("/spec/executor", json!({"instances": 1, "template": template}));
        for (case, resource, expected) in [
            ("none", spark_connect().with("/spec/executor/template", Value::Null), &[none.as_str()][..]),
            ("null", template(Value::Null), &[&none]),
            ("an empty one", template(json!({})), &[&empty]),
            ("labels alone", template(json!({"metadata": {"labels": {"team": "data"}}})), &[&empty]),
            ("a selector alone", template(json!({"spec": {"nodeSelector": {"a": "b"}}})), &[&empty]),
            ("containers of null", template(json!({"spec": {"containers": null}})), &[&empty]),
            ("an empty list, which Spark can load", template(json!({"spec": {"containers": []}})), &[]),
            ("a container", spark_connect(), &[]),
            ("a container of another name", template(json!({"spec": {"containers": [{"name": "mine"}]}})), &[]),
            ("no executor section", spark_connect().with("/spec/executor", Value::Null), &[]),
        ] {
            assert_eq!(resource.found(Check::ExecutorTemplate), expected, "{case}");
        }
        let absent = || spark_connect().with("/spec/executor/template", Value::Null);
        let none = none.as_str();
        for (case, resource, expected) in [
            ("an operator that can do without", absent().beside_operator("2.5.0"), &[][..]),
            ("one that cannot", absent().beside_operator("2.4.0"), &[none]),
            ("one that says no version", absent().beside_operator("latest"), &[none]),
            ("an empty template, with any operator", template(json!({})).beside_operator("2.5.2"), &[&empty]),
        ] {
            assert_eq!(resource.found(Check::ExecutorTemplate), expected, "{case}");
        }
    }
}
