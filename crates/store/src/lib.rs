//! Everything of Lineage that outlives a process: every SQL statement, the stream's keys and
//! commands, migrations and partitions. Decides nothing about money.
//!
//! Functions take `&mut PgConnection`, so that the caller owns the transaction. Each batch
//! function takes arrays and needs the same number of round trips whatever the batch's size.

pub mod actions;
pub mod audit;
pub mod bench;
pub mod changes;
mod connection_url;
pub mod copy;
pub mod database;
pub mod dead_letters;
pub mod enrolment;
pub mod error;
pub mod events;
pub mod explaining;
pub mod failpoints;
pub mod failures;
pub mod import;
pub mod keys;
pub mod ledger;
pub mod locks;
pub mod plans;
pub mod programme;
pub mod reward_splits;
pub mod scratch;
pub mod settling;
pub mod stream;
pub mod sweep;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
pub mod tree;
pub mod tree_audit;

pub use error::{ErrorKind, StoreError};
pub use sqlx::{PgConnection, PgPool, PgTransaction};
