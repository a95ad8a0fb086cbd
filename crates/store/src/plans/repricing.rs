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

/// Counts the settled sales that the next book would price by another version than this one, or by
/// none. Settlement must be held off.
pub(super) async fn find(
    conn: &mut PgConnection,
    book: &RuleBook,
    next: &RuleBook,
) -> Result<Option<Repricing>, StoreError> {
    let repriced = book.repriced(next);
    if repriced.is_empty() {
        return Ok(None);
    }
    let source_types: Vec<String> =
        repriced.iter().map(|time| time.source_type.name().to_owned()).collect();
    let begins: Vec<DateTime<Utc>> = repriced.iter().map(|time| time.from).collect();
    let ends: Vec<Option<DateTime<Utc>>> = repriced.iter().map(|time| time.until).collect();
    // Times of one source type do not overlap, so that no sale is counted twice. `offset 0` keeps the
    // planner from reading all outcomes.
    let found = sqlx::query!(
        r#"
        select count(*) as "settled!", min(e.as_of) as first, max(e.as_of) as last
          from unnest($1::text[], $2::timestamptz[], $3::timestamptz[])
            as repriced (source_type, begins, ends)
         cross join lateral (
               select id, as_of
                 from events
                where as_of >= repriced.begins
                  and as_of < coalesce(repriced.ends, 'infinity')
                  and source_type::text = repriced.source_type
               offset 0) e
         cross join lateral (
               select from commission_outcomes where event_id = e.id offset 0) o
        "#,
        &source_types,
        &begins,
        &ends as &[Option<DateTime<Utc>>],
    )
    .fetch_one(conn)
    .await?;
    let moments = found.first.zip(found.last);
    Ok(moments.map(|(first, last)| Repricing { settled: found.settled, first, last }))
}
