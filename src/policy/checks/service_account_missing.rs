//! Whether the account that the driver or server runs as exists, and that of the executors where one is named.
//!
//! The API server admits no pod whose account is missing (its admission plugin `ServiceAccount`). So a pod that is under review has its
//! account, and only resources are looked at. The account `default` is made for each namespace a moment after it, and again when
//! somebody deletes it: it is never missing.

use crate::policy::finding::Findings;
use crate::policy::lookup::{Account, Question};
use crate::policy::mutations::Case;
use crate::policy::subject::{NamedAccount, Resource};

/// What must be asked: whether each account exists.
pub(super) fn questions(resource: &Resource<'_>, case: &Case<'_>) -> Vec<Question> {
    accounts(resource).iter().map(|account| question(account, case)).collect()
}

/// Whether an account exists in the namespace of the review.
pub(super) fn question(account: &NamedAccount<'_>, case: &Case<'_>) -> Question {
    Question::ServiceAccount(Account { namespace: case.request.namespace.to_owned(), name: account.name.to_owned() })
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let namespace = case.request.namespace;
    for account in accounts(resource) {
        if !case.snapshot.answers.is_no(&question(&account, case)) {
            continue;
        }
        let name = account.name;
        let problem = format!("there is no service account \"{name}\" in the namespace {namespace}");
        let cure = if account.is_possible() {
            format!("create it (kubectl create serviceaccount {name} -n {namespace}), or name one that is there")
        } else {
            "nor can there be one of that name; name one that is there".to_owned()
        };
        // What does not run yet may find its account when it does.
        if resource.runs_later() {
            findings.add_likely(account.path, problem, cure);
        } else {
            findings.add(account.path, problem, cure);
        }
    }
}

/// Those of the driver or server and of the executors that could be missing, each once.
fn accounts<'a>(resource: &Resource<'a>) -> Vec<NamedAccount<'a>> {
    let mut all: Vec<NamedAccount<'a>> = Vec::new();
    for account in resource.driver_account().into_iter().chain(resource.executor_account()) {
        if !account.is_default() && all.iter().all(|known| known.name != account.name) {
            all.push(account);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::lookup::{Account, Question};
    use crate::policy::testing::{Sample, application, driver, scheduled, spark_connect};

    fn missing(name: &str) -> Question {
        Question::ServiceAccount(Account { namespace: "jupyterhub-users".to_owned(), name: name.to_owned() })
    }

    fn without(sample: Sample, name: &str) -> Sample {
        sample.denied([missing(name)])
    }

    fn told(path: &str) -> Vec<String> {
        vec![format!(
            "{path}: there is no service account \"spark\" in the namespace jupyterhub-users; create it (kubectl create serviceaccount \
             spark -n jupyterhub-users), or name one that is there"
        )]
    }

    #[test]
    #[rustfmt::skip]
    fn finds() {
        let named = || application().with("/spec/driver/serviceAccount", "spark");
        let server = "/spec/server/template/spec/serviceAccountName";
        let likely = |told: Vec<String>| told.into_iter().map(|it| it + " (at most a warning)").collect();
        for (case, sample, expected) in [
            ("a driver's", without(named(), "spark"), told("spec.driver.serviceAccount")),
            ("an executor's", without(application().with("/spec/executor/serviceAccount", "spark"), "spark"), told("spec.executor.serviceAccount")),
            ("both, which is one", without(named().with("/spec/executor/serviceAccount", "spark"), "spark"), told("spec.driver.serviceAccount")),
            ("a server's", without(spark_connect().with(server, "spark"), "spark"), told("spec.server.template.spec.serviceAccountName")),
            ("a schedule's, which may be there in time", without(scheduled().with("/spec/template/driver/serviceAccount", "spark"), "spark"), likely(told("spec.template.driver.serviceAccount"))),
            ("that of something suspended", without(named().with("/spec/suspend", true), "spark"), likely(told("spec.driver.serviceAccount"))),
            ("one that cannot be", without(application().with("/spec/driver/serviceAccount", "Spark Driver"), "Spark Driver"), vec!["spec.driver.serviceAccount: there is no service account \"Spark Driver\" in the namespace jupyterhub-users; nor can there be one of that name; name one that is there".to_owned()]),
            ("one that is there", named().denied([]), vec![]),
            ("another one that is missing", without(named(), "other"), vec![]),
            ("the namespace's own", without(application(), "default"), vec![]),
            ("where the check is off", without(named().checked_under("service-account-missing: {level: off}"), "spark"), vec![]),
        ] {
            assert_eq!(sample.found(Check::ServiceAccountMissing), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn asks_for_nothing_else() {
        let named = || application().with("/spec/driver/serviceAccount", "spark");
        let asked = |sample: &Sample| sample.questions().into_iter().filter(|question| question.kind() == "service-account").collect::<Vec<_>>();
        for (case, sample, expected) in [
            ("an account that is named", named(), vec![missing("spark")]),
            ("another one for executors", named().with("/spec/executor/serviceAccount", "exec"), vec![missing("spark"), missing("exec")]),
            ("an update of the account", named().updating(application().with("/spec/driver/serviceAccount", "old")), vec![missing("spark"), missing("old")]),
            ("an update of nothing", named().with("/metadata/labels/a", "b").updating(named()), vec![]),
            ("the namespace's own", application(), vec![]),
            ("a pod, which the API server looks at itself", driver().with("/spec/serviceAccountName", "spark"), vec![]),
            ("what is off", named().checked_under("service-account-missing: {level: off}"), vec![]),
            ("what is off here", named().checked_under("service-account-missing: {excludeNamespaces: [jupyterhub-*]}"), vec![]),
        ] {
            assert_eq!(asked(&sample), expected, "{case}");
        }
    }
}
