use super::*;
use crate::amount::Amount;
use crate::inputs::Visit;
use crate::ladder::{Ladder, Rank};
use crate::member::MemberStatus;
use crate::plan::PlanFile;
use crate::rule_set::RuleSet;
use crate::sale::{Sale, SourceType};
use crate::settle::SEMANTICS_VERSION;

pub(super) fn visit(id: u128) -> Visit {
    Visit {
        member_id: Uuid::from_u128(id),
        rank: Rank(0),
        status: MemberStatus::Active,
        joined_at: None,
    }
}

pub(super) fn version() -> PlanVersion {
    let yaml = "plan: p\nversion: v\nvalid_from: 2023-01-01\nrules:\n  - id: base\n    component: base\n    \
                calculation: {type: unilevel, levels: [{level: 1, percentage: '3'}, \
                {level: 2, percentage: '1', career_points_percentage: '10'}, \
                {level: 3, percentage: '2'}]}\n";
    let ladder = Ladder::new(vec!["MEMBER".to_owned()]).unwrap();
    let file = PlanFile::from_yaml(yaml).unwrap();
    let rule_set = RuleSet::compile(&file, &ladder, &Programme::default()).unwrap();
    PlanVersion { number: 4, rule_numbers: vec![17], rule_set }
}

fn line(line: i16, member: u128, level: i16, amount: i64, points: i64) -> StoredLine {
    StoredLine {
        line,
        member_id: Uuid::from_u128(member),
        entry_type: "LEVEL_COMMISSION".to_owned(),
        level: Some(level),
        depth: Some(level),
        rule_number: Some(17),
        amount: Decimal::new(amount, 4),
        career_points: Decimal::new(points, 4),
        currency: "GBP".to_owned(),
        earned_period: "2023-05".parse().unwrap(),
        posted_period: "2023-05".parse().unwrap(),
    }
}

/// A sale of 199.90 that paid two levels; the third has nobody.
pub(super) fn outcome() -> StoredOutcome {
    StoredOutcome {
        sale: Sale {
            event_id: Uuid::from_u128(9),
            amount: Amount::parse("199.90").unwrap(),
            volume: Amount::parse("150").unwrap(),
            currency: "GBP".parse().unwrap(),
            source_type: SourceType::Product,
            product_id: None,
            order_kind: crate::sale::OrderKind::Standard,
            market: None,
            buyer_type: None,
            lines: Vec::new(),
            as_of: "2023-05-02T10:00:00Z".parse().unwrap(),
            earned_period: "2023-05".parse().unwrap(),
        },
        settled_at: "2023-05-02T10:00:01Z".parse().unwrap(),
        inputs: Ok(Inputs { seller: visit(1), upline: vec![visit(2), visit(3)], split: None }),
        plan_number: 4,
        semantics: SEMANTICS_VERSION,
        line_count: 2,
        breakage: Decimal::new(39_980, 4),
        lines: vec![line(0, 2, 1, 59_970, 0), line(1, 3, 2, 19_990, 199_900)],
    }
}

/// The only difference after a change.
fn difference(change: impl FnOnce(&mut StoredOutcome)) -> String {
    let mut stored = outcome();
    change(&mut stored);
    let differences = differences(&stored, &version(), &Programme::default());
    assert_eq!(differences.len(), 1, "{differences:?}");
    differences[0].clone()
}

#[test]
fn l9_a_stored_outcome_is_computed_again_to_the_same_lines() {
    assert_eq!(differences(&outcome(), &version(), &Programme::default()), Vec::<String>::new());
}

#[test]
fn every_field_of_a_line_is_compared() {
    type Change = fn(&mut StoredLine);
    let changes: [(&str, Change); 11] = [
        ("its number is 5, computed 1", |line| line.line = 5),
        ("the member is ", |line| line.member_id = Uuid::from_u128(7)),
        ("the level is 3, computed 2", |line| line.level = Some(3)),
        ("the depth is missing, computed 2", |line| line.depth = None),
        ("the rule's number is 18, computed 17", |line| line.rule_number = Some(18)),
        ("the amount is 1.9991, computed 1.9990", |line| line.amount += Decimal::new(1, 4)),
        ("career points is 0.0000, computed 19.9900", |line| line.career_points = Decimal::ZERO),
        ("the currency is EUR, computed GBP", |line| line.currency = "EUR".to_owned()),
        ("the earned period is 2023-06, computed 2023-05", |line| {
            line.earned_period = "2023-06".parse().unwrap();
        }),
        ("the posted period is 2023-06, computed 2023-05", |line| {
            line.posted_period = "2023-06".parse().unwrap();
        }),
        ("the type is BONUS, computed LEVEL", |line| line.entry_type = "BONUS".to_owned()),
    ];
    for (expected, change) in changes {
        let found = difference(|stored| change(&mut stored.lines[1]));
        assert!(found.starts_with(&format!("line 1: {expected}")), "{found}");
    }
}

#[test]
fn the_outcome_itself_is_compared() {
    let found = difference(|stored| stored.breakage += Decimal::ONE);
    assert_eq!(found, "the breakage is 4.9980, computed 3.9980");
    let found = difference(|stored| stored.line_count = 3);
    assert_eq!(found, "the number of lines in the outcome is 3, computed 2");
    let found = difference(|stored| stored.lines.truncate(1));
    assert_eq!(found, "the number of lines in the ledger is 1, computed 2");
    let found = difference(|stored| stored.lines.push(line(2, 4, 3, 1, 0)));
    assert_eq!(found, "the number of lines in the ledger is 3, computed 2");
    let found = difference(|stored| stored.semantics = 9);
    assert!(found.starts_with("computed by version 9"), "{found}");
    let found = difference(|stored| stored.inputs = Err("inputs have 3 bytes".to_owned()));
    assert_eq!(found, "inputs have 3 bytes");
}
