//! Waiting after failures, longer each time, and not past the beginning of a stop.

use std::time::Duration;

use store::locks::jitter;
use tokio::sync::watch;

/// Of outages. Jitter makes at most half as much more of it: whoever comes back is noticed within
/// five seconds.
const OUTAGE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));
/// Of conflicts between transactions, which are over at once, or else are not conflicts.
const CONFLICT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Waits longer after each failure in a row, with jitter.
pub(crate) struct BackOff {
    next: Duration,
    first: Duration,
    max: Duration,
}

impl BackOff {
    /// After PostgreSQL or Redis failed.
    pub(crate) fn of_outages() -> Self {
        Self { next: OUTAGE.0, first: OUTAGE.0, max: OUTAGE.1 }
    }

    /// After another transaction was in the way.
    pub(crate) fn of_conflicts() -> Self {
        Self { next: CONFLICT.0, first: CONFLICT.0, max: CONFLICT.1 }
    }

    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// Waits, but not past the beginning of a stop.
    pub(crate) async fn wait(&mut self, stopping: &mut watch::Receiver<bool>) {
        pause(jitter(self.next), stopping).await;
        self.next = (self.next * 2).min(self.max);
    }
}

/// Waits for a time, or until a stop begins. Nothing but the wait is cut short.
pub(crate) async fn pause(time: Duration, stopping: &mut watch::Receiver<bool>) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        _ = stopping.wait_for(|stop| *stop) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_wait_in_a_row_is_longer_up_to_a_limit_and_a_stop_ends_all() {
        let (_stop, mut stopping) = watch::channel(true);
        let mut back_off = BackOff::of_outages();
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(back_off.next.as_millis());
            back_off.wait(&mut stopping).await;
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3000, 3000, 3000]);
        back_off.reset();
        assert_eq!(back_off.next, OUTAGE.0);
        assert!(OUTAGE.1.mul_f64(1.5) < Duration::from_secs(5));
    }
}
