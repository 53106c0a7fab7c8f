//! The platform's chart with the charts that it depends on, as `helm dependency build` leaves it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::helm::{KUBERNETES, chart, documents, program, root, said_by};

/// The platform's chart, as it stands in the repository: without them.
pub fn platform() -> PathBuf {
    root().join("manifests/helm/spark")
}

/// A copy that Helm can render.
pub struct Built {
    _folder: TempDir,
    chart: String,
}

impl Built {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("spark");
        for (from, to) in [
            (platform().as_path(), copy.clone()),
            (program("spark-operator-chart").unwrap(), copy.join("charts/spark-operator")),
            (&chart(), copy.join("charts/spark-admission")),
        ] {
            copy_folder(from, &to);
        }
        Self { chart: copy.display().to_string(), _folder: folder }
    }

    /// What Helm makes of it with these arguments; or what it says against them.
    pub fn template(&self, arguments: &[&str]) -> Result<String, String> {
        self.helm(&["template", "spark"], &["--namespace", "operators", "--kube-version", KUBERNETES], arguments)
    }

    /// The same as objects.
    #[track_caller]
    pub fn rendered(&self, arguments: &[&str]) -> Vec<Value> {
        documents(&self.template(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}")))
    }

    pub fn lint(&self, arguments: &[&str]) -> Result<String, String> {
        self.helm(&["lint"], &["--strict", "--kube-version", KUBERNETES], arguments)
    }

    /// What an administrator reads who has installed it. Helm prints that only on a cluster, so a template here shows it.
    pub fn notes(&self, arguments: &[&str]) -> String {
        let template = r#"{"kind": "Notes", "metadata": {"name": "notes"}, "text": {{ include (print .Template.BasePath "/NOTES.txt") . | toJson }}}"#;
        fs::write(Path::new(&self.chart).join("templates/notes.yaml"), template).unwrap();
        let shown = self.rendered(&[&["--show-only=templates/notes.yaml"], arguments].concat());
        shown[0]["text"].as_str().unwrap().to_owned()
    }

    fn helm(&self, command: &[&str], flags: &[&str], arguments: &[&str]) -> Result<String, String> {
        said_by("helm", &[command, &[&self.chart], flags, arguments].concat())
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let there = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &there);
        } else {
            fs::write(there, fs::read(path).unwrap()).unwrap();
        }
    }
}
