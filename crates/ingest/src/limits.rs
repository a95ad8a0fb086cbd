//! What clients may take of the process: time, connections and memory.

use std::time::Duration;

use clap::Args;

/// Limits that no client can lift.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Limits {
    /// Most connections of clients; who comes when all are taken is answered 503 at once
    #[arg(long, env = "LINEAGE_INGEST_CLIENT_CONNECTIONS", default_value_t = 2_048,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) client_connections: u32,

    /// Seconds in which a request's headers must have arrived; also how long a connection may be
    /// kept without a request
    #[arg(long, env = "LINEAGE_INGEST_HEADERS_TIMEOUT", default_value = "10", value_parser = seconds)]
    pub(crate) headers_timeout: Duration,

    /// Seconds in which a request's body must have arrived as a whole, and an answer must have been
    /// taken as a whole
    #[arg(long, env = "LINEAGE_INGEST_TRANSFER_TIMEOUT", default_value = "20", value_parser = seconds)]
    pub(crate) transfer_timeout: Duration,

    /// MiB of bodies that are read or worked on at the same time, counted as their bytes arrive;
    /// what finds no room waits for a second, then is answered 503. At least as much as one body may
    /// have
    #[arg(long, env = "LINEAGE_INGEST_BODY_MEMORY", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(2..=4_096))]
    pub(crate) body_memory: u16,

    /// Milliseconds that recording events should take at most, from a request's body to its commit.
    /// While it takes longer, fewer requests may wait and more are answered 503
    #[arg(long, env = "LINEAGE_INGEST_QUEUE_TARGET", default_value = "15", value_parser = milliseconds)]
    pub(crate) queue_target: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3_600) => Ok(Duration::from_secs(seconds)),
        _ => Err("must be 1 to 3600 seconds".to_owned()),
    }
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(milliseconds @ 1..=10_000) => Ok(Duration::from_millis(milliseconds)),
        _ => Err("must be 1 to 10000 milliseconds".to_owned()),
    }
}
