//! Every class and every variant is of a kind; what nobody has heard of is unclassified.

use std::borrow::Cow;
use std::fmt;

use sqlx::error::{DatabaseError, ErrorKind as SqlxKind};

use super::*;

/// Every class of SQLSTATE in appendix A of PostgreSQL 15's documentation, with its kind.
const CLASSES: [(&str, ErrorKind); 43] = {
    use ErrorKind::{Conflict, Data, Infrastructure};
    [
        ("00", Infrastructure), // Successful Completion
        ("01", Infrastructure), // Warning
        ("02", Infrastructure), // No Data
        ("03", Infrastructure), // SQL Statement Not Yet Complete
        ("08", Infrastructure), // Connection Exception
        ("09", Infrastructure), // Triggered Action Exception
        ("0A", Infrastructure), // Feature Not Supported
        ("0B", Infrastructure), // Invalid Transaction Initiation
        ("0F", Infrastructure), // Locator Exception
        ("0L", Infrastructure), // Invalid Grantor
        ("0P", Infrastructure), // Invalid Role Specification
        ("0Z", Infrastructure), // Diagnostics Exception
        ("20", Infrastructure), // Case Not Found
        ("21", Infrastructure), // Cardinality Violation
        ("22", Data),           // Data Exception
        ("23", Data),           // Integrity Constraint Violation
        ("24", Infrastructure), // Invalid Cursor State
        ("25", Infrastructure), // Invalid Transaction State
        ("26", Infrastructure), // Invalid SQL Statement Name
        ("27", Infrastructure), // Triggered Data Change Violation
        ("28", Infrastructure), // Invalid Authorization Specification
        ("2B", Infrastructure), // Dependent Privilege Descriptors Still Exist
        ("2D", Infrastructure), // Invalid Transaction Termination
        ("2F", Infrastructure), // SQL Routine Exception
        ("34", Infrastructure), // Invalid Cursor Name
        ("38", Infrastructure), // External Routine Exception
        ("39", Infrastructure), // External Routine Invocation Exception
        ("3B", Infrastructure), // Savepoint Exception
        ("3D", Infrastructure), // Invalid Catalog Name
        ("3F", Infrastructure), // Invalid Schema Name
        ("40", Conflict),       // Transaction Rollback
        ("42", Infrastructure), // Syntax Error or Access Rule Violation
        ("44", Infrastructure), // WITH CHECK OPTION Violation
        ("53", Infrastructure), // Insufficient Resources
        ("54", Infrastructure), // Program Limit Exceeded
        ("55", Infrastructure), // Object Not In Prerequisite State
        ("57", Infrastructure), // Operator Intervention
        ("58", Infrastructure), // System Error
        ("72", Infrastructure), // Snapshot Failure
        ("F0", Infrastructure), // Configuration File Error
        ("HV", Infrastructure), // Foreign Data Wrapper Error
        ("P0", Infrastructure), // PL/pgSQL Error
        ("XX", Infrastructure), // Internal Error
    ]
};

/// An error of a server that has a code.
#[derive(Debug)]
struct Raised(&'static str);

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Raised {}

impl DatabaseError for Raised {
    fn message(&self) -> &str {
        self.0
    }
    fn code(&self) -> Option<Cow<'_, str>> {
        Some(self.0.into())
    }
    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }
    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }
    fn kind(&self) -> SqlxKind {
        SqlxKind::Other
    }
}

#[test]
fn every_class_of_sqlstate_is_classified() {
    for (class, kind) in CLASSES {
        // The class's own code, and one that a later version may add to it.
        for code in ["000", "Z99"].map(|rest| format!("{class}{rest}")) {
            assert_eq!(ErrorKind::of_sqlstate(&code), kind, "{code}");
        }
    }
}

#[test]
fn the_codes_that_operators_meet_are_what_they_should_be() {
    for (code, kind) in [
        ("40001", ErrorKind::Conflict),       // serialization failure
        ("40P01", ErrorKind::Conflict),       // deadlock
        ("42501", ErrorKind::Infrastructure), // a missing right is mended by an operator
        ("42P01", ErrorKind::Infrastructure), // so is a missing table
        ("53100", ErrorKind::Infrastructure), // disk full
        ("53300", ErrorKind::Infrastructure), // too many connections
        ("55P03", ErrorKind::Infrastructure), // lock not available in time
        ("57014", ErrorKind::Infrastructure), // statement timeout
        ("57P01", ErrorKind::Infrastructure), // shutdown
        ("57P03", ErrorKind::Infrastructure), // starting up
        ("25006", ErrorKind::Infrastructure), // read-only after a failover
        ("25P03", ErrorKind::Infrastructure), // idle in transaction for too long
        ("22003", ErrorKind::Data),           // a number out of range
        ("23514", ErrorKind::Data),           // a check
    ] {
        let error = StoreError::Database(sqlx::Error::Database(Box::new(Raised(code))));
        assert_eq!(error.kind(), kind, "{code}");
    }
}

#[test]
fn what_nobody_has_heard_of_is_unclassified() {
    for code in ["ZZ999", "99000", "4", "", "é0000"] {
        assert_eq!(ErrorKind::of_sqlstate(code), ErrorKind::Unclassified, "{code}");
    }
    let invented = StoreError::Database(sqlx::Error::Database(Box::new(Raised("ZZ999"))));
    assert_eq!(invented.kind(), ErrorKind::Unclassified);
}

#[test]
fn every_variant_of_the_driver_is_classified() {
    let text = || Box::<dyn std::error::Error + Send + Sync>::from("x");
    let errors = [
        sqlx::Error::Configuration(text()),
        sqlx::Error::InvalidArgument(String::new()),
        sqlx::Error::Io(std::io::Error::other("x")),
        sqlx::Error::Tls(text()),
        sqlx::Error::Protocol(String::new()),
        sqlx::Error::RowNotFound,
        sqlx::Error::TypeNotFound { type_name: String::new() },
        sqlx::Error::ColumnIndexOutOfBounds { index: 1, len: 0 },
        sqlx::Error::ColumnNotFound(String::new()),
        sqlx::Error::AnyDriverError(text()),
        sqlx::Error::PoolTimedOut,
        sqlx::Error::PoolClosed,
        sqlx::Error::WorkerCrashed,
        sqlx::Error::InvalidSavePointStatement,
        sqlx::Error::BeginFailed,
        sqlx::Error::Migrate(Box::new(sqlx::migrate::MigrateError::VersionMissing(1))),
    ];
    for error in errors {
        let error = StoreError::Database(error);
        assert_eq!(error.kind(), ErrorKind::Infrastructure, "{error:?}");
    }
    let encode = StoreError::Database(sqlx::Error::Encode(text()));
    assert_eq!(encode.kind(), ErrorKind::Data);
    for error in [
        sqlx::Error::Decode(text()),
        sqlx::Error::ColumnDecode { index: String::new(), source: text() },
    ] {
        assert_eq!(StoreError::Database(error).kind(), ErrorKind::Damaged);
    }
}

#[test]
fn every_error_of_redis_is_an_outage() {
    let servers = [
        ServerErrorKind::ResponseError,
        ServerErrorKind::ExecAbort,
        ServerErrorKind::BusyLoading,
        ServerErrorKind::NoScript,
        ServerErrorKind::Moved,
        ServerErrorKind::Ask,
        ServerErrorKind::TryAgain,
        ServerErrorKind::ClusterDown,
        ServerErrorKind::CrossSlot,
        ServerErrorKind::MasterDown,
        ServerErrorKind::ReadOnly,
        ServerErrorKind::NotBusy,
        ServerErrorKind::NoSub,
        ServerErrorKind::NoPerm,
    ];
    let others = [
        RedisKind::Parse,
        RedisKind::AuthenticationFailed,
        RedisKind::UnexpectedReturnType,
        RedisKind::InvalidClientConfig,
        RedisKind::Io,
        RedisKind::Client,
        RedisKind::Extension,
        RedisKind::MasterNameNotFoundBySentinel,
        RedisKind::NoValidReplicasFoundBySentinel,
        RedisKind::EmptySentinelList,
        RedisKind::ClusterConnectionNotFound,
        RedisKind::RESP3NotSupported,
    ];
    for kind in servers.map(RedisKind::Server).into_iter().chain(others) {
        let error = StoreError::Stream(redis::RedisError::from((kind, "x")));
        assert_eq!(error.kind(), ErrorKind::Infrastructure, "{kind:?}");
    }
}

#[test]
fn our_own_errors_are_classified() {
    let migration = StoreError::Migration(sqlx::migrate::MigrateError::VersionMissing(1));
    assert_eq!(migration.kind(), ErrorKind::Infrastructure);
    assert_eq!(StoreError::Locked("tree").kind(), ErrorKind::Infrastructure);
    assert_eq!(StoreError::Damaged(String::new()).kind(), ErrorKind::Damaged);
}
