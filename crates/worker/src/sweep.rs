//! The sweep: publishes again what should have been settled and is not, and looks after what must
//! be there in time.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use store::failures;
use store::ledger;
use store::stream::Ringer;
use store::{PgConnection, StoreError, events, programme, sweep};
use tokio::sync::watch;

use crate::back_off::{BackOff, pause};
use crate::consume::Worker;
use crate::health::Pulse;

/// Most events published again in a pass.
const REPUBLISH_MAX: i64 = 1_000;
/// A longer stream means that workers are busy, not that events are forgotten.
const STREAM_SHORT: u64 = 1_000;
/// Ordinary passes look back so far: longer than any transaction that records an event.
const LOOK_BACK_SHORT: TimeDelta = TimeDelta::minutes(15);
/// Now and then, a pass looks back a day.
const LOOK_BACK_DAY: TimeDelta = TimeDelta::days(1);
const DAY_EVERY: Duration = Duration::from_mins(10);
/// At start and once a day, a pass looks at everything.
const FULL_EVERY: Duration = Duration::from_hours(24);
/// How many periods ahead the ledger has partitions.
const PERIODS_AHEAD: usize = 2;
/// The pause after a pass that found more than it may publish.
const MORE_SOON: Duration = Duration::from_secs(1);

/// Sweeps until a stop begins. Of all processes one at a time has the turn. Fails if it cannot begin.
pub(crate) async fn run(
    worker: Worker,
    every: Duration,
    pulse: Pulse,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let mut ringer = worker.doorbell.connect()?;
    let mut schedule = Schedule::default();
    let mut back_off = BackOff::of_outages();
    while !*stopping.borrow() {
        pulse.beat();
        match pass(&worker, &mut ringer, &mut schedule, &pulse).await {
            Ok(complete) => {
                back_off.reset();
                pulse.beat();
                let every = if complete { every } else { every.min(MORE_SOON) };
                pause(every, &mut stopping).await;
            }
            Err(error) => {
                worker.metrics.error_met(error.kind(), &error);
                tracing::warn!(%error, "the sweep failed; waiting");
                back_off.wait(&mut stopping).await;
            }
        }
    }
    Ok(())
}

/// When the last thorough passes were.
#[derive(Default)]
struct Schedule {
    full_at: Option<Instant>,
    day_at: Option<Instant>,
}

/// How far a pass looks back.
#[derive(Clone, Copy, PartialEq)]
enum Reach {
    Short,
    Day,
    Everything,
}

impl Schedule {
    fn next(&self) -> Reach {
        let is_due = |last: Option<Instant>, every| last.is_none_or(|at| at.elapsed() >= every);
        if is_due(self.full_at, FULL_EVERY) {
            Reach::Everything
        } else if is_due(self.day_at, DAY_EVERY) {
            Reach::Day
        } else {
            Reach::Short
        }
    }

    /// Remembers a pass, unless it stopped at its limit: then the next one looks as far again.
    fn done(&mut self, reach: Reach, complete: bool) {
        let now = Instant::now();
        match reach {
            Reach::Everything if complete => (self.full_at, self.day_at) = (Some(now), Some(now)),
            Reach::Day if complete => self.day_at = Some(now),
            _ => {}
        }
    }
}

/// One pass; `false`: it found more than it may publish.
async fn pass(
    worker: &Worker,
    ringer: &mut Ringer,
    schedule: &mut Schedule,
    pulse: &Pulse,
) -> Result<bool, StoreError> {
    let metrics = &worker.metrics;
    // Before the transaction: PostgreSQL ends one that waits for Redis.
    let backlog = ringer.length().await?;
    metrics.stream(backlog, ringer.pending().await?);
    ringer.ensure_group().await?;
    let reach = schedule.next();
    let look_back = match reach {
        Reach::Short => Some(LOOK_BACK_SHORT),
        Reach::Day => Some(LOOK_BACK_DAY),
        Reach::Everything => None,
    };
    let is_short = backlog <= STREAM_SHORT;
    if is_short {
        prepare(worker, reach).await?;
        // Looking at everything takes long, in each of the two transactions.
        pulse.beat();
    }
    let mut complete = true;
    let mut tx = worker.pool.begin().await?;
    metrics.failures(&failures::counts(&mut tx).await?);
    let its_our_turn = sweep::try_turn(&mut tx).await?;
    if its_our_turn && is_short {
        let found = sweep::forgotten(&mut tx, look_back, REPUBLISH_MAX).await?;
        let oldest = match found.oldest {
            Some(oldest) => events::clock(&mut tx).await? - oldest,
            None => TimeDelta::zero(),
        };
        metrics.oldest_unsettled(oldest);
        let due = sweep::due_retries(&mut tx, REPUBLISH_MAX).await?;
        ringer.publish(&found.event_ids).await?;
        ringer.publish(&due).await?;
        metrics.swept(found.event_ids.len(), due.len());
        if !found.event_ids.is_empty() {
            tracing::info!(events = found.event_ids.len(), "published forgotten events again");
        }
        let is_all = |events: usize| events < usize::try_from(REPUBLISH_MAX).unwrap_or(0);
        schedule.done(reach, is_all(found.event_ids.len()));
        complete = is_all(found.event_ids.len()) && is_all(due.len());
    } else if !its_our_turn {
        metrics.oldest_unsettled(TimeDelta::zero());
    }
    tx.commit().await?;
    Ok(complete)
}

/// What is committed before anything is published, so that whoever hears of it finds it so: events
/// whose member was enrolled while an attempt failed become due, and partitions are made.
async fn prepare(worker: &Worker, reach: Reach) -> Result<(), StoreError> {
    let mut tx = worker.pool.begin().await?;
    if sweep::try_turn(&mut tx).await? {
        let look_back = (reach == Reach::Short).then_some(LOOK_BACK_SHORT);
        let revived = failures::revive_enrolled(&mut tx, look_back).await?;
        if !revived.is_empty() {
            tracing::info!(events = revived.len(), "their members are enrolled; trying again");
        }
        if reach != Reach::Short {
            make_partitions_ahead(&mut tx).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Partitions are also made on demand; having them ahead keeps that off the first sale of a month.
async fn make_partitions_ahead(conn: &mut PgConnection) -> Result<(), StoreError> {
    let calendar = programme::get(conn).await?;
    let mut period = calendar.period_of(events::clock(conn).await?);
    for _ in 0..=PERIODS_AHEAD {
        ledger::ensure_partition(conn, period.first_day()).await?;
        period = period.next();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l2_the_first_pass_looks_at_everything_and_again_while_it_hits_its_limit() {
        let mut schedule = Schedule::default();
        assert!(schedule.next() == Reach::Everything);
        schedule.done(Reach::Everything, false);
        assert!(schedule.next() == Reach::Everything);
        schedule.done(Reach::Everything, true);
        assert!(schedule.next() == Reach::Short);
    }
}
