//! helm and kubectl, as the administrator of a cluster runs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Cluster, programs};

/// The programs that may be asked for.
const TOOLS: [&str; 2] = ["helm", "kubectl"];

impl Cluster {
    /// Where a program is, or a chart.
    pub async fn program(&self, name: &'static str) -> PathBuf {
        let names: &'static [&str] = vec![name].leak();
        programs(names).await.unwrap().path(name).to_owned()
    }

    /// Runs a command of a shell in the project's folder, with these programs on its PATH; fails with what it complains about.
    #[track_caller]
    pub fn shell(&'static self, command: &str) -> impl Future<Output = String> {
        self.shell_in(Path::new(env!("CARGO_MANIFEST_DIR")), &[], command)
    }

    /// The same in another folder, with more environment.
    #[track_caller]
    pub fn shell_in(
        &'static self,
        folder: &Path,
        environment: &[(&'static str, String)],
        command: &str,
    ) -> impl Future<Output = String> {
        let (command, caller) = (command.to_owned(), std::panic::Location::caller());
        let (at, environment) = (folder.to_owned(), environment.to_vec());
        async move {
            let tools = programs(&TOOLS).await.unwrap();
            let folder = |path: &Path| path.parent().unwrap().display().to_string();
            let own = folder(Path::new(env!("CARGO_BIN_EXE_spark-admission")));
            let path = [folder(tools.path("helm")), folder(tools.path("kubectl")), own, std::env::var("PATH").unwrap()];
            let ran = command.clone();
            let output = tokio::task::spawn_blocking(move || {
                let mut shell = Command::new("bash");
                shell.args(["-euo", "pipefail", "-c", &ran]).current_dir(at).envs(environment);
                shell.env("PATH", path.join(":")).env("KUBECONFIG", self.admin()).env("HOME", self.processes.folder());
                self.adopt(&mut shell).output().unwrap()
            });
            let output = output.await.unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(
                output.status.success(),
                "{caller}: {command}: {}\n{}{}",
                output.status,
                text(&output.stdout),
                text(&output.stderr)
            );
            text(&output.stdout)
        }
    }
}
