//! Recording events and reading them back.

mod details;
mod feed;
mod lines;

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};
use domain::amount::Amount;
use domain::sale::{BuyerType, Currency, OrderKind, SaleLine, SourceType};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::details::Details;
pub use self::feed::{FeedEntry, FeedPosition, feed};
pub(crate) use self::lines::LinesOf;
use crate::StoreError;
use crate::settling::stored_amount;

/// A sale's facts, parsed, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The credited seller.
    pub member_id: Uuid,
    /// When it happened, by the shop.
    pub occurred_at: DateTime<Utc>,
    /// What was sold.
    pub source_type: SourceType,
    /// The currency.
    pub currency: Currency,
    /// The commissionable value.
    pub amount: Amount,
    /// The points.
    pub volume: Amount,
    /// The product.
    pub product_id: Option<String>,
    /// Why it was ordered.
    pub order_kind: OrderKind,
    /// The market.
    pub market: Option<String>,
    /// Who bought.
    pub buyer_type: Option<BuyerType>,
    /// The positions, as the shop numbers them; none: the sale is priced as a whole.
    pub lines: Vec<SaleLine>,
}

/// An event to be recorded.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The name-based UUID of source and external id.
    pub id: Uuid,
    /// Which shop.
    pub source: String,
    /// What the shop calls it.
    pub external_id: String,
    /// What happened.
    pub facts: Facts,
    /// What is kept besides.
    pub details: Details,
    /// When it is recorded, by PostgreSQL's clock.
    pub recorded_at: DateTime<Utc>,
    /// First day of the period that it is earned in.
    pub earned_period: NaiveDate,
}

/// PostgreSQL's clock.
pub async fn clock(conn: &mut PgConnection) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(conn).await?)
}

/// Records events, which must be distinct and sorted by id. Returns the ids that were new; the
/// others were recorded before, or by another session while this one waited for it, and nothing is
/// written about them.
///
/// One statement, and one each for lines and details when a new event has any: to be called in a
/// transaction.
pub async fn record(
    conn: &mut PgConnection,
    events: &[&NewEvent],
) -> Result<Vec<Uuid>, StoreError> {
    let column =
        |get: fn(&NewEvent) -> Uuid| events.iter().map(|event| get(event)).collect::<Vec<_>>();
    let instant = |get: fn(&NewEvent) -> DateTime<Utc>| {
        events.iter().map(|event| get(event)).collect::<Vec<_>>()
    };
    let decimal =
        |get: fn(&NewEvent) -> Decimal| events.iter().map(|event| get(event)).collect::<Vec<_>>();
    let ids = column(|event| event.id);
    let members = column(|event| event.facts.member_id);
    let occurred = instant(|event| event.facts.occurred_at);
    let recorded = instant(|event| event.recorded_at);
    let amounts = decimal(|event| event.facts.amount.to_decimal());
    let volumes = decimal(|event| event.facts.volume.to_decimal());
    let periods: Vec<NaiveDate> = events.iter().map(|event| event.earned_period).collect();
    let kinds: Vec<&str> = events.iter().map(|event| event.facts.source_type.name()).collect();
    let currencies: Vec<&str> = events.iter().map(|event| event.facts.currency.code()).collect();
    let sources: Vec<&str> = events.iter().map(|event| event.source.as_str()).collect();
    let external_ids: Vec<&str> = events.iter().map(|event| event.external_id.as_str()).collect();
    let products: Vec<Option<&str>> =
        events.iter().map(|event| event.facts.product_id.as_deref()).collect();
    let order_kinds: Vec<&str> = events.iter().map(|event| event.facts.order_kind.name()).collect();
    let markets: Vec<Option<&str>> =
        events.iter().map(|event| event.facts.market.as_deref()).collect();
    let buyer_types: Vec<Option<&str>> =
        events.iter().map(|event| event.facts.buyer_type.map(BuyerType::name)).collect();
    let line_counts: Vec<i16> =
        events.iter().map(|event| lines::line_count(event)).collect::<Result<_, _>>()?;
    let inserted = sqlx::query_scalar!(
        r#"
        insert into events (id, member_id, occurred_at, recorded_at, earned_period, event_type,
                            source_type, currency, source, external_id, amount, volume, product_id,
                            order_kind, market, buyer_type, line_count)
        select id, member_id, occurred_at, recorded_at, earned_period, 'SALE',
               source_type::source_type, currency, source, external_id, amount, volume, product_id,
               order_kind::order_kind, market, buyer_type::buyer_type, line_count
          from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::timestamptz[], $5::date[],
                      $6::text[], $7::text[], $8::text[], $9::text[], $10::numeric[],
                      $11::numeric[], $12::text[], $13::text[], $14::text[], $15::text[],
                      $16::smallint[])
            as event (id, member_id, occurred_at, recorded_at, earned_period, source_type,
                      currency, source, external_id, amount, volume, product_id, order_kind,
                      market, buyer_type, line_count)
        on conflict do nothing
        returning id
        "#,
        &ids,
        &members,
        &occurred,
        &recorded,
        &periods,
        &kinds as &[&str],
        &currencies as &[&str],
        &sources as &[&str],
        &external_ids as &[&str],
        &amounts,
        &volumes,
        &products as &[Option<&str>],
        &order_kinds as &[&str],
        &markets as &[Option<&str>],
        &buyer_types as &[Option<&str>],
        &line_counts,
    )
    .fetch_all(&mut *conn)
    .await?;
    let has_more = |event: &NewEvent| !event.facts.lines.is_empty() || !event.details.is_empty();
    if events.iter().any(|event| has_more(event)) {
        let new_ids: HashSet<&Uuid> = inserted.iter().collect();
        let new: Vec<&NewEvent> =
            events.iter().copied().filter(|event| new_ids.contains(&event.id)).collect();
        lines::record(conn, &new).await?;
        details::record(conn, &new).await?;
    }
    Ok(inserted)
}

/// The facts that are stored under these ids, with each seller's id as it is now known.
pub async fn facts(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, Facts)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select e.id, e.occurred_at, e.source_type::text as "source_type!", e.currency, e.amount,
               e.volume, e.product_id, e.member_id, e.order_kind::text as "order_kind!", e.market,
               e.buyer_type::text as "buyer_type?", e.line_count
          from unnest($1::uuid[]) as wanted (id)
         cross join lateral (select * from events where id = wanted.id offset 0) e
        "#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let counts = rows.iter().map(|row| (row.id, row.line_count));
    let mut lines = LinesOf::read(conn, counts).await?;
    rows.into_iter()
        .map(|row| {
            let facts = Facts {
                member_id: row.member_id,
                occurred_at: row.occurred_at,
                source_type: row.source_type.parse().map_err(StoreError::damaged)?,
                currency: row.currency.parse().map_err(StoreError::damaged)?,
                amount: stored_amount(row.amount)?,
                volume: stored_amount(row.volume)?,
                product_id: row.product_id,
                order_kind: row.order_kind.parse().map_err(StoreError::damaged)?,
                market: row.market,
                buyer_type: stored_buyer_type(row.buyer_type.as_deref())?,
                lines: lines.take_all(row.id, row.line_count)?,
            };
            Ok((row.id, facts))
        })
        .collect()
}

/// The buyer type as it is stored.
pub(crate) fn stored_buyer_type(name: Option<&str>) -> Result<Option<BuyerType>, StoreError> {
    name.map(str::parse).transpose().map_err(StoreError::damaged)
}

/// The members that these ids stand for now: a reference stands for the member who was enrolled
/// under its external id since; every other id stands for itself.
pub async fn canonical_members(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select wanted.id as "id!", coalesce(m.id, wanted.id) as "member_id!"
          from unnest($1::uuid[]) as wanted (id)
          left join member_references r on r.id = wanted.id
          left join members m on m.external_id = r.external_id
        "#,
        ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.member_id)).collect())
}

/// Finds the ids that external ids of members stand for; for one that nobody has yet, a reference
/// is made that will stand for whoever is enrolled under it. Sorted and distinct in, pairs out.
pub async fn resolve_members(
    conn: &mut PgConnection,
    external_ids: &[String],
) -> Result<Vec<(String, Uuid)>, StoreError> {
    let known = known_members(conn, external_ids).await?;
    let missing: Vec<String> = external_ids
        .iter()
        .filter(|external_id| known.iter().all(|(name, _)| name != *external_id))
        .cloned()
        .collect();
    if missing.is_empty() {
        return Ok(known);
    }
    sqlx::query!(
        "insert into member_references (id, external_id)
         select gen_random_uuid(), external_id from unnest($1::text[]) as missing (external_id)
         on conflict do nothing",
        &missing,
    )
    .execute(&mut *conn)
    .await?;
    // In a statement of its own: what another session inserted meanwhile is visible now.
    known_members(conn, external_ids).await
}

async fn known_members(
    conn: &mut PgConnection,
    external_ids: &[String],
) -> Result<Vec<(String, Uuid)>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select wanted.external_id as "external_id!", coalesce(m.id, r.id) as "id!"
          from unnest($1::text[]) as wanted (external_id)
          left join members m on m.external_id = wanted.external_id
          left join member_references r on r.external_id = wanted.external_id
         where m.id is not null or r.id is not null
        "#,
        external_ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.external_id, row.id)).collect())
}

/// An event with what became of it.
#[derive(Clone, Debug)]
pub struct EventDetail {
    /// The event's id.
    pub id: Uuid,
    /// Which shop.
    pub source: String,
    /// What the shop calls it.
    pub external_id: String,
    /// What happened.
    pub facts: Facts,
    /// What is kept besides, and not erased.
    pub details: Details,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
    /// The moment that it counts at.
    pub as_of: DateTime<Utc>,
    /// First day of the period that it is earned in.
    pub earned_period: NaiveDate,
    /// `settled`, `retrying`, `dead`, `discarded` or `unsettled`.
    pub state: String,
    /// Why it is not settled, when an attempt failed.
    pub failure: Option<EventFailure>,
    /// When it was settled.
    pub settled_at: Option<DateTime<Utc>>,
    /// What nobody qualified for.
    pub breakage: Option<Amount>,
}

/// Why an event is not settled yet.
#[derive(Clone, Debug)]
pub struct EventFailure {
    /// The cause by its name.
    pub cause: String,
    /// The last error in words.
    pub last_error: String,
    /// Failed attempts so far.
    pub attempts: i32,
    /// When the next one is due.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// Why it was discarded last.
    pub discard_reason: Option<String>,
}

/// What an event is, in one word of the view `event_state`; `None`: there is no such event.
pub async fn state(conn: &mut PgConnection, id: Uuid) -> Result<Option<String>, StoreError> {
    let state =
        sqlx::query_scalar!(r#"select state as "state!" from event_state where event_id = $1"#, id);
    Ok(state.fetch_optional(conn).await?)
}

/// One event with its state.
pub async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Option<EventDetail>, StoreError> {
    let row = sqlx::query!(
        r#"
        select e.source, e.external_id, e.recorded_at, e.as_of, e.earned_period,
               s.state as "state!", s.cause as "cause?", s.last_error as "last_error?",
               s.attempts as "attempts?", s.next_attempt_at, s.discard_reason,
               s.settled_at as "settled_at?",
               o.breakage as "breakage?"
          from events e
          join event_state s on s.event_id = e.id
          left join commission_outcomes o on o.event_id = e.id
         where e.id = $1
        "#,
        id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let mut facts = facts(conn, &[id]).await?;
    let Some((_, mut facts)) = facts.pop() else { return Ok(None) };
    if let Some((_, member_id)) = canonical_members(conn, &[facts.member_id]).await?.pop() {
        facts.member_id = member_id;
    }
    let settled = row.settled_at.is_some();
    let failure = match (row.cause, row.last_error, row.attempts) {
        (Some(cause), Some(last_error), Some(attempts)) if !settled => Some(EventFailure {
            cause,
            last_error,
            attempts,
            next_attempt_at: row.next_attempt_at,
            discard_reason: row.discard_reason,
        }),
        _ => None,
    };
    Ok(Some(EventDetail {
        id,
        source: row.source,
        external_id: row.external_id,
        facts,
        details: details::find(conn, id).await?,
        recorded_at: row.recorded_at,
        as_of: row.as_of,
        earned_period: row.earned_period,
        state: row.state,
        failure,
        settled_at: row.settled_at,
        breakage: row.breakage.map(stored_amount).transpose()?,
    }))
}
