//! Explanations and statements: who got what for a sale, and what a member's period consists of.

use serde_json::{Value, json};

use crate::client::{Api, member, sale, sale_with};

const PLAN: &str = r#"
plan: retail
version: "1"
valid_from: 2026-01-01
rules:
  - id: base
    component: base
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "3.00", career_points_percentage: "10.00"}
        - {level: 2, percentage: "1.50"}
"#;

/// Two sales of the lowest of a chain of two; a third one cannot be settled.
async fn settled() -> Api {
    let api = Api::start().await;
    api.world.plan(PLAN).await;
    let sponsor = json!({"id": member(2), "external_id": "M-2", "name": "Petr"});
    assert_eq!(api.post("/v1/members", &sponsor).await.0, 201);
    api.enrol(1, Some(2)).await;
    let lines = json!([
        {"id": "1", "product_id": "SKU-7", "category": "tea", "quantity": 2, "amount": "99.90"},
        {"id": "2", "product_id": "SKU-9", "quantity": "1", "amount": "100.00"},
    ]);
    let sales = json!([sale("1"), sale_with("2", "lines", lines)]);
    assert_eq!(api.post("/v1/events", &sales).await.0, 202);
    let worker = api.world.worker(&[]);
    api.world.wait_until_settled().await;
    assert!(worker.stop().success());
    assert_eq!(api.post("/v1/events", &sale("waiting")).await.0, 202);
    api
}

#[tokio::test]
async fn l9_an_event_is_explained_when_asked() {
    let api = settled().await;
    let (_, plain) = api.get("/v1/events?source=shop-eu&external_id=2").await;
    assert_eq!(plain.get("explanation"), None);
    let (status, event) = api.get("/v1/events?source=shop-eu&external_id=2&explain=true").await;
    assert_eq!(status, 200, "{event}");
    let told = &event["explanation"];
    let line = json!({
        "id": "1", "product_id": "SKU-7", "category": "tea", "quantity": "2.0000",
        "amount": "99.9000", "volume": "99.9000",
    });
    assert_eq!(told["sale"]["lines"][0], line);
    assert_eq!(told["sale"]["order_kind"], "STANDARD");
    let rule = &told["settled"]["rules"][0];
    assert_eq!((&rule["id"], &rule["lines"]), (&json!("base"), &json!(["1", "2"])));
    let level = &rule["levels"][0];
    assert_eq!(level["member"]["name"], "Petr");
    assert_eq!(level["calculations"][0], "3.00 % of 199.9000 EUR = 5.9970");
    assert_eq!(rule["levels"][1]["reason"], "no_upline");
    assert_eq!(told["settled"]["breakage"], event["breakage"]);
    assert_eq!(told["settled"]["differences"], json!([]));

    let id = event["event_id"].as_str().unwrap();
    assert_eq!(api.get(&format!("/v1/events/{id}?explain=true")).await.1, event);
    assert_eq!(api.get(&format!("/v1/events/{id}?explain=false")).await.1, plain);
    let (status, problem) = api.get(&format!("/v1/events/{id}?explain=maybe")).await;
    assert_eq!((status, &problem["pointer"]), (422, &json!("/explain")));

    let (_, waiting) = api.get("/v1/events?source=shop-eu&external_id=waiting&explain=true").await;
    let remedy = waiting["explanation"]["waiting"]["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("No worker has tried it yet."), "{remedy}");
}

#[tokio::test]
async fn l9_a_statement_is_paged_and_sums_up_to_the_ledger() {
    let api = settled().await;
    let path = format!("/v1/members/{}/statement?period=2026-11", member(2));
    let (status, whole) = api.get(&path).await;
    assert_eq!(status, 200, "{whole}");
    assert_eq!(
        (&whole["member"]["external_id"], &whole["period"]),
        (&json!("M-2"), &json!("2026-11"))
    );
    assert_eq!((&whole["last_day"], &whole["time_zone"]), (&json!("2026-11-30"), &json!("UTC")));
    let sums = json!([
        {"currency": "EUR", "lines": 2, "amount": "11.9940", "career_points": "39.9800"},
    ]);
    assert_eq!((&whole["page_sums"], &whole["ledger"]), (&sums, &sums));
    assert_eq!((&whole["next"], &whole["unexplained_lines"]), (&Value::Null, &json!(0)));
    let lines = whole["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    for line in lines {
        assert_eq!(line["seller"]["id"], member(1));
        assert_eq!((&line["type"], &line["level"]), (&json!("LEVEL_COMMISSION"), &json!(1)));
        assert_eq!((&line["amount"], &line["rule"]), (&json!("5.9970"), &json!("base")));
        assert_eq!(line["calculations"][0], "3.00 % of 199.9000 EUR = 5.9970");
    }

    let (_, first) = api.get(&format!("{path}&limit=1")).await;
    assert_eq!(first["ledger"], sums, "of the whole period");
    assert_eq!(first["page_sums"][0]["amount"], "5.9970");
    let next = first["next"].as_str().unwrap();
    let (_, second) = api.get(&format!("{path}&limit=1&after={next}")).await;
    assert_eq!([&first["lines"][0], &second["lines"][0]], [&lines[0], &lines[1]]);
    assert_eq!(second["next"], Value::Null);

    let (_, nothing) = api.get(&path.replace("2026-11", "2026-10")).await;
    assert_eq!((&nothing["lines"], &nothing["ledger"]), (&json!([]), &json!([])));
    for (query, pointer) in [
        ("", "/period"),
        ("?period=November", "/period"),
        ("?period=2026-11&after=x", "/after"),
        ("?period=2026-11&limit=1001", "/limit"),
        ("?period=2026-11&page=2", "/page"),
    ] {
        let path = format!("/v1/members/{}/statement{query}", member(2));
        let (status, problem) = api.get(&path).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(pointer)), "{problem}");
    }
    let (status, _) = api.get(&format!("/v1/members/{}/statement?period=2026-11", member(9))).await;
    assert_eq!(status, 404);
}
