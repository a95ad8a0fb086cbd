use domain::ladder::Ladder;
use domain::plan::PlanFile;

use super::*;

fn version(number: i32, label: &str, valid_from: &str) -> Listed {
    let yaml = format!(
        r#"
plan: retail
version: "{label}"
name: Retail unilevel
source_types: [PRODUCT]
valid_from: {valid_from}
max_levels: 2
rules:
  - id: base
    component: base
    name: Base commission
    priority: 10
    condition: {{field: sale.currency, op: in, value: [CZK, EUR]}}
    calculation:
      type: unilevel
      levels:
        - {{level: 1, percentage: "3.00", career_points_percentage: "10.00"}}
        - {{level: 2, percentage: "1.50", min_rank: SILVER}}
        - {{level: 3, percentage: "0.125"}}
"#
    );
    let ladder = Ladder::from_yaml("ranks: [MEMBER, SILVER]").unwrap();
    let file = PlanFile::from_yaml(&yaml).unwrap();
    let rule_set = RuleSet::compile(&file, &ladder, &Programme::default()).unwrap();
    Listed {
        number,
        hash: format!("{number}{number}aa"),
        file_hash: "bb".to_owned(),
        rule_set,
        applied_at: "2023-04-12T08:00:00Z".parse().unwrap(),
        applied_by: "role:jana".to_owned(),
        reason: "start".to_owned(),
    }
}

#[test]
fn a_version_is_shown_with_the_percentages_of_each_level() {
    let until = "2023-09-01T00:00:00Z".parse().unwrap();
    let text = text(&version(7, "2023-05", "2023-05-01"), Some(until), None, &Programme::default());
    let expected = "\
Plan retail, version 2023-05
name      Retail unilevel
number    7
rule set  77aa
file      bb
valid     from 2023-05-01 until 2023-09-01 (exclusive), days in UTC
pays      PRODUCT sales, 2 level(s) at most
rounding  once a level, to 4 decimals, half away from zero
applied   2023-04-12 08:00:00 UTC by role:jana
reason    start

Rule base: Base commission
  component  base, priority 10
  valid      from 2023-05-01 as long as the version
  sales      sale.currency in CZK, EUR
  pays       unilevel
  share of   the sale's amount
  level    money  career points  lowest rank
      1   3.00 %        10.00 %  any
      2   1.50 %         0.00 %  SILVER
      3  0.125 %         0.00 %  any (beyond max_levels: not paid)
";
    assert_eq!(text, expected);
}

/// Every type of calculation, and everything else that a plan can say.
const EVERYTHING: &str = r#"
plan: everything
version: "2"
valid_from: 2023-05-01
max_levels: 3
rounding: {scale: 2, mode: half_even}
caps:
  line: {amount: {EUR: "500"}, percentage: "25"}
  sale: {percentage: "45", mode: pro_rata}
rules:
  - id: levels
    component: levels
    condition: {field: seller.rank, op: ">=", value: SILVER}
    eligibility: {field: beneficiary.days_since_joining, op: ">", value: "30"}
    calculation:
      type: unilevel
      basis: volume
      point_value: {EUR: "0.85", CZK: "20"}
      compression: dynamic
      levels:
        - {level: 0, percentage: "1"}
        - {level: 1, through: 2, amount: {EUR: "2.5"}}
        - {level: 3, rates: [{rank: MEMBER, percentage: "1"}, {rank: SILVER, percentage: "2"}]}
  - id: rolled
    component: rolled
    calculation: {type: unilevel, unqualified: roll_up, levels: [{level: 1, percentage: "1"}]}
  - id: stairs
    component: stairs
    calculation:
      type: differential
      seller: counted
      rates: [{rank: MEMBER, percentage: "5"}, {rank: SILVER, percentage: "12"}]
      equal_rank: {percentage: "1", depth: 2}
  - id: welcome
    component: welcome
    calculation: {type: fixed, to: sponsor, amount: {EUR: "10"}, career_points: "5"}
  - id: start
    component: start
    calculation: {type: fast_start, days: 60, percentage: "20", career_points_percentage: "1"}
  - id: size
    component: size
    calculation:
      type: marginal_tiers
      tiers: [{from: "0", percentage: "5"}, {from: "10000", percentage: "7"}]
  - id: whole
    component: whole
    calculation: {type: whole_tiers, to: 3, tiers: [{from: "100", percentage: "5"}]}
"#;

#[test]
fn every_type_of_calculation_is_described() {
    let mut listed = version(8, "2", "2023-05-01");
    let ladder = Ladder::from_yaml("ranks: [MEMBER, SILVER]").unwrap();
    let file = PlanFile::from_yaml(EVERYTHING).unwrap();
    listed.rule_set = RuleSet::compile(&file, &ladder, &Programme::default()).unwrap();
    let text = text(&listed, None, None, &Programme::default());
    let expected = "\
Plan everything, version 2
name      everything
number    8
rule set  88aa
file      bb
valid     from 2023-05-01 until a successor begins, days in UTC
pays      all other sales, 3 level(s) at most
rounding  once a level, to 2 decimals, half to even
line cap  500.0000 EUR or 25.00 % of the sale's amount, whichever is lower
sale cap  45.00 % of the sale's amount; everybody gives way by the same share
applied   2023-04-12 08:00:00 UTC by role:jana
reason    start

Rule levels: levels
  component    levels, priority 0
  valid        from 2023-05-01 as long as the version
  sales        seller.rank >= SILVER
  members      beneficiary.days_since_joining > 30.0000
  pays         unilevel
  share of     the sale's volume, a point at 20.0000 CZK or 0.8500 EUR
  compression  dynamic: members who do not qualify use up no level
  level       money  career points  lowest rank
      0      1.00 %         0.00 %  any
      1  2.5000 EUR         0.00 %  any
      2  2.5000 EUR         0.00 %  any
      3      1.00 %         0.00 %  MEMBER
             2.00 %         0.00 %  SILVER

Rule rolled: rolled
  component    rolled, priority 0
  valid        from 2023-05-01 as long as the version
  sales        all
  pays         unilevel
  share of     the sale's amount
  unqualified  the next member above who qualifies takes it
  level   money  career points  lowest rank
      1  1.00 %         0.00 %  any

Rule stairs: stairs
  component   stairs, priority 0
  valid       from 2023-05-01 as long as the version
  sales       all
  pays        differential
  share of    the sale's amount
  seller      own rate counts, but is not paid here
  equal rank  1.00 % for 2 member(s) above
  rank      money  career points
  MEMBER   5.00 %         0.00 %
  SILVER  12.00 %         0.00 %

Rule welcome: welcome
  component  welcome, priority 0
  valid      from 2023-05-01 as long as the version
  sales      all
  pays       fixed
  to         the sponsor
  fixed      10.0000 EUR
  points     5.0000 career points

Rule start: start
  component  start, priority 0
  valid      from 2023-05-01 as long as the version
  sales      all
  pays       fast_start
  to         the sponsor
  within     60 days of the seller's joining
  share      20.00 % of the sale's amount
  points     1.00 %

Rule size: size
  component  size, priority 0
  valid      from 2023-05-01 as long as the version
  sales      all
  pays       marginal_tiers
  to         the seller
  share of   the sale's amount, each slice by its own tier
        from   money  career points
      0.0000  5.00 %         0.00 %
  10000.0000  7.00 %         0.00 %

Rule whole: whole
  component  whole, priority 0
  valid      from 2023-05-01 as long as the version
  sales      all
  pays       whole_tiers
  to         level 3
  share of   the sale's amount, all of it by the tier that it reaches
      from   money  career points
  100.0000  5.00 %         0.00 %
";
    assert_eq!(text, expected);
}

#[test]
fn a_retired_plan_says_who_retired_it_and_why() {
    let until = "2023-09-01T00:00:00Z".parse().unwrap();
    let retired = RetiredPlan {
        plan: "retail".to_owned(),
        from: until,
        retired_at: "2023-08-20T08:00:00Z".parse().unwrap(),
        retired_by: "role:petr".to_owned(),
        reason: "summer is over".to_owned(),
    };
    let version = version(7, "2023-05", "2023-05-01");
    let text = text(&version, Some(until), Some(&retired), &Programme::default());
    assert!(text.contains("until 2023-09-01 (exclusive)"), "{text}");
    let expected = "retired   from 2023-09-01 on: decided 2023-08-20 08:00:00 UTC by role:petr: \
                    summer is over\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn versions_are_chosen_by_label_number_or_hash() {
    let listed = [
        version(7, "a", "2023-05-01"),
        version(8, "b", "2023-06-01"),
        version(9, "b", "2023-07-01"),
    ];
    let number = |wanted| choose(&listed, "retail", wanted).map(|version| version.number);
    assert_eq!(number(None).unwrap(), 9, "the latest");
    assert_eq!(number(Some("a")).unwrap(), 7);
    assert_eq!(number(Some("8")).unwrap(), 8);
    assert_eq!(number(Some("88a")).unwrap(), 8);
    assert!(number(Some("b")).unwrap_err().to_string().contains("8, 9"));
    assert!(number(Some("c")).is_err());
    assert!(choose(&listed, "other", None).is_err());
}
