//! Why entries named events that are not to be settled.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Events that entries named and that are not to be attempted, by the reason.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// They have an outcome: delivered again.
    pub settled: Vec<Uuid>,
    /// Those of them that still have a failure on record: another worker's attempt failed while they
    /// were settled.
    pub settled_with_failure: Vec<Uuid>,
    /// PostgreSQL does not know them: forged, or Redis is ahead of PostgreSQL after a failover.
    pub unknown: usize,
    /// Given up until somebody looks.
    pub dead: usize,
    /// Given up for good.
    pub discarded: usize,
    /// Their next attempt is not due.
    pub not_due: usize,
}

/// Says of events that [`super::read`] left out why. One query.
pub async fn left_out(conn: &mut PgConnection, event_ids: &[Uuid]) -> Result<LeftOut, StoreError> {
    let rows = sqlx::query!(
        r#"
        select wanted.id as "id!", o.event_id is not null as "is_settled!",
               f.state::text as "state?"
          from unnest($1::uuid[]) as wanted (id)
          left join lateral (
               select event_id from commission_outcomes where event_id = wanted.id limit 1) o on true
          left join lateral (
               select state from event_failures where event_id = wanted.id limit 1) f on true
        "#,
        event_ids,
    )
    .fetch_all(conn)
    .await?;
    let mut left_out = LeftOut::default();
    for row in rows {
        match row.state.as_deref() {
            state if row.is_settled => {
                left_out.settled.push(row.id);
                if state.is_some() {
                    left_out.settled_with_failure.push(row.id);
                }
            }
            None => left_out.unknown += 1,
            Some("dead") => left_out.dead += 1,
            Some("discarded") => left_out.discarded += 1,
            Some(_) => left_out.not_due += 1,
        }
    }
    Ok(left_out)
}
