//! One member's part of the ledger: the balance as of a moment, and the lines page by page.
//!
//! Lines are ordered by the transaction that settled them, then by event and number. That is nearly
//! the order of `posted_at`, but unlike it an order that transactions of the future only extend:
//! `posted_at` is when a transaction began, and one that began earlier may commit later. No page but
//! the last goes beyond the oldest transaction that is still running, since that one might yet
//! write lines in between. So whoever reads all pages has each line that was committed when the last
//! one was read exactly once.
//!
//! No index has that order for one member: a page sorts what follows of the member's lines, or of those
//! of a period.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Entry;
use crate::StoreError;
use crate::explaining::NoPosition;
use crate::settling::stored_amount;

/// What a member has as of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The moment.
    pub as_of: DateTime<Utc>,
    /// Sums by currency, in their order; none when there is no entry.
    pub balances: Vec<Balance>,
}

/// The sum of a member's entries in one currency. It may have more digits than one amount can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// The currency.
    pub currency: String,
    /// Money.
    pub balance: Decimal,
    /// Career points that came with entries in this currency.
    pub career_points: Decimal,
}

/// A place in a member's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountPosition {
    /// The settling transaction.
    pub settled_in: i64,
    /// The event of the last line.
    pub event_id: Uuid,
    /// Its number within the event.
    pub line: i16,
}

/// A ledger line, and the shop that its event is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLine {
    /// Which shop.
    pub source: String,
    /// The line.
    pub entry: Entry,
}

/// Some of a member's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPage {
    /// The lines. There can be fewer than asked for, and even none, on a page that is not the last.
    pub lines: Vec<AccountLine>,
    /// Where to go on; `None`: there are no more.
    pub next: Option<AccountPosition>,
}

/// As pages spell where they end: `<transaction>.<event>.<line>`.
impl fmt::Display for AccountPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.settled_in, self.event_id, self.line)
    }
}

impl FromStr for AccountPosition {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let (settled_in, rest) = text.split_once('.').ok_or(NoPosition)?;
        let (event_id, line) = rest.split_once('.').ok_or(NoPosition)?;
        let settled_in = settled_in.parse().ok().filter(|number| *number >= 0).ok_or(NoPosition)?;
        let event_id = Uuid::try_parse(event_id).map_err(|_| NoPosition)?;
        Ok(Self { settled_in, event_id, line: line.parse().map_err(|_| NoPosition)? })
    }
}

/// What a member's entries that were posted at or before a moment, or before now, sum up to.
pub async fn balance(
    conn: &mut PgConnection,
    member_id: Uuid,
    as_of: Option<DateTime<Utc>>,
) -> Result<Account, StoreError> {
    let as_of = sqlx::query_scalar!(r#"select coalesce($1, now()) as "as_of!""#, as_of)
        .fetch_one(&mut *conn)
        .await?;
    let balances = sqlx::query_as!(
        Balance,
        r#"
        select currency, sum(amount) as "balance!", sum(career_points) as "career_points!"
          from commission_ledger
         where member_id = $1 and posted_at <= $2
         group by currency
         order by currency collate "C"
        "#,
        member_id,
        as_of,
    )
    .fetch_all(conn)
    .await?;
    Ok(Account { as_of, balances })
}

/// A page of a member's lines, or of those posted to a period, by its first day.
pub async fn page(
    conn: &mut PgConnection,
    (member_id, posted_period): (Uuid, Option<NaiveDate>),
    after: Option<AccountPosition>,
    limit: i64,
) -> Result<AccountPage, StoreError> {
    let after = after.unwrap_or_default();
    // One line more than the page has tells whether it is the last.
    let mut rows = sqlx::query!(
        r#"
        select page.settled_in::text::bigint as "settled_in!",
               page.settled_in < pg_snapshot_xmin(pg_current_snapshot()) as "is_passed!",
               page.event_id, page.line, page.member_id, page.entry_type::text as "entry_type!",
               page.level, page.depth, r.rule as "rule?", page.amount, page.currency,
               page.career_points, page.earned_period, page.posted_period, page.posted_at,
               e.source, e.external_id
          from (select o.settled_in, l.*
                  from commission_ledger l
                  join commission_outcomes o on o.event_id = l.event_id
                 where l.member_id = $1 and ($2::date is null or l.posted_period = $2)
                   and o.settled_in >= $3::text::xid8
                   and (o.settled_in, l.event_id, l.line) > ($3::text::xid8, $4, $5)
                 order by o.settled_in, l.event_id, l.line
                 limit $6) page
         cross join lateral (select * from events where id = page.event_id offset 0) e
          left join commission_rules r on r.id = page.rule_id
         order by page.settled_in, page.event_id, page.line
        "#,
        member_id,
        posted_period,
        after.settled_in.to_string(),
        after.event_id,
        after.line,
        limit + 1,
    )
    .fetch_all(conn)
    .await?;
    let has_more = i64::try_from(rows.len()).is_ok_and(|found| found > limit);
    if has_more {
        rows.pop();
        let passed = rows.partition_point(|row| row.is_passed);
        rows.truncate(passed);
    }
    let last = rows.last().map_or(after, |row| AccountPosition {
        settled_in: row.settled_in,
        event_id: row.event_id,
        line: row.line,
    });
    let lines = rows
        .into_iter()
        .map(|row| {
            Ok(AccountLine {
                source: row.source,
                entry: Entry {
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
                },
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(AccountPage { lines, next: has_more.then_some(last) })
}
