//! What scenarios refuse, and what each kind of wrong expectation says.

use super::*;
use crate::yaml::FileError;

const SCENARIO: &str = r#"
scenario: test
ranks: [MEMBER, GOLD]
plan:
  plan: retail
  version: "1"
  valid_from: 2023-01-01
  rules:
    - id: base
      component: base
      calculation:
        type: unilevel
        levels:
          - {level: 1, percentage: "3", career_points_percentage: "10"}
          - {level: 2, percentage: "2", min_rank: GOLD}
network:
  - {id: jana, downline: [{id: b, downline: [{id: c}]}]}
timeline:
  - {at: 2023-05-03T10:00:00Z, sale: s1, member: b, amount: "100", currency: CZK}
  - {at: 2023-05-04T10:00:00Z, sale: s2, member: c, amount: "100", currency: EUR}
"#;

fn no_files(name: &str) -> Result<PlanText, String> {
    Err(format!("there is no {name}"))
}

fn read(yaml: &str) -> Scenario {
    Scenario::read(yaml, &no_files).unwrap_or_else(|flaws| panic!("{flaws:?}"))
}

fn flaws(yaml: &str) -> Vec<FileError> {
    Scenario::read(yaml, &no_files).unwrap_err()
}

/// What, expected, computed.
type Said = (String, String, String);

fn differences(yaml: &str) -> Vec<Said> {
    let scenario = read(yaml);
    let differences = compare(&scenario, &scenario.run()).into_iter();
    differences.map(|one| (one.what, one.expected, one.computed)).collect()
}

fn expecting(expectations: &str) -> Vec<Said> {
    differences(&format!("{SCENARIO}expect:\n  {expectations}\n"))
}

fn with_steps(steps: &str) -> String {
    format!("{SCENARIO}{steps}")
}

fn said(what: &str, expected: &str, computed: &str) -> Said {
    (what.to_owned(), expected.to_owned(), computed.to_owned())
}

#[test]
fn what_is_not_named_is_not_compared() {
    assert_eq!(expecting("totals: {}"), []);
    assert_eq!(differences(SCENARIO), [said("expect", "something", "nothing")]);
    assert_eq!(expecting("ledger: [{event: s1, member: jana}]"), []);
}

#[test]
fn totals_and_points_are_compared_by_member_and_currency() {
    assert_eq!(expecting("totals: {jana: '3', b: {EUR: '3', CZK: '0'}, c: '0'}"), []);
    assert_eq!(
        expecting("totals: {jana: '3.5', b: {EUR: '4', CZK: '1'}, c: '1'}"),
        [
            said("totals.b.CZK", "1.0000", "0.0000"),
            said("totals.b.EUR", "4.0000", "3.0000"),
            said("totals.c", "1.0000", "0.0000"),
            said("totals.jana", "3.5000", "3.0000"),
        ]
    );
    assert_eq!(
        expecting("career_points: {jana: '9'}"),
        [said("career_points.jana", "9.0000", "10.0000")]
    );
    let more = with_steps(
        "  - {at: 2023-05-04T10:00:00Z, sale: s3, member: b, amount: '100', currency: EUR}\n\
         expect: {totals: {jana: '6'}}\n",
    );
    assert_eq!(
        differences(&more),
        [said("totals.jana", "6.0000 in one currency", "3.0000 CZK, 3.0000 EUR")]
    );
}

#[test]
fn a_line_is_compared_by_whatever_is_said_of_it() {
    let jana =
        "s1: jana gets 3.0000 CZK of level 1, 10.0000 career points (LEVEL_COMMISSION by base)";
    let right = "event: s1, member: jana, level: 1, amount: '3', currency: CZK, career_points: '10', \
                 type: LEVEL_COMMISSION, rule: base, depth: 1";
    assert_eq!(expecting(&format!("ledger: [{{{right}}}]")), []);
    for (from, to, expected) in [
        ("level: 1", "level: 2", "s1: jana gets 3.0000 CZK of level 2 at depth 1"),
        ("'3'", "'4'", "s1: jana gets 4.0000 CZK of level 1 at depth 1"),
        ("CZK", "EUR", "s1: jana gets 3.0000 EUR of level 1 at depth 1"),
        ("depth: 1", "depth: 2", "s1: jana gets 3.0000 CZK of level 1 at depth 2"),
    ] {
        let wrong = expecting(&format!("ledger: [{{{}}}]", right.replace(from, to)));
        let expected = format!("{expected} with 10.0000 career points (LEVEL_COMMISSION by base)");
        assert_eq!(wrong, [said("ledger[0]", &expected, jana)], "{to}");
    }
    for (from, to) in [("'10'", "'9'"), ("LEVEL_COMMISSION", "BONUS"), ("base", "other")] {
        let wrong = expecting(&format!("ledger: [{{{}}}]", right.replace(from, to)));
        assert_eq!((wrong.len(), wrong[0].2.as_str()), (1, jana), "{to}");
    }
    assert_eq!(
        expecting("ledger: [{event: s2, member: jana, amount: '2'}]"),
        [said("ledger[0]", "s2: jana gets 2.0000", "nothing")]
    );
    assert_eq!(
        expecting("ledger: [{event: s1, member: jana}, {event: s1, member: jana}]"),
        [said("ledger[1]", "s1: jana gets something", "nothing")],
        "a line counts once"
    );
}

#[test]
fn complete_expectations_list_everything_that_is_paid() {
    let jana = "{event: s1, member: jana, amount: '3'}";
    let b = "{event: s2, member: b, amount: '3'}";
    assert_eq!(expecting(&format!("ledger: [{b}, {jana}]\n  complete: true")), []);
    assert_eq!(expecting("totals: {jana: '3', b: '3'}\n  complete: true"), []);
    assert_eq!(
        expecting(&format!("ledger: [{b}]\n  complete: true")),
        [said(
            "ledger",
            "nothing",
            "s1: jana gets 3.0000 CZK of level 1, 10.0000 career points (LEVEL_COMMISSION by base)"
        )]
    );
    assert_eq!(
        expecting("totals: {jana: '3'}\n  complete: true"),
        [said("totals.b", "nothing", "3.0000 EUR")]
    );
    assert_eq!(
        expecting("totals: {jana: {EUR: '0'}, b: '3'}\n  complete: true"),
        [said("totals.jana.EUR", "0.0000", "0.0000"), said("totals.jana.CZK", "nothing", "3.0000"),]
            [1..]
    );
    assert_eq!(expecting("complete: true").len(), 2, "nothing is listed, something is paid");
    assert_eq!(
        expecting("totals: {jana: '3', b: '3'}\n  career_points: {b: '10'}\n  complete: true"),
        [said("career_points.jana", "nothing", "10.0000")]
    );
}

#[test]
fn breakage_is_compared_as_a_sum_or_by_reason() {
    assert_eq!(expecting("breakage: {s1: '2', s2: {under_rank: '2', no_upline: '0'}}"), []);
    assert_eq!(
        expecting("breakage: {s1: '1', s2: {inactive: '2'}}\n  ledger: []"),
        [said("breakage.s1", "1.0000", "2.0000"), said("breakage.s2.inactive", "2.0000", "0.0000"),]
    );
    let complete = expecting(
        "breakage: {s2: {no_tier: '0'}}\n  totals: {jana: '3', b: '3'}\n  complete: true",
    );
    assert_eq!(complete, [said("breakage.s2.under_rank", "nothing", "2.0000")]);
}

#[test]
fn reasons_are_looked_for_among_the_decisions() {
    let of_s2 = |rest: &str| expecting(&format!("reasons: [{{event: s2, {rest}}}]"));
    assert_eq!(of_s2("member: jana, reason: under_rank"), []);
    assert_eq!(of_s2("member: jana, level: 2, rule: base, because: under_rank"), []);
    assert_eq!(expecting("reasons: [{event: s1, level: 2, reason: no_upline}]"), []);
    assert_eq!(
        of_s2("member: jana, reason: inactive"),
        [said("reasons[0]", "s2: jana: inactive", "level 2: under_rank")]
    );
    assert_eq!(
        of_s2("member: b, level: 1, rule: base, reason: zero"),
        [said("reasons[0]", "s2: b on level 1 by base: zero", "level 1: paid")]
    );
    assert_eq!(
        of_s2("member: jana, level: 1, because: inactive"),
        [said("reasons[0]", "s2: jana on level 1: any reason, because inactive", "nothing")]
    );
}

#[test]
fn compression_is_expected_by_its_name_and_by_what_lies_behind() {
    let yaml = SCENARIO
        .replace("type: unilevel", "type: unilevel\n        compression: standard")
        .replace("{id: b, ", "{id: b, status: INACTIVE, ");
    let expecting = |rest: &str| {
        let expected = format!("expect: {{reasons: [{{event: s2, member: b, {rest}}}]}}\n");
        differences(&format!("{yaml}{expected}"))
    };
    assert_eq!(expecting("reason: compressed"), []);
    assert_eq!(expecting("because: inactive"), []);
    assert_eq!(
        expecting("reason: compressed, because: under_rank"),
        [said(
            "reasons[0]",
            "s2: b: compressed, because under_rank",
            "level 1: compressed, because inactive"
        )]
    );
}

#[test]
fn sales_that_wait_and_steps_that_are_refused_must_be_expected() {
    let steps = "  - {at: 2023-05-04T10:00:00Z, sale: s3, member: zoe, amount: '1', currency: EUR}\n  \
                 - {at: 2023-05-04T10:00:00Z, move: b, to: c}\n  \
                 - {at: 2023-05-05T10:00:00Z, rank: b, to: GOLD, refused: future}\n";
    let yaml = with_steps(steps);
    let found = differences(&yaml);
    let title = |place: usize, step: &str| {
        let line = yaml.lines().position(|line| line.contains(step)).unwrap() + 1;
        format!("timeline[{place}] (line {line}, {step})")
    };
    let whats: Vec<_> = found.iter().map(|(what, ..)| what.as_str()).collect();
    assert_eq!(whats, [title(3, "move: b"), title(4, "rank: b"), title(2, "sale: s3")]);
    assert_eq!(found[0].1, "done");
    assert!(found[0].2.starts_with("refused, own_descendant: "), "{}", found[0].2);
    assert_eq!((found[1].1.as_str(), found[1].2.as_str()), ("refused, future", "done"));
    assert_eq!(found[2].1, "settled");
    assert_eq!(found[2].2, "unknown_member: the credited member is not enrolled (zoe)");
    let wrong = expecting("unsettled: {s1: no_plan}");
    assert_eq!(wrong, [said("unsettled.s1", "no_plan", "settled")]);
}

#[test]
fn what_a_settled_sale_has_seen_cannot_be_changed_any_more() {
    for (step, cause) in [
        ("{at: 2023-05-04T10:00:00Z, move: c, to: jana}", Some("settled_sales")),
        ("{at: 2023-05-04T10:00:00.000001Z, move: c, to: jana}", None),
        ("{at: 2023-05-04T10:00:00Z, status: b, to: INACTIVE}", Some("settled_sales")),
        ("{at: 2023-05-05T10:00:00Z, retire: retail, from: 2023-05-05}", None),
        ("{at: 2023-05-05T10:00:00Z, retire: retail, from: 2023-05-04}", Some("settled_sales")),
        ("{at: 2023-05-05T10:00:00Z, retire: other, from: 2023-05-05}", Some("unknown_plan")),
        ("{at: 2023-05-05T10:00:00Z, enrol: b, sponsor: jana}", Some("id_taken")),
        ("{at: 2023-05-05T10:00:00Z, enrol: d, sponsor: e}", Some("unknown_sponsor")),
    ] {
        let run = read(&with_steps(&format!("  - {step}\n"))).run();
        let causes: Vec<&str> = run.refused.iter().map(|refused| refused.cause.as_str()).collect();
        assert_eq!(causes, cause.into_iter().collect::<Vec<_>>(), "{step}");
    }
}

#[test]
fn what_is_written_for_a_run_is_what_it_fulfils() {
    let steps =
        "  - {at: 2023-05-04T10:00:00Z, sale: 'n', member: zoe, amount: '1', currency: EUR}\n";
    let yaml = with_steps(steps);
    let written = expectations(&read(&yaml).run());
    assert_eq!(differences(&format!("{yaml}{written}")), []);
    let expected = r#"expect:
  totals:
    b: "3.0000"
    jana: "3.0000"
  career_points:
    b: "10.0000"
    jana: "10.0000"
  ledger:
    - {event: s1, member: jana, level: 1, amount: "3.0000", currency: CZK, career_points: "10.0000", rule: base}
    - {event: s2, member: b, level: 1, amount: "3.0000", currency: EUR, career_points: "10.0000", rule: base}
  breakage:
    s1: {no_upline: "2.0000"}
    s2: {under_rank: "2.0000"}
  reasons:
    - {event: s2, member: jana, rule: base, level: 2, reason: under_rank}
  unsettled:
    "n": unknown_member
  complete: true
"#;
    assert_eq!(written, expected);
}

#[test]
fn flaws_name_line_and_path() {
    for (from, to, line, path, message) in [
        ("ranks: [MEMBER", "rank: 1\nranks: [MEMBER", 3, "rank", "unknown field `rank`"),
        ("GOLD]", "MEMBER]", 3, "ranks", "listed twice"),
        (
            "{id: b, ",
            "{id: b, rank: STAR, ",
            17,
            "network[0].downline[0].rank",
            "not on the ladder",
        ),
        ("{id: c}", "{id: b}", 17, "network[0].downline[0].downline[0].id", "two members"),
        (
            "member: b, amount: \"100\"",
            "member: b, amount: 100",
            19,
            "timeline[0].amount",
            "quotes",
        ),
        ("sale: s2", "sale: s1", 20, "timeline[1].sale", "two sales"),
        ("sale: s2, member: c", "sail: s2, member: c", 20, "timeline[1]", "must say what happens"),
        ("sale: s2, ", "sale: s2, colour: red, ", 20, "timeline[1].colour", "unknown field"),
        ("2023-05-04T10", "1999-05-04T10", 20, "timeline[1].at", "when the programme starts"),
        (
            "min_rank: GOLD",
            "min_rank: STAR",
            15,
            "plan.rules[0].calculation.levels[1].min_rank",
            "not on the ladder",
        ),
    ] {
        assert!(SCENARIO.contains(from), "{from}");
        let flaws = flaws(&SCENARIO.replacen(from, to, 1));
        let FileError { line: at, path: found, message: says } = &flaws[0];
        assert!(found == path && says.contains(message), "{to}: {flaws:?}");
        assert_eq!(*at, Some(line), "{to}: {flaws:?}");
    }
}

#[test]
fn expectations_of_what_is_not_there_are_flaws() {
    for (expectations, path) in [
        ("totals: {zoe: '1'}", "expect.totals.zoe"),
        ("ledger: [{event: s9, member: b}]", "expect.ledger[0].event"),
        ("ledger: [{event: s1, member: b, type: GIFT}]", "expect.ledger[0].type"),
        ("breakage: {s1: {bad_luck: '1'}}", "expect.breakage.s1.bad_luck"),
        ("reasons: [{event: s1, member: b, reason: bad_luck}]", "expect.reasons[0].reason"),
        ("reasons: [{event: s1, member: b, because: rolled_up}]", "expect.reasons[0].because"),
        ("reasons: [{event: s1, member: b}]", "expect.reasons[0]"),
        ("unsettled: {s9: no_plan}", "expect.unsettled.s9"),
    ] {
        let flaws = flaws(&format!("{SCENARIO}expect:\n  {expectations}\n"));
        assert_eq!(flaws.len(), 1, "{expectations}: {flaws:?}");
        assert_eq!(flaws[0].path, path);
        assert!(flaws[0].line.is_some_and(|line| line > 20), "{flaws:?}");
    }
}

#[test]
fn a_run_reaches_what_its_sales_chose() {
    let yaml = SCENARIO.replace(
        "calculation:",
        "condition: {field: sale.currency, op: in, value: [CZK]}\n      calculation:",
    );
    let scenario = read(&yaml);
    let reached = Reached::of(&scenario, &scenario.run());
    let names: Vec<_> =
        reached.reached.iter().map(|subject| (subject.kind(), subject.name())).collect();
    let expected = [
        ("rule", "retail 1/base"),
        ("calculation", "unilevel"),
        ("operator", "in"),
        ("compression", "none"),
        ("reason", "no_upline"),
    ];
    assert_eq!(names, expected.map(|(kind, name)| (kind, name.to_owned())));
    assert_eq!(reached.rules.len(), 1);
    let refused = "  - {at: 2023-05-05T10:00:00Z, plan: {plan: retail, version: '2', valid_from: 2023-01-01, \
                   rules: [{id: x, component: base, calculation: {type: fixed, to: sponsor, amount: \
                   {EUR: '1'}}}]}, refused: same_start}\n";
    let scenario = read(&with_steps(refused));
    let run = scenario.run();
    assert_eq!(run.refused[0].cause, "same_start");
    assert_eq!(Reached::of(&scenario, &run).rules.len(), 1, "no sale can reach what is refused");
}

/// No summand is left out of a sum, even where no amount could hold it.
#[test]
fn sums_have_room_for_more_than_an_amount() {
    let yaml = "
scenario: large
ranks: [MEMBER]
plan:
  plan: all
  version: '1'
  valid_from: 2023-01-01
  rules:
    - {id: a, component: a, calculation: {type: unilevel, levels: [{level: 1, percentage: '100'}]}}
network: [{id: top, downline: [{id: seller}]}]
timeline:
  - {at: 2023-03-01T10:00:00Z, sale: s1, member: seller, amount: '9999999999999999', currency: EUR}
  - {at: 2023-03-02T10:00:00Z, sale: s2, member: seller, amount: '9999999999999999', currency: EUR}
expect: {totals: {top: '9999999999999999'}}
";
    assert_eq!(
        differences(yaml),
        [said("totals.top", "9999999999999999.0000", "19999999999999998.0000")]
    );
}
