//! The worlds in which "why not" looks for an amount, and what is left out of them.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::calendar;
use domain::ladder::Rank;
use domain::network::DEPTH_MAX;
use domain::rule_set::Reads;
use store::PgConnection;
use store::explaining::{self, Books, Turn, TurnKind};
use uuid::Uuid;

use super::case::Case;
use super::world::Otherwise;

/// Most worlds that are tried.
pub(super) const WORLDS_MAX: usize = 64;
/// Most versions of the plan among them, those nearest to the sale.
const VERSIONS_MAX: usize = 20;
/// Most recorded changes among them, those nearest to the sale.
const TURNS_MAX: usize = 30;
/// Most members whose changes are looked at.
const MEMBERS_MAX: usize = 5_000;

/// The worlds to be tried.
#[derive(Default)]
pub(super) struct Worlds {
    pub(super) worlds: Vec<Otherwise>,
    /// What was left out because of the limits, as phrases.
    pub(super) left_out: Vec<String>,
}

/// Every world that is tried, at most [`WORLDS_MAX`]: the member's other ranks, other versions of
/// the plans, the recorded changes nearest to the first sale, and now. In this order, because of
/// worlds that pay the same the first is named.
pub(super) async fn worlds(
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
