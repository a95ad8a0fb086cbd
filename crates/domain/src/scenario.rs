//! Scenarios: worked examples of what a plan pays, as files that a business analyst reads and writes.
//!
//! ```text
//! file ─▶ [`Scenario::read`] ─▶ [`Scenario::run`] ─▶ [`Run`] ─▶ [`compare`]: the differences
//! ```
//!
//! The run is the live path without database and network: sales are priced by the version that
//! [`crate::rule_book`] names and computed by [`crate::settle`], changes of history are checked by
//! [`crate::history`], and what production refuses is refused here for the same cause (law L10).

mod compare;
mod describe;
pub mod expected;
mod expected_names;
pub mod file;
mod pairing;
mod reached;
mod read;
mod run;
mod steps;
mod world;
mod written;

pub use self::compare::{Difference, compare};
pub use self::file::ScenarioFile;
pub use self::reached::{Reached, RuleName, Subject};
pub use self::read::{NewMember, PlanOrigin, PlanSource, PlanText, Scenario, member_id};
pub use self::run::{Outcome, Refused, Run, SaleRun, Settled};
pub use self::steps::{NamedSale, SOURCE, Step, StepKind};
pub use self::written::expectations;

#[cfg(test)]
mod tests;
