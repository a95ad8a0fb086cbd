//! What `lineage verify` reads: stored outcomes with everything needed to compute them again, and
//! the state of the tree.

mod guards;
mod orphans;
mod selection;
mod sitting;

use domain::inputs::Inputs;
use domain::period::Period;
pub use domain::recompute::{StoredLine, StoredOutcome};
use domain::sale::Sale;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::guards::{CLOSURE_UP, Guards, guards, missing_closure_indexes};
pub use self::orphans::{Orphans, Scanned, orphans, scanned};
pub use self::selection::{Month, count, ids_between, sample, unsettled};
pub use self::sitting::{Sitting, Snapshot, begin_sitting, clock, join_snapshot};
use crate::StoreError;
use crate::events::{LinesOf, stored_buyer_type};
use crate::settling::stored_amount;

/// The outcomes of events, in the order of event ids; events without one are left out.
pub async fn outcomes_of(
    conn: &mut PgConnection,
    event_ids: &[Uuid],
) -> Result<Vec<StoredOutcome>, StoreError> {
    // The bounds keep a moment such as `infinity` readable; it then falls into no earned period.
    let rows = sqlx::query!(
        r#"
        select o.event_id, o.plan_id, o.semantics, o.lines, o.breakage, o.inputs,
               least(greatest(o.settled_at, '0001-01-01Z'), '9999-12-31Z') as "settled_at!",
               e.amount, e.volume, e.currency, e.source_type::text as "source_type!", e.product_id,
               e.order_kind::text as "order_kind!", e.market,
               e.buyer_type::text as "buyer_type?", e.line_count,
               least(greatest(e.as_of, '0001-01-01Z'), '9999-12-31Z') as "as_of!",
               e.earned_period
          from unnest($1::uuid[]) as wanted (id)
         cross join lateral (
               select * from commission_outcomes where event_id = wanted.id offset 0) o
         cross join lateral (select * from events where id = o.event_id offset 0) e
         order by o.event_id
        "#,
        event_ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.event_id).collect();
    let mut lines = stored_lines(conn, &ids).await?.into_iter().peekable();
    let counts = rows.iter().map(|row| (row.event_id, row.line_count));
    let mut sale_lines = LinesOf::read(conn, counts).await?;
    let mut outcomes = Vec::with_capacity(rows.len());
    for row in rows {
        let mut own = Vec::new();
        while let Some((_, line)) = lines.next_if(|(event_id, _)| *event_id == row.event_id) {
            own.push(line);
        }
        outcomes.push(StoredOutcome {
            sale: Sale {
                event_id: row.event_id,
                amount: stored_amount(row.amount)?,
                volume: stored_amount(row.volume)?,
                currency: row.currency.parse().map_err(StoreError::damaged)?,
                source_type: row.source_type.parse().map_err(StoreError::damaged)?,
                product_id: row.product_id,
                order_kind: row.order_kind.parse().map_err(StoreError::damaged)?,
                market: row.market,
                buyer_type: stored_buyer_type(row.buyer_type.as_deref())?,
                // As they are: how many there should be is for `orphans` to say.
                lines: sale_lines.take(row.event_id),
                as_of: row.as_of,
                earned_period: Period::containing(row.earned_period),
            },
            settled_at: row.settled_at,
            inputs: Inputs::unpack(&row.inputs).map_err(|error| error.to_string()),
            plan_number: row.plan_id,
            semantics: row.semantics,
            line_count: row.lines,
            breakage: row.breakage,
            lines: own,
        });
    }
    Ok(outcomes)
}

async fn stored_lines(
    conn: &mut PgConnection,
    event_ids: &[Uuid],
) -> Result<Vec<(Uuid, StoredLine)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select event_id, line, member_id, entry_type::text as "entry_type!", level, depth, rule_id,
               amount, career_points, currency, earned_period, posted_period
          from commission_ledger
         where event_id = any($1)
         order by event_id, line, member_id
        "#,
        event_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let line = StoredLine {
                line: row.line,
                member_id: row.member_id,
                entry_type: row.entry_type,
                level: row.level,
                depth: row.depth,
                rule_number: row.rule_id,
                amount: row.amount,
                career_points: row.career_points,
                currency: row.currency,
                earned_period: Period::containing(row.earned_period),
                posted_period: Period::containing(row.posted_period),
            };
            (row.event_id, line)
        })
        .collect())
}

/// One stored outcome.
pub async fn outcome(
    conn: &mut PgConnection,
    event_id: Uuid,
) -> Result<Option<StoredOutcome>, StoreError> {
    Ok(outcomes_of(conn, &[event_id]).await?.pop())
}
