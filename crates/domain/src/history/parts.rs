//! Timelines of facts that have two parts, each of which may be changed alone: status and rank, and
//! the shares of money and of career points.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{PlannedChange, Refusal, State};
use crate::ladder::Rank;
use crate::member::MemberStatus;
use crate::reward_split::RewardSplit;

/// An entry of a timeline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<T> {
    pub(super) value: T,
    /// The change that it comes from; `None`: it is recorded.
    pub(super) place: Option<usize>,
    /// Whether the change named no moment.
    pub(super) is_now: bool,
}

impl<T> Entry<T> {
    /// What is recorded.
    pub(super) fn recorded(value: T) -> Self {
        Self { value, place: None, is_now: false }
    }
}

/// What is recorded and asked for of a member, by the moment from which it holds.
pub(super) type Timeline<T> = BTreeMap<DateTime<Utc>, Entry<T>>;

/// When the next entry follows.
pub(super) fn after<T>(timeline: &Timeline<T>, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    timeline.range((Excluded(at), Unbounded)).next().map(|(at, _)| *at)
}

/// A fact with two parts.
pub(super) trait TwoParts: Copy + PartialEq {
    /// One of them.
    type First: Copy + PartialEq;
    /// The other.
    type Second: Copy + PartialEq;

    fn parts(self) -> (Self::First, Self::Second);
    fn of_parts(first: Self::First, second: Self::Second) -> Self;
}

impl TwoParts for State {
    type First = MemberStatus;
    type Second = Rank;

    fn parts(self) -> (MemberStatus, Rank) {
        (self.status, self.rank)
    }

    fn of_parts(status: MemberStatus, rank: Rank) -> Self {
        Self { status, rank }
    }
}

impl TwoParts for RewardSplit {
    type First = crate::amount::Percentage;
    type Second = crate::amount::Percentage;

    fn parts(self) -> (Self::First, Self::Second) {
        (self.money_to_self, self.points_to_self)
    }

    fn of_parts(money_to_self: Self::First, points_to_self: Self::Second) -> Self {
        Self { money_to_self, points_to_self }
    }
}

/// What is wanted of a fact: what is `None` is filled in from what holds before.
pub(super) type Wanted<T> = (Option<<T as TwoParts>::First>, Option<<T as TwoParts>::Second>);

/// Everybody's timelines of one kind of fact, with what is asked for put in.
pub(super) struct Parts<T: TwoParts> {
    pub(super) timelines: HashMap<Uuid, Timeline<Wanted<T>>>,
    /// Members whose timelines have new entries, in the order of the request.
    changed: Vec<Uuid>,
}

impl<T: TwoParts> Parts<T> {
    pub(super) fn new(recorded: &HashMap<Uuid, BTreeMap<DateTime<Utc>, T>>) -> Self {
        let wanted = |value: &T| {
            let (first, second) = value.parts();
            (Some(first), Some(second))
        };
        let timelines = recorded.iter().map(|(id, rows)| {
            (*id, rows.iter().map(|(at, value)| (*at, Entry::recorded(wanted(value)))).collect())
        });
        Self { timelines: timelines.collect(), changed: Vec::new() }
    }

    /// Puts a change on its member's timeline.
    pub(super) fn add(
        &mut self,
        member_id: Uuid,
        at: DateTime<Utc>,
        new: Entry<Wanted<T>>,
    ) -> Option<Refusal> {
        let Some(timeline) = self.timelines.get_mut(&member_id) else {
            return Some(Refusal::UnknownMember);
        };
        match timeline.get_mut(&at) {
            Some(Entry { place: None, .. }) => Some(Refusal::SameMoment),
            Some(Entry { value: (first, second), .. }) => {
                // One says the one part, the other the other: together they are one change.
                let (new_first, new_second) = new.value;
                if (first.is_some() && new_first.is_some())
                    || (second.is_some() && new_second.is_some())
                {
                    return Some(Refusal::Contradiction);
                }
                (*first, *second) = (first.or(new_first), second.or(new_second));
                None
            }
            None => {
                timeline.insert(at, new);
                self.changed.push(member_id);
                None
            }
        }
    }

    /// What holds at a moment, each part from the last entry that says it.
    pub(super) fn at(&self, member_id: Uuid, at: DateTime<Utc>) -> Option<T> {
        value_of(self.timelines.get(&member_id)?.range(..=at))
    }

    /// Refuses whatever changes nothing, and what `also` refuses: it is given the timeline, the
    /// moment, what is wanted and what held before.
    pub(super) fn refuse(
        &self,
        also: impl Fn(&Timeline<Wanted<T>>, DateTime<Utc>, Wanted<T>, T) -> Option<Refusal>,
    ) -> Vec<(usize, Refusal)> {
        let mut found = Vec::new();
        for member_id in &self.changed {
            let timeline = &self.timelines[member_id];
            for (at, entry) in timeline {
                let Some(place) = entry.place else { continue };
                let before = value_of::<T>(timeline.range(..at));
                if before == value_of(timeline.range(..=at)) {
                    found.push((place, Refusal::NothingChanges));
                } else if let Some(before) = before {
                    let refusal = also(timeline, *at, entry.value, before);
                    found.extend(refusal.map(|refusal| (place, refusal)));
                }
            }
        }
        found
    }

    /// The changes as they can be written, in the order of their moments; `now` is that of those
    /// that named none.
    pub(super) fn plan(mut self, now: DateTime<Utc>) -> Vec<PlannedChange<T>> {
        // A member with several changes stands there several times.
        self.changed.sort_unstable();
        self.changed.dedup();
        let mut planned = Vec::new();
        for member_id in self.changed {
            let timeline = &self.timelines[&member_id];
            for (at, entry) in timeline.iter().filter(|(_, entry)| entry.place.is_some()) {
                let values = (value_of(timeline.range(..at)), value_of(timeline.range(..=at)));
                let (Some(old), Some(new)) = values else { continue };
                planned.push(PlannedChange {
                    member_id,
                    effective_at: (!entry.is_now).then_some(*at),
                    old,
                    new,
                    holds_until: after(timeline, *at),
                });
            }
        }
        planned.sort_by_key(|change| (change.effective_at.unwrap_or(now), change.member_id));
        planned
    }
}

/// What a stretch of a timeline ends in.
fn value_of<'a, T: TwoParts + 'a>(
    entries: impl DoubleEndedIterator<Item = (&'a DateTime<Utc>, &'a Entry<Wanted<T>>)>,
) -> Option<T>
where
    T::First: 'a,
    T::Second: 'a,
{
    let (mut first, mut second) = (None, None);
    for (_, entry) in entries.rev() {
        first = first.or(entry.value.0);
        second = second.or(entry.value.1);
        if let (Some(first), Some(second)) = (first, second) {
            return Some(T::of_parts(first, second));
        }
    }
    None
}
