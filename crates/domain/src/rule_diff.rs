//! What a version changes: its difference to the version that it succeeds, for people to approve.
//!
//! Compares the JSON of both, field by field, and knows no calculation: a new type of calculation
//! or a new field shows here without another line of code. What it does know:
//!
//! - Rules are the same rule if they have the same id, wherever they stand.
//! - Elements of a list are told apart by the first of `KEYS` that tells them apart in both
//!   lists, so that "level 2" is compared with "level 2"; else by their place, counted from 0.
//! - Conditions and eligibilities are compared as a whole.
//! - Rules are compared as they stand when the new version begins. That a rule began before says
//!   nothing then, and one that had ended before is not there to be closed.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::rule_set::{Rule, RuleSet};

/// Fields that tell the elements of a list apart.
const KEYS: [&str; 4] = ["id", "level", "rank", "from"];
/// Fields that are read as one sentence: a part of a condition means nothing without the rest.
const SENTENCES: [&str; 2] = ["condition", "eligibility"];
/// Fields of a rule set that every version has for itself, or that are compared rule by rule.
const OWN_FIELDS: [&str; 4] = ["plan", "version", "valid_from", "rules"];

/// The difference between two versions of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleDiff {
    /// What changes for the plan as a whole.
    pub plan: Vec<Change>,
    /// Rules that begin with the new version or in it.
    pub added: Vec<RuleName>,
    /// Rules that go on in another form.
    pub changed: Vec<ChangedRule>,
    /// Rules that end with the old version.
    pub closed: Vec<RuleName>,
    /// How many rules go on as they are.
    pub unchanged: usize,
}

/// A rule by its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleName {
    /// The id.
    pub id: String,
    /// The title.
    pub name: String,
}

/// A rule, and what changes in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangedRule {
    /// The id.
    pub id: String,
    /// The title in the new version.
    pub name: String,
    /// What changes, by path.
    pub changes: Vec<Change>,
}

/// A value that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where, such as `calculation.levels[level 2].percentage`.
    pub path: String,
    /// What was there; null: nothing.
    pub old: Value,
    /// What will be there; null: nothing.
    pub new: Value,
}

impl RuleDiff {
    /// The difference that a version makes. Without an old one every rule is added.
    #[must_use]
    pub fn between(old: Option<&RuleSet>, new: &RuleSet) -> Self {
        let mut diff = Self::default();
        if let Some(old) = old {
            let [old, new] = [json(old), json(new)].map(|mut value| {
                for field in OWN_FIELDS {
                    value.remove(field);
                }
                value
            });
            compare_fields("", &old, &new, &mut diff.plan);
        }
        let begins = new.valid_from;
        let still_there = |rule: &&Rule| rule.valid_to.is_none_or(|end| begins < end);
        let old: Vec<&Rule> =
            old.map(|old| old.rules.iter().filter(still_there).collect()).unwrap_or_default();
        for rule in &new.rules {
            let RuleName { id, name } = RuleName::of(rule);
            let Some(known) = old.iter().find(|known| known.id == id) else {
                diff.added.push(RuleName { id, name });
                continue;
            };
            let mut changes = Vec::new();
            let [known, rule] = [known, rule].map(|rule| as_of(rule, begins));
            compare_fields("", &known, &rule, &mut changes);
            if changes.is_empty() {
                diff.unchanged += 1;
            } else {
                diff.changed.push(ChangedRule { id, name, changes });
            }
        }
        let closed = old.iter().filter(|known| new.rules.iter().all(|rule| rule.id != known.id));
        diff.closed = closed.map(|rule| RuleName::of(rule)).collect();
        diff
    }

    /// Whether the new version says the same as the old.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.plan.is_empty()
            && self.added.is_empty()
            && self.changed.is_empty()
            && self.closed.is_empty()
    }
}

impl RuleName {
    fn of(rule: &Rule) -> Self {
        Self { id: rule.id.clone(), name: rule.name.clone() }
    }
}

/// A rule as it stands at a moment: when it began before, nobody asks.
fn as_of(rule: &Rule, moment: DateTime<Utc>) -> Map<String, Value> {
    json(&Rule { valid_from: rule.valid_from.max(moment), ..rule.clone() })
}

fn json(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        other => unreachable!("rules and rule sets are stored as JSON objects, yet: {other:?}"),
    }
}

fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    let is_sentence = path.rsplit('.').next().is_some_and(|field| SENTENCES.contains(&field));
    match (old, new) {
        _ if is_sentence && old != new => {
            changes.push(Change { path: path.to_owned(), old: old.clone(), new: new.clone() });
        }
        (Value::Object(old), Value::Object(new)) => compare_fields(path, old, new, changes),
        (Value::Array(old), Value::Array(new)) if is_list_of_parts(old, new) => {
            compare_parts(path, old, new, changes);
        }
        _ if old == new => {}
        _ => changes.push(Change { path: path.to_owned(), old: old.clone(), new: new.clone() }),
    }
}

fn compare_fields(
    path: &str,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    changes: &mut Vec<Change>,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let of = |fields: &Map<String, Value>| fields.get(name).cloned().unwrap_or(Value::Null);
        compare(&path, &of(old), &of(new), changes);
    }
}

/// A list of plain values, such as currencies, is compared as a whole.
fn is_list_of_parts(old: &[Value], new: &[Value]) -> bool {
    let mut all = old.iter().chain(new);
    all.all(|part| part.is_object() || part.is_array())
}

fn compare_parts(path: &str, old: &[Value], new: &[Value], changes: &mut Vec<Change>) {
    let [old, new] = match key_of(old, new) {
        Some(key) => [old, new].map(|parts| named(parts, |_, part| label(key, part))),
        None => [old, new].map(|parts| named(parts, |place, _| Some(place.to_string()))),
    };
    let find = |parts: &[(String, &Value)], name: &str| {
        let part = parts.iter().find(|(known, _)| known == name);
        part.map_or(Value::Null, |(_, part)| (*part).clone())
    };
    let mut names: Vec<&String> = old.iter().map(|(name, _)| name).collect();
    names.extend(new.iter().map(|(name, _)| name).filter(|name| find(&old, name).is_null()));
    for name in names {
        compare(&format!("{path}[{name}]"), &find(&old, name), &find(&new, name), changes);
    }
}

fn named(parts: &[Value], name: impl Fn(usize, &Value) -> Option<String>) -> Vec<(String, &Value)> {
    let each = parts.iter().enumerate();
    each.filter_map(|(place, part)| Some((name(place, part)?, part))).collect()
}

/// The field by which the elements of both lists can be told apart.
fn key_of(old: &[Value], new: &[Value]) -> Option<&'static str> {
    KEYS.into_iter().find(|key| {
        [old, new].into_iter().all(|parts| {
            let labels: BTreeSet<_> = parts.iter().filter_map(|part| label(key, part)).collect();
            labels.len() == parts.len()
        })
    })
}

/// An element by its key: `level 2`. A key that is an object, such as a rank, goes by its name.
fn label(key: &str, part: &Value) -> Option<String> {
    let value = part.get(key)?;
    match value.get("name").unwrap_or(value) {
        Value::String(text) => Some(format!("{key} {text}")),
        Value::Number(number) => Some(format!("{key} {number}")),
        _ => None,
    }
}

#[cfg(test)]
#[path = "rule_diff_tests.rs"]
mod tests;
