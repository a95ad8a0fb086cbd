//! How members share direct rewards: `PUT` and `GET /v1/members/{id}/reward-split`.

use serde_json::{Value, json};

use crate::client::{Api, member, sale};
use crate::moving::{move_to, path, two_trees, with};

fn shares(to_self: &str, to_referral: &str) -> Value {
    json!({"to_self": to_self, "to_referral": to_referral})
}

fn monetary(to_self: &str, to_referral: &str) -> Value {
    json!({"monetary": shares(to_self, to_referral), "reason": "as the member asked"})
}

/// Sends a request that must be refused, and leave nothing but its record.
async fn refuse(api: &Api, number: u8, request: Value, status: u16, pointer: &str, cause: &str) {
    let before = api.network().await;
    let (got, problem) = api.put(&path(number, "/reward-split"), &request).await;
    assert_eq!(got, status, "{cause}: {problem}");
    assert_eq!(problem["pointer"].as_str().unwrap_or_default(), pointer, "{cause}: {problem}");
    assert_eq!(problem["cause"], cause, "{problem}");
    assert_eq!(api.network().await, before, "{cause}");
    let query = "select refusal from member_changes where kind = 'SPLIT' order by id desc limit 1";
    let recorded: Option<String> =
        sqlx::query_scalar(query).fetch_one(&api.world.owner).await.unwrap();
    assert_eq!(recorded.as_deref(), Some(cause));
}

#[tokio::test]
async fn a_split_holds_from_its_moment_until_the_next_one() {
    let api = two_trees().await;
    let split = path(2, "/reward-split");
    let (status, untouched) = api.get(&split).await;
    assert_eq!(status, 200);
    let everything = shares("100.00", "0.00");
    let expected = json!({"member_id": member(2), "monetary": everything,
                          "career_points": everything, "since": null});
    assert_eq!(untouched, expected);

    let june = "2024-06-01T00:00:00Z";
    let both = json!({"monetary": shares("70", "30"), "career_points": shares("50", "50"),
                      "effective_at": june, "reason": "agreed", "on_behalf_of": "petra"});
    let (status, changed) = api.put(&split, &both).await;
    assert_eq!(status, 200, "{changed}");
    let expected = json!({
        "member_id": member(2), "monetary": shares("70.00", "30.00"),
        "career_points": shares("50.00", "50.00"), "since": june, "effective_at": june,
        "holds_until": null,
    });
    assert_eq!(changed, expected);

    // What is left out stays as it was in March, not as it is now.
    let march = "2024-03-01T00:00:00Z";
    let earlier = with(monetary("80.5", "19.5"), "effective_at", march);
    let (status, changed) = api.put(&split, &earlier).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!((&changed["effective_at"], &changed["holds_until"]), (&json!(march), &json!(june)));
    assert_eq!(changed["monetary"], shares("70.00", "30.00"), "now as before");
    let points = json!({"career_points": shares("100", "0"), "reason": "agreed"});
    let (status, changed) = api.put(&split, &points).await;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["since"], changed["effective_at"]);

    assert_eq!(api.post(&path(2, "/move"), &move_to(7)).await.0, 200);
    let now = changed["effective_at"].as_str().unwrap();
    for (as_of, money, points, since) in [
        ("2024-02-29T23:59:59.999999Z", ("100.00", "0.00"), ("100.00", "0.00"), Value::Null),
        (march, ("80.50", "19.50"), ("100.00", "0.00"), json!(march)),
        (june, ("70.00", "30.00"), ("50.00", "50.00"), json!(june)),
        (now, ("70.00", "30.00"), ("100.00", "0.00"), json!(now)),
    ] {
        let (_, held) = api.get(&format!("{split}?as_of={as_of}")).await;
        let expected = json!({
            "member_id": member(2), "monetary": shares(money.0, money.1),
            "career_points": shares(points.0, points.1), "since": since, "as_of": as_of,
        });
        assert_eq!(held, expected);
    }
    assert_eq!(api.get(&split).await.1["since"], now, "a move does not touch it");

    let (_, record) = api.get(&path(2, "/history")).await;
    let first = &record["history"][1];
    let expected = json!({
        "recorded_at": first["recorded_at"], "effective_at": june, "kind": "SPLIT",
        "refusal": null, "old_sponsor_id": null, "new_sponsor_id": null, "old_status": null,
        "new_status": null, "old_rank": null, "new_rank": null, "old_money_to_self": "100.00",
        "new_money_to_self": "70.00", "old_points_to_self": "100.00",
        "new_points_to_self": "50.00", "subtree_size": null, "actor": api.actor(),
        "on_behalf_of": "petra", "reason": "agreed",
    });
    assert_eq!(first, &expected);
}

#[tokio::test]
async fn each_refused_split_has_its_status_and_names_its_field() {
    let api = two_trees().await;
    let seventy = || monetary("70", "30");
    let points = json!({"career_points": shares("100", "0"), "reason": "again"});
    refuse(&api, 3, monetary("100", "0"), 409, "/monetary", "nothing_changes").await;
    refuse(&api, 3, points, 409, "/career_points", "nothing_changes").await;
    refuse(&api, 200, seventy(), 404, "", "unknown_member").await;
    let future = with(seventy(), "effective_at", "2999-01-01T00:00:00Z");
    refuse(&api, 3, future, 422, "/effective_at", "future").await;
    let day = with(seventy(), "effective_at", "2024-03-01T00:00:00Z");
    assert_eq!(api.put(&path(3, "/reward-split"), &day).await.0, 200);
    refuse(&api, 3, day, 409, "/effective_at", "same_moment").await;
    assert_eq!(api.get(&path(200, "/reward-split")).await.0, 404);
}

/// L8: what a settlement saw stays true for ever, and a sale not yet settled sees its own moment.
#[tokio::test]
async fn l8_settled_sales_forbid_splits_of_their_moments() {
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
    let at = |moment| with(monetary("70", "30"), "effective_at", moment);
    refuse(&api, 1, at("2026-11-03T10:15:00Z"), 409, "/effective_at", "settled_sales").await;
    let just_after = at("2026-11-03T10:15:00.000001Z");
    assert_eq!(api.put(&path(1, "/reward-split"), &just_after).await.0, 200);
}

#[tokio::test]
async fn bad_splits_are_refused_with_their_field_before_anything_is_read() {
    let api = two_trees().await;
    for (body, pointer) in [
        (json!({"reason": "?"}), ""),
        (json!({"monetary": shares("70", "30")}), "/reason"),
        (with(monetary("70", "30"), "reason", " "), "/reason"),
        (with(monetary("70", "30"), "on_behalf_of", ""), "/on_behalf_of"),
        (with(monetary("70", "30"), "effective_at", "yesterday"), "/effective_at"),
        (with(monetary("70", "30"), "colour", "red"), "/colour"),
        (monetary("70", "29.9999"), "/monetary"),
        (monetary("100.0001", "0"), "/monetary/to_self"),
        (monetary("70", "-30"), "/monetary/to_referral"),
        (
            with(monetary("70", "30"), "monetary", json!({"to_self": 70, "to_referral": "30"})),
            "/monetary/to_self",
        ),
        (with(monetary("70", "30"), "monetary", json!({"to_self": "70"})), "/monetary"),
        (with(monetary("70", "30"), "career_points", shares("1", "1")), "/career_points"),
    ] {
        let (status, problem) = api.put(&path(3, "/reward-split"), &body).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(pointer)), "{body}: {problem}");
    }
    assert_eq!(api.put("/v1/members/nobody/reward-split", &json!({})).await.1["pointer"], "/id");
    assert_eq!(api.count("select count(*) from member_changes").await, 0);
}
