//! The cluster that a manifest is reviewed for: what the server would know there, looked up once for each namespace.
//!
//! What may not be looked at is unknown, and said once; then the review goes on as it does without a cluster.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::cluster::{Cluster, Error, Place, Platform, Reply};
use crate::policy::lookup::{Account, Answers, Question};
use crate::policy::nodes::Nodes;
use crate::policy::{Policy, Snapshot};

/// A cluster that was reached.
pub(super) struct Beside {
    runtime: Runtime,
    cluster: Cluster,
    /// What is the same for every namespace.
    everywhere: Snapshot,
    namespaces: HashMap<String, Snapshot>,
    replies: HashMap<Question, bool>,
    /// What the reviewed files would make besides.
    making: Making,
    /// What could not be looked at, a sentence each.
    unknown: BTreeSet<String>,
}

/// Accounts that come with the reviewed files, and those that are given rights by them.
#[derive(Debug, Default)]
pub(super) struct Making {
    accounts: HashSet<Account>,
    bound: HashSet<Account>,
}

impl Making {
    /// Takes note of an object that is submitted together with the others.
    pub(super) fn note(&mut self, object: &Value, namespace: &str) {
        let account = |subject: &Value| {
            let named = subject["namespace"].as_str().unwrap_or(namespace);
            Some(Account { namespace: named.to_owned(), name: subject["name"].as_str()?.to_owned() })
        };
        match object["kind"].as_str().unwrap_or_default() {
            "ServiceAccount" => self.accounts.extend(account(&object["metadata"])),
            "RoleBinding" | "ClusterRoleBinding" => {
                let subjects = object["subjects"].as_array().into_iter().flatten();
                self.bound.extend(subjects.filter_map(account));
            }
            _ => {}
        }
    }

    /// Whether the answer will be another one when everything is there.
    fn answers(&self, question: &Question) -> bool {
        match question {
            Question::ServiceAccount(account) => self.accounts.contains(account),
            Question::Access(account, _) => self.bound.contains(account),
            Question::Watched { .. } => false,
        }
    }
}

impl Beside {
    /// Reaches a cluster. Its nodes are looked at where no others are given.
    ///
    /// # Errors
    /// Why it cannot be reached.
    pub(super) fn reach(
        place: Place,
        policy: &Policy,
        nodes: Option<Arc<Nodes>>,
        now: i64,
        making: Making,
    ) -> Result<Self, String> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        let reached = runtime.block_on(async {
            let cluster = Cluster::at(place).await?;
            let platform = Platform::of(&cluster).await?;
            Ok((cluster, platform))
        });
        let (cluster, Platform { openshift, karpenter }) = reached.map_err(|error: Error| error.to_string())?;
        let everywhere = Snapshot { openshift, karpenter, nodes, ..Snapshot::default() };
        let (namespaces, replies) = (HashMap::new(), HashMap::new());
        let mut beside = Self { runtime, cluster, everywhere, namespaces, replies, making, unknown: BTreeSet::new() };
        beside.look_everywhere(policy, now)?;
        Ok(beside)
    }

    fn look_everywhere(&mut self, policy: &Policy, now: i64) -> Result<(), String> {
        let operators = self.runtime.block_on(self.cluster.operators());
        self.everywhere.operators = self.known(operators)?.map(Arc::new);
        if self.everywhere.nodes.is_some() {
            return Ok(());
        }
        let settings = &policy.flagged_nodes;
        let nodes = self.runtime.block_on(self.cluster.nodes(settings));
        let Some(nodes) = self.known(nodes)? else { return Ok(()) };
        let mut events = Vec::new();
        for namespace in &settings.event_namespaces {
            let of_one = self.runtime.block_on(self.cluster.node_events(namespace, settings));
            events.extend(self.known(of_one)?.unwrap_or_default());
        }
        self.everywhere.nodes = Some(Arc::new(Nodes::new(nodes, &events, settings, now)));
        Ok(())
    }

    /// What is known for a review in a namespace.
    ///
    /// # Errors
    /// The cluster is gone.
    pub(super) fn snapshot(&mut self, namespace: &str) -> Result<Snapshot, String> {
        if let Some(known) = self.namespaces.get(namespace) {
            return Ok(known.clone());
        }
        let mut known = self.everywhere.clone();
        if !namespace.is_empty() {
            let labels = self.runtime.block_on(self.cluster.namespace_labels(namespace));
            let labels = self.known(labels)?.flatten().unwrap_or_default();
            known.namespaces = Arc::new([(namespace.to_owned(), labels)].into());
            let constraints = self.runtime.block_on(self.cluster.constraints(namespace));
            if let Some(constraints) = self.known(constraints)? {
                known.constraints = Arc::new([(namespace.to_owned(), constraints)].into());
            } else {
                // Who demands limits is not known: then none are taken off.
                known.nodes = None;
            }
        }
        self.namespaces.insert(namespace.to_owned(), known.clone());
        Ok(known)
    }

    /// What the cluster says to the questions of a review.
    ///
    /// # Errors
    /// The cluster is gone.
    pub(super) fn answers(&mut self, questions: Vec<Question>, known: &Snapshot) -> Result<Answers, String> {
        let mut denied = Vec::new();
        for question in questions {
            if self.making.answers(&question) {
                continue;
            }
            let is_no = match self.replies.get(&question) {
                Some(is_no) => *is_no,
                None => {
                    let reply = self.runtime.block_on(self.cluster.reply(&question, known));
                    let is_no = self.known(reply)? == Some(Reply::No);
                    self.replies.insert(question.clone(), is_no);
                    is_no
                }
            };
            if is_no {
                denied.push(question);
            }
        }
        Ok(denied.into_iter().collect())
    }

    /// What could not be looked at, and why.
    pub(super) fn unknown(&self) -> impl Iterator<Item = &str> {
        self.unknown.iter().map(String::as_str)
    }

    /// What was found; none where it may not be looked at.
    fn known<T>(&mut self, looked: Result<T, Error>) -> Result<Option<T>, String> {
        match looked {
            Ok(found) => Ok(Some(found)),
            Err(Error::Refused { what, message, .. }) => {
                self.unknown.insert(format!("cannot {what}, so it is unknown: {message}"));
                Ok(None)
            }
            Err(error) => Err(error.to_string()),
        }
    }
}
