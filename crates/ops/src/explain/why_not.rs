//! "Why 3240 and not 3470?": tries the worlds that there are and says which of them pay that much.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::bail;
use chrono::{DateTime, TimeDelta, Utc};
use domain::amount::{Amount, Total};
use domain::calendar;
use domain::explain::{Change, money_of, wrap};
use domain::ladder::Rank;
use domain::network::DEPTH_MAX;
use domain::period::Period;
use domain::rule_set::Reads;
use serde::Serialize;
use store::PgConnection;
use store::events::EventDetail;
use store::explaining::{self, Books, Turn, TurnKind};
use uuid::Uuid;

use super::case::Case;
use super::difference::{cases, change_text, sales_of, settled_case};
use super::world::Otherwise;
use crate::output::{self, Format};

/// Most worlds that are tried.
const WORLDS_MAX: usize = 64;
/// Most versions of the plan among them, those nearest to the sale.
const VERSIONS_MAX: usize = 20;
/// Most recorded changes among them, those nearest to the sale.
const TURNS_MAX: usize = 30;
/// Most sales of a period: each is computed in every world.
const SALES_MAX: i64 = 1_000;
/// Most members whose changes are looked at.
const MEMBERS_MAX: usize = 5_000;
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
    /// By currency, what is paid.
    actual: BTreeMap<String, Total>,
    worlds_tried: usize,
    worlds_max: usize,
    /// What of the limits was not looked at, as phrases.
    left_out: Vec<String>,
    /// The worlds that pay exactly what was asked for.
    exact: Vec<Tried>,
    /// When there are none, those that come closest, and closer than what is paid.
    closest: Vec<Tried>,
    /// How many worlds pay something else that is no closer than what is paid.
    no_closer: usize,
}

/// The worlds to be tried.
struct Worlds {
    worlds: Vec<Otherwise>,
    /// What was left out because of the limits, as phrases.
    left_out: Vec<String>,
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
    let Worlds { worlds, left_out } = worlds(conn, books, cases, member_id).await?;
    let mut tried = Vec::new();
    for world in &worlds {
        tried.extend(try_world(conn, books, cases, member_id, asked, world).await?);
    }
    tried.sort_by(|a: &Tried, b: &Tried| {
        (a.distance, &a.currency, &a.amount).cmp(&(b.distance, &b.currency, &b.amount))
    });
    let (exact, mut others): (Vec<_>, Vec<_>) =
        tried.into_iter().partition(|tried| tried.distance.is_zero());
    let is_closer = |tried: &Tried| {
        let paid = actual.get(&tried.currency).copied().unwrap_or_default();
        tried.distance < (Total::from(asked) - paid).abs()
    };
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

/// Every world that is tried, at most [`WORLDS_MAX`]: the member's other ranks, other versions of
/// the plans, the recorded changes nearest to the first sale, and now. In this order, because of
/// worlds that pay the same the first is named.
async fn worlds(
    conn: &mut PgConnection,
    books: &Books,
    cases: &[Case],
    member_id: Uuid,
) -> anyhow::Result<Worlds> {
    let (mut worlds, mut left_out) = (Vec::new(), Vec::new());
    let Some(first) = cases.first() else { return Ok(Worlds { worlds, left_out }) };
    let near = first.outcome.sale.as_of;
    let now = store::events::clock(conn).await?;
    let name = explaining::people(conn, &[member_id]).await?.person(member_id).label();
    let own_rank = explaining::inputs_as_of(conn, member_id, near, Reads::default()).await?;
    let own_rank = own_rank.map(|inputs| inputs.seller.rank);
    let ranks = (0_u8..).map(Rank).zip(books.ladder.names());
    let others = ranks.filter(|(rank, _)| Some(*rank) != own_rank);
    worlds.extend(others.map(|(rank, written)| {
        let own = own_rank.map(|own| format!(" instead of {}", books.ladder.name(own)));
        let own = own.unwrap_or_default();
        Otherwise::rank(member_id, rank, format!("with rank {written}{own} for {name}"))
    }));
    let mut versions = versions(books, cases, near);
    if versions.len() > VERSIONS_MAX {
        let farther = versions.len() - VERSIONS_MAX;
        left_out.push(format!("{farther} version(s) of the plan farther from the sale"));
        versions.truncate(VERSIONS_MAX);
    }
    worlds.extend(versions);
    worlds.extend(turns(conn, books, cases, member_id, near, &mut left_out).await?);
    worlds.push(Otherwise::as_of(now, "as they stand now"));
    if worlds.len() > WORLDS_MAX {
        let more = worlds.len() - WORLDS_MAX;
        left_out.push(format!("{more} world(s) beyond {WORLDS_MAX}"));
        worlds.truncate(WORLDS_MAX);
    }
    Ok(Worlds { worlds, left_out })
}

/// Other versions of the plans that priced the sales, the nearest first.
fn versions(books: &Books, cases: &[Case], near: DateTime<Utc>) -> Vec<Otherwise> {
    let prices = |plan: &str| cases.iter().any(|case| case.version.rule_set.plan == plan);
    let is_only = |number| cases.iter().all(|case| case.version.number == number);
    let mut versions: Vec<_> = books.rules.versions().iter().collect();
    versions.retain(|version| prices(&version.rule_set.plan) && !is_only(version.number));
    versions.sort_by_key(|version| (version.rule_set.valid_from - near).abs());
    versions.into_iter().map(|version| Otherwise::version(&version.rule_set, books)).collect()
}

/// Before and after the recorded changes of the member and of everybody in the sellers' uplines.
async fn turns(
    conn: &mut PgConnection,
    books: &Books,
    cases: &[Case],
    member_id: Uuid,
    near: DateTime<Utc>,
    left_out: &mut Vec<String>,
) -> anyhow::Result<Vec<Otherwise>> {
    // The member first, then whoever stands nearest to the sellers, should they be too many.
    let everybody = cases.iter().flat_map(|case| {
        let visits = std::iter::once(&case.inputs.seller).chain(&case.inputs.upline);
        visits.map(|visit| visit.member_id)
    });
    let mut ids: Vec<Uuid> = std::iter::once(member_id).chain(everybody).collect();
    if let [case] = cases {
        // The rules may not have looked so far up.
        let reads = Reads { depth: DEPTH_MAX, joined_at: false };
        let seller_id = case.inputs.seller.member_id;
        let all = explaining::inputs_as_of(conn, seller_id, near, reads).await?;
        let all = all.iter().flat_map(|inputs| &inputs.upline);
        ids.extend(all.map(|visit| visit.member_id));
    }
    let mut seen = HashSet::new();
    ids.retain(|id| seen.insert(*id));
    if ids.len() > MEMBERS_MAX {
        let others = ids.len() - MEMBERS_MAX;
        left_out
            .push(format!("the recorded changes of {others} other member(s) above the sellers"));
        ids.truncate(MEMBERS_MAX);
    }
    let most = i64::try_from(TURNS_MAX)?;
    let mut turns = explaining::turns_near(conn, &ids, near, most + 1).await?;
    if turns.len() > TURNS_MAX {
        left_out.push(format!("recorded changes that are not among the {TURNS_MAX} nearest ones"));
        turns.truncate(TURNS_MAX);
    }
    let whose: Vec<Uuid> = turns.iter().map(|turn| turn.member_id).collect();
    let people = explaining::people(conn, &whose).await?;
    let world = |turn: &Turn| {
        let who = people.person(turn.member_id).label();
        let what = match turn.kind {
            TurnKind::Move => "moved",
            TurnKind::State => "changed in status or rank",
            TurnKind::Split => "changed the reward split",
        };
        let at = calendar::moment(&books.programme, turn.at);
        if turn.at <= near {
            let before = turn.at - TimeDelta::microseconds(1);
            Otherwise::as_of(before, &format!("as they stood just before {who} {what} at {at}"))
        } else {
            Otherwise::as_of(turn.at, &format!("as they stood from {at} on, when {who} {what}"))
        }
    };
    Ok(turns.iter().map(world).collect())
}

fn text(answer: &Answer) -> String {
    let Answer { member, of, asked, actual, worlds_tried, worlds_max, exact, closest, .. } = answer;
    let is = |(currency, amount): (&String, &Total)| format!("{amount} {currency}");
    let actual: Vec<String> = actual.iter().map(is).collect();
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
