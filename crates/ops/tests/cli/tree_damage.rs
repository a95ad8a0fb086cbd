//! What a superuser does to the tree past every guard shows in `lineage verify`.

use domain::history::{Change, What};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use store::changes::{self, Order};
use store::enrolment::{self, NewMember};
use store::testing::World;
use uuid::Uuid;

/// Every table that the tree is made of.
const TABLES: [&str; 5] =
    ["members", "member_sponsors", "member_states", "member_tree_paths", "member_changes"];

fn member(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A chain 1 ← 2 ← 3 ← 4 ← 5 with 6 beside it. In February 5 moved below 6 and in March back below
/// 4; 2 was promoted.
async fn world_with_history() -> World {
    let world = World::new().await;
    world.ladder(&["MEMBER", "SILVER"]).await;
    let mut tx = world.owner.begin().await.unwrap();
    for number in 1..=6 {
        let new = NewMember {
            id: member(number),
            external_id: None,
            name: None,
            sponsor_id: (2..6).contains(&number).then(|| member(number - 1)),
            status: MemberStatus::Active,
            rank: Rank(0),
            joined_at: None,
        };
        enrolment::enrol(&mut tx, &new, "test").await.unwrap();
    }
    let changes = [
        (5, "2026-02-01T00:00:00Z", What::Move { new_sponsor_id: Some(member(6)) }),
        (5, "2026-03-01T00:00:00Z", What::Move { new_sponsor_id: Some(member(4)) }),
        (2, "2026-02-01T00:00:00Z", What::State { status: None, rank: Some(Rank(1)) }),
    ];
    let changes = changes.map(|(number, at, what)| Change {
        member_id: member(number),
        effective_at: Some(at.parse().unwrap()),
        what,
    });
    let order = Order { changes: &changes, actor: "test", on_behalf_of: None, reason: "test" };
    changes::apply(&mut tx, &order).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    for table in TABLES {
        let copy = format!("create table whole_{table} as table {table}");
        sqlx::query(AssertSqlSafe(copy)).execute(&world.owner).await.unwrap();
    }
    world
}

/// As a superuser whom no trigger stops: first everything as it was, then the damage.
async fn damage(world: &World, statement: &str) {
    let mut tx = world.owner.begin().await.unwrap();
    for table in TABLES {
        let guarded = !["members", "member_tree_paths"].contains(&table);
        let mut statements = vec![
            format!("delete from {table}"),
            format!("insert into {table} overriding system value select * from whole_{table}"),
        ];
        if guarded {
            statements.insert(0, format!("alter table {table} disable trigger append_only"));
        }
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
        }
    }
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
    tx.commit().await.unwrap();
}

/// What `verify` finds: (member, problem).
async fn findings(world: &World) -> Vec<(String, String)> {
    let mut command = world.lineage();
    command.args(["verify", "--format", "json"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let found = said["findings"].as_array().unwrap().iter().map(|finding| {
        let text = |field: &str| finding[field].as_str().unwrap().to_owned();
        (text("id"), text("problem"))
    });
    let found: Vec<_> = found.collect();
    assert_eq!(output.status.success(), found.is_empty(), "{said}");
    assert_eq!(said["proved"], found.is_empty());
    found
}

/// A statement, whom it damages, and what `verify` must say of them.
type Damage = (String, u128, String);

/// Damage to the closure table.
fn damage_to_the_closure() -> Vec<Damage> {
    let id = |number: u128| format!("'{}'", member(number));
    vec![
        (
            format!("delete from member_tree_paths where descendant_id = {} and depth = 2", id(4)),
            4,
            format!("lacks the closure row for {}, 2 above", member(2)),
        ),
        (
            format!(
                "update member_tree_paths set ancestor_id = {} where descendant_id = {} and depth = 1",
                id(6),
                id(3)
            ),
            3,
            format!("has a wrong closure row: {}, 1 above", member(6)),
        ),
        (
            format!("insert into member_tree_paths values ({}, {}, 1)", id(1), id(6)),
            6,
            format!("has a wrong closure row: {}, 1 above", member(1)),
        ),
        (
            format!("insert into member_tree_paths values ({0}, {0}, 0)", id(9)),
            9,
            "has closure rows, but is not enrolled".to_owned(),
        ),
        (
            format!("delete from member_tree_paths where descendant_id = {}", id(6)),
            6,
            format!("lacks the closure row for {}, 0 above", member(6)),
        ),
    ]
}

/// Damage to the present, to history, and to the record of changes.
fn damage_to_history() -> Vec<Damage> {
    let id = |number: u128| format!("'{}'", member(number));
    vec![
        (
            "delete from member_sponsors where effective_at = '2026-02-01'".to_owned(),
            5,
            "lacks the row of history of a move at 2026-02-01 00:00:00 UTC that is on record"
                .to_owned(),
        ),
        (
            format!(
                "delete from member_states where member_id = {} and effective_at > '-infinity'",
                id(2)
            ),
            2,
            "lacks the row of history of a change of status or rank at 2026-02-01 00:00:00 UTC \
             that is on record"
                .to_owned(),
        ),
        (
            format!("delete from member_sponsors where member_id = {}", id(3)),
            3,
            "has another sponsor, status or rank, or since another moment, than the history ends in"
                .to_owned(),
        ),
        (
            format!(
                "delete from member_sponsors where member_id = {} and effective_at = '-infinity'",
                id(5)
            ),
            5,
            "has no first row in member_sponsors or member_states; history must begin at the \
             beginning of time"
                .to_owned(),
        ),
        (
            "delete from member_changes where kind = 'MOVE' and effective_at = '2026-03-01'"
                .to_owned(),
            5,
            "has a move at 2026-03-01 00:00:00 UTC in its history that nobody is on record for"
                .to_owned(),
        ),
        (
            format!("update members set rank = 1 where id = {}", id(3)),
            3,
            "has another sponsor, status or rank, or since another moment, than the history ends in"
                .to_owned(),
        ),
        (
            format!("update members set sponsor_id = {} where id = {}", id(9), id(6)),
            6,
            format!("has a sponsor who does not exist: {}", member(9)),
        ),
        (
            format!("update members set sponsor_id = {} where id = {}", id(4), id(2)),
            2,
            format!(
                "is in a circle of sponsors: {} below {} below {}",
                member(2),
                member(4),
                member(3)
            ),
        ),
        (
            format!(
                "insert into member_sponsors values ({0}, '2026-01-01', {1}, now(), 'x', 'x'), \
                 ({0}, '2026-01-02', null, now(), 'x', 'x')",
                id(1),
                id(5)
            ),
            1,
            "stood in a circle of sponsors from 2026-01-01 00:00:00 UTC on, by the history"
                .to_owned(),
        ),
    ]
}

#[tokio::test]
async fn verify_finds_every_kind_of_damage_to_the_tree() {
    let world = world_with_history().await;
    assert_eq!(findings(&world).await, [], "whole before");
    for (statement, who, problem) in damage_to_the_closure().into_iter().chain(damage_to_history())
    {
        damage(&world, &statement).await;
        let found = findings(&world).await;
        assert!(
            found.contains(&(member(who).to_string(), problem.clone())),
            "{statement}\nexpected: {problem}\nfound: {found:#?}"
        );
    }
}
