//! The feed of settled events.

use chrono::{DateTime, Utc};
use domain::amount::Amount;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::settling::stored_amount;

/// A place in the feed of settled events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedPosition {
    /// The settling transaction.
    pub settled_in: i64,
    /// The event.
    pub event_id: Uuid,
}

/// A settled event in the feed.
#[derive(Clone, Debug)]
pub struct FeedEntry {
    /// Where it stands.
    pub position: FeedPosition,
    /// Which shop.
    pub source: String,
    /// What the shop calls it.
    pub external_id: String,
    /// When it was settled.
    pub settled_at: DateTime<Utc>,
    /// How many ledger lines it has.
    pub lines: i16,
    /// The sale's currency.
    pub currency: String,
    /// What nobody qualified for.
    pub breakage: Amount,
}

/// Settled events after a place, in an order that later transactions only extend: outcomes of
/// transactions that an older one still running could precede are held back until it ends.
pub async fn feed(
    conn: &mut PgConnection,
    after: FeedPosition,
    limit: i64,
) -> Result<Vec<FeedEntry>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select page.settled_in::text::bigint as "settled_in!", page.event_id, page.settled_at,
               page.lines, page.breakage, e.source, e.external_id, e.currency
          from (select * from commission_outcomes o
                 where o.settled_in >= $1::text::xid8
                   and (o.settled_in, o.event_id) > ($1::text::xid8, $2)
                   and o.settled_in < pg_snapshot_xmin(pg_current_snapshot())
                 order by o.settled_in, o.event_id
                 limit $3) page
         cross join lateral (select * from events where id = page.event_id offset 0) e
         order by page.settled_in, page.event_id
        "#,
        after.settled_in.to_string(),
        after.event_id,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(FeedEntry {
                position: FeedPosition { settled_in: row.settled_in, event_id: row.event_id },
                source: row.source,
                external_id: row.external_id,
                settled_at: row.settled_at,
                lines: row.lines,
                currency: row.currency,
                breakage: stored_amount(row.breakage)?,
            })
        })
        .collect()
}
