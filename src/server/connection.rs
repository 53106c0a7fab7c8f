//! One connection, from its first byte of HTTP to its end.

use std::{convert::Infallible, future::poll_fn, pin::Pin, pin::pin, sync::Arc, task::Poll};

use axum::{Router, body::Body, response::Response};
use hyper::{
    Request, Version,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    service::Service,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{activity::Activity, lifecycle::Lifecycle, limits::Limits};

type Http = auto::Builder<TokioExecutor>;

/// What all connections of a port have in common.
pub(super) struct Protocol {
    http1: Http,
    http2: Http,
    service: TowerToHyperService<Router>,
    lifecycle: Lifecycle,
    limits: Limits,
}

/// The largest head of a request, and the chunk that bodies are read in.
const HEAD_BYTES: usize = 64 * 1024;

impl Protocol {
    pub(super) fn new(router: Router, lifecycle: Lifecycle, limits: Limits) -> Self {
        let mut http1 = Http::new(TokioExecutor::new()).http1_only();
        // See `activity`: hyper's timer would close idle connections too.
        http1.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD_BYTES);
        let mut http2 = Http::new(TokioExecutor::new()).http2_only();
        http2
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(100)
            .max_header_list_size(16 * 1024)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .keep_alive_interval(Some(limits.idle / 4))
            .keep_alive_timeout(limits.header);
        Self { http1, http2, service: TowerToHyperService::new(router), lifecycle, limits }
    }

    /// Serves a connection to its end: the client's, the server's or that of its time.
    pub(super) async fn serve<Io>(&self, io: Io, http2: bool, activity: &Arc<Activity>)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        activity.connected(http2);
        let http = if http2 { &self.http2 } else { &self.http1 };
        let exchange = Exchange {
            service: self.service.clone(),
            activity: Arc::clone(activity),
            lifecycle: self.lifecycle.clone(),
        };
        let mut connection = pin!(http.serve_connection(TokioIo::new(io), exchange));
        let farewell = async {
            self.lifecycle.stopping().await;
            activity.leave();
            tokio::time::sleep(self.limits.farewell).await;
        };
        tokio::select! {
            biased;
            _ = connection.as_mut() => return,
            () = activity.closed() => return close(connection, activity).await,
            () = farewell => {}
        }
        tokio::select! {
            biased;
            () = leave(connection.as_mut(), http2, activity) => return,
            () = activity.closed() => {}
        }
        close(connection, activity).await;
    }
}

type Connection<'a, 'b, Io> = Pin<&'a mut auto::Connection<'b, TokioIo<Io>, Exchange, TokioExecutor>>;

/// Ends a connection at once, or after the review that is in flight.
async fn close<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    mut connection: Connection<'_, '_, Io>,
    activity: &Activity,
) {
    connection.as_mut().graceful_shutdown();
    poll_fn(|context| match connection.as_mut().poll(context) {
        Poll::Pending if activity.has_review_in_flight() => Poll::Pending,
        _ => Poll::Ready(()),
    })
    .await;
}

/// Ends a connection when the client has nothing more on the wire. HTTP/2 says with its GOAWAY up to where it answers; over HTTP/1
/// hyper would drop a request that has arrived and was not yet read, so it is told only when there is none.
async fn leave<Io: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    mut connection: Connection<'_, '_, Io>,
    http2: bool,
    activity: &Activity,
) {
    let mut told = http2;
    if http2 {
        connection.as_mut().graceful_shutdown();
    }
    poll_fn(|context| {
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        if told || !activity.is_quiet() {
            return Poll::Pending;
        }
        told = true;
        connection.as_mut().graceful_shutdown();
        connection.as_mut().poll(context).map(drop)
    })
    .await;
}

/// The router as one connection sees it: it knows of its reviews in flight, and tells clients to go while the server leaves.
struct Exchange {
    service: TowerToHyperService<Router>,
    activity: Arc<Activity>,
    lifecycle: Lifecycle,
}

impl Service<Request<Incoming>> for Exchange {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let review = self.activity.begin_review();
        let lifecycle = self.lifecycle.clone();
        let http1 = request.version() < Version::HTTP_2;
        let answer = self.service.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            if http1 && lifecycle.is_leaving() {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            drop(review);
            Ok(answer)
        })
    }
}
