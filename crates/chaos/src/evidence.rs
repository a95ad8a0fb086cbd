//! What the load has seen with its own eyes: everything that was answered with 2xx, and what was
//! sent without an answer. The oracle holds the database against it.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

/// A sale as it was posted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PostedSale {
    /// UUIDv5 of source and id, as the API answers it.
    pub(crate) event_id: Uuid,
    /// The shop.
    pub(crate) source: String,
    /// The shop's id of the sale.
    pub(crate) external_id: String,
    /// The credited member, enrolled or not yet.
    pub(crate) member_id: Uuid,
    /// What was paid.
    pub(crate) amount: Decimal,
    /// Three letters.
    pub(crate) currency: String,
    /// When it happened, as the shop says.
    pub(crate) occurred_at: DateTime<Utc>,
}

/// A member as enrolled through the API.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Enrolled {
    /// The member.
    pub(crate) member_id: Uuid,
    /// The direct sponsor.
    pub(crate) sponsor_id: Option<Uuid>,
}

/// A change of history that was answered with 200.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Changed {
    /// The member.
    pub(crate) member_id: Uuid,
    /// The new sponsor of a move.
    pub(crate) new_sponsor_id: Option<Uuid>,
    /// The new status, of a change of state.
    pub(crate) status: Option<String>,
    /// The reason that was given; unique in a run, so that the change is found by it.
    pub(crate) reason: String,
}

/// Everything that the load knows at the end of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Sales that were answered with 2xx at least once.
    pub(crate) acknowledged: Vec<PostedSale>,
    /// Sales that were sent and never answered with 2xx: they may be recorded or not.
    pub(crate) unanswered: Vec<PostedSale>,
    /// Members whose enrolment was answered with 2xx.
    pub(crate) enrolled: Vec<Enrolled>,
    /// Moves and changes of state that were answered with 2xx.
    pub(crate) changed: Vec<Changed>,
    /// Ids that were forged in the stream: they name no event.
    pub(crate) forged: Vec<Uuid>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The promise that is broken, such as `ledger equals the reference model`.
    pub(crate) promise: &'static str,
    /// Which event, member or session, and how.
    pub(crate) detail: String,
}
