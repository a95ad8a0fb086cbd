//! One sale from its POST to the announcement that its lines are committed, at a steady rate. The
//! clock of each sale starts when it is due, not when a client is free, so that a stall shows.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use domain::sale;
use secrecy::ExposeSecret as _;
use store::bench;
use store::keys::{self, Scope};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::plan::Plan;
use super::report::quantile;
use super::{Ground, Place, Report, Sizes, network, say};
use crate::processes::Process;

/// Sales at the beginning that are not counted: connections open and plans are cached meanwhile.
const WARM_UP: Duration = Duration::from_secs(2);
/// How long the measurement lasts, unless a number of events is asked for.
const SECONDS: u32 = 20;
/// How long to wait for the last announcement.
const LAST_MAX: Duration = Duration::from_secs(30);
/// Transactions of the floor.
const FLOOR_SALES: usize = 1_000;

pub(super) async fn run(place: &Place, sizes: &Sizes) -> anyhow::Result<Report> {
    let ground = place.ground(4).await?;
    let report = measure(&ground, sizes).await;
    ground.clear().await?;
    report
}

async fn measure(ground: &Ground, sizes: &Sizes) -> anyhow::Result<Report> {
    let (members, rate) = (sizes.members(), sizes.rate);
    let warm_up = rate * u32::try_from(WARM_UP.as_secs())?;
    let events = sizes.events.unwrap_or(rate * SECONDS) + warm_up;
    let pool = &ground.database.pool;
    say(&format!("latency: enrolling {members} members"));
    let sellers = network::enrol(pool, members).await?;
    Plan::Simple.apply(pool).await?;
    let bodies = network::request_bodies(pool, &sellers, events, 1).await?;
    let key = {
        let mut conn = pool.acquire().await?;
        keys::create(&mut conn, "bench", &[Scope::EventsWrite]).await?.1
    };
    ground.database.settle_down().await?;
    let worker = Process::worker(&ground.servers, &[]).await?;
    let ingest = Process::ingest(&ground.servers, &[]).await?;
    let url = format!("{}/v1/events", ingest.url.as_deref().context("no URL")?);

    say(&format!("latency: {rate} posts a second"));
    let heard = tokio::spawn(hear(ground.doorbell.listen().await?, events as usize));
    let client = reqwest::Client::new();
    let begun = Instant::now();
    let mut posts = JoinSet::new();
    let mut due_at: HashMap<Uuid, Instant> = HashMap::with_capacity(bodies.len());
    for (number, body) in (0_u32..).zip(bodies) {
        let due = begun + Duration::from_secs_f64(f64::from(number) / f64::from(rate));
        tokio::time::sleep_until(due.into()).await;
        due_at.insert(sale::event_id("bench", &format!("order-{number}")), due);
        let request = client.post(&url).bearer_auth(key.expose_secret()).body(body);
        posts.spawn(async move {
            let status = request.send().await?.status();
            ensure!(status == 202, "answered {status}");
            Ok(())
        });
    }
    while let Some(ended) = posts.join_next().await {
        ended??;
    }
    let heard = tokio::time::timeout(LAST_MAX, heard).await.context("sales are missing")???;
    let peak_rss_mib = worker.peak_rss_mib();
    ingest.stop().await?;
    worker.stop().await?;

    let counted_from = begun + WARM_UP;
    let mut times: Vec<f64> = heard
        .into_iter()
        .filter_map(|(event_id, at)| due_at.get(&event_id).map(|due| (*due, at)))
        .filter(|(due, _)| *due >= counted_from)
        .map(|(due, at)| (at - due).as_secs_f64() * 1e3)
        .collect();
    times.sort_by(f64::total_cmp);
    let p50_ms = quantile(&times, 0.5);
    let event_ids: Vec<Uuid> = due_at.into_keys().take(FLOOR_SALES).collect();
    let bare = bench::bare_commits(pool, &event_ids).await?;
    let mut bare: Vec<f64> = bare.into_iter().map(|time| time.as_secs_f64() * 1e3).collect();
    bare.sort_by(f64::total_cmp);
    let floor_p50_ms = quantile(&bare, 0.5);
    Ok(Report {
        bench: "latency, POST to ledger".to_owned(),
        members,
        events: Some(events - warm_up),
        rate: Some(rate),
        p50_ms: Some(p50_ms),
        p99_ms: Some(quantile(&times, 0.99)),
        floor_p50_ms: Some(floor_p50_ms),
        ratio: Some(floor_p50_ms / p50_ms),
        peak_rss_mib,
        goal: "p50 ≤ 5 ms\np99 ≤ 20 ms",
        ..Report::default()
    })
}

/// When each sale was announced.
async fn hear(
    mut listener: store::stream::Listener,
    count: usize,
) -> anyhow::Result<HashMap<Uuid, Instant>> {
    let mut heard = HashMap::with_capacity(count);
    while heard.len() < count {
        let event_ids = listener.next().await?;
        let now = Instant::now();
        for event_id in event_ids {
            heard.entry(event_id).or_insert(now);
        }
    }
    Ok(heard)
}
