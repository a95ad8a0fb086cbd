//! Settling one sale: who is paid what, and why everyone else is not.
//!
//! ```text
//! sale + inputs (seller and upline as of the sale) + rule set
//!    └─▶ per component: the valid, matching rule of highest priority
//!           └─▶ per level it lists: offered = basis × percentage ÷ 100, rounded once
//!                  └─▶ to the ancestor at that level, or to breakage with a reason
//! ```
//!
//! Each level's offered amount goes whole to a member or whole to breakage, so for every sale and
//! rule paid + breakage = offered (law L6).

use thiserror::Error;
use uuid::Uuid;

use crate::amount::Amount;
use crate::inputs::{Inputs, Visit};
use crate::member::MemberStatus;
use crate::plan::Basis;
use crate::rule_set::{Level, Rule, RuleSet};
use crate::sale::Sale;

/// The version of this arithmetic, stored with every outcome. A later correction becomes a new
/// version beside this one, so that old outcomes still verify.
pub const SEMANTICS_VERSION: i16 = 1;

/// What a sale was computed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// What is paid, in the order of the rule set's rules and of levels.
    pub lines: Vec<Line>,
    /// Every level of every rule that applied, and every ancestor visited.
    pub decisions: Vec<Decision>,
    /// Components that have rules, but none that is valid and matches.
    pub unmatched_components: Vec<String>,
    /// Money that was offered and that nobody qualified for.
    pub breakage: Amount,
}

/// What a line is, in the ledger's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
}

/// What one rule decided on one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The rule, by its place in the rule set.
    pub rule: usize,
    /// The level.
    pub level: u8,
    /// The ancestor who stands there, if the upline reaches so far.
    pub ancestor: Option<Visit>,
    /// Money that the rule offers on this level.
    pub offered: Amount,
    /// Career points that the rule offers on this level.
    pub offered_points: Amount,
    /// Who gets it.
    pub verdict: Verdict,
}

/// Whether the offered amount was paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To the ancestor.
    Paid,
    /// To nobody, for this reason.
    NotPaid(Reason),
}

/// Why an ancestor gets nothing on a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The member's status is not `ACTIVE`.
    Inactive,
    /// The member's rank is below the level's `min_rank`.
    UnderRank,
    /// The upline ends below this level.
    NoUpline,
    /// The rule does not list this level.
    NoTier,
    /// The level's share of this sale rounds to nothing.
    Zero,
}

impl Reason {
    /// The name in programs' output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::UnderRank => "under_rank",
            Self::NoUpline => "no_upline",
            Self::NoTier => "no_tier",
            Self::Zero => "zero",
        }
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
    #[error("the sale's breakage has more digits than the ledger can hold")]
    OutOfRange,
}

/// Computes the outcome of one sale. Pure: the same arguments give the same result (law L4).
pub fn settle(sale: &Sale, inputs: &Inputs, rules: &RuleSet) -> Result<Settlement, Unsettleable> {
    let mut settlement = Settlement {
        lines: Vec::new(),
        decisions: Vec::new(),
        unmatched_components: Vec::new(),
        breakage: Amount::ZERO,
    };
    for (rule, component) in rules_to_apply(sale, rules)? {
        match rule {
            Some(rule) => apply(rule, sale, inputs, rules, &mut settlement)?,
            None => settlement.unmatched_components.push(component.to_owned()),
        }
    }
    Ok(settlement)
}

/// For each component in the order of the file, the rule that pays, if any matches.
fn rules_to_apply<'a>(
    sale: &Sale,
    rules: &'a RuleSet,
) -> Result<Vec<(Option<usize>, &'a str)>, Unsettleable> {
    let mut components: Vec<(Option<usize>, &str)> = Vec::new();
    let mut any_valid = false;
    for (index, rule) in rules.rules.iter().enumerate() {
        if !components.iter().any(|(_, name)| *name == rule.component) {
            components.push((None, &rule.component));
        }
        if !rule.is_valid_at(sale.as_of) {
            continue;
        }
        any_valid = true;
        if !rule.matches(sale) {
            continue;
        }
        for (chosen, name) in &mut components {
            if *name == rule.component {
                *chosen = Some(stronger(*chosen, index, rules)?);
            }
        }
    }
    if any_valid {
        Ok(components)
    } else {
        let (plan, version) = (rules.plan.clone(), rules.version.clone());
        Err(Unsettleable::NoRule { plan, version })
    }
}

fn stronger(chosen: Option<usize>, index: usize, set: &RuleSet) -> Result<usize, Unsettleable> {
    let Some(other) = chosen else { return Ok(index) };
    let (first, second): (&Rule, &Rule) = (&set.rules[other], &set.rules[index]);
    match first.priority.cmp(&second.priority) {
        std::cmp::Ordering::Less => Ok(index),
        std::cmp::Ordering::Greater => Ok(other),
        std::cmp::Ordering::Equal => {
            Err(Unsettleable::AmbiguousRules { first: first.id.clone(), second: second.id.clone() })
        }
    }
}

/// Walks the upline by one rule, level by level.
fn apply(
    index: usize,
    sale: &Sale,
    inputs: &Inputs,
    rules: &RuleSet,
    settlement: &mut Settlement,
) -> Result<(), Unsettleable> {
    let calculation = &rules.rules[index].calculation;
    let basis = match calculation.basis {
        Basis::Amount => sale.amount,
        Basis::Volume => sale.volume,
    };
    for number in 1..=rules.walk_depth() {
        let listed = calculation.levels.iter().find(|level| level.level == number);
        let ancestor = inputs.at(usize::from(number));
        let (offered, offered_points) = listed.map_or((Amount::ZERO, Amount::ZERO), |level| {
            let share = |percentage| rules.rounding.share(basis, percentage);
            (share(level.percentage), share(level.career_points_percentage))
        });
        let verdict = match (listed, ancestor) {
            (None, None) => continue,
            (None, Some(_)) => Verdict::NotPaid(Reason::NoTier),
            (Some(_), None) => Verdict::NotPaid(Reason::NoUpline),
            (Some(level), Some(ancestor)) => judge(level, ancestor, offered, offered_points),
        };
        match (verdict, ancestor) {
            (Verdict::Paid, Some(ancestor)) => settlement.lines.push(Line {
                member_id: ancestor.member_id,
                entry_type: EntryType::LevelCommission,
                level: u16::from(number),
                depth: u16::from(number),
                rule: index,
                amount: offered,
                career_points: offered_points,
            }),
            _ => {
                settlement.breakage =
                    settlement.breakage.checked_add(offered).ok_or(Unsettleable::OutOfRange)?;
            }
        }
        settlement.decisions.push(Decision {
            rule: index,
            level: number,
            ancestor: ancestor.copied(),
            offered,
            offered_points,
            verdict,
        });
    }
    Ok(())
}

/// Whether an ancestor takes what a level offers.
fn judge(level: &Level, ancestor: &Visit, money: Amount, points: Amount) -> Verdict {
    if ancestor.status != MemberStatus::Active {
        Verdict::NotPaid(Reason::Inactive)
    } else if !level.admits(ancestor.rank) {
        Verdict::NotPaid(Reason::UnderRank)
    } else if money.is_zero() && points.is_zero() {
        Verdict::NotPaid(Reason::Zero)
    } else {
        Verdict::Paid
    }
}

#[cfg(test)]
#[path = "settle_tests.rs"]
pub(crate) mod tests;
