//! What is settled stays priced as it was: looks for sales that a change of the rules would have
//! priced otherwise.

use std::fmt;

use chrono::{DateTime, Utc};
use domain::rule_book::RuleBook;
use sqlx::PgConnection;

use crate::StoreError;

/// Settled sales that a change of the rules would reprice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repricing {
    /// How many there are.
    pub settled: i64,
    /// The moment of the earliest.
    pub first: DateTime<Utc>,
    /// The moment of the latest.
    pub last: DateTime<Utc>,
}

impl fmt::Display for Repricing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settled, first, last } = self;
        write!(
            f,
            "would reprice {settled} settled sale(s), the first of {first}, the last of {last}; what \
             was settled stays true"
        )
    }
}

/// When and for which sales another version than now, or none, would be in force.
pub(crate) struct ChangedTimes {
    pub(crate) source_types: Vec<String>,
    pub(crate) begins: Vec<DateTime<Utc>>,
    pub(crate) ends: Vec<Option<DateTime<Utc>>>,
}

impl ChangedTimes {
    /// Where the next book differs from this one.
    pub(super) fn between(book: &RuleBook, next: &RuleBook) -> Self {
        let repriced = book.repriced(next);
        Self {
            source_types: repriced.iter().map(|time| time.source_type.name().to_owned()).collect(),
            begins: repriced.iter().map(|time| time.from).collect(),
            ends: repriced.iter().map(|time| time.until).collect(),
        }
    }

    /// The settled sales that would be repriced. Settlement must be held off.
    pub(super) async fn settled(
        &self,
        conn: &mut PgConnection,
    ) -> Result<Option<Repricing>, StoreError> {
        // Times of one source type do not overlap, so that no sale is counted twice. `offset 0` keeps
        // the planner from reading all outcomes.
        let found = sqlx::query!(
            r#"
            select count(*) as "settled!", min(e.as_of) as first, max(e.as_of) as last
              from unnest($1::text[], $2::timestamptz[], $3::timestamptz[])
                as changed (source_type, begins, ends)
             cross join lateral (
                   select id, as_of
                     from events
                    where as_of >= changed.begins
                      and as_of < coalesce(changed.ends, 'infinity')
                      and source_type::text = changed.source_type
                   offset 0) e
             cross join lateral (
                   select from commission_outcomes where event_id = e.id offset 0) o
            "#,
            &self.source_types,
            &self.begins,
            &self.ends as &[Option<DateTime<Utc>>],
        )
        .fetch_one(conn)
        .await?;
        let moments = found.first.zip(found.last);
        Ok(moments.map(|(first, last)| Repricing { settled: found.settled, first, last }))
    }
}
