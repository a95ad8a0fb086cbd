//! What to do about every kind of error: the one place that decides between trying again, trying
//! later and giving up.
//!
//! | error | what happens | attempt counted |
//! |---|---|---|
//! | PostgreSQL or Redis away, full, misconfigured ([`ErrorKind::Infrastructure`]) | back off, go on | no |
//! | another transaction in the way ([`ErrorKind::Conflict`]) | repeat the transaction | no |
//! | data that PostgreSQL refuses, or that cannot be read ([`ErrorKind::Data`], [`ErrorKind::Damaged`]) | halve the batch down to the event, then as below | of that event |
//! | the same of the rules, which are every event's | back off, go on | no |
//! | an event that cannot be settled now ([`Cause`]) | the schedule, then a dead letter | yes |
//! | an event that can never be settled ([`Cause::OutOfRange`]) | a dead letter at once | yes |
//! | nothing of these ([`ErrorKind::Unclassified`]) | back off, go on; counted apart and logged as an error | no |

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::settle::Unsettleable;
use store::{ErrorKind, StoreError};

/// Most waits of a schedule.
const RETRIES_MAX: usize = 20;
/// Longest wait of a schedule: a week.
const RETRY_AFTER_MAX: u64 = 7 * 24 * 60 * 60;

/// Waits before the second, third … attempt at one event. Then it is a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Schedule(Arc<[Duration]>);

impl Schedule {
    /// How long to wait after so many earlier failed attempts; `None`: no further attempt.
    fn wait_after(&self, attempts_before: i32) -> Option<Duration> {
        usize::try_from(attempts_before).ok().and_then(|n| self.0.get(n)).copied()
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wait = |text: &str| match text.trim().parse() {
            Ok(seconds @ 0..=RETRY_AFTER_MAX) => Ok(Duration::from_secs(seconds)),
            _ => Err(format!("{text:?} must be 0 to {RETRY_AFTER_MAX} seconds")),
        };
        let waits: Vec<Duration> = match text.trim() {
            "" => Vec::new(),
            text => text.split(',').map(wait).collect::<Result<_, _>>()?,
        };
        if waits.len() > RETRIES_MAX {
            return Err(format!("at most {RETRIES_MAX} waits, these are {}", waits.len()));
        }
        Ok(Self(waits.into()))
    }
}

/// As it is typed.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds: Vec<String> = self.0.iter().map(|wait| wait.as_secs().to_string()).collect();
        f.write_str(&seconds.join(","))
    }
}

/// Why one event cannot be settled now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nobody is enrolled under the credited id. Enrolment repairs it.
    UnknownMember,
    /// No plan is in force for such a sale. Applying one repairs it.
    NoPlan,
    /// The plan has no rule on that day. Another version repairs it.
    NoRule,
    /// Two rules have an equal claim. Another version repairs it.
    AmbiguousRules,
    /// The stored tree contradicts itself above the seller. An operator repairs it.
    DamagedTree,
    /// What is stored of the event, or of those above, cannot be read. An operator repairs it; or a
    /// newer worker, which knows what a newer ingest wrote. So it is tried again.
    DamagedData,
    /// PostgreSQL refuses the outcome or its lines.
    RejectedByDatabase,
    /// Sums beyond what the ledger can hold. Nothing repairs it.
    OutOfRange,
}

impl Cause {
    /// The name in tables, metrics and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UnknownMember => "unknown_member",
            Self::NoPlan => "no_plan",
            Self::NoRule => "no_rule",
            Self::AmbiguousRules => "ambiguous_rules",
            Self::DamagedTree => "damaged_tree",
            Self::DamagedData => "damaged_data",
            Self::RejectedByDatabase => "rejected_by_database",
            Self::OutOfRange => "out_of_range",
        }
    }

    /// How long to wait after so many earlier failed attempts; `None`: dead letter.
    pub(crate) fn retry_after(self, attempts_before: i32, schedule: &Schedule) -> Option<Duration> {
        match self {
            Self::OutOfRange => None,
            Self::UnknownMember
            | Self::NoPlan
            | Self::NoRule
            | Self::AmbiguousRules
            | Self::DamagedTree
            | Self::DamagedData
            | Self::RejectedByDatabase => schedule.wait_after(attempts_before),
        }
    }
}

impl From<&Unsettleable> for Cause {
    fn from(error: &Unsettleable) -> Self {
        match error {
            Unsettleable::NoRule { .. } => Self::NoRule,
            Unsettleable::AmbiguousRules { .. } => Self::AmbiguousRules,
            Unsettleable::OutOfRange => Self::OutOfRange,
        }
    }
}

/// A settling transaction that failed, by what it was doing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettleError {
    /// Reading the rules, which are every event's.
    #[error("cannot read the rules: {0}")]
    Rules(#[source] StoreError),
    /// Anything about the batch.
    #[error(transparent)]
    Batch(#[from] StoreError),
}

impl SettleError {
    /// What kind of error it is.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Rules(error) | Self::Batch(error) => error.kind(),
        }
    }
}

/// What a failed transaction means for its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Another transaction was in the way: repeat at once.
    Repeat,
    /// Something about data: find the event by halving, and give it this cause. Keep this narrow,
    /// because halving costs many transactions.
    Halve(Cause),
    /// No event is to blame, so no attempt is counted: wait.
    BackOff,
}

/// Decides what a failed transaction means.
pub(crate) fn remedy(error: &SettleError) -> Remedy {
    match (error, error.kind()) {
        (_, ErrorKind::Conflict) => Remedy::Repeat,
        (SettleError::Batch(_), ErrorKind::Data) => Remedy::Halve(Cause::RejectedByDatabase),
        (SettleError::Batch(_), ErrorKind::Damaged) => Remedy::Halve(Cause::DamagedData),
        // Every event would be found guilty.
        (SettleError::Rules(_), ErrorKind::Data | ErrorKind::Damaged)
        | (_, ErrorKind::Infrastructure | ErrorKind::Unclassified) => Remedy::BackOff,
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
