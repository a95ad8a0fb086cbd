//! `lineage dead-letters retry` and `discard`.

use std::process::ExitCode;

use serde_json::json;
use store::dead_letters::{self, Order, Refusal};
use store::{StoreError, database};
use uuid::Uuid;

use crate::connection::{BellArgs, DatabaseArgs};
use crate::output::{self, Format, FormatArgs, remark};

/// Which events to retry.
#[derive(Debug, clap::Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    which: WhichArgs,

    /// Why, for auditors
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: Option<String>,

    /// The person that you act for, for auditors
    #[arg(long, value_name = "WHO", value_parser = words)]
    on_behalf_of: Option<String>,

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

    /// Why, for auditors
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,

    /// The person that you act for, for auditors
    #[arg(long, value_name = "WHO", value_parser = words)]
    on_behalf_of: Option<String>,

    #[command(flatten)]
    output: FormatArgs,
}

/// A text that tells an auditor something.
fn words(text: &str) -> Result<String, String> {
    domain::text::check(text).map_err(|error| error.to_string())?;
    if text.trim().is_empty() {
        return Err("must not be blank".to_owned());
    }
    Ok(text.to_owned())
}

pub(super) async fn retry(args: &RetryArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let format = args.output.format;
    let pool = database.connect().await?;
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let actor = format!("role:{}", database::session_user(&mut tx).await?);
    let (reason, on_behalf_of) = (args.reason.as_deref(), args.on_behalf_of.as_deref());
    let order = Order { actor: &actor, on_behalf_of, reason };
    let retried = if args.which.event_ids.is_empty() {
        Ok(dead_letters::retry_dead(&mut tx, args.which.cause.as_deref(), &order).await?)
    } else {
        dead_letters::retry(&mut tx, &distinct(&args.which.event_ids), &order).await?
    };
    // A refusal is committed too: its record is all that it leaves.
    tx.commit().await.map_err(StoreError::from)?;
    match retried {
        Ok(retried) => {
            args.bell.ring(&retried).await;
            let value = json!({"retried": retried.len()});
            output::print(format, &value, |_| match retried.len() {
                0 => "No event is dead for that cause: nothing to retry.".to_owned(),
                retried => format!("{retried} event(s) are due now."),
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusals) => refused("retried", &refusals, format),
    }
}

pub(super) async fn discard(
    args: &DiscardArgs,
    database: &DatabaseArgs,
) -> anyhow::Result<ExitCode> {
    let format = args.output.format;
    let pool = database.connect().await?;
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let actor = format!("role:{}", database::session_user(&mut tx).await?);
    let order = Order { actor: &actor, on_behalf_of: args.on_behalf_of.as_deref(), reason: None };
    let event_ids = distinct(&args.event_ids);
    let discarded = dead_letters::discard(&mut tx, &event_ids, &args.reason, &order).await?;
    // A refusal is committed too: its record is all that it leaves.
    tx.commit().await.map_err(StoreError::from)?;
    match discarded {
        Ok(discarded) => {
            let value = json!({"discarded": discarded.len()});
            output::print(format, &value, |_| {
                let discarded = discarded.len();
                format!(
                    "{discarded} event(s) are discarded; `lineage dead-letters retry` undoes it."
                )
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Err(refusals) => refused("discarded", &refusals, format),
    }
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
