//! What is measured of the tree, in the order of the report.

use std::collections::BTreeMap;

use crate::bench::growth::Growth;

/// One row of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Figure {
    Import,
    ImportMemory,
    Enrolment,
    MoveOne,
    MoveThousand,
    MoveFiftyThousand,
    TurnMedian,
    TurnMedianMoving,
    TurnLongest,
    TurnLongestMoving,
    UplineBefore,
    UplineAfter,
    PastUplineBefore,
    PastUplineAfter,
    Moves,
    PageOfRoot,
    PageOfHundred,
    PageInside,
    LevelCounts,
    Size,
}

impl Figure {
    /// Its name, its unit, and what the design asks for.
    fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Import => ("`members import` of all", "s", ""),
            Self::ImportMemory => ("`members import`, peak memory", "MiB", "≤ 1024 MiB"),
            Self::Enrolment => ("enrolment of one", "ms", "≤ 3 ms"),
            Self::MoveOne => ("move of 1", "ms", ""),
            Self::MoveThousand => ("move of about 1,000", "ms", "≤ 100 ms"),
            Self::MoveFiftyThousand => ("move of about 50,000", "ms", ""),
            Self::TurnMedian => ("settlement's turn: median", "ms", ""),
            Self::TurnMedianMoving => ("settlement's turn: median, 50,000 moving", "ms", ""),
            Self::TurnLongest => ("settlement's turn: longest", "ms", ""),
            Self::TurnLongestMoving => ("settlement's turn: longest, 50,000 moving", "ms", ""),
            Self::UplineBefore => ("upline of a new sale", "ms", "≤ 0.3 ms"),
            Self::UplineAfter => ("upline of a new sale, after 10,000 moves", "ms", "≤ 0.3 ms"),
            Self::PastUplineBefore => ("upline of a past sale", "ms", ""),
            Self::PastUplineAfter => ("upline of a past sale, after 10,000 moves", "ms", ""),
            Self::Moves => ("10,000 moves, one transaction", "s", ""),
            Self::PageOfRoot => ("downline page of 100, of the root", "ms", "≤ 1.5×"),
            Self::PageOfHundred => ("downline page of 100, of about 100", "ms", "≤ 1.5×"),
            Self::PageInside => ("downline page of 100, deep inside", "ms", "≤ 1.5×"),
            Self::LevelCounts => ("count per level below the root", "ms", ""),
            Self::Size => ("size of the root's network", "ms", ""),
        }
    }
}

/// What was measured in one network.
pub(super) type Measured = Vec<(Figure, f64)>;

/// What was measured in all of them.
#[derive(Default)]
pub(super) struct Figures(BTreeMap<Figure, BTreeMap<u32, f64>>);

impl Figures {
    /// Adds what was measured in a network of so many members.
    pub(super) fn add(&mut self, members: u32, measured: Measured) {
        for (figure, value) in measured {
            self.0.entry(figure).or_default().insert(members, value);
        }
    }

    /// The rows.
    pub(super) fn report(self) -> Vec<Growth> {
        let row = |(figure, by_members): (Figure, _)| Growth::new("tree", figure.row(), by_members);
        self.0.into_iter().map(row).collect()
    }
}
