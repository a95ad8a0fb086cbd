use chrono::TimeDelta;
use store::tree_audit::Kind;

use super::*;

fn minute(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::minutes(number)
}

/// Changes as (recorded, effective) and sales as (settled, moment), in minutes: the places of the
/// changes that reach back, with the moments of the sales named.
fn reaching_back(changes: &[(i64, i64)], sales: &[(i64, i64)]) -> Vec<(usize, i64)> {
    let change = |(place, (recorded, effective)): (usize, &(i64, i64))| HistoryRow {
        recorded_at: minute(*recorded),
        effective_at: minute(*effective),
        member_id: Uuid::from_u128(place as u128),
        kind: Kind::Move,
    };
    let mut settled = SettledSales::before(changes.iter().enumerate().map(change).collect());
    for (settled_at, as_of) in sales {
        settled.add_sale((minute(*as_of), Uuid::nil()), minute(*settled_at));
    }
    let places = settled.reaching_back().map(|(change, (as_of, _))| {
        let place = usize::try_from(change.member_id.as_u128()).unwrap();
        (place, (as_of - DateTime::UNIX_EPOCH).num_minutes())
    });
    places.collect()
}

/// L8: what a settlement saw stays true for ever, so nothing recorded later may hold at its moment.
#[test]
fn l8_a_change_recorded_after_a_settlement_must_not_reach_its_sale() {
    assert_eq!(reaching_back(&[(20, 5)], &[(10, 5)]), [(0, 5)], "from the sale's very moment on");
    assert_eq!(reaching_back(&[(20, 6)], &[(10, 5)]), [], "holds after the sale only");
    assert_eq!(reaching_back(&[(20, 1)], &[(30, 5)]), [], "the sale saw the change");
    assert_eq!(reaching_back(&[(20, 1)], &[]), [], "nothing was settled");
}

/// The latest sale settled before a change counts, however many changes lie between.
#[test]
fn sales_are_remembered_past_changes_that_they_allow() {
    let changes = [(10, 9), (20, 19), (30, 4), (40, 39), (50, 7)];
    assert_eq!(reaching_back(&changes, &[(15, 8), (5, 2), (25, 3)]), [(2, 8), (4, 8)]);
    // Settled last and oldest: the others still count.
    assert_eq!(reaching_back(&changes, &[(45, 1), (15, 8)]), [(2, 8), (4, 8)]);
}

/// Every pair is compared, whatever the order: the same as asking for each change and each sale.
#[test]
fn one_pass_finds_what_comparing_every_pair_finds() {
    // All ways of three changes and three sales over a few minutes.
    for seed in 0..6_u64.pow(6) {
        let digit = |place: u32| i64::try_from(seed / 6_u64.pow(place) % 6).unwrap();
        let changes = [(1, digit(0)), (3, digit(1)), (5, digit(2))];
        let sales = [(digit(3), 4), (digit(4), 2), (digit(5), digit(0))];
        let wrong = (0..changes.len()).filter(|place| {
            let (recorded, effective) = changes[*place];
            sales.iter().any(|(settled, as_of)| *settled < recorded && *as_of >= effective)
        });
        let found: Vec<usize> =
            reaching_back(&changes, &sales).into_iter().map(|(place, _)| place).collect();
        assert_eq!(found, wrong.collect::<Vec<_>>(), "{changes:?} {sales:?}");
    }
}
