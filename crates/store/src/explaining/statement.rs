//! Pages of a member's statement.
//!
//! A page is found by key, ordered by currency, moment, event and line. There is no index in that
//! order: each page sorts the member's lines of the period in PostgreSQL, which is why callers who
//! want all of them take large pages.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use domain::explain::{Clerk, LedgerLine, StatementLine, Sum, Sums};
use domain::period::Period;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Books, people};
use crate::settling::stored_amount;
use crate::{StoreError, audit};

/// Outcomes that are read and computed at a time: bounds the memory of large pages.
const OUTCOMES: usize = 500;

/// Where a page of a statement ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePosition {
    /// The event of the last line.
    pub event_id: Uuid,
    /// Its number within the event.
    pub line: i16,
}

/// The text is no position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be the `next` of an earlier page")]
pub struct NoPosition;

/// As pages spell where they end: `<event>.<line>`.
impl fmt::Display for LinePosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.event_id, self.line)
    }
}

impl FromStr for LinePosition {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (event_id, line) = text.split_once('.').ok_or(NoPosition)?;
        let line = line.parse().map_err(|_| NoPosition)?;
        Ok(Self { event_id: Uuid::try_parse(event_id).map_err(|_| NoPosition)?, line })
    }
}

/// Some lines of a statement.
#[derive(Clone, Debug)]
pub struct StatementPage {
    /// The lines.
    pub lines: Vec<StatementLine>,
    /// Where to go on; `None`: there are no more.
    pub next: Option<LinePosition>,
}

/// A member's own sales of a period that failed to be settled so far, by cause: few, so they are found
/// from there.
pub async fn waiting_sales(
    conn: &mut PgConnection,
    member_id: Uuid,
    period: Period,
) -> Result<BTreeMap<String, i64>, StoreError> {
    let rows = sqlx::query!(
        r#"
        select f.cause, count(*) as "sales!"
          from event_failures f
         cross join lateral (
               select member_id, earned_period from events where id = f.event_id offset 0) e
         where f.state <> 'discarded' and e.member_id = $1 and e.earned_period = $2
         group by f.cause
        "#,
        member_id,
        period.first_day(),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.cause, row.sales)).collect())
}

/// What the ledger says that a member earned in a period, by currency.
pub async fn ledger_sums(
    conn: &mut PgConnection,
    member_id: Uuid,
    period: Period,
) -> Result<Sums, StoreError> {
    let rows = sqlx::query!(
        r#"
        select currency, count(*) as "lines!", sum(amount) as "amount!",
               sum(career_points) as "career_points!"
          from commission_ledger
         where member_id = $1 and earned_period = $2 and posted_period >= $2
         group by currency
        "#,
        member_id,
        period.first_day(),
    )
    .fetch_all(conn)
    .await?;
    let sum = |row: (i64, rust_decimal::Decimal, rust_decimal::Decimal)| Sum {
        lines: row.0,
        amount: row.1,
        career_points: row.2,
    };
    let sums =
        rows.into_iter().map(|row| (row.currency, sum((row.lines, row.amount, row.career_points))));
    Ok(Sums(sums.collect()))
}

/// A page of the lines that a member earned in a period, each explained. Nothing is posted to an
/// earlier period than it was earned in.
pub async fn statement_page(
    conn: &mut PgConnection,
    (member_id, period): (Uuid, Period),
    after: Option<LinePosition>,
    limit: i64,
    books: &Books,
) -> Result<StatementPage, StoreError> {
    let rows = sqlx::query!(
        r#"
        select l.event_id, l.line, l.member_id, l.entry_type::text as "entry_type!", l.level,
               l.amount, l.currency, l.career_points, coalesce(e.as_of, l.posted_at) as "at!",
               e.source as "source?", e.external_id as "external_id?"
          from commission_ledger l
          left join lateral (select * from events where id = l.event_id offset 0) e on true
         where l.member_id = $1 and l.earned_period = $2 and l.posted_period >= $2
           and ($3::uuid is null
                or (l.currency, coalesce(e.as_of, l.posted_at), l.event_id, l.line)
                 > (select a.currency, coalesce(b.as_of, a.posted_at), a.event_id, a.line
                      from commission_ledger a left join events b on b.id = a.event_id
                     where a.event_id = $3 and a.line = $4 and a.member_id = $1
                       and a.earned_period = $2 limit 1))
         order by l.currency, coalesce(e.as_of, l.posted_at), l.event_id, l.line
         limit $5
        "#,
        member_id,
        period.first_day(),
        after.map(|after| after.event_id),
        after.map(|after| after.line),
        limit + 1,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut lines = rows
        .into_iter()
        .map(|row| {
            Ok(LedgerLine {
                event_id: row.event_id,
                line: row.line,
                source: row.source,
                external_id: row.external_id,
                at: row.at,
                member_id: row.member_id,
                entry_type: row.entry_type,
                level: row.level,
                amount: stored_amount(row.amount)?,
                currency: row.currency,
                career_points: stored_amount(row.career_points)?,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let has_more = i64::try_from(lines.len()).is_ok_and(|found| found > limit);
    if has_more {
        lines.pop();
    }
    let last = lines.last().filter(|_| has_more);
    let next = last.map(|line| LinePosition { event_id: line.event_id, line: line.line });
    let mut explained = Vec::with_capacity(lines.len());
    for some in lines.chunks(OUTCOMES) {
        explained.extend(explain_lines(conn, some, books).await?);
    }
    Ok(StatementPage { lines: explained, next })
}

/// Explains lines by their outcomes, which are read in one go.
async fn explain_lines(
    conn: &mut PgConnection,
    lines: &[LedgerLine],
    books: &Books,
) -> Result<Vec<StatementLine>, StoreError> {
    let mut event_ids: Vec<Uuid> = lines.iter().map(|line| line.event_id).collect();
    event_ids.sort_unstable();
    event_ids.dedup();
    let outcomes = audit::outcomes_of(conn, &event_ids).await?;
    let inputs = outcomes.iter().filter_map(|outcome| outcome.inputs.as_ref().ok());
    let sellers = inputs.map(|inputs| inputs.seller.member_id);
    let mut ids: Vec<Uuid> = lines.iter().map(|line| line.member_id).chain(sellers).collect();
    ids.sort_unstable();
    ids.dedup();
    let people = people(conn, &ids).await?;
    let clerk = Clerk {
        book: &books.rules,
        ladder: &books.ladder,
        programme: &books.programme,
        people: &people,
    };
    let of_event = lines.chunk_by(|a, b| a.event_id == b.event_id);
    let explained = of_event.flat_map(|lines| {
        let event_id = lines.first().map(|line| line.event_id);
        let outcome = outcomes.iter().find(|outcome| Some(outcome.sale.event_id) == event_id);
        clerk.explain(lines, outcome)
    });
    Ok(explained.collect())
}
