//! What the parser reads, and in which words it refuses.

use super::*;
use crate::policy::configuration::formats::Period;
use crate::policy::configuration::globs::Globs;
use crate::policy::configuration::{BadCondition, Mode, MutationMode, Treatment};
use crate::policy::role::{Role, Roles};
use proptest::prelude::*;

const HEADER: &str = "apiVersion: spark-admission.io/v1alpha1\nkind: Policy\n";

#[test]
fn the_commented_default_is_the_default_in_full() {
    let mut file: Value = serde_saphyr::from_str(DEFAULT_FILE).unwrap();
    assert_eq!(Policy::parse(DEFAULT_FILE), Ok(Policy::default()));
    let fields = file.as_object_mut().unwrap();
    assert_eq!(fields.shift_remove("apiVersion").unwrap(), API_VERSION);
    assert_eq!(fields.shift_remove("kind").unwrap(), KIND);
    assert_eq!(&file, defaults());
}

/// What a file with this body is answered, without the first and last line.
fn problems(body: &str) -> Vec<String> {
    match Policy::parse(&format!("{HEADER}{body}")) {
        Err(PolicyError::Fields(problems)) => problems.iter().map(ToString::to_string).collect(),
        Err(other) => vec![other.to_string()],
        Ok(_) => Vec::new(),
    }
}

#[test]
fn reads() {
    fn policy(change: impl FnOnce(&mut Policy)) -> Box<Policy> {
        let mut policy = Box::<Policy>::default();
        change(&mut policy);
        policy
    }
    for (case, body, expected) in [
        ("apiVersion and kind alone", "", policy(|_| {})),
        ("a field without a value has its default", "mode:\nmutations:\n  ivy-cache:\n", policy(|_| {})),
        ("one field, all others by default", "mode: observe", policy(|p| p.mode = Mode::Observe)),
        (
            "off without quotes",
            "mutations: {ivy-dir: {mode: off}}",
            policy(|p| p.mutations.ivy_dir.scope.mode = MutationMode::Off),
        ),
        (
            "off as Helm passes it on",
            "mutations: {ivy-dir: {mode: false}}",
            policy(|p| p.mutations.ivy_dir.scope.mode = MutationMode::Off),
        ),
        (
            "a list replaces the default list",
            "mutations: {spark-user: {imagesWithOwnUser: [me/own]}}",
            policy(|p| p.mutations.spark_user.images_with_own_user = Globs::new(&["me/own"])),
        ),
        (
            "roles of one mutation",
            "mutations: {ivy-cache: {roles: [notebook]}}",
            policy(|p| p.mutations.ivy_cache.scope.roles = Roles::of(&[Role::Notebook])),
        ),
        (
            "one role's treatment, a condition more, and a longer time",
            "flaggedNodes: {unpinned: {executor: strip}, conditions: [{type: Broken, status: \"Unknown\"}], eventTTL: 90m}",
            policy(|p| {
                p.flagged_nodes.unpinned.executor = Treatment::Strip;
                p.flagged_nodes.conditions = vec![BadCondition { kind: "Broken".into(), status: "Unknown".into() }];
                p.flagged_nodes.event_ttl = Period::new("90m");
            }),
        ),
        (
            "a status without quotes, which YAML takes for a boolean",
            "flaggedNodes: {conditions: [{type: Working, status: False}]}",
            policy(|p| {
                p.flagged_nodes.conditions = vec![BadCondition { kind: "Working".into(), status: "False".into() }];
            }),
        ),
        (
            "versions with and without quotes",
            "mutations: {connect-package: {versions: {3.5.4: 3.5.3, \"3.4.4\": \"3.4.3\"}}}",
            policy(|p| {
                p.mutations.connect_package.versions =
                    [("3.5.4", "3.5.3"), ("3.4.4", "3.4.3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
            }),
        ),
    ] {
        assert_eq!(Policy::parse(&format!("{HEADER}{body}")), Ok(*expected), "{case}");
    }
}

#[test]
fn reads_json() {
    let json = serde_json::json!({"apiVersion": API_VERSION, "kind": KIND, "mode": "observe"}).to_string();
    assert_eq!(Policy::parse(&json).unwrap().mode, Mode::Observe);
}

/// Each body has the one problem expected.
fn refuses(cases: &[(&str, &str, &str)]) {
    for (case, body, expected) in cases {
        assert_eq!(problems(body), [*expected], "{case}");
    }
}

#[test]
fn refuses_unknown_fields() {
    refuses(&[
        (
            "a slip in a mutation",
            "mutations: {ivy-cahce: {}}",
            "mutations.ivy-cahce: unknown field; did you mean ivy-cache?",
        ),
        (
            "a slip at the top",
            "excludeNamespaces: []",
            "excludeNamespaces: unknown field; did you mean excludedNamespaces?",
        ),
        (
            "a slip in a field",
            "mutations: {ivy-cache: {mountpaht: /x}}",
            "mutations.ivy-cache.mountpaht: unknown field; did you mean mountPath?",
        ),
        ("the wrong level", "ivy-cache: {mode: off}", "ivy-cache: unknown field; did you mean mutations.ivy-cache?"),
        (
            "a field that nothing resembles",
            "optOut: {everything: true}",
            "optOut.everything: unknown field; known here: workload",
        ),
        ("an unknown field without a value", "replicas:", TOP),
    ]);
}

#[test]
fn refuses_wrong_types_and_words() {
    refuses(&[
        (
            "a slip in a word",
            "mode: enforced",
            "mode: expected enforce or observe, found \"enforced\"; did you mean enforce?",
        ),
        ("a word that nothing resembles", "onError: panic", "onError: expected allow or deny, found \"panic\""),
        ("a boolean for a word", "mode: true", "mode: expected enforce or observe, found true"),
        ("no off for the whole policy", "mode: off", "mode: expected enforce or observe, found \"off\""),
        ("a text for a list", "excludedNamespaces: prod", "excludedNamespaces: expected a list, found \"prod\""),
        ("a list for fields", "mutations: [ivy-cache]", "mutations: expected fields (name: value), found a list"),
        (
            "a text for fields",
            "mutations: {ivy-cache: off}",
            "mutations.ivy-cache: expected fields (name: value), found \"off\"",
        ),
        ("fields for a text", "notebooks: {label: {a: b}}", "notebooks.label: expected a text, found fields"),
        (
            "a number for a text",
            "mutations: {connect-package: {versions: {3.5.4: 3.5}}}",
            "mutations.connect-package.versions[\"3.5.4\"]: expected a text, found the number 3.5; write it in quotes",
        ),
        ("a gap in a list", "excludedNamespaces: [~]", "excludedNamespaces[0]: expected a text, found nothing"),
    ]);
}

#[test]
fn refuses_texts_that_cannot_be() {
    refuses(&[
        (
            "a namespace that cannot be",
            "excludedNamespaces: [kube-system, Prod]",
            "excludedNamespaces[1]: expected a namespace's name (a-z, 0-9, -), with * and ? as wildcards; found \"Prod\"",
        ),
        (
            "a size of half a byte",
            "mutations: {ivy-cache: {sizeLimit: 512m}}",
            "mutations.ivy-cache.sizeLimit: expected a Kubernetes quantity of at least 1Mi, such as 512Mi or 4Gi; found \"512m\"",
        ),
        (
            "a size that is no quantity",
            "mutations: {ivy-cache: {largeSizeLimit: 4 GB}}",
            "mutations.ivy-cache.largeSizeLimit: expected a Kubernetes quantity of at least 1Mi, such as 512Mi or 4Gi; found \"4 GB\"",
        ),
        (
            "a size without a unit",
            "mutations: {ivy-cache: {sizeLimit: 512}}",
            "mutations.ivy-cache.sizeLimit: expected a text, found the number 512; write it in quotes",
        ),
        (
            "a path that climbs",
            "mutations: {ivy-cache: {mountPath: /tmp/../etc}}",
            "mutations.ivy-cache.mountPath: expected an absolute path below /tmp or of its own, such as /tmp/.ivy2 (it holds . or ..); found \"/tmp/../etc\"",
        ),
        (
            "a path that hides Spark",
            "mutations: {ivy-cache: {mountPath: /opt}}",
            "mutations.ivy-cache.mountPath: expected an absolute path below /tmp or of its own, such as /tmp/.ivy2 (it would hide Spark's own files); found \"/opt\"",
        ),
        (
            "a medium in lower case",
            "mutations: {ivy-cache: {medium: memory}}",
            "mutations.ivy-cache.medium: expected Memory or Disk, found \"memory\"; did you mean Memory?",
        ),
        (
            "an image with its tag",
            "mutations: {connect-package: {images: [\"apache/spark:3.5.1\"]}}",
            "mutations.connect-package.images[0]: expected an image's repository without tag and digest, such as apache/spark; found \"apache/spark:3.5.1\"",
        ),
        (
            "a package with its version",
            "mutations: {ivy-cache: {largePackages: [\"g:a:1.0\"]}}",
            "mutations.ivy-cache.largePackages[0]: expected group:artifact without a version, such as org.apache.hadoop:hadoop-aws; found \"g:a:1.0\"",
        ),
        (
            "a package for Spark 4",
            "mutations: {connect-package: {versions: {4.0.0: 4.0.1}}}",
            "mutations.connect-package.versions[\"4.0.0\"]: expected a version of Spark 3.4 or 3.5, such as 3.5.1 (later ones bring spark-connect along); found \"4.0.0\"",
        ),
        (
            "a version that would be two packages",
            "mutations: {connect-package: {versions: {3.5.0: \"3.5.1,evil:jar\"}}}",
            "mutations.connect-package.versions[\"3.5.0\"]: expected a version, such as 3.5.1; found \"3.5.1,evil:jar\"",
        ),
        (
            "a label without a value",
            "notebooks: {label: jupyter}",
            "notebooks.label: expected a label and its value, such as spark-admission.io/notebook=true; found \"jupyter\"",
        ),
        (
            "a container that cannot be",
            "notebooks: {container: My_Notebook}",
            "notebooks.container: expected the name of a container (1 to 63 of a-z, 0-9, -); found \"My_Notebook\"",
        ),
    ]);
}

#[test]
fn refuses_what_cannot_flag_a_node() {
    refuses(&[
        (
            "a condition without its bad status",
            "flaggedNodes: {conditions: [{type: XfsShutdown}]}",
            "flaggedNodes.conditions[0].status: missing; write status: True, False or Unknown",
        ),
        (
            "a status that is none",
            "flaggedNodes: {conditions: [{type: XfsShutdown, status: Bad}]}",
            "flaggedNodes.conditions[0].status: expected True, False or Unknown, found \"Bad\"",
        ),
        (
            "an event without a component",
            "flaggedNodes: {events: [{reason: Broken}]}",
            "flaggedNodes.events[0].component: missing; write component: a word, such as ReadonlyFilesystem",
        ),
        (
            "a slip in an element of a list",
            "flaggedNodes: {events: [{reason: Broken, component: c, compoment: d}]}",
            "flaggedNodes.events[0].compoment: unknown field; did you mean component?",
        ),
        (
            "a label with a value",
            "flaggedNodes: {label: a=b}",
            "flaggedNodes.label: expected a key such as spark-admission.io/flagged, or \"\" to look at none; found \"a=b\"",
        ),
        (
            "a time without a unit",
            "flaggedNodes: {eventTTL: \"60\"}",
            "flaggedNodes.eventTTL: expected a time of at least a second, such as 90s, 10m or 1h; found \"60\"",
        ),
        (
            "a pattern of namespaces",
            "flaggedNodes: {eventNamespaces: [\"*\"]}",
            "flaggedNodes.eventNamespaces[0]: expected the name of a namespace (1 to 63 of a-z, 0-9, -); found \"*\"",
        ),
        (
            "more names than a pod should carry",
            "flaggedNodes: {maxExcludedNames: 1000}",
            "flaggedNodes.maxExcludedNames: expected a whole number from 1 to 200, found the number 1000",
        ),
        (
            "a fraction of a node",
            "flaggedNodes: {maxExcludedNames: 1.5}",
            "flaggedNodes.maxExcludedNames: expected a whole number from 1 to 200, found the number 1.5",
        ),
        (
            "a word for a boolean",
            "flaggedNodes: {labelFlaggedNodes: always}",
            "flaggedNodes.labelFlaggedNodes: expected true or false, found \"always\"",
        ),
        (
            "one treatment for all roles",
            "flaggedNodes: {unpinned: strip}",
            "flaggedNodes.unpinned: expected fields (name: value), found \"strip\"",
        ),
        (
            "nothing to strip",
            "flaggedNodes: {strip: []}",
            "flaggedNodes.strip: expected at least one; to switch the mutation off, write mode: off instead",
        ),
    ]);
}

#[test]
fn refuses_roles_that_mean_nothing() {
    refuses(&[
        (
            "a role that is none",
            "mutations: {ivy-cache: {roles: [driver, executors]}}",
            "mutations.ivy-cache.roles[1]: expected driver, executor, connect-server or notebook, found \"executors\"; did you mean executor?",
        ),
        (
            "spark-user is never for notebooks",
            "mutations: {spark-user: {roles: [notebook]}}",
            "mutations.spark-user.roles[0]: expected driver, executor or connect-server, found \"notebook\"",
        ),
        (
            "a Connect server's mutation for drivers",
            "mutations: {connect-readiness: {roles: [driver]}}",
            "mutations.connect-readiness.roles[0]: expected connect-server, found \"driver\"",
        ),
        (
            "no roles at all",
            "mutations: {ivy-cache: {roles: []}}",
            "mutations.ivy-cache.roles: expected at least one; to switch the mutation off, write mode: off instead",
        ),
    ]);
}

const TOP: &str = "replicas: unknown field; known here: apiVersion, kind, mode, onError, excludedNamespaces, notebooks, optOut, mutations, checks, flaggedNodes";

#[test]
fn refuses_whole_files() {
    for (case, text, expected) in [
        (
            "an empty file, as when it was cut off",
            "",
            "the policy is empty\nFor the default policy write apiVersion: spark-admission.io/v1alpha1 and kind: Policy.",
        ),
        (
            "comments alone",
            "# mode: observe\n---\n",
            "the policy is empty\nFor the default policy write apiVersion: spark-admission.io/v1alpha1 and kind: Policy.",
        ),
        (
            "fields alone",
            "mode: observe",
            "2 problems in the policy\n  apiVersion: missing; write apiVersion: spark-admission.io/v1alpha1\n  kind: missing; write kind: Policy\n\
             Correct what is named above; `spark-admission policy default` shows every field and what it means.",
        ),
        (
            "another object, one problem for each line of the header and none for its fields",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: policy}\ndata: {}",
            "2 problems in the policy\n  apiVersion: expected spark-admission.io/v1alpha1, found \"v1\"\n  \
             kind: expected Policy, found \"ConfigMap\"\n\
             Correct what is named above; `spark-admission policy default` shows every field and what it means.",
        ),
        (
            "no fields",
            "hello",
            "1 problem in the policy\n  expected fields (name: value), found \"hello\"\n\
             Correct what is named above; `spark-admission policy default` shows every field and what it means.",
        ),
        (
            "no YAML",
            "kind: Policy\nmode: [enforce",
            "the policy is not YAML: line 2, column 7: unclosed bracket '['\n\
             Correct this line; its cause may be a line or two above.",
        ),
        (
            "a field twice",
            "mode: enforce\nmode: observe",
            "the policy is not YAML: line 2, column 1: duplicate mapping key `mode` is not allowed here\n\
             Correct this line; its cause may be a line or two above.",
        ),
        (
            "two documents",
            "mode: enforce\n---\nmode: observe",
            "the policy is not YAML: line 3, column 1: only single YAML document expected but multiple found\n\
             Correct this line; its cause may be a line or two above.",
        ),
    ] {
        assert_eq!(Policy::parse(text).unwrap_err().to_string(), expected, "{case}");
    }
}

#[test]
fn tells_all_problems_at_once() {
    assert_eq!(
        problems("mode: on\nmutations:\n  ivy-cahce: {}\n  ivy-dir: {roles: [drivers], submision: shared}\n"),
        [
            "mode: expected enforce or observe, found \"on\"",
            "mutations.ivy-cahce: unknown field; did you mean ivy-cache?",
            "mutations.ivy-dir.submision: unknown field; did you mean submission?",
            "mutations.ivy-dir.roles[0]: expected driver, executor, connect-server or notebook, found \"drivers\"; did you mean driver?",
        ]
    );
}

#[test]
fn keeps_strange_text_in_its_line() {
    let found = problems(&format!("\"a\\nb\": 1\nonError: \"x\\ny{}\"", "z".repeat(1000)));
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|problem| !problem.contains('\n') && problem.len() < 200), "{found:?}");
}

#[test]
fn survives_depth_and_aliases() {
    let bombs = [
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        format!("a: &a [x, x, x]\nb: [{}]", "*a, ".repeat(100_000)),
    ];
    for bomb in bombs {
        assert!(Policy::parse(&bomb).is_err());
    }
}

proptest! {
    #[test]
    fn never_panics_on_text(text in any::<String>()) {
        let _ = Policy::parse(&text);
    }

    #[test]
    fn never_panics_on_fields(body in "([ \\t]{0,4}(mode|roles|mutations|ivy-cache|sizeLimit|versions|notebooks|label|[a-z.:/=-]{0,9})(: |:\\n|\\[|\\{|~|'|\"|, |\\n){1,3}){0,12}") {
        let _ = Policy::parse(&format!("{HEADER}{body}"));
    }

    #[test]
    fn every_value_in_every_place_is_settings_or_a_problem(place in 0..places().len(), value in values()) {
        let mut file: Value = serde_saphyr::from_str(DEFAULT_FILE).unwrap();
        *file.pointer_mut(&places()[place]).unwrap() = value;
        if let Err(error) = Policy::parse(&file.to_string()) {
            prop_assert!(!error.to_string().contains("invalid"), "the schema let through what the settings refuse: {error}");
        }
    }
}

fn places() -> Vec<String> {
    fn collect(value: &Value, path: &str, places: &mut Vec<String>) {
        places.push(path.to_owned());
        if let Value::Object(map) = value {
            map.iter().for_each(|(name, value)| collect(value, &format!("{path}/{name}"), places));
        }
    }
    let mut places = Vec::new();
    collect(defaults(), "", &mut places);
    places
}

fn values() -> impl Strategy<Value = Value> {
    let word = prop_oneof!["off|enforce|observe|driver|notebook|512Mi|/tmp/x|a=b|\\*", "\\PC{0,8}"];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("3\\.5\\.1|mode|roles|[a-z]{0,3}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}
