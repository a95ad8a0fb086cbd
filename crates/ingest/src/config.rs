//! Configuration, read once: flags, else environment, else defaults.

use std::net::SocketAddr;

use anyhow::ensure;
use clap::Parser;
use secrecy::SecretString;
use tracing_subscriber::filter::Targets;

use crate::limits::Limits;
use crate::telemetry::LogFormat;

/// Says so when this build may be ended and broken by the environment: no release says it.
const VERSION: &str = if store::failpoints::COMPILED_IN {
    concat!(env!("CARGO_PKG_VERSION"), " (with failpoints)")
} else {
    env!("CARGO_PKG_VERSION")
};

/// Lineage's HTTP API: takes over sales and members. Run as many as you like, behind a proxy that
/// speaks TLS.
///
/// The API itself speaks plain HTTP/1.1. The proxy must end TLS, pass headers (Authorization and
/// webhook-*) and bodies on byte for byte, and must not pass on the metrics port. Keys, limits and
/// signatures are explained in docs/SECURITY.md.
#[derive(Debug, Parser)]
#[command(
    name = "lineage-ingest",
    version = VERSION,
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

    /// Requests per second that a key without a limit of its own may send to this process; what two
    /// seconds allow may come at once. 0: no limit
    #[arg(long, env = "LINEAGE_INGEST_RATE_LIMIT", default_value_t = 20_000,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) rate_limit: u32,

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

impl Config {
    /// Refuses what cannot be meant, before anything is started.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            !overlap(self.listen, self.metrics_listen),
            "--listen {} and --metrics-listen {} are the same port: metrics are never served where \
             the API is; give them a port of their own, such as --metrics-listen 127.0.0.1:9464",
            self.listen,
            self.metrics_listen
        );
        Ok(())
    }
}

/// Whether two addresses have a port in common. Port 0 stands for any that is free.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_host =
        one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_a_port_of_their_own() {
        for (one, other, overlaps) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("0.0.0.0:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8080", "[::]:8080", true),
            ("127.0.0.1:8080", "127.0.0.1:9464", false),
            ("127.0.0.1:8080", "10.0.0.7:8080", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let overlap = overlap(one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap, overlaps, "{one} {other}");
        }
    }
}
