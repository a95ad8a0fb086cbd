//! What happens to real systems: workers die, Redis forgets, somebody stops a process.

use std::collections::BTreeSet;
use std::time::Duration;

use store::testing::World;
use uuid::Uuid;

use crate::network::{Dice, LADDER, LedgerRow, Model, PLAN, count, ledger, new_sale, post, record};

/// L2: losing Redis entirely costs latency only. The sweep finds what nobody was told of, and the
/// group is made again.
#[tokio::test]
async fn l2_what_redis_forgot_is_settled_by_the_sweep() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let model = Model::enrol(&world, 20, &mut Dice::new(41)).await;
    let mut sales: Vec<_> =
        (0..40).map(|n| new_sale(&n.to_string(), model.ids[n % 20], "100")).collect();
    let mut conn = world.owner.acquire().await.unwrap();
    let now = store::events::clock(&mut conn).await.unwrap();
    for sale in &mut sales {
        sale.recorded_at = now;
    }
    let worker = world.worker(&["--sweep-every", "1"]);
    post(&world, &sales[..10]).await;
    world.wait_until_settled().await;
    // The stream and its group vanish under a running worker; more events are never rung.
    world.ringer().remove_streams().await.unwrap();
    record(&world, &sales[10..]).await;
    world.wait_until_settled().await;
    let mut expected: Vec<LedgerRow> =
        sales.iter().flat_map(|sale| model.lines(sale, &rules)).collect();
    expected.sort_unstable();
    assert_eq!(ledger(&world.owner).await, expected);
    assert!(worker.stop().success());
}

/// L1: a worker killed at any instruction loses nothing and doubles nothing: others take over what
/// it held.
#[tokio::test]
async fn l1_what_a_killed_worker_held_is_settled_by_another_once() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let mut dice = Dice::new(42);
    let model = Model::enrol(&world, 50, &mut dice).await;
    let sales: Vec<_> = (0..3000)
        .map(|n| new_sale(&n.to_string(), model.ids[dice.below(50) as usize], "100"))
        .collect();
    post(&world, &sales).await;
    for _ in 0..6 {
        let worker = world.worker(&["--batch", "40", "--reclaim-after", "1"]);
        tokio::time::sleep(Duration::from_millis(30 + dice.below(120))).await;
        worker.kill();
    }
    let settled_by_the_dead = count(&world, "select count(*) from commission_outcomes").await;
    println!("the killed workers settled {settled_by_the_dead}");
    let survivor = world.worker(&["--reclaim-after", "1"]);
    world.wait_until_settled().await;
    let mut expected: Vec<LedgerRow> =
        sales.iter().flat_map(|sale| model.lines(sale, &rules)).collect();
    expected.sort_unstable();
    assert_eq!(ledger(&world.owner).await, expected);
    let mut ringer = world.ringer();
    while ringer.length().await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(survivor.stop().success());
}

/// A stopped worker finishes, acknowledges and leaves the group.
#[tokio::test]
async fn a_stop_leaves_nothing_behind() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 20, &mut Dice::new(43)).await;
    let sales: Vec<_> =
        (0..2000).map(|n| new_sale(&n.to_string(), model.ids[n % 20], "100")).collect();
    let worker = world.worker(&["--batch", "50"]);
    post(&world, &sales).await;
    assert!(worker.stop().success());
    let mut ringer = world.ringer();
    assert_eq!(ringer.pending().await.unwrap(), 0, "nothing is held");
    assert_eq!(ringer.consumer_count().await.unwrap(), 0, "nobody is left in the group");
    // The sweep may have published some of them twice; what counts is that none is missing.
    let in_stream: BTreeSet<Uuid> = ringer.event_ids().await.unwrap().into_iter().collect();
    let unsettled = "select event_id from event_state where state = 'unsettled'";
    let unsettled: Vec<Uuid> = sqlx::query_scalar(unsettled).fetch_all(&world.owner).await.unwrap();
    let lost: Vec<_> = unsettled.iter().filter(|id| !in_stream.contains(id)).collect();
    assert!(lost.is_empty(), "what is not settled is in the stream, but {lost:?} is not");
}

/// Settled events are announced, and consumers that were away have the feed.
#[tokio::test]
async fn settled_events_are_announced() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 5, &mut Dice::new(44)).await;
    let mut listener = world.doorbell().listen().await.unwrap();
    let sales: Vec<_> = (0..3).map(|n| new_sale(&n.to_string(), model.ids[n], "100")).collect();
    let _worker = world.worker(&[]);
    post(&world, &sales).await;
    // An event that is delivered twice is announced twice.
    let mut heard = BTreeSet::new();
    while heard.len() < 3 {
        heard.extend(listener.next().await.unwrap());
    }
    assert_eq!(heard, sales.iter().map(|sale| sale.id).collect());
}

/// The worker's own port says that it lives and what it does.
#[tokio::test]
async fn a_worker_serves_health_and_metrics() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 5, &mut Dice::new(45)).await;
    let worker = world.worker(&[]);
    post(&world, &[new_sale("1", model.ids[4], "100")]).await;
    world.wait_until_settled().await;
    let health = reqwest::get(format!("{}/healthz", worker.metrics_url)).await.unwrap();
    assert_eq!(health.status(), 200);
    let metrics = reqwest::get(format!("{}/metrics", worker.metrics_url)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    for expected in [
        "lineage_events_settled_total 1",
        "lineage_end_to_end_seconds_count 1",
        "lineage_build_info{binary=\"lineage-worker\"",
        "lineage_settle_stage_seconds_count{stage=\"commit\"}",
    ] {
        assert!(metrics.contains(expected), "{expected} is missing in\n{metrics}");
    }
}
