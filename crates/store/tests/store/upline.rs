//! L8: the upline of a moment, by closure table or by history, equals a walk in memory.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::amount::Amount;
use domain::ladder::Rank;
use domain::member::MemberStatus;
use domain::sale::SourceType;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use store::enrolment::{self, NewMember};
use store::events::{self, Facts, NewEvent};
use store::settling::{self, Walk};
use store::testing::World;
use uuid::Uuid;

/// One change: (member, new sponsor or state, minute of the change).
#[derive(Clone, Debug)]
struct Change {
    member: usize,
    sponsor: Option<usize>,
    rank: u8,
    active: bool,
    minute: i64,
}

fn id(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

fn start() -> DateTime<Utc> {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Random histories: a tree of 12, some moves that make no circle, some changes of state, and the
/// lookup at every minute from before the first to after the last.
#[test]
fn l8_lookup_equals_a_walk_through_history() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tree = prop::collection::vec(any::<prop::sample::Index>(), 11);
    let changes = prop::collection::vec(
        (0..12_usize, prop::option::of(0..12_usize), 0..3_u8, any::<bool>(), 1..9_i64),
        0..8,
    );
    let config = Config { cases: 12, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    println!("proptest prints the failing case; PROPTEST_RNG_SEED repeats a run");
    runner
        .run(&(tree, changes), |(tree, changes)| {
            let sponsors: Vec<Option<usize>> = std::iter::once(None)
                .chain(tree.iter().enumerate().map(|(n, index)| Some(index.index(n + 1))))
                .collect();
            let changes = changes
                .into_iter()
                .map(|(member, sponsor, rank, active, minute)| Change {
                    member,
                    sponsor,
                    rank,
                    active,
                    minute,
                })
                .collect();
            runtime.block_on(check(sponsors, changes));
            Ok(())
        })
        .unwrap();
}

type State = (Option<usize>, u8, bool);

async fn check(sponsors: Vec<Option<usize>>, mut changes: Vec<Change>) {
    let world = World::new().await;
    let mut tx = world.owner.begin().await.unwrap();
    for (number, sponsor) in sponsors.iter().enumerate() {
        let member = NewMember {
            id: id(number),
            external_id: None,
            name: None,
            sponsor_id: sponsor.map(id),
            status: MemberStatus::Active,
            rank: Rank(0),
            joined_at: None,
        };
        enrolment::enrol(&mut tx, &member, "test").await.unwrap();
    }
    let mut now: Vec<State> = sponsors.iter().map(|sponsor| (*sponsor, 0, true)).collect();
    let mut timeline: Vec<(i64, Vec<State>)> = vec![(0, now.clone())];
    changes.sort_by_key(|change| (change.minute, change.member));
    changes.dedup_by_key(|change| (change.minute, change.member));
    for change in &changes {
        if makes_circle(&now, change) {
            continue;
        }
        write(&mut tx, change).await;
        now[change.member] = (change.sponsor, change.rank, change.active);
        rebuild_closure(&mut tx, &now, change).await;
        timeline.push((change.minute, now.clone()));
    }
    let mut expected = HashMap::new();
    let mut sales = Vec::new();
    for minute in 0..10 {
        let at = |time: &&(i64, Vec<State>)| time.0 <= minute;
        let state = &timeline.iter().rfind(at).unwrap().1;
        for number in 0..12 {
            let sale = sale(minute, number);
            expected.insert(sale.id, walk(state, number));
            sales.push(sale);
        }
    }
    let mut sorted: Vec<&NewEvent> = sales.iter().collect();
    sorted.sort_unstable_by_key(|sale| sale.id);
    events::record(&mut tx, &sorted).await.unwrap();
    tx.commit().await.unwrap();

    let mut conn = world.owner.acquire().await.unwrap();
    let ids: Vec<Uuid> = sorted.iter().map(|sale| sale.id).collect();
    let batch = settling::read(&mut conn, &ids, 64).await.unwrap();
    assert_eq!(batch.events.len(), ids.len());
    for event in batch.events {
        let Walk::Found(inputs) = event.walk else { panic!("{:?}", event.walk) };
        let seen: Vec<(Uuid, u8, bool)> = std::iter::once(&inputs.seller)
            .chain(&inputs.upline)
            .map(|v| (v.member_id, v.rank.0, v.status == MemberStatus::Active))
            .collect();
        assert_eq!(seen, expected[&event.sale.event_id], "at {}", event.sale.as_of);
    }
}

fn walk(state: &[State], from: usize) -> Vec<(Uuid, u8, bool)> {
    std::iter::successors(Some(from), |number| state[*number].0)
        .map(|number| (id(number), state[number].1, state[number].2))
        .collect()
}

fn makes_circle(state: &[State], change: &Change) -> bool {
    let above = std::iter::successors(change.sponsor, |number| state[*number].0);
    above.take(13).any(|number| number == change.member)
}

/// The rows that a move and a change of state leave in history.
async fn write(conn: &mut store::PgConnection, change: &Change) {
    let at = start() + TimeDelta::minutes(change.minute);
    sqlx::query("insert into member_sponsors values ($1, $2, $3, now(), 'test', 'move')")
        .bind(id(change.member))
        .bind(at)
        .bind(change.sponsor.map(id))
        .execute(&mut *conn)
        .await
        .unwrap();
    let status = if change.active { "ACTIVE" } else { "SUSPENDED" };
    sqlx::query(
        "with history as (insert into member_states \
           values ($1, $2, ($3::text)::member_status, $4, now(), 'test', 'state')) \
         update members set sponsor_id = $5, status = ($3::text)::member_status, rank = $4, \
                state_since = $2 where id = $1",
    )
    .bind(id(change.member))
    .bind(at)
    .bind(status)
    .bind(i16::from(change.rank))
    .bind(change.sponsor.map(id))
    .execute(conn)
    .await
    .unwrap();
}

async fn rebuild_closure(conn: &mut store::PgConnection, state: &[State], change: &Change) {
    let at = start() + TimeDelta::minutes(change.minute);
    for number in 0..state.len() {
        let above = walk(state, number);
        if !above.iter().any(|(ancestor, ..)| *ancestor == id(change.member)) {
            continue;
        }
        sqlx::query("delete from member_tree_paths where descendant_id = $1")
            .bind(id(number))
            .execute(&mut *conn)
            .await
            .unwrap();
        for (depth, (ancestor, ..)) in (0_i16..).zip(above) {
            sqlx::query("insert into member_tree_paths values ($1, $2, $3)")
                .bind(ancestor)
                .bind(id(number))
                .bind(depth)
                .execute(&mut *conn)
                .await
                .unwrap();
        }
        sqlx::query("update members set upline_since = $2 where id = $1")
            .bind(id(number))
            .bind(at)
            .execute(&mut *conn)
            .await
            .unwrap();
    }
}

fn sale(minute: i64, seller: usize) -> NewEvent {
    let external_id = format!("{minute}-{seller}");
    let occurred_at = start() + TimeDelta::minutes(minute);
    let amount = Amount::parse("1").unwrap();
    NewEvent {
        id: domain::sale::event_id("test", &external_id),
        source: "test".to_owned(),
        external_id,
        facts: Facts {
            member_id: id(seller),
            occurred_at,
            source_type: SourceType::Product,
            currency: "EUR".parse().unwrap(),
            amount,
            volume: amount,
            product_id: None,
        },
        recorded_at: occurred_at + TimeDelta::days(1),
        earned_period: "2026-01-01".parse().unwrap(),
    }
}
