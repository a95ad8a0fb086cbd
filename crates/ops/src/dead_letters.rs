//! `lineage dead-letters`: events that could not be settled, and what to do about them.

mod act;
mod list;
mod view;

use std::process::ExitCode;

use clap::Subcommand;

use crate::connection::DatabaseArgs;

/// `lineage dead-letters …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List events that could not be settled, those first that failed first
    #[command(after_help = "Example:\n  \
        lineage dead-letters list --cause no_plan\n  \
        lineage dead-letters list --state all --format csv > failed.csv")]
    List(list::ListArgs),

    /// Show one of them: its facts, attempts and cause, and what would repair it
    #[command(after_help = "Example:\n  \
        lineage dead-letters show 6ba7b811-9dad-51d1-80b4-00c04fd430c8")]
    Show(list::ShowArgs),

    /// Make events due at once, discarded ones too, and begin their schedule anew
    ///
    /// What repairs a cause (an enrolment, a plan) revives its events by itself; this is for what an
    /// operator mended otherwise. All of the named events are retried or none.
    #[command(after_help = "Example:\n  \
        lineage dead-letters retry --cause damaged_tree --reason 'the tree is mended'\n  \
        lineage dead-letters retry 6ba7b811-9dad-51d1-80b4-00c04fd430c8")]
    Retry(act::RetryArgs),

    /// Give events up for good; they keep their row with the reason, and can still be retried
    #[command(after_help = "Example:\n  \
        lineage dead-letters discard 6ba7b811-9dad-51d1-80b4-00c04fd430c8 \\\n    \
        --reason 'a test order of the shop'")]
    Discard(act::DiscardArgs),
}

pub(crate) async fn run(command: Command, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => list::list(&args, database).await,
        Command::Show(args) => list::show(&args, database).await,
        Command::Retry(args) => act::retry(&args, database).await,
        Command::Discard(args) => act::discard(&args, database).await,
    }
}
