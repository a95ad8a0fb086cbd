//! What shops post, and its way to checked facts.

mod details;
mod lines;

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use domain::amount::Amount;
use domain::sale::{self, BuyerType, Currency, OrderKind, SaleLine, SourceType};
use domain::text;
use serde::Deserialize;
use serde_json::{Map, Value};
use store::events::Details;
use utoipa::ToSchema;
use uuid::Uuid;

use self::details::BuyerRequest;
use self::lines::LineRequest;
use crate::json::{Object, read_list, read_object};
use crate::problem::Problem;

/// Most events of one request.
pub(crate) const EVENTS_MAX: usize = 1_000;

/// One sale, as the shop reports it. Decimals are texts, because JSON numbers lose digits.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaleRequest {
    /// The kind of event.
    #[serde(rename = "type")]
    #[schema(inline)]
    kind: EventType,
    /// Which shop reports it. With `id` it names the event for ever.
    #[schema(example = "shop-eu", max_length = 200)]
    source: String,
    /// What the shop calls the event. Posting it again is safe.
    #[schema(example = "order-1001", max_length = 200)]
    id: String,
    /// The credited seller; or use `member_external_id`. Need not be enrolled yet.
    #[schema(example = "01920000-0000-7000-8000-000000000001")]
    member_id: Option<Uuid>,
    /// The credited seller by the company's own id, in place of `member_id`.
    #[schema(example = "17850", max_length = 200)]
    member_external_id: Option<String>,
    /// Commissionable value: after discounts, without tax and shipping. Up to 16 digits before
    /// the point and 4 after.
    #[schema(value_type = String, example = "199.90",
             pattern = r"^(0*[0-9]{1,16}(\.[0-9]{1,4}0*)?|-0+(\.0+)?)$")]
    amount: Amount,
    /// ISO 4217 code of `amount`.
    #[schema(example = "EUR", pattern = "^[A-Z]{3}$")]
    currency: String,
    /// Points. When absent: what the lines' volumes sum up to, or `amount` without lines.
    #[schema(value_type = Option<String>, example = "150",
             pattern = r"^(0*[0-9]{1,16}(\.[0-9]{1,4}0*)?|-0+(\.0+)?)$")]
    volume: Option<Amount>,
    /// What was sold: `PRODUCT` (when absent) or `INVESTMENT`.
    #[schema(value_type = Option<String>, example = "PRODUCT", pattern = "^(PRODUCT|INVESTMENT)$")]
    source_type: Option<SourceType>,
    /// The product, for rules that ask for it.
    #[schema(example = "SKU-7", max_length = 200)]
    product_id: Option<String>,
    /// Why it was ordered: `STANDARD` (when absent), `ENROLMENT` or `SUBSCRIPTION`.
    #[schema(value_type = Option<String>, example = "STANDARD",
             pattern = "^(STANDARD|ENROLMENT|SUBSCRIPTION)$")]
    order_kind: Option<OrderKind>,
    /// The market, for rules that ask for it.
    #[schema(example = "CZ", max_length = 200)]
    market: Option<String>,
    /// Who bought.
    #[schema(value_type = Option<BuyerRequest>)]
    buyer: Option<Object<BuyerRequest>>,
    /// The order's positions, at most 500; each selects its rules by itself. They sum up to `amount`
    /// and `volume`.
    #[schema(value_type = Option<Vec<LineRequest>>, max_items = 500)]
    lines: Option<Vec<Object<LineRequest>>>,
    /// Whatever is to be kept about the order: at most 16 KiB and 16 levels. Never priced or
    /// compared; can be erased.
    #[schema(value_type = Option<Object>)]
    order: Option<Map<String, Value>>,
    /// Whatever else is to be kept, with the same limits.
    #[schema(value_type = Option<Object>)]
    context: Option<Map<String, Value>>,
    /// When the sale happened: RFC 3339, at most 5 minutes ahead.
    #[schema(value_type = String, format = DateTime, example = "2026-11-03T10:15:00Z")]
    occurred_at: String,
}

/// The kinds of event.
#[derive(Debug, Deserialize, ToSchema)]
enum EventType {
    /// Something was sold.
    #[serde(rename = "SALE")]
    Sale,
}

/// A sale whose every field is checked but those that need the database: member and moment.
#[derive(Clone, Debug)]
pub(crate) struct CheckedSale {
    pub(crate) event_id: Uuid,
    pub(crate) source: String,
    pub(crate) external_id: String,
    pub(crate) member: MemberName,
    pub(crate) amount: Amount,
    pub(crate) volume: Amount,
    pub(crate) currency: Currency,
    pub(crate) source_type: SourceType,
    pub(crate) product_id: Option<String>,
    pub(crate) order_kind: OrderKind,
    pub(crate) market: Option<String>,
    pub(crate) buyer_type: Option<BuyerType>,
    pub(crate) lines: Vec<SaleLine>,
    pub(crate) details: Details,
    pub(crate) occurred_at: DateTime<Utc>,
    /// The event's place in the request, as a JSON pointer.
    pub(crate) pointer: String,
}

/// How a request names a member.
#[derive(Clone, Debug)]
pub(crate) enum MemberName {
    Id(Uuid),
    ExternalId(String),
}

/// The events of a request's body, and whether it was a list.
pub(crate) fn read(body: &Bytes) -> Result<(Vec<CheckedSale>, bool), Problem> {
    let is_list = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if !is_list {
        let sale: SaleRequest = read_object(body)?;
        return Ok((vec![sale.check(String::new())?], false));
    }
    let sales: Vec<SaleRequest> = read_list(body)?;
    if sales.is_empty() || sales.len() > EVENTS_MAX {
        let count = sales.len();
        return Err(Problem::invalid("", format!("send 1 to {EVENTS_MAX} events, not {count}")));
    }
    let check = |(place, sale): (usize, SaleRequest)| sale.check(format!("/{place}"));
    Ok((sales.into_iter().enumerate().map(check).collect::<Result<_, _>>()?, true))
}

impl SaleRequest {
    fn check(self, pointer: String) -> Result<CheckedSale, Problem> {
        let at = |field: &str| format!("{pointer}/{field}");
        let text = |field: &str, value: &str| check_text(&pointer, field, value);
        let EventType::Sale = self.kind;
        text("source", &self.source)?;
        text("id", &self.id)?;
        let member = match (self.member_id, self.member_external_id) {
            (Some(id), None) => MemberName::Id(id),
            (None, Some(external_id)) => {
                text("member_external_id", &external_id)?;
                MemberName::ExternalId(external_id)
            }
            _ => {
                let detail = "name the seller by member_id or by member_external_id, one of them";
                return Err(Problem::invalid(at("member_id"), detail));
            }
        };
        for (field, value) in [("amount", Some(self.amount)), ("volume", self.volume)] {
            if value.is_some_and(|value| value < Amount::ZERO) {
                return Err(Problem::invalid(at(field), format!("{field} must not be negative")));
            }
        }
        let lines = self.lines.unwrap_or_default();
        let (lines, volume) = lines::check(lines, self.amount, self.volume, &pointer)?;
        if self.amount.is_zero() && volume.is_zero() {
            let detail = "amount and volume must not both be zero";
            return Err(Problem::invalid(at("amount"), detail));
        }
        let currency: Currency = self
            .currency
            .parse()
            .map_err(|error| Problem::invalid(at("currency"), format!("currency {error}")))?;
        if let Some(product_id) = &self.product_id {
            text("product_id", product_id)?;
        }
        if let Some(market) = &self.market {
            text("market", market)?;
        }
        let (buyer_type, details) = details::check(self.buyer, self.order, self.context, &pointer)?;
        Ok(CheckedSale {
            event_id: sale::event_id(&self.source, &self.id),
            source: self.source,
            external_id: self.id,
            member,
            amount: self.amount,
            volume,
            currency,
            source_type: self.source_type.unwrap_or_default(),
            product_id: self.product_id,
            order_kind: self.order_kind.unwrap_or_default(),
            market: self.market,
            buyer_type,
            lines,
            details,
            occurred_at: instant(&self.occurred_at).map_err(|detail| {
                Problem::invalid(at("occurred_at"), format!("occurred_at {detail}"))
            })?,
            pointer,
        })
    }
}

/// Checks a name or identifier; `at` points to what the field belongs to.
fn check_text(at: &str, field: &str, value: &str) -> Result<(), Problem> {
    text::check(value)
        .map_err(|error| Problem::invalid(format!("{at}/{field}"), format!("{field} {error}")))
}

/// Reads an instant to the microsecond, which is what PostgreSQL keeps: later comparisons are with
/// what is stored.
pub(crate) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        .and_then(|instant| DateTime::from_timestamp_micros(instant.timestamp_micros()))
        .ok_or_else(|| "must be an instant such as 2026-11-03T10:15:00Z (RFC 3339)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALE: &str = r#"{"type":"SALE","source":"shop-eu","id":"order-1001",
        "member_id":"01920000-0000-7000-8000-000000000001","amount":"199.90","currency":"EUR",
        "occurred_at":"2026-11-03T10:15:00Z"}"#;

    fn refused(from: &str, to: &str) -> serde_json::Value {
        assert!(SALE.contains(from), "{from}");
        let body = Bytes::from(SALE.replacen(from, to, 1));
        serde_json::to_value(read(&body).unwrap_err()).unwrap()
    }

    #[test]
    fn what_is_left_out_has_the_documented_defaults() {
        let (sales, is_list) = read(&Bytes::from(SALE)).unwrap();
        assert!(!is_list);
        assert_eq!(sales[0].volume, sales[0].amount);
        assert_eq!(sales[0].source_type, SourceType::Product);
        assert_eq!(sales[0].event_id, sale::event_id("shop-eu", "order-1001"));
    }

    #[test]
    fn every_kind_of_bad_field_is_named_by_a_pointer() {
        for (from, to, pointer, detail) in [
            ("\"199.90\"", "199.90", "/amount", "in quotes"),
            ("\"199.90\"", "\"-1\"", "/amount", "must not be negative"),
            ("\"199.90\"", "\"0\"", "/amount", "both be zero"),
            ("\"199.90\"", "\"1.00001\"", "/amount", "at most 4 digits after"),
            (
                "\"199.90\"",
                "\"123456789012345678901234567890\"",
                "/amount",
                "at most 16 digits before",
            ),
            ("\"199.90\"", "\"NaN\"", "/amount", "must be a decimal"),
            ("\"EUR\"", "\"eur\"", "/currency", "three capital letters"),
            ("shop-eu", "", "/source", "must not be empty"),
            ("order-1001", "a\\u0000b", "/id", "control characters"),
            ("2026-11-03T10:15:00Z", "yesterday", "/occurred_at", "RFC 3339"),
            ("\"type\":\"SALE\"", "\"type\":\"GIFT\"", "/type", "unknown variant"),
            ("\"currency\"", "\"colour\":1,\"currency\"", "/colour", "unknown field"),
            ("01920000-0000-7000-8000-000000000001", "nobody", "/member_id", "invalid"),
            (
                "\"member_id\"",
                "\"member_external_id\":\"x\",\"member_id\"",
                "/member_id",
                "one of them",
            ),
        ] {
            let problem = refused(from, to);
            assert_eq!(problem["status"], 422, "{to}: {problem}");
            assert_eq!(problem["pointer"], pointer, "{to}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains(detail), "{to}: {problem}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_from_what_does_not_fit() {
        assert_eq!(refused("00Z\"}", "00Z\"")["status"], 400);
        assert_eq!(refused("00Z\"}", "00Z\"} x")["status"], 400);
        assert_eq!(refused("{", "{\"id\":\"twice\",")["status"], 422, "duplicate keys");
    }

    #[test]
    fn a_list_has_one_to_a_thousand_events() {
        let list = |count| Bytes::from(format!("[{}]", vec![SALE; count].join(",")));
        assert_eq!(read(&list(1000)).unwrap().0.len(), 1000);
        assert_eq!(read(&list(0)).unwrap_err().status(), 422);
        assert_eq!(read(&list(1001)).unwrap_err().status(), 422);
        let bad = Bytes::from(format!("[{SALE},{}]", SALE.replace("\"199.90\"", "5")));
        let problem = serde_json::to_value(read(&bad).unwrap_err()).unwrap();
        assert_eq!(problem["pointer"], "/1/amount");
    }
}
