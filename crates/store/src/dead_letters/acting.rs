//! Retrying and discarding. Who asks for it puts it on record, in the same transaction.

use std::fmt;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::locks::{self, Lock};

/// Who gives events up, for whom, and why. It stays with each of them.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// `key:…` or `role:…`.
    pub actor: &'a str,
    /// The person that the actor acts for.
    pub on_behalf_of: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
}

/// Why an event cannot be retried or discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// No event has that id.
    Unknown,
    /// It has an outcome.
    Settled,
    /// No attempt at it has failed.
    Untried,
    /// It is discarded already, for this reason.
    DiscardedBefore(String),
}

impl WhyNot {
    /// The name, for programs.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown_event",
            Self::Settled => "settled",
            Self::Untried => "not_failed",
            Self::DiscardedBefore(_) => "already_discarded",
        }
    }
}

/// A refusal: which event, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The event.
    pub event_id: Uuid,
    /// Why.
    pub why: WhyNot,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.event_id;
        match &self.why {
            WhyNot::Unknown => write!(f, "no event has the id {id}; see the list of dead letters"),
            WhyNot::Settled => write!(
                f,
                "event {id} is settled: there is nothing to retry or discard; what it paid is in \
                 its explanation (`lineage explain`, GET /v1/events/{id})"
            ),
            WhyNot::Untried => write!(
                f,
                "no attempt at event {id} has failed; workers settle it by themselves, so see \
                 whether they run"
            ),
            WhyNot::DiscardedBefore(reason) => {
                write!(f, "event {id} is discarded already, because: {reason}; it can be retried")
            }
        }
    }
}

/// Makes these events due at once, whatever their state of failure, with the schedule begun anew as
/// by what repairs a cause. All or none: a refusal changes nothing.
pub async fn retry(
    conn: &mut PgConnection,
    event_ids: &[Uuid],
) -> Result<Result<Vec<Uuid>, Vec<Refusal>>, StoreError> {
    let refusals = judge(conn, event_ids, |_| None).await?;
    if !refusals.is_empty() {
        return Ok(Err(refusals));
    }
    let retried = sqlx::query_scalar!(
        "update event_failures
            set state = 'retrying', attempts = 1, next_attempt_at = now()
          where event_id = any($1)
         returning event_id",
        event_ids
    );
    Ok(Ok(retried.fetch_all(conn).await?))
}

/// Retries every dead event, or those of one cause. Discarded ones stay: they are retried by name.
pub async fn retry_dead(
    conn: &mut PgConnection,
    cause: Option<&str>,
) -> Result<Vec<Uuid>, StoreError> {
    let retried = sqlx::query_scalar!(
        "update event_failures f
            set state = 'retrying', attempts = 1, next_attempt_at = now()
          where f.state = 'dead' and ($1::text is null or f.cause = $1)
            and not exists (select from commission_outcomes o where o.event_id = f.event_id)
         returning f.event_id",
        cause
    );
    Ok(retried.fetch_all(conn).await?)
}

/// Gives these events up for good. They keep their rows, with the reason. All or none: a refusal
/// changes nothing.
///
/// Holds settlement off for a moment, so that no attempt under way settles what is discarded here.
pub async fn discard(
    conn: &mut PgConnection,
    event_ids: &[Uuid],
    order: &Order<'_>,
) -> Result<Result<Vec<Uuid>, Vec<Refusal>>, StoreError> {
    locks::take(conn, Lock::History).await?;
    let refusals = judge(conn, event_ids, |discarded_for| {
        discarded_for.map(|reason| WhyNot::DiscardedBefore(reason.to_owned()))
    })
    .await?;
    if !refusals.is_empty() {
        return Ok(Err(refusals));
    }
    let discarded = sqlx::query_scalar!(
        "update event_failures
            set state = 'discarded', next_attempt_at = null, discarded_at = now(),
                discarded_by = $2, discarded_on_behalf_of = $3, discard_reason = $4
          where event_id = any($1)
         returning event_id",
        event_ids,
        order.actor,
        order.on_behalf_of,
        order.reason
    );
    Ok(Ok(discarded.fetch_all(conn).await?))
}

/// Locks the events' failures and says which of them forbid the action. `discarded` judges those
/// that are discarded, by their reason; `None` for those that are not.
async fn judge(
    conn: &mut PgConnection,
    event_ids: &[Uuid],
    discarded: impl Fn(Option<&str>) -> Option<WhyNot>,
) -> Result<Vec<Refusal>, StoreError> {
    // In the order of ids, as everybody locks them, and before looking: what a worker does
    // meanwhile is over when we look.
    sqlx::query!(
        "select from event_failures where event_id = any($1) order by event_id for update",
        event_ids
    )
    .execute(&mut *conn)
    .await?;
    let rows = sqlx::query!(
        r#"
        select wanted.id as "event_id!",
               exists (select from events e where e.id = wanted.id) as "is_known!",
               exists (select from commission_outcomes o where o.event_id = wanted.id)
                 as "is_settled!",
               f.event_id is not null as "has_failed!",
               case when f.state = 'discarded' then f.discard_reason end as discarded_for
          from unnest($1::uuid[]) as wanted (id)
          left join lateral (
               select * from event_failures where event_id = wanted.id offset 0) f on true
         order by wanted.id
        "#,
        event_ids
    )
    .fetch_all(conn)
    .await?;
    let refusals = rows.into_iter().filter_map(|row| {
        let why = if !row.is_known {
            Some(WhyNot::Unknown)
        } else if row.is_settled {
            Some(WhyNot::Settled)
        } else if !row.has_failed {
            Some(WhyNot::Untried)
        } else {
            discarded(row.discarded_for.as_deref())
        };
        why.map(|why| Refusal { event_id: row.event_id, why })
    });
    Ok(refusals.collect())
}
