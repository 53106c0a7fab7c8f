//! Requests of the doctor: few at a time, counted for whoever waits, and what is refused said with the rule that would allow it.

use std::{
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{
    cluster::{Cluster, Error},
    doctor::{LogKey, ObjectName, Rule, Seen, Unseen},
};

/// How many requests are under way at once.
const AT_ONCE: usize = 8;
/// How much of a log is read: the last lines, and of these so many bytes.
const LOG: (u32, usize) = (500, 256 << 10);
/// The last lines of a log whose lines are so long that the first of them use the bytes up: fewer, until they fit.
const LOG_ENDS: [u32; 3] = [100, 20, 5];

/// A kind of objects, as the API server's paths have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
}

impl Kind {
    pub(super) const fn core(plural: &'static str) -> Self {
        Self::of("", "v1", plural)
    }

    pub(super) const fn of(group: &'static str, version: &'static str, plural: &'static str) -> Self {
        Self { group, version, plural }
    }

    /// The path of all of them, in one namespace or in every.
    fn path(self, namespace: Option<&str>) -> String {
        let Self { group, version, plural } = self;
        let mut path = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        if let Some(namespace) = namespace {
            // Writing to a string does not fail.
            let _ = write!(path, "/namespaces/{namespace}");
        }
        path + "/" + plural
    }

    fn rule(self, verb: &str, namespace: Option<&str>) -> Rule {
        Rule {
            verb: verb.to_owned(),
            group: self.group.to_owned(),
            resource: self.plural.to_owned(),
            namespace: namespace.unwrap_or_default().to_owned(),
        }
    }
}

/// How far it is.
#[derive(Debug, Default)]
struct Progress {
    answered: usize,
    pending: Vec<String>,
}

/// Asks a cluster.
pub(super) struct Asking {
    pub(super) cluster: Cluster,
    turns: Semaphore,
    progress: Mutex<Progress>,
}

impl Asking {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, turns: Semaphore::new(AT_ONCE), progress: Mutex::default() }
    }

    /// What is being waited for, for whoever waits too.
    pub(super) fn waiting_for(&self) -> String {
        let progress = self.progress();
        let longest = progress.pending.first().map_or("for the first answer".to_owned(), |what| format!("to {what}"));
        format!("looking, {} answers so far; waiting {longest}", progress.answered)
    }

    /// The objects of a kind, in one namespace or in every. A kind that is not served has none.
    pub(super) async fn list(&self, kind: Kind, namespace: Option<&str>, query: &str) -> Seen<Vec<Value>> {
        let rule = kind.rule("list", namespace);
        let path = kind.path(namespace);
        self.turn(&rule, async |what| self.cluster.objects(what, &path, query).await).await
    }

    /// One object; none where there is none of that name.
    pub(super) async fn get(&self, kind: Kind, namespace: Option<&str>, name: &str) -> Seen<Option<Value>> {
        let rule = kind.rule("get", namespace);
        let path = format!("{}/{name}", kind.path(namespace));
        self.turn(&rule, async |what| self.cluster.object(what, &path).await).await
    }

    /// The end of a log; empty where there is none, or no longer.
    pub(super) async fn log(&self, key: &LogKey) -> Seen<String> {
        let LogKey { namespace, pod, container, previous } = key;
        let rule = Rule {
            verb: "get".to_owned(),
            group: String::new(),
            resource: "pods/log".to_owned(),
            namespace: namespace.clone(),
        };
        let (lines, bytes) = LOG;
        let path = |lines: u32| {
            let pods = Kind::core("pods").path(Some(namespace));
            format!("{pods}/{pod}/log?container={container}&previous={previous}&tailLines={lines}&limitBytes={bytes}")
        };
        let read = async |lines: u32| self.turn(&rule, async |what| self.cluster.text(what, &path(lines)).await).await;
        let text = match read(lines).await {
            Ok(text) => text.unwrap_or_default(),
            Err(unseen) if unseen.rule.is_some() => return Err(unseen),
            // A container that has not started or was collected has no log (400), and a node that is gone does not answer (500).
            Err(_) => return Ok(String::new()),
        };
        let mut text = text;
        let mut is_cut = text.len() >= bytes;
        for lines in LOG_ENDS {
            if is_cut {
                let end = read(lines).await?.unwrap_or_default();
                is_cut = end.len() >= bytes;
                text = format!("{text}\n{end}");
            }
        }
        Ok(text)
    }

    /// Whether an account may do something.
    pub(super) async fn may(&self, account: &ObjectName, rule: &Rule) -> Seen<bool> {
        let reviews = Kind::of("authorization.k8s.io", "v1", "subjectaccessreviews");
        let needed = reviews.rule("create", None);
        let ObjectName { namespace, name, .. } = account;
        let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{namespace}:{name}"), "groups": groups,
                "resourceAttributes": {
                    "verb": rule.verb, "group": rule.group, "resource": rule.resource, "namespace": rule.namespace
                }
            }
        });
        let path = reviews.path(None);
        let answer = self.turn(&needed, async |what| self.cluster.judged(what, &path, &review).await).await?;
        Ok(answer["status"]["allowed"] == true)
    }

    /// What the API server says to an object that is not to be kept: nothing where it would take it.
    pub(super) async fn dry_run(&self, kind: Kind, namespace: &str, object: &Value) -> Seen<Option<String>> {
        let rule = kind.rule("create", Some(namespace));
        let path = kind.path(Some(namespace)) + "?dryRun=All";
        let taken = async |what: &str| match self.cluster.judged(what, &path, object).await {
            Ok(_) => Ok(None),
            // Whose right it is to make one is said in these words; a webhook or a quota that refuses has others.
            Err(Error::Refused { code: 403, message, .. }) if !message.contains(" cannot create resource ") => {
                Ok(Some(message))
            }
            Err(Error::Refused { code, message, .. }) if code != 403 => Ok(Some(message)),
            Err(error) => Err(error),
        };
        self.turn(&rule, taken).await
    }

    /// Waits for its turn and asks; what went wrong is said with the rule that it needs.
    pub(super) async fn turn<T>(&self, rule: &Rule, ask: impl AsyncFnOnce(&str) -> Result<T, Error>) -> Seen<T> {
        let what = rule.to_string();
        // It is never closed; were it, nothing would be lost but the order.
        let _turn = self.turns.acquire().await.ok();
        self.progress().pending.push(what.clone());
        let answer = ask(&what).await;
        let mut progress = self.progress();
        progress.answered += 1;
        if let Some(place) = progress.pending.iter().position(|pending| *pending == what) {
            progress.pending.remove(place);
        }
        answer.map_err(|error| unseen(rule, error))
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unseen(rule: &Rule, error: Error) -> Unseen {
    let what = rule.to_string();
    match error {
        Error::Refused { code: 403, message, .. } => Unseen { what, why: message, rule: Some(Box::new(rule.clone())) },
        Error::Refused { message, .. } => Unseen { what, why: message, rule: None },
        error => Unseen { what, why: error.to_string(), rule: None },
    }
}
