//! What a change of history leaves in the tables.

use chrono::{DateTime, Utc};
use domain::history::{Change, Refusal, What};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use store::changes::{self, Applied, Order};
use store::enrolment::{self, NewMember};
use store::testing::World;
use uuid::Uuid;

use crate::model::id;

/// Members 0, 1, … with these sponsors.
async fn world(sponsors: &[Option<usize>]) -> World {
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
    tx.commit().await.unwrap();
    world
}

fn moved(member: usize, sponsor: Option<usize>, day: Option<&str>) -> Change {
    Change {
        member_id: id(member),
        effective_at: day.map(|day| format!("{day}T00:00:00Z").parse().unwrap()),
        what: What::Move { new_sponsor_id: sponsor.map(id) },
    }
}

async fn apply(world: &World, changes: &[Change]) -> Result<Applied, Vec<(usize, Refusal)>> {
    let order = Order { changes, actor: "test", on_behalf_of: None, reason: "test" };
    let mut tx = world.owner.begin().await.unwrap();
    let applied = changes::apply(&mut tx, &order).await.unwrap();
    tx.commit().await.unwrap();
    applied
}

/// Closure rows as (ancestor, descendant, depth), sorted.
async fn closure(world: &World) -> Vec<(Uuid, Uuid, i16)> {
    let query = "select ancestor_id, descendant_id, depth from member_tree_paths order by 2, 3";
    sqlx::query_as(query).fetch_all(&world.owner).await.unwrap()
}

const CHAIN: [Option<usize>; 5] = [None, Some(0), Some(1), Some(2), None];

#[tokio::test]
async fn a_move_takes_the_downline_along_and_another_undoes_it() {
    let world = world(&CHAIN).await;
    let before = closure(&world).await;
    let there = apply(&world, &[moved(1, Some(4), None)]).await.unwrap();
    assert_eq!(there.moves[0].subtree_size, 3);
    let below_4 = "select array_agg(depth::integer order by depth) from member_tree_paths \
                   where ancestor_id = $1";
    let depths: Vec<i32> =
        sqlx::query_scalar(below_4).bind(id(4)).fetch_one(&world.owner).await.unwrap();
    assert_eq!(depths, [0, 1, 2, 3]);
    world.assert_tree_is_sound().await;
    let back = apply(&world, &[moved(1, Some(0), None)]).await.unwrap();
    assert!(back.now > there.now);
    assert_eq!(closure(&world).await, before);
    let since: DateTime<Utc> =
        sqlx::query_scalar("select sponsor_since from members where id = $1")
            .bind(id(1))
            .fetch_one(&world.owner)
            .await
            .unwrap();
    assert_eq!(since, back.now, "and history knows that they were away");
    let touched = "select count(*) from members where sponsor_since > '-infinity'";
    let touched: i64 = sqlx::query_scalar(touched).fetch_one(&world.owner).await.unwrap();
    assert_eq!(touched, 1, "the downline's rows stay as they are");
}

/// Two branches swap: one after the other, the first move would close a circle.
#[tokio::test]
async fn moves_of_one_moment_need_no_order() {
    let world = world(&CHAIN).await;
    let swap = [
        moved(0, Some(2), Some("2026-02-01")),
        moved(2, Some(4), Some("2026-02-01")),
        moved(3, Some(1), Some("2026-02-01")),
    ];
    apply(&world, &swap).await.unwrap();
    world.assert_tree_is_sound().await;
    let mut conn = world.owner.acquire().await.unwrap();
    let upline = store::tree::member_and_upline(&mut conn, id(3), None).await.unwrap();
    assert_eq!(upline, [3, 1, 0, 2, 4].map(id));
}

/// A change that a later one has replaced already writes history, and leaves the present alone.
#[tokio::test]
async fn a_change_in_the_past_leaves_the_present_alone() {
    let world = world(&CHAIN).await;
    apply(&world, &[moved(3, Some(1), Some("2026-03-01"))]).await.unwrap();
    let before = closure(&world).await;
    let applied = apply(&world, &[moved(3, Some(4), Some("2026-02-01"))]).await.unwrap();
    let until = applied.moves[0].planned.holds_until;
    assert_eq!(until, Some("2026-03-01T00:00:00Z".parse().unwrap()));
    assert_eq!(closure(&world).await, before);
    world.assert_tree_is_sound().await;
    let mut conn = world.owner.acquire().await.unwrap();
    for (day, expected) in [("01-31", vec![2, 1, 0]), ("02-01", vec![4]), ("03-01", vec![1, 0])] {
        let as_of = Some(format!("2026-{day}T00:00:00Z").parse().unwrap());
        let upline = store::tree::member_and_upline(&mut conn, id(3), as_of).await.unwrap();
        let expected: Vec<Uuid> = expected.into_iter().map(id).collect();
        assert_eq!(upline[1..], expected, "on {day}");
    }
}

/// Depths are added up before anything is written. The rows that make it deep are invented: a real
/// tree of this depth has twelve million.
#[tokio::test]
async fn the_tree_has_a_bottom() {
    let world = world(&[None, None, Some(1), None]).await;
    sqlx::query("insert into member_tree_paths values ($1, $2, 4999)")
        .bind(id(9))
        .bind(id(0))
        .execute(&world.owner)
        .await
        .unwrap();
    let before = closure(&world).await;
    let refused = apply(&world, &[moved(3, Some(0), None), moved(1, Some(0), None)]).await;
    assert_eq!(refused.unwrap_err(), [(1, Refusal::TooDeep)], "1 has somebody below");
    assert_eq!(closure(&world).await, before, "the other move is taken back too");
    assert!(apply(&world, &[moved(3, Some(0), None)]).await.is_ok());
}
