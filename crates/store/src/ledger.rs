//! Reading the ledger, and making its partitions.

mod account;

use chrono::{DateTime, NaiveDate, Utc};
use domain::amount::Amount;
use futures_util::{Stream, StreamExt, TryStreamExt};
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::account::{
    Account, AccountLine, AccountPage, AccountPosition, Balance, balance, page,
};
use crate::StoreError;
use crate::settling::stored_amount;

/// Makes the partition of a period, by its first day, if it is missing. In a transaction of its
/// own and before the period's first event is accepted.
pub async fn ensure_partition(
    conn: &mut PgConnection,
    period: NaiveDate,
) -> Result<bool, StoreError> {
    let made = sqlx::query_scalar!(r#"select ensure_ledger_partition($1) as "made!""#, period);
    Ok(made.fetch_one(conn).await?)
}

/// A ledger line with the names that people know things by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event that it was paid for.
    pub event_id: Uuid,
    /// What the shop calls the event.
    pub external_id: String,
    /// Its number within the event.
    pub line: i16,
    /// Who is paid.
    pub member_id: Uuid,
    /// The ledger type.
    pub entry_type: String,
    /// The level that is paid.
    pub level: Option<i16>,
    /// How far above the seller the member stands.
    pub depth: Option<i16>,
    /// The rule's id in its plan.
    pub rule: Option<String>,
    /// Money.
    pub amount: Amount,
    /// Its currency.
    pub currency: String,
    /// Career points.
    pub career_points: Amount,
    /// First day of the period that it was earned in.
    pub earned_period: NaiveDate,
    /// First day of the period that it was posted to.
    pub posted_period: NaiveDate,
    /// When.
    pub posted_at: DateTime<Utc>,
}

/// Which lines to export.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection {
    /// One member's only.
    pub member_id: Option<Uuid>,
    /// One posted period's only, by its first day.
    pub posted_period: Option<NaiveDate>,
}

/// The lines of one event, in their order.
pub async fn of_event(conn: &mut PgConnection, event_id: Uuid) -> Result<Vec<Entry>, StoreError> {
    let lines = sqlx::query!(
        r#"
        select l.event_id, e.external_id, l.line, l.member_id, l.entry_type::text as "entry_type!",
               l.level, l.depth, r.rule as "rule?", l.amount, l.currency, l.career_points,
               l.earned_period, l.posted_period, l.posted_at
          from commission_ledger l
          join events e on e.id = l.event_id
          left join commission_rules r on r.id = l.rule_id
         where l.event_id = $1
         order by l.line
        "#,
        event_id,
    )
    .fetch_all(conn)
    .await?;
    lines
        .into_iter()
        .map(|row| {
            Ok(Entry {
                event_id: row.event_id,
                external_id: row.external_id,
                line: row.line,
                member_id: row.member_id,
                entry_type: row.entry_type,
                level: row.level,
                depth: row.depth,
                rule: row.rule,
                amount: stored_amount(row.amount)?,
                currency: row.currency,
                career_points: stored_amount(row.career_points)?,
                earned_period: row.earned_period,
                posted_period: row.posted_period,
                posted_at: row.posted_at,
            })
        })
        .collect()
}

/// Selected lines, ordered by posted period, event and line, a row at a time.
pub fn export(
    conn: &mut PgConnection,
    selection: Selection,
) -> impl Stream<Item = Result<Entry, StoreError>> {
    sqlx::query!(
        r#"
        select l.event_id, e.external_id, l.line, l.member_id, l.entry_type::text as "entry_type!",
               l.level, l.depth, r.rule as "rule?", l.amount, l.currency, l.career_points,
               l.earned_period, l.posted_period, l.posted_at
          from commission_ledger l
          join events e on e.id = l.event_id
          left join commission_rules r on r.id = l.rule_id
         where ($1::uuid is null or l.member_id = $1)
           and ($2::date is null or l.posted_period = $2)
         order by l.posted_period, l.event_id, l.line
        "#,
        selection.member_id,
        selection.posted_period,
    )
    .fetch(conn)
    .map_err(StoreError::from)
    .map(|row| {
        let row = row?;
        Ok(Entry {
            event_id: row.event_id,
            external_id: row.external_id,
            line: row.line,
            member_id: row.member_id,
            entry_type: row.entry_type,
            level: row.level,
            depth: row.depth,
            rule: row.rule,
            amount: stored_amount(row.amount)?,
            currency: row.currency,
            career_points: stored_amount(row.career_points)?,
            earned_period: row.earned_period,
            posted_period: row.posted_period,
            posted_at: row.posted_at,
        })
    })
}

/// What one period paid in one currency.
#[derive(Clone, Debug)]
pub struct PeriodTotal {
    /// First day of the earned period.
    pub period: NaiveDate,
    /// The currency.
    pub currency: String,
    /// Sales settled.
    pub sales: i64,
    /// What they were worth.
    pub turnover: Amount,
    /// Ledger lines.
    pub lines: i64,
    /// Money paid.
    pub paid: Amount,
    /// Money that nobody qualified for.
    pub breakage: Amount,
}

/// Sales, lines, payments and breakage by earned period and currency.
pub async fn totals_by_period(conn: &mut PgConnection) -> Result<Vec<PeriodTotal>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select s.period as "period!", s.currency as "currency!", s.sales as "sales!",
               s.turnover as "turnover!", s.breakage as "breakage!",
               coalesce(p.lines, 0) as "lines!", coalesce(p.paid, 0) as "paid!"
          from (select e.earned_period as period, e.currency, count(*) as sales,
                       sum(e.amount) as turnover, sum(o.breakage) as breakage
                  from commission_outcomes o join events e on e.id = o.event_id
                 group by 1, 2) s
          left join (select earned_period as period, currency, count(*) as lines,
                            sum(amount) as paid
                       from commission_ledger group by 1, 2) p using (period, currency)
         order by 1, 2
        "#
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PeriodTotal {
                period: row.period,
                currency: row.currency,
                sales: row.sales,
                turnover: stored_amount(row.turnover)?,
                lines: row.lines,
                paid: stored_amount(row.paid)?,
                breakage: stored_amount(row.breakage)?,
            })
        })
        .collect()
}

/// What one member earned in one currency.
#[derive(Clone, Debug)]
pub struct Earner {
    /// Who.
    pub member_id: Uuid,
    /// The member's name, or else the external id or id.
    pub name: String,
    /// The rank now, as its place.
    pub rank: i16,
    /// Ledger lines.
    pub lines: i64,
    /// Money.
    pub amount: Amount,
    /// Its currency.
    pub currency: String,
}

/// The members who earned most.
pub async fn top_earners(conn: &mut PgConnection, limit: i64) -> Result<Vec<Earner>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select m.id, coalesce(m.name, m.external_id, m.id::text) as "name!", m.rank,
               t.lines as "lines!", t.amount as "amount!", t.currency
          from (select member_id, currency, count(*) as lines, sum(amount) as amount
                  from commission_ledger group by 1, 2 order by 4 desc, 1 limit $1) t
          join members m on m.id = t.member_id
         order by t.amount desc, m.id
        "#,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Earner {
                member_id: row.id,
                name: row.name,
                rank: row.rank,
                lines: row.lines,
                amount: stored_amount(row.amount)?,
                currency: row.currency,
            })
        })
        .collect()
}
