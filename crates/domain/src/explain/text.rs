//! An explanation for people, within 80 columns.

use super::settled::{AppliedRule, LevelStory, Standing};
use super::{Explanation, Person, SaleFacts, Settled, Waiting};

/// Columns of a terminal.
const WIDTH: usize = 80;
/// Longest name of a member, in characters.
const NAME_WIDTH: usize = 40;
/// Longest rank.
const RANK_WIDTH: usize = 14;

/// The explanation as a text.
#[must_use]
pub fn render(explanation: &Explanation) -> String {
    let mut text = sale(&explanation.sale, explanation.settled.as_ref(), &explanation.state);
    if let Some(waiting) = &explanation.waiting {
        text.push_str(&waiting_text(waiting));
    }
    if let Some(settled) = &explanation.settled {
        text.push_str(&settled_text(settled, &explanation.sale));
    }
    text
}

fn sale(sale: &SaleFacts, settled: Option<&Settled>, state: &str) -> String {
    let seller = match settled {
        Some(settled) => standing(&settled.seller),
        None => person(&sale.seller),
    };
    let product = sale.product_id.as_ref().map(|product| format!(", product {product}"));
    let product = product.unwrap_or_default();
    let rows = [
        ("  event", sale.event_id.to_string()),
        ("  seller", seller),
        ("  amount", format!("{} {}, volume {}", sale.amount, sale.currency, sale.volume)),
        ("  sold", format!("{}{product}", sale.source_type)),
        ("  moment", format!("{}, period {}", sale.moment, sale.period)),
        ("  state", state.to_owned()),
    ]
    .map(|(name, value)| (name, clip(&value, WIDTH - 10)));
    let title = format!("Sale {} of {}", sale.external_id, sale.source);
    format!("{}\n{}", clip(&title, WIDTH), facts(&rows))
}

fn waiting_text(waiting: &Waiting) -> String {
    let mut rows = Vec::new();
    if let Some(cause) = &waiting.cause {
        rows.push(("  cause ", cause.clone()));
    }
    if waiting.attempts > 0 {
        rows.push(("  tried ", format!("{} time(s)", waiting.attempts)));
    }
    if let Some(next) = &waiting.next_attempt {
        rows.push(("  again ", next.clone()));
    }
    let mut text = facts(&rows);
    if let Some(error) = &waiting.last_error {
        text.push_str(&wrap(error, "  error   ", "          "));
    }
    text.push_str(&wrap(&waiting.remedy, "\n", ""));
    text
}

fn settled_text(settled: &Settled, sale: &SaleFacts) -> String {
    let currency = &sale.currency;
    let title =
        format!("\nPlan {}, version {}: {}", settled.plan, settled.version, settled.plan_name);
    let number = format!("number {}, in force from {}", settled.number, settled.valid_from);
    let (title, rule_set) = (clip(&title, WIDTH), &settled.rule_set);
    let mut text = format!("{title}\n  {number}\n  rule set {rule_set}\n");
    for rule in &settled.rules {
        text.push_str(&rule_text(rule, currency, settled.rules.len() > 1));
    }
    if !settled.other_rules.is_empty() {
        text.push_str("\nRules that did not apply\n");
        for rule in &settled.other_rules {
            text.push_str(&wrap(&format!("{}: {}", rule.id, rule.why), "  ", "    "));
        }
    }
    text.push_str("\nSum\n");
    let mut rows = vec![
        ("  offered", format!("{} {currency}", settled.offered)),
        ("  paid", format!("{} {currency}", settled.paid)),
        ("  breakage", format!("{} {currency}{}", settled.breakage, reasons(settled))),
    ];
    if settled.career_points != "0.0000" {
        rows.push(("  points", format!("{} career points credited", settled.career_points)));
    }
    for row in facts(&rows).lines() {
        text.push_str(&wrap_row(row, 13));
    }
    if !settled.differences.is_empty() {
        text.push_str("\nTHE LEDGER DIFFERS from this computation; run `lineage verify`:\n");
        for difference in &settled.differences {
            text.push_str(&wrap(difference, "  ", "    "));
        }
    }
    text
}

/// Breakage by its reasons: `: under_rank 2.9985, no_upline 1.9990`.
fn reasons(settled: &Settled) -> String {
    let each = settled.breakage_by_reason.iter();
    let each: Vec<String> = each.map(|(reason, money)| format!("{reason} {money}")).collect();
    if each.is_empty() { String::new() } else { format!(": {}", each.join(", ")) }
}

fn rule_text(rule: &AppliedRule, currency: &str, with_sum: bool) -> String {
    let title = format!("\nRule {} (component {}): {}", rule.id, rule.component, rule.name);
    let mut text = format!("{}\n", clip(&title, WIDTH + 1));
    for level in &rule.levels {
        text.push_str(&level_text(level));
    }
    if with_sum {
        let AppliedRule { offered, paid, breakage, .. } = rule;
        let sum = format!("offered {offered} = paid {paid} + breakage {breakage} {currency}");
        text.push_str(&wrap(&sum, "  ", "    "));
    }
    text
}

fn level_text(level: &LevelStory) -> String {
    let who = level.member.as_ref().map_or_else(|| "nobody".to_owned(), standing);
    let mut text = format!("  level {:<2}  {who}\n", level.level);
    let indent = " ".repeat(14);
    for calculation in &level.calculations {
        text.push_str(&wrap(calculation, &indent, &indent));
    }
    text.push_str(&wrap(&level.verdict, &indent, &indent));
    text
}

fn standing(standing: &Standing) -> String {
    let Standing { person: who, rank, status } = standing;
    format!("{}, {}, {status}", person(who), clip(rank, RANK_WIDTH))
}

/// The name and what the company calls the member; the id where there is neither.
fn person(person: &Person) -> String {
    clip(&person.label(), NAME_WIDTH)
}

/// Names and values below one another, the values aligned.
fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n"));
    lines.collect::<Vec<_>>().concat()
}

/// At most so many characters.
fn clip(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some(_) => text.chars().take(width - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// Breaks a row of facts, its further lines below the value.
fn wrap_row(row: &str, value_at: usize) -> String {
    let (name, value) = row.split_at(row.len().min(value_at - 1));
    wrap(value, name, &" ".repeat(value_at - 1))
}

/// Breaks a text at blanks, so that no line is longer than it must be.
fn wrap(text: &str, first: &str, further: &str) -> String {
    let mut wrapped = String::new();
    let mut line = first.to_owned();
    let mut is_begun = false;
    for word in text.split_whitespace() {
        let width = line.trim_start_matches('\n').chars().count();
        if is_begun && width + 1 + word.chars().count() > WIDTH {
            wrapped.push_str(&line);
            wrapped.push('\n');
            further.clone_into(&mut line);
            is_begun = false;
        }
        if is_begun {
            line.push(' ');
        }
        line.push_str(word);
        is_begun = true;
    }
    wrapped.push_str(&line);
    wrapped.push('\n');
    wrapped
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
