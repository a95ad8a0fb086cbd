//! Files that people hand over, spoilt in every way: each is read or refused, soon, with a message.
//!
//! `LINEAGE_TEST_SEED` repeats a run; `LINEAGE_FUZZ_MINUTES` (`make fuzz`) makes it longer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod commands;
mod inputs;
mod spoilt;
mod yaml;
