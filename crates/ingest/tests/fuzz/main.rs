//! Random requests to a real `lineage-ingest`: whatever comes, it answers, with a status and a body
//! that its own document announces, and records exactly what it says it has.
//!
//! `LINEAGE_TEST_SEED` repeats a run; `LINEAGE_FUZZ_MINUTES` (`make fuzz`) makes it longer.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bodies;
mod document;
mod frames;
mod operations;
mod recorded;
mod shop;
mod values;
