//! What is wrong with the lines of a file. All of it is collected, so that one reading mends the
//! file.

use serde::Serialize;
use serde_json::{Map, json};

use crate::output::{self, Format, remark};

/// Flaws that are printed; whoever has more mends these first.
const FLAWS_SHOWN_MAX: usize = 100;
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

/// The flaws in a few words, for the record: without what the file says, which may be personal data.
pub(crate) fn summary(flaws: &[Flaw]) -> String {
    let first = flaws.first().map(|flaw| format!(", the first on line {}", flaw.line));
    format!("{} flaw(s){}", flaws.len(), first.unwrap_or_default())
}

/// Says what is wrong with a file: for programs on stdout, for people on stderr. `what` was not
/// done because of it, such as `imported`.
pub(crate) fn report(
    name: &str,
    flaws: &[Flaw],
    what: &'static str,
    format: Format,
) -> anyhow::Result<()> {
    let (count, shown) = (flaws.len(), flaws.len().min(FLAWS_SHOWN_MAX));
    if format == Format::Json {
        let value: Map<_, _> = [
            (what.to_owned(), json!(false)),
            ("flaw_count".to_owned(), json!(count)),
            ("flaws".to_owned(), json!(&flaws[..shown])),
        ]
        .into_iter()
        .collect();
        output::print(format, &value, |_| String::new())?;
    } else {
        for Flaw { line, reason } in &flaws[..shown] {
            remark(&format!("{name}: line {line}: {reason}"));
        }
        if count > shown {
            remark(&format!("and {} more", count - shown));
        }
    }
    remark(&format!("error: nothing was {what}: {count} flaw(s) in {name}"));
    Ok(())
}
