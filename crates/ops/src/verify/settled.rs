//! Law L8's part of the proof: no change of history reaches behind a sale that was settled before.
//!
//! A change is wrong if some sale was settled before the change was recorded, and the sale's moment
//! is not before the change's. Changes are sorted by when they were recorded; each outcome falls
//! before one of them, and of those that do only the latest sale is kept. At the end one pass
//! carries the latest sale forward. So an outcome costs a binary search, and memory grows with the
//! changes, not with the outcomes.
//!
//! Comparing `settled_at` with `recorded_at` suffices, although both say when a transaction began,
//! not when it committed. Settlement asks for its share of the lock `history` in the message that
//! begins its transaction, and holds it until the commit; a change begins, asks for `history` alone
//! some round trips later, and looks once more at what is settled when it has it. So a settlement
//! that began before the change had committed when the change looked: the change saw the sale, and
//! had to be refused. One that began after the change is not compared: either the change waited for
//! it and saw it too, or it read the changed history.

use chrono::{DateTime, Utc};
use store::PgConnection;
use store::audit::StoredOutcome;
use store::tree_audit::{self, HistoryRow};
use uuid::Uuid;

use super::history::what;
use super::{Finding, Listing};

const ADVICE: &str = "find out who wrote it past the locks: what these sales paid rests on the history \
    before it; compare with a backup";

/// The changes of history, and the latest sale that was settled before each.
pub(super) struct SettledSales {
    /// In the order of recording.
    changes: Vec<HistoryRow>,
    /// The latest sale, as (moment, event), of those settled before this change was recorded, but
    /// not before the previous one.
    latest: Vec<Option<(DateTime<Utc>, Uuid)>>,
}

impl SettledSales {
    /// Reads the changes of the caller's snapshot. What is recorded later is checked by the next
    /// verification.
    pub(super) async fn read_changes(conn: &mut PgConnection) -> anyhow::Result<Self> {
        Ok(Self::before(tree_audit::written_since_the_beginning(conn).await?))
    }

    /// How many changes there are.
    pub(super) fn changes(&self) -> u64 {
        self.changes.len() as u64
    }

    fn before(changes: Vec<HistoryRow>) -> Self {
        let latest = vec![None; changes.len()];
        Self { changes, latest }
    }

    /// Takes an outcome into account.
    pub(super) fn add(&mut self, outcome: &StoredOutcome) {
        let sale = (outcome.sale.as_of, outcome.sale.event_id);
        self.add_sale(sale, outcome.settled_at);
    }

    fn add_sale(&mut self, sale: (DateTime<Utc>, Uuid), settled_at: DateTime<Utc>) {
        let next = self.changes.partition_point(|change| change.recorded_at <= settled_at);
        if let Some(latest) = self.latest.get_mut(next) {
            *latest = (*latest).max(Some(sale));
        }
    }

    /// The changes that reach back behind a settled sale, each with the latest such sale.
    fn reaching_back(&self) -> impl Iterator<Item = (&HistoryRow, (DateTime<Utc>, Uuid))> {
        let mut latest = None;
        self.changes.iter().zip(&self.latest).filter_map(move |(change, newly_settled)| {
            latest = latest.max(*newly_settled);
            let sale = latest.filter(|(as_of, _)| *as_of >= change.effective_at)?;
            Some((change, sale))
        })
    }

    /// Says which changes reach back behind settled sales.
    pub(super) fn check(
        &self,
        found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut listing = Listing::default();
        for (change, (as_of, event_id)) in self.reaching_back() {
            if !listing.has_room() {
                continue;
            }
            let HistoryRow { recorded_at, effective_at, member_id, kind } = change;
            let what = what(*kind);
            found(Finding {
                about: "member",
                id: member_id.to_string(),
                problem: format!(
                    "has a {what} at {effective_at} in its history that was recorded at \
                     {recorded_at}, after a sale of {as_of} was settled: event {event_id}"
                ),
                advice: ADVICE,
            })?;
        }
        listing.close("changes of history behind settled sales", ADVICE, found)
    }
}

#[cfg(test)]
#[path = "settled_tests.rs"]
mod tests;
