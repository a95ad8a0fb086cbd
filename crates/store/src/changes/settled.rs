//! What settled sales forbid: what a settlement saw stays true for ever.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::history::{Change, Refusal, Refusals};
use sqlx::PgConnection;

use crate::{StoreError, events};

/// Just after the moment of every recorded event, should the clock have been set back; else now.
pub(super) async fn after_every_event(
    conn: &mut PgConnection,
) -> Result<DateTime<Utc>, StoreError> {
    let clock = events::clock(conn).await?;
    let latest = sqlx::query_scalar!("select max(as_of) from events where as_of >= $1", clock)
        .fetch_one(conn)
        .await?;
    Ok(latest.map_or(clock, |latest| latest + TimeDelta::microseconds(1)))
}

/// Which transactions can be seen now, in PostgreSQL's words.
pub(super) async fn snapshot(conn: &mut PgConnection) -> Result<String, StoreError> {
    let snapshot = sqlx::query_scalar!(r#"select pg_current_snapshot()::text as "snapshot!""#);
    Ok(snapshot.fetch_one(conn).await?)
}

/// Whether a sale at or after `moment` was settled by a transaction that `snapshot` did not show.
/// Looks at what was settled since, not at every sale: settlement waits for the answer.
pub(super) async fn was_settled_meanwhile(
    conn: &mut PgConnection,
    snapshot: &str,
    moment: DateTime<Utc>,
) -> Result<bool, StoreError> {
    let found = sqlx::query_scalar!(
        r#"
        select exists (
          select from commission_outcomes o
           cross join lateral (
                 select as_of from events where id = o.event_id offset 0) e
           where o.settled_in >= pg_snapshot_xmin(($1::text)::pg_snapshot)
             and not pg_visible_in_snapshot(o.settled_in, ($1::text)::pg_snapshot)
             and e.as_of >= $2) as "found!"
        "#,
        snapshot,
        moment,
    );
    Ok(found.fetch_one(conn).await?)
}

/// Refuses the changes whose moments settled sales forbid.
pub(super) async fn refuse(
    conn: &mut PgConnection,
    changes: &[Change],
) -> Result<Refusals, StoreError> {
    let moments: BTreeSet<DateTime<Utc>> =
        changes.iter().filter_map(|change| change.effective_at).collect();
    let moments: Vec<DateTime<Utc>> = moments.into_iter().collect();
    // Whatever is forbidden lies before whatever is allowed: search for the border.
    let (mut forbidden, mut allowed) = (0, moments.len());
    let mut latest = None;
    while forbidden < allowed {
        let middle = usize::midpoint(forbidden, allowed);
        match sale_settled_since(conn, moments[middle]).await? {
            Some(sale_at) => {
                forbidden = middle + 1;
                latest = latest.max(Some(sale_at));
            }
            None => allowed = middle,
        }
    }
    let Some(sale_at) = latest else { return Ok(Vec::new()) };
    let border = moments[forbidden - 1];
    let refused = changes.iter().enumerate().filter(|(_, change)| {
        change.effective_at.is_some_and(|effective_at| effective_at <= border)
    });
    Ok(refused.map(|(place, _)| (place, Refusal::SettledSales { sale_at })).collect())
}

/// The moment of a settled sale at or after `moment`, if there is one.
async fn sale_settled_since(
    conn: &mut PgConnection,
    moment: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    // `offset 0` keeps the planner from reading all outcomes.
    let settled = sqlx::query_scalar!(
        r#"
        select max(found.as_of)
          from (select e.as_of
                  from events e
                 cross join lateral (
                       select from commission_outcomes o where o.event_id = e.id offset 0) o
                 where e.as_of >= $1
                 limit 100) found
        "#,
        moment,
    );
    Ok(settled.fetch_one(conn).await?)
}
