//! What one batch may hold.

use domain::amount::Amount;
use store::settling::{self, Outcome};
use store::testing::World;
use uuid::Uuid;

use crate::network::{Dice, LADDER, LedgerRow, Model, PLAN, count, ledger, new_sale, post, record};

/// Two sales of one member in one batch are two sales; a batch must not look an upline up twice
/// for one of them, nor once for both.
#[tokio::test]
async fn l1_two_sales_of_one_member_in_one_batch_are_paid_once_each() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let model = Model::enrol(&world, 30, &mut Dice::new(11)).await;
    let seller = model.ids[29];
    let sales: Vec<_> =
        (0..20).map(|n| new_sale(&n.to_string(), seller, &format!("{}.01", 100 + n))).collect();
    post(&world, &sales).await;
    let _worker = world.worker(&["--batch", "500", "--connections", "1"]);
    world.wait_until_settled().await;
    let mut expected: Vec<LedgerRow> =
        sales.iter().flat_map(|sale| model.lines(sale, &rules)).collect();
    expected.sort_unstable();
    assert!(!expected.is_empty());
    assert_eq!(ledger(&world.owner).await, expected);
}

/// The same entry many times in one batch, in another batch, and to other workers.
#[tokio::test]
async fn l1_an_event_delivered_many_times_is_settled_once() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let model = Model::enrol(&world, 10, &mut Dice::new(12)).await;
    let sale = new_sale("1", model.ids[9], "100");
    record(&world, std::slice::from_ref(&sale)).await;
    let mut ringer = world.ringer();
    ringer.publish(&[sale.id; 10]).await.unwrap();
    let _workers = [world.worker(&[]), world.worker(&["--batch", "1"])];
    world.wait_until_settled().await;
    ringer.publish(&[sale.id; 50]).await.unwrap();
    while ringer.length().await.unwrap() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(ledger(&world.owner).await, model.lines(&sale, &rules));
    assert_eq!(count(&world, "select count(*) from commission_outcomes").await, 1);
}

/// L5: how sales are cut into batches changes nothing, not even the stored bytes.
#[tokio::test]
async fn l5_batch_size_and_order_change_nothing() {
    let mut outcomes: Vec<Vec<(Uuid, String, Vec<u8>)>> = Vec::new();
    let mut ledgers = Vec::new();
    for (batch, reversed) in [("1", false), ("7", true), ("500", false)] {
        let world = World::new().await;
        world.ladder(&LADDER).await;
        world.plan(PLAN).await;
        let model = Model::enrol(&world, 60, &mut Dice::new(13)).await;
        let mut dice = Dice::new(14);
        let mut sales: Vec<_> = (0..100)
            .map(|n| {
                let seller = model.ids[dice.below(60) as usize];
                new_sale(&n.to_string(), seller, &format!("{}.{:02}", dice.below(600) + 1, n % 100))
            })
            .collect();
        if reversed {
            sales.reverse();
        }
        post(&world, &sales).await;
        let _worker = world.worker(&["--batch", batch]);
        world.wait_until_settled().await;
        let query = "select event_id, breakage::text, inputs from commission_outcomes order by 1";
        outcomes.push(sqlx::query_as(query).fetch_all(&world.owner).await.unwrap());
        ledgers.push(ledger(&world.owner).await);
    }
    assert_eq!(outcomes[0], outcomes[1]);
    assert_eq!(outcomes[0], outcomes[2]);
    assert_eq!(ledgers[0], ledgers[1]);
    assert_eq!(ledgers[0], ledgers[2]);
}

/// Entries that name nothing, or nothing that exists, pay nothing, and are removed and counted.
#[tokio::test]
async fn forged_entries_pay_nothing_and_stop_nobody() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 5, &mut Dice::new(15)).await;
    let sale = new_sale("real", model.ids[4], "10");
    record(&world, std::slice::from_ref(&sale)).await;
    let mut ringer = world.ringer();
    ringer.publish(&[Uuid::from_u128(1), Uuid::from_u128(2)]).await.unwrap();
    ringer.add_noise("id", b"not a uuid").await.unwrap();
    ringer.add_noise("other", &[0xff, 0xfe]).await.unwrap();
    ringer.publish(&[sale.id]).await.unwrap();
    let worker = world.worker(&[]);
    world.wait_until_settled().await;
    while ringer.length().await.unwrap() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let metrics = reqwest::get(format!("{}/metrics", worker.metrics_url)).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("lineage_events_skipped_total{why=\"unknown\"} 2"), "{metrics}");
    assert_eq!(count(&world, "select count(*) from commission_outcomes").await, 1);
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
}

/// Another worker claims the event after this one has read it and before it writes: whoever loses
/// the claim writes no line.
#[tokio::test]
async fn l1_who_loses_the_claim_pays_nothing() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 10, &mut Dice::new(16)).await;
    let sale = new_sale("1", model.ids[9], "100");
    record(&world, std::slice::from_ref(&sale)).await;
    let mut other = world.owner.begin().await.unwrap();
    let outcome = Outcome {
        event_id: sale.id,
        plan_number: 1,
        breakage: Amount::ZERO,
        inputs: vec![1],
        lines: vec![],
    };
    assert_eq!(settling::claim(&mut other, &[outcome]).await.unwrap(), [sale.id]);
    let mut ringer = world.ringer();
    ringer.publish(&[sale.id]).await.unwrap();
    let _worker = world.worker(&[]);
    let waits = "select exists (select from pg_stat_activity where datname = current_database() \
                 and application_name = 'lineage-worker' and wait_event_type = 'Lock')";
    world.wait_until("the worker waits for the other's claim", waits).await;
    other.commit().await.unwrap();
    while ringer.length().await.unwrap() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(ledger(&world.owner).await.is_empty());
}
