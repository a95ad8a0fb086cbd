//! Which signed changes were made, so that a copy of a request changes nothing a second time.
//!
//! A sale can be repeated: its id makes it the same sale. A move cannot: repeated after it was
//! undone, it would move the member again. So of each key, an id that signed a change is refused for
//! as long as its signature could count. Each process remembers what came to itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::signature::TOLERANCE_SECONDS;

/// As long as a signature can count: one dated ahead counts until its time and the tolerance.
const REMEMBERED: Duration = Duration::from_secs(2 * TOLERANCE_SECONDS.unsigned_abs() + 1);
/// Most ids remembered. When so many changes were signed within [`REMEMBERED`], more have to wait.
const IDS_MAX: usize = 100_000;

/// The ids that were used.
#[derive(Clone, Default)]
pub(crate) struct Replays(Arc<Mutex<HashMap<[u8; 32], Instant>>>);

/// Why an id cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It was used.
    Repeated,
    /// No more can be remembered for now.
    Full,
}

/// An id in use. Where it is certain that nothing was changed, it can be used again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Used([u8; 32]);

impl Replays {
    /// Uses a key's id.
    pub(crate) fn take(&self, key_id: &str, id: &str, now: Instant) -> Result<Used, Refused> {
        let digest = Sha256::new().chain_update(key_id).chain_update(b".").chain_update(id);
        let digest = digest.finalize().into();
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = |at: &Instant| now.saturating_duration_since(*at) < REMEMBERED;
        if used.get(&digest).is_some_and(counts) {
            return Err(Refused::Repeated);
        }
        if used.len() >= IDS_MAX {
            used.retain(|_, at| counts(at));
        }
        if used.len() >= IDS_MAX {
            return Err(Refused::Full);
        }
        used.insert(digest, now);
        Ok(Used(digest))
    }

    /// Lets an id be used again.
    pub(crate) fn put_back(&self, id: &Used) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_used_once_by_each_key_for_as_long_as_its_signature_counts() {
        let replays = Replays::default();
        let now = Instant::now();
        let used = replays.take("a", "1", now).unwrap();
        assert_eq!(replays.take("a", "1", now + Duration::from_mins(10)), Err(Refused::Repeated));
        assert!(replays.take("b", "1", now).is_ok(), "another key's");
        assert!(replays.take("a", "2", now).is_ok(), "another one");
        assert!(replays.take("a", "1", now + Duration::from_secs(601)).is_ok());
        replays.put_back(&used);
        assert!(replays.take("a", "1", now).is_ok(), "nothing came of it");
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let replays = Replays::default();
        let now = Instant::now();
        for number in 0..IDS_MAX {
            assert!(replays.take("a", &number.to_string(), now).is_ok());
        }
        assert_eq!(replays.take("a", "more", now), Err(Refused::Full));
        assert_eq!(replays.take("a", "5", now), Err(Refused::Repeated));
        assert!(replays.take("a", "more", now + REMEMBERED).is_ok());
    }
}
