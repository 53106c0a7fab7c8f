//! `memory-quantity`: amounts of memory under 1Mi that the mutation of the same name did not repair.
//!
//! With a limit of less than 1Mi no container starts: on a healthy node it hangs in `ContainerCreating` with "no space left on device", for
//! the pod's memory limit caps the volume of the service account's token; without a token the sandbox "cannot allocate memory". Into a
//! volume of less than a page nothing fits. A request is but a wish, with which pods run, and a volume of some kilobytes may be meant: these
//! are only warned about.

use crate::policy::configuration::{Mode, MutationMode};
use crate::policy::finding::Findings;
use crate::policy::mutation::Mutation;
use crate::policy::mutations::Case;
use crate::policy::names::ENABLED;
use crate::policy::subject::memory::{Meant, MemoryField, Mistake, mistakes_of_pod, mistakes_of_resource};
use crate::policy::subject::{Pod, Resource, ResourceKind};
use crate::policy::values::quantity::Quantity;

/// The smallest volume in memory: one page.
const PAGE: u64 = 4096;

/// Looks at a pod.
pub(super) fn of_pod(pod: &Pod<'_>, _case: &Case<'_>, findings: &mut Findings) {
    tell(mistakes_of_pod(pod), findings);
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let will_be_repaired = will_be_repaired(resource, case);
    let stays = |mistake: &Mistake<'_>| !(will_be_repaired && matches!(mistake.meant, Meant::This(_)));
    tell(mistakes_of_resource(resource).into_iter().filter(stays).collect(), findings);
}

/// Whether the mutation, which never changes a schedule, will repair the applications that are made of it. They get its labels and none of
/// its annotations.
fn will_be_repaired(resource: &Resource<'_>, case: &Case<'_>) -> bool {
    resource.kind() == ResourceKind::ScheduledSparkApplication
        && resource.metadata().label(ENABLED) != Some("false")
        && case.policy.mode == Mode::Enforce
        && case.mode_of(Mutation::MemoryQuantity, resource.kind().role()) == MutationMode::Enforce
}

fn tell(mistakes: Vec<Mistake<'_>>, findings: &mut Findings) {
    let is_said = |at: usize| at > 0 && is_limit_again(&mistakes[at - 1], &mistakes[at]);
    let said: Vec<_> = (0..mistakes.len()).map(is_said).collect();
    let new = mistakes.into_iter().zip(said).filter(|(_, is_said)| !is_said);
    new.for_each(|(mistake, _)| tell_one(mistake, findings));
}

/// Whether a request is but its limit, which stands before it: the API server makes a request of a limit that has none.
fn is_limit_again(limit: &Mistake<'_>, request: &Mistake<'_>) -> bool {
    let place = |mistake: &Mistake<'_>| mistake.path.steps().iter().rev().skip(2).cloned().collect::<Vec<_>>();
    (limit.field, request.field) == (MemoryField::Limit, MemoryField::Request)
        && limit.written == request.written
        && place(limit) == place(request)
}

fn tell_one(mistake: Mistake<'_>, findings: &mut Findings) {
    let Mistake { path, field, written, meant } = mistake;
    let cure = match meant {
        Meant::This(meant) => format!("write {meant}"),
        Meant::Exceeding(meant, ceiling) => format!("write {meant}, and no less for {ceiling}"),
        Meant::Unknown => "write an amount with Mi or Gi, such as 512Mi".to_owned(),
    };
    let is_under_a_page = Quantity::parse(&written) < Some(Quantity::from_bytes(PAGE));
    match field {
        MemoryField::Limit => {
            findings.add(path, format!("{written} is less than 1Mi, and with such a limit no container starts"), cure);
        }
        MemoryField::SizeLimit if is_under_a_page => {
            findings.add(
                path,
                format!("{written} is less than a page of memory, so nothing fits into the volume"),
                cure,
            );
        }
        MemoryField::SizeLimit => {
            findings.add_likely(path, format!("{written} is less than 1Mi, which is little for a volume"), cure);
        }
        MemoryField::Request => {
            findings.add_likely(path, format!("{written} is less than 1Mi, which reserves nothing"), cure);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Check;
    use crate::policy::testing::{Sample, application, driver, scheduled, spark_connect};
    use serde_json::{Value, json};

    const LIMIT: &str = "/spec/containers/0/resources/limits/memory";
    const REQUEST: &str = "/spec/containers/0/resources/requests/memory";
    const OFF: &str = "memory-quantity: {mode: \"off\"}";

    fn volume(size: impl Into<Value>) -> Value {
        json!({"name": "v", "emptyDir": {"sizeLimit": size.into()}})
    }

    fn limited(memory: impl Into<Value>) -> Value {
        json!({"name": "c", "resources": {"limits": {"memory": memory.into()}}})
    }

    /// What is found once the mutation had its turn.
    fn found(sample: Sample) -> Vec<String> {
        sample.mutated().found(Check::MemoryQuantity)
    }

    #[test]
    #[rustfmt::skip]
    fn finds_what_was_not_repaired() {
        let limit = "and with such a limit no container starts";
        let mebibytes = "write an amount with Mi or Gi, such as 512Mi";
        let container = "spec.containers[0].resources";
        for (case, sample, expected) in [
            ("a limit of bytes", driver().with(LIMIT, 512), format!("{container}.limits.memory: 512 is less than 1Mi, {limit}; {mebibytes}")),
            ("a limit of which the API server made the request", driver().with(LIMIT, "512").with(REQUEST, "512"), format!("{container}.limits.memory: 512 is less than 1Mi, {limit}; {mebibytes}")),
            ("a limit of kilobytes", driver().with(LIMIT, "512Ki"), format!("{container}.limits.memory: 512Ki is less than 1Mi, {limit}; {mebibytes}")),
            ("a limit of the pod as a whole", driver().with("/spec/resources/limits/memory", "15m"), format!("spec.resources.limits.memory: 15m is less than 1Mi, {limit}; {mebibytes}")),
            ("the repair is off", driver().with(LIMIT, "512m").under(OFF), format!("{container}.limits.memory: 512m is less than 1Mi, {limit}; write 512Mi")),
            ("the repair is only observed", driver().with(LIMIT, "512m").under("memory-quantity: {mode: observe}"), format!("{container}.limits.memory: 512m is less than 1Mi, {limit}; write 512Mi")),
            ("the author declined it", driver().with(LIMIT, "512m").with("/metadata/annotations/spark-admission.io~1skip", "memory-quantity"), format!("{container}.limits.memory: 512m is less than 1Mi, {limit}; write 512Mi")),
            ("the pod's own memory leaves no room", driver().with(LIMIT, "512m").with("/spec/resources/requests/memory", "1Gi"), format!("{container}.limits.memory: 512m is less than 1Mi, {limit}; write 512Mi, and no less for the pod's own memory")),
            ("a request that would exceed its limit", driver().with(REQUEST, "512m").with(LIMIT, "256Mi"), format!("{container}.requests.memory: 512m is less than 1Mi, which reserves nothing; write 512Mi, and no less for the limit (at most a warning)")),
            ("a request of kilobytes", driver().with(REQUEST, "512Ki"), format!("{container}.requests.memory: 512Ki is less than 1Mi, which reserves nothing; {mebibytes} (at most a warning)")),
            ("a volume of half a byte", driver().and("/spec/volumes", volume("512m")).under(OFF), "spec.volumes[0].emptyDir.sizeLimit: 512m is less than a page of memory, so nothing fits into the volume; write 512Mi".to_owned()),
            ("a volume of one byte less than a page", driver().and("/spec/volumes", volume(4095)), format!("spec.volumes[0].emptyDir.sizeLimit: 4095 is less than a page of memory, so nothing fits into the volume; {mebibytes}")),
            ("a volume for small files", driver().and("/spec/volumes", volume("64Ki")), format!("spec.volumes[0].emptyDir.sizeLimit: 64Ki is less than 1Mi, which is little for a volume; {mebibytes} (at most a warning)")),
            ("a sidecar of an application", application().and("/spec/driver/sidecars", limited(512)), format!("spec.driver.sidecars[0].resources.limits.memory: 512 is less than 1Mi, {limit}; {mebibytes}")),
            ("a server's template", spark_connect().and("/spec/server/template/spec/containers", limited(512)), format!("spec.server.template.spec.containers[0].resources.limits.memory: 512 is less than 1Mi, {limit}; {mebibytes}")),
            ("a schedule", scheduled().and("/spec/template/volumes", volume(512)), format!("spec.template.volumes[0].emptyDir.sizeLimit: 512 is less than a page of memory, so nothing fits into the volume; {mebibytes}")),
            ("a schedule whose runs nobody repairs", scheduled().and("/spec/template/driver/sidecars", limited("512m")).under(OFF), format!("spec.template.driver.sidecars[0].resources.limits.memory: 512m is less than 1Mi, {limit}; write 512Mi")),
            ("a schedule whose runs are opted out", scheduled().and("/spec/template/driver/sidecars", limited("512m")).with("/metadata/labels/spark-admission.io~1enabled", "false"), format!("spec.template.driver.sidecars[0].resources.limits.memory: 512m is less than 1Mi, {limit}; write 512Mi")),
        ] {
            assert_eq!(found(sample), [expected], "{case}");
        }
    }

    #[test]
    #[rustfmt::skip]
    fn is_silent_about_what_is_meant_or_was_repaired() {
        for (case, sample) in [
            ("a limit that was repaired", driver().with(LIMIT, "512m")),
            ("both that were", driver().with(LIMIT, "512m").with(REQUEST, "512m")),
            ("exactly 1Mi", driver().with(LIMIT, "1Mi")),
            ("no limit", driver().with(LIMIT, "0")),
            ("a volume without a limit", driver().and("/spec/volumes", volume("0"))),
            ("negative, which the API server refuses", driver().with(LIMIT, "-512m")),
            ("huge", driver().with(LIMIT, "9e30")),
            ("1.6Gi as the API server writes it", driver().with(LIMIT, "1717986918400m")),
            ("cpu", driver().with("/spec/containers/0/resources/limits/cpu", "1m")),
            ("an application whose template was repaired", application().and("/spec/driver/template/spec/containers", limited("512m"))),
            ("a schedule whose runs will be", scheduled().and("/spec/template/driver/sidecars", limited("512m"))),
            ("Spark's own memory", application()),
            ("Spark's own limit, which the operator reads as Spark does", application().with("/spec/driver/memoryLimit", "512m")),
        ] {
            assert_eq!(found(sample), Vec::<String>::new(), "{case}");
        }
    }

    #[test]
    fn one_problem_is_told_once() {
        for (case, sample) in [
            ("repaired", driver().with(LIMIT, "512m")),
            ("not repaired", driver().with(REQUEST, "512Ki")),
            ("left to its runs", scheduled().and("/spec/template/driver/sidecars", limited("512m"))),
        ] {
            let told = [sample.warnings(), sample.mutated().found(Check::MemoryQuantity)].concat();
            assert_eq!(told.len(), 1, "{case}: {told:?}");
        }
    }
}
