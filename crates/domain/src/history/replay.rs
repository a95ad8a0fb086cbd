//! The replay that decides which changes are possible:
//!
//! 1. every member touched gets a timeline of what is recorded and what is new;
//! 2. moment by moment, those whose sponsor changes then are followed upwards. A circle that
//!    arises at a moment contains somebody who moves at that moment, so nobody else need be
//!    followed;
//! 3. what changes nothing, or names a sponsor who has left by then, is refused.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound::{Excluded, Unbounded};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Change, Plan, PlannedMove, PlannedState, Recorded, Refusal, Refusals, State, What};
use crate::ladder::Rank;
use crate::member::MemberStatus;
use crate::network::DEPTH_MAX;

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

/// The timelines of everybody concerned, with what is asked for put in.
pub(super) struct Replay {
    now: DateTime<Utc>,
    sponsors: HashMap<Uuid, Timeline<Option<Uuid>>>,
    states: HashMap<Uuid, Timeline<Wanted>>,
    /// Members whose timelines have new entries, in the order of the request.
    moved: Vec<Uuid>,
    changed: Vec<Uuid>,
    refusals: Refusals,
}

impl Replay {
    pub(super) fn new(recorded: &Recorded, now: DateTime<Utc>) -> Self {
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
    pub(super) fn add(&mut self, place: usize, change: &Change) {
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
                let before = state_of(timeline.range(..at));
                if before == state_of(timeline.range(..=at)) {
                    found.push((place, Refusal::NothingChanges));
                } else if let Some(before) = before {
                    let undone = undone_later(timeline, *at, entry.value, before);
                    found.extend(undone.map(|refusal| (place, refusal)));
                }
            }
        }
        self.refusals.extend(found);
    }

    /// Checks the timelines as they would be.
    pub(super) fn finish(mut self) -> Result<Plan, Refusals> {
        self.refuse_circles();
        self.refuse_what_cannot_be();
        if self.refusals.is_empty() {
            return Ok(self.plan());
        }
        self.refusals.sort_by_key(|(place, _)| *place);
        self.refusals.dedup();
        Err(self.refusals)
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

/// Whether a recorded change that follows brings back what held before, without anybody having said
/// so: a row of history has both parts, whichever it was about.
fn undone_later(
    timeline: &Timeline<Wanted>,
    at: DateTime<Utc>,
    (status, rank): Wanted,
    before: State,
) -> Option<Refusal> {
    let undone = |part: &'static str,
                  is_said: &dyn Fn(&Wanted) -> bool,
                  is_as_before: &dyn Fn(&Wanted) -> bool| {
        let mut later = timeline.range((Excluded(at), Unbounded));
        let (moment, next) = later.find(|(_, entry)| entry.place.is_none())?;
        let mut asked_for =
            timeline.range((Excluded(at), Unbounded)).filter(|(_, entry)| entry.place.is_some());
        let is_said_again = asked_for.any(|(_, entry)| is_said(&entry.value));
        let is_undone = is_as_before(&next.value) && !is_said_again;
        is_undone.then_some(Refusal::UndoneLater { at: *moment, part })
    };
    let status = status.filter(|status| *status != before.status);
    let rank = rank.filter(|rank| *rank != before.rank);
    let status = status.and_then(|_| {
        undone("status", &|later| later.0.is_some(), &|later| later.0 == Some(before.status))
    });
    status.or_else(|| {
        rank.and_then(|_| {
            undone("rank", &|later| later.1.is_some(), &|later| later.1 == Some(before.rank))
        })
    })
}

/// When the next entry follows.
fn after<T>(timeline: &Timeline<T>, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
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
