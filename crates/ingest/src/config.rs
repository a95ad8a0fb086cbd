//! Configuration, read once: flags, else environment, else defaults.

use std::net::SocketAddr;

use clap::Parser;
use secrecy::SecretString;
use tracing_subscriber::filter::Targets;

use crate::limits::Limits;
use crate::telemetry::LogFormat;

/// Lineage's HTTP API: takes over sales and members. Run as many as you like, behind a proxy that
/// speaks TLS.
#[derive(Debug, Parser)]
#[command(
    name = "lineage-ingest",
    version,
    after_help = "Example:\n  DATABASE_URL=postgres://lineage@localhost/lineage \\\n  \
                  REDIS_URL=redis://localhost lineage-ingest --listen 127.0.0.1:8080"
)]
pub(crate) struct Config {
    /// URL of ingest's own PostgreSQL login, with the rights of `lineage_ingest`
    #[arg(
        long = "ingest-database-url",
        env = "LINEAGE_INGEST_DATABASE_URL",
        hide_env_values = true
    )]
    pub(crate) own_database_url: Option<SecretString>,

    /// PostgreSQL URL to fall back to, with SET ROLE `lineage_ingest`; for development
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "postgres://localhost/lineage",
        hide_default_value = true
    )]
    pub(crate) database_url: SecretString,

    /// Redis URL
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

    /// Where to serve the API; port 0 picks one and prints it
    #[arg(long, env = "LINEAGE_INGEST_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Where to serve /metrics, never the API's port; port 0 picks one and prints it
    #[arg(long, env = "LINEAGE_INGEST_METRICS_LISTEN", default_value = "127.0.0.1:9464")]
    pub(crate) metrics_listen: SocketAddr,

    /// PostgreSQL connections for everything but recording events; at least 2 are used
    #[arg(long, env = "LINEAGE_INGEST_CONNECTIONS", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=200))]
    pub(crate) connections: u32,

    /// PostgreSQL connections that record events; requests that wait for one share its commit
    #[arg(long, env = "LINEAGE_INGEST_COMMITTERS", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) committers: u32,

    /// Operating system threads that serve clients; one more records events
    #[arg(long, env = "LINEAGE_INGEST_THREADS", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,

    #[command(flatten)]
    pub(crate) limits: Limits,

    /// Which log lines are written: a level, or levels by target, such as info,sqlx=warn
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub(crate) log: Targets,

    /// How log lines are written to stderr
    #[arg(long, env = "LINEAGE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}
