//! What is wrong with a plan file that can be read but makes no sense.

use thiserror::Error;

use crate::ladder::{Ladder, NamedRank};
use crate::text;

/// One flaw.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct PlanFlaw {
    /// The place inside the file.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// Collects every flaw, so that one reading of the messages mends the file.
#[derive(Default)]
pub(crate) struct Flaws(Vec<PlanFlaw>);

impl Flaws {
    pub(crate) fn add(&mut self, path: &str, message: &str) {
        self.0.push(PlanFlaw { path: path.to_owned(), message: message.to_owned() });
    }

    pub(crate) fn require(&mut self, path: &str, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.add(path, &message());
        }
    }

    pub(crate) fn check_text(&mut self, path: &str, value: &str) {
        if let Err(error) = text::check(value) {
            self.add(path, &error.to_string());
        }
    }

    pub(crate) fn none_or<T>(self, value: Option<T>) -> Result<T, Vec<PlanFlaw>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

/// Compiles one part of a plan file: knows the ladder, and where in the file it is.
pub(crate) struct Compiler<'a> {
    pub(crate) ladder: &'a Ladder,
    pub(crate) flaws: &'a mut Flaws,
    /// The path of the part, such as `rules[0].calculation`.
    pub(crate) at: String,
}

impl Compiler<'_> {
    /// A flaw at a path inside the part; empty: of the part as a whole.
    pub(crate) fn add(&mut self, path: &str, message: &str) {
        let joint = if path.is_empty() { "" } else { "." };
        self.flaws.add(&format!("{}{joint}{path}", self.at), message);
    }

    pub(crate) fn require(&mut self, path: &str, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.add(path, &message());
        }
    }

    /// The rank of that name.
    pub(crate) fn rank(&mut self, path: &str, name: &str) -> Option<NamedRank> {
        match self.ladder.named(name) {
            Ok(rank) => Some(rank),
            Err(error) => {
                self.add(path, &error.to_string());
                None
            }
        }
    }
}
