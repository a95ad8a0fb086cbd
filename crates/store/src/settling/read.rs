//! Reading a batch: facts, and seller and upline as they stood at each sale's moment.

use chrono::{DateTime, Utc};
use domain::amount::Amount;
use domain::rule_set::Reads;
use domain::sale::Sale;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::path::{Path, Walk};
use super::states::States;
use crate::StoreError;
use crate::events::{LinesOf, stored_buyer_type};
use crate::reward_splits::Splits;

/// An event without an outcome, and what its settlement needs.
#[derive(Clone, Debug)]
pub struct Unsettled {
    /// The facts.
    pub sale: Sale,
    /// The member id that the event carries.
    pub credited_member_id: Uuid,
    /// Seller and upline as of the sale.
    pub walk: Walk,
    /// When it was recorded, by PostgreSQL's clock.
    pub recorded_at: DateTime<Utc>,
    /// Failed attempts so far.
    pub attempts: i32,
}

/// A batch as read, with the generation of rules that was in force in the same snapshot.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Events to settle. Those that are settled, dead, not due or unknown are left out.
    pub events: Vec<Unsettled>,
    /// The rules' generation; differs from the cached one when rules were added or retired.
    pub generation: i32,
    /// PostgreSQL's clock.
    pub read_at: DateTime<Utc>,
}

/// Reads a batch of distinct events. Reads of each what `reads` says.
///
/// Two queries: facts with the ids above each seller, then status, rank and since when they hold of
/// every member met, each once, because uplines of one batch share most of their members. Sales
/// older than the last change in their upline need more, which walk history (law L8); one more if
/// any sale has lines, and one reads how sponsors share rewards, once anybody does. The `history`
/// lock, which the caller shares, keeps all of them consistent.
///
/// Nested `lateral … offset 0` keep the planner from scanning whole tables to join a few rows.
pub async fn read(
    conn: &mut PgConnection,
    event_ids: &[Uuid],
    reads: Reads,
) -> Result<Batch, StoreError> {
    let rows = sqlx::query!(
        r#"
        select e.id, e.member_id as credited_member_id, e.amount, e.volume, e.currency,
               e.source_type::text as "source_type!", e.product_id,
               e.order_kind::text as "order_kind!", e.market,
               e.buyer_type::text as "buyer_type?", e.line_count,
               e.as_of, e.recorded_at, e.earned_period,
               coalesce(f.attempts, 0) as "attempts!",
               coalesce(seller.id, referred.id) as "seller_id?",
               walk.ids as "ids: Vec<Uuid>", walk.depths as "depths: Vec<i16>",
               coalesce((select max(id) from commission_plans), 0)
                 + coalesce((select max(id) from plan_retirements), 0) as "generation!",
               exists (select from member_reward_splits) as "has_splits!",
               clock_timestamp() as "read_at!"
          from unnest($1::uuid[]) as batch (event_id)
         cross join lateral (
               select * from events where id = batch.event_id offset 0) e
          left join lateral (
               select event_id from commission_outcomes where event_id = e.id limit 1) o on true
          left join lateral (
               select * from event_failures where event_id = e.id limit 1) f on true
          left join lateral (
               select id from members where id = e.member_id offset 0) seller on true
          left join lateral (
               select m.id
                 from member_references r
                 join members m on m.external_id = r.external_id
                where seller.id is null and r.id = e.member_id
               offset 0) referred on true
          left join lateral (
               select array_agg(p.ancestor_id) as ids, array_agg(p.depth) as depths
                 from member_tree_paths p
                where p.descendant_id = coalesce(seller.id, referred.id)
                  and p.depth <= $2::integer) walk on true
         where o.event_id is null
           and (f.event_id is null or (f.state = 'retrying' and f.next_attempt_at <= now()))
        "#,
        event_ids,
        i32::from(reads.depth),
    )
    .fetch_all(&mut *conn)
    .await?;
    let Some(first) = rows.first() else { return Ok(Batch::default()) };
    let (generation, read_at, has_splits) = (first.generation, first.read_at, first.has_splits);
    let mut paths: Vec<Path> = rows
        .iter()
        .map(|row| {
            let closure = (row.ids.as_deref().unwrap_or(&[]), row.depths.as_deref().unwrap_or(&[]));
            Path::of_closure(row.seller_id, row.as_of, closure)
        })
        .collect();
    let states = States::read(conn, &mut paths, reads).await?;
    let counts = rows.iter().map(|row| (row.id, row.line_count));
    let mut lines = LinesOf::read(conn, counts).await?;
    let splits = if has_splits {
        Splits::read(conn, paths.iter().filter_map(Path::sponsor)).await?
    } else {
        Splits::default()
    };

    let mut events = Vec::with_capacity(rows.len());
    for (row, path) in rows.into_iter().zip(paths) {
        events.push(Unsettled {
            sale: Sale {
                event_id: row.id,
                amount: stored_amount(row.amount)?,
                volume: stored_amount(row.volume)?,
                currency: row.currency.parse().map_err(StoreError::damaged)?,
                source_type: row.source_type.parse().map_err(StoreError::damaged)?,
                product_id: row.product_id,
                order_kind: row.order_kind.parse().map_err(StoreError::damaged)?,
                market: row.market,
                buyer_type: stored_buyer_type(row.buyer_type.as_deref())?,
                lines: lines.take_all(row.id, row.line_count)?,
                as_of: row.as_of,
                earned_period: domain::period::Period::containing(row.earned_period),
            },
            credited_member_id: row.credited_member_id,
            walk: states.walk(&path, path.sponsor().and_then(|sponsor| splits.of(sponsor))),
            recorded_at: row.recorded_at,
            attempts: row.attempts,
        });
    }
    Ok(Batch { events, generation, read_at })
}

pub(crate) fn stored_amount(value: Decimal) -> Result<Amount, StoreError> {
    Amount::from_decimal(value).map_err(StoreError::damaged)
}
