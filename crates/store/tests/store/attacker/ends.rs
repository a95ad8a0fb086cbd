//! What has ended or is relied on stays as it is: calendar, ladder, keys, discards.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::StoreError;
use store::database::Role;
use store::locks::{self, Lock};

use super::{APPEND_ONLY, CHECKED, DENIED, Fortress, execute};

/// Stored periods and ranks keep their meaning: nobody changes the calendar after the first event, or
/// a place of the ladder once somebody relies on it.
#[tokio::test]
async fn l3_nobody_gives_stored_ranks_and_periods_another_meaning() {
    let fortress = Fortress::new().await;
    let owner = &fortress.world.owner;
    // Before anybody relies on them they may change, and the ladder never has a gap.
    let before = [
        ("update programme set time_zone = 'Europe/Prague'", [DENIED, DENIED, ""]),
        ("update ranks set name = 'BEGINNER' where place = 0", [DENIED, DENIED, ""]),
        ("insert into ranks values (2, 'GOLD')", [DENIED, DENIED, CHECKED]),
        ("update ranks set place = 7", [DENIED, DENIED, CHECKED]),
    ];
    fortress.hold(before).await;
    execute(owner, "insert into ranks values (1, 'SILVER')").await.unwrap();
    // What a session saw before the first member and event is no leave to change them later.
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut session = PgConnection::connect(&fortress.logins.url(Role::Ops)).await.unwrap();
        sqlx::raw_sql("begin isolation level repeatable read; select from members, events")
            .execute(&mut session)
            .await
            .unwrap();
        sessions.push(session);
    }
    let member = "insert into members (id, status, rank, joined_at) values (gen_random_uuid(), \
        'ACTIVE', 1, now())";
    let event = "insert into events (id, member_id, occurred_at, recorded_at, earned_period, \
        event_type, source_type, currency, source, external_id, amount, volume) values \
        (gen_random_uuid(), gen_random_uuid(), now(), now(), '2026-11-01', 'SALE', 'PRODUCT', \
        'EUR', 's', 'x', 1, 1)";
    execute(owner, member).await.unwrap();
    execute(owner, event).await.unwrap();
    let changes = [
        "update ranks set name = 'GOLD' where place = 0",
        "update programme set time_zone = 'UTC'",
    ];
    for (session, change) in sessions.iter_mut().zip(changes) {
        let refused = sqlx::query(change).execute(session).await.unwrap_err();
        let state = StoreError::from(refused).sqlstate();
        assert_eq!(state.as_deref(), Some(APPEND_ONLY), "{change}");
    }
    drop(sessions);
    let refused = [DENIED, DENIED, APPEND_ONLY];
    let after = [
        ("update ranks set name = 'GOLD' where place = 0", refused),
        ("update ranks set name = name", refused),
        ("update ranks set place = place + 1", refused),
        ("delete from ranks", refused),
        ("delete from ranks where place = 1", refused),
        ("insert into ranks values (0, 'X') on conflict (place) do update set name = 'X'", refused),
        ("insert into ranks values (3, 'GOLD')", [DENIED, DENIED, CHECKED]),
        ("truncate ranks", [DENIED; 3]),
        ("update programme set time_zone = 'UTC'", refused),
        ("update programme set starts_on = '1990-01-01'", refused),
        ("delete from programme", [DENIED; 3]),
        ("truncate programme", [DENIED; 3]),
        ("alter table ranks disable trigger all", [DENIED; 3]),
        ("alter table programme disable trigger all", [DENIED; 3]),
        // Saying again what holds changes nothing.
        ("update programme set time_zone = 'Europe/Prague'", [DENIED, DENIED, ""]),
    ];
    fortress.hold(after).await;
    // Whoever asks, in a session for replication too.
    let mut conn = owner.acquire().await.unwrap();
    for mode in ["origin", "replica"] {
        let set = format!("set session_replication_role = {mode}");
        sqlx::query(AssertSqlSafe(set)).execute(&mut *conn).await.unwrap();
        for statement in [
            "update ranks set name = 'GOLD' where place = 0",
            "delete from ranks where place = 1",
            "truncate ranks",
            "update programme set time_zone = 'UTC'",
            "delete from programme",
            "truncate programme",
        ] {
            let refused = sqlx::query(statement).execute(&mut *conn).await.unwrap_err();
            let state = StoreError::from(refused).sqlstate();
            assert_eq!(state.as_deref(), Some(APPEND_ONLY), "{mode}: {statement}");
        }
    }
    conn.close().await.unwrap();
    // Ranks are added on top.
    let top = "insert into ranks values (2, 'GOLD'), (3, 'PLATINUM')";
    assert_eq!(execute(&fortress.logins.pool(Role::Ops), top).await.unwrap(), 2);
    let ladder: Vec<String> =
        sqlx::query_scalar("select name from ranks order by place").fetch_all(owner).await.unwrap();
    assert_eq!(ladder, ["BEGINNER", "SILVER", "GOLD", "PLATINUM"]);
}

/// A change that waits uncommitted for the first sale keeps it waiting as well.
#[tokio::test]
async fn a_change_of_calendar_or_ladder_holds_what_relies_on_it() {
    let fortress = Fortress::new().await;
    for (change, lock) in [
        ("update programme set time_zone = 'Europe/Prague'", Lock::Programme),
        ("update ranks set name = 'BEGINNER'", Lock::History),
    ] {
        let mut attacker = PgConnection::connect(&fortress.logins.url(Role::Ops)).await.unwrap();
        sqlx::query("begin").execute(&mut attacker).await.unwrap();
        sqlx::query(change).execute(&mut attacker).await.unwrap();
        let mut tx = fortress.world.owner.begin().await.unwrap();
        sqlx::query("set local lock_timeout = '50ms'").execute(&mut *tx).await.unwrap();
        let waited = locks::share(&mut tx, lock).await;
        assert!(matches!(waited, Err(StoreError::Locked(_))), "{change}: {waited:?}");
    }
}

/// What has ended stays ended, and a key that has ended gets no further secret.
#[tokio::test]
async fn nobody_brings_back_a_key_that_has_ended() {
    let fortress = Fortress::new().await;
    let owner = &fortress.world.owner;
    for statement in [
        "insert into api_keys (id, name, secret_hash, scopes, revoked_at, secret_ends_at, \
         expires_at) values ('revoked', 'x', 'x', '{admin}', null, '2030-01-01', '2030-01-01'), \
         ('expired', 'x', 'x', '{admin}', null, null, now() - interval '1 day')",
        "insert into api_key_secrets (key_id, number, secret_hash, ends_at) values \
         ('revoked', 2, 'x', '2030-01-01')",
        "insert into api_key_signing_secrets (key_id, number, secret, ends_at) values \
         ('revoked', 1, sha256('x'), '2030-01-01')",
        "update api_keys set revoked_at = now() where id = 'revoked'",
    ] {
        execute(owner, statement).await.unwrap();
    }
    let back = |statement: &'static str| (statement, [DENIED, DENIED, APPEND_ONLY]);
    let refused = [
        back("update api_keys set revoked_at = null where id = 'revoked'"),
        back("update api_keys set revoked_at = 'infinity' where id = 'revoked'"),
        back("update api_keys set revoked_at = revoked_at + interval '1 us' where id = 'revoked'"),
        back("update api_keys set secret_ends_at = null where id = 'revoked'"),
        back("update api_keys set secret_ends_at = '2031-01-01' where id = 'revoked'"),
        back("update api_key_secrets set ends_at = null"),
        back("update api_key_secrets set ends_at = '2031-01-01'"),
        back("update api_key_signing_secrets set ends_at = null"),
        back("update api_key_signing_secrets set ends_at = '2031-01-01'"),
        back(
            "insert into api_key_secrets (key_id, number, secret_hash) values ('revoked', 3, 'x')",
        ),
        back(
            "insert into api_key_secrets (key_id, number, secret_hash) values ('expired', 2, 'x')",
        ),
        back(
            "insert into api_key_signing_secrets (key_id, number, secret) values \
             ('revoked', 2, sha256('x'))",
        ),
        ("update api_keys set expires_at = null", [DENIED; 3]),
        ("update api_key_secrets set secret_hash = 'x'", [DENIED; 3]),
        // Earlier is allowed.
        (
            "update api_keys set secret_ends_at = '2029-01-01' where id = 'revoked'",
            [DENIED, DENIED, ""],
        ),
        ("update api_key_secrets set ends_at = '2029-01-01'", [DENIED, DENIED, ""]),
        ("update api_key_signing_secrets set ends_at = '2029-01-01'", [DENIED, DENIED, ""]),
    ];
    fortress.hold(refused).await;
    for statement in [
        "update api_keys set revoked_at = null where id = 'revoked'",
        "update api_keys set expires_at = null where id = 'expired'",
        "update api_keys set expires_at = '2031-01-01' where id = 'revoked'",
    ] {
        let refused = execute(owner, statement).await.unwrap_err();
        assert_eq!(refused.sqlstate().as_deref(), Some(APPEND_ONLY), "the owner: {statement}");
    }
}

/// Who discarded an event, when and why stays, until the event is settled.
#[tokio::test]
async fn nobody_rewrites_or_erases_a_discard() {
    let fortress = Fortress::new().await;
    let owner = &fortress.world.owner;
    let id = "00000000-0000-0000-0000-000000000001";
    let failure = format!(
        "insert into event_failures (event_id, state, cause, attempts, last_error) values \
         ('{id}', 'dead', 'x', 1, 'x')"
    );
    execute(owner, &failure).await.unwrap();
    // A dead event has no discard to be told, and nobody discards as another.
    let unfounded = [
        ("update event_failures set discard_reason = 'x'", [APPEND_ONLY, DENIED, APPEND_ONLY]),
        (
            "update event_failures set state = 'discarded', discarded_by = 'role:jana', \
             discarded_at = now(), discard_reason = 'x'",
            [CHECKED, DENIED, CHECKED],
        ),
    ];
    fortress.hold(unfounded).await;
    let ops = fortress.logins.pool(Role::Ops);
    let as_key = "update event_failures set state = 'discarded', discarded_by = 'key:jana', \
        discarded_at = '1999-01-01', discard_reason = 'fraud'";
    assert_eq!(execute(&ops, as_key).await.unwrap_err().sqlstate().as_deref(), Some(CHECKED));
    execute(&fortress.logins.pool(Role::Ingest), as_key).await.unwrap();
    let reason: String = sqlx::query_scalar(
        "select discard_reason from event_failures where discarded_at > now() - interval '1 hour'",
    )
    .fetch_one(owner)
    .await
    .expect("PostgreSQL says when");
    assert_eq!(reason, "fraud");
    let rewritten = [
        "update event_failures set discard_reason = 'x'",
        "update event_failures set discarded_by = 'x'",
        "update event_failures set discarded_on_behalf_of = 'x'",
        "update event_failures set discarded_at = '1999-01-01'",
        "update event_failures set state = 'dead', discard_reason = 'x'",
        "update event_failures set state = 'discarded', discard_reason = 'x'",
    ];
    let refused = [APPEND_ONLY, DENIED, APPEND_ONLY];
    fortress.hold(rewritten.map(|statement| (statement, refused))).await;
    let worker = [
        ("delete from event_failures", [DENIED, APPEND_ONLY, DENIED]),
        ("truncate event_failures", [DENIED; 3]),
    ];
    fortress.hold(worker).await;
    let worker = fortress.logins.pool(Role::Worker);
    let brought_back = "update event_failures set state = 'dead' where state = 'discarded'";
    let refused = execute(&worker, brought_back).await.unwrap_err();
    assert_eq!(refused.sqlstate().as_deref(), Some(CHECKED));
    // Retried, it keeps its reason, which the worker forgets only with the outcome.
    let retry =
        "update event_failures set state = 'retrying', attempts = 1, next_attempt_at = now()";
    assert_eq!(execute(&ops, retry).await.unwrap(), 1);
    let discarded = "update event_failures set state = 'discarded', next_attempt_at = null";
    let refused = execute(&worker, discarded).await.unwrap_err();
    assert_eq!(refused.sqlstate().as_deref(), Some(CHECKED));
    let forget = "delete from event_failures";
    for whoever in [&worker, owner] {
        let refused = execute(whoever, forget).await.unwrap_err();
        assert_eq!(refused.sqlstate().as_deref(), Some(APPEND_ONLY));
    }
    let outcome = format!(
        "insert into commission_outcomes (event_id, plan_id, semantics, lines, breakage, inputs) \
         values ('{id}', 1, 2, 0, 0, '')"
    );
    let mut tx = worker.begin().await.unwrap();
    sqlx::query(AssertSqlSafe(outcome)).execute(&mut *tx).await.unwrap();
    store::failures::clear(&mut tx, &[id.parse().unwrap()]).await.unwrap();
    tx.commit().await.unwrap();
    let left: i64 =
        sqlx::query_scalar("select count(*) from event_failures").fetch_one(owner).await.unwrap();
    assert_eq!(left, 0);
}
