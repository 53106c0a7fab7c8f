//! A machine within this one: namespaces of its own, which end with everything in them when the tests do.

use std::{
    ffi::OsString,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, Error, Result, bail, ensure};

use crate::programs::Programs;

/// The first of three neighbouring networks, from the range that is set aside for tests of networks (RFC 2544): nobody's.
const NETWORK: &str = "198.18.76";
/// The machine's address, where its API server and its kubelet listen.
pub const ADDRESS: &str = "198.18.76.2";
/// The addresses of its pods.
pub const PODS: &str = "198.18.77.0/24";
/// The addresses of its services.
pub const SERVICES: &str = "198.18.78.0/24";

/// A running machine.
pub struct Machine {
    pub folder: PathBuf,
    packages: Programs,
    /// The first process of its namespaces, as this machine counts.
    first: u32,
    /// As long as this is open, the machine runs.
    open: Option<ChildStdin>,
    keeper: Child,
}

impl Machine {
    /// Makes one, with an empty folder.
    pub fn new() -> Result<Self> {
        let packages = Programs::said_by("scripts/node-packages", &[]).map_err(Error::msg)?;
        let folder = tempfile::Builder::new().prefix("spark-admission-e2e-").tempdir()?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/node/keeper.sh");
        let mut keeper = Command::new(&script)
            .args([folder.path().as_os_str(), NETWORK.as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .envs(environment(&packages)?)
            .spawn()
            .with_context(|| format!("cannot run {}", script.display()))?;
        let open = keeper.stdin.take();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().context("its output is piped")?).read_line(&mut said)?;
        let Some(first) = said.trim().strip_prefix("machine ").and_then(|pid| pid.parse().ok()) else {
            bail!("{} ended without a machine: {}", script.display(), keeper.wait()?);
        };
        // From here on it is the keeper's to remove.
        Ok(Self { folder: folder.keep(), packages, first, open, keeper })
    }

    /// A program in the machine, in its folder.
    pub fn command(&self, program: &Path) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command.envs(environment(&self.packages)?);
        command.args(["--target", &self.first.to_string(), "--mount", "--net", "--pid"]);
        // Entered there: a folder of this machine's own namespace has no path in the other. Who is started is a child of nsenter, and ends
        // with it: so to kill the one is to kill the other.
        let enter = r#"cd "$0" && exec setpriv --pdeathsig KILL -- "$@""#;
        command.args(["--", "sh", "-c", enter]).arg(&self.folder).arg(program);
        command.stdin(Stdio::null());
        Ok(command)
    }

    /// One of the programs from Debian's packages.
    pub fn packaged(&self, name: &str) -> Result<Command> {
        self.command(&self.packages.path("programs").join(name))
    }

    /// Where the programs are that connect pods.
    pub fn network_plugins(&self) -> &Path {
        self.packages.path("network-plugins")
    }

    /// Kills every process in the cgroups of the node: all containers, with those of a kind that ends when another does.
    pub fn kill_containers() -> Result<()> {
        const PROCESSES: &str =
            "find /sys/fs/cgroup/ -path '*/spark-admission-e2e/*' -name cgroup.procs -exec cat {} +";
        let script = format!(
            "for _ in $(seq 100); do all=$({PROCESSES} | sort -u); [ -n \"$all\" ] || exit 0; kill -s KILL $all 2>/dev/null; sleep 0.1; done; exit 1"
        );
        ensure!(Command::new("sh").args(["-c", &script]).status()?.success(), "the node's containers do not die");
        Ok(())
    }

    /// Starts a program that goes on; what it says is added to a file of that name.
    pub fn start(&self, name: &str, command: &mut Command) -> Result<Child> {
        let log = File::options().create(true).append(true).open(self.log(name))?;
        command.stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("cannot start {name}"))
    }

    /// The file of what a program says.
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_added_extension("log")
    }
}

/// With which the programs from Debian's packages find each other, and their libraries.
fn environment(packages: &Programs) -> Result<[(&'static str, OsString); 3]> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = [packages.path("programs").to_owned()].into_iter().chain(std::env::split_paths(&path));
    let libraries = packages.path("libraries");
    Ok([
        ("PATH", std::env::join_paths(paths)?),
        ("LD_LIBRARY_PATH", libraries.into()),
        ("XTABLES_LIBDIR", libraries.join("xtables").into()),
    ])
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.open.take();
        // It says itself what it cannot remove.
        let _ = self.keeper.wait();
    }
}
