//! An explanation for people, within 80 columns.

use super::page::{WIDTH, clip, facts, wrap, wrap_row};
use super::settled::{AppliedRule, LevelStory, Standing};
use super::{Explanation, Person, SaleFacts, SaleLineFacts, Settled, Waiting};
use crate::sale::OrderKind;

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
    if let Some(reason) = &explanation.unexplained {
        let words = format!(
            "THIS SALE CANNOT BE EXPLAINED: {reason}. Run `lineage verify`: what is stored of it \
             was changed."
        );
        text.push_str(&wrap(&words, "\n", ""));
    }
    text
}

fn sale(sale: &SaleFacts, settled: Option<&Settled>, state: &str) -> String {
    let seller = match settled {
        Some(settled) => standing(&settled.seller),
        None => person(&sale.seller),
    };
    let mut sold = vec![sale.source_type.to_owned()];
    sold.extend(sale.product_id.as_ref().map(|product| format!("product {product}")));
    if sale.order_kind != OrderKind::Standard.name() {
        sold.push(format!("as {}", sale.order_kind));
    }
    sold.extend(sale.market.as_ref().map(|market| format!("market {market}")));
    sold.extend(sale.buyer_type.map(|buyer| format!("to a {buyer}")));
    let rows = [
        ("  event", sale.event_id.to_string()),
        ("  seller", seller),
        ("  amount", format!("{} {}, volume {}", sale.amount, sale.currency, sale.volume)),
        ("  sold", sold.join(", ")),
        ("  moment", format!("{}, period {}", sale.moment, sale.period)),
        ("  state", state.to_owned()),
    ]
    .map(|(name, value)| (name, clip(&value, WIDTH - 10)));
    let title = format!("Sale {} of {}", sale.external_id, sale.source);
    let lines: String = sale.lines.iter().map(|line| line_text(line, &sale.currency)).collect();
    format!("{}\n{}{lines}", clip(&title, WIDTH), facts(&rows))
}

/// A position of the order: `line 1    2 × SKU-7 (tea), 60.0000 EUR, volume 50.0000`.
fn line_text(line: &SaleLineFacts, currency: &str) -> String {
    let SaleLineFacts { id, product_id, category, quantity, amount, volume } = line;
    let quantity = quantity.trim_end_matches('0').trim_end_matches('.');
    let category = category.as_ref().map_or_else(String::new, |category| format!(" ({category})"));
    let text = format!(
        "line {id}: {quantity} × {product_id}{category}, {amount} {currency}, volume {volume}"
    );
    wrap(&text, "          ", "            ")
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
    if !settled.caps.is_empty() {
        text.push_str("\nCaps\n");
        for cap in &settled.caps {
            text.push_str(&wrap(cap, "  ", "    "));
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
    let mut remark = |words: &str| text.push_str(&wrap(words, "  ", "    "));
    if let Some(condition) = &rule.condition {
        remark(&format!("for sales with {condition}"));
    }
    if let Some(eligibility) = &rule.eligibility {
        remark(&format!("only for members with {eligibility}"));
    }
    if !rule.lines.is_empty() {
        let AppliedRule { amount, volume, .. } = rule;
        let plural = if rule.lines.len() == 1 { "" } else { "s" };
        let ids = rule.lines.join(", ");
        remark(&format!("on line{plural} {ids}: {amount} {currency}, volume {volume}"));
    }
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

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
