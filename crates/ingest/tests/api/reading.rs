//! What became of events.

use std::time::Duration;

use serde_json::{Value, json};
use store::stream::Doorbell;

use crate::client::{Api, SELLER, sale, sale_with};

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

#[tokio::test]
async fn an_event_shows_its_state_and_lines() {
    let api = Api::start().await;
    api.world.plan(PLAN).await;
    let (_, sponsor) = api.post("/v1/members", &json!({"name": "Jana"})).await;
    api.post("/v1/members", &json!({"id": SELLER, "sponsor_id": sponsor["id"]})).await;
    api.post("/v1/events", &sale("1")).await;
    let (_, before) = api.get("/v1/events?source=shop-eu&external_id=1").await;
    assert_eq!((&before["state"], &before["lines"]), (&json!("unsettled"), &json!([])));

    let worker = api.world.worker(&[]);
    api.world.wait_until_settled().await;
    let (status, event) = api.get("/v1/events?source=shop-eu&external_id=1").await;
    assert_eq!((status, &event["state"]), (200, &json!("settled")));
    assert_eq!(event["breakage"], "2.9985", "nobody stands on level 2");
    let line = &event["lines"][0];
    assert_eq!(event["lines"].as_array().unwrap().len(), 1);
    assert_eq!(line["member_id"], sponsor["id"]);
    assert_eq!((&line["amount"], &line["career_points"]), (&json!("5.9970"), &json!("19.9900")));
    assert_eq!((&line["rule"], &line["type"]), (&json!("base"), &json!("LEVEL_COMMISSION")));
    assert_eq!((&line["level"], &line["depth"]), (&json!(1), &json!(1)));
    assert_eq!((&line["earned_period"], &line["currency"]), (&json!("2026-11"), &json!("EUR")));
    let id = event["event_id"].as_str().unwrap();
    assert_eq!(api.get(&format!("/v1/events/{id}")).await.1, event);
    assert_eq!(api.get(&format!("/v1/events/{SELLER}")).await.0, 404);
    assert!(worker.stop().success());
}

/// Pages are stable and complete, whatever is settled while somebody pages.
#[tokio::test]
async fn the_feed_shows_every_settled_event_once() {
    let api = Api::start().await;
    api.world.plan(PLAN).await;
    api.post("/v1/members", &json!({"id": SELLER})).await;
    let _workers = [api.world.worker(&["--batch", "3"]), api.world.worker(&["--batch", "7"])];
    let mut seen = Vec::new();
    let mut after = String::new();
    let mut posted = 0;
    while seen.len() < 200 {
        if posted < 200 {
            let sales: Value = (posted..posted + 20).map(|n| sale(&n.to_string())).collect();
            assert_eq!(api.post("/v1/events", &sales).await.0, 202);
            posted += 20;
        }
        let (status, page) = api.get(&format!("/v1/outcomes?limit=7&after={after}")).await;
        assert_eq!(status, 200);
        let outcomes = page["outcomes"].as_array().unwrap();
        seen.extend(outcomes.iter().map(|outcome| outcome["id"].as_str().unwrap().to_owned()));
        if let Some(next) = page["next"].as_str() {
            next.clone_into(&mut after);
        }
        if outcomes.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let (_, page) = api.get(&format!("/v1/outcomes?after={after}")).await;
    assert_eq!((&page["outcomes"], &page["next"]), (&json!([]), &json!(after)));
    seen.sort_by_key(|id| id.parse::<i32>().unwrap());
    assert_eq!(seen, (0..200).map(|n| n.to_string()).collect::<Vec<_>>());
}

/// L2: an event that is answered with 2xx is committed, Redis or no Redis.
#[tokio::test]
async fn l2_events_are_accepted_while_redis_is_away() {
    let api = Api::start().await;
    let dead_port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let nowhere = format!("redis://127.0.0.1:{dead_port}");
    assert!(Doorbell::new(&nowhere.clone().into(), "x").is_ok());
    let lonely = api.world.ingest(&["--redis-url", &nowhere]);
    let http = reqwest::Client::new();
    let key = api.world.key(&store::keys::Scope::ALL).await;
    let post = http.post(format!("{}/v1/events", lonely.url)).bearer_auth(key);
    let response =
        post.body(sale_with("1", "amount", json!("5")).to_string()).send().await.unwrap();
    assert_eq!(response.status(), 202);
    assert_eq!(api.events().await, 1);
    let ready = http.get(format!("{}/readyz", lonely.url)).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let body: Value = serde_json::from_str(&ready.text().await.unwrap()).unwrap();
    assert_eq!((&body["postgresql"], &body["redis"]), (&json!("ok"), &json!("unreachable")));
    let alive = http.get(format!("{}/healthz", lonely.url)).send().await.unwrap();
    assert_eq!(alive.status(), 200);
}

/// Nothing is accepted while PostgreSQL is away, and the client is told when to come back.
#[tokio::test]
async fn without_postgresql_nothing_is_accepted() {
    let api = Api::start().await;
    api.post("/v1/events", &sale("before")).await;
    let nowhere = "postgres://nobody@127.0.0.1:1/none";
    let lonely = api.world.ingest(&["--database-url", nowhere]);
    let post = reqwest::Client::new()
        .post(format!("{}/v1/events", lonely.url))
        .bearer_auth(format!("lk_{:012}_{:064}", 1, 2))
        .body(sale("1").to_string());
    let response = post.send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    assert_eq!(api.events().await, 1);
}
