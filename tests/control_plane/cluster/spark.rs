//! Real Spark, from `scripts/spark`: what a user runs, and what runs in a pod, as processes of this machine.
//!
//! All that they write goes to a folder of their own. The user of a process has no home, as in Spark's images; packages come from a
//! repository of the test's own. Kubernetes is asked as the account `spark`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;
use tokio::sync::OnceCell;

use super::{InPod, Namespace, programs::Programs};
use crate::support::skip;

/// How long a program of Spark's may run, on a busy machine.
const DEADLINE: Duration = Duration::from_mins(2);
/// What Java is told to be the user's home: it is not there, and not even root can make it.
const NO_HOME: &str = "/dev/null/home";
/// Most of a short run is compiling. Nothing is to be left in the machine's /tmp.
const QUICK: &str = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData";

/// The account of what a user runs.
const ACCOUNT: &str = "spark";

/// The package in the repository, and the file that it becomes in Ivy's directory.
pub const PACKAGE: &str = "org.example:greeting:1.0";
pub const JAR: &str = "jars/org.example_greeting-1.0.jar";

/// A Python program that holds a session as long as nobody ends what it reads.
const SESSION: &str = "
import sys
from pyspark.sql import SparkSession
session = SparkSession.builder.getOrCreate()
print('session started', flush=True)
sys.stdin.read()
session.stop()
";

/// A release of Spark, with a folder for what it does in a namespace.
pub struct Spark<'a> {
    pub version: String,
    pub folder: PathBuf,
    home: PathBuf,
    here: &'a Namespace,
    account: &'static str,
}

/// How a program ended, and what it said.
pub struct Ran {
    pub status: ExitStatus,
    pub said: String,
}

/// A program that runs; ended when dropped.
pub struct Running {
    child: Child,
    log: PathBuf,
    /// Closed, it is the end of what the program reads.
    pub input: Option<ChildStdin>,
}

impl<'a> Spark<'a> {
    /// The release of a line, `3.5` or `4`, for a namespace. Where there is nothing to run it with, there is none, and the test that
    /// asks is counted as skipped.
    pub async fn release<T>(line: &str, here: &'a Namespace, test: T) -> Option<Self> {
        let spark = Self::release_as(ACCOUNT, line, here, test).await?;
        spark.give_rights().await;
        Some(spark)
    }

    /// The same, whose account is another one, which there is with its rights.
    pub async fn release_as<T>(account: &'static str, line: &str, here: &'a Namespace, _test: T) -> Option<Self> {
        static FOUND: OnceCell<Programs> = OnceCell::const_new();
        let find = async || tokio::task::spawn_blocking(Programs::spark).await.unwrap().unwrap();
        let found = FOUND.get_or_init(find).await;
        if let Some(what) = found.get("missing") {
            skip(std::any::type_name::<T>(), &format!("there is no {}", what.display()));
            return None;
        }
        let name = format!("spark-{line}");
        let home = found.path(&name).to_owned();
        let version = home.file_name().unwrap().to_str().unwrap().strip_prefix("spark-").unwrap().to_owned();
        let folder = here.cluster().processes.folder().join(format!("{name}-{}", here.name));
        let spark = Self { version, folder, home, here, account };
        spark.write_files(&here.token(account).await);
        Some(spark)
    }

    /// The account that it asks Kubernetes as.
    pub fn account(&self) -> &'static str {
        self.account
    }

    pub fn image(&self) -> String {
        format!("apache/spark:{}", self.version)
    }

    /// What Spark calls the address of the API server.
    pub fn master(&self) -> String {
        format!("k8s://{}", self.address())
    }

    pub fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.here.cluster().port)
    }

    /// One of Spark's programs, such as `bin/spark-submit`.
    pub fn program(&self, path: &str) -> Command {
        self.command(&self.home.join(path))
    }

    /// What the pod of a driver runs, as the images' entrypoint does it.
    pub fn driver(&self, pod: &InPod) -> Command {
        let mut command = self.program("bin/spark-submit");
        command.args(["--conf", "spark.driver.bindAddress=127.0.0.1", "--deploy-mode", "client"]);
        command.args(&pod.arguments()[1..]).envs(pod.environment()).env("KUBECONFIG", self.kubeconfig());
        command
    }

    /// Python with `pyspark`, as in a notebook's image.
    pub fn python(&self) -> Command {
        let python = self.home.join("python");
        let archives = fs::read_dir(python.join("lib")).unwrap().map(|entry| entry.unwrap().path());
        let paths: Vec<_> = archives.filter(|path| !path.ends_with("pyspark.zip")).chain([python]).collect();
        let mut command = self.command(Path::new("python3"));
        command.env("PYTHONPATH", std::env::join_paths(paths).unwrap());
        command
    }

    /// What the author of a session in client mode sets, as `PYSPARK_SUBMIT_ARGS`: executors are the pod's, each with a claim of its own.
    pub fn submit_arguments(&self, driver_pod: &str, executors: usize, more: &str) -> String {
        let claim = "spark.kubernetes.executor.volumes.persistentVolumeClaim.data";
        let settings = [
            ("spark.kubernetes.namespace".to_owned(), self.here.name.clone()),
            ("spark.kubernetes.container.image".to_owned(), self.image()),
            ("spark.kubernetes.driver.pod.name".to_owned(), driver_pod.to_owned()),
            ("spark.kubernetes.authenticate.oauthTokenFile".to_owned(), self.token_file().display().to_string()),
            ("spark.kubernetes.authenticate.caCertFile".to_owned(), self.authority().display().to_string()),
            ("spark.executor.instances".to_owned(), executors.to_string()),
            ("spark.driver.host".to_owned(), "127.0.0.1".to_owned()),
            // Nobody starts the executors, and the session is not to wait for them.
            ("spark.scheduler.minRegisteredResourcesRatio".to_owned(), "0".to_owned()),
            ("spark.ui.enabled".to_owned(), "false".to_owned()),
            (format!("{claim}.options.claimName"), "OnDemand".to_owned()),
            (format!("{claim}.options.storageClass"), "standard".to_owned()),
            (format!("{claim}.options.sizeLimit"), "1Gi".to_owned()),
            (format!("{claim}.mount.path"), "/data".to_owned()),
        ];
        let settings = settings.map(|(key, value)| format!("--conf {key}={value}")).join(" ");
        format!("--master {} {more} {settings} pyspark-shell", self.master())
    }

    /// What every process of Spark's needs here, and a process that starts Spark.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let folder = self.folder.display();
        vec![
            ("SPARK_HOME", self.home.display().to_string()),
            ("HOME", NO_HOME.to_owned()),
            ("TMPDIR", format!("{folder}/tmp")),
            ("JAVA_TOOL_OPTIONS", format!("-Duser.home={NO_HOME} -Djava.io.tmpdir={folder}/tmp {QUICK}")),
            // In the place of Maven Central.
            ("DEFAULT_ARTIFACT_REPOSITORY", format!("file://{folder}/repository/")),
            ("SPARK_LOCAL_IP", "127.0.0.1".to_owned()),
        ]
    }

    /// Runs it to its end.
    pub async fn run(&self, name: &str, command: &mut Command) -> Ran {
        self.start(name, command).end().await
    }

    pub fn start(&self, name: &str, command: &mut Command) -> Running {
        let log = self.folder.join(name).with_added_extension("log");
        let file = File::create(&log).unwrap();
        command.current_dir(&self.folder).stdin(Stdio::piped()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut child = self.here.cluster().processes.adopt(command).spawn().unwrap();
        let input = child.stdin.take();
        Running { child, log, input }
    }

    /// Nothing of the environment of the tests, but for where programs are.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(self.environment());
        command.envs(["PATH", "JAVA_HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        command
    }

    /// Lets the account do what Spark's documentation gives to a driver: everything with pods and what goes with them.
    async fn give_rights(&self) {
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": ACCOUNT},
            "rules": [
                {"apiGroups": [""], "resources": ["pods", "services", "configmaps", "persistentvolumeclaims"], "verbs": ["*"]},
                {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["*"]}
            ]
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "spark"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "spark"},
            "subjects": [{"kind": "ServiceAccount", "name": "spark", "namespace": self.here.name}]
        });
        for object in [role, binding] {
            self.here.create(&object).await.object();
        }
    }

    /// A jar, in which nothing is: an application's, and that of the package.
    pub fn jar(&self) -> PathBuf {
        self.folder.join("repository/org/example/greeting/1.0/greeting-1.0.jar")
    }

    /// The folder of the packages.
    pub fn repository(&self) -> PathBuf {
        self.folder.join("repository")
    }

    /// Puts another package into the repository; its coordinates.
    pub fn publish(&self, name: &str) -> String {
        let folder = self.repository().join(format!("org/example/{name}/1.0"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}-1.0.pom")), description(name)).unwrap();
        fs::write(folder.join(format!("{name}-1.0.jar")), EMPTY_ARCHIVE).unwrap();
        format!("org.example:{name}:1.0")
    }

    /// A Python program that holds a session until the end of its input.
    pub fn session_file(&self) -> PathBuf {
        self.folder.join("session.py")
    }

    fn write_files(&self, token: &str) {
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
             clusters: [{{name: test, cluster: {{server: \"{}\", certificate-authority: {}}}}}]\n\
             users: [{{name: spark, user: {{token: {token}}}}}]\n\
             contexts: [{{name: test, context: {{cluster: test, user: spark}}}}]\n",
            self.address(),
            self.authority().display()
        );
        fs::create_dir_all(self.folder.join("tmp")).unwrap();
        self.publish("greeting");
        for (file, bytes) in [
            (self.session_file(), SESSION.as_bytes()),
            (self.token_file(), token.as_bytes()),
            (self.kubeconfig(), kubeconfig.as_bytes()),
        ] {
            fs::write(file, bytes).unwrap();
        }
    }

    /// Kubernetes as the account sees it, as users and the operator give it to Spark.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The same, as a pod has it.
    pub fn token_file(&self) -> PathBuf {
        self.folder.join("token")
    }

    /// The API server's CA.
    pub fn authority(&self) -> PathBuf {
        self.here.cluster().processes.folder().join("ca.crt")
    }
}

/// What Maven's repositories say of a package.
fn description(name: &str) -> String {
    format!(
        "<project><modelVersion>4.0.0</modelVersion><groupId>org.example</groupId>\
         <artifactId>{name}</artifactId><version>1.0</version></project>"
    )
}

const EMPTY_ARCHIVE: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

impl Running {
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits for what it does, which is told by what it said so far or in another way; it must not end before.
    pub async fn until(&mut self, what: &str, condition: impl AsyncFn(&str) -> bool) {
        let started = Instant::now();
        while !condition(&self.said()).await {
            let ended = self.child.try_wait().unwrap();
            let waits = ended.is_none() && started.elapsed() < DEADLINE;
            assert!(waits, "{what}: not after {:?}, ended: {ended:?}; {}", started.elapsed(), self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it ends by itself.
    pub async fn end(mut self) -> Ran {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Ran { status, said: self.said() };
            }
            assert!(started.elapsed() < DEADLINE, "still runs after {DEADLINE:?}: {}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
