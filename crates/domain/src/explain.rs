//! Explanations: who got what for a sale, and why everybody else did not.
//!
//! ```text
//! a sale as it was settled       [settled], in sentences by [verdict], printed by [text]
//! a sale that is not settled     [waiting]
//! a member's period              [statement], line by line
//! what would have been           [worlds]: with other rules, ranks or another moment's tree
//! ```
//!
//! Everything is computed from the event, its inputs and its rule set (law L9); only names of members
//! are those of today. The same structures are printed for people and serialized for programs.

mod page;
mod settled;
mod statement;
mod text;
mod verdict;
mod waiting;
mod worlds;

use serde::Serialize;
use uuid::Uuid;

pub use self::page::{clip, wrap};
pub use self::settled::{AppliedRule, LevelStory, OtherRule, Posted, Settled, Standing, Teller};
pub use self::statement::{Clerk, LedgerLine, StatementHead, StatementLine, Sum, Sums};
pub use self::text::render;
pub use self::waiting::Waiting;
pub use self::worlds::{Both, Change, Part, Totals, World, as_if_in_force, compare, money_of};
use crate::sale::SaleLine;

/// A sale and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// What happened.
    pub sale: SaleFacts,
    /// `settled`, `retrying`, `dead`, `discarded` or `unsettled`.
    pub state: String,
    /// What it was computed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
    /// Why it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Why a settled sale cannot be computed again. Never, unless somebody changed what is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unexplained: Option<String>,
}

/// The facts of a sale.
#[derive(Clone, Debug, Serialize)]
pub struct SaleFacts {
    /// The event's id.
    pub event_id: Uuid,
    /// Which shop.
    pub source: String,
    /// What the shop calls it.
    pub external_id: String,
    /// The credited seller.
    pub seller: Person,
    /// The commissionable value.
    pub amount: String,
    /// The points.
    pub volume: String,
    /// The currency.
    pub currency: String,
    /// What was sold.
    pub source_type: &'static str,
    /// The product.
    pub product_id: Option<String>,
    /// Why it was ordered.
    pub order_kind: &'static str,
    /// The market.
    pub market: Option<String>,
    /// Who bought.
    pub buyer_type: Option<&'static str>,
    /// The positions of the order; none: the sale is priced as a whole.
    pub lines: Vec<SaleLineFacts>,
    /// When it happened, by the shop.
    pub occurred_at: String,
    /// When it was recorded.
    pub recorded_at: String,
    /// The moment that it counts at.
    pub as_of: String,
    /// `as_of` in the programme's time zone.
    #[serde(skip)]
    pub moment: String,
    /// The period that it is earned in.
    pub period: String,
}

/// One position of an order.
#[derive(Clone, Debug, Serialize)]
pub struct SaleLineFacts {
    /// The shop's number.
    pub id: String,
    /// The product.
    pub product_id: String,
    /// Its category.
    pub category: Option<String>,
    /// How many.
    pub quantity: String,
    /// The commissionable value.
    pub amount: String,
    /// The points.
    pub volume: String,
}

impl From<&SaleLine> for SaleLineFacts {
    fn from(line: &SaleLine) -> Self {
        Self {
            id: line.id.clone(),
            product_id: line.product_id.clone(),
            category: line.category.clone(),
            quantity: line.quantity.to_string(),
            amount: line.amount.to_string(),
            volume: line.volume.to_string(),
        }
    }
}

/// A member by id and by the names of today.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Person {
    /// The id.
    pub id: Uuid,
    /// What the company calls the member.
    pub external_id: Option<String>,
    /// The name.
    pub name: Option<String>,
}

impl Person {
    /// The name and what the company calls the member; the id where there is neither.
    #[must_use]
    pub fn label(&self) -> String {
        match (&self.name, &self.external_id) {
            (Some(name), Some(external_id)) => format!("{name} ({external_id})"),
            (Some(only), None) | (None, Some(only)) => only.clone(),
            (None, None) => self.id.to_string(),
        }
    }
}

/// The members that an explanation speaks of.
#[derive(Clone, Debug, Default)]
pub struct People(pub Vec<Person>);

impl People {
    /// The person of that id; without names when they were erased or never enrolled.
    #[must_use]
    pub fn person(&self, id: Uuid) -> Person {
        let known = self.0.iter().find(|person| person.id == id);
        known.cloned().unwrap_or(Person { id, external_id: None, name: None })
    }
}

/// Sums may have more digits than an amount.
fn sum(amounts: impl Iterator<Item = crate::amount::Amount>) -> String {
    amounts.sum::<crate::amount::Total>().to_string()
}

#[cfg(test)]
mod properties;
