//! `memory-budget`: more memory than the limit, a `LimitRange` or a quota has room for.
//!
//! What is compared: heap, overhead and volumes in memory with a limit that the author wrote; what Spark asks for with the largest that a
//! `LimitRange` admits, and with what a quota has left. Spark's own limit is heap and overhead exactly, so there volumes count once they
//! exceed the overhead. Files in such volumes count as they are written: the Ivy volume of the webhook's own size does not count, for
//! packages fill a few dozen MiB of it, and the large ones are on disk.

use std::fmt;

use crate::policy::document::Json;
use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutations::Case;
use crate::policy::names::{IVY_CACHE_MEDIUM, IVY_CACHE_SIZE};
use crate::policy::nodes::constraints::{Budget, Ceiling};
use crate::policy::request::Operation;
use crate::policy::subject::{PodMemory, Resource, ResourceKind};
use crate::policy::values::quantity::Quantity;
use crate::policy::values::spark_memory::Amount;

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let budget = Budgeted { resource, case };
    let driver = budget.section(resource.driver_section(), resource.driver_memory());
    let executor = budget.section("executor", resource.executor_memory()).filter(|_| budget.has_executors());
    for section in [&driver, &executor].into_iter().flatten() {
        section.limit(findings);
        section.ceilings(budget.ceilings(), findings);
    }
    budget.quotas(driver.as_ref(), executor.as_ref(), findings);
}

/// A resource before what surrounds it.
struct Budgeted<'r, 'a, 'c> {
    resource: &'r Resource<'a>,
    case: &'r Case<'c>,
}

/// The pods of one section of a resource.
struct Section {
    name: &'static str,
    path: FieldPath,
    memory: PodMemory,
    /// Where Spark itself sets request and limit: everywhere but in a Connect server, whose template does.
    asked_by_spark: bool,
    /// The limit that the author wrote, in mebibytes, and where.
    written_limit: Option<(u128, FieldPath)>,
    /// The request of a Connect server's template.
    written_request: Option<u128>,
    /// All volumes in memory.
    volumes: u128,
}

/// An amount in mebibytes.
struct Mi(u128);

impl fmt::Display for Mi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 && self.0.is_multiple_of(1024) {
            write!(f, "{}Gi", self.0 / 1024)
        } else {
            write!(f, "{}Mi", self.0)
        }
    }
}

impl Section {
    /// What the pod asks for, as far as that is known.
    fn request(&self) -> Option<u128> {
        if self.asked_by_spark { Some(self.memory.total()) } else { self.written_request }
    }

    /// `1408Mi (1Gi of heap and 384Mi beside it)`.
    fn needs(&self) -> String {
        let PodMemory { heap, overhead, more, .. } = self.memory;
        format!("{} ({} of heap and {} beside it)", Mi(self.memory.total()), Mi(heap), Mi(overhead + more))
    }

    fn limit(&self, findings: &mut Findings) {
        let needed = self.memory.total() + self.volumes;
        match &self.written_limit {
            Some((limit, _)) if needed <= *limit => {}
            Some((limit, path)) => {
                let PodMemory { heap, overhead, more, .. } = self.memory;
                let parts = [("heap", heap), ("overhead", overhead + more), ("volumes in memory", self.volumes)];
                let parts =
                    parts.iter().filter(|(_, part)| *part > 0).map(|(name, part)| format!("{name} {}", Mi(*part)));
                let fate = if self.asked_by_spark && self.memory.total() > *limit {
                    "the pod is refused, for it requests more"
                } else {
                    "it is killed (OOMKilled) once they fill"
                };
                let problem = format!("{} is less than {}: {fate}", Mi(*limit), parts.collect::<Vec<_>>().join(" + "));
                findings.add_likely(path.clone(), problem, format!("write {} or more, or use less", Mi(needed)));
            }
            None if self.asked_by_spark && self.volumes > self.memory.overhead => {
                let (volumes, room) = (Mi(self.volumes), Mi(self.memory.overhead));
                let problem = format!(
                    "volumes in memory of {volumes} count against the pod's limit, which has {room} beside the heap"
                );
                let enough = self.memory.usual_overhead + self.volumes;
                findings.add_likely(
                    self.path.clone(),
                    problem,
                    format!("write memoryOverhead: {enough}m, or take smaller volumes"),
                );
            }
            None => {}
        }
    }

    /// What the API server would refuse.
    fn ceilings(&self, ceilings: &[Ceiling], findings: &mut Findings) {
        let limit = self.written_limit.as_ref().map(|(limit, _)| *limit);
        let Some(asked) = self.request().max(limit) else { return };
        let Some(ceiling) = ceilings.iter().filter(|it| asked > it.most.mebibytes()).min_by_key(|it| it.most) else {
            return;
        };
        let Ceiling { by, of, most } = ceiling;
        let (of, most) = (of.to_lowercase(), Mi(most.mebibytes()));
        let asked = if self.asked_by_spark { self.needs() } else { Mi(asked).to_string() };
        let problem = format!("its pods ask for {asked}, and {by} admits {most} a {of}: they will be refused");
        findings.add_likely(self.path.clone(), problem, "ask for less memory");
    }
}

impl<'a> Budgeted<'_, 'a, '_> {
    fn section(&self, name: &'static str, memory: Option<PodMemory>) -> Option<Section> {
        let (resource, path) = (self.resource, self.resource.spec_path().then([name]));
        let is_server = resource.kind() == ResourceKind::SparkConnect && name == "server";
        let (place, resources) = self.spark_resources(name);
        let amount = |list: &str| memory_of(resources.get(list).get("memory")).filter(|_| is_server);
        let written_limit = if is_server {
            // Of less than that `memory-quantity` tells.
            let limit = amount("limits").filter(|mebibytes| *mebibytes > 1);
            limit.map(|limit| (limit, place.then(["limits", "memory"])))
        } else {
            let limit = resource.spec().get(name).get("memoryLimit").as_str().and_then(memory_limit);
            limit.map(|limit| (limit, path.clone().then(["memoryLimit"])))
        };
        let written_request = amount("requests").or(amount("limits"));
        let volumes = self.volumes(name);
        Some(Section {
            name,
            path,
            memory: memory?,
            asked_by_spark: !is_server,
            written_limit,
            written_request,
            volumes,
        })
    }

    /// The resources of the container of a template that Spark will run in, and where they stand.
    fn spark_resources(&self, section: &'static str) -> (FieldPath, Json<'a>) {
        let containers = || self.template(section).get("containers").items();
        let place = containers().position(|it| it.get("name").as_str() == Some(container_name(section))).unwrap_or(0);
        let path =
            self.resource.spec_path().then([section, "template", "spec", "containers"]).at(place).then(["resources"]);
        (path, containers().nth(place).unwrap_or(Json::NULL).get("resources"))
    }

    fn template(&self, section: &'static str) -> Json<'a> {
        self.resource.spec().get(section).get("template").get("spec")
    }

    /// The volumes in memory that Spark's container mounts.
    fn volumes(&self, section: &'static str) -> u128 {
        let template = self.template(section);
        let containers = || template.get("containers").items();
        let named = containers().find(|it| it.get("name").as_str() == Some(container_name(section)));
        let of_template = sizes(template, named.or_else(|| containers().next()).unwrap_or(Json::NULL));
        let of_fields = sizes(self.resource.spec(), self.resource.spec().get(section));
        let all = of_template.chain(of_fields).filter(|(name, size)| *name != IVY || *size > self.own_ivy_size());
        all.map(|(_, size)| size).sum::<u128>() + self.wished_ivy(section)
    }

    fn own_ivy_size(&self) -> u128 {
        Quantity::parse(self.case.policy.mutations.ivy_cache.size_limit.as_str()).unwrap_or_default().mebibytes()
    }

    /// The Ivy volume that the author wants in another size than the webhook's own.
    fn wished_ivy(&self, section: &'static str) -> u128 {
        let metadata = self.resource.metadata();
        let is_in_memory = metadata.annotation(IVY_CACHE_MEDIUM).is_none_or(|medium| medium == "Memory");
        let size = metadata.annotation(IVY_CACHE_SIZE).and_then(Quantity::parse).map_or(0, Quantity::mebibytes);
        if section != "executor" && is_in_memory && size > self.own_ivy_size() { size } else { 0 }
    }

    fn ceilings(&self) -> &[Ceiling] {
        self.constraints().map_or(&[], |constraints| constraints.ceilings())
    }

    fn constraints(&self) -> Option<&crate::policy::nodes::Constraints> {
        self.case.snapshot.constraints.get(self.case.request.namespace)
    }

    fn has_executors(&self) -> bool {
        let spec = self.resource.spec();
        spec.get("executor").get("instances").as_i64() != Some(0)
            || spec.get("dynamicAllocation").get("enabled").as_bool() == Some(true)
    }

    /// Whether its pods are to be made now: then it counts what a quota has left. Else, and where pods of its own may be among those
    /// counted, just the quota itself.
    fn starts_now(&self) -> bool {
        self.case.request.operation == Operation::Create
            && self.resource.kind() != ResourceKind::ScheduledSparkApplication
            && self.resource.spec().get("suspend").as_bool() != Some(true)
    }

    /// A driver that does not fit into a quota, else a first executor that does not fit beside it.
    fn quotas(&self, driver: Option<&Section>, executor: Option<&Section>, findings: &mut Findings) {
        let budgets = self.constraints().map_or(&[][..], |constraints| constraints.budgets());
        let room = |budget: &Budget| {
            let used = if self.starts_now() { budget.used.mebibytes() } else { 0 };
            budget.hard.mebibytes().saturating_sub(used)
        };
        let Some(tightest) = budgets.iter().min_by_key(|budget| room(budget)) else { return };
        let (left, of_driver) = (room(tightest), driver.and_then(Section::request).unwrap_or(0));
        let (section, asked) = match (driver, executor) {
            (Some(driver), _) if of_driver > left => (driver, of_driver),
            (_, Some(executor)) if of_driver + executor.memory.total() > left => (executor, executor.memory.total()),
            _ => return,
        };
        let Budget { by, of, hard, .. } = tightest;
        let what = if section.name == "executor" {
            format!("no executor of {} fits", Mi(asked))
        } else {
            format!("the {} asks for {}", section.name, Mi(asked))
        };
        let beside = if section.name == "executor" && of_driver > 0 { " beside the driver" } else { "" };
        let problem = format!("{what}{beside}, and {by} has {} left of {} ({of})", Mi(left), Mi(hard.mebibytes()));
        findings.add_likely(section.path.clone(), problem, "ask for less memory, or wait until others have ended");
    }
}

/// The name of the webhook's Ivy volume.
const IVY: &str = "ivy-cache";

/// Spark's own container; in a Connect server's template the operator takes that of the driver.
fn container_name(section: &str) -> &'static str {
    if section == "executor" {
        crate::policy::names::EXECUTOR_CONTAINER
    } else {
        crate::policy::names::DRIVER_CONTAINER
    }
}

/// The volumes in memory of `holder` that are among the `volumeMounts` of `container`, with their sizes. One without a size may take half of
/// the node's memory, or nothing: nobody knows.
fn sizes<'a>(holder: Json<'a>, container: Json<'a>) -> impl Iterator<Item = (&'a str, u128)> {
    let is_mounted =
        move |name: &str| container.get("volumeMounts").items().any(|it| it.get("name").as_str() == Some(name));
    holder.get("volumes").items().filter_map(move |volume| {
        let name = volume.get("name").as_str().filter(|name| is_mounted(name))?;
        let empty = volume.get("emptyDir");
        let size = memory_of(empty.get("sizeLimit")).filter(|_| empty.get("medium").as_str() == Some("Memory"))?;
        Some((name, size))
    })
}

/// A Kubernetes quantity in mebibytes; nothing for nothing, which is no limit.
fn memory_of(quantity: Json<'_>) -> Option<u128> {
    if quantity.is_null() {
        return None;
    }
    Quantity::parse(&quantity.to_string()).map(Quantity::mebibytes).filter(|mebibytes| *mebibytes > 0)
}

/// A `memoryLimit`, which the operator reads in both ways (`ConvertJavaMemoryStringToK8sMemoryString`).
fn memory_limit(text: &str) -> Option<u128> {
    match Amount::read(text) {
        Amount::Read(bytes) => Some(bytes.div_ceil(1 << 20)),
        _ => Quantity::parse(text).map(Quantity::mebibytes),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::policy::Check;
    use crate::policy::nodes::Constraints;
    use crate::policy::testing::{Sample, application, scheduled, spark_connect};
    use serde_json::{Value, json};

    fn sized(sample: Sample) -> Sample {
        sample.with("/spec/driver/memory", "1g").with("/spec/executor/memory", "1g")
    }

    fn volume(name: &str, size: &str) -> Value {
        json!({"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": size}})
    }

    /// A server whose template has this limit, and mounts this volume.
    fn server(limit: &str, volume: Option<Value>) -> Sample {
        let name = volume.as_ref().map_or(json!("none"), |volume| volume["name"].clone());
        let container = json!({"name": "spark-kubernetes-driver", "resources": {"limits": {"memory": limit}}, "volumeMounts": [{"name": name, "mountPath": "/v"}]});
        spark_connect().with(
            "/spec/server/template/spec",
            json!({"containers": [container], "volumes": volume.into_iter().collect::<Vec<_>>()}),
        )
    }

    /// An application whose driver mounts a volume in memory.
    fn mounting(name: &str, size: &str) -> Sample {
        sized(application())
            .and("/spec/volumes", volume(name, size))
            .and("/spec/driver/volumeMounts", json!({"name": name, "mountPath": "/v"}))
    }

    fn constrained(mut sample: Sample, limits: &Value, quota: &Value) -> Sample {
        let range = json!({"metadata": {"name": "limits"}, "spec": {"limits": limits}});
        let quota = json!({"metadata": {"name": "team"}, "spec": quota["spec"], "status": quota["status"]});
        let constraints =
            Constraints::read(&[serde_json::from_value(range).unwrap()], &[serde_json::from_value(quota).unwrap()]);
        sample.snapshot.constraints = Arc::new([("jupyterhub-users".to_owned(), constraints)].into());
        sample
    }

    fn ranged(sample: Sample, kind: &str, most: &str) -> Sample {
        constrained(sample, &json!([{"type": kind, "max": {"memory": most}}]), &json!({}))
    }

    fn under_quota(sample: Sample, hard: &str, used: &str) -> Sample {
        constrained(
            sample,
            &json!([]),
            &json!({"spec": {"hard": {"requests.memory": hard}}, "status": {"used": {"requests.memory": used}}}),
        )
    }

    #[test]
    #[rustfmt::skip]
    fn finds_what_has_no_room() {
        let needs = "1408Mi (1Gi of heap and 384Mi beside it)";
        let template = "spec.server.template.spec.containers[0].resources.limits.memory";
        let killed = "it is killed (OOMKilled) once they fill";
        let parts = "heap 1Gi + overhead 384Mi";
        let left = "ask for less memory, or wait until others have ended";
        for (case, sample, expected) in [
            ("a server's limit of its heap", server("1Gi", None), format!("{template}: 1Gi is less than {parts}: {killed}; write 1408Mi or more, or use less")),
            ("a server's volume", server("1408Mi", Some(volume("shm", "512Mi"))), format!("{template}: 1408Mi is less than {parts} + volumes in memory 512Mi: {killed}; write 1920Mi or more, or use less")),
            ("a server's own Ivy volume, larger than ours", server("1408Mi", Some(volume("ivy-cache", "1Gi"))), format!("{template}: 1408Mi is less than {parts} + volumes in memory 1Gi: {killed}; write 2432Mi or more, or use less")),
            ("a driver's memoryLimit", sized(application()).with("/spec/driver/memoryLimit", "1g"), format!("spec.driver.memoryLimit: 1Gi is less than {parts}: the pod is refused, for it requests more; write 1408Mi or more, or use less")),
            ("an executor's memoryLimit", sized(application()).with("/spec/executor/memoryLimit", "1407Mi"), format!("spec.executor.memoryLimit: 1407Mi is less than {parts}: the pod is refused, for it requests more; write 1408Mi or more, or use less")),
            ("a driver's volume, larger than its overhead", mounting("shm", "385Mi"), "spec.driver: volumes in memory of 385Mi count against the pod's limit, which has 384Mi beside the heap; write memoryOverhead: 769m, or take smaller volumes".to_owned()),
            ("a driver's wished Ivy volume", sized(application()).with("/metadata/annotations/spark-admission.io~1ivy-cache-size", "1Gi"), "spec.driver: volumes in memory of 1Gi count against the pod's limit, which has 384Mi beside the heap; write memoryOverhead: 1408m, or take smaller volumes".to_owned()),
            ("a LimitRange", ranged(sized(application()).with("/spec/executor/memory", "512m"), "Container", "1Gi"), format!("spec.driver: its pods ask for {needs}, and LimitRange limits admits 1Gi a container: they will be refused; ask for less memory")),
            ("a LimitRange of pods", ranged(sized(application()).with("/spec/driver/memory", "512m"), "Pod", "1Gi"), format!("spec.executor: its pods ask for {needs}, and LimitRange limits admits 1Gi a pod: they will be refused; ask for less memory")),
            ("a server's limit", ranged(server("2Gi", None).with("/spec/executor/memory", "512m"), "Container", "1Gi"), "spec.server: its pods ask for 2Gi, and LimitRange limits admits 1Gi a container: they will be refused; ask for less memory".to_owned()),
            ("a quota, of which others have most", under_quota(sized(application()), "4Gi", "3Gi"), format!("spec.driver: the driver asks for 1408Mi, and ResourceQuota team has 1Gi left of 4Gi (requests.memory); {left}")),
            ("no room for an executor", under_quota(sized(application()), "4Gi", "2Gi"), format!("spec.executor: no executor of 1408Mi fits beside the driver, and ResourceQuota team has 2Gi left of 4Gi (requests.memory); {left}")),
            ("a server's executors", under_quota(spark_connect(), "1Gi", "0"), format!("spec.executor: no executor of 1408Mi fits, and ResourceQuota team has 1Gi left of 1Gi (requests.memory); {left}")),
            ("a schedule, which no quota would ever have room for", under_quota(scheduled().with("/spec/template/driver/memory", "2g"), "2Gi", "0"), format!("spec.template.driver: the driver asks for 2432Mi, and ResourceQuota team has 2Gi left of 2Gi (requests.memory); {left}")),
        ] {
            assert_eq!(sample.found(Check::MemoryBudget), [format!("{expected} (at most a warning)")], "{case}");
            assert!("memory-budget: ".len() + expected.len() <= 250, "{case}: a warning would be cut");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn is_silent_where_there_is_room() {
        let free = json!({"name": "unused", "emptyDir": {"medium": "Memory", "sizeLimit": "9Gi"}});
        let on_disk = json!({"name": "v", "emptyDir": {"sizeLimit": "9Gi"}});
        let unlimited = json!({"name": "v", "emptyDir": {"medium": "Memory"}});
        for (case, sample) in [
            ("nothing known of the namespace", sized(application())),
            ("the webhook's own Ivy volume", sized(application()).with("/spec/deps/packages", json!(["a:b:1"])).mutated()),
            ("a server's limit that just fits", server("1408Mi", None)),
            ("a server's Ivy volume in our size", server("1408Mi", Some(volume("ivy-cache", "512Mi")))),
            ("a server without a limit", spark_connect().with("/spec/server/memory", "64g")),
            ("a limit of nothing, which is none", server("0", None)),
            ("a limit of two bytes, of which another check tells", server("2048m", None)),
            ("a memoryLimit that just fits", sized(application()).with("/spec/driver/memoryLimit", "1408m")),
            ("a memoryLimit as Kubernetes has it", sized(application()).with("/spec/driver/memoryLimit", "1408Mi")),
            ("a small volume in memory", mounting("shm", "384Mi")),
            ("a volume with room made for it", mounting("shm", "1Gi").with("/spec/driver/memoryOverhead", "1408m")),
            ("a volume that nobody mounts", sized(application()).and("/spec/volumes", free)),
            ("a volume on disk", mounting("shm", "1Mi").with("/spec/volumes", json!([on_disk]))),
            ("a volume without a size", mounting("v", "1Mi").with("/spec/volumes", json!([unlimited]))),
            ("an Ivy volume on disk", sized(application()).with("/metadata/annotations/spark-admission.io~1ivy-cache-size", "9Gi").with("/metadata/annotations/spark-admission.io~1ivy-cache-medium", "Disk")),
            ("a LimitRange that just admits it", ranged(sized(application()), "Container", "1408Mi")),
            ("a LimitRange of claims", ranged(sized(application()), "PersistentVolumeClaim", "1Mi")),
            ("a quota that just has room", under_quota(sized(application()), "2816Mi", "0")),
            ("a quota for the driver alone, without executors", under_quota(sized(application()).with("/spec/executor/instances", 0), "1408Mi", "0")),
            ("an update, whose own pods are counted", under_quota(sized(application()).with("/spec/image", "x"), "4Gi", "4Gi").updating(sized(application()))),
            ("a schedule, which runs later", under_quota(scheduled(), "4Gi", "4Gi")),
            ("an application that waits", under_quota(sized(application()).with("/spec/suspend", true), "4Gi", "4Gi")),
            ("an amount that nobody can read", ranged(sized(application()).with("/spec/driver/memory", "lots"), "Container", "2Gi")),
            ("quotas of something else", constrained(sized(application()), &json!([]), &json!({"spec": {"hard": {"pods": 1}}}))),
        ] {
            assert_eq!(sample.found(Check::MemoryBudget), Vec::<String>::new(), "{case}");
        }
    }
}
