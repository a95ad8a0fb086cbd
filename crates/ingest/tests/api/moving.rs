//! Moves, and changes of status and rank.

use reqwest::Method;
use serde_json::{Value, json};
use store::keys::Scope;

use crate::client::{Api, answer, member};

/// Two trees: 1 over 2 over 3 and 4, 3 over 5; and 6 over 7.
pub(crate) async fn two_trees() -> Api {
    let api = Api::start().await;
    api.world.ladder(&["MEMBER", "SILVER", "GOLD"]).await;
    for (number, sponsor) in
        [(1, None), (2, Some(1)), (3, Some(2)), (4, Some(2)), (5, Some(3)), (6, None), (7, Some(6))]
    {
        api.enrol(number, sponsor).await;
    }
    api
}

pub(crate) fn move_to(number: u8) -> Value {
    json!({"new_sponsor_id": member(number), "reason": "enrolled under the wrong person"})
}

/// The request with a field added.
pub(crate) fn with(mut request: Value, field: &str, value: impl Into<Value>) -> Value {
    request[field] = value.into();
    request
}

pub(crate) fn path(number: u8, what: &str) -> String {
    format!("/v1/members/{}{what}", member(number))
}

/// The members of a page, as (level, number).
pub(crate) fn places(page: &Value, list: &str) -> Vec<(i64, u8)> {
    let numbers: Vec<String> = (0..=u8::MAX).map(member).collect();
    let place = |entry: &Value| {
        let number = numbers.iter().position(|id| *id == entry["id"]).unwrap();
        (entry["level"].as_i64().unwrap(), u8::try_from(number).unwrap())
    };
    page[list].as_array().unwrap().iter().map(place).collect()
}

/// Closure rows that following sponsors does not give, and those that it gives and are missing.
const WRONG_PATHS: &str = "with recursive walk (a, d, n) as ( \
      select id, id, 0 from members \
      union all \
      select m.sponsor_id, walk.d, walk.n + 1 from walk join members m on m.id = walk.a \
       where m.sponsor_id is not null) \
    select count(*) from ( \
      (table walk except select ancestor_id, descendant_id, depth::integer from member_tree_paths) \
      union all \
      (select ancestor_id, descendant_id, depth::integer from member_tree_paths \
       except table walk)) wrong";

#[tokio::test]
async fn a_member_moves_with_everybody_below_and_the_past_stays() {
    let api = two_trees().await;
    let request = with(move_to(7), "on_behalf_of", "petra");
    let (status, moved) = api.post(&path(2, "/move"), &request).await;
    assert_eq!(status, 200, "{moved}");
    let expected = json!({
        "member_id": member(2), "old_sponsor_id": member(1), "new_sponsor_id": member(7),
        "effective_at": moved["effective_at"], "holds_until": null, "subtree_size": 4,
        "dry_run": false,
    });
    assert_eq!(moved, expected);
    assert_eq!(api.count(WRONG_PATHS).await, 0);

    let now = moved["effective_at"].as_str().unwrap();
    for (as_of, upline, below_1, below_6) in [
        ("2024-01-01T00:00:00Z", vec![(1, 3), (2, 2), (3, 1)], 4, 1),
        (now, vec![(1, 3), (2, 2), (3, 7), (4, 6)], 0, 5),
    ] {
        let ask = |number, what: &str| path(number, &format!("/{what}?as_of={as_of}"));
        let (_, page) = api.get(&ask(5, "upline")).await;
        assert_eq!(places(&page, "upline"), upline, "{as_of}");
        assert_eq!(api.get(&ask(1, "levels")).await.1["network_size"], below_1, "{as_of}");
        assert_eq!(api.get(&ask(6, "levels")).await.1["network_size"], below_6, "{as_of}");
    }
    let (_, page) = api.get(&path(5, "/upline")).await;
    assert_eq!(places(&page, "upline"), [(1, 3), (2, 2), (3, 7), (4, 6)]);

    let (_, page) = api.get(&path(2, "/history?limit=1")).await;
    assert_eq!(page["history"].as_array().unwrap().len(), 1);
    let rest = format!("/history?after={}", page["next"]);
    let (_, rest) = api.get(&path(2, &rest)).await;
    assert_eq!((&rest["history"][0]["kind"], &rest["next"]), (&json!("MOVE"), &json!(null)));
    let (_, record) = api.get(&path(2, "/history")).await;
    let record = &record["history"];
    assert_eq!(record.as_array().unwrap().len(), 2);
    assert_eq!(
        (&record[0]["kind"], &record[0]["new_sponsor_id"]),
        (&json!("ENROLMENT"), &json!(member(1)))
    );
    let expected = json!({
        "recorded_at": record[1]["recorded_at"], "effective_at": now, "kind": "MOVE",
        "refusal": null, "old_sponsor_id": member(1), "new_sponsor_id": member(7),
        "old_status": null, "new_status": null, "old_rank": null, "new_rank": null,
        "old_money_to_self": null, "new_money_to_self": null, "old_points_to_self": null,
        "new_points_to_self": null, "subtree_size": 4, "actor": api.actor(), "on_behalf_of": "petra",
        "reason": "enrolled under the wrong person",
    });
    assert_eq!(record[1], expected);
}

#[tokio::test]
async fn undo_is_another_move_and_a_former_root_goes_back_to_nobody() {
    let api = two_trees().await;
    let paths = "select string_agg(p::text, ';' order by p) from member_tree_paths p";
    let closure =
        async || -> String { sqlx::query_scalar(paths).fetch_one(&api.world.owner).await.unwrap() };
    let before = closure().await;
    assert_eq!(api.post(&path(3, "/move"), &move_to(6)).await.0, 200);
    assert_eq!(api.post(&path(3, "/move"), &move_to(2)).await.0, 200);
    assert_eq!(closure().await, before);

    assert_eq!(api.post(&path(6, "/move"), &move_to(5)).await.0, 200);
    assert_eq!(api.get(&path(7, "/upline")).await.1["upline"].as_array().unwrap().len(), 5);
    let to_the_top = json!({"new_sponsor_id": null, "reason": "it was a mistake"});
    let (status, moved) = api.post(&path(6, "/move"), &to_the_top).await;
    assert_eq!(status, 200, "{moved}");
    assert_eq!(
        (&moved["old_sponsor_id"], &moved["new_sponsor_id"], &moved["subtree_size"]),
        (&json!(member(5)), &Value::Null, &json!(2))
    );
    assert_eq!(closure().await, before);
    assert_eq!(api.get(&path(6, "")).await.1["sponsor_id"], Value::Null);
    assert_eq!(api.count("select count(*) from member_changes where refusal is null").await, 4);
}

/// The history of another system arrives in any order: a move before one that is recorded holds
/// until that one, and the present tree stays as it is.
#[tokio::test]
async fn a_move_of_the_past_holds_until_the_next_one() {
    let api = two_trees().await;
    let at = |moment| with(move_to(7), "effective_at", moment);
    let june = "2024-06-01T00:00:00Z";
    assert_eq!(api.post(&path(5, "/move"), &at(june)).await.0, 200);
    let earlier = with(move_to(4), "effective_at", "2024-03-01T00:00:00Z");
    let (status, moved) = api.post(&path(5, "/move"), &earlier).await;
    assert_eq!(status, 200, "{moved}");
    assert_eq!(moved["effective_at"], "2024-03-01T00:00:00Z");
    assert_eq!(moved["holds_until"], june);
    assert_eq!(moved["old_sponsor_id"], member(3));
    for (as_of, sponsor) in [
        ("", 7),
        ("?as_of=2024-06-01T00:00:00Z", 7),
        ("?as_of=2024-05-31T23:59:59Z", 4),
        ("?as_of=2024-03-01T00:00:00Z", 4),
        ("?as_of=2024-02-29T23:59:59Z", 3),
    ] {
        let (_, found) = api.get(&path(5, as_of)).await;
        assert_eq!(found["sponsor_id"], member(sponsor), "{as_of}");
    }
    assert_eq!(api.count(WRONG_PATHS).await, 0);
}

#[tokio::test]
async fn a_dry_run_says_who_gains_and_loses_levels_and_changes_nothing() {
    let api = two_trees().await;
    let before = api.network().await;
    let dry = |request| with(request, "dry_run", true);
    let (status, would_be) = api.post(&path(5, "/move"), &dry(move_to(4))).await;
    assert_eq!(status, 200, "{would_be}");
    let level = |number, before: Value, after: Value| {
        let id = member(number);
        json!({"member_id": id, "level_before": before, "level_after": after})
    };
    let expected = json!([
        level(4, Value::Null, json!(1)),
        level(2, json!(2), json!(2)),
        level(1, json!(3), json!(3)),
        level(3, json!(1), Value::Null),
    ]);
    assert_eq!(would_be["level_changes"], expected);
    assert_eq!((&would_be["dry_run"], &would_be["subtree_size"]), (&json!(true), &json!(1)));
    assert_eq!(would_be["old_sponsor_id"], member(3));

    let to_the_top = json!({"new_sponsor_id": null, "reason": "?", "dry_run": true});
    let (_, would_be) = api.post(&path(3, "/move"), &to_the_top).await;
    let lost = json!([level(2, json!(1), Value::Null), level(1, json!(2), Value::Null)]);
    assert_eq!((&would_be["level_changes"], &would_be["subtree_size"]), (&lost, &json!(2)));

    let (status, problem) = api.post(&path(2, "/move"), &dry(move_to(5))).await;
    assert_eq!((status, &problem["pointer"]), (409, &json!("/new_sponsor_id")), "{problem}");
    assert_eq!(api.network().await, before);
    assert_eq!(api.count("select count(*) from member_changes").await, 0);
}

/// A dry run of a correction is about the tree of its moment, not about today's.
#[tokio::test]
async fn a_dry_run_of_the_past_compares_the_uplines_of_its_moment() {
    let api = two_trees().await;
    let june = with(move_to(6), "effective_at", "2024-06-01T00:00:00Z");
    assert_eq!(api.post(&path(4, "/move"), &june).await.0, 200);
    let may = with(move_to(4), "effective_at", "2024-05-01T00:00:00Z");
    let (status, would_be) = api.post(&path(7, "/move"), &with(may, "dry_run", true)).await;
    assert_eq!(status, 200, "{would_be}");
    let above: Vec<&Value> = would_be["level_changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["member_id"])
        .collect();
    assert_eq!(above, [&json!(member(4)), &json!(member(2)), &json!(member(1)), &json!(member(6))]);
}

#[tokio::test]
async fn status_and_rank_change_from_their_moments_on() {
    let api = two_trees().await;
    let both = json!({"status": "INACTIVE", "rank": "SILVER", "reason": "import",
                      "effective_at": "2024-03-01T00:00:00Z"});
    let (status, changed) = api.patch(&path(3, ""), &both).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!((&changed["rank"], &changed["status"]), (&json!("SILVER"), &json!("INACTIVE")));
    assert_eq!(changed["effective_at"], "2024-03-01T00:00:00Z");
    assert_eq!(changed["holds_until"], Value::Null);
    assert_eq!(changed["id"], member(3));

    let now = json!({"status": "SUSPENDED", "reason": "chargebacks", "on_behalf_of": "petra"});
    let (status, changed) = api.patch(&path(3, ""), &now).await;
    assert_eq!(status, 200, "{changed}");
    let suspended_at = changed["effective_at"].as_str().unwrap().to_owned();
    assert_eq!((&changed["rank"], &changed["status"]), (&json!("SILVER"), &json!("SUSPENDED")));

    let gold = json!({"rank": "GOLD", "reason": "import", "effective_at": "2024-02-01T00:00:00Z"});
    let (status, changed) = api.patch(&path(3, ""), &gold).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["holds_until"], "2024-03-01T00:00:00Z");
    assert_eq!((&changed["rank"], &changed["status"]), (&json!("SILVER"), &json!("SUSPENDED")));

    for (as_of, status, rank) in [
        ("2024-01-31T23:59:59.999999Z", "ACTIVE", "MEMBER"),
        ("2024-02-01T00:00:00Z", "ACTIVE", "GOLD"),
        ("2024-03-01T00:00:00Z", "INACTIVE", "SILVER"),
        (&suspended_at, "SUSPENDED", "SILVER"),
    ] {
        let (_, found) = api.get(&path(3, &format!("?as_of={as_of}"))).await;
        assert_eq!((&found["status"], &found["rank"]), (&json!(status), &json!(rank)), "{as_of}");
        assert_eq!(found["as_of"], as_of);
        let (_, page) = api.get(&path(5, &format!("/upline?limit=1&as_of={as_of}"))).await;
        assert_eq!(page["upline"][0]["rank"], rank, "{as_of}");
    }
    let (_, record) = api.get(&path(3, "/history")).await;
    let second = &record["history"][2];
    assert_eq!((&second["kind"], &second["old_status"]), (&json!("STATE"), &json!("INACTIVE")));
    assert_eq!(
        (&second["new_status"], &second["on_behalf_of"]),
        (&json!("SUSPENDED"), &json!("petra"))
    );
    assert_eq!((&second["old_rank"], &second["new_rank"]), (&json!("SILVER"), &json!("SILVER")));
    assert_eq!(second["actor"], api.actor());
}

#[tokio::test]
async fn moving_needs_admin_changing_members_write_and_reading_read() {
    let api = two_trees().await;
    let http = reqwest::Client::new();
    for scope in Scope::ALL {
        let key = api.world.key(&[scope]).await;
        let mut doors = vec![
            (Scope::Admin, Method::POST, path(3, "/move"), move_to(6)),
            (
                Scope::MembersWrite,
                Method::PATCH,
                path(3, ""),
                json!({"rank": "GOLD", "reason": "?"}),
            ),
            (
                Scope::MembersWrite,
                Method::PUT,
                path(3, "/reward-split"),
                json!({"monetary": {"to_self": "70", "to_referral": "30"}, "reason": "?"}),
            ),
            (Scope::Read, Method::GET, "/v1/members?external_id=x".to_owned(), Value::Null),
        ];
        let other = format!("/above/{}", member(5));
        let to = format!("/path?to={}", member(5));
        for what in
            ["", "/upline", "/downline", "/levels", "/history", "/reward-split", &other, &to]
        {
            doors.push((Scope::Read, Method::GET, path(3, what), Value::Null));
        }
        for (needed, method, path, body) in doors {
            let request = http.request(method, format!("{}{path}", api.ingest.url));
            let (status, problem) = answer(request.bearer_auth(&key).body(body.to_string())).await;
            assert_eq!(status != 403, scope == needed, "{} at {path}: {problem}", scope.name());
            if status == 403 {
                assert!(problem["detail"].as_str().unwrap().contains(needed.name()), "{problem}");
            }
        }
    }
    assert_eq!(api.count("select count(*) from member_changes").await, 3);
}
