//! Rows that nothing accounts for: what no outcome would lead a reader to.

use domain::decision::EntryType;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Month;
use crate::StoreError;

/// Rows that no outcome or event accounts for. At most `limit` of each kind, in the order of ids.
#[derive(Clone, Debug, Default)]
pub struct Orphans {
    /// Events with ledger lines but without an outcome.
    pub lines_without_outcome: Vec<Uuid>,
    /// Events that are paid for in a month, but were earned in another.
    pub lines_of_other_months: Vec<Uuid>,
    /// Events with ledger lines in a period that is named by another day than a month's first.
    pub lines_off_months: Vec<Uuid>,
    /// Outcomes without an event; of a month, those with ledger lines in it.
    pub outcomes_without_event: Vec<Uuid>,
    /// Sales with more or fewer lines than they were recorded with, or with lines that sum up to
    /// something else, and lines without a sale.
    pub sale_lines_miscounted: Vec<Uuid>,
    /// Events whose source and external id are those of another event, too: the same sale twice.
    pub recorded_twice: Vec<Uuid>,
    /// Failed attempts at events that are not recorded: an event was removed.
    pub failures_without_event: Vec<Uuid>,
}

/// Looks for rows that nothing accounts for, in all or among what belongs to a month.
pub async fn orphans(
    conn: &mut PgConnection,
    month: Option<Month>,
    limit: i64,
) -> Result<Orphans, StoreError> {
    let first_day = month.map(|month| month.first_day);
    let lines_without_outcome = sqlx::query_scalar!(
        "select distinct l.event_id from commission_ledger l
          where l.entry_type::text = any($2)
            and ($3::date is null or l.earned_period = $3 or l.posted_period = $3)
            and not exists (select from commission_outcomes o where o.event_id = l.event_id)
          order by l.event_id limit $1",
        limit,
        &EntryType::ALL.map(|kind| kind.name().to_owned()),
        first_day,
    )
    .fetch_all(&mut *conn)
    .await?;
    let lines_off_months = sqlx::query_scalar!(
        "select distinct event_id from commission_ledger
          where (extract(day from earned_period) <> 1 or extract(day from posted_period) <> 1)
            and ($2::date is null
                 or date_trunc('month', earned_period::timestamp) = $2
                 or date_trunc('month', posted_period::timestamp) = $2)
          order by event_id limit $1",
        limit,
        first_day,
    )
    .fetch_all(&mut *conn)
    .await?;
    let lines_of_other_months = match first_day {
        // Whoever computes every outcome again compares the periods of all its lines.
        None => Vec::new(),
        Some(_) => lines_of_other_months(conn, month, limit).await?,
    };
    Ok(Orphans {
        lines_without_outcome,
        lines_of_other_months,
        lines_off_months,
        outcomes_without_event: outcomes_without_event(conn, month, limit).await?,
        sale_lines_miscounted: sale_lines_miscounted(conn, month, limit).await?,
        recorded_twice: recorded_twice(conn, month, limit).await?,
        failures_without_event: failures_without_event(conn, limit).await?,
    })
}

/// Only the id of an event is unique, and it is made of source and external id by whoever records
/// it; so a row that was written past ingest can name a sale that is there already.
async fn recorded_twice(
    conn: &mut PgConnection,
    month: Option<Month>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select e.id
           from (select source, external_id from events
                  group by source, external_id having count(*) > 1) twice
           join events e using (source, external_id)
          where $2::date is null or e.earned_period = $2
          order by e.id limit $1",
        limit,
        month.map(|month| month.first_day),
    );
    Ok(ids.fetch_all(conn).await?)
}

/// Few rows, of whatever month.
async fn failures_without_event(
    conn: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select f.event_id from event_failures f
          where not exists (select from events e where e.id = f.event_id)
          order by f.event_id limit $1",
        limit,
    );
    Ok(ids.fetch_all(conn).await?)
}

async fn lines_of_other_months(
    conn: &mut PgConnection,
    month: Option<Month>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select distinct l.event_id
           from commission_ledger l
           join events e on e.id = l.event_id
          where (l.earned_period = $2 or l.posted_period = $2)
            and e.earned_period <> $2 and not (e.as_of >= $3 and e.as_of < $4)
          order by l.event_id limit $1",
        limit,
        month.map(|month| month.first_day),
        month.map(|month| month.begin),
        month.map(|month| month.end),
    );
    Ok(ids.fetch_all(conn).await?)
}

async fn outcomes_without_event(
    conn: &mut PgConnection,
    month: Option<Month>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let Some(month) = month else {
        let ids = sqlx::query_scalar!(
            "select o.event_id from commission_outcomes o
              where not exists (select from events e where e.id = o.event_id)
              order by o.event_id limit $1",
            limit
        );
        return Ok(ids.fetch_all(conn).await?);
    };
    let ids = sqlx::query_scalar!(
        "select distinct l.event_id from commission_ledger l
          where (l.earned_period = $2 or l.posted_period = $2)
            and not exists (select from events e where e.id = l.event_id)
            and exists (select from commission_outcomes o where o.event_id = l.event_id)
          order by l.event_id limit $1",
        limit,
        month.first_day,
    );
    Ok(ids.fetch_all(conn).await?)
}

async fn sale_lines_miscounted(
    conn: &mut PgConnection,
    month: Option<Month>,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    // Lines whose sale is not recorded belong to no month.
    let ids = sqlx::query_scalar!(
        r#"
        select coalesce(e.id, l.event_id) as "id!"
          from (select id, line_count, amount, volume, earned_period from events
                 where line_count <> 0) e
          full join (select event_id, count(*) as lines, sum(amount) as amount,
                            sum(volume) as volume
                       from event_lines group by event_id) l
            on l.event_id = e.id
         where (l.lines is distinct from e.line_count
                or l.amount is distinct from e.amount or l.volume is distinct from e.volume)
           and ($2::date is null
                or coalesce(e.earned_period,
                            (select earned_period from events where id = l.event_id)) = $2)
         order by 1 limit $1
        "#,
        limit,
        month.map(|month| month.first_day),
    );
    Ok(ids.fetch_all(conn).await?)
}

/// How many rows [`orphans`] looks at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scanned {
    /// Ledger lines.
    pub ledger_lines: i64,
    /// Outcomes.
    pub outcomes: i64,
    /// Sales with lines of their own.
    pub sales_with_lines: i64,
    /// Events, settled or not.
    pub events: i64,
}

/// Counts what [`orphans`] looks at.
pub async fn scanned(conn: &mut PgConnection, month: Option<Month>) -> Result<Scanned, StoreError> {
    let first_day = month.map(|month| month.first_day);
    let row = sqlx::query!(
        r#"
        select (select count(*) from commission_ledger
                 where $1::date is null or earned_period = $1 or posted_period = $1)
                 as "ledger_lines!",
               (select count(*) from events
                 where line_count <> 0 and ($1::date is null or earned_period = $1))
                 as "sales_with_lines!",
               (select count(*) from events where $1::date is null or earned_period = $1)
                 as "events!"
        "#,
        first_day,
    )
    .fetch_one(&mut *conn)
    .await?;
    let outcomes = super::count(conn, month).await?;
    Ok(Scanned {
        ledger_lines: row.ledger_lines,
        outcomes,
        sales_with_lines: row.sales_with_lines,
        events: row.events,
    })
}
