//! What a sale would have paid in another world: by other rules, with another rank, or with the tree
//! of another moment. Nothing of it is ever stored.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{Person, Teller, sum};
use crate::amount::{Amount, Total};
use crate::decision::EntryType;
use crate::rule_set::RuleSet;
use crate::settle::Settlement;

/// A sale as it was settled, or as it would have been.
#[derive(Clone, Debug)]
pub struct World<'a> {
    /// Sale, inputs and rules.
    pub teller: Teller<'a>,
    /// What they were computed to.
    pub settlement: Settlement,
}

/// What somebody gets of one component, in two worlds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Who.
    pub member: Person,
    /// The component.
    pub component: String,
    /// As it was.
    pub before: Part,
    /// As it would be.
    pub after: Part,
}

/// What somebody gets in one world, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The level; `None`: nothing is decided about them.
    pub level: Option<u16>,
    /// The rule.
    pub rule: Option<String>,
    /// The ledger type; `None`: there is no line.
    #[serde(rename = "type")]
    pub entry_type: Option<&'static str>,
    /// Money.
    pub amount: String,
    /// Career points.
    pub career_points: String,
    /// Multiplications and verdict.
    pub why: String,
}

/// A value in both worlds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Both {
    /// As it is.
    pub before: String,
    /// As it would be.
    pub after: String,
}

impl Both {
    /// Both values as they are printed.
    #[must_use]
    pub fn of(before: impl ToString, after: impl ToString) -> Self {
        Self { before: before.to_string(), after: after.to_string() }
    }
}

impl std::fmt::Display for Both {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} → {}", self.before, self.after)
    }
}

/// What two worlds pay in all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Money paid.
    pub paid: Both,
    /// Money that nobody gets.
    pub breakage: Both,
    /// Career points credited.
    pub career_points: Both,
}

impl Totals {
    /// What two worlds pay in all.
    #[must_use]
    pub fn of(before: &Settlement, after: &Settlement) -> Self {
        let paid = |of: &Settlement| sum(of.lines.iter().map(|line| line.amount));
        let points = |of: &Settlement| sum(of.lines.iter().map(|line| line.career_points));
        Self {
            paid: Both::of(paid(before), paid(after)),
            breakage: Both::of(before.breakage, after.breakage),
            career_points: Both::of(points(before), points(after)),
        }
    }
}

/// The rules as if they had come into force before a moment: what begins with the version begins
/// with it; a rule with days of its own keeps them.
#[must_use]
pub fn as_if_in_force(rules: &RuleSet, moment: DateTime<Utc>) -> RuleSet {
    let mut earlier = rules.clone();
    let begins = rules.valid_from.min(moment);
    for rule in &mut earlier.rules {
        if rule.valid_from == rules.valid_from {
            rule.valid_from = begins;
        }
    }
    earlier.valid_from = begins;
    earlier
}

/// The money that a member gets.
#[must_use]
pub fn money_of(settlement: &Settlement, member_id: Uuid) -> Total {
    let own = settlement.lines.iter().filter(|line| line.member_id == member_id);
    own.map(|line| line.amount).sum()
}

/// Whom a line is for: the member, the component, and whether it is the seller's part of a split.
type Key = (Uuid, String, bool);

impl World<'_> {
    /// The places of the lines, by whom they are for.
    fn lines(&self) -> BTreeMap<Key, Vec<usize>> {
        let mut lines: BTreeMap<Key, Vec<usize>> = BTreeMap::new();
        for (place, line) in self.settlement.lines.iter().enumerate() {
            let component = self.teller.version.rule_set.rules[line.rule].component.clone();
            let is_shared = line.entry_type == EntryType::ReferralReward;
            lines.entry((line.member_id, component, is_shared)).or_default().push(place);
        }
        lines
    }

    fn part(&self, place: usize) -> Part {
        let line = &self.settlement.lines[place];
        let told = self.teller.tell_line(&self.settlement, line);
        let (rule, why) = match told {
            Some((rule, story)) => {
                let mut words = story.calculations;
                words.push(story.verdict);
                (Some(rule.id.clone()), words.join("; "))
            }
            None => (None, String::new()),
        };
        Part {
            level: Some(line.level),
            rule,
            entry_type: Some(line.entry_type.name()),
            amount: line.amount.to_string(),
            career_points: line.career_points.to_string(),
            why,
        }
    }

    /// Why a member has no such line here: the verdict on them, on that level if there is one.
    fn absence(&self, (member_id, component, is_shared): &Key, level: Option<u16>) -> Part {
        let zero = Amount::ZERO.to_string();
        let nothing = |why: String| Part {
            level: None,
            rule: None,
            entry_type: None,
            amount: zero.clone(),
            career_points: zero.clone(),
            why,
        };
        if *is_shared {
            return nothing("the sponsor shares no reward of this kind with the seller".to_owned());
        }
        let rules = &self.teller.version.rule_set.rules;
        let own = || {
            self.settlement.decisions.iter().enumerate().filter(|(_, decision)| {
                let who = decision.beneficiary.map(|who| who.visit.member_id);
                who == Some(*member_id) && rules[decision.rule].component == *component
            })
        };
        let on_level = own().find(|(_, decision)| Some(decision.level) == level);
        if let Some((place, decision)) = on_level.or_else(|| own().next()) {
            let rule = &rules[decision.rule];
            let chosen = self.settlement.chosen.iter().find(|chosen| chosen.rule == decision.rule);
            let verdict = chosen.and_then(|chosen| {
                let Teller { sale, inputs, version, .. } = self.teller;
                let deal = chosen.deal(sale, inputs, &version.rule_set);
                let limits = self.teller.limits(&self.settlement);
                self.teller.decision(rule, &deal, &self.settlement, place, &limits)
            });
            return Part {
                level: Some(decision.level),
                rule: Some(rule.id.clone()),
                ..nothing(verdict.map(|story| story.verdict).unwrap_or_default())
            };
        }
        let inputs = self.teller.inputs;
        let mut everybody = std::iter::once(&inputs.seller).chain(&inputs.upline);
        let stands_there = everybody.any(|visit| visit.member_id == *member_id);
        let has_component = rules.iter().any(|rule| rule.component == *component);
        nothing(if !has_component {
            format!("the plan has no component {component}")
        } else if self.settlement.unmatched_components.contains(component) {
            format!("no rule of component {component} is for such a sale")
        } else if stands_there {
            "the rules do not reach this place of the upline".to_owned()
        } else {
            "stands neither in the upline nor is the seller".to_owned()
        })
    }
}

/// Line by line, what is different in the other world; of one member alone, if one is given.
#[must_use]
pub fn compare(before: &World<'_>, after: &World<'_>, only: Option<Uuid>) -> Vec<Change> {
    let (old, new) = (before.lines(), after.lines());
    let mut keys: Vec<&Key> = old.keys().chain(new.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let mut changes = Vec::new();
    for key in keys.into_iter().filter(|(member_id, ..)| only.is_none_or(|only| only == *member_id))
    {
        let places = |of: &BTreeMap<Key, Vec<usize>>| of.get(key).cloned().unwrap_or_default();
        let person = after.teller.people.person(key.0);
        let level = |world: &World<'_>, place: usize| world.settlement.lines[place].level;
        for (was, would_be) in
            pair(&places(&old), &places(&new), |a, b| level(before, a) == level(after, b))
        {
            let (a, b) = match (was, would_be) {
                (Some(a), Some(b)) => (before.part(a), after.part(b)),
                (Some(a), None) => (before.part(a), after.absence(key, Some(level(before, a)))),
                (None, Some(b)) => (before.absence(key, Some(level(after, b))), after.part(b)),
                (None, None) => continue,
            };
            if (&a.amount, &a.career_points) != (&b.amount, &b.career_points) {
                let (member, component) = (person.clone(), key.1.clone());
                changes.push(Change { member, component, before: a, after: b });
            }
        }
    }
    let place = |change: &Change| change.before.level.or(change.after.level);
    changes.sort_by_key(|change| place(change));
    changes
}

/// Lines of one kind beside one another: those that fit, then the only two that are left.
fn pair(
    old: &[usize],
    new: &[usize],
    fits: impl Fn(usize, usize) -> bool,
) -> Vec<(Option<usize>, Option<usize>)> {
    let mut left: Vec<usize> = new.to_vec();
    let mut pairs = Vec::new();
    let mut alone = Vec::new();
    for a in old {
        match left.iter().position(|b| fits(*a, *b)) {
            Some(place) => pairs.push((Some(*a), Some(left.remove(place)))),
            None => alone.push(*a),
        }
    }
    if let ([a], [b]) = (alone.as_slice(), left.as_slice()) {
        pairs.push((Some(*a), Some(*b)));
        return pairs;
    }
    pairs.extend(alone.into_iter().map(|a| (Some(a), None)));
    pairs.extend(left.into_iter().map(|b| (None, Some(b))));
    pairs
}

#[cfg(test)]
#[path = "worlds_tests.rs"]
mod tests;
