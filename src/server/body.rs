//! A request's body, whole, or a reason why not.
//!
//! Promised: whatever clients send at once, the bodies being read and decided take no more memory than is set aside for them, and
//! small ones, which nearly all reviews are, never wait for large ones.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::limits::Limits;

/// Bodies up to this need no share of the memory.
const SMALL: usize = 64 * 1024;

/// How bodies are read.
#[derive(Debug)]
pub struct Bodies {
    largest: usize,
    time: Duration,
    /// A permit for each byte of the memory that all but the small bodies share.
    memory: Arc<Semaphore>,
    all_memory: usize,
}

/// A body, with its share of the memory until it is dropped.
pub(super) struct WholeBody {
    pub(super) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body took longer than {0:?}")]
    Slow(Duration),
    #[error("too many large bodies at once; send it again in a moment")]
    Busy,
    #[error("the body broke off: {0}")]
    Broken(axum::BoxError),
}

impl Bodies {
    pub(super) fn new(limits: &Limits) -> Self {
        let all_memory = limits.body_memory.min(Semaphore::MAX_PERMITS);
        let memory = Arc::new(Semaphore::new(all_memory));
        Self { largest: limits.body_bytes, time: limits.body, memory, all_memory }
    }

    /// Reads a body within the time that it may take, or the client's deadline if that is shorter.
    pub(super) async fn read(&self, body: Body, deadline: Option<Duration>) -> Result<WholeBody, BodyError> {
        let time = deadline.map_or(self.time, |deadline| deadline.min(self.time));
        timeout(time, self.read_for_ever(body, time)).await.unwrap_or(Err(BodyError::Slow(time)))
    }

    async fn read_for_ever(&self, body: Body, time: Duration) -> Result<WholeBody, BodyError> {
        let (limit, size) = (as_u64(self.largest), body.size_hint());
        if size.lower() > limit {
            discard(body, limit).await;
            return Err(BodyError::TooLarge(self.largest));
        }
        // A body that does not say its length may become the largest.
        let most = size.upper().unwrap_or(limit).min(limit);
        let mut share = None;
        if most > as_u64(SMALL) {
            share = self.share(most, time).await;
            if share.is_none() {
                discard(body, limit).await;
                return Err(BodyError::Busy);
            }
        }
        match Limited::new(body, self.largest).collect().await {
            Ok(body) => Ok(WholeBody { bytes: body.to_bytes(), _share: share }),
            Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(self.largest)),
            Err(error) => Err(BodyError::Broken(error)),
        }
    }

    /// Takes all of a body's memory before its first byte: bodies that each had a part and waited for the rest would wait for each
    /// other. Waits for half of the time, so that the client can still try again before its own deadline.
    async fn share(&self, bytes: u64, time: Duration) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.min(as_u64(self.all_memory))).unwrap_or(u32::MAX);
        let waiting = Arc::clone(&self.memory).acquire_many_owned(permits);
        // It is never closed, which would be the inner error.
        timeout(time / 2, waiting).await.ok()?.ok()
    }
}

fn as_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Lets a client send its body although the answer is no: it reads the answer only afterwards, and closing before would reset it.
/// Up to so many bytes, and without keeping them.
async fn discard(mut body: Body, bytes: u64) {
    let mut left = bytes;
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, |data| as_u64(data.len())));
        if left == 0 {
            return;
        }
    }
}
