//! Settling one sale: who is paid what, and why everyone else is not.
//!
//! ```text
//! sale + inputs (seller and upline as of the sale) + rule set
//!    └─▶ each line of the sale (or the sale as a whole) chooses one rule a component: the valid,
//!        matching one of highest priority                                        [choice]
//!           └─▶ each chosen rule decides on the sum of what chose it              [calculation]
//!                  └─▶ caps cut what is too much                                  [caps]
//!                         └─▶ sponsors share direct rewards with the seller       [posting]
//! ```
//!
//! Every offer of a rule goes to a member or to breakage with a reason, and what caps cut is
//! breakage too. So for every sale and rule paid + breakage = offered (law L6).

mod choice;
mod posting;
mod version_1;

use std::collections::BTreeMap;

use thiserror::Error;
use uuid::Uuid;

use crate::amount::{self, Amount};
use crate::calculation::Deal;
use crate::decision::{Decision, EntryType, OutOfRange, Reason};
use crate::inputs::Inputs;
use crate::rule_set::RuleSet;
use crate::sale::Sale;

pub use self::choice::{Choice, Chosen};

/// The version of the arithmetic that makes outcomes now, stored with each of them. A correction
/// becomes a new version beside this one, so that old outcomes still verify.
///
/// - 1: `unilevel` without compression, for whole sales.
/// - 2: every calculation, lines, caps and reward splits. What version 1 knew pays the same.
pub const SEMANTICS_VERSION: i16 = 2;

/// What a sale was computed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// What is paid, in the order of the rule set's rules and of their decisions.
    pub lines: Vec<Line>,
    /// What each rule that applied decided, about everybody visited and every offer.
    pub decisions: Vec<Decision>,
    /// The rules that applied, with what of the sale chose them.
    pub chosen: Vec<Chosen>,
    /// Components that have rules, but none that is valid and matches.
    pub unmatched_components: Vec<String>,
    /// Money that was offered and that nobody gets.
    pub breakage: Amount,
}

/// One line of the commission ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who is paid.
    pub member_id: Uuid,
    /// What it is.
    pub entry_type: EntryType,
    /// The level that is paid; 0 is the seller.
    pub level: u16,
    /// How far above the seller the member stands.
    pub depth: u16,
    /// The rule, by its place in the rule set.
    pub rule: usize,
    /// Money, in the sale's currency.
    pub amount: Amount,
    /// Career points.
    pub career_points: Amount,
    /// The decision that it comes from, by its place.
    pub decision: usize,
}

impl Settlement {
    /// Money that nobody gets, by reason.
    #[must_use]
    pub fn breakage_by_reason(&self) -> BTreeMap<Reason, Amount> {
        let mut by_reason: BTreeMap<Reason, Amount> = BTreeMap::new();
        for (reason, money) in self.decisions.iter().flat_map(Decision::breakage) {
            let sum = by_reason.entry(reason).or_default();
            // Part of the settlement's breakage, which fits.
            *sum = sum.checked_add(money).unwrap_or(*sum);
        }
        by_reason
    }

    /// How many ancestors were visited.
    #[must_use]
    pub fn visited(&self) -> usize {
        let depths = self.decisions.iter().filter_map(|decision| decision.beneficiary);
        usize::from(depths.map(|who| who.depth).max().unwrap_or(0))
    }
}

/// Why a sale cannot be settled by a rule set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unsettleable {
    /// The version has rules, but none on that day.
    #[error("plan {plan} {version} has no rule that is valid at the sale's moment")]
    NoRule {
        /// The plan.
        plan: String,
        /// Its version.
        version: String,
    },
    /// Two rules have an equal claim.
    #[error("rules {first} and {second} both match with the same priority")]
    AmbiguousRules {
        /// One rule's id.
        first: String,
        /// The other's.
        second: String,
    },
    /// Sums beyond what an amount can hold.
    #[error("{OutOfRange}")]
    OutOfRange,
}

/// Why an outcome cannot be computed again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unrepeatable {
    /// It could not have been computed by these rules at all.
    #[error("cannot be computed again: {0}")]
    Unsettleable(#[from] Unsettleable),
    /// Made by arithmetic that this program does not know.
    #[error(
        "computed by version {0} of the arithmetic; this program knows 1 to {SEMANTICS_VERSION}"
    )]
    Semantics(i16),
    /// A rule set or a sale that version 1 never knew.
    #[error("cannot be computed again: version 1 of the arithmetic knows no {0}")]
    BeyondVersion1(&'static str),
}

impl From<OutOfRange> for Unsettleable {
    fn from(_: OutOfRange) -> Self {
        Self::OutOfRange
    }
}

/// Computes the outcome of one sale. Pure: the same arguments give the same result (law L4).
pub fn settle(sale: &Sale, inputs: &Inputs, rules: &RuleSet) -> Result<Settlement, Unsettleable> {
    let Choice { chosen, unmatched_components } = choice::choose(sale, inputs, rules)?;
    let mut decisions = Vec::new();
    for choice in &chosen {
        let rule = &rules.rules[choice.rule];
        let deal = choice.deal(sale, inputs, rules);
        rule.calculation.as_calculate().decide(&deal, &mut decisions)?;
    }
    let lines = posting::post(sale, inputs, rules, &mut decisions)?;
    let breakage = decisions.iter().flat_map(Decision::breakage).map(|(_, money)| money);
    let breakage = amount::sum(breakage).ok_or(OutOfRange)?;
    Ok(Settlement { lines, decisions, chosen, unmatched_components, breakage })
}

/// Computes an outcome again by the arithmetic that made it.
pub fn settle_as(
    semantics: i16,
    sale: &Sale,
    inputs: &Inputs,
    rules: &RuleSet,
) -> Result<Settlement, Unrepeatable> {
    match semantics {
        1 => version_1::settle(sale, inputs, rules),
        SEMANTICS_VERSION => Ok(settle(sale, inputs, rules)?),
        other => Err(Unrepeatable::Semantics(other)),
    }
}

impl Chosen {
    /// The sale as the chosen rule sees it.
    #[must_use]
    pub fn deal<'a>(&self, sale: &'a Sale, inputs: &'a Inputs, rules: &'a RuleSet) -> Deal<'a> {
        Deal {
            rule: self.rule,
            sale,
            inputs,
            amount: self.amount,
            volume: self.volume,
            max_levels: rules.max_levels,
            rounding: rules.rounding,
            eligibility: rules.rules[self.rule].eligibility.as_ref(),
        }
    }
}

#[cfg(test)]
#[path = "settle_tests.rs"]
pub(crate) mod tests;
