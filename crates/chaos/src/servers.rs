//! A PostgreSQL and a Redis that nobody else uses: on free ports of the loopback interface, with
//! random passwords, gone when we are.

mod postgres;
mod redis_server;
mod small_disk;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

pub(crate) use self::postgres::Postgres;
pub(crate) use self::redis_server::RedisServer;
pub(crate) use self::small_disk::{SmallDisk, enter_namespace};

/// How long a server may take to start; one that was killed recovers first.
const START_SECONDS_MAX: u64 = 60;
/// How often to ask whether something has happened.
const POLL: Duration = Duration::from_millis(20);

/// A port that nobody listens on. The server takes it a moment later and keeps it through restarts.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A secret for one run.
#[expect(clippy::disallowed_methods, reason = "a password must not follow from the printed seed")]
fn password() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
