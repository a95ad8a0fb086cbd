//! What is remembered of keys that were presented: those that work, for as long as they are
//! trusted, and apart from them those that do not. Guessing crowds out nobody: what does not work
//! is remembered in a place of its own, is bounded there, and waits for tokens of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::SecretSlice;
use store::keys::{Authenticated, Scope, Use};

use super::rate::{Bucket, Rate};

/// How long a key is taken for valid without asking PostgreSQL again; so long does a revocation
/// need to take effect.
pub(crate) const TRUST: Duration = Duration::from_secs(1);
/// After how much of it PostgreSQL is asked beside the request, so that no request waits for it.
const REFRESH_AFTER: Duration = Duration::from_millis(500);
/// Most keys that work remembered, each by its secret.
const VALID_MAX: usize = 10_000;
/// Most keys that do not work remembered.
const UNKNOWN_MAX: usize = 1_000;
/// Most keys whose use is counted. Only keys that worked are.
const HOLDERS_MAX: usize = 10_000;
/// How many texts per second that might be keys, and were never seen, are looked up.
const GUESSES_PER_SECOND: u32 = 100;

/// SHA-256 of a key as presented: nothing that is remembered can be used as a key.
pub(crate) type Digest = [u8; 32];

/// A key that works, as of the moment of asking.
#[derive(Debug)]
pub(crate) struct ValidKey {
    pub(crate) id: String,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) rate_per_second: Option<u32>,
    pub(crate) secret_number: i32,
    pub(crate) signing_secrets: Vec<SecretSlice<u8>>,
    /// PostgreSQL's clock then.
    server_time: DateTime<Utc>,
    asked_at: Instant,
}

impl ValidKey {
    pub(crate) fn new(key: Authenticated, asked_at: Instant) -> Self {
        Self {
            id: key.id,
            scopes: key.scopes,
            rate_per_second: key.rate_per_second,
            secret_number: key.secret_number,
            signing_secrets: key.signing_secrets,
            server_time: key.now,
            asked_at,
        }
    }

    /// PostgreSQL's clock at a moment of this process: what it said when it was asked about the
    /// key, at most a second ago, and what has passed since. This process's own clock may be wrong.
    pub(crate) fn server_time(&self, now: Instant) -> DateTime<Utc> {
        let passed = now.saturating_duration_since(self.asked_at);
        self.server_time + TimeDelta::from_std(passed).unwrap_or_default()
    }
}

struct Remembered {
    key: Arc<ValidKey>,
    used_at: Instant,
    refreshing: bool,
}

/// What one key has used.
struct Holder {
    bucket: Bucket,
    used_at: Instant,
    /// By number of the secret: when it was last used, and when that was last written.
    secrets: HashMap<i32, (Instant, Option<Instant>)>,
}

/// What is known of a text that was presented.
pub(crate) enum Answer {
    /// It works.
    Valid(Arc<ValidKey>),
    /// It works; PostgreSQL is to be asked again beside the request.
    ValidAskBeside(Arc<ValidKey>),
    /// It does not.
    Unknown,
    /// It worked when last asked: ask.
    Ask,
    /// Never seen; ask. It may be a guess, and its token is taken.
    AskAsGuess,
    /// Never seen, and there were too many such for now.
    TooManyGuesses(Duration),
}

/// Everything remembered.
pub(crate) struct Known {
    valid: HashMap<Digest, Remembered>,
    unknown: HashMap<Digest, Instant>,
    holders: HashMap<String, Holder>,
    guesses: Bucket,
}

impl Known {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            valid: HashMap::new(),
            unknown: HashMap::new(),
            holders: HashMap::new(),
            guesses: Bucket::new(now),
        }
    }

    /// What to do about a text that was presented.
    pub(crate) fn answer(&mut self, digest: &Digest, now: Instant) -> Answer {
        if let Some(remembered) = self.valid.get_mut(digest) {
            remembered.used_at = now;
            let age = now.saturating_duration_since(remembered.key.asked_at);
            if age >= TRUST {
                return Answer::Ask;
            }
            let key = Arc::clone(&remembered.key);
            if age >= REFRESH_AFTER && !remembered.refreshing {
                remembered.refreshing = true;
                return Answer::ValidAskBeside(key);
            }
            return Answer::Valid(key);
        }
        if let Some(asked_at) = self.unknown.get(digest)
            && now.saturating_duration_since(*asked_at) < TRUST
        {
            return Answer::Unknown;
        }
        match self.guesses.take(Rate::per_second(GUESSES_PER_SECOND), now) {
            Ok(()) => Answer::AskAsGuess,
            Err(wait) => Answer::TooManyGuesses(wait),
        }
    }

    /// Remembers what PostgreSQL said. A key that works was no guess: its token comes back.
    pub(crate) fn learn(
        &mut self,
        digest: Digest,
        found: Option<&Arc<ValidKey>>,
        asked_at: Instant,
        as_guess: bool,
    ) {
        let Some(key) = found else {
            self.valid.remove(&digest);
            if self.unknown.len() >= UNKNOWN_MAX {
                self.unknown.retain(|_, at| asked_at.saturating_duration_since(*at) < TRUST);
            }
            if self.unknown.len() < UNKNOWN_MAX {
                self.unknown.insert(digest, asked_at);
            }
            return;
        };
        if as_guess {
            self.guesses.put_back(Rate::per_second(GUESSES_PER_SECOND));
        }
        self.unknown.remove(&digest);
        if !self.valid.contains_key(&digest) && self.valid.len() >= VALID_MAX {
            let longest_unused = self.valid.iter().min_by_key(|(_, one)| one.used_at);
            if let Some(digest) = longest_unused.map(|(digest, _)| *digest) {
                self.valid.remove(&digest);
            }
        }
        let key = Arc::clone(key);
        self.valid.insert(digest, Remembered { key, used_at: asked_at, refreshing: false });
    }

    /// PostgreSQL could not be asked; who comes next tries again.
    pub(crate) fn not_learnt(&mut self, digest: &Digest) {
        if let Some(remembered) = self.valid.get_mut(digest) {
            remembered.refreshing = false;
        }
    }

    /// Counts a request of a key, or says how long it has to wait.
    pub(crate) fn admit(
        &mut self,
        key: &ValidKey,
        rate: Rate,
        now: Instant,
    ) -> Result<(), Duration> {
        if !self.holders.contains_key(&key.id) {
            if self.holders.len() >= HOLDERS_MAX {
                let longest_unused = self.holders.iter().min_by_key(|(_, one)| one.used_at);
                if let Some(id) = longest_unused.map(|(id, _)| id.clone()) {
                    self.holders.remove(&id);
                }
            }
            let holder = Holder { bucket: Bucket::new(now), used_at: now, secrets: HashMap::new() };
            self.holders.insert(key.id.clone(), holder);
        }
        let Some(holder) = self.holders.get_mut(&key.id) else { return Ok(()) };
        holder.used_at = now;
        holder.secrets.entry(key.secret_number).or_insert((now, None)).0 = now;
        holder.bucket.take(rate, now)
    }

    /// The uses that are to be written: those of secrets of which none was written for so long.
    pub(crate) fn uses_to_write(&self, now: Instant, pause: Duration) -> Vec<Use> {
        let secrets = self.holders.iter().flat_map(|(key_id, holder)| {
            holder
                .secrets
                .iter()
                .map(move |(number, (used, written))| (key_id, number, used, written))
        });
        let due = secrets.filter(|(_, _, used, written)| {
            written.is_none_or(|at| at < **used && now.saturating_duration_since(at) >= pause)
        });
        due.map(|(key_id, number, used, _)| Use {
            key_id: key_id.clone(),
            secret_number: *number,
            ago_ms: i64::try_from(now.saturating_duration_since(*used).as_millis())
                .unwrap_or(i64::MAX),
        })
        .collect()
    }

    /// These were written. What has been used since is due again after the pause.
    pub(crate) fn uses_written(&mut self, uses: &[Use], at: Instant) {
        for one in uses {
            let holder = self.holders.get_mut(&one.key_id);
            if let Some(secret) =
                holder.and_then(|holder| holder.secrets.get_mut(&one.secret_number))
            {
                secret.1 = Some(at);
            }
        }
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
