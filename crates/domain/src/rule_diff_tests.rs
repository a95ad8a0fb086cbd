use serde_json::json;

use super::*;
use crate::ladder::Ladder;
use crate::period::Programme;
use crate::plan::PlanFile;

fn compile(yaml: &str) -> RuleSet {
    let ladder = Ladder::from_yaml("ranks: [MEMBER, SILVER, GOLD]").unwrap();
    let file = PlanFile::from_yaml(yaml).unwrap();
    RuleSet::compile(&file, &ladder, &Programme::default()).unwrap()
}

fn rule(id: &str, more: &str) -> String {
    format!(
        "  - id: {id}\n    component: {id}\n    calculation:\n      type: unilevel\n      levels:\n        \
         - {{level: 1, percentage: '3.00'}}\n        - {{level: 2, percentage: '1.50'}}\n{more}"
    )
}

fn plan(valid_from: &str, rules: &[String]) -> String {
    let rules = rules.concat();
    format!("plan: p\nversion: '{valid_from}'\nvalid_from: {valid_from}\nrules:\n{rules}")
}

fn between(old: &str, new: &str) -> RuleDiff {
    RuleDiff::between(Some(&compile(old)), &compile(new))
}

fn paths(changes: &[Change]) -> Vec<String> {
    changes.iter().map(|c| format!("{}: {} -> {}", c.path, c.old, c.new)).collect()
}

fn ids(names: &[RuleName]) -> Vec<&str> {
    names.iter().map(|name| name.id.as_str()).collect()
}

#[test]
fn without_a_predecessor_every_rule_is_added() {
    let diff =
        RuleDiff::between(None, &compile(&plan("2023-05-01", &[rule("a", ""), rule("b", "")])));
    assert_eq!(ids(&diff.added), ["a", "b"]);
    assert!(diff.plan.is_empty() && diff.closed.is_empty() && diff.unchanged == 0);
}

#[test]
fn rules_are_added_changed_closed_or_as_they_were_wherever_they_stand() {
    let old = plan("2023-05-01", &[rule("same", ""), rule("base", ""), rule("gone", "")]);
    let base = rule("base", "        - {level: 3, percentage: '1', min_rank: GOLD}\n")
        .replace("'1.50'", "'2.00'");
    let diff = between(&old, &plan("2023-09-01", &[rule("new", ""), base, rule("same", "")]));
    assert_eq!(ids(&diff.added), ["new"]);
    assert_eq!(ids(&diff.closed), ["gone"]);
    assert_eq!(diff.unchanged, 1, "another beginning of the version is no change of its rules");
    assert_eq!(diff.changed.len(), 1);
    let changes = &diff.changed[0].changes;
    assert_eq!(changes[0].path, "calculation.levels[level 2].percentage");
    assert_eq!([&changes[0].old, &changes[0].new], [&json!("1.50"), &json!("2.00")]);
    assert_eq!(changes[1].path, "calculation.levels[level 3]");
    assert_eq!(changes[1].old, Value::Null);
    assert_eq!(changes.len(), 2);
}

#[test]
fn what_holds_for_the_whole_plan_is_compared_too() {
    let old = plan("2023-05-01", &[rule("a", "")]);
    let new = plan("2023-09-01", &[rule("a", "")]);
    let new =
        format!("name: New\nmax_levels: 5\nsource_types: [PRODUCT]\nrounding: {{scale: 2}}\n{new}");
    let diff = between(&old, &new);
    let expected = [
        "max_levels: 10 -> 5",
        "name: \"p\" -> \"New\"",
        "rounding.scale: 4 -> 2",
        "source_types: [] -> [\"PRODUCT\"]",
    ];
    let found = paths(&diff.plan);
    assert_eq!(found, expected);
    assert_eq!(diff.unchanged, 1);
    assert!(between(&old, &plan("2023-09-01", &[rule("a", "")])).is_empty());
}

#[test]
fn conditions_are_compared_as_a_whole() {
    let with = |condition: &str| {
        plan("2023-05-01", &[rule("a", &format!("    condition: {condition}\n"))])
    };
    let euro = "{field: sale.currency, op: in, value: [EUR]}";
    let both = "{field: sale.currency, op: in, value: [CZK, EUR]}";
    let as_stored = |currencies: &str| {
        format!("{{\"field\":\"sale.currency\",\"op\":\"in\",\"value\":[{currencies}]}}")
    };
    let big = "{field: sale.amount, op: '>=', value: '300'}";
    let stored_big = "{\"field\":\"sale.amount\",\"op\":\">=\",\"value\":\"300.0000\"}";
    let changes = |old: &str, new: &str| paths(&between(old, new).changed[0].changes);
    assert_eq!(
        changes(
            &with(&format!("{{all: [{euro}, {big}]}}")),
            &with(&format!("{{all: [{both}, {big}]}}"))
        ),
        [format!(
            "condition: {{\"all\":[{},{stored_big}]}} -> {{\"all\":[{},{stored_big}]}}",
            as_stored("\"EUR\""),
            as_stored("\"CZK\",\"EUR\"")
        )]
    );
    let none = plan("2023-05-01", &[rule("a", "")]);
    let dropped = changes(&with(euro), &none);
    assert_eq!(dropped.len(), 1);
    assert!(
        dropped[0].starts_with("condition: {") && dropped[0].ends_with("-> null"),
        "{dropped:?}"
    );
}

/// Rules stand in the difference as they are when the new version begins.
#[test]
fn the_time_before_the_new_version_does_not_count() {
    let old = plan(
        "2023-05-01",
        &[
            rule("begun", "    valid_from: 2023-06-01\n"),
            rule("ended", "    valid_to: 2023-09-01\n"),
            rule("back", "    valid_to: 2023-07-01\n"),
            rule("cut", "    valid_to: 2023-12-01\n"),
            rule("later", "    valid_from: 2023-10-01\n"),
            rule("ends", ""),
        ],
    );
    let new = plan(
        "2023-09-01",
        &[
            rule("begun", ""),
            rule("back", ""),
            rule("later", "    valid_from: 2023-11-01\n"),
            rule("ends", "    valid_to: 2024-01-01\n"),
        ],
    );
    let diff = between(&old, &new);
    assert_eq!(diff.unchanged, 1, "begun: {diff:?}");
    assert_eq!(ids(&diff.added), ["back"]);
    assert_eq!(ids(&diff.closed), ["cut"], "ended rules are not there to be closed");
    let changed: Vec<_> = diff.changed.iter().flat_map(|rule| paths(&rule.changes)).collect();
    assert_eq!(
        changed,
        [
            "valid_from: \"2023-10-01T00:00:00Z\" -> \"2023-11-01T00:00:00Z\"",
            "valid_to: null -> \"2024-01-01T00:00:00Z\"",
        ]
    );
}

/// Whatever the rules of the future hold is compared by what it says.
#[test]
fn parts_are_told_apart_by_their_key_or_else_by_their_place() {
    let changes = |old: Value, new: Value| {
        let mut changes = Vec::new();
        compare("x", &old, &new, &mut changes);
        paths(&changes)
    };
    assert_eq!(
        changes(
            json!([{"from": "0", "p": "5"}, {"from": "100", "p": "7"}]),
            json!([{"from": "0", "p": "5"}, {"from": "200", "p": "7"}])
        ),
        [
            "x[from 100]: {\"from\":\"100\",\"p\":\"7\"} -> null",
            "x[from 200]: null -> {\"from\":\"200\",\"p\":\"7\"}"
        ]
    );
    assert_eq!(
        changes(
            json!([{"rank": {"name": "GOLD", "place": 2}, "amount": {"EUR": "1"}}]),
            json!([{"rank": {"name": "GOLD", "place": 2}, "amount": {"EUR": "1", "CZK": "25"}}])
        ),
        ["x[rank GOLD].amount.CZK: null -> \"25\""]
    );
    assert_eq!(
        changes(json!([{"a": 1}, {"a": 2}]), json!([{"a": 1}, {"a": 3}])),
        ["x[1].a: 2 -> 3"]
    );
    // A key that repeats tells nothing apart.
    let twice = json!([{"level": 1, "p": "5"}, {"level": 1, "p": "6"}]);
    assert_eq!(
        changes(twice, json!([{"level": 1, "p": "5"}, {"level": 1, "p": "7"}])),
        ["x[1].p: \"6\" -> \"7\""]
    );
}
