//! The store against a real PostgreSQL: what the database itself guarantees.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::cast_possible_wrap, reason = "tests count to a few thousand")]

mod account;
mod append_only;
mod applying;
mod attacker;
mod dead_letters;
mod feed;
mod histories;
mod keys;
mod model;
mod moving;
mod races;
mod sales;
mod splitting;
mod writing;
