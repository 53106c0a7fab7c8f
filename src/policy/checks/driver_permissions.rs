//! Whether the driver's account may do what a driver does: get executors, and clean up after them.
//!
//! Asked for is what Spark 3.5 and 4 use, one by one taken away from a real driver (`tests/control_plane/driver_rights.rs`): without some
//! of it a driver dies or never gets an executor, without the rest it runs and leaves things behind. What no driver uses (`get services`,
//! say) is not asked for, and nobody is nagged about it.

use crate::policy::finding::Findings;
use crate::policy::lookup::{Account, DRIVER_VERBS, Question, Right};
use crate::policy::mutations::Case;
use crate::policy::role::Role;
use crate::policy::subject::{NamedAccount, Pod, Resource, ResourceKind};

use super::service_account_missing;

/// A right that drivers use.
#[derive(Debug, Clone, Copy)]
struct Need {
    right: Right,
    /// Whether nothing works without it.
    is_vital: bool,
}

const fn vital(verb: &'static str, resource: &'static str) -> Need {
    Need { right: Right { verb, resource }, is_vital: true }
}

const fn useful(verb: &'static str, resource: &'static str) -> Need {
    Need { right: Right { verb, resource }, is_vital: false }
}

/// Its own pod is the executors' owner (`ExecutorPodsAllocator.driverPod`).
const GET_PODS: Need = vital("get", "pods");
/// `ExecutorPodsWatchSnapshotSource`
const WATCH_PODS: Need = vital("watch", "pods");
const CREATE_PODS: Need = vital("create", "pods");
/// `ExecutorPodsPollingSnapshotSource`
const LIST_PODS: Need = useful("list", "pods");
/// `ExecutorPodsLifecycleManager.removeExecutorFromK8s`
const DELETE_PODS: Need = useful("delete", "pods");
/// `AbstractPodsAllocator.stop`
const DELETE_ALL_PODS: Need = useful("deletecollection", "pods");
/// `KubernetesClusterSchedulerBackend.setUpExecutorConfigMap`
const CREATE_CONFIG_MAPS: Need = vital("create", "configmaps");
/// `KubernetesClusterSchedulerBackend.stop`, as the next ones.
const DELETE_ALL_CONFIG_MAPS: Need = useful("deletecollection", "configmaps");
const DELETE_ALL_SERVICES: Need = useful("deletecollection", "services");
/// `ExecutorPodsAllocator.requestNewExecutors`
const CREATE_CLAIMS: Need = vital("create", "persistentvolumeclaims");
const DELETE_ALL_CLAIMS: Need = useful("deletecollection", "persistentvolumeclaims");

/// What an account of this name needs, and where it is named.
struct Driver<'a> {
    account: NamedAccount<'a>,
    needs: Vec<Need>,
    sure_of: Sure,
}

/// Of what it is sure that nothing works without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sure {
    /// The account may turn out to be another one, or get its rights before it needs them.
    Nothing,
    /// That the driver finds its own pod; the rest can be configured away.
    OwnPod,
    /// Every vital right.
    Vital,
}

/// What must be asked about a pod.
pub(super) fn questions_of_pod(pod: &Pod<'_>, case: &Case<'_>) -> Vec<Question> {
    of_plain_driver(pod).map_or_else(Vec::new, |driver| driver.questions(case).collect())
}

/// What must be asked about a resource.
pub(super) fn questions_of_resource(resource: &Resource<'_>, case: &Case<'_>) -> Vec<Question> {
    of_resource_driver(resource, case).map_or_else(Vec::new, |driver| driver.questions(case).collect())
}

/// Looks at a pod.
pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, findings: &mut Findings) {
    if let Some(driver) = of_plain_driver(pod) {
        driver.judge(case, findings);
    }
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    if let Some(driver) = of_resource_driver(resource, case) {
        driver.judge(case, findings);
    }
}

impl Driver<'_> {
    fn questions(&self, case: &Case<'_>) -> impl Iterator<Item = Question> {
        self.needs.iter().map(|need| self.question(need, case))
    }

    fn question(&self, need: &Need, case: &Case<'_>) -> Question {
        let account = Account { namespace: case.request.namespace.to_owned(), name: self.account.name.to_owned() };
        Question::Access(account, need.right)
    }

    fn judge(self, case: &Case<'_>, findings: &mut Findings) {
        let answers = &case.snapshot.answers;
        if answers.is_no(&service_account_missing::question(&self.account, case)) {
            return;
        }
        let missing: Vec<_> =
            self.needs.iter().filter(|need| answers.is_no(&self.question(need, case))).copied().collect();
        if missing.is_empty() {
            return;
        }
        let is_vital = missing.iter().any(|need| need.is_vital);
        let is_sure = match self.sure_of {
            Sure::Nothing => false,
            Sure::OwnPod => missing.iter().any(|need| need.right == GET_PODS.right),
            Sure::Vital => is_vital,
        };
        let NamedAccount { name, path, .. } = self.account;
        let effect = if is_vital { "it cannot get executors" } else { "what it makes stays behind" };
        let problem = format!("the account {name} may not {}: {effect}", listed(&missing));
        let cure = cure(name, case.request.namespace, &self.needs);
        if is_sure {
            findings.add(path, problem, cure);
        } else {
            findings.add_likely(path, problem, cure);
        }
    }
}

/// `get,watch pods, create configmaps`
fn listed(missing: &[Need]) -> String {
    let mut resources: Vec<_> = missing.iter().map(|need| need.right.resource).collect();
    resources.dedup();
    let verbs = |resource| {
        let verbs = missing.iter().map(|need| need.right).filter(|right| right.resource == resource);
        format!("{} {resource}", verbs.map(|right| right.verb).collect::<Vec<_>>().join(","))
    };
    resources.into_iter().map(verbs).collect::<Vec<_>>().join(", ")
}

/// What gives the account all that drivers use, as one line to paste.
fn cure(name: &str, namespace: &str, needs: &[Need]) -> String {
    let claims =
        if needs.iter().any(|need| need.right == CREATE_CLAIMS.right) { ",persistentvolumeclaims" } else { "" };
    format!(
        "kubectl create role {name} --verb={DRIVER_VERBS} --resource=pods,services,configmaps{claims} -n {namespace}; \
         kubectl create rolebinding {name} --role={name} --serviceaccount={namespace}:{name} -n {namespace}"
    )
}

/// A driver that no operator made. What an operator made was judged with its resource, whose author was told.
fn of_plain_driver<'a>(pod: &Pod<'a>) -> Option<Driver<'a>> {
    if pod.role() != Role::Driver || pod.is_made_by_controller() || pod.has_credentials_of_its_own() {
        return None;
    }
    // Its configuration is in a config map that is made after it: only what no configuration changes is sure.
    let needs = [GET_PODS, WATCH_PODS, LIST_PODS, CREATE_PODS, DELETE_PODS, DELETE_ALL_PODS, CREATE_CONFIG_MAPS];
    let needs = needs.into_iter().chain([DELETE_ALL_CONFIG_MAPS, DELETE_ALL_SERVICES]);
    let account = pod.service_account().filter(NamedAccount::is_possible)?;
    Some(Driver { account, needs: needs.collect(), sure_of: Sure::OwnPod })
}

fn of_resource_driver<'a>(resource: &Resource<'a>, case: &Case<'_>) -> Option<Driver<'a>> {
    let account = resource.driver_account().filter(NamedAccount::is_possible)?;
    let is_elsewhere = resource.spark_conf("spark.kubernetes.namespace").is_some_and(|it| it != case.request.namespace);
    let is_direct = |allocator: &str| allocator == "direct";
    let allocator = resource.spark_conf("spark.kubernetes.allocation.pods.allocator");
    if is_elsewhere || resource.has_credentials_of_its_own() || !allocator.is_none_or(is_direct) {
        return None;
    }
    // The operator's own configuration of Spark may name an account for all applications. Connect servers do not read it.
    let may_be_configured = !account.is_named && resource.kind() != ResourceKind::SparkConnect;
    let operators = case.snapshot.operators.as_deref();
    if may_be_configured && operators.is_some_and(|all| all.iter().any(|operator| operator.configures_spark)) {
        return None;
    }
    // Where nobody names an account, another webhook may still do so for the pod.
    let sure_of = if account.is_named && !resource.runs_later() { Sure::Vital } else { Sure::Nothing };
    Some(Driver { account, needs: needs(resource), sure_of })
}

fn needs(resource: &Resource<'_>) -> Vec<Need> {
    let is = |key: &str, value: &str| resource.spark_conf(key).is_some_and(|it| it.trim() == value);
    let mut needs = vec![GET_PODS, WATCH_PODS, LIST_PODS, CREATE_PODS, DELETE_PODS, DELETE_ALL_PODS];
    if is("spark.kubernetes.executor.enableApiWatcher", "false") {
        needs.retain(|need| need.right != WATCH_PODS.right);
    }
    if resource.keeps_executors() {
        needs.retain(|need| need.right != DELETE_PODS.right && need.right != DELETE_ALL_PODS.right);
    }
    if !is("spark.kubernetes.executor.disableConfigMap", "true") {
        needs.extend([CREATE_CONFIG_MAPS, DELETE_ALL_CONFIG_MAPS]);
    }
    if !is("spark.kubernetes.driver.service.deleteOnTermination", "false") {
        needs.push(DELETE_ALL_SERVICES);
    }
    if resource.has_claims_on_demand() {
        needs.extend([CREATE_CLAIMS, DELETE_ALL_CLAIMS]);
    }
    needs
}

#[cfg(test)]
mod tests {
    use super::{Need, listed};
    use crate::policy::Check;
    use crate::policy::lookup::{Account, Question, Right};
    use crate::policy::testing::{
        Sample, application, connect_server, driver, executor, notebook, scheduled, spark_connect,
    };
    use serde_json::json;

    const ALL: &str = "get,watch,list,create,delete,deletecollection pods, create,deletecollection configmaps, deletecollection services";

    /// What is asked about an account, as `driver-permissions` lists what is missing.
    fn asked(sample: &Sample, name: &str) -> String {
        let rights = sample.questions().into_iter().filter_map(|question| match question {
            Question::Access(Account { namespace, name: its }, right) => {
                assert_eq!((namespace.as_str(), its.as_str()), ("jupyterhub-users", name));
                Some(right)
            }
            _ => None,
        });
        listed(&rights.map(|right| Need { right, is_vital: false }).collect::<Vec<_>>())
    }

    /// The sample where the account may not do this, written `verb resource`; `*` is anything that is asked.
    fn without(sample: Sample, rights: &str) -> Sample {
        let denied: Vec<_> = sample
            .questions()
            .into_iter()
            .filter(|question| match question {
                Question::Access(_, Right { verb, resource }) => {
                    rights == "*" || rights.split(", ").any(|it| it == format!("{verb} {resource}"))
                }
                _ => false,
            })
            .collect();
        sample.denied(denied)
    }

    fn named() -> Sample {
        application().with("/spec/driver/serviceAccount", "spark")
    }

    #[test]
    #[rustfmt::skip]
    fn asks_for_what_a_driver_uses() {
        let server = || spark_connect().with("/spec/server/template/spec/serviceAccountName", "spark");
        let conf = |sample: Sample, key: &str, value: &str| sample.with(&format!("/spec/sparkConf/{key}"), value);
        let claim = "spark.kubernetes.executor.volumes.persistentVolumeClaim.data.options.claimName";
        for (case, sample, expected) in [
            ("an application", named(), ALL.to_owned()),
            ("a server", server(), ALL.to_owned()),
            ("a plain driver", driver().with("/spec/serviceAccountName", "spark"), ALL.to_owned()),
            ("claims on demand", conf(named(), claim, "OnDemand"), format!("{ALL}, create,deletecollection persistentvolumeclaims")),
            ("claims on demand by a volume", named().with("/spec/volumes", json!([{"name": "spark-local-dir-1", "persistentVolumeClaim": {"claimName": "OnDemand"}}])), format!("{ALL}, create,deletecollection persistentvolumeclaims")),
            ("a claim that is there", conf(named(), claim, "data"), ALL.to_owned()),
            ("the driver's claim, which spark-submit makes", conf(named(), &claim.replace("executor", "driver"), "OnDemand"), ALL.to_owned()),
            ("executors that stay", named().with("/spec/executor/deleteOnTermination", false), ALL.replace(",delete,deletecollection pods", " pods")),
            ("no config map", conf(named(), "spark.kubernetes.executor.disableConfigMap", "true"), ALL.replace(", create,deletecollection configmaps", "")),
            ("a service that stays", conf(named(), "spark.kubernetes.driver.service.deleteOnTermination", "false"), ALL.replace(", deletecollection services", "")),
            ("no watch", conf(named(), "spark.kubernetes.executor.enableApiWatcher", "false"), ALL.replace("get,watch,list", "get,list")),
            ("another allocator", conf(named(), "spark.kubernetes.allocation.pods.allocator", "statefulset"), String::new()),
            ("another namespace", conf(named(), "spark.kubernetes.namespace", "elsewhere"), String::new()),
            ("this namespace, said", conf(named(), "spark.kubernetes.namespace", "jupyterhub-users"), ALL.to_owned()),
            ("a token of its own", conf(named(), "spark.kubernetes.authenticate.driver.mounted.oauthTokenFile", "/t"), String::new()),
            ("a server's token of its own", conf(server(), "spark.kubernetes.authenticate.oauthTokenFile", "/t"), String::new()),
            ("a token for the submission alone", conf(named(), "spark.kubernetes.authenticate.submission.oauthTokenFile", "/t"), ALL.to_owned()),
            ("a kubeconfig", server().with("/spec/server/template/spec/containers", json!([{"name": "spark-kubernetes-driver", "env": [{"name": "KUBECONFIG", "value": "/k"}]}])), String::new()),
            ("another API server", named().with("/spec/driver/kubernetesMaster", "k8s://https://elsewhere"), String::new()),
            ("the operator's own pod", named().with("/spec/mode", "client"), String::new()),
            ("a plain driver with a secret", driver().with("/spec/serviceAccountName", "spark").with("/spec/volumes", json!([{"name": "kubernetes-credentials", "secret": {"secretName": "s"}}])), String::new()),
            ("a plain driver with what the API server adds", driver().with("/spec/serviceAccountName", "spark").with("/spec/volumes", json!([{"name": "kube-api-access-x7k2p", "projected": {}}])), ALL.to_owned()),
            ("an operator's driver, whose resource was asked about", driver().with("/spec/serviceAccountName", "spark").with("/metadata/labels/sparkoperator.k8s.io~1launched-by-spark-operator", "true"), String::new()),
            ("an operator's server", connect_server("").with("/spec/serviceAccountName", "spark"), String::new()),
            ("an executor, which waits for nothing", executor().with("/spec/serviceAccountName", "spark"), String::new()),
            ("a notebook, which may not want executors", notebook().with("/spec/serviceAccountName", "spark"), String::new()),
            ("an impossible account", application().with("/spec/driver/serviceAccount", "a; rm -rf /"), String::new()),
            ("where the check is off", named().checked_under("driver-permissions: {level: off}"), String::new()),
        ] {
            assert_eq!(asked(&sample, "spark"), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn finds() {
        let cure = |name: &str| format!("kubectl create role {name} --verb=create,get,list,watch,patch,delete,deletecollection --resource=pods,services,configmaps -n jupyterhub-users; kubectl create rolebinding {name} --role={name} --serviceaccount=jupyterhub-users:{name} -n jupyterhub-users");
        let told = |path: &str, name: &str, missing: &str, effect: &str| vec![format!("{path}: the account {name} may not {missing}: {effect}; {}", cure(name))];
        let likely = |told: Vec<String>| told.into_iter().map(|it| it + " (at most a warning)").collect::<Vec<_>>();
        let (dead, untidy) = ("it cannot get executors", "what it makes stays behind");
        let at = "spec.driver.serviceAccount";
        for (case, sample, expected) in [
            ("everything", without(named(), "*"), told(at, "spark", ALL, dead)),
            ("what is vital", without(named(), "create pods, create configmaps"), told(at, "spark", "create pods, create configmaps", dead)),
            ("what only cleans up, as in many a role", without(named(), "deletecollection pods, deletecollection configmaps, deletecollection services"), likely(told(at, "spark", "deletecollection pods, deletecollection configmaps, deletecollection services", untidy))),
            ("a server", without(spark_connect().with("/spec/server/template/spec/serviceAccountName", "spark"), "create pods"), told("spec.server.template.spec.serviceAccountName", "spark", "create pods", dead)),
            ("a server that names no account, which another webhook may do", without(spark_connect(), "create pods"), likely(told("spec.server.template.spec.serviceAccountName", "default", "create pods", dead))),
            ("the namespace's own account, unless the operator's configuration names another", without(application(), "create pods"), likely(told(at, "default", "create pods", dead))),
            ("a schedule, whose rights may come in time", without(scheduled().with("/spec/template/driver/serviceAccount", "spark"), "create pods"), likely(told("spec.template.driver.serviceAccount", "spark", "create pods", dead))),
            ("a plain driver that cannot even find itself", without(driver().with("/spec/serviceAccountName", "spark"), "get pods"), told("spec.serviceAccountName", "spark", "get pods", dead)),
            ("a plain driver whose configuration is not known", without(driver().with("/spec/serviceAccountName", "spark"), "create pods, create configmaps"), likely(told("spec.serviceAccountName", "spark", "create pods, create configmaps", dead))),
            ("nothing", without(named(), "get services"), vec![]),
        ] {
            assert_eq!(sample.found(Check::DriverPermissions), expected, "{case}");
        }
    }

    #[test]
    fn an_account_that_is_missing_is_told_once() {
        let account = Account { namespace: "jupyterhub-users".to_owned(), name: "spark".to_owned() };
        let all = named().questions();
        let sample = named().denied(all);
        assert_eq!(sample.found(Check::DriverPermissions), [""; 0]);
        assert_eq!(sample.found(Check::ServiceAccountMissing).len(), 1);
        assert!(sample.questions().contains(&Question::ServiceAccount(account)));
    }

    #[test]
    fn says_nothing_of_a_default_account_where_the_operator_may_have_defaults() {
        use crate::policy::operators::{Operator, Operators, Watches};
        let beside = |mut sample: Sample, configures_spark| {
            let operator = Operator {
                namespace: "o".into(),
                name: "o".into(),
                watches: Watches::All,
                configures_spark,
                version: None,
            };
            sample.snapshot.operators = Some(std::sync::Arc::new(Operators::new(vec![operator.into()])));
            sample
        };
        assert_eq!(asked(&beside(application(), false), "default"), ALL);
        assert_eq!(asked(&beside(application(), true), "default"), "");
        assert_eq!(asked(&beside(named(), true), "spark"), ALL);
        assert_eq!(asked(&beside(spark_connect(), true), "default"), ALL);
    }
}
