//! A programme with members and settled sales, and a client that never waits for ever.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use store::keys::Scope;
use store::testing::{Process, World};

/// Longer than any answer takes; whoever needs longer hangs.
const PATIENCE: Duration = Duration::from_secs(45);
/// Connections that rest for longer are not used again: the server closes them by then.
const IDLE_MAX: Duration = Duration::from_secs(5);
/// More memory than random requests may ever cost, in KiB.
const MEMORY_GROWTH_MAX_KIB: u64 = 256 << 10;

const PLAN: &str = r#"
plan: retail
version: "1"
valid_from: 2020-01-01
rules:
  - id: base
    component: base
    calculation:
      type: unilevel
      levels:
        - {level: 1, percentage: "7.00", career_points_percentage: "10.00"}
        - {level: 2, percentage: "5.00", min_rank: SILVER}
"#;

/// What is there before anything random happens.
pub(crate) const MEMBERS: usize = 12;

pub(crate) struct Shop {
    pub(crate) world: World,
    pub(crate) ingest: Process,
    pub(crate) key: String,
    memory_kib: u64,
    http: Client,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    /// Whether a 401 says how to come in.
    pub(crate) challenges: bool,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

impl Shop {
    /// Members one below the other, and a settled sale of each.
    pub(crate) async fn open() -> Self {
        let world = World::new().await;
        world.ladder(&["MEMBER", "SILVER", "GOLD"]).await;
        world.plan(PLAN).await;
        let (ingest, worker) = (world.ingest(&[]), world.worker(&[]));
        let key = world.key(&Scope::ALL).await;
        let http = Client::builder().timeout(PATIENCE).pool_idle_timeout(IDLE_MAX).build().unwrap();
        let mut shop = Self { world, ingest, key, memory_kib: 0, http };
        for number in 0..MEMBERS {
            let sponsor = number.checked_sub(1).map(member);
            let body = json!({"id": member(number), "external_id": format!("m-{number}"),
                              "sponsor_id": sponsor, "rank": "SILVER"});
            let answer = shop.post("/v1/members", body.to_string().into()).await;
            assert_eq!(answer.status, 201, "{}", answer.json());
            let answer = shop.post("/v1/events", sale(number).to_string().into()).await;
            assert_eq!(answer.status, 202, "{}", answer.json());
        }
        shop.world.wait_until_settled().await;
        assert!(worker.stop().success());
        shop.memory_kib = shop.ingest.memory_peak_kib();
        shop
    }

    pub(crate) fn request(&self, method: Method, path: &str, key: Option<&str>) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.ingest.url));
        match key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Sends; fails when nothing is answered.
    pub(crate) async fn send(request: RequestBuilder) -> Answer {
        let response = request.send().await.expect("an answer");
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let (content_type, challenges) =
            (header("content-type"), !header("www-authenticate").is_empty());
        let status = response.status().as_u16();
        let body = response.bytes().await.expect("the whole answer").to_vec();
        Answer { status, content_type, body, challenges }
    }

    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> Answer {
        Self::send(self.request(Method::POST, path, Some(&self.key)).body(body)).await
    }

    /// What is stored, as numbers that any change of it moves: of what happened, of the network and
    /// of everything else that requests cannot touch.
    pub(crate) async fn stored(&self) -> (i64, String, String) {
        let query = "select \
            (select count(*) from events), \
            concat_ws(',', (select count(*) from members), \
              (select count(*) from member_tree_paths), (select count(*) from member_sponsors), \
              (select count(*) from member_states), (select count(*) from member_reward_splits), \
              (select md5(string_agg(m::text, ';' order by id)) from members m)), \
            concat_ws(',', (select count(*) from commission_outcomes), \
              (select count(*) from commission_ledger), (select count(*) from api_keys), \
              (select count(*) from commission_plans), (select count(*) from ranks))";
        sqlx::query_as(query).fetch_one(&self.world.owner).await.unwrap()
    }

    /// Fails when requests have cost memory for good.
    pub(crate) fn assert_memory_is_bounded(&self) {
        let peak = self.ingest.memory_peak_kib();
        let limit = self.memory_kib + MEMORY_GROWTH_MAX_KIB;
        assert!(peak < limit, "{peak} KiB at most, from {} KiB", self.memory_kib);
    }
}

pub(crate) fn member(number: usize) -> String {
    format!("01920000-0000-7000-8000-0000000000{number:02x}")
}

pub(crate) fn sale(number: usize) -> Value {
    json!({
        "type": "SALE", "source": "shop-eu", "id": format!("order-{number}"),
        "member_id": member(number), "amount": "199.90", "currency": "EUR",
        "occurred_at": "2026-11-03T10:15:00Z",
    })
}
