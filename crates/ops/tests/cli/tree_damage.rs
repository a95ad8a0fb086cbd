//! What a superuser does to the tree past every guard shows in `lineage verify`.

use domain::amount::Percentage;
use domain::history::{Change, What};
use domain::ladder::Rank;
use domain::member::MemberStatus;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use store::changes::{self, Order};
use store::enrolment::{self, NewMember};
use store::testing::World;
use uuid::Uuid;

/// Every table that the tree is made of.
const TABLES: [&str; 6] = [
    "members",
    "member_sponsors",
    "member_states",
    "member_reward_splits",
    "member_tree_paths",
    "member_changes",
];

fn member(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

async fn enrol(conn: &mut PgConnection, id: Uuid, sponsor_id: Option<Uuid>) {
    let new = NewMember {
        id,
        external_id: None,
        name: None,
        sponsor_id,
        status: MemberStatus::Active,
        rank: Rank(0),
        joined_at: None,
    };
    enrolment::enrol(conn, &new, "test").await.unwrap();
}

async fn change(conn: &mut PgConnection, changes: &[(u128, &str, What)]) {
    let changes: Vec<Change> = changes
        .iter()
        .map(|(number, at, what)| Change {
            member_id: member(*number),
            effective_at: Some(at.parse().unwrap()),
            what: *what,
        })
        .collect();
    let order = Order { changes: &changes, actor: "test", on_behalf_of: None, reason: "test" };
    changes::apply(conn, &order).await.unwrap().unwrap();
}

/// A chain 1 ← 2 ← 3 ← 4 ← 5 with 6 and 7 beside it. In February 5 moved below 6 and in March back
/// below 4; 2 was promoted, and in April 7 moved below 6 and 3 shared half of the money. Recorded last:
/// in January 5 had moved below 3, 2 had been promoted higher, and 3 had shared the points.
async fn world_with_history() -> World {
    let world = World::new().await;
    world.ladder(&["MEMBER", "SILVER", "GOLD"]).await;
    let mut tx = world.owner.begin().await.unwrap();
    for number in 1..=7 {
        let sponsor = (2..6).contains(&number).then(|| member(number - 1));
        enrol(&mut tx, member(number), sponsor).await;
    }
    let below = |number| What::Move { new_sponsor_id: Some(member(number)) };
    let rank = |rank| What::State { status: None, rank: Some(Rank(rank)) };
    let half = || Percentage::parse("50").ok();
    let money = What::Split { money_to_self: half(), points_to_self: None };
    let points = What::Split { money_to_self: None, points_to_self: half() };
    let first = [
        (5, "2026-02-01T00:00:00Z", below(6)),
        (5, "2026-03-01T00:00:00Z", below(4)),
        (2, "2026-02-01T00:00:00Z", rank(1)),
        (7, "2026-04-01T00:00:00Z", below(6)),
        (3, "2026-04-02T00:00:00Z", money),
    ];
    change(&mut tx, &first).await;
    let earlier = [
        (5, "2026-01-15T00:00:00Z", below(3)),
        (2, "2026-01-15T00:00:00Z", rank(2)),
        (3, "2026-01-15T00:00:00Z", points),
    ];
    change(&mut tx, &earlier).await;
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
        let mut statements = vec![
            format!("delete from {table}"),
            format!("insert into {table} overriding system value select * from whole_{table}"),
        ];
        if is_append_only(table) {
            statements.insert(0, format!("alter table {table} disable trigger append_only"));
        }
        for statement in statements {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await.unwrap();
        }
    }
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *tx).await.unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
    for table in TABLES.iter().filter(|table| is_append_only(table)) {
        let enable = format!("alter table {table} enable always trigger append_only");
        sqlx::query(AssertSqlSafe(enable)).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

fn is_append_only(table: &str) -> bool {
    !["members", "member_tree_paths"].contains(&table)
}

/// What `verify` finds: (member, problem).
async fn findings(world: &World) -> Vec<(String, String)> {
    verify(world).await.0
}

/// What `verify` finds, and its report.
async fn verify(world: &World) -> (Vec<(String, String)>, Value) {
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
    (found, said["report"].clone())
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

/// Damage to history that neither the present nor the record of changes contradicts by itself.
fn damage_behind_changes() -> Vec<Damage> {
    let id = |number: u128| format!("'{}'", member(number));
    let stranger = "has a history in member_sponsors, member_states or member_reward_splits, but is not enrolled";
    vec![
        (
            format!(
                "update member_sponsors set sponsor_id = {} where member_id = {} \
                 and effective_at = '-infinity'",
                id(6),
                id(5)
            ),
            5,
            format!(
                "replaced {} by a move at 2026-02-01 00:00:00 UTC, says the record, but had {} \
                 just before by the history of then",
                member(4),
                member(6)
            ),
        ),
        (
            format!(
                "update member_states set status = 'INACTIVE' where member_id = {} \
                 and effective_at = '-infinity'",
                id(2)
            ),
            2,
            "replaced ACTIVE with rank 0 by a change of status or rank at 2026-02-01 00:00:00 UTC, \
             says the record, but had INACTIVE with rank 0 just before by the history of then"
                .to_owned(),
        ),
        (
            format!(
                "update member_sponsors set sponsor_id = case when member_id = {0} then {1}::uuid \
                 else {0}::uuid end where member_id in ({0}, {1}) and effective_at = '-infinity'",
                id(5),
                id(7)
            ),
            7,
            "stood in a circle of sponsors from the beginning of time on, by the history".to_owned(),
        ),
        (
            format!(
                "insert into member_sponsors values ({}, '-infinity', null, now(), 'x', 'x')",
                id(9)
            ),
            9,
            stranger.to_owned(),
        ),
        (
            format!(
                "insert into member_states values ({}, '-infinity', 'ACTIVE', 0, now(), 'x', 'x')",
                id(9)
            ),
            9,
            stranger.to_owned(),
        ),
        (
            format!(
                "insert into member_sponsors values ({}, '2026-01-01', {}, now(), 'x', 'x')",
                id(1),
                id(9)
            ),
            1,
            format!("has a sponsor in its history who is not enrolled: {}", member(9)),
        ),
    ]
}

/// Moments that cannot be, or at which nothing was recorded.
fn damage_to_moments() -> Vec<Damage> {
    let id = |number: u128| format!("'{}'", member(number));
    let no_moment = |table: &str, field: &str, moment: &str| {
        format!("has a row in {table} whose {field} is {moment}, which is no moment up to now")
    };
    vec![
        (
            format!(
                "insert into member_states values ({}, '2100-01-01Z', 'ACTIVE', 1, now(), 'x', 'x')",
                id(1)
            ),
            1,
            no_moment("member_states", "effective_at", "2100-01-01 00:00:00"),
        ),
        (
            format!(
                "insert into member_sponsors values ({}, 'infinity', null, now(), 'x', 'x')",
                id(1)
            ),
            1,
            no_moment("member_sponsors", "effective_at", "infinity"),
        ),
        (
            "update member_changes set effective_at = '-infinity' \
             where effective_at = '2026-04-01Z'"
                .to_owned(),
            7,
            no_moment("member_changes", "effective_at", "-infinity"),
        ),
        (
            "update member_sponsors set recorded_at = 'infinity' where effective_at = '2026-04-01Z'"
                .to_owned(),
            7,
            no_moment("member_sponsors", "recorded_at", "infinity"),
        ),
        (
            "update member_sponsors set recorded_at = '2026-04-01Z' \
             where effective_at = '2026-04-01Z'"
                .to_owned(),
            7,
            "has a move at 2026-04-01 00:00:00 UTC in its history that nobody is on record for"
                .to_owned(),
        ),
    ]
}

/// Damage to the history of reward splits and to its record.
fn damage_to_splits() -> Vec<Damage> {
    let id = |number: u128| format!("'{}'", member(number));
    let at = "at 2026-04-02 00:00:00 UTC";
    vec![
        (
            "delete from member_reward_splits where effective_at = '2026-04-02Z'".to_owned(),
            3,
            format!("lacks the row of history of a change of the reward split {at} that is on record"),
        ),
        (
            "delete from member_changes where kind = 'SPLIT' and effective_at = '2026-04-02Z'"
                .to_owned(),
            3,
            format!(
                "has a change of the reward split {at} in its history that nobody is on record for"
            ),
        ),
        (
            "update member_reward_splits set points_to_self = 60 where effective_at = '2026-04-02Z'"
                .to_owned(),
            3,
            format!(
                "has a change of the reward split {at} in its history that nobody is on record for"
            ),
        ),
        (
            "update member_changes set old_money_to_self = 70 where effective_at = '2026-04-02Z'"
                .to_owned(),
            3,
            format!(
                "replaced 70.0000 % of the money and 100.0000 % of the points by a change of the \
                 reward split {at}, says the record, but had 100.0000 % of the money and 100.0000 % \
                 of the points just before by the history of then"
            ),
        ),
        (
            format!(
                "insert into member_reward_splits values ({}, '2026-01-01', 50, 50, now(), 'x', \
                 null, 'x')",
                id(9)
            ),
            9,
            "has a history in member_sponsors, member_states or member_reward_splits, but is not \
             enrolled"
                .to_owned(),
        ),
        (
            format!(
                "insert into member_reward_splits values ({}, '2100-01-01Z', 50, 50, now(), 'x', \
                 null, 'x')",
                id(1)
            ),
            1,
            "has a row in member_reward_splits whose effective_at is 2100-01-01 00:00:00, which is \
             no moment up to now"
                .to_owned(),
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
    // Whoever writes such a moment drops what forbids it first.
    execute(
        &world,
        "alter table member_sponsors drop constraint member_sponsors_effective_at_check",
    )
    .await;
    let damages = damage_to_the_closure().into_iter().chain(damage_to_history());
    let damages = damages.chain(damage_behind_changes()).chain(damage_to_moments());
    let damages = damages.chain(damage_to_splits());
    for (statement, who, problem) in damages {
        damage(&world, &statement).await;
        let found = findings(&world).await;
        assert!(
            found.contains(&(member(who).to_string(), problem.clone())),
            "{statement}\nexpected: {problem}\nfound: {found:#?}"
        );
    }
}

async fn execute(world: &World, statement: &str) {
    let statements = AssertSqlSafe(statement.to_owned());
    sqlx::raw_sql(statements).execute(&world.owner).await.unwrap();
}

/// A damaged member with a great id, below whom so many stand that their rows look wrong first.
#[tokio::test]
async fn verify_finds_the_damage_behind_many_suspects() {
    let world = World::new().await;
    world.ladder(&["MEMBER"]).await;
    let mut tx = world.owner.begin().await.unwrap();
    let top = member(1_000_000);
    enrol(&mut tx, top, None).await;
    for number in 1..=150 {
        enrol(&mut tx, member(number), Some(top)).await;
    }
    tx.commit().await.unwrap();
    assert_eq!(findings(&world).await, [], "whole before");

    execute(&world, &format!("delete from member_tree_paths where descendant_id = '{top}'")).await;
    let lacks = format!("lacks the closure row for {top}, 0 above");
    let (found, report) = verify(&world).await;
    assert_eq!(found, [(top.to_string(), lacks)], "the children's rows are right");
    assert_eq!(report["closure_differences"], 1);

    // Of the 301 rows that are missing now, all are counted.
    execute(&world, "delete from member_tree_paths").await;
    let (found, report) = verify(&world).await;
    assert_eq!(report["closure_differences"], 301);
    assert_eq!(found.len(), 101);
    let rest = ("differences of the closure".to_owned(), "201 more than are listed".to_owned());
    assert_eq!(found.last(), Some(&rest));
}

/// L3: what makes tables append-only, and the closure a tree, is itself looked after.
#[tokio::test]
async fn l3_verify_finds_guards_that_were_taken_away() {
    let world = world_with_history().await;
    let mut conn = world.owner.acquire().await.unwrap();
    store::ledger::ensure_partition(&mut conn, "2026-11-01".parse().unwrap()).await.unwrap();
    assert_eq!(findings(&world).await, [], "whole before");

    let tables = [
        "commission_ledger",
        "commission_ledger_2026_11",
        "commission_outcomes",
        "commission_plans",
        "commission_rules",
        "events",
        "member_changes",
        "member_reward_splits",
        "member_sponsors",
        "member_states",
    ];
    let problem = "does not refuse update, delete and truncate: its trigger append_only is \
                   missing, disabled or another one";
    let all = tables.map(|table| (table.to_owned(), problem.to_owned()));
    let ways = [
        ("alter table {} disable trigger append_only", ""),
        // Not for replication roles.
        ("alter table {} enable trigger append_only", ""),
        ("drop trigger append_only on {}", ""),
        (
            "create trigger append_only before update on {} \
             for each statement execute function refuse_change()",
            "alter table {} enable always trigger append_only",
        ),
    ];
    for (way, then) in ways {
        for statement in [way, then] {
            let statements = tables.map(|table| statement.replace("{}", table));
            execute(&world, &statements.join(";")).await;
        }
        assert_eq!(findings(&world).await, all, "{way} {then}");
    }
    let repair = tables.map(|table| {
        format!("drop trigger append_only on {table}; select guard_append_only('{table}')")
    });
    execute(&world, &repair.join(";")).await;
    assert_eq!(findings(&world).await, [], "guarded again");
}

/// Without its unique index the closure could hold two sponsors of one member.
#[tokio::test]
async fn verify_finds_missing_indexes_of_the_closure() {
    let world = world_with_history().await;
    let (up, down) = ("member_tree_paths_up", "member_tree_paths_down");
    let missing = |index: &str, unread: &str| {
        [(index.to_owned(), format!("is missing, invalid or another one{unread}"))]
    };
    let unread = "; members and closure were not compared without it";
    execute(&world, &format!("drop index {up}")).await;
    assert_eq!(findings(&world).await, missing(up, unread));

    let columns = "on member_tree_paths (descendant_id, depth) include (ancestor_id)";
    execute(&world, &format!("create index {up} {columns}")).await;
    assert_eq!(findings(&world).await, missing(up, unread), "not unique");

    execute(&world, &format!("drop index {up}; drop index {down}")).await;
    execute(&world, &format!("create unique index {up} {columns}")).await;
    assert_eq!(findings(&world).await, missing(down, ""));
    let columns = "on member_tree_paths (ancestor_id, depth, descendant_id)";
    execute(&world, &format!("create index {down} {columns}")).await;
    assert_eq!(findings(&world).await, [], "whole again");
}
