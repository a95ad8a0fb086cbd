//! What a body says, read by nothing but a JSON parser, and what is stored of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use store::testing::World;

/// The facts of one event of a body, in the words of the database. `None` where a body that was
/// accepted should have been refused.
pub(crate) fn said(event: &Value) -> Option<Value> {
    let fields = event.as_object()?;
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    if text("type")? != "SALE" {
        return None;
    }
    let amount = decimal(text("amount")?)?;
    let lines = match fields.get("lines") {
        None | Some(Value::Null) => Vec::new(),
        Some(lines) => lines.as_array()?.iter().map(line).collect::<Option<Vec<_>>>()?,
    };
    let volume = match text("volume") {
        Some(volume) => decimal(volume)?,
        None if lines.is_empty() => amount.clone(),
        None => plain(lines.iter().map(|line| units(line["volume"].as_str().unwrap())).sum()),
    };
    let occurred_at = DateTime::parse_from_rfc3339(text("occurred_at")?).ok()?;
    let occurred_at = occurred_at.with_timezone(&Utc).timestamp_micros();
    let member = match (text("member_id"), text("member_external_id")) {
        (Some(id), None) => id.parse::<uuid::Uuid>().ok()?.to_string(),
        (None, Some(name)) => format!("named {name}"),
        _ => return None,
    };
    let buyer = fields.get("buyer").and_then(Value::as_object);
    let of_buyer = |name: &str| buyer.and_then(|buyer| buyer.get(name)).and_then(Value::as_str);
    let object = |name: &str| fields.get(name).filter(|value| value.is_object()).map(numbers);
    Some(json!({
        "source": text("source")?, "id": text("id")?, "member": member, "amount": amount,
        "volume": volume, "currency": text("currency")?, "occurred_at": occurred_at,
        "source_type": text("source_type").unwrap_or("PRODUCT"), "product_id": text("product_id"),
        "order_kind": text("order_kind").unwrap_or("STANDARD"), "market": text("market"),
        "buyer_type": of_buyer("type"), "buyer_id": of_buyer("id"), "lines": lines,
        "order": object("order"), "context": object("context"),
    }))
}

fn line(line: &Value) -> Option<Value> {
    let text = |name: &str| line[name].as_str();
    let amount = decimal(text("amount")?)?;
    let quantity = match &line["quantity"] {
        Value::Number(number) => number.as_u64()?.to_string(),
        other => other.as_str()?.to_owned(),
    };
    Some(json!({
        "id": text("id")?, "product_id": text("product_id")?, "category": text("category"),
        "quantity": decimal(&quantity)?, "amount": amount.clone(),
        "volume": text("volume").map_or(Some(amount), decimal)?,
    }))
}

type Row = (String, String, String, String, String, String, i64, String, Option<String>);
type Rest =
    (String, Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);
type Line = (String, String, Option<String>, String, String, String);

/// What is stored of an event, in the same words.
pub(crate) async fn stored(world: &World, event_id: &str) -> Value {
    let id: uuid::Uuid = event_id.parse().unwrap();
    let facts: Row = sqlx::query_as(
        "select source, external_id,
                coalesce('named ' || (select r.external_id from member_references r
                                       where r.id = e.member_id), member_id::text),
                amount::text, volume::text, currency,
                (extract(epoch from occurred_at) * 1000000)::bigint, source_type::text, product_id
           from events e where id = $1",
    )
    .bind(id)
    .fetch_one(&world.owner)
    .await
    .unwrap();
    let rest: Rest = sqlx::query_as(
        "select order_kind::text, market, buyer_type::text, d.buyer_id, d.order_data::text,
                d.context::text
           from events e left join event_details d on d.event_id = e.id where e.id = $1",
    )
    .bind(id)
    .fetch_one(&world.owner)
    .await
    .unwrap();
    let lines: Vec<Line> = sqlx::query_as(
        "select id, product_id, category, quantity::text, amount::text, volume::text
           from event_lines where event_id = $1 order by place",
    )
    .bind(id)
    .fetch_all(&world.owner)
    .await
    .unwrap();
    let lines: Vec<Value> = lines
        .into_iter()
        .map(|(id, product_id, category, quantity, amount, volume)| {
            json!({"id": id, "product_id": product_id, "category": category,
                   "quantity": decimal(&quantity), "amount": decimal(&amount),
                   "volume": decimal(&volume)})
        })
        .collect();
    let object = |text: Option<String>| {
        text.map(|text| numbers(&serde_json::from_str::<Value>(&text).unwrap()))
    };
    json!({
        "source": facts.0, "id": facts.1, "member": facts.2, "amount": decimal(&facts.3),
        "volume": decimal(&facts.4), "currency": facts.5, "occurred_at": facts.6,
        "source_type": facts.7, "product_id": facts.8, "order_kind": rest.0, "market": rest.1,
        "buyer_type": rest.2, "buyer_id": rest.3, "lines": lines,
        "order": object(rest.4), "context": object(rest.5),
    })
}

/// A decimal of at most 16 and 4 digits in one spelling only; `None`: it is none, or below zero.
fn decimal(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_zero = text.bytes().all(|byte| matches!(byte, b'-' | b'0' | b'.'));
    let whole = if is_zero { whole.trim_start_matches('-') } else { whole };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (short, exact) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let fits = digits(whole) && digits(fraction) && short.len() <= 16 && exact.len() <= 4;
    let units: u128 = fits.then(|| format!("{short}{exact:0<4}").parse().ok()).flatten()?;
    Some(plain(units))
}

fn units(decimal: &str) -> u128 {
    decimal.parse().unwrap()
}

/// A number of units of 0.0001.
fn plain(units: u128) -> String {
    units.to_string()
}

/// JSON with numbers in one spelling, because PostgreSQL writes them in its own.
fn numbers(value: &Value) -> Value {
    match value {
        // PostgreSQL knows no zero below zero.
        Value::Number(number) => json!(format!("{:e}", number.as_f64().unwrap_or(f64::NAN) + 0.0)),
        Value::Array(items) => Value::Array(items.iter().map(numbers).collect()),
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> =
                fields.iter().map(|(name, value)| (name.clone(), numbers(value))).collect();
            Value::Object(fields.into_iter().collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}
