//! For tests: a small network and its sales, settled by the real binaries, with the evidence that
//! the load would have kept of it.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Method};
use rust_decimal::Decimal;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use store::keys::Scope;
use store::testing::{Process, World};
use uuid::Uuid;

use crate::evidence::{Changed, Enrolled, Evidence, PostedSale};
use crate::reference::{LADDER, PLAN_YAML};

/// A world, and what the load knows of it.
pub(crate) struct Small {
    pub(crate) world: World,
    pub(crate) evidence: Evidence,
    key: String,
    http: Client,
    dice: u64,
}

/// A world in which nobody asks for anything more.
pub(crate) struct Settled {
    pub(crate) world: World,
    pub(crate) evidence: Evidence,
}

impl Settled {
    pub(crate) fn database_url(&self) -> String {
        self.world.database_url().expose_secret().to_owned()
    }

    pub(crate) fn redis_url(&self) -> String {
        self.world.redis_url().expose_secret().to_owned()
    }
}

/// Enrols 24 members, sells, moves and changes some, sells again, and waits until all is settled.
/// One sale's seller is never enrolled.
pub(crate) async fn settled(seed: u64) -> Settled {
    let mut small = Small::new(seed).await;
    let ingest = small.world.ingest(&[]);
    let worker = small.world.worker(&["--sweep-every", "1", "--batch", "7"]);
    small.enrol(&ingest, 24).await;
    small.sell(&ingest, "before", 60).await;
    small.change(&ingest).await;
    small.sell(&ingest, "after", 60).await;
    let now = small.now().await;
    let stranger = small.sale("stranger", Uuid::from_u128(9_999), now);
    assert_eq!(small.post(&ingest, &stranger).await, 202);
    small.evidence.acknowledged.push(stranger);
    // The load may not know of what it posted: one of these is recorded, one is not.
    let recorded = small.evidence.acknowledged.swap_remove(3);
    let never = small.sale("never-sent", Uuid::from_u128(1), now);
    small.evidence.unanswered = vec![recorded, never];
    small.wait_until_decided().await;
    assert!(worker.stop().success() && ingest.stop().success());
    small.at_rest()
}

impl Small {
    /// An empty world with ladder and plan.
    pub(crate) async fn new(seed: u64) -> Self {
        let world = World::new().await;
        world.ladder(&LADDER).await;
        world.plan(PLAN_YAML).await;
        let key = world.key(&Scope::ALL).await;
        Self { world, evidence: Evidence::default(), key, http: Client::new(), dice: seed }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.dice >> 33) % end
    }

    pub(crate) fn at_rest(self) -> Settled {
        Settled { world: self.world, evidence: self.evidence }
    }

    async fn now(&self) -> DateTime<Utc> {
        let now = sqlx::query_scalar("select clock_timestamp()").fetch_one(&self.world.owner);
        now.await.unwrap()
    }

    fn any_member(&mut self) -> Uuid {
        let count = self.evidence.enrolled.len() as u64;
        Uuid::from_u128(1 + u128::from(self.below(count)))
    }

    /// Enrols members 1 to `count`, each under one of those before.
    pub(crate) async fn enrol(&mut self, ingest: &Process, count: u128) {
        for number in 1..=count {
            let member_id = Uuid::from_u128(number);
            // Deep rather than wide: the last six levels need somebody to stand there.
            let sponsor =
                (number > 1).then(|| number - 1 - u128::from(self.below(3)).min(number - 2));
            let sponsor_id = sponsor.map(Uuid::from_u128);
            let rank = LADDER[usize::try_from(self.below(3)).unwrap()];
            let status = if self.below(4) == 0 { "INACTIVE" } else { "ACTIVE" };
            let body = json!({"id": member_id, "sponsor_id": sponsor_id, "rank": rank,
                              "status": status});
            let status = self.send(ingest, Method::POST, "/v1/members", &body).await;
            assert_eq!(status, 201);
            self.evidence.enrolled.push(Enrolled { member_id, sponsor_id });
        }
    }

    /// Posts sales of random members, amounts and moments, and remembers them.
    pub(crate) async fn sell(&mut self, ingest: &Process, name: &str, count: usize) {
        let now = self.now().await;
        for number in 0..count {
            let seller = self.any_member();
            let late = TimeDelta::hours(i64::try_from(self.below(3) * self.below(900)).unwrap());
            let sale = self.sale(&format!("{name}-{number}"), seller, now - late);
            assert_eq!(self.post(ingest, &sale).await, 202);
            self.evidence.acknowledged.push(sale);
        }
    }

    /// A sale as it would be posted, to the microsecond as PostgreSQL keeps it.
    pub(crate) fn sale(
        &mut self,
        external_id: &str,
        member_id: Uuid,
        at: DateTime<Utc>,
    ) -> PostedSale {
        let amount = Decimal::new(i64::try_from(1 + self.below(6_000_000)).unwrap(), 4);
        let currency = if self.below(2) == 0 { "EUR" } else { "CZK" };
        PostedSale {
            event_id: domain::sale::event_id("chaos", external_id),
            source: "chaos".to_owned(),
            external_id: external_id.to_owned(),
            member_id,
            amount,
            currency: currency.to_owned(),
            occurred_at: DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap(),
        }
    }

    /// Posts a sale; the status.
    pub(crate) async fn post(&self, ingest: &Process, sale: &PostedSale) -> u16 {
        let body = json!({
            "type": "SALE", "source": sale.source, "id": sale.external_id,
            "member_id": sale.member_id, "amount": sale.amount.to_string(),
            "currency": sale.currency, "occurred_at": sale.occurred_at.to_rfc3339(),
        });
        self.send(ingest, Method::POST, "/v1/events", &body).await
    }

    /// Moves two members and changes the status of one, between sales.
    pub(crate) async fn change(&mut self, ingest: &Process) {
        for (member, sponsor) in [(20, 2), (24, 5)] {
            let (member_id, new_sponsor_id) = (Uuid::from_u128(member), Uuid::from_u128(sponsor));
            let reason = format!("move {member}");
            let body = json!({"new_sponsor_id": new_sponsor_id, "reason": reason});
            let path = format!("/v1/members/{member_id}/move");
            assert_eq!(self.send(ingest, Method::POST, &path, &body).await, 200);
            let new_sponsor_id = Some(new_sponsor_id);
            self.evidence.changed.push(Changed { member_id, new_sponsor_id, status: None, reason });
        }
        let member_id = Uuid::from_u128(3);
        let reason = "suspend 3".to_owned();
        let body = json!({"status": "SUSPENDED", "reason": reason});
        let path = format!("/v1/members/{member_id}");
        assert_eq!(self.send(ingest, Method::PATCH, &path, &body).await, 200);
        let status = Some("SUSPENDED".to_owned());
        self.evidence.changed.push(Changed { member_id, new_sponsor_id: None, status, reason });
    }

    async fn send(&self, ingest: &Process, method: Method, path: &str, body: &Value) -> u16 {
        let request = self.http.request(method, format!("{}{path}", ingest.url));
        let answer = request.bearer_auth(&self.key).body(body.to_string()).send().await.unwrap();
        let status = answer.status().as_u16();
        if status >= 300 {
            println!("{path}: {status} {}", answer.text().await.unwrap());
        }
        status
    }

    /// Waits until every event is settled, or has failed because its seller is nobody; then until
    /// the stream is empty.
    pub(crate) async fn wait_until_decided(&self) {
        let query =
            "select not exists (select from event_state s join events e on e.id = s.event_id
                        where state = 'unsettled' or (state = 'retrying' and exists (
                              select from members m where m.id = e.member_id)))";
        self.world.wait_until("everything is decided", query).await;
        let mut ringer = self.world.ringer();
        while ringer.length().await.unwrap() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
}
