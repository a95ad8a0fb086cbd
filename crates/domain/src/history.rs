//! Changes of history: who is sponsored by whom, with which status and rank, from which moment on.
//!
//! A change holds from its moment until the next recorded change of the same member. It may lie
//! before changes that are recorded already (a correction, the history of another system), so it is
//! checked against the network *as it is at that moment* and at every later one, in one replay:
//!
//! 1. every member touched gets a timeline of what is recorded and what is new;
//! 2. moment by moment, those whose sponsor changes then are followed upwards. A circle that
//!    arises at a moment contains somebody who moves at that moment, so nobody else need be
//!    followed;
//! 3. what changes nothing, or names a sponsor who has left by then, is refused.
//!
//! Changes of one moment are simultaneous: what counts is the network after all of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use thiserror::Error;
use uuid::Uuid;

use crate::ladder::Rank;
use crate::member::MemberStatus;
use crate::network::DEPTH_MAX;

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
}

/// Changes that can be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Moves, in the order of their moments.
    pub moves: Vec<PlannedMove>,
    /// Changes of status or rank, in the order of their moments.
    pub states: Vec<PlannedState>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedState {
    /// Whose state changes.
    pub member_id: Uuid,
    /// From when on; `None`: from now on.
    pub effective_at: Option<DateTime<Utc>>,
    /// What held until then.
    pub old: State,
    /// What holds from then on.
    pub new: State,
    /// When the next change of the member's state follows; `None`: it is the present one.
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
    replay.refuse_circles();
    replay.refuse_what_cannot_be();
    if replay.refusals.is_empty() {
        return Ok(replay.plan());
    }
    replay.refusals.sort_by_key(|(place, _)| *place);
    replay.refusals.dedup();
    Err(replay.refusals)
}

/// An entry of a timeline.
#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    value: T,
    /// The change that it comes from; `None`: it is recorded.
    place: Option<usize>,
    /// Whether the change named no moment.
    is_now: bool,
}

type Timeline<T> = BTreeMap<DateTime<Utc>, Entry<T>>;

/// A wanted state: what is `None` is filled in from what holds before.
type Wanted = (Option<MemberStatus>, Option<Rank>);

struct Replay {
    now: DateTime<Utc>,
    sponsors: HashMap<Uuid, Timeline<Option<Uuid>>>,
    states: HashMap<Uuid, Timeline<Wanted>>,
    /// Members whose timelines have new entries, in the order of the request.
    moved: Vec<Uuid>,
    changed: Vec<Uuid>,
    refusals: Refusals,
}

impl Replay {
    fn new(recorded: &Recorded, now: DateTime<Utc>) -> Self {
        fn entry<T>(value: T) -> Entry<T> {
            Entry { value, place: None, is_now: false }
        }
        let sponsors = recorded.sponsors.iter().map(|(id, rows)| {
            (*id, rows.iter().map(|(at, sponsor)| (*at, entry(*sponsor))).collect())
        });
        let states = recorded.states.iter().map(|(id, rows)| {
            let wanted = |state: &State| (Some(state.status), Some(state.rank));
            (*id, rows.iter().map(|(at, state)| (*at, entry(wanted(state)))).collect())
        });
        Self {
            now,
            sponsors: sponsors.collect(),
            states: states.collect(),
            moved: Vec::new(),
            changed: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Puts a change on its member's timeline.
    fn add(&mut self, place: usize, change: &Change) {
        let at = change.effective_at.unwrap_or(self.now);
        let is_now = change.effective_at.is_none();
        let refusal = if at > self.now {
            Some(Refusal::Future { now: self.now })
        } else {
            match change.what {
                What::Move { new_sponsor_id } => {
                    let new = Entry { value: new_sponsor_id, place: Some(place), is_now };
                    self.add_move(change.member_id, at, new)
                }
                What::State { status, rank } => {
                    let new = Entry { value: (status, rank), place: Some(place), is_now };
                    self.add_state(change.member_id, at, new)
                }
            }
        };
        self.refusals.extend(refusal.map(|refusal| (place, refusal)));
    }

    fn add_move(
        &mut self,
        member_id: Uuid,
        at: DateTime<Utc>,
        new: Entry<Option<Uuid>>,
    ) -> Option<Refusal> {
        if new.value == Some(member_id) {
            return Some(Refusal::SelfSponsor);
        }
        if let Some(sponsor_id) = new.value.filter(|id| !self.sponsors.contains_key(id)) {
            return Some(Refusal::UnknownSponsor { sponsor_id });
        }
        let Some(timeline) = self.sponsors.get_mut(&member_id) else {
            return Some(Refusal::UnknownMember);
        };
        match timeline.get(&at) {
            Some(Entry { place: None, .. }) => Some(Refusal::SameMoment),
            Some(_) => Some(Refusal::Contradiction),
            None => {
                timeline.insert(at, new);
                self.moved.push(member_id);
                None
            }
        }
    }

    fn add_state(
        &mut self,
        member_id: Uuid,
        at: DateTime<Utc>,
        new: Entry<Wanted>,
    ) -> Option<Refusal> {
        let Some(timeline) = self.states.get_mut(&member_id) else {
            return Some(Refusal::UnknownMember);
        };
        match timeline.get_mut(&at) {
            Some(Entry { place: None, .. }) => Some(Refusal::SameMoment),
            Some(Entry { value: (status, rank), .. }) => {
                // One says the status, the other the rank: together they are one change.
                let (new_status, new_rank) = new.value;
                if (status.is_some() && new_status.is_some())
                    || (rank.is_some() && new_rank.is_some())
                {
                    return Some(Refusal::Contradiction);
                }
                (*status, *rank) = (status.or(new_status), rank.or(new_rank));
                None
            }
            None => {
                timeline.insert(at, new);
                self.changed.push(member_id);
                None
            }
        }
    }

    fn sponsor_at(&self, member_id: Uuid, at: DateTime<Utc>) -> Option<Uuid> {
        let (_, entry) = self.sponsors.get(&member_id)?.range(..=at).next_back()?;
        entry.value
    }

    /// The state at a moment, each part from the last entry that says it.
    fn state_at(&self, member_id: Uuid, at: DateTime<Utc>) -> Option<State> {
        state_of(self.states.get(&member_id)?.range(..=at))
    }

    /// Follows everybody whose sponsor changes, at each moment from the first new move on.
    fn refuse_circles(&mut self) {
        let mut movers: BTreeMap<DateTime<Utc>, Vec<Uuid>> = BTreeMap::new();
        let new_moves = self.sponsors.values().flatten();
        let first = new_moves.filter(|(_, entry)| entry.place.is_some()).map(|(at, _)| *at).min();
        let Some(first) = first else { return };
        for (member_id, timeline) in &self.sponsors {
            for at in timeline.range(first..).map(|(at, _)| *at) {
                movers.entry(at).or_default().push(*member_id);
            }
        }
        let mut found = Vec::new();
        for (at, mut movers) in movers {
            movers.sort_unstable();
            for mover in movers {
                match self.follow(mover, at) {
                    Followed::ToTheEnd => {}
                    Followed::InACircle(circle) => self.blame(&circle, mover, at, &mut found),
                    Followed::TooFar => {
                        let place = self.sponsors[&mover].get(&at).and_then(|entry| entry.place);
                        found.extend(place.map(|place| (place, Refusal::TooDeep)));
                    }
                }
            }
        }
        self.refusals.extend(found);
    }

    /// Walks upwards from a member as of a moment.
    fn follow(&self, from: Uuid, at: DateTime<Utc>) -> Followed {
        let mut path = vec![from];
        let mut next = self.sponsor_at(from, at);
        while let Some(id) = next {
            if id == from {
                return Followed::InACircle(path);
            }
            if path.len() > usize::from(DEPTH_MAX) {
                // A circle further up is the fault of those who are in it.
                let others: HashSet<&Uuid> = path.iter().collect();
                let is_circle = others.len() < path.len();
                return if is_circle { Followed::ToTheEnd } else { Followed::TooFar };
            }
            path.push(id);
            next = self.sponsor_at(id, at);
        }
        Followed::ToTheEnd
    }

    /// Names every new move that takes part in a circle that arises at `at`.
    fn blame(&self, circle: &[Uuid], mover: Uuid, at: DateTime<Utc>, found: &mut Refusals) {
        for member_id in circle {
            let Some(timeline) = self.sponsors.get(member_id) else { continue };
            let Some((since, entry)) = timeline.range(..=at).next_back() else { continue };
            let (Some(place), Some(sponsor_id)) = (entry.place, entry.value) else { continue };
            let refusal = if *since == at {
                Refusal::OwnDescendant { sponsor_id }
            } else {
                Refusal::CircleLater { at, member_id: mover }
            };
            found.push((place, refusal));
        }
    }

    /// Refuses moves below somebody who has left, and whatever changes nothing.
    fn refuse_what_cannot_be(&mut self) {
        let mut found = Vec::new();
        for member_id in &self.moved {
            let timeline = &self.sponsors[member_id];
            for (at, entry) in timeline {
                let Some(place) = entry.place else { continue };
                let before = timeline.range(..at).next_back().and_then(|(_, entry)| entry.value);
                if before == entry.value {
                    found.push((place, Refusal::NothingChanges));
                } else if let Some(sponsor_id) = entry.value
                    && self
                        .state_at(sponsor_id, *at)
                        .is_some_and(|state| state.status == MemberStatus::Terminated)
                {
                    found.push((place, Refusal::TerminatedSponsor { sponsor_id }));
                }
            }
        }
        for member_id in &self.changed {
            let timeline = &self.states[member_id];
            for (at, entry) in timeline {
                let Some(place) = entry.place else { continue };
                if state_of(timeline.range(..at)) == state_of(timeline.range(..=at)) {
                    found.push((place, Refusal::NothingChanges));
                }
            }
        }
        self.refusals.extend(found);
    }

    fn plan(mut self) -> Plan {
        let mut plan = Plan::default();
        // A member with several changes stands there several times.
        for members in [&mut self.moved, &mut self.changed] {
            members.sort_unstable();
            members.dedup();
        }
        for member_id in &self.moved {
            let timeline = &self.sponsors[member_id];
            for (at, entry) in timeline.iter().filter(|(_, entry)| entry.place.is_some()) {
                let before = timeline.range(..at).next_back();
                plan.moves.push(PlannedMove {
                    member_id: *member_id,
                    effective_at: (!entry.is_now).then_some(*at),
                    old_sponsor_id: before.and_then(|(_, entry)| entry.value),
                    new_sponsor_id: entry.value,
                    holds_until: after(timeline, *at),
                });
            }
        }
        for member_id in &self.changed {
            let timeline = &self.states[member_id];
            for (at, entry) in timeline.iter().filter(|(_, entry)| entry.place.is_some()) {
                let states = (state_of(timeline.range(..at)), state_of(timeline.range(..=at)));
                let (Some(old), Some(new)) = states else { continue };
                plan.states.push(PlannedState {
                    member_id: *member_id,
                    effective_at: (!entry.is_now).then_some(*at),
                    old,
                    new,
                    holds_until: after(timeline, *at),
                });
            }
        }
        let now = self.now;
        plan.moves.sort_by_key(|planned| (planned.effective_at.unwrap_or(now), planned.member_id));
        plan.states.sort_by_key(|planned| (planned.effective_at.unwrap_or(now), planned.member_id));
        plan
    }
}

/// Where following sponsors leads.
enum Followed {
    /// To the top of the tree, or into a circle of others.
    ToTheEnd,
    /// Back to the member; those on the way.
    InACircle(Vec<Uuid>),
    /// Past the greatest depth.
    TooFar,
}

/// When the next entry follows.
fn after<T>(timeline: &Timeline<T>, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    use std::ops::Bound::{Excluded, Unbounded};
    timeline.range((Excluded(at), Unbounded)).next().map(|(at, _)| *at)
}

/// The state that a stretch of a timeline ends in.
fn state_of<'a>(
    entries: impl DoubleEndedIterator<Item = (&'a DateTime<Utc>, &'a Entry<Wanted>)>,
) -> Option<State> {
    let (mut status, mut rank) = (None, None);
    for (_, entry) in entries.rev() {
        status = status.or(entry.value.0);
        rank = rank.or(entry.value.1);
        if let (Some(status), Some(rank)) = (status, rank) {
            return Some(State { status, rank });
        }
    }
    None
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
