//! The sweep: finds events that should have been settled and are not, whatever the reason.
//!
//! An event is unsettled because it has no outcome; nothing marks it, so nothing can forget it.
//! Losing Redis therefore costs latency only (law L2).

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Age from which an unsettled event is taken for forgotten rather than under way.
const FORGOTTEN_AFTER_SECONDS: f64 = 10.0;
/// One sweep at a time in the whole installation.
const SWEEP_LOCK: i64 = 0x6c69_6e65_0004;

/// What a pass found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Unsettled events to publish again, oldest first.
    pub event_ids: Vec<Uuid>,
    /// When the oldest unsettled one was recorded.
    pub oldest: Option<DateTime<Utc>>,
}

/// Takes the sweep's turn until the transaction ends; `false` while another process has it.
pub async fn try_turn(conn: &mut PgConnection) -> Result<bool, StoreError> {
    let taken =
        sqlx::query_scalar!(r#"select pg_try_advisory_xact_lock($1) as "taken!""#, SWEEP_LOCK);
    Ok(taken.fetch_one(conn).await?)
}

/// Unsettled events that no failed attempt accounts for, recorded within `look_back` (`None`:
/// ever), at most `limit` of them.
pub async fn forgotten(
    conn: &mut PgConnection,
    look_back: Option<TimeDelta>,
    limit: i64,
) -> Result<Found, StoreError> {
    let rows = sqlx::query!(
        r#"
        select e.id, e.recorded_at
          from events e
         where e.recorded_at < now() - make_interval(secs => $2)
           and e.recorded_at >= coalesce(now() - make_interval(secs => $1), '-infinity')
           and not exists (select from commission_outcomes o where o.event_id = e.id)
           and not exists (select from event_failures f where f.event_id = e.id)
         order by e.recorded_at
         limit $3
        "#,
        look_back.map(TimeDelta::as_seconds_f64),
        FORGOTTEN_AFTER_SECONDS,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(Found {
        oldest: rows.first().map(|row| row.recorded_at),
        event_ids: rows.into_iter().map(|row| row.id).collect(),
    })
}

/// Failed events whose next attempt is due, at most `limit` of them.
pub async fn due_retries(conn: &mut PgConnection, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let due = sqlx::query_scalar!(
        r#"
        select event_id
          from event_failures
         where state = 'retrying' and next_attempt_at <= now()
         order by next_attempt_at
         limit $1
        "#,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(due)
}
