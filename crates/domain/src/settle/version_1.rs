//! Version 1 of the arithmetic, kept as it was: a percentage for each level of the upline.
//!
//! Nothing here changes any more: outcomes that carry this version were made by it, and are verified
//! and explained by it. It shares with its successor the choice of rules, conditions and the one
//! rounding; whoever corrects those gives this version a copy of them as they were.

use crate::amount::{Amount, sum};
use crate::calculation::{Basis, Calculation, Compression, Level, Unilevel, Unqualified};
use crate::decision::{Beneficiary, Decision, EntryType, OutOfRange, Reason, Reward, Verdict};
use crate::inputs::{Inputs, Visit};
use crate::member::MemberStatus;
use crate::rule_set::RuleSet;
use crate::sale::Sale;

use super::choice::{self, Choice};
use super::{Line, Settlement, Unrepeatable, Unsettleable};

pub(super) fn settle(
    sale: &Sale,
    inputs: &Inputs,
    rules: &RuleSet,
) -> Result<Settlement, Unrepeatable> {
    if !sale.lines.is_empty() {
        return Err(Unrepeatable::BeyondVersion1("lines"));
    }
    if rules.caps.is_some() {
        return Err(Unrepeatable::BeyondVersion1("caps"));
    }
    if rules.rules.iter().any(|rule| rule.eligibility.is_some()) {
        return Err(Unrepeatable::BeyondVersion1("eligibility"));
    }
    if inputs.split.is_some() {
        return Err(Unrepeatable::BeyondVersion1("reward splits"));
    }
    let Choice { chosen, unmatched_components } = choice::choose(sale, inputs, rules)?;
    let mut decisions = Vec::new();
    for choice in &chosen {
        decisions.extend(walk(choice.rule, sale, inputs, rules)?);
    }
    let mut lines = Vec::new();
    for (place, decision) in decisions.iter().enumerate() {
        if let (Verdict::Paid(taken), Some(who)) = (decision.verdict, decision.beneficiary) {
            lines.push(Line {
                member_id: who.visit.member_id,
                entry_type: EntryType::LevelCommission,
                level: decision.level,
                depth: who.depth,
                rule: decision.rule,
                amount: taken.money,
                career_points: taken.points,
                decision: place,
            });
        }
    }
    let breakage = decisions.iter().filter_map(|decision| match decision.verdict {
        Verdict::NotPaid(_) => Some(decision.offered.money),
        Verdict::Paid(_) | Verdict::Passed(..) => None,
    });
    let breakage = sum(breakage).ok_or(Unsettleable::from(OutOfRange))?;
    Ok(Settlement { lines, decisions, chosen, unmatched_components, breakage })
}

/// Walks the upline by one rule, level by level.
fn walk(
    rule: usize,
    sale: &Sale,
    inputs: &Inputs,
    rules: &RuleSet,
) -> Result<Vec<Decision>, Unrepeatable> {
    let levels = plain_levels(rules, rule)?;
    let basis = match levels.basis {
        Basis::Amount => sale.amount,
        Basis::Volume => sale.volume,
    };
    let mut decisions = Vec::new();
    for number in 1..=walk_depth(rules)? {
        let listed = levels.levels.iter().find(|level| level.level == number);
        let ancestor = inputs.at(usize::from(number)).copied();
        let offered = listed.map_or_else(Reward::default, |level| {
            let share = |percentage| rules.rounding.share(basis, percentage);
            Reward {
                money: share(level.percentage.unwrap_or_default()),
                points: share(level.career_points_percentage),
            }
        });
        let verdict = match (listed, &ancestor) {
            (None, None) => continue,
            (None, Some(_)) => Verdict::NotPaid(Reason::NoTier),
            (Some(_), None) => Verdict::NotPaid(Reason::NoUpline),
            (Some(level), Some(ancestor)) => judge(level, ancestor, offered),
        };
        let depth = u16::from(number);
        decisions.push(Decision {
            rule,
            level: depth,
            beneficiary: ancestor.map(|visit| Beneficiary { visit, depth }),
            offered,
            verdict,
            rate: None,
            floor: None,
            capped: Amount::ZERO,
        });
    }
    Ok(decisions)
}

/// Whether an ancestor takes what a level offers.
fn judge(level: &Level, ancestor: &Visit, offered: Reward) -> Verdict {
    if ancestor.status != MemberStatus::Active {
        Verdict::NotPaid(Reason::Inactive)
    } else if level.min_rank.as_ref().is_some_and(|lowest| ancestor.rank < lowest.place) {
        Verdict::NotPaid(Reason::UnderRank)
    } else if offered.is_nothing() {
        Verdict::NotPaid(Reason::Zero)
    } else {
        Verdict::Paid(offered)
    }
}

/// How many ancestors a sale could visit.
fn walk_depth(rules: &RuleSet) -> Result<u8, Unrepeatable> {
    let mut deepest = 0;
    for rule in 0..rules.rules.len() {
        let levels = &plain_levels(rules, rule)?.levels;
        deepest = levels.iter().map(|level| level.level).fold(deepest, u8::max);
    }
    Ok(deepest.min(rules.max_levels))
}

/// A rule's calculation, if it is one that this version knew.
fn plain_levels(rules: &RuleSet, rule: usize) -> Result<&Unilevel, Unrepeatable> {
    let Calculation::Unilevel(unilevel) = &rules.rules[rule].calculation else {
        return Err(Unrepeatable::BeyondVersion1(rules.rules[rule].calculation.type_name()));
    };
    let is_plain = unilevel.compression == Compression::None
        && unilevel.unqualified == Unqualified::Breakage
        && unilevel.point_value.is_empty()
        && unilevel.levels.iter().all(|level| level.level > 0 && level.percentage.is_some());
    if is_plain { Ok(unilevel) } else { Err(Unrepeatable::BeyondVersion1("such levels")) }
}
