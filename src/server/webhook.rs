//! `POST /mutate` and `/validate`: a review in, its answer out; metrics and a log line around it.
//!
//! Promised: what is no review is refused with a status and a sentence; nothing that happens in one request ends another.

use std::{
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, OnceLock},
    task::Poll,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use tokio::sync::Semaphore;

use super::body::{Bodies, BodyError, WholeBody};
use crate::{
    cluster::Lookups,
    duration,
    metrics::Metrics,
    policy::{Check, Mutation, Policy, Snapshot, judgement::Verdict, lookup::Question, outcome::Outcome},
    review::{self, Answer, Endpoint, Record, UnreadableEnvelope},
};

/// Decides one review: [`review::answer`], or a test's own.
pub type Decide = fn(Endpoint, &[u8], &Policy, &Snapshot) -> Result<Answer, UnreadableEnvelope>;

/// Bodies over this are decided on a thread of their own. A pod's review takes microseconds, less than handing it over; one of
/// megabytes takes milliseconds, for which the reviews of other connections must not wait.
const LARGE: usize = 256 * 1024;
/// How many of those at once: one of nothing but small values takes twenty times its length while it is decided.
const LARGE_AT_ONCE: usize = 2;

/// What answers reviews: the core, and what it decides by.
#[derive(Debug)]
pub struct Webhook {
    /// Decides one review.
    pub decide: Decide,
    /// The policy in force.
    pub policy: ArcSwap<Policy>,
    /// What is known of the cluster.
    pub snapshot: ArcSwap<Snapshot>,
    /// Where reviews are counted.
    pub metrics: Arc<Metrics>,
    /// Looks up what reviews must know besides, where there is a cluster.
    pub lookups: OnceLock<Lookups>,
    /// How bodies are read.
    pub bodies: Bodies,
    /// A permit for each large body that may be decided now.
    pub large: Arc<Semaphore>,
}

impl Webhook {
    /// A webhook with the real core.
    #[must_use]
    pub fn new(policy: Policy, metrics: Arc<Metrics>, limits: &super::Limits) -> Self {
        Self {
            decide: review::answer,
            policy: ArcSwap::from_pointee(policy),
            snapshot: ArcSwap::default(),
            metrics,
            lookups: OnceLock::new(),
            bodies: Bodies::new(limits),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
        }
    }

    async fn answer(self: &Arc<Self>, endpoint: Endpoint, request: Request) -> Result<Response, Refusal> {
        if !is_json(&request) {
            return Err(Refusal::NotJson);
        }
        let _in_flight = self.metrics.in_flight();
        let deadline = deadline(&request);
        let body = self.bodies.read(request.into_body(), deadline).await?;
        let start = Instant::now();
        let answer = self.decide(endpoint, body, deadline).await??;
        self.observe(endpoint, &answer.record, start.elapsed());
        Ok(([(header::CONTENT_TYPE, JSON)], answer.body).into_response())
    }

    async fn decide(
        self: &Arc<Self>,
        endpoint: Endpoint,
        body: WholeBody,
        deadline: Option<Duration>,
    ) -> Result<Result<Answer, UnreadableEnvelope>, Refusal> {
        if body.bytes.len() <= LARGE {
            let questions = self.questions(endpoint, &body.bytes);
            let known = self.looked_up(questions, deadline).await;
            return Ok(self.decide_by(endpoint, &body.bytes, known.as_ref()));
        }
        let body = Arc::new(body);
        let questions = self.aside(&body, move |webhook, bytes| webhook.questions(endpoint, bytes)).await?;
        let known = self.looked_up(questions, deadline).await;
        self.aside(&body, move |webhook, bytes| webhook.decide_by(endpoint, bytes, known.as_ref())).await
    }

    /// Decides by what was looked up for this review, else by what is known to all.
    fn decide_by(
        &self,
        endpoint: Endpoint,
        body: &[u8],
        known: Option<&Snapshot>,
    ) -> Result<Answer, UnreadableEnvelope> {
        match known {
            Some(known) => (self.decide)(endpoint, body, &self.policy.load(), known),
            None => (self.decide)(endpoint, body, &self.policy.load(), &self.snapshot.load()),
        }
    }

    /// Runs something that takes long on a thread of its own, when it is its turn.
    async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        body: &Arc<WholeBody>,
        run: impl FnOnce(&Self, &[u8]) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (webhook, body) = (Arc::clone(self), Arc::clone(body));
        let turn = Arc::clone(&self.large).acquire_owned().await;
        let ran = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            run(&webhook, &body.bytes)
        });
        ran.await.map_err(|_| Refusal::Panicked)
    }

    /// What must be looked up for a review; nothing where nothing is judged, or there is no cluster to ask.
    fn questions(&self, endpoint: Endpoint, body: &[u8]) -> Vec<Question> {
        match endpoint {
            Endpoint::Validate if self.lookups.get().is_some() => {
                review::questions(body, &self.policy.load(), &self.snapshot.load())
            }
            _ => Vec::new(),
        }
    }

    /// What is known once it was looked up; none where nothing had to be.
    async fn looked_up(&self, questions: Vec<Question>, deadline: Option<Duration>) -> Option<Snapshot> {
        let lookups = self.lookups.get().filter(|_| !questions.is_empty())?;
        let answers = lookups.answers(questions, deadline, &self.snapshot).await;
        Some(Snapshot { answers, ..Snapshot::clone(&self.snapshot.load()) })
    }

    fn observe(&self, endpoint: Endpoint, record: &Record, took: Duration) {
        self.metrics.reviewed(endpoint, record, took.as_secs_f64());
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let Record { uid, operation, role, outcome, untouched, kind, namespace, name, user, dry_run, .. } = record;
        let role = role.unwrap_or("none");
        let (mutations, findings) = (Applied(&record.mutations), Found(&record.findings));
        if let Some(error) = &record.error {
            tracing::error!(
                uid, kind, namespace, name, user, operation, role, outcome, untouched, %mutations, dry_run, microseconds, error, "review"
            );
        } else if endpoint == Endpoint::Validate && record.findings.is_empty() {
            // Nothing was found: what was changed says all there is to say of an object.
            tracing::debug!(
                uid,
                kind,
                namespace,
                name,
                user,
                operation,
                role,
                untouched,
                dry_run,
                microseconds,
                "validated"
            );
        } else if endpoint == Endpoint::Validate {
            tracing::info!(
                uid, kind, namespace, name, user, operation, role, outcome, %findings, dry_run, microseconds, "validated"
            );
        } else {
            tracing::info!(
                uid, kind, namespace, name, user, operation, role, outcome, untouched, %mutations, dry_run, microseconds, "review"
            );
        }
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The webhook's routes.
pub fn router(webhook: Arc<Webhook>) -> Router {
    Router::new()
        .route("/mutate", post(mutate))
        .route("/validate", post(validate))
        .fallback(no_such_path)
        .with_state(webhook)
}

async fn mutate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    respond(webhook, Endpoint::Mutate, request).await
}

async fn validate(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    respond(webhook, Endpoint::Validate, request).await
}

async fn no_such_path() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "reviews are taken by POST /mutate and POST /validate\n")
}

/// Answers, whatever happens: a panic that the core did not catch itself costs one review and not its connection.
async fn respond(webhook: Arc<Webhook>, endpoint: Endpoint, request: Request) -> Response {
    let mut answer = pin!(webhook.answer(endpoint, request));
    let answered = poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
        Ok(poll) => poll,
        Err(_) => Poll::Ready(Err(Refusal::Panicked)),
    })
    .await;
    answered.unwrap_or_else(|refusal| {
        webhook.metrics.refused(refusal.reason());
        if matches!(refusal, Refusal::Panicked) {
            webhook.metrics.panicked();
        }
        // As a string and so quoted: a reason may repeat what the client sent.
        tracing::warn!(reason = refusal.reason(), refusal = refusal.to_string(), "request refused");
        refusal.into_response()
    })
}

fn is_json(request: &Request) -> bool {
    let Some(Ok(media_type)) = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::to_str) else {
        return false;
    };
    let essence = media_type.split_once(';').map_or(media_type, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The API server's own deadline for this review, `?timeout=10s`. What cannot be read is as good as none.
fn deadline(request: &Request) -> Option<Duration> {
    let value = request.uri().query()?.split('&').find_map(|pair| pair.strip_prefix("timeout="))?;
    duration::parse(value).ok().filter(|deadline| !deadline.is_zero())
}

/// Why a request gets no review.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("a review is JSON: send it with content-type: application/json")]
    NotJson,
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableEnvelope),
    #[error("the review failed inside the webhook; its log says where")]
    Panicked,
}

impl Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::NotJson => "content-type",
            Self::Body(BodyError::TooLarge(_)) => "too-large",
            Self::Body(BodyError::Slow(_)) => "body-timeout",
            Self::Body(BodyError::Busy) => "busy",
            Self::Body(BodyError::Broken(_)) => "body-broken",
            Self::Unreadable(_) => "unreadable",
            Self::Panicked => "panic",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::TooLarge(_)) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Slow(_)) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Body(BodyError::Broken(_)) | Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("{self}\n")).into_response();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            // In seconds. The API server sends a request again only if it is told when (client-go, `checkWait`).
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// What was found, worst first, each once: `spark-memory (denied), connect-core (warned)`. Never the words of a finding, which repeat
/// what users wrote.
struct Found<'a>(&'a [(Check, Verdict)]);

impl fmt::Display for Found<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (index, (check, verdict)) in self.0.iter().enumerate() {
            if !self.0[..index].contains(&(*check, *verdict)) {
                write!(formatter, "{separator}{} ({})", check.name(), verdict.name())?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// The names of the mutations that changed the object, or would have.
struct Applied<'a>(&'a [(Mutation, Outcome)]);

impl fmt::Display for Applied<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (mutation, outcome) in self.0 {
            let observed = match outcome {
                Outcome::Applied => "",
                Outcome::Observed => " (observed)",
                Outcome::Skipped(_) => continue,
            };
            write!(formatter, "{separator}{}{observed}", mutation.name())?;
            separator = ",";
        }
        Ok(())
    }
}
