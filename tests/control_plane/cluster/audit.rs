//! The API server's audit log: what it says of the requests that changed something in a namespace.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use serde_json::Value;

/// The log's name in the folder of the control plane.
pub const LOG: &str = "audit.log";

/// Whole requests and answers of what is sent to webhooks, and nothing of the rest. The API server writes the patches of webhooks
/// as annotations from the level Request on.
pub const POLICY: &str = "
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: RequestResponse
  verbs: [create, update, patch, delete]
  resources:
  - {group: '', resources: [pods]}
  - {group: sparkoperator.k8s.io}
# What the accounts of the charts ask for.
- level: Metadata
  userGroups: ['system:serviceaccounts:spark-admission', 'system:serviceaccounts:operators', 'system:serviceaccounts:jupyterhub-users']
- level: None
";

/// A request as the audit log has it.
#[derive(Debug)]
pub struct Event(Value);

/// The requests in a namespace, in their order.
pub fn events(folder: &Path, namespace: &str) -> Vec<Event> {
    let text = fs::read_to_string(folder.join(LOG)).unwrap();
    let lines = text.lines().filter(|line| line.contains(namespace));
    // The last line may be half written.
    let events = lines.filter_map(|line| serde_json::from_str(line).ok()).map(Event);
    events.filter(|event| event.0["objectRef"]["namespace"] == namespace).collect()
}

/// The requests of an account, in their order.
pub fn requests_of(folder: &Path, account: &str) -> Vec<Event> {
    let text = fs::read_to_string(folder.join(LOG)).unwrap();
    let lines = text.lines().filter(|line| line.contains(account));
    let events = lines.filter_map(|line| serde_json::from_str(line).ok()).map(Event);
    events.filter(|event| event.0["user"]["username"] == account).collect()
}

/// What a user has asked for, each as `VERB RESOURCE`.
pub fn asked_by(folder: &Path, user: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(folder.join(LOG)).unwrap();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let events = events.filter(|event| event["user"]["username"] == user);
    let asked =
        |event: Value| Some(format!("{} {}", event["verb"].as_str()?, event["objectRef"]["resource"].as_str()?));
    events.filter_map(asked).collect()
}

impl Event {
    /// Whether it was refused for want of a right.
    pub fn is_forbidden(&self) -> bool {
        self.0["annotations"]["authorization.k8s.io/decision"] == "forbid"
    }

    /// Whether a rule of a role allows it: its verb, its kind, and its name where the rule has some.
    pub fn is_by(&self, verb: &str, group: &str, resource: &str, names: &[Value], namespace: Option<&str>) -> bool {
        let asked = &self.0["objectRef"];
        let is = |field: &str, wanted: &str| asked[field].as_str().unwrap_or_default() == wanted;
        self.0["verb"] == verb
            && is("apiGroup", group)
            && is("resource", resource)
            && (names.is_empty() || names.contains(&asked["name"]))
            && namespace.is_none_or(|namespace| is("namespace", namespace))
    }

    /// Whether the request was about the object of that name.
    pub fn is_about(&self, name: &str) -> bool {
        let asked = &self.0["objectRef"]["name"];
        let named = if asked.is_null() { &self.0["responseObject"]["metadata"]["name"] } else { asked };
        named == name
    }

    /// Whether the request made an object.
    pub fn is_creation(&self) -> bool {
        self.0["verb"] == "create" && self.0["objectRef"]["subresource"].is_null()
    }

    /// What webhooks had written into the audit log: `<webhook>/<key>`, and Kubernetes' own keys left out.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let all = self.0["annotations"].as_object().into_iter().flatten();
        let foreign = all.filter(|(key, _)| !key.contains("k8s.io/") && !key.contains("kubernetes.io/"));
        foreign.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    /// The webhooks that were called, once for each round, as `ROUND NAME`, with whether they changed the object.
    pub fn calls(&self) -> Vec<(String, bool)> {
        let all = self.0["annotations"].as_object().into_iter().flatten();
        let calls = all.filter_map(|(key, value)| {
            let round = key.strip_prefix("mutation.webhook.admission.k8s.io/round_")?.split('_').next()?;
            let call: Value = serde_json::from_str(value.as_str()?).ok()?;
            Some((format!("{round} {}", call["webhook"].as_str()?), call["mutated"] == true))
        });
        calls.collect()
    }
}

/// One line: what was asked, and how it ended.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let status = &self.0["responseStatus"];
        let (verb, uri, message) = (text(&self.0["verb"]), text(&self.0["requestURI"]), text(&status["message"]));
        write!(f, "{verb} {uri}: {} {message}", status["code"])
    }
}
