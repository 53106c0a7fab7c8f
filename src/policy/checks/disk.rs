//! What Spark's container can write to, as far as a pod or a resource tells: its root file system, and what is mounted over it.

use crate::policy::document::Json;
use crate::policy::field_path::FieldPath;
use crate::policy::subject::{Container, Resource, ResourceKind};
use crate::policy::values::path::{is_at, is_inside, may_hold_ivy};

/// Volumes that are read-only whatever the mount says (pkg/volume of Kubernetes; an image's since it can be mounted).
const READ_ONLY_VOLUMES: [&str; 5] = ["configMap", "downwardAPI", "image", "projected", "secret"];
/// Volumes that can be made read-only themselves.
const VOLUMES_WITH_A_SWITCH: [&str; 5] = ["persistentVolumeClaim", "csi", "nfs", "cephfs", "azureDisk"];

/// The file systems of Spark's container.
pub(super) struct Disk<'a> {
    /// The field that makes the root file system read-only.
    read_only_root: Option<FieldPath>,
    mounts: Vec<Mount<'a>>,
}

/// Why nothing can be written to a directory.
pub(super) enum Obstacle<'d> {
    /// It lies in the image, whose file system this field makes read-only.
    Image(&'d FieldPath),
    /// It lies in what is mounted here, read-only.
    Mount(&'d str),
}

struct Mount<'a> {
    path: &'a str,
    is_read_only: bool,
}

impl<'a> Disk<'a> {
    pub(super) fn of_container(container: &Container<'a>, spec: Json<'a>) -> Self {
        Self {
            read_only_root: read_only_root(container.json(), container.path()),
            mounts: mounts(container.json(), spec).collect(),
        }
    }

    /// Of the container that will come of a resource's driver or server.
    pub(super) fn of_resource(resource: &Resource<'a>) -> Self {
        let (spec, driver) = (resource.spec(), resource.driver());
        let section = resource.spec_path().then([resource.driver_section()]);
        let template = driver.get("template").get("spec");
        let container = resource.server_container();
        let root_of = |container: &Container<'a>| {
            read_only_root(container.json(), container.path_in(section.clone().then(["template", "spec"])))
        };
        // An application's context stands in for the template's whole (`sparkpod_defaulter.go` of operator 2.4.0).
        let read_only_root = if driver.get("securityContext").is_null() {
            container.as_ref().and_then(root_of)
        } else {
            read_only_root(driver, section.clone())
        };
        let of_template = container.map_or(Json::NULL, |container| container.json());
        let mut mounts: Vec<_> = mounts(of_template, template).chain(mounts(driver, spec)).collect();
        if resource.kind() != ResourceKind::SparkConnect {
            let files = ["configMaps", "secrets"].into_iter().flat_map(|list| driver.get(list).items());
            let paths = files.filter_map(|file| file.get("path").as_str());
            mounts.extend(paths.map(|path| Mount { path, is_read_only: true }));
            mounts.extend(mounts_of_configuration(spec.get("sparkConf")));
        }
        Self { read_only_root, mounts }
    }

    /// What keeps everybody from writing to a directory, where that is sure.
    pub(super) fn obstacle(&self, directory: &str) -> Option<Obstacle<'_>> {
        let covers = |mount: &&Mount<'_>| is_at(directory, mount.path) || is_inside(directory, mount.path);
        let innermost = self.mounts.iter().filter(covers).max_by_key(|mount| mount.path.trim_end_matches('/').len());
        match innermost {
            Some(mount) if mount.is_read_only => Some(Obstacle::Mount(mount.path)),
            Some(_) => None,
            None => self.read_only_root.as_ref().map(Obstacle::Image),
        }
    }

    /// Whether a volume may hold packages already.
    pub(super) fn may_hold_ivy(&self) -> bool {
        self.mounts.iter().any(|mount| may_hold_ivy(mount.path))
    }
}

/// The field that makes the root file system of a container, which stands at `at`, read-only.
fn read_only_root(container: Json<'_>, at: FieldPath) -> Option<FieldPath> {
    let is_set = container.get("securityContext").get("readOnlyRootFilesystem").as_bool() == Some(true);
    is_set.then(|| at.then(["securityContext", "readOnlyRootFilesystem"]))
}

/// The mounts of a container, whose volumes stand in `spec`.
fn mounts<'a>(container: Json<'a>, spec: Json<'a>) -> impl Iterator<Item = Mount<'a>> {
    let is_set = |value: Json<'_>| value.get("readOnly").as_bool() == Some(true);
    container.get("volumeMounts").items().filter_map(move |mount| {
        let name = mount.get("name").as_str();
        let volume = spec.get("volumes").items().find(|volume| name.is_some() && volume.get("name").as_str() == name);
        let is_read_only = |volume: Json<'_>| {
            READ_ONLY_VOLUMES.iter().any(|kind| !volume.get(kind).is_null())
                || VOLUMES_WITH_A_SWITCH.iter().any(|kind| is_set(volume.get(kind)))
        };
        let is_read_only = is_set(mount) || volume.is_some_and(is_read_only);
        Some(Mount { path: mount.get("mountPath").as_str()?, is_read_only })
    })
}

/// The volumes and secrets that Spark mounts into a driver because its configuration says so.
fn mounts_of_configuration(spark_conf: Json<'_>) -> impl Iterator<Item = Mount<'_>> {
    spark_conf.members().filter_map(move |(key, value)| {
        let path = value.as_str()?;
        if key.starts_with("spark.kubernetes.driver.secrets.") {
            return Some(Mount { path, is_read_only: true });
        }
        let mount = key.strip_prefix("spark.kubernetes.driver.volumes.")?.strip_suffix(".mount.path")?;
        let switch = format!("spark.kubernetes.driver.volumes.{mount}.mount.readOnly");
        Some(Mount { path, is_read_only: spark_conf.get(&switch).as_str() == Some("true") })
    })
}
