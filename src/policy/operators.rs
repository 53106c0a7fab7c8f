//! The controllers of Kubeflow's spark-operator, and which namespaces each of them watches, as their Deployments tell.
//!
//! A controller is known by what its container runs, since a chart's labels and names may be anything. Its arguments are read as its own
//! parser reads them: of 2.x `controller start` with `--namespaces` (cmd/operator/controller/start.go, with cobra and pflag), of 1.x
//! flags alone, with `-namespace` (main.go, with Go's `flag`). Where something else could still have a say, such as a variable that
//! the kubelet expands, it is unclear what is watched, and nobody is told that a namespace is not.

use std::sync::Arc;

use serde::Deserialize;

use super::nodes::objects::{Metadata, or_default};
use super::values::image::ImageReference;
use super::values::spark_version::SparkVersion;

/// What of the command line of a container tells that it is Spark's operator.
const PROGRAM: &str = "spark-operator";
/// The flags of 2.x that take no value of their own: the next argument is another one (`NoOptDefVal` of pflag).
const SWITCHES: [&str; 7] = [
    "enable-batch-scheduler",
    "enable-http2",
    "enable-metrics",
    "enable-ui-service",
    "leader-election",
    "secure-metrics",
    "zap-devel",
];

/// An apps/v1 `Deployment`: only the fields that decide.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeploymentObject {
    /// Name and namespace.
    #[serde(deserialize_with = "or_default")]
    pub metadata: Metadata,
    /// Its pods.
    #[serde(deserialize_with = "or_default")]
    pub spec: DeploymentSpec,
}

/// `spec` of a Deployment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeploymentSpec {
    /// What its pods are made of.
    #[serde(deserialize_with = "or_default")]
    pub template: TemplateObject,
}

/// The template of a Deployment's pods.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TemplateObject {
    /// Their spec.
    #[serde(deserialize_with = "or_default")]
    pub spec: TemplateSpec,
}

/// `spec` of the template.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TemplateSpec {
    /// The containers.
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<ContainerObject>,
}

/// A container of the template.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerObject {
    /// Its image.
    #[serde(deserialize_with = "or_default")]
    pub image: String,
    /// What it runs in place of the image's entrypoint.
    #[serde(deserialize_with = "or_default")]
    pub command: Vec<String>,
    /// With which arguments.
    #[serde(deserialize_with = "or_default")]
    pub args: Vec<String>,
    /// Its environment.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<Named>,
    /// What else its environment is made of.
    #[serde(deserialize_with = "or_default")]
    pub env_from: Vec<serde::de::IgnoredAny>,
    /// Where volumes are mounted.
    #[serde(deserialize_with = "or_default")]
    pub volume_mounts: Vec<MountObject>,
}

/// Something of which only the name counts.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    /// The name.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
}

/// A mount of a volume.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MountObject {
    /// Its path.
    #[serde(deserialize_with = "or_default")]
    pub mount_path: String,
}

/// The controller of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The namespace of its Deployment.
    pub namespace: Box<str>,
    /// The name of its Deployment.
    pub name: Box<str>,
    /// What it watches.
    pub watches: Watches,
    /// Whether it is given a Spark configuration of its own, with defaults for every application.
    pub configures_spark: bool,
    /// Its major and minor version, where its image's tag says them.
    pub version: Option<(u32, u32)>,
}

/// The namespaces that a controller watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watches {
    /// All of them.
    All,
    /// These.
    These(Box<[Box<str>]>),
    /// Its arguments do not tell for sure.
    Unclear,
}

impl Operator {
    /// The operator whose controller a Deployment runs, if it runs one.
    #[must_use]
    pub fn read(deployment: &DeploymentObject) -> Option<Self> {
        let containers = &deployment.spec.template.spec.containers;
        let (container, watches) = containers.iter().find_map(|it| Some((it, watches(it)?)))?;
        Some(Self {
            namespace: deployment.metadata.namespace.as_str().into(),
            name: deployment.metadata.name.as_str().into(),
            watches,
            configures_spark: configures_spark(container),
            version: version(container),
        })
    }

    /// Whether it watches a namespace, as far as that is clear.
    #[must_use]
    pub fn is_watching(&self, namespace: &str) -> Option<bool> {
        match &self.watches {
            Watches::All => Some(true),
            Watches::These(names) => Some(names.iter().any(|name| **name == *namespace)),
            Watches::Unclear => None,
        }
    }
}

/// Every operator of the cluster, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Operators(Vec<Arc<Operator>>);

impl Operators {
    /// These operators.
    #[must_use]
    pub fn new(mut all: Vec<Arc<Operator>>) -> Self {
        all.sort_unstable_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        Self(all)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Operator> {
        self.0.iter().map(|operator| &**operator)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them watches a namespace: unclear where none does for sure and one may.
    #[must_use]
    pub fn is_watched(&self, namespace: &str) -> Option<bool> {
        let all: Vec<_> = self.iter().map(|operator| operator.is_watching(namespace)).collect();
        if all.contains(&Some(true)) {
            return Some(true);
        }
        (!all.contains(&None)).then_some(false)
    }

    /// Whether a namespace is surely left to operators of this version or a newer one.
    #[must_use]
    pub fn are_at_least(&self, namespace: &str, version: (u32, u32)) -> bool {
        let mut watching = self.iter().filter(|operator| operator.is_watching(namespace) != Some(false)).peekable();
        watching.peek().is_some() && watching.all(|operator| operator.version.is_some_and(|its| its >= version))
    }

    /// Every namespace that one of them names, sorted.
    #[must_use]
    pub fn named(&self) -> Vec<&str> {
        let lists = self.iter().filter_map(|operator| match &operator.watches {
            Watches::These(names) => Some(names),
            Watches::All | Watches::Unclear => None,
        });
        let mut named: Vec<_> = lists.flatten().map(|name| &**name).collect();
        named.sort_unstable();
        named.dedup();
        named
    }
}

/// `2.4` of `ghcr.io/kubeflow/spark-operator/controller:2.4.0`: tags of operators are made like those of Spark.
fn version(container: &ContainerObject) -> Option<(u32, u32)> {
    SparkVersion::parse(ImageReference::parse(&container.image).tag?).map(|version| (version.major, version.minor))
}

/// What a container watches, if it is an operator's controller.
fn watches(container: &ContainerObject) -> Option<Watches> {
    let words: Vec<_> = container.command.iter().chain(&container.args).map(String::as_str).collect();
    let runs = |half| words.windows(2).position(|pair| pair == [half, "start"]);
    if let Some(place) = runs("controller") {
        let is_ours = is_spark_operator(container, &words) || has_its_flags(&words);
        return Some(if is_ours { of_2(&words[place + 2..]) } else { Watches::Unclear });
    }
    if runs("webhook").is_some() || !is_spark_operator(container, &words) {
        return None;
    }
    // Of 1.x nothing stands before the flags but the program, where the image does not name that itself.
    let flags = words.iter().position(|word| word.starts_with('-')).unwrap_or(words.len());
    let (before, flags) = words.split_at(flags);
    Some(if before.len() <= 1 && before.iter().all(|word| is_program(word)) { of_1(flags) } else { Watches::Unclear })
}

/// By its image, `ghcr.io/kubeflow/spark-operator/controller` or `.../spark-operator`, or by the program that is named.
fn is_spark_operator(container: &ContainerObject, words: &[&str]) -> bool {
    container.image.contains(PROGRAM) || words.iter().any(|word| is_program(word))
}

fn is_program(word: &str) -> bool {
    word.rsplit('/').next() == Some(PROGRAM)
}

/// Flags that the chart always writes, and that nobody else has.
fn has_its_flags(words: &[&str]) -> bool {
    words.iter().any(|word| word.starts_with("--enable-ui-service") || word.starts_with("--controller-threads"))
}

/// Reads what follows `controller start`.
fn of_2(arguments: &[&str]) -> Watches {
    let mut named = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.strip_prefix("--") else {
            // A shorthand, of which there is none but for help, or what may become a flag when the kubelet has expanded it.
            if argument.starts_with('-') || is_expanded(argument) {
                return Watches::Unclear;
            }
            continue;
        };
        if flag.is_empty() {
            break;
        }
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value),
            None if SWITCHES.contains(&flag) => continue,
            None => match arguments.next() {
                Some(value) if !value.starts_with('-') => (flag, *value),
                _ => return Watches::Unclear,
            },
        };
        match name {
            "namespaces" => match namespaces(value) {
                Some(more) => named.extend(more),
                None => return Watches::Unclear,
            },
            // From 2.5 on: whatever namespace has these labels, besides those that are named.
            "namespace-selector" if !value.is_empty() => return Watches::Unclear,
            name if is_expanded(name) => return Watches::Unclear,
            _ => {}
        }
    }
    these(named)
}

/// Reads the flags of 1.x. The last `namespace` counts; nothing or empty is all. An argument that is no flag ends them.
fn of_1(arguments: &[&str]) -> Watches {
    let mut named = "";
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(flag) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
            return Watches::Unclear;
        };
        match flag.split_once('=') {
            Some(("namespace", value)) => named = value,
            Some((name, _)) if is_expanded(name) => return Watches::Unclear,
            None if flag == "namespace" => match arguments.next() {
                Some(value) => named = value,
                None => return Watches::Unclear,
            },
            _ => {}
        }
    }
    if is_expanded(named) {
        return Watches::Unclear;
    }
    these([named].into_iter().filter(|name| !name.is_empty()).map(Box::from).collect())
}

/// None or an empty one among them is all.
fn these(named: Vec<Box<str>>) -> Watches {
    if named.is_empty() || named.iter().any(|name| name.is_empty()) {
        Watches::All
    } else {
        Watches::These(named.into())
    }
}

/// A list as pflag reads it: a line of comma-separated values, of which some may be quoted. None where the operator would not start with
/// it, or where the kubelet has a say.
fn namespaces(value: &str) -> Option<Vec<Box<str>>> {
    if is_expanded(value) || value.contains(['\n', '\r']) {
        return None;
    }
    if value.is_empty() {
        return Some(Vec::new());
    }
    let mut all = Vec::new();
    let mut rest = value;
    loop {
        let (name, after) = if let Some(quoted) = rest.strip_prefix('"') {
            // A quote that is written twice stands for itself, which no namespace has.
            quoted.split_once('"')?
        } else {
            rest.split_at(rest.find(',').unwrap_or(rest.len()))
        };
        if name.contains('"') {
            return None;
        }
        all.push(name.into());
        if after.is_empty() {
            return Some(all);
        }
        rest = after.strip_prefix(',')?;
    }
}

/// Whether the kubelet may put something in place of it (`$(NAME)`).
fn is_expanded(text: &str) -> bool {
    text.contains("$(")
}

/// Where `spark-submit` in the operator's image finds its configuration (apache/spark-docker: `SPARK_HOME` is /opt/spark).
const SPARK_CONF: &str = "/opt/spark/conf";

/// Whether something is put in the place of the image's own configuration, which has no defaults.
fn configures_spark(container: &ContainerObject) -> bool {
    let variables = ["SPARK_CONF_DIR", "SPARK_HOME"];
    let is_over = |mount: &MountObject| {
        let path = mount.mount_path.as_str();
        is_at_or_below(SPARK_CONF, path) || is_at_or_below(path, SPARK_CONF)
    };
    !container.env_from.is_empty()
        || container.env.iter().any(|variable| variables.contains(&variable.name.as_str()))
        || container.volume_mounts.iter().any(is_over)
}

fn is_at_or_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const CONTROLLER: &str = "ghcr.io/kubeflow/spark-operator/controller:2.4.0";
    const OLD: &str = "ghcr.io/googlecloudplatform/spark-operator:v1beta2-1.6.2-3.5.0";

    fn operator(containers: &Value) -> Option<Operator> {
        let deployment = json!({
            "metadata": {"namespace": "operators", "name": "so"},
            "spec": {"template": {"spec": {"containers": containers}}},
        });
        Operator::read(&serde_json::from_value(deployment).unwrap())
    }

    /// What a controller of an image watches with these arguments.
    fn watched(image: &str, args: &[&str]) -> String {
        match operator(&json!([{"image": image, "args": args}])).map(|operator| operator.watches) {
            None => "no operator".to_owned(),
            Some(Watches::All) => "all".to_owned(),
            Some(Watches::Unclear) => "unclear".to_owned(),
            Some(Watches::These(names)) => names.join(" "),
        }
    }

    #[test]
    #[rustfmt::skip]
    fn reads_what_the_controller_of_2_watches() {
        for (case, args, expected) in [
            ("nothing named", &[][..], "all"),
            ("as the chart writes it", &["--zap-log-level=info", "--namespaces=jobs,team-a", "--controller-threads=10", "--leader-election=true"], "jobs team-a"),
            ("as the chart writes all", &["--namespaces=\"\""], "all"),
            ("an empty value", &["--namespaces="], "all"),
            ("an empty name among others", &["--namespaces=jobs,,team-a"], "all"),
            ("a comma at the end", &["--namespaces=jobs,"], "all"),
            ("in two words", &["--namespaces", "jobs,team-a", "--enable-metrics"], "jobs team-a"),
            ("several flags", &["--namespaces=jobs", "--namespaces=team-a,team-b"], "jobs team-a team-b"),
            ("an empty one beside another", &["--namespaces=", "--namespaces=jobs"], "jobs"),
            ("quoted names", &["--namespaces=\"jobs\",\"team-a\",team-b"], "jobs team-a team-b"),
            ("a quote in a name, with which it does not start", &["--namespaces=jo\"bs"], "unclear"),
            ("a quote that does not end", &["--namespaces=\"jobs"], "unclear"),
            ("something behind a quote", &["--namespaces=\"jobs\"x"], "unclear"),
            ("a blank, which is part of the name", &["--namespaces=jobs, team-a"], "jobs  team-a"),
            ("a line break", &["--namespaces=jobs\nteam-a"], "unclear"),
            ("a variable", &["--namespaces=$(NAMESPACES)"], "unclear"),
            ("a variable among names", &["--namespaces=jobs,$(MORE)"], "unclear"),
            ("a variable elsewhere", &["--namespaces=jobs", "--leader-election-lock-namespace=$(POD_NAMESPACE)"], "jobs"),
            ("a variable that may be a flag", &["--namespaces=jobs", "$(MORE)"], "unclear"),
            ("a variable that may be the flag's name", &["--$(FLAG)=jobs"], "unclear"),
            ("the value of another flag", &["--metrics-prefix", "x", "--namespaces=jobs"], "jobs"),
            ("a flag where a value is due", &["--metrics-prefix", "--namespaces=jobs"], "unclear"),
            ("a switch in front", &["--leader-election", "--namespaces=jobs"], "jobs"),
            ("nothing behind the flag", &["--namespaces"], "unclear"),
            ("one hyphen, which it does not know", &["-namespaces=jobs"], "unclear"),
            ("behind the end of the flags", &["--", "--namespaces=jobs"], "all"),
            ("a selector of 2.5", &["--namespaces=jobs", "--namespace-selector=spark=enabled"], "unclear"),
            ("an empty selector", &["--namespaces=jobs", "--namespace-selector="], "jobs"),
        ] {
            let args = [&["controller", "start"][..], args].concat();
            assert_eq!(watched(CONTROLLER, &args), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn reads_what_1_watches() {
        for (case, args, expected) in [
            ("nothing named", &[][..], "all"),
            ("as the chart writes it", &["-v=2", "-logtostderr", "-namespace=jobs", "-enable-ui-service=true"], "jobs"),
            ("as the chart writes all", &["-v=2", "-namespace=", "-enable-webhook=false"], "all"),
            ("two hyphens", &["--namespace=jobs"], "jobs"),
            ("in two words", &["-namespace", "jobs"], "jobs"),
            ("the last one counts", &["-namespace=jobs", "-namespace=team-a"], "team-a"),
            ("another flag's name", &["-webhook-svc-namespace=operators"], "all"),
            ("a variable", &["-namespace=$(NAMESPACE)"], "unclear"),
            ("a word that may end the flags", &["-enable-webhook", "true", "-namespace=jobs"], "unclear"),
            ("nothing behind the flag", &["-namespace"], "unclear"),
        ] {
            assert_eq!(watched(OLD, args), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn knows_a_controller_by_what_it_runs() {
        let start = json!(["controller", "start", "--namespaces=jobs"]);
        let these = Some(Watches::These(["jobs".into()].into()));
        for (case, containers, expected) in [
            ("the chart's", json!([{"image": CONTROLLER, "args": start}]), these.clone()),
            ("with a sidecar in front", json!([{"image": "envoy"}, {"image": CONTROLLER, "args": start}]), these.clone()),
            ("from a mirror, by its program", json!([{"image": "mirror/so:1", "command": ["/usr/bin/spark-operator"], "args": start}]), these.clone()),
            ("through tini", json!([{"image": "mirror/so:1", "command": ["/usr/bin/tini", "-s", "--", "/usr/bin/spark-operator", "controller", "start", "--namespaces=jobs"]}]), these.clone()),
            ("from a mirror, by the chart's flags", json!([{"image": "mirror/so:1", "args": ["controller", "start", "--namespaces=jobs", "--controller-threads=10"]}]), these.clone()),
            ("from a mirror, by nothing else", json!([{"image": "mirror/so:1", "args": start}]), Some(Watches::Unclear)),
            ("in a shell", json!([{"image": CONTROLLER, "command": ["sh", "-c"], "args": ["exec spark-operator controller start --namespaces=jobs"]}]), Some(Watches::Unclear)),
            ("with flags before its last word", json!([{"image": CONTROLLER, "args": ["controller", "--namespaces=jobs", "start"]}]), Some(Watches::Unclear)),
            ("1.x by its program", json!([{"image": "mirror/so:1", "command": ["/usr/bin/spark-operator", "-namespace=jobs"]}]), these),
            ("1.x as its image runs it", json!([{"image": OLD}]), Some(Watches::All)),
            ("the operator's webhook", json!([{"image": CONTROLLER, "args": ["webhook", "start", "--namespaces=jobs"]}]), None),
            ("somebody else", json!([{"image": "nginx", "args": ["-namespace=jobs"]}]), None),
            ("Apache's operator", json!([{"image": "apache/spark-kubernetes-operator:0.4.0"}]), None),
            ("no container", json!(null), None),
        ] {
            assert_eq!(operator(&containers).map(|operator| operator.watches), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn knows_who_gives_spark_a_configuration() {
        for (case, more, expected) in [
            ("the chart's defaults", json!({"volumeMounts": [{"mountPath": "/tmp"}]}), false),
            ("a mounted folder", json!({"volumeMounts": [{"mountPath": "/opt/spark/conf"}]}), true),
            ("a mounted file", json!({"volumeMounts": [{"mountPath": "/opt/spark/conf/spark-defaults.conf"}]}), true),
            ("a mount above", json!({"volumeMounts": [{"mountPath": "/opt/spark/"}]}), true),
            ("a mount beside", json!({"volumeMounts": [{"mountPath": "/opt/spark/conf.d"}, {"mountPath": "/opt/sp"}]}), false),
            ("another folder", json!({"env": [{"name": "SPARK_CONF_DIR", "value": "/etc/spark"}]}), true),
            ("who knows what", json!({"envFrom": [{"configMapRef": {"name": "env"}}]}), true),
        ] {
            let mut container = json!({"image": CONTROLLER, "args": ["controller", "start"]});
            json_patch::merge(&mut container, &more);
            assert_eq!(operator(&json!([container])).unwrap().configures_spark, expected, "{case}");
        }
    }

    #[test]
    fn several_watch_together() {
        let operator = |name: &str, watches| {
            Arc::new(Operator {
                namespace: "operators".into(),
                name: name.into(),
                watches,
                configures_spark: false,
                version: None,
            })
        };
        let these = |names: &[&str]| Watches::These(names.iter().map(|name| Box::from(*name)).collect());
        for (case, all, expected) in [
            ("nobody", vec![], Some(false)),
            ("another namespace", vec![these(&["jobs"])], Some(false)),
            ("one of two", vec![these(&["jobs"]), these(&["team-a", "team-b"])], Some(true)),
            ("all", vec![these(&["jobs"]), Watches::All], Some(true)),
            ("perhaps", vec![these(&["jobs"]), Watches::Unclear], None),
            ("one perhaps and one for sure", vec![Watches::Unclear, these(&["team-a"])], Some(true)),
        ] {
            let operators = Operators::new(all.into_iter().map(|watches| operator("so", watches)).collect());
            assert_eq!(operators.is_watched("team-a"), expected, "{case}");
        }
        let operators = Operators::new(vec![operator("z", these(&["b", "a"])), operator("a", these(&["b"]))]);
        assert_eq!(operators.iter().map(|operator| &*operator.name).collect::<Vec<_>>(), ["a", "z"]);
        assert_eq!(operators.named(), ["a", "b"]);
    }

    #[test]
    fn a_version_counts_where_all_have_it() {
        let of = |tag: &str, namespaces: &str| {
            let container = json!({"image": format!("ghcr.io/kubeflow/spark-operator/controller{tag}"), "args": ["controller", "start", format!("--namespaces={namespaces}")]});
            Arc::new(operator(&json!([container])).unwrap())
        };
        for (case, all, expected) in [
            ("the version", vec![of(":2.5.0", "team-a")], true),
            ("a newer one", vec![of(":v3.0.1", "team-a")], true),
            ("an older one", vec![of(":2.4.0", "team-a")], false),
            ("an older one beside it", vec![of(":2.5.0", "team-a"), of(":2.4.0", "team-a")], false),
            ("an older one elsewhere", vec![of(":2.5.0", "team-a"), of(":2.4.0", "jobs")], true),
            ("no tag", vec![of("", "team-a")], false),
            ("a tag that is none", vec![of(":latest", "team-a")], false),
            ("none that watches", vec![of(":2.5.0", "jobs")], false),
        ] {
            assert_eq!(Operators::new(all).are_at_least("team-a", (2, 5)), expected, "{case}");
        }
    }
}
