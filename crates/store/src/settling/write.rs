//! Writing what was computed: the claim, and the lines of what was claimed.

use chrono::NaiveDate;
use domain::amount::Amount;
use domain::settle::{Line, SEMANTICS_VERSION};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::copy::{Rows, copy_in};

/// What one event was computed to, ready to be written.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The event.
    pub event_id: Uuid,
    /// The number of the plan version.
    pub plan_number: i32,
    /// What nobody qualified for.
    pub breakage: Amount,
    /// The packed inputs.
    pub inputs: Vec<u8>,
    /// What is paid.
    pub lines: Vec<LedgerLine>,
}

/// One line, with the numbers by which the ledger knows rule and period.
#[derive(Clone, Debug)]
pub struct LedgerLine {
    /// The line as computed.
    pub line: Line,
    /// The rule's number.
    pub rule_number: i32,
    /// The sale's currency.
    pub currency: domain::sale::Currency,
    /// The period that it is earned in.
    pub earned_period: NaiveDate,
    /// The period that it is posted to.
    pub posted_period: NaiveDate,
}

/// Claims events by inserting their outcomes, which must be sorted by event id so that workers
/// never wait for one another in a circle. Returns the ids that are ours: for those, and only
/// those, lines may be written (law L1).
pub async fn claim(conn: &mut PgConnection, outcomes: &[Outcome]) -> Result<Vec<Uuid>, StoreError> {
    let event_ids: Vec<Uuid> = outcomes.iter().map(|outcome| outcome.event_id).collect();
    let plans: Vec<i32> = outcomes.iter().map(|outcome| outcome.plan_number).collect();
    let lines: Vec<i16> = outcomes
        .iter()
        .map(|outcome| i16::try_from(outcome.lines.len()).map_err(StoreError::damaged))
        .collect::<Result<_, _>>()?;
    let breakage: Vec<Decimal> =
        outcomes.iter().map(|outcome| outcome.breakage.to_decimal()).collect();
    let inputs: Vec<&[u8]> = outcomes.iter().map(|outcome| outcome.inputs.as_slice()).collect();
    let claimed = sqlx::query_scalar!(
        r#"
        insert into commission_outcomes (event_id, plan_id, semantics, lines, breakage, inputs)
        select event_id, plan_id, $2, lines, breakage, inputs
          from unnest($1::uuid[], $3::integer[], $4::smallint[], $5::numeric[], $6::bytea[])
            as outcome (event_id, plan_id, lines, breakage, inputs)
        on conflict do nothing
        returning event_id
        "#,
        &event_ids,
        SEMANTICS_VERSION,
        &plans,
        &lines,
        &breakage,
        &inputs as &[&[u8]],
    )
    .fetch_all(conn)
    .await?;
    Ok(claimed)
}

/// Lines from which COPY is worth its second round trip. sqlx leaves Nagle's algorithm on, so the
/// small message that ends a COPY of little data waits some 40 ms for an acknowledgement; data of
/// this size and more is acknowledged while it is sent.
const COPY_LINES_MIN: usize = 2_000;

/// Writes the lines of these outcomes, in their order.
pub async fn write_lines<'a>(
    conn: &mut PgConnection,
    outcomes: impl Iterator<Item = &'a Outcome> + Clone,
) -> Result<u64, StoreError> {
    let count: usize = outcomes.clone().map(|outcome| outcome.lines.len()).sum();
    match count {
        0 => Ok(0),
        1..COPY_LINES_MIN => insert_lines(conn, outcomes).await,
        _ => {
            let mut rows = Rows::default();
            for outcome in outcomes {
                for (number, line) in outcome.lines.iter().enumerate() {
                    let number = i16::try_from(number).map_err(StoreError::damaged)?;
                    write_line(&mut rows, outcome.event_id, number, line);
                }
            }
            copy_in(conn, COPY_LINES, rows).await
        }
    }
}

/// A few lines, in one round trip.
async fn insert_lines<'a>(
    conn: &mut PgConnection,
    outcomes: impl Iterator<Item = &'a Outcome> + Clone,
) -> Result<u64, StoreError> {
    let lines = || {
        outcomes.clone().flat_map(|outcome| {
            (0_i16..).zip(&outcome.lines).map(|(number, line)| (outcome.event_id, number, line))
        })
    };
    let event_ids: Vec<Uuid> = lines().map(|(event_id, ..)| event_id).collect();
    let numbers: Vec<i16> = lines().map(|(_, number, _)| number).collect();
    let members: Vec<Uuid> = lines().map(|(.., entry)| entry.line.member_id).collect();
    let earned: Vec<NaiveDate> = lines().map(|(.., entry)| entry.earned_period).collect();
    let posted: Vec<NaiveDate> = lines().map(|(.., entry)| entry.posted_period).collect();
    let rules: Vec<i32> = lines().map(|(.., entry)| entry.rule_number).collect();
    let levels: Vec<i16> = lines().map(|(.., entry)| entry.line.level.cast_signed()).collect();
    let depths: Vec<i16> = lines().map(|(.., entry)| entry.line.depth.cast_signed()).collect();
    let currencies: Vec<&str> = lines().map(|(.., entry)| entry.currency.code()).collect();
    let amounts: Vec<Decimal> = lines().map(|(.., entry)| entry.line.amount.to_decimal()).collect();
    let points: Vec<Decimal> =
        lines().map(|(.., entry)| entry.line.career_points.to_decimal()).collect();
    let types: Vec<&str> = lines().map(|(.., entry)| entry.line.entry_type.name()).collect();
    let done = sqlx::query!(
        r#"
        insert into commission_ledger (event_id, member_id, earned_period, posted_period, rule_id,
                                       entry_type, line, level, depth, currency, amount,
                                       career_points)
        select event_id, member_id, earned_period, posted_period, rule_id,
               entry_type::ledger_entry_type, line, level, depth, currency, amount, career_points
          from unnest($1::uuid[], $2::uuid[], $3::date[], $4::date[], $5::integer[],
                      $6::smallint[], $7::smallint[], $8::smallint[], $9::text[],
                      $10::numeric[], $11::numeric[], $12::text[])
            as line (event_id, member_id, earned_period, posted_period, rule_id, line, level,
                     depth, currency, amount, career_points, entry_type)
        "#,
        &event_ids,
        &members,
        &earned,
        &posted,
        &rules,
        &numbers,
        &levels,
        &depths,
        &currencies as &[&str],
        &amounts,
        &points,
        &types as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

const COPY_LINES: &str = "copy commission_ledger (event_id, member_id, earned_period, \
    posted_period, rule_id, entry_type, line, level, depth, currency, amount, career_points) \
    from stdin (format binary)";

fn write_line(rows: &mut Rows, event_id: Uuid, number: i16, entry: &LedgerLine) {
    rows.begin(12)
        .uuid(event_id)
        .uuid(entry.line.member_id)
        .date(entry.earned_period)
        .date(entry.posted_period)
        .integer(entry.rule_number)
        .text(entry.line.entry_type.name())
        .smallint(number)
        .smallint(entry.line.level.cast_signed())
        .smallint(entry.line.depth.cast_signed())
        .text(entry.currency.code())
        .amount(entry.line.amount)
        .amount(entry.line.career_points);
}
