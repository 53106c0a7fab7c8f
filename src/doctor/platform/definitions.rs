//! The definitions of the operator's kinds: all there, in the versions that operator 2.4.0 works with.

use crate::doctor::{Cure, Evidence, Finding, Level, ObjectName, Observed, Symptom};

/// What operator 2.4.0 defines (charts/spark-operator-chart/crds): the plural, and the version that it serves and keeps.
const DEFINED: [(&str, &str); 3] =
    [("sparkapplications", "v1beta2"), ("scheduledsparkapplications", "v1beta2"), ("sparkconnects", "v1alpha1")];

/// Where the operator's release keeps them.
const SOURCE: &str = "https://raw.githubusercontent.com/kubeflow/spark-operator/v2.4.0/config/crd/bases";

pub(super) fn look(observed: &Observed, findings: &mut Vec<Finding>) {
    let Ok(definitions) = &observed.definitions else { return };
    for (plural, _) in DEFINED {
        let name = format!("{plural}.sparkoperator.k8s.io");
        if definitions.iter().all(|definition| definition.metadata.name != name) {
            findings.push(missing(plural, &name));
        }
    }
}

fn missing(plural: &str, name: &str) -> Finding {
    let object = ObjectName::global("CustomResourceDefinition", name);
    Finding {
        symptom: Symptom::DefinitionMissing,
        level: Level::Error,
        problem: format!("the cluster does not know {plural}"),
        evidence: vec![Evidence::field(&object, "metadata.name", "not found")],
        cure: Cure::of(
            "Install the definition of operator 2.4.0:",
            format!("kubectl apply --server-side -f {SOURCE}/sparkoperator.k8s.io_{plural}.yaml"),
        ),
        object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::{found, observed};
    use serde_json::json;

    #[test]
    fn misses_what_is_not_there() {
        let definition = |plural: &str| json!({"kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.sparkoperator.k8s.io")}});
        let all = DEFINED.map(|(plural, _)| definition(plural));
        assert_eq!(found(look, &observed(&all)), [""; 0]);
        assert_eq!(
            found(look, &observed(&all[..2])),
            [
                "error definition-missing CustomResourceDefinition sparkconnects.sparkoperator.k8s.io: the cluster does not know sparkconnects"
            ]
        );
        let mut unseen = observed(&[]);
        unseen.definitions = Err(crate::doctor::Unseen::default());
        assert_eq!(found(look, &unseen), [""; 0]);
    }
}
