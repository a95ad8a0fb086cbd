//! L8: a sale pays the upline, statuses and ranks that held at its moment, whenever it is settled.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::amount::Percentage;
use domain::history::{Change, What};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use store::changes::{self, Order};
use store::testing::{Process, World};
use uuid::Uuid;

use crate::network::{
    Dice, LADDER, Member, Model, PLAN, count, enrol, ledger, member_id, new_sale, post,
};

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

/// Makes a change, which must be possible.
async fn change(world: &World, member: Uuid, what: What, effective_at: Option<DateTime<Utc>>) {
    let changes = [Change { member_id: member, effective_at, what }];
    let order = Order { changes: &changes, actor: "test", on_behalf_of: None, reason: "test" };
    let mut tx = world.owner.begin().await.unwrap();
    changes::apply(&mut tx, &order).await.unwrap().unwrap();
    tx.commit().await.unwrap();
}

fn to(sponsor: Uuid) -> What {
    What::Move { new_sponsor_id: Some(sponsor) }
}

/// A sale of February, settled in March after a move, pays February's upline.
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
    let demoted_at = moved_at - TimeDelta::days(1);
    change(&world, seller, to(new), Some(moved_at)).await;
    let demotion = What::State { status: None, rank: Some(Rank(0)) };
    change(&world, top, demotion, Some(demoted_at)).await;

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
    assert_every_sale_saw_its_moment(&world, 2).await;
    world.assert_proved().await;
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

/// A settled sale: its name, seller and moment, and the ids and states that it was computed from, and
/// what the sponsor keeps if they share something.
type Settled = (String, Uuid, DateTime<Utc>, Vec<Uuid>, Vec<String>, Option<String>);

/// Compares what every outcome was computed from with the history tables as they are now, followed
/// upwards in memory, as far as the plan pays.
async fn assert_every_sale_saw_its_moment(world: &World, walk_depth: usize) {
    let sponsor_rows: Vec<(Uuid, Option<DateTime<Utc>>, Option<Uuid>)> = sqlx::query_as(
        "select member_id, nullif(effective_at, '-infinity'), sponsor_id from member_sponsors",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    let state_rows: Vec<(Uuid, Option<DateTime<Utc>>, String)> = sqlx::query_as(
        "select member_id, nullif(effective_at, '-infinity'), status::text || ' ' || rank \
         from member_states",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    let mut sponsors: HashMap<Uuid, BTreeMap<_, Option<Uuid>>> = HashMap::new();
    for (member, at, sponsor) in sponsor_rows {
        sponsors.entry(member).or_default().insert(at, sponsor);
    }
    let mut states: HashMap<Uuid, BTreeMap<_, String>> = HashMap::new();
    for (member, at, state) in state_rows {
        states.entry(member).or_default().insert(at, state);
    }
    let split_rows: Vec<(Uuid, DateTime<Utc>, String)> = sqlx::query_as(
        "select member_id, effective_at, money_to_self || ' ' || points_to_self \
         from member_reward_splits",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    let mut splits: HashMap<Uuid, BTreeMap<_, String>> = HashMap::new();
    for (member, at, split) in split_rows {
        splits.entry(member).or_default().insert(at, split);
    }
    let outcomes: Vec<Settled> = sqlx::query_as(
        "select e.external_id, e.member_id, e.as_of, array_agg(i.member_id order by i.position), \
                array_agg(i.status::text || ' ' || i.rank order by i.position), \
                max(i.money_to_self || ' ' || i.points_to_self) \
         from commission_outcomes o join events e on e.id = o.event_id \
         cross join lateral unpack_inputs(o.inputs) i group by e.id",
    )
    .fetch_all(&world.owner)
    .await
    .unwrap();
    for (sale, seller, as_of, seen, seen_states, seen_split) in outcomes {
        let sponsor = |id: &Uuid| *sponsors[id].range(..=Some(as_of)).next_back().unwrap().1;
        let upline = std::iter::successors(Some(seller), sponsor).take(walk_depth + 1);
        assert_eq!(seen, upline.collect::<Vec<_>>(), "the upline of sale {sale} at {as_of}");
        for (id, state) in seen.iter().zip(seen_states) {
            let was = states[id].range(..=Some(as_of)).next_back().unwrap().1;
            assert_eq!(&state, was, "the state of {id} at {as_of}");
        }
        let split =
            seen.get(1).and_then(|sponsor| splits.get(sponsor)?.range(..=as_of).next_back());
        // Who keeps everything shares nothing.
        let split = split.map(|(_, split)| split).filter(|split| *split != "100.0000 100.0000");
        assert_eq!(seen_split.as_ref(), split, "the split above {sale} at {as_of}");
    }
}

/// Moves and changes of state and of reward splits while two workers settle the sales of those who
/// stand below: every sale pays the upline of its own moment, whichever came first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l8_changes_race_with_the_settlement_of_their_sales() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 30, &mut Dice::new(52)).await;
    // However slowly the race's own changes come, sales meet a split.
    let share = || Percentage::parse("70").ok();
    let split = || What::Split { money_to_self: share(), points_to_self: share() };
    let split = |id: &Uuid| Change { member_id: *id, effective_at: None, what: split() };
    let changes: Vec<Change> = model.ids[..8].iter().map(split).collect();
    let order = Order { changes: &changes, actor: "test", on_behalf_of: None, reason: "race" };
    let mut tx = world.owner.begin().await.unwrap();
    changes::apply(&mut tx, &order).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let _workers = [world.worker(&["--batch", "7"]), world.worker(&["--batch", "20"])];
    let rounds = 80;
    let ((), changes) = tokio::join!(
        post_sales(&world, &model.ids, rounds, Dice::new(53)),
        change_history(&world, &model.ids, rounds, Dice::new(54)),
    );
    assert!(changes > 15, "a race about nothing: {changes} changes");
    world.wait_until_settled().await;
    let sales = i64::from(rounds) * SALES_OF_A_ROUND;
    assert_eq!(count(&world, "select count(*) from commission_outcomes").await, sales);
    assert_every_sale_saw_its_moment(&world, 6).await;
    let shared = "select count(*) from commission_outcomes cross join lateral unpack_inputs(inputs) \
                  where money_to_self is not null";
    assert!(count(&world, shared).await > 0, "no sale met a split");
    world.assert_tree_is_sound().await;
    world.assert_proved().await;
}

const SALES_OF_A_ROUND: i64 = 10;

/// Posts sales of now, and some that happened a moment ago: those must see what held then.
async fn post_sales(world: &World, members: &[Uuid], rounds: u32, mut dice: Dice) {
    let mut conn = world.owner.acquire().await.unwrap();
    for round in 0..rounds {
        let now = store::events::clock(&mut conn).await.unwrap();
        let sales: Vec<_> = (0..SALES_OF_A_ROUND)
            .map(|number| {
                let seller = members[dice.below(30) as usize];
                let mut sale = new_sale(&format!("{round}-{number}"), seller, "300");
                (sale.facts.occurred_at, sale.recorded_at) = (now, now);
                if dice.below(3) == 0 {
                    sale.facts.occurred_at -= TimeDelta::milliseconds(dice.below(400) as i64);
                }
                sale
            })
            .collect();
        post(world, &sales).await;
    }
}

/// Moves members and changes their states and splits, mostly of those who stand high. How many changes were
/// possible.
async fn change_history(world: &World, members: &[Uuid], rounds: u32, mut dice: Dice) -> usize {
    let mut made = 0;
    for round in 0..rounds {
        let member_id = members[dice.below(8) as usize];
        let what = if round % 4 == 1 {
            let mut share = || Percentage::parse(["0", "70", "100"][dice.below(3) as usize]).ok();
            What::Split { money_to_self: share(), points_to_self: share() }
        } else if round % 3 == 0 {
            let status = MemberStatus::ALL[dice.below(3) as usize];
            What::State { status: Some(status), rank: Some(Rank(dice.below(3) as u8)) }
        } else {
            to(members[dice.below(30) as usize])
        };
        let changes = [Change { member_id, effective_at: None, what }];
        let order = Order { changes: &changes, actor: "test", on_behalf_of: None, reason: "race" };
        let mut tx = world.owner.begin().await.unwrap();
        made += usize::from(changes::apply(&mut tx, &order).await.unwrap().is_ok());
        // A commit takes its time: sales of after the change must not be settled before it is seen.
        tokio::time::sleep(Duration::from_millis(dice.below(20))).await;
        tx.commit().await.unwrap();
    }
    made
}

/// Stops a worker at a moment at which it shares the lock `history`.
async fn stop_while_settling(world: &World, worker: &Process) {
    let holds = "select count(*) from pg_locks l join pg_stat_activity a using (pid) \
                 where l.locktype = 'advisory' and l.granted and l.mode = 'ShareLock' \
                   and (l.classid::bigint << 32 | l.objid::bigint) = 119200079478786 \
                   and a.datname = current_database() and a.state = 'idle in transaction'";
    for _ in 0..2000 {
        worker.signal("STOP");
        // What it had sent may still be executing.
        tokio::time::sleep(Duration::from_millis(5)).await;
        if count(world, holds).await > 0 {
            return;
        }
        worker.signal("CONT");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the worker was never met while it settled");
}

/// A change that waits behind a worker that stands still is made all the same, because PostgreSQL
/// ends the worker's idle transaction before the change gives up; and it holds up nobody else's
/// settlement meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_behind_a_stopped_worker_does_not_stop_settlement() {
    let world = World::new().await;
    world.ladder(&LADDER).await;
    world.plan(PLAN).await;
    let model = Model::enrol(&world, 20, &mut Dice::new(53)).await;
    let sales: Vec<_> =
        (0..4000).map(|n| new_sale(&n.to_string(), model.ids[n % 20], "100")).collect();
    let stopped = world.worker(&["--batch", "2", "--connections", "1", "--sweep-every", "3600"]);
    post(&world, &sales).await;
    stop_while_settling(&world, &stopped).await;
    let settled_before = count(&world, "select count(*) from commission_outcomes").await;

    let other = world.worker(&["--sweep-every", "3600"]);
    let leaf = *model.ids.last().unwrap();
    let changes =
        [Change { member_id: leaf, effective_at: None, what: What::Move { new_sponsor_id: None } }];
    let order = Order { changes: &changes, actor: "test", on_behalf_of: None, reason: "race" };
    let mut tx = world.owner.begin().await.unwrap();
    changes::apply(&mut tx, &order).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let settled_meanwhile =
        count(&world, "select count(*) from commission_outcomes").await - settled_before;
    assert!(settled_meanwhile > 100, "others settled {settled_meanwhile} only");

    // It finds its transaction gone, and begins again. No attempt is counted.
    stopped.signal("CONT");
    world.wait_until_settled().await;
    assert_every_sale_saw_its_moment(&world, 6).await;
    world.assert_tree_is_sound().await;
    assert_eq!(count(&world, "select count(*) from event_failures").await, 0);
    assert!(other.stop().success());
    assert!(stopped.stop().success());
}
