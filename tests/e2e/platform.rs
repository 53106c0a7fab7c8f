//! The platform as its chart installs it: the operator, users' accounts and, at first without and then with it, the webhook.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};

use crate::{
    cell::{Cell, Surroundings},
    node::Node,
};

/// The namespace of the release.
pub const OPERATORS: &str = "operators";
/// The namespaces that the operator watches: the platform's own, and one for each thing that an administrator sets for a namespace.
const WATCHED: [&str; 4] = [USERS, LIMITED, RESTRICTED, NO_ROLE];
/// Those of them whose users get the platform's account and its rights.
const SERVED: [&str; 3] = [USERS, LIMITED, RESTRICTED];
pub const USERS: &str = "jupyterhub-users";
/// It has a `LimitRange` and a `ResourceQuota`.
pub const LIMITED: &str = "limited";
/// The Pod Security Standard of this name is enforced in it.
pub const RESTRICTED: &str = "restricted";
/// Its account may do nothing.
pub const NO_ROLE: &str = "bare";
/// Nobody has told the operator of it.
pub const UNWATCHED: &str = "team-new";

/// The platform's chart with what it depends on, in the folder of a node.
pub struct Platform<'a> {
    node: &'a Node,
    chart: String,
}

impl<'a> Platform<'a> {
    /// Gets everything ready; nothing is installed.
    pub fn new(node: &'a Node) -> Result<Self> {
        let chart = node.machine.folder.join("spark");
        let copied = Command::new("cp")
            .args(["-R", "manifests/helm/spark"])
            .arg(&chart)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status()?;
        ensure!(copied.success(), "cannot copy the platform's chart");
        let dependencies = chart.join("charts");
        let operator = node.path("spark-operator-chart").to_string_lossy().into_owned();
        for dependency in ["manifests/helm/spark-admission", &operator] {
            node.helm(&["package", dependency, "--destination", &dependencies.to_string_lossy()])?;
        }
        Ok(Self { node, chart: chart.to_string_lossy().into_owned() })
    }

    /// The image of the webhook, as it is published.
    pub fn import_webhook(&self) -> Result<()> {
        let archive = self.node.machine.folder.join("image.tar");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/image");
        let output = Command::new(script).arg(&archive).stderr(Stdio::inherit()).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && said.starts_with("image="), "{script}: {said}");
        self.node.import(&archive)
    }

    /// The path of one of its examples.
    pub fn example(&self, file: &str) -> String {
        format!("{}/examples/{file}", self.chart)
    }

    /// Installs or upgrades the release, with these values besides, and waits until it is ready. The operator submits four applications
    /// at a time, not ten: so many Spark clients on two cores give up on the API server, to which they must connect within ten seconds.
    pub fn install(&self, values: &[&str]) -> Result<()> {
        let watched = format!("spark-operator.spark.jobNamespaces={{{}}}", WATCHED.join(","));
        let served = format!("userNamespaces={{{}}}", SERVED.join(","));
        let mut arguments =
            vec!["upgrade", "--install", "spark", &self.chart, "--namespace", OPERATORS, "--create-namespace"];
        arguments.extend(["--wait", "--timeout", "5m", "--set", &watched, "--set", &served]);
        for value in ["spark-operator.controller.workers=4"].iter().chain(values) {
            arguments.extend(["--set", value]);
        }
        self.node.helm(&arguments)?;
        Ok(())
    }

    /// What an administrator sets for the namespaces: limits and a quota in one, a Pod Security Standard in another, an account without
    /// rights in a third.
    pub fn prepare_namespaces(&self) -> Result<()> {
        self.node.kubectl(&["label", "namespace", RESTRICTED, "pod-security.kubernetes.io/enforce=restricted"])?;
        self.node.kubectl(&["create", "namespace", UNWATCHED])?;
        self.node.kubectl(&["-n", NO_ROLE, "create", "serviceaccount", "spark-driver"])?;
        self.node.kubectl_with(&["apply", "-f", "-"], LIMITS)?;
        Ok(())
    }

    /// For each cell that is to have one, a disk that others have used before: who gets it is to change nothing for the next.
    pub fn prepare_disks(&self, cells: &[Cell]) -> Result<()> {
        for cell in cells.iter().filter(|cell| cell.surroundings == Surroundings::ForeignClaim) {
            let disk = self.node.machine.folder.join(cell.name());
            fs::create_dir_all(disk.join("others"))?;
            fs::write(disk.join("others/file"), "of somebody else")?;
            let claim = CLAIM.replace("DISK", &disk.to_string_lossy()).replace("NAME", &cell.name());
            self.node.kubectl_with(&["apply", "-f", "-"], &claim)?;
        }
        Ok(())
    }
}

const LIMITS: &str = r#"
apiVersion: v1
kind: LimitRange
metadata: {name: containers, namespace: limited}
spec:
  limits:
  - {type: Container, default: {cpu: "1", memory: 1Gi}, defaultRequest: {cpu: 100m, memory: 256Mi}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: all, namespace: limited}
spec:
  hard: {requests.cpu: "4", requests.memory: 16Gi, limits.cpu: "16", limits.memory: 16Gi}
"#;

/// A disk of the node's, and the claim for it. DISK and NAME are filled in.
const CLAIM: &str = r#"
apiVersion: v1
kind: PersistentVolume
metadata: {name: NAME}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: ""
  claimRef: {namespace: jupyterhub-users, name: NAME}
  local: {path: DISK}
  nodeAffinity:
    required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node]}]}]}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: NAME, namespace: jupyterhub-users}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", volumeName: NAME, resources: {requests: {storage: 1Gi}}}
"#;
