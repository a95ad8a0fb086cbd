//! What Prometheus sees of a worker. Every metric is declared once; its text is its help.

mod servers;

use std::time::Instant;

use chrono::TimeDelta;
use prometheus::{
    Encoder as _, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};
use store::failures::FailureCounts;
use store::{ErrorKind, PgPool};

use self::servers::Servers;
use crate::settle::{Report, Skipped};

/// A part of settling one batch.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    Read,
    Compute,
    Write,
    Commit,
}

/// The worker's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    settled: IntCounter,
    lines: IntCounter,
    retried: IntCounterVec,
    dead_lettered: IntCounterVec,
    skipped: IntCounterVec,
    entries: IntCounterVec,
    repeated: IntCounter,
    end_to_end: Histogram,
    batch_size: Histogram,
    stages: HistogramVec,
    backlog: IntGauge,
    pending: IntGauge,
    failures: IntGaugeVec,
    oldest_unsettled: IntGauge,
    swept: IntCounterVec,
    servers: Servers,
}

impl Metrics {
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| registered(&registry, IntCounter::new(name, help)?);
        let counters = |name: &str, help: &str, label: &str| {
            registered(&registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
        };
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help)?);
        let build = registered(
            &registry,
            IntGaugeVec::new(
                Opts::new("lineage_build_info", "Always 1; what is running."),
                &["binary", "version"],
            )?,
        )?;
        build.with_label_values(&["lineage-worker", env!("CARGO_PKG_VERSION")]).set(1);
        let seconds = |name: &str, help: &str| {
            HistogramOpts::new(name, help).buckets(vec![
                0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
                60.0, 600.0,
            ])
        };
        Ok(Self {
            settled: counter("lineage_events_settled_total", "Events settled by this process.")?,
            lines: counter("lineage_ledger_lines_total", "Ledger lines written.")?,
            retried: counters(
                "lineage_events_retried_total",
                "Failed attempts that will be repeated, by cause.",
                "cause",
            )?,
            dead_lettered: counters(
                "lineage_events_dead_lettered_total",
                "Events given up until somebody looks, by cause.",
                "cause",
            )?,
            skipped: counters(
                "lineage_events_skipped_total",
                "Deliveries that needed no settling: settled before, dead, discarded, not due, or \
                 unknown to PostgreSQL (forged, or Redis ahead of it after a failover).",
                "why",
            )?,
            entries: counters(
                "lineage_stream_entries_total",
                "Stream entries by kind: read, naming no event, or taken over from dead workers.",
                "kind",
            )?,
            repeated: counter(
                "lineage_transactions_repeated_total",
                "Settling transactions repeated after a deadlock or serialization failure.",
            )?,
            end_to_end: registered(
                &registry,
                Histogram::with_opts(seconds(
                    "lineage_end_to_end_seconds",
                    "From recording an event to committing its ledger lines.",
                ))?,
            )?,
            batch_size: registered(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("lineage_batch_size", "Events settled in one transaction.")
                        .buckets(vec![
                            1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0,
                        ]),
                )?,
            )?,
            stages: registered(
                &registry,
                HistogramVec::new(
                    seconds("lineage_settle_stage_seconds", "Time per batch, by stage."),
                    &["stage"],
                )?,
            )?,
            backlog: gauge(
                "lineage_stream_backlog_entries",
                "Entries in the stream: not read yet, or read and not settled.",
            )?,
            pending: gauge(
                "lineage_stream_pending_entries",
                "Entries that a worker has read and not settled.",
            )?,
            failures: registered(
                &registry,
                IntGaugeVec::new(
                    Opts::new("lineage_events_failing", "Events that failed, by state."),
                    &["state"],
                )?,
            )?,
            oldest_unsettled: gauge(
                "lineage_oldest_unsettled_age_seconds",
                "Age of the oldest forgotten event that the last sweep found; 0 in processes \
                 without the turn, so take the maximum.",
            )?,
            swept: counters(
                "lineage_swept_events_total",
                "Events that the sweep published again: forgotten, or due for a retry.",
                "why",
            )?,
            servers: Servers::new(&registry)?,
            registry,
        })
    }

    pub(crate) fn observe_stage(&self, stage: Stage, from: Instant, to: Instant) {
        let label = match stage {
            Stage::Read => "read",
            Stage::Compute => "compute",
            Stage::Write => "write",
            Stage::Commit => "commit",
        };
        self.stages.with_label_values(&[label]).observe((to - from).as_secs_f64());
    }

    pub(crate) fn observe_end_to_end(&self, time: TimeDelta) {
        self.end_to_end.observe(time.as_seconds_f64().max(0.0));
    }

    pub(crate) fn entries_read(&self, entries: usize, events: usize) {
        self.entries.with_label_values(&["read"]).inc_by(entries as u64);
        self.entries
            .with_label_values(&["repeated_or_unreadable"])
            .inc_by(entries.saturating_sub(events) as u64);
    }

    pub(crate) fn entries_reclaimed(&self, entries: usize) {
        self.entries.with_label_values(&["reclaimed"]).inc_by(entries as u64);
    }

    pub(crate) fn transaction_repeated(&self) {
        self.repeated.inc();
    }

    pub(crate) fn batch_done(&self, report: &Report) {
        self.settled.inc_by(report.settled.len() as u64);
        self.lines.inc_by(report.lines);
        if !report.settled.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "a batch has at most 5000 events")]
            self.batch_size.observe(report.settled.len() as f64);
        }
        let before = report.settled_before.len() as u64;
        self.skipped.with_label_values(&["settled_before"]).inc_by(before);
        let Skipped { unknown, dead, discarded, not_due } = report.skipped;
        for (why, events) in
            [("unknown", unknown), ("dead", dead), ("discarded", discarded), ("not_due", not_due)]
        {
            self.skipped.with_label_values(&[why]).inc_by(events as u64);
        }
        for (cause, dead) in &report.failed {
            let counter = if *dead { &self.dead_lettered } else { &self.retried };
            counter.with_label_values(&[cause.name()]).inc();
        }
    }

    pub(crate) fn stream(&self, backlog: u64, pending: u64) {
        self.backlog.set(i64::try_from(backlog).unwrap_or(i64::MAX));
        self.pending.set(i64::try_from(pending).unwrap_or(i64::MAX));
    }

    pub(crate) fn failures(&self, counts: &FailureCounts) {
        self.failures.with_label_values(&["retrying"]).set(counts.retrying);
        self.failures.with_label_values(&["dead"]).set(counts.dead);
    }

    pub(crate) fn oldest_unsettled(&self, age: TimeDelta) {
        self.oldest_unsettled.set(age.num_seconds());
    }

    pub(crate) fn swept(&self, forgotten: usize, due: usize) {
        self.swept.with_label_values(&["forgotten"]).inc_by(forgotten as u64);
        self.swept.with_label_values(&["due"]).inc_by(due as u64);
    }

    /// Counts an error of PostgreSQL or Redis where it is handled.
    pub(crate) fn error_met(&self, kind: ErrorKind, error: &dyn std::fmt::Display) {
        self.servers.error_met(kind);
        if kind == ErrorKind::Unclassified {
            tracing::error!(%error, "an error of no known kind; please report it");
        }
    }

    pub(crate) fn render(&self, pool: &PgPool) -> Result<Vec<u8>, prometheus::Error> {
        self.servers.look_at(pool);
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

fn registered<T: prometheus::core::Collector + Clone + 'static>(
    registry: &Registry,
    metric: T,
) -> Result<T, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}
