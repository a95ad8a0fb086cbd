//! Advisory locks: who must not do what at the same time.
//!
//! Three locks order changes of history, always taken in this order:
//!
//! | lock | shared by | exclusive for |
//! |---|---|---|
//! | `changes` | nobody | every change of a member's history |
//! | `tree` | enrolment, import | moves |
//! | `history` | settlement | every change of history, last and briefly |
//!
//! `programme` lets the calendar be changed only before the first event. All are released by the
//! end of the transaction. Each is taken in a statement of its own, so that what follows sees
//! what the previous holder committed.

use std::time::{Duration, Instant};

use sqlx::{Acquire, PgConnection, PgPool, Postgres, Transaction};

use crate::StoreError;

/// One try of an exclusive lock: new sharers queue behind it for so long.
const EXCLUSIVE_TRY: &str = "set local lock_timeout = '500ms'";
/// How long to go on trying in all.
const EXCLUSIVE_WAIT_MAX: Duration = Duration::from_secs(10);

/// By which PostgreSQL says that a wait for a lock was too long.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What a lock protects.
#[derive(Clone, Copy, Debug)]
pub enum Lock {
    /// The turn to change members' history.
    Changes,
    /// The shape of the tree.
    Tree,
    /// Every effective-dated fact that settlement reads.
    History,
    /// The calendar, until the first event.
    Programme,
}

impl Lock {
    /// Fixed numbers: processes of different versions must agree on them.
    fn key(self) -> i64 {
        match self {
            Self::Changes => 0x6c69_6e65_0005,
            Self::Tree => 0x6c69_6e65_0001,
            Self::History => 0x6c69_6e65_0002,
            Self::Programme => 0x6c69_6e65_0003,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Changes => "members' history",
            Self::Tree => "tree",
            Self::History => "history",
            Self::Programme => "programme",
        }
    }
}

/// Shares a lock until the transaction ends. Waits as long as the session's `lock_timeout` says.
pub async fn share(conn: &mut PgConnection, lock: Lock) -> Result<(), StoreError> {
    let shared = sqlx::query!("select pg_advisory_xact_lock_shared($1)", lock.key())
        .execute(conn)
        .await
        .map_err(StoreError::from);
    match shared {
        Ok(_) => Ok(()),
        Err(error) if error.sqlstate().as_deref() == Some(LOCK_NOT_AVAILABLE) => {
            Err(StoreError::Locked(lock.name()))
        }
        Err(error) => Err(error),
    }
}

/// `begin`, then the shared `history` lock in a statement of its own, in one round trip.
const BEGIN_SHARING_HISTORY: &str = "begin; select pg_advisory_xact_lock_shared(119200079478786)";

/// Begins a transaction that shares the `history` lock: what settlement does before anything else.
pub async fn begin_sharing_history(
    pool: &PgPool,
) -> Result<Transaction<'static, Postgres>, StoreError> {
    Ok(pool.begin_with(BEGIN_SHARING_HISTORY).await?)
}

/// How long a transaction may still wait for its locks, all of them together. What it does between
/// them does not count.
#[derive(Debug)]
pub struct Patience {
    left: Duration,
}

impl Patience {
    /// Ten seconds.
    #[must_use]
    pub fn new() -> Self {
        Self { left: EXCLUSIVE_WAIT_MAX }
    }

    /// Takes a lock alone until the transaction ends. Waits half a second at a time, so that those
    /// who share it are held up only briefly, and gives up after ten in all.
    pub async fn take(&mut self, conn: &mut PgConnection, lock: Lock) -> Result<(), StoreError> {
        let begun = Instant::now();
        loop {
            let mut attempt = conn.begin().await?;
            sqlx::query(EXCLUSIVE_TRY).execute(&mut *attempt).await?;
            let taken = sqlx::query!("select pg_advisory_xact_lock($1)", lock.key())
                .execute(&mut *attempt)
                .await
                .map_err(StoreError::from);
            match taken {
                Ok(_) => {
                    sqlx::query("set local lock_timeout = '10s'").execute(&mut *attempt).await?;
                    attempt.commit().await?;
                    self.left = self.left.saturating_sub(begun.elapsed());
                    return Ok(());
                }
                Err(error) if error.sqlstate().as_deref() == Some(LOCK_NOT_AVAILABLE) => {
                    attempt.rollback().await?;
                    if begun.elapsed() > self.left {
                        return Err(StoreError::Locked(lock.name()));
                    }
                    tokio::time::sleep(jitter(Duration::from_millis(100))).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes a single lock alone, as [`Patience::take`] does.
pub async fn take(conn: &mut PgConnection, lock: Lock) -> Result<(), StoreError> {
    Patience::new().take(conn, lock).await
}

/// A random time between half of `around` and one and a half times it.
#[must_use]
pub fn jitter(around: Duration) -> Duration {
    let mut byte = [128_u8];
    // Without randomness everybody waits equally long, which is merely slower.
    let _ = getrandom::fill(&mut byte);
    around / 2 + around * u32::from(byte[0]) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_names_the_history_locks_key() {
        assert!(BEGIN_SHARING_HISTORY.contains(&format!("({})", Lock::History.key())));
    }
    /// Triggers take the locks that the commands take.
    #[test]
    fn the_walls_name_the_locks_keys() {
        let walls = include_str!("../../../migrations/20261121000020_walls.sql");
        for lock in [Lock::History, Lock::Programme] {
            let taken = format!("pg_advisory_xact_lock({})", lock.key());
            assert!(walls.contains(&taken), "{lock:?}");
        }
    }
}
