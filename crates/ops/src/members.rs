//! `lineage members`: the network as a file, its changes, and questions about it.

mod changes;
mod changes_file;
mod check;
mod file;
mod flaws;
mod history;
mod import;
pub(crate) mod moment;
mod moving;
mod order;
mod queries;
pub(crate) mod question;
mod rows;
mod setting;
mod splitting;
#[cfg(test)]
mod spoilt_tests;
mod tree;
pub(crate) mod view;

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

    /// Show a member: sponsor, status, rank, reward split, and the sizes of the network
    #[command(after_help = "Example:\n  \
        lineage members show M-1001 --as-of 2026-02-01")]
    Show(queries::MemberArgs),

    /// Draw a member's downline as a tree
    ///
    /// Each line shows the name, the external id (or the end of the id), rank, status, how many
    /// members are sponsored directly, and how many stand below in all. Whom --levels or --limit
    /// leaves out is counted. --format dot is for Graphviz, json is nested, csv is flat.
    #[command(after_help = "Example:\n  \
        lineage members tree M-1001 --levels 3 --as-of 2026-02-01\n  \
        lineage members tree M-1001 --format dot | dot -Tsvg > network.svg")]
    Tree(tree::TreeArgs),

    /// List everybody above a member, the sponsor first
    #[command(after_help = "Example:\n  \
        lineage members upline M-1001 --as-of 2026-02-01T10:00:00Z --format json")]
    Upline(queries::MemberArgs),

    /// List whom a member sponsors directly
    #[command(after_help = "Example:\n  \
        lineage members direct M-1001 --limit 20")]
    Direct(queries::DirectArgs),

    /// List everybody below a member, level by level
    #[command(after_help = "Example:\n  \
        lineage members downline M-1001 --levels 3 --limit 1000\n  \
        lineage members downline M-1001 --after 2.0192f0c1-0000-7000-8000-000000000000")]
    Downline(queries::DownlineArgs),

    /// Count the members on each level below a member
    #[command(after_help = "Example:\n  \
        lineage members levels M-1001")]
    Levels(queries::MemberArgs),

    /// Show the way through the tree from one member to another
    #[command(after_help = "Example:\n  \
        lineage members path M-1001 M-2002")]
    Path(queries::PathArgs),

    /// Ask whether one member stands above another: exit status 0 for yes, 1 for no, 2 for an error
    #[command(after_help = "Example:\n  \
        lineage members above M-1 M-1001 && echo 'in the downline of M-1'")]
    Above(queries::AboveArgs),

    /// List everything that is recorded of a member, refused changes too
    #[command(after_help = "Example:\n  \
        lineage members history M-1001 --format json")]
    History(history::HistoryArgs),

    /// Move a member, with everybody below, to another sponsor
    ///
    /// Sales from the effective moment on pay the new upline, earlier ones the old. A moment in
    /// the past must lie after every sale that is settled. A move to the member themselves, into
    /// their own downline, or below somebody who is TERMINATED is refused, and the attempt is
    /// recorded. Undo is another move; the command for it is printed.
    #[command(
        override_usage = "lineage members move [OPTIONS] --reason <TEXT> <MEMBER> \
        <NEW_SPONSOR|--new-sponsor <ID>|--top>",
        after_help = "Example:\n  \
        lineage members move M-1001 M-1 --reason 'wrong sponsor on the form' --dry-run\n  \
        lineage members move M-1001 --top --reason 'own team' --effective-at 2026-11-01"
    )]
    Move(moving::MoveArgs),

    /// Change a member's status or rank
    #[command(after_help = "Example:\n  \
        lineage members set M-1001 --status SUSPENDED --reason 'complaint 17' \\\n    \
        --on-behalf-of 'Jana Nováková'\n  \
        lineage members set M-1001 --rank GOLD --reason 'as agreed' --effective-at 2026-11-01")]
    Set(setting::SetArgs),

    /// Change how a member shares direct rewards with those whom they sponsor
    ///
    /// Each share is written as what the member keeps and what the seller gets, together 100:
    /// --monetary 70/30. What is not given stays as it is at that moment. It concerns what the
    /// member earns on level 1 from sales of those whom they sponsor themselves; sales from the
    /// effective moment on are shared so, earlier ones as before. A moment in the past must lie
    /// after every sale that is settled, and the change then holds until the next one that is
    /// recorded. Moves do not touch it.
    #[command(after_help = "Example:\n  \
        lineage members split M-1001 --monetary 70/30 --career-points 50/50 --reason 'as agreed'\n  \
        lineage members split M-1001 --monetary 100/0 --reason 'own wish' \\\n    \
        --effective-at 2026-11-01 --dry-run")]
    Split(splitting::SplitArgs),

    /// Apply many changes at once
    #[command(subcommand)]
    Changes(changes::Command),
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
        Command::Show(args) => queries::show(&args, database).await,
        Command::Tree(args) => tree::run(&args, database).await,
        Command::Upline(args) => queries::upline(&args, database).await,
        Command::Direct(args) => queries::direct(&args, database).await,
        Command::Downline(args) => queries::downline(&args, database).await,
        Command::Levels(args) => queries::levels(&args, database).await,
        Command::Path(args) => queries::path(&args, database).await,
        Command::Above(args) => Ok(queries::above(&args, database).await),
        Command::History(args) => history::run(&args, database).await,
        Command::Move(args) => moving::run(&args, database).await,
        Command::Set(args) => setting::run(&args, database).await,
        Command::Split(args) => splitting::run(&args, database).await,
        Command::Changes(changes::Command::Apply(args)) => changes::apply(&args, database).await,
    }
}
