//! Tables of worked sales, and the laws as properties over random ones.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::inputs::Visit;
use crate::ladder::{Ladder, Rank};
use crate::member::MemberStatus;
use crate::period::Programme;
use crate::plan::PlanFile;
use crate::sale::SourceType;

pub(crate) fn sale(amount: &str) -> Sale {
    let as_of = "2023-05-02T10:00:00Z".parse().unwrap();
    Sale {
        event_id: crate::sale::event_id("shop", "1"),
        amount: Amount::parse(amount).unwrap(),
        volume: Amount::parse(amount).unwrap(),
        currency: "CZK".parse().unwrap(),
        source_type: SourceType::Product,
        product_id: None,
        order_kind: crate::sale::OrderKind::Standard,
        market: None,
        buyer_type: None,
        lines: Vec::new(),
        as_of,
        earned_period: Programme::default().period_of(as_of),
    }
}

pub(crate) fn rule_set(yaml: &str) -> RuleSet {
    let ladder = Ladder::from_yaml("ranks: [MEMBER, SILVER, GOLD]").unwrap();
    let file = PlanFile::from_yaml(yaml).unwrap();
    RuleSet::compile(&file, &ladder, &Programme::default()).unwrap()
}

fn plan(rules: &str) -> RuleSet {
    rule_set(&format!(
        "plan: p\nversion: v\nvalid_from: 2023-05-01\nmax_levels: 4\nrules:\n{rules}"
    ))
}

fn member(id: u128, rank: u8, status: MemberStatus) -> Visit {
    Visit { member_id: Uuid::from_u128(id), rank: Rank(rank), status, joined_at: None }
}

pub(crate) fn inputs(upline: &[(u8, MemberStatus)]) -> Inputs {
    let visit = |(place, (rank, status)): (usize, &(u8, MemberStatus))| {
        member(place as u128 + 1, *rank, *status)
    };
    Inputs {
        seller: member(0, 0, MemberStatus::Active),
        upline: upline.iter().enumerate().map(visit).collect(),
        split: None,
    }
}

const BASE: &str = r#"
  - id: base
    component: base
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "3.00", career_points_percentage: "10.00"}
        - {level: 2, percentage: "1.50", min_rank: SILVER}
        - {level: 4, percentage: "1.00"}
        - {level: 5, percentage: "9.00"}
"#;

fn paid(settlement: &Settlement) -> Vec<(u16, String)> {
    settlement.lines.iter().map(|line| (line.level, line.amount.to_string())).collect()
}

/// Levels and why nobody got them; `None`: somebody did.
fn verdicts(settlement: &Settlement) -> Vec<(u16, Option<&'static str>)> {
    let of = |decision: &Decision| (decision.level, decision.reason_name());
    settlement.decisions.iter().map(of).collect()
}

use MemberStatus::{Active, Inactive, Suspended, Terminated};

/// Override on two levels, from "Commission calculations that survive an audit": 3 % on B's
/// 60,000 and 1.5 % on C's 40,000.
#[test]
fn an_override_on_two_levels() {
    let rules = plan(BASE);
    let jana = (2, Active);
    let from_b = settle(&sale("60000"), &inputs(&[jana]), &rules).unwrap();
    assert_eq!(paid(&from_b), [(1, "1800.0000".to_owned())]);
    assert_eq!(from_b.lines[0].career_points.to_string(), "6000.0000");
    let from_c = settle(&sale("40000"), &inputs(&[(0, Inactive), jana]), &rules).unwrap();
    assert_eq!(paid(&from_c), [(2, "600.0000".to_owned())]);
    assert_eq!(from_c.breakage.to_string(), "1600.0000", "level 1 and the missing level 4");
}

#[test]
fn l9_every_visited_ancestor_has_a_reason() {
    let upline = [(0, Suspended), (0, Active), (2, Active), (0, Active), (0, Active)];
    let settlement = settle(&sale("100"), &inputs(&upline), &plan(BASE)).unwrap();
    assert_eq!(
        verdicts(&settlement),
        [(1, Some("inactive")), (2, Some("under_rank")), (3, Some("no_tier")), (4, None)],
        "max_levels is 4: level 5 is neither offered nor visited"
    );
    assert_eq!(settlement.breakage.to_string(), "4.5000");

    let nobody = settle(&sale("100"), &inputs(&[]), &plan(BASE)).unwrap();
    assert!(nobody.lines.is_empty());
    assert_eq!(nobody.breakage.to_string(), "5.5000");
    let missing = Some("no_upline");
    assert_eq!(verdicts(&nobody), [(1, missing), (2, missing), (4, missing)]);
}

#[test]
fn only_active_members_earn_and_higher_ranks_may_take_lower_levels() {
    for (rank, status, pays) in [
        (0, Active, false),
        (1, Active, true),
        (2, Active, true),
        (2, Inactive, false),
        (2, Suspended, false),
        (2, Terminated, false),
    ] {
        let upline = [(0, Inactive), (rank, status)];
        let settlement = settle(&sale("100"), &inputs(&upline), &plan(BASE)).unwrap();
        assert_eq!(!settlement.lines.is_empty(), pays, "rank {rank}, {status}");
    }
}

#[test]
fn a_line_without_money_and_points_is_not_written() {
    let settlement = settle(&sale("0.0001"), &inputs(&[(0, Active)]), &plan(BASE)).unwrap();
    assert!(settlement.lines.is_empty());
    assert_eq!(settlement.decisions[0].reason_name(), Some("zero"));
    let points_only = settle(&sale("0.0010"), &inputs(&[(0, Active)]), &plan(BASE)).unwrap();
    assert_eq!(points_only.lines[0].career_points.to_string(), "0.0001");
    assert!(points_only.lines[0].amount.is_zero());
}

#[test]
fn components_add_up_and_priority_decides_within_one() {
    let promo = r#"
  - id: promo
    component: base
    priority: 10
    valid_to: 2023-05-03
    condition: {field: sale.amount, op: ">=", value: "100"}
    calculation: {type: unilevel, levels: [{level: 1, percentage: "5"}]}
  - id: extra
    component: extra
    calculation: {type: unilevel, basis: volume, levels: [{level: 1, percentage: "1"}]}
"#;
    let rules = plan(&format!("{BASE}{promo}"));
    let mut big = sale("100");
    big.volume = Amount::parse("50").unwrap();
    let upline = inputs(&[(0, Active)]);
    let lines = settle(&big, &upline, &rules).unwrap();
    assert_eq!(paid(&lines), [(1, "5.0000".to_owned()), (1, "0.5000".to_owned())]);
    let small = settle(&sale("99.9999"), &upline, &rules).unwrap();
    assert_eq!(paid(&small), [(1, "3.0000".to_owned()), (1, "1.0000".to_owned())]);
    big.as_of = "2023-05-03T00:00:00Z".parse().unwrap();
    let later = settle(&big, &upline, &rules).unwrap();
    assert_eq!(later.lines[0].rule, 0, "the promotion ended that midnight");
}

#[test]
fn no_valid_rule_is_an_error_but_no_matching_rule_is_an_outcome() {
    let rules = plan(
        r#"
  - id: may
    component: base
    valid_to: 2023-06-01
    condition: {field: sale.currency, op: "=", value: EUR}
    calculation: {type: unilevel, levels: [{level: 1, percentage: "5"}]}
"#,
    );
    let mut czk = sale("100");
    let unmatched = settle(&czk, &inputs(&[(0, Active)]), &rules).unwrap();
    assert_eq!(unmatched.unmatched_components, ["base"]);
    assert!(unmatched.lines.is_empty() && unmatched.breakage.is_zero());
    czk.as_of = "2023-06-01T00:00:00Z".parse().unwrap();
    let error = settle(&czk, &inputs(&[]), &rules).unwrap_err();
    assert!(matches!(error, Unsettleable::NoRule { .. }));
}

#[test]
fn rules_with_an_equal_claim_are_never_guessed_between() {
    let mut rules = plan(BASE);
    let mut twin = rules.rules[0].clone();
    twin.id = "twin".to_owned();
    rules.rules.push(twin);
    let error = settle(&sale("1"), &inputs(&[]), &rules).unwrap_err();
    let (first, second) = ("base".to_owned(), "twin".to_owned());
    assert_eq!(error, Unsettleable::AmbiguousRules { first, second });
}

/// Who takes something of which a cap leaves nothing is told so.
#[test]
fn what_a_cap_takes_away_wholly_has_a_reason() {
    let capped = |sum, points| {
        let rules = rule_set(&format!(
            "plan: p\nversion: v\nvalid_from: 2023-05-01\ncaps: {{line: {{amount: {{CZK: '{sum}'}}}}}}\n\
             rules:\n  - id: r\n    component: c\n    \
             calculation: {{type: fixed, to: seller, amount: {{CZK: '5'}}, career_points: '{points}'}}"
        ));
        let settlement = settle(&sale("100"), &inputs(&[]), &rules).unwrap();
        assert_eq!(settlement.lines.is_empty(), sum == "0" && points == "0");
        (settlement.decisions[0].reason_name(), settlement.breakage.to_string())
    };
    assert_eq!(capped("0", "0"), (Some("capped"), "5.0000".to_owned()));
    assert_eq!(capped("0", "1"), (None, "5.0000".to_owned()), "points are not capped");
    assert_eq!(capped("1", "0"), (None, "4.0000".to_owned()));
    assert_eq!(capped("5", "0"), (None, "0.0000".to_owned()));
}

/// A fixed amount may be finer than the plan's rounding: the sponsor never pays for the rest.
#[test]
fn a_shared_reward_is_never_more_than_the_reward() {
    let rules = rule_set(
        "plan: p\nversion: v\nvalid_from: 2023-05-01\nrounding: {scale: 2}\nrules:\n  - id: r\n    \
         component: c\n    calculation: {type: fixed, to: sponsor, amount: {CZK: '1.005'}}",
    );
    let none = crate::amount::Percentage::default();
    let split = crate::reward_split::RewardSplit { money_to_self: none, points_to_self: none };
    let inputs = Inputs { split: Some(split), ..inputs(&[(0, Active)]) };
    let settlement = settle(&sale("100"), &inputs, &rules).unwrap();
    assert_eq!(settlement.lines.len(), 1, "nothing is left for the sponsor");
    assert_eq!(settlement.lines[0].entry_type, EntryType::ReferralReward);
    assert_eq!(settlement.lines[0].amount.to_string(), "1.0050");
}

/// The share in units of 0.0001 by whole-number arithmetic that shares nothing with
/// [`crate::amount::Rounding`]: percentages here are in units of 0.01.
fn share_units(basis_units: i128, percentage_cents: i128) -> i128 {
    (basis_units * percentage_cents * 2 + 10_000) / 20_000
}

prop_compose! {
    fn any_upline()(upline in prop::collection::vec((0..3_u8, 0..4_u8), 0..9)) -> Inputs {
        let status = |code| MemberStatus::from_code(code).unwrap();
        let upline: Vec<_> = upline.into_iter().map(|(rank, code)| (rank, status(code))).collect();
        inputs(&upline)
    }
}

prop_compose! {
    /// (level, percentage in hundredths, place of the lowest rank), distinct levels.
    fn any_levels()(
        levels in prop::collection::btree_map(1..9_u8, (0..=10_000_i128, 0..3_u8), 1..8)
    ) -> Vec<(u8, i128, u8)> {
        levels.into_iter().map(|(level, (cents, rank))| (level, cents, rank)).collect()
    }
}

fn plan_of(levels: &[(u8, i128, u8)], max_levels: u8) -> RuleSet {
    let level = |(level, cents, rank): &(u8, i128, u8)| {
        let rank = ["MEMBER", "SILVER", "GOLD"][usize::from(*rank)];
        let percentage = format!("{}.{:02}", cents / 100, cents % 100);
        format!("{{level: {level}, percentage: '{percentage}', min_rank: {rank}}}")
    };
    let levels: Vec<_> = levels.iter().map(level).collect();
    rule_set(&format!(
        "plan: p\nversion: v\nvalid_from: 2023-05-01\nmax_levels: {max_levels}\nrules:\n  - id: r\n    \
         component: c\n    calculation: {{type: unilevel, levels: [{}]}}",
        levels.join(", ")
    ))
}

fn sale_of(units: i128) -> Sale {
    sale(&format!("{}.{:04}", units / 10_000, units % 10_000))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// L6: for each sale and rule, paid + breakage = offered, to the last digit, for amounts of
    /// every size that can be stored.
    #[test]
    fn l6_paid_and_breakage_are_what_was_offered(
        magnitude in 0..21_u32,
        digits in 1..10_i128.pow(20),
        inputs in any_upline(),
        levels in any_levels(),
        max_levels in 1..9_u8,
    ) {
        let units = (digits % 10_i128.pow(magnitude)).max(1);
        let paid_levels = levels.iter().filter(|(level, ..)| *level <= max_levels);
        let offered: i128 = paid_levels.map(|(_, cents, _)| share_units(units, *cents)).sum();
        prop_assume!(offered < 10_i128.pow(20));
        let settlement = settle(&sale_of(units), &inputs, &plan_of(&levels, max_levels)).unwrap();
        let paid: i128 = settlement.lines.iter().map(|line| line.amount.units()).sum();
        prop_assert_eq!(paid + settlement.breakage.units(), offered);
    }

    /// The same walk written down differently: for each ancestor, what the plan gives them.
    #[test]
    fn lines_are_those_of_a_plain_reference(
        units in 1..10_i128.pow(12),
        inputs in any_upline(),
        levels in any_levels(),
        max_levels in 1..9_u8,
    ) {
        let settlement = settle(&sale_of(units), &inputs, &plan_of(&levels, max_levels)).unwrap();
        let mut expected = Vec::new();
        for (place, ancestor) in inputs.upline.iter().enumerate() {
            for (level, cents, rank) in &levels {
                let amount = share_units(units, *cents);
                let stands_there = usize::from(*level) == place + 1 && *level <= max_levels;
                let qualifies = ancestor.status == Active && ancestor.rank.0 >= *rank;
                if stands_there && qualifies && amount > 0 {
                    expected.push((ancestor.member_id, u16::from(*level), amount));
                }
            }
        }
        let lines: Vec<_> = settlement
            .lines
            .iter()
            .map(|line| (line.member_id, line.level, line.amount.units()))
            .collect();
        prop_assert_eq!(lines, expected);
    }
}

#[path = "settle_tests/laws.rs"]
mod laws;
#[path = "settle_tests/random.rs"]
pub(crate) mod random;
#[path = "settle_tests/reference.rs"]
mod reference;
