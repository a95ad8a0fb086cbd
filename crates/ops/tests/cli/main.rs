//! The operator's commands, run as an operator runs them, on a real PostgreSQL and Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod acting;
mod changing;
mod dead_letters;
mod explaining;
mod forging;
mod importing;
mod keys;
mod made_up_inputs;
mod moving;
mod network;
mod proving;
mod setting_up;
mod splitting;
mod tree_damage;
mod tree_through_time;
mod verifying;
mod versions;
