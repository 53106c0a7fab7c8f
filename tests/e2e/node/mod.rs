//! A real node with its control plane: etcd, API server, scheduler, controllers, containerd, kubelet, kube-proxy and `CoreDNS`.
//!
//! ```text
//! keeper.sh  holds the machine, and removes what it leaves
//! Machine    namespaces of its own, and the programs that run there
//! files      what those programs are told
//! Node       the programs, started and ready; what an administrator does there
//! ```

mod files;
pub mod machine;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::programs::Programs;
use machine::{ADDRESS, Machine, SERVICES};

pub use files::NODE;

/// How long each part may take to be there.
const START: Duration = Duration::from_mins(2);
const PROGRAMS: [&str; 11] = [
    "etcd",
    "kube-apiserver",
    "kube-scheduler",
    "kube-controller-manager",
    "kubelet",
    "kube-proxy",
    "coredns",
    "kubectl",
    "helm",
    "spark-operator-chart",
    "spark-operator-crds",
];

/// Whether somebody wants to look around when all is over.
pub fn is_kept() -> bool {
    std::env::var_os("KEEP_NODE").is_some_and(|value| !value.is_empty())
}

/// A cluster of one node.
pub struct Node {
    pub machine: Machine,
    programs: Programs,
    running: Mutex<BTreeMap<&'static str, Child>>,
}

impl Node {
    /// Starts one; all its parts are ready, and it has these images.
    pub fn start(images: &[PathBuf]) -> Result<Self> {
        let programs = Programs::ensure(&PROGRAMS).map_err(anyhow::Error::msg)?;
        let node = Self { machine: Machine::new()?, programs, running: Mutex::default() };
        files::write(&node.machine.folder, node.machine.network_plugins())?;
        node.start_control_plane()?;
        node.start_containerd()?;
        for image in images {
            node.import(image)?;
        }
        node.kubectl_with(&["apply", "-f", "-"], &files::name_service())?;
        node.start_kubelet()?;
        let dns = node.program("coredns")?.args_of(&["-conf", "Corefile"]);
        node.run("coredns", dns)?;
        let proxy = node.program("kube-proxy")?.args_of(&["--config=proxy.yaml"]);
        node.run("kube-proxy", proxy)?;
        node.until("the node is Ready", || {
            let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
            Ok(node.kubectl(&["get", "node", NODE, "-o", ready]).is_ok_and(|status| status == "True"))
        })?;
        Ok(node)
    }

    fn start_control_plane(&self) -> Result<()> {
        let socket = self.machine.folder.join("etcd.sock").display().to_string();
        let clients =
            [format!("--listen-client-urls=unix://{socket}"), format!("--advertise-client-urls=unix://{socket}")];
        let etcd = ["--data-dir=etcd", "--listen-peer-urls=http://127.0.0.1:0", "--unsafe-no-fsync"];
        self.run("etcd", self.program("etcd")?.args_of(&etcd).args_of(&clients))?;
        let flags = [
            &format!("--etcd-servers=unix://{socket}"),
            "--bind-address=0.0.0.0",
            &format!("--advertise-address={ADDRESS}"),
            &format!("--service-cluster-ip-range={SERVICES}"),
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
            "--client-ca-file=ca.crt",
            "--kubelet-client-certificate=admin.crt",
            "--kubelet-client-key=admin.key",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=accounts.pub",
            "--service-account-signing-key-file=accounts.key",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--allow-privileged=true",
        ];
        self.run("kube-apiserver", self.program("kube-apiserver")?.args_of(&flags))?;
        self.until("the API server is ready", || Ok(self.kubectl(&["get", "--raw", "/readyz"]).is_ok()))?;
        self.run(
            "kube-scheduler",
            self.program("kube-scheduler")?.args_of(&["--kubeconfig=scheduler.conf", "--leader-elect=false"]),
        )?;
        let controllers = [
            "--kubeconfig=controllers.conf",
            "--leader-elect=false",
            "--use-service-account-credentials",
            "--service-account-private-key-file=accounts.key",
            "--root-ca-file=ca.crt",
        ];
        self.run("kube-controller-manager", self.program("kube-controller-manager")?.args_of(&controllers))
    }

    /// containerd, alone. It answers before the part is ready that the kubelet asks, which it does once: that part's last words say so.
    pub fn start_containerd(&self) -> Result<()> {
        let log = || fs::read_to_string(self.machine.log("containerd")).unwrap_or_default();
        let before = log().len();
        self.run("containerd", self.machine.packaged("containerd")?.args_of(&["-c", "containerd.toml"]))?;
        self.until("containerd answers", || {
            let is_ready = log().get(before..).is_some_and(|said| said.contains("Start streaming server"));
            Ok(is_ready && self.ctr()?.arg("version").stderr(Stdio::null()).output()?.status.success())
        })
    }

    /// The kubelet, alone.
    pub fn start_kubelet(&self) -> Result<()> {
        let folder = self.machine.folder.display();
        let flags = [
            "--config=kubelet.yaml".to_owned(),
            "--kubeconfig=kubelet.conf".to_owned(),
            format!("--root-dir={folder}/kubelet"),
            format!("--hostname-override={NODE}"),
            format!("--node-ip={ADDRESS}"),
        ];
        self.run("kubelet", self.program("kubelet")?.args_of(&flags))
    }

    /// Takes an image from an archive.
    pub fn import(&self, archive: &Path) -> Result<()> {
        done(self.ctr()?.args(["images", "import"]).arg(archive))
            .with_context(|| format!("cannot import {}", archive.display()))?;
        Ok(())
    }

    /// Gives an image another name.
    pub fn tag(&self, image: &str, name: &str) -> Result<()> {
        done(self.ctr()?.args(["images", "tag", "--force", image, name]))?;
        Ok(())
    }

    fn ctr(&self) -> Result<Command> {
        Ok(self.machine.packaged("ctr")?.args_of(&["--address", "containerd.sock", "--namespace", "k8s.io"]))
    }

    /// Kills a program of the node's.
    pub fn kill(&self, name: &'static str) -> Result<()> {
        let mut child = self.running.lock().unwrap().remove(name).with_context(|| format!("{name} does not run"))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn program(&self, name: &str) -> Result<Command> {
        self.machine.command(self.programs.path(name))
    }

    fn run(&self, name: &'static str, mut command: Command) -> Result<()> {
        let child = self.machine.start(name, &mut command)?;
        self.running.lock().unwrap().insert(name, child);
        Ok(())
    }

    /// Waits for something, as long as all programs run.
    pub fn until(&self, what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
        let started = Instant::now();
        while !condition()? {
            self.check()?;
            if started.elapsed() > START {
                let logs = ["kubelet", "containerd"].map(|name| format!("{name} says:\n{}", self.end_of_log(name)));
                bail!("not within {START:?}: {what}\n{}", logs.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Whether all programs run that were started.
    pub fn check(&self) -> Result<()> {
        for (name, child) in self.running.lock().unwrap().iter_mut() {
            if let Some(status) = child.try_wait()? {
                bail!("{name} ended, {status}: {}", self.end_of_log(name));
            }
        }
        Ok(())
    }

    fn end_of_log(&self, name: &str) -> String {
        let text = fs::read_to_string(self.machine.log(name)).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// The administrator's way in.
    pub fn kubeconfig(&self) -> PathBuf {
        self.machine.folder.join("admin.conf")
    }

    /// Where a program or a chart is, of those that `scripts/control-plane` knows.
    pub fn path(&self, name: &str) -> &Path {
        self.programs.path(name)
    }

    /// What kubectl says; an error where it complains.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        done(self.tool("kubectl").args(arguments))
    }

    /// The same, with something to read.
    pub fn kubectl_with(&self, arguments: &[&str], input: &str) -> Result<String> {
        let file = tempfile::NamedTempFile::new_in(&self.machine.folder)?;
        fs::write(file.path(), input)?;
        done(self.tool("kubectl").args(arguments).stdin(fs::File::open(file.path())?))
    }

    /// Applies a manifest: whether the API server took it, and what it complained about.
    pub fn apply(&self, manifest: &str) -> Result<(bool, String)> {
        let file = tempfile::NamedTempFile::new_in(&self.machine.folder)?;
        fs::write(file.path(), manifest)?;
        let output = self.tool("kubectl").args(["apply", "-f"]).arg(file.path()).output()?;
        Ok((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }

    /// What helm says; an error where it complains.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        done(self.tool("helm").args(arguments))
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.path(name));
        command.env("KUBECONFIG", self.kubeconfig()).env("HOME", &self.machine.folder).stdin(Stdio::null());
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }
}

/// A command's arguments, in one expression.
trait Arguments {
    fn args_of<S: AsRef<std::ffi::OsStr>>(self, arguments: &[S]) -> Self;
}

impl Arguments for Command {
    fn args_of<S: AsRef<std::ffi::OsStr>>(mut self, arguments: &[S]) -> Self {
        self.args(arguments);
        self
    }
}

/// What a command said on its standard output; an error with all that it said where it failed.
fn done(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    Ok(text(&output.stdout))
}
