//! `lineage dead-letters retry` and `discard`.

use std::process::ExitCode;

use serde_json::json;
use store::dead_letters::{self, Order, Refusal};
use store::{PgPool, StoreError};
use uuid::Uuid;

use crate::actions::{self, Audited, Because, ForWhom, Person};
use crate::connection::{BellArgs, DatabaseArgs};
use crate::output::{self, Format, FormatArgs, remark};

/// Which events to retry.
#[derive(Debug, clap::Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    which: WhichArgs,

    #[command(flatten)]
    for_whom: ForWhom,

    #[command(flatten)]
    output: FormatArgs,

    #[command(flatten)]
    bell: BellArgs,
}

/// Events by their ids, or dead ones by their cause.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct WhichArgs {
    /// The events' ids, whatever their state
    #[arg(value_name = "ID")]
    event_ids: Vec<Uuid>,

    /// Every dead event of this cause, such as `damaged_tree`; not the discarded ones
    #[arg(long)]
    cause: Option<String>,

    /// Every dead event; not the discarded ones
    #[arg(long)]
    all: bool,
}

/// Which events to give up, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct DiscardArgs {
    /// The events' ids
    #[arg(value_name = "ID", required = true)]
    event_ids: Vec<Uuid>,

    #[command(flatten)]
    because: Because,

    #[command(flatten)]
    output: FormatArgs,
}

impl WhichArgs {
    /// What is selected, for the record, of which so many events are meant.
    fn says(&self, events: usize) -> String {
        match &self.cause {
            Some(cause) => format!("{events} dead event(s) of the cause {cause}"),
            None => format!("{events} dead event(s)"),
        }
    }
}

pub(super) async fn retry(args: &RetryArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let event_ids = distinct(&args.which.event_ids);
    let audited = audited("dead_letter.retry", &event_ids, &args.for_whom.person);
    audited.watch(&pool, carry_out_retry(args, &event_ids, &pool, &audited)).await
}

async fn carry_out_retry(
    args: &RetryArgs,
    event_ids: &[Uuid],
    pool: &PgPool,
    audited: &Audited,
) -> anyhow::Result<ExitCode> {
    let format = args.output.format;
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let (retried, which) = if event_ids.is_empty() {
        let retried = dead_letters::retry_dead(&mut tx, args.which.cause.as_deref()).await?;
        let which = args.which.says(retried.len());
        (retried, which)
    } else {
        match dead_letters::retry(&mut tx, event_ids).await? {
            Ok(retried) => (retried, named(event_ids)),
            Err(refusals) => {
                audited.commit_refusal(tx, &why(&refusals)).await?;
                return refused("retried", &refusals, format);
            }
        }
    };
    let detail = match &args.for_whom.reason {
        Some(reason) => format!("{reason}; {which}"),
        None => which,
    };
    audited.commit(tx, &detail).await?;
    args.bell.ring(&retried).await;
    let value = json!({"retried": retried.len()});
    output::print(format, &value, |_| match retried.len() {
        0 if args.which.cause.is_some() => "No dead letter of that cause.".to_owned(),
        0 => "No dead letter.".to_owned(),
        retried => format!("{retried} event(s) are due now."),
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn discard(
    args: &DiscardArgs,
    database: &DatabaseArgs,
) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let event_ids = distinct(&args.event_ids);
    let audited = audited("dead_letter.discard", &event_ids, &args.because.person);
    audited.watch(&pool, carry_out_discard(args, &event_ids, &pool, &audited)).await
}

async fn carry_out_discard(
    args: &DiscardArgs,
    event_ids: &[Uuid],
    pool: &PgPool,
    audited: &Audited,
) -> anyhow::Result<ExitCode> {
    let format = args.output.format;
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let actor = actions::actor(&mut tx).await?;
    let Because { reason, person } = &args.because;
    let order = Order { actor: &actor, on_behalf_of: person.name(), reason };
    if let Err(refusals) = dead_letters::discard(&mut tx, event_ids, &order).await? {
        audited.commit_refusal(tx, &why(&refusals)).await?;
        return refused("discarded", &refusals, format);
    }
    audited.commit(tx, &format!("{reason}; {}", named(event_ids))).await?;
    let discarded = event_ids.len();
    output::print(format, &json!({"discarded": discarded}), |_| {
        format!("{discarded} event(s) are discarded; `lineage dead-letters retry` undoes it.")
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The action that is to be put on record: one, however many events it is on.
fn audited(action: &'static str, event_ids: &[Uuid], person: &Person) -> Audited {
    let audited = Audited::new(action).on_behalf_of(person.name());
    if let [event_id] = event_ids {
        audited.is_about(event_id);
    }
    audited
}

/// How many events are named, and which, as far as the record has room for them.
fn named(event_ids: &[Uuid]) -> String {
    let ids: Vec<String> = event_ids.iter().map(ToString::to_string).collect();
    format!("{} event(s): {}", ids.len(), ids.join(", "))
}

/// Why it is refused, for the record.
fn why(refusals: &[Refusal]) -> String {
    let each = refusals.iter().map(|refusal| format!("{}: {refusal}", refusal.why.cause()));
    each.collect::<Vec<_>>().join("; ")
}

fn distinct(event_ids: &[Uuid]) -> Vec<Uuid> {
    let mut distinct = event_ids.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

/// Says why nothing was done: for programs on stdout, for people on stderr.
fn refused(what: &str, refusals: &[Refusal], format: Format) -> anyhow::Result<ExitCode> {
    if format == Format::Json {
        let each = refusals.iter().map(|refusal| {
            let (cause, reason) = (refusal.why.cause(), refusal.to_string());
            json!({"event_id": refusal.event_id, "cause": cause, "reason": reason})
        });
        let value = json!({what: 0, "refusals": each.collect::<Vec<_>>()});
        output::print(Format::Json, &value, |_| String::new())?;
    }
    for refusal in refusals {
        remark(&format!("error: not {what} ({}): {refusal}", refusal.why.cause()));
    }
    if refusals.len() > 1 {
        remark(&format!("No event was {what}."));
    }
    Ok(ExitCode::FAILURE)
}
