//! Which rules pay for a sale: each line of it chooses one rule a component.

use crate::amount::{Amount, sum};
use crate::condition::SaleView;
use crate::decision::OutOfRange;
use crate::inputs::Inputs;
use crate::rule_set::{Rule, RuleSet};
use crate::sale::{Sale, SaleLine};

use super::Unsettleable;

/// The rules that apply to a sale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// In the order of the rule set.
    pub chosen: Vec<Chosen>,
    /// Components that have rules, but none that anything of the sale chose.
    pub unmatched_components: Vec<String>,
}

/// A rule with what of the sale chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// The rule, by its place in the rule set.
    pub rule: usize,
    /// The lines that chose it, by their places; empty: the sale as a whole.
    pub lines: Vec<usize>,
    /// Their amount.
    pub amount: Amount,
    /// Their volume.
    pub volume: Amount,
}

/// For each component and everything that chooses by itself, the valid, matching rule of highest
/// priority.
pub(super) fn choose(
    sale: &Sale,
    inputs: &Inputs,
    rules: &RuleSet,
) -> Result<Choice, Unsettleable> {
    if !rules.rules.iter().any(|rule| rule.is_valid_at(sale.as_of)) {
        let (plan, version) = (rules.plan.clone(), rules.version.clone());
        return Err(Unsettleable::NoRule { plan, version });
    }
    // By rule, the places of what chose it.
    let mut choosers: Vec<Vec<usize>> = vec![Vec::new(); rules.rules.len()];
    let mut unmatched_components = Vec::new();
    for (first, rule) in rules.rules.iter().enumerate() {
        let component = &rule.component;
        if rules.rules[..first].iter().any(|earlier| earlier.component == *component) {
            continue;
        }
        let of_component = |place: &usize| {
            let rule: &Rule = &rules.rules[*place];
            rule.component == *component && rule.is_valid_at(sale.as_of)
        };
        let candidates: Vec<usize> = (first..rules.rules.len()).filter(of_component).collect();
        let mut is_matched = false;
        for (place, view) in SaleView::all(sale, inputs).enumerate() {
            if let Some(winner) = winner(&candidates, &view, rules)? {
                choosers[winner].push(place);
                is_matched = true;
            }
        }
        if !is_matched {
            unmatched_components.push(component.clone());
        }
    }
    let mut chosen = Vec::new();
    for (rule, places) in choosers.into_iter().enumerate() {
        if !places.is_empty() {
            chosen.push(total(rule, places, sale)?);
        }
    }
    Ok(Choice { chosen, unmatched_components })
}

/// Of a component's valid rules, the one that one view of the sale chooses.
fn winner(
    candidates: &[usize],
    view: &SaleView<'_>,
    set: &RuleSet,
) -> Result<Option<usize>, Unsettleable> {
    let mut winner: Option<usize> = None;
    for place in candidates {
        if set.rules[*place].matches(view) {
            winner = Some(stronger(winner, *place, set)?);
        }
    }
    Ok(winner)
}

fn stronger(chosen: Option<usize>, place: usize, set: &RuleSet) -> Result<usize, Unsettleable> {
    let Some(other) = chosen else { return Ok(place) };
    let (first, second): (&Rule, &Rule) = (&set.rules[other], &set.rules[place]);
    match first.priority.cmp(&second.priority) {
        std::cmp::Ordering::Less => Ok(place),
        std::cmp::Ordering::Greater => Ok(other),
        std::cmp::Ordering::Equal => {
            Err(Unsettleable::AmbiguousRules { first: first.id.clone(), second: second.id.clone() })
        }
    }
}

/// What chose a rule, summed up: rounding comes after.
fn total(rule: usize, places: Vec<usize>, sale: &Sale) -> Result<Chosen, Unsettleable> {
    if sale.lines.is_empty() {
        let (amount, volume) = (sale.amount, sale.volume);
        return Ok(Chosen { rule, lines: Vec::new(), amount, volume });
    }
    let of_lines = |value: fn(&SaleLine) -> Amount| {
        sum(places.iter().map(|place| value(&sale.lines[*place]))).ok_or(OutOfRange)
    };
    let (amount, volume) = (of_lines(|line| line.amount)?, of_lines(|line| line.volume)?);
    Ok(Chosen { rule, lines: places, amount, volume })
}
