//! `lineage explain`: who got what for a sale, and why everybody else did not.
//!
//! Everything is computed again from the stored event, inputs and rule set (law L9); only names
//! of members are those of today.

mod settled;
mod waiting;

use std::process::ExitCode;

use anyhow::bail;
use domain::explain::{Explanation, People, Person, SaleFacts, render};
use domain::period::Programme;
use domain::sale;
use store::enrolment::Member;
use store::events::{self, EventDetail};
use store::{PgConnection, StoreError, audit, programme, tree};
use uuid::Uuid;

use crate::connection::DatabaseArgs;
use crate::output::{self, FormatArgs};
use domain::calendar;

/// `lineage explain`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
    lineage explain --source shop-eu --external-id order-1001\n  \
    lineage explain --event 03d6503c-8434-5c56-a368-f466aee7305a --format json")]
pub(crate) struct Args {
    /// The event's id
    #[arg(long, value_name = "UUID", required_unless_present = "external_id",
          conflicts_with_all = ["source", "external_id"])]
    event: Option<Uuid>,

    /// The shop that sent the event
    #[arg(long, requires = "external_id")]
    source: Option<String>,

    /// What the shop calls the event
    #[arg(long, requires = "source")]
    external_id: Option<String>,

    #[command(flatten)]
    output: FormatArgs,
}

/// Everybody of these ids, by the names of today.
async fn find_people(conn: &mut PgConnection, ids: &[Uuid]) -> Result<People, StoreError> {
    let person = |member: Member| Person {
        id: member.id,
        external_id: member.external_id,
        name: member.name,
    };
    Ok(People(tree::members(conn, ids, None).await?.into_iter().map(person).collect()))
}

pub(crate) async fn run(args: &Args, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let event_id = match (args.event, &args.source, &args.external_id) {
        (Some(id), ..) => id,
        (None, Some(source), Some(external_id)) => sale::event_id(source, external_id),
        _ => bail!("give --event, or --source and --external-id"),
    };
    let Some(explanation) = load(&mut conn, event_id).await? else {
        match (&args.source, &args.external_id) {
            (Some(source), Some(external_id)) => {
                bail!(
                    "no event {external_id:?} of {source:?} was recorded (it would be {event_id})"
                )
            }
            _ => bail!("no event {event_id} was recorded"),
        }
    };
    output::print(args.output.format, &explanation, render)?;
    Ok(ExitCode::SUCCESS)
}

/// Everything there is to say about an event; `None`: there is no such event.
pub(crate) async fn load(
    conn: &mut PgConnection,
    event_id: Uuid,
) -> anyhow::Result<Option<Explanation>> {
    let Some(event) = events::find(conn, event_id).await? else { return Ok(None) };
    let calendar = programme::get(conn).await?;
    let Some(outcome) = audit::outcome(conn, event_id).await? else {
        let people = find_people(conn, &[event.facts.member_id]).await?;
        return Ok(Some(Explanation {
            sale: sale_facts(&event, &people, event.facts.member_id, &calendar),
            waiting: Some(waiting::of(&event, &calendar)),
            settled: None,
            state: event.state,
        }));
    };
    let (settled, people, seller) = settled::load(conn, &event, &outcome, &calendar).await?;
    Ok(Some(Explanation {
        sale: sale_facts(&event, &people, seller, &calendar),
        waiting: None,
        settled: Some(settled),
        state: "settled".to_owned(),
    }))
}

fn sale_facts(
    event: &EventDetail,
    people: &People,
    seller: Uuid,
    programme: &Programme,
) -> SaleFacts {
    let facts = &event.facts;
    SaleFacts {
        event_id: event.id,
        source: event.source.clone(),
        external_id: event.external_id.clone(),
        seller: people.person(seller),
        amount: facts.amount.to_string(),
        volume: facts.volume.to_string(),
        currency: facts.currency.to_string(),
        source_type: facts.source_type.name(),
        product_id: facts.product_id.clone(),
        occurred_at: calendar::rfc3339(facts.occurred_at),
        recorded_at: calendar::rfc3339(event.recorded_at),
        as_of: calendar::rfc3339(event.as_of),
        moment: calendar::moment(programme, event.as_of),
        period: domain::period::Period::containing(event.earned_period).to_string(),
    }
}
