//! Enrolling members.

use serde_json::{Value, json};

use crate::client::{Api, SELLER, sale, sale_with};

#[tokio::test]
async fn a_member_is_enrolled_with_sensible_defaults() {
    let api = Api::start().await;
    api.world.ladder(&["MEMBER", "SILVER"]).await;
    let (status, root) = api.post("/v1/members", &json!({})).await;
    assert_eq!(status, 201);
    assert_eq!((&root["status"], &root["rank"]), (&json!("ACTIVE"), &json!("MEMBER")));
    let full = json!({
        "id": SELLER, "external_id": "17850", "name": "Jana Nováková", "sponsor_id": root["id"],
        "joined_at": "2026-01-01T00:00:00Z", "status": "INACTIVE", "rank": "SILVER",
    });
    let (status, member) = api.post("/v1/members", &full).await;
    assert_eq!((status, &member), (201, &full));
    let depths = api.count("select count(*) from member_tree_paths where depth = 1").await;
    assert_eq!(depths, 1);
    let history = "select count(*) from member_sponsors s join member_states t \
                   using (member_id, effective_at) where effective_at = '-infinity'";
    assert_eq!(api.count(history).await, 2, "first sponsor and state hold from the beginning");
}

#[tokio::test]
async fn bad_members_are_refused_with_their_field() {
    let api = Api::start().await;
    let taken = json!({"id": SELLER, "external_id": "17850"});
    assert_eq!(api.post("/v1/members", &taken).await.0, 201);
    let nobody = "01920000-0000-7000-8000-0000000000ff";
    for (body, status, pointer) in [
        (json!({"id": SELLER}), 409, "/id"),
        (json!({"external_id": "17850"}), 409, "/external_id"),
        (json!({"sponsor_id": nobody}), 422, "/sponsor_id"),
        (json!({"id": nobody, "sponsor_id": nobody}), 422, "/sponsor_id"),
        (json!({"rank": "EMPEROR"}), 422, "/rank"),
        (json!({"status": "RETIRED"}), 422, "/status"),
        (json!({"joined_at": "2026"}), 422, "/joined_at"),
        (json!({"name": ""}), 422, "/name"),
        (json!({"name": 5}), 422, "/name"),
        (json!({"sponsor": SELLER}), 422, "/sponsor"),
        (json!([nobody, null, null, null, null, null, null]), 422, ""),
        (json!([]), 422, ""),
    ] {
        let (got, problem) = api.post("/v1/members", &body).await;
        assert_eq!(got, status, "{body}: {problem}");
        assert_eq!(problem["pointer"], pointer, "{body}: {problem}");
    }
    assert_eq!(api.post_raw("/v1/members", "{").await.0, 400);
    assert_eq!(api.count("select count(*) from members").await, 1);
    assert_eq!(api.count("select count(*) from member_tree_paths").await, 1);
}

/// A shop may know only the company's own id of a seller, and may know it before the company does.
/// Whichever way it names the seller later, it is the same event.
#[tokio::test]
async fn an_external_id_stands_for_the_member_enrolled_under_it() {
    let api = Api::start().await;
    let by_name = |id: &str| {
        let mut sale = sale_with(id, "member_external_id", json!("17850"));
        sale.as_object_mut().unwrap().remove("member_id");
        sale
    };
    let (status, early) = api.post("/v1/events", &by_name("early")).await;
    assert_eq!(status, 202);
    let enrolled = json!({"id": SELLER, "external_id": "17850"});
    assert_eq!(api.post("/v1/members", &enrolled).await.0, 201);
    for same in [by_name("early"), sale("early")] {
        let (status, again) = api.post("/v1/events", &same).await;
        assert_eq!((status, &again["status"]), (202, &json!("duplicate")), "{same}");
        assert_eq!(again["event_id"], early["event_id"]);
    }
    let (_, event) = api.get(&format!("/v1/events/{}", early["event_id"].as_str().unwrap())).await;
    assert_eq!(event["member_id"], SELLER);
    api.post("/v1/events", &by_name("late")).await;
    let (_, event) = api.get("/v1/events?source=shop-eu&external_id=late").await;
    assert_eq!((&event["member_id"], &event["state"]), (&json!(SELLER), &json!("unsettled")));
    assert_ne!(event["amount"], Value::Null);
}
