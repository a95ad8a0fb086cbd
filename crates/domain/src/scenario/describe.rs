//! Lines, reasons and decisions in words, for differences.

use std::fmt::Write as _;

use super::compare::{reasons_of, rule_id};
use super::expected::{ExpectedLine, ExpectedReason};
use super::run::{Run, SaleRun};
use crate::decision::{Decision, Verdict};
use crate::settle::Line;

/// A computed line.
pub(super) fn line(run: &Run, sale: &SaleRun, line: &Line) -> String {
    let mut text = format!(
        "{}: {} gets {} {} of level {}",
        sale.sale.name,
        run.name(line.member_id),
        line.amount,
        sale.sale.sale.currency,
        line.level
    );
    if line.depth != line.level {
        let _ = write!(text, ", depth {}", line.depth);
    }
    if !line.career_points.is_zero() {
        let _ = write!(text, ", {} career points", line.career_points);
    }
    let _ = write!(text, " ({} by {})", line.entry_type.name(), rule_id(sale, line.rule));
    text
}

/// A line that was expected.
pub(super) fn expected_line(line: &ExpectedLine) -> String {
    let mut text = format!("{}: {} gets", line.event, line.member);
    let mut add = |part: Option<String>| {
        if let Some(part) = part {
            text.push(' ');
            text.push_str(&part);
        }
    };
    add(Some(line.amount.map_or_else(|| "something".to_owned(), |amount| amount.to_string())));
    add(line.currency.map(|currency| currency.to_string()));
    add(line.level.map(|level| format!("of level {level}")));
    add(line.depth.map(|depth| format!("at depth {depth}")));
    add(line.career_points.map(|points| format!("with {points} career points")));
    let kind: Vec<String> = line
        .entry_type
        .iter()
        .cloned()
        .chain(line.rule.iter().map(|rule| format!("by {rule}")))
        .collect();
    add((!kind.is_empty()).then(|| format!("({})", kind.join(" "))));
    text
}

/// A reason that was expected.
pub(super) fn expected_reason(expected: &ExpectedReason) -> String {
    let who = expected.member.as_deref().unwrap_or("nobody");
    let level = expected.level.map_or_else(String::new, |level| format!(" on level {level}"));
    let rule = expected.rule.as_ref().map_or_else(String::new, |rule| format!(" by {rule}"));
    let reason = expected.reason.as_deref().unwrap_or("any reason");
    let because =
        expected.because.as_ref().map_or_else(String::new, |name| format!(", because {name}"));
    format!("{}: {who}{level}{rule}: {reason}{because}", expected.event)
}

/// What was decided.
pub(super) fn decision(decision: &Decision) -> String {
    let reasons = match reasons_of(decision) {
        reasons if reasons.is_empty() => "paid".to_owned(),
        reasons => reasons.join(", "),
    };
    let because = match decision.verdict {
        Verdict::Passed(reason, _) => format!(", because {}", reason.name()),
        Verdict::Paid(_) | Verdict::NotPaid(_) => String::new(),
    };
    format!("level {}: {reasons}{because}", decision.level)
}
