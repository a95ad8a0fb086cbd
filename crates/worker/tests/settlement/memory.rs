//! A worker's memory does not depend on how much there is to do.

use std::time::{Duration, Instant};

use domain::member::MemberStatus;
use store::testing::{Process, World};

use crate::network::{Member, count, enrol, member_id, new_sale, post};

/// Everybody below the last: a line this deep, all of it read for every sale.
const DEPTH: usize = 150;
const SALES: usize = 20_000;
/// How long a debug build on a busy machine may take without any progress.
const PATIENCE: Duration = Duration::from_mins(1);
/// What the design allows a worker, and a debug build needs no more.
const MEMORY_MAX_KIB: u64 = 64 << 10;

/// Rules that visit whole uplines: who is inactive uses up no level.
const PLAN: &str = r#"
plan: deep
version: "1"
valid_from: 2020-01-01
max_levels: 3
rules:
  - id: base
    component: base
    calculation:
      type: unilevel
      compression: standard
      levels: [{level: 1, percentage: "3"}, {level: 2, percentage: "2"}, {level: 3, percentage: "1"}]
"#;

/// Half of a backlog lies in the stream, half in the hands of a consumer that died: both are taken
/// over a batch at a time.
#[tokio::test]
async fn a_full_backlog_of_deep_sales_is_settled_in_bounded_memory() {
    let world = World::new().await;
    world.ladder(&["MEMBER"]).await;
    world.plan(PLAN).await;
    let mut tx = world.owner.begin().await.unwrap();
    for number in 0..DEPTH {
        let sponsor = number.checked_sub(1).map(member_id);
        let status = if number < 3 { MemberStatus::Active } else { MemberStatus::Inactive };
        enrol(&mut tx, member_id(number), Member { sponsor, rank: 0, status }).await;
    }
    tx.commit().await.unwrap();
    let seller = member_id(DEPTH - 1);
    world.ringer().ensure_group().await.unwrap();
    let sales: Vec<_> = (0..SALES).map(|n| new_sale(&n.to_string(), seller, "100")).collect();
    for sales in sales.chunks(1_000) {
        post(&world, sales).await;
    }
    let mut dead = world.doorbell().consume("dead".to_owned()).await.unwrap();
    assert_eq!(dead.read_new(SALES / 2).await.unwrap().len(), SALES / 2);
    drop(dead);

    let worker = world.worker(&["--reclaim-after", "1"]);
    let mut ringer = world.ringer();
    let (mut left, mut moved_at) = (u64::MAX, Instant::now());
    while left > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let length = ringer.length().await.unwrap();
        if length < left {
            (left, moved_at) = (length, Instant::now());
        }
        assert!(moved_at.elapsed() < PATIENCE, "the worker makes no progress; {left} sales left");
    }
    let settled = count(&world, "select count(*) from commission_outcomes where lines = 3").await;
    assert_eq!(settled, SALES as i64, "every sale pays the three active members at the top");
    let reclaimed = reqwest::get(format!("{}/metrics", worker.metrics_url)).await.unwrap();
    let reclaimed = reclaimed.text().await.unwrap();
    let reclaimed: usize = reclaimed
        .lines()
        .find_map(|line| line.strip_prefix("lineage_stream_entries_total{kind=\"reclaimed\"} "))
        .unwrap()
        .parse()
        .unwrap();
    assert!(reclaimed >= SALES / 2, "what the dead consumer held was taken over: {reclaimed}");
    let peak = peak_memory_kib(&worker);
    println!("the worker had {peak} KiB at most");
    assert!(peak <= MEMORY_MAX_KIB, "{peak} KiB");
    assert!(worker.stop().success());
}

/// The most memory that a process has had.
fn peak_memory_kib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
