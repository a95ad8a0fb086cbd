//! `lineage plan retire`.

use std::process::ExitCode;

use chrono::NaiveDate;
use domain::rule_book::Retirement;
use serde_json::json;
use store::plans::{self, Retire, RetireError, Retired};
use store::{PgPool, StoreError, programme};

use crate::actions::{self, Audited, Because};
use crate::connection::{BellArgs, DatabaseArgs};
use crate::output::{self, FormatArgs};
use domain::calendar;

/// What to retire, from when on, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct RetireArgs {
    /// The plan's name
    plan: String,

    /// First day without the plan, in the programme's time zone
    #[arg(long, value_name = "DATE", value_parser = calendar::day)]
    from: NaiveDate,

    #[command(flatten)]
    because: Because,

    /// Do everything, then undo it
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: FormatArgs,

    #[command(flatten)]
    bell: BellArgs,
}

pub(super) async fn run(args: &RetireArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let audited = Audited::new("plan.retire")
        .on_behalf_of(args.because.person.name())
        .unless_tried(args.dry_run);
    audited.is_about(&args.plan);
    audited.watch(&pool, carry_out(args, &pool, &audited)).await
}

async fn carry_out(
    args: &RetireArgs,
    pool: &PgPool,
    audited: &Audited,
) -> anyhow::Result<ExitCode> {
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let calendar = programme::get(&mut tx).await?;
    let retired_by = actions::actor(&mut tx).await?;
    let from = calendar.start_of_day(args.from);
    let retirement = Retirement { plan: args.plan.clone(), from };
    let reason = &args.because.reason;
    let order = Retire { retirement: &retirement, retired_by: &retired_by, reason };
    let retired = plans::retire(&mut tx, &order).await.map_err(|error| match error {
        // The chain of causes names it, with what to do about it.
        RetireError::Store(error) => anyhow::Error::new(error),
        error @ (RetireError::CannotRetire(_) | RetireError::Repricing { .. }) => {
            anyhow::Error::new(error)
        }
    })?;
    let resumes = plans::rule_book(&mut tx).await?.resumes(&retirement);
    let (revived, status) = match retired {
        Retired::New { revived } => (revived, "retired"),
        Retired::Already => (Vec::new(), "already_retired"),
    };
    if args.dry_run {
        tx.rollback().await.map_err(StoreError::from)?;
    } else {
        let detail = match status {
            "retired" => args.because.reason.as_str(),
            _ => "it was retired already; nothing was changed",
        };
        audited.commit(tx, detail).await?;
        args.bell.ring(&revived).await;
    }
    let value = json!({
        "plan": args.plan,
        "from": calendar::rfc3339(from),
        "until": resumes.map(calendar::rfc3339),
        "status": status,
        "dry_run": args.dry_run,
        "revived_events": revived.len(),
    });
    output::print(args.output.format, &value, |_| {
        let plan = &args.plan;
        let day = calendar::beginning(&calendar, from);
        let done = match (status, args.dry_run) {
            ("retired", false) => format!("Retired plan {plan} from {day} on.\n"),
            ("retired", true) => {
                format!("Would retire plan {plan} from {day} on; nothing was changed.\n")
            }
            _ => format!("Plan {plan} is already retired from {day} on. Nothing was changed.\n"),
        };
        let end = resumes.map_or_else(
            || "It comes back when a later version of it is applied.".to_owned(),
            |until| {
                let day = calendar::beginning(&calendar, until);
                format!("A version that begins on {day} brings it back.")
            },
        );
        match revived.len() {
            0 => format!("{done}{end}\n"),
            waited => format!("{done}{end}\n{waited} sale(s) that waited are tried again.\n"),
        }
    })?;
    Ok(ExitCode::SUCCESS)
}
