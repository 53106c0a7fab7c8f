//! The platform's chart on a real API server, as its page says: from a checkout and an empty cluster to users' work, and back. Its pods run
//! here as their accounts, with Kubeflow's operator in them; its operator's chart comes from a repository where Kubeflow's is.

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    path::PathBuf,
};

use serde_json::{Value, json};

use crate::{
    chart::{ROLLOUT, commands, forbidden_in, gone_but, objects, section},
    cluster::{ChartRepository, Cluster, Namespace, RunningPods, Spark, THROUGH_EGRESS},
    driver_rights::lives_and_ends,
    spark_operator::SUBMISSION,
    support::{eventually, within},
};

/// The namespace of the release.
const OPERATORS: &str = "operators";
/// The namespace of its users.
const USERS: &str = "jupyterhub-users";
const PAGE: &str = "manifests/helm/spark/README.md";
const EXAMPLES: &str = "manifests/helm/spark/examples";
/// What Helm says in the end.
const READY: &str = "Spark is ready to be used in jupyterhub-users.";
/// The pod of the Connect server that is among the examples.
const SERVER: &str = "/api/v1/namespaces/jupyterhub-users/pods/spark-connect-server";
const DEFINITIONS: [&str; 3] = ["scheduledsparkapplications", "sparkapplications", "sparkconnects"];

/// Where a newcomer sits: with a checkout, a terminal, and a cluster on which nothing is.
struct Desk {
    cluster: &'static Cluster,
    here: Namespace,
    checkout: PathBuf,
    repository: ChartRepository,
}

impl Desk {
    async fn new() -> Self {
        let cluster = Cluster::of_my_own_with(&[THROUGH_EGRESS]).await;
        let here = Namespace::on(cluster, &json!({})).await;
        let checkout = cluster.scratch();
        // What Helm writes there is not to be written into the project.
        cluster
            .shell(&format!("cp -R manifests {0} && rm -rf {0}/manifests/helm/spark/charts", checkout.display()))
            .await;
        let repository = ChartRepository::start(cluster, &["spark-operator-chart", "spark-operator-next-chart"]).await;
        let desk = Self { cluster, here, checkout, repository };
        let definitions = DEFINITIONS.map(|plural| format!("{plural}.sparkoperator.k8s.io")).join(" ");
        desk.types(&format!("kubectl delete crd {definitions}")).await;
        desk
    }

    /// Types a command; it must succeed. What it prints.
    async fn types(&self, command: &str) -> String {
        eprintln!("$ {command}");
        self.cluster.shell_in(&self.checkout, &self.repository.environment(), command).await
    }

    /// What stands at a path of the API; null where nothing does.
    async fn at(&self, path: &str) -> Value {
        let answer = self.here.send("GET", path, &Value::Null).await;
        if answer.is_success() { answer.body } else { Value::Null }
    }

    async fn namespace(&self, name: &str) -> Value {
        self.at(&format!("/api/v1/namespaces/{name}")).await["metadata"].clone()
    }

    /// The definitions of Kubeflow's resources that there are.
    async fn definitions(&self) -> Vec<String> {
        let list = self.at("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").await;
        let names = list["items"].as_array().unwrap().iter().map(|it| &it["spec"]["names"]["plural"]);
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .filter(|name| DEFINITIONS.contains(&name.as_str()))
            .collect()
    }
}

/// The commands of the chart's page, typed in their order.
struct Page(VecDeque<String>);

impl Page {
    fn open() -> Self {
        let text = fs::read_to_string(PAGE).unwrap();
        Self(commands(&text).map(ToOwned::to_owned).collect())
    }

    /// Types what comes up to and with the command that begins so; what that one prints.
    async fn up_to(&mut self, desk: &Desk, start: &str) -> String {
        loop {
            let command = self.0.pop_front().unwrap_or_else(|| panic!("{PAGE} has no {start}"));
            let said = desk.types(&command).await;
            if command.starts_with(start) {
                return said;
            }
        }
    }
}

fn commands_of(page: &str) -> BTreeSet<String> {
    commands(&fs::read_to_string(page).unwrap()).map(ToOwned::to_owned).collect()
}

/// What other pages say is typed from these.
#[test]
fn every_command_of_other_pages_about_it_is_on_a_page_that_is_typed() {
    let typed = &commands_of(PAGE) | &commands_of("manifests/helm/spark-admission/README.md");
    for (page, heading) in [("README.md", "Installing it"), ("docs/install.md", "The whole platform")] {
        let text = fs::read_to_string(page).unwrap();
        let commands: Vec<_> = commands(section(&text, heading)).collect();
        assert!(commands.len() >= 4, "{page}: {commands:?}");
        for command in commands {
            assert!(typed.contains(command), "{page}: nobody types {command}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_installs_the_platform_and_takes_it_away_again() {
    let desk = Desk::new().await;
    let kubelet = RunningPods::start(desk.cluster, OPERATORS).await;
    let (before, mut page) = (objects(&desk.here).await, Page::open());
    let namespace = is_installed(&desk, &mut page).await;
    let server = is_used(&desk, &mut page).await;
    is_changed_and_changed_back(&desk, &mut page).await;
    runs_a_newer_operator(&desk, &mut page).await;

    page.up_to(&desk, "helm uninstall").await;
    let is_users = |object: &str| object.contains(&format!("\"{USERS}\"/\"spark-connect"));
    gone_but(&desk.here, &before, is_users).await;
    assert_eq!(desk.definitions().await, DEFINITIONS);
    assert_eq!(desk.at(SERVER).await["metadata"]["uid"], server["metadata"]["uid"], "what runs goes on");
    for kept in [USERS, "team-a"] {
        assert!(desk.namespace(kept).await["deletionTimestamp"].is_null(), "{kept}");
    }

    is_installed_again_from_a_newer_chart(&desk).await;
    assert_eq!(desk.namespace(USERS).await["uid"], namespace["uid"], "the namespace is taken back");
    desk.types("helm uninstall spark --namespace operators --wait").await;
    page.up_to(&desk, "kubectl delete crd").await;
    gone_but(&desk.here, &before, is_users).await;
    assert_eq!(desk.definitions().await, [""; 0]);
    assert_eq!(page.0, [""; 0], "the page's last commands");
    drop(kubelet);
}

/// With all that belongs to it; the users' namespace.
async fn is_installed(desk: &Desk, page: &mut Page) -> Value {
    let notes = page.up_to(desk, "helm upgrade --install").await;
    assert!(notes.contains(READY), "{notes}");
    let typed = commands_of(PAGE);
    let advised = notes.lines().filter_map(|line| line.strip_prefix("  ")).collect::<Vec<_>>();
    assert!(advised.len() == 4 && advised.iter().all(|command| typed.contains(*command)), "{advised:?}");
    assert_eq!(desk.definitions().await, DEFINITIONS, "Helm installs them");
    for account in ["default", "spark-driver"] {
        let path = format!("/api/v1/namespaces/{USERS}/serviceaccounts/{account}");
        eventually(account, async || !desk.at(&path).await.is_null()).await;
    }
    desk.namespace(USERS).await
}

/// By a user, and by whoever looks after users; the pod of a Connect server.
async fn is_used(desk: &Desk, page: &mut Page) -> Value {
    let asked = page.up_to(desk, "kubectl get sparkconnects").await;
    assert!(asked.contains("spark-connect"), "{asked}");
    eventually("the operator makes the server's pod", async || !desk.at(SERVER).await.is_null()).await;
    let pod = desk.at(SERVER).await;
    assert_eq!(pod["spec"]["serviceAccountName"], "spark-driver");
    let changed = &pod["metadata"]["annotations"]["spark-admission.io/mutated"];
    assert_eq!(changed, "ivy-cache,spark-user,connect-readiness");
    desk.types(&format!("kubectl apply --dry-run=server -f {EXAMPLES}")).await;
    let unwatched = format!("sed 's/{USERS}/default/' {EXAMPLES}/spark-pi.yaml | kubectl create -f - 2>&1 || true");
    let refused = desk.types(&unwatched).await;
    assert!(refused.contains("namespace-not-watched"), "{refused}");

    assert_eq!(page.up_to(desk, "kubectl auth can-i").await.trim(), "yes");
    let logs = page.up_to(desk, "kubectl logs").await;
    assert!(logs.contains("Starting Controller"), "{logs}");
    pod
}

async fn is_changed_and_changed_back(desk: &Desk, page: &mut Page) {
    page.up_to(desk, "helm upgrade spark").await;
    let webhook = format!("/apis/apps/v1/namespaces/{OPERATORS}/deployments/spark-admission");
    assert_eq!(desk.at(&webhook).await["status"]["readyReplicas"], 3);
    page.up_to(desk, "helm upgrade spark").await;
    assert_eq!(desk.namespace("team-a").await["annotations"]["helm.sh/resource-policy"], "keep");
    let account = "/api/v1/namespaces/team-a/serviceaccounts/spark-driver";
    assert!(!desk.at(account).await.is_null());
    page.up_to(desk, "helm rollback").await;
    assert!(desk.at(account).await.is_null() && !desk.namespace("team-a").await.is_null());
}

/// One value makes it so.
async fn runs_a_newer_operator(desk: &Desk, page: &mut Page) {
    page.up_to(desk, "helm upgrade spark").await;
    let controllers =
        format!("/api/v1/namespaces/{OPERATORS}/pods?labelSelector=app.kubernetes.io/component%3Dcontroller");
    let images = async || {
        let pods = desk.at(&controllers).await;
        let images =
            pods["items"].as_array().into_iter().flatten().map(|pod| pod["spec"]["containers"][0]["image"].clone());
        images.collect::<Vec<_>>()
    };
    let newer = "ghcr.io/kubeflow/spark-operator/controller:2.5.2";
    within(ROLLOUT, "the old one is gone", async || images().await == [newer]).await;
    let another = "sed 's/name: spark-connect/name: spark-connect-2/'";
    desk.types(&format!("{another} {EXAMPLES}/spark-connect-server.yaml | kubectl apply -f -")).await;
    let pod = format!("/api/v1/namespaces/{USERS}/pods/spark-connect-2-server");
    within(ROLLOUT, "the newer one makes a pod", async || !desk.at(&pod).await.is_null()).await;
}

/// One line makes it so.
async fn is_installed_again_from_a_newer_chart(desk: &Desk) {
    let chart = "manifests/helm/spark/Chart.yaml";
    let newer = format!("sed -i '/name: spark-operator/{{n;s/2.4.0/2.5.2/}}' {chart} && grep -q 2.5.2 {chart}");
    desk.types(&newer).await;
    desk.types("helm dependency update manifests/helm/spark").await;
    let typed = commands_of(PAGE);
    let install = typed.iter().find(|command| command.starts_with("helm upgrade --install")).unwrap();
    let notes = desk.types(install).await;
    assert!(notes.contains(READY), "{notes}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_users_submit_runs_under_the_rights_of_the_chart_alone() {
    let desk = Desk::new().await;
    let test = what_users_submit_runs_under_the_rights_of_the_chart_alone;
    // The operator's image has Spark 4.0, which asks its account for no more than 3.5 does: from 4.3 on it makes network policies too.
    let Some(of_operator) = Spark::release("3.5", &desk.here, test).await else { return };
    let environment = of_operator.environment().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let kubelet = RunningPods::start_with(desk.cluster, OPERATORS, environment).await;
    // What was there before: the users' namespace, and what another operator has left.
    let secret = "spark-operator-webhook-certs";
    for command in [
        &format!("kubectl create namespace {USERS} && kubectl label namespace {USERS} team=data"),
        &format!("kubectl create namespace {OPERATORS} && kubectl create secret generic {secret} -n {OPERATORS}"),
    ] {
        desk.types(command).await;
    }
    let found = desk.namespace(USERS).await;

    Page::open().up_to(&desk, "helm upgrade --install").await;
    let users = Namespace::existing(desk.cluster, USERS).await;
    let said = desk.types("kubectl apply -f manifests/helm/spark/examples/spark-pi.yaml 2>&1").await;
    assert_eq!(said, "sparkapplication.sparkoperator.k8s.io/spark-pi created\n", "no warning");
    within(SUBMISSION, "the operator makes its driver", async || users.pods_of("driver").await.len() == 1).await;
    let driver = users.pods_of("driver").await.remove(0);
    assert_eq!(driver["spec"]["serviceAccountName"], "spark-driver");
    assert_eq!(driver["metadata"]["annotations"]["spark-admission.io/mutated"], "ivy-cache,spark-user");
    let path = format!("/apis/sparkoperator.k8s.io/v1beta2/namespaces/{USERS}/sparkapplications/spark-pi");
    within(SUBMISSION, "it is submitted", async || {
        desk.at(&path).await["status"]["applicationState"]["state"] == "SUBMITTED"
    })
    .await;

    let spark = Spark::release_as("spark-driver", "4", &users, test).await.unwrap();
    lives_and_ends(&users, &spark).await;
    assert_eq!(forbidden_in(desk.cluster, USERS, "spark-driver"), [""; 0]);
    for account in ["spark-operator-controller", "spark-operator-webhook", "spark-admission"] {
        assert_eq!(forbidden_in(desk.cluster, OPERATORS, account), [""; 0], "{account}");
    }

    every_namespace_may_be_watched(&desk).await;

    let namespace = desk.namespace(USERS).await;
    assert_eq!((&namespace["labels"], &namespace["annotations"]), (&found["labels"], &found["annotations"]));
    desk.types("helm uninstall spark --namespace operators --wait").await;
    let namespace = desk.namespace(USERS).await;
    assert_eq!((&namespace["labels"], &namespace["uid"]), (&found["labels"], &found["uid"]), "it was there before");
    assert!(!desk.at(&format!("/api/v1/namespaces/{OPERATORS}/secrets/{secret}")).await.is_null(), "so was it");
    assert_eq!(users.pods_of("driver").await[0]["metadata"]["uid"], driver["metadata"]["uid"]);
    drop(kubelet);
}

/// Then it is told who users are, as the chart's notes advise.
async fn every_namespace_may_be_watched(desk: &Desk) {
    let all = "--set-json 'spark-operator.spark.jobNamespaces=[\"\"]'";
    let notes =
        desk.types(&format!("helm upgrade spark manifests/helm/spark --namespace operators {all} --wait")).await;
    let advised = notes.lines().find_map(|line| line.trim().strip_prefix("helm upgrade")).unwrap();
    let notes = desk.types(&format!("helm upgrade {advised} --wait")).await;
    let advised = notes.lines().find_map(|line| line.trim().strip_prefix("sed ")).unwrap();
    desk.types(&format!("sed {advised}")).await;
    let pod = "/api/v1/namespaces/team-a/pods/spark-connect-server";
    within(ROLLOUT, "the operator makes a pod there too", async || !desk.at(pod).await.is_null()).await;
    assert_eq!(desk.at(pod).await["spec"]["serviceAccountName"], "spark-driver");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_takes_every_object_of_it() {
    let cluster = Cluster::of_my_own().await;
    let namespaces = [OPERATORS, USERS, "team-a", "team-b"].map(|name| format!("kubectl create namespace {name}"));
    cluster.shell(&namespaces.join(" && ")).await;
    let all = "--set-json 'spark-operator.spark.jobNamespaces=[\"\"]'";
    let some = "--set 'spark-operator.spark.jobNamespaces={jupyterhub-users,team-a,team-b}' --set 'userNamespaces={team-a,team-b}'";
    for (case, operator, flags) in [
        ("as it comes", "spark-operator-chart", ""),
        ("several namespaces", "spark-operator-chart", some),
        ("every namespace", "spark-operator-chart", all),
        (
            "every namespace, and users in one",
            "spark-operator-chart",
            &format!("{all} --set 'userNamespaces={{team-a}}'"),
        ),
        ("without the webhook", "spark-operator-chart", "--set spark-admission.enabled=false"),
        ("with the operator's newer chart", "spark-operator-next-chart", ""),
    ] {
        let rendered = rendering(cluster, operator, flags).await;
        let apply = "kubectl apply --server-side --force-conflicts --dry-run=server --validate=strict -f -";
        let taken = cluster.shell(&format!("{rendered} --include-crds --no-hooks | {apply}")).await;
        assert!(taken.lines().count() >= 25, "{case}: {taken}");
        assert!(taken.lines().all(|line| line.ends_with(" (server dry run)")), "{case}: {taken}");
    }
    let examples = "kubectl apply --dry-run=server --validate=strict -f manifests/helm/spark/examples";
    cluster.shell("kubectl create serviceaccount spark-driver -n jupyterhub-users").await;
    let taken = cluster.shell(examples).await;
    assert_eq!(taken.lines().count(), fs::read_dir("manifests/helm/spark/examples").unwrap().count(), "{taken}");
}

/// The command that renders the chart with this chart of the operator, whose dependencies are copied and not downloaded.
pub async fn rendering(cluster: &'static Cluster, operator: &'static str, flags: &str) -> String {
    let operator = cluster.program(operator).await;
    let (copy, operator) = (cluster.scratch().join("spark"), operator.display());
    let copy = copy.display();
    let make = format!(
        "cp -R manifests/helm/spark {copy} && rm -rf {copy}/charts && mkdir {copy}/charts \
         && cp -R {operator} {copy}/charts/spark-operator && cp -R manifests/helm/spark-admission {copy}/charts/"
    );
    cluster.shell(&make).await;
    format!("helm template spark {copy} --namespace {OPERATORS} --kube-version 1.37.2 {flags}")
}
