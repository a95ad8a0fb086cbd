//! Calculations: what a rule pays for one sale, and to whom.
//!
//! Each type is a module of its own that holds everything about it: how it is written in a plan
//! file, how that is checked and compiled, how it decides, how it writes its multiplications out, and
//! how it is described. This module knows only which types there are.

mod deal;
mod differential;
mod fast_start;
mod fixed;
mod level;
mod one_person;
mod pay;
mod tiers;
mod unilevel;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use yaml_serde::Value;

use crate::decision::{Decision, EntryType, OutOfRange, Reason};
use crate::flaws::Compiler;

pub use self::deal::Deal;
pub use self::differential::{Differential, SellerRate};
pub use self::fast_start::FastStart;
pub use self::fixed::Fixed;
pub use self::level::{Level, Rate};
pub use self::pay::{Amounts, Basis, Worth};
pub use self::tiers::{MarginalTiers, Tier, WholeTiers};
pub use self::unilevel::{COMPRESSION, Compression, Unilevel, Unqualified};

/// Most levels that a plan can pay.
pub const LEVELS_MAX: u8 = 64;

/// What every type of calculation can do.
pub trait Calculate {
    /// What its ledger lines are.
    fn entry_type(&self) -> EntryType;

    /// How many ancestors it can visit; [`crate::network::DEPTH_MAX`] when it may go on to the top.
    fn depth(&self, max_levels: u8) -> u16;

    /// Whether it asks when the seller joined.
    fn reads_joined_at(&self) -> bool {
        false
    }

    /// Decides who gets what: a decision for everybody visited, and for every offer without a taker.
    fn decide(&self, deal: &Deal<'_>, decisions: &mut Vec<Decision>) -> Result<(), OutOfRange>;

    /// How the offered or taken amount of a decision comes about, multiplication by multiplication.
    fn written_out(&self, deal: &Deal<'_>, decision: &Decision) -> Vec<String>;

    /// Why somebody gets nothing, with what was compared, where this type knows more about a reason
    /// than its name says. `rank` is the member's.
    fn why_not(
        &self,
        _deal: &Deal<'_>,
        _decision: &Decision,
        _reason: Reason,
        _rank: &str,
    ) -> Option<String> {
        None
    }

    /// Its modes: what of it scenarios have to reach, kind and name.
    fn modes(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// What it pays, for people who read the plan.
    fn describe(&self, max_levels: u8) -> Description;
}

/// A calculation for people: facts, and a table where there are levels, rates or tiers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Names and values.
    pub facts: Vec<(&'static str, String)>,
    /// Titles of the table's columns; empty: there is no table.
    pub header: Vec<&'static str>,
    /// The table's rows.
    pub rows: Vec<Vec<String>>,
}

macro_rules! calculations {
    ($($(#[doc = $doc:literal])+ $name:literal => $variant:ident($module:ident::File);)+) => {
        /// What a rule pays. Its JSON is part of what is stored and hashed.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "type", rename_all = "snake_case")]
        pub enum Calculation {
            $($(#[doc = $doc])+ $variant($variant),)+
        }

        /// A calculation as it is written in a plan file.
        #[derive(Clone, Debug, Serialize, JsonSchema)]
        #[serde(tag = "type", rename_all = "snake_case")]
        #[schemars(rename = "Calculation")]
        pub enum CalculationFile {
            $($(#[doc = $doc])+ $variant($module::File),)+
        }

        impl Calculation {
            /// The names of all types.
            pub const TYPES: &[&str] = &[$($name,)+];

            /// The type's name in plan files.
            #[must_use]
            pub fn type_name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }

            /// What it can do.
            #[must_use]
            pub fn as_calculate(&self) -> &dyn Calculate {
                match self { $(Self::$variant(calculation) => calculation,)+ }
            }
        }

        impl CalculationFile {
            fn of_type(name: &str, rest: Value) -> Option<Result<Self, Misfit>> {
                match name {
                    $($name => Some(read(rest).map(Self::$variant)),)+
                    _ => None,
                }
            }

            fn compile(self, compiler: &mut Compiler<'_>) -> Calculation {
                match self {
                    $(Self::$variant(file) => Calculation::$variant($variant::compile(file, compiler)),)+
                }
            }
        }
    };
}

calculations! {
    /// A share for each level of the upline.
    "unilevel" => Unilevel(unilevel::File);
    /// The difference between one's own rate and the highest rate below.
    "differential" => Differential(differential::File);
    /// A fixed sum, once a sale.
    "fixed" => Fixed(fixed::File);
    /// A share of the sales that a new member makes in the first days.
    "fast_start" => FastStart(fast_start::File);
    /// A share of each slice of the sale by the slice's own percentage.
    "marginal_tiers" => MarginalTiers(tiers::File);
    /// A share of the whole sale by the percentage of the tier that it reaches.
    "whole_tiers" => WholeTiers(tiers::File);
}

/// Where inside a calculation something does not fit, and why.
struct Misfit {
    path: String,
    message: String,
}

impl Calculation {
    /// Reads and compiles a calculation of a plan file; what does not fit becomes a flaw.
    pub(crate) fn compile(mut written: Value, compiler: &mut Compiler<'_>) -> Option<Self> {
        let Some(fields) = written.as_mapping_mut() else {
            compiler.add("", "must be a calculation: `type` and what belongs to it");
            return None;
        };
        let Some(Value::String(name)) = fields.remove("type") else {
            compiler.add("type", &format!("say the type, one of {}", Self::TYPES.join(", ")));
            return None;
        };
        match CalculationFile::of_type(&name, written) {
            Some(Ok(file)) => Some(file.compile(compiler)),
            Some(Err(Misfit { path, message })) => {
                compiler.add(&path, &message);
                None
            }
            None => {
                let known = Self::TYPES.join(", ");
                compiler.add("type", &format!("{name:?} is no type of calculation; use {known}"));
                None
            }
        }
    }
}

fn read<T: DeserializeOwned>(rest: Value) -> Result<T, Misfit> {
    serde_path_to_error::deserialize(rest).map_err(|error| {
        let path = error.path().to_string();
        let path = if path == "." { String::new() } else { path };
        Misfit { path, message: error.into_inner().to_string() }
    })
}

#[cfg(test)]
#[path = "calculation_tests.rs"]
mod tests;
