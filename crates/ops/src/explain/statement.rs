//! A member's statement: every line of a period in sentences, page by page, so that memory does not
//! grow with the number of lines.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use domain::explain::{StatementHead, Sum, Sums};
use domain::period::Period;
use serde_json::json;
use store::PgConnection;
use store::explaining::{self, Books};
use uuid::Uuid;

use crate::output::Format;

/// Lines that are read at a time. Large, because every page sorts all of the period's lines.
const PAGE: i64 = 5_000;
/// Problems that are repeated at the end; all of them stand beside their lines.
const REPEATED: usize = 20;

pub(super) async fn run(
    conn: &mut PgConnection,
    member_id: Uuid,
    period: Period,
    format: Format,
) -> anyhow::Result<ExitCode> {
    let books = Books::read(conn).await?;
    let member = explaining::people(conn, &[member_id]).await?.person(member_id);
    let waiting = explaining::waiting_sales(conn, member_id, period).await?;
    let head = StatementHead::new(member, period, &books.programme, waiting);
    let ledger = explaining::ledger_sums(conn, member_id, period).await?;
    let mut written = Written::begin(&head, format)?;
    let mut after = None;
    loop {
        let page =
            explaining::statement_page(conn, (member_id, period), after, PAGE, &books).await?;
        for line in &page.lines {
            written.line(line)?;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    written.end(&ledger)
}

/// What was printed so far.
struct Written<'a> {
    head: &'a StatementHead,
    format: Format,
    sums: Sums,
    currency: Option<String>,
    /// How many lines have a problem, and the first of them.
    unexplained: usize,
    problems: Vec<String>,
}

impl<'a> Written<'a> {
    fn begin(head: &'a StatementHead, format: Format) -> anyhow::Result<Self> {
        match format {
            Format::Table => put(&head.text())?,
            Format::Json => {
                let mut object = serde_json::to_string(head).context("write the head")?;
                // The lines become a field of the same object.
                object.pop();
                put(&format!("{object},\n\"lines\":["))?;
            }
        }
        let (sums, currency, problems) = (Sums::default(), None, Vec::new());
        Ok(Self { head, format, sums, currency, unexplained: 0, problems })
    }

    fn line(&mut self, line: &domain::explain::StatementLine) -> anyhow::Result<()> {
        match self.format {
            Format::Table => {
                if self.currency.as_ref() != Some(&line.currency) {
                    self.sum_up()?;
                    put(&format!("\n{}\n", line.currency))?;
                    self.currency = Some(line.currency.clone());
                }
                put(&line.text())?;
            }
            Format::Json => {
                let comma = if self.sums.0.is_empty() { "\n" } else { ",\n" };
                put(&format!("{comma}{}", serde_json::to_string(line)?))?;
            }
        }
        if !line.problems.is_empty() {
            self.unexplained += 1;
            let room = REPEATED.saturating_sub(self.problems.len());
            let of_line = |problem: &String| format!("event {}: {problem}", line.event_id);
            self.problems.extend(line.problems.iter().take(room).map(of_line));
        }
        self.sums.add(line);
        Ok(())
    }

    /// The sum of the currency that ends here.
    fn sum_up(&self) -> anyhow::Result<()> {
        let Some(currency) = &self.currency else { return Ok(()) };
        let sum: Sum = self.sums.0.get(currency).copied().unwrap_or_default();
        put(&sum.text(currency))
    }

    fn end(mut self, ledger: &Sums) -> anyhow::Result<ExitCode> {
        self.problems.extend(self.sums.differences(ledger));
        let is_whole = self.problems.is_empty();
        match self.format {
            Format::Table => {
                self.sum_up()?;
                if self.sums.0.is_empty() {
                    put("\nNothing was earned in this period.\n")?;
                } else if is_whole {
                    put(&self.head.foot())?;
                }
                if !is_whole {
                    put(
                        "\nTHIS STATEMENT DOES NOT AGREE WITH THE LEDGER; run `lineage verify`:\n",
                    )?;
                    for problem in &self.problems {
                        put(&domain::explain::wrap(problem, "  ", "    "))?;
                    }
                }
            }
            Format::Json => {
                let end = json!({ "sums": self.sums, "ledger": ledger, "agrees": is_whole,
                    "unexplained_lines": self.unexplained, "problems": self.problems });
                let end = end.to_string();
                put(&format!("\n],\n{}\n", end.trim_start_matches('{')))?;
            }
        }
        std::io::stdout().lock().flush()?;
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Writes to stdout. An error when it is closed, never a panic.
fn put(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}
