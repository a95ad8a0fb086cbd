//! A plan file: what the business writes. [`crate::rule_set`] compiles it to what is applied.

use crate::yaml::{FileError, read_yaml};
use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::amount::Rounding;
use crate::calculation::CalculationFile;
use crate::caps::Caps;
use crate::condition::Written;
use crate::sale::SourceType;

/// One version of a plan, as written in YAML. It states the plan completely from its first day.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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
    #[schemars(range(min = 1, max = 64))]
    pub max_levels: u8,
    /// How amounts are rounded.
    #[serde(default)]
    pub rounding: Rounding,
    /// What a line, and a sale, pays at most.
    #[serde(default)]
    pub caps: Option<Caps>,
    /// What is paid.
    #[schemars(length(min = 1, max = 500))]
    pub rules: Vec<RuleFile>,
}

/// One rule of a plan file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
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
    pub condition: Option<Written>,
    /// Who may take what it pays; absent: everybody who is ACTIVE.
    #[serde(default)]
    pub eligibility: Option<Written>,
    /// What it pays. Read when the plan is compiled, so that a flaw is named with its path.
    #[schemars(with = "CalculationFile")]
    pub calculation: yaml_serde::Value,
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
    }

    #[test]
    fn errors_name_line_and_path() {
        let error = refused("plan: retail", "plan: retail\nplam: 1");
        assert!(error.message.contains("unknown field `plam`"), "{error}");

        let error = refused("valid_from: 2023-05-01", "valid_from: 2023-02-30");
        assert_eq!(error.path, "valid_from");
        assert_eq!(refused("plan: retail", "plan: [").path, "plan");
    }
}
