//! How many requests a second are let pass: a token bucket, kept as the moment at which it would be
//! full again (the generic cell rate algorithm), so that nothing has to refill it.

use std::time::{Duration, Instant};

/// How much may come at once after a pause: what the rate allows in so long.
const BURST: Duration = Duration::from_secs(2);

/// A number of requests per second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// The share of a second that one request uses up; zero: no limit.
    interval: Duration,
}

impl Rate {
    /// So many requests per second; 0: no limit.
    pub(crate) fn per_second(requests: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(requests).unwrap_or_default();
        Self { interval }
    }
}

/// What is left of a rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    /// Takes a request's share, or says how long to wait for it.
    pub(crate) fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + rate.interval;
        let missing = full_at.saturating_duration_since(now + BURST);
        if missing > Duration::ZERO {
            return Err(missing);
        }
        self.full_at = full_at;
        Ok(())
    }

    /// Puts a request's share back.
    pub(crate) fn put_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.checked_sub(rate.interval).unwrap_or(self.full_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of so many requests pass at one moment.
    fn pass(bucket: &mut Bucket, rate: Rate, now: Instant, requests: u32) -> u32 {
        (0..requests).map(|_| u32::from(bucket.take(rate, now).is_ok())).sum()
    }

    #[test]
    fn two_seconds_worth_passes_at_once_and_then_the_rate() {
        let now = Instant::now();
        for requests in [1, 3, 7, 100, 20_000] {
            let rate = Rate::per_second(requests);
            let mut bucket = Bucket::new(now);
            assert_eq!(pass(&mut bucket, rate, now, 3 * requests), 2 * requests, "{requests}");
            // A nanosecond more, because a second does not divide by 3 and 7.
            let later = now + Duration::from_secs(1) + Duration::from_nanos(10);
            assert_eq!(pass(&mut bucket, rate, later, 3 * requests), requests, "{requests}");
            let much_later = later + Duration::from_hours(1);
            assert_eq!(pass(&mut bucket, rate, much_later, 3 * requests), 2 * requests);
        }
    }

    #[test]
    fn who_waits_as_told_passes_and_who_does_not_is_told_again() {
        let now = Instant::now();
        let rate = Rate::per_second(4);
        let mut bucket = Bucket::new(now);
        assert_eq!(pass(&mut bucket, rate, now, 9), 8);
        let wait = bucket.take(rate, now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(250), "refused requests use nothing up");
        assert!(bucket.take(rate, now + Duration::from_millis(249)).is_err());
        assert!(bucket.take(rate, now + wait).is_ok());
        bucket.put_back(rate);
        assert!(bucket.take(rate, now + wait).is_ok());
        assert!(bucket.take(rate, now + wait).is_err());
    }

    #[test]
    fn without_a_limit_everything_passes() {
        let now = Instant::now();
        let rate = Rate::per_second(0);
        assert_eq!(pass(&mut Bucket::new(now), rate, now, 100_000), 100_000);
    }
}
