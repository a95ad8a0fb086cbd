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

use chrono::TimeDelta;
use thiserror::Error;
use uuid::Uuid;

use crate::amount::{self, Amount};
use crate::calculation::Deal;
use crate::inputs::{Inputs, Visit};
use crate::rule_set::RuleSet;
use crate::sale::Sale;

pub use self::choice::{Choice, Chosen, SaleView};

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

/// What a line is, in the ledger's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryType {
    /// A share for a level of the upline.
    LevelCommission,
    /// The difference between a rank's rate and the highest below.
    Differential,
    /// Once a sale: fixed, fast start or by tiers.
    Bonus,
    /// The seller's part of a direct reward that the sponsor shares.
    ReferralReward,
}

impl EntryType {
    /// Every type that settlement writes.
    pub const ALL: [Self; 4] =
        [Self::LevelCommission, Self::Differential, Self::Bonus, Self::ReferralReward];

    /// The name in the database and in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LevelCommission => "LEVEL_COMMISSION",
            Self::Differential => "DIFFERENTIAL",
            Self::Bonus => "BONUS",
            Self::ReferralReward => "REFERRAL_REWARD",
        }
    }
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

/// Money and career points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reward {
    /// In the sale's currency.
    pub money: Amount,
    /// Career points.
    pub points: Amount,
}

impl Reward {
    /// Neither money nor points.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self.money.is_zero() && self.points.is_zero()
    }

    /// The higher of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { money: self.money.max(other.money), points: self.points.max(other.points) }
    }

    /// The difference of each.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Some(Self {
            money: self.money.checked_sub(other.money)?,
            points: self.points.checked_sub(other.points)?,
        })
    }
}

/// Somebody on the way up, or the seller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beneficiary {
    /// As they stood.
    pub visit: Visit,
    /// How far above the seller.
    pub depth: u16,
}

/// What one rule decided about one person, or about an offer that nobody is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The rule, by its place in the rule set.
    pub rule: usize,
    /// The level; 0 is the seller.
    pub level: u16,
    /// Who; `None`: the upline does not reach so far.
    pub beneficiary: Option<Beneficiary>,
    /// What was on offer here. Nothing when the offer stays open for the next member.
    pub offered: Reward,
    /// Who gets it.
    pub verdict: Verdict,
    /// Which of the rule's rates was taken, by its place, where there are several.
    pub rate: Option<usize>,
    /// Differential: the highest rate below, by its place.
    pub floor: Option<usize>,
    /// What caps cut of the money that was taken.
    pub capped: Amount,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The member takes this of it; the rest is breakage, `rate_below_top`.
    Paid(Reward),
    /// Nobody gets it, for this reason.
    NotPaid(Reason),
    /// The member does not get it for this reason, and it goes on to the next one.
    Passed(Reason, Passage),
}

/// How an offer goes on to the next member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Compression: the member uses up no level.
    Compressed,
    /// The level rolls up.
    RolledUp,
}

/// Why somebody gets nothing, or why money is breakage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The member's status is not `ACTIVE`.
    Inactive,
    /// The member's rank is below what the level asks for.
    UnderRank,
    /// The rule's eligibility does not admit the member.
    Ineligible,
    /// The upline ends below.
    NoUpline,
    /// The rule does not list this level, or the sale is below the first tier.
    NoTier,
    /// The share of this sale rounds to nothing.
    Zero,
    /// Higher ranks would get more; nobody of such a rank was there.
    RateBelowTop,
    /// Differential: the member's rate is not above the highest below.
    NotHigher,
    /// Differential: the seller's own rate counts, but is not paid here.
    Counted,
    /// Fast start: the seller joined too long ago.
    OutsideWindow,
    /// The rule has no amount or point value in the sale's currency.
    NoRate,
    /// A cap of the plan cut it.
    Capped,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 12] = [
        Self::Inactive,
        Self::UnderRank,
        Self::Ineligible,
        Self::NoUpline,
        Self::NoTier,
        Self::Zero,
        Self::RateBelowTop,
        Self::NotHigher,
        Self::Counted,
        Self::OutsideWindow,
        Self::NoRate,
        Self::Capped,
    ];

    /// The name in programs' output and in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::UnderRank => "under_rank",
            Self::Ineligible => "ineligible",
            Self::NoUpline => "no_upline",
            Self::NoTier => "no_tier",
            Self::Zero => "zero",
            Self::RateBelowTop => "rate_below_top",
            Self::NotHigher => "not_higher",
            Self::Counted => "counted",
            Self::OutsideWindow => "outside_window",
            Self::NoRate => "no_rate",
            Self::Capped => "capped",
        }
    }
}

impl Passage {
    /// Every way.
    pub const ALL: [Self; 2] = [Self::Compressed, Self::RolledUp];

    /// The name in programs' output and in scenarios.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Compressed => "compressed",
            Self::RolledUp => "rolled_up",
        }
    }
}

impl Decision {
    /// Why the member gets nothing, by name: a passage goes before the reason behind it.
    #[must_use]
    pub fn reason_name(&self) -> Option<&'static str> {
        match self.verdict {
            Verdict::Paid(taken) if taken.money == self.capped && taken.points.is_zero() => {
                Some(Reason::Capped.name())
            }
            Verdict::Paid(_) => None,
            Verdict::NotPaid(reason) => Some(reason.name()),
            Verdict::Passed(_, passage) => Some(passage.name()),
        }
    }

    /// The money that is breakage, by reason.
    pub fn breakage(&self) -> impl Iterator<Item = (Reason, Amount)> {
        let lost = match self.verdict {
            Verdict::NotPaid(reason) => [Some((reason, self.offered.money)), None],
            Verdict::Passed(..) => [None, None],
            Verdict::Paid(taken) => [
                // Nobody takes more than is offered, so the difference fits.
                self.offered
                    .money
                    .checked_sub(taken.money)
                    .map(|rest| (Reason::RateBelowTop, rest)),
                Some((Reason::Capped, self.capped)),
            ],
        };
        lost.into_iter().flatten().filter(|(_, money)| !money.is_zero())
    }
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

/// Sums beyond what an amount can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("what the sale offers has more digits than the ledger can hold")]
pub struct OutOfRange;

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

/// Whole 24-hour days from joining to the sale; none before joining.
pub(crate) fn days_since_joining(visit: &Visit, sale: &Sale) -> Option<Amount> {
    let elapsed = sale.as_of.signed_duration_since(visit.joined_at?);
    let days = elapsed.max(TimeDelta::zero()).num_days();
    Amount::from_units(i128::from(days) * 10_000)
}

#[cfg(test)]
#[path = "settle_tests.rs"]
pub(crate) mod tests;
