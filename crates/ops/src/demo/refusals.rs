//! What a duplicate, a contradiction and a bad sale are answered.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::orders::Order;
use super::trade::Shop;
use crate::output::print_text;

pub(super) async fn show(shop: &Shop, orders: &[Order]) -> anyhow::Result<()> {
    let order = &orders.first().context("orders.csv is empty")?.body;
    let with = |field: &str, value: &str| {
        let mut changed = order.clone();
        changed[field] = json!(value);
        changed
    };
    let cases = [
        ("the same facts again", order.clone(), 202),
        ("another amount under the same id", with("amount", "1.00"), 409),
        ("a negative amount", with("amount", "-5.00"), 422),
    ];
    for (what, body, expected) in cases {
        let (status, answer) = shop.post(&body).await?;
        ensure!(status == expected, "{what}: answered {status}: {answer}");
        print_text(&format!("\n{what}: {status}"))?;
        let answer: Value = serde_json::from_str(&answer)?;
        for (field, value) in answer.as_object().into_iter().flatten() {
            if matches!(field.as_str(), "event_id" | "status" | "detail" | "pointer") {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                print_text(&wrapped(field, &text))?;
            }
        }
    }
    Ok(())
}

/// A field in 80 columns.
fn wrapped(field: &str, text: &str) -> String {
    let mut lines = vec![format!("  {field:<9}")];
    for word in text.split(' ') {
        let fits =
            lines.last().is_some_and(|line| line.chars().count() + word.chars().count() < 79);
        if !fits {
            lines.push(" ".repeat(11));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.join("\n")
}
