//! `lineage ranks`: the ladder.

use std::process::ExitCode;

use anyhow::anyhow;
use clap::Subcommand;
use domain::ladder::Ladder;
use serde_json::json;
use store::programme::{self, RanksError};
use store::{PgPool, StoreError};

use crate::actions::Audited;
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
    let (format, ladder) = match command {
        Command::Apply { file, output } => {
            let text = input::read_text(&file)?;
            let pool = database.connect().await?;
            let audited = Audited::new("ranks.apply").of_file(text.as_bytes());
            let applied = apply(&pool, &audited, &file, &text);
            (output.format, audited.watch(&pool, applied).await?)
        }
        Command::Show(output) => {
            let pool = database.connect().await?;
            let mut conn = pool.acquire().await.map_err(StoreError::from)?;
            (output.format, programme::ladder(&mut conn).await?)
        }
    };
    output::print(format, &json!({ "ranks": ladder }), |_| {
        let numbered = ladder.names().iter().enumerate();
        let rows = numbered.map(|(place, name)| vec![(place + 1).to_string(), name.clone()]);
        output::table(&["place", "rank"], &[0], rows.collect())
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn apply(pool: &PgPool, audited: &Audited, path: &str, text: &str) -> anyhow::Result<Ladder> {
    let next = parse(path, text)?;
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    programme::set_ladder(&mut tx, &next).await.map_err(|error| match error {
        RanksError::Store(error) => anyhow::Error::new(error),
        error @ RanksError::Ladder(_) => anyhow::Error::new(error),
    })?;
    let ladder = programme::ladder(&mut tx).await?;
    audited.commit(tx, &ladder.names().join(", ")).await?;
    Ok(ladder)
}

/// Reads a ladder file, naming it in every complaint.
pub(crate) fn read(path: &str) -> anyhow::Result<Ladder> {
    parse(path, &input::read_text(path)?)
}

fn parse(path: &str, text: &str) -> anyhow::Result<Ladder> {
    Ladder::from_yaml(text).map_err(|error| anyhow!("{}: {error}", input::name(path)))
}
