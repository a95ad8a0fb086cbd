//! Events that could not be settled so far: their causes, attempts, and what revives them.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::plans::ChangedTimes;

/// A failed attempt, as the worker judged it.
#[derive(Clone, Debug)]
pub struct FailedAttempt {
    /// The event.
    pub event_id: Uuid,
    /// Attempts that had failed when this one began.
    pub attempts_before: i32,
    /// The cause by its name.
    pub cause: &'static str,
    /// What went wrong, in words.
    pub error: String,
    /// The member whose enrolment would repair it.
    pub awaited_member_id: Option<Uuid>,
    /// How long to wait before the next attempt; `None`: dead letter.
    pub retry_after_seconds: Option<f64>,
}

/// Records a failed attempt, unless another worker recorded it meanwhile (compare-and-set on the
/// number of attempts) or settled the event. Returns whether it was recorded.
pub async fn record(conn: &mut PgConnection, failed: &FailedAttempt) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        r#"
        insert into event_failures as f
               (event_id, state, cause, attempts, next_attempt_at, last_error, awaited_member_id)
        select $1, case when $5::float8 is null then 'dead' else 'retrying' end::failure_state,
               $3, $2 + 1, now() + make_interval(secs => $5), $4, $6
         where not exists (select from commission_outcomes o where o.event_id = $1)
        on conflict (event_id) do update
           set state = excluded.state, cause = excluded.cause, attempts = excluded.attempts,
               next_attempt_at = excluded.next_attempt_at, last_error = excluded.last_error,
               awaited_member_id = excluded.awaited_member_id, last_failed_at = now()
         where f.attempts = $2 and f.state = 'retrying'
        "#,
        failed.event_id,
        failed.attempts_before,
        failed.cause,
        failed.error,
        failed.retry_after_seconds,
        failed.awaited_member_id,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many attempts at an event have failed, if it is to be attempted now: neither unknown nor
/// settled, dead, discarded or not due. Reads nothing of the event's facts, which may be damaged.
pub async fn attempts_if_due(
    conn: &mut PgConnection,
    event_id: Uuid,
) -> Result<Option<i32>, StoreError> {
    let attempts = sqlx::query_scalar!(
        r#"
        select coalesce(f.attempts, 0) as "attempts!"
          from events e
          left join event_failures f on f.event_id = e.id
         where e.id = $1
           and not exists (select from commission_outcomes o where o.event_id = e.id)
           and (f.event_id is null or (f.state = 'retrying' and f.next_attempt_at <= now()))
        "#,
        event_id,
    );
    Ok(attempts.fetch_optional(conn).await?)
}

/// Forgets the failures of events that are settled now.
pub async fn clear(conn: &mut PgConnection, event_ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!("delete from event_failures where event_id = any($1)", event_ids)
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes the events due at once that waited for these members, dead ones too. An event waits under
/// the id that it carries: the member's own, or the reference made for the external id.
pub async fn revive_awaiting(
    conn: &mut PgConnection,
    member_ids: &[Uuid],
    external_ids: &[String],
) -> Result<Vec<Uuid>, StoreError> {
    let revived = sqlx::query_scalar!(
        r#"
        update event_failures
           set state = 'retrying', attempts = 1, next_attempt_at = now()
         where awaited_member_id in (
               select unnest($1::uuid[])
               union all
               select id from member_references where external_id = any($2))
           and state <> 'discarded'
        returning event_id
        "#,
        member_ids,
        external_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(revived)
}

/// Like [`revive_awaiting`], for every event whose member is enrolled by now: after an import.
pub async fn revive_all_enrolled(conn: &mut PgConnection) -> Result<Vec<Uuid>, StoreError> {
    revive_enrolled(conn, None).await
}

/// The same for events of which an attempt failed within `look_back` (`None`: ever). The sweep's,
/// because an attempt may fail while the enrolment commits: neither sees the other.
pub async fn revive_enrolled(
    conn: &mut PgConnection,
    look_back: Option<TimeDelta>,
) -> Result<Vec<Uuid>, StoreError> {
    let revived = sqlx::query_scalar!(
        r#"
        update event_failures f
           set state = 'retrying', attempts = 1, next_attempt_at = now()
         where f.awaited_member_id is not null
           and f.last_failed_at >= coalesce(now() - make_interval(secs => $1), '-infinity')
           and f.state <> 'discarded'
           and (f.state = 'dead' or f.next_attempt_at > now())
           and (exists (select from members m where m.id = f.awaited_member_id)
                or exists (select from member_references r
                             join members m on m.external_id = r.external_id
                            where r.id = f.awaited_member_id))
        returning f.event_id
        "#,
        look_back.map(TimeDelta::as_seconds_f64),
    )
    .fetch_all(conn)
    .await?;
    Ok(revived)
}

/// Makes the events due at once that failed for lack of rules, dead ones too, if their moment lies in
/// the times in which the rules have changed.
pub(crate) async fn revive_unpriced(
    conn: &mut PgConnection,
    causes: &[String],
    changed: &ChangedTimes,
) -> Result<Vec<Uuid>, StoreError> {
    let revived = sqlx::query_scalar!(
        r#"
        update event_failures f
           set state = 'retrying', attempts = 1, next_attempt_at = now()
         where cause = any($1) and state <> 'discarded'
           and exists (select
                         from events e
                         join unnest($2::text[], $3::timestamptz[], $4::timestamptz[])
                              as changed (source_type, begins, ends)
                           on e.source_type::text = changed.source_type
                          and e.as_of >= changed.begins
                          and e.as_of < coalesce(changed.ends, 'infinity')
                        where e.id = f.event_id)
        returning event_id
        "#,
        causes,
        &changed.source_types,
        &changed.begins,
        &changed.ends as &[Option<DateTime<Utc>>],
    )
    .fetch_all(conn)
    .await?;
    Ok(revived)
}

/// How many events are in each state of failure, and how long the oldest unsettled one has waited.
#[derive(Clone, Copy, Debug, Default)]
pub struct FailureCounts {
    /// Waiting for their next attempt.
    pub retrying: i64,
    /// Given up until somebody looks.
    pub dead: i64,
    /// When the longest waiting one was first tried.
    pub oldest_retrying: Option<DateTime<Utc>>,
}

/// Counts failures by state.
pub async fn counts(conn: &mut PgConnection) -> Result<FailureCounts, StoreError> {
    let row = sqlx::query!(
        r#"
        select count(*) filter (where state = 'retrying') as "retrying!",
               count(*) filter (where state = 'dead') as "dead!",
               min(first_failed_at) filter (where state = 'retrying') as oldest_retrying
          from event_failures f
         where not exists (select from commission_outcomes o where o.event_id = f.event_id)
        "#
    )
    .fetch_one(conn)
    .await?;
    let (retrying, dead, oldest_retrying) = (row.retrying, row.dead, row.oldest_retrying);
    Ok(FailureCounts { retrying, dead, oldest_retrying })
}
