//! The record of operators' actions: every changing route leaves exactly one row of the right
//! result, and so does a key that lacks the scope. (Of signatures: `signing.rs`.)

use std::collections::BTreeSet;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::keys::Scope;

use crate::client::{Api, answer, member, sale};
use crate::dead_letters::{event, failed_sales};

/// Changing routes whose requests are no operator's actions: sales, and enrolments by the shop.
const NO_OPERATORS: [(&str, &str); 2] = [("post", "/v1/events"), ("post", "/v1/members")];

/// A request to an operator's route with how it ends.
struct Case {
    method: &'static str,
    route: &'static str,
    id: String,
    body: String,
    status: u16,
    result: &'static str,
    /// A part of the detail.
    detail: &'static str,
}

impl Case {
    fn path(&self) -> String {
        path(self.route, &self.id)
    }

    /// The name that its row has.
    fn action(&self) -> &'static str {
        match self.route.rsplit('/').next() {
            Some("move") => "member.move",
            Some("reward-split") => "member.split",
            Some("retry") => "dead_letter.retry",
            Some("discard") => "dead_letter.discard",
            _ => "member.change",
        }
    }
}

/// A route with the id of a member or an event.
fn path(route: &str, id: &str) -> String {
    route.replace("{id}", id).replace("{event_id}", id)
}

/// The record, oldest first.
async fn recorded(api: &Api) -> Vec<Value> {
    let query = "select coalesce(json_agg(a order by id), '[]')::text from ( \
        select id, actor, on_behalf_of, action, subject, result, detail, \
               encode(arguments_digest, 'hex') as arguments from operator_actions) a";
    let rows: String = sqlx::query_scalar(query).fetch_one(&api.world.owner).await.unwrap();
    serde_json::from_str(&rows).unwrap()
}

fn sha256(bytes: &str) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn method(name: &str) -> Method {
    name.to_uppercase().parse().unwrap()
}

/// Every operation of the API document that may change something.
async fn changing(api: &Api) -> BTreeSet<(String, String)> {
    let (_, document) = api.get("/openapi.json").await;
    let mut found = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let methods = operations.as_object().unwrap().keys();
        let changing = methods.filter(|method| *method != "get");
        found.extend(changing.map(|method| (method.clone(), path.clone())));
    }
    found
}

/// What a request says for auditors.
fn by(mut body: Value) -> Value {
    body["reason"] = json!("as decided");
    body["on_behalf_of"] = json!("petra@example.com");
    body
}

/// Requests that are refused as they are read, whatever the route.
fn unreadable(method: &'static str, route: &'static str, id: &str) -> [Case; 3] {
    let case = |id: &str, body: &str, status, detail| Case {
        method,
        route,
        id: id.to_owned(),
        body: body.to_owned(),
        status,
        result: "refused",
        detail,
    };
    // Not JSON at all, an id that is none, and what PostgreSQL cannot keep.
    let strange = json!({"a\u{0}b": 1, "on_behalf_of": "a\u{0}b"}).to_string();
    [
        case(id, "{", 400, "EOF"),
        case("%00nobody", &by(json!({})).to_string(), 422, "must be a UUID"),
        case(id, &strange, 422, "a\u{fffd}b"),
    ]
}

fn member_cases() -> Vec<Case> {
    let (change, split) = ("/v1/members/{id}", "/v1/members/{id}/reward-split");
    let mover = "/v1/members/{id}/move";
    let case = |method, route, number, body: Value, status, result, detail| Case {
        method,
        route,
        id: member(number),
        body: body.to_string(),
        status,
        result,
        detail,
    };
    let to = |number| by(json!({"new_sponsor_id": member(number)}));
    let shares = json!({"monetary": {"to_self": "70", "to_referral": "30"}});
    let suspended = || by(json!({"status": "SUSPENDED"}));
    let mut cases = vec![
        case("post", mover, 3, to(1), 200, "done", "as decided"),
        case("post", mover, 1, to(3), 409, "refused", "own_descendant: the new"),
        case("post", mover, 9, to(1), 404, "refused", "unknown_member: "),
        case("post", mover, 3, json!({"new_sponsor_id": null}), 422, "refused", "/reason: "),
        case("post", mover, 3, json!([]), 422, "refused", "send a JSON object"),
        case("patch", change, 2, suspended(), 200, "done", "as decided"),
        case("patch", change, 2, suspended(), 409, "refused", "nothing_changes: "),
        case("patch", change, 2, by(json!({"rank": "EMPEROR"})), 422, "refused", "/rank: "),
        case("put", split, 2, by(shares.clone()), 200, "done", "as decided"),
        case("put", split, 2, by(shares), 409, "refused", "nothing_changes: "),
        case("put", split, 2, by(json!({})), 422, "refused", "say the shares"),
    ];
    for (method, route) in [("post", mover), ("patch", change), ("put", split)] {
        cases.extend(unreadable(method, route, &member(2)));
    }
    cases
}

/// On two dead events, and one that no attempt has failed at.
fn dead_letter_cases(dead: [&str; 2], fresh: &str) -> Vec<Case> {
    let retry = "/v1/dead-letters/{event_id}/retry";
    let discard = "/v1/dead-letters/{event_id}/discard";
    let [one, two] = dead;
    let unknown = member(9);
    let case = |route, id: &str, body: Value, status, result, detail| Case {
        method: "post",
        route,
        id: id.to_owned(),
        body: if body.is_null() { String::new() } else { body.to_string() },
        status,
        result,
        detail,
    };
    let why = || by(json!({}));
    let mut cases = vec![
        // The body of a retry may be left out.
        case(retry, one, json!(null), 200, "done", "due now"),
        case(retry, one, why(), 200, "done", "as decided"),
        case(retry, one, json!({"reason": " "}), 422, "refused", "/reason: "),
        case(retry, one, json!([]), 422, "refused", "send a JSON object"),
        case(retry, &unknown, why(), 404, "refused", "unknown_event: "),
        case(retry, fresh, json!(null), 409, "refused", "not_failed: "),
        case(discard, two, json!(null), 400, "refused", "EOF"),
        case(discard, two, json!({"on_behalf_of": "x"}), 422, "refused", "/reason: "),
        case(discard, two, json!([]), 422, "refused", "send a JSON object"),
        case(discard, two, why(), 200, "done", "as decided"),
        case(discard, two, why(), 409, "refused", "already_discarded: "),
        case(discard, &unknown, why(), 404, "refused", "unknown_event: "),
        case(discard, fresh, why(), 409, "refused", "not_failed: "),
        case(retry, two, why(), 200, "done", "as decided"),
    ];
    for route in [retry, discard] {
        cases.extend(unreadable("post", route, two));
    }
    cases
}

#[tokio::test]
async fn every_changing_route_leaves_exactly_one_row() {
    let api = Api::start().await;
    for (number, sponsor) in [(1, None), (2, Some(1)), (3, Some(2))] {
        api.enrol(number, sponsor).await;
    }
    let failed = failed_sales(&api).await.map(|id| id.to_string());
    let (_, fresh) = api.post("/v1/events", &sale("fresh")).await;
    let fresh = event(&fresh)["event_id"].as_str().unwrap();
    let mut cases = member_cases();
    cases.extend(dead_letter_cases([&failed[0], &failed[1]], fresh));
    for (method, path) in changing(&api).await {
        let has_case = cases.iter().any(|case| (case.method, case.route) == (&*method, &*path));
        let exempt = NO_OPERATORS.contains(&(&*method, &*path));
        assert!(has_case != exempt, "{method} {path}: is it an operator's? Then it needs a case");
    }
    for (row, case) in cases.iter().enumerate() {
        let request = api.request(method(case.method), &case.path()).body(case.body.clone());
        let (status, said) = answer(request).await;
        let place = format!("{} {} {}", case.method, case.path(), case.body);
        assert_eq!(status, case.status, "{place}: {said}");
        let actions = recorded(&api).await;
        assert_eq!(actions.len(), row + 1, "{place}: one row each: {actions:#?}");
        let last = actions.last().unwrap();
        let ended = (last["action"].as_str(), last["result"].as_str());
        assert_eq!(ended, (Some(case.action()), Some(case.result)), "{place}: {last}");
        assert!(last["detail"].as_str().unwrap().contains(case.detail), "{place}: {last}");
        assert_eq!(last["actor"], api.actor(), "{place}");
        assert_eq!(last["arguments"], sha256(&case.body), "{place}");
        assert_eq!(last["subject"], case.id.replace("%00", "\u{fffd}"), "{place}");
        let person = serde_json::from_str::<Value>(&case.body).unwrap_or_default();
        if person["on_behalf_of"] == "petra@example.com" && !case.id.contains("nobody") {
            assert_eq!(last["on_behalf_of"], "petra@example.com", "{place}");
        }
    }
}

/// A key that knocks at a door that is not its own is worth knowing about.
#[tokio::test]
async fn a_key_without_the_scope_leaves_a_row_at_every_changing_route() {
    let api = Api::start().await;
    let http = Client::new();
    let key = api.world.key(&[Scope::Read]).await;
    let actor = format!("key:{}", key.split('_').nth(1).unwrap());
    let send = async |method: Method, path: &str, key: &str| {
        let url = format!("{}{}?x=1", api.ingest.url, self::path(path, &member(2)));
        answer(http.request(method, url).bearer_auth(key).body("{}")).await.0
    };
    let routes = changing(&api).await;
    for (row, (name, path)) in routes.iter().enumerate() {
        assert_eq!(send(method(name), path, &key).await, 403, "{name} {path}");
        let actions = recorded(&api).await;
        assert_eq!(actions.len(), row + 1, "{name} {path}: {actions:#?}");
        let last = actions.last().unwrap();
        assert_eq!(last["action"], "request.refused");
        assert_eq!((&last["result"], &last["actor"]), (&"refused".into(), &actor.clone().into()));
        assert_eq!(last["subject"], format!("{} {path}", name.to_uppercase()));
        let asked = format!("{} {}?x=1", name.to_uppercase(), self::path(path, &member(2)));
        assert_eq!(last["arguments"], sha256(&asked), "the body is not looked at");
        assert!(last["detail"].as_str().unwrap().starts_with("the key lacks the scope "));
    }
    // Questions are nobody's action, and without a key that works there is no actor.
    let writer = api.world.key(&[Scope::EventsWrite]).await;
    assert_eq!(send(Method::GET, "/v1/outcomes", &writer).await, 403);
    for (name, path) in &routes {
        assert_eq!(send(method(name), path, "lk_nobody_x").await, 401);
    }
    assert_eq!(recorded(&api).await.len(), routes.len());
    let metrics = http.get(format!("{}/metrics", api.ingest.metrics_url)).send().await.unwrap();
    let text = metrics.text().await.unwrap();
    let counted = "lineage_http_requests_total{method=\"POST\",route=\"/v1/members/{id}/move\",\
                   status=\"401\"} 1\n";
    assert!(text.contains(counted), "{text}");
}

#[tokio::test]
async fn a_key_does_not_fill_the_record() {
    let api = Api::start().await;
    let http = Client::new();
    let key = api.world.key(&[Scope::Read]).await;
    for _ in 0..70 {
        let request = http.post(format!("{}/v1/events", api.ingest.url)).bearer_auth(&key);
        assert_eq!(answer(request.body(sale("1").to_string())).await.0, 403);
    }
    assert_eq!(recorded(&api).await.len(), 60, "as many as are recorded in a minute");
}

/// A dry run asks; what came of the sales and enrolments of shops stands in their own tables.
#[tokio::test]
async fn what_is_only_tried_and_what_shops_do_is_no_action() {
    let api = Api::start().await;
    api.enrol(1, None).await;
    api.enrol(2, Some(1)).await;
    api.post("/v1/events", &sale("1")).await;
    let path = format!("/v1/members/{}/move", member(2));
    let dry = |sponsor| json!({"new_sponsor_id": sponsor, "reason": "test", "dry_run": true});
    assert_eq!(api.post(&path, &dry(json!(null))).await.0, 200);
    assert_eq!(api.post(&path, &dry(json!(member(9)))).await.0, 422, "refused, and only tried");
    assert_eq!(recorded(&api).await, Vec::<Value>::new());
}

/// What cannot be recorded is not done, and what fails is on record as failed.
#[tokio::test]
async fn no_change_without_its_row() {
    let api = Api::start().await;
    api.enrol(1, None).await;
    api.enrol(2, Some(1)).await;
    let network = api.network().await;
    let path = format!("/v1/members/{}/move", member(2));
    let body = json!({"new_sponsor_id": null, "reason": "test"});
    let owner = &api.world.owner;
    // The history cannot be written: the change fails, and the record says so.
    let revoke = "revoke insert (actor) on member_sponsors from lineage_ingest";
    sqlx::query(revoke).execute(owner).await.unwrap();
    assert_eq!(api.post(&path, &body).await.0, 503);
    let actions = recorded(&api).await;
    assert_eq!((actions.len(), &actions[0]["result"]), (1, &"failed".into()), "{actions:#?}");
    let grant = "grant insert (actor) on member_sponsors to lineage_ingest";
    sqlx::query(grant).execute(owner).await.unwrap();
    let dead = failed_sales(&api).await[0];
    // The record cannot be written: nothing is changed.
    let revoke = "revoke insert (actor) on operator_actions from lineage_ingest";
    sqlx::query(revoke).execute(owner).await.unwrap();
    assert_eq!(api.post(&path, &body).await.0, 503);
    assert_eq!(api.network().await, network);
    for action in ["retry", "discard"] {
        let path = format!("/v1/dead-letters/{dead}/{action}");
        assert_eq!(api.post(&path, &json!({"reason": "test"})).await.0, 503, "{action}");
    }
    let (_, letter) = api.get(&format!("/v1/dead-letters/{dead}")).await;
    assert_eq!((&letter["state"], &letter["discard"]), (&"dead".into(), &Value::Null), "{letter}");
    assert_eq!(recorded(&api).await.len(), 1);
    let grant = "grant insert (actor) on operator_actions to lineage_ingest";
    sqlx::query(grant).execute(owner).await.unwrap();
    assert_eq!(api.post(&path, &body).await.0, 200);
    assert_eq!(recorded(&api).await.len(), 2);
}
