//! A doorbell that rings twice: entries that name what was acknowledged a moment ago, settled or not.

use std::sync::Arc;
use std::time::Duration;

use redis::cmd;

use super::World;
use crate::processes::STREAM_PREFIX;
use crate::random::Random;

/// The usual time between two of them.
const PAUSE_MILLIS: u64 = 400;
/// Among so many of the last sales one is chosen.
const RECENT: usize = 20;

/// Rings until asked to stop. Redis may be away; then nobody hears it.
pub(crate) async fn run(world: Arc<World>, mut random: Random) {
    while !world.is_stopping() {
        if let Some(event_id) = world.recent_event(&mut random, RECENT) {
            let _ = ring(&world, &event_id.to_string()).await;
        }
        let pause = random.between(PAUSE_MILLIS / 2, PAUSE_MILLIS * 3 / 2);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

async fn ring(world: &World, event_id: &str) -> anyhow::Result<()> {
    // A fault may hold Redis; ringing can wait.
    let Ok(redis) = world.arena.redis.try_lock() else { return Ok(()) };
    let mut connection = redis.connect().await?;
    drop(redis);
    let mut add = cmd("XADD");
    add.arg(format!("{STREAM_PREFIX}:events")).arg("*").arg("id").arg(event_id);
    add.query_async::<String>(&mut connection).await?;
    world.count(|counts| counts.rung_twice += 1);
    Ok(())
}
