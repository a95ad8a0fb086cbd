//! The worker's own port: `/metrics`, `/healthz` and `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use store::PgPool;

use crate::health::Health;
use crate::metrics::Metrics;

/// Serves in the background; returns where.
pub(crate) async fn serve(
    at: SocketAddr,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    pool: PgPool,
) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(at)
        .await
        .with_context(|| format!("cannot listen on {at} (--metrics-listen)"))?;
    let bound = listener.local_addr()?;
    let ready = Arc::clone(&health);
    let app = Router::new()
        .route("/healthz", get(async move || alive(&health)))
        .route("/readyz", get(async move || readiness(&ready)))
        .route("/metrics", get(async move || text(&metrics, &pool)));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "metrics are no longer served");
        }
    });
    Ok(bound)
}

fn alive(health: &Health) -> Response {
    match health.stuck() {
        None => "ok\n".into_response(),
        Some(stuck) => (StatusCode::SERVICE_UNAVAILABLE, format!("{stuck}\n")).into_response(),
    }
}

fn readiness(health: &Health) -> Response {
    let readiness = health.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

fn text(metrics: &Metrics, pool: &PgPool) -> Response {
    match metrics.render(pool) {
        Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "cannot render metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
