//! The HTTP API, as shops and operators meet it: a real process on a real PostgreSQL and Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod account;
mod acting;
mod bad_input;
mod client;
mod dead_letters;
mod doors;
mod explaining;
mod failpoints;
mod idempotency;
mod members;
mod moving;
mod overload;
mod reading;
mod refused_changes;
mod reward_splits;
mod sale_details;
mod secrets;
mod signing;
mod silence;
mod slow_clients;
mod tree;
mod waiting;
