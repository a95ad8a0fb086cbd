//! What came of a scenario beside what was expected.

use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use super::describe;
use super::expected::{BreakageFile, ExpectFile, ExpectedLine, ExpectedReason, MoneyFile};
use super::pairing::pair;
use super::read::{Scenario, member_id};
use super::run::{Outcome, Run, SaleRun, UNKNOWN_MEMBER};
use super::steps::{Step, StepKind};
use crate::amount::Total;
use crate::decision::{Decision, Reason, Verdict};
use crate::sale::Currency;
use crate::settle::Line;

/// Something that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it is about, such as `totals.jana`.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was computed.
    pub computed: String,
}

/// Nothing of the kind.
const NOTHING: &str = "nothing";

/// Every difference; none: the scenario holds.
#[must_use]
pub fn compare(scenario: &Scenario, run: &Run) -> Vec<Difference> {
    let mut comparison = Comparison { scenario, run, differences: Vec::new() };
    comparison.something_is_expected();
    comparison.steps();
    comparison.unsettled();
    comparison.totals();
    comparison.career_points();
    comparison.ledger();
    comparison.breakage();
    comparison.reasons();
    comparison.differences
}

/// What members got, over all sales.
pub(super) fn totals(run: &Run) -> BTreeMap<Uuid, BTreeMap<Currency, Total>> {
    let mut totals: BTreeMap<Uuid, BTreeMap<Currency, Total>> = BTreeMap::new();
    for (sale, line) in lines(run) {
        let by_currency = totals.entry(line.member_id).or_default();
        *by_currency.entry(sale.sale.sale.currency).or_default() += line.amount;
    }
    totals
}

/// Career points that members got, over all sales; only who got any.
pub(super) fn career_points(run: &Run) -> BTreeMap<Uuid, Total> {
    let mut totals: BTreeMap<Uuid, Total> = BTreeMap::new();
    for (_, line) in lines(run).filter(|(_, line)| !line.career_points.is_zero()) {
        *totals.entry(line.member_id).or_default() += line.career_points;
    }
    totals
}

/// Every line of the ledger, sale by sale.
pub(super) fn lines(run: &Run) -> impl Iterator<Item = (&SaleRun, &Line)> {
    run.sales.iter().flat_map(|sale| {
        let lines = match &sale.outcome {
            Outcome::Settled(settled) => settled.settlement.lines.as_slice(),
            Outcome::Waiting { .. } => &[],
        };
        lines.iter().map(move |line| (sale, line))
    })
}

/// The id of the rule that a line or decision is of.
pub(super) fn rule_id(sale: &SaleRun, rule: usize) -> &str {
    match &sale.outcome {
        Outcome::Settled(settled) => &settled.rule_set.rules[rule].id,
        Outcome::Waiting { .. } => "",
    }
}

struct Comparison<'a> {
    scenario: &'a Scenario,
    run: &'a Run,
    differences: Vec<Difference>,
}

impl<'a> Comparison<'a> {
    fn differ(&mut self, what: String, expected: impl ToString, computed: impl ToString) {
        let (expected, computed) = (expected.to_string(), computed.to_string());
        self.differences.push(Difference { what, expected, computed });
    }

    fn compare(&mut self, what: String, expected: impl Into<Total>, computed: impl Into<Total>) {
        let (expected, computed) = (expected.into(), computed.into());
        if expected != computed {
            self.differ(what, expected, computed);
        }
    }

    /// A scenario that expects nothing could never fail.
    fn something_is_expected(&mut self) {
        let ExpectFile { totals, career_points, ledger, breakage, reasons, unsettled, complete } =
            &self.scenario.expect;
        let expects_nothing = totals.is_none()
            && career_points.is_none()
            && ledger.is_none()
            && breakage.is_empty()
            && reasons.is_empty()
            && unsettled.is_empty()
            && !complete;
        if expects_nothing && self.scenario.timeline.iter().all(|step| step.refused.is_none()) {
            self.differ("expect".to_owned(), "something", NOTHING);
        }
    }

    /// What is refused must have been expected to be, for that cause.
    fn steps(&mut self) {
        for refused in self.run.refused.iter().filter(|refused| refused.step.is_none()) {
            let what = refused.what.clone();
            self.differ(what, "done", format!("refused, {}: {}", refused.cause, refused.message));
        }
        for step in &self.scenario.timeline {
            let found = self.run.refused.iter().find(|refused| refused.step == Some(step.place));
            let computed = found.map_or_else(
                || "done".to_owned(),
                |refused| format!("refused, {}: {}", refused.cause, refused.message),
            );
            let expected = match (&step.refused, found) {
                (Some(cause), Some(refused)) if *cause == refused.cause => continue,
                (None, None) => continue,
                (Some(cause), _) => format!("refused, {cause}"),
                (None, Some(_)) => "done".to_owned(),
            };
            // The line is looked for only here: that reads the file once more.
            self.differ(step.title(self.scenario), expected, computed);
        }
    }

    /// The step of the timeline that a sale is.
    fn step_of(&self, sale: &SaleRun) -> Option<&'a Step> {
        self.scenario.timeline.iter().find(
            |step| matches!(&step.kind, StepKind::Sale(other) if other.name == sale.sale.name),
        )
    }

    /// A sale that waits must have been expected to, for that cause.
    fn unsettled(&mut self) {
        for sale in &self.run.sales {
            let name = &sale.sale.name;
            let what = format!("unsettled.{name}");
            let expected = self.scenario.expect.unsettled.get(name);
            match (&sale.outcome, expected) {
                (Outcome::Waiting { cause, error }, expected) => {
                    if expected.map(String::as_str) != Some(cause) {
                        let expected = expected.map_or("settled", String::as_str);
                        let whose = match *cause {
                            UNKNOWN_MEMBER => format!(" ({})", self.run.name(sale.sale.member_id)),
                            _ => String::new(),
                        };
                        let computed = format!("{cause}: {error}{whose}");
                        let what =
                            self.step_of(sale).map_or(what, |step| step.title(self.scenario));
                        self.differ(what, expected, computed);
                    }
                }
                (Outcome::Settled(_), Some(expected)) => self.differ(what, expected, "settled"),
                (Outcome::Settled(_), None) => {}
            }
        }
    }

    fn totals(&mut self) {
        let computed = totals(self.run);
        let expect = &self.scenario.expect;
        for (name, money) in expect.totals.iter().flatten() {
            let none = BTreeMap::new();
            let computed = computed.get(&member_id(name)).unwrap_or(&none);
            match money {
                MoneyFile::Single(expected) => match computed.len() {
                    0 | 1 => {
                        let computed = computed.values().next().copied().unwrap_or_default();
                        self.compare(format!("totals.{name}"), *expected, computed);
                    }
                    _ => {
                        let by_currency =
                            computed.iter().map(|(currency, sum)| format!("{sum} {currency}"));
                        let by_currency = by_currency.collect::<Vec<_>>().join(", ");
                        let expected = format!("{expected} in one currency");
                        self.differ(format!("totals.{name}"), expected, by_currency);
                    }
                },
                MoneyFile::ByCurrency(expected) => {
                    for (currency, expected) in expected {
                        let computed = computed.get(currency).copied().unwrap_or_default();
                        self.compare(format!("totals.{name}.{currency}"), *expected, computed);
                    }
                    let others = computed.iter().filter(|(currency, sum)| {
                        !expected.contains_key(currency) && !sum.is_zero()
                    });
                    for (currency, sum) in others.filter(|_| expect.complete) {
                        self.differ(format!("totals.{name}.{currency}"), NOTHING, sum);
                    }
                }
            }
        }
        if !expect.complete || (expect.totals.is_none() && expect.ledger.is_some()) {
            return;
        }
        for (id, by_currency) in computed {
            let name = self.run.name(id);
            let is_named = expect.totals.iter().any(|totals| totals.contains_key(name));
            for (currency, sum) in by_currency.iter().filter(|(_, sum)| !is_named && !sum.is_zero())
            {
                self.differ(format!("totals.{name}"), NOTHING, format!("{sum} {currency}"));
            }
        }
    }

    fn career_points(&mut self) {
        let Some(expected) = &self.scenario.expect.career_points else { return };
        let computed = career_points(self.run);
        for (name, expected) in expected {
            let computed = computed.get(&member_id(name)).copied().unwrap_or_default();
            self.compare(format!("career_points.{name}"), *expected, computed);
        }
        for (id, points) in computed.into_iter().filter(|_| self.scenario.expect.complete) {
            let name = self.run.name(id);
            if !expected.contains_key(name) {
                self.differ(format!("career_points.{name}"), NOTHING, points);
            }
        }
    }

    fn ledger(&mut self) {
        let Some(expected) = &self.scenario.expect.ledger else { return };
        let computed: Vec<(&SaleRun, &Line)> = lines(self.run).collect();
        let pairs = pair(expected.len(), computed.len(), |wanted, candidate| {
            let (sale, line) = computed[candidate];
            fits(&expected[wanted], sale, line)
        });
        let mut rest: Vec<usize> =
            (0..computed.len()).filter(|place| !pairs.contains(&Some(*place))).collect();
        for (place, wanted) in expected.iter().enumerate() {
            if pairs[place].is_some() {
                continue;
            }
            // The line that was probably meant: of the same sale and member, best of the same level.
            let nearness = |candidate: usize| {
                let (sale, line) = computed[candidate];
                let is_it =
                    sale.sale.name == wanted.event && line.member_id == member_id(&wanted.member);
                is_it.then_some(u8::from(wanted.level == Some(line.level)))
            };
            let nearest = rest.iter().copied().filter(|place| nearness(*place).is_some());
            let nearest = nearest.max_by_key(|place| (nearness(*place), std::cmp::Reverse(*place)));
            rest.retain(|place| Some(*place) != nearest);
            let computed = nearest.map_or_else(
                || NOTHING.to_owned(),
                |place| describe::line(self.run, computed[place].0, computed[place].1),
            );
            self.differ(format!("ledger[{place}]"), describe::expected_line(wanted), computed);
        }
        if self.scenario.expect.complete {
            for place in rest {
                let (sale, line) = computed[place];
                let computed = describe::line(self.run, sale, line);
                self.differ("ledger".to_owned(), NOTHING, computed);
            }
        }
    }

    fn breakage(&mut self) {
        let expect = &self.scenario.expect;
        for (event, expected) in &expect.breakage {
            let what = format!("breakage.{event}");
            let sale = self.run.sales.iter().find(|sale| sale.sale.name == *event);
            let Some(Outcome::Settled(settled)) = sale.map(|sale| &sale.outcome) else {
                self.differ(what, "a settled sale", "it is not settled");
                continue;
            };
            match expected {
                BreakageFile::Total(expected) => {
                    self.compare(what, *expected, settled.settlement.breakage);
                }
                BreakageFile::ByReason(expected) => {
                    let computed = settled.settlement.breakage_by_reason();
                    for reason in Reason::ALL {
                        let computed = computed.get(&reason).copied().unwrap_or_default();
                        let what = format!("{what}.{}", reason.name());
                        match expected.get(reason.name()) {
                            Some(expected) => self.compare(what, *expected, computed),
                            None if expect.complete && !computed.is_zero() => {
                                self.differ(what, NOTHING, computed);
                            }
                            None => {}
                        }
                    }
                }
            }
        }
    }

    fn reasons(&mut self) {
        for (place, expected) in self.scenario.expect.reasons.iter().enumerate() {
            let sale = self.run.sales.iter().find(|sale| sale.sale.name == expected.event);
            let Some((sale, Outcome::Settled(settled))) = sale.map(|sale| (sale, &sale.outcome))
            else {
                let what = format!("reasons[{place}]");
                self.differ(what, describe::expected_reason(expected), "the sale is not settled");
                continue;
            };
            let wanted_member = expected.member.as_deref().map(member_id);
            let candidates: Vec<&Decision> = settled
                .settlement
                .decisions
                .iter()
                .filter(|decision| {
                    let who = decision.beneficiary.map(|who| who.visit.member_id);
                    who == wanted_member
                        && expected.level.is_none_or(|level| level == decision.level)
                        && expected
                            .rule
                            .as_ref()
                            .is_none_or(|rule| *rule == rule_id(sale, decision.rule))
                })
                .collect();
            if candidates.iter().any(|decision| is_for(decision, expected)) {
                continue;
            }
            let computed: Vec<String> =
                candidates.iter().map(|decision| describe::decision(decision)).collect();
            let computed =
                if computed.is_empty() { NOTHING.to_owned() } else { computed.join("; ") };
            self.differ(format!("reasons[{place}]"), describe::expected_reason(expected), computed);
        }
    }
}

fn fits(wanted: &ExpectedLine, sale: &SaleRun, line: &Line) -> bool {
    fn is<T: PartialEq>(wanted: Option<&T>, value: &T) -> bool {
        wanted.is_none_or(|wanted| wanted == value)
    }
    sale.sale.name == wanted.event
        && line.member_id == member_id(&wanted.member)
        && is(wanted.level.as_ref(), &line.level)
        && is(wanted.amount.as_ref(), &line.amount)
        && is(wanted.currency.as_ref(), &sale.sale.sale.currency)
        && is(wanted.career_points.as_ref(), &line.career_points)
        && is(wanted.depth.as_ref(), &line.depth)
        && wanted.entry_type.as_ref().is_none_or(|kind| kind == line.entry_type.name())
        && wanted.rule.as_ref().is_none_or(|rule| rule == rule_id(sale, line.rule))
}

/// Every reason of a decision: why it pays nothing or less, and what of it is breakage.
pub(super) fn reasons_of(decision: &Decision) -> Vec<&'static str> {
    let mut reasons: Vec<&'static str> = decision.reason_name().into_iter().collect();
    reasons.extend(decision.breakage().map(|(reason, _)| reason.name()));
    reasons.dedup();
    reasons
}

/// What lies behind a decision.
pub(super) fn because(decision: &Decision) -> Option<Reason> {
    match decision.verdict {
        Verdict::NotPaid(reason) | Verdict::Passed(reason, _) => Some(reason),
        Verdict::Paid(_) => None,
    }
}

fn is_for(decision: &Decision, expected: &ExpectedReason) -> bool {
    let because = because(decision).map(Reason::name);
    expected.reason.as_ref().is_none_or(|name| reasons_of(decision).contains(&name.as_str()))
        && expected.because.as_ref().is_none_or(|name| because == Some(name))
}
