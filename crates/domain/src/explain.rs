//! Explanations: who got what for a sale, and why everybody else did not.
//!
//! Everything is computed from the event, its inputs and its rule set (law L9); only names of members
//! are those of today. The same structure is printed for people and serialized for programs.

mod settled;
mod text;

use serde::Serialize;
use uuid::Uuid;

pub use self::settled::{AppliedRule, LevelStory, OtherRule, Posted, Settled, Standing, Teller};
pub use self::text::render;

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

/// An event without an outcome.
#[derive(Clone, Debug, Serialize)]
pub struct Waiting {
    /// The cause by its name; `None`: it was not tried yet.
    pub cause: Option<String>,
    /// The last error in words.
    pub last_error: Option<String>,
    /// Failed attempts so far.
    pub attempts: i32,
    /// When the next one is due.
    pub next_attempt_at: Option<String>,
    /// The same in the programme's time zone.
    #[serde(skip)]
    pub next_attempt: Option<String>,
    /// What would repair it.
    pub remedy: String,
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
