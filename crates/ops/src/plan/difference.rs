//! What a version changes, a line each.

use chrono::{DateTime, Utc};
use domain::condition::Condition;
use domain::period::Programme;
use domain::rule_book::RuleBook;
use domain::rule_diff::{Change, RuleDiff, RuleName};
use domain::rule_set::RuleSet;
use serde_json::{Value, json};

use domain::calendar;

/// A version's difference to the one of its plan that is in force just before it begins.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    /// Label and number of the predecessor.
    to: Option<(String, i32)>,
    diff: RuleDiff,
}

impl Difference {
    /// The difference that a version makes to a book, whether or not it is in there already.
    pub(super) fn of(rule_set: &RuleSet, book: &RuleBook) -> Self {
        let predecessor = book.predecessor(rule_set);
        Self {
            to: predecessor.map(|version| (version.rule_set.version.clone(), version.number)),
            diff: RuleDiff::between(predecessor.map(|version| &version.rule_set), rule_set),
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let to = self.to.as_ref();
        json!({
            "to": to.map(|(version, number)| json!({ "version": version, "number": number })),
            "plan": self.diff.plan,
            "added": self.diff.added,
            "changed": self.diff.changed,
            "closed": self.diff.closed,
            "unchanged": self.diff.unchanged,
        })
    }

    /// For people.
    pub(super) fn text(&self, programme: &Programme) -> String {
        let diff = &self.diff;
        let mut lines = vec![match &self.to {
            Some((version, number)) => {
                format!("Difference to version {version}, number {number}, in force until then:")
            }
            None => "No version of this plan is in force until then; every rule is new:".to_owned(),
        }];
        let change = |what: &str, change: &Change| {
            let Change { path, old, new } = change;
            let [old, new] = [old, new].map(|value| shown(path, value, programme));
            format!("~ {what}  {path}: {old} → {new}")
        };
        lines.extend(diff.plan.iter().map(|part| change("plan", part)));
        lines.extend(diff.added.iter().map(|rule| format!("+ rule {}", titled(rule))));
        for rule in &diff.changed {
            let what = format!("rule {}", rule.id);
            lines.extend(rule.changes.iter().map(|part| change(&what, part)));
        }
        lines.extend(diff.closed.iter().map(|rule| format!("- rule {}", titled(rule))));
        let (added, changed) = (diff.added.len(), diff.changed.len());
        lines.push(format!(
            "{added} rule(s) added, {changed} changed, {} closed, {} unchanged",
            diff.closed.len(),
            diff.unchanged
        ));
        lines.push(String::new());
        lines.join("\n")
    }
}

fn titled(rule: &RuleName) -> String {
    if rule.id == rule.name { rule.id.clone() } else { format!("{}: {}", rule.id, rule.name) }
}

/// A value for people: texts without quotes, conditions as phrases, and days where a rule begins and
/// ends.
fn shown(path: &str, value: &Value, programme: &Programme) -> String {
    if matches!(path, "condition" | "eligibility")
        && let Ok(condition) = serde_json::from_value::<Condition>(value.clone())
    {
        return condition.phrase();
    }
    let text = match value {
        Value::Null => return "nothing".to_owned(),
        Value::String(text) => text,
        other => return other.to_string(),
    };
    let instant = text.parse::<DateTime<Utc>>().ok();
    match instant.filter(|_| matches!(path, "valid_from" | "valid_to")) {
        Some(instant) => calendar::beginning(programme, instant),
        None => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use domain::ladder::Ladder;
    use domain::plan::PlanFile;
    use domain::rule_book::PlanVersion;

    use super::*;

    fn rule_set(yaml: &str, programme: &Programme) -> RuleSet {
        let ladder = Ladder::from_yaml("ranks: [MEMBER]").unwrap();
        RuleSet::compile(&PlanFile::from_yaml(yaml).unwrap(), &ladder, programme).unwrap()
    }

    const OLD: &str = "
plan: retail
version: '2023-01'
valid_from: 2023-01-01
rules:
  - {id: base, component: base, calculation: {type: unilevel, levels: [
      {level: 1, percentage: '3.00'}, {level: 2, percentage: '1.50'}]}}
  - {id: extra, component: extra, calculation: {type: unilevel, levels: [
      {level: 1, percentage: '1.00'}]}}
  - {id: gone, name: Winter, component: gone, calculation: {type: unilevel, levels: [
      {level: 1, percentage: '1.00'}]}}
";

    #[test]
    fn a_difference_reads_line_by_line() {
        let time_zone = Programme::parse_time_zone("Europe/Prague").unwrap();
        let programme = Programme { time_zone, ..Programme::default() };
        let old = rule_set(OLD, &programme);
        let new = OLD
            .replace("2023-01", "2023-04")
            .replace("plan: retail", "plan: retail\nmax_levels: 5")
            .replace("'1.50'", "'2.00'")
            .replace("component: base,", "component: base, valid_to: 2023-11-01,")
            .replace("gone", "spring")
            .replace("Winter", "Spring");
        let new = rule_set(&new, &programme);
        let all = Difference::of(&new, &RuleBook::default());
        assert_eq!(
            all.text(&programme),
            "No version of this plan is in force until then; every rule is new:\n\
             + rule base\n+ rule extra\n+ rule spring: Spring\n\
             3 rule(s) added, 0 changed, 0 closed, 0 unchanged\n"
        );
        assert_eq!(all.json()["to"], Value::Null);
        let version = PlanVersion { number: 7, rule_numbers: vec![], rule_set: old };
        let difference = Difference::of(&new, &RuleBook::new(vec![version]));
        assert_eq!(
            difference.text(&programme),
            "Difference to version 2023-01, number 7, in force until then:\n\
             ~ plan  max_levels: 10 → 5\n\
             + rule spring: Spring\n\
             ~ rule base  calculation.levels[level 2].percentage: 1.50 → 2.00\n\
             ~ rule base  valid_to: nothing → 2023-11-01\n\
             - rule gone: Winter\n\
             1 rule(s) added, 1 changed, 1 closed, 1 unchanged\n"
        );
        let value = difference.json();
        assert_eq!(value["to"], json!({ "version": "2023-01", "number": 7 }));
        assert_eq!(
            value["changed"][0]["changes"][0],
            json!({ "path": "calculation.levels[level 2].percentage", "old": "1.50", "new": "2.00" })
        );
    }

    /// One line a condition, in words, whatever of it changes.
    #[test]
    fn conditions_are_phrases() {
        let programme = Programme::default();
        let with = |version: &str, more: &str| {
            let yaml = OLD.replace("2023-01", version);
            rule_set(
                &yaml.replace("component: base,", &format!("component: base, {more}")),
                &programme,
            )
        };
        let old = with(
            "2023-01",
            "condition: {all: [{field: sale.amount, op: '>=', value: '300'}, \
             {field: sale.currency, op: in, value: [EUR]}]},",
        );
        let new = with(
            "2023-04",
            "condition: {field: sale.amount, op: '<', value: '80'}, \
             eligibility: {field: beneficiary.rank, op: '>=', value: MEMBER},",
        );
        let version = PlanVersion { number: 1, rule_numbers: vec![], rule_set: old };
        let text = Difference::of(&new, &RuleBook::new(vec![version])).text(&programme);
        let expected = "~ rule base  condition: sale.amount >= 300.0000 and sale.currency in EUR → \
                        sale.amount < 80.0000\n\
                        ~ rule base  eligibility: nothing → beneficiary.rank >= MEMBER\n0 rule(s)";
        assert!(text.contains(expected), "{text}");
    }
}
