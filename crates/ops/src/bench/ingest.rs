//! Ingest throughput: HTTP requests to a real process; then COPY of the same events, a commit for
//! every request, over as many connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use domain::sale;
use secrecy::ExposeSecret as _;
use store::bench::{self, Floor};
use store::keys::{self, Scope};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Ground, Place, Report, Sizes, network, say};
use crate::processes::Process;

pub(super) async fn run(place: &Place, sizes: &Sizes) -> anyhow::Result<Report> {
    let batch = sizes.batch.unwrap_or(100);
    let connections = sizes.connections.unwrap_or(if batch == 1 { 64 } else { 4 });
    let ground = place.ground(connections + 2).await?;
    let report = measure(&ground, sizes, batch, connections).await;
    ground.clear().await?;
    report
}

async fn measure(
    ground: &Ground,
    sizes: &Sizes,
    batch: u16,
    connections: u16,
) -> anyhow::Result<Report> {
    // Recording an event reads nothing of the tree.
    let members = sizes.members.unwrap_or(1_000).min(10_000);
    let events = sizes.events();
    let pool = &ground.database.pool;
    let sellers = network::enrol(pool, members).await?;
    let bodies = network::request_bodies(pool, &sellers, events, batch).await?;
    let key = {
        let mut conn = pool.acquire().await?;
        keys::create(&mut conn, "bench", &[Scope::EventsWrite]).await?.1
    };
    ground.database.settle_down().await?;
    let ingest = Process::ingest(&ground.servers, &[]).await?;
    let url = format!("{}/v1/events", ingest.url.as_deref().context("no URL")?);

    say(&format!("ingest: posting {events} sales, {batch} a request, {connections} at a time"));
    let bodies = Arc::new(bodies);
    let next = Arc::new(AtomicUsize::new(0));
    let mut clients = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..connections {
        let client = reqwest::Client::new();
        let (bodies, next, url) = (Arc::clone(&bodies), Arc::clone(&next), url.clone());
        let key = key.clone();
        clients.spawn(async move {
            loop {
                let turn = next.fetch_add(1, Ordering::Relaxed);
                let Some(body) = bodies.get(turn) else { return anyhow::Ok(()) };
                let request = client.post(&url).bearer_auth(key.expose_secret());
                let answer = request.body(body.clone()).send().await?;
                ensure!(answer.status() == 202, "answered {}", answer.status());
                answer.bytes().await?;
            }
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let peak_rss_mib = ingest.peak_rss_mib();
    ingest.stop().await?;

    say("ingest: the floor, COPY of the same rows");
    let event_ids: Vec<Uuid> =
        (0..events).map(|number| sale::event_id("bench", &format!("order-{number}"))).collect();
    let floor = Floor::read(pool, &bench::INGEST, &event_ids, usize::from(batch)).await?;
    let floor_seconds = floor.write(pool, usize::from(connections)).await?.as_secs_f64();
    let events_per_second = f64::from(events) / seconds;
    let floor_events_per_second = f64::from(events) / floor_seconds;
    Ok(Report {
        bench: if batch == 1 { "ingest, single posts" } else { "ingest, batches" }.to_owned(),
        members,
        events: Some(events),
        batch: Some(batch),
        connections: Some(connections),
        events_per_second: Some(events_per_second),
        floor_events_per_second: Some(floor_events_per_second),
        ratio: Some(events_per_second / floor_events_per_second),
        peak_rss_mib,
        goal: if batch == 1 { "≥ 4000/s" } else { "≥ 20000/s" },
        ..Report::default()
    })
}
