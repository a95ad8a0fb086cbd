//! What a settled sale was computed to, decision by decision.

use serde::Serialize;

use super::verdict::Limits;
use super::{People, Person, sum};
use crate::calculation::Deal;
use crate::calendar;
use crate::condition::SaleView;
use crate::decision::Decision;
use crate::inputs::{Inputs, Visit};
use crate::ladder::Ladder;
use crate::period::Programme;
use crate::rule_book::PlanVersion;
use crate::rule_set::{Rule, RuleSet};
use crate::sale::Sale;
use crate::settle::{Chosen, Line, Settlement};

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
    /// What the plan's caps allow this sale to pay, in sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
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
    /// Which sales it is for; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Who may take what it pays; `None`: everybody who is ACTIVE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligibility: Option<String>,
    /// The lines of the sale that chose it; empty: the sale as a whole.
    pub lines: Vec<String>,
    /// The amount of what chose it.
    pub amount: String,
    /// The volume of what chose it.
    pub volume: String,
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
    /// The multiplications, written out; then what caps and the reward split make of them.
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
        let limits = self.limits(settlement);
        let rules = settlement.chosen.iter();
        let rules = rules.map(|chosen| self.applied_rule(chosen, settlement, &limits));
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
            caps: self.caps_sentences(&limits),
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

    /// Tells the one decision that a ledger line comes from.
    pub(super) fn tell_line(
        &self,
        settlement: &Settlement,
        line: &Line,
    ) -> Option<(&Rule, LevelStory)> {
        let rule = self.version.rule_set.rules.get(line.rule)?;
        let chosen = settlement.chosen.iter().find(|chosen| chosen.rule == line.rule)?;
        let deal = chosen.deal(self.sale, self.inputs, &self.version.rule_set);
        let limits = self.limits(settlement);
        let story = self.decision(rule, &deal, settlement, line.decision, &limits)?;
        Some((rule, story))
    }

    /// The products that a ledger line is paid for: those of the sale's lines that chose its rule.
    pub(super) fn products(&self, settlement: &Settlement, line: &Line) -> Vec<String> {
        let chosen = settlement.chosen.iter().find(|chosen| chosen.rule == line.rule);
        let places = chosen.iter().flat_map(|chosen| &chosen.lines);
        let of_line = |place: &usize| self.sale.lines[*place].product_id.clone();
        let mut products: Vec<String> = places.map(of_line).collect();
        products.extend(self.sale.product_id.clone().filter(|_| self.sale.lines.is_empty()));
        products.dedup();
        products
    }

    pub(super) fn standing(&self, visit: &Visit) -> Standing {
        Standing {
            person: self.people.person(visit.member_id),
            rank: self.ladder.name(visit.rank),
            status: visit.status.name(),
        }
    }

    fn applied_rule(
        &self,
        chosen: &Chosen,
        settlement: &Settlement,
        limits: &Limits,
    ) -> AppliedRule {
        let rule = &self.version.rule_set.rules[chosen.rule];
        let deal = chosen.deal(self.sale, self.inputs, &self.version.rule_set);
        let decisions = || {
            let all = settlement.decisions.iter().enumerate();
            all.filter(|(_, decision)| decision.rule == chosen.rule)
        };
        let paid = settlement.lines.iter().filter(|line| line.rule == chosen.rule);
        let breakage = decisions().flat_map(|(_, decision)| decision.breakage());
        let stories = decisions()
            .filter_map(|(place, _)| self.decision(rule, &deal, settlement, place, limits));
        AppliedRule {
            id: rule.id.clone(),
            name: rule.name.clone(),
            component: rule.component.clone(),
            calculation: rule.calculation.type_name(),
            condition: rule.condition.as_ref().map(crate::condition::Condition::phrase),
            eligibility: rule.eligibility.as_ref().map(crate::condition::Condition::phrase),
            lines: chosen.lines.iter().map(|place| self.sale.lines[*place].id.clone()).collect(),
            amount: chosen.amount.to_string(),
            volume: chosen.volume.to_string(),
            offered: sum(decisions().map(|(_, decision)| decision.offered.money)),
            paid: sum(paid.map(|line| line.amount)),
            breakage: sum(breakage.map(|(_, money)| money)),
            levels: stories.collect(),
        }
    }

    /// Tells the decision at that place.
    pub(super) fn decision(
        &self,
        rule: &Rule,
        deal: &Deal<'_>,
        settlement: &Settlement,
        place: usize,
        limits: &Limits,
    ) -> Option<LevelStory> {
        let decision: &Decision = settlement.decisions.get(place)?;
        let posted: Vec<&Line> =
            settlement.lines.iter().filter(|line| line.decision == place).collect();
        let lines = posted.iter().map(|line| Posted {
            member: self.people.person(line.member_id),
            entry_type: line.entry_type.name(),
            amount: line.amount.to_string(),
            career_points: line.career_points.to_string(),
        });
        let mut calculations = rule.calculation.as_calculate().written_out(deal, decision);
        calculations.extend(self.after_the_offer(decision, &posted, limits));
        Some(LevelStory {
            level: decision.level,
            member: decision.beneficiary.as_ref().map(|who| self.standing(&who.visit)),
            depth: decision.beneficiary.map(|who| who.depth),
            offered: decision.offered.money.to_string(),
            offered_points: decision.offered.points.to_string(),
            calculations,
            paid: !posted.is_empty(),
            reason: decision.reason_name(),
            verdict: self.verdict(rule, deal, decision, &posted),
            lines: lines.collect(),
        })
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
