//! `ivy-not-writable`: packages are named, and Ivy has no directory in which it can keep them.
//!
//! Spark downloads packages where its driver or Connect server runs: below `spark.jars.ivy`, else `-Divy.home`, else the home of its
//! user, which official images do not have (apache/spark-docker; `FileNotFoundException: .../.ivy2/cache/resolved-...xml`). The
//! mutations `ivy-dir` and `ivy-cache` cure this, so what is found is what they leave. Where an image or the operator may have settings
//! of its own nothing is said.

use super::disk::{Disk, Obstacle};
use super::java_options;
use crate::policy::Mutation;
use crate::policy::configuration::Submission;
use crate::policy::document::Json;
use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::mutations::ivy_dir::{SPARK_JARS_IVY, moves_ivy};
use crate::policy::role::Role;
use crate::policy::subject::{Pod, Resource, ResourceKind};
use crate::policy::values::coordinates::entries;
use crate::policy::values::path::{judge, overlaps};

/// Looks at a pod: of a Connect server, since no other says its packages.
pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, findings: &mut Findings) {
    let arguments = pod.connect_arguments();
    let has_packages = arguments.packages().is_some_and(|list| entries(list).next().is_some());
    let Some(spark) = pod.spark_container().filter(|_| has_packages && pod.role() == Role::ConnectServer) else {
        return;
    };
    let disk = Disk::of_container(spark, pod.spec());
    if let Some(directory) = arguments.conf(SPARK_JARS_IVY).filter(|directory| !directory.is_empty()) {
        return tell(&disk, directory, spark.path(), findings);
    }
    let is_said_elsewhere = java_options::may_set_in_server(pod, moves_ivy);
    let uid = spark.run_as_user().or(pod.run_as_user());
    if !is_said_elsewhere && lacks_a_home(spark.image(), uid, case) && !disk.may_hold_ivy() {
        tell_of_home(spark.path(), findings);
    }
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    if !resource.packages().into_iter().any(|list| entries(list).next().is_some()) {
        return;
    }
    let disk = Disk::of_resource(resource);
    if let Some(directory) = resource.spark_conf(SPARK_JARS_IVY) {
        let gets_a_volume = case.acts_on(resource, Mutation::IvyCache)
            && judge(directory).is_ok()
            && !resource.driver_mounts().any(|mount| overlaps(mount, directory));
        // The mutation has said what is wrong with a directory that is none.
        let is_told = case.acts_on(resource, Mutation::IvyDir) && !directory.starts_with('/');
        if !gets_a_volume && !is_told {
            tell(&disk, directory, resource.spec_path().then(["sparkConf", SPARK_JARS_IVY]), findings);
        }
        return;
    }
    // A schedule is not changed; the applications made of it are.
    let will_be_set = resource.kind() == ResourceKind::ScheduledSparkApplication
        && case.acts_on(resource, Mutation::IvyDir)
        && case.policy.mutations.ivy_dir.submission != Submission::Off;
    let is_said_elsewhere = will_be_set || java_options::may_set(resource, case, moves_ivy) || disk.may_hold_ivy();
    if !is_said_elsewhere && lacks_a_home(resource.image(), run_as_user(resource), case) {
        tell_of_home(resource.spec_path().then(["sparkConf", SPARK_JARS_IVY]), findings);
    }
}

/// The user that the resource gives its driver or server.
fn run_as_user(resource: &Resource<'_>) -> Option<i64> {
    let driver = resource.driver();
    let template = driver.get("template").get("spec");
    let of = |context: Json<'_>| context.get("runAsUser").as_i64();
    let of_template = || resource.server_container()?.run_as_user().or_else(|| of(template.get("securityContext")));
    of(driver.get("securityContext")).or_else(|| of(driver.get("podSecurityContext"))).or_else(of_template)
}

/// Whether the user of an official image has no home: every one but the administrator.
fn lacks_a_home(image: Option<&str>, uid: Option<i64>, case: &Case<'_>) -> bool {
    uid != Some(0) && case.is_official_image(image)
}

fn tell_of_home(place: FieldPath, findings: &mut Findings) {
    let problem = "packages are downloaded to the home of Spark's user, which the image does not have";
    findings.add_likely(place, problem, "set spark.jars.ivy to /tmp/.ivy2");
}

/// Tells why Ivy cannot write to a directory, where that is sure.
fn tell(disk: &Disk<'_>, directory: &str, place: FieldPath, findings: &mut Findings) {
    if !directory.starts_with('/') {
        let problem = format!("Ivy's directory {directory:?} is not absolute (~ is not expanded), which Ivy refuses");
        return findings.add_likely(place, problem, "set spark.jars.ivy to /tmp/.ivy2");
    }
    match disk.obstacle(directory) {
        Some(Obstacle::Mount(path)) => findings.add_likely(
            place,
            format!("Ivy's directory {directory} lies in {path}, which is mounted read-only"),
            "set spark.jars.ivy to /tmp/.ivy2, or mount a writable volume there",
        ),
        Some(Obstacle::Image(_)) => findings.add_likely(
            place,
            format!("Ivy's directory {directory} lies in the image, and readOnlyRootFilesystem is set"),
            format!("mount an emptyDir at {directory}"),
        ),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, connect_server, scheduled, spark_connect};
    use serde_json::{Value, json};

    const IVY: &str = "/spec/sparkConf/spark.jars.ivy";
    const PACKAGES: &str = "/spec/sparkConf/spark.jars.packages";

    fn off(sample: Sample) -> Sample {
        sample.under("ivy-cache: {mode: 'off'}, ivy-dir: {mode: 'off'}")
    }

    fn with_packages(sample: Sample) -> Sample {
        sample.with(PACKAGES, "a:b:1")
    }

    /// The sort of what is found.
    fn sort(sample: &Sample) -> &'static str {
        let found = sample.found(Check::IvyNotWritable).join("\n");
        let sorts = [
            ("home of Spark's user", "home"),
            ("mounted read-only", "mount"),
            ("readOnlyRootFilesystem", "root"),
            ("not absolute", "relative"),
        ];
        sorts.into_iter().find(|(words, _)| found.contains(words)).map_or("", |(_, sort)| sort)
    }

    #[test]
    #[rustfmt::skip]
    fn finds_what_the_mutations_leave() {
        let app = || off(with_packages(application()));
        let connect = || off(with_packages(spark_connect()));
        let server = |container: Value, volumes: Value| connect().with("/spec/server/template/spec", json!({"containers": [container], "volumes": volumes}));
        let mounted = |mount: &str, is_read_only: bool| json!({"name": "spark-kubernetes-driver", "volumeMounts": [{"name": "v", "mountPath": mount, "readOnly": is_read_only}]});
        let claim = json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]);
        let map = json!([{"name": "v", "configMap": {"name": "c"}}]);
        let read_only_root = json!({"name": "spark-kubernetes-driver", "securityContext": {"readOnlyRootFilesystem": true}});
        for (case, resource, expected) in [
            ("an application", app(), "home"),
            ("its packages as deps", off(application()).with("/spec/deps/packages", json!(["a:b:1"])), "home"),
            ("a schedule", off(scheduled()).with("/spec/template/deps/packages", json!(["a:b:1"])), "home"),
            ("a schedule, whose applications are not pointed anywhere", scheduled().with("/spec/template/deps/packages", json!(["a:b:1"])).under("ivy-dir: {submission: 'off'}"), "home"),
            ("a server", connect(), "home"),
            ("a server under a user", connect().with("/spec/server/template/spec/securityContext/runAsUser", 185), "home"),
            ("a tilde", connect().with(IVY, "~/.ivy2"), "relative"),
            ("a read-only claim", server(mounted("/data", true), claim.clone()).with(IVY, "/data/ivy"), "mount"),
            ("a claim that is read-only itself", server(mounted("/data", false), json!([{"name": "v", "persistentVolumeClaim": {"claimName": "c", "readOnly": true}}])).with(IVY, "/data/ivy"), "mount"),
            ("a config map", server(mounted("/data", false), map).with(IVY, "/data/ivy"), "mount"),
            ("an application's secret", app().with(IVY, "/data/ivy").with("/spec/driver/secrets", json!([{"name": "s", "path": "/data"}])), "mount"),
            ("an application's read-only mount", app().with(IVY, "/data/ivy").with("/spec/driver/volumeMounts", json!([{"name": "v", "mountPath": "/data", "readOnly": true}])), "mount"),
            ("a read-only mount, with the mutations", with_packages(application()).with(IVY, "/data/ivy").with("/spec/driver/volumeMounts", json!([{"name": "v", "mountPath": "/data", "readOnly": true}])), "mount"),
            ("a read-only image", server(read_only_root.clone(), json!([])).with(IVY, "/tmp/.ivy2"), "root"),
            ("a read-only image of an application", app().with(IVY, "/tmp/.ivy2").with("/spec/driver/securityContext/readOnlyRootFilesystem", true), "root"),

            ("the mutations act", with_packages(application()).with(IVY, "/tmp/.ivy2/0123456789ab"), ""),
            ("a read-only image, with the mutations", with_packages(spark_connect()).with(IVY, "/tmp/.ivy2").with("/spec/server/template/spec/containers", json!([read_only_root])), ""),
            ("a tilde, of which the mutation has told", with_packages(spark_connect()).with(IVY, "~/.ivy2"), ""),
            ("a schedule, whose applications the mutations will act on", scheduled().with("/spec/template/deps/packages", json!(["a:b:1"])), ""),
            ("no packages", off(application()), ""),
            ("packages of nothing", off(application()).with(PACKAGES, " , "), ""),
            ("a directory of one's own", app().with(IVY, "/tmp/ivy"), ""),
            ("a writable claim", server(mounted("/data", false), claim.clone()).with(IVY, "/data/ivy"), ""),
            ("a writable claim within a read-only one", connect().with(IVY, "/data/ivy").with("/spec/server/template/spec", json!({"containers": [{"volumeMounts": [{"name": "a", "mountPath": "/data", "readOnly": true}, {"name": "b", "mountPath": "/data/ivy"}]}]})), ""),
            ("a claim beside the directory", server(mounted("/data", true), claim.clone()).with(IVY, "/data2/ivy"), ""),
            ("a volume in Ivy's place", server(mounted("/home/spark/.ivy2", false), claim), ""),
            ("another home for Java", app().with("/spec/driver/javaOptions", "-Duser.home=/tmp"), ""),
            ("options of the JVM that resolves", connect().with("/spec/server/template/spec/containers", json!([{"env": [{"name": "SPARK_SUBMIT_OPTS", "value": "-Divy.home=/tmp"}]}])), ""),
            ("variables that are not known", connect().with("/spec/server/template/spec/containers", json!([{"envFrom": [{"configMapRef": {"name": "c"}}]}])), ""),
            ("a configuration of one's own", server(mounted("/opt/spark/conf", false), json!([])), ""),
            ("an image with a home", app().with("/spec/image", "corp/etl:1"), ""),
            ("the administrator's home", app().with("/spec/driver/podSecurityContext/runAsUser", 0), ""),
        ] {
            assert_eq!(sort(&resource), expected, "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn finds_it_in_servers() {
        let server = |more: &str| connect_server(&format!("--packages a:b:1 {more}"));
        let env = |name: &str, entry: Value| server("").with("/spec/containers/0/env", json!([{"name": name, "value": entry}]));
        let mount = |path: &str, is_read_only: bool| json!([{"name": "v", "mountPath": path, "readOnly": is_read_only}]);
        let read_only_root = "/spec/containers/0/securityContext/readOnlyRootFilesystem";
        for (case, pod, expected) in [
            ("no directory", server(""), "home"),
            ("a read-only mount", server("--conf spark.jars.ivy=/data/ivy").with("/spec/containers/0/volumeMounts", mount("/data", true)), "mount"),
            ("a read-only image", server("--conf spark.jars.ivy=/tmp/.ivy2").with(read_only_root, true), "root"),
            ("a read-only image, and the volume", server("--conf spark.jars.ivy=/tmp/.ivy2").with(read_only_root, true).with("/spec/containers/0/volumeMounts", mount("/tmp/.ivy2", false)), ""),
            ("a directory", server("--conf spark.jars.ivy=/tmp/.ivy2"), ""),
            ("a directory in Java's options", env("SPARK_SUBMIT_OPTS", json!("-Divy.home=/tmp/.ivy2")), ""),
            ("options that are not known", env("SPARK_SUBMIT_OPTS", Value::Null), ""),
            ("another image", server("").with("/spec/containers/0/image", "corp/etl:1"), ""),
            ("the administrator", server("").with("/spec/securityContext/runAsUser", 0), ""),
            ("no packages", connect_server(""), ""),
        ] {
            assert_eq!(sort(&pod), expected, "{case}");
        }
    }

    #[test]
    fn says_what_to_write() {
        let told = |sample: &Sample| sample.found(Check::IvyNotWritable).join("\n");
        assert_eq!(
            told(&off(with_packages(spark_connect()))),
            "spec.sparkConf[spark.jars.ivy]: packages are downloaded to the home of Spark's user, which the image does not have; \
             set spark.jars.ivy to /tmp/.ivy2 (at most a warning)"
        );
        let root = json!([{"securityContext": {"readOnlyRootFilesystem": true}}]);
        let connect = off(with_packages(spark_connect())).with(IVY, "/tmp/.ivy2");
        assert_eq!(
            told(&connect.with("/spec/server/template/spec/containers", root)),
            "spec.sparkConf[spark.jars.ivy]: Ivy's directory /tmp/.ivy2 lies in the image, and readOnlyRootFilesystem is set; \
             mount an emptyDir at /tmp/.ivy2 (at most a warning)"
        );
    }
}
