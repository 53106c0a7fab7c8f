//! The pod that will come of a section of a resource: its volumes and the mounts of its containers, each with the field that it comes
//! from, as far as they are certain.
//!
//! Of a `SparkApplication` Spark makes the pod (deploy/k8s/features and submit/KubernetesClientApplication.scala of Spark 3.5 and 4), with
//! the configuration that operator 2.4.0 gives it (internal/controller/sparkapplication/submission.go), and then the operator's webhook adds
//! what Spark has no setting for (`internal/webhook/sparkpod_defaulter.go`). Of a `SparkConnect` the operator makes the server's pod itself
//! (internal/controller/sparkconnect/reconciler.go), and Spark, in that pod, the executors'. None of them looks at what is there
//! already, but for what is said below.

use std::collections::BTreeMap;
use std::fmt;

use super::{Container, Resource, ResourceKind};
use crate::policy::document::Json;
use crate::policy::field_path::FieldPath;
use crate::policy::names::{DRIVER_CONTAINER, EXECUTOR_CONTAINER};
use crate::policy::values::spark_version::SparkVersion;

/// Volumes of this prefix are for Spark's local directories, by Spark and by the operator.
const LOCAL_DIRECTORY: &str = "spark-local-dir-";
/// Volume names are cut by the operator to the length of a DNS label.
const LONGEST_NAME: usize = 63;

/// The volumes and mounts of a pod.
#[derive(Debug, Default)]
pub struct PodToBe {
    /// Its volumes, in the order in which they are added.
    pub volumes: Vec<Part>,
    /// Spark's container first, as far as Spark's and the operator's agree on which it is, then the others.
    pub containers: Vec<ContainerToBe>,
    /// The mounts that the operator's webhook leaves out, because no volume of the resource has that name.
    pub left_out: Vec<Part>,
    /// The mounts of local directories without a volume, on which the operator fails.
    pub unsubmittable: Vec<Part>,
}

/// The mounts of one container.
#[derive(Debug, Default)]
pub struct ContainerToBe {
    name: String,
    image: String,
    /// Its mounts, in the order in which they are added.
    pub mounts: Vec<Mount>,
}

/// A volume, or a mount that comes to nothing: its name, and where that comes from.
#[derive(Debug, Clone)]
pub struct Part {
    /// The volume's name.
    pub name: String,
    /// Where it comes from.
    pub from: Origin,
}

/// A mount.
#[derive(Debug, Clone)]
pub struct Mount {
    /// `mountPath`, as it is written: the API server compares paths as texts.
    pub path: String,
    /// The volume's name.
    pub volume: String,
    /// Where it comes from.
    pub from: Origin,
}

/// Who wants a volume or a mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A field of the resource.
    Field(FieldPath),
    /// Spark or the operator, whatever the resource says: what it is for.
    Own(&'static str),
    /// A field of the resource, where an environment variable of the image may still take its place.
    Perhaps(FieldPath),
}

impl Origin {
    /// The field of the resource.
    #[must_use]
    pub fn field(&self) -> Option<&FieldPath> {
        match self {
            Self::Field(field) | Self::Perhaps(field) => Some(field),
            Self::Own(_) => None,
        }
    }
}

/// In a sentence: `spec.driver.configMaps[0]`, `the one for Spark's configuration`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(field) | Self::Perhaps(field) => field.fmt(f),
            Self::Own(purpose) => write!(f, "the one for {purpose}"),
        }
    }
}

impl PodToBe {
    /// The pod of a section (`driver`, `server` or `executor`), where the resource has one made.
    #[must_use]
    pub fn of(resource: &Resource<'_>, section: &'static str) -> Option<Self> {
        let maker = Maker { resource, section };
        match (resource.kind(), section) {
            (ResourceKind::SparkConnect, "server") => Some(maker.connect_server()),
            (ResourceKind::SparkConnect, _) => maker.has_executors().then(|| maker.executor_of_connect()),
            // In client mode the driver runs in the operator's own pod, if at all.
            _ if !matches!(resource.spec().get("mode").as_str(), None | Some("" | "cluster")) => None,
            (_, "driver") => Some(maker.driver()),
            _ => maker.has_executors().then(|| maker.executor()),
        }
    }

    /// Whether the pod has a volume of this name.
    #[must_use]
    pub fn has_volume(&self, name: &str) -> bool {
        self.volumes.iter().any(|volume| volume.name == name)
    }

    fn add_volume(&mut self, name: impl Into<String>, from: &Origin) {
        self.volumes.push(Part { name: name.into(), from: from.clone() });
    }

    fn mount(&mut self, container: usize, path: &str, volume: impl Into<String>, from: &Origin) {
        let Some(container) = self.containers.get_mut(container) else { return };
        container.mounts.push(Mount { path: path.to_owned(), volume: volume.into(), from: from.clone() });
    }

    /// A volume with its mount in Spark's container.
    fn add(&mut self, path: &str, volume: impl Into<String>, from: &Origin) {
        let volume = volume.into();
        self.add_volume(volume.clone(), from);
        self.mount(0, path, volume, from);
    }
}

/// Makes the pod of one section of a resource.
struct Maker<'r, 'a> {
    resource: &'r Resource<'a>,
    section: &'static str,
}

impl<'a> Maker<'_, 'a> {
    fn own(&self) -> Json<'a> {
        self.resource.spec().get(self.section)
    }

    fn path(&self) -> FieldPath {
        self.resource.spec_path().then([self.section])
    }

    fn conf(&self, key: &str) -> Option<&'a str> {
        self.resource.spec().get("sparkConf").get(key).as_str()
    }

    fn conf_origin(&self, key: &str) -> Origin {
        Origin::Field(self.resource.spec_path().then(["sparkConf"]).then([key.to_owned()]))
    }

    /// Spark's word for the pod: to Spark a Connect server is a driver.
    fn role(&self) -> &'static str {
        if self.section == "executor" { "executor" } else { "driver" }
    }

    fn container_name(&self) -> &'static str {
        if self.section == "executor" { EXECUTOR_CONTAINER } else { DRIVER_CONTAINER }
    }

    /// Without executors nothing comes of their section.
    fn has_executors(&self) -> bool {
        let spec = self.resource.spec();
        let dynamic = spec.get("dynamicAllocation").get("enabled").as_bool() == Some(true)
            || self.conf("spark.dynamicAllocation.enabled").is_some_and(|value| value.trim() == "true");
        let none = match self.own().get("instances").as_i64() {
            Some(instances) => instances == 0,
            None => self.conf("spark.executor.instances").is_some_and(|value| value.trim() == "0"),
        };
        dynamic || !none
    }

    fn driver(&self) -> PodToBe {
        let mut pod = self.of_template(sparks_container);
        self.add_what_spark_is_told(&mut pod);
        // The operator always gives Spark a template of executors, which the driver reads.
        pod.add("/opt/spark/pod-template", "pod-template-volume", &Origin::Own("the template of executors"));
        add_local_directories(&mut pod, &LocalDirectories::of_driver(self));
        pod.add("/opt/spark/conf", "spark-conf-volume-driver", &Origin::Own("Spark's configuration"));
        self.add_what_the_webhook_adds(&mut pod);
        pod
    }

    fn executor(&self) -> PodToBe {
        let mut pod = self.of_template(sparks_container);
        self.add_what_spark_is_told(&mut pod);
        let driver = Maker { resource: self.resource, section: "driver" };
        add_local_directories(&mut pod, &LocalDirectories::of_executor(&driver));
        self.add_executor_configuration(&mut pod);
        self.add_what_the_webhook_adds(&mut pod);
        pod
    }

    fn connect_server(&self) -> PodToBe {
        let mut pod = self.of_template(connect_container);
        let own = Origin::Own("the template of executors");
        pod.add("/tmp/spark/executor-pod-template.yaml", "spark-conf", &own);
        pod
    }

    fn executor_of_connect(&self) -> PodToBe {
        let mut pod = self.of_template(sparks_container);
        self.add_what_spark_is_told(&mut pod);
        add_local_directories(&mut pod, &LocalDirectories::of_connect(self));
        self.add_executor_configuration(&mut pod);
        pod
    }

    /// What the template holds, Spark's container in front.
    fn of_template(&self, choose: fn(&[Container<'_>], &str) -> usize) -> PodToBe {
        let mut pod = PodToBe::default();
        let spec = self.own().get("template").get("spec");
        let at = self.path().then(["template", "spec"]);
        for (index, volume) in spec.get("volumes").items().enumerate() {
            if let Some(name) = volume.get("name").as_str() {
                pod.add_volume(name, &Origin::Field(at.clone().then(["volumes"]).at(index)));
            }
        }
        let containers: Vec<_> = Container::all(spec, "containers").collect();
        let sparks = choose(&containers, self.container_name());
        for list in ["containers", "initContainers"] {
            pod.containers.extend(Container::all(spec, list).map(|it| to_be(&it, &it.path_in(at.clone()))));
        }
        if containers.is_empty() {
            pod.containers.insert(0, ContainerToBe { name: self.container_name().to_owned(), ..Default::default() });
        } else {
            let spark = pod.containers.remove(sparks);
            pod.containers.insert(0, spark);
        }
        pod
    }

    /// Secrets and volumes of Spark's configuration, that of the operator's making included: what it passes on of `secrets` and of volumes
    /// for local directories comes behind `sparkConf` and wins.
    fn add_what_spark_is_told(&self, pod: &mut PodToBe) {
        for (secret, (path, from)) in self.secrets() {
            pod.add(path, format!("{secret}-volume"), &from);
        }
        for ((_, name), (path, from)) in self.volumes_of_spark(pod) {
            pod.add(path, name, &from);
        }
        let hadoop = "spark.kubernetes.hadoop.configMapName";
        if self.conf(hadoop).is_some() && self.resource.kind() != ResourceKind::SparkConnect {
            pod.add("/opt/hadoop/conf", "hadoop-properties", &self.conf_origin(hadoop));
        }
    }

    fn secrets(&self) -> BTreeMap<&'a str, (&'a str, Origin)> {
        let mut secrets = BTreeMap::new();
        let prefix = format!("spark.kubernetes.{}.secrets.", self.role());
        for (key, value) in self.resource.spec().get("sparkConf").members() {
            if let (Some(name), Some(path)) = (key.strip_prefix(&prefix), value.as_str()) {
                secrets.insert(name, (path, self.conf_origin(key)));
            }
        }
        for (index, secret) in self.own().get("secrets").items().enumerate() {
            if let (Some(name), Some(path)) = (secret.get("name").as_str(), secret.get("path").as_str()) {
                secrets.insert(name, (path, Origin::Field(self.path().then(["secrets"]).at(index))));
            }
        }
        secrets
    }

    /// The volumes of Spark's configuration by type and name.
    fn volumes_of_spark(&self, pod: &mut PodToBe) -> BTreeMap<(&'a str, &'a str), (&'a str, Origin)> {
        let mut volumes = BTreeMap::new();
        let prefix = format!("spark.kubernetes.{}.volumes.", self.role());
        for (key, value) in self.resource.spec().get("sparkConf").members() {
            let Some(rest) = key.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(".mount.path")) else {
                continue;
            };
            if let (Some((kind, name)), Some(path)) = (rest.split_once('.'), value.as_str())
                && !name.contains('.')
            {
                volumes.insert((kind, name), (path, self.conf_origin(key)));
            }
        }
        if self.resource.kind() == ResourceKind::SparkConnect {
            return volumes;
        }
        for (index, mount) in self.own().get("volumeMounts").items().enumerate() {
            let Some(name) = mount.get("name").as_str().filter(|name| name.starts_with(LOCAL_DIRECTORY)) else {
                continue;
            };
            let field = self.path().then(["volumeMounts"]).at(index);
            let Some(volume) = self.volume_of_resource(name) else {
                pod.unsubmittable.push(Part { name: name.to_owned(), from: Origin::Field(field) });
                continue;
            };
            let kinds = ["emptyDir", "hostPath", "nfs", "persistentVolumeClaim"];
            let kind = kinds.into_iter().find(|kind| !volume.get(kind).is_null());
            if let (Some(kind), Some(path)) = (kind, mount.get("mountPath").as_str()) {
                volumes.insert((kind, name), (path, Origin::Field(field)));
            }
        }
        volumes
    }

    /// The volume that the operator takes of several of one name: the last.
    fn volume_of_resource(&self, name: &str) -> Option<Json<'a>> {
        let volumes = self.resource.spec().get("volumes").items();
        volumes.filter(|volume| volume.get("name").as_str() == Some(name)).last()
    }

    /// Executors have a configuration of their own since Spark 3.1 (SPARK-30985), unless it is switched off.
    fn add_executor_configuration(&self, pod: &mut PodToBe) {
        let version = self.resource.spark_version().and_then(SparkVersion::parse);
        let is_old = version.is_some_and(|version| (version.major, version.minor) < (3, 1));
        let is_off = self.conf("spark.kubernetes.executor.disableConfigMap").is_some_and(|it| it.trim() == "true");
        if !is_old && !is_off {
            pod.add("/opt/spark/conf", "spark-conf-volume-exec", &Origin::Own("Spark's configuration"));
        }
    }

    /// The operator's webhook, in its order. Its container is the one of Spark's usual name, else the pod's first; Spark puts its own last.
    fn add_what_the_webhook_adds(&self, pod: &mut PodToBe) {
        let spec = self.resource.spec();
        let others = self.own().get("template").get("spec").get("containers").items().count();
        let is_named = pod.containers.first().is_some_and(|spark| spark.name == self.container_name());
        let container = usize::from(!is_named && others > 1);
        for (field, volume, path) in [
            ("hadoopConfigMap", "hadoop-configmap-volume", "/etc/hadoop/conf"),
            ("sparkConfigMap", "spark-configmap-volume", "/etc/spark/conf"),
        ] {
            if spec.get(field).as_str().is_some() {
                let from = Origin::Field(self.resource.spec_path().then([field]));
                pod.add_volume(volume, &from);
                pod.mount(container, path, volume, &from);
            }
        }
        for (index, map) in self.own().get("configMaps").items().enumerate() {
            let (Some(name), Some(path)) = (map.get("name").as_str(), map.get("path").as_str()) else { continue };
            let volume: String = format!("{name}-vol").chars().take(LONGEST_NAME).collect();
            let from = Origin::Field(self.path().then(["configMaps"]).at(index));
            pod.add_volume(volume.clone(), &from);
            pod.mount(container, path, volume, &from);
        }
        self.add_volume_mounts(container, pod);
        self.add_more_containers("initContainers", pod);
        self.add_more_containers("sidecars", pod);
        self.add_monitoring(container, pod);
    }

    fn add_volume_mounts(&self, container: usize, pod: &mut PodToBe) {
        let mut added = Vec::new();
        for (index, mount) in self.own().get("volumeMounts").items().enumerate() {
            let Some(name) = mount.get("name").as_str().filter(|name| !name.starts_with(LOCAL_DIRECTORY)) else {
                continue;
            };
            let from = Origin::Field(self.path().then(["volumeMounts"]).at(index));
            if self.volume_of_resource(name).is_none() {
                pod.left_out.push(Part { name: name.to_owned(), from });
                continue;
            }
            if !added.contains(&name) {
                pod.add_volume(name, &from);
                added.push(name);
            }
            if let Some(path) = mount.get("mountPath").as_str() {
                pod.mount(container, path, name, &from);
            }
        }
    }

    /// One of the same name and image is taken for one that is there already.
    fn add_more_containers(&self, list: &'static str, pod: &mut PodToBe) {
        for it in Container::all(self.own(), list) {
            let more = to_be(&it, &it.path_in(self.path()));
            if !pod.containers.iter().any(|there| there.name == more.name && there.image == more.image) {
                pod.containers.push(more);
            }
        }
    }

    fn add_monitoring(&self, container: usize, pod: &mut PodToBe) {
        let monitoring = self.resource.spec().get("monitoring");
        let is_set = |value: Json<'_>| value.as_str().is_some_and(|text| !text.is_empty());
        let prometheus = monitoring.get("prometheus");
        let exposed = if self.section == "driver" { "exposeDriverMetrics" } else { "exposeExecutorMetrics" };
        let has_files = is_set(monitoring.get("metricsPropertiesFile")) && is_set(prometheus.get("configFile"));
        if prometheus.is_object() && monitoring.get(exposed).as_bool() == Some(true) && !has_files {
            let from = Origin::Field(self.resource.spec_path().then(["monitoring"]));
            let volume = format!("{}-prom-conf-vol", self.resource.metadata().name());
            pod.add_volume(volume.clone(), &from);
            pod.mount(container, "/etc/metrics/conf", volume, &from);
        }
    }
}

/// Spark makes volumes of its own for local directories only where no mount is named after one.
fn add_local_directories(pod: &mut PodToBe, directories: &LocalDirectories<'_>) {
    let spark = pod.containers.first().map(|it| it.mounts.as_slice()).unwrap_or_default();
    if spark.iter().any(|mount| mount.volume.starts_with(LOCAL_DIRECTORY)) {
        return;
    }
    match directories {
        LocalDirectories::Unknown => {
            pod.add_volume(format!("{LOCAL_DIRECTORY}1"), &Origin::Own("Spark's local directory"));
        }
        LocalDirectories::At(paths) => {
            for (index, (path, from)) in paths.iter().enumerate() {
                pod.add(path, format!("{LOCAL_DIRECTORY}{}", index + 1), from);
            }
        }
    }
}

/// The directories that Spark makes volumes for.
enum LocalDirectories<'a> {
    /// Their paths are random or cannot be told; there is at least one.
    Unknown,
    At(Vec<(&'a str, Origin)>),
}

impl<'a> LocalDirectories<'a> {
    fn of_driver(driver: &Maker<'_, 'a>) -> Self {
        Self::of_configuration(driver, Origin::Field)
    }

    /// Executors take those of the driver, which Spark tells it in `SPARK_LOCAL_DIRS`.
    fn of_executor(driver: &Maker<'_, 'a>) -> Self {
        let is_changed = driver.own().get("env").items().any(|it| it.get("name").as_str() == Some("SPARK_LOCAL_DIRS"));
        let of_template = driver.own().get("template").is_object();
        if is_changed || of_template {
            return Self::Unknown;
        }
        let mut unused = PodToBe::default();
        let mounted = driver.volumes_of_spark(&mut unused).into_iter();
        let mounted = mounted.filter(|((_, name), _)| name.starts_with(LOCAL_DIRECTORY));
        let mounted: Vec<_> = mounted.map(|(_, place)| place).collect();
        if mounted.is_empty() { Self::of_driver(driver) } else { Self::At(mounted) }
    }

    /// The server's image may set `SPARK_LOCAL_DIRS`, which wins.
    fn of_connect(executor: &Maker<'_, 'a>) -> Self {
        if executor.resource.driver_env("SPARK_LOCAL_DIRS").is_some() {
            return Self::Unknown;
        }
        Self::of_configuration(executor, Origin::Perhaps)
    }

    fn of_configuration(maker: &Maker<'_, 'a>, origin: fn(FieldPath) -> Origin) -> Self {
        let key = "spark.local.dir";
        let Some(list) = maker.conf(key) else { return Self::Unknown };
        let field = maker.resource.spec_path().then(["sparkConf", key]);
        Self::At(list.trim_end_matches(',').split(',').map(|path| (path, origin(field.clone()))).collect())
    }
}

/// The container that Spark takes for its own: the only one of its name, else the first (`KubernetesUtils.selectSparkContainer`).
fn sparks_container(containers: &[Container<'_>], name: &str) -> usize {
    let mut named = containers.iter().enumerate().filter(|(_, it)| it.name() == name).map(|(index, _)| index);
    match (named.next(), named.next()) {
        (Some(index), None) => index,
        _ => 0,
    }
}

/// The container that the operator starts a Connect server in: the first of its name, else the first.
fn connect_container(containers: &[Container<'_>], name: &str) -> usize {
    containers.iter().position(|it| it.name() == name).unwrap_or(0)
}

fn to_be(container: &Container<'_>, at: &FieldPath) -> ContainerToBe {
    let mounts = container.json().get("volumeMounts").items().enumerate().filter_map(|(index, mount)| {
        let from = Origin::Field(at.clone().then(["volumeMounts"]).at(index));
        let volume = mount.get("name").as_str().unwrap_or_default().to_owned();
        Some(Mount { path: mount.get("mountPath").as_str()?.to_owned(), volume, from })
    });
    ContainerToBe {
        name: container.name().to_owned(),
        image: container.image().unwrap_or_default().to_owned(),
        mounts: mounts.collect(),
    }
}
