//! Every file below `scenarios/`, in memory and through HTTP, Redis, worker and ledger (law L10).
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod commands;
mod live;
mod memory;
mod schemas;
