//! The operator's commands, run as an operator runs them, on a real PostgreSQL and Redis.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod importing;
mod proving;
mod setting_up;
