//! `ivy-cache`: Spark's container has a writable volume for Ivy, in memory unless the packages are too large for it.
//!
//! Spark resolves packages below the home of its user, which official images do not have (3.5.6 and before) or which is
//! `/nonexistent` (3.5.7 and 4.0.1 on). The volume always has a size limit: a tmpfs without one grows to half the node's memory.
//! On a `SparkApplication` this mutation hands down what the driver's pod alone cannot tell: where Ivy is to be, and how large.

use serde_json::{Value, json};

use super::ivy_dir::SPARK_JARS_IVY;
use super::treatment::is_pinned;
use super::{Case, Outcome, Plan, Pod, Resource};
use crate::policy::configuration::{IvyCache, Medium};
use crate::policy::document::Json;
use crate::policy::field_path::path;
use crate::policy::handover::hand_to;
use crate::policy::mutation::Mutation;
use crate::policy::names::{IVY_CACHE_MEDIUM, IVY_CACHE_SIZE, IVY_CACHE_VOLUME as VOLUME, IVY_DIR, SKIP};
use crate::policy::nodes::Placement;
use crate::policy::outcome::Skip;
use crate::policy::plan::Note;
use crate::policy::subject::Container;
use crate::policy::values::coordinates::{coordinates, entries};
use crate::policy::values::path::{is_at, is_inside, judge, may_hold_ivy, overlaps};
use crate::policy::values::quantity::Quantity;

pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    let settings = &case.policy.mutations.ivy_cache;
    let Some(spark) = pod.spark_container() else { return Outcome::Skipped(Skip::NoSparkContainer) };
    if pod.is_launched_by_operator()
        && pod.metadata().was_changed_by(Mutation::IvyCache)
        && let Some((volume, mount)) = displaced(pod, spark)
    {
        plan.remove(spark.path().then(["volumeMounts"]).at(mount));
        plan.remove(path(["spec", "volumes"]).at(volume));
        return plan.outcome();
    }
    let handed_down = pod.annotation(IVY_DIR).or_else(|| pod.connect_arguments().conf(SPARK_JARS_IVY));
    if let Some((directory, Err(fault))) = handed_down.map(|directory| (directory, judge(directory))) {
        plan.warn(format!("Ivy directory {directory} is left as it is: {fault}"));
        return Outcome::Skipped(Skip::UnusableDirectory);
    }
    let directory = handed_down.unwrap_or(settings.mount_path.as_str());
    if is_mounted(pod, spark, directory) {
        plan.note(Note::IvyMountedAt(directory.to_owned()));
        return Outcome::Skipped(Skip::NothingToDo);
    }
    if pod.volume(VOLUME).is_some() {
        return Outcome::Skipped(Skip::UsersVolume);
    }
    if spark.mounts().any(|(mount, _)| is_in_the_way(mount, directory)) {
        if lies_in_empty_dir(pod, spark, directory) {
            plan.note(Note::IvyMountedAt(directory.to_owned()));
        }
        return Outcome::Skipped(Skip::UsersMount);
    }
    let volume = volume(pod, case, plan);
    plan.add_volume(volume);
    plan.mount(spark, VOLUME, directory);
    plan.note(Note::IvyMountedAt(directory.to_owned()));
    plan.outcome()
}

/// Whether what is mounted there may be the user's own arrangement for Ivy, or would be hidden.
fn is_in_the_way(mount: &str, directory: &str) -> bool {
    overlaps(mount, directory) || may_hold_ivy(mount)
}

/// Whether all that is in the way are empty volumes above the directory, such as one for all of `/tmp` beside a read-only root file system:
/// Ivy finds nothing there and may write, so it needs no volume of its own, and only has to be told.
fn lies_in_empty_dir(pod: &Pod<'_>, spark: &Container<'_>, directory: &str) -> bool {
    let path = |mount: &Json<'_>| mount.get("mountPath").as_str().unwrap_or_default().to_owned();
    let mut in_the_way =
        spark.json().get("volumeMounts").items().filter(|mount| is_in_the_way(&path(mount), directory));
    in_the_way.all(|mount| {
        let volume = mount.get("name").as_str().and_then(|name| pod.volume(name));
        let is_writable = mount.get("readOnly").as_bool() != Some(true) && mount.get("subPath").is_null();
        is_inside(directory, &path(&mount))
            && is_writable
            && volume.is_some_and(|volume| volume.get("emptyDir").is_object())
    })
}

/// Where our volume and its mount stand, if the author's own came behind them since an earlier round of this admission.
///
/// Kubeflow's webhook puts an application's volumes behind what is there. Of an application that is older than this webhook nobody has
/// read them (see [`brings_its_own`]), and its driver must start as before.
fn displaced(pod: &Pod<'_>, spark: &Container<'_>) -> Option<(usize, usize)> {
    let named = |element: &Json<'_>| element.get("name").as_str() == Some(VOLUME);
    let volume = pod.spec().get("volumes").items().position(|volume| named(&volume))?;
    let mounts = || spark.json().get("volumeMounts").items();
    let mount = mounts().position(|mount| named(&mount))?;
    let directory = mounts().nth(mount)?.get("mountPath").as_str()?;
    let later = |it: Json<'_>| it.get("mountPath").as_str().is_some_and(|path| is_in_the_way(path, directory));
    let has_twin = pod.spec().get("volumes").items().filter(named).count() > 1;
    let is_displaced = has_twin || mounts().skip(mount + 1).any(later);
    is_displaced.then_some((volume, mount))
}

/// Whether the volume, or one just like it, is mounted there already.
fn is_mounted(pod: &Pod<'_>, spark: &Container<'_>, directory: &str) -> bool {
    pod.volume(VOLUME).is_some_and(|volume| volume.get("emptyDir").is_object())
        && spark.mounts().any(|(mount, volume)| volume == VOLUME && is_at(mount, directory))
}

/// The volume; what its author asked for first, then what its packages need, then what the policy says.
fn volume(pod: &Pod<'_>, case: &Case<'_>, plan: &mut Plan) -> Value {
    let settings = &case.policy.mutations.ivy_cache;
    let packages = pod.connect_arguments().packages().unwrap_or_default();
    let large = large_package(&[packages], settings);
    let by_packages = large.map(|_| medium_of_large(case, || Placement::of(pod.spec())));
    let medium = asked_medium(pod, plan).or(by_packages).unwrap_or(settings.medium);
    let by_policy = if large.is_some() { &settings.large_size_limit } else { &settings.size_limit };
    let size = asked_size(pod, plan).unwrap_or(by_policy.as_str());
    if let Some(package) = large {
        plan.warn(large_warning(package, medium, size));
    }
    match medium {
        Medium::Memory => json!({"name": VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": size}}),
        Medium::Disk => json!({"name": VOLUME, "emptyDir": {"sizeLimit": size}}),
    }
}

/// Disk, but where the pod can land on flagged nodes alone: there the disk may not be writable, and no limit caps the memory.
fn medium_of_large<'a>(case: &Case<'_>, placement: impl FnOnce() -> Placement<'a>) -> Medium {
    if is_pinned(case, placement) { Medium::Memory } else { Medium::Disk }
}

fn asked_medium(pod: &Pod<'_>, plan: &mut Plan) -> Option<Medium> {
    match pod.annotation(IVY_CACHE_MEDIUM)?.trim() {
        "Memory" => Some(Medium::Memory),
        "Disk" => Some(Medium::Disk),
        other => {
            plan.warn(format!("annotation {IVY_CACHE_MEDIUM} is \"{other}\"; it can be Memory or Disk"));
            None
        }
    }
}

fn asked_size<'a>(pod: &'a Pod<'_>, plan: &mut Plan) -> Option<&'a str> {
    let asked = pod.annotation(IVY_CACHE_SIZE)?.trim();
    if Quantity::parse(asked).is_some_and(|size| size >= Quantity::MEBIBYTE) {
        return Some(asked);
    }
    plan.warn(format!("annotation {IVY_CACHE_SIZE} is \"{asked}\"; it must be a quantity such as 512Mi"));
    None
}

/// The first package that is too large for memory.
fn large_package<'a>(lists: &[&'a str], settings: &IvyCache) -> Option<&'a str> {
    let packages = lists.iter().flat_map(|list| coordinates(list));
    let mut large =
        packages.filter(|package| settings.large_packages.matches(&format!("{}:{}", package.group, package.artifact)));
    large.next().map(|package| package.artifact)
}

fn large_warning(package: &str, medium: Medium, size: &str) -> String {
    format!("{package} is large: its Ivy volume is {}, {size}", place(medium))
}

const fn place(medium: Medium) -> &'static str {
    match medium {
        Medium::Memory => "in memory",
        Medium::Disk => "on the node's disk",
    }
}

/// Hands down to the driver what the resource alone tells: the user's own Ivy directory, and packages too large for memory.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    if !resource.driver().is_object() {
        return Outcome::Skipped(Skip::NothingToDo);
    }
    let settings = &case.policy.mutations.ivy_cache;
    if brings_its_own(resource, settings) {
        decline_for_driver(resource, plan);
        return plan.outcome();
    }
    if let Some(directory) =
        resource.spark_conf(SPARK_JARS_IVY).filter(|directory| needs_mount(resource, directory, settings))
    {
        hand_to(resource, "driver", IVY_DIR, directory, plan);
        if plan.outcome() == Outcome::Applied {
            plan.warn(format!("a volume for packages is mounted at {directory}, from {SPARK_JARS_IVY}"));
        }
    }
    if let Some(package) = large_package(&resource.packages(), settings) {
        hand_down_large(resource, package, case, plan);
    }
    plan.outcome()
}

/// Whether the application has a volume of its own where ours would be.
///
/// Kubeflow's webhook puts it into the driver's pod, without a look at what is there already (`sparkpod_defaulter.go` of its
/// internal/webhook, 2.4.0); called after this one it would make a pod with two volumes of one name, which the API server refuses.
fn brings_its_own(resource: &Resource<'_>, settings: &IvyCache) -> bool {
    let is_named_so =
        || resource.spec().get("volumes").items().any(|volume| volume.get("name").as_str() == Some(VOLUME));
    let is_there = |mount: &str| overlaps(mount, settings.mount_path.as_str()) || may_hold_ivy(mount);
    resource.driver_mounts().any(is_there) || is_named_so()
}

/// Names this mutation in the `skip` of the driver's pod, beside what its author named there.
fn decline_for_driver(resource: &Resource<'_>, plan: &mut Plan) {
    let on_driver = resource.driver().get("annotations").get(SKIP).as_str();
    let before = on_driver.or(resource.metadata().annotation(SKIP)).unwrap_or_default();
    let mut names: Vec<_> = entries(before).collect();
    if names.contains(&VOLUME) {
        return;
    }
    names.push(VOLUME);
    plan.set(resource.spec_path().then(["driver", "annotations", SKIP]), names.join(","));
    plan.warn("the application's own volume is kept; the driver gets no other");
}

/// Packages that are too large for memory, unless the author has said what the volume is to be.
fn hand_down_large(resource: &Resource<'_>, package: &str, case: &Case<'_>, plan: &mut Plan) {
    let settings = &case.policy.mutations.ivy_cache;
    let asked =
        |key| resource.metadata().annotation(key).is_some() || !resource.driver().get("annotations").get(key).is_null();
    if asked(IVY_CACHE_MEDIUM) {
        return;
    }
    let medium = medium_of_large(case, || resource.placement("driver"));
    hand_to(resource, "driver", IVY_CACHE_MEDIUM, medium.name(), plan);
    let size = settings.large_size_limit.as_str();
    if asked(IVY_CACHE_SIZE) {
        plan.warn(format!("{package} is large: its Ivy volume is {}", place(medium)));
    } else {
        hand_to(resource, "driver", IVY_CACHE_SIZE, size, plan);
        plan.warn(large_warning(package, medium, size));
    }
}

/// Whether a user's Ivy directory wants a mount of its own: it may be mounted over, and nothing covers it yet.
fn needs_mount(resource: &Resource<'_>, directory: &str, settings: &IvyCache) -> bool {
    let default = settings.mount_path.as_str();
    let covered = is_at(directory, default) || is_inside(directory, default);
    let holds_files = resource.local_files().any(|file| overlaps(file, directory));
    !covered
        && !holds_files
        && judge(directory).is_ok()
        && !resource.driver_mounts().any(|mount| overlaps(mount, directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::{Sample, application, connect_server, driver, executor, flagged_node, node, notebook};

    const VOLUME: &str = r#"spec.volumes + {"name":"ivy-cache","emptyDir":{"medium":"Memory","sizeLimit":"512Mi"}}"#;
    const LARGE: &str = r#"spec.volumes + {"name":"ivy-cache","emptyDir":{"sizeLimit":"4Gi"}}"#;
    const HADOOP: &str = "org.apache.hadoop:hadoop-aws:3.3.4";

    fn mount(at: &str) -> String {
        format!(r#"spec.containers[0].volumeMounts + {{"name":"ivy-cache","mountPath":"{at}"}}"#)
    }

    fn both(volume: &str, at: &str) -> Vec<String> {
        vec![volume.to_owned(), mount(at)]
    }

    fn skipped(reason: &str) -> Vec<String> {
        vec![format!("skipped: {reason}")]
    }

    fn mounting(volume: &str, at: &str) -> Sample {
        driver().and("/spec/containers/0/volumeMounts", json!({"name": volume, "mountPath": at}))
    }

    fn annotated(key: &str, value: &str) -> Sample {
        driver().with(&format!("/metadata/annotations/spark-admission.io~1{key}"), value)
    }

    #[test]
    #[rustfmt::skip]
    fn decides_on_pods() {
        let own = json!({"name": "ivy-cache", "persistentVolumeClaim": {"claimName": "ivy"}});
        let ours = json!({"name": "ivy-cache", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}});
        for (case, pod, expected) in [
            ("a user's own volume of that name", mounting("ivy-cache", "/opt/spark/work-dir/.ivy2").and("/spec/volumes", own.clone()), skipped("users-volume")),
            ("a user's own volume, not mounted in Spark's container", driver().and("/spec/volumes", own), skipped("users-volume")),
            ("something mounted there", mounting("mine", "/tmp/.ivy2"), skipped("users-mount")),
            ("something mounted above", mounting("mine", "/tmp"), skipped("users-mount")),
            ("something mounted below", mounting("mine", "/tmp/.ivy2/jars"), skipped("users-mount")),
            ("something mounted at a path that only begins so", mounting("mine", "/tmp/.ivy2-of-mine"), both(VOLUME, "/tmp/.ivy2")),
            ("its own volume from before", mounting("ivy-cache", "/tmp/.ivy2").and("/spec/volumes", ours), skipped("nothing-to-do")),
            ("an absurd path handed down", annotated("ivy-dir", "/opt/spark"), skipped("unusable-directory")),
            ("a path with blanks", annotated("ivy-dir", "/tmp/my ivy"), skipped("unusable-directory")),
            ("all of /tmp", annotated("ivy-dir", "/tmp"), skipped("unusable-directory")),
            ("a path handed down", annotated("ivy-dir", "/ivy"), both(VOLUME, "/ivy")),
            ("a driver", driver(), both(VOLUME, "/tmp/.ivy2")),
            ("a notebook", notebook(), both(VOLUME, "/tmp/.ivy2")),
            ("a notebook whose container has another name", notebook().with("/spec/containers/0/name", "lab"), both(VOLUME, "/tmp/.ivy2")),
            ("a driver whose container cannot be told", driver().with("/spec/containers", json!([{"name": "a"}, {"name": "b"}])), skipped("no-spark-container")),
            ("an executor never resolves packages", executor(), skipped("off")),
            ("a user's own volume at an Ivy directory of another home", mounting("mine", "/home/spark/.ivy2"), skipped("users-mount")),
            ("a user's own volume over a home", notebook().and("/spec/containers/0/volumeMounts", json!({"name": "home", "mountPath": "/home/jovyan"})), skipped("users-mount")),
            ("a user's own volume inside a home", mounting("mine", "/home/spark/data"), both(VOLUME, "/tmp/.ivy2")),
            ("the same under the name that Spark 4 gives it", mounting("mine", "/home/spark/.ivy2.5.2"), skipped("users-mount")),
            ("a Connect server", connect_server(""), both(VOLUME, "/tmp/.ivy2")),
            ("a Connect server's own directory", connect_server("--conf spark.jars.ivy=/ivy"), both(VOLUME, "/ivy")),
            ("a Connect server's absurd directory", connect_server("--conf spark.jars.ivy=~/.ivy2"), skipped("unusable-directory")),
            ("a Connect server's large package", connect_server(&format!("--conf spark.jars.packages={HADOOP}")), both(LARGE, "/tmp/.ivy2")),
            ("a Connect server's large bundle", connect_server("--packages software.amazon.awssdk:bundle:2.20.18"), both(LARGE, "/tmp/.ivy2")),
            ("an Iceberg bundle", connect_server("--packages org.apache.iceberg:iceberg-aws-bundle:1.6.1"), both(LARGE, "/tmp/.ivy2")),
            ("another mount path by policy", driver().under("ivy-cache: {mountPath: /tmp/ivy}"), both(VOLUME, "/tmp/ivy")),
            ("asked to be on disk", annotated("ivy-cache-medium", "Disk"), both(r#"spec.volumes + {"name":"ivy-cache","emptyDir":{"sizeLimit":"512Mi"}}"#, "/tmp/.ivy2")),
            ("asked to be larger", annotated("ivy-cache-size", "1Gi"), both(r#"spec.volumes + {"name":"ivy-cache","emptyDir":{"medium":"Memory","sizeLimit":"1Gi"}}"#, "/tmp/.ivy2")),
            ("asked with a line break", annotated("ivy-cache-size", "1Gi\n"), both(r#"spec.volumes + {"name":"ivy-cache","emptyDir":{"medium":"Memory","sizeLimit":"1Gi"}}"#, "/tmp/.ivy2")),
            ("asked for half a byte", annotated("ivy-cache-size", "512m"), both(VOLUME, "/tmp/.ivy2")),
            ("asked for what there is not", annotated("ivy-cache-medium", "Tape"), both(VOLUME, "/tmp/.ivy2")),
        ] {
            assert_eq!(pod.by(Mutation::IvyCache), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn gives_way_to_what_kubeflows_webhook_brings_between_two_rounds() {
        let again = || {
            mounting("ivy-cache", "/tmp/.ivy2")
                .and("/spec/volumes", json!({"name": "ivy-cache", "emptyDir": {"medium": "Memory", "sizeLimit": "512Mi"}}))
                .with("/metadata/annotations/spark-admission.io~1mutated", "ivy-cache,spark-user")
                .with("/metadata/labels/sparkoperator.k8s.io~1launched-by-spark-operator", "true")
        };
        let brought = |volume: &str, at: &str| {
            again().and("/spec/volumes", json!({"name": volume, "emptyDir": {}})).and("/spec/containers/0/volumeMounts", json!({"name": volume, "mountPath": at}))
        };
        let gone = ["spec.containers[0].volumeMounts[0] removed", "spec.volumes[0] removed"];
        for (case, pod, expected) in [
            ("a volume of that name, elsewhere", brought("ivy-cache", "/opt/ivy"), &gone[..]),
            ("a volume of that name, at the same place", brought("ivy-cache", "/tmp/.ivy2"), &gone),
            ("another volume at the same place", brought("mine", "/tmp/.ivy2"), &gone),
            ("another volume above", brought("mine", "/tmp"), &gone),
            ("a volume over a home", brought("mine", "/home/spark"), &gone),
            ("a volume that is in nobody's way", brought("mine", "/data"), &["skipped: nothing-to-do"]),
            ("nothing", again(), &["skipped: nothing-to-do"]),
            ("a pod that no operator launched", brought("mine", "/tmp").with("/metadata/labels/sparkoperator.k8s.io~1launched-by-spark-operator", "false"), &["skipped: nothing-to-do"]),
            ("a first round", brought("mine", "/tmp").with("/metadata/annotations/spark-admission.io~1mutated", "spark-user"), &["skipped: nothing-to-do"]),
        ] {
            assert_eq!(pod.by(Mutation::IvyCache), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn hands_down_from_applications() {
        let ivy = |directory: &str| application().with("/spec/sparkConf/spark.jars.ivy", directory);
        let hadoop = || application().with("/spec/deps/packages", json!([HADOOP]));
        let directory = "spec.driver.annotations[spark-admission.io/ivy-dir] = /ivy";
        let disk = "spec.driver.annotations[spark-admission.io/ivy-cache-medium] = Disk";
        let size = "spec.driver.annotations[spark-admission.io/ivy-cache-size] = 4Gi";
        let mount = json!({"name": "mine", "mountPath": "/ivy"});
        let declined = "spec.driver.annotations[spark-admission.io/skip] = ivy-cache";
        for (case, resource, expected) in [
            ("an absurd path", ivy("/usr/ivy"), &["skipped: nothing-to-do"][..]),
            ("a user's own mount there", ivy("/ivy").and("/spec/driver/volumeMounts", mount.clone()), &["skipped: nothing-to-do"]),
            ("a user's own mount there, in a template", ivy("/ivy").with("/spec/driver/template/spec/containers", json!([{"volumeMounts": [mount]}])), &["skipped: nothing-to-do"]),
            ("a volume of that name", application().and("/spec/volumes", json!({"name": "ivy-cache", "hostPath": {"path": "/ivy"}})), &[declined]),
            ("a mount where the volume would be", application().and("/spec/driver/volumeMounts", json!({"name": "mine", "mountPath": "/tmp"})), &[declined]),
            ("a config map where the volume would be", application().and("/spec/driver/configMaps", json!({"name": "ivy-settings", "path": "/tmp/.ivy2"})), &[declined]),
            ("a config map over a home", application().and("/spec/driver/configMaps", json!({"name": "home", "path": "/home/spark"})), &[declined]),
            ("a secret at the user's own directory", ivy("/ivy").and("/spec/driver/secrets", json!({"name": "settings", "path": "/ivy", "secretType": "Generic"})), &["skipped: nothing-to-do"]),
            ("the same beside another wish", application().and("/spec/driver/volumeMounts", json!({"name": "mine", "mountPath": "/tmp"})).with("/spec/driver/annotations/spark-admission.io~1skip", "spark-user"), &["spec.driver.annotations[spark-admission.io/skip] = spark-user,ivy-cache"]),
            ("the same, declined already", application().and("/spec/driver/volumeMounts", json!({"name": "mine", "mountPath": "/tmp"})).with("/spec/driver/annotations/spark-admission.io~1skip", "ivy-cache"), &["skipped: nothing-to-do"]),
            ("a directory below the volume", ivy("/tmp/.ivy2/mine"), &["skipped: nothing-to-do"]),
            ("a user's own directory", ivy("/ivy"), &[directory]),
            ("a directory of the image that holds the application", ivy("/app").with("/spec/mainApplicationFile", "local:///app/app.jar"), &["skipped: nothing-to-do"]),
            ("a medium chosen by the user", hadoop().with("/metadata/annotations/spark-admission.io~1ivy-cache-medium", "Memory"), &["skipped: nothing-to-do"]),
            ("a user's own annotation on the driver", ivy("/ivy").with("/spec/driver/annotations/spark-admission.io~1ivy-dir", "/other"), &["skipped: nothing-to-do"]),
            ("a large package", hadoop(), &[disk, size]),
            ("a large package, size chosen by the user", hadoop().with("/spec/driver/annotations/spark-admission.io~1ivy-cache-size", "6Gi"), &[disk]),
            ("a large package that Spark drops", hadoop().with("/spec/deps/packages", json!(["a:b:1"])).with("/spec/sparkConf/spark.jars.packages", HADOOP), &["skipped: nothing-to-do"]),
            ("small packages", application().with("/spec/deps/packages", json!(["a:b:1"])), &["skipped: nothing-to-do"]),
        ] {
            assert_eq!(resource.by(Mutation::IvyCache), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn large_packages_stay_off_the_disks_of_flagged_nodes() {
        let flagged = || flagged_node("bad", &json!({}));
        let in_memory = r#"spec.volumes + {"name":"ivy-cache","emptyDir":{"medium":"Memory","sizeLimit":"4Gi"}}"#;
        let server = || connect_server(&format!("--conf spark.jars.packages={HADOOP}"));
        let hadoop = || application().with("/spec/deps/packages", json!([HADOOP]));
        let medium = |medium: &str| format!("spec.driver.annotations[spark-admission.io/ivy-cache-medium] = {medium}");
        for (case, sample, expected) in [
            ("a pod that can land on such nodes alone", server().on(vec![flagged()]), in_memory.to_owned()),
            ("a pod that can land on others too", server().on(vec![flagged(), node("good", &json!({}))]), LARGE.to_owned()),
            ("a resource whose driver can land on such nodes alone", hadoop().on(vec![flagged()]), medium("Memory")),
            ("a resource whose driver can land on others too", hadoop().on(vec![flagged(), node("good", &json!({}))]), medium("Disk")),
        ] {
            assert_eq!(sample.by(Mutation::IvyCache)[0], expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn says_what_to_know() {
        let hadoop = connect_server(&format!("--conf spark.jars.packages={HADOOP}"));
        for (sample, expected) in [
            (hadoop, "ivy-cache: hadoop-aws is large: its Ivy volume is on the node's disk, 4Gi"),
            (annotated("ivy-dir", "/opt/spark"), "ivy-cache: Ivy directory /opt/spark is left as it is: it would hide Spark's own files"),
            (annotated("ivy-cache-size", "512m"), "ivy-cache: annotation spark-admission.io/ivy-cache-size is \"512m\"; it must be a quantity such as 512Mi"),
            (annotated("ivy-cache-medium", "Tape"), "ivy-cache: annotation spark-admission.io/ivy-cache-medium is \"Tape\"; it can be Memory or Disk"),
        ] {
            let warnings = sample.warnings();
            assert!(warnings.iter().any(|warning| warning == expected), "{expected}: {warnings:#?}");
        }
    }
}
