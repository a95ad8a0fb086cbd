//! The rule book: every version of every plan, and which one prices a sale.

use chrono::{DateTime, Utc};
use thiserror::Error;

use crate::rule_set::{Reads, RuleSet};
use crate::sale::{Sale, SourceType};

/// A rule set under the numbers that the ledger knows it by.
#[derive(Clone, Debug)]
pub struct PlanVersion {
    /// The version's number.
    pub number: i32,
    /// The rules' numbers, in the order of the rule set.
    pub rule_numbers: Vec<i32>,
    /// What it says.
    pub rule_set: RuleSet,
}

/// Every applied version.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    /// Latest first, so that the first that has begun is the one in force.
    versions: Vec<PlanVersion>,
}

/// No plan pays such a sale at its moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no plan is in force for {source_type} sales at {at}")]
pub struct NoPlan {
    /// What was sold.
    pub source_type: SourceType,
    /// The sale's moment.
    pub at: DateTime<Utc>,
}

/// Why a version cannot join the book.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Conflict {
    /// A version of this plan begins at the same moment with other content.
    #[error(
        "plan {plan} already has version {version} beginning at {at}; what was applied never \
         changes: give the new version a later valid_from"
    )]
    SameStart {
        /// The plan.
        plan: String,
        /// The version that is there.
        version: String,
        /// When both begin.
        at: DateTime<Utc>,
    },
    /// Two plans would pay the same sales.
    #[error("plans {new} and {other} would both pay {what} sales; name different source_types")]
    SameSales {
        /// The plan to be added.
        new: String,
        /// The plan that is there.
        other: String,
        /// The sales in question.
        what: String,
    },
}

impl RuleBook {
    /// A book of these versions, in any order.
    #[must_use]
    pub fn new(mut versions: Vec<PlanVersion>) -> Self {
        versions.sort_by_key(|version| std::cmp::Reverse(version.rule_set.valid_from));
        Self { versions }
    }

    /// Every version, latest first.
    #[must_use]
    pub fn versions(&self) -> &[PlanVersion] {
        &self.versions
    }

    /// The version of that number.
    #[must_use]
    pub fn version(&self, number: i32) -> Option<&PlanVersion> {
        self.versions.iter().find(|version| version.number == number)
    }

    /// The version that prices a sale: of the plan that names the sale's source type, else of the
    /// plan for all; the latest that has begun at the sale's moment (law L8).
    pub fn version_for(&self, sale: &Sale) -> Result<&PlanVersion, NoPlan> {
        self.in_force_at(sale.as_of)
            .find(|version| version.rule_set.names(sale.source_type))
            .or_else(|| {
                self.in_force_at(sale.as_of)
                    .find(|version| version.rule_set.source_types.is_empty())
            })
            .ok_or(NoPlan { source_type: sale.source_type, at: sale.as_of })
    }

    /// What settling any sale reads.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let each = self.versions.iter().map(|version| version.rule_set.reads());
        each.fold(Reads::default(), Reads::and)
    }

    /// When a version ceases to hold: at the beginning of its plan's next one.
    #[must_use]
    pub fn valid_until(&self, rule_set: &RuleSet) -> Option<DateTime<Utc>> {
        let successors = self.versions.iter().filter(|other| {
            other.rule_set.plan == rule_set.plan && other.rule_set.valid_from > rule_set.valid_from
        });
        successors.map(|other| other.rule_set.valid_from).min()
    }

    /// Checks that a version can join the book without two answers to "who prices this sale?".
    pub fn check_addition(&self, new: &RuleSet) -> Result<(), Conflict> {
        for PlanVersion { rule_set: known, .. } in &self.versions {
            if known.plan == new.plan {
                if known.valid_from == new.valid_from {
                    return Err(Conflict::SameStart {
                        plan: new.plan.clone(),
                        version: known.version.clone(),
                        at: known.valid_from,
                    });
                }
            } else if let Some(what) = common_sales(known, new)
                && self.valid_until(known).is_none_or(|end| new.valid_from < end)
                && self.valid_until(new).is_none_or(|end| known.valid_from < end)
            {
                let (new, other) = (new.plan.clone(), known.plan.clone());
                return Err(Conflict::SameSales { new, other, what });
            }
        }
        Ok(())
    }

    /// Each plan's version at a moment.
    fn in_force_at(&self, moment: DateTime<Utc>) -> impl Iterator<Item = &PlanVersion> {
        let begun = move |version: &&PlanVersion| version.rule_set.valid_from <= moment;
        self.versions.iter().enumerate().filter_map(move |(place, version)| {
            let mut later = self.versions[..place].iter().filter(begun);
            let is_latest = later.all(|other| other.rule_set.plan != version.rule_set.plan);
            (is_latest && begun(&version)).then_some(version)
        })
    }
}

/// The sales that both rule sets would pay, if any.
fn common_sales(a: &RuleSet, b: &RuleSet) -> Option<String> {
    if a.source_types.is_empty() && b.source_types.is_empty() {
        return Some("all".to_owned());
    }
    let common = a.source_types.iter().find(|source_type| b.names(**source_type));
    common.map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ladder::Ladder;
    use crate::period::Programme;
    use crate::plan::PlanFile;

    fn rule_set(plan: &str, source_types: &str, valid_from: &str) -> RuleSet {
        let yaml = format!(
            "plan: {plan}\nversion: v\nvalid_from: {valid_from}\n{source_types}\nrules:\n  - id: r\n    \
             component: c\n    calculation: {{type: unilevel, levels: [{{level: 4, percentage: '1'}}]}}"
        );
        let ladder = Ladder::from_yaml("ranks: [MEMBER]").unwrap();
        let prague = Programme::parse_time_zone("Europe/Prague").unwrap();
        let programme = Programme { time_zone: prague, ..Programme::default() };
        RuleSet::compile(&PlanFile::from_yaml(&yaml).unwrap(), &ladder, &programme).unwrap()
    }

    fn book(rule_sets: &[RuleSet]) -> RuleBook {
        let number = |(index, rule_set): (usize, &RuleSet)| PlanVersion {
            number: i32::try_from(index).unwrap(),
            rule_numbers: vec![0],
            rule_set: rule_set.clone(),
        };
        RuleBook::new(rule_sets.iter().enumerate().map(number).collect())
    }

    fn pricing(book: &RuleBook, source_type: SourceType, as_of: &str) -> Option<i32> {
        let mut sale = crate::settle::tests::sale("100");
        (sale.source_type, sale.as_of) = (source_type, as_of.parse().unwrap());
        book.version_for(&sale).ok().map(|version| version.number)
    }

    #[test]
    fn l8_a_version_holds_from_its_first_local_moment_until_its_successors() {
        let all = "";
        let book = book(&[rule_set("a", all, "2023-05-01"), rule_set("a", all, "2023-03-26")]);
        let at = |as_of| pricing(&book, SourceType::Product, as_of);
        assert_eq!(at("2023-03-25T22:59:59.999999Z"), None);
        assert_eq!(at("2023-03-25T23:00:00Z"), Some(1), "winter time until the night after");
        assert_eq!(at("2023-04-30T21:59:59.999999Z"), Some(1));
        assert_eq!(at("2023-04-30T22:00:00Z"), Some(0), "summer time");
        assert_eq!(book.reads().depth, 4);
    }

    #[test]
    fn the_plan_that_names_the_source_type_goes_before_the_plan_for_all() {
        let book = book(&[
            rule_set("general", "", "2023-01-01"),
            rule_set("funds", "source_types: [INVESTMENT]", "2023-02-01"),
            rule_set("funds", "source_types: [PRODUCT]", "2023-06-01"),
        ]);
        let at = |source_type, as_of| pricing(&book, source_type, as_of);
        assert_eq!(at(SourceType::Investment, "2023-01-15T00:00:00Z"), Some(0));
        assert_eq!(at(SourceType::Investment, "2023-03-01T00:00:00Z"), Some(1));
        assert_eq!(at(SourceType::Product, "2023-03-01T00:00:00Z"), Some(0));
        assert_eq!(at(SourceType::Product, "2023-07-01T00:00:00Z"), Some(2));
        let funds_gone = at(SourceType::Investment, "2023-07-01T00:00:00Z");
        assert_eq!(funds_gone, Some(0), "a successor states its plan completely");
    }

    #[test]
    fn a_sale_is_never_priced_by_two_plans() {
        let investment = "source_types: [INVESTMENT]";
        let book = book(&[rule_set("a", investment, "2023-05-01")]);
        let check = |plan, types, from| book.check_addition(&rule_set(plan, types, from));
        assert!(matches!(check("a", investment, "2023-05-01"), Err(Conflict::SameStart { .. })));
        assert!(matches!(check("b", investment, "2024-05-01"), Err(Conflict::SameSales { .. })));
        assert_eq!(check("a", investment, "2023-05-02"), Ok(()));
        assert_eq!(check("b", "source_types: [PRODUCT]", "2023-05-01"), Ok(()));
        assert_eq!(check("b", "", "2023-05-01"), Ok(()), "the plan for all gives way");
    }
}
