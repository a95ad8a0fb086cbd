//! Every named place on a worker's way is really passed, and dying there costs nothing.

use std::os::unix::process::ExitStatusExt as _;

use store::failpoints::Place;
use store::testing::World;

use crate::network::{Dice, LADDER, LedgerRow, Model, PLAN, count, ledger, new_sale, post};

const SIGKILL: i32 = 9;

/// L1: a worker that dies at a named place has settled the event or not, never half of it, and
/// another settles it once. Where it had committed, the other only acknowledges.
#[tokio::test]
async fn l1_dying_at_any_named_place_settles_a_sale_once() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let model = Model::enrol(&world, 12, &mut Dice::new(51)).await;
    let mut expected: Vec<LedgerRow> = Vec::new();
    let places = Place::ALL.into_iter().filter(|place| *place != Place::BeforePublish);
    for (number, place) in (0..).zip(places) {
        let sale = new_sale(place.name(), model.ids[11 - number], "500");
        post(&world, std::slice::from_ref(&sale)).await;
        let variable = ("LINEAGE_FAILPOINT", format!("{}:1", place.name()));
        let worker = world.failing_worker(&[(variable.0, &variable.1)], &[]);
        assert_eq!(worker.ended().signal(), Some(SIGKILL), "{}", place.name());

        let committed = matches!(place, Place::AfterCommit | Place::BeforeAcknowledge);
        let outcomes = count(&world, "select count(*) from commission_outcomes").await;
        assert_eq!(outcomes, number as i64 + i64::from(committed), "{}", place.name());

        let survivor = world.worker(&["--reclaim-after", "1"]);
        world.wait_until_settled().await;
        let mut ringer = world.ringer();
        while ringer.length().await.unwrap() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert!(survivor.stop().success());
        expected.extend(model.lines(&sale, &rules));
        expected.sort_unstable();
        assert_eq!(ledger(&world.owner).await, expected, "{}", place.name());
    }
}
