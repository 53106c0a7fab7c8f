//! Whether an operator watches the namespace: one that nobody watches is like no operator at all, and nothing says so.
//!
//! An operator's controller asks the API server for the resources of its namespaces alone (newCacheOptions in
//! cmd/operator/controller/start.go of spark-operator 2.4.0): of those elsewhere it never hears. Silent where it is unclear what an
//! operator watches. Without any operator it only warns: one may run outside of the cluster.

use crate::policy::field_path::path;
use crate::policy::finding::Findings;
use crate::policy::lookup::Question;
use crate::policy::mutations::Case;
use crate::policy::operators::Operators;
use crate::policy::subject::Resource;

/// How many of the namespaces that are watched are named.
const MOST_NAMES: usize = 5;

/// What must be asked: that the watches have not seen an operator for this namespace may be because they are a moment behind.
pub(super) fn question(case: &Case<'_>) -> Option<Question> {
    let namespace = case.request.namespace;
    let is_listed = case.policy.checks.namespace_not_watched.watched_namespaces.matches(namespace);
    let is_unwatched = case.snapshot.operators.as_ref()?.is_watched(namespace) == Some(false);
    (is_unwatched && !is_listed).then(|| Question::Watched { namespace: namespace.to_owned() })
}

/// Looks at a resource.
pub(super) fn of_resource(_: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let Some(question) = question(case) else { return };
    let Some(operators) = case.snapshot.operators.as_ref().filter(|_| case.snapshot.answers.is_no(&question)) else {
        return;
    };
    let (at, namespace) = (path(["metadata", "namespace"]), case.request.namespace);
    if operators.is_empty() {
        let problem = "no spark-operator runs in this cluster, so nothing will happen to this resource";
        findings.add_likely(
            at,
            problem,
            "install the operator; if it runs elsewhere, the policy's watchedNamespaces says so",
        );
        return;
    }
    let problem =
        format!("no spark-operator watches the namespace {namespace}: nothing will ever happen to this resource");
    let cure = format!("submit it to {}, or have {} watch {namespace}", watched(operators), named(operators));
    findings.add(at, problem, cure);
}

/// `jobs, team-a`, or `jobs, team-a and 7 others`.
fn watched(operators: &Operators) -> String {
    let names = operators.named();
    let shown = names[..names.len().min(MOST_NAMES)].join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        1 => format!("{shown} or another one that is watched"),
        more => format!("{shown} or {more} others that are watched"),
    }
}

/// The operators as an administrator finds them.
fn named(operators: &Operators) -> String {
    let names: Vec<_> = operators.iter().map(|it| format!("{}/{}", it.namespace, it.name)).collect();
    match names.as_slice() {
        [one] => format!("the operator {one} (its chart's spark.jobNamespaces)"),
        several => format!("one of the operators {} (their chart's spark.jobNamespaces)", several.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Check;
    use crate::policy::operators::{Operator, Watches};
    use crate::policy::testing::{Sample, application, driver, scheduled, spark_connect};
    use std::sync::Arc;

    fn these(names: &[&str]) -> Watches {
        Watches::These(names.iter().map(|name| Box::from(*name)).collect())
    }

    /// The sample on a cluster with operators that watch so, whose answer is the same when it is asked again.
    fn beside(mut sample: Sample, watches: Vec<Watches>) -> Sample {
        let operator = |(index, watches)| {
            let name = format!("so-{index}").into();
            Arc::new(Operator { namespace: "operators".into(), name, watches, configures_spark: false, version: None })
        };
        let operators = watches.into_iter().enumerate().map(operator).collect();
        sample.snapshot.operators = Some(Arc::new(Operators::new(operators)));
        let questions = sample.questions();
        sample.denied(questions)
    }

    const ALONE: &str = "metadata.namespace: no spark-operator watches the namespace jupyterhub-users: nothing will ever happen to this \
         resource; submit it to jobs, or have the operator operators/so-0 (its chart's spark.jobNamespaces) watch jupyterhub-users";

    #[test]
    #[rustfmt::skip]
    fn finds() {
        let others: Vec<_> = ["a", "b", "c", "d", "e", "f", "g"].to_vec();
        for (case, sample, expected) in [
            ("an application elsewhere", beside(application(), vec![these(&["jobs"])]), vec![ALONE.to_owned()]),
            ("a schedule elsewhere", beside(scheduled(), vec![these(&["jobs"])]), vec![ALONE.to_owned()]),
            ("a SparkConnect elsewhere", beside(spark_connect(), vec![these(&["jobs"])]), vec![ALONE.to_owned()]),
            ("two operators elsewhere", beside(application(), vec![these(&["jobs"]), these(&others)]), vec!["metadata.namespace: no spark-operator watches the namespace jupyterhub-users: nothing will ever happen to this resource; submit it to a, b, c, d, e or 3 others that are watched, or have one of the operators operators/so-0, operators/so-1 (their chart's spark.jobNamespaces) watch jupyterhub-users".to_owned()]),
            ("no operator", beside(application(), vec![]), vec!["metadata.namespace: no spark-operator runs in this cluster, so nothing will happen to this resource; install the operator; if it runs elsewhere, the policy's watchedNamespaces says so (at most a warning)".to_owned()]),
            ("where it is watched", beside(application(), vec![these(&["jobs", "jupyterhub-users"])]), vec![]),
            ("where one of two watches", beside(application(), vec![these(&["jobs"]), these(&["jupyterhub-users"])]), vec![]),
            ("where all is watched", beside(application(), vec![these(&["jobs"]), Watches::All]), vec![]),
            ("where one may watch", beside(application(), vec![these(&["jobs"]), Watches::Unclear]), vec![]),
            ("where the policy says so", beside(application().checked_under("namespace-not-watched: {watchedNamespaces: [jupyterhub-*]}"), vec![these(&["jobs"])]), vec![]),
            ("where the check is off", beside(application().checked_under("namespace-not-watched: {level: off}"), vec![these(&["jobs"])]), vec![]),
            ("a pod", beside(driver(), vec![these(&["jobs"])]), vec![]),
        ] {
            assert_eq!(sample.found(Check::NamespaceNotWatched), expected, "{case}");
        }
    }

    #[test]
    fn believes_no_watch_that_may_be_behind() {
        let sample = beside(application(), vec![these(&["jobs"])]).denied([]);
        assert_eq!(sample.found(Check::NamespaceNotWatched), [""; 0]);
        let mut unknown = beside(application(), vec![these(&["jobs"])]);
        unknown.snapshot.operators = None;
        assert_eq!(unknown.found(Check::NamespaceNotWatched), [""; 0]);
    }
}
