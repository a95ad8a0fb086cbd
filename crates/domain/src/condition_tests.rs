use super::*;
use crate::condition::SaleView;
use crate::condition::Written;
use crate::ladder::Ladder;
use crate::settle::tests::{inputs, sale};

fn ladder() -> Ladder {
    Ladder::from_yaml("ranks: [MEMBER, SILVER, GOLD]").unwrap()
}

fn condition(json: &str) -> Condition {
    let written: Written = serde_json::from_str(json).unwrap();
    let condition = written.resolve(Scope::Sale, &ladder()).unwrap();
    let stored = serde_json::to_string(&condition).unwrap();
    let again: Condition = serde_json::from_str(&stored).unwrap();
    assert_eq!(again, condition, "what is stored reads the same");
    condition
}

/// Asked of a sale of 100 EUR by a SILVER seller who joined 30 days and an hour before.
fn holds(json: &str) -> bool {
    let mut sale = sale("100");
    sale.currency = "EUR".parse().unwrap();
    let mut inputs = inputs(&[]);
    inputs.seller.rank = Rank(1);
    inputs.seller.joined_at = Some(sale.as_of - chrono::TimeDelta::hours(30 * 24 + 1));
    let view = SaleView { sale: &sale, line: None, seller: &inputs.seller };
    condition(json).holds(&view)
}

fn compare(field: &str, op: &str, value: &str) -> bool {
    holds(&format!(r#"{{"field":"{field}","op":"{op}","value":{value}}}"#))
}

#[test]
fn every_operator_at_its_boundary() {
    let number = |op, value| compare("sale.amount", op, value);
    assert!(number("=", "\"100\"") && !number("=", "\"100.0001\""));
    assert!(number("!=", "\"99\"") && !number("!=", "\"100.0000\""));
    assert!(number("<", "\"100.0001\"") && !number("<", "\"100\""));
    assert!(number("<=", "\"100\"") && !number("<=", "\"99.9999\""));
    assert!(number(">", "\"99.9999\"") && !number(">", "\"100\""));
    assert!(number(">=", "\"100\"") && !number(">=", "\"100.0001\""));
    assert!(number("in", r#"["1","100"]"#) && !number("in", r#"["1"]"#));
    assert!(number("not_in", r#"["1"]"#) && !number("not_in", r#"["100"]"#));
    assert!(number("between", r#"["100","200"]"#) && number("between", r#"["1","100"]"#));
    assert!(!number("between", r#"["100.0001","200"]"#));
    assert!(!number("between", r#"["1","99.9999"]"#));
}

#[test]
fn ranks_compare_by_their_place_on_the_ladder() {
    let rank = |op, value| compare("seller.rank", op, value);
    assert!(rank("=", "\"SILVER\"") && !rank("=", "\"GOLD\""));
    assert!(rank("!=", "\"GOLD\"") && !rank("!=", "\"SILVER\""));
    assert!(rank(">=", "\"SILVER\"") && !rank(">=", "\"GOLD\""));
    assert!(rank(">", "\"MEMBER\"") && !rank(">", "\"SILVER\""));
    assert!(rank("<", "\"GOLD\"") && !rank("<", "\"SILVER\""));
    assert!(rank("<=", "\"SILVER\"") && !rank("<=", "\"MEMBER\""));
    assert!(rank("between", r#"["MEMBER","SILVER"]"#) && !rank("between", r#"["GOLD","GOLD"]"#));
    assert!(rank("in", r#"["GOLD","SILVER"]"#) && rank("not_in", r#"["GOLD"]"#));
}

#[test]
fn days_since_joining_are_whole_and_never_negative() {
    let days = |op, value| compare("seller.days_since_joining", op, value);
    assert!(days("=", "\"30\"") && days("<", "\"31\"") && !days("<", "\"30\""));
    let mut sale = sale("1");
    let mut inputs = inputs(&[]);
    inputs.seller.joined_at = Some(sale.as_of + chrono::TimeDelta::days(3));
    let zero = condition(r#"{"field":"seller.days_since_joining","op":"=","value":"0"}"#);
    assert!(zero.reads_joined_at());
    let view = SaleView { sale: &sale, line: None, seller: &inputs.seller };
    assert!(zero.holds(&view), "before joining");
    sale.as_of += chrono::TimeDelta::days(4) - chrono::TimeDelta::microseconds(1);
    let view = SaleView { sale: &sale, line: None, seller: &inputs.seller };
    assert!(zero.holds(&view), "a microsecond short of a day");
    sale.as_of += chrono::TimeDelta::microseconds(1);
    let view = SaleView { sale: &sale, line: None, seller: &inputs.seller };
    assert!(!zero.holds(&view));
}

#[test]
fn groups_and_absent_fields() {
    let eur = r#"{"field":"sale.currency","op":"=","value":"EUR"}"#;
    let czk = r#"{"field":"sale.currency","op":"=","value":"CZK"}"#;
    assert!(holds(&format!(r#"{{"any":[{czk},{eur}]}}"#)));
    assert!(!holds(&format!(r#"{{"all":[{czk},{eur}]}}"#)));
    assert!(holds(&format!(r#"{{"not":{czk}}}"#)));
    assert!(holds(r#"{"all":[]}"#) && !holds(r#"{"any":[]}"#));
    for field in ["sale.product_id", "sale.category", "sale.market"] {
        assert!(!compare(field, "=", "\"X\"") && !compare(field, "in", r#"["X"]"#));
        assert!(compare(field, "!=", "\"X\"") && compare(field, "not_in", r#"["X"]"#));
    }
    assert!(!compare("sale.quantity", ">=", "\"0\"") && compare("sale.quantity", "!=", "\"0\""));
}

fn named(name: &str) -> Field {
    *Field::ALL.iter().find(|field| field.name() == name).unwrap()
}

#[test]
fn every_field_of_a_sale_is_read() {
    let mut sale = sale("100");
    sale.volume = Amount::parse("80").unwrap();
    sale.market = Some("CZ".to_owned());
    sale.buyer_type = Some(crate::sale::BuyerType::Customer);
    sale.order_kind = crate::sale::OrderKind::Subscription;
    let line = crate::sale::SaleLine {
        id: "1".to_owned(),
        product_id: "SKU".to_owned(),
        category: Some("tea".to_owned()),
        quantity: Amount::parse("3").unwrap(),
        amount: Amount::parse("60").unwrap(),
        volume: Amount::parse("50").unwrap(),
    };
    let mut inputs = inputs(&[]);
    inputs.seller.joined_at = Some(sale.as_of - chrono::TimeDelta::days(2));
    let view = SaleView { sale: &sale, line: Some(&line), seller: &inputs.seller };
    let number = |text| Some(Value::Number(Amount::parse(text).unwrap()));
    for (field, value) in [
        ("sale.amount", number("100")),
        ("sale.volume", number("80")),
        ("sale.line_amount", number("60")),
        ("sale.line_volume", number("50")),
        ("sale.quantity", number("3")),
        ("sale.currency", Some(Value::Text("CZK"))),
        ("sale.source_type", Some(Value::Text("PRODUCT"))),
        ("sale.product_id", Some(Value::Text("SKU"))),
        ("sale.category", Some(Value::Text("tea"))),
        ("sale.order_kind", Some(Value::Text("SUBSCRIPTION"))),
        ("sale.market", Some(Value::Text("CZ"))),
        ("sale.buyer_type", Some(Value::Text("CUSTOMER"))),
        ("seller.status", Some(Value::Text("ACTIVE"))),
        ("seller.rank", Some(Value::Rank(Rank(0)))),
        ("seller.days_since_joining", number("2")),
    ] {
        assert_eq!(view.value(named(field)), value, "{field}");
    }
    assert_eq!(
        Field::ALL.iter().filter(|field| field.scope() == Scope::Sale).count(),
        15,
        "every field is in the list above"
    );
    let whole = SaleView { sale: &sale, line: None, seller: &inputs.seller };
    assert_eq!(whole.value(Field::SaleLineAmount), number("100"));
    assert_eq!(whole.value(Field::SaleLineVolume), number("80"));
}

#[test]
fn what_is_no_condition_says_why() {
    let refused = |json: &str| match serde_json::from_str::<Written>(json) {
        Err(error) => error.to_string(),
        Ok(written) => written.resolve(Scope::Sale, &ladder()).unwrap_err().to_string(),
    };
    assert!(refused(r#"{"field":"sale.colour","op":"=","value":"x"}"#).contains("known are"));
    let beneficiary = r#"{"field":"beneficiary.rank","op":"=","value":"GOLD"}"#;
    assert!(refused(beneficiary).contains("unknown field"), "a rule is chosen by the sale alone");
    assert!(refused(r#"{"field":"sale.currency","op":"<","value":"EUR"}"#).contains("not_in"));
    assert!(refused(r#"{"field":"sale.amount","op":"=","value":5}"#).contains("in quotes"));
    assert!(refused(r#"{"field":"sale.amount","op":"in","value":"5"}"#).contains("list"));
    assert!(refused(r#"{"field":"sale.amount","op":"=","value":["5"]}"#).contains("one value"));
    let twisted = r#"{"field":"sale.amount","op":"between","value":["5","4"]}"#;
    assert!(refused(twisted).contains("lower value first"));
    let same = r#"{"field":"sale.amount","op":"between","value":["5","5"]}"#;
    assert!(serde_json::from_str::<Written>(same).unwrap().resolve(Scope::Sale, &ladder()).is_ok());
    let ranks = r#"{"field":"seller.rank","op":"between","value":["GOLD","SILVER"]}"#;
    assert!(refused(ranks).contains("lower value first"));
    assert!(refused(r#"{"field":"seller.rank","op":"=","value":"PLATINUM"}"#).contains("ladder"));
    let placed = r#"{"field":"seller.rank","op":"=","value":{"name":"GOLD","place":0}}"#;
    assert!(refused(placed).contains("name of a rank"));
    assert!(refused(r#"{"field":"sale.currency","op":"=","value":"euro"}"#).contains("EUR"));
    for (field, needed) in [
        ("sale.source_type", "PRODUCT"),
        ("sale.order_kind", "ENROLMENT"),
        ("sale.buyer_type", "CUSTOMER"),
        ("seller.status", "SUSPENDED"),
    ] {
        let json = format!(r#"{{"field":"{field}","op":"=","value":"OTHER"}}"#);
        assert!(refused(&json).contains(needed), "{field}");
    }
    assert!(refused(r#"{"all":[],"any":[]}"#).contains("one of"));
    assert!(refused(r#"{"every":[]}"#).contains("unknown field"));
    let deep =
        |depth| format!("{}{}{}", r#"{"not":"#.repeat(depth), r#"{"all":[]}"#, "}".repeat(depth));
    assert!(refused(&deep(8)).contains("deep"));
    assert!(holds(&deep(6)));
    let long = |parts| format!(r#"{{"all":[{}]}}"#, vec![r#"{"all":[]}"#; parts].join(","));
    assert!(refused(&long(100)).contains("parts"));
    assert!(holds(&long(99)));
    let values = |count| {
        let list = vec!["\"5\""; count].join(",");
        format!(r#"{{"field":"sale.amount","op":"not_in","value":[{list}]}}"#)
    };
    assert!(
        refused(&values(0)).contains("1 to 1000") && refused(&values(1001)).contains("1 to 1000")
    );
    assert!(holds(&values(1000)));
}

#[test]
fn conditions_read_as_phrases() {
    let cases = [
        (
            r#"{"all": [{"field": "sale.currency", "op": "in", "value": ["CZK", "EUR"]},
                        {"any": [{"field": "sale.amount", "op": ">=", "value": "100"},
                                 {"field": "sale.volume", "op": "between", "value": ["1", "2"]}]}]}"#,
            "sale.currency in CZK, EUR and (sale.amount >= 100.0000 or sale.volume between 1.0000 \
             and 2.0000)",
        ),
        (
            r#"{"not": {"field": "sale.product_id", "op": "=", "value": "A"}}"#,
            "not (sale.product_id = A)",
        ),
        (r#"{"field": "seller.rank", "op": "<", "value": "GOLD"}"#, "seller.rank < GOLD"),
        (r#"{"all": []}"#, "always"),
        (r#"{"any": []}"#, "never"),
    ];
    for (json, expected) in cases {
        assert_eq!(condition(json).phrase(), expected);
    }
}

#[test]
fn why_a_condition_does_not_hold_is_said_with_the_values() {
    let (sale, inputs) = (sale("80"), inputs(&[]));
    let view = SaleView { sale: &sale, line: None, seller: &inputs.seller };
    let cases = [
        (
            r#"{"all": [{"field": "sale.currency", "op": "=", "value": "CZK"},
                        {"field": "sale.amount", "op": ">=", "value": "100"}]}"#,
            "sale.amount is 80.0000, not >= 100.0000",
        ),
        (
            r#"{"any": [{"field": "sale.currency", "op": "in", "value": ["EUR", "GBP"]},
                        {"field": "seller.rank", "op": ">", "value": "MEMBER"}]}"#,
            "sale.currency is CZK, not in EUR, GBP and seller.rank is MEMBER, not > MEMBER",
        ),
        (
            r#"{"field": "sale.market", "op": "=", "value": "CZ"}"#,
            "sale.market is not given, not = CZ",
        ),
        (
            r#"{"not": {"field": "sale.currency", "op": "=", "value": "CZK"}}"#,
            "sale.currency is CZK, so not (sale.currency = CZK) fails",
        ),
        (r#"{"any": []}"#, "it never holds"),
        (r#"{"all": []}"#, ""),
    ];
    for (json, expected) in cases {
        assert_eq!(condition(json).why_not(&view, &ladder()), expected);
    }
}
