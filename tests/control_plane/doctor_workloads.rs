//! `doctor` about single workloads: pods on the real API server with the status and events that a kubelet gives them, logs by way of the
//! real `pods/log`, what the real scheduler says of pods that fit nowhere, and what real Spark and the real operator say when they fail.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::{
    cluster::{Cluster, Kubelet, Namespace, Operator, PACKAGE, Spark},
    support::{process::spark_admission, within},
};

/// A control plane for the tests of this file, with its scheduler and a flagged node: nodes concern everybody.
async fn cluster() -> &'static Cluster {
    static MINE: OnceCell<&Cluster> = OnceCell::const_new();
    let cluster = MINE.get_or_init(Cluster::of_several_tests).await;
    cluster.start_controllers().await;
    cluster
}

/// One thing that `doctor` found.
#[derive(Debug)]
struct Found {
    /// `error oom-killed: the problem`.
    line: String,
    evidence: String,
    sentence: String,
    copy: String,
}

/// What `doctor` finds about one object of a namespace.
async fn found(here: &Namespace, kind: &str, name: &str) -> Vec<Found> {
    let mut all = all_found(here).await;
    all.retain(|(object, _)| object["kind"] == kind && object["name"] == name);
    all.into_iter().map(|(_, found)| found).collect()
}

async fn all_found(here: &Namespace) -> Vec<(Value, Found)> {
    let (namespace, kubeconfig) = (here.name.clone(), here.cluster().admin().display().to_string());
    let run = move || {
        spark_admission(&["doctor", "-n", &namespace, "-o", "json", "--kubeconfig", &kubeconfig]).output().unwrap()
    };
    let ran = tokio::task::spawn_blocking(run).await.unwrap();
    let report: Value = serde_json::from_slice(&ran.stdout)
        .unwrap_or_else(|_| panic!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr)));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let read = |finding: &Value| {
        let found = Found {
            line: format!("{} {}: {}", text(&finding["level"]), text(&finding["finding"]), text(&finding["problem"])),
            evidence: finding["evidence"].to_string(),
            sentence: text(&finding["cure"]["sentence"]),
            copy: text(&finding["cure"]["copy"]),
        };
        (finding["object"].clone(), found)
    };
    findings.map(read).filter(|(object, _)| object["namespace"] == *here.name).collect()
}

/// Does what a cure says to copy: the commands of kubectl's that it may have.
async fn carry_out(here: &Namespace, copy: &str) {
    for line in copy.lines() {
        let words: Vec<_> = line.split(' ').collect();
        let at = |flag: &str| words.iter().position(|word| *word == flag).map(|place| words[place + 1]);
        assert!(at("-n").is_none_or(|namespace| namespace == here.name), "{line}");
        let object = |kind: &str, name: &str| {
            let (version, kind) = match kind {
                "sparkapplication" => ("sparkoperator.k8s.io/v1beta2", "SparkApplication"),
                "sparkconnect" => ("sparkoperator.k8s.io/v1alpha1", "SparkConnect"),
                "pod" => ("v1", "Pod"),
                _ => panic!("{line}"),
            };
            json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}})
        };
        match words.as_slice() {
            ["kubectl", "patch", kind, name, ..] => {
                let (_, patch) = line.split_once(" -p ").unwrap();
                let patch: Value = serde_json::from_str(patch.trim_matches('\'')).unwrap();
                here.merge(&object(kind, name), &patch).await.object();
            }
            ["kubectl", "delete", "pod", name, ..] if !name.starts_with('-') => {
                here.delete_now(&object("pod", name)).await.object();
            }
            // A server of which there is no pod yet.
            ["kubectl", "delete", "pod", "-n", ..] => {}
            _ => panic!("{line}"),
        }
    }
}

/// A pod of Spark's on a node, as a kubelet reports it.
struct Case {
    name: &'static str,
    role: &'static str,
    /// Its container's resources, and what else stands in the pod's spec.
    resources: Value,
    spec: Value,
    /// How its container is; `{}` is a kubelet that has said nothing.
    container: Value,
    phase: &'static str,
    event: Option<(&'static str, &'static str)>,
    /// What the container says, and what it said before its restart.
    logs: [Option<Vec<u8>>; 2],
    /// What is found, and a part of the cure; nothing is for pods that are well.
    expected: Option<(&'static str, &'static str)>,
}

impl Case {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            role: "driver",
            resources: json!({"limits": {"memory": "1408Mi"}, "requests": {"memory": "1408Mi"}}),
            spec: json!({}),
            container: json!({"state": {"waiting": {"reason": "ContainerCreating"}}}),
            phase: "Pending",
            event: None,
            logs: [None, None],
            expected: None,
        }
    }

    fn event(mut self, reason: &'static str, message: &'static str) -> Self {
        self.event = Some((reason, message));
        self
    }

    fn waiting(mut self, reason: &str, message: &str) -> Self {
        self.container = json!({"state": {"waiting": {"reason": reason, "message": message}}});
        self
    }

    /// It ended, and the pod with it.
    fn failed(mut self, code: i64, reason: &str) -> Self {
        self.container = json!({"state": {"terminated": {"exitCode": code, "reason": reason}}});
        self.phase = "Failed";
        self
    }

    /// It is started again and again.
    fn crashing(mut self, code: i64, reason: &str) -> Self {
        self.container = json!({
            "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 1m20s restarting failed container"}},
            "lastState": {"terminated": {"exitCode": code, "reason": reason}}
        });
        self.phase = "Running";
        self
    }

    fn running(mut self) -> Self {
        self.container = json!({"ready": true, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}});
        self.phase = "Running";
        self
    }

    fn says(mut self, log: impl Into<Vec<u8>>) -> Self {
        self.logs[0] = Some(log.into());
        self
    }

    fn said(mut self, log: impl Into<Vec<u8>>) -> Self {
        self.logs[1] = Some(log.into());
        self
    }

    fn finds(mut self, line: &'static str, cure: &'static str) -> Self {
        self.expected = Some((line, cure));
        self
    }

    async fn make(&self, here: &Namespace, kubelet: &Kubelet) {
        let container = format!("spark-kubernetes-{}", if self.role == "executor" { "executor" } else { "driver" });
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.name, "labels": {"spark-role": self.role}},
            "spec": {
                "nodeName": kubelet.node, "serviceAccountName": "spark",
                "containers": [{"name": container, "image": "apache/spark:3.5.9", "resources": self.resources}]
            }
        });
        for (member, value) in self.spec.as_object().unwrap() {
            pod["spec"][member] = value.clone();
        }
        let made = here.create(&pod).await.object();
        let mut status =
            json!({"name": container, "image": "apache/spark:3.5.9", "imageID": "", "ready": false, "restartCount": 0});
        for (member, value) in self.container.as_object().unwrap() {
            status[member] = value.clone();
        }
        let mut patch = json!({"status": {"phase": self.phase, "containerStatuses": [status]}});
        if self.phase == "Evicted" {
            patch = json!({"status": {"phase": "Failed", "reason": "Evicted",
                "message": "Usage of EmptyDir volume \"ivy-cache\" exceeds the limit \"512Mi\". "}});
        }
        here.merge_status(&pod, &patch).await.object();
        if let Some((reason, message)) = self.event {
            let event = json!({
                "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{}.1", self.name)}, "type": "Warning",
                "reason": reason, "message": message, "count": 3, "source": {"component": "kubelet", "host": kubelet.node},
                "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:01:00Z",
                "involvedObject": {"kind": "Pod", "namespace": here.name, "name": self.name, "uid": made["metadata"]["uid"]}
            });
            here.create(&event).await.object();
        }
        for (log, previous) in self.logs.iter().zip([false, true]) {
            if let Some(log) = log {
                kubelet.says(self.name, &container, previous, log.clone());
            }
        }
    }
}

const NO_SPACE: &str = "MountVolume.SetUp failed for volume \"kube-api-access-x7k2p\" : write /var/lib/kubelet/pods/1/volumes/kubernetes.io~projected/kube-api-access-x7k2p/..2026_11_22/ca.crt: no space left on device";

#[rustfmt::skip]
fn cases() -> Vec<Case> {
    let half_a_byte = json!({"limits": {"memory": "512m"}, "requests": {"memory": "512m"}});
    let in_memory = json!({"volumes": [{"name": "ivy-cache", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}}]});
    let connect = "Error: Failed to load class org.apache.spark.sql.connect.service.SparkConnectServer.\nFailed to load main class org.apache.spark.sql.connect.service.SparkConnectServer.\n";
    let noise = |lines: usize| "26/11/22 10:00:00 INFO TaskSetManager: Finished task 1.0 in stage 1.0\n".repeat(lines);
    let quota = "io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: https://kubernetes.default.svc/api/v1/namespaces/x/pods. Message: Forbidden! pods \"pi-exec-1\" is forbidden: failed quota: lims: must specify limits.cpu for: spark-kubernetes-executor.\n";
    let mut with_volume = Case::new("oom-killed").failed(137, "OOMKilled");
    with_volume.spec = in_memory;
    let mut half = Case::new("half-a-byte").event("FailedMount", NO_SPACE);
    half.resources = half_a_byte.clone();
    let mut sandbox = Case::new("half-a-byte-without-token").event("FailedCreatePodSandBox", "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to start sandbox container task: cannot allocate memory");
    sandbox.resources = half_a_byte;
    let mut evicted = Case::new("evicted");
    evicted.phase = "Evicted";
    let mut restarted = Case::new("restarted-and-well").running().said(connect);
    restarted.container["restartCount"] = json!(3);
    restarted.container["lastState"] = json!({"terminated": {"exitCode": 101, "reason": "Error"}});
    let mut succeeded = Case::new("succeeded").event("FailedMount", NO_SPACE);
    succeeded.phase = "Succeeded";
    succeeded.container = json!({"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    vec![
        half.finds("error memory-in-bytes: spec.containers[0].resources.limits.memory is 512m", "512Mi"),
        sandbox.finds("error memory-in-bytes:", "512Mi"),
        Case::new("no-space").event("FailedMount", NO_SPACE).finds("error no-space-to-start:", "kubectl describe node"),
        Case::new("no-secret").event("FailedMount", "MountVolume.SetUp failed for volume \"keys\" : secret \"keys\" not found").finds("error volume-source-missing: a volume is made of the secret keys", "kubectl create secret generic keys"),
        Case::new("no-claim").event("FailedMount", "MountVolume.SetUp failed for volume \"data\" : persistentvolumeclaim \"data\" not found").finds("error volume-source-missing: a volume is made of the persistentvolumeclaim data", "kubectl get persistentvolumeclaims"),
        Case::new("slow-volume").event("FailedMount", "MountVolume.MountDevice failed for volume \"pvc-1\" : driver name csi.example.com not found in the list of registered CSI drivers").finds("error mount-failed: a volume cannot be mounted: MountVolume.MountDevice failed", "kubectl describe pod slow-volume"),
        Case::new("fresh-driver").event("FailedMount", "MountVolume.SetUp failed for volume \"spark-conf-volume-driver\" : configmap \"spark-drv-1-conf-map\" not found"),
        Case::new("creating"),
        Case::new("no-sandbox").event("FailedCreatePodSandBox", "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox: plugin type=\"bridge\" failed (add): no IP addresses available").finds("error sandbox-failed:", "kubectl describe pod no-sandbox"),
        Case::new("no-image").waiting("ImagePullBackOff", "Back-off pulling image \"apache/spark:3.5.9\"")
            .event("Failed", "Failed to pull image \"apache/spark:3.5.9\": rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/apache/spark:3.5.9\": docker.io/apache/spark:3.5.9: not found")
            .finds("error image-not-pulled: there is no image apache/spark:3.5.9", "spark.kubernetes.container.image"),
        Case::new("no-credentials").waiting("ErrImagePull", "rpc error: code = Unknown desc = failed to authorize: failed to fetch anonymous token: unexpected status: 401 Unauthorized")
            .finds("error image-not-pulled: apache/spark:3.5.9 cannot be pulled: the registry wants credentials", "kubectl create secret docker-registry"),
        Case::new("no-registry").waiting("ErrImagePull", "failed to do request: Head \"https://registry.example/v2/spark/manifests/1\": dial tcp: lookup registry.example: no such host")
            .finds("error image-not-pulled: the node does not reach the registry", "image"),
        Case::new("no-variable").waiting("CreateContainerConfigError", "secret \"s3\" not found").finds("error container-config: spark-kubernetes-driver takes variables from the secret s3", "kubectl get secrets"),
        Case::new("no-connect").crashing(101, "Error").said(connect).finds("error connect-class-missing:", "org.apache.spark:spark-connect_2.12:3.5.9"),
        with_volume.finds("error oom-killed: the kernel ended spark-kubernetes-driver: its limit is 1408 MiB", "memoryOverhead"),
        Case::new("killed").failed(137, "Error").says(noise(10)).finds("error killed:", "kubectl describe pod killed"),
        Case::new("own-error").failed(1, "Error").says("Traceback (most recent call last):\n  File \"/app/job.py\", line 2\nValueError: no such report\n").finds("error container-failed: spark-kubernetes-driver ended with 1: ValueError: no such report", "kubectl logs own-error"),
        Case::new("read-only-root").failed(1, "Error").says("Exception in thread \"main\" java.nio.file.FileSystemException: /opt/spark/work-dir/a.jar: Read-only file system\n").finds("error directory-not-writable: /opt/spark/work-dir is read-only", "mountPath: /opt/spark/work-dir"),
        Case::new("silent").failed(3, "Error").finds("error container-failed: spark-kubernetes-driver ended with 3", "kubectl logs silent"),
        Case::new("loud").failed(1, "Error").says([b"\xff\xfe\x1b[31m".to_vec(), noise(3).into_bytes(), vec![b'x'; 2 << 20], b"\n".to_vec(), noise(12).into_bytes(), b"Invalid maximum heap size: \x1b[1m-Xmx512Mi\x1b[0m\n".to_vec(), noise(10).into_bytes()].concat())
            .finds("error heap-size: Java does not read 512Mi as a heap's size", "spark.driver.memory=512m"),
        evicted.finds("error evicted: the pod was ended (Evicted): Usage of EmptyDir volume", "kubectl describe pod evicted"),
        Case::new("refused-executors").running().says(format!("{}{quota}{}", noise(3), noise(3))).finds("error executors-refused: the API server takes no executor: failed quota: lims", "spark.kubernetes.executor.limit.cores=1"),
        restarted,
        succeeded,
        Case::new("well").running().says(noise(1_000)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kubelets_and_logs_say_is_found_and_what_is_well_is_silent() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    let kubelet = Kubelet::join(&here, "sound", &json!({})).await;
    let broken = Kubelet::join(&here, "broken", &json!({"spark-admission.io/flagged": "disk"})).await;
    let cases = cases();
    for case in &cases {
        case.make(&here, &kubelet).await;
    }
    let flagged = Case::new("on-a-broken-node")
        .event("FailedMount", NO_SPACE)
        .finds("error broken-node: its node broken.", "kubectl cordon broken.");
    flagged.make(&here, &broken).await;

    let all = all_found(&here).await;
    for case in cases.iter().chain([&flagged]) {
        let found: Vec<_> =
            all.iter().filter(|(object, _)| object["name"] == case.name).map(|(_, found)| found).collect();
        match (case.expected, found.as_slice()) {
            (None, []) => {}
            (Some((line, cure)), [found]) => {
                assert!(found.line.starts_with(line), "{}: {found:?}", case.name);
                assert!(found.sentence.contains(cure) || found.copy.contains(cure), "{}: {found:?}", case.name);
            }
            _ => panic!("{}: {found:?}", case.name),
        }
    }
    let sum = &all.iter().find(|(object, _)| object["name"] == "no-connect").unwrap().1;
    assert!(sum.evidence.contains("Failed to load class") && sum.evidence.contains("before its restart"), "{sum:?}");
    assert!(sum.evidence.contains("ended with 101 (Error), started again 4 times"), "{sum:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_scheduler_says_is_taken_apart() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    let _node = Kubelet::join(&here, "sound", &json!({"zone": "a"})).await;
    let _tainted = Kubelet::join(&here, "broken", &json!({"zone": "b", "spark-admission.io/flagged": "disk"})).await;
    let claim = |name: &str| json!([{"name": "data", "persistentVolumeClaim": {"claimName": name}}]);
    let unbound = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "unbound"},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "no-such-class", "resources": {"requests": {"storage": "1Gi"}}}
    });
    here.create(&unbound).await.object();
    let off_flagged = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "spark-admission.io/flagged", "operator": "DoesNotExist"}]}
    ]}}});
    let asks = |cpu: &str, memory: &str| json!({"requests": {"cpu": cpu, "memory": memory}});
    let cases = [
        (
            "too-many-cores",
            asks("80", "1Gi"),
            json!({}),
            "warning pod-unschedulable: no node takes it",
            "spec.driver.cores or coreRequest",
        ),
        (
            "too-much-memory",
            asks("1", "100Gi"),
            json!({}),
            "warning pod-unschedulable:",
            "spec.driver.memory and memoryOverhead",
        ),
        (
            "no-such-zone",
            asks("1", "1Gi"),
            json!({"nodeSelector": {"test": here.name, "zone": "c"}}),
            "warning pod-unschedulable:",
            "kubectl get nodes --show-labels",
        ),
        (
            "no-claim",
            asks("1", "1Gi"),
            json!({"volumes": claim("nothing")}),
            "warning pod-unschedulable:",
            "Make the claim nothing",
        ),
        (
            "unbound-claim",
            asks("1", "1Gi"),
            json!({"volumes": claim("unbound")}),
            "warning pod-unschedulable:",
            "storage class that is not there",
        ),
        (
            "kept-off",
            asks("1", "1Gi"),
            json!({"nodeSelector": {"test": here.name, "zone": "b"}, "affinity": off_flagged}),
            "error only-flagged-nodes: only flagged nodes would take it",
            "kubectl label node broken.",
        ),
    ];
    for (name, resources, spec, ..) in &cases {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"spark-role": "driver"}},
            "spec": {
                "nodeSelector": {"test": here.name},
                "tolerations": [{"key": "node.kubernetes.io/not-ready", "operator": "Exists"}],
                "containers": [{"name": "spark-kubernetes-driver", "image": "apache/spark:3.5.9", "resources": resources}]
            }
        });
        if *name == "kept-off" {
            pod["metadata"]["annotations"] = json!({"spark-admission.io/mutated": "node-steering"});
        }
        for (member, value) in spec.as_object().unwrap() {
            pod["spec"][member] = value.clone();
        }
        here.create(&pod).await.object();
    }
    within(Duration::from_mins(1), "the scheduler has looked at all", async || {
        let is_said = |pod: &Value| pod["status"]["conditions"][0]["reason"] == "Unschedulable";
        here.all("pods").await.iter().filter(|pod| is_said(pod)).count() == cases.len()
    })
    .await;
    for (name, _, _, line, cure) in cases {
        match found(&here, "Pod", name).await.as_slice() {
            [found] => {
                assert!(found.line.starts_with(line), "{name}: {found:?}");
                assert!(found.sentence.contains(cure) || found.copy.contains(cure), "{name}: {found:?}");
            }
            found => panic!("{name}: {found:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spark_3_5_says_when_it_fails_is_found_in_its_pods_log() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    if let Some(spark) = Spark::release("3.5", &here, what_spark_3_5_says_when_it_fails_is_found_in_its_pods_log).await
    {
        fails(&here, &spark, &["no-home", "unresolved", "heap", "class", "connect"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spark_4_says_when_it_fails_is_found_in_its_pods_log() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    if let Some(spark) = Spark::release("4", &here, what_spark_4_says_when_it_fails_is_found_in_its_pods_log).await {
        fails(&here, &spark, &["no-home", "tilde", "closed", "bytes"]).await;
    }
}

/// Runs real Spark into each failure, and has what it says be the log of a pod.
async fn fails(here: &Namespace, spark: &Spark<'_>, names: &[&str]) {
    let kubelet = Kubelet::join(here, "sound", &json!({})).await;
    let version_info = ["--class", "org.apache.hadoop.util.VersionInfo"];
    let ivy = format!("spark.jars.ivy={}/ivy", spark.folder.display());
    let unknown = "org.example:no-such-thing:1.0";
    let jar = spark.jar().display().to_string();
    let connect = "org.apache.spark.sql.connect.service.SparkConnectServer";
    let mut cases = vec![
        (
            "no-home",
            vec!["--packages", PACKAGE],
            "error ivy-not-writable: packages cannot be downloaded: /dev/null/home/.ivy2",
        ),
        (
            "tilde",
            vec!["--packages", PACKAGE, "--conf", "spark.jars.ivy=~/.ivy2"],
            "error ivy-not-writable: packages cannot be downloaded: Ivy takes ~/.ivy2/local as it is written",
        ),
        (
            "unresolved",
            vec!["--packages", unknown, "--conf", &ivy],
            "error ivy-unresolved: no repository has org.example:no-such-thing:1.0",
        ),
        ("heap", vec!["--driver-memory", "512Mi"], "error heap-size: Java does not read 512Mi as a heap's size"),
        ("bytes", vec!["--driver-memory", "512"], "error heap-size: the heap has less than a mebibyte"),
        (
            "closed",
            vec!["--packages", PACKAGE, "--conf", &ivy],
            "error ivy-unreachable: 127.0.0.1:9 cannot be reached for org.example:greeting:1.0",
        ),
        ("class", vec!["--class", "com.example.Report"], "error class-missing: the class com.example.Report"),
    ];
    cases.push(("connect", vec!["--class", connect], "error connect-class-missing:"));
    cases.retain(|(name, ..)| names.contains(name));
    for (name, arguments, _) in &cases {
        let mut command = spark.program("bin/spark-submit");
        command.args(version_info).args(arguments).args(["--master", "local[1]"]);
        command.arg(if *name == "connect" { "spark-internal" } else { jar.as_str() });
        if *name == "closed" {
            command.env("DEFAULT_ARTIFACT_REPOSITORY", "http://127.0.0.1:9/");
        }
        let ran = spark.run(name, &mut command).await;
        assert!(!ran.status.success(), "{name}: {}", ran.said);
        Case::new(name).failed(ran.status.code().unwrap().into(), "Error").says(ran.said).make(here, &kubelet).await;
    }
    let all = all_found(here).await;
    for (name, _, line) in cases {
        let found: Vec<_> = all.iter().filter(|(object, _)| object["name"] == name).map(|(_, found)| found).collect();
        assert!(found.len() == 1 && found[0].line.starts_with(line), "{name}: {found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_the_operator_could_not_submit_runs_once_the_cure_is_carried_out() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    let test = an_application_that_the_operator_could_not_submit_runs_once_the_cure_is_carried_out;
    let Some(spark) = Spark::release("4", &here, test).await else { return };
    let mut environment = spark.environment();
    environment.push(("KUBECONFIG", spark.kubeconfig().display().to_string()));
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _operator = Operator::controller(&here, &environment, &[]).await;
    let application = |name: &str, edit: &dyn Fn(&mut Value)| {
        let mut application = json!({
            "apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "metadata": {"name": name},
            "spec": {
                "type": "Scala", "mode": "cluster", "image": spark.image(), "sparkVersion": spark.version,
                "mainClass": "org.apache.hadoop.util.VersionInfo", "mainApplicationFile": format!("local://{}", spark.jar().display()),
                "restartPolicy": {"type": "Never"},
                "driver": {"cores": 1, "serviceAccount": "spark"}, "executor": {"instances": 1}
            }
        });
        edit(&mut application["spec"]);
        application
    };
    let cases = [
        (
            "no-ivy",
            application("no-ivy", &|spec| spec["deps"] = json!({"packages": [PACKAGE]})),
            "error ivy-not-writable: packages cannot be downloaded: /dev/null/home/.ivy2",
        ),
        (
            "memory",
            application("memory", &|spec| spec["driver"]["memory"] = json!("1.5g")),
            "error heap-size: Spark does not read the driver's memory 1.5g",
        ),
    ];
    for (_, application, _) in &cases {
        here.create(application).await.object();
    }
    let state = async |application: &Value| {
        here.get(application).await["status"]["applicationState"]["state"].as_str().unwrap_or_default().to_owned()
    };
    for (name, application, line) in cases {
        within(Duration::from_mins(2), &format!("{name} fails"), async || state(&application).await == "FAILED").await;
        let all = found(&here, "SparkApplication", name).await;
        assert!(all.len() == 1 && all[0].line.starts_with(line), "{name}: {all:?}");
        // The cure's directory is the images', and this machine's too: the test's own is as good.
        let copy = all[0].copy.replace("/tmp/.ivy2", &spark.folder.join("ivy").display().to_string());
        carry_out(&here, &copy).await;
        within(Duration::from_mins(2), &format!("{name} is submitted"), async || {
            state(&application).await == "SUBMITTED"
        })
        .await;
        assert!(found(&here, "SparkApplication", name).await.is_empty(), "{name}");
    }
}

/// The operator panics on it and says so nowhere else; it takes a minute until that is no longer a busy operator.
#[tokio::test(flavor = "multi_thread")]
async fn a_connect_server_that_the_operator_says_nothing_of_comes_up_once_the_cure_is_carried_out() {
    let here = Namespace::on(cluster().await, &json!({})).await;
    let _operator = Operator::controller(&here, &[], &[]).await;
    let connect = json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": "analytics"},
        "spec": {"sparkVersion": "3.5.9", "image": "apache/spark:3.5.9", "server": {}, "executor": {"instances": 1}}
    });
    here.create(&connect).await.object();
    within(Duration::from_mins(2), "it is found", async || !found(&here, "SparkConnect", "analytics").await.is_empty())
        .await;
    let all = found(&here, "SparkConnect", "analytics").await;
    assert!(
        all.len() == 1 && all[0].line.starts_with("error executor-template-unusable: it has no spec.executor.template"),
        "{all:?}"
    );
    assert!(here.get(&connect).await["status"].is_null());
    carry_out(&here, &all[0].copy).await;
    within(Duration::from_mins(1), "there is a server", async || here.pods_of("connect-server").await.len() == 1).await;
    assert!(found(&here, "SparkConnect", "analytics").await.is_empty());
}
