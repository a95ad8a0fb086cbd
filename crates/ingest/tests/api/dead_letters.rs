//! `/v1/dead-letters`: what failed is listed, shown, retried and discarded, with the scope admin.

use reqwest::Method;
use serde_json::{Value, json};
use store::failures::{self, FailedAttempt};
use store::keys::Scope;
use uuid::Uuid;

use crate::client::{Api, answer, sale};

/// Posts three sales of an unknown seller; the first two are dead, the third waits.
pub(crate) async fn failed_sales(api: &Api) -> [Uuid; 3] {
    let mut ids = Vec::new();
    for (name, wait) in [("one", None), ("two", None), ("three", Some(3600.0))] {
        let (status, answer) = api.post("/v1/events", &sale(name)).await;
        assert_eq!(status, 202, "{answer}");
        let event_id: Uuid = event(&answer)["event_id"].as_str().unwrap().parse().unwrap();
        let failed = FailedAttempt {
            event_id,
            attempts_before: 0,
            cause: "unknown_member",
            error: "the member is not enrolled".to_owned(),
            awaited_member_id: None,
            retry_after_seconds: wait,
        };
        let mut conn = api.world.owner.acquire().await.unwrap();
        assert!(failures::record(&mut conn, &failed).await.unwrap());
        ids.push(event_id);
    }
    ids.try_into().unwrap()
}

/// What the answer to one event, or to several, says about the first.
pub(crate) fn event(answer: &Value) -> &Value {
    answer.get("events").map_or(answer, |events| &events[0])
}

fn names(page: &Value) -> Vec<&str> {
    let letters = page["dead_letters"].as_array().unwrap().iter();
    letters.map(|letter| letter["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn dead_letters_are_paged_by_key() {
    let api = Api::start().await;
    failed_sales(&api).await;
    for (query, expected) in [
        ("", &["one", "two"][..]),
        ("?state=all", &["one", "two", "three"]),
        ("?state=retrying", &["three"]),
        ("?state=discarded", &[]),
        ("?state=all&cause=no_plan", &[]),
        ("?cause=unknown_member&limit=1", &["one"]),
    ] {
        let (status, page) = api.get(&format!("/v1/dead-letters{query}")).await;
        assert_eq!((status, names(&page)), (200, expected.to_vec()), "{query}");
    }
    let (_, first) = api.get("/v1/dead-letters?limit=1").await;
    let next = first["next"].as_str().unwrap();
    let (_, second) = api.get(&format!("/v1/dead-letters?limit=1&after={next}")).await;
    assert_eq!(names(&second), ["two"]);
    let next = second["next"].as_str().unwrap();
    let (_, end) = api.get(&format!("/v1/dead-letters?after={next}")).await;
    assert_eq!((names(&end), &end["next"]), (vec![], &next.into()));
    for (query, pointer) in
        [("?state=lost", "/state"), ("?after=x", "/after"), ("?limit=0", "/limit"), ("?x=1", "/x")]
    {
        let (status, problem) = api.get(&format!("/v1/dead-letters{query}")).await;
        assert_eq!((status, &problem["pointer"]), (422, &pointer.into()), "{query}");
    }
}

#[tokio::test]
async fn a_dead_letter_is_discarded_for_a_reason_and_retried() {
    let api = Api::start().await;
    let ids = failed_sales(&api).await;
    let path = format!("/v1/dead-letters/{}", ids[0]);
    let (status, shown) = api.get(&path).await;
    assert_eq!((status, &shown["state"]), (200, &"dead".into()), "{shown}");
    assert!(shown["remedy"].as_str().unwrap().starts_with("Enrol the member"), "{shown}");

    let discard = format!("{path}/discard");
    for (body, pointer) in [
        (json!({}), "/reason"),
        (json!({"reason": " "}), "/reason"),
        (json!({"reason": "x", "on_behalf_of": ""}), "/on_behalf_of"),
        (json!({"reason": "x", "force": true}), "/force"),
    ] {
        let (status, problem) = api.post(&discard, &body).await;
        assert_eq!((status, &problem["pointer"]), (422, &pointer.into()), "{problem}");
    }
    let body = json!({"reason": "a test order", "on_behalf_of": "petra"});
    let (status, discarded) = api.post(&discard, &body).await;
    assert_eq!((status, &discarded["state"]), (200, &"discarded".into()), "{discarded}");
    assert_eq!(discarded["discard"]["reason"], "a test order");
    assert!(discarded["remedy"].as_str().unwrap().starts_with("It is discarded: "), "{discarded}");
    assert_eq!(discarded["discard"]["by"], api.actor());
    let (_, seen) = api.get(&format!("/v1/events/{}", ids[0])).await;
    assert_eq!(seen["state"], "discarded");
    assert_eq!(seen["failure"]["discard_reason"], "a test order");
    let (status, again) = api.post(&discard, &body).await;
    assert_eq!((status, &again["cause"]), (409, &"already_discarded".into()), "{again}");

    // Its body may be left out.
    let retry = format!("{path}/retry");
    let (status, retried) = answer(api.request(Method::POST, &retry)).await;
    assert_eq!((status, &retried["state"]), (200, &"retrying".into()), "{retried}");
    assert_eq!(retried["discard"]["reason"], "a test order", "it stays with the event");
    let (status, _) = api.post(&retry, &json!({"reason": "now enrolled"})).await;
    assert_eq!(status, 200, "one that waits can be retried at once");
    let mut ringer = api.world.ringer();
    while !ringer.event_ids().await.unwrap().contains(&ids[0]) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }

    let recorded: Vec<(String, String, String)> = sqlx::query_as(
        "select action, result, actor from operator_actions \
         where action like 'dead_letter.%' order by id",
    )
    .fetch_all(&api.world.owner)
    .await
    .unwrap();
    // Four that say no reason as they should, the discard and its repetition, and two retries.
    let (discard, retry) = ("dead_letter.discard", "dead_letter.retry");
    let mut expected = vec![(discard, "refused"); 4];
    expected.extend([(discard, "done"), (discard, "refused"), (retry, "done"), (retry, "done")]);
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(action, result)| (action.to_owned(), result.to_owned(), api.actor()))
        .collect();
    assert_eq!(recorded, expected);
}

#[tokio::test]
async fn what_is_no_dead_letter_is_refused_with_the_way_out() {
    let api = Api::start().await;
    let (_, posted) = api.post("/v1/events", &sale("fresh")).await;
    let fresh = event(&posted)["event_id"].as_str().unwrap().to_owned();
    let unknown = Uuid::from_u128(9);
    for (id, status, cause) in
        [(unknown.to_string(), 404, "unknown_event"), (fresh.clone(), 409, "not_failed")]
    {
        let path = format!("/v1/dead-letters/{id}");
        assert_eq!(api.get(&path).await.0, 404);
        let (got, problem) = api.post(&format!("{path}/retry"), &json!({})).await;
        assert_eq!((got, &problem["cause"]), (status, &cause.into()), "{problem}");
        let body = json!({"reason": "x"});
        let (got, problem) = api.post(&format!("{path}/discard"), &body).await;
        assert_eq!((got, &problem["cause"]), (status, &cause.into()), "{problem}");
    }
    let (status, problem) = api.get("/v1/dead-letters/x").await;
    assert_eq!((status, &problem["pointer"]), (422, &"/event_id".into()));
    let (_, absent) = api.get(&format!("/v1/dead-letters/{fresh}")).await;
    assert!(absent["detail"].as_str().unwrap().contains("is unsettled"), "{absent}");
    assert_eq!(
        api.count("select count(*) from operator_actions where result = 'refused'").await,
        4
    );
}

#[tokio::test]
async fn dead_letters_need_the_scope_admin() {
    let api = Api::start().await;
    let ids = failed_sales(&api).await;
    let scopes = [Scope::EventsWrite, Scope::MembersWrite, Scope::Read];
    let key = api.world.key(&scopes).await;
    let http = reqwest::Client::new();
    for (method, path) in [
        (Method::GET, "/v1/dead-letters".to_owned()),
        (Method::GET, format!("/v1/dead-letters/{}", ids[0])),
        (Method::POST, format!("/v1/dead-letters/{}/retry", ids[0])),
        (Method::POST, format!("/v1/dead-letters/{}/discard", ids[0])),
    ] {
        let url = format!("{}{path}", api.ingest.url);
        let request = http.request(method, url).bearer_auth(&key).body(r#"{"reason":"x"}"#);
        assert_eq!(answer(request).await.0, 403, "{path}");
    }
    let unchanged = "select count(*) from event_failures where state <> 'discarded'";
    assert_eq!(api.count(unchanged).await, 3);
}
