//! L8: a sale pays the upline, statuses and ranks that held at its moment, whenever it is settled.

use chrono::{DateTime, TimeDelta, Utc};
use store::testing::World;
use uuid::Uuid;

use crate::network::{Dice, LADDER, Member, Model, PLAN, enrol, ledger, member_id, new_sale, post};
use domain::member::MemberStatus;

/// A plan in which everybody on two levels earns something.
const TWO_LEVELS: &str = r#"
plan: retail
version: "1"
valid_from: 2020-01-01
rules:
  - id: base
    component: base
    calculation:
      type: unilevel
      levels: [{level: 1, percentage: "10"}, {level: 2, percentage: "5", min_rank: SILVER}]
"#;

async fn execute(
    world: &World,
    statement: &'static str,
    member: Uuid,
    at: DateTime<Utc>,
    other: Uuid,
) {
    sqlx::query(statement).bind(member).bind(at).bind(other).execute(&world.owner).await.unwrap();
}

/// Changes as a move and a change of state write them: a row of history, the present state, and
/// since when it holds.
#[tokio::test]
async fn l8_a_sale_pays_the_upline_of_its_own_moment() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(TWO_LEVELS).await;
    let [top, old, new, seller] = [0, 1, 2, 3].map(member_id);
    let mut tx = world.owner.begin().await.unwrap();
    let member = |sponsor, rank| Member { sponsor, rank, status: MemberStatus::Active };
    enrol(&mut tx, top, member(None, 1)).await;
    enrol(&mut tx, old, member(Some(top), 1)).await;
    enrol(&mut tx, new, member(None, 1)).await;
    enrol(&mut tx, seller, member(Some(old), 0)).await;
    tx.commit().await.unwrap();

    // In the middle of the month the seller moves from `old` to `new`, who is an own root, and
    // `top` loses the rank that level 2 asks for.
    let moved_at: DateTime<Utc> = "2026-11-10T00:00:00Z".parse().unwrap();
    for statement in [
        "insert into member_sponsors (member_id, effective_at, sponsor_id, actor, reason) \
         values ($1, $2, $3, 'test', 'move')",
        "update members set sponsor_id = $3, upline_since = $2 where id = $1",
        "delete from member_tree_paths where descendant_id = $1 and depth > 0 \
         and ($2::timestamptz, $3::uuid) is not null",
        "insert into member_tree_paths (ancestor_id, descendant_id, depth) \
         select $3, $1, 1 where $2::timestamptz is not null",
    ] {
        execute(&world, statement, seller, moved_at, new).await;
    }
    let demoted_at = moved_at - TimeDelta::days(1);
    for statement in [
        "insert into member_states (member_id, effective_at, status, rank, actor, reason) \
         select $1, $2, 'ACTIVE', 0, 'test', 'rank' where $3::uuid is not null",
        "update members set rank = 0, state_since = $2 where id = $1 and $3::uuid is not null",
    ] {
        execute(&world, statement, top, demoted_at, top).await;
    }

    let micro = TimeDelta::microseconds(1);
    let mut sales = Vec::new();
    for (id, at) in [
        ("before-all", demoted_at - micro),
        ("demoted", demoted_at),
        ("before-move", moved_at - micro),
        ("moved", moved_at),
        ("after", moved_at + TimeDelta::days(1)),
    ] {
        let mut sale = new_sale(id, seller, "100");
        (sale.facts.occurred_at, sale.recorded_at) = (at, at + TimeDelta::days(20));
        sales.push(sale);
    }
    post(&world, &sales).await;
    let _worker = world.worker(&["--batch", "2"]);
    world.wait_until_settled().await;
    let rows = ledger(&world.owner).await;
    let paid = |id: &str| -> Vec<(Uuid, String)> {
        let event = domain::sale::event_id("test", id);
        let of_event = rows.iter().filter(|row| row.event_id == event);
        of_event.map(|row| (row.member_id, row.amount.clone())).collect()
    };
    let ten = |member| (member, "10.0000".to_owned());
    assert_eq!(paid("before-all"), [ten(old), (top, "5.0000".to_owned())]);
    assert_eq!(paid("demoted"), [ten(old)]);
    assert_eq!(paid("before-move"), [ten(old)]);
    assert_eq!(paid("moved"), [ten(new)]);
    assert_eq!(paid("after"), [ten(new)]);
}

/// A sale dated four minutes ahead counts now: it must not see the rules of its future.
#[tokio::test]
async fn l8_a_sale_dated_ahead_counts_when_it_is_recorded() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 3, &mut Dice::new(51)).await;
    let ingest = world.ingest(&[]);
    let _worker = world.worker(&[]);
    let key = world.key(&store::keys::Scope::ALL).await;
    let mut conn = world.owner.acquire().await.unwrap();
    let now = store::events::clock(&mut conn).await.unwrap();
    let ahead = now + TimeDelta::minutes(4);
    let body = serde_json::json!({
        "type": "SALE", "source": "test", "id": "ahead", "member_id": model.ids[2],
        "amount": "100", "currency": "EUR", "occurred_at": ahead.to_rfc3339(),
    });
    let http = reqwest::Client::new();
    let url = format!("{}/v1/events", ingest.url);
    let post = http.post(url).bearer_auth(key).body(body.to_string());
    assert_eq!(post.send().await.unwrap().status(), 202);
    world.wait_until_settled().await;
    let query = "select as_of = recorded_at and occurred_at > recorded_at + interval '3 minutes' \
                 from events";
    assert!(sqlx::query_scalar::<_, bool>(query).fetch_one(&world.owner).await.unwrap());
}
