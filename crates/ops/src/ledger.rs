//! `lineage ledger export`: the ledger for spreadsheets and other programs.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::NaiveDate;
use clap::{Subcommand, ValueEnum};
use domain::period::Period;
use futures_util::StreamExt as _;
use serde::Serialize;
use store::ledger::{self, Entry, Selection};
use store::{PgPool, StoreError};
use uuid::Uuid;

use crate::actions::Audited;
use crate::connection::DatabaseArgs;
use crate::output::remark;
use crate::progress;

/// `lineage ledger …`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write ledger lines as CSV or JSON, ordered by posted period, event and line
    ///
    /// An export is an operator's action: it is put on record before its first line is read, and not
    /// made when it cannot be.
    #[command(after_help = "Example:\n  \
        lineage ledger export --period 2023-05 --output may.csv\n  \
        lineage ledger export --member 0192f0c1-0000-7000-8000-000000000000 --format json")]
    Export(ExportArgs),
}

/// What to export, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct ExportArgs {
    /// One member's lines only
    #[arg(long, value_name = "UUID")]
    member: Option<Uuid>,

    /// The lines posted to one period only, such as 2023-05
    #[arg(long)]
    period: Option<Period>,

    /// How lines are written
    #[arg(long, value_enum, default_value_t)]
    format: ExportFormat,

    /// File to write; it appears when it is complete [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ExportArgs {
    /// What is exported, for the record.
    fn extent(&self) -> String {
        let whose = if self.member.is_some() { "one member's lines" } else { "everybody's lines" };
        let when = self
            .period
            .map_or_else(|| "of all periods".to_owned(), |period| format!("posted to {period}"));
        let place = if self.output.is_some() { "to a file" } else { "to standard output" };
        format!("{whose} {when}, {place}")
    }
}

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ExportFormat {
    /// With a header; for spreadsheets
    #[default]
    Csv,
    /// An array with an object a line
    Json,
}

/// A line as exported. The order of the fields is the order of the columns: others rely on it, so
/// new ones come last.
#[derive(Debug, Serialize)]
struct Exported<'a> {
    source_event_id: Uuid,
    external_id: &'a str,
    member_id: Uuid,
    #[serde(rename = "type")]
    entry_type: &'a str,
    level: Option<i16>,
    rule: Option<&'a str>,
    amount: String,
    currency: &'a str,
    career_points: String,
    earned_period: String,
    posted_period: String,
}

/// The header of the CSV, for an export without lines too.
const HEADER: [&str; 11] = [
    "source_event_id",
    "external_id",
    "member_id",
    "type",
    "level",
    "rule",
    "amount",
    "currency",
    "career_points",
    "earned_period",
    "posted_period",
];

impl<'a> From<&'a Entry> for Exported<'a> {
    fn from(entry: &'a Entry) -> Self {
        let period = |first_day: NaiveDate| Period::containing(first_day).to_string();
        Self {
            source_event_id: entry.event_id,
            external_id: &entry.external_id,
            member_id: entry.member_id,
            entry_type: &entry.entry_type,
            level: entry.level,
            rule: entry.rule.as_deref(),
            amount: entry.amount.to_string(),
            currency: &entry.currency,
            career_points: entry.career_points.to_string(),
            earned_period: period(entry.earned_period),
            posted_period: period(entry.posted_period),
        }
    }
}

pub(crate) async fn run(command: Command, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let Command::Export(args) = command;
    let pool = database.connect().await?;
    let selection =
        Selection { member_id: args.member, posted_period: args.period.map(Period::first_day) };
    let audited = Audited::new("ledger.export");
    if let Some(member_id) = args.member {
        audited.is_about(member_id);
    }
    // On record before the first line is read: whoever ends the export half-way has read some.
    let begun = async {
        let tx = pool.begin().await.map_err(StoreError::from)?;
        Ok(audited.commit(tx, &args.extent()).await?)
    };
    audited.watch(&pool, begun).await?;
    let Some(path) = &args.output else {
        let out = BufWriter::new(std::io::stdout());
        export(&pool, selection, args.format, out).await?;
        return Ok(ExitCode::SUCCESS);
    };
    // Nobody may take half a ledger for the whole of it.
    let unfinished = beside(path);
    let cannot = || format!("cannot write {}", unfinished.display());
    let out = BufWriter::new(File::create(&unfinished).with_context(cannot)?);
    let lines = match export(&pool, selection, args.format, out).await {
        Ok(lines) => lines,
        Err(error) => {
            // The error that is reported matters more than the rest of a file.
            let _ = std::fs::remove_file(&unfinished);
            return Err(error.context(cannot()));
        }
    };
    std::fs::rename(&unfinished, path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    remark(&format!("Wrote {lines} line(s) to {}.", path.display()));
    Ok(ExitCode::SUCCESS)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".unfinished");
    path.with_file_name(name)
}

/// Writes the selected lines as they come; returns how many.
async fn export(
    pool: &PgPool,
    selection: Selection,
    format: ExportFormat,
    out: impl Write,
) -> anyhow::Result<u64> {
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let mut entries = pin!(ledger::export(&mut conn, selection));
    let bar = progress::spinner("lines");
    let mut writer = LineWriter::begin(format, out)?;
    while let Some(entry) = entries.next().await {
        writer.write(&Exported::from(&entry?))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    writer.end()
}

/// Writes lines one by one, so that memory does not grow with the ledger.
struct LineWriter<W: Write> {
    lines: u64,
    out: Out<W>,
}

enum Out<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Json(W),
}

impl<W: Write> LineWriter<W> {
    fn begin(format: ExportFormat, mut out: W) -> anyhow::Result<Self> {
        let out = match format {
            ExportFormat::Csv => {
                let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(out);
                csv.write_record(HEADER)?;
                Out::Csv(Box::new(csv))
            }
            ExportFormat::Json => {
                out.write_all(b"[")?;
                Out::Json(out)
            }
        };
        Ok(Self { lines: 0, out })
    }

    fn write(&mut self, line: &Exported<'_>) -> anyhow::Result<()> {
        match &mut self.out {
            Out::Csv(csv) => csv.serialize(line)?,
            Out::Json(out) => {
                out.write_all(if self.lines == 0 { b"\n" } else { b",\n" })?;
                out.write_all(&serde_json::to_vec(line)?)?;
            }
        }
        self.lines += 1;
        Ok(())
    }

    fn end(self) -> anyhow::Result<u64> {
        match self.out {
            Out::Csv(mut csv) => csv.flush()?,
            Out::Json(mut out) => {
                out.write_all(if self.lines == 0 { b"]\n" } else { b"\n]\n" })?;
                out.flush()?;
            }
        }
        Ok(self.lines)
    }
}

#[cfg(test)]
mod tests {
    use domain::amount::Amount;

    use super::*;

    fn entry() -> Entry {
        let may = NaiveDate::from_ymd_opt(2023, 5, 1).unwrap();
        Entry {
            event_id: Uuid::from_u128(1),
            external_id: "order, 7".to_owned(),
            line: 0,
            member_id: Uuid::from_u128(2),
            entry_type: "LEVEL_COMMISSION".to_owned(),
            level: Some(1),
            depth: Some(1),
            rule: None,
            amount: Amount::parse("5.997").unwrap(),
            currency: "GBP".to_owned(),
            career_points: Amount::ZERO,
            earned_period: may,
            posted_period: may,
            posted_at: "2023-05-02T10:00:00Z".parse().unwrap(),
        }
    }

    fn written(format: ExportFormat, entries: &[Entry]) -> String {
        let mut out = Vec::new();
        let mut writer = LineWriter::begin(format, &mut out).unwrap();
        for entry in entries {
            writer.write(&Exported::from(entry)).unwrap();
        }
        writer.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_has_the_columns_that_others_rely_on() {
        let header = "source_event_id,external_id,member_id,type,level,rule,amount,currency,\
                      career_points,earned_period,posted_period\n";
        assert_eq!(written(ExportFormat::Csv, &[]), header);
        let line = "00000000-0000-0000-0000-000000000001,\"order, 7\",\
                    00000000-0000-0000-0000-000000000002,LEVEL_COMMISSION,1,,5.9970,GBP,0.0000,\
                    2023-05,2023-05\n";
        assert_eq!(written(ExportFormat::Csv, &[entry()]), format!("{header}{line}"));
    }

    #[test]
    fn json_is_one_array_with_the_same_names() {
        assert_eq!(written(ExportFormat::Json, &[]), "[]\n");
        let json = written(ExportFormat::Json, &[entry(), entry()]);
        let lines: Vec<serde_json::Map<_, _>> = serde_json::from_str(&json).unwrap();
        assert_eq!(lines.len(), 2);
        let mut names = HEADER.to_vec();
        names.sort_unstable();
        let mut keys: Vec<&str> = lines[0].keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, names);
        assert_eq!(lines[0]["amount"], "5.9970");
        assert_eq!(lines[0]["level"], 1);
        assert!(lines[0]["rule"].is_null());
    }
}
