//! What Prometheus sees of ingest. Every metric is declared once; its text is its help.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramTimer, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use store::PgPool;

/// The metrics of ingest.
pub(crate) struct Metrics {
    registry: Registry,
    accepted: IntCounter,
    duplicate: IntCounter,
    rejected: IntCounterVec,
    not_rung: IntCounter,
    requests: IntCounterVec,
    seconds: HistogramVec,
    shared: Histogram,
    pool_connections: IntGauge,
    pool_idle: IntGauge,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help)?);
        let build = registered(
            &registry,
            IntGaugeVec::new(
                Opts::new("lineage_build_info", "Always 1; what is running."),
                &["binary", "version"],
            )?,
        )?;
        build.with_label_values(&["lineage-ingest", env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            accepted: counter("lineage_events_accepted_total", "Events recorded.")?,
            duplicate: counter(
                "lineage_events_duplicate_total",
                "Events that were recorded before with the same facts.",
            )?,
            rejected: registered(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "lineage_events_rejected_total",
                        "Requests with events that were refused, by HTTP status.",
                    ),
                    &["status"],
                )?,
            )?,
            not_rung: counter(
                "lineage_events_not_rung_total",
                "Events that Redis was not told of; the workers' sweep finds them.",
            )?,
            requests: registered(
                &registry,
                IntCounterVec::new(
                    Opts::new("lineage_http_requests_total", "Requests answered."),
                    &["method", "route", "status"],
                )?,
            )?,
            seconds: registered(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "lineage_http_request_seconds",
                        "From a request's headers to its answer.",
                    )
                    .buckets(vec![
                        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
                        30.0,
                    ]),
                    &["method", "route"],
                )?,
            )?,
            shared: registered(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "lineage_batch_size",
                        "Events recorded by one commit, which requests may share.",
                    )
                    .buckets(vec![1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0]),
                )?,
            )?,
            pool_connections: gauge("lineage_pool_connections", "Open connections to PostgreSQL.")?,
            pool_idle: gauge("lineage_pool_idle_connections", "Connections that nobody uses.")?,
            registry,
        })
    }

    pub(crate) fn recorded(&self, accepted: usize, duplicate: usize) {
        self.accepted.inc_by(accepted as u64);
        self.duplicate.inc_by(duplicate as u64);
    }

    pub(crate) fn rejected(&self, status: StatusCode) {
        self.rejected.with_label_values(&[status.as_str()]).inc();
    }

    pub(crate) fn not_rung(&self, events: usize) {
        self.not_rung.inc_by(events as u64);
    }

    pub(crate) fn committed_together(&self, events: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a commit has a few thousand events")]
        self.shared.observe(events as f64);
    }

    pub(crate) fn request_timer(&self, method: &Method, route: &str) -> HistogramTimer {
        self.seconds.with_label_values(&[label(method), route]).start_timer()
    }

    pub(crate) fn answered(&self, method: &Method, route: &str, status: StatusCode) {
        self.requests.with_label_values(&[label(method), route, status.as_str()]).inc();
    }

    fn render(&self, pool: &PgPool) -> Result<Vec<u8>, prometheus::Error> {
        self.pool_connections.set(i64::from(pool.size()));
        self.pool_idle.set(i64::try_from(pool.num_idle()).unwrap_or(i64::MAX));
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// A client can invent methods; labels must not multiply.
fn label(method: &Method) -> &str {
    match method.as_str() {
        known @ ("GET" | "POST" | "PATCH" | "PUT" | "DELETE" | "HEAD" | "OPTIONS") => known,
        _ => "other",
    }
}

fn registered<T: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: T,
) -> Result<T, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// Serves `/metrics` on its own port in the background; returns where.
pub(crate) async fn serve(
    at: SocketAddr,
    metrics: Arc<Metrics>,
    pool: PgPool,
) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(at)
        .await
        .with_context(|| format!("cannot listen on {at} (--metrics-listen)"))?;
    let bound = listener.local_addr()?;
    let text = move || async move {
        match metrics.render(&pool) {
            Ok(text) => ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
            Err(error) => {
                tracing::error!(%error, "cannot render metrics");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    };
    let router = Router::new().route("/metrics", get(text));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are no longer served");
        }
    });
    Ok(bound)
}
