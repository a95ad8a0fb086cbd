//! The feed shows what is settled, once, and nothing that an older transaction could still precede.

use domain::amount::Amount;
use store::events::{self, FeedPosition};
use store::settling::{self, Outcome};
use store::testing::World;
use uuid::Uuid;

async fn record(world: &World, number: u128) {
    sqlx::query(
        "insert into events (id, member_id, occurred_at, recorded_at, earned_period, event_type, \
         source_type, currency, source, external_id, amount, volume) values \
         ($1, $1, now(), now(), '2026-11-01', 'SALE', 'PRODUCT', 'EUR', 's', $2, 1, 1)",
    )
    .bind(Uuid::from_u128(number))
    .bind(number.to_string())
    .execute(&world.owner)
    .await
    .unwrap();
}

fn outcome(number: u128) -> Outcome {
    Outcome {
        event_id: Uuid::from_u128(number),
        plan_number: 1,
        breakage: Amount::ZERO,
        inputs: vec![1],
        lines: vec![],
    }
}

/// A transaction that began earlier and commits later would be skipped by a reader that has passed
/// its place; so later ones are held back until it ends.
#[tokio::test]
async fn l2_a_late_commit_is_not_missed() {
    let world = World::new().await;
    for number in 1..=3 {
        record(&world, number).await;
    }
    let mut reader = world.owner.acquire().await.unwrap();
    let start = FeedPosition { settled_in: 0, event_id: Uuid::nil() };

    let mut early = world.owner.begin().await.unwrap();
    settling::claim(&mut early, &[outcome(2)]).await.unwrap();
    let mut late = world.owner.begin().await.unwrap();
    settling::claim(&mut late, &[outcome(1), outcome(3)]).await.unwrap();
    late.commit().await.unwrap();
    assert!(events::feed(&mut reader, start, 10).await.unwrap().is_empty(), "held back");
    early.commit().await.unwrap();

    // Transactions of other databases on the server hold the feed back too: it may take a moment.
    let mut seen = Vec::new();
    let mut after = start;
    while seen.len() < 3 {
        for entry in events::feed(&mut reader, after, 1).await.unwrap() {
            seen.push(entry.external_id);
            after = entry.position;
        }
    }
    assert_eq!(seen, ["2", "1", "3"]);
}
