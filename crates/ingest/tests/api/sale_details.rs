//! What a sale carries besides its totals: lines, order kind, market, buyer, kept objects.

use serde_json::{Value, json};
use store::database::Role;

use crate::client::{Api, sale, sale_with};

/// A change of a posted sale.
type Change = Box<dyn Fn(&mut Value)>;
/// One that needs nothing but the sale.
type PlainChange = fn(&mut Value);

/// A sale with everything that a sale can have, after a change.
fn full_sale(id: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut sale = sale(id);
    for (field, value) in [
        ("order_kind", json!("SUBSCRIPTION")),
        ("market", json!("CZ")),
        ("buyer", json!({"type": "CUSTOMER", "id": "C-17"})),
        (
            "lines",
            json!([
                {"id": "b", "product_id": "SKU-7", "category": "tea", "quantity": 2,
                 "amount": "159.90", "volume": "50"},
                {"id": "a", "product_id": "SKU-8", "quantity": "0.5", "amount": "40"},
            ]),
        ),
        ("order", json!({"coupon": "SPRING", "weights": [1, 2.5]})),
        ("context", json!({"ip": "192.0.2.1", "nested": {"žluť": null}})),
    ] {
        sale[field] = value;
    }
    change(&mut sale);
    sale
}

async fn show(api: &Api, id: &str) -> Value {
    let (status, event) = api.get(&format!("/v1/events?source=shop-eu&external_id={id}")).await;
    assert_eq!(status, 200, "{event}");
    event
}

/// Every row that sales consist of, as one value to compare.
async fn stored(api: &Api) -> String {
    let query = "select concat_ws(';', \
        (select string_agg(e::text, ';' order by id) from events e), \
        (select string_agg(l::text, ';' order by event_id, place) from event_lines l), \
        (select string_agg(d::text, ';' order by event_id) from event_details d))";
    sqlx::query_scalar(query).fetch_one(&api.world.owner).await.unwrap()
}

#[tokio::test]
async fn everything_that_a_sale_carries_is_stored_and_shown() {
    let api = Api::start().await;
    let posted = json!([full_sale("full", |_| ()), sale("plain")]);
    let (status, recorded) = api.post("/v1/events", &posted).await;
    assert_eq!(status, 202, "{recorded}");

    let event = show(&api, "full").await;
    assert_eq!(event["volume"], "90.0000", "the lines' volumes");
    assert_eq!((&event["order_kind"], &event["market"]), (&json!("SUBSCRIPTION"), &json!("CZ")));
    assert_eq!(event["buyer"], json!({"type": "CUSTOMER", "id": "C-17"}));
    assert_eq!(
        event["sale_lines"],
        json!([
            {"id": "b", "product_id": "SKU-7", "category": "tea", "quantity": "2.0000",
             "amount": "159.9000", "volume": "50.0000"},
            {"id": "a", "product_id": "SKU-8", "category": null, "quantity": "0.5000",
             "amount": "40.0000", "volume": "40.0000"},
        ])
    );
    assert_eq!(event["order"], posted[0]["order"]);
    assert_eq!(event["context"], posted[0]["context"]);
    assert_eq!(event["lines"], json!([]), "the ledger's");

    let plain = show(&api, "plain").await;
    assert_eq!(plain["order_kind"], "STANDARD");
    assert_eq!(plain["sale_lines"], json!([]));
    for absent in ["market", "buyer", "order", "context"] {
        assert_eq!(plain[absent], Value::Null, "{absent}");
    }
    // What a sale does not carry costs no row.
    assert_eq!(api.count("select count(distinct event_id) from event_lines").await, 1);
    assert_eq!(api.count("select count(*) from event_details").await, 1);
    assert_eq!(api.count("select sum(line_count)::bigint from events").await, 2);
}

#[tokio::test]
async fn a_repeat_with_the_same_facts_changes_nothing_whatever_is_kept_with_it() {
    let api = Api::start().await;
    assert_eq!(api.post("/v1/events", &full_sale("1", |_| ())).await.0, 202);
    let before = stored(&api).await;
    for same in [
        full_sale("1", |_| ()),
        full_sale("1", |sale| sale["lines"][0]["quantity"] = json!("2.00")),
        full_sale("1", |sale| sale["volume"] = json!("90")),
        full_sale("1", |sale| sale["lines"][1]["volume"] = json!("40.0")),
        full_sale("1", |sale| sale["context"] = json!({"ip": "192.0.2.2"})),
        full_sale("1", |sale| sale["order"] = json!(null)),
        full_sale("1", |sale| sale["buyer"]["id"] = json!("C-18")),
        full_sale("1", |sale| sale["buyer"] = json!({"type": "CUSTOMER"})),
    ] {
        let (status, again) = api.post("/v1/events", &same).await;
        assert_eq!((status, &again["status"]), (202, &json!("duplicate")), "{same}");
        assert_eq!(stored(&api).await, before, "{same}");
    }
    // Beside a new one, too.
    let mixed = json!([full_sale("1", |_| ()), full_sale("2", |_| ())]);
    assert_eq!(api.post("/v1/events", &mixed).await.0, 202);
    assert_eq!(api.count("select count(*) from event_lines").await, 4);
    assert_eq!(api.count("select count(*) from event_details").await, 2);
}

#[tokio::test]
async fn other_facts_are_a_conflict_that_names_the_line_and_field() {
    let api = Api::start().await;
    assert_eq!(api.post("/v1/events", &full_sale("1", |_| ())).await.0, 202);
    let before = stored(&api).await;
    let cases: [(PlainChange, &str, &str); 11] = [
        (|sale| sale["order_kind"] = json!(null), "/order_kind", "SUBSCRIPTION, not STANDARD"),
        (|sale| sale["market"] = json!("SK"), "/market", "CZ, not SK"),
        (|sale| sale["buyer"]["type"] = json!("MEMBER"), "/buyer/type", "CUSTOMER, not MEMBER"),
        (|sale| sale["buyer"] = json!(null), "/buyer/type", "CUSTOMER, not none"),
        (|sale| sale["lines"][0]["id"] = json!("c"), "/lines/0/id", "b, not c"),
        (|sale| sale["lines"][1]["product_id"] = json!("SKU-9"), "/lines/1/product_id", "SKU-8"),
        (|sale| sale["lines"][1]["category"] = json!("tea"), "/lines/1/category", "none, not tea"),
        (|sale| sale["lines"][0]["quantity"] = json!(3), "/lines/0/quantity", "2.0000, not 3.0000"),
        (
            |sale| {
                sale["lines"][0]["amount"] = json!("158.90");
                sale["lines"][1]["amount"] = json!("41");
                sale["lines"][1]["volume"] = json!("40");
            },
            "/lines/0/amount",
            "159.9000, not 158.9000",
        ),
        (
            |sale| {
                sale["lines"][0]["volume"] = json!("51");
                sale["lines"][1]["volume"] = json!("39");
            },
            "/lines/0/volume",
            "50.0000, not 51.0000",
        ),
        (
            |sale| {
                sale["volume"] = json!("90");
                sale["lines"] = json!([]);
            },
            "/lines",
            "2 lines, not 0",
        ),
    ];
    for (change, pointer, detail) in cases {
        let other = full_sale("1", change);
        let (status, problem) = api.post("/v1/events", &other).await;
        assert_eq!((status, &problem["pointer"]), (409, &json!(pointer)), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        let (status, problem) = api.post("/v1/events", &json!([sale("2"), other])).await;
        assert_eq!((status, &problem["pointer"]), (409, &json!(format!("/1{pointer}"))));
    }
    let within =
        json!([full_sale("3", |_| ()), full_sale("3", |sale| sale["market"] = json!("SK"))]);
    assert_eq!(api.post("/v1/events", &within).await.0, 409);
    assert_eq!(stored(&api).await, before);
}

#[tokio::test]
async fn bad_details_are_refused_with_their_field_and_nothing_is_written() {
    let api = Api::start().await;
    let deep = (0..16).fold(json!({}), |inside, _| json!({ "a": inside }));
    let set = |field: &'static str, value: Value| -> Change {
        Box::new(move |sale| sale[field] = value.clone())
    };
    let line = |field: &'static str, value: Value| -> Change {
        Box::new(move |sale| sale["lines"][1][field] = value.clone())
    };
    for (change, pointer) in [
        (set("order_kind", json!("GIFT")), "/order_kind"),
        (set("market", json!("")), "/market"),
        (set("market", json!(7)), "/market"),
        (set("buyer", json!({"type": "ROBOT"})), "/buyer/type"),
        (set("buyer", json!({"type": "MEMBER", "id": "a\u{0}b"})), "/buyer/id"),
        (set("buyer", json!({"type": "MEMBER", "name": "Jana"})), "/buyer/name"),
        (set("buyer", json!(["MEMBER", "C-17"])), "/buyer"),
        (set("order", json!([1])), "/order"),
        (set("order", json!("text")), "/order"),
        (set("context", json!({"a": "x".repeat(16 * 1024)})), "/context"),
        (set("context", deep), "/context"),
        (set("context", json!({"a": "\u{0}"})), "/context"),
        (set("lines", json!("none")), "/lines"),
        (set("amount", json!("199.91")), "/lines"),
        (set("volume", json!("91")), "/lines"),
        (line("quantity", json!("0")), "/lines/1/quantity"),
        (line("quantity", json!(1.5)), "/lines/1/quantity"),
        (line("amount", json!(40)), "/lines/1/amount"),
        (line("amount", json!("-40")), "/lines/1/amount"),
        (line("volume", json!("NaN")), "/lines/1/volume"),
        (line("id", json!("b")), "/lines/1/id"),
        (line("product_id", json!("")), "/lines/1/product_id"),
        (line("category", json!("x".repeat(201))), "/lines/1/category"),
        (line("colour", json!("red")), "/lines/1/colour"),
    ] {
        let bad = full_sale("bad", |sale| change(sale));
        let (status, problem) = api.post("/v1/events", &bad).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(pointer)), "{problem}");
        let list = json!([full_sale("1", |_| ()), sale("2"), sale("3"), bad]);
        let (status, problem) = api.post("/v1/events", &list).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(format!("/3{pointer}"))));
    }
    // A moment is checked in the transaction that would write them.
    let future = full_sale("1", |sale| sale["occurred_at"] = json!("2099-01-01T00:00:00Z"));
    assert_eq!(api.post("/v1/events", &future).await.0, 422);
    assert_eq!(stored(&api).await, "");
}

/// Personal data can be erased; the sale, its facts and its id stay.
#[tokio::test]
async fn an_erased_sale_is_still_the_same_sale() {
    let api = Api::start().await;
    assert_eq!(api.post("/v1/events", &full_sale("1", |_| ())).await.0, 202);
    let before = show(&api, "1").await;
    let ops = api.world.pool_as(Role::Ops);
    let erased = sqlx::query("delete from event_details").execute(&ops).await.unwrap();
    assert_eq!(erased.rows_affected(), 1);

    let (status, again) = api.post("/v1/events", &full_sale("1", |_| ())).await;
    assert_eq!((status, &again["status"]), (202, &json!("duplicate")));
    assert_eq!(api.count("select count(*) from event_details").await, 0, "it stays erased");
    let after = show(&api, "1").await;
    assert_eq!(after["buyer"], json!({"type": "CUSTOMER", "id": null}));
    assert_eq!((&after["order"], &after["context"]), (&Value::Null, &Value::Null));
    assert_eq!(after["sale_lines"], before["sale_lines"]);
}

/// As many lines as a sale can have, and objects as large as they can be.
#[tokio::test]
async fn the_largest_sale_is_taken_over_whole() {
    let api = Api::start().await;
    let line = |number: usize| {
        json!({"id": number.to_string(), "product_id": "x".repeat(200), "category": "ž".repeat(200),
               "quantity": number + 1, "amount": "1", "volume": "0.0001"})
    };
    let mut large = sale_with("1", "amount", json!("500"));
    large["lines"] = (0..500).map(line).collect();
    large["context"] = json!({"a": "x".repeat(16 * 1024 - 8)});
    let (status, answer) = api.post("/v1/events", &large).await;
    assert_eq!(status, 202, "{answer}");
    let event = show(&api, "1").await;
    assert_eq!(event["volume"], "0.0500");
    let lines = event["sale_lines"].as_array().unwrap();
    let ids: Vec<&str> = lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids, (0..500).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(event["context"], large["context"]);
}
