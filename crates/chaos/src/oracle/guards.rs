//! What must hold of the server itself: no forgotten transactions, no guard taken off.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::findings::Findings;
use super::promise::{GUARDS, SESSIONS};

/// A transaction may be idle between two of its statements, but not for so long.
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Tables that refuse update, delete and truncate, whoever asks.
const APPEND_ONLY: [&str; 12] = [
    "events",
    "event_lines",
    "commission_outcomes",
    "commission_ledger",
    "commission_plans",
    "commission_rules",
    "plan_retirements",
    "member_sponsors",
    "member_states",
    "member_reward_splits",
    "member_changes",
    "operator_actions",
];

/// Waits until no session that is idle in a transaction now is so in that same transaction still.
pub(super) async fn sessions(conn: &mut PgConnection, findings: &mut Findings) -> sqlx::Result<()> {
    let query = "select format('%s (%s, process %s, since %s): %s', application_name, usename, pid, \
                               xact_start, left(query, 100)) \
                   from pg_stat_activity \
                  where datname = current_database() and pid <> pg_backend_pid() \
                    and state like 'idle in transaction%' order by 1";
    let mut idle: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut *conn).await?;
    let begun = Instant::now();
    while !idle.is_empty() {
        if begun.elapsed() > IDLE_MAX {
            for session in idle {
                findings.add(SESSIONS, session);
            }
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut *conn).await?;
        idle.retain(|session| now.contains(session));
    }
    Ok(())
}

/// The tables above and every partition of theirs have their trigger, always enabled: before update,
/// delete and truncate, for each statement.
pub(super) async fn triggers(conn: &mut PgConnection, findings: &mut Findings) -> sqlx::Result<()> {
    // Bits of tgtype: 2 before, 8 delete, 16 update, 32 truncate; 1 (not set) for each row.
    let unguarded: Vec<String> = sqlx::query_scalar(
        "with guarded as (
           select to_regclass(name) as id, name from unnest($1::text[]) as name
           union all
           select inhrelid::regclass, inhrelid::regclass::text from pg_inherits
            where inhparent = any(array(select to_regclass(name) from unnest($1::text[]) as name)))
         select name from guarded
          where not exists (
                select from pg_trigger t join pg_proc p on p.oid = t.tgfoid
                 where t.tgrelid = guarded.id and t.tgenabled = 'A' and t.tgtype = 58
                   and p.proname = 'refuse_change' and p.prosrc like '%raise exception%')
          order by 1",
    )
    .bind(APPEND_ONLY)
    .fetch_all(conn)
    .await?;
    for table in unguarded {
        findings.add(GUARDS, format!("{table} has no trigger that refuses changes"));
    }
    Ok(())
}
