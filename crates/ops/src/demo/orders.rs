//! The orders of the sample, as requests.

use std::path::Path;

use anyhow::Context as _;
use domain::sale;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// Which shop the orders come from.
pub(super) const SOURCE: &str = "online-retail";

/// A line of `orders.csv`; its other columns are for people.
#[derive(Deserialize)]
struct Line {
    invoice: String,
    occurred_at: String,
    member_id: Uuid,
    amount: String,
    currency: String,
}

/// An order to be posted.
pub(super) struct Order {
    /// The id that its event will have.
    pub(super) event_id: Uuid,
    /// The request's body.
    pub(super) body: Value,
}

/// Reads the orders, oldest first.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Order>> {
    let mut file = csv::Reader::from_path(path)
        .with_context(|| format!("cannot read {} (--sample)", path.display()))?;
    let order = |line: Line| Order {
        event_id: sale::event_id(SOURCE, &line.invoice),
        body: json!({
            "type": "SALE", "source": SOURCE, "id": line.invoice, "member_id": line.member_id,
            "amount": line.amount, "currency": line.currency, "occurred_at": line.occurred_at,
        }),
    };
    file.deserialize().map(|line| Ok(order(line.context("orders.csv")?))).collect()
}
