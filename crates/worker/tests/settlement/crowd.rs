//! Many processes at once, against an oracle that knows only one.

use domain::sale;
use serde_json::json;
use store::keys::Scope;
use store::testing::World;
use tokio::task::JoinSet;

use crate::network::{Dice, LADDER, LedgerRow, Model, PLAN, count, ledger, moment, new_sale};

/// L1, L5: two ingests and three workers, with most sales posted to both, some at the same moment
/// and in other company: the ledger equals the oracle's, row for row.
#[tokio::test]
async fn l1_l5_two_ingests_and_three_workers_pay_what_one_would() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let mut dice = Dice::new(21);
    let model = Model::enrol(&world, 200, &mut dice).await;
    let sales: Vec<_> = (0..1200)
        .map(|n| {
            let seller = model.ids[dice.below(200) as usize];
            new_sale(
                &n.to_string(),
                seller,
                &format!("{}.{:04}", dice.below(900) + 1, dice.below(10_000)),
            )
        })
        .collect();
    let bodies: Vec<String> = sales
        .iter()
        .map(|sale| {
            json!({
                "type": "SALE", "source": sale.source, "id": sale.external_id,
                "member_id": sale.facts.member_id, "amount": sale.facts.amount.to_string(),
                "currency": "EUR", "occurred_at": moment().to_rfc3339(),
            })
            .to_string()
        })
        .collect();

    let ingests = [world.ingest(&[]), world.ingest(&["--committers", "4"])];
    let workers = [
        world.worker(&["--batch", "1", "--connections", "3"]),
        world.worker(&["--batch", "13", "--connections", "1"]),
        world.worker(&["--batch", "500", "--connections", "2"]),
    ];
    let key = world.key(&[Scope::EventsWrite]).await;
    let mut clients = JoinSet::new();
    for (number, ingest) in ingests.iter().enumerate() {
        for part in 0..3 {
            // Both ingests get every sale, cut into requests of different sizes.
            let size = [1, 10, 37][(part + number) % 3];
            let share: Vec<String> = bodies.iter().skip(part).step_by(3).cloned().collect();
            let url = format!("{}/v1/events", ingest.url);
            let key = key.clone();
            clients.spawn(async move {
                let http = reqwest::Client::new();
                for chunk in share.chunks(size) {
                    let body = format!("[{}]", chunk.join(","));
                    let request = http.post(&url).bearer_auth(&key).body(body);
                    assert_eq!(request.send().await.unwrap().status(), 202);
                }
            });
        }
    }
    clients.join_all().await;
    world.wait_until_settled().await;

    assert_eq!(count(&world, "select count(*) from events").await, 1200);
    let mut expected: Vec<LedgerRow> =
        sales.iter().flat_map(|sale| model.lines(sale, &rules)).collect();
    expected.sort_unstable();
    assert!(expected.len() > 1200, "the oracle pays something");
    assert_eq!(ledger(&world.owner).await, expected);
    assert_eq!(sales[0].id, sale::event_id("test", "0"));
    for worker in workers {
        assert!(worker.stop().success());
    }
}
