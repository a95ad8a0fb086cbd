//! The same business event is always the same row.

use std::collections::HashSet;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Api, answer, sale, sale_with};

#[tokio::test]
async fn the_same_facts_are_a_duplicate_whatever_their_spelling() {
    let api = Api::start().await;
    let (status, first) = api.post("/v1/events", &sale("1")).await;
    assert_eq!((status, &first["status"]), (202, &json!("accepted")));
    for same in [
        sale("1"),
        sale_with("1", "amount", json!("199.9")),
        sale_with("1", "amount", json!("0199.900000")),
        sale_with("1", "volume", json!("199.9000")),
        sale_with("1", "source_type", json!("PRODUCT")),
        sale_with("1", "occurred_at", json!("2026-11-03T11:15:00.0000004+01:00")),
    ] {
        let (status, again) = api.post("/v1/events", &same).await;
        assert_eq!((status, &again["status"]), (202, &json!("duplicate")), "{same}");
        assert_eq!(again["event_id"], first["event_id"]);
    }
    assert_eq!(api.events().await, 1);
}

#[tokio::test]
async fn other_facts_under_the_same_id_are_a_conflict_that_names_the_field() {
    let api = Api::start().await;
    api.post("/v1/events", &sale("1")).await;
    for (field, value) in [
        ("amount", json!("200")),
        ("volume", json!("1")),
        ("currency", json!("CZK")),
        ("source_type", json!("INVESTMENT")),
        ("product_id", json!("SKU-7")),
        ("occurred_at", json!("2026-11-03T10:15:00.000001Z")),
        ("member_id", json!("01920000-0000-7000-8000-00000000000f")),
    ] {
        let (status, problem) = api.post("/v1/events", &sale_with("1", field, value)).await;
        assert_eq!(status, 409, "{field}: {problem}");
        assert_eq!(problem["pointer"], format!("/{field}"));
        assert!(problem["detail"].as_str().unwrap().contains(field), "{problem}");
    }
    assert_eq!(api.events().await, 1);
}

#[tokio::test]
async fn a_request_is_recorded_all_or_none() {
    let api = Api::start().await;
    api.post("/v1/events", &sale("1")).await;
    let contradicting = json!([sale("2"), sale_with("1", "amount", json!("5")), sale("3")]);
    let (status, problem) = api.post("/v1/events", &contradicting).await;
    assert_eq!((status, &problem["pointer"]), (409, &json!("/1/amount")));
    let invalid = json!([sale("2"), sale_with("3", "currency", json!("euro"))]);
    assert_eq!(api.post("/v1/events", &invalid).await.0, 422);
    let future = json!([sale("2"), sale_with("3", "occurred_at", json!("2099-01-01T00:00:00Z"))]);
    let (status, problem) = api.post("/v1/events", &future).await;
    assert_eq!((status, &problem["pointer"]), (422, &json!("/1/occurred_at")));
    assert_eq!(api.events().await, 1);

    let mixed = json!([sale("1"), sale("2"), sale("2")]);
    let (status, recorded) = api.post("/v1/events", &mixed).await;
    assert_eq!(status, 202);
    let statuses: Vec<&Value> =
        recorded.as_array().unwrap().iter().map(|event| &event["status"]).collect();
    assert_eq!(statuses, ["duplicate", "accepted", "duplicate"]);
    let twice = json!([sale("4"), sale_with("4", "amount", json!("5"))]);
    assert_eq!(api.post("/v1/events", &twice).await.0, 409, "an id twice with other facts");
    assert_eq!(api.events().await, 2);
}

/// The same new event posted by many sessions at the same instant: one is told `accepted`.
#[tokio::test]
async fn l1_one_of_many_simultaneous_posts_is_the_first() {
    let api = Api::start().await;
    let second = api.world.ingest(&["--committers", "4"]);
    for round in 0..20 {
        let mut posts = JoinSet::new();
        for client in 0..8 {
            let request = if client % 2 == 0 {
                api.request(Method::POST, "/v1/events")
            } else {
                let there = api.request(Method::POST, "/v1/events").build().unwrap();
                let key = there.headers()["authorization"].to_str().unwrap().to_owned();
                reqwest::Client::new()
                    .post(format!("{}/v1/events", second.url))
                    .header("authorization", key)
            };
            posts.spawn(answer(request.body(sale(&format!("same-{round}")).to_string())));
        }
        let answers = posts.join_all().await;
        assert!(answers.iter().all(|(status, _)| *status == 202), "{answers:?}");
        let accepted = answers.iter().filter(|(_, body)| body["status"] == "accepted").count();
        assert_eq!(accepted, 1, "{answers:?}");
    }
    assert_eq!(api.events().await, 20);
}

/// Requests that share a commit must not share their fate.
#[tokio::test]
async fn contradictions_and_new_events_at_the_same_moment_do_not_mix() {
    let api = Api::start().await;
    api.post("/v1/events", &sale("known")).await;
    let mut posts = JoinSet::new();
    for number in 0..60 {
        let body = match number % 3 {
            0 => sale(&format!("new-{number}")),
            1 => sale_with("known", "amount", json!("1")),
            _ => sale_with(&format!("new-{number}"), "occurred_at", json!("2099-01-01T00:00:00Z")),
        };
        let request = api.request(Method::POST, "/v1/events").body(body.to_string());
        posts.spawn(async move { (number % 3, answer(request).await.0) });
    }
    let statuses: HashSet<(i32, u16)> = posts.join_all().await.into_iter().collect();
    assert_eq!(statuses, HashSet::from([(0, 202), (1, 409), (2, 422)]));
    assert_eq!(api.events().await, 21);
}

/// Two shops name the same events in opposite orders: the database must not see a deadlock.
#[tokio::test]
async fn lists_in_opposite_orders_do_not_block_one_another() {
    let api = Api::start().await;
    for round in 0..10 {
        let forwards: Vec<Value> = (0..50).map(|n| sale(&format!("{round}-{n}"))).collect();
        let backwards: Vec<Value> = forwards.iter().rev().cloned().collect();
        let (one, other) = (json!(forwards), json!(backwards));
        let answers = tokio::join!(api.post("/v1/events", &one), api.post("/v1/events", &other));
        assert_eq!((answers.0.0, answers.1.0), (202, 202));
    }
    assert_eq!(api.events().await, 500);
}
