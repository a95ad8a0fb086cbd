//! What programs read about a run.

use std::collections::BTreeMap;

use domain::amount::Amount;
use domain::scenario::{Difference, Outcome, Refused, Run, SaleRun};
use serde::Serialize;

use super::files::File;

/// A scenario and what came of it.
#[derive(Serialize)]
pub(super) struct ScenarioView {
    /// The name; the file's where it cannot be read.
    pub(super) scenario: String,
    pub(super) file: String,
    /// `passed`, `failed`, `updated`, or `unreadable`.
    pub(super) result: &'static str,
    /// What is not as expected.
    pub(super) differences: Vec<Difference>,
    /// What is wrong with the file.
    pub(super) flaws: Vec<String>,
    pub(super) sales: Vec<SaleView>,
    pub(super) refused: Vec<RefusedView>,
}

/// A sale and what came of it.
#[derive(Serialize)]
pub(super) struct SaleView {
    pub(super) sale: String,
    /// `settled` or `waiting`.
    pub(super) state: &'static str,
    /// Why it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) breakage: Option<Amount>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) breakage_by_reason: BTreeMap<&'static str, Amount>,
    pub(super) lines: Vec<LineView>,
}

/// A ledger line.
#[derive(Serialize)]
pub(super) struct LineView {
    pub(super) member: String,
    #[serde(rename = "type")]
    pub(super) entry_type: &'static str,
    pub(super) level: u16,
    pub(super) depth: u16,
    pub(super) rule: String,
    pub(super) amount: Amount,
    pub(super) currency: String,
    pub(super) career_points: Amount,
}

/// A step that was refused.
#[derive(Serialize)]
pub(super) struct RefusedView {
    /// Its place in the timeline.
    step: Option<usize>,
    cause: String,
    message: String,
}

impl ScenarioView {
    /// A file that cannot be read.
    pub(super) fn unreadable(file: &File) -> Self {
        Self {
            scenario: file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            file: file.name(),
            result: "unreadable",
            differences: Vec::new(),
            flaws: file.flaws(),
            sales: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// A scenario that was run.
    pub(super) fn of(scenario: &str, file: &File, run: &Run, differences: Vec<Difference>) -> Self {
        let result = if differences.is_empty() { "passed" } else { "failed" };
        Self {
            scenario: scenario.to_owned(),
            file: file.name(),
            result,
            differences,
            flaws: Vec::new(),
            sales: run.sales.iter().map(|sale| SaleView::of(sale, run)).collect(),
            refused: run.refused.iter().map(RefusedView::of).collect(),
        }
    }

    /// Whether nothing is wrong.
    pub(super) fn is_fine(&self) -> bool {
        self.differences.is_empty() && self.flaws.is_empty()
    }

    /// How many ledger lines there are.
    pub(super) fn lines(&self) -> usize {
        self.sales.iter().map(|sale| sale.lines.len()).sum()
    }
}

impl SaleView {
    fn of(sale: &SaleRun, run: &Run) -> Self {
        let name = sale.sale.name.clone();
        let settled = match &sale.outcome {
            Outcome::Settled(settled) => settled,
            Outcome::Waiting { cause, .. } => {
                return Self {
                    sale: name,
                    state: "waiting",
                    cause: Some(cause),
                    plan: None,
                    version: None,
                    breakage: None,
                    breakage_by_reason: BTreeMap::new(),
                    lines: Vec::new(),
                };
            }
        };
        let by_reason = settled.settlement.breakage_by_reason().into_iter();
        let lines = settled.settlement.lines.iter().map(|line| LineView {
            member: run.name(line.member_id).to_owned(),
            entry_type: line.entry_type.name(),
            level: line.level,
            depth: line.depth,
            rule: settled.rule_set.rules[line.rule].id.clone(),
            amount: line.amount,
            currency: sale.sale.sale.currency.to_string(),
            career_points: line.career_points,
        });
        Self {
            sale: name,
            state: "settled",
            cause: None,
            plan: Some(settled.rule_set.plan.clone()),
            version: Some(settled.rule_set.version.clone()),
            breakage: Some(settled.settlement.breakage),
            breakage_by_reason: by_reason.map(|(reason, sum)| (reason.name(), sum)).collect(),
            lines: lines.collect(),
        }
    }
}

impl RefusedView {
    fn of(refused: &Refused) -> Self {
        let Refused { step, cause, message, .. } = refused;
        Self { step: *step, cause: cause.clone(), message: message.clone() }
    }
}
