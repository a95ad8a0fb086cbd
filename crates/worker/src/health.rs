//! Whether the process is stuck, and whether it sees what it needs.
//!
//! A connection whose other end vanished without a word (a pulled cable, a firewall that forgot it)
//! never answers and never fails: PostgreSQL's own time-outs cannot reach us, and waiting with a
//! limit of ours would leave a transaction in an unknown state on a connection that goes back to the
//! pool. So a loop that waits there waits for ever. Dying is safe at any instruction, so that is the
//! way out: `/healthz` says 503 once a loop has not turned for longer than any honest transaction
//! takes, on top of the pause that the loop makes between turns, and the supervisor starts the process
//! anew. What it held is taken over by others meanwhile.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use store::stream::Ringer;
use store::{PgPool, StoreError, database};
use tokio::sync::watch;

use crate::back_off::pause;

/// How often PostgreSQL and Redis are asked whether they are there.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How old an answer may be. An outage takes up to five seconds to be an error.
const PROBE_VALID: Duration = Duration::from_secs(5);

/// Says when a loop turned last.
#[derive(Clone)]
pub(crate) struct Pulse {
    since: Instant,
    beat_ms: Arc<AtomicU64>,
    /// The longest that the loop rests between turns.
    pause: Duration,
}

impl Pulse {
    fn new(pause: Duration) -> Self {
        Self { since: Instant::now(), beat_ms: Arc::default(), pause }
    }

    /// The loop turns.
    pub(crate) fn beat(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat_ms.store(now, Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        let beat = Duration::from_millis(self.beat_ms.load(Ordering::Relaxed));
        self.since.elapsed().saturating_sub(beat)
    }

    /// Whether a silence is longer than the loop's pause and a turn together may be.
    fn is_stuck(&self, silent: Duration, stuck_after: Duration) -> bool {
        silent > stuck_after.saturating_add(self.pause)
    }
}

/// Whether a server answered when it was asked last.
#[derive(Default)]
struct Seen {
    is_there: AtomicBool,
    asked: Mutex<Option<Instant>>,
}

impl Seen {
    fn answered(&self, is_there: bool) {
        self.is_there.store(is_there, Ordering::Relaxed);
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn now(&self) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_there.load(Ordering::Relaxed)
            && asked.is_some_and(|asked| asked.elapsed() <= PROBE_VALID)
    }
}

/// What the process needs, and whether it sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Readiness {
    /// Whether both are seen.
    pub(crate) ready: bool,
    /// `ok`, or `unreachable`.
    postgresql: &'static str,
    /// `ok`, or `unreachable`.
    redis: &'static str,
}

/// The health of the process.
pub(crate) struct Health {
    stuck_after: Duration,
    pulses: Mutex<Vec<(String, Pulse)>>,
    postgresql: Seen,
    redis: Seen,
}

impl Health {
    pub(crate) fn new(stuck_after: Duration) -> Self {
        let (postgresql, redis) = (Seen::default(), Seen::default());
        Self { stuck_after, pulses: Mutex::default(), postgresql, redis }
    }

    /// A pulse for a loop that has to go on, and rests between turns no longer than `pause`.
    pub(crate) fn watch(&self, name: String, pause: Duration) -> Pulse {
        let pulse = Pulse::new(pause);
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.push((name, pulse.clone()));
        pulse
    }

    /// Which loop is stuck or gone, in words; `None`: all turn.
    pub(crate) fn stuck(&self) -> Option<String> {
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.iter().find_map(|(name, pulse)| {
            let silent = pulse.silent_for();
            pulse
                .is_stuck(silent, self.stuck_after)
                .then(|| format!("{name} has not turned for {} s; restart me", silent.as_secs()))
        })
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let (postgresql, redis) = (self.postgresql.now(), self.redis.now());
        let word = |seen: bool| if seen { "ok" } else { "unreachable" };
        Readiness { ready: postgresql && redis, postgresql: word(postgresql), redis: word(redis) }
    }

    /// Asks PostgreSQL over and over whether it is there, until a stop begins. In a task of its own,
    /// because an answer may never come.
    pub(crate) async fn probe_postgresql(
        self: Arc<Self>,
        pool: PgPool,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        while !*stopping.borrow() {
            self.postgresql.answered(database::ping(&pool).await.is_ok());
            pause(PROBE_EVERY, &mut stopping).await;
        }
        Ok(())
    }

    /// The same of Redis.
    pub(crate) async fn probe_redis(
        self: Arc<Self>,
        mut ringer: Ringer,
        mut stopping: watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        while !*stopping.borrow() {
            self.redis.answered(ringer.ping().await.is_ok());
            pause(PROBE_EVERY, &mut stopping).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_that_never_turned_is_stuck_and_one_that_turns_is_not() {
        let health = Health::new(Duration::ZERO);
        assert_eq!(health.stuck(), None, "there is no loop yet");
        let pulse = health.watch("consume loop 0".to_owned(), Duration::ZERO);
        std::thread::sleep(Duration::from_millis(5));
        let words = health.stuck().unwrap_or_default();
        assert!(words.starts_with("consume loop 0 has not turned"), "{words}");
        let patient = Health { stuck_after: Duration::from_hours(1), ..health };
        pulse.beat();
        assert_eq!(patient.stuck(), None);
    }

    #[test]
    fn a_loop_that_rests_between_turns_is_judged_after_its_pause() {
        let (second, stuck_after) = (Duration::from_secs(1), Duration::from_mins(2));
        let restless = Pulse::new(Duration::ZERO);
        assert!(!restless.is_stuck(stuck_after, stuck_after));
        assert!(restless.is_stuck(stuck_after + second, stuck_after));
        let nightly = Pulse::new(Duration::from_hours(24));
        assert!(!nightly.is_stuck(Duration::from_hours(24) + stuck_after, stuck_after));
        assert!(nightly.is_stuck(Duration::from_hours(24) + stuck_after + second, stuck_after));
    }

    #[test]
    fn of_several_loops_the_one_that_does_not_turn_is_named() {
        let health = Health::new(Duration::ZERO);
        let hour = Duration::from_hours(1);
        let _resting = health.watch("consume loop 0".to_owned(), hour);
        let _sweep = health.watch("the sweep".to_owned(), Duration::ZERO);
        let _reclaimer = health.watch("the reclaimer".to_owned(), hour);
        std::thread::sleep(Duration::from_millis(5));
        let words = health.stuck().unwrap_or_default();
        assert!(words.starts_with("the sweep has not turned"), "{words}");
    }

    #[test]
    fn what_was_never_seen_is_unreachable() {
        let health = Health::new(Duration::ZERO);
        assert!(!health.readiness().ready);
        health.postgresql.answered(true);
        assert_eq!(health.readiness().redis, "unreachable");
        health.redis.answered(true);
        assert!(health.readiness().ready);
        health.redis.answered(false);
        assert!(!health.readiness().ready);
    }
}
