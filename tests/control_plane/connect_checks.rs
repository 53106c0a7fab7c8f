//! The checks of what becomes of a SparkConnect: what happens without them, with the operator's real controller, the real bash and real
//! Spark, and what its author reads with them.

use std::{
    collections::BTreeMap,
    fs,
    future::ready,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    cluster::{Answer, Namespace, Operator, Registered, Running, Spark},
    support::{eventually, skip},
};

/// What the real bash makes of a value, and what its author is told.
#[derive(Debug, PartialEq)]
enum Fate {
    /// It does not arrive, or what stands behind it does not; refused.
    Denied,
    /// This arrives; told.
    Told(Option<&'static str>),
    /// This arrives; nothing is said.
    Silent(&'static str),
}

/// Every sort of value that means something to bash, and the near misses.
fn values() -> Vec<(&'static str, Fate)> {
    use Fate::{Denied, Silent, Told};
    vec![
        ("a b", Denied),
        ("a\tb", Denied),
        (" a", Denied),
        ("a\nb", Denied),
        ("a\n", Denied),
        ("a;b", Denied),
        ("a&b", Denied),
        ("a|b", Denied),
        ("a<b", Denied),
        ("a>b", Denied),
        ("a(b", Denied),
        ("a)b", Denied),
        ("(a)", Denied),
        ("it's", Denied),
        ("a\"b", Denied),
        ("a`b", Denied),
        ("$(a", Denied),
        ("${a", Denied),
        ("a\\", Denied),
        ("$POD_IP", Told(Some("10.1.2.3"))),
        ("\"$POD_IP\"", Told(Some("10.1.2.3"))),
        ("$(echo hi)", Told(Some("hi"))),
        ("`echo hi`", Told(Some("hi"))),
        ("${spark.a}", Told(None)),
        ("a\\.b", Told(Some("a.b"))),
        ("{x,y}", Told(Some("x"))),
        ("/nowhere/*.jar", Told(Some("/nowhere/*.jar"))),
        ("[a-z]?", Told(Some("[a-z]?"))),
        ("'a b;c'", Silent("a b;c")),
        ("\"a b;c\"", Silent("a b;c")),
        ("'$POD_IP'", Silent("$POD_IP")),
        ("'a\nb'", Silent("a\nb")),
        ("a ", Silent("a")),
        ("", Silent("")),
        ("a#b", Silent("a#b")),
        ("#a", Silent("#a")),
        ("~/a:~/b", Silent("~/a:~/b")),
        ("a!b", Silent("a!b")),
        ("a$", Silent("a$")),
        ("a]{b}", Silent("a]{b}")),
        ("%d{HH:mm}", Silent("%d{HH:mm}")),
        ("jdbc:x://h:1/d?k=v", Told(Some("jdbc:x://h:1/d?k=v"))),
        ("s3a://b/c_d-e.f,g@h%i^j+k=l", Silent("s3a://b/c_d-e.f,g@h%i^j+k=l")),
    ]
}

#[tokio::test]
async fn values_that_bash_breaks_are_refused_and_others_arrive() {
    let (here, bare) = (Namespace::new().await, Namespace::new().await);
    let _webhook = Registered::real(&here).await;
    let _controller = Operator::controller(&bare, &[], &[]).await;
    let home = stub(&bare);
    let connects: Vec<_> = values()
        .into_iter()
        .enumerate()
        .map(|(index, (value, fate))| {
            (connect(&format!("v{index}"), &json!({"sparkConf": {"spark.test": value}})), value, fate)
        })
        .collect();
    for (connect, ..) in &connects {
        bare.create(connect).await.object();
    }
    for (connect, value, fate) in connects {
        let name = connect["metadata"]["name"].as_str().unwrap();
        let started = started_with(&server_of(&bare, name).await, &home);
        // What the operator writes last arrives only where nothing before it went wrong.
        let is_whole = started.contains_key("spark.kubernetes.executor.podNamePrefix");
        let arrived = started.get("spark.test").map(String::as_str);
        let said = said(here.create_dry(&connect).await);
        let about = format!("{value:?} arrived as {arrived:?} (all else: {is_whole}), and was answered {said:?}");
        match fate {
            Fate::Denied => {
                assert!(!is_whole || arrived != Some(value), "{about}");
                assert!(matches!(&said, Said::Refused(why) if why.contains("spec.sparkConf[spark.test]")), "{about}");
            }
            Fate::Told(expected) => {
                assert_eq!(arrived, expected, "{about}");
                assert!(matches!(&said, Said::Told(lines) if lines.len() == 1), "{about}");
            }
            Fate::Silent(expected) => {
                assert!(is_whole && arrived == Some(expected), "{about}");
                assert_eq!(said, Said::Told(vec![]), "{about}");
            }
        }
    }
}

#[tokio::test]
async fn what_the_author_is_told_to_write_arrives() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    let _controller = Operator::controller(&here, &[], &[]).await;
    let home = stub(&here);
    let refused = said(here.create_dry(&connect("options", &options("-Da=1 -Db=it's"))).await);
    let Said::Refused(why) = refused else { panic!("{refused:?}") };
    // As it is said in YAML's own quotes.
    let (_, to_write) = why.split_once("; write ").unwrap();
    let to_write: String = serde_saphyr::from_str(to_write.rsplit_once(" (").unwrap().0).unwrap();
    let made = here.create(&connect("options", &options(&to_write))).await;
    assert_eq!(said(made), Said::Told(vec![]), "{to_write}");
    let started = started_with(&server_of(&here, "options").await, &home);
    assert_eq!(started["spark.driver.extraJavaOptions"], "-Da=1 -Db=it's");

    let commented = here.create_dry(&connect("commented", &json!({"sparkConf": {"#spark.a": "1"}}))).await;
    assert!(matches!(said(commented), Said::Refused(why) if why.contains("begins a comment")));
}

fn options(value: &str) -> Value {
    json!({"sparkConf": {"spark.driver.extraJavaOptions": value}})
}

#[tokio::test]
async fn a_template_that_the_operator_or_spark_cannot_read_is_refused() {
    let (here, bare) = (Namespace::new().await, Namespace::new().await);
    let test = a_template_that_the_operator_or_spark_cannot_read_is_refused;
    let _webhook = Registered::with_policy(&here, &policy("mutations: {executor-template: {mode: 'off'}}")).await;
    let controller = Operator::controller(&bare, &[], &[]).await;
    let templates = [
        ("absent", Value::Null),
        ("empty", json!({})),
        ("selecting", json!({"spec": {"nodeSelector": {"disk": "fast"}}})),
        ("no-containers", json!({"spec": {"containers": []}})),
        ("as-told", json!({"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}})),
    ];
    let of = |name: &str, template: &Value| connect(name, &json!({"executor": {"template": template}}));
    for (name, template) in &templates {
        let said = said(here.create_dry(&of(name, template)).await);
        let expected = "write template: {spec: {containers: [{name: spark-kubernetes-executor}]}}";
        match *name {
            "absent" | "empty" | "selecting" => {
                assert!(matches!(&said, Said::Refused(why) if why.contains(expected)), "{name}: {said:?}");
            }
            _ => assert_eq!(said, Said::Told(vec![]), "{name}"),
        }
        bare.create(&of(name, template)).await.object();
    }
    eventually("the operator panics", || ready(controller.log().contains("Observed a panic"))).await;
    for (name, _) in &templates[1..] {
        server_of(&bare, name).await;
    }
    assert_eq!(bare.find(&server("absent")).await.status, 404);
    let status = bare.get(&of("absent", &Value::Null)).await["status"].clone();
    assert_eq!(status, Value::Null, "and nobody is told");

    let Some(spark) = Spark::release("3.5", &bare, test).await else { return };
    let (empty, mut no_containers) =
        (session_with(&bare, &spark, "empty").await, session_with(&bare, &spark, "no-containers").await);
    no_containers.until("the session starts", async |said| said.contains("session started")).await;
    drop(no_containers.input.take());
    assert!(no_containers.end().await.status.success());
    let said = empty.end().await.said;
    assert!(said.contains("Could not load pod from template file") && said.contains("NullPointerException"), "{said}");
}

/// Spark, with the template of executors as the operator wrote it for a SparkConnect.
async fn session_with(here: &Namespace, spark: &Spark<'_>, name: &str) -> Running {
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{name}-conf")}});
    let template = here.get(&map).await["data"]["executor-pod-template.yaml"].clone();
    let file = spark.folder.join(name).with_extension("yaml");
    fs::write(&file, template.as_str().unwrap()).unwrap();
    let file = file.display().to_string();
    spark.start(name, &mut session(here, spark, &[("spark.kubernetes.executor.podTemplateFile", &file)]))
}

#[tokio::test]
async fn an_edit_that_the_server_does_not_see_is_told_with_what_applies_it() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    let controller = Operator::controller(&here, &[], &[]).await;
    let manifest = connect("analytics", &json!({"sparkConf": {"spark.a": "1"}}));
    here.create(&manifest).await.object();
    let before = server_of(&here, "analytics").await;
    eventually("the status names the server", async || {
        here.get(&manifest).await["status"]["server"]["serviceName"] == "analytics-server"
    })
    .await;

    let edited = here.merge(&manifest, &json!({"spec": {"sparkConf": {"spark.a": "2"}}})).await;
    let to_run = "unwatched-edit: spec.sparkConf[spark.a]: the server that runs does not see this edit; \
        to start one that does: kubectl delete pod analytics-server";
    assert_eq!(said(edited), Said::Told(vec![to_run.to_owned()]));
    // Of an edit of the executors' template the operator does something, by which it is known that it has seen both.
    let template =
        json!({"spec": {"nodeSelector": {"disk": "fast"}, "containers": [{"name": "spark-kubernetes-executor"}]}});
    let edited = here.merge(&manifest, &json!({"spec": {"executor": {"template": template}}})).await;
    assert!(
        matches!(said(edited), Said::Told(lines) if lines.len() == 1 && lines[0].contains("spec.executor.template: "))
    );
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "analytics-conf"}});
    eventually("the operator has seen the edits", async || {
        here.get(&map).await["data"]["executor-pod-template.yaml"].as_str().unwrap().contains("disk: fast")
    })
    .await;
    let now = here.get(&server("analytics")).await;
    assert_eq!((&now["metadata"]["uid"], &now["spec"]), (&before["metadata"]["uid"], &before["spec"]));
    let mounts = now["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(
        mounts.iter().any(|mount| mount["subPath"] == "executor-pod-template.yaml"),
        "a file that stays as it was mounted"
    );

    here.delete_now(&server("analytics")).await;
    let anew = server_after(&here, &before).await;
    assert!(anew["spec"]["containers"][0]["args"][0].as_str().unwrap().contains("--conf spark.a=2 "));

    // What is seen, and what an update of labels brings.
    let labelled = here.merge(&manifest, &json!({"metadata": {"labels": {"team": "data"}}})).await;
    assert_eq!(said(labelled), Said::Told(vec![]));
    assert!(!controller.log().contains("Observed a panic"));
}

#[tokio::test]
async fn an_edit_of_the_version_takes_the_service_from_the_server() {
    let here = Namespace::new().await;
    let _webhook = Registered::real(&here).await;
    let _controller = Operator::controller(&here, &[], &[]).await;
    let manifest = connect("analytics", &json!({"image": "corp/etl:1", "sparkVersion": "4.0.0"}));
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "analytics-server"}});
    here.create(&manifest).await.object();
    let before = server_of(&here, "analytics").await;
    eventually("there is a service", async || here.find(&service).await.is_success()).await;
    eventually("the status names the server", async || {
        here.get(&manifest).await["status"]["server"]["podName"] == "analytics-server"
    })
    .await;
    let edited = here.merge(&manifest, &json!({"spec": {"sparkVersion": "4.0.1"}})).await;
    let Said::Told(told) = said(edited) else { panic!("refused") };
    assert!(
        told.iter().any(
            |line| line.contains("kubectl delete service analytics-server and kubectl delete pod analytics-server")
        ),
        "{told:?}"
    );
    let selects = async || here.get(&service).await["spec"]["selector"]["spark-version"].clone();
    eventually("the running pod is labelled", async || {
        here.get(&server("analytics")).await["metadata"]["labels"]["spark-version"] == "4.0.1"
    })
    .await;
    here.delete_now(&server("analytics")).await;
    server_after(&here, &before).await;
    assert_eq!(selects().await, "4.0.0", "a new server alone is selected no more than the old one");

    here.delete(&service).await;
    eventually("the service is made anew", async || here.find(&service).await.is_success()).await;
    assert_eq!(selects().await, "4.0.1");
}

#[tokio::test]
async fn a_server_that_will_not_start_or_work_is_told_once() {
    let (here, off) = (Namespace::new().await, Namespace::new().await);
    let _webhook = Registered::real(&here).await;
    let none = "mutations: {connect-package: {mode: 'off'}, ivy-dir: {mode: 'off'}, ivy-cache: {mode: 'off'}}";
    let _other = Registered::with_policy(&off, &policy(none)).await;
    let spec = |version: &str, more: Value| {
        let mut spec = json!({"image": format!("apache/spark:{version}"), "sparkVersion": version, "sparkConf": {}});
        json_patch::merge(&mut spec, &more);
        spec
    };
    let package = |version: &str| json!({"sparkConf": {"spark.jars.packages": format!("org.apache.spark:spark-connect_2.12:{version}"), "spark.jars.ivy": "/tmp/.ivy2"}});
    let user = |uid: i64| json!({"server": {"template": {"spec": {"securityContext": {"runAsUser": uid}}}}});
    let mut read_only = package("3.5.7");
    json_patch::merge(
        &mut read_only,
        &json!({"server": {"template": {"spec": {"containers": [{
        "name": "spark-kubernetes-driver", "securityContext": {"readOnlyRootFilesystem": true}}]}}}}),
    );
    let with_volume_at = |paths: &[&str]| {
        let mut spec = read_only.clone();
        let of_pod = &mut spec["server"]["template"]["spec"];
        of_pod["volumes"] = json!([{"name": "own", "emptyDir": {}}]);
        let mounts = paths.iter().map(|path| json!({"name": "own", "mountPath": path}));
        of_pod["containers"][0]["volumeMounts"] = mounts.collect();
        spec
    };
    let (with_tmp, with_both) = (with_volume_at(&["/tmp"]), with_volume_at(&["/tmp", "/opt/spark/work-dir"]));
    for (case, place, spec, expected) in [
        ("nothing brings the class", &off, spec("3.5.7", json!({})), &["connect-class"][..]),
        ("an image that may hold it", &off, spec("3.5.7", json!({"image": "corp/etl:3.5.7"})), &[]),
        ("Spark 4 holds it", &off, spec("4.0.1", json!({})), &[]),
        ("the package is named", &off, spec("3.5.7", package("3.5.7")), &[]),
        ("the mutation adds it, and tells", &here, spec("3.5.7", json!({})), &["connect-package", "ivy-dir"]),
        (
            "the mutation tells what the image may lack",
            &here,
            spec("3.5.7", json!({"image": "corp/etl:3.5.7"})),
            &["connect-package"],
        ),
        (
            "the mutation tells of the core",
            &here,
            spec("3.5.1", json!({})),
            &["connect-package", "connect-package", "ivy-dir"],
        ),
        ("a core that fails", &here, spec("3.5.1", package("3.5.1")), &["connect-core"]),
        ("a core that works", &here, spec("3.5.6", package("3.5.6")), &[]),
        ("a user without a name", &here, spec("4.0.1", user(1000)), &["unnamed-uid"]),
        ("Spark's user", &here, spec("4.0.1", user(185)), &[]),
        (
            "nowhere to download to",
            &off,
            spec("4.0.1", json!({"sparkConf": {"spark.jars.packages": "a:b:1"}})),
            &["ivy-not-writable"],
        ),
        ("a read-only image", &off, spec("3.5.7", read_only.clone()), &["ivy-not-writable", "read-only-root"]),
        ("a read-only image that gets a volume for Ivy", &here, spec("3.5.7", read_only.clone()), &["read-only-root"]),
        ("a read-only image that has one for all of /tmp", &off, spec("3.5.7", with_tmp), &["read-only-root"]),
        ("a read-only image that has one for its sessions too", &off, spec("3.5.7", with_both), &[]),
    ] {
        let mut manifest = connect("analytics", &spec);
        manifest["spec"]["executor"]["template"] =
            json!({"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}});
        let Said::Told(lines) = said(place.create_dry(&manifest).await) else { panic!("{case}: refused") };
        let by: Vec<_> = lines.iter().map(|line| line.split(':').next().unwrap()).collect();
        assert_eq!(by, expected, "{case}: {lines:?}");
    }
}

#[tokio::test]
async fn without_its_class_or_a_name_a_server_ends() {
    let here = Namespace::new().await;
    let test = without_its_class_or_a_name_a_server_ends;
    let Some(spark) = Spark::release("3.5", &here, test).await else { return };
    let mut submit = spark.program("bin/spark-submit");
    submit.args(["--master", "local", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]);
    let ran = spark.run("no-class", &mut submit).await;
    assert!(!ran.status.success() && ran.said.contains("You need to specify Spark Connect jars"), "{}", ran.said);

    let unshare = ["--user", "--map-user=54321", "--map-group=54321"];
    let can = Command::new("unshare").args(unshare).arg("true").stderr(Stdio::null()).status();
    if !can.is_ok_and(|status| status.success()) {
        return skip(std::any::type_name_of_val(&test), "this user may not make a user namespace");
    }
    let named = session(&here, &spark, &[]);
    let mut nameless = Command::new("unshare");
    nameless.args(unshare).arg(named.get_program()).args(named.get_args()).env_clear();
    nameless.envs(named.get_envs().filter_map(|(name, value)| Some((name, value?))));
    nameless.env("SPARK_SUBMIT_OPTS", format!("-Divy.home={}/ivy", spark.folder.display()));
    let ran = spark.run("no-name", &mut nameless).await;
    assert!(
        ran.said.contains("LoginException: java.lang.NullPointerException: invalid null input: name"),
        "{}",
        ran.said
    );
}

/// What a user of kubectl reads.
#[derive(Debug, PartialEq)]
enum Said {
    Refused(String),
    Told(Vec<String>),
}

fn said(answer: Answer) -> Said {
    if answer.is_success() {
        return Said::Told(answer.warnings);
    }
    assert_eq!(answer.status, 422, "{}", answer.message());
    let causes = answer.body["details"]["causes"].as_array().into_iter().flatten();
    let lines =
        causes.map(|cause| format!("{}: {}", cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap()));
    Said::Refused(lines.collect::<Vec<_>>().join("\n"))
}

fn policy(rest: &str) -> String {
    format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n{rest}\n")
}

/// A SparkConnect of Spark 4, of which nothing is to be changed or said.
fn connect(name: &str, spec: &Value) -> Value {
    let template = json!({"spec": {"containers": [{"name": "spark-kubernetes-executor"}]}});
    let mut connect = json!({
        "apiVersion": "sparkoperator.k8s.io/v1alpha1", "kind": "SparkConnect", "metadata": {"name": name},
        "spec": {"sparkVersion": "4.0.1", "image": "apache/spark:4.0.1", "server": {}, "executor": {"instances": 1, "template": template}}
    });
    if let Some(template) = spec["executor"].get("template") {
        connect["spec"]["executor"]["template"] = template.clone();
    } else {
        json_patch::merge(&mut connect["spec"], spec);
    }
    connect
}

fn server(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("{name}-server")}})
}

/// The pod that the operator makes of a SparkConnect.
async fn server_of(here: &Namespace, name: &str) -> Value {
    eventually("the operator makes the server's pod", async || here.find(&server(name)).await.is_success()).await;
    here.get(&server(name)).await
}

/// The pod that the operator makes after another is gone.
async fn server_after(here: &Namespace, before: &Value) -> Value {
    eventually("the operator makes another pod", async || {
        let now = here.find(before).await;
        now.is_success() && now.body["metadata"]["uid"] != before["metadata"]["uid"]
    })
    .await;
    here.get(before).await
}

/// A `SPARK_HOME` whose script that starts the server says what it is started with.
fn stub(here: &Namespace) -> std::path::PathBuf {
    let home = here.cluster().scratch();
    let script = home.join("sbin/start-connect-server.sh");
    fs::create_dir_all(script.parent().unwrap()).unwrap();
    fs::write(&script, "#!/bin/bash\nprintf '%s\\0' \"$@\"\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    home
}

/// The configuration with which the pod's command starts a server, by the real bash: of a key the first value, where there are several.
fn started_with(pod: &Value, home: &Path) -> BTreeMap<String, String> {
    let container = &pod["spec"]["containers"][0];
    assert_eq!(container["command"], json!(["bash", "-c"]));
    let folder = tempfile::tempdir_in(home).unwrap();
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(container["args"][0].as_str().unwrap()).current_dir(folder.path());
    bash.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("SPARK_HOME", home).env("POD_IP", "10.1.2.3");
    let ran = bash.stdin(Stdio::null()).stderr(Stdio::null()).output().unwrap();
    let words = String::from_utf8(ran.stdout).unwrap();
    let words: Vec<_> = words.split_terminator('\0').collect();
    let pairs = words.windows(2).filter(|pair| pair[0] == "--conf").filter_map(|pair| pair[1].split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// A session in client mode, whose executors nobody starts.
fn session(here: &Namespace, spark: &Spark<'_>, more: &[(&str, &str)]) -> Command {
    let (token, authority, image) =
        (spark.token_file().display().to_string(), spark.authority().display().to_string(), spark.image());
    let settings = [
        ("spark.kubernetes.namespace", here.name.as_str()),
        ("spark.kubernetes.container.image", &image),
        ("spark.kubernetes.authenticate.oauthTokenFile", &token),
        ("spark.kubernetes.authenticate.caCertFile", &authority),
        ("spark.executor.instances", "1"),
        ("spark.driver.host", "127.0.0.1"),
        ("spark.scheduler.minRegisteredResourcesRatio", "0"),
        ("spark.ui.enabled", "false"),
    ];
    let settings = settings.iter().chain(more).map(|(key, value)| format!("--conf {key}={value}"));
    let settings = settings.collect::<Vec<_>>().join(" ");
    let mut command = spark.python();
    command.arg(spark.session_file());
    command.env("PYSPARK_SUBMIT_ARGS", format!("--master {} {settings} pyspark-shell", spark.master()));
    command
}
