//! Comparing what is posted with what is recorded under the same id. Details are not compared: they
//! may have been erased, and nothing is paid by them.

use std::collections::{BTreeSet, HashMap};

use domain::sale::{BuyerType, SaleLine};
use store::events::{self, Facts, NewEvent};
use store::{PgConnection, StoreError};
use uuid::Uuid;

/// A field that differs.
pub(super) struct Difference {
    /// The field, as a JSON pointer within the sale.
    pub(super) pointer: String,
    /// The field with both values, in words.
    pub(super) detail: String,
}

/// Compares events with what is recorded under their ids. Returns what differs, by id.
pub(super) async fn from_recorded(
    conn: &mut PgConnection,
    events: &[&NewEvent],
) -> Result<HashMap<Uuid, Difference>, StoreError> {
    let ids: Vec<Uuid> = events.iter().map(|event| event.id).collect();
    let recorded: HashMap<Uuid, Facts> = events::facts(conn, &ids).await?.into_iter().collect();
    // A reference and the member enrolled since under its external id are the same seller.
    let members: BTreeSet<Uuid> = events
        .iter()
        .map(|event| event.facts.member_id)
        .chain(recorded.values().map(|facts| facts.member_id))
        .collect();
    let members: Vec<Uuid> = members.into_iter().collect();
    let canonical: HashMap<Uuid, Uuid> =
        events::canonical_members(conn, &members).await?.into_iter().collect();
    let mut differences = HashMap::new();
    for event in events {
        let Some(known) = recorded.get(&event.id) else {
            // It was there for the insert and is not now: impossible for an append-only table.
            return Err(StoreError::Damaged(format!("event {} vanished", event.id)));
        };
        if let Some(difference) = difference(known, &event.facts, &canonical) {
            differences.insert(event.id, difference);
        }
    }
    Ok(differences)
}

/// The first field in which facts differ.
fn difference(
    recorded: &Facts,
    posted: &Facts,
    canonical: &HashMap<Uuid, Uuid>,
) -> Option<Difference> {
    let fields = |facts: &Facts| {
        let seller = canonical.get(&facts.member_id).copied().unwrap_or(facts.member_id);
        [
            ("/member_id", seller.to_string()),
            ("/amount", facts.amount.to_string()),
            ("/currency", facts.currency.to_string()),
            ("/volume", facts.volume.to_string()),
            ("/source_type", facts.source_type.to_string()),
            ("/product_id", or_none(facts.product_id.as_deref())),
            ("/order_kind", facts.order_kind.to_string()),
            ("/market", or_none(facts.market.as_deref())),
            ("/buyer/type", or_none(facts.buyer_type.map(BuyerType::name))),
            ("/occurred_at", facts.occurred_at.to_rfc3339()),
        ]
    };
    first_different("", fields(recorded), fields(posted))
        .or_else(|| line_difference(&recorded.lines, &posted.lines))
}

/// The first line that differs, by its first field that does. Their order is a fact, too.
fn line_difference(recorded: &[SaleLine], posted: &[SaleLine]) -> Option<Difference> {
    if recorded.len() != posted.len() {
        let detail = format!("{} lines, not {}", recorded.len(), posted.len());
        return Some(Difference { pointer: "/lines".to_owned(), detail });
    }
    let fields = |line: &SaleLine| {
        [
            ("/id", line.id.clone()),
            ("/product_id", line.product_id.clone()),
            ("/category", or_none(line.category.as_deref())),
            ("/quantity", line.quantity.to_string()),
            ("/amount", line.amount.to_string()),
            ("/volume", line.volume.to_string()),
        ]
    };
    recorded.iter().zip(posted).enumerate().filter(|(_, (was, is))| was != is).find_map(
        |(place, (was, is))| first_different(&format!("/lines/{place}"), fields(was), fields(is)),
    )
}

/// `at` is what the fields belong to; the detail names a field by its place there.
fn first_different<const N: usize>(
    at: &str,
    was: [(&'static str, String); N],
    is: [(&'static str, String); N],
) -> Option<Difference> {
    let ((field, was), (_, is)) = was.into_iter().zip(is).find(|(was, is)| was != is)?;
    let pointer = format!("{at}{field}");
    let name = pointer.trim_start_matches('/').replace('/', ".");
    Some(Difference { detail: format!("{name} {was}, not {is}"), pointer })
}

fn or_none(text: Option<&str>) -> String {
    text.unwrap_or("none").to_owned()
}
