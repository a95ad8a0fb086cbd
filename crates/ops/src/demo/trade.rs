//! The shop: posts the orders and hears when each is settled.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::stream::{self, TryStreamExt as _};
use indicatif::{MultiProgress, ProgressBar};
use reqwest::Client;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use store::stream::{Doorbell, Listener};
use uuid::Uuid;

use super::orders::Order;
use crate::progress;

/// Orders of a request while the past is brought in.
const BATCH: usize = 100;
/// Requests at the same time.
const CONNECTIONS: usize = 4;
/// The last orders are posted one by one, as they would come on a busy day.
const ONE_BY_ONE: usize = 500;
/// How many of those a second.
const RATE: u32 = 250;
/// How long to wait for the last order.
const LAST_MAX: Duration = Duration::from_mins(1);

pub(super) struct Shop {
    url: String,
    key: SecretString,
    client: Client,
    doorbell: Doorbell,
}

/// What the trade measured.
pub(super) struct Figures {
    pub(super) orders: usize,
    /// From the first post to the last order of the past settled.
    pub(super) bulk_orders: usize,
    pub(super) bulk_time: Duration,
    /// From the post of one order to hearing that it is settled, sorted.
    pub(super) single_times: Vec<Duration>,
    pub(super) rate: u32,
}

impl Shop {
    pub(super) fn new(url: &str, key: SecretString, doorbell: Doorbell) -> Self {
        Self { url: format!("{url}/v1/events"), key, client: Client::new(), doorbell }
    }

    /// Posts a body; the status and the answer.
    pub(super) async fn post(&self, body: &Value) -> anyhow::Result<(u16, String)> {
        let request = self.client.post(&self.url).bearer_auth(self.key.expose_secret());
        let answer = request.body(body.to_string()).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// Posts every order: the past in batches, then the last ones one by one.
    pub(super) async fn trade(&self, orders: &[Order]) -> anyhow::Result<Figures> {
        let (past, last) = orders.split_at(orders.len().saturating_sub(ONE_BY_ONE));
        let bars = MultiProgress::new();
        let posted = bars.add(progress::bar(orders.len() as u64, "posted "));
        let settled = bars.add(progress::bar(orders.len() as u64, "settled"));

        let hearing = self.hear(past.len(), settled.clone()).await?;
        let begun = Instant::now();
        stream::iter(past.chunks(BATCH).map(anyhow::Ok))
            .try_for_each_concurrent(CONNECTIONS, |chunk| self.post_orders(chunk, &posted))
            .await?;
        let heard = wait(hearing).await?;
        let bulk_time = heard.values().max().map_or(Duration::ZERO, |end| *end - begun);

        let hearing = self.hear(last.len(), settled.clone()).await?;
        let start = Instant::now();
        let mut posts = Vec::with_capacity(last.len());
        for (number, order) in (0_u32..).zip(last) {
            let due = start + Duration::from_secs(1) * number / RATE;
            posts.push((due, order));
        }
        let due_at: HashMap<Uuid, Instant> =
            posts.iter().map(|(due, order)| (order.event_id, *due)).collect();
        let posted_bar = &posted;
        stream::iter(posts.into_iter().map(anyhow::Ok))
            .try_for_each_concurrent(None, |(due, order)| async move {
                tokio::time::sleep_until(due.into()).await;
                self.post_orders(std::slice::from_ref(order), posted_bar).await
            })
            .await?;
        let heard = wait(hearing).await?;
        let mut single_times: Vec<Duration> = heard
            .iter()
            .filter_map(|(event_id, at)| due_at.get(event_id).map(|due| *at - *due))
            .collect();
        single_times.sort_unstable();
        posted.finish_and_clear();
        settled.finish_and_clear();
        Ok(Figures {
            orders: orders.len(),
            bulk_orders: past.len(),
            bulk_time,
            single_times,
            rate: RATE,
        })
    }

    async fn post_orders(&self, orders: &[Order], posted: &ProgressBar) -> anyhow::Result<()> {
        let body = match orders {
            [only] => only.body.clone(),
            many => many.iter().map(|order| order.body.clone()).collect(),
        };
        let (status, answer) = self.post(&body).await?;
        ensure!(status == 202, "ingest answered {status}: {answer}");
        posted.inc(orders.len() as u64);
        Ok(())
    }

    /// Begins to hear when events are settled, until there were so many.
    async fn hear(
        &self,
        count: usize,
        settled: ProgressBar,
    ) -> anyhow::Result<tokio::task::JoinHandle<anyhow::Result<HashMap<Uuid, Instant>>>> {
        let listener = self.doorbell.listen().await?;
        Ok(tokio::spawn(hear(listener, count, settled)))
    }
}

async fn hear(
    mut listener: Listener,
    count: usize,
    settled: ProgressBar,
) -> anyhow::Result<HashMap<Uuid, Instant>> {
    let mut heard = HashMap::with_capacity(count);
    while heard.len() < count {
        let event_ids = listener.next().await?;
        let now = Instant::now();
        for event_id in event_ids {
            if heard.insert(event_id, now).is_none() {
                settled.inc(1);
            }
        }
    }
    Ok(heard)
}

async fn wait(
    hearing: tokio::task::JoinHandle<anyhow::Result<HashMap<Uuid, Instant>>>,
) -> anyhow::Result<HashMap<Uuid, Instant>> {
    tokio::time::timeout(LAST_MAX, hearing).await.context("orders stay unsettled")??
}
