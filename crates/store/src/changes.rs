//! Changes of history: moves, statuses and ranks, each from its moment on.
//!
//! The protocol, in one transaction of the caller:
//!
//! 1. lock `tree`, alone when somebody moves, so that nobody else changes the tree, and nobody is
//!    enrolled below the moved members meanwhile;
//! 2. read what is recorded of the members named and of everybody above them, and let
//!    [`domain::history::plan`] decide;
//! 3. rewrite the closure rows of those who move. Settlement goes on meanwhile and sees the old
//!    ones;
//! 4. lock `history` alone: settlement pauses from here on;
//! 5. decide what "now" is, refuse a moment that settled sales forbid, write the history, and let
//!    the caller commit.
//!
//! So the pause is a handful of statements, however many members move. A refusal takes back what
//! was written and leaves a row in `member_changes`.

mod closure;
mod known;
mod record;
mod rows;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use domain::history::{self, Change, PlannedMove, PlannedState, Refusal, Refusals, What};
use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use self::closure::Placement;
pub use self::record::{RecordedChange, recorded_changes};
use crate::locks::{self, Lock};
use crate::{StoreError, events};

/// Changes that somebody asks for.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// All or none are made.
    pub changes: &'a [Change],
    /// Who asks: `key:<id>` or `role:<login>`.
    pub actor: &'a str,
    /// The person that they act for.
    pub on_behalf_of: Option<&'a str>,
    /// Why.
    pub reason: &'a str,
}

/// What was changed, or would be.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The moment of the changes that named none.
    pub now: DateTime<Utc>,
    /// Moves, in the order of their moments.
    pub moves: Vec<AppliedMove>,
    /// Changes of status or rank, in the order of their moments.
    pub states: Vec<PlannedState>,
}

/// A move, with how many move.
#[derive(Clone, Copy, Debug)]
pub struct AppliedMove {
    /// The move.
    pub planned: PlannedMove,
    /// The member and everybody below, at present.
    pub subtree_size: i64,
}

/// Makes the changes, or says which cannot be made and why. The caller commits either way: a
/// refusal leaves nothing but its record.
pub async fn apply(
    conn: &mut PgConnection,
    order: &Order<'_>,
) -> Result<Result<Applied, Refusals>, StoreError> {
    if moves_somebody(order.changes) {
        locks::take(conn, Lock::Tree).await?;
    } else {
        locks::share(conn, Lock::Tree).await?;
        locks::take(conn, Lock::History).await?;
    }
    let refusals = match plan(conn, order.changes).await? {
        Ok(mut applied) => {
            // Refused changes are taken back, and the lock with them, before the record is written.
            let mut attempt = conn.begin().await?;
            match write(&mut attempt, order, &mut applied).await? {
                Ok(()) => {
                    attempt.commit().await?;
                    return Ok(Ok(applied));
                }
                Err(refusals) => {
                    attempt.rollback().await?;
                    refusals
                }
            }
        }
        Err(refusals) => refusals,
    };
    rows::record_refusals(conn, order, &refusals).await?;
    Ok(Err(refusals))
}

/// What [`apply`] would do at this moment. Holds nobody up and writes nothing.
pub async fn preview(
    conn: &mut PgConnection,
    changes: &[Change],
) -> Result<Result<Applied, Refusals>, StoreError> {
    locks::share(conn, Lock::Tree).await?;
    let applied = match plan(conn, changes).await? {
        Ok(applied) => applied,
        Err(refusals) => return Ok(Err(refusals)),
    };
    let mut refusals = refuse_settled(conn, changes).await?;
    // What several moves together make of the depth shows only when they are made.
    if let [AppliedMove { planned, .. }] = applied.moves.as_slice()
        && planned.holds_until.is_none()
        && let Some(sponsor_id) = planned.new_sponsor_id
    {
        let member_id = planned.member_id;
        let placed = Placement { member_id, sponsor_id, top_of_sponsor: sponsor_id };
        refusals.extend(places_of(changes, &closure::too_deep(conn, &[placed]).await?));
    }
    Ok(if refusals.is_empty() { Ok(applied) } else { Err(refusals) })
}

fn moves_somebody(changes: &[Change]) -> bool {
    changes.iter().any(|change| matches!(change.what, What::Move { .. }))
}

/// Checks the changes against what is recorded and counts who moves.
async fn plan(
    conn: &mut PgConnection,
    changes: &[Change],
) -> Result<Result<Applied, Refusals>, StoreError> {
    let clock = events::clock(conn).await?;
    let first = changes.iter().map(|change| change.effective_at.unwrap_or(clock)).min();
    let recorded = known::recorded(conn, changes, first.unwrap_or(clock)).await?;
    let rows = recorded.sponsors.values().filter_map(|rows| rows.keys().next_back());
    let rows = rows.chain(recorded.states.values().filter_map(|rows| rows.keys().next_back()));
    let latest = rows.max().map(|at| *at + TimeDelta::microseconds(1));
    let now = latest.map_or(clock, |latest| latest.max(clock));
    let plan = match history::plan(changes, &recorded, now) {
        Ok(plan) => plan,
        Err(refusals) => return Ok(Err(refusals)),
    };
    let sizes = known::subtree_sizes(conn, &plan.moves).await?;
    let size = |planned: &PlannedMove| sizes.get(&planned.member_id).copied().unwrap_or(0);
    let with_size = |planned| AppliedMove { planned, subtree_size: size(&planned) };
    let moves = plan.moves.into_iter().map(with_size).collect();
    Ok(Ok(Applied { now, moves, states: plan.states }))
}

/// Writes what was planned, unless the depth of the tree or a settled sale forbids it.
async fn write(
    conn: &mut PgConnection,
    order: &Order<'_>,
    applied: &mut Applied,
) -> Result<Result<(), Refusals>, StoreError> {
    if moves_somebody(order.changes) {
        // Before anything is written, and again below, when nothing is settled any more.
        let refusals = refuse_settled(conn, order.changes).await?;
        if !refusals.is_empty() {
            return Ok(Err(refusals));
        }
        let too_deep = closure::rewrite(conn, &applied.moves).await?;
        if !too_deep.is_empty() {
            return Ok(Err(places_of(order.changes, &too_deep)));
        }
        locks::take(conn, Lock::History).await?;
    }
    let first = order.changes.iter().filter_map(|change| change.effective_at).min();
    if let Some(first) = first
        && sale_settled_since(conn, first).await?.is_some()
    {
        return Ok(Err(refuse_settled(conn, order.changes).await?));
    }
    applied.now = after_every_event(conn).await?.max(applied.now);
    rows::write_moves(conn, order, applied).await?;
    rows::write_states(conn, order, applied).await?;
    Ok(Ok(()))
}

/// The changes that move these members.
fn places_of(changes: &[Change], too_deep: &[Uuid]) -> Refusals {
    let places = changes.iter().enumerate().filter(|(_, change)| {
        matches!(change.what, What::Move { .. }) && too_deep.contains(&change.member_id)
    });
    places.map(|(place, _)| (place, Refusal::TooDeep)).collect()
}

/// Now, by PostgreSQL's clock, but after the moment of every recorded event, should the clock have
/// been set back.
async fn after_every_event(conn: &mut PgConnection) -> Result<DateTime<Utc>, StoreError> {
    let clock = events::clock(conn).await?;
    let latest = sqlx::query_scalar!("select max(as_of) from events where as_of >= $1", clock)
        .fetch_one(conn)
        .await?;
    Ok(latest.map_or(clock, |latest| latest + TimeDelta::microseconds(1)))
}

/// Refuses the changes whose moments settled sales forbid.
async fn refuse_settled(
    conn: &mut PgConnection,
    changes: &[Change],
) -> Result<Refusals, StoreError> {
    let moments: BTreeSet<DateTime<Utc>> =
        changes.iter().filter_map(|change| change.effective_at).collect();
    let moments: Vec<DateTime<Utc>> = moments.into_iter().collect();
    // Whatever is forbidden lies before whatever is allowed: search for the border.
    let (mut forbidden, mut allowed) = (0, moments.len());
    let mut latest = None;
    while forbidden < allowed {
        let middle = usize::midpoint(forbidden, allowed);
        match sale_settled_since(conn, moments[middle]).await? {
            Some(sale_at) => {
                forbidden = middle + 1;
                latest = latest.max(Some(sale_at));
            }
            None => allowed = middle,
        }
    }
    let Some(sale_at) = latest else { return Ok(Vec::new()) };
    let border = moments[forbidden - 1];
    let refused = changes.iter().enumerate().filter(|(_, change)| {
        change.effective_at.is_some_and(|effective_at| effective_at <= border)
    });
    Ok(refused.map(|(place, _)| (place, Refusal::SettledSales { sale_at })).collect())
}

/// The moment of a settled sale at or after `moment`, if there is one.
async fn sale_settled_since(
    conn: &mut PgConnection,
    moment: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, StoreError> {
    // `offset 0` keeps the planner from reading all outcomes.
    let settled = sqlx::query_scalar!(
        r#"
        select max(found.as_of)
          from (select e.as_of
                  from events e
                 cross join lateral (
                       select from commission_outcomes o where o.event_id = e.id offset 0) o
                 where e.as_of >= $1
                 limit 100) found
        "#,
        moment,
    );
    Ok(settled.fetch_one(conn).await?)
}
