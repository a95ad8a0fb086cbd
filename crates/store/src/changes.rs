//! Changes of history: moves, statuses and ranks, reward splits, each from its moment on.
//!
//! The protocol, in one transaction of the caller:
//!
//! 1. lock `changes`: one change of history at a time;
//! 2. for moves, lock `tree` alone, so that nobody is enrolled below the moved members meanwhile.
//!    Before that, see that `history` can be had, so that enrolments do not wait for a settlement
//!    that stands still;
//! 3. read what is recorded of the members named and of everybody above them, and let
//!    [`domain::history::plan`] decide; refuse moments that settled sales forbid;
//! 4. rewrite the closure rows of those who move, and write the changes that name their moment.
//!    Settlement goes on meanwhile and sees what was before;
//! 5. lock `history` alone: settlement pauses from here on;
//! 6. refuse if a sale was settled meanwhile that forbids a moment; decide what "now" is; write the
//!    changes that hold from now on, and let the caller commit.
//!
//! So the pause is a handful of statements, however many members move. A refusal takes back what
//! was written and leaves a row in `member_changes`.

mod closure;
mod known;
mod record;
mod rows;
mod settled;

use chrono::{DateTime, TimeDelta, Utc};
use domain::history::{
    self, Change, PlannedChange, PlannedMove, PlannedSplit, PlannedState, Refusal, Refusals, What,
};
use sqlx::{Acquire, PgConnection};
use uuid::Uuid;

use self::closure::Placement;
pub use self::record::{RecordedChange, recorded_changes};
use crate::locks::{Lock, Patience};
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
    /// Changes of reward splits, in the order of their moments.
    pub splits: Vec<PlannedSplit>,
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
    let mut patience = Patience::new();
    patience.take(conn, Lock::Changes).await?;
    if moves_somebody(order.changes) {
        let mut probe = conn.begin().await?;
        patience.take(&mut probe, Lock::History).await?;
        probe.rollback().await?;
        patience.take(conn, Lock::Tree).await?;
    }
    let refusals = match plan(conn, order.changes).await? {
        Ok(mut applied) => {
            // Refused changes are taken back, and the lock with them, before the record is written.
            let mut attempt = conn.begin().await?;
            match write(&mut attempt, order, &mut applied, patience).await? {
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

/// What [`apply`] would do at this moment. Waits for nobody, holds nobody up and writes nothing.
pub async fn preview(
    conn: &mut PgConnection,
    changes: &[Change],
) -> Result<Result<Applied, Refusals>, StoreError> {
    let applied = match plan(conn, changes).await? {
        Ok(applied) => applied,
        Err(refusals) => return Ok(Err(refusals)),
    };
    let mut refusals = settled::refuse(conn, changes).await?;
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

/// Checks changes that will not be made, because something else of their request is wrong. What is
/// refused goes on record as it does by [`apply`].
pub async fn check(conn: &mut PgConnection, order: &Order<'_>) -> Result<Refusals, StoreError> {
    let Err(refusals) = preview(conn, order.changes).await? else { return Ok(Vec::new()) };
    rows::record_refusals(conn, order, &refusals).await?;
    Ok(refusals)
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
    let rows = rows.chain(recorded.splits.values().filter_map(|rows| rows.keys().next_back()));
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
    Ok(Ok(Applied { now, moves, states: plan.states, splits: plan.splits }))
}

/// Writes what was planned, unless the depth of the tree or a settled sale forbids it.
async fn write(
    conn: &mut PgConnection,
    order: &Order<'_>,
    applied: &mut Applied,
    mut patience: Patience,
) -> Result<Result<(), Refusals>, StoreError> {
    let checked_in = settled::snapshot(conn).await?;
    let refusals = settled::refuse(conn, order.changes).await?;
    if !refusals.is_empty() {
        return Ok(Err(refusals));
    }
    let after_events = settled::after_every_event(conn).await?;
    let too_deep = closure::rewrite(conn, &applied.moves).await?;
    if !too_deep.is_empty() {
        return Ok(Err(places_of(order.changes, &too_deep)));
    }
    let (dated_moves, moves): (Vec<_>, Vec<_>) =
        applied.moves.iter().partition(|done| done.planned.effective_at.is_some());
    let (dated_states, states) = dated_and_present(&applied.states);
    let (dated_splits, splits) = dated_and_present(&applied.splits);
    rows::write_moves(conn, order, &dated_moves, applied.now).await?;
    rows::write_states(conn, order, &dated_states, applied.now).await?;
    rows::write_splits(conn, order, &dated_splits, applied.now).await?;

    patience.take(conn, Lock::History).await?;
    let first = order.changes.iter().filter_map(|change| change.effective_at).min();
    if let Some(first) = first
        && settled::was_settled_meanwhile(conn, &checked_in, first).await?
    {
        return Ok(Err(settled::refuse(conn, order.changes).await?));
    }
    applied.now = events::clock(conn).await?.max(applied.now).max(after_events);
    rows::write_moves(conn, order, &moves, applied.now).await?;
    rows::write_states(conn, order, &states, applied.now).await?;
    rows::write_splits(conn, order, &splits, applied.now).await?;
    Ok(Ok(()))
}

/// The changes that name their moment, and those that hold from now on.
fn dated_and_present<T: Copy>(
    planned: &[PlannedChange<T>],
) -> (Vec<PlannedChange<T>>, Vec<PlannedChange<T>>) {
    planned.iter().partition(|planned| planned.effective_at.is_some())
}

/// The changes that move these members.
fn places_of(changes: &[Change], too_deep: &[Uuid]) -> Refusals {
    let places = changes.iter().enumerate().filter(|(_, change)| {
        matches!(change.what, What::Move { .. }) && too_deep.contains(&change.member_id)
    });
    places.map(|(place, _)| (place, Refusal::TooDeep)).collect()
}
