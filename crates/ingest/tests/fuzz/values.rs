//! Values by their schemas: valid ones mostly, at borders often, then spoilt.

use serde_json::{Map, Value, json};
use store::testing::fuzz::{Chance, NASTY};

use crate::document::Document;

/// Ids that mean something in the database under test.
pub(crate) struct Known {
    pub(crate) members: Vec<String>,
    pub(crate) events: Vec<String>,
    pub(crate) texts: Vec<String>,
}

/// A value that mostly fits its schema. `name` is what the property is called.
pub(crate) fn fitting(
    chance: &mut Chance,
    document: &Document,
    known: &Known,
    schema: &Value,
    name: &str,
) -> Value {
    let schema = document.resolve(schema);
    for choice in ["oneOf", "anyOf"] {
        if let Some(several) = schema[choice].as_array() {
            return fitting(chance, document, known, chance.clone().of(several), name);
        }
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let parts = parts.iter().map(|part| fitting(chance, document, known, part, name));
        let fields = parts.filter_map(|part| part.as_object().cloned()).flatten();
        return Value::Object(fields.collect());
    }
    if let Some(several) = schema["enum"].as_array() {
        return chance.of(several).clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => chance.of(kinds).as_str().unwrap_or("string").to_owned(),
        kind => kind.as_str().unwrap_or("object").to_owned(),
    };
    match kind.as_str() {
        "null" => Value::Null,
        "boolean" => json!(chance.once_in(2)),
        "integer" => integer(chance, schema),
        "array" => {
            let longest = if chance.once_in(20) { 40 } else { 4 };
            let count = chance.below(longest);
            let item = |_| fitting(chance, document, known, &schema["items"], name);
            Value::Array((0..count).map(item).collect())
        }
        "object" => object(chance, document, known, schema),
        _ => json!(text(chance, known, schema, name)),
    }
}

fn object(chance: &mut Chance, document: &Document, known: &Known, schema: &Value) -> Value {
    let Some(properties) = schema["properties"].as_object() else {
        return kept(chance, 0);
    };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut fields = Map::new();
    // A sale names its seller in one way or the other.
    let by_external_id = chance.once_in(3);
    for (name, property) in properties {
        let is_named_otherwise = (name == "member_id" && by_external_id)
            || (name == "member_external_id" && !by_external_id);
        let is_wanted = required.contains(&name.as_str()) || name == "member_id";
        // Lines must add up, which random ones never do.
        let odds = if name == "lines" { 10 } else { 3 };
        if !is_named_otherwise && (is_wanted || chance.once_in(odds)) {
            fields.insert(name.clone(), fitting(chance, document, known, property, name));
        }
    }
    Value::Object(fields)
}

/// An object that a shop wants kept.
fn kept(chance: &mut Chance, depth: usize) -> Value {
    match chance.below(if depth > 4 { 4 } else { 7 }) {
        0 if depth > 0 => json!(chance.number()),
        1 if depth > 0 => json!(*chance.of(&NASTY)),
        2 if depth > 0 => json!(-1.5e-7),
        3 if depth > 0 => Value::Null,
        4 if depth > 0 => Value::Array((0..3).map(|_| kept(chance, depth + 1)).collect()),
        _ => {
            let count = if depth > 4 { 0 } else { chance.below(3) };
            (0..count).map(|at| (format!("k{at}"), kept(chance, depth + 1))).collect()
        }
    }
}

fn integer(chance: &mut Chance, schema: &Value) -> Value {
    let low = schema["minimum"].as_i64().unwrap_or(0);
    let high = schema["maximum"].as_i64().unwrap_or(if low > 0 { 100 } else { 1_000_000 });
    match chance.below(6) {
        0 => json!(low),
        1 => json!(high),
        2 => json!(low.saturating_sub(1)),
        3 => json!(high.saturating_add(1)),
        4 => json!(i64::MAX),
        _ => json!(low + i64::try_from(chance.below(50)).unwrap_or(0)),
    }
}

fn text(chance: &mut Chance, known: &Known, schema: &Value, name: &str) -> String {
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    let example = schema["example"].as_str().map(str::to_owned);
    match schema["format"].as_str() {
        Some("uuid") => return id(chance, known),
        Some("date-time") => return moment(chance),
        _ => {}
    }
    if let Some(words) = pattern.strip_prefix("^(").and_then(|rest| rest.strip_suffix(")$"))
        && words.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'|')
    {
        let words: Vec<&str> = words.split('|').collect();
        return (*chance.of(&words)).to_owned();
    }
    if pattern.starts_with("^(0*") {
        return decimal(chance);
    }
    if pattern == "^[A-Z]{3}$" {
        return (*chance.of(&["EUR", "CZK", "USD", "XXX"])).to_owned();
    }
    match (chance.below(8), example, schema["maxLength"].as_u64()) {
        (0, _, Some(longest)) => "ž".repeat(usize::try_from(longest).unwrap()),
        (1, _, Some(longest)) => "ž".repeat(usize::try_from(longest).unwrap() + 1),
        (2 | 3, Some(example), _) => example,
        (4, _, _) => (*chance.of(&NASTY)).to_owned(),
        (5, _, _) if name == "after" => format!("{}.{}", chance.below(9), id(chance, known)),
        (6, _, _) if !known.texts.is_empty() => chance.of(&known.texts).clone(),
        _ if name == "rank" => (*chance.of(&["MEMBER", "SILVER", "GOLD", "NONE"])).to_owned(),
        _ => format!("{name}-{}", chance.below(1 << 20)),
    }
}

fn id(chance: &mut Chance, known: &Known) -> String {
    match chance.below(8) {
        0 => uuid(chance),
        1 => "00000000-0000-0000-0000-000000000000".to_owned(),
        2 => (*chance.of(&NASTY)).to_owned(),
        3 => chance.of(&known.events).clone(),
        _ => chance.of(&known.members).clone(),
    }
}

/// An id of nobody.
pub(crate) fn uuid(chance: &mut Chance) -> String {
    let (high, low) = (chance.number(), chance.number());
    uuid::Uuid::from_u64_pair(high, low).to_string()
}

fn moment(chance: &mut Chance) -> String {
    let year = chance.of(&["2026", "2026", "2026", "2025", "2000", "0000", "0001", "9999", "1969"]);
    let month = chance.within(1..13);
    let day = if chance.once_in(10) { 31 } else { chance.within(1..29) };
    let end = chance.of(&["Z", "Z", ".123456789Z", "+14:00", "-12:00", "+99:99", "", " "]);
    format!("{year}-{month:02}-{day:02}T{:02}:30:59{end}", chance.below(24))
}

fn decimal(chance: &mut Chance) -> String {
    let several = [
        "0",
        "1",
        "199.90",
        "0.0001",
        "9999999999999999.9999",
        "10000000000000000",
        "-1",
        "-0",
        "007.5",
        "1.00000000",
        "1.00001",
        "1e3",
        ".5",
        "5.",
        "100",
        "70.00",
        "30.00",
        "+1",
        "٣",
    ];
    (*chance.of(&several)).to_owned()
}

/// Spoils a value in one place.
pub(crate) fn spoil(chance: &mut Chance, value: &mut Value) {
    // Down into a random part, or here.
    if chance.below(3) > 0 {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let at = chance.below(fields.len());
                return spoil(chance, fields.values_mut().nth(at).unwrap());
            }
            Value::Array(items) if !items.is_empty() => {
                let at = chance.below(items.len());
                return spoil(chance, &mut items[at]);
            }
            _ => {}
        }
    }
    match (chance.below(14), &mut *value) {
        (0..=2, Value::Object(fields)) if !fields.is_empty() => {
            let name = fields.keys().nth(chance.below(fields.len())).cloned().unwrap();
            fields.remove(&name);
        }
        (3 | 4, Value::Object(fields)) => {
            fields.insert((*chance.of(&NASTY)).to_owned(), json!(1));
        }
        (5, _) => *value = Value::Null,
        (6, _) => *value = json!(*chance.of(&NASTY)),
        (7, _) => *value = json!("x".repeat(*chance.of(&[201, 5_000, 300_000]))),
        (8, _) => *value = json!([value.clone(), value.clone()]),
        (9, _) => {
            let depth = *chance.of(&[10, 100, 120, 127]);
            *value = (0..depth).fold(value.clone(), |inside, _| json!([inside]));
        }
        (10, Value::String(text)) => {
            *value = text.parse::<f64>().map_or_else(|_| json!(7), |number| json!(number));
        }
        (10, Value::Number(number)) => *value = json!(number.to_string()),
        (11, _) => *value = json!(*chance.of(&[i64::MIN, -1, 0, i64::MAX])),
        (12, _) => *value = json!(*chance.of(&[f64::MAX, 0.1, -0.0])),
        (13, _) => *value = json!(chance.once_in(2)),
        (_, Value::String(text)) => {
            let piece = chance.of(&NASTY);
            text.push_str(piece);
        }
        _ => *value = json!({"a": value.clone()}),
    }
}
