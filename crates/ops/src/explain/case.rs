//! A settled sale, computed again, beside which other worlds are put.

use anyhow::{Context as _, anyhow};
use domain::explain::{Change, Teller, World, compare};
use domain::inputs::Inputs;
use domain::recompute::{self, StoredOutcome};
use domain::rule_book::PlanVersion;
use domain::settle::Settlement;
use store::explaining::{self, Books};
use store::{PgConnection, StoreError};
use uuid::Uuid;

use super::world::Inhabited;

/// A settled sale as it is.
pub(super) struct Case {
    pub(super) outcome: StoredOutcome,
    pub(super) version: PlanVersion,
    pub(super) inputs: Inputs,
    pub(super) settlement: Settlement,
}

impl Case {
    /// Computes a stored outcome again.
    pub(super) fn of(outcome: StoredOutcome, books: &Books) -> anyhow::Result<Self> {
        let number = outcome.plan_number;
        let version = books.rules.version(number).with_context(|| {
            format!("plan version number {number}, which priced the sale, does not exist")
        })?;
        let event_id = outcome.sale.event_id;
        let (inputs, settlement) = recompute::settlement(&outcome, version)
            .map_err(|reason| anyhow!("the outcome of event {event_id}: {reason}"))?;
        let (version, inputs) = (version.clone(), inputs.clone());
        Ok(Self { outcome, version, inputs, settlement })
    }

    /// Whether a member gets the same here and there; of everybody, if nobody is named.
    pub(super) fn pays_like(&self, other: &Settlement, only: Option<Uuid>) -> bool {
        let own = |of: &Settlement| {
            let lines = of.lines.iter().filter(|line| only.is_none_or(|id| id == line.member_id));
            let facts =
                lines.map(|line| (line.member_id, line.level, line.amount, line.career_points));
            facts.collect::<Vec<_>>()
        };
        own(&self.settlement) == own(other)
    }

    /// Line by line, what is different there.
    pub(super) async fn compare(
        &self,
        conn: &mut PgConnection,
        other: &Inhabited,
        only: Option<Uuid>,
        books: &Books,
    ) -> Result<Vec<Change>, StoreError> {
        let everybody = |inputs: &Inputs| {
            let visits = std::iter::once(&inputs.seller).chain(&inputs.upline);
            visits.map(|visit| visit.member_id).collect::<Vec<_>>()
        };
        let paid = |settlement: &Settlement| {
            settlement.lines.iter().map(|line| line.member_id).collect::<Vec<_>>()
        };
        let mut ids = paid(&self.settlement);
        ids.extend(paid(&other.settlement));
        ids.extend(everybody(&self.inputs));
        ids.extend(only);
        ids.sort_unstable();
        ids.dedup();
        let people = explaining::people(conn, &ids).await?;
        let (sale, ladder, people) = (&self.outcome.sale, &books.ladder, &people);
        let before = World {
            teller: Teller { sale, inputs: &self.inputs, version: &self.version, ladder, people },
            settlement: self.settlement.clone(),
        };
        let after = World {
            teller: Teller { sale, inputs: &other.inputs, version: &other.version, ladder, people },
            settlement: other.settlement.clone(),
        };
        Ok(compare(&before, &after, only))
    }
}
