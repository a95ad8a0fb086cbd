//! Whether an installation is itself again after a fault.
//!
//! A sale posted through each ingest must be settled; that is the recovery that a shop sees. One
//! healthy worker is enough for it, so each worker must also read the stream again: a process that
//! came out of a fault deaf is found here and not hidden by the next fault.

use std::time::{Duration, Instant};

use redis::{FromRedisValue as _, Value, cmd};

use crate::arena::Arena;
use crate::load::Load;
use crate::processes::{LOOPS, STREAM_PREFIX};

/// Recovery that takes longer is a finding.
pub(crate) const RECOVERY_MAX: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(100);

/// How long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// Until a sale through each ingest was settled.
    pub(crate) settles: Duration,
    /// Until every worker read the stream.
    pub(crate) complete: Duration,
}

/// Waits for it. What does not happen in time is said.
pub(crate) async fn wait(load: &mut Load) -> Result<Recovery, String> {
    let begun = Instant::now();
    let limit = RECOVERY_MAX.as_secs();
    let arena = std::sync::Arc::clone(&load.world.arena);
    let all_work = async {
        tokio::time::timeout(RECOVERY_MAX, until_all_work(&arena, begun))
            .await
            .map(|()| begun.elapsed())
    };
    let (settles, complete) = tokio::join!(load.probe(RECOVERY_MAX), all_work);
    let settles =
        settles.ok_or(format!("a sale posted afterwards was not settled within {limit} s"))?;
    match complete {
        Ok(complete) => Ok(Recovery { settles, complete }),
        Err(_) => Err(format!("a worker did not read the stream again within {limit} s")),
    }
}

/// Waits until each loop of each worker has asked for entries since.
async fn until_all_work(arena: &Arena, since: Instant) {
    while !all_work(arena, since).await.unwrap_or(false) {
        tokio::time::sleep(POLL).await;
    }
}

async fn all_work(arena: &Arena, since: Instant) -> anyhow::Result<bool> {
    let mut connection = arena.redis.lock().await.connect().await?;
    let key = format!("{STREAM_PREFIX}:events");
    let consumers: Vec<Vec<Value>> =
        cmd("XINFO").arg("CONSUMERS").arg(&key).arg("workers").query_async(&mut connection).await?;
    let elapsed = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
    let mut recent = Vec::new();
    for fields in consumers {
        // Names and values in turn: `name`, `pending`, `idle`.
        let value = |name: &str| {
            let mut pairs = fields.chunks(2);
            let pair = pairs
                .find(|pair| String::from_redis_value_ref(&pair[0]).is_ok_and(|at| at == name));
            pair.and_then(|pair| pair.get(1).cloned())
        };
        if let (Some(name), Some(Value::Int(idle))) = (value("name"), value("idle"))
            && idle <= elapsed
        {
            recent.push(String::from_redis_value(name)?);
        }
    }
    Ok(arena.running_workers().iter().all(|worker| {
        worker.pid_now().is_some_and(|pid| {
            let prefix = format!("worker-{pid}-");
            let loops = recent
                .iter()
                .filter(|name| name.starts_with(&prefix) && !name.ends_with("-reclaim"));
            loops.count() >= LOOPS
        })
    }))
}
