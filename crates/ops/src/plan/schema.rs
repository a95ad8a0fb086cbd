//! `lineage plan schema`.

use std::process::ExitCode;

use clap::ValueEnum;
use domain::schema::FileKind;

use crate::output;

/// Of which files.
#[derive(Debug, clap::Args)]
pub(crate) struct SchemaArgs {
    /// The kind of file
    #[arg(value_enum, default_value_t)]
    kind: Kind,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A version of a plan
    #[default]
    Plan,
    /// The ladder of ranks
    Ladder,
    /// A scenario
    Scenario,
}

pub(super) fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let kind = match args.kind {
        Kind::Plan => FileKind::Plan,
        Kind::Ladder => FileKind::Ladder,
        Kind::Scenario => FileKind::Scenario,
    };
    output::print_text(&serde_json::to_string_pretty(&kind.schema())?)?;
    Ok(ExitCode::SUCCESS)
}
