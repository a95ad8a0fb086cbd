//! What kind of error an error is: the one place that knows the codes of PostgreSQL and Redis.
//!
//! Exhaustive over our own errors. Those of the drivers and servers may grow; what is not listed
//! here is [`ErrorKind::Unclassified`], treated like an outage, because an event must not pay for
//! what nobody has thought about, and counted, because somebody should.

use redis::{ErrorKind as RedisKind, ServerErrorKind};
use sqlx::postgres::{PgDatabaseError, PgSeverity};

use crate::StoreError;

/// What an error says about who is to blame, and so about what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// PostgreSQL or Redis is away, full, overloaded, misconfigured, or does not fit this version of
    /// the program: time or an operator mends it. No event is to blame.
    Infrastructure,
    /// Another transaction was in the way. The same may succeed at once.
    Conflict,
    /// PostgreSQL objects to the data that was to be written.
    Data,
    /// What is stored cannot be read by this version of the program.
    Damaged,
    /// None of those that were thought of.
    Unclassified,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::Infrastructure, Self::Conflict, Self::Data, Self::Damaged, Self::Unclassified];

    /// The name in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Infrastructure => "infrastructure",
            Self::Conflict => "conflict",
            Self::Data => "data",
            Self::Damaged => "damaged",
            Self::Unclassified => "unclassified",
        }
    }

    /// What an error of PostgreSQL is, by the five characters of its SQLSTATE.
    ///
    /// The classes are all that PostgreSQL 15 documents. A whole class is one kind: codes are added
    /// to classes, and classes are what they mean.
    #[must_use]
    pub fn of_sqlstate(code: &str) -> Self {
        match code.get(..2).unwrap_or_default() {
            // 22 data exception, 23 integrity constraint violation: about the values themselves.
            // Keep this narrow, because looking for the event costs many transactions.
            "22" | "23" => Self::Data,
            // Transaction rollback: serialization failure, deadlock, completion unknown. Nothing of
            // it stays, or the claim shows that it did, so that repeating is safe.
            "40" => Self::Conflict,
            // Success, warnings and no data are no errors: a server that sends them as such is
            // broken. Rules out nothing about the events.
            "00" | "01" | "02"
            // The server cannot be reached, or refuses logins: 28 wrong password or no right to
            // log in, 3D no such database, 0P no such role.
            | "08" | "28" | "3D" | "0P"
            // No disk, memory or connections left (53); limits of the server (54), such as
            // max_locks; a lock not to be had in time, an object in use (55); shutdown, restart or a
            // time-out (57); the disk or the file system failed (58); a snapshot too old (72); the
            // server's configuration or its files (F0); a bug or damage in the server (XX).
            | "53" | "54" | "55" | "57" | "58" | "72" | "F0" | "XX"
            // The session's transaction is not what the program takes it for: ended by the idle
            // time-out (25P03), or made read-only by a failover (25006).
            | "25" | "0B" | "2D" | "3B"
            // The schema is not what this version needs (42P01 …), or a right is missing (42501):
            // the operator migrates or grants, and then every event is settled.
            | "42" | "3F" | "0L" | "2B"
            // The statement itself is at fault, for every event alike. No statement of ours uses
            // what these are about, so a trigger, function or wrapper of somebody else's does.
            | "03" | "09" | "0A" | "0F" | "0Z" | "20" | "21" | "24" | "26" | "27" | "2F" | "34"
            | "38" | "39" | "44" | "HV" | "P0" => Self::Infrastructure,
            _ => Self::Unclassified,
        }
    }

    fn of_sqlx(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                // What ends the session is never about data: a role that does not exist is refused
                // as an invalid value (22023) while connecting.
                let server = error.try_downcast_ref::<PgDatabaseError>();
                let ends_the_session = server.is_some_and(|server| {
                    matches!(server.severity(), PgSeverity::Fatal | PgSeverity::Panic)
                });
                match error.code() {
                    Some(code) => match Self::of_sqlstate(&code) {
                        Self::Data if ends_the_session => Self::Infrastructure,
                        kind => kind,
                    },
                    None => Self::Unclassified,
                }
            }
            // The connection is broken, or none is to be had.
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed
            // The URL is wrong, or the schema is not that of this version.
            | sqlx::Error::Configuration(_)
            | sqlx::Error::ConfigFile(_)
            | sqlx::Error::InvalidArgument(_)
            | sqlx::Error::TypeNotFound { .. }
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::RowNotFound
            | sqlx::Error::AnyDriverError(_)
            | sqlx::Error::Migrate(_)
            | sqlx::Error::InvalidSavePointStatement => Self::Infrastructure,
            // A value that does not fit the protocol.
            sqlx::Error::Encode(_) => Self::Data,
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => Self::Damaged,
            _ => Self::Unclassified,
        }
    }

    /// Nothing about Redis is an event's fault: it holds no facts.
    fn of_redis(kind: RedisKind) -> Self {
        match kind {
            // The connection is broken, or what came over it is no answer.
            RedisKind::Io
            | RedisKind::Parse
            | RedisKind::UnexpectedReturnType
            | RedisKind::Client
            | RedisKind::ClusterConnectionNotFound
            | RedisKind::MasterNameNotFoundBySentinel
            | RedisKind::NoValidReplicasFoundBySentinel
            // The URL or the password is wrong, or the server is too old.
            | RedisKind::AuthenticationFailed
            | RedisKind::InvalidClientConfig
            | RedisKind::EmptySentinelList
            | RedisKind::RESP3NotSupported
            // A code of the server's own: OOM, NOGROUP, MISCONF, WRONGTYPE, UNBLOCKED …
            | RedisKind::Extension
            // What the server says of itself.
            | RedisKind::Server(
                ServerErrorKind::ResponseError
                | ServerErrorKind::ExecAbort
                | ServerErrorKind::BusyLoading
                | ServerErrorKind::NoScript
                | ServerErrorKind::Moved
                | ServerErrorKind::Ask
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::CrossSlot
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::NotBusy
                | ServerErrorKind::NoSub
                | ServerErrorKind::NoPerm,
            ) => Self::Infrastructure,
            _ => Self::Unclassified,
        }
    }
}

impl StoreError {
    /// What kind of error it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Database(error) => ErrorKind::of_sqlx(error),
            Self::Stream(error) => ErrorKind::of_redis(error.kind()),
            // The schema is older or newer than the program; and somebody who holds a lock lets go.
            Self::Migration(_) | Self::Locked(_) => ErrorKind::Infrastructure,
            Self::Damaged(_) => ErrorKind::Damaged,
        }
    }
}

#[cfg(test)]
#[path = "kind_tests.rs"]
mod tests;
