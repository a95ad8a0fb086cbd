//! When everything is healed and nobody asks for more: wait until nothing is left to do, and say what
//! is left when it does not end.

use std::time::{Duration, Instant};

use redis::{Value, cmd};
use sqlx::{Connection as _, PgConnection};

use crate::arena::Arena;
use crate::evidence::Finding;
use crate::processes::STREAM_PREFIX;

/// How long it may take: longer than the sweep's age of forgotten events and two retries.
const QUIET_MAX: Duration = Duration::from_secs(150);
/// How long a session may be within a transaction and idle, once nobody asks for anything.
const IDLE_MAX: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(200);
/// How much of what `lineage verify` says is repeated.
const VERIFY_LINES_MAX: usize = 20;

/// Events that are neither settled nor waiting for a member whom nobody has enrolled.
const UNSETTLED: &str = "
    select count(*)
      from events e
     where not exists (select from commission_outcomes o where o.event_id = e.id)
       and not exists (select
                         from event_failures f
                        where f.event_id = e.id
                          and f.cause = 'unknown_member'
                          and not exists (select from members m where m.id = f.awaited_member_id))";

/// Sessions of the product that sit in a transaction.
const IDLE_IN_TRANSACTION: &str = "
    select count(*) from pg_stat_activity
     where application_name like 'lineage-%' and state like 'idle in transaction%'";

/// Sessions of the product.
const SESSIONS: &str =
    "select count(*) from pg_stat_activity where application_name like 'lineage-%'";

/// Waits until everything is settled and the stream is empty.
pub(crate) async fn wait(arena: &Arena) -> anyhow::Result<(Duration, Vec<Finding>)> {
    let begun = Instant::now();
    let mut connection = PgConnection::connect(&arena.database_url).await?;
    let mut redis = arena.redis.lock().await.connect().await?;
    loop {
        let unsettled = count(&mut connection, UNSETTLED).await?;
        let (length, pending) = stream(&mut redis).await?;
        if unsettled == 0 && length == 0 && pending == 0 {
            break;
        }
        if begun.elapsed() > QUIET_MAX {
            let detail = format!(
                "after {} s: {unsettled} event(s) unsettled, {length} entries in the stream, {pending} pending",
                QUIET_MAX.as_secs()
            );
            let promise = "everything is settled or waits, and the stream is empty, in the end";
            return Ok((begun.elapsed(), vec![Finding { promise, detail }]));
        }
        tokio::time::sleep(POLL).await;
    }
    let quiet_after = begun.elapsed();
    let promise = "no session is left idle in a transaction";
    // Between two statements a transaction is idle for an instant; nobody may stay so.
    let findings = none_left(&mut connection, IDLE_IN_TRANSACTION, promise).await?;
    Ok((quiet_after, findings))
}

/// Asks every process to stop, and looks whether it does and leaves no session behind.
pub(crate) async fn stop(arena: &Arena) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for place in arena.places() {
        if place.is_wanted()
            && let Err(detail) = place.stop().await
        {
            let promise = "a process that is asked to stop ends in order";
            findings.push(Finding { promise, detail });
        }
    }
    let mut connection = PgConnection::connect(&arena.database_url).await?;
    let promise = "no session outlives its process";
    findings.extend(none_left(&mut connection, SESSIONS, promise).await?);
    Ok(findings)
}

/// Runs the operators' proof.
pub(crate) async fn verify(arena: &Arena) -> Option<Finding> {
    let failed = arena.lineage(&["verify"]).await.err()?;
    let said = format!("{failed:#}");
    let detail = said.lines().take(VERIFY_LINES_MAX).collect::<Vec<_>>().join("\n  ");
    Some(Finding { promise: "lineage verify finds nothing", detail })
}

/// Waits until a count of sessions is zero.
async fn none_left(
    connection: &mut PgConnection,
    query: &'static str,
    promise: &'static str,
) -> anyhow::Result<Vec<Finding>> {
    let begun = Instant::now();
    loop {
        let left = count(connection, query).await?;
        if left == 0 {
            return Ok(Vec::new());
        }
        if begun.elapsed() > IDLE_MAX {
            let detail = format!("{left} for {} s", IDLE_MAX.as_secs());
            return Ok(vec![Finding { promise, detail }]);
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn count(connection: &mut PgConnection, query: &'static str) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar(query).fetch_one(connection).await?)
}

/// Entries in the stream, and how many of them somebody holds.
async fn stream(redis: &mut redis::aio::MultiplexedConnection) -> anyhow::Result<(u64, i64)> {
    let key = format!("{STREAM_PREFIX}:events");
    let length = cmd("XLEN").arg(&key).query_async(redis).await?;
    let summary: Result<Value, _> =
        cmd("XPENDING").arg(&key).arg("workers").query_async(redis).await;
    let pending = match summary {
        Ok(Value::Array(fields)) => match fields.first() {
            Some(Value::Int(pending)) => *pending,
            _ => 0,
        },
        // No group: Redis has just been emptied, and nobody has read since.
        _ => 0,
    };
    Ok((length, pending))
}
