//! JSON Schemas of the files that people write, so that editors complete and check them.

use schemars::{Schema, schema_for};
use serde_json::Value;

use crate::ladder::LadderFile;
use crate::plan::PlanFile;
use crate::scenario::ScenarioFile;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A version of a plan.
    Plan,
    /// The ladder of ranks.
    Ladder,
    /// A scenario.
    Scenario,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Plan, Self::Ladder, Self::Scenario];

    /// The name of the kind.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Ladder => "ladder",
            Self::Scenario => "scenario",
        }
    }

    /// The schema of such files.
    #[must_use]
    pub fn schema(self) -> Value {
        let schema: Schema = match self {
            Self::Plan => schema_for!(PlanFile),
            Self::Ladder => schema_for!(LadderFile),
            Self::Scenario => schema_for!(ScenarioFile),
        };
        schema.to_value()
    }
}
