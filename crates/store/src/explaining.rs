//! Reading what explanations need, and letting `domain` tell: one path for HTTP and command line.
//!
//! Nothing here writes. Callers read inside [`crate::tree::begin`], so that an answer is of one
//! moment.

mod statement;
mod worlds;

use domain::calendar;
use domain::explain::{Explanation, People, Person, SaleFacts, Teller, Waiting};
use domain::ladder::Ladder;
use domain::period::{Period, Programme};
use domain::recompute::{self, StoredOutcome};
use domain::rule_book::RuleBook;
use sqlx::PgConnection;
use uuid::Uuid;

pub use self::statement::{
    LinePosition, NoPosition, StatementPage, ledger_sums, statement_page, waiting_sales,
};
pub use self::worlds::{Turn, TurnKind, events_of_period, inputs_as_of, turns_near};
use crate::events::{self, EventDetail};
use crate::{StoreError, audit, plans, programme, tree};

/// What every explanation is told from, besides the sale.
#[derive(Clone, Debug)]
pub struct Books {
    /// The calendar.
    pub programme: Programme,
    /// The names of ranks.
    pub ladder: Ladder,
    /// Every plan version.
    pub rules: RuleBook,
}

impl Books {
    /// Reads them.
    pub async fn read(conn: &mut PgConnection) -> Result<Self, StoreError> {
        Ok(Self {
            programme: programme::get(conn).await?,
            ladder: programme::ladder(conn).await?,
            rules: plans::rule_book(conn).await?,
        })
    }
}

/// Everybody of these ids, by the names of today.
pub async fn people(conn: &mut PgConnection, ids: &[Uuid]) -> Result<People, StoreError> {
    let members = tree::members(conn, ids, None).await?.into_iter();
    let person = members.map(|member| Person {
        id: member.id,
        external_id: member.external_id,
        name: member.name,
    });
    Ok(People(person.collect()))
}

/// Everything there is to say about an event; `None`: there is no such event.
pub async fn explain(
    conn: &mut PgConnection,
    event_id: Uuid,
) -> Result<Option<Explanation>, StoreError> {
    let Some(event) = events::find(conn, event_id).await? else { return Ok(None) };
    let books = Books::read(conn).await?;
    match audit::outcome(conn, event_id).await? {
        Some(outcome) => settled(conn, &event, &outcome, &books).await.map(Some),
        None => waiting(conn, event, &books.programme).await.map(Some),
    }
}

/// Computes a stored outcome again and tells it.
async fn settled(
    conn: &mut PgConnection,
    event: &EventDetail,
    outcome: &StoredOutcome,
    books: &Books,
) -> Result<Explanation, StoreError> {
    let everybody = outcome.inputs.iter().flat_map(|inputs| {
        std::iter::once(&inputs.seller).chain(&inputs.upline).map(|visit| visit.member_id)
    });
    let mut ids: Vec<Uuid> = everybody.collect();
    let seller = ids.first().copied().unwrap_or(event.facts.member_id);
    if ids.is_empty() {
        ids.push(seller);
    }
    let people = people(conn, &ids).await?;
    let number = outcome.plan_number;
    let missing = || format!("plan version number {number}, which priced the sale, does not exist");
    let told = books.rules.version(number).ok_or_else(missing).and_then(|version| {
        let (inputs, settlement) = recompute::settlement(outcome, version)?;
        let (sale, ladder) = (&outcome.sale, &books.ladder);
        let teller = Teller { sale, inputs, version, ladder, people: &people };
        let mut settled = teller.tell(&settlement, &books.programme);
        settled.settled_at = event.settled_at.map(calendar::rfc3339);
        settled.differences = recompute::differences(outcome, version, &books.programme);
        Ok(settled)
    });
    let (settled, unexplained) = match told {
        Ok(settled) => (Some(settled), None),
        Err(reason) => (None, Some(reason)),
    };
    Ok(Explanation {
        sale: sale_facts(event, people.person(seller), &books.programme),
        state: event.state.clone(),
        settled,
        waiting: None,
        unexplained,
    })
}

/// Why the event waits.
async fn waiting(
    conn: &mut PgConnection,
    event: EventDetail,
    programme: &Programme,
) -> Result<Explanation, StoreError> {
    let member_id = event.facts.member_id;
    let seller = people(conn, &[member_id]).await?.person(member_id);
    let waiting = event.failure.as_ref().map_or_else(Waiting::untried, |failure| Waiting {
        cause: Some(failure.cause.clone()),
        last_error: Some(failure.last_error.clone()),
        attempts: failure.attempts,
        next_attempt_at: failure.next_attempt_at.map(calendar::rfc3339),
        next_attempt: failure.next_attempt_at.map(|at| calendar::moment(programme, at)),
        remedy: Waiting::remedy(
            event.id,
            &event.state,
            &failure.cause,
            event.facts.source_type,
            member_id,
        ),
    });
    Ok(Explanation {
        sale: sale_facts(&event, seller, programme),
        waiting: Some(waiting),
        settled: None,
        unexplained: None,
        state: event.state,
    })
}

fn sale_facts(event: &EventDetail, seller: Person, programme: &Programme) -> SaleFacts {
    let facts = &event.facts;
    SaleFacts {
        event_id: event.id,
        source: event.source.clone(),
        external_id: event.external_id.clone(),
        seller,
        amount: facts.amount.to_string(),
        volume: facts.volume.to_string(),
        currency: facts.currency.to_string(),
        source_type: facts.source_type.name(),
        product_id: facts.product_id.clone(),
        order_kind: facts.order_kind.name(),
        market: facts.market.clone(),
        buyer_type: facts.buyer_type.map(domain::sale::BuyerType::name),
        lines: facts.lines.iter().map(Into::into).collect(),
        occurred_at: calendar::rfc3339(facts.occurred_at),
        recorded_at: calendar::rfc3339(event.recorded_at),
        as_of: calendar::rfc3339(event.as_of),
        moment: calendar::moment(programme, event.as_of),
        period: Period::containing(event.earned_period).to_string(),
    }
}
