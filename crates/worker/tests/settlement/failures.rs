//! Events that cannot be settled: recorded with their cause, out of the way of others, and settled
//! as soon as the cause is repaired.

use domain::ladder::Rank;
use domain::member::MemberStatus;
use store::dead_letters::{self, Order};
use store::enrolment::{self, NewMember};
use store::failures;
use store::testing::World;
use uuid::Uuid;

use crate::network::{
    Dice, LADDER, Member, Model, PLAN, count, enrol, ledger, member_id, new_sale, post,
};

/// A sale before its member's enrolment is accepted, waits, and is settled by the enrolment.
#[tokio::test]
async fn a_sale_before_its_members_enrolment_is_settled_by_the_enrolment() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let mut model = Model::enrol(&world, 3, &mut Dice::new(31)).await;
    let newcomer = member_id(77);
    let sale = new_sale("early", newcomer, "100");
    post(&world, std::slice::from_ref(&sale)).await;
    let _worker = world.worker(&["--sweep-every", "1"]);
    let failed = "select exists (select from event_failures where cause = 'unknown_member' \
                  and attempts = 1 and state = 'retrying')";
    world.wait_until("the attempt has failed", failed).await;

    let member = Member { sponsor: Some(model.ids[2]), rank: 0, status: MemberStatus::Active };
    let mut tx = world.owner.begin().await.unwrap();
    enrol(&mut tx, newcomer, member).await;
    tx.commit().await.unwrap();
    world.wait_until_settled().await;
    model.members.insert(newcomer, member);
    assert_eq!(ledger(&world.owner).await, model.lines(&sale, &rules));
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
}

/// Neither the enrolment itself nor the sweep brings back what somebody gave up for good.
#[tokio::test]
async fn an_enrolment_does_not_revive_a_discarded_sale() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let rules = world.plan(PLAN).await;
    let mut model = Model::enrol(&world, 3, &mut Dice::new(36)).await;
    let newcomer = member_id(77);
    let sales = [new_sale("given-up", newcomer, "100"), new_sale("waits", newcomer, "50")];
    post(&world, &sales).await;
    let _worker = world.worker(&["--sweep-every", "1"]);
    let failed = "select count(*) = 2 from event_failures where cause = 'unknown_member' \
                  and attempts = 1 and state = 'retrying'";
    world.wait_until("both attempts have failed", failed).await;
    let mut conn = world.owner.acquire().await.unwrap();
    let order = Order { actor: "key:test", on_behalf_of: None, reason: "a test order" };
    dead_letters::discard(&mut conn, &[sales[0].id], &order).await.unwrap().unwrap();

    let member = Member { sponsor: Some(model.ids[2]), rank: 0, status: MemberStatus::Active };
    let mut tx = world.owner.begin().await.unwrap();
    enrol(&mut tx, newcomer, member).await;
    tx.commit().await.unwrap();
    let other = "select count(*) = 1 from commission_outcomes";
    world.wait_until("the other sale is settled", other).await;
    model.members.insert(newcomer, member);
    let revived = failures::revive_all_enrolled(&mut conn).await.unwrap();
    assert_eq!(revived, Vec::<Uuid>::new());
    let state: String = sqlx::query_scalar("select state from event_state where event_id = $1")
        .bind(sales[0].id)
        .fetch_one(&world.owner)
        .await
        .unwrap();
    assert_eq!(state, "discarded");
    assert_eq!(ledger(&world.owner).await, model.lines(&sales[1], &rules));

    dead_letters::retry(&mut conn, &[sales[0].id]).await.unwrap().unwrap();
    world.wait_until_settled().await;
    let mut expected: Vec<_> = sales.iter().flat_map(|sale| model.lines(sale, &rules)).collect();
    expected.sort_unstable();
    assert_eq!(ledger(&world.owner).await, expected);
}

/// The same when the sale names the seller by an external id that somebody gets later.
#[tokio::test]
async fn a_sale_by_an_external_id_is_settled_once_somebody_has_it() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 3, &mut Dice::new(32)).await;
    let mut conn = world.owner.acquire().await.unwrap();
    let wanted = ["17850".to_owned()];
    let reference = store::events::resolve_members(&mut conn, &wanted).await.unwrap()[0].1;
    post(&world, &[new_sale("early", reference, "100")]).await;
    let _worker = world.worker(&["--sweep-every", "1"]);
    let failed = "select exists (select from event_failures)";
    world.wait_until("the attempt has failed", failed).await;
    let mut tx = world.owner.begin().await.unwrap();
    let member = NewMember {
        id: member_id(99),
        external_id: Some("17850".to_owned()),
        name: None,
        sponsor_id: Some(model.ids[0]),
        status: MemberStatus::Active,
        rank: Rank(0),
        joined_at: None,
    };
    let revived = enrolment::enrol(&mut tx, &member, "test").await.unwrap();
    assert_eq!(revived.len(), 1);
    tx.commit().await.unwrap();
    world.wait_until_settled().await;
    let seller = "select member_id from commission_outcomes, unpack_inputs(inputs) \
                  where position = 0";
    let seller: Uuid = sqlx::query_scalar(seller).fetch_one(&world.owner).await.unwrap();
    assert_eq!(seller, member.id);
    world.assert_proved().await;
}

/// A plan that is applied later settles the sales that waited for it, dead ones too.
#[tokio::test]
async fn a_sale_without_a_plan_is_settled_by_the_plan() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let model = Model::enrol(&world, 4, &mut Dice::new(33)).await;
    let sales = [new_sale("1", model.ids[3], "100"), new_sale("2", model.ids[2], "50")];
    post(&world, &sales).await;
    let _worker = world.worker(&["--sweep-every", "1"]);
    let failed = "select count(*) = 2 from event_failures where cause = 'no_plan'";
    world.wait_until("both attempts have failed", failed).await;
    sqlx::query("update event_failures set state = 'dead', next_attempt_at = null, attempts = 4")
        .execute(&world.owner)
        .await
        .unwrap();
    world.plan(PLAN).await;
    world.wait_until_settled().await;
}

/// A poison event must not stop its neighbours: neither one that the calculation refuses, nor one
/// that PostgreSQL refuses, wherever it stands in the batch.
#[tokio::test]
async fn a_poison_event_does_not_stop_its_neighbours() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    let everything = r#"
plan: everything
version: "1"
valid_from: 2020-01-01
rules:
  - id: all
    component: base
    calculation:
      type: unilevel
      levels: [{level: 1, percentage: "100"}, {level: 2, percentage: "100"}]
"#;
    world.plan(everything).await;
    let model = Model::enrol(&world, 1, &mut Dice::new(34)).await;
    let root = model.ids[0];
    let mut sales: Vec<_> = (0..50).map(|n| new_sale(&n.to_string(), root, "10")).collect();
    // Its breakage has 17 digits before the point.
    sales.push(new_sale("too-much", root, "9999999999999999"));
    post(&world, &sales).await;
    // No partition takes its lines: PostgreSQL refuses the whole COPY.
    let child = Member { sponsor: Some(root), rank: 0, status: MemberStatus::Active };
    let mut tx = world.owner.begin().await.unwrap();
    enrol(&mut tx, member_id(5), child).await;
    sqlx::query("update members set status = 'ACTIVE'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let mut lost = new_sale("no-partition", member_id(5), "10");
    lost.earned_period = "1990-01-01".parse().unwrap();
    let mut conn = world.owner.acquire().await.unwrap();
    store::events::record(&mut conn, &[&lost]).await.unwrap();
    world.ringer().publish(&[lost.id]).await.unwrap();

    let _worker = world.worker(&["--connections", "1"]);
    let others = "select count(*) = 50 from commission_outcomes";
    world.wait_until("the neighbours are settled", others).await;
    let judged = "select count(*) = 2 from event_failures";
    world.wait_until("both poison events are recorded", judged).await;
    let query = "select e.external_id, f.state::text, f.cause from event_failures f \
                 join events e on e.id = f.event_id order by 1";
    let failures: Vec<(String, String, String)> =
        sqlx::query_as(query).fetch_all(&world.owner).await.unwrap();
    let expected = [
        ("no-partition", "retrying", "rejected_by_database"),
        ("too-much", "dead", "out_of_range"),
    ];
    let expected = expected.map(|(id, state, cause)| (id.into(), state.into(), cause.into()));
    assert_eq!(failures, expected);
    let mut ringer = world.ringer();
    while ringer.length().await.unwrap() > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
