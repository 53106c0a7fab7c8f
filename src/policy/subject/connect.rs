//! What a resource has to do with Spark Connect: whether it runs a server, and where the server's classes may come from.

use super::{Container, Pod, Resource, ResourceKind};
use crate::policy::names::SPARK_VERSION;
use crate::policy::values::coordinates::{entries, names_connect_jar, names_connect_package};
use crate::policy::values::image::ImageReference;
use crate::policy::values::path::is_inside;
use crate::policy::values::spark_version::SparkVersion;

/// Where applications name the driver plugins.
const PLUGINS: &str = "spark.plugins";
/// The plugin that runs a Connect server inside an application.
const CONNECT_PLUGIN: &str = "org.apache.spark.sql.connect.SparkConnectPlugin";

impl Resource<'_> {
    /// Whether it runs a Connect server: every `SparkConnect` does, and an application with the plugin.
    #[must_use]
    pub fn runs_connect(&self) -> bool {
        let has_plugin =
            || entries(self.spark_conf(PLUGINS).unwrap_or_default()).any(|plugin| plugin == CONNECT_PLUGIN);
        self.kind() == ResourceKind::SparkConnect || has_plugin()
    }

    /// Whether a mounted configuration may name packages, which ours would hide, or a mounted folder of jars may hold the jar.
    #[must_use]
    pub fn may_configure_packages(&self) -> bool {
        self.driver_env("SPARK_CONF_DIR").is_some() || self.driver_mounts().any(may_bring_packages)
    }

    /// Whether the package or its jar is named anywhere that Spark will look.
    #[must_use]
    pub fn names_connect(&self) -> bool {
        self.downloads_connect()
            || self.spark_conf("spark.driver.extraClassPath").is_some_and(class_path_names_connect)
            || self.driver_mounts().any(names_connect_jar)
    }

    /// Whether the package or its jar is among those that Spark loads beside its own jars.
    #[must_use]
    pub fn downloads_connect(&self) -> bool {
        self.packages().into_iter().any(names_connect_package)
            || self.deps("jars").any(names_connect_jar)
            || self.spark_conf("spark.jars").is_some_and(names_connect_jar)
    }

    /// The Spark versions that the resource and its image name.
    #[must_use]
    pub fn versions(&self) -> Versions {
        Versions::of(self.spark_version(), &ImageReference::parse(self.image().unwrap_or_default()))
    }
}

impl Pod<'_> {
    /// The same of a Connect server's pod, as far as its container and arguments tell.
    #[must_use]
    pub fn may_configure_packages(&self) -> bool {
        self.connect_arguments().properties_file().is_some()
            || self.spark_container().is_some_and(|spark| {
                spark.has_env_from()
                    || spark.env("SPARK_CONF_DIR").is_some()
                    || spark.mounts().any(|(mount, _)| may_bring_packages(mount))
            })
    }

    /// Whether the package or its jar is named anywhere that the Connect server will look.
    #[must_use]
    pub fn names_connect(&self) -> bool {
        let arguments = self.connect_arguments();
        let class_path = arguments.option("--driver-class-path").or(arguments.conf("spark.driver.extraClassPath"));
        self.downloads_connect()
            || class_path.is_some_and(class_path_names_connect)
            || self.spark_container().is_some_and(|spark| spark.mounts().any(|(mount, _)| names_connect_jar(mount)))
    }

    /// Whether the package or its jar is among those that the Connect server loads beside its own jars.
    #[must_use]
    pub fn downloads_connect(&self) -> bool {
        let arguments = self.connect_arguments();
        arguments.packages().is_some_and(names_connect_package) || arguments.jars().is_some_and(names_connect_jar)
    }

    /// The Spark versions that the pod's image and label name.
    #[must_use]
    pub fn versions(&self) -> Versions {
        let image = self.spark_container().and_then(Container::image).unwrap_or_default();
        Versions::of(self.metadata().label(SPARK_VERSION), &ImageReference::parse(image))
    }
}

fn may_bring_packages(mount: &str) -> bool {
    let is_configuration = mount.trim_end_matches('/').ends_with("/conf") || mount.ends_with("/spark-defaults.conf");
    is_configuration || mount.trim_end_matches('/').ends_with("/jars") || is_inside("/opt/spark/conf", mount)
}

fn class_path_names_connect(class_path: &str) -> bool {
    names_connect_jar(&class_path.replace(':', ","))
}

/// The Spark versions that a resource or pod and its image name.
#[derive(Debug, Clone, Copy)]
pub struct Versions {
    declared: Option<SparkVersion>,
    tag: Option<SparkVersion>,
    /// Something is declared that is no version.
    is_unreadable: bool,
}

impl Versions {
    fn of(declared: Option<&str>, image: &ImageReference<'_>) -> Self {
        // A tag such as 1.4.2 is the version of somebody's image, not of the Spark in it.
        let tag = image.spark_version().filter(|version| version.major >= 3);
        let text = declared.filter(|text| !text.trim().is_empty());
        let declared = text.and_then(SparkVersion::parse);
        Self { declared, tag, is_unreadable: text.is_some() && declared.is_none() && tag.is_none() }
    }

    /// The image decides what runs; the resource's version is but a label to the operator. Where they differ, nobody can tell
    /// which one is a slip, and the wrong package breaks what works.
    #[must_use]
    pub fn disagree(&self) -> bool {
        let minor = |version: SparkVersion| (version.major, version.minor);
        matches!((self.declared, self.tag), (Some(declared), Some(tag)) if minor(declared) != minor(tag))
    }

    /// The version to take the package of; none where one is declared that cannot be read, which may be any.
    #[must_use]
    pub fn effective(&self) -> Option<SparkVersion> {
        if self.is_unreadable {
            return None;
        }
        let complete = |version: &SparkVersion| version.patch.is_some();
        let named = self.declared.filter(complete).or(self.tag.filter(complete)).or(self.declared).or(self.tag);
        let fallback = SparkVersion { major: 3, minor: 5, patch: Some(0) };
        Some(named.map_or(fallback, |version| SparkVersion { patch: version.patch.or(Some(0)), ..version }))
    }

    /// The version of Spark in the image.
    #[must_use]
    pub fn core(&self) -> SparkVersion {
        self.tag.filter(|tag| tag.patch.is_some()).or(self.effective()).unwrap_or_default()
    }

    /// Whether some version is named, and all that are named are such.
    #[must_use]
    pub fn surely(&self, is_such: fn(SparkVersion) -> bool) -> bool {
        let mut named = self.declared.into_iter().chain(self.tag).peekable();
        named.peek().is_some() && named.all(is_such)
    }
}
