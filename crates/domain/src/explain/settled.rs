//! What a settled sale was computed to, decision by decision.

use rust_decimal::Decimal;
use serde::Serialize;

use super::{People, Person};
use crate::amount::Amount;
use crate::calculation::Deal;
use crate::calendar;
use crate::inputs::{Inputs, Visit};
use crate::ladder::Ladder;
use crate::period::Programme;
use crate::rule_book::PlanVersion;
use crate::rule_set::{Rule, RuleSet};
use crate::sale::Sale;
use crate::settle::{
    Beneficiary, Chosen, Decision, EntryType, Line, Passage, Reason, Reward, SaleView, Settlement,
    Verdict,
};

/// A settled sale's outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Settled {
    /// When; `None`: it is computed, not stored.
    pub settled_at: Option<String>,
    /// The plan.
    pub plan: String,
    /// The version's label.
    pub version: String,
    /// The plan's title.
    pub plan_name: String,
    /// The version's number.
    pub number: i32,
    /// The hash of the rule set.
    pub rule_set: String,
    /// From when on the version holds.
    pub valid_from: String,
    /// The seller's rank and status at the sale's moment.
    pub seller: Standing,
    /// The rules that applied.
    pub rules: Vec<AppliedRule>,
    /// The rules that did not.
    pub other_rules: Vec<OtherRule>,
    /// Money that all rules offered.
    pub offered: String,
    /// Money that is paid.
    pub paid: String,
    /// Money that nobody gets.
    pub breakage: String,
    /// The same by reason.
    pub breakage_by_reason: Vec<(&'static str, String)>,
    /// Career points that are credited.
    pub career_points: String,
    /// Where the ledger differs from this computation. Never, unless somebody changed it.
    pub differences: Vec<String>,
}

/// A member as of the sale's moment.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Who.
    #[serde(flatten)]
    pub person: Person,
    /// The rank then.
    pub rank: String,
    /// The status then.
    pub status: &'static str,
}

/// A rule that applied to the sale.
#[derive(Clone, Debug, Serialize)]
pub struct AppliedRule {
    /// The rule's id.
    pub id: String,
    /// Its title.
    pub name: String,
    /// Its component.
    pub component: String,
    /// The type of its calculation.
    pub calculation: &'static str,
    /// The lines of the sale that chose it; empty: the sale as a whole.
    pub lines: Vec<String>,
    /// Money that it offered.
    pub offered: String,
    /// Money that it pays.
    pub paid: String,
    /// Money of it that nobody gets.
    pub breakage: String,
    /// Decision by decision.
    pub levels: Vec<LevelStory>,
}

/// What was decided about one person, or about an offer that nobody was there for.
#[derive(Clone, Debug, Serialize)]
pub struct LevelStory {
    /// The level; 0 is the seller.
    pub level: u16,
    /// Who; `None`: the upline does not reach so far.
    pub member: Option<Standing>,
    /// How far above the seller they stand.
    pub depth: Option<u16>,
    /// Money that was on offer here.
    pub offered: String,
    /// Career points that were on offer here.
    pub offered_points: String,
    /// The multiplications, written out.
    pub calculations: Vec<String>,
    /// Whether the member is paid something.
    pub paid: bool,
    /// Why not, by name.
    pub reason: Option<&'static str>,
    /// What became of it, in sentences.
    pub verdict: String,
    /// The ledger lines that came of it.
    pub lines: Vec<Posted>,
}

/// A ledger line.
#[derive(Clone, Debug, Serialize)]
pub struct Posted {
    /// Who is paid.
    pub member: Person,
    /// The ledger type.
    #[serde(rename = "type")]
    pub entry_type: &'static str,
    /// Money.
    pub amount: String,
    /// Career points.
    pub career_points: String,
}

/// A rule that did not apply.
#[derive(Clone, Debug, Serialize)]
pub struct OtherRule {
    /// The rule's id.
    pub id: String,
    /// Its component.
    pub component: String,
    /// Why it did not.
    pub why: String,
}

/// What a story is told from.
#[derive(Clone, Copy, Debug)]
pub struct Teller<'a> {
    /// The facts.
    pub sale: &'a Sale,
    /// Seller and upline as they stood.
    pub inputs: &'a Inputs,
    /// The plan version.
    pub version: &'a PlanVersion,
    /// The names of ranks.
    pub ladder: &'a Ladder,
    /// The names of members.
    pub people: &'a People,
}

impl Teller<'_> {
    /// Tells what was computed.
    #[must_use]
    pub fn tell(&self, settlement: &Settlement, programme: &Programme) -> Settled {
        let rule_set = &self.version.rule_set;
        let rules = settlement.chosen.iter().map(|chosen| self.applied_rule(chosen, settlement));
        let by_reason = settlement.breakage_by_reason().into_iter();
        Settled {
            settled_at: None,
            plan: rule_set.plan.clone(),
            version: rule_set.version.clone(),
            plan_name: rule_set.name.clone(),
            number: self.version.number,
            rule_set: RuleSet::hash(&rule_set.content()).to_string(),
            valid_from: calendar::beginning(programme, rule_set.valid_from),
            seller: self.standing(&self.inputs.seller),
            rules: rules.collect(),
            other_rules: self.other_rules(settlement),
            offered: sum(settlement.decisions.iter().map(|decision| decision.offered.money)),
            paid: sum(settlement.lines.iter().map(|line| line.amount)),
            breakage: settlement.breakage.to_string(),
            breakage_by_reason: by_reason
                .map(|(reason, money)| (reason.name(), money.to_string()))
                .collect(),
            career_points: sum(settlement.lines.iter().map(|line| line.career_points)),
            differences: Vec::new(),
        }
    }

    fn standing(&self, visit: &Visit) -> Standing {
        Standing {
            person: self.people.person(visit.member_id),
            rank: self.ladder.name(visit.rank),
            status: visit.status.name(),
        }
    }

    fn applied_rule(&self, chosen: &Chosen, settlement: &Settlement) -> AppliedRule {
        let rule = &self.version.rule_set.rules[chosen.rule];
        let deal = chosen.deal(self.sale, self.inputs, &self.version.rule_set);
        let decisions: Vec<(usize, &Decision)> = settlement
            .decisions
            .iter()
            .enumerate()
            .filter(|(_, decision)| decision.rule == chosen.rule)
            .collect();
        let paid = settlement.lines.iter().filter(|line| line.rule == chosen.rule);
        let breakage = decisions.iter().flat_map(|(_, decision)| decision.breakage());
        AppliedRule {
            id: rule.id.clone(),
            name: rule.name.clone(),
            component: rule.component.clone(),
            calculation: rule.calculation.type_name(),
            lines: chosen.lines.iter().map(|place| self.sale.lines[*place].id.clone()).collect(),
            offered: sum(decisions.iter().map(|(_, decision)| decision.offered.money)),
            paid: sum(paid.map(|line| line.amount)),
            breakage: sum(breakage.map(|(_, money)| money)),
            levels: decisions
                .into_iter()
                .map(|(place, decision)| {
                    let posted: Vec<&Line> =
                        settlement.lines.iter().filter(|line| line.decision == place).collect();
                    self.level(rule, &deal, decision, &posted)
                })
                .collect(),
        }
    }

    /// Tells one decision.
    fn level(
        &self,
        rule: &Rule,
        deal: &Deal<'_>,
        decision: &Decision,
        posted: &[&Line],
    ) -> LevelStory {
        let lines = posted.iter().map(|line| Posted {
            member: self.people.person(line.member_id),
            entry_type: line.entry_type.name(),
            amount: line.amount.to_string(),
            career_points: line.career_points.to_string(),
        });
        LevelStory {
            level: decision.level,
            member: decision.beneficiary.as_ref().map(|who| self.standing(&who.visit)),
            depth: decision.beneficiary.map(|who| who.depth),
            offered: decision.offered.money.to_string(),
            offered_points: decision.offered.points.to_string(),
            calculations: rule.calculation.as_calculate().written_out(deal, decision),
            paid: !posted.is_empty(),
            reason: decision.reason_name(),
            verdict: self.verdict(rule, deal, decision, posted),
            lines: lines.collect(),
        }
    }

    fn verdict(
        &self,
        rule: &Rule,
        deal: &Deal<'_>,
        decision: &Decision,
        posted: &[&Line],
    ) -> String {
        match decision.verdict {
            Verdict::Paid(taken) => self.paid_sentence(decision, taken, posted),
            Verdict::NotPaid(reason) => {
                let sentence = self.reason_sentence(rule, deal, decision, reason);
                match reason {
                    Reason::NoTier | Reason::Zero | Reason::NoRate | Reason::Counted => {
                        format!("nothing to get: {sentence}")
                    }
                    Reason::OutsideWindow => format!("not offered: {sentence}"),
                    _ => format!("not paid: {sentence}"),
                }
            }
            Verdict::Passed(reason, passage) => {
                let sentence = self.reason_sentence(rule, deal, decision, reason);
                match passage {
                    Passage::Compressed => {
                        format!("compressed, uses up no level: {sentence}")
                    }
                    Passage::RolledUp => {
                        format!("not paid, the level rolls up: {sentence}")
                    }
                }
            }
        }
    }

    fn paid_sentence(&self, decision: &Decision, taken: Reward, posted: &[&Line]) -> String {
        let currency = self.sale.currency;
        let mut sentences = Vec::new();
        if let Some(rest) = decision.offered.checked_sub(taken)
            && !rest.money.is_zero()
        {
            let offered = decision.offered.money;
            sentences.push(format!(
                "of the {offered} {currency} that the highest rank would get, {} is breakage",
                rest.money
            ));
        }
        if !decision.capped.is_zero() {
            let (cut, money) = (decision.capped, taken.money);
            sentences.push(format!("a cap cuts {cut} of {money} {currency}"));
        }
        for line in posted {
            let gets = match (line.amount.is_zero(), line.career_points.is_zero()) {
                (false, true) => format!("paid {} {currency}", line.amount),
                (true, _) => format!("credited {} career points", line.career_points),
                (false, false) => format!(
                    "paid {} {currency}, credited {} career points",
                    line.amount, line.career_points
                ),
            };
            sentences.push(if line.entry_type == EntryType::ReferralReward {
                let seller = self.people.person(line.member_id).label();
                format!("by the sponsor's reward split {seller} is {gets}")
            } else {
                gets
            });
        }
        sentences.join("; ")
    }

    /// Why somebody gets nothing, with what was compared.
    fn reason_sentence(
        &self,
        rule: &Rule,
        deal: &Deal<'_>,
        decision: &Decision,
        reason: Reason,
    ) -> String {
        let who = decision.beneficiary.as_ref();
        let rank = || who.map_or_else(String::new, |who| self.ladder.name(who.visit.rank));
        let currency = self.sale.currency;
        match reason {
            Reason::Inactive => {
                let status = who.map_or("unknown", |who| who.visit.status.name());
                format!("the status was {status}; only ACTIVE members earn")
            }
            Reason::UnderRank => {
                let lowest = rule.calculation.as_calculate().lowest_rank(decision.level);
                let lowest =
                    lowest.map_or_else(|| "the lowest allowed".to_owned(), |rank| rank.name);
                format!("rank {} is below {lowest}", rank())
            }
            Reason::Ineligible => {
                let values =
                    |who: &Beneficiary| deal.why_ineligible(who, decision.level, self.ladder);
                format!("not eligible: {}", who.map(values).unwrap_or_default())
            }
            Reason::NoUpline => match self.inputs.upline.len() {
                0 => "the seller has no sponsor".to_owned(),
                levels => format!("the upline ends at level {levels}"),
            },
            Reason::NoTier if rule.calculation.pays_levels() => {
                format!("the rule lists no level {}", decision.level)
            }
            Reason::NoTier => "the sale is below the first tier".to_owned(),
            Reason::Zero => "the share rounds to zero".to_owned(),
            Reason::RateBelowTop if who.is_none() => "nobody above has the highest rate".to_owned(),
            Reason::RateBelowTop => format!("the rate of rank {} is nothing", rank()),
            Reason::NotHigher => {
                format!("the rate of rank {} is not above the highest one below", rank())
            }
            Reason::Counted => {
                "the seller's own rate counts, but is not paid by this rule".to_owned()
            }
            Reason::OutsideWindow => match self.inputs.seller.joined_at {
                Some(joined_at) => format!(
                    "the seller joined at {}, too long before the sale",
                    calendar::rfc3339(joined_at)
                ),
                None => "nobody knows when the seller joined".to_owned(),
            },
            Reason::NoRate => format!("the rule says nothing about {currency}"),
            Reason::Capped => "a cap of the plan cuts it".to_owned(),
        }
    }

    fn other_rules(&self, settlement: &Settlement) -> Vec<OtherRule> {
        let rules = &self.version.rule_set.rules;
        let applied = |place: usize| settlement.chosen.iter().any(|chosen| chosen.rule == place);
        let others = rules.iter().enumerate().filter(|(place, _)| !applied(*place));
        let why = |rule: &Rule| {
            let winner = rules
                .iter()
                .enumerate()
                .find(|(place, other)| other.component == rule.component && applied(*place));
            let views = || SaleView::all(self.sale, self.inputs);
            if !rule.is_valid_at(self.sale.as_of) {
                "it was not valid at the sale's moment".to_owned()
            } else if !views().any(|view| rule.matches(&view)) {
                let condition = rule.condition.as_ref();
                let mut values: Vec<String> = views()
                    .map(|view| {
                        condition.map_or_else(String::new, |c| c.why_not(&view, self.ladder))
                    })
                    .collect();
                values.dedup();
                format!("its condition does not hold: {}", values.join("; "))
            } else if let Some((_, winner)) = winner {
                format!("rule {} has the higher priority, {}", winner.id, winner.priority)
            } else {
                "another rule has the higher priority".to_owned()
            }
        };
        let other = |(_, rule): (usize, &Rule)| OtherRule {
            id: rule.id.clone(),
            component: rule.component.clone(),
            why: why(rule),
        };
        others.map(other).collect()
    }
}

/// Sums may have more digits than an amount.
fn sum(amounts: impl Iterator<Item = Amount>) -> String {
    format!("{:.4}", amounts.map(Amount::to_decimal).sum::<Decimal>())
}
