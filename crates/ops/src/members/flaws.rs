//! What is wrong with the lines of a file. All of it is collected, so that one reading mends the
//! file.

use serde::Serialize;

/// Longest value that a message repeats, in characters.
const QUOTE_LENGTH_MAX: usize = 60;

/// What is wrong with one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Flaw {
    /// The line on which the row begins, counted from 1.
    pub(crate) line: u64,
    /// What is wrong, and what would be right.
    pub(crate) reason: String,
}

/// Every flaw that was found.
#[derive(Debug, Default)]
pub(crate) struct Flaws(Vec<Flaw>);

impl Flaws {
    /// Adds one.
    pub(crate) fn add(&mut self, line: u64, reason: impl Into<String>) {
        self.0.push(Flaw { line, reason: reason.into() });
    }

    /// All of them in the order of the file; those of one line as they were found.
    pub(crate) fn in_order(mut self) -> Vec<Flaw> {
        self.0.sort_by_key(|flaw| flaw.line);
        self.0
    }

    /// Whether the file is fine.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A value in quotes as a message repeats it: cut when it is long, control characters escaped.
pub(crate) fn quote(value: &str) -> String {
    match value.char_indices().nth(QUOTE_LENGTH_MAX) {
        Some((end, _)) => format!("{:?}…", &value[..end]),
        None => format!("{value:?}"),
    }
}
