//! A rule set: one version of a plan, compiled, immutable and known by the hash of its content.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

use crate::amount::{AMOUNT_SCALE, Percentage, Rounding};
use crate::condition::Condition;
use crate::ladder::{Ladder, Rank};
use crate::period::Programme;
use crate::plan::{Basis, CalculationType, Compression, LevelFile, PlanFile, RuleFile};
use crate::sale::{Sale, SourceType};
use crate::text;

/// Most levels that a plan can pay. Bounds every upline lookup.
pub const LEVELS_MAX: u8 = 64;
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
    /// What it pays.
    pub calculation: Unilevel,
}

/// A percentage of the basis for each level of the upline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unilevel {
    /// The kind of calculation.
    #[serde(rename = "type")]
    pub kind: CalculationType,
    /// What percentages are taken of.
    pub basis: Basis,
    /// Whether members who do not earn use up a level.
    pub compression: Compression,
    /// The levels, lowest first.
    pub levels: Vec<Level>,
}

/// What one level gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// 1 is the seller's sponsor.
    pub level: u8,
    /// Share of the basis, in money.
    pub percentage: Percentage,
    /// Share of the basis, in career points.
    pub career_points_percentage: Percentage,
    /// The lowest rank that may take it.
    pub min_rank: Option<MinRank>,
}

/// A rank by name, for people, and by place, for comparing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinRank {
    /// The name when the version was compiled.
    pub name: String,
    /// The place on the ladder, which never changes its meaning.
    pub place: u8,
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

/// What is wrong with a plan file that can be read but makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{path}: {message}")]
pub struct PlanFlaw {
    /// The place inside the file.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
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

        let rules: Vec<Rule> = file
            .rules
            .iter()
            .enumerate()
            .map(|(index, rule)| compile_rule(index, rule, file, ladder, programme, &mut flaws))
            .collect();
        check_rules_together(&rules, &mut flaws);

        let rule_set = Self {
            plan: file.plan.clone(),
            version: file.version.clone(),
            name: file.name.clone().unwrap_or_else(|| file.plan.clone()),
            source_types,
            valid_from: programme.start_of_day(file.valid_from),
            max_levels: file.max_levels,
            rounding: file.rounding,
            rules,
        };
        flaws.none_or(rule_set)
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

    /// How many ancestors a sale can visit under these rules.
    #[must_use]
    pub fn walk_depth(&self) -> u8 {
        let listed = self.rules.iter().flat_map(|rule| &rule.calculation.levels);
        listed.map(|level| level.level).max().unwrap_or(0).min(self.max_levels)
    }

    /// What settling by these rules reads.
    #[must_use]
    pub fn reads(&self) -> Reads {
        Reads { depth: u16::from(self.walk_depth()), joined_at: false }
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

    /// Whether it is for this sale.
    #[must_use]
    pub fn matches(&self, sale: &Sale) -> bool {
        self.condition.as_ref().is_none_or(|condition| condition.holds(sale))
    }
}

impl Level {
    /// Whether a member of this rank may take the level.
    #[must_use]
    pub fn admits(&self, rank: Rank) -> bool {
        self.min_rank.as_ref().is_none_or(|lowest| rank.0 >= lowest.place)
    }
}

fn compile_rule(
    index: usize,
    rule: &RuleFile,
    plan: &PlanFile,
    ladder: &Ladder,
    programme: &Programme,
    flaws: &mut Flaws,
) -> Rule {
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
    let levels = &rule.calculation.levels;
    flaws.require(&at("calculation.levels"), !levels.is_empty(), || {
        "must list at least one level".to_owned()
    });
    let mut compiled: Vec<Level> = Vec::with_capacity(levels.len());
    for (place, level) in levels.iter().enumerate() {
        let at = |field: &str| at(&format!("calculation.levels[{place}].{field}"));
        flaws.require(&at("level"), (1..=LEVELS_MAX).contains(&level.level), || {
            format!("must be 1 to {LEVELS_MAX}; 1 is the seller's sponsor")
        });
        flaws.require(
            &at("level"),
            compiled.iter().all(|other| other.level != level.level),
            || format!("level {} is listed twice", level.level),
        );
        compiled.push(compile_level(level, ladder, &at("min_rank"), flaws));
    }
    compiled.sort_by_key(|level| level.level);
    Rule {
        id: rule.id.clone(),
        component: rule.component.clone(),
        name: rule.name.clone().unwrap_or_else(|| rule.id.clone()),
        valid_from: programme.start_of_day(first_day),
        valid_to: rule.valid_to.map(|end| programme.start_of_day(end)),
        priority: rule.priority,
        condition: rule.condition.clone(),
        calculation: Unilevel {
            kind: rule.calculation.kind,
            basis: rule.calculation.basis,
            compression: rule.calculation.compression,
            levels: compiled,
        },
    }
}

fn compile_level(level: &LevelFile, ladder: &Ladder, at: &str, flaws: &mut Flaws) -> Level {
    let min_rank = level.min_rank.as_ref().and_then(|name| match ladder.rank(name) {
        Ok(rank) => Some(MinRank { name: name.clone(), place: rank.0 }),
        Err(error) => {
            flaws.add(at, &error.to_string());
            None
        }
    });
    Level {
        level: level.level,
        percentage: level.percentage,
        career_points_percentage: level.career_points_percentage,
        min_rank,
    }
}

/// Ids must tell rules apart, and priorities must decide between rules that hold at once.
fn check_rules_together(rules: &[Rule], flaws: &mut Flaws) {
    for (index, rule) in rules.iter().enumerate() {
        for earlier in &rules[..index] {
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

/// Collects every flaw, so that one reading of the messages mends the file.
#[derive(Default)]
struct Flaws(Vec<PlanFlaw>);

impl Flaws {
    fn add(&mut self, path: &str, message: &str) {
        self.0.push(PlanFlaw { path: path.to_owned(), message: message.to_owned() });
    }

    fn require(&mut self, path: &str, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.add(path, &message());
        }
    }

    fn check_text(&mut self, path: &str, value: &str) {
        if let Err(error) = text::check(value) {
            self.add(path, &error.to_string());
        }
    }

    fn none_or<T>(self, value: T) -> Result<T, Vec<PlanFlaw>> {
        if self.0.is_empty() { Ok(value) } else { Err(self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"
plan: retail
version: "2023-05"
source_types: [PRODUCT]
valid_from: 2023-05-01
max_levels: 3
rules:
  - id: base
    component: base
    condition: {field: sale.currency, op: in, value: [CZK, EUR]}
    calculation:
      type: unilevel
      levels:
        - {level: 2, percentage: "1.50", min_rank: SILVER}
        - {level: 1, percentage: "3.00", career_points_percentage: "10.00"}
        - {level: 5, percentage: "1.00"}
"#;

    fn compile(yaml: &str) -> Result<RuleSet, Vec<PlanFlaw>> {
        let ladder = Ladder::from_yaml("ranks: [MEMBER, SILVER]").unwrap();
        let prague = Programme::parse_time_zone("Europe/Prague").unwrap();
        let programme = Programme { time_zone: prague, ..Programme::default() };
        RuleSet::compile(&PlanFile::from_yaml(yaml).unwrap(), &ladder, &programme)
    }

    #[test]
    fn compiling_resolves_days_and_ranks() {
        let rule_set = compile(PLAN).unwrap();
        assert_eq!(rule_set.valid_from.to_rfc3339(), "2023-04-30T22:00:00+00:00");
        let levels = &rule_set.rules[0].calculation.levels;
        assert_eq!(levels.iter().map(|level| level.level).collect::<Vec<_>>(), [1, 2, 5]);
        assert_eq!(levels[1].min_rank, Some(MinRank { name: "SILVER".into(), place: 1 }));
        assert_eq!(rule_set.walk_depth(), 3, "never further than max_levels");
    }

    #[test]
    fn l4_equal_content_is_the_same_rule_set() {
        let rule_set = compile(PLAN).unwrap();
        let content = rule_set.content();
        assert_eq!(RuleSet::from_content(&content).unwrap(), rule_set);
        assert_eq!(RuleSet::from_content(&content).unwrap().content(), content);
        let same = compile(&PLAN.replace("\"3.00\"", "\"3.0\"")).unwrap();
        assert_eq!(RuleSet::hash(&same.content()), RuleSet::hash(&content));
        let other = compile(&PLAN.replace("\"3.00\"", "\"3.01\"")).unwrap();
        assert_ne!(RuleSet::hash(&other.content()), RuleSet::hash(&content));
    }

    #[test]
    fn every_flaw_is_named_with_its_place() {
        let bad = PLAN
            .replace("max_levels: 3", "max_levels: 0")
            .replace("SILVER", "PLATINUM")
            .replace("level: 5", "level: 1")
            .replace("    component: base\n", "    component: base\n    valid_to: 2023-05-01\n");
        let flaws = compile(&bad).unwrap_err();
        let paths: Vec<_> = flaws.iter().map(|flaw| flaw.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "max_levels",
                "rules[0].valid_to",
                "rules[0].calculation.levels[0].min_rank",
                "rules[0].calculation.levels[2].level",
            ]
        );
    }

    #[test]
    fn rules_that_hold_together_differ_in_priority() {
        let second = "
  - id: promo
    component: base
    valid_from: 2023-06-01
    calculation: {type: unilevel, levels: [{level: 1, percentage: \"5\"}]}
";
        let flaws = compile(&format!("{PLAN}{second}")).unwrap_err();
        assert_eq!(flaws.len(), 1);
        assert!(flaws[0].message.contains("\"base\" and \"promo\""), "{}", flaws[0]);
        assert!(
            compile(&format!("{PLAN}{}", second.replace("component: base", "component: promo")))
                .is_ok()
        );
        let ended = PLAN.replace("    condition", "    valid_to: 2023-06-01\n    condition");
        assert!(compile(&format!("{ended}{second}")).is_ok(), "half-open: they do not overlap");
    }
}
