//! A network through time in memory: the plainest thing that can be right. Every question is
//! answered by looking through lists.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::history::BEGINNING_OF_TIME;
use domain::ladder::Rank;
use domain::member::MemberStatus;
use uuid::Uuid;

pub(crate) type Moment = DateTime<Utc>;
pub(crate) type State = (MemberStatus, Rank);
/// What is kept of money and of career points, in percent.
pub(crate) type Split = (u8, u8);

/// Members by number, each with everything that ever held.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) sponsors: Vec<BTreeMap<Moment, Option<usize>>>,
    pub(crate) states: Vec<BTreeMap<Moment, State>>,
    pub(crate) splits: Vec<BTreeMap<Moment, Split>>,
    /// The moments of settled sales.
    pub(crate) settled: Vec<Moment>,
}

pub(crate) fn id(number: usize) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 + number as u128)
}

impl Model {
    pub(crate) fn enrol(&mut self, sponsor: Option<usize>, state: State) -> usize {
        self.sponsors.push(BTreeMap::from([(BEGINNING_OF_TIME, sponsor)]));
        self.states.push(BTreeMap::from([(BEGINNING_OF_TIME, state)]));
        self.splits.push(BTreeMap::from([(BEGINNING_OF_TIME, (100, 100))]));
        self.sponsors.len() - 1
    }

    pub(crate) fn len(&self) -> usize {
        self.sponsors.len()
    }

    pub(crate) fn sponsor(&self, member: usize, at: Moment) -> Option<usize> {
        *self.sponsors[member].range(..=at).next_back().unwrap().1
    }

    pub(crate) fn state(&self, member: usize, at: Moment) -> State {
        *self.states[member].range(..=at).next_back().unwrap().1
    }

    pub(crate) fn split(&self, member: usize, at: Moment) -> Split {
        *self.splits[member].range(..=at).next_back().unwrap().1
    }

    /// The member, then everybody above, as of a moment.
    pub(crate) fn upline(&self, member: usize, at: Moment) -> Vec<usize> {
        let upline = std::iter::successors(Some(member), |below| self.sponsor(*below, at));
        upline.take(self.len() + 1).collect()
    }

    /// Everybody below with their level, sorted by level and id.
    pub(crate) fn downline(&self, member: usize, at: Moment) -> Vec<(i32, usize)> {
        let mut below: Vec<(i32, usize)> = (0..self.len())
            .filter_map(|other| {
                let upline = self.upline(other, at);
                let level = upline.iter().position(|above| *above == member)?;
                (level > 0).then(|| (i32::try_from(level).unwrap(), other))
            })
            .collect();
        below.sort_unstable();
        below
    }

    fn has_circle(&self) -> bool {
        let moments = self.sponsors.iter().flat_map(BTreeMap::keys);
        let moments: std::collections::BTreeSet<_> = moments.collect();
        moments
            .into_iter()
            .any(|at| (0..self.len()).any(|member| self.upline(member, *at).len() > self.len()))
    }

    fn is_forbidden_by_sales(&self, at: Moment) -> bool {
        self.settled.iter().any(|sale| *sale >= at)
    }

    /// Moves members, all or none, unless the rules forbid it; says whether they did not.
    pub(crate) fn move_all(&mut self, moves: &[(usize, Option<usize>, Moment)]) -> bool {
        let mut after = self.clone();
        for (member, sponsor, at) in moves {
            if after.sponsors[*member].insert(*at, *sponsor).is_some() {
                return false;
            }
        }
        let allowed = moves.iter().all(|(member, sponsor, at)| {
            let before = after.sponsors[*member].range(..*at).next_back().unwrap().1;
            let left = |sponsor| after.state(sponsor, *at).0 == MemberStatus::Terminated;
            *sponsor != Some(*member)
                && before != sponsor
                && !sponsor.is_some_and(left)
                && !self.is_forbidden_by_sales(*at)
        });
        if allowed && !after.has_circle() {
            *self = after;
            return true;
        }
        false
    }

    /// Changes status and rank, unless the rules forbid it; says whether they did not.
    pub(crate) fn set_state(&mut self, member: usize, state: State, at: Moment) -> bool {
        let before = self.state(member, at);
        let next = self.states[member].range(at..).next().map(|(_, next)| *next);
        let is_undone = next.is_some_and(|next| {
            (state.0 != before.0 && next.0 == before.0)
                || (state.1 != before.1 && next.1 == before.1)
        });
        if self.states[member].contains_key(&at)
            || before == state
            || is_undone
            || self.is_forbidden_by_sales(at)
        {
            return false;
        }
        self.states[member].insert(at, state);
        true
    }

    /// Changes a split, unless the rules forbid it; says whether they did not.
    pub(crate) fn set_split(&mut self, member: usize, split: Split, at: Moment) -> bool {
        if self.splits[member].contains_key(&at)
            || self.split(member, at) == split
            || self.is_forbidden_by_sales(at)
        {
            return false;
        }
        self.splits[member].insert(at, split);
        true
    }
}
