//! What to do about every kind of error: the one place that decides between trying again, trying
//! later and giving up.

use std::time::Duration;

use domain::settle::Unsettleable;
use store::StoreError;

/// Waits before the second, third and fourth attempt at one event. Then it is a dead letter.
const RETRY_DELAYS: [Duration; 3] =
    [Duration::from_secs(30), Duration::from_mins(2), Duration::from_mins(10)];

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
            Self::RejectedByDatabase => "rejected_by_database",
            Self::OutOfRange => "out_of_range",
        }
    }

    /// How long to wait after so many earlier failed attempts; `None`: dead letter.
    pub(crate) fn retry_after(self, attempts_before: i32) -> Option<Duration> {
        match self {
            Self::OutOfRange => None,
            Self::UnknownMember
            | Self::NoPlan
            | Self::NoRule
            | Self::AmbiguousRules
            | Self::DamagedTree
            | Self::RejectedByDatabase => {
                usize::try_from(attempts_before).ok().and_then(|n| RETRY_DELAYS.get(n)).copied()
            }
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

/// What a failed transaction means for its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// Another transaction was in the way: repeat at once.
    Repeat,
    /// PostgreSQL objects to data: find the event by halving. Keep this narrow, because halving
    /// costs many transactions.
    Halve,
    /// PostgreSQL is away, full, restarting or overloaded: wait. No event is to blame, so no
    /// attempt is counted.
    BackOff,
}

/// Decides what a failed transaction means.
pub(crate) fn remedy(error: &StoreError) -> Remedy {
    if error.is_transient_conflict() {
        Remedy::Repeat
    } else if error.is_about_data() {
        Remedy::Halve
    } else {
        Remedy::BackOff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_tried_four_times_and_then_is_a_dead_letter() {
        let waits = (0..5).map(|before| Cause::UnknownMember.retry_after(before));
        let seconds: Vec<_> = waits.map(|wait| wait.map(|wait| wait.as_secs())).collect();
        assert_eq!(seconds, [Some(30), Some(120), Some(600), None, None]);
    }

    #[test]
    fn what_nothing_can_repair_is_a_dead_letter_at_once() {
        assert_eq!(Cause::OutOfRange.retry_after(0), None);
    }
}
