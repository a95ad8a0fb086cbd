//! `lineage actions list`: reading the record.

use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use store::actions::{self, ActionResult, RecordedAction, Selection};
use store::{StoreError, programme};

use crate::connection::DatabaseArgs;
use crate::members::moment::Moment;
use crate::members::view::plain;
use crate::output::{self, remark};
use domain::calendar;
use domain::period::Programme;

/// Actions that one list holds at most.
const LIMIT_MAX: i64 = 100_000;

/// Which actions, how many, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Of one API key or database login only, such as key:4f0c2a9be1d3 or role:jana
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,

    /// One action only, such as plan.apply; or all of a kind: plan
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,

    /// On one plan, member, key or event only
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,

    /// That ended so only
    #[arg(long, value_enum)]
    result: Option<ResultArg>,

    /// Recorded since a time such as 2023-05-31T10:00:00Z, or the beginning of a day, only
    #[arg(long, value_name = "WHEN")]
    since: Option<Moment>,

    /// How many actions to list at most
    #[arg(long, value_name = "N", default_value_t = 100,
          value_parser = clap::value_parser!(i64).range(1..=LIMIT_MAX))]
    limit: i64,

    /// Go on after this number: the `next` of an earlier list
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    after: i64,

    /// How the list is written to stdout
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
}

/// How an action ended, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ResultArg {
    /// It has taken effect
    Done,
    /// A rule forbade it
    Refused,
    /// It could not be carried out
    Failed,
}

impl From<ResultArg> for ActionResult {
    fn from(typed: ResultArg) -> Self {
        match typed {
            ResultArg::Done => Self::Done,
            ResultArg::Refused => Self::Refused,
            ResultArg::Failed => Self::Failed,
        }
    }
}

/// How the list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

/// An action as listed. The order of the fields is the order of the columns of the CSV.
#[derive(Debug, Serialize)]
struct ActionView<'a> {
    number: i64,
    recorded_at: String,
    action: &'a str,
    subject: Option<&'a str>,
    result: &'a str,
    detail: Option<&'a str>,
    actor: &'a str,
    on_behalf_of: Option<&'a str>,
    /// SHA-256 of the arguments.
    arguments: &'a str,
    /// Whose session wrote the row.
    login: &'a str,
}

impl<'a> From<&'a RecordedAction> for ActionView<'a> {
    fn from(action: &'a RecordedAction) -> Self {
        Self {
            number: action.id,
            recorded_at: calendar::rfc3339(action.recorded_at),
            action: &action.action,
            subject: action.subject.as_deref(),
            result: &action.result,
            detail: action.detail.as_deref(),
            actor: &action.actor,
            on_behalf_of: action.on_behalf_of.as_deref(),
            arguments: &action.arguments,
            login: &action.login,
        }
    }
}

pub(super) async fn run(args: &ListArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let calendar = programme::get(&mut conn).await?;
    let selection = Selection {
        actor: args.actor.as_deref(),
        action: args.action.as_deref(),
        subject: args.subject.as_deref(),
        result: args.result.map(ActionResult::from),
        since: args.since.map(|moment| moment.instant(&calendar)),
        after: args.after,
    };
    // One more than is listed tells whether there are more.
    let mut recorded = actions::list(&mut conn, &selection, args.limit + 1).await?;
    let listed_max = usize::try_from(args.limit)?;
    let next = (recorded.len() > listed_max).then(|| recorded[listed_max - 1].id);
    recorded.truncate(listed_max);
    let views: Vec<ActionView<'_>> = recorded.iter().map(ActionView::from).collect();
    output::print_text(&match args.format {
        ListFormat::Table => table(&recorded, &calendar),
        ListFormat::Json => {
            serde_json::to_string_pretty(&json!({ "actions": views, "next": next }))?
        }
        ListFormat::Csv => csv(&views)?,
    })?;
    if let Some(next) = next.filter(|_| args.format != ListFormat::Json) {
        remark(&format!("There are more: go on with --after {next}."));
    }
    Ok(ExitCode::SUCCESS)
}

fn table(actions: &[RecordedAction], calendar: &Programme) -> String {
    let text = |text: &Option<String>| text.as_deref().map(plain).unwrap_or_default();
    let rows = actions.iter().map(|action| {
        vec![
            action.id.to_string(),
            calendar::moment(calendar, action.recorded_at),
            action.action.clone(),
            text(&action.subject),
            action.result.clone(),
            plain(&action.actor),
            text(&action.on_behalf_of),
            text(&action.detail),
        ]
    });
    let header = ["NUMBER", "RECORDED", "ACTION", "ON", "RESULT", "BY", "FOR", "DETAIL"];
    output::table(&header, &[0], rows.collect())
}

fn csv(actions: &[ActionView<'_>]) -> anyhow::Result<String> {
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    csv.write_record([
        "number",
        "recorded_at",
        "action",
        "subject",
        "result",
        "detail",
        "actor",
        "on_behalf_of",
        "arguments",
        "login",
    ])?;
    for action in actions {
        csv.serialize(action)?;
    }
    Ok(String::from_utf8(csv.into_inner()?)?)
}
