//! Configuration, read once: flags, else environment, else defaults.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use secrecy::SecretString;
use tracing_subscriber::filter::Targets;
use uuid::Uuid;

use crate::policy::Schedule;
use crate::telemetry::LogFormat;

/// Says so when this build may be ended and broken by the environment: no release says it.
const VERSION: &str = if store::failpoints::COMPILED_IN {
    concat!(env!("CARGO_PKG_VERSION"), " (with failpoints)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// Settles events: reads their ids from Redis Streams, looks up each seller's upline once, and
/// writes outcome and ledger lines in one PostgreSQL transaction. Run as many as you like.
#[derive(Debug, Parser)]
#[command(
    name = "lineage-worker",
    version = VERSION,
    after_help = "Example:\n  DATABASE_URL=postgres://lineage@localhost/lineage \\\n  \
                  REDIS_URL=redis://localhost lineage-worker --metrics-listen 127.0.0.1:9465"
)]
pub(crate) struct Config {
    /// URL of the worker's own PostgreSQL login, with the rights of `lineage_worker`
    #[arg(
        long = "worker-database-url",
        env = "LINEAGE_WORKER_DATABASE_URL",
        hide_env_values = true
    )]
    pub(crate) own_database_url: Option<SecretString>,

    /// PostgreSQL URL to fall back to, with SET ROLE `lineage_worker`; for development
    ///
    /// Without `sslmode` in it, the connection is encrypted only if the server offers it, and nobody
    /// checks whose it is: write ?sslmode=verify-full, and &sslrootcert=FILE for an own authority.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "postgres://localhost/lineage",
        hide_default_value = true
    )]
    pub(crate) database_url: SecretString,

    /// Redis URL
    ///
    /// `rediss://` speaks TLS and checks the certificate, by ?sslrootcert=FILE for an own authority.
    #[arg(
        long,
        env = "REDIS_URL",
        hide_env_values = true,
        default_value = "redis://127.0.0.1:6379",
        hide_default_value = true
    )]
    pub(crate) redis_url: SecretString,

    /// Prefix of the streams' keys in Redis
    #[arg(long, env = "LINEAGE_STREAM_PREFIX", default_value = "lineage")]
    pub(crate) stream_prefix: String,

    /// Where to serve /healthz, /readyz and /metrics; port 0 picks one and prints it
    #[arg(long, env = "LINEAGE_WORKER_METRICS_LISTEN", default_value = "127.0.0.1:9465")]
    pub(crate) metrics_listen: SocketAddr,

    /// Most events settled in one transaction
    #[arg(long, env = "LINEAGE_WORKER_BATCH", default_value_t = 500,
          value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub(crate) batch: u16,

    /// Loops that settle at the same time, each with its own connections
    #[arg(long, env = "LINEAGE_WORKER_CONNECTIONS", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) connections: u32,

    /// Operating system threads
    #[arg(long, env = "LINEAGE_WORKER_THREADS", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,

    /// Seconds after which an entry held by another consumer is taken over; longer than the
    /// longest transaction
    #[arg(long, env = "LINEAGE_WORKER_RECLAIM_AFTER", default_value = "60", value_parser = seconds)]
    pub(crate) reclaim_after: Duration,

    /// Seconds between sweeps for forgotten events and due retries
    #[arg(long, env = "LINEAGE_WORKER_SWEEP_EVERY", default_value = "5", value_parser = seconds)]
    pub(crate) sweep_every: Duration,

    /// Seconds to wait after the first, second, third … failed attempt at one event, 0 to 20 of them;
    /// the failure after the last wait makes it a dead letter. Empty: the first failure does. What
    /// repairs a cause, and `lineage dead-letters retry`, make an event due at once
    #[arg(
        long,
        env = "LINEAGE_WORKER_RETRY_AFTER",
        value_name = "SECONDS,…",
        default_value = "30,120,600"
    )]
    pub(crate) retry_after: Schedule,

    /// Seconds without a turn after which a loop counts as stuck and /healthz answers 503, so that
    /// the supervisor restarts the process; longer than the longest transaction. The sweep and the
    /// taking over of entries rest between turns: they have that pause on top
    #[arg(long, env = "LINEAGE_WORKER_STUCK_AFTER", default_value = "120", value_parser = seconds)]
    pub(crate) stuck_after: Duration,

    /// Which log lines are written: a level, or levels by target, such as info,sqlx=warn
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub(crate) log: Targets,

    /// How log lines are written to stderr
    #[arg(long, env = "LINEAGE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be 1 to 86400 seconds".to_owned()),
    }
}

/// A name that no other process has or had: a stream consumer must never find another's entries
/// under its own name.
#[expect(clippy::disallowed_methods, reason = "the edge, where randomness is allowed")]
pub(crate) fn consumer_name() -> String {
    format!("worker-{}-{}", std::process::id(), Uuid::new_v4().simple())
}
