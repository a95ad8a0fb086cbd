//! The programme's calendar and ladder.

use domain::ladder::{Ladder, LadderError};
use domain::period::Programme;
use sqlx::PgConnection;
use thiserror::Error;

use crate::StoreError;
use crate::locks::{self, Lock};

/// Why the calendar cannot be changed.
#[derive(Debug, Error)]
pub enum ProgrammeError {
    /// Stored periods were computed by it.
    #[error(
        "the programme is {0}, and there are events whose periods were computed by it; it can be \
         set before the first event only"
    )]
    InUse(String),
    /// PostgreSQL failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the ladder cannot be changed.
#[derive(Debug, Error)]
pub enum RanksError {
    /// The ladder itself.
    #[error(transparent)]
    Ladder(#[from] LadderError),
    /// PostgreSQL failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The calendar in force.
pub async fn get(conn: &mut PgConnection) -> Result<Programme, StoreError> {
    let row =
        sqlx::query!("select time_zone, period, starts_on from programme").fetch_one(conn).await?;
    Ok(Programme {
        time_zone: Programme::parse_time_zone(&row.time_zone).map_err(StoreError::damaged)?,
        period: row.period.parse().map_err(StoreError::damaged)?,
        starts_on: row.starts_on,
    })
}

/// Whether there are events, so that the calendar is fixed.
pub async fn is_in_use(conn: &mut PgConnection) -> Result<bool, StoreError> {
    let any = sqlx::query_scalar!(r#"select exists (select from events) as "any!""#);
    Ok(any.fetch_one(conn).await?)
}

/// Sets the calendar in the caller's transaction. Recording the first event shares the lock that
/// this takes, so neither can miss the other.
pub async fn set(conn: &mut PgConnection, programme: &Programme) -> Result<(), ProgrammeError> {
    locks::take(conn, Lock::Programme).await?;
    let current = get(conn).await?;
    if current != *programme && is_in_use(conn).await? {
        return Err(ProgrammeError::InUse(format!(
            "{}, by {}, from {}",
            current.time_zone, current.period, current.starts_on
        )));
    }
    sqlx::query!(
        "update programme set time_zone = $1, period = $2, starts_on = $3, set_at = now()",
        programme.time_zone.name(),
        programme.period.to_string(),
        programme.starts_on,
    )
    .execute(conn)
    .await
    .map_err(StoreError::from)?;
    Ok(())
}

/// The ladder in force.
pub async fn ladder(conn: &mut PgConnection) -> Result<Ladder, StoreError> {
    let names =
        sqlx::query_scalar!("select name from ranks order by place").fetch_all(conn).await?;
    Ladder::new(names).map_err(StoreError::damaged)
}

/// Puts a ladder in force, in the caller's transaction. Once members or plans rely on the places,
/// ranks can only be added on top.
pub async fn set_ladder(conn: &mut PgConnection, next: &Ladder) -> Result<(), RanksError> {
    locks::take(conn, Lock::History).await?;
    let current = ladder(conn).await?;
    let relied_on = sqlx::query_scalar!(
        r#"select exists (select from members) or exists (select from commission_plans) as "any!""#
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(StoreError::from)?;
    if relied_on {
        current.check_successor(next)?;
    } else {
        sqlx::query!("delete from ranks").execute(&mut *conn).await.map_err(StoreError::from)?;
    }
    sqlx::query!(
        "insert into ranks (place, name)
         select place - 1, name from unnest($1::text[]) with ordinality as rank (name, place)
         on conflict (place) do nothing",
        next.names(),
    )
    .execute(conn)
    .await
    .map_err(StoreError::from)?;
    Ok(())
}
