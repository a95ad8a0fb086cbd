//! Settlement by whole processes on a real PostgreSQL and Redis, against an oracle in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "small numbers, made up"
)]

mod attempts;
mod batches;
mod calculations;
mod crowd;
mod failpoints;
mod failures;
mod forwarder;
mod history;
mod memory;
mod network;
mod noise;
mod outages;
mod recovery;
mod rules;
