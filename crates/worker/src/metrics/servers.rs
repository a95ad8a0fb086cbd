//! What is seen of PostgreSQL and Redis: errors, and the pool of connections.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use store::{ErrorKind, PgPool};

use super::registered;

/// Metrics about the servers that the worker needs.
pub(super) struct Servers {
    errors: IntCounterVec,
    unclassified: IntCounter,
    pool_connections: IntGauge,
    pool_idle: IntGauge,
}

impl Servers {
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let errors = Opts::new(
            "lineage_errors_total",
            "Errors of PostgreSQL and Redis, by what is done about them.",
        );
        let unclassified = IntCounter::new(
            "lineage_errors_unclassified_total",
            "Errors that no version of this program thought of. They are waited out like an \
             outage; report them.",
        );
        let pool_connections = IntGauge::new(
            "lineage_pool_connections",
            "Connections to PostgreSQL that the pool has open.",
        );
        let pool_idle = IntGauge::new(
            "lineage_pool_idle_connections",
            "Connections to PostgreSQL that wait for use.",
        );
        Ok(Self {
            errors: registered(registry, IntCounterVec::new(errors, &["kind"])?)?,
            unclassified: registered(registry, unclassified?)?,
            pool_connections: registered(registry, pool_connections?)?,
            pool_idle: registered(registry, pool_idle?)?,
        })
    }

    pub(super) fn error_met(&self, kind: ErrorKind) {
        self.errors.with_label_values(&[kind.name()]).inc();
        if kind == ErrorKind::Unclassified {
            self.unclassified.inc();
        }
    }

    pub(super) fn look_at(&self, pool: &PgPool) {
        self.pool_connections.set(i64::from(pool.size()));
        self.pool_idle.set(i64::try_from(pool.num_idle()).unwrap_or(i64::MAX));
    }
}
