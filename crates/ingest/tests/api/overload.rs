//! More than can be recorded: what is refused is refused whole and early, and nothing else suffers.

use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::task::JoinSet;

use crate::client::{Api, SELLER, sale};

/// Sales of a post.
const SALES: usize = 20;
/// Posts of which not all may wait, whatever the limit is.
const CROWD_MAX: usize = 2_000;

async fn metric(api: &Api, name: &str) -> f64 {
    let metrics = reqwest::get(format!("{}/metrics", api.ingest.metrics_url)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("{name} is missing in\n{metrics}"))
}

/// PostgreSQL records nothing for a while: a bounded number of posts waits, the others are refused,
/// reading goes on; afterwards exactly what was answered 202 is recorded.
#[tokio::test]
async fn what_waits_is_bounded_and_what_is_refused_leaves_no_trace() {
    let api = Api::start().await;
    assert_eq!(api.post("/v1/events", &sale("first")).await.0, 202);
    let mut locker = sqlx::PgConnection::connect(&api.database_url()).await.unwrap();
    let mut lock = locker.begin().await.unwrap();
    sqlx::query("lock table events in share mode").execute(&mut *lock).await.unwrap();

    let list = |name: usize| -> Value {
        (0..SALES).map(|n| sale(&format!("{name}-{n}"))).collect::<Vec<_>>().into()
    };
    let mut crowd = JoinSet::new();
    let mut limit = f64::INFINITY;
    // Committers take what they can until they stand still; from then on it adds up.
    while metric(&api, "lineage_queue_bytes").await < limit {
        assert!(crowd.len() < CROWD_MAX, "all of it waits");
        let request = api.request(reqwest::Method::POST, "/v1/events");
        let request = request.body(list(crowd.len()).to_string());
        crowd.spawn(async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        });
        limit = metric(&api, "lineage_queue_limit_bytes").await;
    }
    let refused = api.request(reqwest::Method::POST, "/v1/events").body("no JSON at all");
    let response = refused.send().await.unwrap();
    assert_eq!(response.status(), 503, "refused before anybody looks at it");
    assert!(response.headers().contains_key("retry-after"));
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/overloaded");
    assert!(metric(&api, "lineage_http_shed_total{why=\"queue\"}").await >= 1.0);
    let waiting = metric(&api, "lineage_queue_bytes").await;
    assert!(waiting < limit + 10_000.0, "one request over at most: {waiting} of {limit}");
    assert!(metric(&api, "lineage_queue_requests").await > 0.0);
    assert_eq!(api.get("/readyz").await.0, 200, "reading has connections of its own");
    let (status, _) = api.post("/v1/members", &json!({"id": SELLER})).await;
    assert_eq!(status, 201, "and so has enrolling");

    lock.rollback().await.unwrap();
    let mut recorded = 1;
    while let Some(answer) = crowd.join_next().await {
        let (status, body) = answer.unwrap();
        match status {
            202 => recorded += i64::try_from(SALES).unwrap(),
            _ => assert_eq!(status, 503, "{body}"),
        }
    }
    assert!(recorded > 1, "what waited is recorded");
    assert_eq!(api.events().await, recorded);
    // The limit finds back by itself.
    let (status, answer) = api.post("/v1/events", &sale("last")).await;
    assert_eq!(status, 202, "{answer}");
    assert!(metric(&api, "lineage_queue_requests").await < 1.0);
    assert!(metric(&api, "lineage_queue_age_seconds").await <= 0.0);
}

/// Room for bodies is shared: while bytes that have arrived take it, a further body waits for it and
/// is then refused, and a request without a body needs none.
#[tokio::test]
async fn bodies_take_turns_in_the_memory_that_there_is() {
    use std::io::Write as _;
    let api = Api::start_with(&["--body-memory", "2"]).await;
    let mut holder =
        std::net::TcpStream::connect(api.ingest.url.trim_start_matches("http://")).unwrap();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 2097152\r\n\r\n",
        api.key()
    );
    holder.write_all(head.as_bytes()).unwrap();
    // All but the last byte, so that there is no answer to it yet.
    holder.write_all(&vec![b'['; (2 << 20) - 1]).unwrap();
    let refused = loop {
        let (status, answer) = api.post("/v1/events", &sale("1")).await;
        // The holder's last bytes may not have been read yet.
        if status != 202 {
            break (status, answer);
        }
    };
    assert_eq!(refused.0, 503, "{}", refused.1);
    assert_eq!(refused.1["type"], "/problems/overloaded");
    assert_eq!(api.get("/v1/outcomes").await.0, 200);
    assert!(metric(&api, "lineage_http_shed_total{why=\"memory\"}").await >= 1.0);
    drop(holder);
    while api.post("/v1/events", &sale("2")).await.0 != 202 {}
}
