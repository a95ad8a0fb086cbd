//! L3: no role can update, delete or truncate what is append-only.

use sqlx::AssertSqlSafe;
use store::StoreError;
use store::database::Role;
use store::testing::World;

/// Every table that is guarded, ledger partitions included: found by the guard itself, so that a
/// new append-only table is tested without being listed here.
async fn guarded_tables(world: &World) -> Vec<String> {
    let query = "select tgrelid::regclass::text from pg_trigger where tgname = 'append_only' \
                 and tgenabled = 'A' order by 1";
    sqlx::query_scalar(query).fetch_all(&world.owner).await.unwrap()
}

async fn refusal(pool: &store::PgPool, statement: String) -> Option<String> {
    let done = sqlx::query(AssertSqlSafe(statement)).execute(pool).await;
    done.err().and_then(|error| StoreError::from(error).sqlstate())
}

#[tokio::test]
async fn l3_no_role_can_rewrite_what_is_append_only() {
    let world = World::new().await;
    for month in ["2010-12-01", "2026-11-01"] {
        let mut conn = world.pool_as(Role::Ingest).acquire().await.unwrap();
        store::ledger::ensure_partition(&mut conn, month.parse().unwrap()).await.unwrap();
    }
    let tables = guarded_tables(&world).await;
    for expected in [
        "events",
        "event_lines",
        "commission_outcomes",
        "commission_ledger",
        "commission_ledger_2010_12",
        "commission_ledger_2026_11",
        "commission_plans",
        "commission_rules",
        "plan_retirements",
        "member_sponsors",
        "member_states",
        "member_reward_splits",
        "member_changes",
        "operator_actions",
    ] {
        assert!(tables.iter().any(|table| table == expected), "{expected} is not guarded");
    }
    let roles = [Role::Ingest, Role::Worker, Role::Ops].map(|role| world.pool_as(role));
    for table in &tables {
        let column: String = sqlx::query_scalar(
            "select attname::text from pg_attribute \
             where attrelid = $1::regclass and attnum = 2",
        )
        .bind(table)
        .fetch_one(&world.owner)
        .await
        .unwrap();
        for statement in [
            format!("update {table} set {column} = {column}"),
            format!("delete from {table}"),
            format!("truncate {table}"),
            format!("truncate {table} cascade"),
        ] {
            for pool in &roles {
                let refused = refusal(pool, statement.clone()).await;
                assert_eq!(refused.as_deref(), Some("42501"), "by its rights: {statement}");
            }
            let refused = refusal(&world.owner, statement.clone()).await;
            let by_trigger = refused.as_deref() == Some("23001");
            let by_reference = statement.starts_with("truncate commission_plans")
                && refused.as_deref() == Some("0A000");
            assert!(by_trigger || by_reference, "{statement}: {refused:?}");
        }
        for pool in &roles {
            for statement in [
                format!("alter table {table} disable trigger append_only"),
                format!("drop table {table}"),
                "set session_replication_role = replica".to_owned(),
            ] {
                let refused = refusal(pool, statement.clone()).await;
                assert_eq!(refused.as_deref(), Some("42501"), "{statement}");
            }
        }
    }
}

/// Each binary's role can do its own work and nothing of the others'.
#[tokio::test]
async fn each_role_has_the_least_rights() {
    let world = World::new().await;
    let month = "2026-11-01".parse().unwrap();
    let mut conn = world.owner.acquire().await.unwrap();
    store::ledger::ensure_partition(&mut conn, month).await.unwrap();
    let insert_ledger = "insert into commission_ledger (event_id, member_id, earned_period, \
        posted_period, entry_type, line, currency, amount, career_points) values \
        (gen_random_uuid(), gen_random_uuid(), '2026-11-01', '2026-11-01', 'BONUS', 0, 'EUR', 1, 0)";
    let into_partition = insert_ledger.replace("commission_ledger ", "commission_ledger_2026_11 ");
    let insert_key =
        "insert into api_keys (id, name, secret_hash, scopes) values ('x', 'x', '', '{admin}')";
    let insert_member = "insert into members (id, status, rank, joined_at) \
        values (gen_random_uuid(), 'ACTIVE', 0, now())";
    let insert_change = "insert into member_changes (kind, member_id, effective_at, actor, reason) \
        values ('MOVE', gen_random_uuid(), now(), 'x', 'x')";
    let insert_line = "insert into event_lines (event_id, place, id, product_id, quantity, amount, \
        volume) values (gen_random_uuid(), 0, 'x', 'x', 1, 1, 1)";
    let insert_details = "insert into event_details (event_id) values (gen_random_uuid())";
    let insert_split = "insert into member_reward_splits (member_id, effective_at, money_to_self, \
        points_to_self, actor, reason) values (gen_random_uuid(), now(), 70, 50, 'x', 'x')";
    let insert_retirement = "insert into plan_retirements (plan, retired_from, retired_by, reason) \
        values ('x', now(), 'x', 'x')";
    for (statement, may) in [
        (insert_ledger, [false, true, false]),
        (&into_partition, [false, false, false]),
        (insert_member, [true, false, true]),
        (insert_key, [false, false, true]),
        ("update members set sponsor_id = null", [true, false, true]),
        ("update members set id = gen_random_uuid()", [false, false, false]),
        ("update members set joined_at = now()", [false, false, false]),
        ("delete from members", [false, false, false]),
        ("delete from member_tree_paths", [true, false, true]),
        ("update member_tree_paths set depth = 0", [false, false, false]),
        (insert_change, [true, false, true]),
        (insert_split, [true, false, true]),
        // When something was recorded is for the database's clock to say.
        (
            &insert_split
                .replace("(member_id", "(recorded_at, member_id")
                .replace("(gen", "(now(), gen"),
            [false; 3],
        ),
        (
            &insert_change
                .replace("(kind", "(recorded_at, kind")
                .replace("('MOVE'", "(now(), 'MOVE'"),
            [false; 3],
        ),
        (
            "insert into member_states (member_id, effective_at, status, rank, recorded_at, actor, \
             reason) values (gen_random_uuid(), now(), 'ACTIVE', 0, now(), 'x', 'x')",
            [false; 3],
        ),
        (insert_line, [true, false, false]),
        (insert_details, [true, false, false]),
        ("select * from event_lines", [true, true, true]),
        // Settlement has no use for what may be personal data; erasing it is for operators.
        ("select * from event_details", [true, false, true]),
        ("update event_details set context = null", [false, false, true]),
        ("update event_details set event_id = gen_random_uuid()", [false, false, false]),
        ("delete from event_details", [false, false, true]),
        (insert_retirement, [false, false, true]),
        (
            &insert_retirement
                .replace("(plan,", "(retired_at, plan,")
                .replace("('x'", "(now(), 'x'"),
            [false; 3],
        ),
        ("update programme set period = 'month'", [false, false, true]),
        ("delete from event_failures", [false, true, false]),
        ("update api_keys set secret_hash = ''", [false, false, false]),
        ("delete from api_keys", [false, false, false]),
        ("select secret_hash from api_keys", [true, false, true]),
        ("create table mine (id integer)", [false, false, false]),
        ("select guard_append_only('members')", [false, false, false]),
    ] {
        for (role, may) in [Role::Ingest, Role::Worker, Role::Ops].into_iter().zip(may) {
            let refused = refusal(&world.pool_as(role), statement.to_owned()).await;
            let expected = if may { None } else { Some("42501") };
            assert_eq!(refused.as_deref(), expected, "{}: {statement}", role.name());
        }
    }
}

/// The database refuses amounts that are no amounts, whoever writes them.
#[tokio::test]
async fn nan_and_negative_amounts_never_become_events() {
    let world = World::new().await;
    for amount in ["'NaN'", "-1", "'Infinity'", "12345678901234567"] {
        let statement = format!(
            "insert into events (id, member_id, occurred_at, recorded_at, earned_period, \
             event_type, source_type, currency, source, external_id, amount, volume) values \
             (gen_random_uuid(), gen_random_uuid(), now(), now(), '2026-11-01', 'SALE', \
             'PRODUCT', 'EUR', 's', 'x', {amount}, 1)"
        );
        let refused = refusal(&world.owner, statement).await.unwrap();
        assert!(refused.starts_with("22") || refused.starts_with("23"), "{amount}: {refused}");
        for values in
            [format!("{amount}, 1, 1"), format!("1, {amount}, 1"), format!("1, 1, {amount}")]
        {
            let statement = format!(
                "insert into event_lines (event_id, place, id, product_id, quantity, amount, volume) \
                 values (gen_random_uuid(), 0, 'x', 'x', {values})"
            );
            let refused = refusal(&world.owner, statement).await.unwrap();
            assert!(refused.starts_with("22") || refused.starts_with("23"), "{values}: {refused}");
        }
    }
}

/// A share of a reward is 0 to 100 percent, from a moment on, whoever writes it.
#[tokio::test]
async fn no_split_gives_away_more_than_there_is() {
    let world = World::new().await;
    for (moment, money, points) in [
        ("now()", "100.0001", "50"),
        ("now()", "50", "-0.0001"),
        ("now()", "'NaN'", "50"),
        ("now()", "null", "50"),
        ("'infinity'", "50", "50"),
        ("'-infinity'", "50", "50"),
    ] {
        let statement = format!(
            "insert into member_reward_splits (member_id, effective_at, money_to_self, \
             points_to_self, actor, reason) \
             values (gen_random_uuid(), {moment}, {money}, {points}, 'x', 'x')"
        );
        let refused = refusal(&world.owner, statement.clone()).await.unwrap();
        assert!(refused.starts_with("23"), "{statement}: {refused}");
    }
}

/// A typing error in a date must not make partitions for ever, nor may two sessions stumble over
/// one another.
#[tokio::test]
async fn partitions_are_made_once_and_within_bounds() {
    let world = World::new().await;
    let pool = world.pool_as(Role::Ingest);
    let month = "2011-07-01".parse().unwrap();
    let all = (0..4).map(|_| async {
        let mut conn = pool.acquire().await.unwrap();
        store::ledger::ensure_partition(&mut conn, month).await.unwrap()
    });
    let made = futures_util::future::join_all(all).await;
    assert_eq!(made.iter().filter(|made| **made).count(), 1, "{made:?}");
    let mut conn = pool.acquire().await.unwrap();
    for refused in ["1999-12-01", "2011-07-02", "2099-01-01"] {
        let error = store::ledger::ensure_partition(&mut conn, refused.parse().unwrap()).await;
        assert_eq!(error.unwrap_err().sqlstate().as_deref(), Some("22023"), "{refused}");
    }
}
