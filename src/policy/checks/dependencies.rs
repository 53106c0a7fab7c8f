//! The packages and jars that a resource or a pod names, each with its place, and the Spark that they are for.

use crate::policy::field_path::{FieldPath, path};
use crate::policy::role::Role;
use crate::policy::subject::{Container, Pod, Resource};
use crate::policy::values::coordinates::{Artifact, entries};
use crate::policy::values::spark_build::SparkBuild;

/// What is named, and what it is for.
pub(super) struct Dependencies<'a> {
    /// The Spark that it is for.
    pub(super) spark: SparkBuild<'a>,
    /// What is known of it: packages first, then jars.
    pub(super) named: Vec<Named<'a>>,
    /// Where something is mounted over what the image holds.
    pub(super) mounts: Vec<&'a str>,
}

/// One package or jar.
pub(super) struct Named<'a> {
    /// Where it is named.
    pub(super) field: FieldPath,
    /// As it is written.
    pub(super) text: &'a str,
    /// What it is.
    pub(super) artifact: Artifact<'a>,
    /// Whether it is a package, which Ivy gets, or a jar.
    pub(super) is_package: bool,
}

impl<'a> Dependencies<'a> {
    pub(super) fn of_resource(resource: &Resource<'a>) -> Self {
        let mut named = Vec::new();
        for (list, key, is_package) in [("packages", "spark.jars.packages", true), ("jars", "spark.jars", false)] {
            // The operator makes options of the lists in `deps`, and an option beats its key.
            if resource.deps(list).next().is_some() {
                for (index, entry) in resource.spec().get("deps").get(list).items().enumerate() {
                    let field = resource.spec_path().then(["deps", list]).at(index);
                    add(&mut named, &field, entry.as_str().unwrap_or_default(), is_package);
                }
            } else if let Some(value) = resource.spark_conf(key) {
                add(&mut named, &resource.spec_path().then(["sparkConf", key]), value, is_package);
            }
        }
        if let Some(file) = resource.spec().get("mainApplicationFile").as_str() {
            add(&mut named, &resource.spec_path().then(["mainApplicationFile"]), file, false);
        }
        Self {
            spark: SparkBuild::of(resource.image(), resource.spark_version()),
            named,
            mounts: resource.driver_mounts().collect(),
        }
    }

    /// What a Connect server's arguments name, and the file that a driver of spark-submit's own making runs. An operator's driver is
    /// not looked at: its resource was.
    pub(super) fn of_pod(pod: &'a Pod<'a>) -> Self {
        let mut named = Vec::new();
        let container = pod.spark_container();
        let field = container.map_or_else(|| path(["spec"]), |container| container.path().then(["args"]));
        let mut declared = None;
        match pod.role() {
            Role::ConnectServer => {
                declared = pod.metadata().label("spark-version");
                add(&mut named, &field, pod.connect_arguments().packages().unwrap_or_default(), true);
                add(&mut named, &field, pod.connect_arguments().jars().unwrap_or_default(), false);
            }
            Role::Driver if !pod.is_launched_by_operator() => {
                for argument in container.into_iter().flat_map(Container::arguments).skip(1) {
                    if argument.starts_with("local:") {
                        add(&mut named, &field, argument, false);
                    }
                }
            }
            _ => {}
        }
        let mounts = container.into_iter().flat_map(Container::mounts).map(|(at, _)| at).collect();
        Self { spark: SparkBuild::of(container.and_then(Container::image), declared), named, mounts }
    }
}

fn add<'a>(named: &mut Vec<Named<'a>>, field: &FieldPath, list: &'a str, is_package: bool) {
    for text in entries(list) {
        let artifact = if is_package { Artifact::of_coordinate(text) } else { Artifact::of_jar(text) };
        named.extend(artifact.map(|artifact| Named { field: field.clone(), text, artifact, is_package }));
    }
}
