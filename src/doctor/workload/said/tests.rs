//! Lines as Spark 3.5.9 and 4.3.0 wrote them, shortened; where another version is named, as that one did.

use super::*;

/// What is known of a text, and a part of the line that says it.
fn known(text: &str) -> Option<(Cause, String)> {
    by(text).map(|said| (said.cause, said.line))
}

fn rules(rules: &[(&str, &str)]) -> BTreeSet<Rule> {
    let rule = |(verb, resource): &(&str, &str)| Rule {
        verb: (*verb).to_owned(),
        group: String::new(),
        resource: (*resource).to_owned(),
        namespace: "jobs".to_owned(),
    };
    rules.iter().map(rule).collect()
}

const RESOLVING: &str =
    ":: loading settings :: url = jar:file:/opt/spark/jars/ivy-2.5.3.jar!/org/apache/ivy/core/settings/ivysettings.xml
Ivy Default Cache set to: /tmp/.ivy2/cache
org.apache.spark#spark-connect_2.12 added as a dependency
:: resolving dependencies :: org.apache.spark#spark-submit-parent-c8ef49e5-d11d-4c6b-9d0f-dba4836b85b7;1.0
";

#[test]
#[rustfmt::skip]
fn knows_what_real_logs_say() {
    let text = str::to_owned;
    let connect = |is_asked_for| Cause::ConnectClass { is_asked_for };
    let server = "Error: Failed to load class org.apache.spark.sql.connect.service.SparkConnectServer.\n\
        Failed to load main class org.apache.spark.sql.connect.service.SparkConnectServer.\n\
        You need to specify Spark Connect jars with --jars or --packages.\n\
        26/11/22 23:39:12 INFO ShutdownHookManager: Shutdown hook called";
    for (case, log, expected) in [
        ("the server of Connect", text(server), connect(false)),
        ("the platform document's wording of it", text("java.lang.ClassNotFoundException: org.apache.spark.sql.connect.service.SparkConnectServer"), connect(false)),
        ("the plugin", text("26/11/22 23:40:34 ERROR SparkContext: Error initializing SparkContext.\n\
            java.lang.ClassNotFoundException: org.apache.spark.sql.connect.SparkConnectPlugin\n\
            \tat java.base/java.net.URLClassLoader.findClass(URLClassLoader.java:445)"), connect(false)),
        ("the plugin, by Python", text(": java.lang.ClassNotFoundException: org.apache.spark.sql.connect.SparkConnectPlugin"), connect(false)),
        ("half a jar of it", format!("{RESOLVING}\tfound org.apache.spark#spark-connect_2.12;3.5.7 in central\n\
            \t0 artifacts copied, 11 already retrieved (0kB/6ms)\n{server}"), connect(true)),
        ("an application's class", text("Error: Failed to load class com.example.Report."), Cause::MainClass(text("com.example.Report"))),
        ("no home, 3.5", text("Exception in thread \"main\" java.io.FileNotFoundException: /home/spark/.ivy2/cache/resolved-org.apache.spark-spark-submit-parent-3f729e74-e23a-427d-8c1f-dd266b0cf833-1.0.xml (No such file or directory)\n\tat java.base/java.io.FileOutputStream.open0(Native Method)"),
            Cause::IvyDirectory(text("/home/spark/.ivy2"))),
        ("no home, 4.3", text("Exception in thread \"main\" java.io.FileNotFoundException: /nonexistent/.ivy2.5.2/cache/resolved-org.apache.spark-spark-submit-parent-1e0e1318-9e1a-4412-8f5d-c6f3e0b44278-1.0.xml (No such file or directory)"),
            Cause::IvyDirectory(text("/nonexistent/.ivy2.5.2"))),
        ("a directory of somebody else's", text("java.io.FileNotFoundException: /home/spark/.ivy2/cache/resolved-org.apache.spark-spark-submit-parent-1-1.0.xml (Permission denied)"),
            Cause::IvyDirectory(text("/home/spark/.ivy2"))),
        ("spark.jars.ivy that is not writable", text("Exception in thread \"main\" java.io.FileNotFoundException: /data/ivy/cache/resolved-org.apache.spark-spark-submit-parent-339fc8f9-8e13-4a94-ad3b-854c85a89578-1.0.xml (No such file or directory)"),
            Cause::IvyDirectory(text("/data/ivy"))),
        ("a user without an entry", text("Exception in thread \"main\" java.lang.IllegalArgumentException: basedir must be absolute: ?/.ivy2/local"), Cause::IvyRelative(text("?/.ivy2/local"))),
        ("a tilde", text("Exception in thread \"main\" java.lang.IllegalArgumentException: basedir must be absolute: ~/.ivy2/local"), Cause::IvyRelative(text("~/.ivy2/local"))),
        ("a package that nobody has", format!("{RESOLVING}\t\t:: org.apache.spark#spark-connect_2.12;3.5.999: not found\n\
            Exception in thread \"main\" java.lang.RuntimeException: [unresolved dependency: org.apache.spark#spark-connect_2.12;3.5.999: not found, unresolved dependency: a.b#c;1: not found]"),
            Cause::IvyUnresolved(vec![text("org.apache.spark:spark-connect_2.12:3.5.999"), text("a.b:c:1")])),
        ("a repository that refuses connections", text("\tServer access error at url http://repo.example:9/org/example/greeting/1.0/greeting-1.0.pom (java.net.ConnectException: Connection refused)\n\
            Exception in thread \"main\" java.lang.RuntimeException: [unresolved dependency: org.example#greeting;1.0: not found]"),
            Cause::IvyUnreachable(text("repo.example:9"), vec![text("org.example:greeting:1.0")])),
        ("a repository whose name nobody knows", text("\tHost repo1.maven.org not found. url=https://repo1.maven.org/maven2/org/example/greeting/1.0/greeting-1.0.pom\n\
            Exception in thread \"main\" java.lang.RuntimeException: [unresolved dependency: org.example#greeting;1.0: not found]"),
            Cause::IvyUnreachable(text("repo1.maven.org"), vec![text("org.example:greeting:1.0")])),
        ("no room to download", format!("{RESOLVING}Exception in thread \"main\" java.io.IOException: No space left on device\n\tat java.base/java.io.FileOutputStream.writeBytes(Native Method)"), Cause::IvyFull),
        ("no room for the copy", text("Exception in thread \"main\" java.lang.RuntimeException: problem during retrieve of org.apache.spark#spark-submit-parent-fa622591: java.io.IOException: No space left on device\n\
            Caused by: java.io.IOException: No space left on device"), Cause::IvyFull),
        ("no room for Spark itself", format!("{RESOLVING}26/11/22 23:40:33 INFO SparkContext: Running Spark version 3.5.9\njava.io.IOException: No space left on device"), Cause::DiskFull),
        ("two in one directory", text("java.io.FileNotFoundException: /tmp/.ivy2/cache/org.apache.spark/spark-connect_2.12/ivy-3.5.7.xml.original (No such file or directory)"), Cause::IvyShared),
        ("two in one directory, at the other one", text("[download failed: org.apache.spark#spark-connect_2.12;3.5.7!spark-connect_2.12.jar]"), Cause::IvyShared),
        ("a heap of Kubernetes' words", text("Invalid maximum heap size: -Xmx512Mi\nError: Could not create the Java Virtual Machine.\nError: A fatal exception has occurred. Program will exit."), Cause::HeapSize(text("-Xmx512Mi"))),
        ("a heap in bytes", text("Error occurred during initialization of VM\nToo small maximum heap"), Cause::HeapTooSmall),
        ("a heap too small for Spark, 3.5", text("org.apache.spark.SparkIllegalArgumentException: [INVALID_DRIVER_MEMORY] System memory 304087040 must be at least 471859200. Please increase heap size using the --driver-memory option"), Cause::HeapBelowSparks(304_087_040, 471_859_200)),
        ("a heap too small for Spark, 4.3", text("org.apache.spark.SparkIllegalArgumentException: [INVALID_DRIVER_MEMORY.SYSTEM_MEMORY] Insufficient driver memory: System memory 304087040 must be at least 471859200.\nPlease increase"), Cause::HeapBelowSparks(304_087_040, 471_859_200)),
        ("memory that the operator's Spark does not read", text("failed to run spark-submit: Exception in thread \"main\" org.apache.spark.SparkException: Driver memory must be a positive number"), Cause::MemoryNotPositive("driver")),
        ("no role at all, in a pod", text("io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: GET at: https://kubernetes.default.svc/api/v1/namespaces/jobs/pods/pi-driver. Message: Forbidden!Configured service account doesn't have access. Service account may have been revoked. pods \"pi-driver\" is forbidden: User \"system:serviceaccount:jobs:none\" cannot get resource \"pods\" in API group \"\" in the namespace \"jobs\"."),
            Cause::Forbidden { account: text("jobs/none"), rules: rules(&[("get", "pods")]) }),
        ("nothing but create is missing, 3.5", text("io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: https://127.0.0.1:16443/api/v1/namespaces/jobs/configmaps. Message: Forbidden! User admin doesn't have permission. configmaps is forbidden: User \"system:serviceaccount:jobs:nocreate\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"jobs\".\n\
            Caused by: io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: https://127.0.0.1:16443/api/v1/namespaces/jobs/pods. Message: Forbidden! User admin doesn't have permission. pods is forbidden: User \"system:serviceaccount:jobs:nocreate\" cannot create resource \"pods\" in API group \"\" in the namespace \"jobs\"."),
            Cause::Forbidden { account: text("jobs/nocreate"), rules: rules(&[("create", "configmaps"), ("create", "pods")]) }),
        ("the same, 4.3", text("io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: https://127.0.0.1:16443/api/v1/namespaces/jobs/configmaps. Message: configmaps is forbidden: User \"system:serviceaccount:jobs:nocreate\" cannot create resource \"configmaps\" in API group \"\" in the namespace \"jobs\". Received status: Status(apiVersion=v1, code=403, details=StatusDetails(causes=[], group=null, kind=configmaps"),
            Cause::Forbidden { account: text("jobs/nocreate"), rules: rules(&[("create", "configmaps")]) }),
        ("in a log of JSON lines", text("{\"ts\":\"2026-11-22T23:44:24Z\",\"level\":\"ERROR\",\"msg\":\"pods is forbidden: User \\\"system:serviceaccount:jobs:none\\\" cannot create resource \\\"pods\\\" in API group \\\"\\\" in the namespace \\\"jobs\\\"\"}"),
            Cause::Forbidden { account: text("jobs/none"), rules: rules(&[("create", "pods")]) }),
        ("a watch that is refused without a word", text("io.fabric8.kubernetes.client.KubernetesClientException: Received 403 on websocket. Failure executing: GET at: https://127.0.0.1:16443/api/v1/namespaces/jobs/pods?watch=true. Message: Forbidden."),
            Cause::Forbidden { account: String::new(), rules: BTreeSet::new() }),
        ("no right to clean up", text("io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: DELETE at: https://127.0.0.1:16443/api/v1/namespaces/jobs/services?labelSelector=spark-app-selector%3Dspark-1. Message: services is forbidden: User \"system:serviceaccount:jobs:nodelcol\" cannot deletecollection resource \"services\" in API group \"\" in the namespace \"jobs\"."),
            Cause::CleanupForbidden { account: text("jobs/nodelcol"), rules: rules(&[("deletecollection", "services")]) }),
        ("a quota that demands", text("io.fabric8.kubernetes.client.KubernetesClientException: Failure executing: POST at: https://127.0.0.1:16443/api/v1/namespaces/quota/pods. Message: Forbidden! User admin doesn't have permission. pods \"job-py-262c0aa205a6b3b2-exec-1\" is forbidden: failed quota: lims: must specify limits.cpu for: spark-kubernetes-executor."),
            Cause::Refused { pod: text("job-py-262c0aa205a6b3b2-exec-1"), by: By::QuotaDemands, message: text("failed quota: lims: must specify limits.cpu for: spark-kubernetes-executor.") }),
        ("a quota that is used up", text("Message: pods \"pi-exec-1\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0. Received status: Status(apiVersion=v1, code=403"),
            Cause::Refused { pod: text("pi-exec-1"), by: By::QuotaUsedUp, message: text("exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0.") }),
        ("a limit range", text("Message: pods \"job-py-6051dca205a754f8-exec-1\" is forbidden: maximum memory usage per Container is 512Mi, but limit is 1408Mi."),
            Cause::Refused { pod: text("job-py-6051dca205a754f8-exec-1"), by: By::LimitRange, message: text("maximum memory usage per Container is 512Mi, but limit is 1408Mi.") }),
        ("a standard", text("pods \"pi-driver\" is forbidden: violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false"),
            Cause::Refused { pod: text("pi-driver"), by: By::PodSecurity, message: text("violates PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false") }),
        ("two mounts, as the API server says it", text("Message: Pod \"pi-exec-1\" is invalid: spec.containers[0].volumeMounts[3].mountPath: Invalid value: \"/data\": must be unique. Received status: Status("),
            Cause::Refused { pod: text("pi-exec-1"), by: By::Invalid, message: text("spec.containers[0].volumeMounts[3].mountPath: Invalid value: \"/data\": must be unique.") }),
        ("two mounts, as Spark says it", text("26/11/22 23:46:28 ERROR ExecutorPodsSnapshotsStoreImpl: Going to stop due to IllegalArgumentException\njava.lang.IllegalArgumentException: requirement failed: Found duplicated mountPath: '/data'"), Cause::DuplicateMount(text("/data"))),
        ("a template without containers", text("26/11/22 23:47:11 ERROR KubernetesUtils: Encountered exception while attempting to load initial pod spec from file\n\
            java.lang.NullPointerException: Cannot invoke \"scala.collection.TraversableOnce.toList()\" because the return value of \"scala.collection.convert.Decorators$AsScala.asScala()\" is null\n\
            org.apache.spark.SparkException: Could not load pod from template file."), Cause::Template),
        ("a user without a name", text("org.apache.hadoop.security.KerberosAuthException: failure to login: javax.security.auth.login.LoginException: java.lang.NullPointerException: invalid null input: name"), Cause::UnnamedUser),
        ("Connect on an old core, 3.5.5", text("java.lang.ClassCastException: cannot assign instance of java.lang.invoke.SerializedLambda to field org.apache.spark.rdd.MapPartitionsRDD.f of type scala.Function3"), Cause::ConnectCore),
        ("an account that is missing", text("pods \"pi-driver\" is forbidden: error looking up service account jobs/does-not-exist: serviceaccount \"does-not-exist\" not found"), Cause::AccountMissing(text("jobs/does-not-exist"))),
        ("a webhook that refuses", text("Message: admission webhook \"pods.spark-admission.io\" denied the request: spark-memory: spec.driver.memory: 512Mi. Received status: Status("),
            Cause::WebhookDenied(text("pods.spark-admission.io"), text("spark-memory: spec.driver.memory: 512Mi."))),
        ("a webhook that is away", text("Internal error occurred: failed calling webhook \"mutate--v1-pod.sparkoperator.k8s.io\": failed to call webhook: Post \"https://spark-operator-webhook-svc.operators.svc:9443/mutate--v1-pod?timeout=10s\": dial tcp 10.0.0.1:9443: connect: connection refused"),
            Cause::WebhookFailed(text("mutate--v1-pod.sparkoperator.k8s.io"), text("Post \"https://spark-operator-webhook-svc.operators.svc:9443/mutate--v1-pod?timeout=10s\": dial tcp 10.0.0.1:9443: connect: connection refused"))),
        ("executors that end again and again", text("26/11/30 10:00:21 ERROR ExecutorPodsLifecycleManager: Max number of executor failures (3) reached\njava.lang.IllegalStateException: Spark context stopped while waiting for backend"), Cause::ExecutorsFailed),
        ("the heap", text("Exception in thread \"Thread-4\" java.lang.OutOfMemoryError: Java heap space"), Cause::OutOfMemory(text("Java heap space"))),
        ("direct buffers", text(": java.lang.OutOfMemoryError: Cannot reserve 100000000 bytes of direct buffer memory (allocated: 600032769, limit: 608174080)"), Cause::OutOfMemory(text("Cannot reserve 100000000 bytes of direct buffer memory (allocated: 600032769, limit: 608174080)"))),
        ("colours around it", text("\u{1b}[31mError: Failed to load \u{1b}[1mclass org.apache.spark.sql.connect.service.SparkConnectServer.\u{1b}[0m"), connect(false)),
        ("bytes that are no text, before it", String::from_utf8_lossy(b"\xff\xfe\x00\nToo small maximum heap").into_owned(), Cause::HeapTooSmall),
        ("an error of the application's own, the last of several", text("Caused by: java.io.IOException: early\nTraceback (most recent call last):\nValueError: no such report"), Cause::Exception),
    ] {
        assert_eq!(known(&log).map(|(cause, _)| cause), Some(expected), "{case}");
    }
}

#[test]
#[rustfmt::skip]
fn knows_which_directory_may_not_be_written_to() {
    let directory = |path: &str, is_read_only| Cause::Directory { path: path.to_owned(), is_read_only };
    for (case, log, expected) in [
        ("a local directory of somebody else's", "26/11/30 07:19:03 ERROR SparkContext: Error initializing SparkContext.\njava.nio.file.AccessDeniedException: /scratch/blockmgr-536c51b0-c6a0-47ff-a20a-c04a26825ebe", directory("/scratch", false)),
        ("a work-dir of somebody else's", "Exception in thread \"main\" java.nio.file.AccessDeniedException: /tmp/a.jar -> /opt/spark/work-dir/a.jar", directory("/opt/spark/work-dir", false)),
        ("a work-dir that is read-only", "Exception in thread \"main\" java.nio.file.FileSystemException: /opt/spark/work-dir/spark-examples_2.12-3.5.7.jar: Read-only file system", directory("/opt/spark/work-dir", true)),
        ("no /tmp to write to", "Exception in thread \"main\" java.io.IOException: Failed to create a temp directory (under /tmp) after 10 attempts!", directory("/tmp", false)),
        ("no place for what clients send", "java.io.IOException: Failed to create a temp directory (under artifacts) after 10 attempts!", directory("/opt/spark/work-dir", false)),
        ("a file that Java may not write", "Caused by: java.io.FileNotFoundException: /data/report.csv (Permission denied)", directory("/data", false)),
        ("in a log of JSON lines, a directory", "{\"level\":\"ERROR\",\"exception\":\"java.nio.file.AccessDeniedException: /scratch/blockmgr-1\\n\\tat java.base/sun.nio.fs\"}", directory("/scratch", false)),
        ("a home that is not there", "PermissionError: [Errno 13] Permission denied: '/nonexistent'", Cause::Exception),
        ("a warning that was caught before", "OSError: [Errno 13] Permission denied: '/data/cache/x'\nValueError: no such report", Cause::Exception),
        ("a file that Python may not write", "PermissionError: [Errno 13] Permission denied: '/data/out/part-0'", directory("/data/out", false)),
        ("a bucket that denies", "java.nio.file.AccessDeniedException: s3a://reports/out: getFileStatus on s3a://reports/out: 403 Forbidden", Cause::Exception),
        ("a file that is not there", "java.io.FileNotFoundException: /data/in.csv (No such file or directory)", Cause::Exception),
    ] {
        assert_eq!(known(log).map(|(cause, _)| cause), Some(expected), "{case}");
    }
}

#[test]
fn says_nothing_of_what_is_well() {
    for log in [
        "",
        "started\n26/11/22 23:40:33 WARN NativeCodeLoader: Unable to load native-hadoop library for your platform... using builtin-java classes where applicable",
        "26/11/22 23:45:01 ERROR Utils: Uncaught exception in thread Thread-4\n\tat org.apache.spark.SparkContext.<init>(SparkContext.scala:599)",
        "26/11/22 23:44:22 WARN Utils: Service 'SparkUI' could not bind on port 4040. Attempting port 4041.",
        "System memory is plenty",
        "INFO SparkContext: Successfully stopped SparkContext",
    ] {
        assert_eq!(by(log), None, "{log}");
    }
}

#[test]
fn what_explains_most_counts_and_of_an_application_its_last_word() {
    let both = "java.lang.OutOfMemoryError: Java heap space\nError: Failed to load class org.apache.spark.sql.connect.service.SparkConnectServer.";
    assert_eq!(by(both).unwrap().cause, Cause::ConnectClass { is_asked_for: false });
    assert_eq!(by("ValueError: one\nKeyError: two").unwrap().line, "KeyError: two");
    let cleanup = "x is forbidden: User \"system:serviceaccount:jobs:a\" cannot deletecollection resource \"pods\" in API group \"\" in the namespace \"jobs\"";
    let create = cleanup.replace("deletecollection", "create");
    for log in [format!("{cleanup}\n{create}"), format!("{create}\n{cleanup}")] {
        assert!(matches!(by(&log).unwrap().cause, Cause::Forbidden { .. }), "{log}");
    }
}

#[test]
fn lines_of_megabytes_are_cut_around_what_they_say() {
    let long = format!("{}Too small maximum heap{}", "x".repeat(3 << 20), "y".repeat(3 << 20));
    let said = by(&long).unwrap();
    assert_eq!((said.cause, said.line.len()), (Cause::HeapTooSmall, 1_000));
    let far = format!("{}é[unresolved dependency: a.b#c;1: not found]{}", "é".repeat(1 << 20), "y".repeat(1 << 20));
    let said = by(&far).unwrap();
    assert_eq!(said.cause, Cause::IvyUnresolved(vec!["a.b:c:1".to_owned()]));
    assert!(said.line.starts_with("unresolved dependency: a.b#c;1"), "{}", &said.line[..40]);
}
