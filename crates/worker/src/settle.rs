//! One micro-batch: from event ids to committed ledger lines.
//!
//! Seven round trips whatever the batch's size: begin and share the `history` lock, read (two),
//! claim, COPY (two; for few lines an insert, one), commit. Nothing is written until every event is computed. An error of one event
//! is a result of that event; an error of PostgreSQL fails the whole transaction and
//! [`crate::policy`] says what that means.

use std::time::Instant;

use chrono::TimeDelta;
use domain::rule_book::RuleBook;
use store::failpoints::{self, Place, Sabotage, pass};
use store::failures::{self, FailedAttempt};
use store::locks;
use store::settling::{self, LedgerLine, LeftOut, Outcome, Unsettled, Walk};
use store::{PgConnection, PgPool, StoreError, plans};
use uuid::Uuid;

use crate::metrics::{Metrics, Stage};
use crate::policy::{Cause, Schedule, SettleError};

/// The rules as last read. Reloaded when their generation moves.
#[derive(Default)]
pub(crate) struct RuleCache {
    book: RuleBook,
    generation: i32,
}

impl RuleCache {
    async fn reload(&mut self, conn: &mut PgConnection) -> Result<(), StoreError> {
        self.book = plans::rule_book(conn).await?;
        self.generation = plans::generation(conn).await?;
        Ok(())
    }
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Settled by us, now.
    pub(crate) settled: Vec<Uuid>,
    /// Settled before; announced again.
    pub(crate) settled_before: Vec<Uuid>,
    /// Neither settled nor to be attempted.
    pub(crate) skipped: Skipped,
    /// Attempts that failed, by cause, and whether each is now a dead letter.
    pub(crate) failed: Vec<(Cause, bool)>,
    /// Ledger lines written.
    pub(crate) lines: u64,
}

/// How many events entries named in vain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Skipped {
    /// PostgreSQL does not know them.
    pub(crate) unknown: usize,
    /// Given up until somebody looks.
    pub(crate) dead: usize,
    /// Given up for good.
    pub(crate) discarded: usize,
    /// Their next attempt is not due.
    pub(crate) not_due: usize,
}

impl From<&LeftOut> for Skipped {
    fn from(left_out: &LeftOut) -> Self {
        let LeftOut { unknown, dead, discarded, not_due, .. } = *left_out;
        Self { unknown, dead, discarded, not_due }
    }
}

/// Settles distinct events in one transaction.
pub(crate) async fn settle(
    pool: &PgPool,
    rules: &mut RuleCache,
    event_ids: &[Uuid],
    schedule: &Schedule,
    metrics: &Metrics,
) -> Result<Report, SettleError> {
    let begun = Instant::now();
    let mut tx = locks::begin_sharing_history(pool).await?;
    let mut batch = settling::read(&mut tx, event_ids, rules.book.reads()).await?;
    if !batch.events.is_empty() && batch.generation != rules.generation {
        // Rules cannot move on while we share the lock: once is enough.
        rules.reload(&mut tx).await.map_err(SettleError::Rules)?;
        batch = settling::read(&mut tx, event_ids, rules.book.reads()).await?;
    }
    let read = Instant::now();
    metrics.observe_stage(Stage::Read, begun, read);
    pass(Place::AfterLookup);

    let mut outcomes = Vec::with_capacity(batch.events.len());
    let mut failed = Vec::new();
    let mut retried = Vec::new();
    for event in &mut batch.events {
        match compute(event, &rules.book, schedule) {
            Ok(outcome) => {
                if event.attempts > 0 {
                    retried.push(event.sale.event_id);
                }
                outcomes.push(outcome);
            }
            Err(attempt) => failed.push(attempt),
        }
    }
    outcomes.sort_unstable_by_key(|outcome| outcome.event_id);
    let computed = Instant::now();
    metrics.observe_stage(Stage::Compute, read, computed);

    let mut report = Report::default();
    if !outcomes.is_empty() {
        let mut claimed = settling::claim(&mut tx, &outcomes).await?;
        pass(Place::AfterClaim);
        claimed.sort_unstable();
        let ours = outcomes.iter().filter(|o| {
            claimed.binary_search(&o.event_id).is_ok()
                || failpoints::is_sabotaged(Sabotage::SkipClaim)
        });
        report.lines = settling::write_lines(&mut tx, ours).await?;
        report.settled = claimed;
    }
    if !retried.is_empty() {
        failures::clear(&mut tx, &retried).await?;
    }
    for (cause, attempt) in failed {
        if failures::record(&mut tx, &attempt).await? {
            report.failed.push((cause, attempt.retry_after_seconds.is_none()));
        }
    }
    if batch.events.len() < event_ids.len() {
        let left_out: Vec<Uuid> = event_ids
            .iter()
            .filter(|id| batch.events.iter().all(|event| event.sale.event_id != **id))
            .copied()
            .collect();
        let left_out = settling::left_out(&mut tx, &left_out).await?;
        report.skipped = Skipped::from(&left_out);
        if !left_out.settled_with_failure.is_empty() {
            // An attempt of another worker failed while this event was settled: it is over.
            failures::clear(&mut tx, &left_out.settled_with_failure).await?;
        }
        report.settled_before = left_out.settled;
    }
    let written = Instant::now();
    metrics.observe_stage(Stage::Write, computed, written);
    pass(Place::BeforeCommit);
    tx.commit().await.map_err(StoreError::from)?;
    pass(Place::AfterCommit);
    let committed = Instant::now();
    metrics.observe_stage(Stage::Commit, written, committed);

    // PostgreSQL's clock up to the reading, ours for the rest: no two clocks are compared.
    let since_read = TimeDelta::from_std(committed - read).unwrap_or_default();
    for event in &batch.events {
        if report.settled.binary_search(&event.sale.event_id).is_ok() {
            metrics.observe_end_to_end(batch.read_at - event.recorded_at + since_read);
        }
    }
    Ok(report)
}

/// Records that this one event cannot be read, or its outcome not be written. Reads nothing of its
/// facts, which may be what is damaged.
pub(crate) async fn reject(
    pool: &PgPool,
    event_id: Uuid,
    cause: Cause,
    error: &SettleError,
    schedule: &Schedule,
) -> Result<Report, StoreError> {
    let mut tx = pool.begin().await?;
    let mut report = Report::default();
    if let Some(attempts_before) = failures::attempts_if_due(&mut tx, event_id).await? {
        let attempt = failed_attempt(event_id, attempts_before, cause, error, schedule);
        if failures::record(&mut tx, &attempt).await? {
            report.failed.push((cause, attempt.retry_after_seconds.is_none()));
        }
    }
    tx.commit().await?;
    Ok(report)
}

/// The pure part: facts, inputs and rules to an outcome.
fn compute(
    event: &mut Unsettled,
    book: &RuleBook,
    schedule: &Schedule,
) -> Result<Outcome, (Cause, FailedAttempt)> {
    let (event_id, attempts) = (event.sale.event_id, event.attempts);
    let failure = |cause: Cause, error: &dyn ToString| {
        (cause, failed_attempt(event_id, attempts, cause, error, schedule))
    };
    let mut inputs = match std::mem::replace(&mut event.walk, Walk::NotEnrolled) {
        Walk::Found(inputs) => inputs,
        Walk::NotEnrolled => {
            let member = event.credited_member_id;
            let error = format!("member {member} is not enrolled");
            let (cause, attempt) = failure(Cause::UnknownMember, &error);
            return Err((cause, FailedAttempt { awaited_member_id: Some(member), ..attempt }));
        }
        Walk::Damaged(error) => return Err(failure(Cause::DamagedTree, &error)),
    };
    let version = book.version_for(&event.sale).map_err(|error| failure(Cause::NoPlan, &error))?;
    let settlement = domain::settle::settle(&event.sale, &inputs, &version.rule_set)
        .map_err(|error| failure(Cause::from(&error), &error))?;
    inputs.keep_read(settlement.visited(), version.rule_set.reads().joined_at);
    let earned_period = event.sale.earned_period.first_day();
    let lines = settlement.lines.into_iter().map(|line| LedgerLine {
        rule_number: version.rule_numbers[line.rule],
        line,
        currency: event.sale.currency,
        earned_period,
        // Every period is open until periods can be closed.
        posted_period: earned_period,
    });
    Ok(Outcome {
        event_id: event.sale.event_id,
        plan_number: version.number,
        breakage: settlement.breakage,
        inputs: inputs.pack(),
        lines: lines.collect(),
    })
}

fn failed_attempt(
    event_id: Uuid,
    attempts_before: i32,
    cause: Cause,
    error: &dyn ToString,
    schedule: &Schedule,
) -> FailedAttempt {
    let wait = cause.retry_after(attempts_before, schedule);
    FailedAttempt {
        event_id,
        attempts_before,
        cause: cause.name(),
        error: error.to_string(),
        awaited_member_id: None,
        retry_after_seconds: wait.map(|wait| wait.as_secs_f64()),
    }
}
