//! `flagged-node`: pods that can run on flagged nodes alone, and what was done about their limits.
//!
//! A resource's author learns what will befall its pods. Of a pod it is told what the mutation `limit-stripping` did, or why it did nothing:
//! that mutation keeps silent where this check looks.

use crate::policy::configuration::{Mode, MutationMode};
use crate::policy::field_path::FieldPath;
use crate::policy::finding::Findings;
use crate::policy::mutation::Mutation;
use crate::policy::mutations::Case;
use crate::policy::mutations::limit_stripping::Limited;
use crate::policy::mutations::treatment::{landing, names};
use crate::policy::names::{ENABLED, SKIP};
use crate::policy::nodes::{Landing, Placement};
use crate::policy::plan::shortened;
use crate::policy::role::Role;
use crate::policy::subject::{Pod, Resource};
use crate::policy::values::coordinates::entries;

const CURE: &str = "let it run on other nodes too, or have these repaired";

/// What of the nodes' names a warning has room for.
const LONGEST_NAMES: usize = 80;

/// Looks at a pod.
pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, findings: &mut Findings) {
    let Some(nodes) = pinned_to(case, || Placement::of(pod.spec())) else { return };
    let done = what_was_done(pod, case);
    findings.add(FieldPath::default(), format!("it can only run on flagged nodes ({nodes}){done}"), CURE);
}

/// Looks at a resource.
pub(super) fn of_resource(resource: &Resource<'_>, case: &Case<'_>, findings: &mut Findings) {
    let is_opted_out = resource.metadata().label(ENABLED) == Some("false");
    for (section, role) in [(resource.driver_section(), resource.kind().role()), ("executor", Role::Executor)] {
        let Some(nodes) = pinned_to(case, || resource.placement(section)) else { continue };
        let will_go = is_enforced(case, role) && !is_opted_out;
        let fate =
            if will_go { ", so their limits will go" } else { ", with which their limits may keep them from starting" };
        let problem = format!("{section} pods can only run on flagged nodes ({nodes}){fate}");
        findings.add(resource.spec_path().then([section]), problem, CURE.replace("it", "them"));
    }
}

/// The flagged nodes that a pod is pinned to, by name.
fn pinned_to<'a>(case: &Case<'_>, placement: impl FnOnce() -> Placement<'a>) -> Option<String> {
    match landing(case, placement) {
        Ok(Landing::Pinned(flagged)) => Some(shortened(&names(&flagged), LONGEST_NAMES)),
        _ => None,
    }
}

fn is_enforced(case: &Case<'_>, role: Role) -> bool {
    case.policy.mode == Mode::Enforce && case.mode_of(Mutation::LimitStripping, role) == MutationMode::Enforce
}

/// What became of the pod's limits.
fn what_was_done(pod: &Pod<'_>, case: &Case<'_>) -> String {
    let limited = Limited::of(pod, &case.policy.flagged_nodes.strip);
    let was_stripped = pod.metadata().was_changed_by(Mutation::LimitStripping);
    if limited.is_free() {
        let done = if was_stripped {
            ", so its limits were removed"
        } else {
            "; it has no limits that would keep it from starting"
        };
        return done.to_owned();
    }
    let declines = |key: &str| {
        entries(pod.annotation(key).unwrap_or_default()).any(|name| name == Mutation::LimitStripping.name())
    };
    let why = if was_stripped {
        "somebody put them back".to_owned()
    } else if let Some(by) = limited.demanded_by(case) {
        format!("{by} demands them")
    } else if declines(SKIP) || pod.label(ENABLED) == Some("false") {
        "its author wants that".to_owned()
    } else if is_enforced(case, pod.role()) {
        "they came after they could be removed".to_owned()
    } else {
        "the policy does not remove them".to_owned()
    };
    format!(", where it may not start with its limits, which stay: {why}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::policy::Check;
    use crate::policy::nodes::Constraints;
    use crate::policy::testing::{
        Sample, application, connect_server, driver, executor, flagged_node, node, notebook, scheduled, spark_connect,
    };
    use serde_json::json;

    const RESOURCES: &str = "/spec/containers/0/resources";
    const CURE: &str = "let it run on other nodes too, or have these repaired";

    fn found(sample: &Sample) -> Vec<String> {
        sample.mutated().found(Check::FlaggedNode)
    }

    /// On a cluster with a flagged node in zone a, and another one in zone b.
    fn mixed(sample: Sample) -> Sample {
        sample.on(vec![flagged_node("bad", &json!({"zone": "a"})), node("good", &json!({"zone": "b"}))])
    }

    /// A pod with limits that selects the flagged node.
    fn pinned(sample: Sample) -> Sample {
        let amounts = json!({"cpu": "1", "memory": "1Gi"});
        mixed(sample.with(RESOURCES, json!({"limits": amounts, "requests": amounts})))
            .with("/spec/nodeSelector/zone", "a")
    }

    fn under_a_quota(mut sample: Sample) -> Sample {
        let quota = json!({"metadata": {"name": "team"}, "spec": {"hard": {"limits.memory": "9Gi"}}});
        let constraints = Constraints::read(&[], &[serde_json::from_value(quota).unwrap()]);
        sample.snapshot.constraints = Arc::new([("jupyterhub-users".to_owned(), constraints)].into());
        sample
    }

    #[test]
    #[rustfmt::skip]
    fn says_what_was_done_about_a_pod() {
        let removed = ", so its limits were removed";
        let stay = |why: &str| format!(", where it may not start with its limits, which stay: {why}");
        let skipping = pinned(driver()).with("/metadata/annotations/spark-admission.io~1skip", "limit-stripping");
        for (case, pod, done) in [
            ("a driver", pinned(driver()), removed.to_owned()),
            ("an executor", pinned(executor()), removed.to_owned()),
            ("a Connect server", pinned(connect_server("")), removed.to_owned()),
            ("a notebook", pinned(notebook()), removed.to_owned()),
            ("requests alone", pinned(driver()).with("/spec/containers/0/resources/limits", json!(null)), "; it has no limits that would keep it from starting".to_owned()),
            ("limits that are demanded", under_a_quota(pinned(driver())), stay("ResourceQuota team demands them")),
            ("an author who declines", skipping, stay("its author wants that")),
            ("an author who opts out", pinned(driver()).with("/metadata/labels/spark-admission.io~1enabled", "false"), stay("its author wants that")),
            ("a policy that does not", pinned(driver()).under("limit-stripping: {mode: \"off\"}"), stay("the policy does not remove them")),
            ("a policy that observes", pinned(driver()).under("limit-stripping: {mode: observe}"), stay("the policy does not remove them")),
        ] {
            assert_eq!(found(&pod), [format!("it can only run on flagged nodes (bad){done}; {CURE}")], "{case}");
        }
        let put_back = pinned(driver()).with("/metadata/annotations/spark-admission.io~1mutated", "limit-stripping");
        assert_eq!(put_back.found(Check::FlaggedNode), [format!("it can only run on flagged nodes (bad){}; {CURE}", stay("somebody put them back"))]);
    }

    #[test]
    #[rustfmt::skip]
    fn tells_who_pins_to_flagged_nodes() {
        let zone = json!({"zone": "a"});
        let required = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}}});
        let line = |at: &str, section: &str| format!("{at}.{section}: {section} pods can only run on flagged nodes (bad), so their limits will go; let them run on other nodes too, or have these repaired");
        let (driver, executor, server) = (line("spec", "driver"), line("spec", "executor"), line("spec", "server"));
        for (case, resource, expected) in [
            ("nothing pins", application(), vec![]),
            ("another zone", application().with("/spec/driver/nodeSelector/zone", "b"), vec![]),
            ("the driver", application().with("/spec/driver/nodeSelector", zone.clone()), vec![driver.clone()]),
            ("the executors", application().with("/spec/executor/affinity", required.clone()), vec![executor.clone()]),
            ("both at once", application().with("/spec/nodeSelector", zone.clone()), vec![driver.clone(), executor.clone()]),
            ("by a template", application().with("/spec/driver/template/spec/nodeSelector", zone.clone()), vec![driver.clone()]),
            ("by Spark's configuration", application().with("/spec/sparkConf/spark.kubernetes.node.selector.zone", "a"), vec![driver.clone(), executor.clone()]),
            ("by Spark's configuration of executors", application().with("/spec/sparkConf/spark.kubernetes.executor.node.selector.zone", "a"), vec![executor]),
            ("a server, by its template", spark_connect().with("/spec/server/template/spec/affinity", required), vec![server.clone()]),
            ("a server, by Spark's configuration", spark_connect().with("/spec/sparkConf/spark.kubernetes.driver.node.selector.zone", "a"), vec![server]),
            ("a schedule", scheduled().with("/spec/template/executor/nodeSelector", zone.clone()), vec![line("spec.template", "executor")]),
        ] {
            assert_eq!(found(&mixed(resource)), expected, "{case}");
        }
        let unwilling = mixed(application()).under("limit-stripping: {roles: [executor]}").with("/spec/driver/nodeSelector", zone);
        assert_eq!(found(&unwilling), [driver.replace(", so their limits will go", ", with which their limits may keep them from starting")]);
    }

    #[test]
    #[rustfmt::skip]
    fn is_silent_about_pods_that_can_run_elsewhere() {
        let free = |sample: Sample| sample.with("/spec/nodeSelector", json!({}));
        for (case, pod) in [
            ("the nodes are not known", driver()),
            ("no node is flagged", driver().on(vec![node("good", &json!({}))])),
            ("kept off the flagged one", mixed(driver())),
            ("stripped, as the policy says", free(pinned(driver())).under_flagged("unpinned: {driver: strip}")),
            ("left to its luck, as the policy says", free(pinned(driver())).under_flagged("unpinned: {driver: ignore}")),
            ("no node fits at all", mixed(driver()).with("/spec/nodeSelector/zone", "c")),
        ] {
            assert_eq!(found(&pod), Vec::<String>::new(), "{case}");
        }
    }

    #[test]
    fn one_problem_is_told_once() {
        for (case, sample, told) in [
            ("a pod", pinned(driver()), 1),
            (
                "a pod, where the check does not look",
                pinned(driver()).checked_under("flagged-node: {level: \"off\"}"),
                1,
            ),
            ("limits that are demanded", under_a_quota(pinned(driver())), 1),
            ("a resource", mixed(application()).with("/spec/driver/nodeSelector/zone", "a"), 1),
        ] {
            let warnings = [sample.warnings(), found(&sample)].concat();
            let about = warnings.iter().filter(|warning| warning.contains("flagged nodes")).count();
            assert_eq!(about, told, "{case}: {warnings:?}");
        }
    }
}
