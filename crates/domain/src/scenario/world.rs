//! What production keeps in PostgreSQL, in memory: the members with their history, and the rules.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::read::NewMember;
use crate::history::{self, BEGINNING_OF_TIME, Change, Recorded, Refusal, State};
use crate::inputs::{Inputs, Visit};
use crate::ladder::Rank;
use crate::member::MemberStatus;
use crate::network::DEPTH_MAX;
use crate::reward_split::RewardSplit;
use crate::rule_book::{CannotRetire, Conflict, PlanVersion, Retirement, RuleBook};
use crate::rule_set::RuleSet;

use super::run::Refusing;

/// Members, their history, and the rules.
#[derive(Default)]
pub(super) struct World {
    recorded: Recorded,
    joined_at: HashMap<Uuid, DateTime<Utc>>,
    pub(super) book: RuleBook,
}

impl World {
    /// Enrols a member: their first sponsor, status and rank hold from the beginning of time.
    pub(super) fn enrol(&mut self, member: &NewMember) -> Result<(), Refusing> {
        if self.joined_at.contains_key(&member.id) {
            return Err(Refusing::new("id_taken", "a member with this id is enrolled already"));
        }
        if let Some(sponsor_id) = member.sponsor_id
            && !self.joined_at.contains_key(&sponsor_id)
        {
            return Err(Refusing::new("unknown_sponsor", "the sponsor is not enrolled"));
        }
        let at = BEGINNING_OF_TIME;
        let state = State { status: member.status, rank: member.rank };
        self.joined_at.insert(member.id, member.joined_at);
        self.recorded.sponsors.entry(member.id).or_default().insert(at, member.sponsor_id);
        self.recorded.states.entry(member.id).or_default().insert(at, state);
        self.recorded.splits.entry(member.id).or_default().insert(at, RewardSplit::default());
        Ok(())
    }

    /// Changes a member's history, unless it or a settled sale, by its moment, forbids that.
    pub(super) fn change(
        &mut self,
        change: Change,
        settled: impl Iterator<Item = DateTime<Utc>>,
    ) -> Result<(), Refusing> {
        // There is no clock here: the present is after everything.
        let now = DateTime::<Utc>::MAX_UTC;
        let plan = history::plan(&[change], &self.recorded, now).map_err(|refusals| {
            let first = refusals.into_iter().next();
            first.map_or_else(|| Refusing::new("refused", ""), |(_, refusal)| refusal.into())
        })?;
        let at = change.effective_at.unwrap_or(now);
        if let Some(sale_at) = settled.filter(|sale_at| *sale_at >= at).max() {
            return Err(Refusal::SettledSales { sale_at }.into());
        }
        let Recorded { sponsors, states, splits } = &mut self.recorded;
        for planned in plan.moves {
            sponsors.entry(planned.member_id).or_default().insert(at, planned.new_sponsor_id);
        }
        for planned in plan.states {
            states.entry(planned.member_id).or_default().insert(at, planned.new);
        }
        for planned in plan.splits {
            splits.entry(planned.member_id).or_default().insert(at, planned.new);
        }
        Ok(())
    }

    /// The book with one more version; `None`: it has the same content already.
    pub(super) fn with_version(&self, rule_set: &RuleSet) -> Result<Option<RuleBook>, Refusing> {
        if self.book.versions().iter().any(|version| version.rule_set == *rule_set) {
            return Ok(None);
        }
        self.book.check_addition(rule_set)?;
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let mut versions = self.book.versions().to_vec();
        versions.push(PlanVersion {
            number: number(versions.len() + 1),
            rule_numbers: (0..rule_set.rules.len()).map(number).collect(),
            rule_set: rule_set.clone(),
        });
        let retirements = self.book.retirements().iter().cloned();
        Ok(Some(RuleBook::new(versions).with_retirements(retirements)))
    }

    /// The book with one more retirement; `None`: it has it already.
    pub(super) fn with_retirement(
        &self,
        retirement: &Retirement,
    ) -> Result<Option<RuleBook>, Refusing> {
        match self.book.check_retirement(&retirement.plan, retirement.from) {
            Err(CannotRetire::RetiredBefore { .. })
                if self.book.retirements().contains(retirement) =>
            {
                Ok(None)
            }
            checked => {
                checked?;
                Ok(Some(self.book.clone().with_retirements([retirement.clone()])))
            }
        }
    }

    /// The seller and everybody above as of a moment; `None`: the seller is not enrolled.
    pub(super) fn inputs(&self, seller_id: Uuid, as_of: DateTime<Utc>) -> Option<Inputs> {
        let seller = self.visit(seller_id, as_of)?;
        let mut upline: Vec<Visit> = Vec::new();
        let mut next = self.sponsor(seller_id, as_of);
        while let Some(id) = next.filter(|_| upline.len() < usize::from(DEPTH_MAX)) {
            upline.extend(self.visit(id, as_of));
            next = self.sponsor(id, as_of);
        }
        let sponsor = upline.first().map(|visit| visit.member_id);
        let split = sponsor.and_then(|id| held(self.recorded.splits.get(&id)?, as_of));
        Some(Inputs { seller, upline, split: split.filter(|split| !split.keeps_everything()) })
    }

    fn sponsor(&self, member_id: Uuid, at: DateTime<Utc>) -> Option<Uuid> {
        held(self.recorded.sponsors.get(&member_id)?, at)?
    }

    fn visit(&self, member_id: Uuid, at: DateTime<Utc>) -> Option<Visit> {
        let State { status, rank }: State = held(self.recorded.states.get(&member_id)?, at)?;
        let (status, rank): (MemberStatus, Rank) = (status, rank);
        Some(Visit { member_id, rank, status, joined_at: self.joined_at.get(&member_id).copied() })
    }
}

/// What held at a moment.
fn held<T: Copy>(
    timeline: &std::collections::BTreeMap<DateTime<Utc>, T>,
    at: DateTime<Utc>,
) -> Option<T> {
    timeline.range(..=at).next_back().map(|(_, value)| *value)
}

impl From<Refusal> for Refusing {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.cause(), &refusal.to_string())
    }
}

impl From<Conflict> for Refusing {
    fn from(conflict: Conflict) -> Self {
        let cause = match conflict {
            Conflict::SameStart { .. } => "same_start",
            Conflict::SameSales { .. } => "same_sales",
        };
        Self::new(cause, &conflict.to_string())
    }
}

impl From<CannotRetire> for Refusing {
    fn from(error: CannotRetire) -> Self {
        let cause = match error {
            CannotRetire::UnknownPlan { .. } => "unknown_plan",
            CannotRetire::NotBegun { .. } => "not_begun",
            CannotRetire::BeginsThen { .. } => "begins_then",
            CannotRetire::RetiredBefore { .. } => "retired_before",
        };
        Self::new(cause, &error.to_string())
    }
}
