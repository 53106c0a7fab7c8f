//! The admin port: is it alive, is it ready and why not, and its metrics.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};

use super::lifecycle::Lifecycle;
use crate::{certs::CurrentCertificate, metrics::Metrics};

/// What the admin port tells of.
#[derive(Clone)]
pub struct Admin {
    /// All metrics.
    pub metrics: Arc<Metrics>,
    /// How far the server is on its way.
    pub lifecycle: Lifecycle,
    /// The certificate in force.
    pub certificate: Arc<CurrentCertificate>,
}

impl Admin {
    /// Why the server should get no reviews now, if it should not.
    fn why_not_ready(&self) -> Option<String> {
        if self.lifecycle.is_leaving() {
            return Some("the server is shutting down".into());
        }
        if self.lifecycle.is_starting() {
            return Some("the nodes of the cluster are not known yet".into());
        }
        self.certificate.why_invalid(SystemTime::now())
    }
}

/// The admin port's routes.
pub fn admin_router(admin: Admin) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"))
        .with_state(admin)
}

async fn readyz(State(admin): State<Admin>) -> (StatusCode, String) {
    match admin.why_not_ready() {
        None => (StatusCode::OK, "ok\n".into()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
    }
}

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], admin.metrics.text())
}
