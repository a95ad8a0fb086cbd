//! `lineage ranks`: the ladder.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Subcommand;
use domain::ladder::Ladder;
use serde_json::json;
use store::programme::{self, RanksError};

use crate::connection::DatabaseArgs;
use crate::input;
use crate::output::{self, FormatArgs};

/// `lineage ranks …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put a ladder in force
    ///
    /// The file lists the ranks, lowest first. Once there are members or plans, ranks can be
    /// added on top only, because stored outcomes refer to a rank's place.
    #[command(after_help = "Example:\n  \
        echo 'ranks: [MEMBER, SILVER, GOLD]' > ranks.yaml\n  lineage ranks apply ranks.yaml")]
    Apply {
        /// YAML file, or - for standard input
        file: String,
        #[command(flatten)]
        output: FormatArgs,
    },

    /// Show the ladder
    #[command(after_help = "Example:\n  lineage ranks show --format json")]
    Show(FormatArgs),
}

pub(crate) async fn run(command: Command, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let next = match &command {
        Command::Apply { file, .. } => Some(read(file)?),
        Command::Show(_) => None,
    };
    let pool = database.connect().await?;
    let mut tx = pool.begin().await.map_err(store::StoreError::from)?;
    if let Some(next) = next {
        programme::set_ladder(&mut tx, &next).await.map_err(|error| match error {
            RanksError::Store(error) => anyhow::Error::new(error),
            error @ RanksError::Ladder(_) => anyhow::Error::new(error),
        })?;
    }
    let ladder = programme::ladder(&mut tx).await?;
    tx.commit().await.map_err(store::StoreError::from)?;
    let (Command::Apply { output: FormatArgs { format }, .. }
    | Command::Show(FormatArgs { format })) = command;
    output::print(format, &json!({ "ranks": ladder }), |_| {
        let numbered = ladder.names().iter().enumerate();
        let rows = numbered.map(|(place, name)| vec![(place + 1).to_string(), name.clone()]);
        output::table(&["place", "rank"], &[0], rows.collect())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a ladder file, naming it in every complaint.
pub(crate) fn read(path: &str) -> anyhow::Result<Ladder> {
    let text = input::read_text(path)?;
    Ladder::from_yaml(&text).map_err(|error| anyhow!("{}: {error}", input::name(path)))
}
