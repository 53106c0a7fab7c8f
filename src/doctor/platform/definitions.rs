//! The definitions of the operator's kinds: all there, in the versions that operator 2.4.0 works with.

use super::operators;
use crate::doctor::{
    Cure, Evidence, Finding, Level, ObjectName, Observed, Symptom,
    objects::{Definition, Version},
};

/// What operator 2.4.0 defines (charts/spark-operator-chart/crds): the plural, and the version that it serves and keeps.
const DEFINED: [(&str, &str); 3] =
    [("sparkapplications", "v1beta2"), ("scheduledsparkapplications", "v1beta2"), ("sparkconnects", "v1alpha1")];

/// The release that is known here.
const JUDGED: (u32, u32) = (2, 4);

/// Where the operator's release keeps them.
const SOURCE: &str = "https://raw.githubusercontent.com/kubeflow/spark-operator/v2.4.0/config/crd/bases";

/// Fields that older releases lack, of each kind: shuffleTrackingEnabled, memoryLimit and timeZone came with 2.2.0 (its CHANGELOG.md),
/// suspend later than 2.3.0.
fn fields(plural: &str) -> &'static [&'static str] {
    match plural {
        "sparkapplications" => &[
            "spec.suspend",
            "spec.driver.memoryLimit",
            "spec.driver.template",
            "spec.dynamicAllocation.shuffleTrackingEnabled",
        ],
        "scheduledsparkapplications" => &["spec.timeZone", "spec.template.suspend", "spec.template.driver.template"],
        _ => &["spec.server.template", "spec.executor.template"],
    }
}

pub(super) fn look(observed: &Observed, findings: &mut Vec<Finding>) {
    let Ok(definitions) = &observed.definitions else { return };
    // Neither the definitions nor an operator nor resources: Spark's pods come from elsewhere here.
    if definitions.is_empty() && observed.operators.as_ref().map_or(true, Vec::is_empty) {
        return;
    }
    // An older operator works with older definitions.
    let release = operators::release_of_controllers(observed).unwrap_or(JUDGED);
    if release < JUDGED {
        return;
    }
    for (plural, version) in DEFINED {
        let name = format!("{plural}.sparkoperator.k8s.io");
        match definitions.iter().find(|definition| definition.metadata.name == name) {
            None => findings.push(missing(plural, &name)),
            Some(definition) => findings.extend(outdated(plural, version, definition)),
        }
    }
}

fn outdated(plural: &str, version: &str, definition: &Definition) -> Option<Finding> {
    let object = ObjectName::global("CustomResourceDefinition", &definition.metadata.name);
    let served = definition.spec.versions.iter().find(|it| it.name == version && it.served);
    let (problem, evidence) = match served {
        None => {
            let others: Vec<_> =
                definition.spec.versions.iter().filter(|it| it.served).map(|it| it.name.as_str()).collect();
            let evidence = Evidence::field(&object, "spec.versions[].name", others.join(", "));
            (format!("it does not serve {version}, which operator 2.4.0 works with"), evidence)
        }
        Some(served) => {
            let lacking: Vec<_> = fields(plural).iter().copied().filter(|path| !has_field(served, path)).collect();
            if lacking.is_empty() {
                return None;
            }
            let lacking = lacking.join(", ");
            let path = format!("spec.versions[{version}].schema");
            (
                format!("it is older than operator 2.4.0: what it drops in silence: {lacking}"),
                Evidence::field(&object, &path, format!("no {lacking}")),
            )
        }
    };
    Some(Finding {
        symptom: Symptom::DefinitionOutdated,
        level: Level::Warning,
        problem,
        evidence: vec![evidence],
        cure: install(plural),
        object,
    })
}

/// Whether a schema knows a field; one that keeps whatever it does not know loses nothing.
fn has_field(version: &Version, path: &str) -> bool {
    let mut schema = &version.schema["openAPIV3Schema"];
    for key in path.split('.') {
        if schema["x-kubernetes-preserve-unknown-fields"] == true {
            return true;
        }
        schema = &schema["properties"][key];
    }
    !schema.is_null()
}

/// The command that installs a definition. It is too large for the annotation that a plain `kubectl apply` would write.
fn install(plural: &str) -> Cure {
    Cure::of(
        "Install the definition of operator 2.4.0:",
        format!("kubectl apply --server-side --force-conflicts -f {SOURCE}/sparkoperator.k8s.io_{plural}.yaml"),
    )
}

fn missing(plural: &str, name: &str) -> Finding {
    let object = ObjectName::global("CustomResourceDefinition", name);
    Finding {
        symptom: Symptom::DefinitionMissing,
        level: Level::Error,
        problem: format!("the cluster does not know {plural}"),
        evidence: vec![Evidence::field(&object, "metadata.name", "not found")],
        cure: install(plural),
        object,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::{found, observed};
    use serde_json::{Value, json};

    /// A definition whose schema has these fields of the spec.
    fn definition(plural: &str, version: &str, fields: &[&str]) -> Value {
        let mut schema = json!({});
        for field in fields {
            let place = field.split('.').fold(&mut schema, |schema, key| &mut schema["properties"][key]);
            place["type"] = "string".into();
        }
        json!({
            "kind": "CustomResourceDefinition", "metadata": {"name": format!("{plural}.sparkoperator.k8s.io")},
            "spec": {"versions": [{"name": version, "served": true, "schema": {"openAPIV3Schema": schema}}]}
        })
    }

    fn current(plural: &str) -> Value {
        let (_, version) = DEFINED.into_iter().find(|(it, _)| *it == plural).unwrap();
        definition(plural, version, fields(plural))
    }

    #[test]
    fn misses_what_is_not_there_or_old() {
        let all = || DEFINED.map(|(plural, _)| current(plural)).to_vec();
        let with = |place: usize, definition: Value| {
            let mut all = all();
            all[place] = definition;
            all
        };
        let crd = |plural: &str| format!("CustomResourceDefinition {plural}.sparkoperator.k8s.io");
        let preserving = json!({"x-kubernetes-preserve-unknown-fields": true});
        let mut lenient = definition("sparkapplications", "v1beta2", &[]);
        lenient["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = preserving;
        for (case, definitions, expected) in [
            ("all of them", all(), vec![]),
            ("none, and no operator: Spark without it", vec![], vec![]),
            (
                "one is not there",
                all()[..2].to_vec(),
                vec![format!(
                    "error definition-missing {}: the cluster does not know sparkconnects",
                    crd("sparkconnects")
                )],
            ),
            (
                "another version",
                with(2, definition("sparkconnects", "v1beta1", &[])),
                vec![format!(
                    "warning definition-outdated {}: it does not serve v1alpha1, which operator 2.4.0 works with",
                    crd("sparkconnects")
                )],
            ),
            (
                "before time zones",
                with(
                    1,
                    definition(
                        "scheduledsparkapplications",
                        "v1beta2",
                        &["spec.template.suspend", "spec.template.driver.template"],
                    ),
                ),
                vec![format!(
                    "warning definition-outdated {}: it is older than operator 2.4.0: what it drops in silence: spec.timeZone",
                    crd("scheduledsparkapplications")
                )],
            ),
            ("one that drops nothing", with(0, lenient), vec![]),
        ] {
            assert_eq!(found(look, &observed(&definitions)), expected, "{case}");
        }
        let operator = |version: &str| {
            json!({
                "kind": "Deployment", "metadata": {"name": "so", "namespace": "operators", "labels": {"app.kubernetes.io/version": version}},
                "spec": {"template": {"spec": {"containers": [{"image": "spark-operator", "args": ["controller", "start"]}]}}}
            })
        };
        for (version, expected) in [("2.4.0", 1), ("2.5.0", 1), ("latest", 1), ("2.1.0", 0)] {
            let objects = [&all()[..2], &[operator(version)]].concat();
            assert_eq!(found(look, &observed(&objects)).len(), expected, "beside operator {version}");
        }
        let mut unseen = observed(&[]);
        unseen.definitions = Err(crate::doctor::Unseen::default());
        assert_eq!(found(look, &unseen), [""; 0]);
    }
}
