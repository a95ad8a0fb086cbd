//! How many requests may wait for a committer: so many that what is accepted is answered in time.
//!
//! What waits is counted in bytes of bodies, which say about as well as events what recording them
//! will cost, and are known before anything is parsed. How many bytes fit into the target time
//! depends on the machine, the database and what is posted, so it is not configured but found:
//!
//! - a commit whose oldest request took longer than the target from its body to its answer takes a
//!   quarter off the limit, down to [`LIMIT_MIN`];
//! - one that took less than half the target, while requests pressed against the limit, adds
//!   [`STEP`], up to [`LIMIT_MAX`].
//!
//! The limit does not hold for a few requests, [`ALWAYS`] for each committer: clients that post big
//! batches over a handful of connections wait for their turn, as long as it takes. Beyond both, a
//! request is refused at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Requests for each committer that may wait however long it takes.
const ALWAYS: usize = 2;
/// The lowest limit: about 80 single sales, so that as many clients as anybody has to a machine are
/// not refused because a disk is slow.
const LIMIT_MIN: usize = 16 << 10;
/// The highest limit: what two commits take.
const LIMIT_MAX: usize = 512 << 10;
/// What one commit in time adds to the limit.
const STEP: usize = 2 << 10;
/// The least that a request counts: being handled costs something too.
const REQUEST_MIN: usize = 200;

/// What waits, and how much may.
#[derive(Debug)]
pub(crate) struct Backlog {
    target: Duration,
    always: usize,
    requests: AtomicUsize,
    bytes: AtomicUsize,
    limit: AtomicUsize,
    /// Whether the limit has kept anybody out since the last commit.
    pressed: AtomicBool,
    begun: Instant,
    /// Since when something waits of which no committer has taken any: milliseconds from `begun`.
    waits_since_ms: AtomicU64,
}

/// A request's place among those that wait; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    backlog: Arc<Backlog>,
    bytes: usize,
    taken_at: Instant,
}

impl Backlog {
    pub(crate) fn new(committers: u32, target: Duration) -> Arc<Self> {
        Arc::new(Self {
            target,
            always: usize::try_from(committers).unwrap_or(1) * ALWAYS,
            requests: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            limit: AtomicUsize::new(LIMIT_MAX / 4),
            pressed: AtomicBool::new(false),
            begun: Instant::now(),
            waits_since_ms: AtomicU64::new(0),
        })
    }

    /// Whether a further request would be refused. Asked before its body is read.
    pub(crate) fn is_full(&self) -> bool {
        let full = self.requests.load(Relaxed) >= self.always
            && self.bytes.load(Relaxed) >= self.limit.load(Relaxed);
        if full {
            self.pressed.store(true, Relaxed);
        }
        full
    }

    /// A place for a request with a body of so many bytes; `None`: there is none. A request may
    /// exceed the limit by itself, so that big ones are not refused for being big.
    pub(crate) fn enter(self: &Arc<Self>, bytes: usize) -> Option<Place> {
        if self.is_full() {
            return None;
        }
        let bytes = bytes.max(REQUEST_MIN);
        if self.requests.fetch_add(1, Relaxed) == 0 {
            self.note_progress();
        }
        self.bytes.fetch_add(bytes, Relaxed);
        Some(Place { backlog: Arc::clone(self), bytes, taken_at: Instant::now() })
    }

    /// Learns from a commit: how long its oldest request took from its place to its answer.
    pub(crate) fn learn(&self, oldest: Duration) {
        let pressed = self.pressed.swap(false, Relaxed);
        let limit = self.limit.load(Relaxed);
        let next = if oldest > self.target {
            limit - limit / 4
        } else if pressed && oldest < self.target / 2 {
            limit + STEP
        } else {
            limit
        };
        self.limit.store(next.clamp(LIMIT_MIN, LIMIT_MAX), Relaxed);
    }

    /// Requests that wait.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// Bytes of their bodies.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Bytes that may wait at present.
    pub(crate) fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// How long requests have waited since a committer last took any; zero when none waits.
    pub(crate) fn age(&self) -> Duration {
        if self.requests() == 0 {
            return Duration::ZERO;
        }
        let since = Duration::from_millis(self.waits_since_ms.load(Relaxed));
        self.begun.elapsed().saturating_sub(since)
    }

    fn note_progress(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.waits_since_ms.store(now, Relaxed);
    }
}

impl Place {
    /// Gives the place back because a committer takes the request; since when it was held.
    pub(crate) fn leave(self) -> Instant {
        self.backlog.note_progress();
        self.taken_at
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.backlog.requests.fetch_sub(1, Relaxed);
        self.backlog.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(20);

    fn fill(backlog: &Arc<Backlog>, bytes: usize) -> Vec<Place> {
        std::iter::from_fn(|| backlog.enter(bytes)).collect()
    }

    #[test]
    fn what_waits_is_bounded_in_bytes_and_places_come_back() {
        let backlog = Backlog::new(2, TARGET);
        let places = fill(&backlog, 100_000);
        assert_eq!(places.len(), 4, "a few may wait whatever their size");
        drop(places);
        let places = fill(&backlog, 0);
        assert_eq!(places.len() * REQUEST_MIN, backlog.bytes());
        assert!(backlog.bytes() < backlog.limit() + REQUEST_MIN);
        assert!(backlog.is_full());
        drop(places);
        assert_eq!((backlog.requests(), backlog.bytes(), backlog.is_full()), (0, 0, false));
        assert_eq!(backlog.age(), Duration::ZERO);
    }

    #[test]
    fn late_answers_lower_the_limit_and_early_ones_raise_it_under_pressure() {
        let backlog = Backlog::new(1, TARGET);
        for _ in 0..100 {
            backlog.learn(TARGET * 2);
        }
        assert_eq!(backlog.limit(), LIMIT_MIN, "never to nothing");
        assert!(fill(&backlog, 200).len() >= 64, "64 clients with a sale each are never refused");
        backlog.learn(TARGET / 4);
        assert_eq!(backlog.limit(), LIMIT_MIN + STEP, "the filling pressed against the limit");
        backlog.learn(TARGET / 4);
        assert_eq!(backlog.limit(), LIMIT_MIN + STEP, "nobody pressed");
        for _ in 0..1_000 {
            let _places = fill(&backlog, 10_000);
            backlog.learn(TARGET / 4);
        }
        assert_eq!(backlog.limit(), LIMIT_MAX);
    }
}
