//! `node-steering`: a pod that could land on a flagged node or on another is kept off the flagged ones.
//!
//! By required node affinity, which every scheduler and autoscaler knows: a requirement more in each term that is there, because of
//! several terms one is enough, else in a first term. Flagged nodes by taint need none: the taint keeps off whoever does not tolerate
//! it. By name it takes one requirement a node, because `matchFields` takes no more than one value (`ValidateNodeSelectorTerm`).

use serde_json::{Value, json};

use super::treatment::{Exclusion, Treatment, names, treatment};
use super::{Case, Outcome, Plan, Pod};
use crate::policy::field_path::path;
use crate::policy::nodes::{Flagged, TERMS, is_empty_term, required_terms};
use crate::policy::outcome::Skip;

pub(super) fn of_pod(pod: &Pod<'_>, case: &Case<'_>, plan: &mut Plan) -> Outcome {
    match treatment(pod, case) {
        Treatment::None(why) => Outcome::Skipped(why),
        Treatment::Strip(..) => Outcome::Skipped(Skip::LimitsGo),
        Treatment::Avoid(exclusion, flagged) => {
            let (list, requirements) = requirements(&exclusion, &flagged);
            require(pod, list, &requirements, plan);
            plan.warn(match exclusion {
                Exclusion::Label(key) => format!("kept off flagged nodes by label {key}: {}", names(&flagged)),
                Exclusion::Names => format!("kept off flagged nodes by name: {}", names(&flagged)),
            });
            plan.outcome()
        }
    }
}

/// The requirements, and the list of a term that they belong in.
fn requirements(exclusion: &Exclusion<'_>, flagged: &[Flagged<'_>]) -> (&'static str, Vec<Value>) {
    let not_named =
        |(node, _): &Flagged<'_>| json!({"key": "metadata.name", "operator": "NotIn", "values": [&*node.name]});
    match exclusion {
        Exclusion::Label(key) => ("matchExpressions", vec![json!({"key": key, "operator": "DoesNotExist"})]),
        Exclusion::Names => ("matchFields", flagged.iter().map(not_named).collect()),
    }
}

fn require(pod: &Pod<'_>, list: &'static str, requirements: &[Value], plan: &mut Plan) {
    let required = required_terms(pod.spec());
    let terms = path(["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", TERMS]);
    if required.is_null() {
        return plan.append(terms, json!({list: requirements}));
    }
    for (index, term) in required.get(TERMS).items().enumerate() {
        // An empty term matches nothing, and must not begin to match.
        if !is_empty_term(term) {
            let place = terms.clone().at(index).then([list]);
            for requirement in requirements {
                plan.append(place.clone(), requirement.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::policy::Mutation;
    use crate::policy::testing::{Sample, connect_server, driver, executor, flagged_node, node, notebook};
    use serde_json::{Value, json};

    const TERMS: &str = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    const REQUIRED: &str = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution";
    const FLAG: &str = "spark-admission.io/flagged";

    /// Among three nodes in two zones, one of them flagged by a condition.
    fn among_nodes(sample: Sample) -> Sample {
        sample.on(vec![
            flagged_node("bad", &json!({"zone": "a"})),
            node("one", &json!({"zone": "a"})),
            node("two", &json!({"zone": "b"})),
        ])
    }

    /// Among nodes of which all flagged ones have the label.
    fn among_labelled(sample: Sample) -> Sample {
        sample.on(vec![node("bad", &json!({FLAG: "", "zone": "a"})), node("one", &json!({"zone": "a"}))])
    }

    fn in_zones(sample: Sample, zones: &[&str]) -> Sample {
        let terms: Vec<Value> = zones
            .iter()
            .map(|zone| json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": [zone]}]}))
            .collect();
        sample.with(&format!("{REQUIRED}/nodeSelectorTerms"), terms)
    }

    #[test]
    #[rustfmt::skip]
    fn decides() {
        let not = |name: &str| format!(r#"{{"key":"metadata.name","operator":"NotIn","values":["{name}"]}}"#);
        let by_name = format!(r#"{TERMS} + {{"matchFields":[{}]}}"#, not("bad"));
        let unlabelled = format!(r#"{{"key":"{FLAG}","operator":"DoesNotExist"}}"#);
        let by_label = format!(r#"{TERMS} + {{"matchExpressions":[{unlabelled}]}}"#);
        let both = || driver().on(vec![flagged_node("bad1", &json!({})), flagged_node("bad2", &json!({})), node("one", &json!({}))]);
        let skipped = |why: &str| vec![format!("skipped: {why}")];
        for (case, pod, expected) in [
            ("the nodes are not known", driver(), skipped("nodes-unknown")),
            ("no node is flagged", driver().on(vec![node("one", &json!({}))]), skipped("no-flagged-node")),
            ("no node is there at all", driver().on(vec![]), skipped("no-flagged-node")),
            ("a pod that fits no flagged node", among_nodes(driver()).with("/spec/nodeSelector/zone", "b"), skipped("no-flagged-node")),
            ("a pod that fits no node", among_nodes(driver()).with("/spec/nodeSelector/zone", "c"), skipped("no-flagged-node")),
            ("a pod that fits flagged nodes alone", driver().on(vec![flagged_node("bad", &json!({}))]), skipped("limits-go")),
            ("by name", among_nodes(driver()), vec![by_name.clone()]),
            ("an executor", among_nodes(executor()), vec![by_name.clone()]),
            ("a Connect server", among_nodes(connect_server("")), vec![by_name.clone()]),
            ("a notebook", among_nodes(notebook()), vec![by_name.clone()]),
            ("several by name", both(), vec![format!(r#"{TERMS} + {{"matchFields":[{},{}]}}"#, not("bad1"), not("bad2"))]),
            ("more than may be named", both().under_flagged("maxExcludedNames: 1"), skipped("limits-go")),
            ("by label, where all of them have it", among_labelled(driver()), vec![by_label.clone()]),
            ("not by label, where one lacks it", driver().on(vec![node("bad1", &json!({FLAG: ""})), flagged_node("bad2", &json!({})), node("one", &json!({}))]), vec![format!(r#"{TERMS} + {{"matchFields":[{},{}]}}"#, not("bad1"), not("bad2"))]),
            ("a labelled node that it does not fit does not count", driver().with("/spec/nodeSelector/zone", "a").on(vec![node("bad", &json!({FLAG: "", "zone": "a"})), flagged_node("far", &json!({"zone": "b"})), node("one", &json!({"zone": "a"}))]), vec![by_label.clone()]),
            ("by label, where Karpenter runs", among_labelled(driver()).beside_karpenter(), vec![by_label]),
            ("not by name, where Karpenter runs", among_nodes(driver()).beside_karpenter(), skipped("limits-go")),
            ("by name, as the policy says", among_labelled(driver()).under_flagged("excludeBy: name"), vec![by_name.clone()]),
            ("by name, as the policy says, even beside Karpenter", among_nodes(driver()).beside_karpenter().under_flagged("excludeBy: name"), vec![by_name.clone()]),
            ("by label alone, as the policy says", among_nodes(driver()).under_flagged("excludeBy: label"), skipped("limits-go")),
            ("not at all, as the policy says", among_labelled(driver()).under_flagged("excludeBy: strip"), skipped("limits-go")),
            ("stripped, as the policy says", among_nodes(driver()).under_flagged("unpinned: {driver: strip}"), skipped("limits-go")),
            ("ignored, as the policy says", among_nodes(driver()).under_flagged("unpinned: {driver: ignore}"), skipped("unpinned-ignored")),
            ("the policy of another role", among_nodes(driver()).under_flagged("unpinned: {executor: ignore}"), vec![by_name.clone()]),
            ("in each of several terms", in_zones(among_nodes(driver()), &["a", "b"]), vec![format!("{TERMS}[0].matchFields + {}", not("bad")), format!("{TERMS}[1].matchFields + {}", not("bad"))]),
            ("beside what a term has", in_zones(among_labelled(driver()), &["a"]), vec![format!("{TERMS}[0].matchExpressions + {unlabelled}")]),
            ("an empty term stays one that matches nothing", in_zones(among_nodes(driver()), &["a"]).and(&format!("{REQUIRED}/nodeSelectorTerms"), json!({})), vec![format!("{TERMS}[0].matchFields + {}", not("bad"))]),
            ("preferred terms stay as they are", among_nodes(driver()).with("/spec/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution", json!([{"weight": 1, "preference": {}}])), vec![by_name.clone()]),
            ("flagged by a taint, which keeps off by itself", driver().on(vec![node("one", &json!({})), tainted()]), skipped("no-flagged-node")),
            ("flagged by a taint that is tolerated", driver().with("/spec/tolerations", json!([{"operator": "Exists"}])).on(vec![node("one", &json!({})), tainted()]), vec![by_name.clone()]),
            ("a second round", in_zones(among_nodes(driver()), &["a"]).with(&format!("{REQUIRED}/nodeSelectorTerms/0/matchFields"), json!([{"key": "metadata.name", "operator": "NotIn", "values": ["bad"]}])), skipped("no-flagged-node")),
        ] {
            assert_eq!(pod.by(Mutation::NodeSteering), expected, "{case}");
        }
    }

    fn tainted() -> Value {
        json!({"metadata": {"name": "bad"}, "spec": {"taints": [{"key": FLAG, "effect": "NoSchedule"}]}})
    }

    #[test]
    fn says_from_what_a_pod_is_kept_off() {
        let several = (0..5).map(|index| flagged_node(&format!("bad{index}"), &json!({})));
        for (case, pod, expected) in [
            ("by name", among_nodes(driver()), "kept off flagged nodes by name: bad"),
            ("by label", among_labelled(driver()), "kept off flagged nodes by label spark-admission.io/flagged: bad"),
            (
                "many",
                driver().on(several.chain([node("one", &json!({}))]).collect()),
                "kept off flagged nodes by name: bad0, bad1 and 3 more",
            ),
        ] {
            assert_eq!(pod.warnings(), [format!("node-steering: {expected}")], "{case}");
        }
    }
}
