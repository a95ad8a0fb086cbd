//! Which outcomes are verified: all, those of a month, or a sample of either.

use chrono::{DateTime, NaiveDate, Utc};
use domain::period::{Period, Programme};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// A month by its stored name and by its moments. What belongs to it by either is verified with
/// it: when the two disagree, that is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    /// What `earned_period` says.
    pub first_day: NaiveDate,
    /// Its first moment.
    pub begin: DateTime<Utc>,
    /// The next month's first moment.
    pub end: DateTime<Utc>,
}

impl Month {
    /// A period in the programme's calendar.
    #[must_use]
    pub fn of(period: Period, programme: &Programme) -> Self {
        Self {
            first_day: period.first_day(),
            begin: programme.start_of_day(period.first_day()),
            end: programme.start_of_day(period.next().first_day()),
        }
    }
}

/// How many outcomes there are, in all or of a month.
pub async fn count(conn: &mut PgConnection, month: Option<Month>) -> Result<i64, StoreError> {
    let Some(month) = month else {
        let count = sqlx::query_scalar!(r#"select count(*) as "count!" from commission_outcomes"#);
        return Ok(count.fetch_one(conn).await?);
    };
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
          from commission_outcomes o
          join events e on e.id = o.event_id
         where e.earned_period = $1 or (e.as_of >= $2 and e.as_of < $3)
        "#,
        month.first_day,
        month.begin,
        month.end,
    );
    Ok(count.fetch_one(conn).await?)
}

/// How many events have no outcome, in all or of a month.
pub async fn unsettled(conn: &mut PgConnection, month: Option<Month>) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"
        select count(*) as "count!" from events e
         where ($1::date is null or e.earned_period = $1)
           and not exists (select from commission_outcomes o where o.event_id = e.id)
        "#,
        month.map(|month| month.first_day),
    );
    Ok(count.fetch_one(conn).await?)
}

/// Events with an outcome whose ids lie between two, both included: the first so many, in the order
/// of ids.
pub async fn ids_between(
    conn: &mut PgConnection,
    (from, to): (Uuid, Uuid),
    month: Option<Month>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let Some(month) = month else {
        let ids = sqlx::query_scalar!(
            "select event_id from commission_outcomes
              where event_id between $1 and $2 order by event_id limit $3",
            from,
            to,
            limit,
        );
        return Ok(ids.fetch_all(conn).await?);
    };
    let ids = sqlx::query_scalar!(
        "select o.event_id
           from commission_outcomes o
           join events e on e.id = o.event_id
          where o.event_id between $1 and $2 and e.id between $1 and $2
            and (e.earned_period = $4 or (e.as_of >= $5 and e.as_of < $6))
          order by o.event_id limit $3",
        from,
        to,
        limit,
        month.first_day,
        month.begin,
        month.end,
    );
    Ok(ids.fetch_all(conn).await?)
}

/// A sample of the events with an outcome, in the order of ids. Every outcome has the same chance;
/// the same seed draws the same sample of the same outcomes. Reads the id of every outcome once.
pub async fn sample(
    conn: &mut PgConnection,
    size: i64,
    seed: i64,
    month: Option<Month>,
) -> Result<Vec<Uuid>, StoreError> {
    let mut ids = match month {
        None => {
            sqlx::query_scalar!(
                "select event_id from commission_outcomes
                  order by uuid_hash_extended(event_id, $2), event_id limit $1",
                size,
                seed,
            )
            .fetch_all(conn)
            .await?
        }
        Some(month) => {
            sqlx::query_scalar!(
                "select o.event_id
                   from commission_outcomes o
                   join events e on e.id = o.event_id
                  where e.earned_period = $3 or (e.as_of >= $4 and e.as_of < $5)
                  order by uuid_hash_extended(o.event_id, $2), o.event_id limit $1",
                size,
                seed,
                month.first_day,
                month.begin,
                month.end,
            )
            .fetch_all(conn)
            .await?
        }
    };
    ids.sort_unstable();
    Ok(ids)
}
