//! A request's body, whole, or a reason why not.

use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::time::timeout;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body took longer than {0:?}")]
    Slow(Duration),
    #[error("the body broke off: {0}")]
    Broken(axum::BoxError),
}

/// Reads a body of at most `bytes` within `time`.
pub(super) async fn read(body: Body, bytes: usize, time: Duration) -> Result<Bytes, BodyError> {
    let limit = u64::try_from(bytes).unwrap_or(u64::MAX);
    let reading = async {
        if body.size_hint().lower() > limit {
            discard(body, limit).await;
            return Err(BodyError::TooLarge(bytes));
        }
        match Limited::new(body, bytes).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(bytes)),
            Err(error) => Err(BodyError::Broken(error)),
        }
    };
    timeout(time, reading).await.unwrap_or(Err(BodyError::Slow(time)))
}

/// Lets a client that sends a little too much send it all: it reads the answer only afterwards, and closing before would reset it.
async fn discard(mut body: Body, bytes: u64) {
    let mut left = bytes;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        left = left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        if left == 0 {
            return;
        }
    }
}
