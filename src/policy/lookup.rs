//! What checks must know of the cluster that no watch tells: questions about one object, which the server asks before it judges.
//!
//! Promised: only a no that is believed reaches a check. What is allowed, was not answered in time or could not be asked are the same to
//! it: nothing to find. Nothing is asked for an object that no check will look at, nor for one that nobody would tell anything about.

use std::collections::HashSet;

use super::Policy;
use super::checks;
use super::eligibility::Subject;
use super::judgement::subject_to_judge;
use super::mutations::Case;
use super::request::Request;
use super::snapshot::Snapshot;

/// Something that is asked of the cluster; the answer is yes or no.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    /// Whether a service account exists.
    ServiceAccount(Account),
    /// Whether a service account may do something in its own namespace.
    Access(Account, Right),
    /// Whether an operator watches a namespace. The watches tell, and may be a moment behind.
    Watched {
        /// The namespace.
        namespace: String,
    },
}

/// A service account.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Account {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A verb on a resource of the core group, such as `create pods`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Right {
    /// The verb.
    pub verb: &'static str,
    /// The resource's plural.
    pub resource: &'static str,
}

/// The verbs that drivers use on pods, services, config maps and claims, as `kubectl create role --verb=` takes them. `patch` is for
/// executors that are kept, which get a label when they are done (`ExecutorPodsLifecycleManager`).
pub const DRIVER_VERBS: &str = "create,get,list,watch,patch,delete,deletecollection";

impl Question {
    /// The names of all kinds of questions.
    pub const KINDS: [&'static str; 3] = ["service-account", "access", "watched-namespace"];

    /// Its kind, for metrics and logs.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ServiceAccount(_) => Self::KINDS[0],
            Self::Access(..) => Self::KINDS[1],
            Self::Watched { .. } => Self::KINDS[2],
        }
    }
}

/// What was answered with no, for sure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers(HashSet<Question>);

impl Answers {
    /// Whether the answer is no.
    #[must_use]
    pub fn is_no(&self, question: &Question) -> bool {
        self.0.contains(question)
    }
}

/// From the questions whose answer is no.
impl FromIterator<Question> for Answers {
    fn from_iter<I: IntoIterator<Item = Question>>(denied: I) -> Self {
        Self(denied.into_iter().collect())
    }
}

/// What must be known to judge an object, each question once; of an update also what tells whether a finding is new.
#[must_use]
pub fn questions(request: &Request<'_>, policy: &Policy, snapshot: &Snapshot) -> Vec<Question> {
    let Ok(subject) = subject_to_judge(request, policy, snapshot) else { return Vec::new() };
    let mut all = checks::questions(&subject, &Case { request, policy, snapshot });
    if let Some(before) = request.before()
        && let Ok(subject) = Subject::of(&before, policy)
    {
        all.extend(checks::questions(&subject, &Case { request: &before, policy, snapshot }));
    }
    let mut seen = HashSet::new();
    all.retain(|question| seen.insert(question.clone()));
    all
}
