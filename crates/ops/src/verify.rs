//! `lineage verify`: the proof that what is stored is what the rules say.
//!
//! First the schema's own guards are looked at. Outcomes are read in pages in the order of event ids
//! and computed again; then the books are checked for rows that nothing accounts for, and the tree
//! and its history for what contradicts itself or the settled sales. Memory stays within a page and
//! the number of changes of history, whatever the ledger's size.

mod guards;
mod history;
mod settled;
mod tree;

use std::process::ExitCode;
use std::time::Instant;

use domain::calendar;
use domain::period::Programme;
use domain::recompute;
use domain::rule_book::RuleBook;
use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;
use store::audit::{self, StoredOutcome};
use store::{PgPool, StoreError, plans, programme};
use uuid::Uuid;

use self::settled::SettledSales;
use crate::connection::DatabaseArgs;
use crate::output::{Format, FormatArgs, print_text};
use crate::{failure, progress};

/// Outcomes that are read at a time.
const PAGE: i64 = 1000;
/// Findings of one kind that are listed from the checks of whole tables.
const LISTED_MAX: i64 = 100;
const COMPARE_WITH_BACKUP: &str = "compare with a backup; rows were changed past the triggers";

/// `lineage verify`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lineage verify && echo proved\n\n\
    Exits with 1 when anything is found. Reads only; workers may go on meanwhile.")]
pub(crate) struct Args {
    #[command(flatten)]
    output: FormatArgs,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What kind of thing it is about.
    pub(crate) about: &'static str,
    /// Which one.
    pub(crate) id: String,
    /// What is wrong with it.
    pub(crate) problem: String,
    /// What to do.
    pub(crate) advice: &'static str,
}

/// Findings of one kind: so many are listed, the others counted.
#[derive(Debug, Default)]
struct Listing {
    listed: i64,
    left_off: u64,
}

impl Listing {
    /// Whether one more finding is listed. It is counted either way.
    fn has_room(&mut self) -> bool {
        if self.listed < LISTED_MAX {
            self.listed += 1;
            return true;
        }
        self.left_off += 1;
        false
    }

    /// Says how many findings were not listed, if any. `kind` is what they are about, in plural.
    fn close(
        &self,
        kind: &str,
        advice: &'static str,
        found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        if self.left_off == 0 {
            return Ok(());
        }
        found(Finding {
            about: "further",
            id: kind.to_owned(),
            problem: format!("{} more than are listed", self.left_off),
            advice,
        })
    }
}

/// What was checked.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Report {
    /// Outcomes that were computed again.
    pub(crate) outcomes: u64,
    /// Ledger lines that were compared.
    pub(crate) lines: u64,
    /// Members whose place in the tree was checked.
    pub(crate) members: i64,
    /// Closure rows that are missing or too many.
    pub(crate) closure_differences: usize,
    /// Everything that was found.
    pub(crate) findings: u64,
    /// How long it took.
    pub(crate) seconds: f64,
}

/// Checks everything; hands each finding to `found` as it is made.
pub(crate) async fn run(
    pool: &PgPool,
    bar: &ProgressBar,
    mut found: impl FnMut(&Finding) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let mut report = Report::default();
    let mut findings = 0;
    let mut found = |finding: Finding| {
        findings += 1;
        bar.suspend(|| found(&finding))
    };
    let can_read_closure = guards::check(pool, &mut found).await?;
    let mut settled = SettledSales::read_changes(pool).await?;
    check_outcomes(pool, bar, &mut report, &mut settled, &mut found).await?;
    settled.check(&mut found)?;
    bar.set_message("looking for orphans");
    check_orphans(pool, &mut found).await?;
    tree::check(pool, bar, can_read_closure, &mut report, &mut found).await?;
    bar.finish_and_clear();
    report.findings = findings;
    report.seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    Ok(report)
}

/// Computes every outcome again.
async fn check_outcomes(
    pool: &PgPool,
    bar: &ProgressBar,
    report: &mut Report,
    settled: &mut SettledSales,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut conn = pool.acquire().await.map_err(StoreError::from)?;
    let calendar = programme::get(&mut conn).await?;
    let mut book = plans::rule_book(&mut conn).await?;
    bar.set_length(u64::try_from(audit::count(&mut conn).await?).unwrap_or(0));
    let mut after: Option<Uuid> = None;
    loop {
        let page = audit::outcomes_after(&mut conn, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.sale.event_id);
        if page.iter().any(|outcome| book.version(outcome.plan_number).is_none()) {
            // A plan may have been applied, and used, since we began.
            book = plans::rule_book(&mut conn).await?;
        }
        for outcome in &page {
            report.outcomes += 1;
            settled.add(outcome);
            report.lines += outcome.lines.len() as u64;
            for problem in problems(outcome, &book, &calendar) {
                found(Finding {
                    about: "event",
                    id: outcome.sale.event_id.to_string(),
                    problem,
                    advice: "see `lineage explain --event` and compare with a backup",
                })?;
            }
        }
        bar.inc(page.len() as u64);
    }
}

fn problems(outcome: &StoredOutcome, book: &RuleBook, programme: &Programme) -> Vec<String> {
    let number = outcome.plan_number;
    let Some(version) = book.version(number) else {
        return vec![format!("its plan version number {number} does not exist")];
    };
    let mut problems = recompute::differences(outcome, version, programme);
    // Applying refuses whatever would reprice settled sales, so this holds for ever (law L8).
    let sale = &outcome.sale;
    let in_force = book.version_at(sale.source_type, sale.as_of).map(|version| version.number);
    if in_force != Some(number) {
        let in_force = in_force.map_or_else(|| "none".to_owned(), |number| number.to_string());
        problems.push(format!(
            "it was priced by plan version number {number}; in force at {} is {in_force}",
            calendar::moment(programme, sale.as_of)
        ));
    }
    problems
}

/// Looks for outcomes and lines that nothing accounts for.
async fn check_orphans(
    pool: &PgPool,
    found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    audit::hold_snapshot(&mut tx).await?;
    let orphans = audit::orphans(&mut tx, LISTED_MAX).await?;
    tx.rollback().await.map_err(StoreError::from)?;
    let kinds = [
        (orphans.lines_without_outcome, "has ledger lines but no outcome"),
        (orphans.outcomes_without_event, "has an outcome but is not recorded"),
        (orphans.sale_lines_miscounted, "has other lines than it was recorded with"),
    ];
    for (ids, problem) in kinds {
        for id in ids {
            found(Finding {
                about: "event",
                id: id.to_string(),
                problem: problem.to_owned(),
                advice: COMPARE_WITH_BACKUP,
            })?;
        }
    }
    Ok(())
}

/// Verifies and prints. A closed stdout means that there was something to print: not proved.
pub(crate) async fn command(args: &Args, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let pool = database.connect().await?;
    match print(&pool, args.output.format).await {
        Ok(Report { findings: 0, .. }) => Ok(ExitCode::SUCCESS),
        Ok(_) => Ok(ExitCode::FAILURE),
        Err(error) if failure::is_closed_pipe(&error) => Ok(ExitCode::FAILURE),
        Err(error) => Err(error),
    }
}

async fn print(pool: &PgPool, format: Format) -> anyhow::Result<Report> {
    let bar = progress::bar(0, "computing outcomes again");
    let mut first = true;
    let report = run(pool, &bar, |finding| match format {
        Format::Table => {
            let Finding { about, id, problem, advice } = finding;
            print_text(&format!("{about} {id}: {problem}; {advice}"))
        }
        Format::Json => {
            let begin = if std::mem::take(&mut first) { "{\"findings\": [\n" } else { "," };
            print_text(&format!("{begin}{}", serde_json::to_string(finding)?))
        }
    })
    .await?;
    match format {
        Format::Table => print_text(&summary(&report))?,
        Format::Json => {
            let begin = if first { "{\"findings\": [" } else { "" };
            let proved = report.findings == 0;
            print_text(&format!(
                "{begin}],\n\"proved\": {},\n\"report\": {}}}",
                json!(proved),
                serde_json::to_string(&report)?
            ))?;
        }
    }
    Ok(report)
}

/// What was checked, for people.
pub(crate) fn summary(report: &Report) -> String {
    let Report { outcomes, lines, members, closure_differences, findings, seconds } = report;
    let verdict = match findings {
        0 => "Everything is as the rules say.".to_owned(),
        _ => format!("{findings} finding(s)."),
    };
    format!(
        "{outcomes} outcome(s) with {lines} ledger line(s) computed again,\n\
         {members} member(s) with {closure_differences} difference(s) in the closure table,\n\
         in {seconds:.1} s. {verdict}"
    )
}
