use super::*;

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

const EVERY_CAUSE: [Cause; 8] = [
    Cause::UnknownMember,
    Cause::NoPlan,
    Cause::NoRule,
    Cause::AmbiguousRules,
    Cause::DamagedTree,
    Cause::DamagedData,
    Cause::RejectedByDatabase,
    Cause::OutOfRange,
];

#[test]
fn an_event_is_tried_four_times_and_then_is_a_dead_letter() {
    let schedule = schedule("30,120,600");
    let waits = (0..5).map(|before| Cause::UnknownMember.retry_after(before, &schedule));
    let seconds: Vec<_> = waits.map(|wait| wait.map(|wait| wait.as_secs())).collect();
    assert_eq!(seconds, [Some(30), Some(120), Some(600), None, None]);
}

#[test]
fn what_nothing_can_repair_is_a_dead_letter_at_once() {
    assert_eq!(Cause::OutOfRange.retry_after(0, &schedule("30,120,600")), None);
}

#[test]
fn an_empty_schedule_makes_a_dead_letter_of_the_first_failure() {
    for cause in EVERY_CAUSE {
        assert_eq!(cause.retry_after(0, &schedule("")), None, "{cause:?}");
    }
}

#[test]
fn a_schedule_is_read_as_it_is_written() {
    for text in ["30,120,600", "", "0", "604800"] {
        assert_eq!(schedule(text).to_string(), text);
    }
    assert_eq!(schedule(" 1, 2 "), schedule("1,2"));
    let too_many = vec!["1"; 21].join(",");
    for wrong in ["x", "-1", "1,,2", "604801", "1.5", &too_many] {
        assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
    }
}

#[test]
fn every_error_has_its_remedy() {
    let damaged = || StoreError::Damaged("x".to_owned());
    assert_eq!(remedy(&SettleError::Batch(damaged())), Remedy::Halve(Cause::DamagedData));
    // The rules are every event's: none is to blame.
    assert_eq!(remedy(&SettleError::Rules(damaged())), Remedy::BackOff);
    for error in [StoreError::Locked("tree"), StoreError::Database(sqlx::Error::PoolTimedOut)] {
        assert_eq!(remedy(&SettleError::Batch(error)), Remedy::BackOff);
    }
    let encode = || StoreError::Database(sqlx::Error::Encode("x".into()));
    assert_eq!(remedy(&SettleError::Batch(encode())), Remedy::Halve(Cause::RejectedByDatabase));
    assert_eq!(remedy(&SettleError::Rules(encode())), Remedy::BackOff);
}

/// `explain`, `dead-letters show` and the API say what would repair each.
#[test]
fn every_cause_has_a_remedy_in_words() {
    for cause in EVERY_CAUSE {
        let remedy = domain::explain::Waiting::remedy(
            uuid::Uuid::nil(),
            "dead",
            cause.name(),
            domain::sale::SourceType::Product,
            uuid::Uuid::nil(),
        );
        assert!(!remedy.contains("no remedy"), "{cause:?}: {remedy}");
    }
}
