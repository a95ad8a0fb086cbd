//! One upline lookup, as settlement does it, in a small network and in a large one; the floor is
//! the bare query on the closure table.

use std::time::Instant;

use store::bench;
use store::database::{Access, Role};
use store::settling;

use super::report::quantile;
use super::{Place, Report, Sizes, network, plan, say};

const SMALL: u32 = 10_000;
const LARGE: u32 = 1_000_000;
const LOOKUPS: u32 = 5_000;

/// Medians in milliseconds.
struct Medians {
    lookup: f64,
    lookup_p99: f64,
    bare: f64,
}

pub(super) async fn run(place: &Place, sizes: &Sizes) -> anyhow::Result<Report> {
    let members = sizes.members.unwrap_or(LARGE);
    let small_members = SMALL.min(members);
    let small = measure(place, small_members).await?;
    let large = measure(place, members).await?;
    Ok(Report {
        bench: "upline lookup".to_owned(),
        members,
        p50_ms: Some(large.lookup),
        p99_ms: Some(large.lookup_p99),
        floor_p50_ms: Some(large.bare),
        ratio: Some(large.bare / large.lookup),
        small_members: Some(small_members),
        small_p50_ms: Some(small.lookup),
        growth: Some(large.lookup / small.lookup),
        goal: "≤ 0.3 ms\ngrowth ≤ 1.5×",
        ..Report::default()
    })
}

async fn measure(place: &Place, members: u32) -> anyhow::Result<Medians> {
    let ground = place.ground(4).await?;
    let pool = &ground.database.pool;
    say(&format!("upline: enrolling {members} members"));
    let sellers = network::enrol(pool, members).await?;
    let event_ids = network::record_sales(pool, &sellers, LOOKUPS).await?;
    ground.database.settle_down().await?;
    say("upline: looking up");
    // With the worker's rights and settings.
    let as_worker = Access::assuming(Role::Worker, ground.database.url.clone(), "lineage-bench");
    let worker_pool = as_worker.pool(1)?;
    let mut conn = worker_pool.acquire().await?;
    let mut lookups = Vec::with_capacity(event_ids.len());
    let mut bare = Vec::with_capacity(event_ids.len());
    // The first tenth warms caches and is not counted.
    let warm_up = event_ids.len() / 10;
    for (turn, event_id) in event_ids.into_iter().enumerate() {
        let begun = Instant::now();
        let batch = settling::read(&mut conn, &[event_id], plan::READS).await?;
        let looked_up = begun.elapsed();
        let seller = batch.events.first().map(|event| event.credited_member_id);
        let begun = Instant::now();
        let depth_max = i16::from(plan::LEVELS);
        bench::bare_upline(&mut conn, seller.unwrap_or_default(), depth_max).await?;
        let bare_time = begun.elapsed();
        if turn >= warm_up {
            lookups.push(looked_up.as_secs_f64() * 1e3);
            bare.push(bare_time.as_secs_f64() * 1e3);
        }
    }
    drop(conn);
    ground.clear().await?;
    lookups.sort_by(f64::total_cmp);
    bare.sort_by(f64::total_cmp);
    Ok(Medians {
        lookup: quantile(&lookups, 0.5),
        lookup_p99: quantile(&lookups, 0.99),
        bare: quantile(&bare, 0.5),
    })
}
