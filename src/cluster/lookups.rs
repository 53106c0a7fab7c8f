//! What reviews must know of the cluster now: asks the API server, in little time, and remembers the answers for a moment.
//!
//! Promised: a no is believed only when it was said twice with a pause between, because the API server's own view of roles and bindings,
//! and ours of operators, may be a moment behind what one `kubectl apply` has just made. Whatever goes wrong is not a no: it is logged
//! once, counted, and the review goes on without. No more is remembered than [`MOST_REMEMBERED`], and nothing for long.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::http::{Request, header};
use futures_util::future::join_all;
use serde_json::json;
use tokio::{sync::Semaphore, time};

use super::{Cluster, Error};
use crate::{
    metrics::Metrics,
    policy::{
        Snapshot,
        lookup::{Account, Answers, Question, Right},
        values::label::is_subdomain,
    },
};

/// How long a yes is remembered. A no is not: who reads that an account is missing makes it, and submits again.
const REMEMBERED: Duration = Duration::from_secs(30);
/// How long to wait before a question is asked again that was answered with no.
const AGAIN: Duration = Duration::from_millis(400);
/// The longest that a review waits for answers. Of its own deadline it is a third at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many answers are remembered.
const MOST_REMEMBERED: usize = 4_096;
/// How many questions are asked at once, of all reviews together.
const AT_ONCE: usize = 16;

/// Asks for reviews.
pub struct Lookups {
    cluster: Cluster,
    metrics: Arc<Metrics>,
    remembered: Mutex<Memory>,
    turns: Semaphore,
    /// Whether it was said, of each kind of question, that it cannot be asked.
    complained: [AtomicBool; Question::KINDS.len()],
}

/// The questions whose answer was yes, and until when that counts.
#[derive(Debug, Default)]
struct Memory(HashMap<Question, Instant>);

impl Memory {
    fn holds(&self, question: &Question, now: Instant) -> bool {
        self.0.get(question).is_some_and(|until| *until > now)
    }

    fn keep(&mut self, question: Question, now: Instant) {
        if self.0.len() >= MOST_REMEMBERED {
            self.0.retain(|_, until| *until > now);
        }
        if self.0.len() < MOST_REMEMBERED {
            self.0.insert(question, now + REMEMBERED);
        }
    }
}

/// What the cluster says to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// So it is.
    Yes,
    /// It is not so.
    No,
    /// Neither can be told.
    Unclear,
}

impl Lookups {
    /// Asks a cluster.
    #[must_use]
    pub fn new(cluster: Cluster, metrics: Arc<Metrics>) -> Self {
        Self {
            cluster,
            metrics,
            remembered: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
            complained: Default::default(),
        }
    }

    /// The answers for a review whose sender waits for so long; what the watches know tells of operators.
    pub async fn answers(
        &self,
        questions: Vec<Question>,
        review: Option<Duration>,
        watched: &ArcSwap<Snapshot>,
    ) -> Answers {
        let patience = review.map_or(PATIENCE, |review| PATIENCE.min(review / 3));
        let until = time::Instant::now() + patience;
        let denied = join_all(questions.into_iter().map(|question| self.denied(question, until, watched))).await;
        denied.into_iter().flatten().collect()
    }

    /// The question, if its answer is no.
    async fn denied(&self, question: Question, until: time::Instant, watched: &ArcSwap<Snapshot>) -> Option<Question> {
        if self.memory().holds(&question, Instant::now()) {
            return None;
        }
        let answered = time::timeout_at(until, self.asked_twice(&question, watched)).await;
        let result = match &answered {
            Ok(Ok(Reply::Yes)) => "yes",
            Ok(Ok(Reply::No)) => "no",
            Ok(Ok(Reply::Unclear)) => "unclear",
            Ok(Err(Error::Refused { code: 403, .. })) => "forbidden",
            Ok(Err(_)) => "failed",
            Err(_) => "timeout",
        };
        self.metrics.looked_up(question.kind(), result);
        match answered {
            Ok(Ok(reply)) => {
                self.said_that_not(&question, false);
                match reply {
                    Reply::Yes => self.memory().keep(question, Instant::now()),
                    Reply::No => return Some(question),
                    Reply::Unclear => {}
                }
            }
            Ok(Err(error)) => self.complain(&question, &error.to_string()),
            Err(_) => self.complain(&question, "no answer in time"),
        }
        None
    }

    async fn asked_twice(&self, question: &Question, watched: &ArcSwap<Snapshot>) -> Result<Reply, Error> {
        match self.asked(question, watched).await? {
            Reply::No => {
                time::sleep(AGAIN).await;
                self.asked(question, watched).await
            }
            reply => Ok(reply),
        }
    }

    async fn asked(&self, question: &Question, watched: &ArcSwap<Snapshot>) -> Result<Reply, Error> {
        let _turn = self.turns.acquire().await;
        self.cluster.reply(question, &watched.load_full()).await
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says it once, and again only when it has been better meanwhile.
    fn complain(&self, question: &Question, why: &str) {
        let kind = question.kind();
        if self.said_that_not(question, true) {
            tracing::debug!(kind, why, "not looked up: the review goes on without");
        } else {
            tracing::warn!(
                kind,
                why,
                "not looked up: reviews go on without; where a right is missing, manifests/rbac.yaml has it"
            );
        }
    }

    /// Whether it was said that questions of this kind get no answer; from now on it was, or was not.
    fn said_that_not(&self, question: &Question, now: bool) -> bool {
        let place = Question::KINDS.iter().position(|kind| *kind == question.kind()).unwrap_or_default();
        self.complained[place].swap(now, Ordering::Relaxed)
    }
}

impl Cluster {
    /// What it says to a question, now and once; of operators what the watches say.
    ///
    /// # Errors
    /// Nobody answered, or it may not be asked.
    pub async fn reply(&self, question: &Question, watched: &Snapshot) -> Result<Reply, Error> {
        match question {
            Question::ServiceAccount(account) => self.has_account(account).await,
            Question::Access(account, right) => self.is_allowed(account, *right).await,
            Question::Watched { namespace } => {
                let operators = watched.operators.as_ref();
                Ok(operators.and_then(|operators| operators.is_watched(namespace)).map_or(Reply::Unclear, Reply::from))
            }
        }
    }

    async fn has_account(&self, account: &Account) -> Result<Reply, Error> {
        let Account { namespace, name } = account;
        if !is_subdomain(name) || !is_subdomain(namespace) {
            return Ok(Reply::No);
        }
        // Not its secrets' names, nor anything else that is nobody's business here.
        let request = Request::get(format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}"))
            .header(header::ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
            .body(Vec::new());
        let what = format!("get the service account {name} in the namespace {namespace}");
        match self.ask(&what, request.map_err(|_| impossible(name))?).await {
            Ok(_) => Ok(Reply::Yes),
            Err(Error::Refused { code: 404, .. }) => Ok(Reply::No),
            Err(error) => Err(error),
        }
    }

    async fn is_allowed(&self, account: &Account, right: Right) -> Result<Reply, Error> {
        let (Account { namespace, name }, Right { verb, resource }) = (account, right);
        // The groups that the API server puts a service account in (pkg/serviceaccount, `UserInfo`; `AllAuthenticated`).
        let groups = [
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{namespace}"),
            "system:authenticated".to_owned(),
        ];
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
            "spec": {
                "user": format!("system:serviceaccount:{namespace}:{name}"), "groups": groups,
                "resourceAttributes": {"namespace": namespace, "verb": verb, "version": "v1", "resource": resource}
            }
        });
        let request = Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews")
            .header(header::CONTENT_TYPE, "application/json")
            .body(review.to_string().into_bytes());
        let what = "ask what a service account may do (create subjectaccessreviews.authorization.k8s.io)";
        let answer = self.ask(what, request.map_err(|_| impossible(name))?).await?;
        let status = &answer["status"];
        Ok(match (status["allowed"].as_bool(), status["evaluationError"].as_str().unwrap_or_default()) {
            (Some(true), _) => Reply::Yes,
            (Some(false), "") => Reply::No,
            // An authorizer that failed might have allowed it.
            _ => Reply::Unclear,
        })
    }
}

fn impossible(name: &str) -> Error {
    Error::Name { name: name.to_owned() }
}

impl From<bool> for Reply {
    fn from(is_yes: bool) -> Self {
        if is_yes { Self::Yes } else { Self::No }
    }
}

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lookups").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: usize) -> Question {
        Question::ServiceAccount(Account { namespace: "jobs".to_owned(), name: name.to_string() })
    }

    #[test]
    fn a_yes_counts_for_a_while() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        memory.keep(about(1), now);
        assert!(memory.holds(&about(1), now) && !memory.holds(&about(2), now));
        assert!(memory.holds(&about(1), now + REMEMBERED - Duration::from_millis(1)));
        assert!(!memory.holds(&about(1), now + REMEMBERED));
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        for name in 0..=MOST_REMEMBERED {
            memory.keep(about(name), now);
        }
        assert_eq!(memory.0.len(), MOST_REMEMBERED);
        assert!(memory.holds(&about(0), now) && !memory.holds(&about(MOST_REMEMBERED), now));
        memory.keep(about(MOST_REMEMBERED), now + REMEMBERED);
        assert_eq!(memory.0.len(), 1, "what no longer counts gives way");
    }
}
