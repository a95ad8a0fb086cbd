//! Balances and ledger lines of members.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};
use store::keys::Scope;

use crate::client::{Api, answer, member, sale, sale_with};
use crate::moving::path;

const PLAN: &str = r#"
plan: retail
version: "1"
valid_from: 2026-01-01
rules:
  - id: base
    component: base
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "3.00", career_points_percentage: "10.00"}
        - {level: 2, percentage: "1.50"}
"#;

/// A chain of three; sales of the lowest.
async fn chain() -> Api {
    let api = Api::start().await;
    api.world.plan(PLAN).await;
    api.enrol(3, None).await;
    api.enrol(2, Some(3)).await;
    api.enrol(1, Some(2)).await;
    api
}

/// Posts sales in a request of their own, and lets a worker settle them.
async fn settle(api: &Api, sales: Value) {
    let (status, recorded) = api.post("/v1/events", &sales).await;
    assert_eq!(status, 202, "{recorded}");
    let worker = api.world.worker(&[]);
    api.world.wait_until_settled().await;
    assert!(worker.stop().success());
}

async fn moment(api: &Api, query: &'static str) -> DateTime<Utc> {
    sqlx::query_scalar(query).fetch_one(&api.world.owner).await.unwrap()
}

/// Every page of a list, following `next`.
async fn pages(api: &Api, path: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut query = path.to_owned();
    loop {
        let (status, page) = api.get(&query).await;
        assert_eq!(status, 200, "{page}");
        pages.push(page["lines"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break pages };
        if page["lines"] == json!([]) {
            // Some transaction of the server still writes.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        query = format!("{path}&after={next}");
    }
}

#[tokio::test]
async fn a_balance_sums_up_what_was_posted_until_its_moment() {
    let api = chain().await;
    let ask = async |number, as_of: &str| {
        let (status, answer) = api.get(&path(number, &format!("/balance{as_of}"))).await;
        assert_eq!((status, &answer["member_id"]), (200, &json!(member(number))), "{answer}");
        answer
    };
    assert_eq!(ask(2, "").await["balances"], json!([]));

    settle(&api, json!([sale("1"), sale("2")])).await;
    let first = json!([{"currency": "EUR", "balance": "11.9940", "career_points": "39.9800"}]);
    let now = ask(2, "").await;
    assert_eq!(now["balances"], first);
    let posted = moment(&api, "select max(posted_at) from commission_ledger").await;
    assert!(now["as_of"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap() > posted);

    let mut koruny = sale_with("4", "amount", json!("60000"));
    koruny["currency"] = json!("CZK");
    settle(&api, json!([sale("3"), koruny])).await;
    let both = json!([
        {"currency": "CZK", "balance": "1800.0000", "career_points": "6000.0000"},
        {"currency": "EUR", "balance": "17.9910", "career_points": "59.9700"},
    ]);
    assert_eq!(ask(2, "").await["balances"], both, "by currency");
    assert_eq!(ask(2, "?as_of=2999-01-01T00:00:00Z").await["balances"], both);
    let level_2 = ask(3, "").await;
    assert_eq!(level_2["balances"][1]["balance"], "8.9955");
    assert_eq!(level_2["balances"][1]["career_points"], "0.0000");
    assert_eq!(ask(1, "").await["balances"], json!([]), "the seller earns nothing");

    // At the very moment of posting an entry counts; a microsecond before, it does not.
    let at = |moment: DateTime<Utc>| {
        format!("?as_of={}", moment.to_rfc3339_opts(SecondsFormat::Micros, true))
    };
    let then = ask(2, &at(posted)).await;
    assert_eq!(then["balances"], first, "by when it was posted, not when it was sold");
    assert_eq!(then["as_of"].as_str().unwrap().parse(), Ok(posted));
    let earliest = moment(&api, "select min(posted_at) from commission_ledger").await;
    let before = earliest - TimeDelta::microseconds(1);
    assert_eq!(ask(2, &at(before)).await["balances"], json!([]));
}

/// A sum may have more digits than any amount that it consists of.
#[tokio::test]
async fn a_balance_may_be_larger_than_an_amount() {
    let api = chain().await;
    let plan = PLAN.replace("\"3.00\"", "\"100\"").replace("\"1\"", "\"2\"");
    api.world.plan(&plan.replace("2026-01-01", "2026-02-01")).await;
    let tall = |id: &str| sale_with(id, "amount", json!("9999999999999999.9999"));
    settle(&api, json!([tall("1"), tall("2")])).await;
    let (status, answer) = api.get(&path(2, "/balance")).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["balances"][0]["balance"], "19999999999999999.9998");
}

#[tokio::test]
async fn ledger_lines_are_those_of_their_events() {
    let api = chain().await;
    let october = sale_with("1", "occurred_at", json!("2026-10-03T10:15:00Z"));
    settle(&api, json!([october])).await;
    settle(&api, json!([sale("2")])).await;
    let (status, page) = api.get(&path(2, "/ledger")).await;
    assert_eq!(status, 200, "{page}");
    assert_eq!((&page["member_id"], &page["next"]), (&json!(member(2)), &Value::Null));
    let lines = page["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 2);
    for (line, (id, period)) in lines.iter().zip([("1", "2026-10"), ("2", "2026-11")]) {
        let (_, event) = api.get(&format!("/v1/events?source=shop-eu&external_id={id}")).await;
        let mut expected = event["lines"][0].clone();
        expected["event_id"] = event["event_id"].clone();
        expected["source"] = json!("shop-eu");
        expected["external_id"] = json!(id);
        assert_eq!(*line, expected, "in the order in which they were settled");
        assert_eq!((&line["posted_period"], &line["level"]), (&json!(period), &json!(1)));
        assert_eq!((&line["amount"], &line["rule"]), (&json!("5.9970"), &json!("base")));
        let (_, month) = api.get(&path(2, &format!("/ledger?period={period}"))).await;
        assert_eq!((&month["lines"], &month["next"]), (&json!([line]), &Value::Null));
    }
    let (_, other) = api.get(&path(3, "/ledger")).await;
    assert_eq!(other["lines"][0]["amount"], "2.9985");
    for nothing in [path(1, "/ledger"), path(2, "/ledger?period=2026-09")] {
        let (status, page) = api.get(&nothing).await;
        let expected = (200, &json!([]), &Value::Null);
        assert_eq!((status, &page["lines"], &page["next"]), expected, "{nothing}");
    }
}

/// While workers settle and somebody pages, every line that is there is on exactly one page, and
/// all pages together come to the balance.
#[tokio::test]
async fn pages_of_the_ledger_hold_every_line_once() {
    let api = chain().await;
    let workers = [api.world.worker(&["--batch", "3"]), api.world.worker(&["--batch", "5"])];
    for round in 0..6 {
        let sales: Value = (0..20).map(|n| sale(&format!("{round}-{n}"))).collect();
        assert_eq!(api.post("/v1/events", &sales).await.0, 202);
        let settled = api.count("select count(*) from commission_outcomes").await;
        let met = pages(&api, &path(2, "/ledger?limit=7")).await.concat();
        let mut ids: Vec<_> = met.iter().map(|line| line["event_id"].to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), met.len(), "no line twice");
        assert!(i64::try_from(met.len()).unwrap() >= settled, "{} of {settled}", met.len());
    }
    api.world.wait_until_settled().await;
    for worker in workers {
        assert!(worker.stop().success());
    }
    let whole = pages(&api, &path(2, "/ledger?limit=1000")).await.concat();
    let (_, account) = api.get(&path(2, "/balance")).await;
    assert_eq!((whole.len(), &account["balances"][0]["balance"]), (120, &json!("719.6400")));
    for limit in [1, 7, 60, 119, 120] {
        let some = pages(&api, &path(2, &format!("/ledger?limit={limit}"))).await;
        assert!(some.iter().all(|page| page.len() <= limit), "{limit}");
        assert_eq!(some.concat(), whole, "{limit}");
        let month = path(2, &format!("/ledger?period=2026-11&limit={limit}"));
        assert_eq!(pages(&api, &month).await.concat(), whole, "{limit} of the month");
    }
}

#[tokio::test]
async fn wrong_questions_about_money_are_refused() {
    let api = chain().await;
    for (question, pointer) in [
        ("/balance?as_of=yesterday", "/as_of"),
        ("/balance?as_of=2026-11-03", "/as_of"),
        ("/balance?period=2026-11", "/period"),
        ("/ledger?period=November", "/period"),
        ("/ledger?period=2026-13", "/period"),
        ("/ledger?limit=0", "/limit"),
        ("/ledger?limit=1001", "/limit"),
        ("/ledger?after=1", "/after"),
        ("/ledger?after=1.2.3", "/after"),
        ("/ledger?after=-1.01920000-0000-7000-8000-000000000001.0", "/after"),
        ("/ledger?after=1.01920000-0000-7000-8000-000000000001", "/after"),
        ("/ledger?after=1.01920000-0000-7000-8000-000000000001.40000", "/after"),
        ("/ledger?as_of=2026-11-03T10:15:00Z", "/as_of"),
    ] {
        let (status, problem) = api.get(&path(2, question)).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!(pointer)), "{question}: {problem}");
    }
    let http = reqwest::Client::new();
    for question in ["/balance", "/ledger"] {
        let (status, problem) = api.get(&format!("/v1/members/nobody{question}")).await;
        assert_eq!((status, &problem["pointer"]), (422, &json!("/id")));
        let (status, problem) = api.get(&path(200, question)).await;
        assert_eq!(status, 404, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(&member(200)), "{problem}");
        for scope in Scope::ALL {
            let key = api.world.key(&[scope]).await;
            let request = http.get(format!("{}{}", api.ingest.url, path(2, question)));
            let (status, _) = answer(request.bearer_auth(key)).await;
            assert_eq!(status, if scope == Scope::Read { 200 } else { 403 }, "{}", scope.name());
        }
    }
}
