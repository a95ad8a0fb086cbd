//! Where a verification is written: stdout, and a file as well where one is named.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::json;

use super::finding::{Check, Finding};
use super::statement::{self, Report};
use crate::output::{Format, print_text};

/// A finding, and the check that made it.
#[derive(Serialize)]
struct Told<'a> {
    check: Check,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Writes findings as they come, then the statement.
pub(super) struct Writer {
    format: Format,
    first: bool,
    file: Option<(PathBuf, BufWriter<File>)>,
}

impl Writer {
    /// Makes the file, so that it is known to be writable before hours of work. Until the statement
    /// ends it, it proves nothing, and says so by lacking it.
    pub(super) fn begin(format: Format, file: Option<&Path>) -> anyhow::Result<Self> {
        let file = match file {
            None => None,
            Some(path) => {
                let made = File::create(path).with_context(|| cannot(path))?;
                Some((path.to_owned(), BufWriter::new(made)))
            }
        };
        Ok(Self { format, first: true, file })
    }

    pub(super) fn finding(&mut self, check: Check, finding: &Finding) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Table => {
                let Finding { about, id, problem, advice } = finding;
                format!("{about} {id}: {problem}; {advice}")
            }
            Format::Json => {
                let told = serde_json::to_string(&Told { check, finding })?;
                format!("{}{told}", self.separator())
            }
        };
        self.write(&text)
    }

    pub(super) fn statement(&mut self, report: &Report) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Table => statement::text(report),
            Format::Json => format!(
                "{}],\n\"proved\": {},\n\"report\": {}}}",
                self.end_of_findings(),
                json!(report.findings == 0),
                serde_json::to_string(report)?
            ),
        };
        self.write(&text)?;
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        let written = file.flush().and_then(|()| file.get_ref().sync_all());
        written.with_context(|| cannot(path))
    }

    /// Ends what was begun, when the verification could not.
    pub(super) fn failure(&mut self, why: &str) -> anyhow::Result<()> {
        let text = match self.format {
            Format::Table => format!("NOT proved: the verification did not end. {why}"),
            Format::Json => format!(
                "{}],\n\"proved\": false,\n\"error\": {}}}",
                self.end_of_findings(),
                json!(why)
            ),
        };
        self.write(&text)?;
        match &mut self.file {
            Some((path, file)) => file.flush().with_context(|| cannot(path)),
            None => Ok(()),
        }
    }

    fn separator(&mut self) -> &'static str {
        if std::mem::take(&mut self.first) { "{\"findings\": [\n" } else { "," }
    }

    fn end_of_findings(&self) -> &'static str {
        if self.first { "{\"findings\": [" } else { "" }
    }

    /// The file first: it is kept even if nobody reads stdout any more.
    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        if let Some((path, file)) = &mut self.file {
            let text = if self.first { text.trim_start() } else { text };
            writeln!(file, "{}", text.trim_end()).with_context(|| cannot(path))?;
        }
        print_text(text)
    }
}

fn cannot(path: &Path) -> String {
    format!("cannot write the report to {}", path.display())
}
