//! Changes of history: who is sponsored by whom, with which status and rank, and shares rewards how,
//! from which moment on.
//!
//! A change holds from its moment until the next recorded change of the same member. It may lie
//! before changes that are recorded already (a correction, the history of another system), so it is
//! checked against the network *as it is at that moment* and at every later one. Changes of one
//! moment are simultaneous: what counts is the network after all of them.

mod parts;
mod replay;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use thiserror::Error;
use uuid::Uuid;

use crate::amount::Percentage;
use crate::ladder::Rank;
use crate::member::MemberStatus;
use crate::network::DEPTH_MAX;
use crate::reward_split::RewardSplit;

use self::replay::Replay;

/// The moment of everybody's first sponsor, status and rank: before every sale.
pub const BEGINNING_OF_TIME: DateTime<Utc> = DateTime::<Utc>::MIN_UTC;

/// A change that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Whose history changes.
    pub member_id: Uuid,
    /// From when on; `None`: from now on, after everything that is recorded.
    pub effective_at: Option<DateTime<Utc>>,
    /// What changes.
    pub what: What,
}

/// What changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The sponsor. The whole downline moves along.
    Move {
        /// The new sponsor; `None`: the member becomes the top of a tree of their own.
        new_sponsor_id: Option<Uuid>,
    },
    /// Status or rank or both; what is `None` stays as it is at that moment.
    State {
        /// The new status.
        status: Option<MemberStatus>,
        /// The new rank.
        rank: Option<Rank>,
    },
    /// How direct rewards are shared, of money or of career points or of both; what is `None` stays
    /// as it is at that moment.
    Split {
        /// Share of the money that the member keeps from then on.
        money_to_self: Option<Percentage>,
        /// Share of the career points that the member keeps from then on.
        points_to_self: Option<Percentage>,
    },
}

/// Status and rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether the member can earn.
    pub status: MemberStatus,
    /// The place on the ladder.
    pub rank: Rank,
}

/// What is recorded of the members that changes touch: for each member named, and for everybody who
/// was above them at or after the first change, what held then and every later change.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// Sponsors by the moment from which they hold.
    pub sponsors: HashMap<Uuid, BTreeMap<DateTime<Utc>, Option<Uuid>>>,
    /// Statuses and ranks by the moment from which they hold: of members whose state changes, and
    /// of new sponsors.
    pub states: HashMap<Uuid, BTreeMap<DateTime<Utc>, State>>,
    /// Reward splits by the moment from which they hold, of members whose split changes. Who never
    /// said anything shares nothing from the beginning of time.
    pub splits: HashMap<Uuid, BTreeMap<DateTime<Utc>, RewardSplit>>,
}

/// Changes that can be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Moves, in the order of their moments.
    pub moves: Vec<PlannedMove>,
    /// Changes of status or rank, in the order of their moments.
    pub states: Vec<PlannedState>,
    /// Changes of reward splits, in the order of their moments.
    pub splits: Vec<PlannedSplit>,
}

/// A move that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedMove {
    /// Who moves.
    pub member_id: Uuid,
    /// From when on; `None`: from now on.
    pub effective_at: Option<DateTime<Utc>>,
    /// Who sponsored them until then.
    pub old_sponsor_id: Option<Uuid>,
    /// Who sponsors them from then on.
    pub new_sponsor_id: Option<Uuid>,
    /// When the next move of the member follows; `None`: it is the present one.
    pub holds_until: Option<DateTime<Utc>>,
}

/// A change of status or rank that can be written.
pub type PlannedState = PlannedChange<State>;

/// A change of a reward split that can be written.
pub type PlannedSplit = PlannedChange<RewardSplit>;

/// A change of something that holds as a whole, from a moment on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedChange<T> {
    /// Whose history changes.
    pub member_id: Uuid,
    /// From when on; `None`: from now on.
    pub effective_at: Option<DateTime<Utc>>,
    /// What held until then.
    pub old: T,
    /// What holds from then on.
    pub new: T,
    /// When the next change of the same kind follows; `None`: it is the present one.
    pub holds_until: Option<DateTime<Utc>>,
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Nobody has the member's id.
    #[error("no member has this id")]
    UnknownMember,
    /// Nobody has the new sponsor's id.
    #[error("the new sponsor {sponsor_id} is not enrolled")]
    UnknownSponsor {
        /// The id.
        sponsor_id: Uuid,
    },
    /// Who has left gets nobody new below them.
    #[error("the new sponsor {sponsor_id} is TERMINATED at that moment")]
    TerminatedSponsor {
        /// The sponsor.
        sponsor_id: Uuid,
    },
    /// Their own sponsor.
    #[error("a member cannot be their own sponsor")]
    SelfSponsor,
    /// The new sponsor is somewhere below the member.
    #[error(
        "the new sponsor {sponsor_id} stands in the member's own downline at that moment; move \
         the sponsor out of it first"
    )]
    OwnDescendant {
        /// The sponsor.
        sponsor_id: Uuid,
    },
    /// Possible at its own moment, but a later move that is recorded would close a circle.
    #[error(
        "would close a circle of sponsors at {at}, from when on {member_id} has another sponsor; \
         choose a moment after that"
    )]
    CircleLater {
        /// When.
        at: DateTime<Utc>,
        /// Who moves then.
        member_id: Uuid,
    },
    /// The tree has a bottom.
    #[error("somebody would stand more than {DEPTH_MAX} levels deep")]
    TooDeep,
    /// The present would not be the end of history.
    #[error("effective_at lies in the future; it is {now} now")]
    Future {
        /// The present moment.
        now: DateTime<Utc>,
    },
    /// History has one row a moment.
    #[error(
        "the member has a recorded change at exactly that moment; choose another, a microsecond \
         later will do"
    )]
    SameMoment,
    /// The request contradicts itself.
    #[error("another change of the request says otherwise for the same member and moment")]
    Contradiction,
    /// It is so already.
    #[error("changes nothing: it is so at that moment already")]
    NothingChanges,
    /// A later change says nothing of what this one changes, but what it recorded brings the old
    /// value back.
    #[error(
        "would end at {at}: a change is recorded there that keeps the {part} of before; say the \
         {part} again from just after that moment, in one file of changes"
    )]
    UndoneLater {
        /// When.
        at: DateTime<Utc>,
        /// `status` or `rank`.
        part: &'static str,
    },
    /// What a settlement saw stays true for ever.
    #[error(
        "a sale of {sale_at} is settled already, by what was recorded then; choose a moment after \
         every settled sale, and mend what was paid by recalculation"
    )]
    SettledSales {
        /// The moment of such a sale.
        sale_at: DateTime<Utc>,
    },
}

impl Refusal {
    /// The cause by its name, for programs and for the record.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::UnknownMember => "unknown_member",
            Self::UnknownSponsor { .. } => "unknown_sponsor",
            Self::TerminatedSponsor { .. } => "terminated_sponsor",
            Self::SelfSponsor => "self_sponsor",
            Self::OwnDescendant { .. } => "own_descendant",
            Self::CircleLater { .. } => "circle_later",
            Self::TooDeep => "too_deep",
            Self::Future { .. } => "future",
            Self::SameMoment => "same_moment",
            Self::Contradiction => "contradiction",
            Self::NothingChanges => "nothing_changes",
            Self::UndoneLater { .. } => "undone_later",
            Self::SettledSales { .. } => "settled_sales",
        }
    }
}

/// Refusals with the places of the changes that they concern, in order.
pub type Refusals = Vec<(usize, Refusal)>;

/// Checks changes, all or none. `now` is where changes without a moment stand, after everything
/// that is recorded.
pub fn plan(changes: &[Change], recorded: &Recorded, now: DateTime<Utc>) -> Result<Plan, Refusals> {
    let mut replay = Replay::new(recorded, now);
    for (place, change) in changes.iter().enumerate() {
        replay.add(place, change);
    }
    replay.finish()
}

/// How a move changes who earns from the moved downline: for each member above the old or the new
/// place, on which level they stand for the moved member before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LevelChange {
    /// Who stands above.
    pub ancestor_id: Uuid,
    /// Their level before; `None`: they were not above.
    pub before: Option<usize>,
    /// Their level after; `None`: they are above no longer.
    pub after: Option<usize>,
}

/// Compares two uplines, each from the sponsor upwards: first the new one, then who is above no
/// longer. Level 1 is the sponsor.
#[must_use]
pub fn level_changes(old_upline: &[Uuid], new_upline: &[Uuid]) -> Vec<LevelChange> {
    let level = |upline: &[Uuid], id| upline.iter().position(|other| *other == id).map(|n| n + 1);
    let kept_or_gained = new_upline.iter().enumerate().map(|(place, id)| LevelChange {
        ancestor_id: *id,
        before: level(old_upline, *id),
        after: Some(place + 1),
    });
    let lost =
        old_upline.iter().enumerate().filter(|(_, id)| !new_upline.contains(id)).map(
            |(place, id)| LevelChange { ancestor_id: *id, before: Some(place + 1), after: None },
        );
    kept_or_gained.chain(lost).collect()
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
