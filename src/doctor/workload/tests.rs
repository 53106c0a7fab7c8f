//! One problem is one finding, and what is well is silent. What logs and events say on a real API server is in
//! `tests/control_plane/doctor_workloads.rs`.

use serde_json::{Value, json};

use super::*;
use crate::doctor::testing::{found, observed};

const OLD: &str = "2026-11-22T09:00:00Z";

fn pod(name: &str, role: &str, status: Value) -> Value {
    let mut pod = json!({
        "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "team-a", "uid": name, "creationTimestamp": OLD,
            "labels": {"spark-role": role, "spark-app-selector": "spark-1", "sparkoperator.k8s.io/app-name": "pi"}
        },
        "spec": {
            "nodeName": "node-1", "serviceAccountName": "spark",
            "containers": [{"name": format!("spark-kubernetes-{role}"), "image": "apache/spark:3.5.9"}]
        }
    });
    pod["status"] = status;
    pod
}

fn container(role: &str, state: Value) -> Value {
    let name = format!("spark-kubernetes-{role}");
    let mut status = json!({"phase": "Running", "containerStatuses": [{"name": name, "ready": true}]});
    status["containerStatuses"][0]["state"] = state;
    status
}

fn running(role: &str) -> Value {
    container(role, json!({"running": {"startedAt": OLD}}))
}

fn failed(role: &str, code: i64, reason: &str) -> Value {
    let mut status = container(role, json!({"terminated": {"exitCode": code, "reason": reason}}));
    status["phase"] = "Failed".into();
    status
}

fn application(state: &str, message: &str) -> Value {
    json!({
        "kind": "SparkApplication",
        "metadata": {"name": "pi", "namespace": "team-a", "creationTimestamp": OLD},
        "spec": {"driver": {"memory": "1g"}, "executor": {"instances": 2, "memory": "1g"}},
        "status": {"applicationState": {"state": state, "errorMessage": message}}
    })
}

fn all(objects: &[Value], logs: &[(&str, &str, &str)]) -> Vec<String> {
    let mut observed = observed(objects);
    for (pod, container, log) in logs {
        let key = LogKey {
            namespace: "team-a".to_owned(),
            pod: (*pod).to_owned(),
            container: (*container).to_owned(),
            previous: false,
        };
        observed.logs.insert(key, Ok((*log).to_owned()));
    }
    ALL.iter().flat_map(|look| found(*look, &observed)).collect()
}

#[test]
fn an_application_that_is_done_is_well_whatever_its_pods_say() {
    let driver = pod("pi-driver", "driver", failed("driver", 1, "Error"));
    assert_eq!(all(&[application("COMPLETED", ""), driver.clone()], &[]), [""; 0]);
    let expected = "error container-failed Pod team-a/pi-driver: spark-kubernetes-driver ended with 1";
    let message = "driver container failed with ExitCode: 1, Reason: Error";
    assert_eq!(all(&[application("FAILED", message), driver], &[]), [expected], "the driver tells, and not twice");
}

#[test]
fn executors_of_one_application_are_one_finding_and_a_warning_while_others_work() {
    let driver = pod("pi-driver", "driver", running("driver"));
    let killed = |name: &str| pod(name, "executor", failed("executor", 137, "OOMKilled"));
    let works = pod("pi-exec-3", "executor", running("executor"));
    let problem = "Pod team-a/pi-exec-1: 2 executors: the kernel ended spark-kubernetes-executor: it has no limit of its own, so the node was out of memory; heap 1024 MiB";
    let both = [application("RUNNING", ""), driver, killed("pi-exec-1"), killed("pi-exec-2")];
    assert_eq!(all(&both, &[]), [format!("error oom-killed {problem}")]);
    assert_eq!(all(&[&both[..], &[works]].concat(), &[]), [format!("warning oom-killed {problem}")]);
    let ended = pod("pi-driver", "driver", failed("driver", 1, "Error"));
    let of_driver = "error container-failed Pod team-a/pi-driver: spark-kubernetes-driver ended with 1";
    assert_eq!(all(&[ended, killed("pi-exec-1")], &[]), [of_driver], "executors end with their driver");
}

#[test]
fn a_driver_without_executors_is_told_by_its_log() {
    let driver = || pod("pi-driver", "driver", running("driver"));
    let quota = "Message: pods \"pi-exec-1\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1.";
    let with =
        |log: &str| all(&[application("RUNNING", ""), driver()], &[("pi-driver", "spark-kubernetes-driver", log)]);
    assert_eq!(
        with(quota),
        [
            "error executors-refused Pod team-a/pi-driver: the API server takes no executor: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1."
        ]
    );
    let waits = "WARN TaskSchedulerImpl: Initial job has not accepted any resources; check your cluster UI";
    assert_eq!(with(waits), ["warning no-executors Pod team-a/pi-driver: its jobs wait, and there is no executor"]);
    assert_eq!(with("INFO SparkContext: Running Spark version 3.5.9"), [""; 0]);
    let ended = "The executor with id 1 exited with exit code 137(SIGKILL, possible container OOM).\n";
    assert_eq!(with(ended), [""; 0], "one may end for once");
    assert_eq!(
        with(&ended.repeat(2)),
        [
            "error executors-failing Pod team-a/pi-driver: its executors end as soon as they have begun, with 137: killed (137), mostly for their memory"
        ]
    );
    // What it said while it had none is old.
    let executor = pod("pi-exec-1", "executor", running("executor"));
    let log = [("pi-driver", "spark-kubernetes-driver", quota)];
    assert_eq!(all(&[application("RUNNING", ""), driver(), executor], &log), [""; 0]);
}

#[test]
fn a_pod_that_no_node_takes_is_an_error_once_an_autoscaler_had_time() {
    let waiting = |created: &str, reason: &str| {
        let message = "0/3 nodes are available: 1 node(s) had untolerated taint {team: b, c}, 2 Insufficient cpu. no new claims to deallocate, preemption: 0/3 nodes are available.";
        let mut driver = pod(
            "pi-driver",
            "driver",
            json!({"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
            ]}),
        );
        driver["spec"]["nodeName"] = Value::Null;
        driver["metadata"]["creationTimestamp"] = created.into();
        all(&[driver], &[])
    };
    let problem = "pod-unschedulable Pod team-a/pi-driver: no node takes it: 1 node(s) had untolerated taint {team: b, c}, 2 Insufficient cpu";
    assert_eq!(waiting(OLD, "Unschedulable"), [format!("error {problem}")]);
    assert_eq!(waiting("2026-11-22T09:59:00Z", "Unschedulable"), [format!("warning {problem}")]);
    assert_eq!(waiting(OLD, "SchedulingGated"), [""; 0]);
}

#[test]
fn rights_and_accounts_are_told_once() {
    let objects = [application(
        "FAILED",
        "pods \"pi-driver\" is forbidden: error looking up service account team-a/etl: serviceaccount \"etl\" not found",
    )];
    assert_eq!(all(&objects, &[]), [""; 0], "whoever looks at accounts tells");
    let account = json!({"kind": "ServiceAccount", "metadata": {"name": "etl", "namespace": "team-a"}});
    let made_since = [objects[0].clone(), account];
    assert_eq!(
        all(&made_since, &[]),
        [
            "error service-account-missing SparkApplication team-a/pi: the service account etl was not there when its pod was to be made; it is now"
        ]
    );
    let log = "pods is forbidden: User \"system:serviceaccount:team-a:spark\" cannot create resource \"pods\" in API group \"\" in the namespace \"team-a\"";
    let driver = pod("pi-driver", "driver", failed("driver", 1, "Error"));
    let findings = |rights: Option<Vec<crate::doctor::Rule>>| {
        let mut observed = observed(std::slice::from_ref(&driver));
        observed
            .logs
            .insert(key(&Pod::read(driver.clone()).unwrap(), "spark-kubernetes-driver", false), Ok(log.to_owned()));
        let account = crate::doctor::ObjectName::of("ServiceAccount", "team-a", "spark");
        observed.missing_rights.extend(rights.map(|rights| (account, Ok(rights))));
        found(pods, &observed)
    };
    let may_not = "error driver-forbidden Pod team-a/pi-driver: the service account spark may not create pods";
    assert_eq!(findings(None), [may_not]);
    assert_eq!(findings(Some(vec![crate::doctor::Rule::default()])), [""; 0]);
    let mended = "error driver-forbidden Pod team-a/pi-driver: the service account spark was not allowed to create pods; now it is";
    assert_eq!(findings(Some(Vec::new())), [mended]);
}

#[test]
fn a_submission_is_told_by_what_spark_submit_said() {
    for (message, expected) in [
        (
            "Exception in thread \"main\" java.io.FileNotFoundException: /home/spark/.ivy2.5.2/cache/resolved-org.apache.spark-spark-submit-parent-1-1.0.xml (No such file or directory)",
            "ivy-not-writable",
        ),
        ("admission webhook \"mutate--v1-pod.sparkoperator.k8s.io\" denied the request: no", "webhook-denied"),
        (
            "failed calling webhook \"pods.spark-admission.io\": failed to call webhook: Post \"https://x/mutate?timeout=5s\": EOF",
            "webhook-failed",
        ),
        ("something new", "submission-failed"),
        ("driver pod not found", "container-failed"),
    ] {
        let found = all(&[application("FAILED", message)], &[]);
        assert_eq!(found.len(), 1, "{message}: {found:?}");
        assert!(
            found[0].starts_with(&format!("error {expected} SparkApplication team-a/pi: ")),
            "{message}: {found:?}"
        );
    }
    assert_eq!(all(&[application("RUNNING", "something old")], &[]), [""; 0]);
}

#[test]
fn a_server_that_flaps_is_a_warning_and_one_that_has_recovered_nothing() {
    let server = |restarts: i64, seconds: i64, ready: bool| {
        let started = format!("2026-11-22T09:{:02}:{:02}Z", 59 - seconds / 60, 59 - seconds % 60);
        let mut server = pod("analytics-server", "connect-server", running("driver"));
        server["spec"]["containers"][0]["name"] = "spark-kubernetes-driver".into();
        let status = &mut server["status"]["containerStatuses"][0];
        status["restartCount"] = restarts.into();
        status["ready"] = ready.into();
        status["state"]["running"]["startedAt"] = started.into();
        status["lastState"] = json!({"terminated": {"exitCode": 101, "reason": "Error"}});
        server
    };
    let flapping = ["warning container-failed Pod team-a/analytics-server: spark-kubernetes-driver ended with 101"];
    assert_eq!(all(&[server(5, 10, false)], &[]), flapping);
    assert_eq!(all(&[server(5, 10, true)], &[]), flapping, "without a probe it is ready because it runs");
    let mut probed = server(5, 10, true);
    probed["spec"]["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 15002}});
    for (case, server) in [
        ("is ready", probed),
        ("runs for long", server(5, 600, false)),
        ("was started again once", server(1, 10, false)),
    ] {
        assert_eq!(all(&[server], &[]), [""; 0], "{case}");
    }
}

#[test]
fn events_of_an_earlier_pod_of_that_name_are_not_its_own() {
    let mut driver =
        pod("pi-driver", "driver", container("driver", json!({"waiting": {"reason": "ContainerCreating"}})));
    driver["status"]["phase"] = "Pending".into();
    let event = |uid: &str| {
        json!({
            "kind": "Event", "metadata": {"name": "e", "namespace": "team-a"}, "reason": "FailedMount",
            "message": "MountVolume.SetUp failed for volume \"keys\" : secret \"keys\" not found",
            "involvedObject": {"kind": "Pod", "namespace": "team-a", "name": "pi-driver", "uid": uid}
        })
    };
    assert_eq!(all(&[driver.clone(), event("of an earlier one")], &[]), [""; 0]);
    let expected =
        "error volume-source-missing Pod team-a/pi-driver: a volume is made of the secret keys, which is not there";
    for uid in ["pi-driver", ""] {
        assert_eq!(all(&[driver.clone(), event(uid)], &[]), [expected], "{uid}");
    }
}

#[test]
fn cures_are_written_for_whoever_made_the_pod() {
    let log = "Error: Failed to load class org.apache.spark.sql.connect.service.SparkConnectServer.";
    let cure = |resources: &[Value]| {
        let driver = pod("pi-driver", "driver", failed("driver", 101, "Error"));
        let mut observed = observed(&[std::slice::from_ref(&driver), resources].concat());
        let driver = Pod::read(driver).unwrap();
        observed.logs.insert(key(&driver, "spark-kubernetes-driver", false), Ok(log.to_owned()));
        let mut findings = Vec::new();
        pods(&observed, &mut findings);
        findings.remove(0).cure.copy
    };
    let patch = "kubectl patch sparkapplication pi -n team-a --type merge -p ";
    assert_eq!(
        cure(&[application("FAILED", "")]),
        format!(
            "{patch}'{{\"spec\":{{\"sparkConf\":{{\"spark.jars.packages\":\"org.apache.spark:spark-connect_2.12:3.5.9\",\"spark.jars.ivy\":\"/tmp/.ivy2/pi\"}}}}}}'"
        )
    );
    let mut with_packages = application("FAILED", "");
    with_packages["spec"]["deps"] = json!({"packages": ["a:b:1"]});
    assert_eq!(
        cure(&[with_packages]),
        format!(
            "{patch}'{{\"spec\":{{\"deps\":{{\"packages\":[\"a:b:1\",\"org.apache.spark:spark-connect_2.12:3.5.9\"]}}}}}}'"
        )
    );
    let mut scheduled = application("FAILED", "");
    scheduled["metadata"]["ownerReferences"] = json!([{"kind": "ScheduledSparkApplication", "name": "nightly"}]);
    let copy = cure(&[scheduled]);
    assert!(copy.starts_with("kubectl patch scheduledsparkapplication nightly -n team-a --type merge -p '{\"spec\":{\"template\":{\"sparkConf\""), "{copy}");
}

#[test]
fn a_container_that_could_not_be_started_has_its_words_in_the_status() {
    let failed_with = |message: &str| {
        let mut driver = pod("pi-driver", "driver", failed("driver", 128, "StartError"));
        driver["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = message.into();
        driver
    };
    for (message, expected) in [
        (
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: no space left on device",
            "error no-space-to-start Pod team-a/pi-driver: the kubelet of node-1 finds no space to start it, and neither the pod nor the node says why",
        ),
        (
            "exec: \"saprk\": executable file not found in $PATH",
            "error container-config Pod team-a/pi-driver: the container runtime cannot start spark-kubernetes-driver: exec: \"saprk\": executable file not found in $PATH",
        ),
    ] {
        assert_eq!(all(&[failed_with(message)], &[]), [expected], "{message}");
    }
}

#[test]
fn a_directory_is_cured_by_what_is_mounted_there() {
    let claim = json!({"persistentVolumeClaim": {"claimName": "disk"}});
    let temporary = "java.io.IOException: Failed to create a temp directory (under /scratch) after 10 attempts!";
    let cure = |why: &str, mounts: &[(&str, &str)], volume: &Value, group: Value| {
        let mut driver = pod("pi-driver", "driver", failed("driver", 1, "Error"));
        driver["spec"]["containers"][0]["securityContext"]["readOnlyRootFilesystem"] = (why == temporary).into();
        driver["spec"]["securityContext"] = json!({"runAsUser": 185, "fsGroup": group});
        let mounts: Vec<_> = mounts.iter().map(|(name, path)| json!({"name": name, "mountPath": path})).collect();
        driver["spec"]["containers"][0]["volumeMounts"] = json!(mounts);
        driver["spec"]["volumes"] = json!([volume]);
        driver["spec"]["volumes"][0]["name"] = "disk".into();
        let mut observed = observed(&[driver.clone(), application("FAILED", "")]);
        observed.logs.insert(key(&Pod::read(driver).unwrap(), "spark-kubernetes-driver", false), Ok(why.to_owned()));
        let mut findings = Vec::new();
        pods(&observed, &mut findings);
        let finding = findings.remove(0);
        (finding.problem, finding.cure.copy)
    };
    let denied = "java.nio.file.AccessDeniedException: /scratch/blockmgr-1";
    let read_only = "java.nio.file.FileSystemException: /scratch/a.jar: Read-only file system";
    let may_not = "user 185 may not write to /scratch, or not read what is there";
    let group = "kubectl patch sparkapplication pi -n team-a --type merge -p '{\"spec\":{\"driver\":{\"podSecurityContext\":{\"fsGroup\":185}}}}'";
    let look = "kubectl describe pod pi-driver -n team-a";
    let volume = "volumes:\n- name: writable\n  emptyDir: {}\nvolumeMounts:\n- name: writable\n  mountPath: /scratch";
    let beside = [("other", "/scratch-2"), ("below", "/scratch/a")];
    let nfs = json!({"nfs": {"server": "files", "path": "/"}});
    for (case, cured, problem, copy) in [
        ("a claim", cure(denied, &[("other", "/"), ("disk", "/scratch/")], &claim, Value::Null), may_not, group),
        ("a claim that has a group", cure(denied, &[("disk", "/scratch")], &claim, json!(185)), may_not, look),
        ("a volume that takes no group", cure(denied, &[("disk", "/scratch")], &nfs, Value::Null), may_not, look),
        (
            "a volume that is read-only",
            cure(read_only, &[("disk", "/scratch")], &claim, Value::Null),
            "/scratch is read-only",
            look,
        ),
        (
            "a root file system that is read-only",
            cure(read_only, &beside, &claim, Value::Null),
            "/scratch is read-only",
            volume,
        ),
        (
            "the same, and the log does not say so",
            cure(temporary, &beside, &claim, Value::Null),
            "/scratch is read-only",
            volume,
        ),
        ("the image's own", cure(denied, &beside, &claim, Value::Null), may_not, ""),
    ] {
        assert_eq!(cured, (problem.to_owned(), copy.to_owned()), "{case}");
    }
}

#[test]
fn what_a_check_would_have_refused_is_not_told_beside_what_came_of_it() {
    let mut application = application("FAILED", "Driver memory must be a positive number");
    application["spec"]["driver"]["memory"] = "1.5g".into();
    let told = |application: &Value| {
        let findings = crate::doctor::diagnose(&observed(std::slice::from_ref(application)));
        let about_it = findings.into_iter().filter(|finding| finding.object.kind == "SparkApplication");
        about_it.map(|finding| finding.symptom).collect::<Vec<_>>()
    };
    assert_eq!(told(&application), [Symptom::HeapSize]);
    application["status"]["applicationState"]["errorMessage"] = "something new".into();
    assert_eq!(told(&application), [Symptom::FailsCheck, Symptom::SubmissionFailed]);
}

#[test]
fn half_a_byte_is_repaired_where_it_stands_and_nowhere_else() {
    let waiting = container("driver", json!({"waiting": {"reason": "ContainerCreating"}}));
    let mut server = pod("analytics-server", "connect-server", waiting);
    server["status"]["phase"] = "Pending".into();
    server["metadata"]["labels"]["sparkoperator.k8s.io/connect-name"] = "analytics".into();
    let spark = json!({"name": "spark-kubernetes-driver", "resources": {"limits": {"memory": "512m", "cpu": "1"}}});
    let sidecar = json!({"name": "proxy", "resources": {"limits": {"memory": "64Mi"}, "requests": {"memory": "0"}}});
    server["spec"]["containers"] = json!([spark, sidecar]);
    let connect = json!({
        "kind": "SparkConnect", "metadata": {"name": "analytics", "namespace": "team-a", "creationTimestamp": OLD},
        "spec": {"server": {"template": {"spec": {"containers": [spark, sidecar, {"name": "bare"}]}}}}
    });
    let event = json!({
        "kind": "Event", "metadata": {"name": "e", "namespace": "team-a"}, "reason": "FailedMount",
        "message": "MountVolume.SetUp failed for volume \"kube-api-access-1\" : write x/ca.crt: no space left on device",
        "involvedObject": {"kind": "Pod", "namespace": "team-a", "name": "analytics-server"}
    });
    let mut findings = Vec::new();
    pods(&observed(&[server, connect, event]), &mut findings);
    let [Finding { symptom: Symptom::MemoryInBytes, cure, .. }] = findings.as_slice() else { panic!("{findings:?}") };
    let (_, patch) = cure.copy.lines().next().unwrap().split_once(" -p ").unwrap();
    let patch: Value = serde_json::from_str(patch.trim_matches('\'')).unwrap();
    let mut right = spark;
    right["resources"]["limits"]["memory"] = "512Mi".into();
    assert_eq!(patch["spec"]["server"]["template"]["spec"]["containers"], json!([right, sidecar, {"name": "bare"}]));
}

#[test]
fn reads_memory_as_java_and_as_kubernetes_do() {
    for (text, expected) in [
        ("512m", Some(512 << 20)),
        ("1g", Some(1 << 30)),
        ("1G", Some(1 << 30)),
        ("512", Some(512)),
        ("1gb", Some(1 << 30)),
        ("512Mi", None),
        ("", None),
    ] {
        assert_eq!(memory::of_java(text), expected, "{text}");
    }
    for (text, expected) in
        [("512m", Some(0)), ("1408Mi", Some(1408 << 20)), ("1k", Some(1000)), ("-1", None), ("1g", None)]
    {
        assert_eq!(memory::in_bytes(text), expected, "{text}");
    }
    for (text, expected) in
        [("512Mi", Some("512m")), ("2Gi", Some("2g")), ("1.5g", Some("1536m")), ("512", Some("512m")), ("half", None)]
    {
        assert_eq!(told::in_javas_words(text).as_deref(), expected, "{text}");
    }
}
