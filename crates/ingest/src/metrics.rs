//! What Prometheus sees of ingest. Every metric is declared once; its text is its help.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus::{
    Encoder as _, Gauge, Histogram, HistogramOpts, HistogramTimer, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use store::PgPool;

use crate::backlog::Backlog;

/// Why a request was refused although nothing was wrong with it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shed {
    /// Too many requests wait for a committer.
    Queue,
    /// Too many bytes of bodies are held.
    Memory,
    /// All connections are taken.
    Connections,
}

impl Shed {
    const ALL: [Self; 3] = [Self::Queue, Self::Memory, Self::Connections];

    fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::Memory => "memory",
            Self::Connections => "connections",
        }
    }
}

/// What is looked at when Prometheus asks.
#[derive(Clone)]
pub(crate) struct Seen {
    /// Of the committers, and of everything else.
    pub(crate) pools: [PgPool; 2],
    pub(crate) backlog: Arc<Backlog>,
}

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
    shed: IntCounterVec,
    waited: Histogram,
    queue_requests: IntGauge,
    queue_bytes: IntGauge,
    queue_limit: IntGauge,
    queue_age: Gauge,
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
            shed: shed(&registry)?,
            waited: waited(&registry)?,
            queue_requests: gauge(
                "lineage_queue_requests",
                "Posts of events that wait for a committer.",
            )?,
            queue_bytes: gauge("lineage_queue_bytes", "Bytes of the bodies of those posts.")?,
            queue_limit: gauge(
                "lineage_queue_limit_bytes",
                "Bytes from which further posts are refused; falls while answers are late.",
            )?,
            queue_age: registered(
                &registry,
                Gauge::new(
                    "lineage_queue_age_seconds",
                    "How long posts have waited since a committer last took any; 0 when none wait.",
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

    /// A request was refused that could have been served at another moment.
    pub(crate) fn shed(&self, why: Shed) {
        self.shed.with_label_values(&[why.name()]).inc();
    }

    /// A committer took a post that had waited so long.
    pub(crate) fn waited(&self, time: Duration) {
        self.waited.observe(time.as_secs_f64());
    }

    fn render(&self, Seen { pools, backlog }: &Seen) -> Result<Vec<u8>, prometheus::Error> {
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.pool_connections.set(pools.iter().map(|pool| i64::from(pool.size())).sum());
        self.pool_idle.set(gauge(pools.iter().map(PgPool::num_idle).sum()));
        self.queue_requests.set(gauge(backlog.requests()));
        self.queue_bytes.set(gauge(backlog.bytes()));
        self.queue_limit.set(gauge(backlog.limit()));
        self.queue_age.set(backlog.age().as_secs_f64());
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

fn shed(registry: &Registry) -> Result<IntCounterVec, prometheus::Error> {
    let shed = registered(
        registry,
        IntCounterVec::new(
            Opts::new(
                "lineage_http_shed_total",
                "Requests refused because there was too much to do, by what was short.",
            ),
            &["why"],
        )?,
    )?;
    for why in Shed::ALL {
        // Zero from the start, so that the first refusal shows as an increase.
        shed.with_label_values(&[why.name()]);
    }
    Ok(shed)
}

fn waited(registry: &Registry) -> Result<Histogram, prometheus::Error> {
    let options = HistogramOpts::new(
        "lineage_queue_seconds",
        "From a post's body to the committer that takes its events.",
    );
    let buckets =
        vec![0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];
    registered(registry, Histogram::with_opts(options.buckets(buckets))?)
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
    seen: Seen,
) -> anyhow::Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(at)
        .await
        .with_context(|| format!("cannot listen on {at} (--metrics-listen)"))?;
    let bound = listener.local_addr()?;
    let text = move || async move {
        match metrics.render(&seen) {
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
