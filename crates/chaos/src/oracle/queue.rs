//! The stream after quiescence: empty, and nobody holds anything.

use std::time::{Duration, Instant};

use redis::{Client, Value, cmd};

use super::findings::Findings;
use super::promise::DRAINED;

/// A retry that is due may pass through the stream at any time; it does not stay.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn check(
    redis_url: &str,
    prefix: &str,
    findings: &mut Findings,
) -> redis::RedisResult<()> {
    let mut conn = Client::open(redis_url)?.get_multiplexed_async_connection().await?;
    let events = format!("{prefix}:events");
    let begun = Instant::now();
    loop {
        let length: u64 = cmd("XLEN").arg(&events).query_async(&mut conn).await?;
        let summary: redis::RedisResult<Value> =
            cmd("XPENDING").arg(&events).arg("workers").query_async(&mut conn).await;
        let pending = match summary {
            Ok(Value::Array(fields)) => match fields.first() {
                Some(Value::Int(pending)) => *pending,
                _ => -1,
            },
            Ok(_) => -1,
            // Redis was flushed, and there was nothing to make the group again for.
            Err(error) if error.code() == Some("NOGROUP") => 0,
            Err(error) => return Err(error),
        };
        if length == 0 && pending == 0 {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            findings.add(DRAINED, format!("{events}: {length} entries, {pending} of them held"));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
