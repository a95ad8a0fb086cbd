//! What another world pays, line by line: who, on which level, by which rule, how much, and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use domain::amount::Total;
use domain::calendar;
use domain::explain::{Both, Change, Part, Totals, money_of, wrap};
use domain::period::Period;
use serde::Serialize;
use store::PgConnection;
use store::audit;
use store::events::{self, EventDetail};
use store::explaining::{self, Books};
use uuid::Uuid;

use super::case::Case;
use super::world::Otherwise;
use crate::output::{self, Format};

/// Most sales of a period that are compared.
pub(super) const SALES_MAX: i64 = 10_000;
/// Sales whose outcomes are read at a time.
const PAGE: usize = 200;

/// A sale in both worlds.
#[derive(Debug, Serialize)]
struct SaleDifference {
    event_id: Uuid,
    source: String,
    external_id: String,
    #[serde(skip)]
    moment: String,
    amount: String,
    currency: String,
    /// The plan version that priced it, and the one there.
    versions: Both,
    /// Why it would not be settled there.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsettled: Option<String>,
    /// That another version of the arithmetic computed it there, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    arithmetic: Option<String>,
    changes: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<Totals>,
}

/// The answer about one sale.
#[derive(Debug, Serialize)]
struct EventAnswer {
    world: String,
    #[serde(flatten)]
    sale: SaleDifference,
}

/// The answer about a member's period.
#[derive(Debug, Serialize)]
struct PeriodAnswer {
    world: String,
    member_id: Uuid,
    member: String,
    period: String,
    /// How many sales were compared.
    sales_compared: usize,
    /// Those that would pay the member something else.
    sales: Vec<SaleDifference>,
    /// By currency, what the member gets and would get.
    totals: BTreeMap<String, Both>,
}

/// One sale in another world.
pub(super) async fn event(
    conn: &mut PgConnection,
    books: &Books,
    event: &EventDetail,
    only: Option<Uuid>,
    other: &Otherwise,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let case = settled_case(conn, books, event).await?;
    let Some(sale) = difference(conn, books, event, &case, only, other).await? else {
        bail!("that is no other world for this sale")
    };
    let answer = EventAnswer { world: other.phrase.clone(), sale };
    output::print(format, &answer, |answer| {
        let title = format!("What would have been {}", answer.world);
        let mut text = format!("{}\n", wrap(&title, "", "  "));
        text.push_str(&sale_text(&answer.sale));
        text.push_str("\nNothing was written; the ledger stays as it is.\n");
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The sale as it was settled.
pub(super) async fn settled_case(
    conn: &mut PgConnection,
    books: &Books,
    event: &EventDetail,
) -> anyhow::Result<Case> {
    match audit::outcome(conn, event.id).await? {
        Some(outcome) => Case::of(outcome, books),
        None => bail!(
            "event {} is {}, not settled: there is nothing yet to compare with",
            event.id,
            event.state
        ),
    }
}

/// A member's period in another world.
pub(super) async fn period(
    conn: &mut PgConnection,
    books: &Books,
    member_id: Uuid,
    period: Period,
    other: &Otherwise,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let ids = sales_of(conn, books, member_id, period, SALES_MAX).await?;
    let mut sales = Vec::new();
    let mut totals: BTreeMap<String, (Total, Total)> = BTreeMap::new();
    for page in ids.chunks(PAGE) {
        for case in cases(conn, books, page).await? {
            let currency = case.outcome.sale.currency.to_string();
            let before = money_of(&case.settlement, member_id);
            let there = other.inhabit(conn, &case).await?;
            let after = match &there {
                None => before,
                Some(Ok(there)) => money_of(&there.settlement, member_id),
                Some(Err(_)) => Total::ZERO,
            };
            let total = totals.entry(currency).or_default();
            total.0 += before;
            total.1 += after;
            let is_same = match &there {
                None => true,
                Some(Ok(there)) => case.pays_like(&there.settlement, Some(member_id)),
                Some(Err(_)) => before.is_zero(),
            };
            if is_same {
                continue;
            }
            let event_id = case.outcome.sale.event_id;
            let Some(event) = events::find(conn, event_id).await? else { continue };
            sales.extend(difference(conn, books, &event, &case, Some(member_id), other).await?);
        }
    }
    totals.retain(|_, (before, after)| !before.is_zero() || !after.is_zero());
    let both = |(before, after): (Total, Total)| Both::of(before, after);
    let totals = totals.into_iter().map(|(currency, sums)| (currency, both(sums)));
    let answer = PeriodAnswer {
        world: other.phrase.clone(),
        member_id,
        member: explaining::people(conn, &[member_id]).await?.person(member_id).label(),
        period: period.to_string(),
        sales_compared: ids.len(),
        sales,
        totals: totals.collect(),
    };
    output::print(format, &answer, period_text)?;
    Ok(ExitCode::SUCCESS)
}

/// The settled sales of a period that may pay the member, by themselves or from below.
pub(super) async fn sales_of(
    conn: &mut PgConnection,
    books: &Books,
    member_id: Uuid,
    period: Period,
    most: i64,
) -> anyhow::Result<Vec<Uuid>> {
    let programme = &books.programme;
    let ids = explaining::events_of_period(conn, member_id, period, programme, most + 1).await?;
    if i64::try_from(ids.len()).is_ok_and(|found| found > most) {
        bail!(
            "more than {most} sales of {period} are by this member or by members below: ask about \
             single sales with --event"
        )
    }
    Ok(ids)
}

/// Settled sales as they are, in the order of their moments.
pub(super) async fn cases(
    conn: &mut PgConnection,
    books: &Books,
    event_ids: &[Uuid],
) -> anyhow::Result<Vec<Case>> {
    let mut outcomes = audit::outcomes_of(conn, event_ids).await?;
    outcomes.sort_by_key(|outcome| (outcome.sale.as_of, outcome.sale.event_id));
    outcomes.into_iter().map(|outcome| Case::of(outcome, books)).collect()
}

async fn difference(
    conn: &mut PgConnection,
    books: &Books,
    event: &EventDetail,
    case: &Case,
    only: Option<Uuid>,
    other: &Otherwise,
) -> anyhow::Result<Option<SaleDifference>> {
    let Some(there) = other.inhabit(conn, case).await? else { return Ok(None) };
    let name =
        |rules: &domain::rule_set::RuleSet| format!("{}, version {}", rules.plan, rules.version);
    let own = name(&case.version.rule_set);
    let mut sale = SaleDifference {
        event_id: event.id,
        source: event.source.clone(),
        external_id: event.external_id.clone(),
        moment: calendar::moment(&books.programme, event.as_of),
        amount: event.facts.amount.to_string(),
        currency: event.facts.currency.to_string(),
        versions: Both::of(&own, &own),
        unsettled: None,
        arithmetic: None,
        changes: Vec::new(),
        totals: None,
    };
    match there {
        Ok(there) => {
            sale.versions.after = name(&there.version.rule_set);
            sale.changes = case.compare(conn, &there, only, books).await?;
            sale.arithmetic = there.arithmetic;
            sale.totals = Some(Totals::of(&case.settlement, &there.settlement));
        }
        Err(reason) => sale.unsettled = Some(reason),
    }
    Ok(Some(sale))
}

fn sale_text(sale: &SaleDifference) -> String {
    let SaleDifference { source, external_id, moment, amount, currency, .. } = sale;
    let title = format!("Sale {external_id} of {source}: {amount} {currency} at {moment}");
    let mut text = wrap(&title, "", "  ");
    let Both { before: was, after: would_be } = &sale.versions;
    let versions = if was == would_be {
        format!("plan {was}")
    } else {
        format!("plan {was} → plan {would_be}")
    };
    text.push_str(&wrap(&versions, "  ", "    "));
    if let Some(arithmetic) = &sale.arithmetic {
        text.push_str(&wrap(&format!("It would be computed {arithmetic}"), "  ", "    "));
    }
    if let Some(reason) = &sale.unsettled {
        text.push_str(&wrap(&format!("It would not be settled: {reason}"), "  ", "    "));
        return text;
    }
    if sale.changes.is_empty() {
        text.push_str("  No line would be different.\n");
    }
    for change in &sale.changes {
        text.push_str(&change_text(change, currency));
    }
    if let Some(Totals { paid, breakage, career_points }) = &sale.totals {
        let mut sum = format!("In all: paid {paid}, breakage {breakage} {currency}");
        if career_points.before != "0.0000" || career_points.after != "0.0000" {
            let _ = write!(sum, "; career points {career_points}");
        }
        text.push_str(&wrap(&sum, "  ", "    "));
    }
    text
}

/// One line in both worlds.
pub(super) fn change_text(change: &Change, currency: &str) -> String {
    let Change { member, component, before, after } = change;
    let level = match (before.level, after.level) {
        (Some(was), Some(would_be)) if was != would_be => format!("level {was} → {would_be}, "),
        (Some(level), _) | (None, Some(level)) => format!("level {level}, "),
        (None, None) => String::new(),
    };
    let rule = match (&before.rule, &after.rule) {
        (Some(was), Some(would_be)) if was != would_be => format!("rule {was} → {would_be}"),
        (Some(rule), _) | (None, Some(rule)) => format!("rule {rule}"),
        (None, None) => format!("component {component}"),
    };
    let mut title = format!(
        "{}: {level}{rule}: {} → {} {currency}",
        member.label(),
        before.amount,
        after.amount
    );
    if before.career_points != after.career_points {
        let points = Both::of(&before.career_points, &after.career_points);
        let _ = write!(title, ", {points} career points");
    }
    let mut text = wrap(&title, "  ", "    ");
    let why = |name: &str, part: &Part| wrap(&part.why, &format!("    {name}  "), "            ");
    text.push_str(&why("it was", before));
    text.push_str(&why("would ", after));
    text
}

fn period_text(answer: &PeriodAnswer) -> String {
    let PeriodAnswer { world, member, period, sales_compared, .. } = answer;
    let title = format!("What {member} would have earned in {period} {world}");
    let mut text = wrap(&title, "", "  ");
    let _ = writeln!(text, "  {sales_compared} sale(s) compared, {} differ", answer.sales.len());
    for sale in &answer.sales {
        text.push('\n');
        text.push_str(&sale_text(sale));
    }
    text.push('\n');
    for (currency, total) in &answer.totals {
        let _ = writeln!(text, "Sum: {total} {currency}");
    }
    text.push_str("Nothing was written; the ledger stays as it is.\n");
    text
}
