//! What came of a scenario, written as expectations.

use std::fmt::Write as _;

use super::compare::{because, career_points, lines, reasons_of, rule_id, totals};
use super::run::{Outcome, Run};
use crate::decision::{EntryType, Passage};

/// The `expect:` block that the run fulfils, complete.
#[must_use]
pub fn expectations(run: &Run) -> String {
    let mut text = String::from("expect:\n");
    write_totals(&mut text, run);
    write_ledger(&mut text, run);
    write_breakage(&mut text, run);
    write_reasons(&mut text, run);
    write_unsettled(&mut text, run);
    text.push_str("  complete: true\n");
    text
}

/// Writing to a text cannot fail.
macro_rules! put {
    ($text:expr, $($part:tt)+) => { let _ = write!($text, $($part)+); };
}

fn write_totals(text: &mut String, run: &Run) {
    let totals = totals(run);
    if totals.is_empty() {
        put!(text, "  totals: {{}}\n");
    } else {
        put!(text, "  totals:\n");
    }
    for (name, by_currency) in sorted(run, totals) {
        if let [(_, only)] = by_currency.iter().collect::<Vec<_>>().as_slice() {
            put!(text, "    {}: \"{only}\"\n", scalar(name));
        } else {
            let sums = by_currency.iter().map(|(currency, sum)| format!("{currency}: \"{sum}\""));
            put!(text, "    {}: {{{}}}\n", scalar(name), sums.collect::<Vec<_>>().join(", "));
        }
    }
    let points = career_points(run);
    if !points.is_empty() {
        put!(text, "  career_points:\n");
    }
    for (name, points) in sorted(run, points) {
        put!(text, "    {}: \"{points}\"\n", scalar(name));
    }
}

fn write_ledger(text: &mut String, run: &Run) {
    if lines(run).next().is_none() {
        put!(text, "  ledger: []\n");
        return;
    }
    let mut currencies: Vec<_> = run.sales.iter().map(|sale| sale.sale.sale.currency).collect();
    currencies.sort_unstable();
    currencies.dedup();
    put!(text, "  ledger:\n");
    for (sale, line) in lines(run) {
        let (event, member) = (scalar(&sale.sale.name), scalar(run.name(line.member_id)));
        put!(text, "    - {{event: {event}, member: {member}, level: {}", line.level);
        if line.depth != line.level {
            put!(text, ", depth: {}", line.depth);
        }
        put!(text, ", amount: \"{}\"", line.amount);
        if currencies.len() > 1 {
            put!(text, ", currency: {}", sale.sale.sale.currency);
        }
        if !line.career_points.is_zero() {
            put!(text, ", career_points: \"{}\"", line.career_points);
        }
        if line.entry_type != EntryType::LevelCommission {
            put!(text, ", type: {}", line.entry_type.name());
        }
        put!(text, ", rule: {}}}\n", scalar(rule_id(sale, line.rule)));
    }
}

fn write_breakage(text: &mut String, run: &Run) {
    let mut is_first = true;
    for sale in &run.sales {
        let Outcome::Settled(settled) = &sale.outcome else { continue };
        if std::mem::take(&mut is_first) {
            put!(text, "  breakage:\n");
        }
        let by_reason = settled.settlement.breakage_by_reason();
        let event = scalar(&sale.sale.name);
        if by_reason.is_empty() {
            put!(text, "    {event}: \"{}\"\n", settled.settlement.breakage);
        } else {
            let sums =
                by_reason.iter().map(|(reason, sum)| format!("{}: \"{sum}\"", reason.name()));
            put!(text, "    {event}: {{{}}}\n", sums.collect::<Vec<_>>().join(", "));
        }
    }
}

fn write_reasons(text: &mut String, run: &Run) {
    let mut is_first = true;
    for sale in &run.sales {
        let Outcome::Settled(settled) = &sale.outcome else { continue };
        for decision in &settled.settlement.decisions {
            let Some(who) = decision.beneficiary else { continue };
            for reason in reasons_of(decision) {
                if std::mem::take(&mut is_first) {
                    put!(text, "  reasons:\n");
                }
                let (event, rule) = (&sale.sale.name, rule_id(sale, decision.rule));
                let (event, rule) = (scalar(event), scalar(rule));
                let member = scalar(run.name(who.visit.member_id));
                let level = decision.level;
                put!(
                    text,
                    "    - {{event: {event}, member: {member}, rule: {rule}, level: {level}"
                );
                put!(text, ", reason: {reason}");
                let is_passage = Passage::ALL.iter().any(|passage| passage.name() == reason);
                if let Some(because) = because(decision).filter(|_| is_passage) {
                    put!(text, ", because: {}", because.name());
                }
                put!(text, "}}\n");
            }
        }
    }
}

fn write_unsettled(text: &mut String, run: &Run) {
    let mut is_first = true;
    for sale in &run.sales {
        let Outcome::Waiting { cause, .. } = &sale.outcome else { continue };
        if std::mem::take(&mut is_first) {
            put!(text, "  unsettled:\n");
        }
        put!(text, "    {}: {cause}\n", scalar(&sale.sale.name));
    }
}

/// By the members' names.
fn sorted<T>(
    run: &Run,
    by_member: std::collections::BTreeMap<uuid::Uuid, T>,
) -> std::collections::BTreeMap<&str, T> {
    by_member.into_iter().map(|(id, value)| (run.name(id), value)).collect()
}

/// A text as it can stand in YAML: as it is, or in quotes where it could be taken for something else.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    // What JSON writes is YAML too.
    serde_json::to_string(text).unwrap_or_else(|error| unreachable!("a text, yet: {error}"))
}
