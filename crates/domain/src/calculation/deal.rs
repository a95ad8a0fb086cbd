//! What a calculation decides about: a sale, or those of its lines that chose the rule.

use crate::amount::{Amount, Rounding};
use crate::condition::{Candidate, Condition};
use crate::decision::{Beneficiary, Decision, Reason, Reward, Verdict};
use crate::inputs::Inputs;
use crate::ladder::Ladder;
use crate::member::MemberStatus;
use crate::sale::Sale;

/// A sale as one rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Deal<'a> {
    /// The rule, by its place in the rule set.
    pub rule: usize,
    /// The sale.
    pub sale: &'a Sale,
    /// Seller and upline as they stood.
    pub inputs: &'a Inputs,
    /// The amount of what chose the rule.
    pub amount: Amount,
    /// The volume of what chose the rule.
    pub volume: Amount,
    /// Levels that unilevel rules pay at most.
    pub max_levels: u8,
    /// How amounts are rounded.
    pub rounding: Rounding,
    /// Who may take what the rule pays; `None`: everybody who is ACTIVE.
    pub eligibility: Option<&'a Condition>,
}

impl<'a> Deal<'a> {
    /// The member at that depth: 0 is the seller, 1 the sponsor.
    pub(super) fn at(&self, depth: u16) -> Option<Beneficiary> {
        let visit = *self.inputs.at(usize::from(depth))?;
        Some(Beneficiary { visit, depth })
    }

    /// Everybody above the seller, the sponsor first.
    pub(super) fn upline(&self) -> impl Iterator<Item = Beneficiary> + use<'a> {
        let visits = (1_u16..).zip(&self.inputs.upline);
        visits.map(|(depth, visit)| Beneficiary { visit: *visit, depth })
    }

    /// Whether somebody can earn at all on a level: ACTIVE, and eligible by the rule.
    pub(super) fn can_earn(&self, who: &Beneficiary, level: u16) -> Result<(), Reason> {
        check_active(who)?;
        self.check_eligible(who, level)
    }

    /// Whether the rule's eligibility admits somebody to a level.
    pub(super) fn check_eligible(&self, who: &Beneficiary, level: u16) -> Result<(), Reason> {
        let candidate = self.candidate(who, level);
        match self.eligibility {
            Some(condition) if !condition.holds(&candidate) => Err(Reason::Ineligible),
            _ => Ok(()),
        }
    }

    /// What stands in the way of eligibility, in words.
    pub(crate) fn why_ineligible(&self, who: &Beneficiary, level: u16, ladder: &Ladder) -> String {
        let candidate = self.candidate(who, level);
        self.eligibility.map_or_else(String::new, |condition| condition.why_not(&candidate, ladder))
    }

    fn candidate<'b>(&'b self, who: &'b Beneficiary, level: u16) -> Candidate<'b> {
        Candidate { visit: &who.visit, level, depth: who.depth, sale: self.sale }
    }

    /// A decision of this rule.
    pub(super) fn decision(
        &self,
        level: u16,
        beneficiary: Option<Beneficiary>,
        offered: Reward,
        verdict: Verdict,
    ) -> Decision {
        Decision {
            rule: self.rule,
            level,
            beneficiary,
            offered,
            verdict,
            rate: None,
            floor: None,
            capped: Amount::ZERO,
        }
    }
}

/// Only ACTIVE members earn.
pub(super) fn check_active(who: &Beneficiary) -> Result<(), Reason> {
    match who.visit.status {
        MemberStatus::Active => Ok(()),
        MemberStatus::Inactive | MemberStatus::Suspended | MemberStatus::Terminated => {
            Err(Reason::Inactive)
        }
    }
}
