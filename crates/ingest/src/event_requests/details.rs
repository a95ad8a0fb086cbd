//! What a sale may say besides what is priced: who bought, and objects to be kept.

use domain::sale::BuyerType;
use serde::Deserialize;
use serde_json::{Map, Value};
use store::events::Details;
use utoipa::ToSchema;

use super::check_text;
use crate::json::Object;
use crate::problem::Problem;

/// Most bytes of a kept object, written as compact JSON.
const OBJECT_BYTES_MAX: usize = 16 << 10;
/// Most levels of a kept object: itself, an object or list inside it, and so on.
const OBJECT_DEPTH_MAX: u32 = 16;

/// Who bought.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuyerRequest {
    /// `MEMBER` of the programme, or `CUSTOMER` from outside.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "CUSTOMER", pattern = "^(MEMBER|CUSTOMER)$")]
    kind: BuyerType,
    /// The buyer by the shop's own id. Kept, never compared; can be erased.
    #[schema(example = "C-17", max_length = 200)]
    id: Option<String>,
}

/// The buyer's type, which is a fact, and what is only kept. `pointer` is the sale's place in the
/// request.
pub(super) fn check(
    buyer: Option<Object<BuyerRequest>>,
    order: Option<Map<String, Value>>,
    context: Option<Map<String, Value>>,
    pointer: &str,
) -> Result<(Option<BuyerType>, Details), Problem> {
    let (buyer_type, buyer_id) = match buyer {
        Some(Object(buyer)) => (Some(buyer.kind), buyer.id),
        None => (None, None),
    };
    if let Some(id) = &buyer_id {
        check_text(&format!("{pointer}/buyer"), "id", id)?;
    }
    let kept = |object: Option<Map<String, Value>>, field: &str| {
        let text = object.map(as_text).transpose();
        text.map_err(|what| {
            Problem::invalid(format!("{pointer}/{field}"), format!("{field} {what}"))
        })
    };
    let order = kept(order, "order")?;
    Ok((buyer_type, Details { buyer_id, order, context: kept(context, "context")? }))
}

/// The object as compact JSON, or why it cannot be kept.
fn as_text(object: Map<String, Value>) -> Result<String, String> {
    let object = Value::Object(object);
    check_content(&object, 0)?;
    let text = object.to_string();
    if text.len() > OBJECT_BYTES_MAX {
        return Err(format!("must have at most {OBJECT_BYTES_MAX} bytes, not {}", text.len()));
    }
    Ok(text)
}

fn check_content(value: &Value, above: u32) -> Result<(), String> {
    let is_nested = matches!(value, Value::Object(_) | Value::Array(_));
    if is_nested && above == OBJECT_DEPTH_MAX {
        return Err(format!("must be nested at most {OBJECT_DEPTH_MAX} levels deep"));
    }
    // PostgreSQL does not store a NUL, not even spelt as \u0000.
    let check_nul = |text: &str| {
        let nul = text.contains('\0').then(|| "must not contain the character U+0000".to_owned());
        nul.map_or(Ok(()), Err)
    };
    match value {
        Value::String(text) => check_nul(text),
        Value::Array(values) => values.iter().try_for_each(|value| check_content(value, above + 1)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| {
            check_nul(name)?;
            check_content(value, above + 1)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kept(value: Value) -> Result<Option<String>, Value> {
        let Value::Object(object) = value else { unreachable!("an object") };
        check(None, Some(object), None, "/3")
            .map(|(_, details)| details.order)
            .map_err(|problem| serde_json::to_value(problem).unwrap())
    }

    fn nested(levels: u32) -> Value {
        (1..levels).fold(json!({}), |inside, _| json!({ "a": inside }))
    }

    #[test]
    fn objects_are_kept_as_they_are_within_limits() {
        for fine in [json!({}), json!({"a": [1, 2.5, "ž", null, {"b": true}]}), nested(16)] {
            let text = kept(fine.clone()).unwrap().unwrap();
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), fine);
        }
        // The quotes, the braces, the name and the colon take 8 bytes.
        let long = |bytes: usize| json!({"a": "x".repeat(bytes - 8)});
        assert!(kept(long(16 * 1024)).is_ok());
        for (bad, detail) in [
            (long(16 * 1024 + 1), "at most 16384 bytes"),
            (nested(17), "16 levels"),
            (json!({"a": [{"b": "x\u{0}"}]}), "U+0000"),
            (json!({"a\u{0}": 1}), "U+0000"),
        ] {
            let problem = kept(bad).unwrap_err();
            assert_eq!(
                (&problem["status"], &problem["pointer"]),
                (&json!(422), &json!("/3/order"))
            );
            assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        }
    }
}
