//! The network made up for a benchmark, in memory: who stands below whom and how many, so that
//! members to measure with are found, and moves made up, without asking what is measured.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::history::{Change, What};
use uuid::Uuid;

use crate::bench::network::{self, Dice};

/// Random moves are of members with at most so many below them, and themselves.
const SMALL_MAX: u32 = 10;

/// One tree, its root in the first place. Members are named by their places.
pub(super) struct Outline {
    ids: Vec<Uuid>,
    sponsors: Vec<Option<usize>>,
    /// Members and everybody below.
    sizes: Vec<u32>,
}

impl Outline {
    /// The network of [`network::members`].
    pub(super) fn new(count: u32) -> Self {
        let members = network::members(count);
        let places: HashMap<Uuid, usize> =
            members.iter().map(|member| member.id).zip(0..).collect();
        let sponsor = |id: Option<Uuid>| id.and_then(|id| places.get(&id).copied());
        let sponsors: Vec<Option<usize>> =
            members.iter().map(|member| sponsor(member.sponsor_id)).collect();
        let mut sizes = vec![1; members.len()];
        // Everybody comes after their sponsor.
        for place in (0..members.len()).rev() {
            if let Some(sponsor) = sponsors[place] {
                sizes[sponsor] += sizes[place];
            }
        }
        Self { ids: members.into_iter().map(|member| member.id).collect(), sponsors, sizes }
    }

    /// The member's id.
    pub(super) fn id(&self, place: usize) -> Uuid {
        self.ids[place]
    }

    /// Everybody's ids.
    pub(super) fn ids(&self) -> &[Uuid] {
        &self.ids
    }

    /// The member and everybody below.
    pub(super) fn size(&self, place: usize) -> u32 {
        self.sizes[place]
    }

    /// Levels below the root.
    pub(super) fn level(&self, place: usize) -> i32 {
        self.upline(place).map(|_| 1).sum()
    }

    /// At most `count` members whose subtrees come nearest to a size, the nearest first; nobody who
    /// has less than half or more than twice as many, and never the root.
    pub(super) fn nearest(&self, size: u32, count: usize) -> Vec<usize> {
        let fits = |place: &usize| (size.div_ceil(2)..=size * 2).contains(&self.sizes[*place]);
        let mut fitting: Vec<usize> = (1..self.ids.len()).filter(fits).collect();
        fitting.sort_by_key(|place| self.sizes[*place].abs_diff(size));
        fitting.truncate(count);
        fitting
    }

    /// Anybody.
    pub(super) fn anybody(&self, dice: &mut Dice) -> usize {
        dice.below(self.ids.len())
    }

    /// Anybody who could become the member's sponsor and is not.
    pub(super) fn another_sponsor(&self, of: usize, dice: &mut Dice) -> usize {
        loop {
            let place = self.anybody(dice);
            let is_inside = place == of || self.upline(place).any(|above| above == of);
            if !is_inside && self.sponsors[of] != Some(place) {
                return place;
            }
        }
    }

    /// Makes up moves of small subtrees, each possible after those before it, a microsecond apart.
    pub(super) fn move_at_random(
        &mut self,
        count: u32,
        first: DateTime<Utc>,
        dice: &mut Dice,
    ) -> Vec<Change> {
        let mut changes = Vec::with_capacity(count as usize);
        let mut effective_at = first;
        while changes.len() < count as usize {
            let place = self.anybody(dice);
            if place == 0 || self.sizes[place] > SMALL_MAX {
                continue;
            }
            let sponsor = self.another_sponsor(place, dice);
            self.move_below(place, sponsor);
            changes.push(self.change(place, sponsor, Some(effective_at)));
            effective_at += TimeDelta::microseconds(1);
        }
        changes
    }

    /// The move of a member below a sponsor, as somebody would ask for it.
    pub(super) fn change(
        &self,
        place: usize,
        sponsor: usize,
        effective_at: Option<DateTime<Utc>>,
    ) -> Change {
        let what = What::Move { new_sponsor_id: Some(self.ids[sponsor]) };
        Change { member_id: self.ids[place], effective_at, what }
    }

    /// Writes down that a member stands below a sponsor from here on.
    pub(super) fn move_below(&mut self, place: usize, sponsor: usize) {
        let size = self.sizes[place];
        let old: Vec<usize> = self.upline(place).collect();
        for above in old {
            self.sizes[above] -= size;
        }
        self.sponsors[place] = Some(sponsor);
        let new: Vec<usize> = self.upline(place).collect();
        for above in new {
            self.sizes[above] += size;
        }
    }

    /// Everybody above, the sponsor first.
    fn upline(&self, place: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(self.sponsors[place], |above| self.sponsors[*above])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes counted anew from who sponsors whom.
    fn counted(outline: &Outline) -> Vec<u32> {
        let mut sizes = vec![1; outline.ids.len()];
        for place in 0..outline.ids.len() {
            outline.upline(place).for_each(|above| sizes[above] += 1);
        }
        sizes
    }

    #[test]
    fn sizes_hold_at_first_and_after_moves() {
        let mut outline = Outline::new(1_000);
        assert_eq!(outline.size(0), 1_000);
        assert_eq!(outline.sizes, counted(&outline));
        let changes = outline.move_at_random(2_000, DateTime::UNIX_EPOCH, &mut Dice::new(1));
        assert_eq!(changes.len(), 2_000);
        assert_eq!(outline.size(0), 1_000);
        assert_eq!(outline.sizes, counted(&outline));
    }

    #[test]
    fn another_sponsor_is_outside_the_subtree_and_is_another_one() {
        let outline = Outline::new(1_000);
        let mut dice = Dice::new(1);
        let place = outline.nearest(500, 1)[0];
        for _ in 0..1_000 {
            let sponsor = outline.another_sponsor(place, &mut dice);
            assert_ne!(sponsor, place);
            assert!(outline.upline(sponsor).all(|above| above != place));
            assert_ne!(outline.sponsors[place], Some(sponsor));
        }
    }

    #[test]
    fn nearest_takes_nobody_too_small_or_too_large_and_never_the_root() {
        let outline = Outline::new(1_000);
        assert!(!outline.nearest(1_000, 10).contains(&0));
        assert!(outline.nearest(5_000, 10).is_empty());
        let tens = outline.nearest(10, 30);
        assert!(tens.iter().all(|place| (5..=20).contains(&outline.size(*place))));
        assert_eq!(outline.size(tens[0]), 10);
        assert!(tens.is_sorted_by_key(|place| outline.size(*place).abs_diff(10)));
    }
}
