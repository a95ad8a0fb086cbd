//! Settlement throughput: a full stream, a real worker process, a stopwatch; then COPY of exactly
//! the same outcomes and lines, in the same batches, over as many connections.

use std::time::{Duration, Instant};

use anyhow::ensure;
use store::bench::{self, Floor};

use super::plan::Plan;
use super::{Ground, Place, Report, Sizes, network, say};
use crate::processes::Process;

/// How long no progress may be made before the run is given up.
const STALL_MAX: Duration = Duration::from_mins(1);

pub(super) async fn run(place: &Place, sizes: &Sizes) -> anyhow::Result<Report> {
    run_by(Plan::Simple, place, sizes).await
}

/// How often each plan settles the same sales when plans are compared; the better run counts,
/// because whatever else the machine does can only cost time.
const COMPARED_RUNS: usize = 2;

/// The same sales by a plan with three components and conditions; the floor is the simple plan.
pub(super) async fn compare_plans(place: &Place, sizes: &Sizes) -> anyhow::Result<Report> {
    let (mut simple, mut rich) = (Report::default(), Report::default());
    for _ in 0..COMPARED_RUNS {
        simple = faster(simple, run_by(Plan::Simple, place, sizes).await?);
        rich = faster(rich, run_by(Plan::Rich, place, sizes).await?);
    }
    let ratio = rich.events_per_second.zip(simple.events_per_second);
    Ok(Report {
        bench: "rules: 12 levels,\n3 components; floor: 1 rule".to_owned(),
        floor_events_per_second: simple.events_per_second,
        ratio: ratio.map(|(rich, simple)| rich / simple),
        goal: "≥ 0.75",
        ..rich
    })
}

fn faster(one: Report, other: Report) -> Report {
    if one.events_per_second > other.events_per_second { one } else { other }
}

async fn run_by(plan: Plan, place: &Place, sizes: &Sizes) -> anyhow::Result<Report> {
    let connections = sizes.connections.unwrap_or(2);
    let ground = place.ground(connections + 2).await?;
    let report = measure(plan, &ground, sizes, connections).await;
    ground.clear().await?;
    report
}

async fn measure(
    plan: Plan,
    ground: &Ground,
    sizes: &Sizes,
    connections: u16,
) -> anyhow::Result<Report> {
    let (members, events) = (sizes.members(), sizes.events());
    let batch = sizes.batch.unwrap_or(500);
    let pool = &ground.database.pool;
    say(&format!("settle: enrolling {members} members, recording {events} sales"));
    let sellers = network::enrol(pool, members).await?;
    plan.apply(pool).await?;
    let event_ids = network::record_sales(pool, &sellers, events).await?;
    ground.database.settle_down().await?;
    let mut ringer = ground.doorbell.connect()?;
    ringer.ensure_group().await?;
    for chunk in event_ids.chunks(1000) {
        ringer.publish(chunk).await?;
    }

    say("settle: a worker settles them");
    let (batch_text, connections_text) = (batch.to_string(), connections.to_string());
    let arguments = ["--batch", &batch_text, "--connections", &connections_text];
    let worker = Process::worker(&ground.servers, &arguments).await?;
    let begun = Instant::now();
    let (mut left, mut moved_at) = (u64::from(events), begun);
    while left > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let length = ringer.length().await?;
        if length < left {
            (left, moved_at) = (length, Instant::now());
        }
        ensure!(moved_at.elapsed() < STALL_MAX, "the worker makes no progress; {left} sales left");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let peak_rss_mib = worker.peak_rss_mib();
    worker.stop().await?;
    let (outcomes, lines) = bench::settled(pool).await?;
    ensure!(outcomes == i64::from(events), "{outcomes} of {events} sales have an outcome");

    say("settle: the floor, COPY of the same rows");
    let floor = Floor::read(pool, &bench::SETTLEMENT, &event_ids, usize::from(batch)).await?;
    let floor_seconds = floor.write(pool, usize::from(connections)).await?.as_secs_f64();

    let events_per_second = f64::from(events) / seconds;
    let floor_events_per_second = f64::from(events) / floor_seconds;
    #[expect(clippy::cast_precision_loss, reason = "some million lines")]
    let lines_per_second = lines as f64 / seconds;
    Ok(Report {
        bench: "settle".to_owned(),
        members,
        events: Some(events),
        batch: Some(batch),
        connections: Some(connections),
        events_per_second: Some(events_per_second),
        lines_per_second: Some(lines_per_second),
        floor_events_per_second: Some(floor_events_per_second),
        ratio: Some(events_per_second / floor_events_per_second),
        peak_rss_mib,
        goal: "≥ 0.60, 10000/s\n≤ 64 MiB",
        ..Report::default()
    })
}
