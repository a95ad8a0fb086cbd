//! Requests to the ingests, repeated until they are answered.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::World;
use crate::evidence::PostedSale;

/// How long a shop waits for an answer before it takes it for lost.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// How long it waits before it asks again.
const REPEAT_AFTER: Duration = Duration::from_millis(150);
/// How often to look whether a sale is settled.
const POLL: Duration = Duration::from_millis(25);

/// Keys of the API.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// May post sales.
    pub(crate) shop: String,
    /// May do everything.
    pub(crate) office: String,
}

/// Whose key a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Shop,
    Office,
}

/// A request that may be repeated.
pub(crate) struct Request {
    pub(crate) caller: Caller,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// Whether it may have been done before: an attempt had no answer, or one that says so.
    pub(crate) perhaps_done_before: bool,
}

/// Connections to the ingests.
pub(crate) struct Client {
    http: reqwest::Client,
    keys: Keys,
}

impl Client {
    pub(crate) fn new(keys: Keys) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().pool_idle_timeout(Duration::from_secs(5));
        Ok(Self { http: http.build().context("cannot make an HTTP client")?, keys })
    }
}

/// Whether an answer leaves open what became of the request. Any other 503 promises that nothing was
/// done, and is held to it.
fn is_in_doubt(problem: &Value) -> bool {
    let detail = problem["detail"].as_str().unwrap_or_default();
    detail.contains("it is not known") || detail.contains("it may have been done")
}

impl World {
    /// Sends a request once. `None`: nobody answered within that time.
    pub(crate) async fn ask(
        &self,
        ingest: usize,
        request: &Request,
        patience: Duration,
    ) -> Option<(u16, Value)> {
        let url = self.arena.ingests[ingest % self.arena.ingests.len()].url_now()?;
        let key = match request.caller {
            Caller::Shop => &self.client.keys.shop,
            Caller::Office => &self.client.keys.office,
        };
        let sent = self
            .client
            .http
            .request(request.method.clone(), format!("{url}{}", request.path))
            .bearer_auth(key)
            .timeout(patience)
            .json(&request.body)
            .send()
            .await
            .ok()?;
        let status = sent.status().as_u16();
        Some((status, sent.json().await.ok()?))
    }

    /// Sends a request to one ingest and the other in turn until it is answered for good.
    pub(crate) async fn insist(&self, first_ingest: usize, request: &Request) -> Answer {
        let mut perhaps_done_before = false;
        let mut ingest = first_ingest;
        loop {
            match self.ask(ingest, request, ANSWER_MAX).await {
                Some((408 | 429 | 503, problem)) => {
                    perhaps_done_before |= is_in_doubt(&problem);
                    self.count(|counts| counts.put_off += 1);
                }
                Some((status, body)) => {
                    if status >= 500 {
                        let detail =
                            format!("{} {}: {status} {body}", request.method, request.path);
                        self.found("nothing but 503 is answered when something breaks", detail);
                    }
                    return Answer { status, body, perhaps_done_before };
                }
                None => {
                    perhaps_done_before = true;
                    self.count(|counts| counts.unanswered += 1);
                }
            }
            tokio::time::sleep(REPEAT_AFTER).await;
            ingest += 1;
        }
    }

    /// Posts a sale until it is acknowledged.
    pub(crate) async fn insist_on_sale(&self, sale: &PostedSale, ingest: usize) {
        let answer = self.insist(ingest, &super::sale::request(std::slice::from_ref(sale))).await;
        if answer.status == 202 {
            self.check_id(sale, &answer.body);
            self.acknowledged(sale);
        } else {
            self.refused_sale(sale, &answer);
        }
    }

    /// The id that is answered must be the one that follows from source and id.
    pub(crate) fn check_id(&self, sale: &PostedSale, recorded: &Value) {
        if recorded["event_id"].as_str() != Some(sale.event_id.to_string().as_str()) {
            let detail = format!("{} {}: {recorded}", sale.source, sale.external_id);
            self.found("an event's id follows from source and id", detail);
        }
    }

    /// A good sale was refused.
    pub(crate) fn refused_sale(&self, sale: &PostedSale, answer: &Answer) {
        let (status, body) = (answer.status, &answer.body);
        let detail = format!("{} {}: {status} {body}", sale.source, sale.external_id);
        self.found("a valid sale is accepted", detail);
    }

    /// Waits until an event has an outcome.
    pub(crate) async fn until_settled(&self, event_id: Uuid) {
        use sqlx::Connection as _;
        let mut connection: Option<sqlx::PgConnection> = None;
        loop {
            if let Some(open) = &mut connection {
                let settled = sqlx::query_scalar::<_, bool>(
                    "select exists (select from commission_outcomes where event_id = $1)",
                )
                .bind(event_id)
                .fetch_one(open)
                .await;
                match settled {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(_) => connection = None,
                }
            } else {
                connection = sqlx::PgConnection::connect(&self.arena.database_url).await.ok();
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
