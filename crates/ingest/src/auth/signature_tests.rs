use axum::http::HeaderValue;

use super::*;

/// The example of the Standard Webhooks libraries.
const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const MESSAGE_ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SECONDS: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secrets(written: &[&str]) -> Vec<SecretSlice<u8>> {
    written.iter().map(|text| SecretSlice::from(STANDARD.decode(text).unwrap())).collect()
}

fn headers(id: &[u8], timestamp: &[u8], signature: &[u8]) -> HeaderMap {
    let values = [(ID, id), (TIMESTAMP, timestamp), (SIGNATURE, signature)];
    values
        .into_iter()
        .map(|(name, value)| (name, HeaderValue::from_bytes(value).unwrap()))
        .collect()
}

fn example() -> HeaderMap {
    headers(MESSAGE_ID.as_bytes(), SECONDS.to_string().as_bytes(), SIGNED.as_bytes())
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn check_example(headers: &HeaderMap, body: &[u8]) -> Result<String, Flaw> {
    check(headers, body, &secrets(&[SECRET]), at(SECONDS)).map(str::to_owned)
}

#[test]
fn the_specifications_example_is_right() {
    assert_eq!(check_example(&example(), BODY).as_deref(), Ok(MESSAGE_ID));
}

/// Right 4:59 before and after, and to the second five minutes; a second more is wrong.
#[test]
fn a_signature_counts_five_minutes_before_and_after() {
    for (age, right) in [
        (0, true),
        (299, true),
        (300, true),
        (301, false),
        (-299, true),
        (-300, true),
        (-301, false),
    ] {
        let headers = example();
        let checked = check(&headers, BODY, &secrets(&[SECRET]), at(SECONDS + age));
        assert_eq!(checked.is_ok(), right, "{age} seconds old");
        if !right {
            assert_eq!(checked, Err(Flaw::Time(301, SECONDS + age)));
        }
    }
}

#[test]
fn any_of_two_secrets_and_of_several_signatures_will_do() {
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (known, right) in [
        (vec![SECRET, other], true),
        (vec![other, SECRET], true),
        (vec![other], false),
        (vec![], false),
    ] {
        let headers = example();
        let checked = check(&headers, BODY, &secrets(&known), at(SECONDS));
        assert_eq!(checked.is_ok(), right, "{known:?}");
    }
    let wrong = format!("v1,{}", STANDARD.encode([7; 32]));
    for signatures in
        [format!("{wrong} {SIGNED}"), format!("{SIGNED} {wrong}"), format!("v1a,zz v2,x {SIGNED}")]
    {
        let mut headers = example();
        headers.insert(SIGNATURE, signatures.parse().unwrap());
        assert!(check_example(&headers, BODY).is_ok(), "{signatures}");
    }
    let mut headers = example();
    headers
        .insert(SIGNATURE, format!("{}{SIGNED}", format!("{wrong} ").repeat(16)).parse().unwrap());
    assert_eq!(check_example(&headers, BODY), Err(Flaw::Signature), "the 17th is not looked at");
}

#[test]
fn every_changed_byte_of_body_and_headers_is_noticed() {
    for place in 0..BODY.len() {
        let mut body = BODY.to_vec();
        body[place] ^= 1;
        assert_eq!(check_example(&example(), &body), Err(Flaw::Signature), "body byte {place}");
        assert_eq!(check_example(&example(), &BODY[..place]), Err(Flaw::Signature), "cut {place}");
    }
    assert_eq!(check_example(&example(), &[BODY, b"\n"].concat()), Err(Flaw::Signature));
    for name in [ID, TIMESTAMP, SIGNATURE] {
        let value = example()[&name].as_bytes().to_vec();
        for place in 0..value.len() {
            let mut changed = value.clone();
            changed[place] ^= 1;
            let mut headers = example();
            headers.insert(&name, HeaderValue::from_bytes(&changed).unwrap());
            assert!(check_example(&headers, BODY).is_err(), "{name} byte {place}");
            headers.insert(&name, HeaderValue::from_bytes(&value[..place]).unwrap());
            assert!(check_example(&headers, BODY).is_err(), "{name} cut at {place}");
        }
    }
}

#[test]
fn what_is_signed_is_not_read_in_another_order_or_split_elsewhere() {
    let text = SECONDS.to_string();
    let swapped = headers(text.as_bytes(), MESSAGE_ID.as_bytes(), SIGNED.as_bytes());
    assert_eq!(check_example(&swapped, BODY), Err(Flaw::Timestamp));
    // `a.<time>` as id and `<time>` would sign the same text as `a`, `<time>` and a longer body.
    let mut mac = Hmac::<Sha256>::new_from_slice(&STANDARD.decode(SECRET).unwrap()).unwrap();
    mac.update(format!("a.{SECONDS}.{SECONDS}.x").as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    let with_stop = format!("a.{SECONDS}");
    let split = headers(with_stop.as_bytes(), text.as_bytes(), signature.as_bytes());
    assert_eq!(check_example(&split, b"x"), Err(Flaw::Id));
}

#[test]
fn headers_that_are_missing_repeated_or_no_text_are_refused_by_name() {
    for name in [ID, TIMESTAMP, SIGNATURE] {
        let mut without = example();
        without.remove(&name);
        assert_eq!(check_example(&without, BODY), Err(Flaw::Missing(name.clone())));
        let mut twice = example();
        twice.append(&name, example()[&name].clone());
        assert_eq!(check_example(&twice, BODY), Err(Flaw::Repeated(name.clone())));
        let mut latin = example();
        latin.insert(&name, HeaderValue::from_bytes(b"caf\xe9").unwrap());
        assert!(check_example(&latin, BODY).is_err(), "{name}");
    }
    for timestamp in
        ["", "+1614265330", "-5", "1614265330.0", "0x5", "1e9", " 1", "٣", "9999999999999999"]
    {
        let mut headers = example();
        headers.insert(
            TIMESTAMP,
            HeaderValue::from_str(timestamp)
                .unwrap_or_else(|_| HeaderValue::from_bytes(timestamp.as_bytes()).unwrap()),
        );
        assert_eq!(check_example(&headers, BODY), Err(Flaw::Timestamp), "{timestamp:?}");
    }
    for id in [String::new(), "a b".to_owned(), "x".repeat(257)] {
        let mut headers = example();
        headers.insert(ID, id.parse().unwrap());
        assert_eq!(check_example(&headers, BODY), Err(Flaw::Id), "{id:?}");
    }
}

/// Unpadded, URL-safe or shortened base64 is not what the scheme writes.
#[test]
fn a_signature_in_another_form_is_none() {
    let bare = SIGNED.strip_prefix("v1,").unwrap();
    for form in [
        bare.to_owned(),
        format!("v1={bare}"),
        format!("V1,{bare}"),
        format!("v1a,{bare}"),
        SIGNED.trim_end_matches('=').to_owned(),
        SIGNED.replace('+', "-").replace('/', "_"),
        SIGNED.replace(' ', ","),
        format!("v1,{}", STANDARD.encode(&STANDARD.decode(bare).unwrap()[..16])),
        "v1,".to_owned(),
    ] {
        let mut headers = example();
        headers.insert(SIGNATURE, form.parse().unwrap());
        if form == SIGNED {
            continue;
        }
        assert_eq!(check_example(&headers, BODY), Err(Flaw::Signature), "{form}");
    }
}
