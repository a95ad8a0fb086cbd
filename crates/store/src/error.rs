//! One error type for everything that can go wrong outside the process. It keeps its source.

mod kind;

use thiserror::Error;

pub use self::kind::ErrorKind;
use crate::tls;

/// An error of PostgreSQL, of Redis, or of what they hold.
#[derive(Debug, Error)]
pub enum StoreError {
    /// PostgreSQL refused, failed or could not be reached.
    #[error("PostgreSQL: {0}{advice}", advice = tls::postgres_advice(.0))]
    Database(#[from] sqlx::Error),
    /// Redis refused, failed or could not be reached.
    #[error("Redis: {0}{advice}", advice = tls::redis_advice(.0))]
    Stream(#[from] redis::RedisError),
    /// The schema could not be brought up to date.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A stored value that no version of this program writes.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// Somebody else holds a lock longer than it is sensible to wait.
    #[error("the {0} is being changed by somebody else and stayed locked; try again")]
    Locked(&'static str),
}

impl StoreError {
    /// The five characters by which PostgreSQL classifies an error, if it raised one.
    #[must_use]
    pub fn sqlstate(&self) -> Option<String> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().map(Into::into),
            _ => None,
        }
    }

    /// What PostgreSQL said, without what the driver adds to it.
    #[must_use]
    pub fn server_message(&self) -> Option<&str> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => Some(error.message()),
            _ => None,
        }
    }

    /// Whether PostgreSQL objects to the data itself.
    #[must_use]
    pub fn is_about_data(&self) -> bool {
        self.kind() == ErrorKind::Data
    }

    /// Whether the same transaction may succeed when repeated: deadlock or serialization failure.
    #[must_use]
    pub fn is_transient_conflict(&self) -> bool {
        self.kind() == ErrorKind::Conflict
    }

    /// Whether PostgreSQL could not be talked to at all.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self,
            Self::Database(sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolTimedOut)
        )
    }

    /// Whether the connection broke while it was used. If that was during `COMMIT`, nobody but
    /// PostgreSQL knows whether the transaction took effect.
    #[must_use]
    pub fn leaves_in_doubt(&self) -> bool {
        let ended_by_server = |code: &str| ["57P01", "57P02", "57P05"].contains(&code);
        matches!(self, Self::Database(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)))
            || self.sqlstate().is_some_and(|code| code.starts_with("08") || ended_by_server(&code))
    }

    /// Whether TLS failed: the server speaks none, or its certificate is not accepted. The error's
    /// text says what to do.
    #[must_use]
    pub fn is_about_tls(&self) -> bool {
        match self {
            Self::Database(error) => !tls::postgres_advice(error).is_empty(),
            Self::Stream(error) => !tls::redis_advice(error).is_empty(),
            _ => false,
        }
    }

    /// The constraint that the data violated.
    #[must_use]
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.constraint(),
            _ => None,
        }
    }

    pub(crate) fn damaged(what: impl std::fmt::Display) -> Self {
        Self::Damaged(what.to_string())
    }
}
