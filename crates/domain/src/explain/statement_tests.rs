use super::*;
use crate::inputs::{Inputs, Visit};
use crate::ladder::Rank;
use crate::member::MemberStatus;
use crate::plan::PlanFile;
use crate::rule_book::PlanVersion;
use crate::rule_set::RuleSet;
use crate::sale::{OrderKind, Sale, SourceType};
use crate::settle::{self, SEMANTICS_VERSION};

const PLAN: &str = r#"
plan: retail
version: "2023-05"
valid_from: 2023-05-01
rules:
  - id: base
    component: base
    name: Base commission
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "10", career_points_percentage: "5"}
        - {level: 2, percentage: "3", min_rank: SILVER}
"#;

fn person(id: u128, name: &str) -> Person {
    Person {
        id: Uuid::from_u128(id),
        external_id: Some(format!("M-{id}")),
        name: Some(name.into()),
    }
}

fn visit(id: u128, rank: u8) -> Visit {
    Visit {
        member_id: Uuid::from_u128(id),
        rank: Rank(rank),
        status: MemberStatus::Active,
        joined_at: None,
    }
}

/// A sale of Jana's, 199.90 in euros, whose sponsor Petr shares 30 % with her; Eva stands above.
fn outcome() -> StoredOutcome {
    let inputs = Inputs {
        seller: visit(1, 0),
        upline: vec![visit(2, 0), visit(3, 1)],
        split: Some(crate::reward_split::RewardSplit {
            money_to_self: crate::amount::Percentage::parse("70").unwrap(),
            points_to_self: crate::amount::Percentage::HUNDRED,
        }),
    };
    let sale = Sale {
        event_id: Uuid::from_u128(9),
        amount: Amount::parse("199.90").unwrap(),
        volume: Amount::parse("199.90").unwrap(),
        currency: "EUR".parse().unwrap(),
        source_type: SourceType::Product,
        product_id: Some("SKU-7".to_owned()),
        order_kind: OrderKind::Standard,
        market: None,
        buyer_type: None,
        lines: Vec::new(),
        as_of: "2023-05-31T22:30:00Z".parse().unwrap(),
        earned_period: "2023-06".parse().unwrap(),
    };
    let settlement = settle::settle(&sale, &inputs, &version().rule_set).unwrap();
    let line = |(place, line): (usize, &Line)| recompute::StoredLine {
        line: i16::try_from(place).unwrap(),
        member_id: line.member_id,
        entry_type: line.entry_type.name().to_owned(),
        level: Some(line.level.cast_signed()),
        depth: Some(line.depth.cast_signed()),
        rule_number: Some(17),
        amount: line.amount.to_decimal(),
        career_points: line.career_points.to_decimal(),
        currency: "EUR".to_owned(),
        earned_period: sale.earned_period,
        posted_period: sale.earned_period,
    };
    StoredOutcome {
        settled_at: sale.as_of,
        plan_number: 4,
        semantics: SEMANTICS_VERSION,
        line_count: i16::try_from(settlement.lines.len()).unwrap(),
        breakage: settlement.breakage.to_decimal(),
        lines: settlement.lines.iter().enumerate().map(line).collect(),
        inputs: Ok(inputs),
        sale,
    }
}

fn version() -> PlanVersion {
    let (ladder, file) = (ladder(), PlanFile::from_yaml(PLAN).unwrap());
    let rule_set = RuleSet::compile(&file, &ladder, &Programme::default()).unwrap();
    PlanVersion { number: 4, rule_numbers: vec![17], rule_set }
}

fn ladder() -> Ladder {
    Ladder::from_yaml("ranks: [MEMBER, SILVER]").unwrap()
}

fn posted(
    line: i16,
    member: u128,
    kind: &str,
    level: i16,
    amount: &str,
    points: &str,
) -> LedgerLine {
    LedgerLine {
        event_id: Uuid::from_u128(9),
        line,
        source: Some("shop-eu".to_owned()),
        external_id: Some("order-1001".to_owned()),
        at: "2023-05-31T22:30:00Z".parse().unwrap(),
        member_id: Uuid::from_u128(member),
        entry_type: kind.to_owned(),
        level: Some(level),
        amount: Amount::parse(amount).unwrap(),
        currency: "EUR".to_owned(),
        career_points: Amount::parse(points).unwrap(),
    }
}

fn explain(lines: &[LedgerLine], outcome: Option<&StoredOutcome>) -> Vec<StatementLine> {
    let book = RuleBook::new(vec![version()]);
    let time_zone = Programme::parse_time_zone("Europe/Prague").unwrap();
    let programme = Programme { time_zone, ..Programme::default() };
    let people = People(vec![person(1, "Jana"), person(2, "Petr"), person(3, "Eva")]);
    let clerk = Clerk { book: &book, ladder: &ladder(), programme: &programme, people: &people };
    clerk.explain(lines, outcome)
}

#[test]
fn l9_a_line_says_who_sold_what_and_by_which_rule_it_pays() {
    let lines = [
        posted(0, 2, "LEVEL_COMMISSION", 1, "13.993", "9.995"),
        posted(1, 1, "REFERRAL_REWARD", 1, "5.997", "0"),
        posted(2, 3, "LEVEL_COMMISSION", 2, "5.997", "0"),
    ];
    let told = explain(&lines, Some(&outcome()));
    let texts: String = told.iter().map(StatementLine::text).collect();
    let expected = "  2023-06-01  level commission: 13.9930 EUR and 9.9950 career points, sale
              order-1001 of shop-eu
              sold by Jana (M-1) for 199.9000 EUR: SKU-7; the member is the
              seller's level 1, the sponsor
              rule base (Base commission) of plan retail, version 2023-05; the
              member was MEMBER and ACTIVE then
              10.00 % of 199.9000 EUR = 19.9900
              5.00 % of 199.9000 EUR = 9.9950 career points
              reward split: 30.00 % of 19.9900 EUR = 5.9970 to the seller Jana
              (M-1)
              paid 13.9930 EUR, credited 9.9950 career points; Jana (M-1) is
              paid 5.9970 EUR
  2023-06-01  referral reward: 5.9970 EUR, sale order-1001 of shop-eu
              sold by Jana (M-1) for 199.9000 EUR: SKU-7; the sponsor shares the
              reward with the member, who sold
              rule base (Base commission) of plan retail, version 2023-05; the
              member was MEMBER and ACTIVE then
              10.00 % of 199.9000 EUR = 19.9900
              5.00 % of 199.9000 EUR = 9.9950 career points
              reward split: 30.00 % of 19.9900 EUR = 5.9970 to the seller Jana
              (M-1)
              paid 5.9970 EUR
  2023-06-01  level commission: 5.9970 EUR, sale order-1001 of shop-eu
              sold by Jana (M-1) for 199.9000 EUR: SKU-7; the member is the
              seller's level 2
              rule base (Base commission) of plan retail, version 2023-05; the
              member was SILVER and ACTIVE then
              3.00 % of 199.9000 EUR = 5.9970
              paid 5.9970 EUR
";
    assert_eq!(texts, expected);
}

/// A statement never repeats a wrong amount as if it were explained.
#[test]
fn l9_what_the_rules_do_not_give_is_named() {
    let mut outcome = outcome();
    let told = |lines: &[LedgerLine], outcome: Option<&StoredOutcome>| {
        explain(lines, outcome).pop().map(|line| (line.amount.to_string(), line.problems)).unwrap()
    };
    let (amount, problems) = told(&[posted(2, 3, "BONUS", 2, "7", "0")], None);
    assert_eq!(amount, "7.0000", "the ledger's, where nothing can be computed");
    assert_eq!(problems, ["no outcome of the event is stored"]);

    let (_, problems) = told(&[posted(1, 3, "BONUS", 2, "7", "0")], Some(&outcome));
    assert_eq!(problems, ["line 1 of the event is not what the rules give this member"]);

    outcome.lines[2].amount += Decimal::ONE;
    let (amount, problems) =
        told(&[posted(2, 3, "LEVEL_COMMISSION", 2, "6.997", "0")], Some(&outcome));
    assert_eq!(amount, "5.9970", "what the rules give, not what the ledger says");
    assert_eq!(problems, ["line 2: the amount is 6.9970, computed 5.9970"]);

    outcome.plan_number = 5;
    let (_, problems) = told(&[posted(2, 3, "BONUS", 2, "7", "0")], Some(&outcome));
    assert_eq!(problems, ["plan version number 5, which priced the sale, does not exist"]);
}

#[test]
fn sums_that_differ_from_the_ledger_are_said_loudly() {
    let told = explain(&[posted(2, 3, "LEVEL_COMMISSION", 2, "5.997", "0")], Some(&outcome()));
    let mut sums = Sums::default();
    for line in &told {
        sums.add(line);
    }
    let mut ledger = sums.clone();
    assert!(sums.differences(&ledger).is_empty());
    ledger.0.insert("CZK".to_owned(), Sum { lines: 1, ..Sum::default() });
    ledger.0.get_mut("EUR").unwrap().amount += Decimal::ONE;
    assert_eq!(
        sums.differences(&ledger),
        [
            "this statement sums up to 0.0000 CZK and 0.0000 career points in 0 line(s), the ledger \
             to 0.0000 CZK and 0.0000 career points in 1 line(s)",
            "this statement sums up to 5.9970 EUR and 0.0000 career points in 1 line(s), the ledger \
             to 6.9970 EUR and 0.0000 career points in 1 line(s)",
        ]
    );
    assert_eq!(sums.0["EUR"].text("EUR"), "\n  Sum of 1 line(s): 5.9970 EUR\n");
}

#[test]
fn the_head_says_whose_days_the_period_has() {
    let time_zone = Programme::parse_time_zone("Europe/Prague").unwrap();
    let programme = Programme { time_zone, ..Programme::default() };
    let head = StatementHead::new(
        person(3, "Eva"),
        "2024-02".parse().unwrap(),
        &programme,
        BTreeMap::new(),
    );
    let expected = "Statement of commissions\n  member  Eva (M-3)\n  period  2024-02: 2024-02-01 to \
                    2024-02-29, days in Europe/Prague\n";
    assert_eq!(head.text(), expected);
}

/// "Why is my statement empty?" is answered before it is asked.
#[test]
fn sales_that_wait_are_named() {
    let waiting = BTreeMap::from([("no_plan".to_owned(), 2), ("unknown_member".to_owned(), 1)]);
    let period = "2024-02".parse().unwrap();
    let head = StatementHead::new(person(3, "Eva"), period, &Programme::default(), waiting);
    let expected = "
Not settled yet are sales of the member's own that wait: 2 for no_plan, 1 for
unknown_member. What they will pay is not in this statement.
";
    assert!(head.text().ends_with(expected), "{}", head.text());
}
