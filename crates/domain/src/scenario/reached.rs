//! What scenarios are about: which rules, types, operators, modes and reasons their sales reach.

use std::collections::BTreeSet;

use super::read::{PlanOrigin, Scenario};
use super::run::{Outcome, Run, Settled};
use super::steps::StepKind;
use crate::calculation::{COMPRESSION, Calculation, Compression};
use crate::caps::CapMode;
use crate::condition::{Condition, OPERATORS};
use crate::decision::{Passage, Reason, Verdict};
use crate::rule_set::RuleSet;

/// Something that scenarios should reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A rule: it was chosen by a sale.
    Rule(RuleName),
    /// A type of calculation.
    Calculation(&'static str),
    /// An operator: a condition with it was asked.
    Operator(&'static str),
    /// A mode of compression.
    Compression(&'static str),
    /// A mode of the cap on sales: it cut something.
    Cap(&'static str),
    /// Why somebody gets nothing, or how an offer goes on.
    Reason(&'static str),
}

/// A rule of a plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RuleName {
    /// Where the plan is written.
    pub origin: PlanOrigin,
    /// The plan.
    pub plan: String,
    /// The version.
    pub version: String,
    /// The rule's id.
    pub rule: String,
}

/// What a scenario has, and what of it was reached.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    /// The rules of its plans.
    pub rules: BTreeSet<RuleName>,
    /// Everything that its sales reached.
    pub reached: BTreeSet<Subject>,
}

impl Subject {
    /// Everything that can be reached whatever the plans are.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        all.extend(Calculation::TYPES.iter().map(|name| Self::Calculation(name)));
        all.extend(OPERATORS.iter().map(|name| Self::Operator(name)));
        all.extend(Compression::ALL.iter().map(|(_, name)| Self::Compression(name)));
        all.extend(CapMode::ALL.iter().map(|(_, name)| Self::Cap(name)));
        all.extend(Reason::ALL.iter().map(|reason| Self::Reason(reason.name())));
        all.extend(Passage::ALL.iter().map(|passage| Self::Reason(passage.name())));
        all
    }

    /// What kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rule(_) => "rule",
            Self::Calculation(_) => "calculation",
            Self::Operator(_) => "operator",
            Self::Compression(_) => "compression",
            Self::Cap(_) => "cap",
            Self::Reason(_) => "reason",
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Rule(RuleName { plan, version, rule, .. }) => format!("{plan} {version}/{rule}"),
            Self::Calculation(name)
            | Self::Operator(name)
            | Self::Compression(name)
            | Self::Cap(name)
            | Self::Reason(name) => (*name).to_owned(),
        }
    }
}

impl Reached {
    /// What a scenario's run reached.
    #[must_use]
    pub fn of(scenario: &Scenario, run: &Run) -> Self {
        // A plan that must be refused has rules that no sale can reach.
        let applied = scenario.timeline.iter().filter(|step| step.refused.is_none());
        let in_timeline = applied.filter_map(|step| match &step.kind {
            StepKind::Plan(source) => Some(source),
            _ => None,
        });
        let sources: Vec<(&PlanOrigin, &RuleSet)> = scenario
            .plans
            .iter()
            .chain(in_timeline)
            .filter_map(|source| Some((&source.origin, source.rule_set.as_ref().ok()?)))
            .collect();
        let name = |origin: &PlanOrigin, rule_set: &RuleSet, rule: usize| RuleName {
            origin: origin.clone(),
            plan: rule_set.plan.clone(),
            version: rule_set.version.clone(),
            rule: rule_set.rules[rule].id.clone(),
        };
        let mut this = Self::default();
        for (origin, rule_set) in &sources {
            let rules = (0..rule_set.rules.len()).map(|rule| name(origin, rule_set, rule));
            this.rules.extend(rules);
        }
        for sale in &run.sales {
            let Outcome::Settled(settled) = &sale.outcome else { continue };
            this.sale(settled, sale.sale.sale.as_of);
            let origins = sources.iter().filter(|(_, rule_set)| **rule_set == settled.rule_set);
            for (origin, rule_set) in origins {
                let chosen = settled.settlement.chosen.iter().map(|chosen| chosen.rule);
                let rules = chosen.map(|rule| Subject::Rule(name(origin, rule_set, rule)));
                this.reached.extend(rules);
            }
        }
        this
    }

    fn sale(&mut self, settled: &Settled, as_of: chrono::DateTime<chrono::Utc>) {
        let Settled { rule_set, settlement, .. } = settled;
        for rule in rule_set.rules.iter().filter(|rule| rule.is_valid_at(as_of)) {
            self.operators(rule.condition.as_ref());
        }
        for chosen in &settlement.chosen {
            let rule = &rule_set.rules[chosen.rule];
            self.operators(rule.eligibility.as_ref());
            self.reached.insert(Subject::Calculation(rule.calculation.type_name()));
            let modes = rule.calculation.as_calculate().modes().into_iter();
            let compression = modes.filter(|(kind, _)| *kind == COMPRESSION);
            self.reached.extend(compression.map(|(_, name)| Subject::Compression(name)));
        }
        for decision in &settlement.decisions {
            let reasons = decision.breakage().map(|(reason, _)| Subject::Reason(reason.name()));
            self.reached.extend(reasons);
            match decision.verdict {
                Verdict::Paid(_) => {}
                Verdict::NotPaid(reason) => {
                    self.reached.insert(Subject::Reason(reason.name()));
                }
                Verdict::Passed(reason, passage) => {
                    self.reached.insert(Subject::Reason(reason.name()));
                    self.reached.insert(Subject::Reason(passage.name()));
                }
            }
        }
        let is_cut = settlement.decisions.iter().any(|decision| !decision.capped.is_zero());
        if let Some(cap) = rule_set.caps.as_ref().and_then(|caps| caps.sale.as_ref())
            && is_cut
        {
            let modes = CapMode::ALL.iter().filter(|(mode, _)| *mode == cap.mode);
            self.reached.extend(modes.map(|(_, name)| Subject::Cap(name)));
        }
    }

    fn operators(&mut self, condition: Option<&Condition>) {
        let comparisons = condition.map(Condition::comparisons).unwrap_or_default();
        let operators = comparisons.iter().map(|comparison| Subject::Operator(comparison.op()));
        self.reached.extend(operators);
    }
}
