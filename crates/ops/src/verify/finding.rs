//! What is checked, what is found, and how much of it is told.

use serde::Serialize;

/// Findings of one kind that are listed: from the checks of whole tables, and from each range of
/// event ids.
pub(super) const LISTED_MAX: i64 = 100;
pub(super) const COMPARE_WITH_BACKUP: &str = "compare with a backup, restored beside this database, \
    and mend it as its owner; rows were changed past the triggers, so find out who can";

/// A kind of check. Findings are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Check {
    /// Triggers and indexes.
    Guards,
    /// Every outcome, computed again.
    Outcomes,
    /// The inputs of every such outcome, against the history of then.
    Inputs,
    /// Changes of history behind settled sales.
    ChangesBehindSales,
    /// Ledger lines that no outcome accounts for.
    LedgerLines,
    /// Outcomes of events that are not recorded.
    OutcomesWithoutEvent,
    /// The lines of sales.
    SaleLines,
    /// Events, settled or not.
    Events,
    /// Members, and the closure.
    Tree,
    /// History, and the record of changes.
    History,
}

impl Check {
    /// What was looked at, in words for a table.
    pub(super) fn what(self) -> &'static str {
        match self {
            Self::Guards => "append-only tables, refusing changes",
            Self::Outcomes => "outcomes, computed again",
            Self::Inputs => "their inputs, as the history says",
            Self::ChangesBehindSales => "changes of history, none behind a sale",
            Self::LedgerLines => "ledger lines, each of an outcome",
            Self::OutcomesWithoutEvent => "outcomes, each of an event",
            Self::SaleLines => "sales with lines, summed up",
            Self::Events => "events, no sale twice, none removed",
            Self::Tree => "members, in tree and closure",
            Self::History => "history, against its record",
        }
    }
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What kind of thing it is about.
    pub(crate) about: &'static str,
    /// Which one.
    pub(crate) id: String,
    /// What is wrong with it.
    pub(crate) problem: String,
    /// What to do.
    pub(crate) advice: &'static str,
}

/// Findings of one kind: so many are listed, the others counted.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) listed: i64,
    left_off: u64,
}

impl Listing {
    /// Whether one more finding is listed. It is counted either way.
    pub(super) fn has_room(&mut self) -> bool {
        if self.listed < LISTED_MAX {
            self.listed += 1;
            return true;
        }
        self.left_off += 1;
        false
    }

    /// What is said of findings that were not listed, if any. `kind` is what they are about, in
    /// plural.
    pub(super) fn rest(&self, kind: &str, advice: &'static str) -> Option<Finding> {
        (self.left_off > 0).then(|| Finding {
            about: "further",
            id: kind.to_owned(),
            problem: format!("{} more than are listed", self.left_off),
            advice,
        })
    }

    /// Says how many findings were not listed, if any.
    pub(super) fn close(
        &self,
        kind: &str,
        advice: &'static str,
        found: &mut impl FnMut(Finding) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.rest(kind, advice).map_or(Ok(()), found)
    }
}

/// How much of one kind was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Checked {
    pub(crate) check: Check,
    /// Rows that were looked at, of the kind that the check is named by; `None`: not counted.
    pub(crate) rows: Option<u64>,
    /// Findings that were listed.
    pub(crate) findings: u64,
}
