use crate::amount::Amount;
use crate::inputs::{Inputs, Visit};
use crate::ladder::{Ladder, Rank};
use crate::member::MemberStatus;
use crate::period::Programme;
use crate::plan::PlanFile;
use crate::rule_book::PlanVersion;
use crate::rule_set::RuleSet;
use crate::sale::{BuyerType, OrderKind, Sale, SaleLine, SourceType};
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
        order_kind: sale.order_kind.name(),
        market: sale.market.clone(),
        buyer_type: sale.buyer_type.map(BuyerType::name),
        lines: sale.lines.iter().map(Into::into).collect(),
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
        order_kind: OrderKind::Standard,
        market: None,
        buyer_type: None,
        lines: Vec::new(),
        as_of: "2023-05-02T10:15:00Z".parse().unwrap(),
        earned_period: "2023-05".parse().unwrap(),
    }
}

fn explanation(name_of_first: &str) -> Explanation {
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
    told(PLAN, &sale_of("199.90"), &inputs, &people)
}

/// What is told of a sale that is settled by a plan.
fn told(plan: &str, sale: &Sale, inputs: &Inputs, people: &People) -> Explanation {
    let ladder = Ladder::from_yaml("ranks: [MEMBER, SILVER, GOLD]").unwrap();
    let programme = Programme::default();
    let file = PlanFile::from_yaml(plan).unwrap();
    let rule_set = RuleSet::compile(&file, &ladder, &programme).unwrap();
    let version = PlanVersion { number: 3, rule_numbers: vec![1, 2, 3, 4], rule_set };
    let settlement = settle::settle(sale, inputs, &version.rule_set).unwrap();
    let teller = Teller { sale, inputs, version: &version, ladder: &ladder, people };
    let mut settled = teller.tell(&settlement, &programme);
    settled.rule_set = "a1b2".to_owned();
    Explanation {
        sale: facts_of(sale, people),
        state: "settled".to_owned(),
        settled: Some(settled),
        waiting: None,
        unexplained: None,
    }
}

const CAPPED: &str = r#"
plan: retail
version: "2023-05"
name: Retail with compression
valid_from: 2023-05-01
rounding: {scale: 2, mode: half_even}
caps:
  line: {amount: {GBP: "20"}}
  sale: {percentage: "14", mode: pro_rata}
rules:
  - id: base
    component: base
    name: Base commission
    calculation:
      type: unilevel
      compression: dynamic
      levels:
        - {level: 1, percentage: "10.5", career_points_percentage: "10"}
        - {level: 2, percentage: "5", min_rank: SILVER}
        - {level: 3, percentage: "2"}
"#;

/// A case worth reading: an inactive and an under-ranked member are compressed, the line and the
/// sale are capped, and the sponsor shares the reward with the seller.
#[test]
fn l9_compression_caps_and_a_split_are_told() {
    let percent = |text| crate::amount::Percentage::parse(text).unwrap();
    let inputs = Inputs {
        seller: visit(1, 0, MemberStatus::Active),
        upline: vec![
            visit(2, 0, MemberStatus::Active),
            visit(3, 2, MemberStatus::Inactive),
            visit(4, 0, MemberStatus::Active),
            visit(5, 1, MemberStatus::Active),
        ],
        split: Some(crate::reward_split::RewardSplit {
            money_to_self: percent("70"),
            points_to_self: percent("50"),
        }),
    };
    let people = People(vec![
        member(1, Some("M-1"), Some("Jana Nováková")),
        member(2, Some("M-2"), Some("Petr")),
        member(3, Some("M-3"), Some("Eva")),
        member(4, Some("M-4"), Some("Adam")),
        member(5, Some("M-5"), Some("Iva")),
    ]);
    let text = render(&told(CAPPED, &sale_of("199.90"), &inputs, &people));
    let expected = "\
Sale order-1001 of shop-eu
  event   00000000-0000-0000-0000-000000000009
  seller  Jana Nováková (M-1), MEMBER, ACTIVE
  amount  199.9000 GBP, volume 150.0000
  sold    PRODUCT, product SKU-7
  moment  2023-05-02 10:15:00 UTC, period 2023-05
  state   settled

Plan retail, version 2023-05: Retail with compression
  number 3, in force from 2023-05-01
  rule set a1b2

Rule base (component base): Base commission
  level 1   Petr (M-2), MEMBER, ACTIVE
              10.50 % of 199.9000 GBP = 20.9895, rounded 20.9900
              10.00 % of 199.9000 GBP = 19.9900 career points
              cap of a line: 20.9900 cut to 20.0000 GBP
              cap of the sale: 20.0000 × 27.9800 ÷ 30.0000 = 18.6500 GBP,
              rounded down
              reward split: 30.00 % of 18.6500 GBP = 5.5950, rounded 5.6000 to
              the seller Jana Nováková (M-1)
              reward split: 50.00 % of 19.9900 career points = 9.9950, rounded
              10.0000 to the seller Jana Nováková (M-1)
              paid 13.0500 GBP, credited 9.9900 career points; Jana Nováková
              (M-1) is paid 5.6000 GBP, credited 10.0000 career points
  level 2   Eva (M-3), GOLD, INACTIVE
              compressed, uses up no level: the status was INACTIVE; only ACTIVE
              members earn
  level 2   Adam (M-4), MEMBER, ACTIVE
              compressed, uses up no level: rank MEMBER is below SILVER
  level 2   Iva (M-5), SILVER, ACTIVE
              5.00 % of 199.9000 GBP = 9.9950, rounded 10.0000
              cap of the sale: 10.0000 × 27.9800 ÷ 30.0000 = 9.3200 GBP, rounded
              down
              paid 9.3200 GBP
  level 3   nobody
              2.00 % of 199.9000 GBP = 3.9980, rounded 4.0000
              not paid: the upline ends below level 3

Caps
  line cap: 20.0000 GBP. Here 20.0000 GBP a line
  sale cap: 14.00 % of the sale's amount; everybody gives way by the same share.
    Here 27.9800 GBP in all; the lines claim 30.0000 GBP

Sum
  offered   34.9900 GBP
  paid      27.9700 GBP
  breakage  7.0200 GBP: no_upline 4.0000, capped 3.0200
  points    19.9900 career points credited
";
    assert_eq!(text, expected);
}

const STAIR_STEP: &str = r#"
plan: partners
version: "7"
name: Partners
valid_from: 2023-01-01
rules:
  - id: stairs
    component: override
    name: Stair-step
    calculation:
      type: differential
      seller: counted
      rates:
        - {rank: MEMBER, percentage: "5"}
        - {rank: SILVER, percentage: "12"}
        - {rank: GOLD, percentage: "15"}
  - id: tea-week
    component: promotion
    name: Tea week
    condition: {all: [{field: sale.category, op: =, value: tea}, {field: sale.line_amount, op: ">=", value: "50"}]}
    eligibility: {field: beneficiary.rank, op: ">=", value: GOLD}
    calculation: {type: fixed, to: sponsor, amount: {GBP: "3"}}
"#;

/// The other one: a differential on a sale with lines, beside a bonus that one of the lines chose.
#[test]
fn l9_a_differential_with_lines_and_a_second_component_is_told() {
    let inputs = Inputs {
        seller: visit(1, 0, MemberStatus::Active),
        upline: vec![
            visit(2, 1, MemberStatus::Active),
            visit(3, 1, MemberStatus::Active),
            visit(4, 2, MemberStatus::Suspended),
        ],
        split: None,
    };
    let people = People(vec![
        member(1, Some("M-1"), Some("Jana Nováková")),
        member(2, Some("M-2"), Some("Petr")),
        member(3, Some("M-3"), Some("Eva")),
        member(4, Some("M-4"), Some("Adam")),
    ]);
    let amount = |text| Amount::parse(text).unwrap();
    let line = |id: &str, product: &str, category: Option<&str>, money| SaleLine {
        id: id.to_owned(),
        product_id: product.to_owned(),
        category: category.map(str::to_owned),
        quantity: amount("2"),
        amount: amount(money),
        volume: amount("75"),
    };
    let mut sale = sale_of("199.90");
    sale.product_id = None;
    sale.order_kind = OrderKind::Subscription;
    sale.market = Some("CZ".to_owned());
    sale.buyer_type = Some(BuyerType::Customer);
    sale.lines = vec![line("1", "SKU-7", Some("tea"), "120.00"), line("2", "SKU-9", None, "79.90")];
    let text = render(&told(STAIR_STEP, &sale, &inputs, &people));
    let expected = "\
Sale order-1001 of shop-eu
  event   00000000-0000-0000-0000-000000000009
  seller  Jana Nováková (M-1), MEMBER, ACTIVE
  amount  199.9000 GBP, volume 150.0000
  sold    PRODUCT, as SUBSCRIPTION, market CZ, to a CUSTOMER
  moment  2023-05-02 10:15:00 UTC, period 2023-05
  state   settled
          line 1: 2 × SKU-7 (tea), 120.0000 GBP, volume 75.0000
          line 2: 2 × SKU-9, 79.9000 GBP, volume 75.0000

Plan partners, version 7: Partners
  number 3, in force from 2023-01-01
  rule set a1b2

Rule stairs (component override): Stair-step
  on lines 1, 2: 199.9000 GBP, volume 150.0000
  level 0   Jana Nováková (M-1), MEMBER, ACTIVE
              nothing to get: the seller's own rate counts, but is not paid by
              this rule
  level 1   Petr (M-2), SILVER, ACTIVE
              12.00 % of 199.9000 GBP = 23.9880
              less the highest rate below: 5.00 % of 199.9000 GBP = 9.9950
              23.9880 − 9.9950 = 13.9930
              paid 13.9930 GBP
  level 2   Eva (M-3), SILVER, ACTIVE
              not paid: the 12.00 % of rank SILVER is not above the highest rate
              below, 12.00 %
  level 3   Adam (M-4), GOLD, SUSPENDED
              not paid: the status was SUSPENDED; only ACTIVE members earn
  level 4   nobody
              15.00 % of 199.9000 GBP = 29.9850
              less the highest rate below: 12.00 % of 199.9000 GBP = 23.9880
              29.9850 − 23.9880 = 5.9970
              not paid: nobody above has the highest rate
  offered 19.9900 = paid 13.9930 + breakage 5.9970 GBP

Rule tea-week (component promotion): Tea week
  for sales with sale.category = tea and sale.line_amount >= 50.0000
  only for members with beneficiary.rank >= GOLD
  on line 1: 120.0000 GBP, volume 75.0000
  level 1   Petr (M-2), SILVER, ACTIVE
              a fixed 3.0000 GBP
              not paid: not eligible, because beneficiary.rank is SILVER, not >=
              GOLD
  offered 3.0000 = paid 0.0000 + breakage 3.0000 GBP

Sum
  offered   22.9900 GBP
  paid      13.9930 GBP
  breakage  8.9970 GBP: ineligible 3.0000, rate_below_top 5.9970
";
    assert_eq!(text, expected);
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
              not paid: the upline ends below level 5

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
        unexplained: None,
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
