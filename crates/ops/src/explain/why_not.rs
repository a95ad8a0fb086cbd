//! "Why 3240 and not 3470?": tries the worlds that there are and says which of them pay that much.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use domain::amount::{Amount, Total};
use domain::explain::{Change, money_of, wrap};
use domain::period::Period;
use serde::Serialize;
use store::PgConnection;
use store::events::EventDetail;
use store::explaining::{self, Books};
use uuid::Uuid;

use super::candidates::{WORLDS_MAX, Worlds, worlds};
use super::case::Case;
use super::difference::{cases, change_text, sales_of, settled_case};
use super::world::Otherwise;
use crate::output::{self, Format};

/// Most sales of a period: each is computed in every world.
const SALES_MAX: i64 = 1_000;
/// Amounts that are named, each with a world, when none pays the one asked for.
const CLOSEST: usize = 3;

/// What one world pays the member.
#[derive(Debug, Serialize)]
struct Tried {
    world: String,
    amount: String,
    currency: String,
    /// What is missing to the amount asked for.
    remaining: String,
    /// Line by line, for a single sale.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<Change>,
    /// How many of the period's sales pay the member something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    sales_that_differ: Option<usize>,
    #[serde(skip)]
    distance: Total,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Answer {
    member_id: Uuid,
    member: String,
    /// The sale or the period.
    of: String,
    asked: String,
    /// Whether that is what is paid.
    is_paid: bool,
    /// By currency, what is paid.
    actual: BTreeMap<String, Total>,
    worlds_tried: usize,
    worlds_max: usize,
    /// What was not looked at because of the limits, as phrases.
    left_out: Vec<String>,
    /// The worlds that pay exactly what was asked for.
    exact: Vec<Tried>,
    /// When there are none, those that come closest, and closer than what is paid.
    closest: Vec<Tried>,
    /// How many worlds pay something else that is no closer than what is paid.
    no_closer: usize,
}

/// Why a sale pays a member this and not that.
pub(super) async fn event(
    conn: &mut PgConnection,
    books: &Books,
    event: &EventDetail,
    member_id: Uuid,
    asked: Amount,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let case = settled_case(conn, books, event).await?;
    let of = format!("sale {} of {}", event.external_id, event.source);
    look_for(conn, books, &[case], member_id, (of, asked), format).await
}

/// Why a period pays a member this and not that.
pub(super) async fn period(
    conn: &mut PgConnection,
    books: &Books,
    member_id: Uuid,
    period: Period,
    asked: Amount,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let ids = sales_of(conn, books, member_id, period, SALES_MAX).await?;
    let cases = cases(conn, books, &ids).await?;
    if cases.is_empty() {
        bail!("no settled sale of {period} is by this member or by members below")
    }
    look_for(conn, books, &cases, member_id, (period.to_string(), asked), format).await
}

async fn look_for(
    conn: &mut PgConnection,
    books: &Books,
    cases: &[Case],
    member_id: Uuid,
    (of, asked): (String, Amount),
    format: Format,
) -> anyhow::Result<ExitCode> {
    let mut actual: BTreeMap<String, Total> = BTreeMap::new();
    for case in cases {
        let currency = case.outcome.sale.currency.to_string();
        *actual.entry(currency).or_default() += money_of(&case.settlement, member_id);
    }
    let is_paid = actual.values().any(|paid| *paid == Total::from(asked));
    let Worlds { worlds, left_out } =
        if is_paid { Worlds::default() } else { worlds(conn, books, cases, member_id).await? };
    let mut tried = Vec::new();
    for world in &worlds {
        tried.extend(try_world(conn, books, cases, member_id, asked, world).await?);
    }
    tried.sort_by(|a: &Tried, b: &Tried| {
        (a.distance, &a.currency, &a.amount).cmp(&(b.distance, &b.currency, &b.amount))
    });
    let (exact, mut others): (Vec<_>, Vec<_>) =
        tried.into_iter().partition(|tried| tried.distance.is_zero());
    let paid = |tried: &Tried| actual.get(&tried.currency).copied().unwrap_or_default();
    let is_closer = |tried: &Tried| tried.distance < (Total::from(asked) - paid(tried)).abs();
    // A world may differ in another currency, or in lines of the same sum.
    others.retain(|tried| tried.amount != paid(tried).to_string());
    let all = others.len();
    others.retain(is_closer);
    let no_closer = all - others.len();
    // One world of those that pay the same says enough.
    others.dedup_by(|b, a| (&a.currency, &a.amount) == (&b.currency, &b.amount));
    others.truncate(if exact.is_empty() { CLOSEST } else { 0 });
    let answer = Answer {
        member_id,
        member: explaining::people(conn, &[member_id]).await?.person(member_id).label(),
        of,
        asked: asked.to_string(),
        is_paid,
        actual,
        worlds_tried: worlds.len(),
        worlds_max: WORLDS_MAX,
        left_out,
        exact,
        closest: others,
        no_closer,
    };
    output::print(format, &answer, text)?;
    Ok(ExitCode::SUCCESS)
}

/// What a world pays the member, by currency; nothing when it is as this one.
async fn try_world(
    conn: &mut PgConnection,
    books: &Books,
    cases: &[Case],
    member_id: Uuid,
    asked: Amount,
    world: &Otherwise,
) -> anyhow::Result<Vec<Tried>> {
    let mut sums: BTreeMap<String, Total> = BTreeMap::new();
    let mut notes: Vec<String> = Vec::new();
    let mut differing = 0;
    let mut changes = Vec::new();
    for case in cases {
        let there = world.inhabit(conn, case).await?;
        let money = match &there {
            None => money_of(&case.settlement, member_id),
            Some(Ok(there)) => {
                notes.extend(there.arithmetic.clone().filter(|note| !notes.contains(note)));
                if !case.pays_like(&there.settlement, Some(member_id)) {
                    differing += 1;
                    if let [_] = cases {
                        changes = case.compare(conn, there, Some(member_id), books).await?;
                    }
                }
                money_of(&there.settlement, member_id)
            }
            Some(Err(_)) => {
                differing += 1;
                Total::ZERO
            }
        };
        *sums.entry(case.outcome.sale.currency.to_string()).or_default() += money;
    }
    if differing == 0 {
        return Ok(Vec::new());
    }
    let phrase = [std::slice::from_ref(&world.phrase), &notes].concat().join(", ");
    let tried = sums.into_iter().map(|(currency, amount)| {
        let remaining = Total::from(asked) - amount;
        Tried {
            world: phrase.clone(),
            amount: amount.to_string(),
            currency,
            remaining: remaining.to_string(),
            changes: changes.clone(),
            sales_that_differ: (cases.len() > 1).then_some(differing),
            distance: remaining.abs(),
        }
    });
    Ok(tried.collect())
}

fn text(answer: &Answer) -> String {
    let Answer { member, of, asked, actual, worlds_tried, worlds_max, exact, closest, .. } = answer;
    let is = |(currency, amount): (&String, &Total)| format!("{amount} {currency}");
    let actual: Vec<String> = actual.iter().map(is).collect();
    if answer.is_paid {
        let sentence = format!("{of} does pay {member} {}.", actual.join(" and "));
        return wrap(&sentence, "", "  ");
    }
    let title = format!("{of} pays {member} {}, not {asked}", actual.join(" and "));
    let mut text = wrap(&title, "", "  ");
    text.push('\n');
    for tried in exact {
        text.push_str(&tried_text(tried));
    }
    if exact.is_empty() {
        let what = match (closest.len(), answer.no_closer) {
            (0, 0) => ". None of them pays this member anything else.".to_owned(),
            (0, more) => format!(
                ", and none comes closer than what is paid; {more} pay(s) something else that is \
                 no closer."
            ),
            _ => ". The closest:".to_owned(),
        };
        let sentence = format!("No world that was tried pays exactly {asked}{what}");
        text.push_str(&wrap(&sentence, "", "  "));
        for tried in closest {
            text.push_str(&tried_text(tried));
            let (short, much) = (tried.remaining.as_str(), tried.remaining.strip_prefix('-'));
            let _ = match much {
                Some(much) => writeln!(text, "    that is {much} too much"),
                None => writeln!(text, "    that is {short} short"),
            };
        }
    }
    let left_out = match answer.left_out.as_slice() {
        [] => String::new(),
        left_out => format!("Left out: {}. ", left_out.join("; ")),
    };
    let tried = format!(
        "{worlds_tried} world(s) were tried, of at most {worlds_max}: the member's other ranks, other \
         versions of the plan, and tree, ranks, statuses and splits as of the nearest recorded changes \
         and as of now. {left_out}Nothing was written."
    );
    text.push_str(&wrap(&tried, "\n", ""));
    text
}

fn tried_text(tried: &Tried) -> String {
    let Tried { world, amount, currency, changes, sales_that_differ, .. } = tried;
    let mut first = world.chars();
    let world: String =
        first.next().map(|c| c.to_ascii_uppercase()).into_iter().chain(first).collect();
    let mut sentence = format!("{world} it would be {amount} {currency}");
    if let Some(sales) = sales_that_differ {
        let _ = write!(sentence, "; {sales} sale(s) would differ");
    }
    let mut text = wrap(&sentence, "", "  ");
    for change in changes {
        text.push_str(&change_text(change, currency));
    }
    text
}
