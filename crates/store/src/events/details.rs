//! What is kept of a sale but never priced or compared. It may be personal data, so it can be
//! erased.

use sqlx::PgConnection;
use uuid::Uuid;

use super::NewEvent;
use crate::StoreError;

/// What a shop wants to find again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The buyer, by the shop's own id.
    pub buyer_id: Option<String>,
    /// A JSON object about the order, as text.
    pub order: Option<String>,
    /// A JSON object about anything else, as text.
    pub context: Option<String>,
}

impl Details {
    /// Whether there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { buyer_id, order, context } = self;
        buyer_id.is_none() && order.is_none() && context.is_none()
    }
}

/// Writes the details of events that have just been recorded. One statement for all of them; none
/// when there is nothing to keep.
pub(super) async fn record(
    conn: &mut PgConnection,
    events: &[&NewEvent],
) -> Result<(), StoreError> {
    let kept: Vec<&NewEvent> =
        events.iter().copied().filter(|event| !event.details.is_empty()).collect();
    if kept.is_empty() {
        return Ok(());
    }
    let column = |get: fn(&Details) -> Option<&str>| {
        kept.iter().map(|event| get(&event.details)).collect::<Vec<_>>()
    };
    let ids: Vec<Uuid> = kept.iter().map(|event| event.id).collect();
    let buyers = column(|details| details.buyer_id.as_deref());
    let orders = column(|details| details.order.as_deref());
    let contexts = column(|details| details.context.as_deref());
    sqlx::query!(
        r#"
        insert into event_details (event_id, buyer_id, order_data, context)
        select event_id, buyer_id, order_data::jsonb, context::jsonb
          from unnest($1::uuid[], $2::text[], $3::text[], $4::text[])
            as details (event_id, buyer_id, order_data, context)
        "#,
        &ids,
        &buyers as &[Option<&str>],
        &orders as &[Option<&str>],
        &contexts as &[Option<&str>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What is kept of an event; nothing when it was erased.
pub(super) async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Details, StoreError> {
    let row = sqlx::query!(
        r#"select buyer_id, order_data::text as "order", context::text as "context"
             from event_details where event_id = $1"#,
        id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map_or_else(Details::default, |row| Details {
        buyer_id: row.buyer_id,
        order: row.order,
        context: row.context,
    }))
}
