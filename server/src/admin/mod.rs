//! The listener for operators: metrics, liveness, readiness and the status page. It only tells; none of
//! it names a user, and no request changes anything.

mod chart;
mod history;
mod page;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, StatusCode};
use tokio::net::TcpListener;

use crate::app::App;

pub(crate) use history::{History, observe};

/// Text, as Prometheus wants it.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The page has its style inside and loads nothing.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The listener, bound.
#[derive(Debug)]
pub(crate) struct Admin {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Admin {
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let local_addr = listener.local_addr()?;
        Ok(Self { listener, local_addr })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers until dropped: an operator wants to see a server that drains, too.
    pub(crate) async fn serve(self, app: Arc<App>) {
        if let Err(error) = axum::serve(self.listener, routes(app)).await {
            tracing::error!(%error, "the admin listener ended");
        }
    }
}

fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(status))
        .route("/metrics", get(metrics))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .with_state(app)
}

/// The process answers; that is all there is to being alive.
async fn live() -> Response {
    plain(StatusCode::OK, "alive\n")
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.readiness().await {
        Readiness::Ready => plain(StatusCode::OK, "ready\n"),
        Readiness::Draining => plain(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        Readiness::NoDatabase => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "the database cannot be reached\n",
        ),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = app.metrics.render(&app.gauges().await);
    with_headers([(CONTENT_TYPE, METRICS_TYPE)], text)
}

async fn status(State(app): State<Arc<App>>) -> Response {
    let text = page::Page::of(&app).await.to_string();
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    with_headers(headers, text)
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    (
        status,
        with_headers([(CONTENT_TYPE, "text/plain; charset=utf-8")], text),
    )
        .into_response()
}

fn with_headers<const N: usize>(
    headers: [(HeaderName, &'static str); N],
    body: impl IntoResponse,
) -> Response {
    let common = [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")];
    (common, headers, body).into_response()
}

/// Whether new work should be sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// It stops, or will in a moment.
    Draining,
    NoDatabase,
}
