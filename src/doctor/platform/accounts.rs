//! The accounts that Spark's work runs as: whether they are there, and whether they may do what a driver does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::{
    doctor::{
        Cure, Evidence, Finding, Level, ObjectName, Observed, Rule, Symptom,
        objects::{Binding, Resource, Role},
        rehearsal,
    },
    policy::{
        document::Document,
        lookup::{DRIVER_VERBS, Question},
        subject,
    },
};

/// What Spark's documentation gives to drivers.
const RESOURCES: [&str; 3] = ["pods", "services", "configmaps"];

/// Who runs as an account, and what that takes.
#[derive(Debug, Default)]
struct Use {
    /// The first that was seen, the field that names the account, and the account's name there.
    by: Option<(ObjectName, String)>,
    /// Whether it is asked that the account exists: of `default` nobody does.
    must_exist: bool,
    needs: BTreeSet<Rule>,
}

/// What the accounts that exist must be allowed.
#[must_use]
pub fn needed(observed: &Observed) -> BTreeMap<ObjectName, BTreeSet<Rule>> {
    let mut needed: BTreeMap<_, _> = uses(observed).into_iter().map(|(account, it)| (account, it.needs)).collect();
    needed.retain(|account, needs| !needs.is_empty() && !is_missing(account, observed));
    needed
}

fn is_missing(account: &ObjectName, observed: &Observed) -> bool {
    observed.accounts.as_ref().is_ok_and(|all| !all.contains(account))
}

/// The accounts that drivers, servers and executors run as, or would: just what the checks `service-account-missing` and
/// `driver-permissions` ask at submission.
fn uses(observed: &Observed) -> BTreeMap<ObjectName, Use> {
    let snapshot = rehearsal::snapshot(observed);
    let mut uses = BTreeMap::new();
    for resource in observed.resources().filter(|resource| resource.state() != "COMPLETED") {
        let questions = rehearsal::questions_about_resource(resource, &snapshot);
        note(&questions, &resource.object(), &mut uses, |name| path_in_resource(resource, name));
    }
    // Those that an operator made are asked about with their resource.
    for pod in observed.pods().filter(|pod| pod.role() == "driver" && pod.status.phase != "Succeeded") {
        let questions = rehearsal::questions_about_pod(pod, &snapshot);
        note(&questions, &pod.object(), &mut uses, |_| "spec.serviceAccountName".to_owned());
    }
    uses
}

/// Whether an account that a resource needs is known to be missing.
pub(super) fn lacks_account(resource: &Resource, observed: &Observed) -> bool {
    let snapshot = rehearsal::snapshot(observed);
    rehearsal::questions_about_resource(resource, &snapshot).iter().any(|question| match question {
        Question::ServiceAccount(account) => {
            is_missing(&ObjectName::of("ServiceAccount", &account.namespace, &account.name), observed)
        }
        _ => false,
    })
}

fn note(questions: &[Question], by: &ObjectName, uses: &mut BTreeMap<ObjectName, Use>, path: impl Fn(&str) -> String) {
    for question in questions {
        let (Question::ServiceAccount(account) | Question::Access(account, _)) = question else { continue };
        let object = ObjectName::of("ServiceAccount", &account.namespace, &account.name);
        let it: &mut Use = uses.entry(object).or_default();
        it.by.get_or_insert_with(|| (by.clone(), path(&account.name)));
        match question {
            Question::Access(_, right) => {
                it.needs.insert(Rule {
                    verb: right.verb.to_owned(),
                    group: String::new(),
                    resource: right.resource.to_owned(),
                    namespace: account.namespace.clone(),
                });
            }
            _ => it.must_exist = true,
        }
    }
}

/// Where a resource names an account.
fn path_in_resource(resource: &Resource, name: &str) -> String {
    let text = resource.json.to_string();
    let Ok(document) = Document::parse(&text) else { return String::new() };
    let view = subject::Resource::of(resource.kind, document.root());
    let mut named = view.driver_account().into_iter().chain(view.executor_account());
    named.find(|account| account.name == name).map(|account| account.path.to_string()).unwrap_or_default()
}

/// Accounts that are not there, and those that lack rights.
pub(super) fn look(observed: &Observed, findings: &mut Vec<Finding>) {
    for (account, it) in uses(observed) {
        let Some((user, path)) = it.by else { continue };
        if it.must_exist && is_missing(&account, observed) {
            findings.push(missing(account, &user, &path, observed));
        } else if let Some(Ok(lacking)) = observed.missing_rights.get(&account)
            && !lacking.is_empty()
        {
            findings.push(powerless(&account, lacking, &user, &path, observed));
        }
    }
}

fn missing(account: ObjectName, user: &ObjectName, path: &str, observed: &Observed) -> Finding {
    let ObjectName { namespace, name, .. } = &account;
    let others = observed.accounts.iter().flatten().filter(|other| other.namespace == *namespace);
    let others: Vec<_> = others.map(|other| other.name.as_str()).collect();
    Finding {
        symptom: Symptom::ServiceAccountMissing,
        level: Level::Error,
        problem: "a driver or server is to run as this account, and there is none of that name".to_owned(),
        evidence: vec![
            Evidence::field(user, path, name),
            Evidence::field(&ObjectName::global("Namespace", namespace), "its service accounts", others.join(", ")),
        ],
        cure: Cure::of(
            "Make the account and give it a driver's rights; or name another one:",
            format!("kubectl create serviceaccount {name} -n {namespace}\n{}", grant(&account)),
        ),
        object: account,
    }
}

/// The commands that give an account all that a driver needs.
fn grant(account: &ObjectName) -> String {
    let ObjectName { namespace, name, .. } = account;
    format!(
        "{}\nkubectl create rolebinding {name}-driver -n {namespace} --role={name}-driver --serviceaccount={namespace}:{name}",
        make_role(&format!("role {name}-driver -n {namespace}"))
    )
}

/// The command that makes a role with all that a driver needs.
fn make_role(role: &str) -> String {
    format!("kubectl create {role} --verb={DRIVER_VERBS} --resource={},persistentvolumeclaims", RESOURCES.join(","))
}

fn powerless(account: &ObjectName, lacking: &[Rule], user: &ObjectName, path: &str, observed: &Observed) -> Finding {
    let (namespace, lacks) = (&account.namespace, summary(lacking));
    let mut evidence =
        vec![Evidence::field(user, path, &account.name), Evidence::access(account, &format!("may not {lacks}"))];
    let cure = match nearly_right(account, lacking, observed) {
        Some((object, says, cure)) => {
            evidence.push(Evidence::field(&object, says.0, says.1));
            cure
        }
        None => Cure::of("Give the account a driver's rights:", grant(account)),
    };
    // Without these no executor comes up; without the others things stay behind (policy/checks/driver_permissions.rs).
    let is_fatal = lacking.iter().any(|rule| matches!(rule.verb.as_str(), "create" | "get" | "watch"));
    Finding {
        symptom: Symptom::DriverPermissions,
        level: if is_fatal { Level::Error } else { Level::Warning },
        problem: format!("Spark's drivers run as this account in {namespace}, and it may not {lacks}"),
        evidence,
        cure,
        object: account.clone(),
    }
}

/// `create, get pods; deletecollection configmaps`: resources that lack the same verbs stand together.
fn summary(lacking: &[Rule]) -> String {
    let mut by_resource: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in lacking {
        by_resource.entry(&rule.resource).or_default().push(&rule.verb);
    }
    let mut by_verbs: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (resource, verbs) in by_resource {
        by_verbs.entry(verbs.join(", ")).or_default().push(resource);
    }
    let parts = by_verbs.into_iter().map(|(verbs, resources)| format!("{verbs} {}", resources.join(", ")));
    parts.collect::<Vec<_>>().join("; ")
}

/// A binding or a role that would do but for one mistake: what it is, where the mistake stands, and how it is mended.
type NearlyRight = (ObjectName, (&'static str, String), Cure);

fn nearly_right(account: &ObjectName, lacking: &[Rule], observed: &Observed) -> Option<NearlyRight> {
    let bindings = observed.bindings.as_ref().ok()?;
    let own = || bindings.iter().filter(|binding| binding.metadata.namespace == account.namespace);
    let names_it = |binding: &&Binding| {
        binding
            .subjects
            .iter()
            .any(|it| is_subject(it.kind.as_str(), &it.name, account) && it.namespace == account.namespace)
    };
    own()
        .find_map(|binding| wrong_subject(binding, account, observed))
        .or_else(|| own().filter(names_it).find_map(|binding| missing_role(binding, observed)))
        .or_else(|| own().filter(names_it).find_map(|binding| short_role(binding, lacking, observed)))
}

fn is_subject(kind: &str, name: &str, account: &ObjectName) -> bool {
    kind == "ServiceAccount" && name == account.name
}

/// A binding that names an account of this name in another namespace.
fn wrong_subject(binding: &Binding, account: &ObjectName, observed: &Observed) -> Option<NearlyRight> {
    // One that a role stands behind.
    role_of(binding, observed)?;
    let ObjectName { namespace, name, .. } = account;
    let is_wrong =
        |it: &crate::doctor::objects::Subject| is_subject(&it.kind, &it.name, account) && it.namespace != *namespace;
    let place = binding.subjects.iter().position(is_wrong)?;
    let object = binding.metadata.object("RoleBinding");
    let patch = json!([{"op": "replace", "path": format!("/subjects/{place}/namespace"), "value": namespace}]);
    let cure = Cure::of(
        format!("Let the binding name the account {name} of this namespace:"),
        format!("kubectl patch rolebinding {} -n {namespace} --type=json -p '{patch}'", object.name),
    );
    Some((object, ("subjects[].namespace", binding.subjects[place].namespace.clone()), cure))
}

/// A binding that names a role which does not exist.
fn missing_role(binding: &Binding, observed: &Observed) -> Option<NearlyRight> {
    if observed.roles.is_err() || role_of(binding, observed).is_some() {
        return None;
    }
    let object = binding.metadata.object("RoleBinding");
    let (kind, name) = (binding.role_ref.kind.to_lowercase(), &binding.role_ref.name);
    let place = if kind == "role" { format!(" -n {}", object.namespace) } else { String::new() };
    let cure = Cure::of("Make the role that the binding names:", make_role(&format!("{kind} {name}{place}")));
    let says = format!("{kind} {name}, which does not exist");
    Some((object, ("roleRef", says), cure))
}

/// A role that is bound to the account and does not allow enough.
fn short_role(binding: &Binding, lacking: &[Rule], observed: &Observed) -> Option<NearlyRight> {
    let role = role_of(binding, observed)?;
    let allows_pods =
        |role: &Role| role.rules.iter().any(|rule| rule.resources.iter().any(|it| RESOURCES.contains(&it.as_str())));
    // A role that is about something else stays as it is.
    if !allows_pods(role) {
        return None;
    }
    let resources: BTreeSet<_> = lacking.iter().map(|rule| rule.resource.as_str()).collect();
    let verbs: Vec<_> = DRIVER_VERBS.split(',').filter(|verb| lacking.iter().any(|rule| rule.verb == *verb)).collect();
    let patch = json!([{"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": resources, "verbs": verbs}}]);
    let kind = &binding.role_ref.kind;
    let object = role.metadata.object(kind);
    let place = if object.namespace.is_empty() { String::new() } else { format!(" -n {}", object.namespace) };
    let cure = Cure::of(
        "Add what is missing to the role:",
        format!("kubectl patch {} {}{place} --type=json -p '{patch}'", kind.to_lowercase(), object.name),
    );
    let allowed: Vec<_> =
        role.rules.iter().map(|rule| format!("{} {}", rule.verbs.join(", "), rule.resources.join(", "))).collect();
    Some((object, ("rules", allowed.join("; ")), cure))
}

fn role_of<'a>(binding: &Binding, observed: &'a Observed) -> Option<&'a Role> {
    let namespace = if binding.role_ref.kind == "Role" { binding.metadata.namespace.as_str() } else { "" };
    let is_named = |role: &&Role| role.metadata.name == binding.role_ref.name && role.metadata.namespace == namespace;
    observed.roles.iter().flatten().find(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::{found, observed};
    use serde_json::Value;

    fn account(name: &str) -> Value {
        json!({"kind": "ServiceAccount", "metadata": {"name": name, "namespace": "team-a"}})
    }

    fn resource(kind: &str, spec: &Value) -> Value {
        json!({"kind": kind, "metadata": {"name": "pi", "namespace": "team-a"}, "spec": spec})
    }

    fn named(name: &str) -> ObjectName {
        ObjectName::of("ServiceAccount", "team-a", name)
    }

    #[test]
    #[rustfmt::skip]
    fn names_the_field_that_names_the_account() {
        let conf = "spark.kubernetes.authenticate.driver.serviceAccountName";
        for (case, kind, spec, expected) in [
            ("by its field", "SparkApplication", json!({"driver": {"serviceAccount": "etl"}}), "spec.driver.serviceAccount"),
            ("by Spark's configuration", "SparkApplication", json!({"sparkConf": {conf: "etl"}}), "spec.sparkConf[spark.kubernetes.authenticate.driver.serviceAccountName]"),
            ("of a schedule", "ScheduledSparkApplication", json!({"template": {"driver": {"serviceAccount": "etl"}}}), "spec.template.driver.serviceAccount"),
            ("of a Connect server", "SparkConnect", json!({"server": {"template": {"spec": {"serviceAccountName": "etl"}}}}), "spec.server.template.spec.serviceAccountName"),
        ] {
            let uses = uses(&observed(&[resource(kind, &spec)]));
            let (_, path) = uses[&named("etl")].by.clone().unwrap();
            assert_eq!(path, expected, "{case}");
        }
    }

    #[test]
    fn misses_accounts_that_are_used() {
        let driver = |account: &str| {
            json!({
                "kind": "Pod", "metadata": {"name": "pi-driver", "namespace": "team-a", "labels": {"spark-role": "driver"}},
                "spec": {"serviceAccountName": account}
            })
        };
        let missing = "error service-account-missing ServiceAccount team-a/etl: a driver or server is to run as this account, and there is \
                       none of that name";
        let application = || resource("SparkApplication", &json!({"driver": {"serviceAccount": "etl"}}));
        let mut completed = application();
        completed["status"]["applicationState"]["state"] = "COMPLETED".into();
        for (case, objects, expected) in [
            ("it is there", vec![application(), account("etl")], vec![]),
            ("it is not", vec![application(), account("default")], vec![missing]),
            ("two that want it", vec![application(), driver("etl")], vec![missing]),
            ("who wanted it is done", vec![completed], vec![]),
            ("an executor's", vec![driver("spark"), account("spark")], vec![]),
        ] {
            assert_eq!(found(look, &observed(&objects)), expected, "{case}");
        }
        let mut unseen = observed(&[application()]);
        unseen.accounts = Err(crate::doctor::Unseen::default());
        assert_eq!(found(look, &unseen), [""; 0], "it may be there");
    }

    #[test]
    fn says_what_an_account_lacks() {
        let application = || resource("SparkApplication", &json!({"driver": {"serviceAccount": "etl"}}));
        let needed: Vec<_> =
            needed(&observed(&[application(), account("etl")]))[&named("etl")].iter().cloned().collect();
        let lacking = |verbs: &[&str]| {
            needed.iter().filter(|rule| verbs.contains(&rule.verb.as_str())).cloned().collect::<Vec<_>>()
        };
        let text = |level: &str, lacks: &str| {
            format!(
                "{level} driver-permissions ServiceAccount team-a/etl: Spark's drivers run as this account in team-a, and it may not {lacks}"
            )
        };
        for (case, lacks, expected) in [
            ("nothing", Ok(vec![]), vec![]),
            ("nobody knows", Err(crate::doctor::Unseen::default()), vec![]),
            (
                "to clean up",
                Ok(lacking(&["deletecollection"])),
                vec![text("warning", "deletecollection configmaps, pods, services")],
            ),
            ("to see pods", Ok(lacking(&["get"])), vec![text("error", "get pods")]),
        ] {
            let mut observed = observed(&[
                resource("SparkApplication", &json!({"driver": {"serviceAccount": "etl"}})),
                account("etl"),
            ]);
            observed.missing_rights = [(named("etl"), lacks)].into();
            assert_eq!(found(look, &observed), expected, "{case}");
        }
    }

    #[test]
    fn mends_what_is_nearly_right() {
        let binding = |subject: &str, role: &str| {
            let json = json!({
                "metadata": {"name": "b", "namespace": "team-a"}, "roleRef": {"kind": "Role", "name": role},
                "subjects": [{"kind": "ServiceAccount", "name": "etl", "namespace": subject}]
            });
            serde_json::from_value::<Binding>(json).unwrap()
        };
        let role = |resource: &str| {
            let json = json!({
                "metadata": {"name": "r", "namespace": "team-a"}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]
            });
            serde_json::from_value::<Role>(json).unwrap()
        };
        let lacking = [Rule {
            verb: "create".to_owned(),
            resource: "pods".to_owned(),
            namespace: "team-a".to_owned(),
            ..Rule::default()
        }];
        for (case, bindings, roles, expected) in [
            ("nothing there", vec![], vec![], None),
            (
                "another namespace's account",
                vec![binding("team-b", "r")],
                vec![role("pods")],
                Some("RoleBinding team-a/b"),
            ),
            ("of a role that is not there either", vec![binding("team-b", "r")], vec![], None),
            (
                "a role that is not there",
                vec![binding("team-a", "gone")],
                vec![role("pods")],
                Some("RoleBinding team-a/b"),
            ),
            ("a role that allows too little", vec![binding("team-a", "r")], vec![role("pods")], Some("Role team-a/r")),
            ("a role about something else", vec![binding("team-a", "r")], vec![role("secrets")], None),
        ] {
            let mut observed = observed(&[]);
            (observed.bindings, observed.roles) = (Ok(bindings), Ok(roles));
            let found = nearly_right(&named("etl"), &lacking, &observed).map(|(object, ..)| object.to_string());
            assert_eq!(found.as_deref(), expected, "{case}");
        }
    }
}
