//! Helm, and what it renders.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use serde_json::Value;

use crate::{programs::Programs, support::skip};

/// The Kubernetes that is rendered for: Helm asks no cluster.
pub const KUBERNETES: &str = "1.37.2";
/// The release's name, and its namespace.
pub const RELEASE: &str = "spark-admission";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn chart() -> PathBuf {
    root().join("manifests/helm/spark-admission")
}

/// A program, or why it is not there.
pub fn program(name: &str) -> Result<&'static Path, &'static str> {
    static PROGRAMS: OnceLock<Result<Programs, String>> = OnceLock::new();
    let found = PROGRAMS.get_or_init(|| Programs::ensure(&["helm", "kubectl", "spark-operator-chart"]));
    found.as_ref().map(|programs| programs.path(name)).map_err(String::as_str)
}

/// Whether the test can run; else it is said that it is skipped.
pub fn is_there(test: &str) -> bool {
    program("helm").map_err(|why| skip(test, why)).is_ok()
}

/// Names the test that runs.
#[macro_export]
macro_rules! needs_helm {
    () => {
        if !$crate::helm::is_there(std::thread::current().name().unwrap()) {
            return;
        }
    };
}

/// What a program prints; or what it complains about.
pub fn said_by(name: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program(name).unwrap());
    let ran = command.args(arguments).env_remove("KUBECONFIG").env("HOME", "/nonexistent").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if ran.status.success() { Ok(text(ran.stdout)) } else { Err(text(ran.stderr)) }
}

/// `helm template` of the chart as a release, with these arguments too.
pub fn template(namespace: &str, arguments: &[&str]) -> Result<String, String> {
    let chart = chart().display().to_string();
    let all = ["template", RELEASE, &chart, "--namespace", namespace, "--kube-version", KUBERNETES];
    said_by("helm", &[&all[..], arguments].concat())
}

/// What is rendered with these arguments, tests and hooks too.
#[track_caller]
pub fn rendered(arguments: &[&str]) -> Vec<Value> {
    let text = template(RELEASE, arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
    documents(&text)
}

/// The objects of a text in YAML.
pub fn documents(text: &str) -> Vec<Value> {
    let parts =
        format!("\n{text}").replace("\n---\n", "\n\u{0}").split('\u{0}').map(ToOwned::to_owned).collect::<Vec<_>>();
    let read = parts.iter().filter(|part| part.lines().any(|line| !line.is_empty() && !line.starts_with('#')));
    read.map(|part| serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{error}\n{part}"))).collect()
}

/// `Kind/name` of an object.
pub fn called(object: &Value) -> String {
    format!("{}/{}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
}

/// The object that is called so.
pub fn find<'a>(objects: &'a [Value], name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| called(object) == name)
}
