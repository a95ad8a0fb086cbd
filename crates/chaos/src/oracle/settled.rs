//! What became of sales: an outcome with complete lines that the reference model computes too, or a
//! failure that has its reason.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::findings::Findings;
use super::promise::{BREAKAGE, CLAIM, DECIDED, LEDGER, WAITING};
use super::sales::Event;
use crate::reference::history::Network;
use crate::reference::{self, Paid, Priced, RULES, Sale, ten_thousandths, written};

/// A row of `commission_ledger`, as it lies there.
#[derive(sqlx::FromRow)]
struct Line {
    event_id: Uuid,
    number: i16,
    member_id: Uuid,
    entry_type: String,
    level: Option<i16>,
    depth: Option<i16>,
    rule_id: Option<i32>,
    currency: String,
    amount: String,
    career_points: String,
    earned_period: NaiveDate,
    posted_period: NaiveDate,
}

/// What is stored about one event: outcomes (lines, breakage), failures (state, cause), lines.
#[derive(Default)]
struct Stored {
    outcomes: Vec<(i16, String)>,
    failures: Vec<(String, String)>,
    lines: Vec<Line>,
}

/// Checks a page of events.
pub(super) async fn check(
    conn: &mut PgConnection,
    events: &[Event],
    network: &Network,
    rules: &HashMap<i32, String>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    let mut stored = read(conn, &ids).await?;
    for event in events {
        let stored = stored.remove(&event.id).unwrap_or_default();
        let id = event.id;
        match (&stored.outcomes[..], &stored.failures[..]) {
            ([(lines, breakage)], []) => {
                complete(event, *lines, &stored.lines, findings);
                priced(event, breakage, &stored.lines, network, rules, findings);
            }
            ([], [(state, cause)]) => {
                waiting(event, state, cause, network, findings);
                if !stored.lines.is_empty() {
                    let lines = stored.lines.len();
                    findings.add(CLAIM, format!("event {id}: {lines} lines without an outcome"));
                }
            }
            (outcomes, failures) => {
                let (settled, failed) = (outcomes.len(), failures.len());
                let detail = format!("event {id}: {settled} outcomes, {failed} failures");
                findings.add(DECIDED, detail);
                let lines = stored.lines.len();
                if lines > 0 && settled == 0 {
                    findings.add(CLAIM, format!("event {id}: {lines} lines without an outcome"));
                }
            }
        }
    }
    Ok(())
}

async fn read(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashMap<Uuid, Stored>> {
    let mut stored: HashMap<Uuid, Stored> = HashMap::new();
    let outcomes: Vec<(Uuid, i16, String)> = sqlx::query_as(
        "select event_id, lines, breakage::text from commission_outcomes where event_id = any($1)",
    )
    .bind(ids)
    .fetch_all(&mut *conn)
    .await?;
    for (id, lines, breakage) in outcomes {
        stored.entry(id).or_default().outcomes.push((lines, breakage));
    }
    let failures: Vec<(Uuid, String, String)> = sqlx::query_as(
        "select event_id, state::text, cause from event_failures where event_id = any($1)",
    )
    .bind(ids)
    .fetch_all(&mut *conn)
    .await?;
    for (id, state, cause) in failures {
        stored.entry(id).or_default().failures.push((state, cause));
    }
    let lines: Vec<Line> = sqlx::query_as(
        "select event_id, line as number, member_id, entry_type::text, level, depth, rule_id, currency, \
                amount::text, career_points::text, earned_period, posted_period \
           from commission_ledger where event_id = any($1) order by event_id, line",
    )
    .bind(ids)
    .fetch_all(&mut *conn)
    .await?;
    for line in lines {
        stored.entry(line.event_id).or_default().lines.push(line);
    }
    Ok(stored)
}

/// The outcome knows how many lines it has; they are numbered from 0.
fn complete(event: &Event, expected: i16, lines: &[Line], findings: &mut Findings) {
    let numbers: Vec<i16> = lines.iter().map(|line| line.number).collect();
    if numbers != (0..expected).collect::<Vec<i16>>() {
        let detail = format!(
            "event {}: the outcome has {expected} lines, the ledger those numbered {numbers:?}",
            event.id
        );
        findings.add(CLAIM, detail);
    }
}

/// A sale waits, or is dead, because its seller is not enrolled, and for nothing else.
fn waiting(event: &Event, state: &str, cause: &str, network: &Network, findings: &mut Findings) {
    let is_enrolled = network.members.contains_key(&event.member_id);
    if is_enrolled || cause != "unknown_member" || !["retrying", "dead"].contains(&state) {
        let enrolled = if is_enrolled { "is enrolled" } else { "is not enrolled" };
        let detail = format!("event {}: {state} for {cause}; its seller {enrolled}", event.id);
        findings.add(WAITING, detail);
    }
}

/// Ledger and breakage are what the reference model computes.
fn priced(
    event: &Event,
    breakage: &str,
    lines: &[Line],
    network: &Network,
    rules: &HashMap<i32, String>,
    findings: &mut Findings,
) {
    let id = event.id;
    let upline = match network.upline(event.member_id, event.moment()) {
        Ok(Some(upline)) => upline,
        Ok(None) => {
            let seller = event.member_id;
            return findings.add(LEDGER, format!("event {id} is settled, {seller} not enrolled"));
        }
        Err(problem) => return findings.add(LEDGER, format!("event {id}: {problem}")),
    };
    let Some(amount) = ten_thousandths(&event.amount) else {
        return findings.add(LEDGER, format!("event {id}: amount {}", event.amount));
    };
    let sale = Sale { amount, currency: event.currency.clone() };
    let Priced { lines: expected, breakage: left } = reference::price(RULES, &sale, &upline);
    let expected: Vec<String> = expected.iter().map(|paid| row(event, paid)).collect();
    let mut actual: Vec<String> = lines.iter().map(|line| stored_row(line, rules)).collect();
    for row in expected {
        match actual.iter().position(|other| *other == row) {
            Some(place) => drop(actual.swap_remove(place)),
            None => findings.add(LEDGER, format!("event {id}: missing: {row}; {actual:?} instead")),
        }
    }
    for row in actual {
        findings.add(LEDGER, format!("event {id}: nobody computes: {row}"));
    }
    if ten_thousandths(breakage) != Some(left) {
        let left = written(left);
        findings.add(BREAKAGE, format!("event {id}: {breakage} is stored, {left} is left over"));
    }
}

/// A line as the reference model has it. Every period is open in a run: a line is posted to the
/// period that it is earned in.
fn row(event: &Event, paid: &Paid) -> String {
    let Paid { member_id, rule, level, depth, amount, career_points } = paid;
    let (amount, points) = (written(*amount), written(*career_points));
    let (currency, period) = (&event.currency, event.moment().format("%Y-%m-01"));
    format!(
        "LEVEL_COMMISSION of {member_id} by {rule}, level {level}, depth {depth}: {amount} \
         {currency}, {points} points, {period}/{period}"
    )
}

fn stored_row(line: &Line, rules: &HashMap<i32, String>) -> String {
    let Line { entry_type, member_id, currency, earned_period, posted_period, .. } = line;
    let rule = line.rule_id.and_then(|id| rules.get(&id)).map_or("no rule", String::as_str);
    let number = |value: Option<i16>| value.map_or_else(|| "none".to_owned(), |v| v.to_string());
    let (level, depth) = (number(line.level), number(line.depth));
    let (amount, points) = (&line.amount, &line.career_points);
    format!(
        "{entry_type} of {member_id} by {rule}, level {level}, depth {depth}: {amount} {currency}, \
         {points} points, {earned_period}/{posted_period}"
    )
}

/// Rows about events that are not there.
pub(super) async fn strays(conn: &mut PgConnection, findings: &mut Findings) -> sqlx::Result<()> {
    let strays: Vec<(String, Uuid)> = sqlx::query_as(
        "select 'outcome', event_id from commission_outcomes o
          where not exists (select from events e where e.id = o.event_id)
         union all
         select 'failure', event_id from event_failures f
          where not exists (select from events e where e.id = f.event_id)
         union all
         select distinct 'line', event_id from commission_ledger l
          where not exists (select from events e where e.id = l.event_id)
          order by 1, 2 limit 100",
    )
    .fetch_all(conn)
    .await?;
    for (what, id) in strays {
        findings.add(CLAIM, format!("{what} of {id}, which is no event"));
    }
    Ok(())
}
