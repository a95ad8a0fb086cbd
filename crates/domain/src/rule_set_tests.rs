use super::*;
use crate::ladder::{NamedRank, Rank};

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
    let Calculation::Unilevel(unilevel) = &rule_set.rules[0].calculation else { panic!() };
    let levels = &unilevel.levels;
    assert_eq!(levels.iter().map(|level| level.level).collect::<Vec<_>>(), [1, 2, 5]);
    assert_eq!(levels[1].min_rank, Some(NamedRank { name: "SILVER".into(), place: Rank(1) }));
    assert_eq!(rule_set.reads().depth, 2, "level 5 is beyond max_levels, nothing is listed at 3");
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

/// Rule sets that were stored by earlier releases keep their content and hash: what is applied again
/// is recognised, and ledgers stay provable.
#[test]
fn l4_the_content_of_plain_plans_has_not_changed() {
    let content = r#"{"plan":"retail","version":"2023-05","name":"retail","source_types":["PRODUCT"],"valid_from":"2023-04-30T22:00:00Z","max_levels":3,"rounding":{"scale":4,"mode":"half_away_from_zero"},"rules":[{"id":"base","component":"base","name":"base","valid_from":"2023-04-30T22:00:00Z","valid_to":null,"priority":0,"condition":{"field":"sale.currency","op":"in","value":["CZK","EUR"]},"calculation":{"type":"unilevel","basis":"amount","compression":"none","levels":[{"level":1,"percentage":"3.00","career_points_percentage":"10.00","min_rank":null},{"level":2,"percentage":"1.50","career_points_percentage":"0.00","min_rank":{"name":"SILVER","place":1}},{"level":5,"percentage":"1.00","career_points_percentage":"0.00","min_rank":null}]}}]}"#;
    assert_eq!(compile(PLAN).unwrap().content(), content);
    assert_eq!(RuleSet::from_content(content).unwrap().content(), content);
    let hash = "bf9183511a5820d33ec539ece519125aa9fcef21599695154f5801b6d84a1895";
    assert_eq!(RuleSet::hash(content).to_string(), hash);
}

/// Rules of one component and priority, valid in these days of June, `..` where they hold as long as
/// the version: whether both can be in one plan.
fn both_fit(first: (&str, &str), second: (&str, &str)) -> bool {
    let rule = |id, (from, to): (&str, &str)| {
        let day = |field, day: &str| match day {
            ".." => String::new(),
            day => format!("    {field}: 2023-06-{day}\n"),
        };
        let (from, to) = (day("valid_from", from), day("valid_to", to));
        format!(
            "  - id: {id}\n    component: c\n{from}{to}    calculation: {{type: fixed, to: seller, \
             amount: {{EUR: '1'}}}}\n"
        )
    };
    let rules = format!("{}{}", rule("a", first), rule("b", second));
    let plan = format!("plan: p\nversion: v\nvalid_from: 2023-05-01\nrules:\n{rules}");
    match compile(&plan) {
        Ok(_) => true,
        Err(flaws) => {
            assert!(flaws[0].message.contains("hold at the same time"), "{}", flaws[0]);
            false
        }
    }
}

#[test]
fn validities_that_only_touch_do_not_overlap() {
    for (first, second, fit) in [
        (("01", "10"), ("10", "20"), true),
        (("10", "20"), ("01", "10"), true),
        (("01", "11"), ("10", "20"), false),
        (("10", "20"), ("01", "11"), false),
        (("01", "30"), ("10", "20"), false),
        (("01", "05"), ("10", "20"), true),
        (("10", "20"), ("01", "05"), true),
        (("..", "10"), ("10", ".."), true),
        (("10", ".."), ("..", "10"), true),
        (("..", ".."), ("10", "20"), false),
        (("10", "20"), ("..", ".."), false),
        (("10", ".."), ("20", ".."), false),
    ] {
        assert_eq!(both_fit(first, second), fit, "{first:?} and {second:?}");
    }
}

#[test]
fn joining_moments_are_read_only_where_a_rule_asks() {
    let reads = |more: &str, calculation: &str| {
        let yaml = format!(
            "plan: p\nversion: v\nvalid_from: 2023-05-01\nrules:\n  - id: r\n    component: c\n    \
             {more}\n    calculation: {calculation}"
        );
        compile(&yaml).unwrap().reads().joined_at
    };
    let fixed = "{type: fixed, to: seller, amount: {EUR: '1'}}";
    assert!(!reads("", fixed));
    assert!(!reads("condition: {field: seller.rank, op: '=', value: SILVER}", fixed));
    assert!(!reads("eligibility: {field: beneficiary.rank, op: '=', value: SILVER}", fixed));
    let days = |field| format!("{{not: {{all: [{{field: {field}, op: '>', value: '5'}}]}}}}");
    assert!(reads(&format!("condition: {}", days("seller.days_since_joining")), fixed));
    assert!(reads(&format!("eligibility: {}", days("beneficiary.days_since_joining")), fixed));
    assert!(reads("", "{type: fast_start, days: 5, percentage: '1'}"));
}
