//! `lineage plan`: what is paid, as data.

mod apply;
mod difference;
mod file;
mod list;
mod retire;
mod schema;
mod show;

use std::process::ExitCode;

use clap::Subcommand;

use crate::actions::Person;
use crate::connection::{BellArgs, DatabaseArgs};
use crate::input::printable;
use crate::output::FormatArgs;

pub(crate) use self::file::Source;
pub(crate) use self::show::pays;

/// `lineage plan …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check a plan file, changing nothing
    ///
    /// Names every flaw with its line. Checks against the ladder, the calendar and the plans that
    /// are applied, and says which rules change; with --offline against the ladder of a file and UTC
    /// alone.
    #[command(after_help = "Example:\n  \
        lineage plan check plan.yaml\n  \
        lineage plan check plan.yaml --offline --ranks ranks.yaml")]
    Check(CheckArgs),

    /// Apply a plan file as a new version
    ///
    /// A version holds from its `valid_from` until its successor begins or the plan is retired, and
    /// never changes. It is refused where it would reprice sales that are settled. The same content
    /// again changes nothing and is no failure. --dry-run shows which rules are added, changed and
    /// closed.
    #[command(after_help = "Example:\n  \
        lineage plan apply plan.yaml --dry-run\n  \
        lineage plan apply plan.yaml --reason 'board decision of 12 April'")]
    Apply(ApplyArgs),

    /// Retire a plan from a day on
    ///
    /// From then on it is in force no more, until a later version of it begins: its sales are the
    /// plan for all's, or wait with the cause `no_plan`. Refused where settled sales would be
    /// repriced. The same again changes nothing and is no failure.
    #[command(after_help = "Example:\n  \
        lineage plan retire spring-promotion --from 2023-06-01 --reason 'board decision of 12 April'")]
    Retire(retire::RetireArgs),

    /// List the applied versions and when plans are retired
    #[command(after_help = "Example:\n  lineage plan list")]
    List(FormatArgs),

    /// Show the rules of a plan
    ///
    /// The latest version, unless --version names another. JSON is the rule set as it is stored
    /// and hashed.
    #[command(after_help = "Example:\n  \
        lineage plan show retail-unilevel --version 2023-05")]
    Show(ShowArgs),

    /// Print the JSON Schema of plan, ladder or scenario files
    ///
    /// Editors complete and check files by it: begin a file with the line
    /// `# yaml-language-server: $schema=plan.schema.json`. No database is needed.
    #[command(after_help = "Example:\n  \
        lineage plan schema > plan.schema.json\n  \
        lineage plan schema scenario > scenario.schema.json")]
    Schema(schema::SchemaArgs),
}

/// What to check, and against what.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// YAML file, or - for standard input
    file: String,

    /// Use no database
    #[arg(long, requires = "ranks")]
    offline: bool,

    /// Ladder file to check against, with --offline
    #[arg(long, value_name = "FILE", requires = "offline")]
    ranks: Option<String>,

    #[command(flatten)]
    output: FormatArgs,
}

/// What to apply, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    /// YAML file, or - for standard input
    file: String,

    /// Why, for auditors
    #[arg(long, default_value = "applied by lineage plan apply", value_parser = printable)]
    reason: String,

    #[command(flatten)]
    person: Person,

    /// Do everything, then undo it: shows what the version adds, changes and closes, and whether
    /// settled sales forbid it
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    output: FormatArgs,

    #[command(flatten)]
    bell: BellArgs,
}

/// What to show.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The plan's name
    plan: String,

    /// A version's label, number, or the beginning of its hash
    #[arg(long)]
    version: Option<String>,

    #[command(flatten)]
    output: FormatArgs,
}

pub(crate) async fn run(command: Command, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    match command {
        Command::Check(args) => apply::check(&args, database).await,
        Command::Apply(args) => apply::apply(&args, database).await,
        Command::Retire(args) => retire::run(&args, database).await,
        Command::List(args) => list::run(args.format, database).await,
        Command::Show(args) => show::run(&args, database).await,
        Command::Schema(args) => schema::run(&args),
    }
}
