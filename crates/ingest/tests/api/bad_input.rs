//! Bad input of every kind gets a clear error and changes nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Api, SELLER, sale, sale_with};

#[tokio::test]
async fn bad_events_are_refused_with_their_field() {
    let api = Api::start().await;
    let thirty_digits = "123456789012345678901234567890";
    for (field, value, pointer) in [
        ("amount", json!(199.90), "/amount"),
        ("amount", json!(5), "/amount"),
        ("amount", json!("-5"), "/amount"),
        ("amount", json!(thirty_digits), "/amount"),
        ("amount", json!("0.00001"), "/amount"),
        ("amount", json!("0"), "/amount"),
        ("amount", json!("1e3"), "/amount"),
        ("volume", json!("NaN"), "/volume"),
        ("currency", json!("euro"), "/currency"),
        ("currency", json!("€"), "/currency"),
        ("occurred_at", json!("2099-01-01T00:00:00Z"), "/occurred_at"),
        ("occurred_at", json!("1999-12-31T23:59:59Z"), "/occurred_at"),
        ("occurred_at", json!("2026-11-03"), "/occurred_at"),
        ("colour", json!("red"), "/colour"),
        ("type", json!("GIFT"), "/type"),
        ("source_type", json!("SERVICE"), "/source_type"),
        ("product_id", json!(""), "/product_id"),
        ("id", json!("a\u{0}b"), "/id"),
        ("id", json!("x".repeat(201)), "/id"),
        ("member_id", json!("nobody"), "/member_id"),
        ("member_external_id", json!("both"), "/member_id"),
        ("member_id", Value::Null, "/member_id"),
        ("amount", Value::Null, ""),
        ("occurred_at", Value::Null, ""),
    ] {
        let (status, problem) = api.post("/v1/events", &sale_with("1", field, value.clone())).await;
        assert_eq!(status, 422, "{field} {value}: {problem}");
        let at = problem["pointer"].as_str().unwrap_or_default();
        assert!(at == pointer || pointer.is_empty(), "{field} {value}: {problem}");
    }
    for body in ["", "{", "nonsense", "{\"type\":\"SALE\",}", "[", "\u{feff}{}"] {
        let (status, problem) = api.post_raw("/v1/events", body).await;
        assert_eq!(status, 400, "{body:?}: {problem}");
    }
    // A sale's fields in the order of the document, without their names.
    let fields = json!([
        "SALE",
        "shop-eu",
        "1",
        SELLER,
        null,
        "199.90",
        "EUR",
        null,
        null,
        null,
        "2026-11-03T10:15:00Z"
    ]);
    for (body, pointer) in [(json!([sale("1"), fields]), "/1"), (fields, "/0")] {
        let (status, problem) = api.post("/v1/events", &body).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(pointer)), "{body}: {problem}");
    }
    for body in [json!([]), json!({}), json!([1]), json!("SALE"), json!(null), json!([[sale("1")]])]
    {
        assert_eq!(api.post("/v1/events", &body).await.0, 422, "{body}");
    }
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(matches!(api.post_raw("/v1/events", deep).await.0, 400 | 422));
    assert_eq!(api.events().await, 0);
}

#[tokio::test]
async fn too_much_is_refused() {
    let api = Api::start().await;
    let list = |count| -> Value { (0..count).map(|n| sale(&n.to_string())).collect() };
    let (status, problem) = api.post("/v1/events", &list(1001)).await;
    assert_eq!(status, 422, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("1000"), "{problem}");
    // The answer comes before the body is read, and the connection is closed: who is still writing
    // may meet the closed end before the answer.
    let mut refused = None;
    for _ in 0..20 {
        let request = api.request(Method::POST, "/v1/events").body(vec![b' '; 3_000_000]);
        if let Ok(response) = request.send().await {
            refused = Some(response.status().as_u16());
            break;
        }
    }
    assert_eq!(refused, Some(413));
    assert_eq!(api.events().await, 0);
    assert_eq!(api.post("/v1/events", &list(1000)).await.0, 202);
    assert_eq!(api.events().await, 1000);
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let api = Api::start().await;
    assert_eq!(api.get("/v2/events").await.0, 404);
    let (status, _) = crate::client::answer(api.request(Method::DELETE, "/v1/events")).await;
    assert_eq!(status, 405);
    assert_eq!(api.get("/v1/events/not-a-uuid").await.0, 422);
    assert_eq!(api.get("/v1/events?source=shop-eu").await.0, 422);
    assert_eq!(api.get("/v1/outcomes?after=yesterday").await.0, 422);
    assert_eq!(api.get("/v1/outcomes?limit=0").await.0, 422);
    let (status, problem) =
        api.get(&format!("/v1/members/{SELLER}/downline?levels=1&levels=2")).await;
    assert_eq!((status, &problem["pointer"]), (422, &json!("")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("`levels`"), "{problem}");
}
