use crate::amount::Amount;
use crate::inputs::{Inputs, Visit};
use crate::ladder::{Ladder, Rank};
use crate::member::MemberStatus;
use crate::period::Programme;
use crate::plan::PlanFile;
use crate::rule_book::PlanVersion;
use crate::rule_set::RuleSet;
use crate::sale::{Sale, SourceType};
use crate::settle;
use uuid::Uuid;

use super::super::{People, Teller};
use super::*;

const PLAN: &str = r#"
plan: retail
version: "2023-05"
name: Retail unilevel
valid_from: 2023-05-01
rules:
  - id: base
    component: base
    name: Base commission
    priority: 10
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "3.00", career_points_percentage: "10"}
        - {level: 2, percentage: "1.50", min_rank: SILVER}
        - {level: 3, percentage: "0.125"}
        - {level: 5, percentage: "1"}
  - id: old
    component: base
    valid_to: 2023-05-02
    calculation: {type: unilevel, levels: [{level: 1, percentage: "1"}]}
  - id: euro
    component: base
    priority: 20
    condition: {field: sale.currency, op: =, value: EUR}
    calculation: {type: unilevel, levels: [{level: 1, percentage: "1"}]}
  - id: weak
    component: base
    priority: 1
    calculation: {type: unilevel, levels: [{level: 1, percentage: "1"}]}
"#;

fn visit(id: u128, rank: u8, status: MemberStatus) -> Visit {
    Visit { member_id: Uuid::from_u128(id), rank: Rank(rank), status, joined_at: None }
}

fn member(id: u128, external_id: Option<&str>, name: Option<&str>) -> Person {
    Person {
        id: Uuid::from_u128(id),
        external_id: external_id.map(str::to_owned),
        name: name.map(str::to_owned),
    }
}

fn facts_of(sale: &Sale, people: &People) -> SaleFacts {
    SaleFacts {
        event_id: sale.event_id,
        source: "shop-eu".to_owned(),
        external_id: "order-1001".to_owned(),
        seller: people.person(Uuid::from_u128(1)),
        amount: sale.amount.to_string(),
        volume: sale.volume.to_string(),
        currency: sale.currency.to_string(),
        source_type: sale.source_type.name(),
        product_id: sale.product_id.clone(),
        occurred_at: String::new(),
        recorded_at: String::new(),
        as_of: String::new(),
        moment: "2023-05-02 10:15:00 UTC".to_owned(),
        period: "2023-05".to_owned(),
    }
}

fn sale_of(amount: &str) -> Sale {
    Sale {
        event_id: Uuid::from_u128(9),
        amount: Amount::parse(amount).unwrap(),
        volume: Amount::parse("150").unwrap(),
        currency: "GBP".parse().unwrap(),
        source_type: SourceType::Product,
        product_id: Some("SKU-7".to_owned()),
        order_kind: crate::sale::OrderKind::Standard,
        market: None,
        buyer_type: None,
        lines: Vec::new(),
        as_of: "2023-05-02T10:15:00Z".parse().unwrap(),
        earned_period: "2023-05".parse().unwrap(),
    }
}

fn explanation(name_of_first: &str) -> Explanation {
    let ladder = Ladder::from_yaml("ranks: [MEMBER, SILVER, GOLD]").unwrap();
    let programme = Programme::default();
    let file = PlanFile::from_yaml(PLAN).unwrap();
    let rule_set = RuleSet::compile(&file, &ladder, &programme).unwrap();
    let version = PlanVersion { number: 3, rule_numbers: vec![1, 2, 3, 4], rule_set };
    let sale = sale_of("199.90");
    let inputs = Inputs {
        seller: visit(1, 0, MemberStatus::Active),
        upline: vec![
            visit(2, 2, MemberStatus::Active),
            visit(3, 0, MemberStatus::Active),
            visit(4, 2, MemberStatus::Suspended),
            visit(5, 0, MemberStatus::Active),
        ],
        split: None,
    };
    let people = People(vec![
        member(1, Some("M-1"), Some("Jana Nováková")),
        member(2, Some("M-2"), Some(name_of_first)),
        member(3, Some("M-3"), None),
        member(4, None, Some("Eva")),
    ]);
    let settlement = settle::settle(&sale, &inputs, &version.rule_set).unwrap();
    let teller = Teller {
        sale: &sale,
        inputs: &inputs,
        version: &version,
        ladder: &ladder,
        people: &people,
    };
    let mut settled = teller.tell(&settlement, &programme);
    settled.rule_set = "a1b2".to_owned();
    Explanation {
        sale: facts_of(&sale, &people),
        state: "settled".to_owned(),
        settled: Some(settled),
        waiting: None,
    }
}

#[test]
fn l9_every_level_says_who_got_what_or_why_not() {
    let expected = "\
Sale order-1001 of shop-eu
  event   00000000-0000-0000-0000-000000000009
  seller  Jana Nováková (M-1), MEMBER, ACTIVE
  amount  199.9000 GBP, volume 150.0000
  sold    PRODUCT, product SKU-7
  moment  2023-05-02 10:15:00 UTC, period 2023-05
  state   settled

Plan retail, version 2023-05: Retail unilevel
  number 3, in force from 2023-05-01
  rule set a1b2

Rule base (component base): Base commission
  level 1   Petr (M-2), GOLD, ACTIVE
              3.00 % of 199.9000 GBP = 5.9970
              10.00 % of 199.9000 GBP = 19.9900 career points
              paid 5.9970 GBP, credited 19.9900 career points
  level 2   M-3, MEMBER, ACTIVE
              1.50 % of 199.9000 GBP = 2.9985
              not paid: rank MEMBER is below SILVER
  level 3   Eva, GOLD, SUSPENDED
              0.125 % of 199.9000 GBP = 0.249875, rounded 0.2499
              not paid: the status was SUSPENDED; only ACTIVE members earn
  level 4   00000000-0000-0000-0000-000000000005, MEMBER, ACTIVE
              nothing to get: the rule lists no level 4
  level 5   nobody
              1.00 % of 199.9000 GBP = 1.9990
              not paid: the upline ends at level 4

Rules that did not apply
  old: it was not valid at the sale's moment
  euro: its condition does not hold: sale.currency is GBP, not = EUR
  weak: rule base has the higher priority, 10

Sum
  offered   11.2444 GBP
  paid      5.9970 GBP
  breakage  5.2474 GBP: inactive 0.2499, under_rank 2.9985, no_upline 1.9990
  points    19.9900 career points credited
";
    assert_eq!(render(&explanation("Petr")), expected);
}

#[test]
fn long_names_keep_to_the_width() {
    let mut long = explanation(&"N".repeat(200));
    long.sale.external_id = "x".repeat(200);
    long.sale.product_id = Some("p".repeat(200));
    if let Some(settled) = &mut long.settled {
        settled.plan_name = "t".repeat(200);
        settled.seller.rank = "R".repeat(200);
        settled.differences = vec!["word ".repeat(40)];
    }
    for line in render(&long).lines() {
        assert!(line.chars().count() <= 80, "{} characters: {line}", line.chars().count());
    }
}

#[test]
fn what_is_not_settled_says_what_would_repair_it() {
    let people = People(vec![]);
    let waiting = Waiting {
        cause: Some("unknown_member".to_owned()),
        last_error: Some("member 00000000-0000-0000-0000-000000000001 is not enrolled".to_owned()),
        attempts: 2,
        next_attempt_at: None,
        next_attempt: Some("2023-05-02 10:17:30 UTC".to_owned()),
        remedy: "Enrol the member; that revives the sale.".to_owned(),
    };
    let text = render(&Explanation {
        sale: facts_of(&sale_of("5"), &people),
        state: "retrying".to_owned(),
        settled: None,
        waiting: Some(waiting),
    });
    let expected = "  state   retrying
  cause   unknown_member
  tried   2 time(s)
  again   2023-05-02 10:17:30 UTC
  error   member 00000000-0000-0000-0000-000000000001 is not enrolled

Enrol the member; that revives the sale.
";
    assert!(text.ends_with(expected), "{text}");
}
