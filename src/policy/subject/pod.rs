//! A pod as Spark, an operator or a user sent it.

use super::{Container, Metadata};
use crate::policy::configuration::Notebooks;
use crate::policy::document::Json;
use crate::policy::names::{
    APACHE_OPERATOR, DRIVER_CONTAINER, EXECUTOR_CONTAINER, LAUNCHED_BY_OPERATOR, MIRROR, SPARK_ROLE,
};
use crate::policy::role::Role;
use crate::policy::values::connect_arguments::ConnectArguments;

/// A Spark pod, its role, and the container that is Spark's.
#[derive(Debug)]
pub struct Pod<'a> {
    spec: Json<'a>,
    metadata: Metadata<'a>,
    role: Role,
    containers: Vec<Container<'a>>,
    init_containers: Vec<Container<'a>>,
    spark: Option<usize>,
    connect_arguments: ConnectArguments,
}

impl<'a> Pod<'a> {
    /// The pod, if it is Spark's or a notebook by the policy's label.
    #[must_use]
    pub fn of(object: Json<'a>, notebooks: &Notebooks) -> Option<Self> {
        let metadata = Metadata::of(object);
        let role = role(metadata, notebooks)?;
        let spec = object.get("spec");
        let list = |list| Container::all(spec, list).collect::<Vec<_>>();
        let containers = list("containers");
        let spark = spark_container(role, &containers, &notebooks.container);
        let connect_arguments = match spark {
            Some(index) if role == Role::ConnectServer => ConnectArguments::from_args(containers[index].arguments()),
            _ => ConnectArguments::default(),
        };
        Some(Self {
            spec,
            metadata,
            role,
            init_containers: list("initContainers"),
            containers,
            spark,
            connect_arguments,
        })
    }

    /// Labels and annotations.
    #[must_use]
    pub fn metadata(&self) -> Metadata<'a> {
        self.metadata
    }

    /// The pod's spec as JSON.
    #[must_use]
    pub fn spec(&self) -> Json<'a> {
        self.spec
    }

    /// Driver, executor, Connect server or notebook.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The container that runs Spark, where it can be told.
    #[must_use]
    pub fn spark_container(&self) -> Option<&Container<'a>> {
        self.spark.and_then(|index| self.containers.get(index))
    }

    /// Every container and init container but Spark's.
    pub fn other_containers(&self) -> impl Iterator<Item = &Container<'a>> {
        let others = self.containers.iter().enumerate().filter(|(index, _)| Some(*index) != self.spark);
        others.map(|(_, container)| container).chain(&self.init_containers)
    }

    /// What a Connect server is started with; empty for every other role.
    #[must_use]
    pub fn connect_arguments(&self) -> &ConnectArguments {
        &self.connect_arguments
    }

    /// An annotation of the pod; for a Connect server also one that its arguments name, because operator 2.4.0 copies a
    /// resource's annotations to no pod.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotation(key).or_else(|| self.named_in_arguments("annotation", key))
    }

    /// A label of the pod; for a Connect server also one that its arguments name: operator 2.4.0 copies a `SparkConnect`'s
    /// labels there and not onto the server pod (internal/controller/sparkconnect/options.go).
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.label(key).or_else(|| self.named_in_arguments("label", key))
    }

    fn named_in_arguments(&self, what: &str, key: &str) -> Option<&str> {
        (self.role == Role::ConnectServer)
            .then(|| self.connect_arguments.conf(&format!("spark.kubernetes.driver.{what}.{key}")))?
    }

    /// The volume of this name.
    #[must_use]
    pub fn volume(&self, name: &str) -> Option<Json<'a>> {
        self.spec.get("volumes").items().find(|volume| volume.get("name").as_str() == Some(name))
    }

    /// `securityContext.runAsUser` of the pod.
    #[must_use]
    pub fn run_as_user(&self) -> Option<i64> {
        self.spec.get("securityContext").get("runAsUser").as_i64()
    }

    /// `securityContext.fsGroup`.
    #[must_use]
    pub fn fs_group(&self) -> Option<i64> {
        self.spec.get("securityContext").get("fsGroup").as_i64()
    }

    /// Whether `securityContext.fsGroupChangePolicy` is set.
    #[must_use]
    pub fn has_fs_group_change_policy(&self) -> bool {
        !self.spec.get("securityContext").get("fsGroupChangePolicy").is_null()
    }

    /// Whether an operator made the pod of a resource that the webhook has seen too.
    #[must_use]
    pub fn is_launched_by_operator(&self) -> bool {
        self.metadata.label(LAUNCHED_BY_OPERATOR) == Some("true")
    }

    /// Whether a controller made it, which nobody watches as it is refused: one of the operators, or whatever owns it.
    #[must_use]
    pub fn is_made_by_controller(&self) -> bool {
        let is_controlled = |owner: Json<'_>| owner.get("controller").as_bool() == Some(true);
        self.is_launched_by_operator()
            || self.metadata.label(APACHE_OPERATOR).is_some()
            || self.metadata.owners().any(is_controlled)
    }

    /// Whether it is the mirror of a static pod.
    #[must_use]
    pub fn is_mirror(&self) -> bool {
        self.metadata.annotation(MIRROR).is_some()
    }

    /// Whether its containers run on Windows.
    #[must_use]
    pub fn is_windows(&self) -> bool {
        self.spec.get("os").get("name").as_str() == Some("windows")
    }
}

fn role(metadata: Metadata<'_>, notebooks: &Notebooks) -> Option<Role> {
    match metadata.label(SPARK_ROLE) {
        Some("driver") => Some(Role::Driver),
        Some("executor") => Some(Role::Executor),
        Some("connect-server") => Some(Role::ConnectServer),
        Some(_) => None,
        None => (metadata.label(notebooks.label.key()) == Some(notebooks.label.value())).then_some(Role::Notebook),
    }
}

/// Which container is Spark's.
///
/// A pod that Spark built says it in the first argument, whatever a pod template called the container (with a template and no
/// `podTemplateContainerName` Spark 3.5.9 and 4.3.0 take over its first container, name kept). The operator starts a Connect
/// server in `spark-kubernetes-driver`, else in the first container (internal/controller/sparkconnect/reconciler.go, 2.4.0).
fn spark_container(role: Role, containers: &[Container<'_>], notebook: &str) -> Option<usize> {
    let by_both =
        |name, word| containers.iter().position(|it| it.name() == name && it.arguments().next() == Some(word));
    let by_argument = |word| containers.iter().position(|container| container.arguments().next() == Some(word));
    let by_name = |name| containers.iter().position(|container| container.name() == name);
    let first = || (!containers.is_empty()).then_some(0);
    let only = || (containers.len() == 1).then_some(0);
    match role {
        Role::Driver => by_both(DRIVER_CONTAINER, "driver")
            .or_else(|| by_argument("driver"))
            .or_else(|| by_name(DRIVER_CONTAINER))
            .or_else(only),
        Role::Executor => by_both(EXECUTOR_CONTAINER, "executor")
            .or_else(|| by_argument("executor"))
            .or_else(|| by_name(EXECUTOR_CONTAINER))
            .or_else(only),
        Role::ConnectServer => by_name(DRIVER_CONTAINER).or_else(first),
        Role::Notebook => by_name(notebook).or_else(only),
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Mutation;
    use crate::policy::testing::{Sample, connect_server, driver, executor};
    use serde_json::json;

    /// The place of the container that is taken for Spark's, by the mount that it gets or the user that it runs as.
    fn chosen(pod: Sample) -> Option<usize> {
        let pod = pod.under("spark-user: {images: [\"*\"]}");
        let lines = [pod.by(Mutation::IvyCache), pod.by(Mutation::SparkUser)].concat();
        let place = |line: &String| line.strip_prefix("spec.containers[")?.split(']').next()?.parse().ok();
        lines.iter().find_map(place)
    }

    #[test]
    #[rustfmt::skip]
    fn knows_sparks_container() {
        let with = |sample: Sample, containers| sample.with("/spec/containers", containers);
        for (case, pod, expected) in [
            ("by its first argument, whatever its name", with(driver(), json!([{"name": "log"}, {"name": "mine", "args": ["driver"]}])), Some(1)),
            ("by name and argument, beside another with that argument", with(driver(), json!([{"name": "csi", "args": ["driver"]}, {"name": "spark-kubernetes-driver", "args": ["driver"]}])), Some(1)),
            ("by its name alone", with(driver(), json!([{"name": "log"}, {"name": "spark-kubernetes-driver"}])), Some(1)),
            ("the only one there is", with(driver(), json!([{"name": "mine"}])), Some(0)),
            ("none of several", with(driver(), json!([{"name": "a"}, {"name": "b"}])), None),
            ("an executor's by its name", with(executor(), json!([{"name": "log"}, {"name": "spark-kubernetes-executor"}])), Some(1)),
            ("an executor's by its argument", with(executor(), json!([{"name": "log"}, {"name": "mine", "args": ["executor"]}])), Some(1)),
            ("a Connect server's by its name", with(connect_server(""), json!([{"name": "log"}, {"name": "spark-kubernetes-driver"}])), Some(1)),
            ("a Connect server's first", with(connect_server(""), json!([{"name": "a"}, {"name": "b"}])), Some(0)),
        ] {
            assert_eq!(chosen(pod), expected, "{case}");
        }
    }
}
