//! The processes of a control plane, which end with the process of the tests, however that ends.

use std::{
    fs::File,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::Mutex,
};

/// Reads its standard input, which the tests hold open and never write to: it ends when their process does, by a panic, an
/// interrupt or a kill. Then everything in its process group is ended, and the folder removed; and what the operator writes to a place
/// that is fixed in its source: a template for each SparkConnect, under one name, and templates for each submission, which its log names.
const KEEPER: &str = r#"
    trap '' HUP INT TERM
    read -r _
    kill -s TERM 0
    sleep 0.5
    rm -f /tmp/spark/executor-pod-template.yaml
    grep -oh '/tmp/spark/[0-9a-f][0-9a-f-]*/' "$1"/spark-operator-controller-*.log | sort -u | xargs rm -rf
    rmdir /tmp/spark
    [ -n "$2" ] || rm -rf "$1"
    kill -s KILL 0
"#;

/// What keeps the folder of the control plane: logs and, in a file for each, what programs say.
const KEEP: &str = "KEEP_CONTROL_PLANE";

/// A folder, and processes that live as long as this process at most.
pub struct Processes {
    folder: PathBuf,
    keeper: Child,
    /// As long as this is open, nothing ends.
    open: Mutex<Option<ChildStdin>>,
    running: Mutex<Vec<(String, Child)>>,
}

impl Processes {
    /// An empty folder, and somebody to clean up after us.
    pub fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("spark-admission-").tempdir()?.keep();
        let keep = std::env::var_os(KEEP).unwrap_or_default();
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&folder)
            .arg(keep)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let open = Mutex::new(keeper.stdin.take());
        Ok(Self { folder, keeper, open, running: Mutex::default() })
    }

    /// Ends all of them now.
    pub fn end_all(&self) {
        self.open.lock().unwrap().take();
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the folder stays when the tests end.
    pub fn is_kept() -> bool {
        std::env::var_os(KEEP).is_some_and(|value| !value.is_empty())
    }

    /// Lets a command join, whoever starts it: it ends with the tests.
    pub fn adopt<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.process_group(self.keeper.id().cast_signed())
    }

    /// Starts a program; what it says goes to a file named after it.
    pub fn start(&self, program: &Path, arguments: &[String]) -> io::Result<()> {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let child = self.spawn(&name, Command::new(program).args(arguments))?;
        self.running.lock().unwrap().push((name, child));
        Ok(())
    }

    /// Sends a program a signal by its name, such as `STOP`.
    pub fn signal(&self, name: &str, signal: &str) {
        let running = self.running.lock().unwrap();
        let (_, child) = running.iter().find(|(running, _)| running == name).unwrap();
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{name} is not there");
    }

    /// Kills a program.
    pub fn end(&self, name: &str) {
        let mut running = self.running.lock().unwrap();
        let place = running.iter().position(|(running, _)| running == name).unwrap();
        let (_, mut child) = running.remove(place);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts a program that whoever asks for it may end before the tests do; what it says goes to a file of that name.
    pub fn spawn(&self, name: &str, command: &mut Command) -> io::Result<Child> {
        let log = File::create(self.log_file(name))?;
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.adopt(command).spawn()
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.folder.join(name).with_added_extension("log")
    }

    /// What a program said.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.log_file(name)).unwrap_or_default()
    }

    /// The programs that have ended, each with the end of what it said.
    pub fn ended(&self) -> Vec<String> {
        let mut running = self.running.lock().unwrap();
        let ended = running.iter_mut().filter_map(|(name, child)| {
            let status = child.try_wait().ok()??;
            Some(format!("{name} ended, {status}:\n{}", self.log_end(name, 20)))
        });
        ended.collect()
    }

    /// The last lines of what a program said.
    pub fn log_end(&self, name: &str, lines: usize) -> String {
        let text = self.log(name);
        let all: Vec<_> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        self.end_all();
        for (_, child) in self.running.get_mut().unwrap() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = self.keeper.wait();
    }
}
