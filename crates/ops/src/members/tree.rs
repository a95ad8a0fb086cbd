//! `lineage members tree`: a downline to look at, and for tools.

mod dot;
mod draw;
mod flat;
mod gather;

use std::process::ExitCode;

use clap::ValueEnum;
use store::tree;

use self::gather::Node;
use super::moment::Moment;
use super::question::{self, Question};
use crate::connection::DatabaseArgs;
use crate::output::{self, remark};

/// Levels that can be drawn: programs that read nested JSON commonly give up after 128 brackets,
/// and a level has two.
const LEVELS_MAX: i64 = 50;
/// Members that can be drawn.
const LIMIT_MAX: i64 = 100_000;

/// Whose tree, how much of it, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct TreeArgs {
    /// The member at the top, by id or external id
    id: String,

    /// How many levels to draw below the member
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=LEVELS_MAX))]
    levels: u16,

    /// How many members to draw at most
    #[arg(long, value_name = "N", default_value_t = 2000,
          value_parser = clap::value_parser!(i64).range(1..=LIMIT_MAX))]
    limit: i64,

    /// As it stood at a time such as 2023-05-31T10:00:00Z, or when a day began [default: now]
    #[arg(long, value_name = "WHEN")]
    as_of: Option<Moment>,

    /// How the tree is written to stdout
    #[arg(long, value_enum, default_value_t)]
    format: TreeFormat,
}

/// How a tree is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum TreeFormat {
    /// Drawn, for people
    #[default]
    #[value(alias = "table")]
    Tree,
    /// For Graphviz
    Dot,
    /// Nested objects
    Json,
    /// A line a member, level by level
    Csv,
}

pub(super) async fn run(args: &TreeArgs, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    let mut tx = tree::begin(&pool).await?;
    let question = Question::read(&mut tx, args.as_of).await?;
    let id = question::find(&mut tx, &args.id).await?;
    let gathered = gather::gather(&mut tx, &question, id, args.levels, args.limit).await?;
    output::print_text(&match args.format {
        TreeFormat::Tree => draw::draw(&gathered.top),
        TreeFormat::Dot => dot::graph(&gathered.top),
        TreeFormat::Json => serde_json::to_string_pretty(&gathered.top)?,
        TreeFormat::Csv => flat::csv(&gathered.top)?,
    })?;
    if gathered.is_cut {
        remark(&format!(
            "warning: only the first {} members were drawn, level by level; --limit or fewer \
             --levels would change that",
            args.limit
        ));
    }
    Ok(ExitCode::SUCCESS)
}
