//! The lines of sales: written with their events, read in one statement for many.

use std::collections::HashMap;

use domain::amount::Amount;
use domain::sale::SaleLine;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::NewEvent;
use crate::StoreError;
use crate::settling::stored_amount;

/// How many lines an event has, as its row says.
pub(super) fn line_count(event: &NewEvent) -> Result<i16, StoreError> {
    i16::try_from(event.facts.lines.len()).map_err(StoreError::damaged)
}

/// Writes the lines of events that have just been recorded. One statement for all of them; none
/// when there are no lines.
pub(super) async fn record(
    conn: &mut PgConnection,
    events: &[&NewEvent],
) -> Result<(), StoreError> {
    let lines = || {
        events.iter().flat_map(|event| {
            (0_i16..).zip(&event.facts.lines).map(|(place, line)| (event.id, place, line))
        })
    };
    if lines().next().is_none() {
        return Ok(());
    }
    let decimal = |get: fn(&SaleLine) -> Amount| {
        lines().map(|(.., line)| get(line).to_decimal()).collect::<Vec<Decimal>>()
    };
    let event_ids: Vec<Uuid> = lines().map(|(event_id, ..)| event_id).collect();
    let places: Vec<i16> = lines().map(|(_, place, _)| place).collect();
    let ids: Vec<&str> = lines().map(|(.., line)| line.id.as_str()).collect();
    let products: Vec<&str> = lines().map(|(.., line)| line.product_id.as_str()).collect();
    let categories: Vec<Option<&str>> =
        lines().map(|(.., line)| line.category.as_deref()).collect();
    sqlx::query!(
        r#"
        insert into event_lines (event_id, place, id, product_id, category, quantity, amount, volume)
        select event_id, place, id, product_id, category, quantity, amount, volume
          from unnest($1::uuid[], $2::smallint[], $3::text[], $4::text[], $5::text[],
                      $6::numeric[], $7::numeric[], $8::numeric[])
            as line (event_id, place, id, product_id, category, quantity, amount, volume)
        "#,
        &event_ids,
        &places,
        &ids as &[&str],
        &products as &[&str],
        &categories as &[Option<&str>],
        &decimal(|line| line.quantity),
        &decimal(|line| line.amount),
        &decimal(|line| line.volume),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The lines of a batch of events, to be taken event by event.
pub(crate) struct LinesOf(HashMap<Uuid, Vec<SaleLine>>);

impl LinesOf {
    /// Reads the lines of those events that have any, by their `line_count`. No statement when none
    /// has.
    pub(crate) async fn read(
        conn: &mut PgConnection,
        events: impl Iterator<Item = (Uuid, i16)>,
    ) -> Result<Self, StoreError> {
        let ids: Vec<Uuid> = events.filter(|(_, count)| *count > 0).map(|(id, _)| id).collect();
        let mut lines: HashMap<Uuid, Vec<SaleLine>> = HashMap::new();
        if ids.is_empty() {
            return Ok(Self(lines));
        }
        let rows = sqlx::query!(
            r#"
            select l.event_id, l.id, l.product_id, l.category, l.quantity, l.amount, l.volume
              from unnest($1::uuid[]) as wanted (id)
             cross join lateral (
                   select * from event_lines where event_id = wanted.id offset 0) l
             order by l.event_id, l.place
            "#,
            &ids,
        )
        .fetch_all(conn)
        .await?;
        for row in rows {
            lines.entry(row.event_id).or_default().push(SaleLine {
                id: row.id,
                product_id: row.product_id,
                category: row.category,
                quantity: stored_amount(row.quantity)?,
                amount: stored_amount(row.amount)?,
                volume: stored_amount(row.volume)?,
            });
        }
        Ok(Self(lines))
    }

    /// The event's lines as they are stored, in their order.
    pub(crate) fn take(&mut self, event_id: Uuid) -> Vec<SaleLine> {
        self.0.remove(&event_id).unwrap_or_default()
    }

    /// The event's lines if they are as many as its row says: a sale with a line missing must not
    /// be priced.
    pub(crate) fn take_all(
        &mut self,
        event_id: Uuid,
        count: i16,
    ) -> Result<Vec<SaleLine>, StoreError> {
        let lines = self.take(event_id);
        if usize::try_from(count) == Ok(lines.len()) {
            return Ok(lines);
        }
        let found = lines.len();
        Err(StoreError::Damaged(format!("event {event_id} has {found} lines instead of {count}")))
    }
}
