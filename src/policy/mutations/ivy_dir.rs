//! `ivy-dir`: Spark's Ivy is pointed at a directory that can be written.
//!
//! On resources `spark.jars.ivy` is set. In cluster mode packages resolve twice, in the operator's pod and again in the driver, so the
//! path must be writable in both: below `/tmp` it is. One directory shared by the operator's workers is not safe while it is
//! empty (of four applications submitted at once two failed), hence a directory for each set of packages.
//! Pods with no resource behind them get `-Divy.home` in `SPARK_SUBMIT_OPTS`, which `spark.jars.ivy` still overrides.

use sha2::{Digest, Sha256};

use super::{Case, Outcome, Plan, Pod, Resource};
use crate::policy::configuration::Submission;
use crate::policy::mutation::Mutation;
use crate::policy::outcome::Skip;
use crate::policy::plan::Note;
use crate::policy::subject::{Container, ResourceKind};
use crate::policy::values::coordinates::entries;
use crate::policy::values::image::ImageReference;
use crate::policy::values::path::{is_at, is_inside, judge, may_hold_ivy, overlaps};

/// What Spark reads its Ivy directory from.
pub(in crate::policy) const SPARK_JARS_IVY: &str = "spark.jars.ivy";
/// Options of the JVM that resolves packages.
pub(in crate::policy) const SPARK_SUBMIT_OPTS: &str = "SPARK_SUBMIT_OPTS";

pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    if let Some(directory) = resource.spark_conf(SPARK_JARS_IVY) {
        if let Some(fault) = fault_of_users(resource, directory) {
            plan.warn(format!("{SPARK_JARS_IVY} {directory} is left as it is: {fault}"));
        }
        return Outcome::Skipped(Skip::UserDecided);
    }
    if java_options(resource).any(moves_ivy) {
        return Outcome::Skipped(Skip::UserDecided);
    }
    // An application's packages resolve in the operator too, where the driver's volumes are not; a server's resolve in the server alone.
    if resource.kind() == ResourceKind::SparkConnect && resource.driver_mounts().any(may_hold_ivy) {
        return Outcome::Skipped(Skip::UsersMount);
    }
    let packages = packages(resource, plan);
    if packages.is_empty() {
        return Outcome::Skipped(Skip::NoPackages);
    }
    if !is_writable_without_us(case) && !case.acts_on(resource, Mutation::IvyCache) {
        return Outcome::Skipped(Skip::NoIvyVolume);
    }
    let Some(directory) = directory(resource, case, &packages) else { return Outcome::Skipped(Skip::SubmissionOff) };
    plan.set_spark_conf(SPARK_JARS_IVY, &directory);
    plan.warn(format!("{SPARK_JARS_IVY} is now {directory}"));
    plan.outcome()
}

/// Below `/tmp` anybody may write in every image; elsewhere only the volume makes it so.
fn is_writable_without_us(case: &Case<'_>) -> bool {
    is_inside(case.policy.mutations.ivy_cache.mount_path.as_str(), "/tmp")
}

/// The options of the driver's JVM wherever a resource can name them: `-Divy.home=/tmp` there is a common cure, which
/// `spark.jars.ivy` would override, from the node's disk into memory.
pub(in crate::policy) fn java_options<'a>(resource: &Resource<'a>) -> impl Iterator<Item = &'a str> {
    let keys = [
        "spark.driver.extraJavaOptions",
        "spark.driver.defaultJavaOptions",
        "spark.kubernetes.driverEnv.SPARK_SUBMIT_OPTS",
    ];
    let of_conf = keys.map(|key| resource.spark_conf(key));
    let of_driver = [resource.driver().get("javaOptions").as_str(), resource.driver_env(SPARK_SUBMIT_OPTS)];
    of_conf.into_iter().chain(of_driver).flatten()
}

/// Why the webhook leaves a user's Ivy directory without a volume; nothing where it gets one, or has the user's own.
fn fault_of_users(resource: &Resource<'_>, directory: &str) -> Option<String> {
    if let Err(fault) = judge(directory) {
        return Some(fault.to_string());
    }
    let mounts: Vec<_> = resource.driver_mounts().collect();
    if mounts.iter().any(|mount| is_at(mount, directory)) {
        return None;
    }
    mounts.iter().find(|mount| overlaps(mount, directory)).map(|mount| {
        let covers = is_inside(directory, mount);
        if covers { format!("the volume at {mount} covers it") } else { format!("it would hide the volume at {mount}") }
    })
}

/// The packages that Spark will resolve, with the one that was added in this review.
fn packages(resource: &Resource<'_>, plan: &Plan) -> Vec<String> {
    let named = resource.packages().into_iter().flat_map(entries).map(str::to_owned);
    let added = plan.notes().filter_map(|note| match note {
        Note::PackageAdded(coordinate) => Some(coordinate.clone()),
        Note::IvyMountedAt(_) => None,
    });
    named.chain(added).collect()
}

/// The directory for a resource; none where the policy leaves the submission side alone.
fn directory(resource: &Resource<'_>, case: &Case<'_>, packages: &[String]) -> Option<String> {
    let shared = case.policy.mutations.ivy_cache.mount_path.as_str();
    if resource.kind() == ResourceKind::SparkConnect {
        return Some(shared.to_owned());
    }
    match case.policy.mutations.ivy_dir.submission {
        Submission::Off => None,
        Submission::Shared => Some(shared.to_owned()),
        Submission::PerPackageSet => Some(format!("{shared}/{}", hash_of_packages(resource, packages))),
        Submission::PerApplication => Some(format!("{shared}/{}", hash_of_application(resource, case))),
    }
}

/// The same for the same packages, repositories and exclusions, in whatever order they are written.
fn hash_of_packages(resource: &Resource<'_>, packages: &[String]) -> String {
    let sorted = |mut entries: Vec<String>| {
        entries.sort_unstable();
        entries.dedup();
        entries.join(",")
    };
    let list = |list, key| sorted(resource.list(list, key).into_iter().flat_map(entries).map(str::to_owned).collect());
    let repositories = list("repositories", "spark.jars.repositories");
    let exclusions = list("excludePackages", "spark.jars.excludes");
    short_hash(&[&sorted(packages.to_vec()), &repositories, &exclusions])
}

/// A name that the API server has yet to generate tells applications apart no more than their template does; the review's id does.
fn hash_of_application(resource: &Resource<'_>, case: &Case<'_>) -> String {
    if resource.metadata().name_is_generated() {
        return short_hash(&[case.request.uid]);
    }
    short_hash(&[case.request.namespace, resource.metadata().name()])
}

/// Twelve hexadecimal digits: chances of a collision among a million sets are below one in 500.
fn short_hash(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("\n"));
    let first_48_bits = digest.iter().take(6).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    format!("{first_48_bits:012x}")
}

pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    if pod.is_launched_by_operator() {
        return Outcome::Skipped(Skip::OperatorSubmits);
    }
    let Some(spark) = pod.spark_container() else { return Outcome::Skipped(Skip::NoSparkContainer) };
    let of_jvm = |name| spark.env(name).and_then(|(_, entry)| entry.get("value").as_str());
    if ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS"].into_iter().filter_map(of_jvm).any(moves_ivy) {
        return Outcome::Skipped(Skip::UserDecided);
    }
    let mounted = plan.notes().find_map(|note| match note {
        Note::IvyMountedAt(directory) => Some(directory.clone()),
        Note::PackageAdded(_) => None,
    });
    let Some(directory) = mounted else { return Outcome::Skipped(Skip::NoIvyVolume) };
    match submit_options(spark, case) {
        SubmitOptions::Literal { value, .. } if moves_ivy(value) => Outcome::Skipped(Skip::UserDecided),
        SubmitOptions::Literal { index, value } => {
            plan.set_env(spark, index, format!("{value} -Divy.home={directory}").trim_start());
            plan.outcome()
        }
        SubmitOptions::Absent => {
            plan.add_env(spark, SPARK_SUBMIT_OPTS, &format!("-Divy.home={directory}"));
            plan.outcome()
        }
        SubmitOptions::Elsewhere(place) => {
            plan.warn(format!("{SPARK_SUBMIT_OPTS} may come from {place}: add -Divy.home={directory} there"));
            Outcome::Skipped(Skip::EnvironmentHidden)
        }
    }
}

/// Where a container's `SPARK_SUBMIT_OPTS` come from.
enum SubmitOptions<'a> {
    /// The container's own `env` says it.
    Literal { index: usize, value: &'a str },
    /// Nothing says it.
    Absent,
    /// They may come from the place named, which an entry of our own would hide.
    Elsewhere(&'static str),
}

fn submit_options<'a>(spark: &Container<'a>, case: &Case<'_>) -> SubmitOptions<'a> {
    if let Some((index, entry)) = spark.env(SPARK_SUBMIT_OPTS) {
        return match entry.get("value").as_str() {
            Some(value) => SubmitOptions::Literal { index, value },
            None if entry.get("valueFrom").is_null() => SubmitOptions::Literal { index, value: "" },
            None => SubmitOptions::Elsewhere("its valueFrom"),
        };
    }
    if spark.has_env_from() {
        return SubmitOptions::Elsewhere("envFrom");
    }
    let repository = ImageReference::parse(spark.image().unwrap_or_default()).repository;
    if case.policy.mutations.ivy_dir.images_with_submit_opts.matches(repository) {
        return SubmitOptions::Elsewhere("the image");
    }
    SubmitOptions::Absent
}

/// Whether options already say where Ivy lives.
pub(in crate::policy) fn moves_ivy(options: &str) -> bool {
    ["-Divy.home=", "-Divy.cache.dir=", "-Duser.home="].iter().any(|option| options.contains(option))
}

#[cfg(test)]
mod tests {
    use crate::policy::Mutation;
    use crate::policy::testing::{Sample, application, connect_server, driver, executor, notebook, spark_connect};
    use serde_json::{Value, json};

    fn with_packages() -> Sample {
        application().with("/spec/deps/packages", json!(["a:b:1"]))
    }

    fn directory(resource: &Sample) -> String {
        resource.by(Mutation::IvyDir).join("; ").trim_start_matches("spec.sparkConf[spark.jars.ivy] = ").to_owned()
    }

    #[test]
    #[rustfmt::skip]
    fn decides_on_resources() {
        let own = application().with("/spec/sparkConf/spark.jars.ivy", "/ivy");
        for (case, resource, expected) in [
            ("a user's own directory", own.with("/spec/deps/packages", json!(["a:b:1"])), "skipped: user-decided"),
            ("Ivy moved by Java options", with_packages().with("/spec/sparkConf/spark.driver.extraJavaOptions", "-Divy.cache.dir=/tmp -Divy.home=/tmp"), "skipped: user-decided"),
            ("Ivy moved by the driver's own field for them", with_packages().with("/spec/driver/javaOptions", "-Divy.home=/tmp"), "skipped: user-decided"),
            ("Ivy moved by the driver's environment", with_packages().and("/spec/driver/env", json!({"name": "SPARK_SUBMIT_OPTS", "value": "-Duser.home=/tmp"})), "skipped: user-decided"),
            ("the same in the older form", with_packages().with("/spec/driver/envVars/SPARK_SUBMIT_OPTS", "-Divy.home=/tmp"), "skipped: user-decided"),
            ("a Connect server's environment", spark_connect().with("/spec/server/template/spec/containers", json!([{"env": [{"name": "SPARK_SUBMIT_OPTS", "value": "-Divy.home=/tmp"}]}])), "skipped: user-decided"),
            ("Java options of another kind", with_packages().with("/spec/driver/javaOptions", "-Xss4m"), "/tmp/.ivy2/b06925de8d31"),
            ("no packages", application(), "skipped: no-packages"),
            ("blank packages", application().with("/spec/sparkConf/spark.jars.packages", " "), "skipped: no-packages"),
            ("empty deps", application().with("/spec/deps/packages", json!([""])), "skipped: no-packages"),
            ("a SparkConnect without packages, on Spark 4", spark_connect().with("/spec/sparkVersion", "4.0.1").with("/spec/image", "apache/spark:4.0.1"), "skipped: no-packages"),
            ("a SparkConnect whose Ivy directory is the user's own volume", spark_connect().with("/spec/server/template/spec/containers", json!([{"volumeMounts": [{"name": "v", "mountPath": "/home/spark/.ivy2"}]}])), "skipped: users-mount"),
            ("a SparkConnect with the package that was added", spark_connect(), "/tmp/.ivy2"),
            ("an application", with_packages(), "/tmp/.ivy2/b06925de8d31"),
            ("a mount path of its own whose volume is only observed", with_packages().under("ivy-cache: {mountPath: /ivy, mode: observe}"), "skipped: no-ivy-volume"),
            ("a mount path of its own with the volume", with_packages().under("ivy-cache: {mountPath: /ivy}, ivy-dir: {submission: shared}"), "/ivy"),
            ("the submission side left alone", with_packages().under("ivy-dir: {submission: off}"), "skipped: submission-off"),
            ("one directory for all", with_packages().under("ivy-dir: {submission: shared}"), "/tmp/.ivy2"),
            ("one for each application", with_packages().under("ivy-dir: {submission: per-application}"), "/tmp/.ivy2/42e7554acaf6"),
            ("another mount path", with_packages().under("ivy-cache: {mountPath: /tmp/ivy}, ivy-dir: {submission: shared}"), "/tmp/ivy"),
        ] {
            assert_eq!(directory(&resource), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn the_same_packages_share_a_directory() {
        let list = |packages: &str| application().with("/spec/sparkConf/spark.jars.packages", packages);
        let base = directory(&list("a:b:1,c:d:2"));
        assert!(base.starts_with("/tmp/.ivy2/"), "{base}");
        for (case, resource, same) in [
            ("another order", list("c:d:2,a:b:1"), true),
            ("blanks and trailing commas", list(" a:b:1,\n c:d:2,"), true),
            ("named in deps", application().with("/spec/deps/packages", json!(["a:b:1", "c:d:2"])), true),
            ("another name of the application", list("a:b:1,c:d:2").with("/metadata/name", "other"), true),
            ("another version", list("a:b:1,c:d:3"), false),
            ("another repository", list("a:b:1,c:d:2").with("/spec/deps/repositories", json!(["https://repo.corp"])), false),
            ("another exclusion", list("a:b:1,c:d:2").with("/spec/deps/excludePackages", json!(["x:y"])), false),
        ] {
            assert_eq!(directory(&resource) == base, same, "{case}");
        }
    }

    #[test]
    fn applications_are_told_apart() {
        let of = |key: &str, name: &str| {
            let generated =
                with_packages().under("ivy-dir: {submission: per-application}").with("/metadata", json!({}));
            directory(&generated.with(&format!("/metadata/{key}"), name))
        };
        assert_ne!(of("name", "a"), of("name", "b"));
        assert_eq!(of("generateName", "a-"), of("generateName", "b-"), "by the review's uid alone");
    }

    #[test]
    #[rustfmt::skip]
    fn decides_on_pods() {
        let env = "/spec/containers/0/env";
        let options = |value: &str| driver().and(env, json!({"name": "SPARK_SUBMIT_OPTS", "value": value}));
        let added = r#"spec.containers[0].env + {"name":"SPARK_SUBMIT_OPTS","value":"-Divy.home=/tmp/.ivy2"}"#;
        let from_map = json!({"configMapRef": {"name": "m"}});
        let with_tmp = |source: Value, more: Value| {
            let (mut volume, mut mount) = (json!({"name": "t"}), json!({"name": "t", "mountPath": "/tmp"}));
            json_patch::merge(&mut volume, &source);
            json_patch::merge(&mut mount, &more);
            driver().and("/spec/volumes", volume).and("/spec/containers/0/volumeMounts", mount)
        };
        for (case, pod, expected) in [
            ("environment from a config map", driver().and("/spec/containers/0/envFrom", from_map.clone()), "skipped: environment-hidden"),
            ("the variable from a secret", driver().and(env, json!({"name": "SPARK_SUBMIT_OPTS", "valueFrom": {"secretKeyRef": {}}})), "skipped: environment-hidden"),
            ("an image that sets it", driver().under("ivy-dir: {imagesWithSubmitOpts: [apache/*]}"), "skipped: environment-hidden"),
            ("a user who moved Ivy", options("-Divy.home=/ivy"), "skipped: user-decided"),
            ("Ivy moved for every JVM", driver().and(env, json!({"name": "JAVA_TOOL_OPTIONS", "value": "-Divy.home=/data"})), "skipped: user-decided"),
            ("a user who moved the home", options("-Duser.home=/home/me"), "skipped: user-decided"),
            ("a user's own Ivy volume elsewhere", driver().and("/spec/volumes", json!({"name": "ivy-cache", "emptyDir": {}})), "skipped: no-ivy-volume"),
            ("an empty volume for all of /tmp", with_tmp(json!({"emptyDir": {}}), json!({})), added),
            ("the same, read-only", with_tmp(json!({"emptyDir": {}}), json!({"readOnly": true})), "skipped: no-ivy-volume"),
            ("the same beside a home, where packages may be", with_tmp(json!({"emptyDir": {}}), json!({})).and("/spec/containers/0/volumeMounts", json!({"name": "home", "mountPath": "/home/me"})), "skipped: no-ivy-volume"),
            ("a claim for all of /tmp", with_tmp(json!({"persistentVolumeClaim": {"claimName": "c"}}), json!({})), "skipped: no-ivy-volume"),
            ("something mounted above", driver().and("/spec/containers/0/volumeMounts", json!({"name": "t", "mountPath": "/tmp"})), "skipped: no-ivy-volume"),
            ("a driver that the operator launched", driver().with("/metadata/labels/sparkoperator.k8s.io~1launched-by-spark-operator", "true"), "skipped: operator-submits"),
            ("a Connect server that the operator launched", connect_server(""), "skipped: operator-submits"),
            ("an executor", executor(), "skipped: off"),
            ("plain spark-submit", driver(), added),
            ("a notebook", notebook(), added),
            ("options of another kind", options("-Dx=y"), "spec.containers[0].env[0].value = -Dx=y -Divy.home=/tmp/.ivy2"),
            ("an entry without a value", driver().and(env, json!({"name": "SPARK_SUBMIT_OPTS"})), "spec.containers[0].env[0].value = -Divy.home=/tmp/.ivy2"),
            ("an entry of its own beats a config map", options("-Dx=y").and("/spec/containers/0/envFrom", from_map), "spec.containers[0].env[0].value = -Dx=y -Divy.home=/tmp/.ivy2"),
            ("of two entries the last one counts", options("-Dx=y").and(env, json!({"name": "SPARK_SUBMIT_OPTS", "value": "-Dz"})), "spec.containers[0].env[1].value = -Dz -Divy.home=/tmp/.ivy2"),
        ] {
            assert_eq!(pod.by(Mutation::IvyDir).join("; "), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn says_what_to_know() {
        let ivy = |directory: &str| application().with("/spec/sparkConf/spark.jars.ivy", directory);
        let mounted = |at: &str| json!({"name": "v", "mountPath": at});
        for (case, resource, expected) in [
            ("what it set", with_packages(), "ivy-dir: spark.jars.ivy is now /tmp/.ivy2/b06925de8d31"),
            ("a tilde", ivy("~/.ivy2"), "ivy-dir: spark.jars.ivy ~/.ivy2 is left as it is: it is not absolute (~ is not expanded)"),
            ("inside a mount", ivy("/data/ivy").and("/spec/driver/volumeMounts", mounted("/data")), "ivy-dir: spark.jars.ivy /data/ivy is left as it is: the volume at /data covers it"),
            ("above a mount", ivy("/data").and("/spec/driver/volumeMounts", mounted("/data/in")), "ivy-dir: spark.jars.ivy /data is left as it is: it would hide the volume at /data/in"),
            ("nothing, where the user mounts exactly there", ivy("/ivy").and("/spec/driver/volumeMounts", mounted("/ivy")), ""),
            ("where it gets a volume", ivy("/ivy"), "ivy-cache: a volume for packages is mounted at /ivy, from spark.jars.ivy"),
            ("environment that would be hidden", driver().and("/spec/containers/0/envFrom", json!({"secretRef": {"name": "s"}})), "ivy-dir: SPARK_SUBMIT_OPTS may come from envFrom: add -Divy.home=/tmp/.ivy2 there"),
        ] {
            assert_eq!(resource.warnings().join("; "), expected, "{case}");
        }
    }
}
