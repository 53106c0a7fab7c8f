//! Many applications with the same packages at once, while nothing is downloaded yet: by the platform's policy each gets an Ivy directory of
//! its own, and the sidecar of its chart removes them afterwards.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::{
    cluster::{Image, Namespace, PackageRepository, Registered, Spark},
    platform_chart::rendering,
    spark_operator::{SUBMISSION, application, controller},
    support::{eventually, within},
};

/// How many are submitted; the operator runs ten submissions at a time.
const BURST: usize = 20;
/// Several, since it is between them that submissions into one directory get in each other's way.
const PACKAGES: [&str; 6] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];
/// How long the repository takes for an answer.
const FAR_AWAY: Duration = Duration::from_millis(100);

#[tokio::test]
async fn twenty_applications_with_the_same_packages_are_all_submitted_and_cleaned_up_after() {
    let here = Namespace::new().await;
    let test = twenty_applications_with_the_same_packages_are_all_submitted_and_cleaned_up_after;
    let Some(spark) = Spark::release("3.5", &here, test).await else { return };
    let chart = Platform::rendered(&here).await;
    // What /tmp is in the operator's pod is a folder of the test's.
    let pod = spark.folder.join("operator");
    let ivy = pod.join("tmp/.ivy2");
    let _webhook = Registered::with_policy(&here, &chart.policy(&ivy)).await;
    let repository = PackageRepository::start(spark.repository(), FAR_AWAY).await;
    let _operator = controller(&here, &spark, &[("DEFAULT_ARTIFACT_REPOSITORY", &repository.url)]).await;
    let packages: Vec<_> = PACKAGES.iter().map(|name| spark.publish(name)).collect();

    for i in 0..BURST {
        let mut one = application(&spark, &format!("report-{i}"), &json!({}));
        one["spec"]["deps"]["packages"] = json!(packages);
        here.create(&one).await.object();
    }
    let states = submitted(&here).await;
    assert_eq!(states, BTreeMap::from([("SUBMITTED".to_owned(), BURST)]));
    assert_eq!(here.pods_of("driver").await.len(), BURST, "each has its driver");
    let directories = entries(&ivy);
    assert_eq!(directories.len(), BURST, "a directory for each");
    for directory in &directories {
        assert_eq!(entries(&directory.join("jars")).len(), PACKAGES.len(), "{}", directory.display());
    }

    // A day later: nothing has changed in them since, but for one file in one.
    let (day_before, recently) = (Duration::from_hours(25), Duration::from_mins(14));
    for directory in &directories {
        date_back(directory, day_before);
    }
    let in_use = directories.last().unwrap();
    set_modified(&entries(&in_use.join("jars"))[0], recently);
    let _sidecar = chart.sidecar(&here, &pod);
    eventually("all but one are gone", async || entries(&ivy) == [in_use.clone()]).await;
    assert_eq!(entries(&in_use.join("jars")).len(), PACKAGES.len());
}

/// How many applications are in which state, once each has been submitted or has failed.
async fn submitted(here: &Namespace) -> BTreeMap<String, usize> {
    within(SUBMISSION * 2, "all are submitted or fail", async || !states(here).await.contains_key("")).await;
    states(here).await
}

/// How many applications are in which state now, with what the operator says of one that failed.
async fn states(here: &Namespace) -> BTreeMap<String, usize> {
    let applications = format!("/apis/sparkoperator.k8s.io/v1beta2/namespaces/{}/sparkapplications", here.name);
    let list = here.send("GET", &applications, &Value::Null).await.object();
    let mut states = BTreeMap::new();
    for one in list["items"].as_array().unwrap() {
        let state = &one["status"]["applicationState"];
        let of = |field: &str| state[field].as_str().unwrap_or_default();
        *states.entry([of("state"), of("errorMessage")].join(" ").trim_end().to_owned()).or_default() += 1;
    }
    states
}

/// What the platform's chart installs.
struct Platform(Vec<Value>);

impl Platform {
    async fn rendered(here: &Namespace) -> Self {
        let command = rendering(here.cluster(), "spark-operator-chart", "--no-hooks").await;
        let text = here.cluster().shell(&command).await;
        let documents = text.split("\n---\n").filter(|document| document.contains("\nkind: "));
        Self(documents.map(|document| serde_saphyr::from_str(document).unwrap()).collect())
    }

    fn find(&self, kind: &str, name: &str) -> &Value {
        let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["name"] == name;
        self.0.iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    /// The webhook's policy, in which only the place of Ivy's directories is another one.
    fn policy(&self, ivy: &Path) -> String {
        let map = self.find("ConfigMap", "spark-admission-policy");
        let mut policy: Value = serde_saphyr::from_str(map["data"]["policy.yaml"].as_str().unwrap()).unwrap();
        assert_eq!(policy["mutations"]["ivy-dir"]["submission"], "per-application");
        policy["mutations"]["ivy-cache"] = json!({"mountPath": ivy});
        policy.to_string()
    }

    /// Runs the sidecar of the operator's controller, whose volumes are in this folder.
    fn sidecar(&self, here: &Namespace, pod: &Path) -> Sidecar {
        let deployment = self.find("Deployment", "spark-operator-controller");
        let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        let container = containers.iter().find(|container| container["name"] == "ivy-clean").unwrap();
        let mut command = Command::new(Image::Ours.program());
        command.args(Image::Ours.arguments(container, pod));
        let child = here.cluster().adopt(&mut command).stdout(Stdio::null()).spawn().unwrap();
        Sidecar(child)
    }
}

struct Sidecar(Child);

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is in a folder, in the order of names; nothing where there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<_> = found.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Has all that is in a folder, and itself, changed that long ago.
fn date_back(path: &Path, ago: Duration) {
    if path.is_dir() {
        for entry in entries(path) {
            date_back(&entry, ago);
        }
    }
    set_modified(path, ago);
}

fn set_modified(path: &Path, ago: Duration) {
    File::open(path).unwrap().set_modified(SystemTime::now() - ago).unwrap();
}
