//! What is wrong around Spark work: nobody watches its namespace, its account is missing or may do nothing. What its author gets without
//! the webhook, which is little, and with it; and that nobody is told of what is in order, or not known.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    cluster::{Answer, Cluster, Namespace, Operator, Registered, Spark},
    nodes::measured,
    support::{
        eventually,
        process::{run, spark_admission},
        server::Setup,
        within,
    },
};

const DENY: &str =
    "{namespace-not-watched: {level: deny}, service-account-missing: {level: deny}, driver-permissions: {level: deny}}";
/// Of accounts alone: no operator is installed where these tests run.
const DENY_ACCOUNTS: &str =
    "{namespace-not-watched: {level: off}, service-account-missing: {level: deny}, driver-permissions: {level: deny}}";
const WARN_ACCOUNTS: &str = "{namespace-not-watched: {level: off}}";

fn policy(checks: &str) -> String {
    format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\nchecks: {checks}\n")
}

/// Of operators alone, since no account of these tests may do anything.
fn watched_at(level: &str) -> String {
    format!("{{namespace-not-watched: {{level: {level}}}, driver-permissions: {{level: off}}}}")
}

/// A control plane for what concerns every namespace: which operators there are.
async fn with_operators() -> &'static Cluster {
    static MINE: OnceCell<&Cluster> = OnceCell::const_new();
    MINE.get_or_init(Cluster::of_several_tests).await
}

/// One test that changes which operators there are after the other.
static OPERATORS: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn application(account: Option<&str>) -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": "report"},
        "spec": {
            "type": "Scala", "mode": "cluster", "image": "apache/spark:3.5.9", "sparkVersion": "3.5.9", "mainClass": "Report",
            "mainApplicationFile": "local:///opt/job.jar", "restartPolicy": {"type": "Never"},
            "driver": {"cores": 1, "serviceAccount": account}, "executor": {"instances": 1}
        }
    })
}

fn schedule(account: &str) -> Value {
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "ScheduledSparkApplication", "metadata": {"name": "nightly"},
        "spec": {"schedule": "@daily", "template": application(Some(account))["spec"]}
    })
}

fn connect(name: &str, account: Option<&str>) -> Value {
    let template = account.map(
        |account| json!({"spec": {"serviceAccountName": account, "containers": [{"name": "spark-kubernetes-driver"}]}}),
    );
    json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": name},
        "spec": {
            "sparkVersion": "4.0.1", "image": "apache/spark:4.0.1", "server": {"template": template},
            "executor": {"instances": 1, "template": {"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}}}
        }
    })
}

fn account(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
}

/// What `kubectl create role` and `kubectl create rolebinding` of the cure make.
fn cure(here: &Namespace, name: &str) -> [Value; 2] {
    let version = "rbac.authorization.k8s.io/v1";
    [
        json!({
            "apiVersion": version, "kind": "Role", "metadata": {"name": name},
            "rules": [{
                "apiGroups": [""], "resources": ["pods", "services", "configmaps"],
                "verbs": ["create", "get", "list", "watch", "patch", "delete", "deletecollection"]
            }]
        }),
        json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": here.name}]
        }),
    ]
}

/// What the author is told by a check: the refusal, else the warnings.
fn told(answer: &Answer, check: &str) -> Option<String> {
    let refusal = (!answer.is_success()).then(|| answer.message().to_owned());
    refusal.into_iter().chain(answer.warnings.clone()).find(|text| text.contains(&format!("{check}: ")))
}

/// The events and the status that an object has got so far.
async fn heard_of(here: &Namespace, object: &Value) -> (Vec<String>, Value) {
    let name = &object["metadata"]["name"];
    let events = here.all("events").await.into_iter().filter(|event| event["involvedObject"]["name"] == *name);
    (events.map(|event| event["message"].to_string()).collect(), here.get(object).await["status"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_namespace_that_nobody_watches_nothing_happens_and_its_author_is_told() {
    let _alone = OPERATORS.lock().await;
    let cluster = with_operators().await;
    let (watched, elsewhere) = (Namespace::on(cluster, &json!({})).await, Namespace::on(cluster, &json!({})).await);
    let kinds = || [application(Some("spark")), schedule("spark"), connect("analytics", Some("spark"))];

    // Without the webhook: a server where it is watched, and elsewhere nothing at all.
    let operator = Operator::controller(&watched, &[], &[]).await;
    for resource in kinds() {
        elsewhere.create(&resource).await.object();
    }
    watched.create(&connect("analytics", Some("spark"))).await.object();
    eventually("there is a server where it is watched", async || watched.pods_of("connect-server").await.len() == 1)
        .await;
    for resource in kinds() {
        assert_eq!(heard_of(&elsewhere, &resource).await, (vec![], Value::Null), "{}", resource["kind"]);
    }
    assert_eq!(elsewhere.all("pods").await.len(), 0);
    assert!(!operator.log().contains(&elsewhere.name), "not a line of its log");
    for resource in kinds() {
        elsewhere.delete(&resource).await.object();
    }
    watched.delete(&connect("analytics", None)).await.object();
    drop(operator);

    let mut deployment = Operator::deployment(&watched).await;
    watched.create(&deployment).await.object();
    let denying = Registered::watching(&elsewhere, &policy(&watched_at("deny"))).await;
    let warning = Registered::watching(&watched, &policy(&watched_at("warn"))).await;
    let name = deployment["metadata"]["name"].as_str().unwrap().to_owned();
    let expected = format!(
        "namespace-not-watched: metadata.namespace: no spark-operator watches the namespace {}: nothing will ever happen to this \
         resource; submit it to {}, or have the operator {}/{name} (its chart's spark.jobNamespaces) watch {}",
        elsewhere.name, watched.name, watched.name, elsewhere.name
    );
    for resource in kinds() {
        let kind = &resource["kind"];
        let answer = elsewhere.create_dry(&resource).await;
        assert_eq!(answer.status, 403, "{kind}: {:?}", answer.body);
        assert!(answer.message().contains(&expected), "{kind}: {}", answer.message());
        let here = watched.create_dry(&resource).await;
        assert!(here.is_success() && told(&here, "namespace-not-watched").is_none(), "{kind}: {:?}", here.warnings);
    }

    // The watch follows what the operator is given; a namespace that has just been added is not refused for a moment.
    let mut given = async |namespaces: Option<&str>| {
        let args = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array_mut().unwrap();
        args.retain(|argument| !argument.as_str().unwrap().starts_with("--namespaces"));
        args.extend(namespaces.map(Value::from));
        watched.replace(&deployment).await.object();
    };
    let is_admitted = async || elsewhere.create_dry(&application(Some("spark"))).await.is_success();
    let both = format!("--namespaces={},{}", watched.name, elsewhere.name);
    for (case, namespaces) in [
        ("both are watched", Some(both.as_str())),
        ("all are, as the chart writes it", Some("--namespaces=\"\"")),
        ("all are", None),
        ("who knows", Some("--namespaces=$(JOBS)")),
    ] {
        given(namespaces).await;
        assert!(is_admitted().await, "{case}");
        given(Some("--namespaces=jobs")).await;
        eventually(&format!("after {case}: another one is watched"), async || !is_admitted().await).await;
    }

    // Without any operator it can only be a warning: one may run elsewhere.
    watched.delete(&deployment).await.object();
    let no_operator = "namespace-not-watched: metadata.namespace: no spark-operator runs in this cluster";
    for (here, case) in [(&elsewhere, "deny"), (&watched, "warn")] {
        eventually(case, async || {
            let answer = here.create_dry(&application(Some("spark"))).await;
            answer.is_success() && answer.warnings.iter().any(|warning| warning.starts_with(no_operator))
        })
        .await;
    }
    assert!(
        measured(denying.serving(), "spark_admission_lookups_total{kind=\"watched-namespace\",result=\"no\"}").await
            >= 1.0
    );
    drop((denying, warning));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_counts_as_watched_where_the_policy_says_so() {
    let _alone = OPERATORS.lock().await;
    let cluster = with_operators().await;
    let (other, here) = (Namespace::on(cluster, &json!({})).await, Namespace::on(cluster, &json!({})).await);
    let deployment = Operator::deployment(&other).await;
    other.create(&deployment).await.object();
    let listed =
        watched_at("deny").replace("level: deny", &format!("level: deny, watchedNamespaces: ['{}*']", here.name));
    let _webhook = Registered::watching(&here, &policy(&listed)).await;
    assert!(here.create_dry(&application(Some("spark"))).await.is_success());
    other.delete(&deployment).await.object();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spark_connect_whose_account_is_missing_is_never_heard_of_again_and_its_author_is_told() {
    let (bare, here) = (Namespace::new().await, Namespace::new().await);
    let (missing, present) = (connect("lost", Some("no-such-account")), connect("found", Some("spark")));

    // Without the webhook: neither status nor event, only the operator's log says something.
    let operator = Operator::controller(&bare, &[], &[]).await;
    bare.create(&missing).await.object();
    bare.create(&present).await.object();
    let refused = "error looking up service account";
    eventually("the operator tries twice", async || operator.log().matches(refused).count() >= 2).await;
    eventually("the other one has a server", async || bare.pods_of("connect-server").await.len() == 1).await;
    assert_eq!(heard_of(&bare, &missing).await, (vec![], Value::Null));
    assert_eq!(bare.pods_of("connect-server").await.len(), 1);

    let _webhook = Registered::watching(&here, &policy(DENY_ACCOUNTS)).await;
    let answer = here.create(&missing).await;
    assert_eq!(answer.status, 403);
    let expected = format!(
        "service-account-missing: spec.server.template.spec.serviceAccountName: there is no service account \"no-such-account\" in the \
         namespace {0}; create it (kubectl create serviceaccount no-such-account -n {0}), or name one that is there",
        here.name
    );
    assert!(answer.message().contains(&expected), "{}", answer.message());
    assert!(!answer.message().contains("driver-permissions"), "told once: {}", answer.message());
    for made in cure(&here, "no-such-account") {
        here.create(&made).await.object();
    }
    here.create(&account("no-such-account")).await.object();
    let answer = here.create(&missing).await;
    assert!(answer.is_success() && answer.warnings.iter().all(|it| !it.contains("account")), "{:?}", answer.warnings);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_whose_account_is_missing_fails_and_its_author_is_told_before() {
    let (bare, here) = (Namespace::new().await, Namespace::new().await);
    let test = an_application_whose_account_is_missing_fails_and_its_author_is_told_before;
    let Some(spark) = Spark::release("4", &bare, test).await else { return };
    let kubeconfig = spark.kubeconfig().display().to_string();
    let mut environment = spark.environment();
    environment.push(("KUBECONFIG", kubeconfig));
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _operator = Operator::controller(&bare, &environment, &[]).await;
    bare.create(&application(Some("no-such-account"))).await.object();
    within(Duration::from_mins(2), "the application has failed", async || {
        let state = &bare.get(&application(None)).await["status"]["applicationState"];
        let why = state["errorMessage"].as_str().unwrap_or_default();
        why.contains("error looking up service account") && why.contains("no-such-account")
    })
    .await;
    assert_eq!(bare.pods_of("driver").await.len(), 0);

    let _webhook = Registered::watching(&here, &policy(WARN_ACCOUNTS)).await;
    let answer = here.create_dry(&application(Some("no-such-account"))).await;
    let expected =
        "service-account-missing: spec.driver.serviceAccount: there is no service account \"no-such-account\"";
    assert!(answer.is_success(), "{}", answer.message());
    assert!(
        told(&answer, "service-account-missing").is_some_and(|told| told.starts_with(expected)),
        "{:?}",
        answer.warnings
    );
    assert_eq!(told(&answer, "driver-permissions"), None, "told once");

    // What is there, what is always there, and what will be there in time.
    for (case, resource) in [
        ("an account that is there", application(Some("spark"))),
        ("the namespace's own", application(Some("default"))),
        ("none named", application(None)),
        ("none named for a server", connect("analytics", None)),
    ] {
        let answer = here.create_dry(&resource).await;
        assert_eq!(told(&answer, "service-account-missing"), None, "{case}");
    }
    let executors = {
        let mut resource = application(Some("spark"));
        resource["spec"]["executor"]["serviceAccount"] = "no-such-account".into();
        here.create_dry(&resource).await
    };
    let at = "service-account-missing: spec.executor.serviceAccount: ";
    assert!(
        told(&executors, "service-account-missing").is_some_and(|told| told.starts_with(at)),
        "{:?}",
        executors.warnings
    );
}

/// The namespace's own account is made by a controller, a moment after the namespace: nobody is told that it is missing.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_come_in_time_is_never_refused() {
    let here = Namespace::new().await;
    let _webhook = Registered::watching(&here, &policy(DENY_ACCOUNTS)).await;
    here.delete(&account("default")).await.object();
    let answer = here.create_dry(&connect("analytics", None)).await;
    assert_eq!(told(&answer, "service-account-missing"), None);
    let answer = here.create_dry(&schedule("no-such-account")).await;
    assert!(answer.is_success() && told(&answer, "service-account-missing").is_some(), "{:?}", answer.body);
    let mut suspended = application(Some("no-such-account"));
    suspended["spec"]["suspend"] = true.into();
    let answer = here.create_dry(&suspended).await;
    assert!(answer.is_success() && told(&answer, "service-account-missing").is_some(), "{:?}", answer.body);
}

/// What becomes of a driver without rights is shown in `driver_rights.rs`.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_rights_is_told_of_with_the_commands_that_cure_it() {
    let here = Namespace::new().await;
    let _webhook = Registered::watching(&here, &policy(DENY_ACCOUNTS)).await;
    let mut driver = crate::cluster::probe();
    driver["metadata"]["name"] = "plain".into();
    driver["spec"]["serviceAccountName"] = "spark".into();
    let all = "may not get,watch,list,create,delete,deletecollection pods, create,deletecollection configmaps, deletecollection services: \
               it cannot get executors; ";
    let commands = format!(
        "kubectl create role spark --verb=create,get,list,watch,patch,delete,deletecollection --resource=pods,services,configmaps \
         -n {0}; kubectl create rolebinding spark --role=spark \
         --serviceaccount={0}:spark -n {0}",
        here.name
    );
    for (at, resource) in [
        ("spec.driver.serviceAccount", application(Some("spark"))),
        ("spec.server.template.spec.serviceAccountName", connect("analytics", Some("spark"))),
        ("spec.serviceAccountName", driver.clone()),
    ] {
        let answer = here.create_dry(&resource).await;
        assert_eq!(answer.status, 403, "{at}: {:?}", answer.body);
        let expected = format!("driver-permissions: {at}: the account spark {all}{commands}");
        assert!(answer.message().contains(&expected), "{}", answer.message());
    }
    // That account is named by nobody, and the operator's own configuration might name another.
    let answer = here.create_dry(&application(None)).await;
    assert!(answer.is_success() && told(&answer, "driver-permissions").is_some(), "{:?}", answer.body);
    // A driver that an operator made is for nobody to refuse; an executor needs nothing.
    driver["metadata"]["labels"]["sparkoperator.k8s.io/launched-by-spark-operator"] = "true".into();
    assert!(here.create_dry(&driver).await.is_success());
    driver["metadata"]["labels"] = json!({"spark-role": "executor"});
    assert!(here.create_dry(&driver).await.is_success());

    // At once after what the message says, as in one `kubectl apply`.
    for made in cure(&here, "spark") {
        here.create(&made).await.object();
    }
    let answer = here.create(&application(Some("spark"))).await;
    assert_eq!(told(&answer, "driver-permissions"), None, "{:?}", answer.body);
    let server = here.create(&connect("analytics", Some("spark"))).await;
    assert_eq!(told(&server, "driver-permissions"), None, "{:?}", server.body);
}

/// An account that is made and bound in the same moment as its application is submitted, again and again.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_applied_a_moment_before_counts() {
    let here = Namespace::new().await;
    let _webhook = Registered::watching(&here, &policy(DENY_ACCOUNTS)).await;
    for round in 0..8 {
        let name = format!("account-{round}");
        here.create(&account(&name)).await.object();
        for made in cure(&here, &name) {
            here.create(&made).await.object();
        }
        let answer = here.create_dry(&application(Some(&name))).await;
        assert!(
            answer.is_success() && told(&answer, "driver-permissions").is_none(),
            "round {round}: {:?}",
            answer.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_only_does_not_clean_up_is_a_warning() {
    let here = Namespace::new().await;
    let _webhook = Registered::watching(&here, &policy(DENY_ACCOUNTS)).await;
    let [mut role, binding] = cure(&here, "spark");
    role["rules"][0]["verbs"] = json!(["create", "get", "list", "watch", "delete"]);
    for made in [role, binding] {
        here.create(&made).await.object();
    }
    let answer = here.create_dry(&application(Some("spark"))).await;
    let expected = "may not deletecollection pods, deletecollection configmaps, deletecollection services: what it makes stays behind; ";
    assert!(answer.is_success(), "{}", answer.message());
    assert!(told(&answer, "driver-permissions").is_some_and(|told| told.contains(expected)), "{:?}", answer.warnings);
}

/// A server whose account may neither get accounts nor ask what they may do.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_asked_is_nothing_to_find() {
    let here = Namespace::new().await;
    let token = here.token("default").await;
    let nobody = here
        .cluster()
        .kubeconfig(&format!("nobody.{}", here.name), |it| it["users"][0]["user"] = json!({"token": token}));
    let webhook = Registered::watching_as(&here, &policy(DENY), &nobody).await;
    for resource in [application(Some("no-such-account")), connect("analytics", Some("spark"))] {
        let answer = here.create_dry(&resource).await;
        assert!(answer.is_success(), "{}", answer.message());
        assert!(answer.warnings.iter().all(|it| !it.contains("account")), "{:?}", answer.warnings);
    }
    for kind in ["service-account", "access"] {
        let forbidden = format!("spark_admission_lookups_total{{kind=\"{kind}\",result=\"forbidden\"}}");
        assert!(measured(webhook.serving(), &forbidden).await >= 1.0, "{kind}");
        let said = format!(
            "not looked up: reviews go on without; where a right is missing, manifests/rbac.yaml has it kind={kind} "
        );
        assert_eq!(webhook.serving().log().matches(&said).count(), 1, "{kind}: {}", webhook.serving().log());
    }
}

/// The API server stands still, or nearly: a review goes on without its answer, well within its own deadline.
#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_does_not_answer_holds_no_review_up() {
    let cluster = Cluster::of_my_own().await;
    let here = Namespace::on(cluster, &json!({})).await;
    let server = Setup::default().start().await;
    let place = spark_admission::cluster::Place::Kubeconfig { file: Some(cluster.admin()), context: None };
    let asked = spark_admission::cluster::Cluster::at(place).await.unwrap();
    let lookups = spark_admission::cluster::Lookups::new(asked, std::sync::Arc::clone(&server.metrics));
    server.webhook.lookups.set(lookups).unwrap();
    let denying =
        policy(&DENY_ACCOUNTS.replace("driver-permissions: {level: deny}", "driver-permissions: {level: off}"));
    server.webhook.policy.store(spark_admission::policy::Policy::parse(&denying).unwrap().into());
    let review = |object: &Value| {
        json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "operation": "CREATE", "name": "report", "namespace": here.name,
                "kind": {"group": "sparkoperator.k8s.io", "version": "v1beta2", "kind": "SparkApplication"}, "object": object
            }
        })
        .to_string()
    };
    let client = server.client();
    let ask_about = async |account: &str, timeout: &str| {
        let started = Instant::now();
        let body = review(&application(Some(account)));
        let mut connection = client.connect().await.unwrap();
        let path = format!("/validate?timeout={timeout}");
        let answer = connection.post(&path, "application/json", body).await.unwrap();
        let answer: Value = serde_json::from_str(&answer.text).unwrap();
        (answer["response"]["allowed"] == true, started.elapsed())
    };
    let ask = async |timeout: &str| ask_about("no-such-account", timeout).await;
    assert!(ask_about("spark", "5s").await.0, "this one is there");
    assert!(!ask("5s").await.0, "asked, the API server says that there is no such account");
    assert!(ask("1s").await.0, "a third of a second is no time to ask twice");
    cluster.stop_apiserver();
    let timeouts = "spark_admission_lookups_total{kind=\"service-account\",result=\"timeout\"}";
    let before = server.metric(timeouts);
    for (timeout, longest) in [("10s", 2), ("5s", 2), ("1s", 1)] {
        let (is_allowed, took) = ask(timeout).await;
        assert!(is_allowed, "{timeout}");
        assert!(took < Duration::from_secs(longest), "{timeout}: {took:?}");
    }
    assert_eq!(server.metric(timeouts), before + 3.0);
    assert!(ask_about("spark", "5s").await.0);
    assert_eq!(server.metric(timeouts), before + 3.0, "what was there a moment ago is not asked for");
    cluster.continue_apiserver();
    eventually("it is asked again", async || !ask("5s").await.0).await;
}

/// The command `review` for a cluster says what its API server would, and names the right that it lacks.
#[tokio::test(flavor = "multi_thread")]
async fn review_for_a_cluster_looks_up_what_the_server_does() {
    let _alone = OPERATORS.lock().await;
    let cluster = with_operators().await;
    let (other, here) = (Namespace::on(cluster, &json!({})).await, Namespace::on(cluster, &json!({})).await);
    let deployment = Operator::deployment(&other).await;
    other.create(&deployment).await.object();
    let folder = cluster.scratch();
    let file = |name: &str| folder.join(name).display().to_string();
    fs::write(file("policy.yaml"), policy(DENY)).unwrap();
    let reviewed = |kubeconfig: &Path, objects: &[Value]| {
        fs::write(file("objects.json"), json!({"kind": "List", "apiVersion": "v1", "items": objects}).to_string())
            .unwrap();
        let kubeconfig = kubeconfig.display().to_string();
        let arguments =
            ["--kubeconfig", &kubeconfig, "-n", &here.name, "--policy", &file("policy.yaml"), &file("objects.json")];
        run(&mut spark_admission(&[&["review", "-o", "explain"][..], &arguments].concat()))
    };
    let (admin, lost) = (cluster.admin(), application(Some("no-such-account")));
    let (status, shown, errors) = reviewed(&admin, &[lost.clone(), connect("analytics", Some("spark"))]);
    assert_eq!((status, errors.as_str()), (Some(1), ""), "{shown}");
    for expected in [
        format!("no spark-operator watches the namespace {}", here.name),
        "there is no service account \"no-such-account\"".to_owned(),
        "the account spark may not get,watch,list,create".to_owned(),
    ] {
        assert!(shown.contains(&expected), "{expected} in {shown}");
    }

    // What is submitted together is there together.
    let [role, mut binding] = cure(&here, "no-such-account");
    binding["subjects"][0].as_object_mut().unwrap().remove("namespace");
    let (_, shown, _) = reviewed(&admin, &[lost.clone(), role, binding, account("no-such-account")]);
    assert!(!shown.contains("service-account-missing: ") && !shown.contains("may not get"), "{shown}");

    // Somebody who may do nothing: unknown, with the missing rules.
    let token = here.token("default").await;
    let nobody =
        cluster.kubeconfig(&format!("nobody.{}", here.name), |it| it["users"][0]["user"] = json!({"token": token}));
    let (status, shown, errors) = reviewed(&nobody, std::slice::from_ref(&lost));
    assert_eq!(status, Some(0), "{shown}");
    for expected in [
        "cannot list the deployments, so it is unknown: deployments.apps is forbidden",
        "cannot list the nodes, so it is unknown: nodes is forbidden",
        "cannot get resource \"serviceaccounts\"",
        "cannot create resource \"subjectaccessreviews\" in API group \"authorization.k8s.io\"",
    ] {
        assert!(errors.contains(expected), "{expected} in {errors}");
    }

    let nowhere = cluster.kubeconfig(&format!("nowhere.{}", here.name), |it| {
        it["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1".into();
    });
    let (status, shown, errors) = reviewed(&nowhere, &[lost]);
    assert_eq!((status, shown.as_str()), (Some(2), ""));
    assert!(errors.contains("cannot reach the cluster at https://127.0.0.1:1"), "{errors}");
    other.delete(&deployment).await.object();
}
