//! A PostgreSQL and a Redis that nobody else uses: on free ports of the loopback interface, with
//! random passwords, gone when we are.

mod postgres;
mod redis_server;
mod small_disk;

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::bail;
use uuid::Uuid;

pub(crate) use self::postgres::Postgres;
pub(crate) use self::redis_server::RedisServer;
pub(crate) use self::small_disk::{SmallDisk, enter_namespace};

/// How long a server may take to start; one that was killed recovers first.
const START_SECONDS_MAX: u64 = 60;
/// How many ports are tried.
const PORTS_TRIED_MAX: usize = 100;
/// How often to ask whether something has happened.
const POLL: Duration = Duration::from_millis(20);

/// A port that nobody listens on, below those that the kernel gives to outgoing connections: nobody
/// must take it while the server is away.
fn free_port() -> anyhow::Result<SocketAddr> {
    for _ in 0..PORTS_TRIED_MAX {
        let port = 20_000 + u16::try_from(drawn().as_u128() % 12_000)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port between 20000 and 32000 is free")
}

/// A secret for one run.
fn password() -> String {
    drawn().simple().to_string()
}

#[expect(clippy::disallowed_methods, reason = "must not follow from the printed seed")]
fn drawn() -> Uuid {
    Uuid::new_v4()
}
