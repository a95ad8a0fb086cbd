//! `lineage verify`: the proof that what is stored is what the rules say.
//!
//! One moment of the database is verified, whatever is settled meanwhile. First the schema's own
//! guards are looked at. Outcomes are computed again on all cores ([`outcomes`]): from what is stored,
//! and from the history of their moments, which must give the same inputs. Meanwhile the books are
//! searched for rows that nothing accounts for; then the tree and its history are checked for what
//! contradicts itself. Memory is bounded by the number of jobs and of changes of history, whatever
//! the ledger's size.
//!
//! Reads only, so it is no operator's action and not on record as one: its statement is.

mod digest;
mod finding;
mod guards;
mod history;
mod orphans;
mod outcomes;
mod settled;
mod statement;
mod tree;
mod written;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use domain::period::Period;
use indicatif::ProgressBar;
use store::audit::{self, Month};
use store::{PgPool, StoreError, enrolment, plans, programme};

use self::finding::{COMPARE_WITH_BACKUP, Check, Finding, LISTED_MAX, Listing};
use self::outcomes::Task;
use self::settled::SettledSales;
use self::statement::{Report, Sample, Scope};
use self::written::Writer;
use crate::connection::DatabaseArgs;
use crate::output::FormatArgs;
use crate::{failure, processes, progress};

/// `lineage verify`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  lineage verify && echo proved\n  \
    lineage verify --period 2026-11 --report november.txt\n  \
    lineage verify --sample 10000\n\n\
    Reads only; workers may go on meanwhile, and what they settle after the beginning is not looked \
    at.\n\n\
    The statement at the end says who verified what, when, and what not. Its digest is a SHA-256 over \
    the events, outcomes and lines that were computed again: two runs over the same closed period \
    have the same digest, whatever --jobs. It is no cryptographic signature.\n\n\
    Exit status: 0 proved; 1 something was found, or the verification could not end; 2 wrong usage.")]
pub(crate) struct Args {
    /// Only what was earned and posted in one period, such as 2026-11, without the tree
    #[arg(long)]
    period: Option<Period>,

    /// Only so many outcomes, drawn at random, and the cheap checks of whole tables
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    sample: Option<u32>,

    /// Draws the sample of an earlier run again, which printed its seed
    #[arg(long, value_name = "SEED", requires = "sample")]
    seed: Option<u32>,

    /// How many outcomes are computed at the same time, each job over a connection of its own
    /// [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=128))]
    jobs: Option<u16>,

    /// A file to which everything is written as well; what it held before is replaced
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    #[command(flatten)]
    output: FormatArgs,
}

/// What is to be verified.
struct Question {
    period: Option<Period>,
    sample: Option<(u32, u32)>,
    jobs: u16,
    place: String,
}

/// Checks what is asked for; hands each finding to `tell` as it is made.
async fn run(
    question: &Question,
    pool: &PgPool,
    bar: &ProgressBar,
    mut tell: impl FnMut(Check, &Finding) -> anyhow::Result<()>,
) -> anyhow::Result<Report> {
    let begun = Instant::now();
    // Stays open until the end: the jobs join what it sees.
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    let sitting = audit::begin_sitting(&mut tx).await?;
    let calendar = programme::get(&mut tx).await?;
    let month = question.period.map(|period| Month::of(period, &calendar));
    let of = unsigned(audit::count(&mut tx, month).await?);
    let sample = question.sample.map(|(size, seed)| Sample { size, seed, of });
    let scope = Scope { period: question.period.map(|period| period.to_string()), sample };
    let is_all = month.is_none() && sample.is_none();
    let mut report = Report::begin(&sitting, question.place.clone(), scope, question.jobs);

    let mut tally = Tally { findings: 0, bar, tell: &mut tell };
    let guards = guards::check(&mut tx, &mut tally.of(Check::Guards)).await?;
    report.note(Check::Guards, Some(guards.tables), tally.take());

    let ids = match sample {
        None => None,
        Some(Sample { size, seed, .. }) => {
            Some(audit::sample(&mut tx, i64::from(size), i64::from(seed), month).await?)
        }
    };
    let settled = SettledSales::read_changes(&mut tx).await?;
    let changes = settled.changes();
    bar.set_length(ids.as_ref().map_or(of, |ids| ids.len() as u64));
    let task = Arc::new(Task {
        snapshot: sitting.snapshot.clone(),
        book: plans::rule_book(&mut tx).await?,
        calendar,
        ladder: programme::ladder(&mut tx).await?,
        month,
        sample: ids,
        settled: Mutex::new(settled),
        bar: bar.clone(),
    });
    let (totals, orphans) = {
        let mut found = tally.any();
        tokio::join!(
            outcomes::check(pool, question.jobs, &task, &mut found),
            orphans::look(&mut tx, month),
        )
    };
    let totals = totals?;
    let wrong = tally.take().saturating_sub(totals.untrue);
    report.note(Check::Outcomes, Some(totals.outcomes), wrong);
    report.note(Check::Inputs, Some(totals.compared), totals.untrue);
    (report.outcomes, report.lines, report.digest) = (totals.outcomes, totals.lines, totals.digest);
    task.check_changes(&mut tally.of(Check::ChangesBehindSales))?;
    report.note(Check::ChangesBehindSales, Some(changes), tally.take());

    orphans?.tell(&mut report, &mut tally)?;
    if is_all {
        bar.set_message("checking the tree");
        bar.set_position(0);
        bar.set_length(unsigned(enrolment::count(&mut tx).await?));
        if guards.can_read_closure {
            tree::check(&mut tx, bar, &mut report, &mut tally.of(Check::Tree)).await?;
            report.note(Check::Tree, Some(report.members), tally.take());
        }
        bar.set_message("checking the history");
        history::check(&mut tx, &mut tally.of(Check::History)).await?;
        report.note(Check::History, None, tally.take());
    }
    report.not_checked = not_checked(&report, is_all && guards.can_read_closure, is_all);
    let unsettled = audit::unsettled(&mut tx, month).await?;
    if unsettled > 0 {
        let what = "event(s) without an outcome: not settled yet, or dead letters";
        report.not_checked.push(format!("{unsettled} {what}"));
    }
    report.ended_at = audit::clock(&mut tx).await?;
    tx.rollback().await.map_err(StoreError::from)?;
    report.seconds = (begun.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    report.peak_memory_mib = processes::peak_rss_mib(std::process::id());
    Ok(report)
}

/// What was left out, and what no verification checks.
fn not_checked(report: &Report, with_tree: bool, with_history: bool) -> Vec<String> {
    let mut missing = Vec::new();
    let Scope { period, sample } = &report.scope;
    if let Some(period) = period {
        missing.push(format!("what was earned and posted in other periods than {period}"));
    }
    if let Some(sample) = sample {
        let others = sample.of.saturating_sub(report.outcomes);
        missing.push(format!("{others} outcome(s) that the sample does not hold"));
    }
    match (with_tree, with_history) {
        (true, _) => {}
        (false, true) => missing.push("members and closure, for want of an index".to_owned()),
        (false, false) => missing.push("the tree, its closure and its history".to_owned()),
    }
    missing.push("what no rule reads: buyers, orders, contexts, names".to_owned());
    missing
}

/// Counts findings on their way.
struct Tally<'a, F> {
    findings: u64,
    bar: &'a ProgressBar,
    tell: &'a mut F,
}

impl<F: FnMut(Check, &Finding) -> anyhow::Result<()>> Tally<'_, F> {
    /// Takes what one check finds.
    fn of(&mut self, check: Check) -> impl FnMut(Finding) -> anyhow::Result<()> {
        let mut any = self.any();
        move |finding| any(check, finding)
    }

    /// Takes what several checks find at once.
    fn any(&mut self) -> impl FnMut(Check, Finding) -> anyhow::Result<()> {
        |check, finding| {
            self.findings += 1;
            self.bar.suspend(|| (self.tell)(check, &finding))
        }
    }

    /// How many there were since the last time.
    fn take(&mut self) -> u64 {
        std::mem::take(&mut self.findings)
    }
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Verifies and prints. A closed stdout means that there was something to print: not proved.
pub(crate) async fn command(args: &Args, database: &DatabaseArgs) -> anyhow::Result<ExitCode> {
    let jobs = args.jobs.unwrap_or_else(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        u16::try_from(cores).unwrap_or(u16::MAX).min(128)
    });
    let (pool, place) = database.connect_for(u32::from(jobs) + 1).await?;
    let seed = args.seed.unwrap_or_else(random_seed);
    let sample = args.sample.map(|size| (size, seed));
    let question = Question { period: args.period, sample, jobs, place };
    let mut writer = Writer::begin(args.output.format, args.report.as_deref())?;
    let bar = progress::rated_bar("computing outcomes again");
    let done = run(&question, &pool, &bar, |check, found| writer.finding(check, found)).await;
    bar.finish_and_clear();
    let ended = match done {
        Ok(report) => writer.statement(&report).map(|()| report.findings),
        Err(error) if failure::is_closed_pipe(&error) => Err(error),
        Err(error) => {
            writer.failure(&format!("{error:#}"))?;
            Err(error.context("NOT proved: the verification did not end"))
        }
    };
    match ended {
        Ok(0) => Ok(ExitCode::SUCCESS),
        Ok(_) => Ok(ExitCode::FAILURE),
        Err(error) if failure::is_closed_pipe(&error) => Ok(ExitCode::FAILURE),
        Err(error) => Err(error),
    }
}

#[expect(clippy::disallowed_methods, reason = "a sample is drawn at random, at the edge")]
fn random_seed() -> u32 {
    uuid::Uuid::new_v4().as_fields().0
}
