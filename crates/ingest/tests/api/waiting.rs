//! Requests that wait for a lock leave connections to all others.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use store::locks::{self, Lock};
use tokio::task::JoinSet;

use crate::client::{Api, answer, member, sale};
use crate::moving::{path, two_trees};

/// Requests at a time: more than the ten connections of a process with its defaults.
const CROWD: u8 = 14;

/// Sends requests at once, each with a body of its own.
fn crowd(api: &Api, method: &Method, to: &str, body: impl Fn(u8) -> Value) -> JoinSet<Answer> {
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let request = api.request(method.clone(), to).body(body(number).to_string());
        crowd.spawn(async move {
            let response = request.send().await.unwrap();
            let retry_after = response.headers().contains_key("retry-after");
            let status = response.status().as_u16();
            let body = serde_json::from_str(&response.text().await.unwrap()).unwrap();
            Answer { status, retry_after, body }
        });
    }
    crowd
}

struct Answer {
    status: u16,
    retry_after: bool,
    body: Value,
}

/// Records, reads and asks for readiness for a while: nothing of it waits for the crowd.
async fn go_on(api: &Api) {
    tokio::time::sleep(Duration::from_millis(500)).await;
    for round in 0..20 {
        let (status, recorded) = api.post("/v1/events", &sale(&format!("{round}"))).await;
        assert_eq!(status, 202, "{recorded}");
        let (status, seen) = api.get(&path(3, "")).await;
        assert_eq!(status, 200, "{seen}");
        assert_eq!(api.get("/readyz").await.0, 200);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The first answers of a crowd: who gets no turn is told so in time.
async fn refused(crowd: &mut JoinSet<Answer>, count: usize, of: &str) {
    for _ in 0..count {
        let answer = crowd.join_next().await.unwrap().unwrap();
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.retry_after);
        assert_eq!(answer.body["type"], "/problems/unavailable");
        let detail = format!("too many {of} are waiting already; nothing was changed, try again");
        assert_eq!(answer.body["detail"], detail);
    }
}

async fn done(mut crowd: JoinSet<Answer>, status: u16) {
    while let Some(answer) = crowd.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, status, "{}", answer.body);
    }
}

/// A worker that stands still holds up changes of history, and nothing else.
#[tokio::test]
async fn changes_behind_a_stopped_settlement_leave_connections_to_others() {
    let api = two_trees().await;
    let settling = locks::begin_sharing_history(&api.world.owner).await.unwrap();
    let change = |number| json!({"rank": "GOLD", "reason": format!("promotion {number}")});
    let mut crowd = crowd(&api, &Method::PATCH, &path(3, ""), change);
    go_on(&api).await;
    let (status, enrolled) = api.post("/v1/members", &json!({"sponsor_id": member(3)})).await;
    assert_eq!(status, 201, "enrolments have turns of their own: {enrolled}");
    // Two of fourteen have their turn.
    refused(&mut crowd, 12, "changes").await;
    settling.rollback().await.unwrap();
    let first = crowd.join_next().await.unwrap().unwrap();
    let second = crowd.join_next().await.unwrap().unwrap();
    let mut statuses = [first.status, second.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "made once; it is so already: {} {}", first.body, second.body);
    assert_eq!(api.count("select count(*) from member_changes").await, 2);
    let (_, seen) = api.get(&path(3, "")).await;
    assert_eq!(seen["rank"], "GOLD");
    let silver = json!({"rank": "SILVER", "reason": "a mistake"});
    assert_eq!(api.patch(&path(3, ""), &silver).await.0, 200, "turns come back");
}

/// Moves and what they would do take the same turns as changes of state.
#[tokio::test]
async fn moves_wait_for_the_turns_of_changes() {
    let api = two_trees().await;
    let settling = locks::begin_sharing_history(&api.world.owner).await.unwrap();
    let to = |number| json!({"new_sponsor_id": member(6), "reason": format!("order {number}")});
    let mut crowd = crowd(&api, &Method::POST, &path(3, "/move"), to);
    go_on(&api).await;
    refused(&mut crowd, 12, "changes").await;
    let dry_run = json!({"new_sponsor_id": member(6), "reason": "?", "dry_run": true});
    let dry_run = api.request(Method::POST, &path(3, "/move")).body(dry_run.to_string());
    let dry_run = tokio::spawn(answer(dry_run));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!dry_run.is_finished(), "a dry run waits for its turn too");
    settling.rollback().await.unwrap();
    let (status, would_be) = dry_run.await.unwrap();
    // It comes after at least one of the two moves, which made it so already.
    assert_eq!((status, &would_be["cause"]), (409, &json!("nothing_changes")), "{would_be}");
    while let Some(moved) = crowd.join_next().await {
        assert!(matches!(moved.unwrap().status, 200 | 409));
    }
    api.world.assert_tree_is_sound().await;
}

/// A move that takes long holds up enrolments, and nothing else.
#[tokio::test]
async fn enrolments_behind_a_long_move_leave_connections_to_others() {
    let api = two_trees().await;
    let mut moving = api.world.owner.begin().await.unwrap();
    locks::take(&mut moving, Lock::Tree).await.unwrap();
    let newcomer = |number| json!({"id": member(100 + number), "sponsor_id": member(3)});
    let mut crowd = crowd(&api, &Method::POST, "/v1/members", newcomer);
    go_on(&api).await;
    let gold = json!({"rank": "GOLD", "reason": "promotion"});
    assert_eq!(api.patch(&path(3, ""), &gold).await.0, 200, "changes have turns of their own");
    // Three of fourteen have their turn.
    refused(&mut crowd, 11, "enrolments").await;
    moving.rollback().await.unwrap();
    done(crowd, 201).await;
    assert_eq!(api.count("select count(*) from members").await, 7 + 3);
    api.enrol(150, Some(3)).await;
}
