//! Running a scenario in memory: what production does with the same facts, without a database.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::read::Scenario;
use super::steps::{NamedSale, StepKind};
use super::world::World;
use crate::inputs::Inputs;
use crate::rule_book::RuleBook;
use crate::rule_set::RuleSet;
use crate::settle::{Settlement, Unsettleable, settle};

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Run {
    /// Every sale, in the order of the timeline.
    pub sales: Vec<SaleRun>,
    /// The steps that were refused.
    pub refused: Vec<Refused>,
    /// Everybody's names by their ids.
    pub names: BTreeMap<Uuid, String>,
}

/// A sale and what became of it.
#[derive(Clone, Debug)]
pub struct SaleRun {
    /// The sale.
    pub sale: NamedSale,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a sale.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is paid.
    Settled(Box<Settled>),
    /// It waits for what repairs the cause.
    Waiting {
        /// The cause by name, such as `no_plan`.
        cause: &'static str,
        /// The same for people.
        error: String,
    },
}

/// A settled sale.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The version that priced it.
    pub rule_set: RuleSet,
    /// What was read of the network.
    pub inputs: Inputs,
    /// What it was computed to.
    pub settlement: Settlement,
}

/// A step that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The step's place in the timeline; `None`: one of the plans or members before it.
    pub step: Option<usize>,
    /// What was to happen.
    pub what: String,
    /// The cause by name.
    pub cause: String,
    /// The same for people.
    pub message: String,
}

/// Why a step cannot be taken.
pub(super) struct Refusing {
    cause: &'static str,
    message: String,
}

impl Refusing {
    pub(super) fn new(cause: &'static str, message: &str) -> Self {
        Self { cause, message: message.to_owned() }
    }
}

impl Run {
    /// What the scenario calls a member.
    #[must_use]
    pub fn name(&self, member_id: Uuid) -> &str {
        self.names.get(&member_id).map_or("?", String::as_str)
    }
}

impl Scenario {
    /// Lets everything happen, in the order of the file.
    #[must_use]
    pub fn run(&self) -> Run {
        let mut runner = Runner { world: World::default(), sales: Vec::new(), refused: Vec::new() };
        for (place, plan) in self.plans.iter().enumerate() {
            let Ok(rule_set) = &plan.rule_set else { continue };
            let applied = runner.apply(rule_set);
            runner.note(
                None,
                || format!("plan {} (the scenario's {})", rule_set.plan, place + 1),
                applied,
            );
        }
        for member in &self.network {
            let enrolled = runner.world.enrol(member);
            runner.note(None, || format!("enrolment of {}", member.external_id), enrolled);
        }
        for step in &self.timeline {
            let name = |id: Uuid| self.names.get(&id).cloned().unwrap_or_default();
            let place = Some(step.place);
            match &step.kind {
                StepKind::Sale(sale) => runner.sell(sale),
                StepKind::Enrol(member) => {
                    let enrolled = runner.world.enrol(member);
                    if enrolled.is_ok() {
                        runner.revive(|sale, cause| {
                            cause == UNKNOWN_MEMBER && sale.member_id == member.id
                        });
                    }
                    runner.note(place, || format!("enrolment of {}", member.external_id), enrolled);
                }
                StepKind::Change(change) => {
                    let moments: Vec<DateTime<Utc>> = runner.settled_moments().collect();
                    let changed = runner.world.change(*change, moments.into_iter());
                    runner.note(place, || format!("change of {}", name(change.member_id)), changed);
                }
                StepKind::Plan(source) => {
                    let applied = match &source.rule_set {
                        Ok(rule_set) => runner.apply(rule_set),
                        Err(error) => Err(Refusing::new("invalid", error)),
                    };
                    runner.note(place, || "plan".to_owned(), applied);
                }
                StepKind::Retire(retirement) => {
                    let next = runner.world.with_retirement(retirement);
                    let retired = next.and_then(|next| runner.replace_book(next));
                    runner.note(place, || format!("retirement of {}", retirement.plan), retired);
                }
            }
        }
        Run { sales: runner.sales, refused: runner.refused, names: self.names.clone() }
    }
}

/// Causes that other rules may repair.
const UNPRICED: [&str; 3] = ["no_plan", "no_rule", "ambiguous_rules"];
/// The cause that an enrolment repairs.
pub(super) const UNKNOWN_MEMBER: &str = "unknown_member";

struct Runner {
    world: World,
    sales: Vec<SaleRun>,
    refused: Vec<Refused>,
}

impl Runner {
    fn note(
        &mut self,
        step: Option<usize>,
        what: impl FnOnce() -> String,
        done: Result<(), Refusing>,
    ) {
        if let Err(Refusing { cause, message }) = done {
            self.refused.push(Refused { step, what: what(), cause: cause.to_owned(), message });
        }
    }

    fn sell(&mut self, sale: &NamedSale) {
        let outcome = self.attempt(sale);
        self.sales.push(SaleRun { sale: sale.clone(), outcome });
    }

    fn attempt(&self, sale: &NamedSale) -> Outcome {
        let waiting =
            |cause, error: &dyn ToString| Outcome::Waiting { cause, error: error.to_string() };
        let NamedSale { sale, member_id, .. } = sale;
        let Some(mut inputs) = self.world.inputs(*member_id, sale.as_of) else {
            return waiting(UNKNOWN_MEMBER, &"the credited member is not enrolled");
        };
        let version = match self.world.book.version_for(sale) {
            Ok(version) => version,
            Err(error) => return waiting("no_plan", &error),
        };
        match settle(sale, &inputs, &version.rule_set) {
            Ok(settlement) => {
                inputs.keep_read(settlement.visited(), version.rule_set.reads().joined_at);
                let rule_set = version.rule_set.clone();
                Outcome::Settled(Box::new(Settled { rule_set, inputs, settlement }))
            }
            Err(error) => {
                let cause = match error {
                    Unsettleable::NoRule { .. } => "no_rule",
                    Unsettleable::AmbiguousRules { .. } => "ambiguous_rules",
                    Unsettleable::OutOfRange => "out_of_range",
                };
                waiting(cause, &error)
            }
        }
    }

    /// Tries waiting sales again, in the order in which they came.
    fn revive(&mut self, is_due: impl Fn(&NamedSale, &str) -> bool) {
        for place in 0..self.sales.len() {
            let SaleRun { sale, outcome } = &self.sales[place];
            if let Outcome::Waiting { cause, .. } = outcome
                && is_due(sale, cause)
            {
                self.sales[place].outcome = self.attempt(sale);
            }
        }
    }

    fn settled(&self) -> impl Iterator<Item = &NamedSale> {
        let is_settled = |run: &&SaleRun| matches!(run.outcome, Outcome::Settled(_));
        self.sales.iter().filter(is_settled).map(|run| &run.sale)
    }

    fn settled_moments(&self) -> impl Iterator<Item = DateTime<Utc>> {
        self.settled().map(|sale| sale.sale.as_of)
    }

    fn apply(&mut self, rule_set: &RuleSet) -> Result<(), Refusing> {
        let next = self.world.with_version(rule_set)?;
        self.replace_book(next)
    }

    /// Puts other rules in force, unless that would reprice a settled sale.
    fn replace_book(&mut self, next: Option<RuleBook>) -> Result<(), Refusing> {
        let Some(next) = next else { return Ok(()) };
        let repriced = self.world.book.repriced(&next);
        let is_repriced = |sale: &&NamedSale| {
            let (sale, at) = (&sale.sale, sale.sale.as_of);
            repriced.iter().any(|time| {
                time.source_type == sale.source_type
                    && time.from <= at
                    && time.until.is_none_or(|until| at < until)
            })
        };
        if let Some(sale) = self.settled().find(is_repriced) {
            let message = format!(
                "sale {} of {} is settled already and would be priced otherwise",
                sale.name, sale.sale.as_of
            );
            return Err(Refusing::new("settled_sales", &message));
        }
        self.world.book = next;
        self.revive(|_, cause| UNPRICED.contains(&cause));
        Ok(())
    }
}
