//! `lineage scenario`: worked examples of what plans pay, as files. No database is needed.

mod coverage;
mod diff;
mod files;
mod junit;
mod report;
mod run;
mod update;
mod view;

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};

use crate::output::FormatArgs;

/// Where scenarios lie when nobody says.
const DIRECTORY: &str = "scenarios";

/// `lineage scenario …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run scenarios and compare what they pay with what they expect
    ///
    /// Everything is computed in memory, by the functions that settle sales. Directories are
    /// searched for *.yaml. --update rewrites the `expect:` block, completely, of files that are
    /// named one by one; comments inside that block are lost, everything else stays as it is.
    #[command(after_help = "Example:\n  \
        lineage scenario run scenarios\n  \
        lineage scenario run scenarios --format junit > report.xml\n  \
        lineage scenario run scenarios/basics/override-on-two-levels.yaml --update")]
    Run(RunArgs),

    /// Show what changes in scenarios when one plan file takes the place of another
    ///
    /// Runs every scenario that applies the old plan once with each: which scenarios change, and who
    /// gets how much more or less. The review sheet for a plan change. A scenario applies a plan if
    /// it names the file or has the same plan written in it. A plan that begins later than the one
    /// whose place it takes is used as if it had begun with it; rules with days of their own keep them.
    #[command(after_help = "Example:\n  \
        lineage scenario diff --base plans/retail-2026-01.yaml --with plans/retail-2026-07.yaml")]
    Diff(DiffArgs),

    /// List what scenarios reach: rules, types, operators, modes and reasons
    ///
    /// Fails when a type of calculation, an operator, a mode, a reason, or a rule of a plan file is
    /// reached by fewer than two scenarios, or a rule of a plan inside a scenario by none.
    #[command(after_help = "Example:\n  lineage scenario coverage scenarios --format json")]
    Coverage(CoverageArgs),
}

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Files, and directories to search
    #[arg(required = true)]
    paths: Vec<String>,

    /// Rewrite what the named files expect
    #[arg(long)]
    update: bool,

    /// How the result is written to stdout
    #[arg(long, value_enum, default_value_t)]
    format: RunFormat,
}

/// How the result of a run is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum RunFormat {
    /// For people
    #[default]
    Table,
    /// For programs: every line that is paid
    Json,
    /// For CI servers
    Junit,
}

/// Which plans, and where scenarios lie.
#[derive(Debug, clap::Args)]
pub(crate) struct DiffArgs {
    /// The plan file that scenarios apply
    #[arg(long, value_name = "PLAN")]
    base: String,

    /// The plan file that takes its place
    #[arg(long, value_name = "PLAN")]
    with: String,

    /// Files, and directories to search
    #[arg(default_value = DIRECTORY)]
    paths: Vec<String>,

    #[command(flatten)]
    output: FormatArgs,
}

/// Where scenarios lie.
#[derive(Debug, clap::Args)]
pub(crate) struct CoverageArgs {
    /// Files, and directories to search
    #[arg(default_value = DIRECTORY)]
    paths: Vec<String>,

    #[command(flatten)]
    output: FormatArgs,
}

pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Coverage(args) => coverage::run(&args),
    }
}
