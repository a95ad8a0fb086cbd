//! A plan file: what the business writes. [`crate::rule_set`] compiles it to what is applied.

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned, de::Error as _};
use thiserror::Error;

use crate::amount::{Percentage, Rounding};
use crate::condition::Condition;
use crate::sale::SourceType;

/// Largest plan or ladder file that is read, in bytes.
pub const FILE_SIZE_MAX: usize = 1 << 20;

/// One version of a plan, as written in YAML. It states the plan completely from its first day.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFile {
    /// The plan's name; versions with the same name follow one another.
    pub plan: String,
    /// A label for people. A version's identity is its content.
    pub version: String,
    /// A title for reports.
    #[serde(default)]
    pub name: Option<String>,
    /// What it pays; absent: everything that no other plan names.
    #[serde(default)]
    pub source_types: Option<Vec<SourceType>>,
    /// The first day, in the programme's time zone. It holds until its successor begins.
    pub valid_from: NaiveDate,
    /// Levels that are paid at most.
    #[serde(default = "default_max_levels")]
    pub max_levels: u8,
    /// How amounts are rounded.
    #[serde(default)]
    pub rounding: Rounding,
    /// What is paid.
    pub rules: Vec<RuleFile>,
}

/// One rule of a plan file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Unique in the plan.
    pub id: String,
    /// Of the rules of one component, one pays; components add up.
    pub component: String,
    /// A title for reports.
    #[serde(default)]
    pub name: Option<String>,
    /// First day, within the version; absent: the version's.
    #[serde(default)]
    pub valid_from: Option<NaiveDate>,
    /// First day on which it no longer holds; absent: as long as the version.
    #[serde(default)]
    pub valid_to: Option<NaiveDate>,
    /// Of the matching rules of a component the highest pays.
    #[serde(default)]
    pub priority: i32,
    /// Which sales it is for; absent: all.
    #[serde(default)]
    pub condition: Option<Condition>,
    /// What it pays.
    pub calculation: Calculation,
}

/// What a rule pays. The only type so far is `unilevel`: a percentage of the basis for each level
/// of the upline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calculation {
    /// The kind of calculation.
    #[serde(rename = "type")]
    pub kind: CalculationType,
    /// What percentages are taken of.
    #[serde(default)]
    pub basis: Basis,
    /// Whether members who do not earn use up a level.
    #[serde(default)]
    pub compression: Compression,
    /// What each level gets. A level that is not listed gets nothing.
    pub levels: Vec<LevelFile>,
}

/// One level of a unilevel calculation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelFile {
    /// 1 is the seller's sponsor.
    pub level: u8,
    /// Share of the basis, in money.
    pub percentage: Percentage,
    /// Share of the basis, in career points.
    #[serde(default)]
    pub career_points_percentage: Percentage,
    /// The lowest rank that may take it; absent: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_rank: Option<String>,
}

/// The kinds of calculation there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CalculationType {
    /// A percentage for each level of the upline.
    Unilevel,
}

impl<'de> Deserialize<'de> for CalculationType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "unilevel" => Ok(Self::Unilevel),
            other => Err(D::Error::custom(format!(
                "calculation type {other:?} is not supported; supported is: unilevel"
            ))),
        }
    }
}

/// What percentages are taken of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The sale's commissionable value.
    #[default]
    Amount,
    /// The sale's volume.
    Volume,
}

/// Whether members who do not earn use up a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// They do: their share is breakage.
    #[default]
    None,
}

impl<'de> Deserialize<'de> for Compression {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "none" => Ok(Self::None),
            other => Err(D::Error::custom(format!(
                "compression {other:?} is not supported; supported is: none"
            ))),
        }
    }
}

fn default_max_levels() -> u8 {
    10
}

impl PlanFile {
    /// Reads a plan file. Its meaning is checked by [`crate::rule_set::RuleSet::compile`].
    pub fn from_yaml(yaml: &str) -> Result<Self, FileError> {
        read_yaml(yaml)
    }
}

/// Where and why a YAML file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct FileError {
    /// The place inside the document, such as `rules[0].calculation.levels[1].percentage`.
    pub path: String,
    /// The line, counted from 1, where the reader knows it.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl FileError {
    /// An error of the document as a whole.
    #[must_use]
    pub fn whole(message: &impl ToString) -> Self {
        Self { path: String::new(), line: None, message: message.to_string() }
    }
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.path.is_empty() && self.path != "." {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Reads a YAML document, naming line and path of what does not fit.
pub(crate) fn read_yaml<T: DeserializeOwned>(yaml: &str) -> Result<T, FileError> {
    if yaml.len() > FILE_SIZE_MAX {
        return Err(FileError::whole(&format!("the file is larger than {FILE_SIZE_MAX} bytes")));
    }
    serde_path_to_error::deserialize(yaml_serde::Deserializer::from_str(yaml)).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let line = inner.location().map(|location| location.line());
        // The reader repeats the place inside its message; it is printed once, in front.
        let text = inner.to_string();
        let text = text.split(" at line ").next().unwrap_or(&text);
        let message = text.strip_prefix(&format!("{path}: ")).unwrap_or(text).to_owned();
        FileError { path, line, message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
plan: retail
version: "2023-05"
valid_from: 2023-05-01
rules:
  - id: base
    component: base
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "3.00"}
"#;

    fn refused(from: &str, to: &str) -> FileError {
        assert!(PLAN.contains(from));
        PlanFile::from_yaml(&PLAN.replace(from, to)).unwrap_err()
    }

    #[test]
    fn what_is_left_out_has_sensible_defaults() {
        let plan = PlanFile::from_yaml(PLAN).unwrap();
        assert_eq!(plan.max_levels, 10);
        assert_eq!(plan.rounding, Rounding::default());
        assert_eq!(plan.source_types, None);
        assert_eq!(plan.rules[0].calculation.compression, Compression::None);
    }

    #[test]
    fn errors_name_line_and_path() {
        let error = refused("\"3.00\"", "3.00");
        assert_eq!(error.path, "rules[0].calculation.levels[0].percentage");
        assert_eq!(error.line, Some(11));
        assert!(error.message.contains("in quotes"), "{error}");

        let error = refused("type: unilevel", "type: differential");
        assert_eq!(error.path, "rules[0].calculation.type");
        assert!(error.message.contains("\"differential\" is not supported"), "{error}");

        let error = refused("      levels:", "      compression: dynamic\n      levels:");
        assert!(error.message.contains("compression \"dynamic\" is not supported"), "{error}");

        let error = refused("plan: retail", "plan: retail\nplam: 1");
        assert!(error.message.contains("unknown field `plam`"), "{error}");

        let error = refused("valid_from: 2023-05-01", "valid_from: 2023-02-30");
        assert_eq!(error.path, "valid_from");
        assert_eq!(refused("plan: retail", "plan: [").path, "plan");
    }
}
