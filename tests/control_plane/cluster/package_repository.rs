//! A repository of packages that takes its time, as one far away does: what is downloaded at once is downloaded side by side.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinHandle};

use super::chart_repository::file;

/// Serves the files of a folder; ended when dropped.
pub struct PackageRepository {
    pub url: String,
    serving: JoinHandle<()>,
}

impl PackageRepository {
    /// Each answer comes after so long.
    pub async fn start(folder: PathBuf, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        Self { url, serving: tokio::spawn(serve(listener, folder.into(), delay)) }
    }
}

impl Drop for PackageRepository {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, folder: Arc<Path>, delay: Duration) {
    while let Ok((stream, _)) = listener.accept().await {
        let folder = Arc::clone(&folder);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let answer = answer(&request, &folder);
                async move {
                    tokio::time::sleep(delay).await;
                    Ok::<_, Infallible>(answer)
                }
            });
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(request: &Request<Incoming>, folder: &Path) -> Response<Full<Bytes>> {
    file(&folder.join(request.uri().path().trim_start_matches('/')))
}
