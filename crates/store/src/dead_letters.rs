//! Dead letters: events that could not be settled, as operators see them, and what they do about
//! them.
//!
//! A failed event is `retrying`, `dead` (given up until somebody looks) or `discarded` (given up for
//! good, with a reason; it keeps its row and can still be retried). Whoever retries or discards for an
//! operator records it ([`actions`]) in the same transaction.

mod acting;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::acting::{Order, Refusal, WhyNot, discard, retry, retry_dead};
use crate::StoreError;
#[cfg(doc)]
use crate::actions;

/// What has become of an event that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureState {
    /// It waits for its next attempt.
    Retrying,
    /// Given up until somebody looks.
    Dead,
    /// Given up for good, by somebody, for a reason.
    Discarded,
}

impl FailureState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Retrying, Self::Dead, Self::Discarded];

    /// The name, as stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
        }
    }

    /// The state of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// Which failed events a list is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// In this state; `None`: in any.
    pub state: Option<FailureState>,
    /// Of this cause; `None`: of any.
    pub cause: Option<&'a str>,
}

/// A place in the list of failed events: when the first attempt failed, then the id. Neither changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// When the first attempt failed.
    pub first_failed_at: DateTime<Utc>,
    /// The event.
    pub event_id: Uuid,
}

impl Position {
    /// Before everything.
    pub const START: Self = Self { first_failed_at: DateTime::UNIX_EPOCH, event_id: Uuid::nil() };

    /// As a cursor for those who page.
    #[must_use]
    pub fn cursor(self) -> String {
        format!("{}.{}", self.first_failed_at.timestamp_micros(), self.event_id)
    }

    /// Reads what [`Self::cursor`] wrote.
    #[must_use]
    pub fn from_cursor(text: &str) -> Option<Self> {
        let (micros, event_id) = text.split_once('.')?;
        // Beyond what PostgreSQL's clock will show.
        let micros = micros.parse().ok().filter(|micros| (0..=1_i64 << 56).contains(micros))?;
        let first_failed_at = DateTime::from_timestamp_micros(micros)?;
        Some(Self { first_failed_at, event_id: Uuid::parse_str(event_id).ok()? })
    }
}

/// Who discarded an event, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discard {
    /// When.
    pub at: DateTime<Utc>,
    /// Who: `key:…` or `role:…`.
    pub by: String,
    /// For whom they say that they acted.
    pub on_behalf_of: Option<String>,
    /// Why.
    pub reason: String,
}

/// A failed event. Its facts are told as they are stored, because they may be what is damaged.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The event.
    pub event_id: Uuid,
    /// `retrying`, `dead` or `discarded`.
    pub state: String,
    /// The cause by its name.
    pub cause: String,
    /// The last error in words.
    pub last_error: String,
    /// Failed attempts since the schedule began anew.
    pub attempts: i32,
    /// When the next attempt is due.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// When the first attempt failed.
    pub first_failed_at: DateTime<Utc>,
    /// When the last one failed.
    pub last_failed_at: DateTime<Utc>,
    /// The last discard, also of an event that was retried afterwards.
    pub discard: Option<Discard>,
    /// Which shop.
    pub source: String,
    /// What the shop calls it.
    pub external_id: String,
    /// The member id that the event carries.
    pub member_id: Uuid,
    /// The sale's amount.
    pub amount: String,
    /// Its currency.
    pub currency: String,
    /// `PRODUCT`, `INVESTMENT` …
    pub source_type: String,
    /// When the shop says that it happened.
    pub occurred_at: DateTime<Utc>,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The moment that tree, statuses, ranks and rules are read at.
    pub as_of: DateTime<Utc>,
}

impl DeadLetter {
    /// Where it stands in the list.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { first_failed_at: self.first_failed_at, event_id: self.event_id }
    }
}

/// Failed events after a place, those first that failed first; at most `limit` of them.
pub async fn list(
    conn: &mut PgConnection,
    selection: Selection<'_>,
    after: Position,
    limit: i64,
) -> Result<Vec<DeadLetter>, StoreError> {
    let ids = sqlx::query_scalar!(
        r#"
        select f.event_id
          from event_failures f
         where (f.first_failed_at, f.event_id) > ($1, $2)
           and ($3::text is null or f.state::text = $3)
           and ($4::text is null or f.cause = $4)
           and not exists (select from commission_outcomes o where o.event_id = f.event_id)
         order by f.first_failed_at, f.event_id
         limit $5
        "#,
        after.first_failed_at,
        after.event_id,
        selection.state.map(FailureState::name),
        selection.cause,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    details(conn, &ids).await
}

/// One failed event; `None`: unknown, never failed, or settled meanwhile.
pub async fn find(
    conn: &mut PgConnection,
    event_id: Uuid,
) -> Result<Option<DeadLetter>, StoreError> {
    Ok(details(conn, &[event_id]).await?.pop())
}

async fn details(
    conn: &mut PgConnection,
    event_ids: &[Uuid],
) -> Result<Vec<DeadLetter>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select f.event_id, f.state::text as "state!", f.cause, f.last_error, f.attempts,
               f.next_attempt_at, f.first_failed_at, f.last_failed_at,
               f.discarded_at, f.discarded_by, f.discarded_on_behalf_of, f.discard_reason,
               e.source, e.external_id, e.member_id, e.amount::text as "amount!", e.currency,
               e.source_type::text as "source_type!", e.occurred_at, e.recorded_at, e.as_of
          from unnest($1::uuid[]) as wanted (id)
         cross join lateral (
               select * from event_failures where event_id = wanted.id offset 0) f
         cross join lateral (select * from events where id = wanted.id offset 0) e
         where not exists (select from commission_outcomes o where o.event_id = wanted.id)
         order by f.first_failed_at, f.event_id
        "#,
        event_ids,
    )
    .fetch_all(conn)
    .await?;
    let letters = rows.into_iter().map(|row| DeadLetter {
        event_id: row.event_id,
        state: row.state,
        cause: row.cause,
        last_error: row.last_error,
        attempts: row.attempts,
        next_attempt_at: row.next_attempt_at,
        first_failed_at: row.first_failed_at,
        last_failed_at: row.last_failed_at,
        discard: match (row.discarded_at, row.discarded_by, row.discard_reason) {
            (Some(at), Some(by), Some(reason)) => {
                Some(Discard { at, by, on_behalf_of: row.discarded_on_behalf_of, reason })
            }
            _ => None,
        },
        source: row.source,
        external_id: row.external_id,
        member_id: row.member_id,
        amount: row.amount,
        currency: row.currency,
        source_type: row.source_type,
        occurred_at: row.occurred_at,
        recorded_at: row.recorded_at,
        as_of: row.as_of,
    });
    Ok(letters.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        let first_failed_at = "2026-11-03T10:15:00.123456Z".parse().unwrap_or_default();
        let position = Position { first_failed_at, event_id: Uuid::from_u128(7) };
        assert_eq!(Position::from_cursor(&position.cursor()), Some(position));
        for wrong in ["", "x", "1.", ".", "-1.00000000-0000-0000-0000-000000000007", "1.7"] {
            assert_eq!(Position::from_cursor(wrong), None, "{wrong}");
        }
        let far = format!("{}.{}", i64::MAX, Uuid::nil());
        assert_eq!(Position::from_cursor(&far), None);
    }
}
