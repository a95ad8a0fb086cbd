//! `lineage members`: the network as a file.

mod check;
mod file;
mod flaws;
mod import;

use std::process::ExitCode;

use clap::Subcommand;

use crate::connection::{BellArgs, DatabaseArgs};
use crate::output::FormatArgs;

/// `lineage members …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Import members with their sponsors, statuses and ranks: all or nothing
    ///
    /// The file is CSV in UTF-8 with a header. Column `id` is needed; `sponsor_id`, `status`,
    /// `rank`, `joined_at`, `external_id` and `name` may be left out or empty. Empty means: no
    /// sponsor (the top of a tree), ACTIVE, the lowest rank, now. `joined_at` is a time such as
    /// 2023-05-31T10:00:00Z, or a day, which begins in the programme's time zone. Rows may stand
    /// in any order; sponsors may be in the file or enrolled before. Every bad line is reported,
    /// and then nothing is imported.
    #[command(after_help = "Example:\n  \
        lineage members import members.csv --dry-run\n  \
        zcat members.csv.gz | lineage members import - --format json")]
    Import(ImportArgs),
}

/// What to import, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// CSV file, or - for standard input
    file: String,

    /// Check everything, import nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: FormatArgs,

    #[command(flatten)]
    bell: BellArgs,
}

pub(crate) async fn run(command: Command, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    match command {
        Command::Import(args) => import::run(&args, database).await,
    }
}
