//! From decisions to ledger lines: caps, and rewards that sponsors share.

use crate::amount::{Amount, Percentage};
use crate::caps::Claim;
use crate::decision::{Decision, EntryType, OutOfRange, Reward, Verdict};
use crate::inputs::Inputs;
use crate::member::MemberStatus;
use crate::rule_set::RuleSet;
use crate::sale::Sale;

use super::Line;

/// The lines of everybody who takes something. Notes in the decisions what caps cut.
pub(super) fn post(
    sale: &Sale,
    inputs: &Inputs,
    rules: &RuleSet,
    decisions: &mut [Decision],
) -> Result<Vec<Line>, OutOfRange> {
    cap(sale, rules, decisions)?;
    let mut lines = Vec::with_capacity(decisions.len());
    for (place, decision) in decisions.iter().enumerate() {
        let (Verdict::Paid(taken), Some(who)) = (decision.verdict, decision.beneficiary) else {
            continue;
        };
        let calculation = rules.rules[decision.rule].calculation.as_calculate();
        let line = Line {
            member_id: who.visit.member_id,
            entry_type: calculation.entry_type(),
            level: decision.level,
            depth: who.depth,
            rule: decision.rule,
            amount: taken.money.checked_sub(decision.capped).ok_or(OutOfRange)?,
            career_points: taken.points,
            decision: place,
        };
        match referral(&line, inputs, rules) {
            None => lines.push(line),
            Some(referral) => {
                let shared = |whole: Amount, part| whole.checked_sub(part).ok_or(OutOfRange);
                let amount = shared(line.amount, referral.amount)?;
                let career_points = shared(line.career_points, referral.career_points)?;
                lines.push(Line { amount, career_points, ..line });
                lines.push(referral);
            }
        }
    }
    lines.retain(|line| !Reward { money: line.amount, points: line.career_points }.is_nothing());
    Ok(lines)
}

/// Cuts what is above the plan's caps.
fn cap(sale: &Sale, rules: &RuleSet, decisions: &mut [Decision]) -> Result<(), OutOfRange> {
    let Some(caps) = &rules.caps else { return Ok(()) };
    let taken = |decision: &mut Decision| match decision.verdict {
        Verdict::Paid(taken) => Some(taken.money),
        Verdict::NotPaid(_) | Verdict::Passed(..) => None,
    };
    let mut paid: Vec<(&mut Decision, Amount)> = decisions
        .iter_mut()
        .filter_map(|decision| taken(decision).map(|money| (decision, money)))
        .collect();
    let claims: Vec<Claim> = paid
        .iter()
        .map(|(decision, money)| Claim { level: decision.level, money: *money })
        .collect();
    let granted = caps.apply(sale, rules.rounding, &claims).ok_or(OutOfRange)?;
    for ((decision, money), granted) in paid.iter_mut().zip(granted) {
        decision.capped = money.checked_sub(granted).ok_or(OutOfRange)?;
    }
    Ok(())
}

/// The seller's part of a line of level 1 that their own sponsor gets, if the sponsor shares it and
/// the seller can earn. The part is rounded; the sponsor keeps the rest.
fn referral(line: &Line, inputs: &Inputs, rules: &RuleSet) -> Option<Line> {
    let split = inputs.split?;
    if (line.level, line.depth) != (1, 1) || inputs.seller.status != MemberStatus::Active {
        return None;
    }
    // Fixed amounts and caps may be finer than the rounding, which must not make more of them.
    let part =
        |whole: Amount, to_self: Percentage| rules.rounding.share(whole, to_self.rest()).min(whole);
    let amount = part(line.amount, split.money_to_self);
    let career_points = part(line.career_points, split.points_to_self);
    if (Reward { money: amount, points: career_points }).is_nothing() {
        return None;
    }
    Some(Line {
        member_id: inputs.seller.member_id,
        entry_type: EntryType::ReferralReward,
        depth: 0,
        amount,
        career_points,
        ..line.clone()
    })
}
