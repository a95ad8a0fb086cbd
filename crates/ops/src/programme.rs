//! `lineage program`: the calendar that periods and validity dates are read by.

use std::process::ExitCode;

use chrono::NaiveDate;
use clap::Subcommand;
use domain::period::{PeriodLength, Programme};
use serde_json::json;
use store::programme::ProgrammeError;
use store::{PgPool, StoreError, plans, programme};

use crate::actions::Audited;
use crate::connection::DatabaseArgs;
use crate::output::{self, Format, FormatArgs, remark};

/// `lineage program …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Set the calendar; what is not given stays as it is
    ///
    /// Possible until the first event: every stored period was computed by the calendar.
    #[command(after_help = "Example:\n  \
        lineage program set --time-zone Europe/Prague --period month")]
    Set(SetArgs),

    /// Show the calendar
    #[command(after_help = "Example:\n  lineage program show --format json")]
    Show(FormatArgs),
}

/// What can be set.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
pub(crate) struct SetArgs {
    /// IANA time zone in which days and periods begin
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    time_zone: Option<String>,

    /// Length of a commission period: month
    #[arg(long, value_name = "LENGTH")]
    period: Option<PeriodLength>,

    /// First day that a sale may have
    #[arg(long, value_name = "DAY")]
    starts_on: Option<NaiveDate>,
}

fn zone(name: &str) -> Result<String, String> {
    Programme::parse_time_zone(name).map_err(|error| error.to_string())?;
    Ok(name.to_owned())
}

pub(crate) async fn run(command: Command, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let (format, calendar) = match command {
        Command::Show(FormatArgs { format }) => {
            let mut conn = pool.acquire().await.map_err(StoreError::from)?;
            (format, programme::get(&mut conn).await?)
        }
        Command::Set(args) => {
            let audited = Audited::new("programme.set");
            (Format::Table, audited.watch(&pool, set(&args, &pool, &audited)).await?)
        }
    };
    let value = json!({
        "time_zone": calendar.time_zone.name(),
        "period": calendar.period,
        "starts_on": calendar.starts_on,
    });
    output::print(format, &value, |_| {
        output::facts(&[
            ("time zone", calendar.time_zone.name().to_owned()),
            ("period", calendar.period.to_string()),
            ("starts on", calendar.starts_on.to_string()),
        ])
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn set(args: &SetArgs, pool: &PgPool, audited: &Audited) -> anyhow::Result<Programme> {
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let before = programme::get(&mut tx).await?;
    let mut calendar = before.clone();
    if let Some(name) = &args.time_zone {
        calendar.time_zone = Programme::parse_time_zone(name)?;
    }
    calendar.period = args.period.unwrap_or(calendar.period);
    calendar.starts_on = args.starts_on.unwrap_or(calendar.starts_on);
    programme::set(&mut tx, &calendar).await.map_err(|error| match error {
        ProgrammeError::Store(error) => anyhow::Error::new(error),
        error @ ProgrammeError::InUse(_) => anyhow::Error::new(error),
    })?;
    let has_plans = plans::generation(&mut tx).await? > 0;
    let Programme { time_zone, period, starts_on } = &calendar;
    audited.commit(tx, &format!("{time_zone}, by {period}, from {starts_on}")).await?;
    if has_plans && before.time_zone != calendar.time_zone {
        remark(
            "warning: plans that are applied already keep the instants at which they begin; they \
             were days in the time zone of then",
        );
    }
    Ok(calendar)
}
