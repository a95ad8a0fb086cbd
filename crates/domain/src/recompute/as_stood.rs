//! Comparing stored inputs with the history of then (law L8).
//!
//! Computing an outcome again from its own inputs proves that it follows from them, not that they
//! are true. So the outcome is computed from the history as well, and what that visits is what must
//! be stored: an upline that was cut short would be seen to go on.

use crate::calendar;
use crate::inputs::{Inputs, Visit};
use crate::ladder::Ladder;
use crate::period::Programme;
use crate::reward_split::RewardSplit;
use crate::rule_book::PlanVersion;
use crate::settle;

use super::StoredOutcome;

/// Version 1 of the arithmetic kept the upline as far as any rule of the set might have gone;
/// later ones keep what was visited.
const KEPT_MORE_THAN_VISITED: i16 = 1;

/// The first difference between stored inputs and those that the history gives: which place in the
/// upline, what is stored, and what held. Nothing when settlement would store the very same bytes;
/// nothing either where inputs cannot be read, which [`super::differences`] says.
///
/// `stood` is seller and upline at the sale's moment, at least as deep as the rule set reads, with
/// joining moments where it asks for them.
#[must_use]
pub fn difference_from_history(
    stored: &StoredOutcome,
    version: &PlanVersion,
    stood: &Inputs,
    (programme, ladder): (&Programme, &Ladder),
) -> Option<String> {
    let kept = stored.inputs.as_ref().ok()?;
    let rules = &version.rule_set;
    let computed = settle::settle_as(stored.semantics, &stored.sale, stood, rules);
    let visited = match &computed {
        Ok(settlement) if stored.semantics == KEPT_MORE_THAN_VISITED => {
            settlement.visited().max(kept.upline.len())
        }
        Ok(settlement) => settlement.visited(),
        Err(_) => kept.upline.len(),
    };
    let mut truth = stood.clone();
    truth.keep_read(visited, rules.reads().joined_at);
    let moment = calendar::moment(programme, stored.sale.as_of);
    if let Some(difference) = first_difference(kept, &truth, stood, ladder) {
        return Some(format!("its stored inputs are not what held at {moment}: {difference}"));
    }
    // Inputs that are true and cannot be computed from are the other comparison's finding.
    let error = computed.err()?;
    let own = settle::settle_as(stored.semantics, &stored.sale, kept, rules);
    own.is_ok().then(|| format!("from the history of {moment} it cannot be computed: {error}"))
}

fn first_difference(
    kept: &Inputs,
    truth: &Inputs,
    stood: &Inputs,
    ladder: &Ladder,
) -> Option<String> {
    let says = |visit: &Visit| describe(visit, ladder);
    let deepest = kept.upline.len().max(truth.upline.len());
    for depth in 0..=deepest {
        let place = place(depth);
        let difference = match (kept.at(depth), truth.at(depth)) {
            (Some(stored), Some(held)) if stored == held => continue,
            (None, None) => continue,
            (Some(stored), Some(held)) => {
                format!("{place} is stored as {}, by the history {}", says(stored), says(held))
            }
            (Some(stored), None) => {
                let end = if stood.at(depth).is_some() {
                    "settling from the history looks no further than the place before"
                } else {
                    "by the history the upline ended before"
                };
                format!("{place} is stored as {}, but {end}", says(stored))
            }
            (None, Some(held)) => {
                format!("they end before {place}, which by the history was {}", says(held))
            }
        };
        return Some(difference);
    }
    (kept.split != truth.split).then(|| {
        format!(
            "the sponsor's reward split is stored as {}, by the history {}",
            shares(kept.split),
            shares(truth.split)
        )
    })
}

fn place(depth: usize) -> String {
    match depth {
        0 => "the seller".to_owned(),
        depth => format!("place {depth} of the upline"),
    }
}

fn describe(visit: &Visit, ladder: &Ladder) -> String {
    let Visit { member_id, rank, status, joined_at } = visit;
    let joined = joined_at.map_or_else(String::new, |moment| format!(", joined {moment}"));
    format!("{member_id} ({}, {status}{joined})", ladder.name(*rank))
}

fn shares(split: Option<RewardSplit>) -> String {
    split.map_or_else(
        || "keeping everything".to_owned(),
        |RewardSplit { money_to_self, points_to_self }| {
            format!("keeping {money_to_self} % of money and {points_to_self} % of points")
        },
    )
}

#[cfg(test)]
#[path = "as_stood_tests.rs"]
mod tests;
