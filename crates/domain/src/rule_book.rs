//! The rule book: every version of every plan, when plans were retired, and which version prices a
//! sale.

use std::collections::BTreeSet;

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

/// From when on a plan is in force no more, until a later version of it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// The plan.
    pub plan: String,
    /// The first moment without it.
    pub from: DateTime<Utc>,
}

/// Every applied version, and every retirement.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    /// Latest first, so that the first that has begun is the one in force.
    versions: Vec<PlanVersion>,
    retirements: Vec<Retirement>,
}

/// A time in which two books price sales of a type by different versions, or one by none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repriced {
    /// What is sold.
    pub source_type: SourceType,
    /// The first moment.
    pub from: DateTime<Utc>,
    /// The first moment after it; `None`: it never ends.
    pub until: Option<DateTime<Utc>>,
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

/// Why a plan cannot be retired at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CannotRetire {
    /// No version of it was ever applied.
    #[error("no plan {plan:?} is applied; see `lineage plan list`")]
    UnknownPlan {
        /// The name.
        plan: String,
    },
    /// Its first version begins later.
    #[error("plan {plan} is not in force at {at}: it begins at {begins}; give a later day")]
    NotBegun {
        /// The plan.
        plan: String,
        /// When it was to be retired.
        at: DateTime<Utc>,
        /// When its first version begins.
        begins: DateTime<Utc>,
    },
    /// A version begins at that very moment.
    #[error(
        "version {version} of plan {plan} begins at {at}, so that the plan is in force then; give \
         another day"
    )]
    BeginsThen {
        /// The plan.
        plan: String,
        /// The version.
        version: String,
        /// When it begins.
        at: DateTime<Utc>,
    },
    /// It was retired before, and no version has begun since.
    #[error("plan {plan} is not in force at {at}: it is retired from {since} on")]
    RetiredBefore {
        /// The plan.
        plan: String,
        /// When it was to be retired.
        at: DateTime<Utc>,
        /// Since when it is retired.
        since: DateTime<Utc>,
    },
}

impl RuleBook {
    /// A book of these versions, in any order.
    #[must_use]
    pub fn new(mut versions: Vec<PlanVersion>) -> Self {
        versions.sort_by_key(|version| std::cmp::Reverse(version.rule_set.valid_from));
        Self { versions, retirements: Vec::new() }
    }

    /// The same book with these retirements besides its own.
    #[must_use]
    pub fn with_retirements(mut self, retirements: impl IntoIterator<Item = Retirement>) -> Self {
        self.retirements.extend(retirements);
        self
    }

    /// The book that adding a version would make. The version has no number yet: it stands under 0,
    /// so such a book is for comparing, not for settling.
    #[must_use]
    pub fn with_draft(&self, rule_set: &RuleSet) -> Self {
        let draft = PlanVersion { number: 0, rule_numbers: Vec::new(), rule_set: rule_set.clone() };
        let versions = self.versions.iter().cloned().chain([draft]).collect();
        Self::new(versions).with_retirements(self.retirements.iter().cloned())
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

    /// Every retirement, in no order.
    #[must_use]
    pub fn retirements(&self) -> &[Retirement] {
        &self.retirements
    }

    /// The version that prices a sale: of the plan that names the sale's source type, else of the
    /// plan for all; the latest that has begun at the sale's moment and whose plan was not retired
    /// since (law L8).
    pub fn version_for(&self, sale: &Sale) -> Result<&PlanVersion, NoPlan> {
        self.version_at(sale.source_type, sale.as_of)
            .ok_or(NoPlan { source_type: sale.source_type, at: sale.as_of })
    }

    /// The version that prices sales of a type at a moment; see [`Self::version_for`].
    #[must_use]
    pub fn version_at(&self, source_type: SourceType, at: DateTime<Utc>) -> Option<&PlanVersion> {
        self.in_force_at(at).find(|version| version.rule_set.names(source_type)).or_else(|| {
            self.in_force_at(at).find(|version| version.rule_set.source_types.is_empty())
        })
    }

    /// What settling any sale reads.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let each = self.versions.iter().map(|version| version.rule_set.reads());
        each.fold(Reads::default(), Reads::and)
    }

    /// When a version ceases to hold: at the beginning of its plan's next one, or when the plan is
    /// retired before that.
    #[must_use]
    pub fn valid_until(&self, rule_set: &RuleSet) -> Option<DateTime<Utc>> {
        let successors = self.versions.iter().map(|version| &version.rule_set);
        let successors = successors.filter(|other| other.plan == rule_set.plan);
        let ends = successors.map(|other| other.valid_from).chain(self.retired(&rule_set.plan));
        ends.filter(|end| *end > rule_set.valid_from).min()
    }

    /// When a plan is in force again after a retirement: at the beginning of its next version.
    #[must_use]
    pub fn resumes(&self, retirement: &Retirement) -> Option<DateTime<Utc>> {
        let of_plan = self.versions.iter().map(|version| &version.rule_set);
        let of_plan = of_plan.filter(|rule_set| rule_set.plan == retirement.plan);
        of_plan.map(|rule_set| rule_set.valid_from).filter(|from| *from >= retirement.from).min()
    }

    /// The version of the same plan that is in force just before this one begins.
    #[must_use]
    pub fn predecessor(&self, rule_set: &RuleSet) -> Option<&PlanVersion> {
        let before = self.versions.iter().find(|version| {
            let other = &version.rule_set;
            other.plan == rule_set.plan && other.valid_from < rule_set.valid_from
        });
        before.filter(|version| {
            let mut ends = self.retired(&rule_set.plan);
            ends.all(|end| end <= version.rule_set.valid_from || end >= rule_set.valid_from)
        })
    }

    /// The times in which the next book prices sales by another version than this one, or one of
    /// them by none. Versions are the same if they say the same (law L4). Neighbouring times of a
    /// type are one.
    #[must_use]
    pub fn repriced(&self, next: &Self) -> Vec<Repriced> {
        let boundaries: BTreeSet<DateTime<Utc>> = [self, next]
            .into_iter()
            .flat_map(|book| {
                let begin = book.versions.iter().map(|version| version.rule_set.valid_from);
                begin.chain(book.retirements.iter().map(|retirement| retirement.from))
            })
            .collect();
        // Before the first boundary nothing is in force in either book; between two, nothing changes.
        let mut repriced: Vec<Repriced> = Vec::new();
        for source_type in SourceType::ALL.iter().copied() {
            let mut open: Option<DateTime<Utc>> = None;
            for at in &boundaries {
                let [now, then] = [self, next].map(|book| book.version_at(source_type, *at));
                let same =
                    now.map(|version| &version.rule_set) == then.map(|version| &version.rule_set);
                match (open, same) {
                    (Some(from), true) => {
                        repriced.push(Repriced { source_type, from, until: Some(*at) });
                        open = None;
                    }
                    (None, false) => open = Some(*at),
                    (Some(_), false) | (None, true) => {}
                }
            }
            repriced.extend(open.map(|from| Repriced { source_type, from, until: None }));
        }
        repriced
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

    /// Checks that a plan is in force just before a moment and could cease then.
    pub fn check_retirement(&self, plan: &str, at: DateTime<Utc>) -> Result<(), CannotRetire> {
        let of_plan = || {
            let rule_sets = self.versions.iter().map(|version| &version.rule_set);
            rule_sets.filter(|rule_set| rule_set.plan == plan)
        };
        let plan = plan.to_owned();
        if let Some(same) = of_plan().find(|rule_set| rule_set.valid_from == at) {
            return Err(CannotRetire::BeginsThen { plan, version: same.version.clone(), at });
        }
        let Some(first) = of_plan().map(|rule_set| rule_set.valid_from).min() else {
            return Err(CannotRetire::UnknownPlan { plan });
        };
        let begun = of_plan().map(|rule_set| rule_set.valid_from).filter(|begins| *begins < at);
        let Some(latest) = begun.max() else {
            return Err(CannotRetire::NotBegun { plan, at, begins: first });
        };
        match self.retired(&plan).filter(|since| latest < *since && *since <= at).min() {
            Some(since) => Err(CannotRetire::RetiredBefore { plan, at, since }),
            None => Ok(()),
        }
    }

    /// When a plan is retired.
    fn retired(&self, plan: &str) -> impl Iterator<Item = DateTime<Utc>> {
        let of_plan = self.retirements.iter().filter(move |retirement| retirement.plan == plan);
        of_plan.map(|retirement| retirement.from)
    }

    /// Each plan's version at a moment. A version that begins at the very moment of a retirement
    /// begins: the retirement ended what was before.
    fn in_force_at(&self, moment: DateTime<Utc>) -> impl Iterator<Item = &PlanVersion> {
        let begun = move |version: &&PlanVersion| version.rule_set.valid_from <= moment;
        self.versions.iter().enumerate().filter_map(move |(place, version)| {
            let mut later = self.versions[..place].iter().filter(begun);
            let is_latest = later.all(|other| other.rule_set.plan != version.rule_set.plan);
            let mut retired = self.retired(&version.rule_set.plan);
            (is_latest
                && begun(&version)
                && !retired.any(|from| version.rule_set.valid_from < from && from <= moment))
            .then_some(version)
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
#[path = "rule_book_tests.rs"]
mod tests;
