//! What a settled sale was computed to, level by level, computed again.

use anyhow::{Context as _, anyhow};
use domain::amount::{Amount, Percentage};
use domain::inputs::{Inputs, Visit};
use domain::ladder::Ladder;
use domain::period::Programme;
use domain::plan::Basis;
use domain::rule_book::PlanVersion;
use domain::rule_set::{Level, Rule, RuleSet};
use domain::sale::Sale;
use domain::settle::{Decision, Reason, Settlement, Verdict};
use rust_decimal::Decimal;
use serde::Serialize;
use store::audit::StoredOutcome;
use store::events::EventDetail;
use store::{PgConnection, plans, programme};
use uuid::Uuid;

use super::{People, Person};
use crate::{calendar, plan, recompute};

/// A settled sale's outcome.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "programs know the time as settled_at everywhere")]
pub(crate) struct Settled {
    pub(crate) settled_at: Option<String>,
    pub(crate) plan: String,
    pub(crate) version: String,
    pub(crate) plan_name: String,
    pub(crate) number: i32,
    pub(crate) rule_set: String,
    pub(crate) valid_from: String,
    /// The seller's rank and status at the sale's moment.
    pub(crate) seller: Standing,
    /// The rules that applied.
    pub(crate) rules: Vec<AppliedRule>,
    /// The rules that did not.
    pub(crate) other_rules: Vec<OtherRule>,
    pub(crate) offered: String,
    pub(crate) paid: String,
    pub(crate) breakage: String,
    pub(crate) career_points: String,
    /// Where the ledger differs from this computation. Never, unless somebody changed it.
    pub(crate) differences: Vec<String>,
}

/// A member as of the sale's moment.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Standing {
    #[serde(flatten)]
    pub(crate) person: Person,
    pub(crate) rank: String,
    pub(crate) status: &'static str,
}

/// A rule that applied to the sale.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AppliedRule {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) component: String,
    /// `amount` or `volume`.
    pub(crate) basis: &'static str,
    pub(crate) offered: String,
    pub(crate) paid: String,
    pub(crate) breakage: String,
    pub(crate) levels: Vec<LevelStory>,
}

/// What happened on one level.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LevelStory {
    pub(crate) level: u8,
    /// Who stands there; `None`: the upline does not reach so far.
    pub(crate) member: Option<Standing>,
    pub(crate) offered: String,
    pub(crate) offered_points: String,
    /// The multiplications, written out.
    pub(crate) calculations: Vec<String>,
    pub(crate) paid: bool,
    /// Why not, by name.
    pub(crate) reason: Option<&'static str>,
    /// The same as a sentence.
    pub(crate) verdict: String,
}

/// A rule that did not apply.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OtherRule {
    pub(crate) id: String,
    pub(crate) component: String,
    pub(crate) why: String,
}

/// Computes a stored outcome again. Also returns who it speaks of, and the seller.
pub(super) async fn load(
    conn: &mut PgConnection,
    event: &EventDetail,
    outcome: &StoredOutcome,
    programme: &Programme,
) -> anyhow::Result<(Settled, People, Uuid)> {
    let ladder = programme::ladder(conn).await?;
    let book = plans::rule_book(conn).await?;
    let number = outcome.plan_number;
    let version = book.version(number).with_context(|| {
        format!("plan version number {number}, which priced the sale, does not exist")
    })?;
    let (inputs, settlement) = recompute::settlement(outcome, version)
        .map_err(|reason| anyhow!("the outcome of event {}: {reason}", event.id))?;
    let everybody = std::iter::once(&inputs.seller).chain(&inputs.upline);
    let ids: Vec<Uuid> = everybody.map(|visit| visit.member_id).collect();
    let people = People::find(conn, &ids).await?;
    let teller = Teller { sale: &outcome.sale, inputs, version, ladder: &ladder, people: &people };
    let mut settled = teller.tell(&settlement, programme);
    settled.settled_at = event.settled_at.map(calendar::rfc3339);
    settled.differences = recompute::differences(outcome, version, programme);
    let seller = inputs.seller.member_id;
    Ok((settled, people, seller))
}

/// What a story is told from.
pub(super) struct Teller<'a> {
    pub(super) sale: &'a Sale,
    pub(super) inputs: &'a Inputs,
    pub(super) version: &'a PlanVersion,
    pub(super) ladder: &'a Ladder,
    pub(super) people: &'a People,
}

impl Teller<'_> {
    /// Tells what was computed.
    pub(super) fn tell(&self, settlement: &Settlement, programme: &Programme) -> Settled {
        let rule_set = &self.version.rule_set;
        let all = || settlement.decisions.iter();
        let points = all().filter(|decision| decision.verdict == Verdict::Paid);
        let applied = |(index, rule)| {
            let decisions: Vec<&Decision> =
                all().filter(|decision| decision.rule == index).collect();
            (!decisions.is_empty()).then(|| self.applied_rule(rule, &decisions))
        };
        Settled {
            settled_at: None,
            plan: rule_set.plan.clone(),
            version: rule_set.version.clone(),
            plan_name: rule_set.name.clone(),
            number: self.version.number,
            rule_set: RuleSet::hash(&rule_set.content()).to_string(),
            valid_from: calendar::beginning(programme, rule_set.valid_from),
            seller: self.standing(&self.inputs.seller),
            rules: rule_set.rules.iter().enumerate().filter_map(applied).collect(),
            other_rules: self.other_rules(settlement),
            offered: sum(all().map(|decision| decision.offered)),
            paid: sum(settlement.lines.iter().map(|line| line.amount)),
            breakage: settlement.breakage.to_string(),
            career_points: sum(points.map(|decision| decision.offered_points)),
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

    fn applied_rule(&self, rule: &Rule, decisions: &[&Decision]) -> AppliedRule {
        let is_paid = |decision: &&&Decision| decision.verdict == Verdict::Paid;
        let offered = |decision: &&Decision| decision.offered;
        AppliedRule {
            id: rule.id.clone(),
            name: rule.name.clone(),
            component: rule.component.clone(),
            basis: plan::basis(rule.calculation.basis),
            offered: sum(decisions.iter().map(offered)),
            paid: sum(decisions.iter().filter(is_paid).map(offered)),
            breakage: sum(decisions.iter().filter(|d| !is_paid(d)).map(offered)),
            levels: decisions.iter().map(|decision| self.level(rule, decision)).collect(),
        }
    }

    fn level(&self, rule: &Rule, decision: &Decision) -> LevelStory {
        let number = decision.level;
        let level = rule.calculation.levels.iter().find(|level| level.level == number);
        let (paid, reason) = match decision.verdict {
            Verdict::Paid => (true, None),
            Verdict::NotPaid(reason) => (false, Some(reason)),
        };
        LevelStory {
            level: number,
            member: decision.ancestor.as_ref().map(|visit| self.standing(visit)),
            offered: decision.offered.to_string(),
            offered_points: decision.offered_points.to_string(),
            calculations: level
                .map(|level| self.calculations(rule, level, decision))
                .unwrap_or_default(),
            paid,
            reason: reason.map(Reason::name),
            verdict: reason.map_or_else(
                || self.paid_sentence(decision),
                |reason| self.reason_sentence(reason, level, decision),
            ),
        }
    }

    fn calculations(&self, rule: &Rule, level: &Level, decision: &Decision) -> Vec<String> {
        let (basis, unit) = match rule.calculation.basis {
            Basis::Amount => (self.sale.amount, format!(" {}", self.sale.currency)),
            Basis::Volume => (self.sale.volume, " volume".to_owned()),
        };
        let mut written = Vec::new();
        if !level.percentage.is_zero() {
            written.push(product(level.percentage, basis, &unit, decision.offered));
        }
        if !level.career_points_percentage.is_zero() {
            let points = decision.offered_points;
            let line = product(level.career_points_percentage, basis, &unit, points);
            written.push(format!("{line} career points"));
        }
        written
    }

    fn paid_sentence(&self, decision: &Decision) -> String {
        let currency = self.sale.currency;
        match (decision.offered.is_zero(), decision.offered_points.is_zero()) {
            (false, true) => format!("paid {} {currency}", decision.offered),
            (true, _) => format!("credited {} career points", decision.offered_points),
            (false, false) => format!(
                "paid {} {currency}, credited {} career points",
                decision.offered, decision.offered_points
            ),
        }
    }

    fn reason_sentence(
        &self,
        reason: Reason,
        level: Option<&Level>,
        decision: &Decision,
    ) -> String {
        let visit = decision.ancestor.as_ref();
        match reason {
            Reason::Inactive => {
                let status = visit.map_or("unknown", |visit| visit.status.name());
                format!("not paid: the status was {status}; only ACTIVE members earn")
            }
            Reason::UnderRank => {
                let rank = visit.map_or_else(String::new, |visit| self.ladder.name(visit.rank));
                let lowest = level.and_then(|level| level.min_rank.as_ref());
                let lowest = lowest.map_or("the lowest allowed", |lowest| lowest.name.as_str());
                format!("not paid: rank {rank} is below {lowest}")
            }
            Reason::NoUpline => match self.inputs.upline.len() {
                0 => "not paid: the seller has no sponsor".to_owned(),
                levels => format!("not paid: the upline ends at level {levels}"),
            },
            Reason::NoTier => {
                format!("nothing to get: the rule lists no level {}", decision.level)
            }
            Reason::Zero => "nothing to get: the share rounds to zero".to_owned(),
        }
    }

    fn other_rules(&self, settlement: &Settlement) -> Vec<OtherRule> {
        let rules = &self.version.rule_set.rules;
        let has_decided = |index: usize| settlement.decisions.iter().any(|d| d.rule == index);
        let others = rules.iter().enumerate().filter(|(index, _)| !has_decided(*index));
        let why = |rule: &Rule| {
            let winner = rules
                .iter()
                .enumerate()
                .find(|(index, other)| other.component == rule.component && has_decided(*index));
            if !rule.is_valid_at(self.sale.as_of) {
                "it was not valid at the sale's moment".to_owned()
            } else if !rule.matches(self.sale) {
                let condition = rule.condition.as_ref().map_or_else(String::new, plan::phrase);
                format!("the sale does not fulfil its condition: {condition}")
            } else if let Some((_, winner)) = winner {
                format!("rule {} has the higher priority, {}", winner.id, winner.priority)
            } else {
                "it lists no level that the plan pays".to_owned()
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

/// `3.00 % of 199.9000 GBP = 5.9970`; where rounding changed it, the exact product too.
fn product(percentage: Percentage, basis: Amount, unit: &str, result: Amount) -> String {
    let exact = percentage
        .to_string()
        .parse::<Decimal>()
        .ok()
        .and_then(|factor| (factor * Decimal::new(1, 2)).checked_mul(basis.to_decimal()))
        .map(|exact| exact.normalize());
    match exact.filter(|exact| *exact != result.to_decimal()) {
        Some(exact) => format!("{percentage} % of {basis}{unit} = {exact}, rounded {result}"),
        None => format!("{percentage} % of {basis}{unit} = {result}"),
    }
}

/// Sums may have more digits than an amount.
fn sum(amounts: impl Iterator<Item = Amount>) -> String {
    format!("{:.4}", amounts.map(Amount::to_decimal).sum::<Decimal>())
}
