//! A failed event as it is shown.

use domain::calendar;
use domain::explain::Waiting;
use serde::Serialize;
use store::dead_letters::{DeadLetter, Discard};
use uuid::Uuid;

/// A failed event, with the field names of the HTTP API.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) event_id: Uuid,
    pub(super) state: String,
    pub(super) cause: String,
    pub(super) detail: String,
    pub(super) remedy: String,
    pub(super) attempts: i32,
    pub(super) next_attempt_at: Option<String>,
    pub(super) first_failed_at: String,
    pub(super) last_failed_at: String,
    pub(super) source: String,
    pub(super) id: String,
    pub(super) member_id: Uuid,
    pub(super) amount: String,
    pub(super) currency: String,
    pub(super) source_type: String,
    pub(super) occurred_at: String,
    pub(super) recorded_at: String,
    pub(super) as_of: String,
    pub(super) discard: Option<DiscardView>,
}

/// Who gave it up, and why.
#[derive(Debug, Serialize)]
pub(super) struct DiscardView {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) on_behalf_of: Option<String>,
    pub(super) reason: String,
}

/// The columns of the CSV; new ones come last.
pub(super) const CSV_HEADER: [&str; 18] = [
    "event_id",
    "state",
    "cause",
    "attempts",
    "next_attempt_at",
    "first_failed_at",
    "last_failed_at",
    "source",
    "id",
    "member_id",
    "amount",
    "currency",
    "source_type",
    "occurred_at",
    "detail",
    "discarded_at",
    "discarded_by",
    "discard_reason",
];

impl View {
    /// In the order of [`CSV_HEADER`].
    pub(super) fn csv_row(&self) -> [String; 18] {
        let discard = |field: fn(&DiscardView) -> &String| {
            self.discard.as_ref().map(|discard| field(discard).clone()).unwrap_or_default()
        };
        [
            self.event_id.to_string(),
            self.state.clone(),
            self.cause.clone(),
            self.attempts.to_string(),
            self.next_attempt_at.clone().unwrap_or_default(),
            self.first_failed_at.clone(),
            self.last_failed_at.clone(),
            self.source.clone(),
            self.id.clone(),
            self.member_id.to_string(),
            self.amount.clone(),
            self.currency.clone(),
            self.source_type.clone(),
            self.occurred_at.clone(),
            self.detail.clone(),
            discard(|discard| &discard.at),
            discard(|discard| &discard.by),
            discard(|discard| &discard.reason),
        ]
    }
}

impl From<DeadLetter> for View {
    fn from(letter: DeadLetter) -> Self {
        let remedy = Waiting::remedy(
            letter.event_id,
            &letter.state,
            &letter.cause,
            &letter.source_type,
            letter.member_id,
        );
        Self {
            event_id: letter.event_id,
            state: letter.state,
            remedy,
            cause: letter.cause,
            detail: letter.last_error,
            attempts: letter.attempts,
            next_attempt_at: letter.next_attempt_at.map(calendar::rfc3339),
            first_failed_at: calendar::rfc3339(letter.first_failed_at),
            last_failed_at: calendar::rfc3339(letter.last_failed_at),
            source: letter.source,
            id: letter.external_id,
            member_id: letter.member_id,
            amount: letter.amount,
            currency: letter.currency,
            source_type: letter.source_type,
            occurred_at: calendar::rfc3339(letter.occurred_at),
            recorded_at: calendar::rfc3339(letter.recorded_at),
            as_of: calendar::rfc3339(letter.as_of),
            discard: letter.discard.map(DiscardView::from),
        }
    }
}

impl From<Discard> for DiscardView {
    fn from(discard: Discard) -> Self {
        let Discard { at, by, on_behalf_of, reason } = discard;
        Self { at: calendar::rfc3339(at), by, on_behalf_of, reason }
    }
}
