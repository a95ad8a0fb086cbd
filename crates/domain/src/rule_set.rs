//! A rule set: one version of a plan, compiled, immutable and known by the hash of its content.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::amount::{AMOUNT_SCALE, Rounding};
use crate::calculation::{Calculation, LEVELS_MAX};
use crate::caps::Caps;
use crate::condition::SaleView;
use crate::condition::{Condition, Scope, Written};
use crate::flaws::{Compiler, Flaws, PlanFlaw};
use crate::ladder::Ladder;
use crate::period::Programme;
use crate::plan::{PlanFile, RuleFile};
use crate::sale::SourceType;

/// Most rules that a version can have.
pub const RULES_MAX: usize = 500;

/// A version of a plan with every name resolved: days to instants, ranks to places. Its JSON is
/// what is stored; equal content is the same rule set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// The plan's name.
    pub plan: String,
    /// The version's label.
    pub version: String,
    /// The title for reports.
    pub name: String,
    /// What it pays, sorted; empty: everything that no other plan names.
    pub source_types: Vec<SourceType>,
    /// From when on it holds.
    pub valid_from: DateTime<Utc>,
    /// Levels that are paid at most.
    pub max_levels: u8,
    /// How amounts are rounded.
    pub rounding: Rounding,
    /// What a line, and a sale, pays at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caps: Option<Caps>,
    /// The rules in the order of the file.
    pub rules: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Unique in the rule set.
    pub id: String,
    /// Rules of one component compete, components add up.
    pub component: String,
    /// The title for reports.
    pub name: String,
    /// From when on it holds.
    pub valid_from: DateTime<Utc>,
    /// When it ceases to hold; `None`: with the version.
    pub valid_to: Option<DateTime<Utc>>,
    /// The highest of a component pays.
    pub priority: i32,
    /// Which sales it is for; `None`: all.
    pub condition: Option<Condition>,
    /// Who may take what it pays; `None`: everybody who is ACTIVE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eligibility: Option<Condition>,
    /// What it pays.
    pub calculation: Calculation,
}

/// What a settlement has to read besides the sale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// How many ancestors, at most.
    pub depth: u16,
    /// Whether anybody asks when members joined.
    pub joined_at: bool,
}

impl Reads {
    /// What two rule sets read between them.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { depth: self.depth.max(other.depth), joined_at: self.joined_at || other.joined_at }
    }
}

/// The SHA-256 of a rule set's content: its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RuleSetHash(pub [u8; 32]);

impl std::fmt::Display for RuleSetHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A stored rule set that this program cannot read.
#[derive(Debug, Error)]
#[error("a stored rule set cannot be read: {0}")]
pub struct UnreadableRuleSet(#[from] serde_json::Error);

impl RuleSet {
    /// Compiles a plan file, or names every flaw in it.
    pub fn compile(
        file: &PlanFile,
        ladder: &Ladder,
        programme: &Programme,
    ) -> Result<Self, Vec<PlanFlaw>> {
        let mut flaws = Flaws::default();
        flaws.check_text("plan", &file.plan);
        flaws.check_text("version", &file.version);
        flaws.require("max_levels", (1..=LEVELS_MAX).contains(&file.max_levels), || {
            format!("must be 1 to {LEVELS_MAX}")
        });
        flaws.require("rounding.scale", file.rounding.scale <= AMOUNT_SCALE, || {
            format!("must be 0 to {AMOUNT_SCALE}")
        });
        flaws.require("rules", (1..=RULES_MAX).contains(&file.rules.len()), || {
            format!("must list 1 to {RULES_MAX} rules")
        });
        if file.source_types.as_ref().is_some_and(Vec::is_empty) {
            flaws.add("source_types", "must name at least one type; leave it out to pay all");
        }
        let mut source_types = file.source_types.clone().unwrap_or_default();
        source_types.sort_unstable();
        source_types.dedup();

        let caps = file.caps.clone().filter(|caps| !caps.is_empty());
        if let Some(caps) = &caps {
            let at = "caps".to_owned();
            caps.check(&mut Compiler { ladder, flaws: &mut flaws, at });
        }
        let rules: Vec<Option<Rule>> = file
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| compile_rule(index, rule, file, ladder, programme, &mut flaws))
            .collect();
        let known: Vec<(usize, &Rule)> = rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| Some((index, rule.as_ref()?)))
            .collect();
        check_rules_together(&known, &mut flaws);

        // A rule that is missing has left a flaw.
        let rules: Option<Vec<Rule>> = rules.into_iter().collect();
        flaws.none_or(rules.map(|rules| Self {
            plan: file.plan.clone(),
            version: file.version.clone(),
            name: file.name.clone().unwrap_or_else(|| file.plan.clone()),
            source_types,
            valid_from: programme.start_of_day(file.valid_from),
            max_levels: file.max_levels,
            rounding: file.rounding,
            caps,
            rules,
        }))
    }

    /// The bytes that are stored and hashed.
    #[must_use]
    pub fn content(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| {
            unreachable!("a rule set is plain data with text keys, yet: {error}")
        })
    }

    /// Reads what [`RuleSet::content`] wrote.
    pub fn from_content(content: &str) -> Result<Self, UnreadableRuleSet> {
        Ok(serde_json::from_str(content)?)
    }

    /// The identity of some content.
    #[must_use]
    pub fn hash(content: &str) -> RuleSetHash {
        RuleSetHash(Sha256::digest(content.as_bytes()).into())
    }

    /// What settling by these rules reads.
    #[must_use]
    pub fn reads(&self) -> Reads {
        let of_rule = |rule: &Rule| {
            let calculation = rule.calculation.as_calculate();
            let conditions = [&rule.condition, &rule.eligibility];
            Reads {
                depth: calculation.depth(self.max_levels),
                joined_at: calculation.reads_joined_at()
                    || conditions.into_iter().flatten().any(Condition::reads_joined_at),
            }
        };
        self.rules.iter().map(of_rule).fold(Reads::default(), Reads::and)
    }

    /// Whether it pays this kind of sale by name.
    #[must_use]
    pub fn names(&self, source_type: SourceType) -> bool {
        self.source_types.contains(&source_type)
    }
}

impl Rule {
    /// Whether it holds at that moment.
    #[must_use]
    pub fn is_valid_at(&self, moment: DateTime<Utc>) -> bool {
        self.valid_from <= moment && self.valid_to.is_none_or(|end| moment < end)
    }

    /// Whether it is for this sale, or this line of it.
    #[must_use]
    pub fn matches(&self, view: &SaleView<'_>) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(view))
    }
}

fn compile_rule(
    index: usize,
    rule: &RuleFile,
    plan: &PlanFile,
    ladder: &Ladder,
    programme: &Programme,
    flaws: &mut Flaws,
) -> Option<Rule> {
    let at = |field: &str| format!("rules[{index}].{field}");
    flaws.check_text(&at("id"), &rule.id);
    flaws.check_text(&at("component"), &rule.component);
    let first_day = rule.valid_from.unwrap_or(plan.valid_from);
    flaws.require(&at("valid_from"), first_day >= plan.valid_from, || {
        format!("must not be before the version's first day, {}", plan.valid_from)
    });
    if let Some(end) = rule.valid_to {
        flaws.require(&at("valid_to"), end > first_day, || {
            format!("must be after the rule's first day, {first_day}")
        });
    }
    let mut resolve = |field: &str, written: &Option<Written>, scope| {
        let resolved = written.as_ref().map(|written| written.resolve(scope, ladder));
        resolved.transpose().unwrap_or_else(|error| {
            flaws.add(&at(field), &error.to_string());
            None
        })
    };
    let condition = resolve("condition", &rule.condition, Scope::Sale);
    let eligibility = resolve("eligibility", &rule.eligibility, Scope::Beneficiary);
    let mut compiler = Compiler { ladder, flaws, at: at("calculation") };
    Some(Rule {
        id: rule.id.clone(),
        component: rule.component.clone(),
        name: rule.name.clone().unwrap_or_else(|| rule.id.clone()),
        valid_from: programme.start_of_day(first_day),
        valid_to: rule.valid_to.map(|end| programme.start_of_day(end)),
        priority: rule.priority,
        condition,
        eligibility,
        calculation: Calculation::compile(rule.calculation.clone(), &mut compiler)?,
    })
}

/// Ids must tell rules apart, and priorities must decide between rules that hold at once.
fn check_rules_together(rules: &[(usize, &Rule)], flaws: &mut Flaws) {
    for (place, (index, rule)) in rules.iter().enumerate() {
        for (_, earlier) in &rules[..place] {
            let both_hold = earlier.valid_to.is_none_or(|end| rule.valid_from < end)
                && rule.valid_to.is_none_or(|end| earlier.valid_from < end);
            if earlier.id == rule.id {
                flaws.add(&format!("rules[{index}].id"), &format!("{:?} is used twice", rule.id));
            } else if earlier.component == rule.component
                && earlier.priority == rule.priority
                && both_hold
            {
                flaws.add(
                    &format!("rules[{index}].priority"),
                    &format!(
                        "rules {:?} and {:?} of component {:?} hold at the same time with the \
                         same priority {}; give one a higher priority",
                        earlier.id, rule.id, rule.component, rule.priority
                    ),
                );
            }
        }
    }
}

#[cfg(test)]
#[path = "rule_set_tests.rs"]
mod tests;
