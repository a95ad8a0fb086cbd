//! What happens to the servers: gone, empty, full, lied to.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use redis::cmd;

use super::Happened;
use crate::arena::Arena;
use crate::load::World;
use crate::processes::STREAM_PREFIX;
use crate::random::Random;

/// How long to wait until PostgreSQL notices that its disk is full.
const HURTS_MAX: Duration = Duration::from_secs(10);

/// Redis forgets everything.
pub(super) async fn flush(arena: &Arena) -> anyhow::Result<Happened> {
    let mut connection = arena.redis.lock().await.connect().await?;
    cmd("FLUSHALL").query_async::<()>(&mut connection).await?;
    Ok(Happened::Yes("FLUSHALL".to_owned()))
}

/// Redis dies, stays away for a moment and comes back, perhaps with nothing.
pub(super) async fn restart_redis(
    arena: &Arena,
    random: &mut Random,
    forget: bool,
) -> anyhow::Result<Happened> {
    let away = Duration::from_millis(random.between(0, 2_500));
    let mut redis = arena.redis.lock().await;
    redis.kill().await?;
    if forget {
        redis.forget()?;
    }
    tokio::time::sleep(away).await;
    redis.start_again().await?;
    Ok(Happened::Yes(format!("away for {} ms", away.as_millis())))
}

/// Redis may use no more memory, and refuses to write.
pub(super) async fn fill_redis(arena: &Arena, random: &mut Random) -> anyhow::Result<Happened> {
    let lasts = Duration::from_millis(random.between(1_500, 4_000));
    let mut connection = arena.redis.lock().await.connect().await?;
    let mut set = async |bytes: &str| {
        cmd("CONFIG")
            .arg("SET")
            .arg("maxmemory")
            .arg(bytes)
            .query_async::<()>(&mut connection)
            .await
    };
    set("1").await?;
    tokio::time::sleep(lasts).await;
    // Seen with our own eyes: Redis refuses to write.
    let mut other = arena.redis.lock().await.connect().await?;
    let written: Result<(), _> =
        cmd("SET").arg("chaos:ballast").arg(1).query_async(&mut other).await;
    set("0").await?;
    let what = format!("for {} ms", lasts.as_millis());
    Ok(if written.is_err() { Happened::Yes(what) } else { Happened::No(what) })
}

/// Entries that nobody of ours wrote.
pub(super) async fn forge(world: &Arc<World>, random: &mut Random) -> anyhow::Result<Happened> {
    let forged: Vec<_> = (0..random.between(1, 20)).map(|_| random.uuid()).collect();
    // Known as forged before anybody can see them.
    world.forge(&forged);
    let stale = world.some_events(random, 10);
    let mut connection = world.arena.redis.lock().await.connect().await?;
    let key = format!("{STREAM_PREFIX}:events");
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for id in forged.iter().chain(&stale) {
        entries.push((b"id".to_vec(), id.to_string().into_bytes()));
    }
    let bytes: Vec<u8> =
        (0..random.between(0, 4_000)).map(|_| random.next().to_le_bytes()[0]).collect();
    let noise: [(&[u8], &[u8]); 6] = [
        (b"id", b""),
        (b"id", b"not an id"),
        (b"id", b"\xff\xfe\x00"),
        (b"", b""),
        (b"amount", b"1000000"),
        (b"id", &bytes),
    ];
    entries.extend(noise.map(|(field, value)| (field.to_vec(), value.to_vec())));
    random.shuffle(&mut entries);
    for (field, value) in entries {
        let mut add = cmd("XADD");
        add.arg(&key).arg("*").arg(field).arg(value);
        add.query_async::<String>(&mut connection).await?;
    }
    Ok(Happened::Yes(format!(
        "{} forged, {} stale, {} noise",
        forged.len(),
        stale.len(),
        noise.len()
    )))
}

/// PostgreSQL dies, stays away and comes back.
pub(super) async fn restart_postgres(arena: &Arena, away: Duration) -> anyhow::Result<Happened> {
    let mut postgres = arena.postgres.lock().await;
    postgres.stop_immediately().await?;
    tokio::time::sleep(away).await;
    postgres.start_again().await?;
    Ok(Happened::Yes(format!("away for {} ms and its recovery", away.as_millis())))
}

/// PostgreSQL's disk is full for some seconds. It may die of that.
pub(super) async fn fill_disk(arena: &Arena, random: &mut Random) -> anyhow::Result<Happened> {
    let disk = arena.disk.as_ref().map_err(|why| anyhow!("{why}"))?;
    let lasts = Duration::from_millis(random.between(2_000, 4_000));
    let mut postgres = arena.postgres.lock().await;
    let complaints_before = postgres.complaints_of_space()?;
    disk.fill()?;
    let begun = Instant::now();
    // Until it has hurt: recycled files hold a little more.
    while begun.elapsed() < lasts
        || (postgres.complaints_of_space()? == complaints_before && begun.elapsed() < HURTS_MAX)
    {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let complaints = postgres.complaints_of_space()? - complaints_before;
    disk.empty()?;
    let died = if postgres.has_ended() { ", PostgreSQL died" } else { "" };
    postgres.start_again().await?;
    let what = format!("for {} ms, {complaints} complaints{died}", begun.elapsed().as_millis());
    Ok(if complaints > 0 { Happened::Yes(what) } else { Happened::No(what) })
}
