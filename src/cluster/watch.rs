//! One watch: follows the objects of a kind, for ever, and knows whether what it has is what stands in the cluster.
//!
//! Promised: whatever goes wrong, what was seen last stays, a new start follows after a pause that grows, and the first list that is
//! complete again takes its place.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use futures_util::StreamExt as _;
use kube::{
    Api,
    core::Status,
    runtime::watcher::{self, Config, DefaultBackoff, Event, InitialListStrategy, watcher},
};
use tokio::{sync::Notify, task::JoinHandle};

use super::{
    store::Store,
    watched::{Seen, Watched},
};
use crate::metrics::Metrics;

/// How many objects are asked for at once, where they are listed in pages.
const PAGE: u32 = 500;

/// Whether what is known is what stands in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// Nothing is known yet.
    Never,
    /// Nor will it be, until somebody gives this account the right to look.
    Forbidden,
    /// It is.
    Now,
    /// It was, until then.
    Until(Instant),
}

/// What a watch knows; shared by the watch and by those who read it.
#[derive(Debug)]
pub(super) struct Known<T> {
    state: Mutex<State<T>>,
    /// Told of everything that makes a difference.
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct State<T> {
    store: Store<T>,
    freshness: Freshness,
    /// Counts what makes a difference.
    generation: u64,
}

impl<T: PartialEq> Known<T> {
    pub(super) fn new(changed: &Arc<Notify>) -> Arc<Self> {
        let state = State { store: Store::default(), freshness: Freshness::Never, generation: 0 };
        Arc::new(Self { state: Mutex::new(state), changed: Arc::clone(changed) })
    }

    pub(super) fn freshness(&self) -> Freshness {
        self.lock().freshness
    }

    /// A number that is another one when the objects are others.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Every object by its `namespace/name`.
    pub(super) fn all(&self) -> Vec<(Box<str>, Arc<T>)> {
        self.lock().store.iter().map(|(key, kept)| (key.into(), Arc::clone(kept))).collect()
    }

    fn take<O: Watched>(&self, event: Event<Seen<O>>, keep: &impl Fn(O) -> Option<T>) {
        let mut state = self.lock();
        let is_list = matches!(event, Event::InitDone);
        let is_different = match event {
            Event::Init => {
                state.store.begin();
                false
            }
            Event::InitApply(mut seen) => {
                state.store.list(seen.key(), keep(seen.object));
                false
            }
            Event::InitDone => state.store.end(),
            Event::Apply(mut seen) => state.store.put(seen.key(), keep(seen.object)),
            Event::Delete(mut seen) => state.store.remove(&seen.key()),
        };
        let is_back = is_list && state.freshness != Freshness::Now;
        if is_back {
            state.freshness = Freshness::Now;
        }
        if is_different {
            state.generation += 1;
        }
        if is_different || is_back {
            self.changed.notify_one();
        }
    }

    fn lose(&self, is_forbidden: bool) {
        let mut state = self.lock();
        state.freshness = match state.freshness {
            Freshness::Now => Freshness::Until(Instant::now()),
            Freshness::Never | Freshness::Forbidden if is_forbidden => Freshness::Forbidden,
            same => same,
        };
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a kind is watched.
#[derive(Debug)]
pub(super) struct Watch<O> {
    /// All of its objects, or those of a namespace.
    pub(super) api: Api<Seen<O>>,
    /// Only the objects with these fields.
    pub(super) fields: Option<String>,
    /// After how many seconds the API server is to end a request, after which the next one goes on from there. On the connection of a
    /// watch something arrives within that time, then, also where the API server sends no bookmarks: for events it does not.
    pub(super) seconds: u32,
    pub(super) metrics: Arc<Metrics>,
}

impl<O: Watched> Watch<O> {
    /// Follows the objects until the task is aborted. What `keep` makes nothing of is not kept.
    pub(super) fn start<T: PartialEq + Send + Sync + 'static>(
        self,
        known: Arc<Known<T>>,
        keep: impl Fn(O) -> Option<T> + Send + Sync + 'static,
    ) -> JoinHandle<()> {
        tokio::spawn(async move { self.follow(&known, keep).await })
    }

    async fn follow<T: PartialEq>(self, known: &Known<T>, keep: impl Fn(O) -> Option<T>) {
        let mut config = Config::default().streaming_lists().page_size(PAGE).timeout(self.seconds);
        config.field_selector.clone_from(&self.fields);
        let mut pauses = DefaultBackoff::default();
        // The status of what was last complained of; 0 where nobody answered.
        let mut complained = None;
        loop {
            let error = self.until_error(&config, known, &keep, &mut complained).await;
            let code = status(&error).map_or(0, |status| status.code);
            if config.initial_list_strategy == InitialListStrategy::StreamingList && [400, 422].contains(&code) {
                // An API server that knows no lists in a watch; from 1.32 on they all do.
                config.initial_list_strategy = InitialListStrategy::ListWatch;
                continue;
            }
            known.lose(code == 403);
            if complained != Some(code) {
                complain::<O>(code, &error);
                complained = Some(code);
            }
            tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        }
    }

    /// Follows the objects until something goes wrong. What watched them then is not gone on with: that it is in sync again is known
    /// from a new list.
    async fn until_error<T: PartialEq>(
        &self,
        config: &Config,
        known: &Known<T>,
        keep: &impl Fn(O) -> Option<T>,
        complained: &mut Option<u16>,
    ) -> watcher::Error {
        let mut events = pin!(watcher(self.api.clone(), config.clone()));
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    if matches!(event, Event::InitDone) && complained.take().is_some_and(|code| code != GONE) {
                        tracing::info!(kind = O::PLURAL, "watched again");
                    }
                    self.metrics.watched(O::PLURAL);
                    known.take(event, keep);
                }
                Some(Err(error)) => return error,
                None => return watcher::Error::NoResourceVersion,
            }
        }
    }
}

/// What the API server has forgotten is listed anew; that is in order.
const GONE: u16 = 410;

fn complain<O: Watched>(code: u16, error: &watcher::Error) {
    let (kind, rights) = (O::PLURAL, O::RIGHTS);
    let why = status(error).map_or_else(|| super::access::innermost(error), |status| status.message.clone());
    match code {
        403 => tracing::error!(
            kind,
            why,
            "this account may not list and watch {kind}: give it the rights of {rights}; until then what was seen before is used, if anything"
        ),
        GONE => tracing::debug!(kind, why, "listing anew"),
        _ => tracing::warn!(kind, why, "cannot watch; what was seen last stays in use, and it is tried again"),
    }
}

/// What the API server said, where it said something.
fn status(error: &watcher::Error) -> Option<&Status> {
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        WatchError(status)
        | InitialListFailed(kube::Error::Api(status))
        | WatchStartFailed(kube::Error::Api(status))
        | WatchFailed(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}
