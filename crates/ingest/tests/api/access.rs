//! Who may do what, and what is open to everybody.

use serde_json::json;
use store::keys::{self, Scope};

use crate::client::{Api, answer, sale};

#[tokio::test]
async fn each_scope_opens_its_own_doors_only() {
    let api = Api::start().await;
    let http = reqwest::Client::new();
    let url = |path: &str| format!("{}{path}", api.ingest.url);
    for scope in Scope::ALL {
        let key = api.world.key(&[scope]).await;
        let doors = [
            (Scope::EventsWrite, http.post(url("/v1/events")).body(sale("1").to_string())),
            (Scope::MembersWrite, http.post(url("/v1/members")).body("{}")),
            (Scope::Read, http.get(url("/v1/outcomes"))),
        ];
        for (needed, request) in doors {
            let (status, body) = answer(request.bearer_auth(&key)).await;
            let opened = status < 300;
            assert_eq!(opened, scope == needed, "{} at {}: {body}", scope.name(), needed.name());
            if !opened {
                assert_eq!(status, 403);
                assert!(body["detail"].as_str().unwrap().contains(needed.name()));
            }
        }
    }
}

#[tokio::test]
async fn without_a_working_key_nothing_is_accepted() {
    let api = Api::start().await;
    let http = reqwest::Client::new();
    let key = api.world.key(&Scope::ALL).await;
    let (id, secret) = key.trim_start_matches("lk_").split_once('_').unwrap();
    let wrong_secret = format!("lk_{id}_{}", secret.chars().rev().collect::<String>());
    let post = || http.post(format!("{}/v1/events", api.ingest.url)).body(sale("1").to_string());
    for header in ["", "Bearer", "Bearer ", "Basic abc", "Bearer nonsense", "Bearer lk__", &key] {
        let (status, _) = answer(post().header("authorization", header)).await;
        assert_eq!(status, 401, "{header:?}");
    }
    assert_eq!(answer(post()).await.0, 401);
    assert_eq!(answer(post().bearer_auth(&wrong_secret)).await.0, 401);
    assert_eq!(answer(post().bearer_auth(&key)).await.0, 202);

    let mut conn = api.world.owner.acquire().await.unwrap();
    assert!(keys::revoke(&mut conn, id).await.unwrap());
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(answer(post().bearer_auth(&key)).await.0, 401, "revoked keys end within a second");
    assert_eq!(api.events().await, 1);
}

#[tokio::test]
async fn health_and_the_api_document_are_open_and_metrics_are_elsewhere() {
    let api = Api::start().await;
    let http = reqwest::Client::new();
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        let response = http.get(format!("{}{path}", api.ingest.url)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    assert_eq!(answer(http.get(format!("{}/metrics", api.ingest.url))).await.0, 404);
    api.post("/v1/events", &sale("1")).await;
    api.post("/v1/events", &sale("1")).await;
    let metrics = http.get(format!("{}/metrics", api.ingest.metrics_url)).send().await.unwrap();
    let text = metrics.text().await.unwrap();
    assert!(text.contains("lineage_events_accepted_total 1\n"), "{text}");
    assert!(text.contains("lineage_events_duplicate_total 1\n"), "{text}");
    assert!(text.contains("lineage_build_info{binary=\"lineage-ingest\""), "{text}");
    assert!(!text.contains("shop-eu"), "no ids in labels");
}

/// What the document promises is what a shop can post.
#[tokio::test]
async fn the_api_documents_example_is_accepted() {
    let api = Api::start().await;
    let (_, document) = api.get("/openapi.json").await;
    let properties = &document["components"]["schemas"]["SaleRequest"]["properties"];
    let mut sale = json!({"type": "SALE"});
    for (name, schema) in properties.as_object().unwrap() {
        if let Some(example) = schema.get("example")
            && name != "member_external_id"
        {
            sale[name] = example.clone();
        }
    }
    let (status, body) = api.post("/v1/events", &sale).await;
    assert_eq!(status, 202, "{sale}: {body}");
}
