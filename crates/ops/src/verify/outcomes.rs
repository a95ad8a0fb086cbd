//! Computing outcomes again, on all cores, and comparing their inputs with the history of then.
//!
//! The ids of events are cut into [`RANGES`] ranges by their first byte: they are digests themselves,
//! so the ranges are of about one size. Jobs take one range after the other, each over a connection of
//! its own, and all of them see the same snapshot. While a job computes a page, PostgreSQL already
//! reads its next one.
//!
//! What a range showed is told in the order of ranges, and inside a range in the order of ids, so
//! neither the number of jobs nor their speed changes a word.
//!
//! Memory: two pages of [`PAGE`] outcomes a job; what a finished range waits to tell, which is bounded
//! by [`LISTED_MAX`](super::finding::LISTED_MAX); a sample's ids; and the changes of history.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use domain::calendar;
use domain::ladder::Ladder;
use domain::period::Programme;
use domain::recompute;
use domain::rule_book::{PlanVersion, RuleBook};
use domain::rule_set::Reads;
use indicatif::ProgressBar;
use store::audit::{self, Month, Snapshot, StoredOutcome};
use store::settling::{self, Sought, Walk};
use store::{PgConnection, PgPool, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::digest::{self, RangeDigest};
use super::finding::{Check, Finding, Listing};
use super::settled::SettledSales;

/// Outcomes that are read at a time.
const PAGE: usize = 500;
/// As many as a byte has values. Part of what the digest is, so never another number.
const RANGES: usize = 256;
const ADVICE: &str = "do not pay it out before it is explained: see `lineage explain --event ID`, and \
    compare event, outcome and lines with a backup; they were written past the worker or changed \
    past the triggers";
const INPUTS_ADVICE: &str = "do not pay it out before it is explained: whoever settled it made the \
    inputs up, or the history was changed behind the sale; compare outcome and history with a backup \
    and find out who can write as the worker, then see `lineage explain --event ID`";

/// What every job needs.
pub(super) struct Task {
    pub(super) snapshot: Snapshot,
    pub(super) calendar: Programme,
    pub(super) ladder: Ladder,
    pub(super) book: RuleBook,
    pub(super) month: Option<Month>,
    /// The ids to verify, in their order; `None`: all.
    pub(super) sample: Option<Vec<Uuid>>,
    pub(super) settled: Mutex<SettledSales>,
    pub(super) bar: ProgressBar,
}

impl Task {
    /// Says which changes of history reach back behind the sales that were verified.
    pub(super) fn check_changes(
        &self,
        found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner).check(found)
    }
}

/// What all ranges showed.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    pub(super) outcomes: u64,
    pub(super) lines: u64,
    /// Outcomes whose inputs were compared with the history, and what was found by it.
    pub(super) compared: u64,
    pub(super) untrue: u64,
    pub(super) digest: String,
}

/// What one range showed.
struct Part {
    outcomes: u64,
    lines: u64,
    compared: u64,
    findings: Vec<(Check, Finding)>,
    listing: Listing,
    digest: RangeDigest,
}

/// How far the jobs are.
#[derive(Default)]
struct Turns {
    next: AtomicUsize,
    /// Something failed: what is not begun need not be.
    stop: AtomicBool,
}

impl Turns {
    fn take(&self) -> Option<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return None;
        }
        let range = self.next.fetch_add(1, Ordering::Relaxed);
        (range < RANGES).then_some(range)
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Verifies every range by so many jobs; hands over findings in their order. Fails if any job does:
/// then nothing is proved.
pub(super) async fn check(
    pool: &PgPool,
    jobs: u16,
    task: &Arc<Task>,
    found: &mut impl FnMut(Check, Finding) -> anyhow::Result<()>,
) -> anyhow::Result<Totals> {
    let turns = Arc::new(Turns::default());
    let (sender, mut parts) = mpsc::unbounded_channel();
    let mut running = JoinSet::new();
    for _ in 0..jobs {
        let (pool, task) = (pool.clone(), Arc::clone(task));
        let (turns, sender) = (Arc::clone(&turns), sender.clone());
        running.spawn(async move {
            let done = work(&pool, &task, &turns, &sender).await;
            if done.is_err() {
                turns.stop();
            }
            done
        });
    }
    drop(sender);

    let mut totals = Totals::default();
    let mut digests = Vec::with_capacity(RANGES);
    let mut early: BTreeMap<usize, Part> = BTreeMap::new();
    let mut told = Ok(());
    while let Some((range, part)) = parts.recv().await {
        early.insert(range, part);
        while let Some(part) = early.remove(&digests.len()) {
            totals.outcomes += part.outcomes;
            totals.lines += part.lines;
            totals.compared += part.compared;
            let untrue = part.findings.iter().filter(|(check, _)| *check == Check::Inputs);
            totals.untrue += untrue.count() as u64;
            let rest = part.listing.rest("events of the same range", ADVICE);
            let rest = rest.map(|rest| (Check::Outcomes, rest));
            digests.push(part.digest.finish());
            if told.is_ok() {
                let mut all = part.findings.into_iter().chain(rest);
                told = all.try_for_each(|(check, finding)| found(check, finding));
            }
        }
        if told.is_err() {
            turns.stop();
        }
    }
    let mut failed = Ok(());
    while let Some(ended) = running.join_next().await {
        let ended = ended.context("a job panicked").and_then(|done| done);
        failed = failed.and(ended);
    }
    told.and(failed)?;
    anyhow::ensure!(digests.len() == RANGES, "only {} of {RANGES} ranges were read", digests.len());
    totals.digest = digest::of_ranges(&digests);
    Ok(totals)
}

/// One job: takes ranges until there are none.
async fn work(
    pool: &PgPool,
    task: &Arc<Task>,
    turns: &Turns,
    parts: &mpsc::UnboundedSender<(usize, Part)>,
) -> anyhow::Result<()> {
    let mut tx = pool.begin().await.map_err(StoreError::from)?;
    audit::join_snapshot(&mut tx, &task.snapshot).await?;
    while let Some(range) = turns.take() {
        let part = check_range(&mut tx, task, turns, range).await?;
        // Nobody listens any more only after another job has failed.
        let _ = parts.send((range, part));
    }
    tx.rollback().await.map_err(StoreError::from)?;
    Ok(())
}

async fn check_range(
    conn: &mut PgConnection,
    task: &Arc<Task>,
    turns: &Turns,
    range: usize,
) -> anyhow::Result<Part> {
    let mut pages = Pages::new(task, range);
    let mut part = Part {
        outcomes: 0,
        lines: 0,
        compared: 0,
        findings: Vec::new(),
        listing: Listing::default(),
        digest: RangeDigest::new(),
    };
    let mut page = pages.next(conn, &task.book).await?;
    while !page.is_empty() && !turns.stop.load(Ordering::Relaxed) {
        let computing = {
            let task = Arc::clone(task);
            tokio::task::spawn_blocking(move || compute(&task, &page, part))
        };
        let (next, computed) = tokio::join!(pages.next(conn, &task.book), computing);
        (page, part) = (next?, computed.context("a computation panicked")?);
    }
    Ok(part)
}

/// Computes a page again.
fn compute(task: &Task, page: &[Settled], mut part: Part) -> Part {
    for settled in page {
        let outcome = &settled.outcome;
        part.outcomes += 1;
        part.lines += outcome.lines.len() as u64;
        part.compared += u64::from(settled.stood.is_some());
        part.digest.add(outcome);
        let id = outcome.sale.event_id;
        let mut note = |check, problem, advice| {
            if part.listing.has_room() {
                let finding = Finding { about: "event", id: id.to_string(), problem, advice };
                part.findings.push((check, finding));
            }
        };
        let version = task.book.version(outcome.plan_number);
        for problem in problems(outcome, version, task) {
            note(Check::Outcomes, problem, ADVICE);
        }
        let stood = version.zip(settled.stood.as_ref());
        if let Some(problem) =
            stood.and_then(|(version, walk)| untrue(outcome, version, walk, task))
        {
            note(Check::Inputs, problem, INPUTS_ADVICE);
        }
    }
    let mut settled = task.settled.lock().unwrap_or_else(PoisonError::into_inner);
    for Settled { outcome, .. } in page {
        settled.add(outcome);
    }
    drop(settled);
    task.bar.inc(page.len() as u64);
    part
}

/// Says what is untrue about the inputs, by the history alone.
fn untrue(
    outcome: &StoredOutcome,
    version: &PlanVersion,
    stood: &Walk,
    task: &Task,
) -> Option<String> {
    let names = (&task.calendar, &task.ladder);
    match stood {
        Walk::Found(stood) => recompute::difference_from_history(outcome, version, stood, names),
        Walk::NotEnrolled => {
            let settled_for = outcome.inputs.as_ref().map_or_else(
                |_| "somebody".to_owned(),
                |inputs| format!("member {}", inputs.seller.member_id),
            );
            Some(format!(
                "its stored inputs begin with {settled_for}, but nobody is enrolled under the id that \
                 the event credits"
            ))
        }
        Walk::Damaged(damage) => {
            Some(format!("its inputs cannot be compared with what held then: {damage}"))
        }
    }
}

fn problems(outcome: &StoredOutcome, version: Option<&PlanVersion>, task: &Task) -> Vec<String> {
    let programme = &task.calendar;
    let number = outcome.plan_number;
    let Some(version) = version else {
        return vec![format!("its plan version number {number} does not exist")];
    };
    let mut problems = recompute::differences(outcome, version, programme);
    // Applying refuses whatever would reprice settled sales, so this holds for ever (law L8).
    let sale = &outcome.sale;
    let in_force = task.book.version_at(sale.source_type, sale.as_of).map(|version| version.number);
    if in_force != Some(number) {
        let in_force = in_force.map_or_else(|| "none".to_owned(), |number| number.to_string());
        problems.push(format!(
            "it was priced by plan version number {number}; in force at {} is {in_force}",
            calendar::moment(programme, sale.as_of)
        ));
    }
    problems
}

/// An outcome, with seller and upline as they stood by the history; `None`: its plan version does
/// not exist, so nobody knows what was read.
struct Settled {
    outcome: StoredOutcome,
    stood: Option<Walk>,
}

/// Reads what the history says of a page of outcomes.
async fn with_history(
    conn: &mut PgConnection,
    book: &RuleBook,
    page: Vec<StoredOutcome>,
) -> Result<Vec<Settled>, StoreError> {
    let sought: Vec<Option<Sought>> = page.iter().map(|outcome| sought(outcome, book)).collect();
    let known: Vec<Sought> = sought.iter().flatten().copied().collect();
    let mut walks = settling::as_they_stood(conn, &known).await?.into_iter();
    let settled = page
        .into_iter()
        .zip(sought)
        .map(|(outcome, sought)| Settled { outcome, stood: sought.and_then(|_| walks.next()) });
    Ok(settled.collect())
}

/// As much as the rules read, and as much as is stored: that must be true too.
fn sought(outcome: &StoredOutcome, book: &RuleBook) -> Option<Sought> {
    let reads = book.version(outcome.plan_number)?.rule_set.reads();
    let stored = outcome.inputs.as_ref().map_or(0, |inputs| inputs.upline.len());
    let depth = reads.depth.max(u16::try_from(stored).unwrap_or(u16::MAX));
    let (event_id, as_of) = (outcome.sale.event_id, outcome.sale.as_of);
    Some(Sought { event_id, as_of, reads: Reads { depth, ..reads } })
}

/// The outcomes of a range, page by page.
enum Pages {
    /// What lies between two ids, both included.
    Between { from: Option<Uuid>, to: Uuid, month: Option<Month> },
    /// These, of a sample.
    Named(Vec<Uuid>),
}

impl Pages {
    fn new(task: &Task, range: usize) -> Self {
        let (from, to) = bounds(range);
        match &task.sample {
            None => Self::Between { from: Some(from), to, month: task.month },
            Some(ids) => {
                let begin = ids.partition_point(|id| *id < from);
                let end = ids.partition_point(|id| *id <= to);
                Self::Named(ids[begin..end].to_vec())
            }
        }
    }

    /// The next page; empty after the last one.
    async fn next(
        &mut self,
        conn: &mut PgConnection,
        book: &RuleBook,
    ) -> Result<Vec<Settled>, StoreError> {
        loop {
            let ids = match self {
                Self::Between { from: None, .. } => return Ok(Vec::new()),
                Self::Between { from: Some(first), to, month } => {
                    let limit = i64::try_from(PAGE).unwrap_or(i64::MAX);
                    audit::ids_between(conn, (*first, *to), *month, limit).await?
                }
                Self::Named(ids) => ids.drain(..PAGE.min(ids.len())).collect(),
            };
            let Some(last) = ids.last() else { return Ok(Vec::new()) };
            if let Self::Between { from, to, .. } = self {
                let next = last.as_u128().checked_add(1).map(Uuid::from_u128);
                *from = next.filter(|next| *next <= *to && ids.len() == PAGE);
            }
            let page = audit::outcomes_of(conn, &ids).await?;
            // An outcome whose event is gone has nothing to be computed from; that is another
            // check's finding. A page of nothing else is not the end.
            if !page.is_empty() {
                return with_history(conn, book, page).await;
            }
        }
    }
}

/// The first and the last id of a range.
fn bounds(range: usize) -> (Uuid, Uuid) {
    let first = (range as u128) << 120;
    (Uuid::from_u128(first), Uuid::from_u128(first | (u128::MAX >> 8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_every_id_once() {
        assert_eq!(bounds(0).0, Uuid::nil());
        assert_eq!(bounds(RANGES - 1).1, Uuid::max());
        for range in 1..RANGES {
            assert_eq!(bounds(range - 1).1.as_u128() + 1, bounds(range).0.as_u128());
        }
    }
}
