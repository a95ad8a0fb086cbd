//! `lineage dead-letters list` and `show`.

use std::process::ExitCode;

use anyhow::bail;
use clap::ValueEnum;
use serde_json::json;
use store::dead_letters::{self, FailureState, Position, Selection};
use store::{StoreError, events};
use uuid::Uuid;

use super::view::{CSV_HEADER, View};
use crate::connection::DatabaseArgs;
use crate::output::{self, FormatArgs, print_text, remark};

/// Which failed events to list, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// In which state
    #[arg(long, value_enum, default_value_t = State::Dead)]
    state: State,

    /// One cause only, such as `unknown_member`
    #[arg(long)]
    cause: Option<String>,

    /// Most events to list
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
    limit: i64,

    /// Go on after this place: `next` of the list before
    #[arg(long, value_name = "NEXT", value_parser = place)]
    after: Option<Position>,

    /// How the list is written to stdout
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
}

/// Which event to show, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The event's id
    event_id: Uuid,

    #[command(flatten)]
    output: FormatArgs,
}

/// In which state failed events are.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// Waiting for their next attempt
    Retrying,
    /// Given up until somebody looks
    Dead,
    /// Given up for good, with a reason
    Discarded,
    /// Any of these
    All,
}

impl State {
    fn selected(self) -> Option<FailureState> {
        match self {
            Self::Retrying => Some(FailureState::Retrying),
            Self::Dead => Some(FailureState::Dead),
            Self::Discarded => Some(FailureState::Discarded),
            Self::All => None,
        }
    }
}

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum ListFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
    /// For spreadsheets, with a header
    Csv,
}

fn place(text: &str) -> Result<Position, String> {
    Position::from_cursor(text).ok_or_else(|| "must be the `next` of an earlier list".to_owned())
}

pub(super) async fn list(args: &ListArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let selection = Selection { state: args.state.selected(), cause: args.cause.as_deref() };
    let after = args.after.unwrap_or(Position::START);
    // One more than asked for says whether there are more.
    let mut letters = dead_letters::list(&mut conn, selection, after, args.limit + 1).await?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let there_is_more = letters.len() > limit;
    letters.truncate(limit);
    let next = letters.last().map(|letter| letter.position().cursor());
    let next = next.or_else(|| args.after.map(Position::cursor));
    let views: Vec<View> = letters.into_iter().map(View::from).collect();
    match args.format {
        ListFormat::Table => print_text(&table(&views))?,
        ListFormat::Json => {
            let value = json!({"dead_letters": views, "next": next});
            print_text(&serde_json::to_string_pretty(&value)?)?;
        }
        ListFormat::Csv => {
            let mut csv = csv::Writer::from_writer(std::io::stdout().lock());
            csv.write_record(CSV_HEADER)?;
            for view in &views {
                csv.write_record(view.csv_row())?;
            }
            csv.flush()?;
        }
    }
    if let (true, Some(next)) = (there_is_more, &next) {
        remark(&format!("There are more: go on with --after {next}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(views: &[View]) -> String {
    if views.is_empty() {
        return "No such events.".to_owned();
    }
    let rows = views.iter().map(|view| {
        vec![
            view.event_id.to_string(),
            view.source.clone(),
            view.id.clone(),
            view.state.clone(),
            view.cause.clone(),
            view.attempts.to_string(),
            view.first_failed_at.clone(),
        ]
    });
    let header = ["EVENT", "SOURCE", "ID", "STATE", "CAUSE", "ATTEMPTS", "FIRST FAILED"];
    output::table(&header, &[5], rows.collect())
}

pub(super) async fn show(args: &ShowArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let event_id = args.event_id;
    let pool = database.connect().await?;
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let Some(letter) = dead_letters::find(&mut conn, event_id).await? else {
        match events::state(&mut conn, event_id).await? {
            Some(state) => bail!(
                "event {event_id} is {state}, no dead letter; see `lineage explain --event {event_id}`"
            ),
            None => bail!("no event has the id {event_id}; see `lineage dead-letters list`"),
        }
    };
    output::print(args.output.format, &View::from(letter), text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(view: &View) -> String {
    let or_never = |at: &Option<String>| at.clone().unwrap_or_else(|| "never".to_owned());
    let mut facts = vec![
        ("event", view.event_id.to_string()),
        ("order", format!("{} of {}", view.id, view.source)),
        ("member", view.member_id.to_string()),
        ("amount", format!("{} {}, {}", view.amount, view.currency, view.source_type)),
        ("occurred", view.occurred_at.clone()),
        ("counts at", view.as_of.clone()),
        ("recorded", view.recorded_at.clone()),
        ("state", view.state.clone()),
        ("cause", view.cause.clone()),
        ("last error", view.detail.clone()),
        ("attempts", view.attempts.to_string()),
        ("first failed", view.first_failed_at.clone()),
        ("last failed", view.last_failed_at.clone()),
        ("next attempt", or_never(&view.next_attempt_at)),
    ];
    if let Some(discard) = &view.discard {
        let person = discard.on_behalf_of.as_ref();
        let person = person.map(|person| format!(" for {person}")).unwrap_or_default();
        facts.push(("discarded", format!("{} by {}{person}", discard.at, discard.by)));
        facts.push(("because", discard.reason.clone()));
    }
    format!("{}\n{}\n", output::facts(&facts), view.remedy)
}
