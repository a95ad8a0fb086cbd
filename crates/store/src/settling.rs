//! Settlement's four statements.
//!
//! Per micro-batch, whatever its size, in one transaction of the caller:
//!
//! 1. [`read`]: facts and upline as of each event's moment, then statuses and ranks (two queries;
//!    a third for the lines of sales, when any sale has lines; one more for reward splits once any
//!    member shares rewards)
//! 2. [`claim`]: one insert of the outcomes; what it returns is ours to pay
//! 3. [`write_lines`]: one COPY of the ledger lines of what was claimed (two round trips), or one
//!    insert when they are few
//!
//! [`as_they_stood`] reads the same again, of settled sales and from the history alone, for
//! `lineage verify`.
//!
//! With `begin` and the shared `history` lock, which go together, and `commit` that makes seven
//! round trips, six for few lines of the ledger.

mod left_out;
mod path;
mod read;
mod states;
mod stood;
mod write;

pub use left_out::{LeftOut, left_out};
pub use path::Walk;
pub(crate) use read::stored_amount;
pub use read::{Batch, Unsettled, read};
pub use stood::{Sought, as_they_stood};
pub use write::{LedgerLine, Outcome, claim, write_lines};
