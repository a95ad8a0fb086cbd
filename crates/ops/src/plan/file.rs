//! A plan file on its way to a rule set, and what is wrong with it.

use std::fmt;

use domain::ladder::Ladder;
use domain::line;
use domain::period::Programme;
use domain::plan::PlanFile;
use domain::rule_set::RuleSet;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::input;
use crate::output::{self, Format, remark};

/// A plan file as read.
#[derive(Debug)]
pub(crate) struct Source {
    /// What it is called in messages.
    pub(crate) name: String,
    text: String,
}

/// What is wrong at one place of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FileFlaw {
    /// The line, counted from 1, where it is known.
    pub(crate) line: Option<usize>,
    /// The place inside the document; empty: all of it.
    pub(crate) path: String,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
}

impl fmt::Display for FileFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, path, message } = self;
        if let Some(line) = line {
            write!(f, "line {line}: ")?;
        }
        if !path.is_empty() && path != "." {
            write!(f, "{path}: ")?;
        }
        f.write_str(message)
    }
}

impl Source {
    /// Reads the file.
    pub(crate) fn read(path: &str) -> anyhow::Result<Self> {
        Ok(Self { name: input::name(path).to_owned(), text: input::read_text(path)? })
    }

    /// The SHA-256 of the file as it is.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.text.as_bytes()).into()
    }

    /// The file as it is.
    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    /// Compiles the file, or says everything that is wrong with it.
    pub(crate) fn compile(
        &self,
        ladder: &Ladder,
        programme: &Programme,
    ) -> Result<RuleSet, Vec<FileFlaw>> {
        let file = PlanFile::from_yaml(&self.text).map_err(|error| {
            vec![FileFlaw { line: error.line, path: error.path, message: error.message }]
        })?;
        RuleSet::compile(&file, ladder, programme).map_err(|flaws| {
            let flaws = flaws.into_iter().map(|flaw| FileFlaw {
                line: line::of(&self.text, &flaw.path),
                path: flaw.path,
                message: flaw.message,
            });
            flaws.collect()
        })
    }

    /// Prints the flaws, each on a line with its place.
    pub(super) fn report(&self, flaws: &[FileFlaw], format: Format) -> anyhow::Result<()> {
        if format == Format::Json {
            let value = serde_json::json!({ "fine": false, "file": self.name, "flaws": flaws });
            return output::print(format, &value, ToString::to_string);
        }
        for flaw in flaws {
            remark(&format!("{}: {flaw}", self.name));
        }
        remark(&format!("error: {} flaw(s) in {}", flaws.len(), self.name));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "plan: retail\nversion: '1'\nvalid_from: 2023-05-01\nrules:\n  - id: base\n    \
                        component: base\n    calculation:\n      type: unilevel\n      levels:\n        \
                        - {level: 1, percentage: '3', min_rank: GOLD}\n        \
                        - {level: 70, percentage: '3'}\n";

    fn flaws(text: &str) -> Vec<FileFlaw> {
        let source = Source { name: "plan.yaml".to_owned(), text: text.to_owned() };
        let ladder = Ladder::new(vec!["MEMBER".to_owned()]).unwrap();
        source.compile(&ladder, &Programme::default()).unwrap_err()
    }

    #[test]
    fn flaws_of_meaning_have_lines_too() {
        let flaws = flaws(PLAN);
        let places: Vec<_> =
            flaws.iter().map(|flaw| (flaw.line.unwrap_or(0), flaw.path.as_str())).collect();
        assert_eq!(
            places,
            [
                (10, "rules[0].calculation.levels[0].min_rank"),
                (11, "rules[0].calculation.levels[1].level"),
            ]
        );
    }

    #[test]
    fn flaws_of_form_have_line_and_path() {
        let flaws = flaws(&PLAN.replace("'3', min", "3, min"));
        assert_eq!(flaws.len(), 1);
        assert_eq!(flaws[0].line, Some(10));
        assert_eq!(flaws[0].path, "rules[0].calculation.levels[0].percentage");
    }
}
