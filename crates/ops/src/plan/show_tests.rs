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
