//! `review` from outside: standard input, outputs and exit statuses; and the decision on every fixture, as golden files.
//!
//! `UPDATE_GOLDEN=1 cargo test --test review_command` writes the golden files anew. Read what changed before you commit it.

#![allow(clippy::unwrap_used, reason = "clippy takes the helpers of an integration test for no test")]

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;
use proptest::prelude::*;
use serde_json::Value;
use similar::TextDiff;
use spark_admission::cli::review::ReviewCommand;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    review: ReviewCommand,
}

/// What a run left behind.
#[derive(Debug, PartialEq)]
struct Ran {
    status: u8,
    output: String,
    errors: String,
}

/// Runs `review` with these arguments and this standard input.
fn review(arguments: &[&str], input: &str) -> Ran {
    let CommandLine { mut review } = CommandLine::try_parse_from([&["review"], arguments].concat()).unwrap();
    review.colour = false;
    run(&review, input)
}

fn run(review: &ReviewCommand, input: &str) -> Ran {
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let status = review.run(&mut input.as_bytes(), &mut output, &mut errors).unwrap();
    Ran { status, output: String::from_utf8(output).unwrap(), errors: String::from_utf8(errors).unwrap() }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder of fixtures, sorted.
fn fixtures(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("tests/fixtures").join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// What `-o explain` says of a fixture and how it ends, as if it stood in the current folder.
fn explained(fixture: &Path, arguments: &[&str]) -> String {
    let ran = review(&[&["-o", "explain"], arguments].concat(), &fs::read_to_string(fixture).unwrap());
    let name = fixture.file_name().unwrap().to_str().unwrap();
    let complaints = if ran.errors.is_empty() { String::new() } else { format!("\n{}", ran.errors) };
    let text = format!("{}{complaints}\nexit status {}\n", ran.output, ran.status);
    text.replace("standard input", name)
}

/// Compares every fixture of a folder with its golden file.
fn compare(fixtures_in: &str, golden_in: &str, arguments: &[&str]) {
    let golden_folder = root().join("tests/golden/review").join(golden_in);
    let is_update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let (mut wrong, mut expected_files) = (Vec::new(), Vec::new());
    for fixture in fixtures(fixtures_in) {
        let golden = golden_folder.join(fixture.file_stem().unwrap()).with_added_extension("txt");
        let now = explained(&fixture, arguments);
        if is_update {
            fs::create_dir_all(&golden_folder).unwrap();
            fs::write(&golden, &now).unwrap();
        }
        let before = fs::read_to_string(&golden).unwrap_or_default();
        if before != now {
            let diff = TextDiff::from_lines(&before, &now).unified_diff().header("golden", "now").to_string();
            wrong.push(format!("{}\n{diff}", golden.display()));
        }
        expected_files.push(golden);
    }
    let left_over = fs::read_dir(&golden_folder).unwrap().map(|entry| entry.unwrap().path());
    let left_over: Vec<_> = left_over.filter(|file| !expected_files.contains(file)).collect();
    assert_eq!(left_over, Vec::<PathBuf>::new(), "golden files without a fixture");
    assert!(
        wrong.is_empty(),
        "{}\nIf this is right: UPDATE_GOLDEN=1 cargo test --test review_command",
        wrong.join("\n")
    );
}

#[test]
fn decisions_on_the_pods_of_spark_3_5() {
    compare("captured/3.5.9", "3.5.9", &[]);
}

#[test]
fn decisions_on_the_pods_of_spark_4() {
    compare("captured/4.3.0", "4.3.0", &[]);
}

#[test]
fn decisions_on_resources_and_pods_of_users() {
    compare("resources", "resources", &[]);
}

/// The file of nodes or events that stands beside the fixtures.
fn of_cluster(file: &str) -> String {
    root().join("tests/fixtures/nodes").join(file).to_str().unwrap().to_owned()
}

#[test]
fn decisions_on_a_cluster_with_flagged_nodes() {
    let (nodes, events) = (of_cluster("nodes.yaml"), of_cluster("events.yaml"));
    compare("flagged", "flagged-by-condition", &["--nodes", &nodes]);
    compare("flagged", "flagged-by-event-too", &["--nodes", &nodes, "--events", &events]);
}

#[test]
fn says_what_is_no_node() {
    let pods = root().join("tests/fixtures/flagged/pods.yaml").to_str().unwrap().to_owned();
    let ran = review(&["--nodes", &pods], "");
    assert_eq!(ran.status, 2);
    assert!(
        ran.errors.starts_with(&format!("{pods}, document 1, line 1: this is a Pod; a Node must stand here\n")),
        "{}",
        ran.errors
    );
    let ran = review(&["--nodes", "/no/such/file"], "");
    assert_eq!(ran.status, 2);
    assert!(ran.errors.starts_with("/no/such/file: cannot be read: "), "{}", ran.errors);
}

#[test]
fn reads_nodes_in_json_too() {
    let folder = tempfile::tempdir().unwrap();
    let nodes: Value = serde_saphyr::from_str(&fs::read_to_string(of_cluster("nodes.yaml")).unwrap()).unwrap();
    let json = folder.path().join("nodes.json");
    fs::write(&json, nodes.to_string()).unwrap();
    let pods = fs::read_to_string(root().join("tests/fixtures/flagged/pods.yaml")).unwrap();
    assert_eq!(
        review(&["--nodes", json.to_str().unwrap()], &pods),
        review(&["--nodes", &of_cluster("nodes.yaml")], &pods)
    );
}

/// Every fixture.
fn all_fixtures() -> Vec<PathBuf> {
    ["captured/3.5.9", "captured/4.3.0", "resources"].into_iter().flat_map(fixtures).collect()
}

#[test]
fn what_was_changed_once_is_not_changed_again() {
    for fixture in all_fixtures() {
        let text = fs::read_to_string(&fixture).unwrap();
        if text.contains("kind: AdmissionReview") {
            // Its object, sent again on its own, would be another review.
            continue;
        }
        let once = review(&["-o", "yaml"], &text);
        let twice = review(&["-o", "yaml"], &once.output);
        assert_eq!(twice.output, once.output, "{}", fixture.display());
        let patches = review(&["-o", "patch"], &once.output).output;
        assert!(patches.lines().all(|patch| patch == "[]"), "{}: {patches}", fixture.display());
    }
}

#[test]
fn the_objects_of_yaml_are_those_of_the_manifest_with_its_patches() {
    for fixture in fixtures("captured/4.3.0") {
        let text = fs::read_to_string(&fixture).unwrap();
        let mut object: Value = serde_json::from_str(&text).unwrap();
        let patch = review(&["-o", "patch"], &text).output;
        json_patch::patch(&mut object, &serde_json::from_str::<json_patch::Patch>(&patch).unwrap()).unwrap();
        let after: Value = serde_saphyr::from_str(&review(&["-o", "yaml"], &text).output).unwrap();
        assert_eq!(after.to_string(), object.to_string(), "{}: the order of keys counts", fixture.display());
    }
}

const DRIVER: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: pi-driver
  labels:
    spark-role: driver
spec:
  containers:
  - name: spark-kubernetes-driver
    image: apache/spark:4.0.1
    args: [driver]
";

/// Wrong: the webhook cannot add a volume to a text.
const DENIED: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: odd-driver, labels: {spark-role: driver}}
spec: {volumes: none, containers: [{name: spark-kubernetes-driver, image: \"apache/spark:4.0.1\"}]}
";

const CONFIG_MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n";

#[test]
fn the_exit_status_tells_the_worst() {
    let documents = |documents: &[&str]| documents.join("---\n");
    for (case, input, expected) in [
        ("nothing at all", String::new(), 2),
        ("all allowed", documents(&[DRIVER, CONFIG_MAP]), 0),
        ("something denied", documents(&[DRIVER, DENIED]), 1),
        ("something unreadable", documents(&[DRIVER, "a: b: c\n"]), 2),
        ("both", documents(&["a: b: c\n", DENIED]), 2),
        ("no object", "just words\n".to_owned(), 2),
    ] {
        for output in ["diff", "yaml", "json", "patch", "explain"] {
            let ran = review(&["-o", output], &input);
            assert_eq!(ran.status, expected, "{case}, -o {output}: {}", ran.errors);
        }
    }
}

#[test]
fn a_broken_document_is_named_and_the_others_are_reviewed() {
    let input = format!("# a comment\nWARNING: this is: no YAML\n---\n{DRIVER}---\n\nkind: Pod\n---\n{CONFIG_MAP}");
    let ran = review(&["-o", "json"], &input);
    assert_eq!(
        ran.errors,
        "standard input, document 1, line 2: no YAML: mapping values are not allowed in this context\n\
         standard input, document 3, line 17: apiVersion is missing; every Kubernetes object has an apiVersion and a kind\n"
    );
    let report: Value = serde_json::from_str(&ran.output).unwrap();
    let kinds: Vec<_> = report.as_array().unwrap().iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Pod", "ConfigMap"]);
}

#[test]
fn files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (pod, broken, bytes, missing) = (path("pod.yaml"), path("broken.json"), path("bytes"), path("missing"));
    fs::write(&pod, DRIVER).unwrap();
    fs::write(&broken, "{\n  \"a\":\n]\n").unwrap();
    fs::write(&bytes, b"a: b\nc: \xff\n").unwrap();
    let ran =
        review(&["-o", "patch", &broken, &pod, &bytes, "-", &missing, folder.path().to_str().unwrap()], CONFIG_MAP);
    let complaints: Vec<_> = ran.errors.lines().collect();
    assert_eq!(complaints[0], format!("{broken}, document 1, line 3: no JSON: expected value"));
    assert_eq!(complaints[1], format!("{bytes}, line 2: cannot be read: this is no UTF-8 text"));
    assert!(complaints[2].starts_with(&format!("{missing}: cannot be read: ")), "{}", complaints[2]);
    assert!(complaints[3].starts_with(&format!("{}: cannot be read: ", folder.path().display())), "{}", complaints[3]);
    let patches: Vec<_> = ran.output.lines().collect();
    assert!(patches.len() == 2 && patches[0].contains("ivy-cache") && patches[1] == "[]", "{patches:?}");
}

#[test]
fn a_diff_shows_what_changes_and_what_stays() {
    let ran = review(&[], &format!("{DRIVER}---\n{CONFIG_MAP}"));
    let expected = r"Pod default/pi-driver (standard input, document 1)
changed by ivy-cache, ivy-dir, spark-user
@@ -4,9 +4,26 @@
   name: pi-driver
   labels:
     spark-role: driver
+  annotations:
+    spark-admission.io/mutated: ivy-cache,ivy-dir,spark-user
 spec:
   containers:
   - name: spark-kubernetes-driver
     image: apache/spark:4.0.1
     args:
     - driver
+    volumeMounts:
+    - name: ivy-cache
+      mountPath: /tmp/.ivy2
+    env:
+    - name: SPARK_SUBMIT_OPTS
+      value: -Divy.home=/tmp/.ivy2
+  volumes:
+  - name: ivy-cache
+    emptyDir:
+      medium: Memory
+      sizeLimit: 512Mi
+  securityContext:
+    fsGroup: 185
+    fsGroupChangePolicy: OnRootMismatch
+    runAsUser: 185

ConfigMap settings (standard input, document 2)
not looked at: this is no Spark work
";
    assert_eq!(ran, Ran { status: 0, output: expected.to_owned(), errors: String::new() });
}

#[test]
fn a_diff_is_coloured_only_where_it_is_wanted() {
    let CommandLine { mut review } = CommandLine::try_parse_from(["review"]).unwrap();
    for colour in [false, true] {
        review.colour = colour;
        assert_eq!(run(&review, DRIVER).output.contains("\x1b[32m+"), colour);
    }
}

#[test]
fn json_tells_everything() {
    let ran = review(&["-o", "json", "-n", "team"], &format!("{DRIVER}---\n{DENIED}---\n{CONFIG_MAP}"));
    let report: Value = serde_json::from_str(&ran.output).unwrap();
    let (driver, denied, other) = (&report[0], &report[1], &report[2]);
    assert_eq!((driver["namespace"].as_str(), driver["document"].as_u64()), (Some("team"), Some(1)));
    assert_eq!((driver["allowed"].as_bool(), denied["allowed"].as_bool()), (Some(true), Some(false)));
    assert_eq!(denied["status"]["code"], 422);
    assert_eq!(other["untouched"]["reason"], "not-spark");
    assert_eq!(driver["auditAnnotations"]["ivy-cache"], "applied");
    let skipped = driver["mutations"].as_array().unwrap().iter().find(|it| it["outcome"] == "skipped").unwrap();
    assert!(skipped["reason"].is_string() && skipped["sentence"].is_string(), "{skipped}");
    let applied = driver["mutations"].as_array().unwrap().iter().find(|it| it["name"] == "spark-user").unwrap();
    assert_eq!(applied["edits"][0]["path"], "spec.securityContext.fsGroup");
    assert_eq!(applied["edits"][0]["new"], 185);
    assert!(!driver["patch"].as_array().unwrap().is_empty());
}

#[test]
fn yaml_is_ready_for_kubectl_and_says_the_rest_besides() {
    let application = fs::read_to_string(root().join("tests/fixtures/resources/connect-3.5.0.yaml")).unwrap();
    let ran = review(&["-o", "yaml"], &format!("{application}---\n{DENIED}---\n{CONFIG_MAP}"));
    let kinds: Vec<_> = ran.output.lines().filter(|line| line.starts_with("kind: ") || *line == "---").collect();
    assert_eq!(kinds, ["kind: SparkConnect", "---", "kind: ConfigMap"]);
    assert!(ran.errors.contains("Warning: standard input, document 1: connect-package: added "), "{}", ran.errors);
    assert!(ran.errors.contains("standard input, document 2: denied: spark-admission: "), "{}", ran.errors);
}

#[test]
fn lists_are_unrolled() {
    let list = |kind: &str, pod: &str| {
        format!("apiVersion: v1\nkind: {kind}\nitems:\n- {}", pod.trim_end().replace('\n', "\n  ") + "\n")
    };
    let without_kind = DRIVER.replace("apiVersion: v1\nkind: Pod\n", "");
    for list in [list("List", DRIVER), list("PodList", DRIVER), list("PodList", &without_kind)] {
        let ran = review(&["-o", "explain"], &list);
        let headline = ran.output.lines().next().unwrap();
        assert_eq!(headline, "Pod default/pi-driver (standard input, document 1, item 1)", "{list}");
    }
}

#[test]
fn the_flags_describe_the_cluster() {
    for (case, arguments, expected) in [
        ("nothing is assumed", vec![], "a driver; changed by ivy-cache, ivy-dir, spark-user"),
        ("OpenShift gives users", vec!["--openshift"], "a driver; changed by ivy-cache, ivy-dir"),
        (
            "a namespace that opted out",
            vec!["--namespace-labels", "team=data,spark-admission.io/enabled=false"],
            "a driver; not looked at: the namespace has the label spark-admission.io/enabled=false",
        ),
        (
            "a namespace that the policy excludes",
            vec!["-n", "kube-system"],
            "a driver; not looked at: the policy excludes this namespace",
        ),
    ] {
        let ran = review(&[&["-o", "explain"], arguments.as_slice()].concat(), DRIVER);
        assert_eq!(ran.output.lines().nth(1).unwrap(), expected, "{case}");
    }
}

#[test]
fn the_policy_is_read_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.yaml");
    let with = |policy: &str| {
        fs::write(&file, format!("apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n{policy}")).unwrap();
        review(&["-o", "explain", "--policy", file.to_str().unwrap()], DRIVER)
    };
    let observed = with("mode: observe\n");
    assert!(
        observed.output.contains("unchanged: only observed by the policy, so not done: ivy-cache, ivy-dir, spark-user"),
        "{}",
        observed.output
    );
    assert!(observed.output.contains("  spark-user: only observed, so not done; "), "{}", observed.output);
    assert!(observed.output.contains("spec.securityContext.runAsUser: absent -> 185"), "{}", observed.output);
    let wrong = with("mod: observe\n");
    assert_eq!((wrong.status, wrong.output.as_str()), (2, ""));
    assert!(wrong.errors.contains("mod: unknown field; did you mean mode?"), "{}", wrong.errors);
    fs::remove_file(&file).unwrap();
    let missing = review(&["--policy", file.to_str().unwrap()], DRIVER);
    assert_eq!(missing.status, 2);
    assert!(missing.errors.starts_with(&format!("{}: cannot read the policy: ", file.display())), "{}", missing.errors);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Manifests are written by people and templates: whatever the text is, there is an answer or a complaint.
    #[test]
    fn any_text_ends_with_a_status(noise in any::<String>(), cut in any::<proptest::sample::Index>(), fixture in any::<proptest::sample::Index>()) {
        let fixtures = fixtures("resources");
        let text = fs::read_to_string(fixture.get(&fixtures)).unwrap();
        let mut characters: Vec<_> = text.chars().collect();
        let cut = cut.index(characters.len());
        characters.splice(cut..cut, noise.chars());
        for input in [characters.into_iter().collect(), noise] {
            let ran = review(&["-o", "json"], &input);
            prop_assert!(ran.status <= 2);
            prop_assert_eq!(ran.status == 2, !ran.errors.is_empty(), "{}", ran.errors);
            prop_assert!(serde_json::from_str::<Value>(&ran.output).is_ok(), "{}", ran.output);
        }
    }
}

#[test]
fn what_is_nested_too_deep_is_refused_and_not_followed() {
    let deep = |open: &str| open.repeat(100_000);
    let mut bomb = "a0: &a0 x\n".to_owned();
    for i in 1..30 {
        let line = format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}]\n", i - 1);
        bomb += &line;
    }
    for input in [format!("a: {}", deep("[")), deep("{\"a\":"), deep("- "), bomb] {
        let ran = review(&[], &input);
        assert_eq!((ran.status, ran.output.as_str()), (2, ""), "{}", ran.errors);
    }
    // What the parser still reads, but the server does not inside a review, is answered as the server answers it.
    let mut driver: Value = serde_saphyr::from_str(DRIVER).unwrap();
    driver["status"] = (0..126).fold(Value::Null, |inner, _| vec![inner].into());
    let nested = driver.to_string();
    let ran = review(&[], &nested);
    assert_eq!(ran.status, 1, "{}", ran.errors);
}

#[test]
fn wrong_flags_are_refused_with_a_sentence() {
    for arguments in [&["--namespace-labels", "enabled"][..], &["-o", "table"], &["--events", "events.yaml"]] {
        assert!(CommandLine::try_parse_from([&["review"], arguments].concat()).is_err(), "{arguments:?}");
    }
}
