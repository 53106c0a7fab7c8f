//! The real binary as a child process.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc::Receiver},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::DEADLINE;

/// The binary with its arguments; nothing of this process's environment that it would listen to.
pub fn spark_admission(arguments: &[&str]) -> Command {
    spark_admission_at(Path::new(env!("CARGO_BIN_EXE_spark-admission")), arguments)
}

/// Another build of the binary.
pub fn spark_admission_at(binary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env_remove("KUBECONFIG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A running `serve`; killed when dropped.
pub struct Serving {
    child: Child,
    pub reviews: SocketAddr,
    pub admin: SocketAddr,
    /// What it printed on standard output until it was ready.
    pub printed: String,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Serving {
    /// Starts `serve` standalone in a state directory, on free ports.
    pub fn standalone(state: &Path, more: &[&str]) -> Self {
        let state = state.display().to_string();
        let mut arguments =
            vec!["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--state-dir", &state];
        arguments.extend(more);
        Self::start(&mut spark_admission(&arguments))
    }

    pub fn start(command: &mut Command) -> Self {
        Self::start_and_read_log_after(command, None)
    }

    /// Starts it, and reads its log only when the other end of the channel says so or is dropped.
    pub fn start_and_read_log_after(command: &mut Command, go: Option<Receiver<()>>) -> Self {
        let standalone = !command.get_args().any(|argument| argument == "--tls-cert" || argument == "self-managed");
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, sink) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        let reader = std::thread::spawn(move || {
            let _ = go.map(|go| go.recv());
            for line in lines.lines().map_while(Result::ok) {
                sink.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let mut printed = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let address = |printed: &str, scheme: &str| -> Option<SocketAddr> {
            printed.split(scheme).nth(1)?.split('/').next()?.parse().ok()
        };
        // The last line is the curl line of a standalone server, else the admin port's.
        let is_whole =
            |printed: &str| printed.contains("curl") || (address(printed, "http://").is_some() && !standalone);
        while !is_whole(&printed) {
            assert!(out.read_line(&mut printed).unwrap() > 0, "ended at the start: {}", log.lock().unwrap());
        }
        let (reviews, admin) = (address(&printed, "https://").unwrap(), address(&printed, "http://").unwrap());
        Self { child, reviews, admin, printed, log, reader: Some(reader) }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log says so, and returns it.
    pub fn log_with(&self, says: &str) -> String {
        let start = Instant::now();
        loop {
            let log = self.log();
            if log.contains(says) {
                return log;
            }
            assert!(start.elapsed() < DEADLINE, "the log does not say {says:?}: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end and returns how it ended, with the whole log.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = wait(&mut self.child);
        self.reader.take().unwrap().join().unwrap();
        (status, self.log())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that is to end by itself: exit status, standard output, standard error.
pub fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command.spawn().unwrap();
    let status = wait(&mut child);
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    (status.code(), out, err)
}

fn wait(child: &mut Child) -> ExitStatus {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if start.elapsed() > DEADLINE {
            let _ = child.kill();
            panic!("still running after {DEADLINE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
