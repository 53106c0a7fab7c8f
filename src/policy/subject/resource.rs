//! A custom resource of the Kubeflow spark-operator.

use super::{Container, Metadata};
use crate::policy::document::Json;
use crate::policy::field_path::{FieldPath, path};
use crate::policy::names::DRIVER_CONTAINER;
use crate::policy::nodes::Placement;
use crate::policy::role::Role;
use crate::policy::values::coordinates::entries;

/// Which of the operator's kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// `sparkoperator.k8s.io/v1beta2` `SparkApplication`.
    SparkApplication,
    /// `sparkoperator.k8s.io/v1beta2` `ScheduledSparkApplication`: a template of applications.
    ScheduledSparkApplication,
    /// `sparkoperator.k8s.io/v1alpha1` `SparkConnect`.
    SparkConnect,
}

impl ResourceKind {
    /// The kind that an API group and a kind name, if it is one of the operator's that are looked at.
    #[must_use]
    pub fn of(group: &str, kind: &str) -> Option<Self> {
        match (group, kind) {
            ("sparkoperator.k8s.io", "SparkApplication") => Some(Self::SparkApplication),
            ("sparkoperator.k8s.io", "ScheduledSparkApplication") => Some(Self::ScheduledSparkApplication),
            ("sparkoperator.k8s.io", "SparkConnect") => Some(Self::SparkConnect),
            _ => None,
        }
    }

    /// The role of the pod that it starts.
    #[must_use]
    pub fn role(self) -> Role {
        match self {
            Self::SparkApplication | Self::ScheduledSparkApplication => Role::Driver,
            Self::SparkConnect => Role::ConnectServer,
        }
    }
}

/// A resource; of a `ScheduledSparkApplication` the application that it will make.
#[derive(Debug)]
pub struct Resource<'a> {
    kind: ResourceKind,
    metadata: Metadata<'a>,
    spec: Json<'a>,
    spec_path: FieldPath,
}

impl<'a> Resource<'a> {
    /// The resource of a kind that an object is.
    #[must_use]
    pub fn of(kind: ResourceKind, object: Json<'a>) -> Self {
        let metadata = Metadata::of(object);
        match kind {
            ResourceKind::ScheduledSparkApplication => {
                Self { kind, metadata, spec: object.get("spec").get("template"), spec_path: path(["spec", "template"]) }
            }
            _ => Self { kind, metadata, spec: object.get("spec"), spec_path: path(["spec"]) },
        }
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> ResourceKind {
        self.kind
    }

    /// Labels and annotations.
    #[must_use]
    pub fn metadata(&self) -> Metadata<'a> {
        self.metadata
    }

    /// The application's spec as JSON.
    #[must_use]
    pub fn spec(&self) -> Json<'a> {
        self.spec
    }

    /// Where the application's spec stands in the object.
    #[must_use]
    pub fn spec_path(&self) -> FieldPath {
        self.spec_path.clone()
    }

    /// The section of the pod that it starts: `driver` or `server`.
    #[must_use]
    pub fn driver_section(&self) -> &'static str {
        match self.kind {
            ResourceKind::SparkConnect => "server",
            _ => "driver",
        }
    }

    /// The driver's or server's section as JSON.
    #[must_use]
    pub fn driver(&self) -> Json<'a> {
        self.spec.get(self.driver_section())
    }

    /// A value of `spec.sparkConf`; blank ones count as absent.
    #[must_use]
    pub fn spark_conf(&self, key: &str) -> Option<&'a str> {
        self.spec.get("sparkConf").get(key).as_str().filter(|value| !value.trim().is_empty())
    }

    /// The entries of a list in `spec.deps` (SparkApplication only), blank ones left out.
    pub fn deps(&self, list: &'static str) -> impl Iterator<Item = &'a str> {
        let entries = self.spec.get("deps").get(list).items().filter_map(Json::as_str);
        entries.filter(|entry| !entry.trim().is_empty())
    }

    /// The packages that Spark will resolve, as lists separated by commas.
    ///
    /// Kubeflow passes `deps.packages` as `--packages`, which makes Spark drop `spark.jars.packages` silently.
    #[must_use]
    pub fn packages(&self) -> Vec<&'a str> {
        self.list("packages", "spark.jars.packages")
    }

    /// A dependency list: `deps.<list>` where it is set, else the key of `sparkConf`.
    #[must_use]
    pub fn list(&self, list: &'static str, key: &str) -> Vec<&'a str> {
        let entries: Vec<_> = self.deps(list).collect();
        if entries.is_empty() { self.spark_conf(key).into_iter().collect() } else { entries }
    }

    /// `spec.sparkVersion`.
    #[must_use]
    pub fn spark_version(&self) -> Option<&'a str> {
        self.spec.get("sparkVersion").as_str()
    }

    /// The image that the driver or the Connect server will run: the operator takes the most specific one.
    #[must_use]
    pub fn image(&self) -> Option<&'a str> {
        let section = self.driver();
        let of_section = match self.kind {
            ResourceKind::SparkConnect => self.server_container().and_then(|container| container.image()),
            _ => section.get("image").as_str(),
        };
        of_section.or_else(|| self.spec.get("image").as_str()).filter(|image| !image.is_empty())
    }

    /// The container of the template that will be the driver's, or in which the operator will start the Connect server.
    #[must_use]
    pub fn server_container(&self) -> Option<Container<'a>> {
        let spec = self.driver().get("template").get("spec");
        let containers: Vec<_> = Container::all(spec, "containers").collect();
        let named = containers.iter().find(|container| container.name() == DRIVER_CONTAINER);
        named.or(containers.first()).copied()
    }

    /// Where the user mounts volumes, config maps and secrets into the driver.
    pub fn driver_mounts(&self) -> impl Iterator<Item = &'a str> {
        let driver = self.driver();
        let mounts = driver.get("volumeMounts").items().filter_map(|mount| mount.get("mountPath").as_str());
        let named = ["configMaps", "secrets"].into_iter().flat_map(move |list| driver.get(list).items());
        let of_template =
            self.server_container().into_iter().flat_map(|container| container.mounts().collect::<Vec<_>>());
        mounts
            .chain(named.filter_map(|named| named.get("path").as_str()))
            .chain(of_template.map(|(mount_path, _)| mount_path))
    }

    /// The value of an environment variable that the resource gives its driver or server, in whichever of the forms.
    #[must_use]
    pub fn driver_env(&self, name: &str) -> Option<&'a str> {
        let entries = self.driver().get("env").items();
        let of_list = entries.filter(|entry| entry.get("name").as_str() == Some(name)).last();
        let of_template = || self.server_container()?.env(name).map(|(_, entry)| entry);
        let value = of_list.or_else(of_template).and_then(|entry| entry.get("value").as_str());
        value.or_else(|| self.driver().get("envVars").get(name).as_str())
    }

    /// Whether it is to wait (`spec.suspend`).
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.spec.get("suspend").as_bool() == Some(true)
    }

    /// Whether nothing runs yet once it is stored, so that what it lacks may be there in time.
    #[must_use]
    pub fn runs_later(&self) -> bool {
        self.kind == ResourceKind::ScheduledSparkApplication || self.is_suspended()
    }

    /// Whether executors are to stay when they have ended; the field's argument stands behind that of the key.
    #[must_use]
    pub fn keeps_executors(&self) -> bool {
        let field = self.spec.get("executor").get("deleteOnTermination").as_bool();
        let key = || self.spark_conf("spark.kubernetes.executor.deleteOnTermination").map(|it| it.trim() != "false");
        field.or_else(key) == Some(false)
    }

    /// Whether executors get volume claims that the driver makes: a claim of this name is one (`Constants.PVC_ON_DEMAND`).
    #[must_use]
    pub fn has_claims_on_demand(&self) -> bool {
        const ON_DEMAND: &str = "OnDemand";
        const PREFIX: &str = "spark.kubernetes.executor.volumes.persistentVolumeClaim.";
        let mut conf = self.spec.get("sparkConf").members();
        let of_key = |(key, value): (&str, Json<'_>)| {
            key.starts_with(PREFIX) && key.ends_with(".options.claimName") && value.as_str() == Some(ON_DEMAND)
        };
        let claim = |volume: Json<'a>| volume.get("persistentVolumeClaim").get("claimName").as_str();
        conf.any(of_key) || self.spec.get("volumes").items().any(|volume| claim(volume) == Some(ON_DEMAND))
    }

    /// Where the pods of a section may be placed, as far as the resource tells.
    #[must_use]
    pub fn placement(&self, section: &'static str) -> Placement<'a> {
        let own = self.spec.get(section);
        let mut placement = Placement::of(own.get("template").get("spec"));
        placement.require(own);
        placement.require(self.spec);
        // To Spark a Connect server is a driver.
        let role = if section == "executor" { "executor" } else { "driver" };
        for (key, value) in self.spec.get("sparkConf").members() {
            let Some(rest) = key.strip_prefix("spark.kubernetes.") else { continue };
            let label = rest.strip_prefix(role).and_then(|rest| rest.strip_prefix('.')).unwrap_or(rest);
            if let (Some(label), Some(value)) = (label.strip_prefix("node.selector."), value.as_str()) {
                placement.select(label, value);
            }
        }
        placement
    }

    /// The files in the image that the application names with `local:`, as paths.
    pub fn local_files(&self) -> impl Iterator<Item = &'a str> {
        let lists = ["jars", "pyFiles", "files", "archives"].into_iter().flat_map(|list| self.deps(list));
        let named =
            [self.spec.get("mainApplicationFile").as_str(), self.spark_conf("spark.jars")].into_iter().flatten();
        named.chain(lists).flat_map(entries).filter_map(|file| file.strip_prefix("local://"))
    }
}
