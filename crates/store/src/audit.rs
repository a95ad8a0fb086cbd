//! What `lineage verify` reads: stored outcomes with everything needed to compute them again, and
//! the state of the tree.

mod guards;

use domain::decision::EntryType;
use domain::inputs::Inputs;
use domain::period::Period;
pub use domain::recompute::{StoredLine, StoredOutcome};
use domain::sale::Sale;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::guards::{CLOSURE_UP, missing_closure_indexes, unguarded_tables};
use crate::StoreError;
use crate::events::{LinesOf, stored_buyer_type};
use crate::settling::stored_amount;

/// How many outcomes there are.
pub async fn count(conn: &mut PgConnection) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(r#"select count(*) as "count!" from commission_outcomes"#);
    Ok(count.fetch_one(conn).await?)
}

/// Outcomes after an event id, in the order of event ids: a page in three round trips, four when
/// sales have lines.
pub async fn outcomes_after(
    conn: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<StoredOutcome>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select event_id from commission_outcomes
          where $1::uuid is null or event_id > $1 order by event_id limit $2",
        after,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    outcomes_of(conn, &ids).await
}

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
    Ok(outcomes_of(conn, &[event_id]).await?.pop())
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
          where l.entry_type::text = any($2)
            and not exists (select from commission_outcomes o where o.event_id = l.event_id)
          limit $1",
        limit,
        &EntryType::ALL.map(|kind| kind.name().to_owned()),
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
