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

use super::parts::{Entry, Parts, Timeline, Wanted, after};
use super::{Change, Plan, PlannedMove, Recorded, Refusal, Refusals, State, What};
use crate::member::MemberStatus;
use crate::network::DEPTH_MAX;
use crate::reward_split::RewardSplit;

/// The timelines of everybody concerned, with what is asked for put in.
pub(super) struct Replay {
    now: DateTime<Utc>,
    sponsors: HashMap<Uuid, Timeline<Option<Uuid>>>,
    /// Members whose sponsors have new entries, in the order of the request.
    moved: Vec<Uuid>,
    states: Parts<State>,
    splits: Parts<RewardSplit>,
    refusals: Refusals,
}

impl Replay {
    pub(super) fn new(recorded: &Recorded, now: DateTime<Utc>) -> Self {
        let sponsors = recorded.sponsors.iter().map(|(id, rows)| {
            (*id, rows.iter().map(|(at, sponsor)| (*at, Entry::recorded(*sponsor))).collect())
        });
        Self {
            now,
            sponsors: sponsors.collect(),
            moved: Vec::new(),
            states: Parts::new(&recorded.states),
            splits: Parts::new(&recorded.splits),
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
                    self.states.add(change.member_id, at, new)
                }
                What::Split { money_to_self, points_to_self } => {
                    let value = (money_to_self, points_to_self);
                    let new = Entry { value, place: Some(place), is_now };
                    self.splits.add(change.member_id, at, new)
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

    fn sponsor_at(&self, member_id: Uuid, at: DateTime<Utc>) -> Option<Uuid> {
        let (_, entry) = self.sponsors.get(&member_id)?.range(..=at).next_back()?;
        entry.value
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
                        .states
                        .at(sponsor_id, *at)
                        .is_some_and(|state| state.status == MemberStatus::Terminated)
                {
                    found.push((place, Refusal::TerminatedSponsor { sponsor_id }));
                }
            }
        }
        found.extend(self.states.refuse(undone_later));
        // A split holds until the next recorded one, whatever that says.
        found.extend(self.splits.refuse(|_, _, _, _| None));
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
        // A member with several moves stands there several times.
        self.moved.sort_unstable();
        self.moved.dedup();
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
        let now = self.now;
        plan.moves.sort_by_key(|planned| (planned.effective_at.unwrap_or(now), planned.member_id));
        plan.states = self.states.plan(now);
        plan.splits = self.splits.plan(now);
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
    timeline: &Timeline<Wanted<State>>,
    at: DateTime<Utc>,
    (status, rank): Wanted<State>,
    before: State,
) -> Option<Refusal> {
    let undone = |part: &'static str,
                  is_said: &dyn Fn(&Wanted<State>) -> bool,
                  is_as_before: &dyn Fn(&Wanted<State>) -> bool| {
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
