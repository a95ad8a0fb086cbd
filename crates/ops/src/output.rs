//! Results go to stdout, remarks to stderr.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

/// How a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

/// `--format`, the same for every command that a program might read.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct FormatArgs {
    /// How the result is written to stdout
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}

/// Prints a text for people, or the value for programs.
pub(crate) fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    match format {
        Format::Table => print_text(&text(value)),
        Format::Json => print_text(&serde_json::to_string_pretty(value)?),
    }
}

/// Prints a text and ends the line. An error when stdout is closed, never a panic.
pub(crate) fn print_text(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.trim_end().as_bytes())?;
    stdout.write_all(b"\n")?;
    Ok(stdout.flush()?)
}

/// Says something beside the result. Whoever closed stderr does not want to know.
pub(crate) fn remark(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A table without borders, its header in the first line; `right` names the columns of numbers.
pub(crate) fn table(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.iter().map(Cell::new));
    for row in rows {
        table.add_row(row);
    }
    let last = header.len().saturating_sub(1);
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if number == last { 0 } else { 2 }));
        if right.contains(&number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Names and values below one another, the values aligned.
pub(crate) fn facts(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines = rows.iter().map(|(name, value)| format!("{name:<width$}  {value}\n"));
    lines.collect::<Vec<_>>().concat()
}
