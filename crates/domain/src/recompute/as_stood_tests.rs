use super::super::tests::{outcome, version, visit};
use super::*;
use crate::amount::Percentage;
use crate::ladder::Rank;
use crate::member::MemberStatus;

/// The upline that `outcome` was settled with: two above the seller, and nobody more.
fn stood() -> Inputs {
    outcome().inputs.unwrap()
}

/// The difference between the stored inputs after a change and an untouched history.
fn forged(semantics: i16, change: impl FnOnce(&mut Inputs)) -> Option<String> {
    let mut stored = outcome();
    stored.semantics = semantics;
    let mut inputs = stood();
    change(&mut inputs);
    stored.inputs = Ok(inputs);
    compare(&stored, &stood())
}

fn compare(stored: &StoredOutcome, stood: &Inputs) -> Option<String> {
    let ladder = Ladder::new(vec!["MEMBER".to_owned(), "GOLD".to_owned()]).unwrap();
    difference_from_history(stored, &version(), stood, (&Programme::default(), &ladder))
}

#[test]
fn l8_inputs_that_the_history_gives_are_right() {
    for semantics in [1, 2] {
        assert_eq!(forged(semantics, |_| ()), None);
    }
}

/// L8: who, in which order, with which rank and status.
#[test]
fn l8_every_part_of_the_inputs_is_compared_with_the_history() {
    type Change = fn(&mut Inputs);
    let changes: [(Change, &str); 8] = [
        (
            |inputs| inputs.seller = visit(7),
            "the seller is stored as 00000000-0000-0000-0000-000000000007",
        ),
        (|inputs| inputs.upline[1] = visit(7), "place 2 of the upline is stored as"),
        (
            |inputs| inputs.upline[0].rank = Rank(1),
            "000002 (GOLD, ACTIVE), by the history 00000000-0000-0000-0000-000000000002 (MEMBER, ACTIVE)",
        ),
        (
            |inputs| inputs.upline[0].status = MemberStatus::Inactive,
            "(MEMBER, INACTIVE), by the history",
        ),
        (|inputs| inputs.upline.swap(0, 1), "place 1 of the upline is stored as"),
        (
            |inputs| inputs.upline.truncate(1),
            "they end before place 2 of the upline, which by the history was 00000000-0000-0000-0000-000000000003 (MEMBER, ACTIVE)",
        ),
        (|inputs| inputs.upline.push(visit(7)), "but by the history the upline ended before"),
        (
            |inputs| inputs.seller.joined_at = Some(chrono::DateTime::UNIX_EPOCH),
            "joined 1970-01-01",
        ),
    ];
    for (change, expected) in changes {
        for semantics in [1, 2] {
            let found = forged(semantics, change).unwrap_or_default();
            assert!(found.contains(expected), "{expected}: {found:?}");
            assert!(
                found.starts_with("its stored inputs are not what held at 2023-05-02"),
                "{found}"
            );
        }
    }
    let split = |inputs: &mut Inputs| {
        let half = Percentage::parse("50").unwrap();
        inputs.split = Some(RewardSplit { money_to_self: half, points_to_self: half });
    };
    let found = forged(2, split).unwrap();
    assert!(
        found.contains("keeping 50.00 % of money") && found.ends_with("keeping everything"),
        "{found}"
    );
}

/// What no rule looked at is not stored, by version 2; version 1 kept it.
#[test]
fn l8_as_much_is_stored_as_was_visited() {
    let mut stood = stood();
    stood.upline.extend([visit(4), visit(5), visit(6)]);
    let mut stored = outcome();
    stored.inputs.as_mut().unwrap().upline.push(visit(4));
    for semantics in [1, 2] {
        stored.semantics = semantics;
        assert_eq!(compare(&stored, &stood), None, "three levels are paid, three are stored");
    }
    stored.inputs.as_mut().unwrap().upline.push(visit(5));
    stored.semantics = 1;
    assert_eq!(compare(&stored, &stood), None);
    stored.semantics = 2;
    let found = compare(&stored, &stood).unwrap();
    assert!(found.contains("looks no further than the place before"), "{found}");
    stored.semantics = 1;
    stored.inputs.as_mut().unwrap().upline[3] = visit(9);
    assert!(
        compare(&stored, &stood).unwrap().contains("place 4 of the upline"),
        "true all the same"
    );
}
