//! How much memory Spark will ask for, for the pods that a resource makes.
//!
//! As Spark does it (3.5.9 and 4.3.0, `BasicDriverFeatureStep`, `BasicExecutorFeatureStep`, `ResourceProfile`): heap and overhead, and for
//! executors what they have off the heap and for Python; request and limit are the same. The overhead is a part of the heap, a tenth or for a
//! driver in Python or R two fifths, and 384 MiB at least.

use super::{Resource, ResourceKind};
use crate::policy::values::spark_memory::Amount;

/// The memory of one pod, in mebibytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodMemory {
    /// The JVM's heap.
    pub heap: u128,
    /// What the JVM and others use besides.
    pub overhead: u128,
    /// Off the heap, and Python's own, where they are set.
    pub more: u128,
    /// The overhead as Spark would have it by itself.
    pub usual_overhead: u128,
}

impl PodMemory {
    /// All of it.
    #[must_use]
    pub fn total(self) -> u128 {
        self.heap + self.overhead + self.more
    }
}

const LEAST_OVERHEAD: u128 = 384;
const DEFAULT_HEAP: u128 = 1024;
const MEBIBYTE: u128 = 1 << 20;

impl Resource<'_> {
    /// What the driver or Connect server gets; none where an amount cannot be read.
    #[must_use]
    pub fn driver_memory(&self) -> Option<PodMemory> {
        let section = self.driver_section();
        let default = if self.is_jvm_only() { 0.1 } else { 0.4 };
        let factor = self.factor("spark.driver.memoryOverheadFactor", default)?;
        let least = self.mebibytes(None, "spark.driver.minMemoryOverhead", LEAST_OVERHEAD)?;
        let heap = self.mebibytes(Some([section, "memory"]), "spark.driver.memory", DEFAULT_HEAP)?;
        let usual_overhead = part(heap, factor).max(least);
        let overhead =
            self.mebibytes(Some([section, "memoryOverhead"]), "spark.driver.memoryOverhead", usual_overhead)?;
        Some(PodMemory { heap, overhead, more: 0, usual_overhead })
    }

    /// What an executor gets; none where an amount cannot be read.
    #[must_use]
    pub fn executor_memory(&self) -> Option<PodMemory> {
        let default = if self.is_jvm_only() { 0.1 } else { 0.4 };
        let factor = self.factor("spark.executor.memoryOverheadFactor", default)?;
        let least = self.mebibytes(None, "spark.executor.minMemoryOverhead", LEAST_OVERHEAD)?;
        let heap = self.mebibytes(Some(["executor", "memory"]), "spark.executor.memory", DEFAULT_HEAP)?;
        let usual_overhead = part(heap, factor).max(least);
        let overhead =
            self.mebibytes(Some(["executor", "memoryOverhead"]), "spark.executor.memoryOverhead", usual_overhead)?;
        let is_off_heap = self.spark_conf("spark.memory.offHeap.enabled").is_some_and(|it| it.trim() == "true");
        let off_heap = match self.spark_conf("spark.memory.offHeap.size").filter(|_| is_off_heap).map(Amount::read) {
            Some(Amount::Read(bytes) | Amount::ReadSince4_2(bytes)) => bytes / MEBIBYTE,
            Some(Amount::Unreadable(_)) => return None,
            None => 0,
        };
        let is_python = self.main_file().ends_with(".py");
        let python = if is_python { self.mebibytes(None, "spark.executor.pyspark.memory", 0)? } else { 0 };
        Some(PodMemory { heap, overhead, more: off_heap + python, usual_overhead })
    }

    /// Where a setting of `sparkConf` or a field of the resource's own, which wins, says how many mebibytes.
    fn mebibytes(&self, field: Option<[&'static str; 2]>, key: &str, default: u128) -> Option<u128> {
        let of_field = field.and_then(|[section, member]| self.spec().get(section).get(member).as_str());
        let Some(written) = of_field.or_else(|| self.spec().get("sparkConf").get(key).as_str()) else {
            return Some(default);
        };
        let is_plain = written.trim().bytes().all(|byte| byte.is_ascii_digit());
        match Amount::read(written) {
            Amount::Read(mebibytes) if is_plain => Some(mebibytes),
            Amount::Read(bytes) | Amount::ReadSince4_2(bytes) => Some(bytes / MEBIBYTE),
            Amount::Unreadable(_) => None,
        }
    }

    /// What part of the heap is added. The operator puts its field before `sparkConf`, so that here the key wins.
    fn factor(&self, key: &str, default: f64) -> Option<f64> {
        let of_both = || {
            let key = self.spark_conf("spark.kubernetes.memoryOverheadFactor");
            key.or_else(|| self.spec().get("memoryOverheadFactor").as_str().filter(|factor| !factor.is_empty()))
        };
        let Some(written) = self.spark_conf(key).or_else(of_both) else { return Some(default) };
        written.trim().parse().ok().filter(|factor| (0.0..1e6).contains(factor))
    }

    /// Whether the driver runs on the JVM alone, as Spark tells it by the file; a Connect server does.
    fn is_jvm_only(&self) -> bool {
        self.kind() == ResourceKind::SparkConnect || ![".py", ".R"].iter().any(|end| self.main_file().ends_with(end))
    }

    fn main_file(&self) -> &str {
        self.spec().get("mainApplicationFile").as_str().unwrap_or_default()
    }
}

/// Cut to whole mebibytes, as Spark does.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a factor of a heap"
)]
fn part(heap: u128, factor: f64) -> u128 {
    (factor * heap as f64) as u128
}

#[cfg(test)]
mod tests {
    use crate::policy::document::Document;
    use crate::policy::subject::{Resource, ResourceKind};
    use serde_json::{Value, json};

    /// The totals of driver and executor.
    fn totals(kind: ResourceKind, spec: &Value) -> [Option<u128>; 2] {
        let text = json!({"spec": spec}).to_string();
        let document = Document::parse(&text).unwrap();
        let resource = Resource::of(kind, document.root());
        [resource.driver_memory(), resource.executor_memory()].map(|memory| memory.map(super::PodMemory::total))
    }

    /// Held against the pods that real Spark makes in tests/control_plane/memory_budget.rs.
    #[test]
    #[rustfmt::skip]
    fn asks_for_what_spark_asks_for() {
        use ResourceKind::{SparkApplication, SparkConnect};
        for (case, kind, spec, driver, executor) in [
            ("nothing is set", SparkApplication, json!({}), Some(1024 + 384), Some(1024 + 384)),
            ("a large heap", SparkApplication, json!({"driver": {"memory": "8g"}, "executor": {"memory": "10g"}}), Some(8192 + 819), Some(10_240 + 1024)),
            ("a plain number is of mebibytes", SparkApplication, json!({"executor": {"memory": "2048"}}), Some(1408), Some(2048 + 384)),
            ("Python", SparkApplication, json!({"mainApplicationFile": "local:///job.py", "driver": {"memory": "2g"}, "executor": {"memory": "2g"}}), Some(2048 + 819), Some(2048 + 819)),
            ("R", SparkApplication, json!({"mainApplicationFile": "local:///job.R", "driver": {"memory": "2g"}}), Some(2048 + 819), Some(1024 + 409)),
            ("Python with a factor", SparkApplication, json!({"mainApplicationFile": "local:///job.py", "memoryOverheadFactor": "0.1"}), Some(1408), Some(1408)),
            ("an overhead", SparkApplication, json!({"driver": {"memoryOverhead": "1g"}, "executor": {"memoryOverhead": "100"}}), Some(2048), Some(1124)),
            ("a key", SparkApplication, json!({"sparkConf": {"spark.driver.memoryOverhead": "100m", "spark.executor.memory": "4g"}}), Some(1124), Some(4096 + 409)),
            ("a key beats the field, of the factor alone", SparkApplication, json!({"memoryOverheadFactor": "0.9", "sparkConf": {"spark.kubernetes.memoryOverheadFactor": "0.5"}}), Some(1536), Some(1536)),
            ("off the heap", SparkApplication, json!({"sparkConf": {"spark.memory.offHeap.enabled": "true", "spark.memory.offHeap.size": "1g"}}), Some(1408), Some(1408 + 1024)),
            ("off the heap, which is off", SparkApplication, json!({"sparkConf": {"spark.memory.offHeap.size": "1g"}}), Some(1408), Some(1408)),
            ("Python's own", SparkApplication, json!({"mainApplicationFile": "local:///job.py", "sparkConf": {"spark.executor.pyspark.memory": "512m"}}), Some(1024 + 409), Some(1024 + 409 + 512)),
            ("a server", SparkConnect, json!({"server": {"memory": "2g"}, "executor": {"memory": "512m"}}), Some(2048 + 384), Some(512 + 384)),
            ("what cannot be read", SparkApplication, json!({"driver": {"memory": "lots"}}), None, Some(1408)),
        ] {
            assert_eq!(totals(kind, &spec), [driver, executor], "{case}");
        }
    }
}
