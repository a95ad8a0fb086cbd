//! Changes of history that are refused: nothing changes, and the attempt stays on record.

use serde_json::{Value, json};
use store::locks::{self, Lock};

use crate::client::{Api, member, sale};
use crate::moving::{move_to, path, two_trees, with};

/// A refused attempt as recorded.
#[derive(Debug, PartialEq, sqlx::FromRow)]
struct Attempt {
    refusal: Option<String>,
    actor: String,
    on_behalf_of: Option<String>,
    reason: String,
    subtree_size: Option<i32>,
}

async fn last_attempt(api: &Api) -> Attempt {
    let query = "select refusal, actor, on_behalf_of, reason, subtree_size \
                   from member_changes order by id desc limit 1";
    sqlx::query_as(query).fetch_one(&api.world.owner).await.unwrap()
}

/// Sends a request that must be refused, and leave nothing but its record.
async fn refuse(api: &Api, number: u8, request: Value, status: u16, pointer: &str, cause: &str) {
    let before = api.network().await;
    let request = with(request, "on_behalf_of", "petra");
    let moves = request.get("new_sponsor_id").is_some();
    let (got, problem) = if moves {
        api.post(&path(number, "/move"), &request).await
    } else {
        api.patch(&path(number, ""), &request).await
    };
    assert_eq!(got, status, "{cause}: {problem}");
    assert_eq!(problem["pointer"].as_str().unwrap_or_default(), pointer, "{cause}: {problem}");
    assert_eq!(problem["cause"], cause, "{problem}");
    assert_eq!(api.network().await, before, "{cause}");
    let attempt = last_attempt(api).await;
    assert_eq!(attempt.refusal.as_deref(), Some(cause));
    assert_eq!(attempt.actor, api.actor());
    assert_eq!(attempt.on_behalf_of.as_deref(), Some("petra"));
    assert_eq!(attempt.reason, request["reason"].as_str().unwrap());
}

/// Who tries to get above their own upline may be up to something: that is on record with the key,
/// the person, the reason and how many would have moved.
#[tokio::test]
async fn a_cycle_is_refused_and_the_attempt_is_on_record() {
    let api = two_trees().await;
    let sponsor = "/new_sponsor_id";
    refuse(&api, 2, move_to(5), 409, sponsor, "own_descendant").await;
    assert_eq!(last_attempt(&api).await.subtree_size, Some(4));
    refuse(&api, 2, move_to(2), 422, sponsor, "self_sponsor").await;
    // 4 stands below 5 from June on; so 5 cannot stand below 4 from May on.
    let june = with(move_to(5), "effective_at", "2024-06-01T00:00:00Z");
    assert_eq!(api.post(&path(4, "/move"), &june).await.0, 200);
    let may = with(move_to(4), "effective_at", "2024-05-01T00:00:00Z");
    refuse(&api, 5, may, 409, sponsor, "circle_later").await;

    let (_, record) = api.get(&path(2, "/history")).await;
    let attempts: Vec<&Value> =
        record["history"].as_array().unwrap().iter().map(|change| &change["refusal"]).collect();
    assert_eq!(attempts, [&Value::Null, &json!("own_descendant"), &json!("self_sponsor")]);
    assert_eq!(record["history"][1]["actor"], api.actor());
}

#[tokio::test]
async fn each_refusal_has_its_status_and_names_its_field() {
    let api = two_trees().await;
    let sponsor = "/new_sponsor_id";
    let gone = json!({"status": "TERMINATED", "reason": "left"});
    assert_eq!(api.patch(&path(7, ""), &gone).await.0, 200);
    refuse(&api, 3, move_to(7), 409, sponsor, "terminated_sponsor").await;
    refuse(&api, 3, move_to(200), 422, sponsor, "unknown_sponsor").await;
    refuse(&api, 3, move_to(2), 409, sponsor, "nothing_changes").await;
    refuse(&api, 200, move_to(2), 404, "", "unknown_member").await;

    let day = "2024-03-01T00:00:00Z";
    let silver = json!({"rank": "SILVER", "reason": "import", "effective_at": day});
    assert_eq!(api.patch(&path(3, ""), &silver).await.0, 200);
    let gold = json!({"rank": "GOLD", "reason": "import", "effective_at": day});
    refuse(&api, 3, gold.clone(), 409, "/effective_at", "same_moment").await;
    refuse(&api, 200, gold, 404, "", "unknown_member").await;
    // The rank of March was recorded with the status of before, which would come back with it.
    let early = "2024-02-01T00:00:00Z";
    let away = json!({"status": "INACTIVE", "reason": "import", "effective_at": early});
    refuse(&api, 3, away, 409, "/effective_at", "undone_later").await;
    let same = json!({"rank": "SILVER", "reason": "again"});
    refuse(&api, 3, same, 409, "/rank", "nothing_changes").await;
    let same = json!({"status": "ACTIVE", "reason": "again"});
    refuse(&api, 3, same.clone(), 409, "/status", "nothing_changes").await;
    let future = with(same, "effective_at", "2999-01-01T00:00:00Z");
    refuse(&api, 3, future, 422, "/effective_at", "future").await;
    let future = with(move_to(6), "effective_at", "2999-01-01T00:00:00Z");
    refuse(&api, 3, future, 422, "/effective_at", "future").await;

    let deep = "insert into member_tree_paths values ($1::uuid, $2::uuid, 5000)";
    let deep = sqlx::query(deep).bind(member(1)).bind(member(6));
    deep.execute(&api.world.owner).await.unwrap();
    refuse(&api, 3, move_to(6), 409, sponsor, "too_deep").await;
}

/// What a settlement saw stays true for ever: neither moves nor states reach back behind it.
#[tokio::test]
async fn settled_sales_forbid_their_moments() {
    let api = two_trees().await;
    api.world
        .plan(
            "{plan: retail, version: '1', valid_from: 2020-01-01, rules: [{id: base, \
             component: base, calculation: {type: unilevel, levels: [{level: 1, \
             percentage: '10'}]}}]}",
        )
        .await;
    assert_eq!(api.post("/v1/events", &sale("1")).await.0, 202);
    let _worker = api.world.worker(&[]);
    api.world.wait_until_settled().await;
    let at = "2026-11-03T10:15:00Z";
    let field = "/effective_at";
    refuse(&api, 3, with(move_to(6), "effective_at", at), 409, field, "settled_sales").await;
    let gold = json!({"rank": "GOLD", "reason": "import", "effective_at": at});
    refuse(&api, 3, gold.clone(), 409, field, "settled_sales").await;
    let dry_run = with(with(move_to(6), "effective_at", at), "dry_run", true);
    assert_eq!(api.post(&path(3, "/move"), &dry_run).await.0, 409);
    let after = with(gold, "effective_at", "2026-11-03T10:15:00.000001Z");
    assert_eq!(api.patch(&path(3, ""), &after).await.0, 200);
    assert_eq!(api.post(&path(3, "/move"), &move_to(6)).await.0, 200);
}

#[tokio::test]
async fn bad_requests_are_refused_with_their_field_before_anything_is_read() {
    let api = two_trees().await;
    let long = "x".repeat(201);
    for (body, pointer) in [
        (json!({"reason": "?"}), "/new_sponsor_id"),
        (json!({"new_sponsor_id": "nobody", "reason": "?"}), "/new_sponsor_id"),
        (json!({"new_sponsor_id": member(6)}), "/reason"),
        (with(move_to(6), "reason", ""), "/reason"),
        (with(move_to(6), "reason", long.as_str()), "/reason"),
        (with(move_to(6), "reason", "  \u{a0}"), "/reason"),
        (with(move_to(6), "on_behalf_of", "a\u{0}b"), "/on_behalf_of"),
        (with(move_to(6), "on_behalf_of", " "), "/on_behalf_of"),
        (json!([member(6), null, "?", null, false]), ""),
        (with(move_to(6), "effective_at", "yesterday"), "/effective_at"),
        (with(move_to(6), "dry_run", "yes"), "/dry_run"),
        (with(move_to(6), "colour", "red"), "/colour"),
    ] {
        let (status, problem) = api.post(&path(3, "/move"), &body).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(pointer)), "{body}: {problem}");
    }
    for (body, pointer) in [
        (json!({"reason": "?"}), ""),
        (json!({"rank": "GOLD"}), "/reason"),
        (json!({"rank": "GOLD", "reason": " "}), "/reason"),
        (json!({"rank": "GOLD", "reason": "?", "on_behalf_of": "  "}), "/on_behalf_of"),
        (json!(["INACTIVE", null, null, "?", null]), ""),
        (json!({"rank": "EMPEROR", "reason": "?"}), "/rank"),
        (json!({"status": "RETIRED", "reason": "?"}), "/status"),
        (json!({"rank": "GOLD", "reason": "?", "effective_at": "2026"}), "/effective_at"),
        (json!({"rank": "GOLD", "reason": "?", "sponsor_id": member(6)}), "/sponsor_id"),
    ] {
        let (status, problem) = api.patch(&path(3, ""), &body).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(pointer)), "{body}: {problem}");
    }
    assert_eq!(api.post("/v1/members/nobody/move", &move_to(6)).await.1["pointer"], "/id");
    assert_eq!(api.patch("/v1/members/nobody", &json!({})).await.1["pointer"], "/id");
    assert_eq!(api.post_raw(&path(3, "/move"), "{").await.0, 400);
    assert_eq!(api.count("select count(*) from member_changes").await, 0);
}

/// Asks for a change while somebody else holds a lock: it must give up, say so, and change nothing.
async fn wait_in_vain(lock: Lock, name: &str) {
    let api = two_trees().await;
    let before = api.network().await;
    let mut held = api.world.owner.begin().await.unwrap();
    locks::take(&mut held, lock).await.unwrap();
    let response = api
        .request(reqwest::Method::POST, &path(2, "/move"))
        .body(move_to(6).to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 503);
    assert!(response.headers().contains_key("retry-after"));
    let problem: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(name) && detail.contains("nothing was changed"), "{detail}");
    held.rollback().await.unwrap();
    assert_eq!(api.network().await, before);
    assert_eq!(api.count("select count(*) from member_changes").await, 0);
    assert_eq!(api.post(&path(2, "/move"), &move_to(6)).await.0, 200, "once it is free");
}

#[tokio::test]
async fn a_move_gives_up_when_the_tree_stays_locked() {
    wait_in_vain(Lock::Tree, "tree").await;
}

#[tokio::test]
async fn a_move_gives_up_when_settlement_does_not_pause() {
    wait_in_vain(Lock::History, "history").await;
}

/// Enrolments share the tree with one another, not with a move that takes long.
#[tokio::test]
async fn an_enrolment_that_waits_in_vain_is_told_so() {
    let api = two_trees().await;
    let mut held = api.world.owner.begin().await.unwrap();
    locks::take(&mut held, Lock::Tree).await.unwrap();
    let (status, problem) = api.post("/v1/members", &json!({"sponsor_id": member(1)})).await;
    assert_eq!(status, 503);
    assert!(problem["detail"].as_str().unwrap().contains("nothing was changed"), "{problem}");
    held.rollback().await.unwrap();
    assert_eq!(api.count("select count(*) from members").await, 7);
}
