//! The lines of a sale, as shops post them.

use std::fmt;

use domain::amount::{Amount, sum};
use domain::sale::{LinesError, SaleLine, check_lines};
use serde::{Deserialize, Deserializer, de};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};

use super::check_text;
use crate::json::Object;
use crate::problem::Problem;

/// One position of an order.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LineRequest {
    /// The shop's name for the position, unique within the sale.
    #[schema(example = "1", max_length = 200)]
    id: String,
    /// The product.
    #[schema(example = "SKU-7", max_length = 200)]
    product_id: String,
    /// The kind of product, for rules that ask for it.
    #[schema(example = "tea", max_length = 200)]
    category: Option<String>,
    #[schema(schema_with = quantity_schema)]
    quantity: Quantity,
    /// The position's commissionable value. All lines' amounts sum up to the sale's.
    #[schema(value_type = String, example = "60.00",
             pattern = r"^(0*[0-9]{1,16}(\.[0-9]{1,4}0*)?|-0+(\.0+)?)$")]
    amount: Amount,
    /// The position's points; `amount` when absent. All lines' volumes sum up to the sale's.
    #[schema(value_type = Option<String>, example = "50",
             pattern = r"^(0*[0-9]{1,16}(\.[0-9]{1,4}0*)?|-0+(\.0+)?)$")]
    volume: Option<Amount>,
}

/// Whole numbers lose no digits, so they may be written as such.
#[derive(Clone, Copy, Debug)]
struct Quantity(Amount);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = deserializer.deserialize_any(DecimalOrWhole)?;
        Amount::parse(&text).map(Self).map_err(de::Error::custom)
    }
}

/// A decimal as text. That it is more than zero is checked apart.
const QUANTITY: &str = r"^0*[0-9]{1,16}(\.[0-9]{1,4}0*)?$";

fn quantity_schema() -> Schema {
    let form = |kind| ObjectBuilder::new().schema_type(kind);
    OneOfBuilder::new()
        .description(Some("How many, more than zero: a decimal text, or a whole number."))
        .item(form(Type::String).examples(["1.5"]).pattern(Some(QUANTITY)))
        .item(form(Type::Integer).examples([2]).minimum(Some(1)))
        .into()
}

struct DecimalOrWhole;

impl de::Visitor<'_> for DecimalOrWhole {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, or a decimal in quotes, such as \"1.5\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }
}

/// The sale's lines and its volume, which they give when the shop does not: without lines, it is the
/// amount. `pointer` is the sale's place in the request.
pub(super) fn check(
    requests: Vec<Object<LineRequest>>,
    amount: Amount,
    volume: Option<Amount>,
    pointer: &str,
) -> Result<(Vec<SaleLine>, Amount), Problem> {
    if requests.is_empty() {
        return Ok((Vec::new(), volume.unwrap_or(amount)));
    }
    let mut lines = Vec::with_capacity(requests.len());
    for (place, Object(request)) in requests.into_iter().enumerate() {
        let at = format!("{pointer}/lines/{place}");
        check_text(&at, "id", &request.id)?;
        check_text(&at, "product_id", &request.product_id)?;
        if let Some(category) = &request.category {
            check_text(&at, "category", category)?;
        }
        lines.push(SaleLine {
            id: request.id,
            product_id: request.product_id,
            category: request.category,
            quantity: request.quantity.0,
            amount: request.amount,
            volume: request.volume.unwrap_or(request.amount),
        });
    }
    let of_lines = || sum(lines.iter().map(|line| line.volume));
    // Where there is no sum, `check_lines` says so: it comes to this before it compares.
    let volume = volume.or_else(of_lines).unwrap_or_default();
    check_lines(&lines, amount, volume).map_err(|error| {
        let field = match &error {
            LinesError::TooMany | LinesError::TooLarge { .. } | LinesError::Sum { .. } => {
                String::new()
            }
            LinesError::Twice { place, .. } => format!("/{place}/id"),
            LinesError::NoQuantity { place } => format!("/{place}/quantity"),
            LinesError::Negative { place, field } => format!("/{place}/{field}"),
        };
        Problem::invalid(format!("{pointer}/lines{field}"), error)
    })?;
    Ok((lines, volume))
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use serde_json::{Value, json};

    use super::super::read;
    use super::*;

    /// A sale of 10 with two lines, after a change.
    fn sale(change: impl FnOnce(&mut Value)) -> Value {
        let mut sale = json!({
            "type": "SALE", "source": "shop-eu", "id": "order-1", "currency": "EUR",
            "member_id": "01920000-0000-7000-8000-000000000001", "amount": "10",
            "occurred_at": "2026-11-03T10:15:00Z",
            "lines": [
                {"id": "1", "product_id": "A", "quantity": 2, "amount": "6", "volume": "5"},
                {"id": "2", "product_id": "B", "category": "tea", "quantity": "0.5", "amount": "4"},
            ],
        });
        change(&mut sale);
        sale
    }

    fn body(json: &Value) -> Bytes {
        Bytes::from(json.to_string())
    }

    #[test]
    fn what_lines_leave_out_follows_from_what_they_say() {
        let (sales, _) = read(&body(&sale(|_| ()))).unwrap();
        let amount = |text| Amount::parse(text).unwrap();
        let lines = &sales[0].lines;
        assert_eq!((lines[0].quantity, lines[0].volume), (amount("2"), amount("5")));
        assert_eq!((lines[1].quantity, lines[1].volume), (amount("0.5"), amount("4")));
        assert_eq!(lines[1].category.as_deref(), Some("tea"));
        assert_eq!(sales[0].volume, amount("9"), "the sum of the lines");
        let (sales, _) = read(&body(&sale(|sale| sale["volume"] = json!("9.00")))).unwrap();
        assert_eq!(sales[0].volume, amount("9"));
        for none in [json!([]), json!(null)] {
            let (sales, _) = read(&body(&sale(|sale| sale["lines"] = none))).unwrap();
            assert_eq!((sales[0].lines.len(), sales[0].volume), (0, amount("10")));
        }
    }

    #[test]
    fn every_kind_of_bad_line_is_named_by_a_pointer() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str, &str); 19] = [
            (|sale| sale["lines"][1]["quantity"] = json!(0), "/lines/1/quantity", "more than zero"),
            (
                |sale| sale["lines"][1]["quantity"] = json!("-1"),
                "/lines/1/quantity",
                "more than zero",
            ),
            (
                |sale| sale["lines"][1]["quantity"] = json!(-1),
                "/lines/1/quantity",
                "more than zero",
            ),
            (|sale| sale["lines"][1]["quantity"] = json!(0.5), "/lines/1/quantity", "in quotes"),
            (
                |sale| sale["lines"][1]["quantity"] = json!(u64::MAX),
                "/lines/1/quantity",
                "16 digits before",
            ),
            (|sale| sale["lines"][1]["quantity"] = json!("many"), "/lines/1/quantity", "decimal"),
            (|sale| sale["lines"][0]["amount"] = json!(6), "/lines/0/amount", "in quotes"),
            (|sale| sale["lines"][0]["amount"] = json!("-6"), "/lines/0/amount", "negative"),
            (|sale| sale["lines"][0]["volume"] = json!("-5"), "/lines/0/volume", "negative"),
            (|sale| sale["lines"][0]["volume"] = json!("0.00001"), "/lines/0/volume", "4 digits"),
            (|sale| sale["lines"][1]["id"] = json!("1"), "/lines/1/id", "used twice"),
            (|sale| sale["lines"][1]["id"] = json!(" "), "/lines/1/id", "empty"),
            (
                |sale| sale["lines"][0]["product_id"] = json!("a\tb"),
                "/lines/0/product_id",
                "control",
            ),
            (|sale| sale["lines"][0]["category"] = json!(""), "/lines/0/category", "empty"),
            (|sale| sale["lines"][0]["colour"] = json!("red"), "/lines/0/colour", "unknown field"),
            (|sale| sale["lines"][0] = json!(["1", "A", null, 1, "6"]), "/lines/0", "not a list"),
            (|sale| sale["lines"] = json!({}), "/lines", "sequence"),
            (|sale| sale["amount"] = json!("11"), "/lines", "sums up to 10.0000, the sale's is 11"),
            (|sale| sale["volume"] = json!("10"), "/lines", "volume sums up to 9.0000"),
        ];
        for (change, pointer, detail) in cases {
            let bad = sale(change);
            // Alone, and within a list.
            for (body, at) in [(body(&bad), ""), (body(&json!([sale(|_| ()), bad])), "/1")] {
                let problem = serde_json::to_value(read(&body).unwrap_err()).unwrap();
                assert_eq!(problem["status"], 422, "{problem}");
                assert_eq!(problem["pointer"], format!("{at}{pointer}"), "{problem}");
                assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
            }
        }
    }

    #[test]
    fn a_sale_has_at_most_five_hundred_lines() {
        let with = |count: usize| {
            let line =
                |n| json!({"id": format!("{n}"), "product_id": "A", "quantity": 1, "amount": "1"});
            sale(|sale| {
                sale["amount"] = json!(count.to_string());
                sale["lines"] = (0..count).map(line).collect();
            })
        };
        assert_eq!(read(&body(&with(500))).unwrap().0[0].lines.len(), 500);
        let problem = serde_json::to_value(read(&body(&with(501))).unwrap_err()).unwrap();
        assert_eq!((&problem["status"], &problem["pointer"]), (&json!(422), &json!("/lines")));
        let huge = sale(|sale| {
            sale["amount"] = json!("0");
            sale["lines"][0]["amount"] = json!("9999999999999999");
            sale["lines"][1]["amount"] = json!("9999999999999999");
        });
        let problem = serde_json::to_value(read(&body(&huge)).unwrap_err()).unwrap();
        assert_eq!(problem["pointer"], "/lines", "{problem}");
    }
}
