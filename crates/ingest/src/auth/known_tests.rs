use super::*;

fn key(id: &str, asked_at: Instant) -> Arc<ValidKey> {
    let key = Authenticated {
        id: id.to_owned(),
        scopes: vec![Scope::Read],
        rate_per_second: None,
        secret_number: 1,
        signing_secrets: Vec::new(),
        now: DateTime::from_timestamp(1_000_000, 0).unwrap(),
    };
    Arc::new(ValidKey::new(key, asked_at))
}

fn digest(number: u32) -> Digest {
    let mut digest = [0; 32];
    digest[..4].copy_from_slice(&number.to_be_bytes());
    digest
}

const VALID: u32 = u32::MAX;

#[test]
fn guessing_crowds_out_no_key_and_is_looked_up_a_hundred_times_a_second() {
    let begun = Instant::now();
    let mut known = Known::new(begun);
    let valid = key("valid", begun);
    known.learn(digest(VALID), Some(&valid), begun, false);
    let (mut asked, mut refused) = (0, 0);
    for number in 0..200_000 {
        let now = begun + Duration::from_micros(50) * number;
        match known.answer(&digest(number), now) {
            Answer::AskAsGuess => {
                asked += 1;
                known.learn(digest(number), None, now, true);
            }
            Answer::TooManyGuesses(wait) => {
                assert!(wait <= Duration::from_millis(10));
                refused += 1;
            }
            _ => panic!("a key never seen is a guess"),
        }
        match known.answer(&digest(VALID), now) {
            Answer::Valid(_) => {}
            Answer::ValidAskBeside(_) | Answer::Ask => {
                known.learn(digest(VALID), Some(&key("valid", now)), now, false);
            }
            _ => panic!("a key that works is never taken for a guess"),
        }
        assert!(known.unknown.len() <= UNKNOWN_MAX);
    }
    assert_eq!(asked, 200 + 999, "a burst of two seconds, and ten seconds at the rate");
    assert_eq!(asked + refused, 200_000);
}

#[test]
fn newcomers_that_work_use_up_no_guesses() {
    let now = Instant::now();
    let mut known = Known::new(now);
    for number in 0..10_050 {
        assert!(matches!(known.answer(&digest(number), now), Answer::AskAsGuess), "{number}");
        known.learn(digest(number), Some(&key("newcomer", now)), now, true);
    }
    assert_eq!(known.valid.len(), VALID_MAX);
}

#[test]
fn a_key_is_trusted_for_a_second_and_asked_about_by_one_request_before() {
    let begun = Instant::now();
    let mut known = Known::new(begun);
    known.learn(digest(1), Some(&key("a", begun)), begun, false);
    let after = |ms| begun + Duration::from_millis(ms);
    assert!(matches!(known.answer(&digest(1), after(499)), Answer::Valid(_)));
    assert!(matches!(known.answer(&digest(1), after(500)), Answer::ValidAskBeside(_)));
    assert!(matches!(known.answer(&digest(1), after(500)), Answer::Valid(_)), "once is enough");
    known.not_learnt(&digest(1));
    assert!(matches!(known.answer(&digest(1), after(999)), Answer::ValidAskBeside(_)));
    assert!(matches!(known.answer(&digest(1), after(1000)), Answer::Ask));
    known.learn(digest(1), None, after(1000), false);
    assert!(matches!(known.answer(&digest(1), after(1999)), Answer::Unknown), "revoked");
}

#[test]
fn the_time_is_postgresqls_whatever_this_process_believes() {
    let begun = Instant::now();
    let key = key("a", begun);
    let at = key.server_time(begun + Duration::from_millis(900));
    assert_eq!(at.timestamp_millis(), 1_000_000_900);
}

#[test]
fn the_least_recently_used_key_makes_room() {
    let begun = Instant::now();
    let mut known = Known::new(begun);
    for number in 0..10_000 {
        let at = begun + Duration::from_nanos(number.into());
        known.learn(digest(number), Some(&key("a", at)), at, false);
    }
    known.answer(&digest(0), begun + Duration::from_millis(1));
    known.learn(digest(VALID), Some(&key("b", begun)), begun + Duration::from_millis(2), false);
    assert_eq!(known.valid.len(), VALID_MAX);
    assert!(known.valid.contains_key(&digest(0)), "it was used since");
    assert!(!known.valid.contains_key(&digest(1)));
}

#[test]
fn a_keys_two_secrets_share_one_limit_and_have_their_own_uses() {
    let begun = Instant::now();
    let mut known = Known::new(begun);
    let first = key("a", begun);
    let second = {
        let mut second = Arc::try_unwrap(key("a", begun)).unwrap();
        second.secret_number = 2;
        second
    };
    let rate = Rate::per_second(1);
    assert!(known.admit(&first, rate, begun).is_ok());
    assert!(known.admit(&second, rate, begun).is_ok());
    assert!(known.admit(&first, rate, begun).is_err());
    assert!(known.admit(&key("b", begun), rate, begun).is_ok(), "others have their own");

    let minute = Duration::from_mins(1);
    let at = begun + Duration::from_secs(2);
    let mut uses = known.uses_to_write(at, minute);
    uses.sort_by(|a, b| (&a.key_id, a.secret_number).cmp(&(&b.key_id, b.secret_number)));
    let of =
        |key_id: &str, secret_number| Use { key_id: key_id.into(), secret_number, ago_ms: 2000 };
    assert_eq!(uses, [of("a", 1), of("a", 2), of("b", 1)]);
    // What could not be written stays due; what was is due again a minute after it was used again.
    known.uses_written(&uses[..2], at);
    assert_eq!(known.uses_to_write(at, minute), [of("b", 1)]);
    known.uses_written(&uses[2..], at);
    let later = at + Duration::from_secs(30);
    assert!(known.admit(&first, rate, later).is_ok());
    assert_eq!(known.uses_to_write(later, minute), []);
    assert_eq!(known.uses_to_write(at + minute, minute).len(), 1);
    assert_eq!(known.uses_to_write(later, Duration::ZERO).len(), 1, "at the end everything is");
}
