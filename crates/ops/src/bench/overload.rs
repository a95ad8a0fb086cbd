//! Overload: ten times as many posts as ingest can record. What is accepted must be answered about
//! as fast as at rest, the rest refused at little cost, memory stay as it was, and everything that
//! was accepted settle afterwards.

mod load;
mod request;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use store::events;
use store::keys::{self, Scope};
use store::{PgPool, bench};
use uuid::Uuid;

use self::load::{Load, Pace, Tally};
use self::request::Request;
use super::plan::Plan;
use super::report::{Overload, quantile};
use super::{Ground, OverloadSizes, Place, Report, network, say};
use crate::processes::Process;

/// How many times what ingest can record is offered.
const OVERLOAD: f64 = 10.0;
/// Connections that post during the overload, unless told otherwise.
pub(super) const CONNECTIONS: u16 = 256;
/// Members who sell, unless told otherwise.
pub(super) const MEMBERS: u32 = 1_000;
/// The most of them. A request names a thousand at most: more would only make the network larger.
pub(super) const MEMBERS_MAX: u32 = 10_000;
/// Requests a second at rest.
const IDLE_RATE: f64 = 100.0;
const IDLE_TIME: Duration = Duration::from_secs(5);
const CAPACITY_TIME: Duration = Duration::from_secs(3);
const OVERLOAD_TIME: Duration = Duration::from_secs(8);
/// Posts at the beginning that are not counted: connections open and plans are cached meanwhile.
const WARM_UP: Duration = Duration::from_secs(1);
/// How often memory is looked at.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
/// How long memory may take to come back after the overload.
const REST: Duration = Duration::from_secs(2);
/// How long no progress may be made while everything accepted settles.
const STALL_MAX: Duration = Duration::from_mins(1);

/// With a batch, only that; without, single posts, then batches of 100.
pub(super) async fn run(place: &Place, sizes: &OverloadSizes) -> anyhow::Result<Vec<Report>> {
    let batches = sizes.batch.map_or_else(|| vec![1, 100], |batch| vec![batch]);
    let mut reports = Vec::with_capacity(batches.len());
    for batch in batches {
        let ground = place.ground(4).await?;
        let report = measure(&ground, sizes, batch).await;
        ground.clear().await?;
        reports.push(report?);
    }
    Ok(reports)
}

async fn measure(ground: &Ground, sizes: &OverloadSizes, batch: u16) -> anyhow::Result<Report> {
    let OverloadSizes { members, connections, .. } = *sizes;
    let pool = &ground.database.pool;
    let sellers = network::enrol(pool, members).await?;
    Plan::Simple.apply(pool).await?;
    let request = prepare(pool, &sellers, batch).await?;
    ground.database.settle_down().await?;
    let ingest = Process::ingest(&ground.servers, &[]).await?;
    let mut run = Run { server: address(&ingest)?, request, next: 0 };

    let what = if batch == 1 { "single posts".to_owned() } else { format!("batches of {batch}") };
    say(&format!("overload, {what}: at rest, then as much as is taken"));
    run.send(1, Pace::Open(IDLE_RATE), WARM_UP).await?;
    let idle = run.send(1, Pace::Open(IDLE_RATE), IDLE_TIME).await?;
    let closed = if batch == 1 { 64 } else { 4 };
    let capacity = run.send(closed, Pace::Closed, CAPACITY_TIME).await?;
    let capacity = rate(capacity.accepted_ms.len() as u64, &capacity);

    let rate_offered = capacity * OVERLOAD;
    say(&format!("overload, {what}: {rate_offered:.0} requests a second, {connections} at a time"));
    let rss_before_mib = ingest.rss_mib();
    let sending =
        tokio::spawn(run.load(connections, Pace::Open(rate_offered), OVERLOAD_TIME).run());
    let mut rss_during_mib = rss_before_mib;
    while !sending.is_finished() {
        tokio::time::sleep(SAMPLE_EVERY).await;
        let now = ingest.rss_mib();
        rss_during_mib = if now > rss_during_mib { now } else { rss_during_mib };
    }
    let tally = sending.await??;
    run.next = tally.next;
    tokio::time::sleep(REST).await;
    let (rss_after_mib, peak_rss_mib) = (ingest.rss_mib(), ingest.peak_rss_mib());
    let after = run.send(1, Pace::Open(IDLE_RATE), WARM_UP).await?;
    ensure!(after.shed == 0, "{} requests were shed after the overload had ended", after.shed);
    ingest.stop().await?;

    let (worker_peak_rss_mib, events) = settle_everything(ground).await?;
    let accepted = tally.accepted_ms.len() as u64;
    let (idle_p99_ms, p99_ms) =
        (quantile(&idle.accepted_ms, 0.99), quantile(&tally.accepted_ms, 0.99));
    Ok(Report {
        bench: format!("overload 10×, {what}"),
        members,
        events: Some(events),
        batch: Some(batch),
        connections: Some(connections),
        events_per_second: Some(rate(accepted * u64::from(batch), &tally)),
        p50_ms: Some(quantile(&tally.accepted_ms, 0.5)),
        p99_ms: Some(p99_ms),
        ratio: Some(p99_ms / idle_p99_ms),
        peak_rss_mib,
        overload: Some(Overload {
            idle_p50_ms: quantile(&idle.accepted_ms, 0.5),
            idle_p99_ms,
            capacity_per_second: capacity * f64::from(batch),
            offered: rate(tally.sent, &tally) / capacity,
            left_out_per_second: rate(tally.left_out, &tally),
            shed_per_second: rate(tally.shed, &tally),
            shed_p99_ms: quantile(&tally.shed_ms, 0.99),
            cut_off: tally.cut_off,
            rss_before_mib,
            rss_during_mib,
            rss_after_mib,
            worker_peak_rss_mib,
            generator_cpu: tally.cpu_seconds / tally.seconds,
        }),
        goal: "≤ 10 × idle p99\nmemory flat",
        ..Report::default()
    })
}

/// One process under test, and the number of the next sale.
struct Run {
    server: SocketAddr,
    request: Request,
    next: u64,
}

impl Run {
    fn load(&self, connections: u16, pace: Pace, time: Duration) -> Load {
        let request = self.request.clone();
        Load { server: self.server, request, first: self.next, connections, pace, time }
    }

    async fn send(
        &mut self,
        connections: u16,
        pace: Pace,
        time: Duration,
    ) -> anyhow::Result<Tally> {
        let tally = self.load(connections, pace, time).run().await?;
        ensure!(!tally.accepted_ms.is_empty(), "nothing was accepted");
        self.next = tally.next;
        Ok(tally)
    }
}

#[expect(clippy::cast_precision_loss, reason = "some million requests")]
fn rate(count: u64, tally: &Tally) -> f64 {
    count as f64 / tally.seconds
}

async fn prepare(pool: &PgPool, sellers: &[Uuid], batch: u16) -> anyhow::Result<Request> {
    let mut conn = pool.acquire().await?;
    let at = events::clock(&mut conn).await? - TimeDelta::seconds(1);
    let key = keys::create(&mut conn, "bench", &[Scope::EventsWrite]).await?.1;
    Ok(Request::new(key.expose_secret(), sellers, at, batch))
}

fn address(ingest: &Process) -> anyhow::Result<SocketAddr> {
    let url = ingest.url.as_deref().context("no URL")?;
    Ok(url.trim_start_matches("http://").parse()?)
}

/// Starts a worker on the backlog and waits until every recorded event has its outcome. Returns the
/// most memory that the worker had, and how many events there are.
async fn settle_everything(ground: &Ground) -> anyhow::Result<(Option<f64>, u32)> {
    let pool = &ground.database.pool;
    let events = bench::recorded(pool).await?;
    say(&format!("overload: a worker settles the {events} sales that were accepted"));
    let worker = Process::worker(&ground.servers, &[]).await?;
    let (mut settled, mut moved_at) = (0, Instant::now());
    while settled < events {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (now_settled, _) = bench::settled(pool).await?;
        if now_settled > settled {
            (settled, moved_at) = (now_settled, Instant::now());
        }
        let left = events - settled;
        ensure!(moved_at.elapsed() < STALL_MAX, "the worker makes no progress; {left} sales left");
    }
    let peak = worker.peak_rss_mib();
    worker.stop().await?;
    Ok((peak, u32::try_from(events)?))
}
