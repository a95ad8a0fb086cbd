//! `lineage explain`: who got what, and why everybody else did not; of a sale, or of a member's
//! period; as it is, or as it would have been.
//!
//! Everything is computed again from the stored event, inputs and rule set (law L9); only names
//! of members are those of today. Nothing is written.

mod candidates;
mod case;
mod difference;
mod statement;
mod why_not;
mod world;

use std::process::ExitCode;

use anyhow::bail;
use domain::explain::render;
use domain::period::Period;
use domain::sale;
use store::{PgConnection, explaining, tree};
use uuid::Uuid;

use self::world::{Otherwise, WorldArgs};
use crate::connection::DatabaseArgs;
use crate::members::question;
use crate::output::{self, FormatArgs};

/// `lineage explain`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    A sale, or a member's statement to be forwarded:\n    \
    lineage explain --source shop-eu --external-id order-1001\n    \
    lineage explain --event 03d6503c-8434-5c56-a368-f466aee7305a --format json\n    \
    lineage explain --member M-1001 --period 2023-05\n  \
    What would have been, line by line:\n    \
    lineage explain --source shop-eu --external-id order-1001 --against plan-new.yaml\n    \
    lineage explain --member M-1001 --period 2023-05 --as-of 2023-06-01\n    \
    lineage explain --source shop-eu --external-id order-1001 --rank M-1001=GOLD\n  \
    Why 3240 and not 3470:\n    \
    lineage explain --member M-1001 --period 2023-05 --why-not 3470\n\n\
    --why-not tries up to 64 worlds: other ranks of the member, other versions of the plan, and tree,\n\
    ranks, statuses and splits as of the recorded changes nearest to the sale, and as of now. It looks\n\
    at up to 1,000 sales of a period; --against, --as-of and --rank at up to 10,000.\n\
    Exits with 1 when the ledger is not what the rules say.")]
pub(crate) struct Args {
    /// The event's id
    #[arg(long, value_name = "UUID", conflicts_with_all = ["source", "external_id", "period"])]
    event: Option<Uuid>,

    /// The shop that sent the event
    #[arg(long, requires = "external_id", conflicts_with = "period")]
    source: Option<String>,

    /// What the shop calls the event
    #[arg(long, requires = "source", conflicts_with = "period")]
    external_id: Option<String>,

    /// The member by id or external id: whose period, or whose lines of a sale
    #[arg(long)]
    member: Option<String>,

    /// The period of a statement, by when the lines were earned, such as 2023-05
    #[arg(long, requires = "member")]
    period: Option<Period>,

    #[command(flatten)]
    world: WorldArgs,

    #[command(flatten)]
    output: FormatArgs,
}

/// What is asked for where nothing is.
pub(crate) const NOTHING_ASKED: &str =
    "give --event, or --source and --external-id, or --member and --period";

impl Args {
    /// Whether a sale or a period is asked about.
    pub(crate) fn is_asked(&self) -> bool {
        self.event_id().is_some() || (self.member.is_some() && self.period.is_some())
    }

    /// The event that is asked about.
    fn event_id(&self) -> Option<Uuid> {
        match (self.event, &self.source, &self.external_id) {
            (Some(id), ..) => Some(id),
            (None, Some(source), Some(external_id)) => Some(sale::event_id(source, external_id)),
            _ => None,
        }
    }

    /// The event by the names that were typed.
    fn unknown_event(&self, event_id: Uuid) -> String {
        match (&self.source, &self.external_id) {
            (Some(source), Some(external_id)) => {
                format!(
                    "no event {external_id:?} of {source:?} was recorded (it would be {event_id})"
                )
            }
            _ => format!("no event {event_id} was recorded"),
        }
    }
}

pub(crate) async fn run(args: &Args, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut tx = tree::begin(&pool).await?;
    let conn: &mut PgConnection = &mut tx;
    let member_id = match &args.member {
        Some(name) => Some(question::find(conn, name).await?),
        None => None,
    };
    let format = args.output.format;
    match (args.period, member_id, args.event_id()) {
        (Some(period), Some(member_id), _) if args.world.is_given() => {
            let books = explaining::Books::read(conn).await?;
            if let Some(amount) = args.world.why_not {
                return why_not::period(conn, &books, member_id, period, amount, format).await;
            }
            let other = Otherwise::read(conn, &args.world, &books).await?;
            difference::period(conn, &books, member_id, period, &other, format).await
        }
        (Some(period), Some(member_id), _) => statement::run(conn, member_id, period, format).await,
        (None, _, Some(event_id)) if args.world.is_given() => {
            let books = explaining::Books::read(conn).await?;
            let Some(event) = store::events::find(conn, event_id).await? else {
                bail!(args.unknown_event(event_id))
            };
            if let Some(amount) = args.world.why_not {
                let Some(member_id) = member_id else {
                    bail!("say --member: whose amount of this sale is meant?")
                };
                return why_not::event(conn, &books, &event, member_id, amount, format).await;
            }
            let other = Otherwise::read(conn, &args.world, &books).await?;
            difference::event(conn, &books, &event, member_id, &other, format).await
        }
        (None, _, Some(event_id)) => {
            let Some(explanation) = explaining::explain(conn, event_id).await? else {
                bail!(args.unknown_event(event_id))
            };
            output::print(format, &explanation, render)?;
            let settled = explanation.settled.as_ref();
            let is_whole = settled.is_none_or(|settled| settled.differences.is_empty())
                && explanation.unexplained.is_none();
            Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        _ => bail!(NOTHING_ASKED),
    }
}
