//! What Redis answers, entry by entry.

use redis::Value;
use uuid::Uuid;

use super::{Entry, FIELD};

/// The entries of a reply about one stream: `[[key, entries]]`, or nothing after a wait in vain.
pub(super) fn entries_of_only_stream(reply: &Value) -> Option<&Value> {
    match reply {
        Value::Array(streams) => match streams.first() {
            Some(Value::Array(pair)) => pair.get(1),
            _ => None,
        },
        Value::Map(streams) => streams.first().map(|(_, entries)| entries),
        _ => None,
    }
}

/// Entry by entry: one that cannot be read must not hide the others.
pub(super) fn decode_entries(entries: &Value) -> Vec<Entry> {
    let Value::Array(entries) = entries else { return Vec::new() };
    let decode = |entry: &Value| match decode_entry(entry) {
        Some((id, fields)) => {
            let named = fields.iter().find(|(name, _)| name == FIELD);
            let event_id = named.and_then(|(_, value)| Uuid::parse_str(value).ok());
            Some(Entry { id, event_id })
        }
        // An entry that was deleted while pending has an id and no fields.
        None => match entry {
            Value::Array(pair) => {
                pair.first().and_then(text).map(|id| Entry { id, event_id: None })
            }
            _ => None,
        },
    };
    entries.iter().filter_map(decode).collect()
}

pub(super) fn decode_entry(entry: &Value) -> Option<(String, Vec<(String, String)>)> {
    let Value::Array(pair) = entry else { return None };
    let id = text(pair.first()?)?;
    let Value::Array(flat) = pair.get(1)? else { return None };
    let (pairs, _) = flat.as_chunks::<2>();
    let fields = pairs.iter().filter_map(|[name, value]| Some((text(name)?, text(value)?)));
    Some((id, fields.collect()))
}

pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}
