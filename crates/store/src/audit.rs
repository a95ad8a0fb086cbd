//! What `lineage verify` reads: stored outcomes with everything needed to compute them again, and
//! the state of the tree.

mod guards;

use chrono::{DateTime, Utc};
use domain::inputs::Inputs;
use domain::period::Period;
use domain::sale::Sale;
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::guards::{CLOSURE_UP, missing_closure_indexes, unguarded_tables};
use crate::StoreError;
use crate::events::{LinesOf, stored_buyer_type};
use crate::settling::stored_amount;

/// A stored outcome with the event, inputs and lines that it consists of.
#[derive(Clone, Debug)]
pub struct StoredOutcome {
    /// The facts.
    pub sale: Sale,
    /// When the transaction began that settled it.
    pub settled_at: DateTime<Utc>,
    /// The inputs as they were packed.
    pub inputs: Result<Inputs, String>,
    /// The number of the plan version.
    pub plan_number: i32,
    /// The version of the arithmetic.
    pub semantics: i16,
    /// How many lines the outcome says it has.
    pub line_count: i16,
    /// What nobody qualified for.
    pub breakage: Decimal,
    /// The lines, in their order.
    pub lines: Vec<StoredLine>,
}

/// A ledger line as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLine {
    /// Its number.
    pub line: i16,
    /// Who is paid.
    pub member_id: Uuid,
    /// The ledger type.
    pub entry_type: String,
    /// The level.
    pub level: Option<i16>,
    /// The depth.
    pub depth: Option<i16>,
    /// The rule's number.
    pub rule_number: Option<i32>,
    /// Money.
    pub amount: Decimal,
    /// Career points.
    pub career_points: Decimal,
    /// The currency.
    pub currency: String,
    /// The earned period.
    pub earned_period: Period,
}

/// How many outcomes there are.
pub async fn count(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from commission_outcomes"#);
    Ok(count.fetch_one(conn).await?)
}

/// Outcomes after an event id, in the order of event ids: a page in two round trips, three when
/// sales have lines.
pub async fn outcomes_after(
    conn: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
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
          from (select * from commission_outcomes
                 where $1::uuid is null or event_id > $1 order by event_id limit $2) o
         cross join lateral (select * from events where id = o.event_id offset 0) e
         order by o.event_id
        "#,
        after,
        limit,
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
               amount, career_points, currency, earned_period
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
    // The page that begins just before this id.
    let before = Uuid::from_u128(event_id.as_u128().wrapping_sub(1));
    let page = outcomes_after(conn, Some(before), 1).await?;
    Ok(page.into_iter().find(|outcome| outcome.sale.event_id == event_id))
}

/// Makes the transaction that has just begun see one moment only, so that what other sessions
/// commit between its statements cannot look like a difference.
pub async fn hold_snapshot(conn: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("set transaction isolation level repeatable read").execute(conn).await?;
    Ok(())
}

/// Rows that no outcome or event accounts for. At most `limit` of each kind.
#[derive(Clone, Debug, Default)]
pub struct Orphans {
    /// Events with ledger lines but without an outcome.
    pub lines_without_outcome: Vec<Uuid>,
    /// Outcomes without an event.
    pub outcomes_without_event: Vec<Uuid>,
    /// Sales with more or fewer lines than they were recorded with, and lines without a sale.
    pub sale_lines_miscounted: Vec<Uuid>,
}

/// Looks for rows that nothing accounts for.
pub async fn orphans(conn: &mut PgConnection, limit: i64) -> Result<Orphans, StoreError> {
    let lines_without_outcome = sqlx::query_scalar!(
        "select distinct l.event_id from commission_ledger l
          where l.entry_type = 'LEVEL_COMMISSION'
            and not exists (select from commission_outcomes o where o.event_id = l.event_id)
          limit $1",
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    let outcomes_without_event = sqlx::query_scalar!(
        "select o.event_id from commission_outcomes o
          where not exists (select from events e where e.id = o.event_id) limit $1",
        limit
    )
    .fetch_all(&mut *conn)
    .await?;
    let sale_lines_miscounted = sqlx::query_scalar!(
        r#"
        select coalesce(e.id, l.event_id) as "id!"
          from (select id, line_count from events where line_count <> 0) e
          full join (select event_id, count(*) as lines from event_lines group by event_id) l
            on l.event_id = e.id
         where l.lines is distinct from e.line_count
         limit $1
        "#,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(Orphans { lines_without_outcome, outcomes_without_event, sale_lines_miscounted })
}
