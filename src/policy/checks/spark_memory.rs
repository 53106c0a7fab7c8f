//! `spark-memory`: amounts of memory that Spark or its JVM refuse.
//!
//! Who reads what: `spark-submit` reads the memory of driver and executors and the driver's overhead before there is any pod
//! (`SparkSubmitArguments`, `BasicDriverFeatureStep`), the driver's `SparkContext` all of them again (`ResourceProfile`). The JVM of a driver
//! or Connect server gets its memory as it was written, as `-Xmx512m` (`SparkSubmitCommandBuilder`); that of an executor gets whole
//! mebibytes. The operator puts its fields behind `sparkConf`, so that a field wins over its key (spark-operator 2.4.0 and 2.5.2,
//! submission.go, sparkconnect/options.go).

use crate::policy::document::Json;
use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::plan::shortened;
use crate::policy::subject::{Resource, ResourceKind};
use crate::policy::values::image::ImageReference;
use crate::policy::values::spark_memory::{Amount, Flaw, heap_bytes, meant};
use crate::policy::values::spark_version::SparkVersion;

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, _case: &Case<'_>, findings: &mut Findings) {
    let driver = resource.driver_section();
    for (section, member, key, setting) in [
        (driver, "memory", "spark.driver.memory", Setting::Heap),
        (driver, "memoryOverhead", "spark.driver.memoryOverhead", Setting::DriverOverhead),
        ("executor", "memory", "spark.executor.memory", Setting::Executor),
        ("executor", "memoryOverhead", "spark.executor.memoryOverhead", Setting::ExecutorOverhead),
    ] {
        let Some((path, written)) = written(resource, [section, member], key) else { continue };
        let Some((problem, is_sure)) = problem(written, setting, resource) else { continue };
        let cure = meant(written).map_or_else(|| cure(written), |meant| format!("write {meant}"));
        if is_sure { findings.add(path, problem, cure) } else { findings.add_likely(path, problem, cure) }
    }
}

/// What an amount of memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    Heap,
    DriverOverhead,
    Executor,
    ExecutorOverhead,
}

/// The amount that Spark gets, and where it was written.
fn written<'a>(resource: &Resource<'a>, field: [&'static str; 2], key: &'static str) -> Option<(FieldPath, &'a str)> {
    let text = |path: [&'static str; 2]| {
        let value: Json<'a> = resource.spec().get(path[0]).get(path[1]);
        value.as_str().map(|text| (resource.spec_path().then(path), text))
    };
    text(field).or_else(|| text(["sparkConf", key]))
}

fn cure(written: &str) -> String {
    let example = "an amount such as 512m or 2g";
    if written.trim().is_empty() { format!("leave it out, or write {example}") } else { format!("write {example}") }
}

/// What is wrong with an amount, and whether that is sure.
fn problem(written: &str, setting: Setting, resource: &Resource<'_>) -> Option<(String, bool)> {
    // Spark takes the sign off an overhead before it reads it (`ConfigHelpers.byteFromString`).
    let is_overhead = matches!(setting, Setting::DriverOverhead | Setting::ExecutorOverhead);
    let unsigned = written.strip_prefix('-').filter(|_| is_overhead).unwrap_or(written);
    let quoted = format!("{:?}", shortened(written, 40));
    let sure = |problem: String| Some((problem, true));
    match (Amount::read(unsigned), setting) {
        (Amount::Unreadable(Flaw::Empty), _) => sure("it is empty, which is no amount of memory to Spark".to_owned()),
        (Amount::Unreadable(Flaw::Fraction), _) => sure(format!("Spark reads no fractions such as {quoted}")),
        (Amount::Unreadable(Flaw::Form), _) => sure(format!("{quoted} is nothing that Spark can read")),
        (Amount::ReadSince4_2(_), Setting::Heap) => unreadable_heap(&quoted, resource),
        (Amount::ReadSince4_2(_), _) => kubernetes_suffix(&quoted, setting, resource),
        (Amount::Read(0), Setting::Heap | Setting::Executor) => {
            sure(format!("{quoted} is no memory, which Spark refuses"))
        }
        (Amount::Read(_), Setting::Heap) => match heap_bytes(written) {
            None => unreadable_heap(&quoted, resource),
            Some(bytes) => (bytes < 1 << 20 && !is_heap_set_elsewhere(resource))
                .then(|| (format!("{quoted} is a heap of {bytes} bytes, in which no JVM starts"), true)),
        },
        (Amount::Read(_), _) => None,
    }
}

/// A heap in a form that some Spark reads and no JVM does.
fn unreadable_heap(quoted: &str, resource: &Resource<'_>) -> Option<(String, bool)> {
    let is_used = resource.driver_env(DAEMON_MEMORY).is_none() || readers(resource) == Readers::Before4_2;
    is_used.then(|| (format!("the JVM cannot read {quoted}, which becomes its -Xmx"), true))
}

/// `512Mi` where no JVM reads it. An operator's own Spark reads it first where it submits: upstream's are 4.0 up to operator 2.5.2.
fn kubernetes_suffix(quoted: &str, setting: Setting, resource: &Resource<'_>) -> Option<(String, bool)> {
    let is_submitted = resource.kind() != ResourceKind::SparkConnect && setting != Setting::ExecutorOverhead;
    match readers(resource) {
        Readers::Before4_2 => Some((format!("{quoted} is nothing that Spark can read"), true)),
        Readers::Since4_2 if is_submitted => Some((
            format!("the operator submits this with a Spark that may be older than 4.2 and cannot read {quoted}"),
            false,
        )),
        Readers::Since4_2 => None,
        Readers::Unknown => Some((format!("no Spark before 4.2 can read {quoted}"), false)),
    }
}

/// Which Spark reads the configuration, as far as the resource says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readers {
    Before4_2,
    Since4_2,
    Unknown,
}

fn readers(resource: &Resource<'_>) -> Readers {
    let of_image = resource.image().and_then(|image| ImageReference::parse(image).spark_version());
    let versions: Vec<_> = resource.spark_version().and_then(SparkVersion::parse).into_iter().chain(of_image).collect();
    let is_new = |version: &SparkVersion| (version.major, version.minor) >= (4, 2);
    match versions.iter().filter(|version| is_new(version)).count() {
        0 if !versions.is_empty() => Readers::Before4_2,
        new if new > 0 && new == versions.len() => Readers::Since4_2,
        _ => Readers::Unknown,
    }
}

/// From Spark 4 on it wins over `spark.driver.memory` in a Connect server (`SparkSubmitCommandBuilder`).
const DAEMON_MEMORY: &str = "SPARK_DAEMON_MEMORY";

/// Whether another option of the JVM, which comes behind `-Xmx`, says how large the heap is.
fn is_heap_set_elsewhere(resource: &Resource<'_>) -> bool {
    let options =
        ["spark.driver.extraJavaOptions", "spark.driver.defaultJavaOptions"].map(|key| resource.spark_conf(key));
    let mut options = options.into_iter().chain([resource.driver().get("javaOptions").as_str()]).flatten();
    options.any(|options| options.contains("MaxHeapSize"))
        || ["_JAVA_OPTIONS", DAEMON_MEMORY].iter().any(|name| resource.driver_env(name).is_some())
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, scheduled, spark_connect};
    use serde_json::json;

    fn of_4_2(sample: Sample) -> Sample {
        sample.with("/spec/image", "apache/spark:4.2.0").with("/spec/sparkVersion", "4.2.0")
    }

    #[test]
    #[rustfmt::skip]
    fn finds_what_spark_or_the_jvm_refuse() {
        let driver = |memory: &str| application().with("/spec/driver/memory", memory);
        let server = |memory: &str| spark_connect().with("/spec/server/memory", memory);
        let executor = |memory: &str| application().with("/spec/executor/memory", memory);
        let conf = |key: &str, value: &str| application().with("/spec/driver", json!({})).with(&format!("/spec/sparkConf/{key}"), value);
        let java = |options: &str| driver("512").with("/spec/driver/javaOptions", options);
        for (case, resource, expected) in [
            ("a memory of Kubernetes'", driver("512Mi"), "spec.driver.memory: the JVM cannot read \"512Mi\", which becomes its -Xmx; write 512m"),
            ("of a server", server("512Mi"), "spec.server.memory: the JVM cannot read \"512Mi\", which becomes its -Xmx; write 512m"),
            ("with the Spark that reads it, whose JVM does not", of_4_2(server("2GiB")), "spec.server.memory: the JVM cannot read \"2GiB\", which becomes its -Xmx; write 2g"),
            ("of executors", executor("512Mi"), "spec.executor.memory: \"512Mi\" is nothing that Spark can read; write 512m"),
            ("a fraction", driver("1.5g"), "spec.driver.memory: Spark reads no fractions such as \"1.5g\"; write 1536m"),
            ("a fraction of executors", executor("0.5G"), "spec.executor.memory: Spark reads no fractions such as \"0.5G\"; write 512m"),
            ("a plain number of a driver, in bytes", driver("512"), "spec.driver.memory: \"512\" is a heap of 512 bytes, in which no JVM starts; write 512m"),
            ("a plain number of a server", server("1024"), "spec.server.memory: \"1024\" is a heap of 1024 bytes, in which no JVM starts; write 1024m"),
            ("the largest that is judged", driver("1048575"), "spec.driver.memory: \"1048575\" is a heap of 1048575 bytes, in which no JVM starts; write an amount such as 512m or 2g"),
            ("a suffix that Spark alone reads", driver("1gb"), "spec.driver.memory: the JVM cannot read \"1gb\", which becomes its -Xmx; write 1g"),
            ("no memory for executors", executor("0"), "spec.executor.memory: \"0\" is no memory, which Spark refuses; write an amount such as 512m or 2g"),
            ("an empty one", driver(""), "spec.driver.memory: it is empty, which is no amount of memory to Spark; leave it out, or write an amount such as 512m or 2g"),
            ("a driver's overhead", application().with("/spec/driver/memoryOverhead", "384Mi"), "spec.driver.memoryOverhead: \"384Mi\" is nothing that Spark can read; write 384m"),
            ("executors' overhead", application().with("/spec/executor/memoryOverhead", "0.5g"), "spec.executor.memoryOverhead: Spark reads no fractions such as \"0.5g\"; write 512m"),
            ("Spark's configuration", conf("spark.driver.memory", "1Gi"), "spec.sparkConf[spark.driver.memory]: the JVM cannot read \"1Gi\", which becomes its -Xmx; write 1g"),
            ("Spark's configuration of overhead", conf("spark.executor.memoryOverhead", "1Gi"), "spec.sparkConf[spark.executor.memoryOverhead]: \"1Gi\" is nothing that Spark can read; write 1g"),
            ("a server's overhead", spark_connect().with("/spec/sparkConf/spark.driver.memoryOverhead", "1Gi"), "spec.sparkConf[spark.driver.memoryOverhead]: \"1Gi\" is nothing that Spark can read; write 1g"),
            ("a field that wins over a good key", driver("1Gi").with("/spec/sparkConf/spark.driver.memory", "1g"), "spec.driver.memory: the JVM cannot read \"1Gi\", which becomes its -Xmx; write 1g"),
            ("a schedule", scheduled().with("/spec/template/driver/memory", "1.5g"), "spec.template.driver.memory: Spark reads no fractions such as \"1.5g\"; write 1536m"),
            ("an image of unknown version, by sparkVersion", executor("1Gi").with("/spec/image", "registry.example/etl:stable"), "spec.executor.memory: \"1Gi\" is nothing that Spark can read; write 1g"),
            ("an option that leaves the heap alone", java("-XX:+UseG1GC"), "spec.driver.memory: \"512\" is a heap of 512 bytes, in which no JVM starts; write 512m"),
        ] {
            assert_eq!(resource.found(Check::SparkMemory), [expected], "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn only_warns_where_a_newer_spark_reads_it() {
        let executor = || application().with("/spec/executor/memory", "512Mi");
        let submitted = "spec.executor.memory: the operator submits this with a Spark that may be older than 4.2 and cannot read \"512Mi\"; write 512m (at most a warning)";
        let unknown = "spec.executor.memory: no Spark before 4.2 can read \"512Mi\"; write 512m (at most a warning)";
        for (case, resource, expected) in [
            ("the application's own Spark would", of_4_2(executor()), Some(submitted)),
            ("image and sparkVersion disagree", executor().with("/spec/image", "apache/spark:4.2.0"), Some(unknown)),
            ("nobody knows", executor().with("/spec/sparkVersion", "latest").with("/spec/image", "registry.example/etl"), Some(unknown)),
            ("a Connect server's Spark does", of_4_2(spark_connect()).with("/spec/executor/memory", "512Mi"), None),
            ("overhead of executors, which only the driver reads", of_4_2(application()).with("/spec/executor/memoryOverhead", "512Mi"), None),
        ] {
            assert_eq!(resource.found(Check::SparkMemory), expected.into_iter().collect::<Vec<_>>(), "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn is_silent_about_what_works() {
        let driver = |memory: &str| application().with("/spec/driver/memory", memory);
        for (case, resource) in [
            ("mebibytes", driver("512m")),
            ("gibibytes in capitals", driver("2G")),
            ("blanks around it", driver(" 512m ")),
            ("bytes, enough for the rule", driver("1048576")),
            ("a gibibyte in bytes", driver("1073741824")),
            ("a plain number of executors, in mebibytes", application().with("/spec/executor/memory", "512")),
            ("a suffix that Spark alone reads, of executors", application().with("/spec/executor/memory", "1gb")),
            ("a plain overhead, in mebibytes", application().with("/spec/driver/memoryOverhead", "384")),
            ("no overhead", application().with("/spec/driver/memoryOverhead", "0")),
            ("an overhead with a sign", application().with("/spec/executor/memoryOverhead", "-384m")),
            ("a bad key that the field overrides", driver("1g").with("/spec/sparkConf/spark.driver.memory", "1Gi")),
            ("a bad key that a server's field overrides", spark_connect().with("/spec/server/memory", "1g").with("/spec/sparkConf/spark.driver.memory", "512")),
            ("a limit, which Kubernetes reads", application().with("/spec/driver/memoryLimit", "1536Mi")),
            ("other settings, which are not judged", application().with("/spec/sparkConf/spark.memory.offHeap.size", "1Gi").with("/spec/memoryOverheadFactor", "lots")),
            ("a heap that the JVM's options say", driver("512").with("/spec/driver/javaOptions", "-XX:MaxHeapSize=1g")),
            ("a heap that the environment says", spark_connect().with("/spec/server/memory", "512").with("/spec/server/template/spec/containers", json!([{"name": "c", "env": [{"name": "SPARK_DAEMON_MEMORY", "value": "2g"}]}]))),
            ("a number, which the API server refuses itself", application().with("/spec/driver/memory", 512)),
        ] {
            assert_eq!(resource.found(Check::SparkMemory), Vec::<String>::new(), "{case}");
        }
    }
}
