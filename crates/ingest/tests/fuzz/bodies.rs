//! Bodies of `POST /v1/events`, spoilt as text and as bytes.

use serde_json::{Value, json};
use store::testing::fuzz::{Chance, Effort, NASTY, announced_seed, mutate};

use crate::document::incomplete;
use crate::recorded::{said, stored};
use crate::shop::{MEMBERS, Shop, member};
use crate::values::spoil;

/// Cases that take seconds.
const CASES: usize = 600;

/// What is accepted is stored exactly as any JSON parser reads it; what is refused leaves nothing.
#[tokio::test]
async fn fuzz_what_is_accepted_is_what_the_body_says() {
    let mut chance = Chance::new(announced_seed("-p ingest --test fuzz"));
    let shop = Shop::open().await;
    let mut accepted = 0;
    for case in Effort::cases(CASES).run() {
        let body = body(&mut chance, case);
        let before = shop.stored().await;
        let answer = shop.post("/v1/events", body.clone()).await;
        let after = shop.stored().await;
        let shown = String::from_utf8_lossy(&body).chars().take(4_000).collect::<String>();
        let (status, answered) = (answer.status, answer.json());
        let context = format!("case {case}: {shown}\nanswered {status} {answered}");
        if status != 202 {
            assert!((400..500).contains(&status), "{context}");
            assert_eq!(incomplete(status, &answer.content_type, &answered), None, "{context}");
            assert_eq!(before, after, "refused, and yet recorded: {context}");
            continue;
        }
        let Ok(json) = serde_json::from_slice::<Value>(&body) else {
            panic!("accepted what is no JSON: {context}")
        };
        let pairs = match (&json, &answered) {
            (Value::Array(said), Value::Array(answered)) => {
                assert!(said.len() == answered.len() && said.len() <= 1_000, "{context}");
                said.iter().zip(answered).collect()
            }
            pair => vec![pair],
        };
        let mut new = 0;
        for (event, answered) in pairs {
            new += i64::from(answered["status"] == "accepted");
            let mut stored = stored(&shop.world, answered["event_id"].as_str().unwrap()).await;
            let mut said = said(event).unwrap_or_else(|| panic!("accepted nonsense: {context}"));
            if answered["status"] == "duplicate" {
                // What is only kept is never compared: the first to come stays.
                for kept in ["buyer_id", "order", "context"] {
                    (stored[kept], said[kept]) = (Value::Null, Value::Null);
                }
            }
            assert_eq!(stored, said, "{context}");
        }
        assert_eq!(after.0 - before.0, new, "{context}");
        assert_eq!((before.1, before.2), (after.1, after.2), "{context}");
        accepted += 1;
    }
    assert!(accepted > 20, "only {accepted} were accepted: the test has lost its way");
    shop.assert_memory_is_bounded();
}

/// One event or many, valid or spoilt in one of several ways.
fn body(chance: &mut Chance, case: usize) -> Vec<u8> {
    let many = if chance.once_in(40) { 999 } else { 5 };
    let mut json = match chance.below(3) {
        0 => Value::Array((0..=chance.below(many)).map(|at| event(chance, case, at)).collect()),
        _ => event(chance, case, 0),
    };
    match chance.below(8) {
        0 => json.to_string().into_bytes(),
        1..=3 => {
            for _ in 0..chance.within(1..3) {
                spoil(chance, &mut json);
            }
            json.to_string().into_bytes()
        }
        4 => respelt(chance, &json.to_string()),
        _ => {
            let mut bytes = json.to_string().into_bytes();
            mutate(chance, &mut bytes);
            bytes
        }
    }
}

/// The same text in another spelling: what a strict reader takes, and what it must not.
fn respelt(chance: &mut Chance, json: &str) -> Vec<u8> {
    match chance.below(12) {
        0 => format!("\u{feff}{json}").into_bytes(),
        1 => json.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        2 => format!(" \t\r\n{json}\n").into_bytes(),
        3 => format!("{json}{json}").into_bytes(),
        4 => json.replace("\"id\"", "\"\\u0069\\u0064\"").into_bytes(),
        5 => json.replacen('{', "{\"amount\":\"1\",", 1).into_bytes(),
        6 => json.replacen("SALE", "SALE\\ud800", 1).into_bytes(),
        7 => json.replace(',', " ,\n").into_bytes(),
        8 => format!("/* */{json}").into_bytes(),
        9 => json.replace("null", "NaN").into_bytes(),
        10 => json.replacen('}', ",}", 1).into_bytes(),
        _ => [json.as_bytes(), b"\0"].concat(),
    }
}

fn event(chance: &mut Chance, case: usize, at: usize) -> Value {
    let mut event = json!({
        "type": "SALE", "source": "shop", "id": format!("{case}-{at}"), "amount": "12.3400",
        "currency": "EUR", "occurred_at": "2026-11-03T10:15:00.123456789+01:00",
    });
    if chance.once_in(3) {
        event["member_external_id"] = json!(format!("new {}", chance.below(50)));
    } else {
        event["member_id"] = json!(member(chance.below(MEMBERS)));
    }
    let nothing_special = chance.once_in(3);
    if nothing_special {
        return event;
    }
    let text = (*chance.of(&NASTY)).to_owned();
    for (odds, field, value) in [
        (3, "volume", json!("0007.50000")),
        (4, "source_type", json!("INVESTMENT")),
        (3, "product_id", json!(format!("žluť {}", chance.below(9)))),
        (9, "market", json!(text)),
        (4, "order_kind", json!("ENROLMENT")),
        (3, "buyer", json!({"type": "CUSTOMER", "id": "C-17"})),
        (3, "order", json!({"a": [1, 2.5e-9, true, null, {"b": text}], "": 1e300})),
        (3, "context", json!({"n": u64::MAX, "m": i64::MIN, "text": "a\u{301}"})),
        (9, "context", Value::Null),
    ] {
        if chance.once_in(odds) {
            event[field] = value;
        }
    }
    if chance.once_in(3) {
        event["volume"] = Value::Null;
        event["lines"] = json!([
            {"id": "1", "product_id": "A", "quantity": 2, "amount": "12", "volume": "5.0"},
            {"id": "2", "product_id": "B", "category": "tea", "quantity": "0.5", "amount": "0.34"},
        ]);
    }
    event
}
