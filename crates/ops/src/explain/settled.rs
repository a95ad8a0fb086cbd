//! Reading what a settled sale's explanation needs, and computing the sale again.

use anyhow::{Context as _, anyhow};
use domain::calendar;
use domain::explain::{People, Settled, Teller};
use domain::period::Programme;
use store::audit::StoredOutcome;
use store::events::EventDetail;
use store::{PgConnection, plans, programme};
use uuid::Uuid;

use super::find_people;
use crate::recompute;

/// Computes a stored outcome again. Also returns who it speaks of, and the seller.
pub(super) async fn load(
    conn: &mut PgConnection,
    event: &EventDetail,
    outcome: &StoredOutcome,
    programme: &Programme,
) -> anyhow::Result<(Settled, People, Uuid)> {
    let ladder = programme::ladder(conn).await?;
    let book = plans::rule_book(conn).await?;
    let number = outcome.plan_number;
    let version = book.version(number).with_context(|| {
        format!("plan version number {number}, which priced the sale, does not exist")
    })?;
    let (inputs, settlement) = recompute::settlement(outcome, version)
        .map_err(|reason| anyhow!("the outcome of event {}: {reason}", event.id))?;
    let everybody = std::iter::once(&inputs.seller).chain(&inputs.upline);
    let ids: Vec<Uuid> = everybody.map(|visit| visit.member_id).collect();
    let people = find_people(conn, &ids).await?;
    let teller = Teller { sale: &outcome.sale, inputs, version, ladder: &ladder, people: &people };
    let mut settled = teller.tell(&settlement, programme);
    settled.settled_at = event.settled_at.map(calendar::rfc3339);
    settled.differences = recompute::differences(outcome, version, programme);
    let seller = inputs.seller.member_id;
    Ok((settled, people, seller))
}
