//! Computing a stored outcome again, from its own event, inputs and rule set alone (law L9), by
//! the same function that settlement calls (law L10); and its inputs compared with the history.

mod as_stood;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::inputs::Inputs;
use crate::period::{Period, Programme};
use crate::rule_book::PlanVersion;
use crate::sale::Sale;
use crate::settle::{self, Line, Settlement};

pub use self::as_stood::difference_from_history;

/// A stored outcome with the event, inputs and lines that it consists of.
#[derive(Clone, Debug)]
pub struct StoredOutcome {
    /// The facts.
    pub sale: Sale,
    /// When the transaction began that settled it.
    pub settled_at: DateTime<Utc>,
    /// The inputs as they were packed.
    pub inputs: Result<Inputs, String>,
    /// The number of the plan version.
    pub plan_number: i32,
    /// The version of the arithmetic.
    pub semantics: i16,
    /// How many lines the outcome says it has.
    pub line_count: i16,
    /// What nobody qualified for.
    pub breakage: Decimal,
    /// The lines, in their order.
    pub lines: Vec<StoredLine>,
}

/// A ledger line as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLine {
    /// Its number.
    pub line: i16,
    /// Who is paid.
    pub member_id: Uuid,
    /// The ledger type.
    pub entry_type: String,
    /// The level.
    pub level: Option<i16>,
    /// The depth.
    pub depth: Option<i16>,
    /// The rule's number.
    pub rule_number: Option<i32>,
    /// Money.
    pub amount: Decimal,
    /// Career points.
    pub career_points: Decimal,
    /// The currency.
    pub currency: String,
    /// The earned period.
    pub earned_period: Period,
    /// The period whose partition it stands in.
    pub posted_period: Period,
}

/// Computes the outcome again. The error says why that is impossible.
pub fn settlement<'a>(
    stored: &'a StoredOutcome,
    version: &PlanVersion,
) -> Result<(&'a Inputs, Settlement), String> {
    let inputs = stored.inputs.as_ref().map_err(Clone::clone)?;
    let settlement = settle::settle_as(stored.semantics, &stored.sale, inputs, &version.rule_set)
        .map_err(|error| error.to_string())?;
    Ok((inputs, settlement))
}

/// Every difference between what is stored and what is computed; nothing when they agree.
#[must_use]
pub fn differences(
    stored: &StoredOutcome,
    version: &PlanVersion,
    programme: &Programme,
) -> Vec<String> {
    let settlement = match settlement(stored, version) {
        Ok((_, settlement)) => settlement,
        Err(reason) => return vec![reason],
    };
    let mut differences = Vec::new();
    let mut check = |what: &str, stored: &dyn ToString, computed: &dyn ToString| {
        let (stored, computed) = (stored.to_string(), computed.to_string());
        if stored != computed {
            differences.push(format!("{what} is {stored}, computed {computed}"));
        }
    };
    let sale = &stored.sale;
    check("the earned period", &sale.earned_period, &programme.period_of(sale.as_of));
    check("the number of lines in the outcome", &stored.line_count, &settlement.lines.len());
    check("the number of lines in the ledger", &stored.lines.len(), &settlement.lines.len());
    // Both print with four decimals.
    let four = |amount: &Decimal| format!("{amount:.4}");
    if stored.breakage != settlement.breakage.to_decimal() {
        check("the breakage", &four(&stored.breakage), &settlement.breakage);
    }
    for (place, (line, computed)) in stored.lines.iter().zip(&settlement.lines).enumerate() {
        if let Some(difference) = line_difference(stored, version, line, computed, place) {
            differences.push(difference);
        }
    }
    differences
}

/// The first field in which a line differs: the others follow from it more often than not.
fn line_difference(
    outcome: &StoredOutcome,
    version: &PlanVersion,
    line: &StoredLine,
    computed: &Line,
    place: usize,
) -> Option<String> {
    let is = |what: &str, stored: &dyn ToString, computed: &dyn ToString| {
        let (stored, computed) = (stored.to_string(), computed.to_string());
        Some(format!("line {place}: {what} is {stored}, computed {computed}"))
    };
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "missing".to_owned());
    let rule_number = version.rule_numbers.get(computed.rule).copied();
    if usize::try_from(line.line) != Ok(place) {
        is("its number", &line.line, &place)
    } else if line.member_id != computed.member_id {
        is("the member", &line.member_id, &computed.member_id)
    } else if line.level != Some(computed.level.cast_signed()) {
        is("the level", &or_none(line.level.map(|level| level.to_string())), &computed.level)
    } else if line.depth != Some(computed.depth.cast_signed()) {
        is("the depth", &or_none(line.depth.map(|depth| depth.to_string())), &computed.depth)
    } else if line.rule_number.is_none() || line.rule_number != rule_number {
        let number = |number: Option<i32>| or_none(number.map(|number| number.to_string()));
        is("the rule's number", &number(line.rule_number), &number(rule_number))
    } else if line.amount != computed.amount.to_decimal() {
        is("the amount", &format!("{:.4}", line.amount), &computed.amount)
    } else if line.career_points != computed.career_points.to_decimal() {
        is("career points", &format!("{:.4}", line.career_points), &computed.career_points)
    } else if line.currency != outcome.sale.currency.code() {
        is("the currency", &line.currency, &outcome.sale.currency)
    } else if line.earned_period != outcome.sale.earned_period {
        is("the earned period", &line.earned_period, &outcome.sale.earned_period)
    } else if line.posted_period != outcome.sale.earned_period {
        // No period is closed yet, so every line is posted where it was earned.
        is("the posted period", &line.posted_period, &outcome.sale.earned_period)
    } else if line.entry_type != computed.entry_type.name() {
        is("the type", &line.entry_type, &computed.entry_type.name())
    } else {
        None
    }
}

#[cfg(test)]
#[path = "recompute_tests.rs"]
mod tests;
