//! Who holds a binary's login, or a hole in it, and tries what attackers try: as each role, assumed
//! and with a login of its own, against the walls of the database. Every refusal is known by its
//! SQLSTATE.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use store::StoreError;
use store::database::{Access, Role};
use store::locks::{self, Lock};
use store::testing::World;

const ROLES: [Role; 3] = [Role::Ingest, Role::Worker, Role::Ops];

/// PostgreSQL's "insufficient privilege".
const DENIED: &str = "42501";
/// What the append-only triggers say.
const APPEND_ONLY: &str = "23001";
/// A check constraint.
const CHECKED: &str = "23514";

/// Logins with the rights of one role each; gone when dropped.
struct Logins {
    names: [String; 3],
    server: String,
}

impl Logins {
    async fn new(world: &World) -> Self {
        let url = world.database_url().expose_secret().to_owned();
        let names = ROLES.map(|role| format!("{}_{}", world.name(), role.name()));
        let logins = Self { names, server: url };
        for (name, role) in logins.names.iter().zip(ROLES) {
            let role = role.name();
            let create = format!("create role {name} login password 'of {name}' in role {role}");
            execute(&world.owner, &create).await.unwrap();
        }
        logins
    }

    fn url(&self, role: Role) -> String {
        let place = ROLES.iter().position(|known| *known == role).unwrap();
        let name = &self.names[place];
        let (scheme, rest) = self.server.split_once("://").unwrap();
        let authority = rest.find('/').unwrap_or(rest.len());
        let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
        format!("{scheme}://{name}:of%20{name}@{}", &rest[host..])
    }

    fn pool(&self, role: Role) -> PgPool {
        Access::with_own_login(self.url(role).into(), "attacker").pool(1).unwrap()
    }
}

impl Drop for Logins {
    fn drop(&mut self) {
        let (names, server) = (self.names.clone(), self.server.clone());
        let clean_up = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let mut admin = PgConnection::connect(&server).await.unwrap();
                for name in names {
                    let drop = format!("drop role if exists {name}");
                    let _ = sqlx::query(AssertSqlSafe(drop)).execute(&mut admin).await;
                }
            });
        });
        let _ = clean_up.join();
    }
}

/// A database, and pools of each role: assumed, and with a login of its own.
struct Fortress {
    pools: Vec<(Role, &'static str, PgPool)>,
    logins: Logins,
    world: World,
}

impl Fortress {
    async fn new() -> Self {
        let world = World::new().await;
        let logins = Logins::new(&world).await;
        let mut conn = world.owner.acquire().await.unwrap();
        let month = "2026-11-01".parse().unwrap();
        store::ledger::ensure_partition(&mut conn, month).await.unwrap();
        let mut pools = Vec::new();
        for role in ROLES {
            let assumed = Access::assuming(role, world.database_url(), "attacker").pool(1).unwrap();
            pools.push((role, "assumed", assumed));
            pools.push((role, "own login", logins.pool(role)));
        }
        Self { pools, logins, world }
    }

    /// Tries statements as every role. Expected are the SQLSTATEs for ingest, worker and operators,
    /// empty for what the role may do.
    async fn hold<T: AsRef<str>>(&self, cases: impl IntoIterator<Item = (T, [&str; 3])>) {
        let mut fallen = Vec::new();
        for (statement, expected) in cases {
            let statement = statement.as_ref();
            for (role, how, pool) in &self.pools {
                let place = ROLES.iter().position(|known| known == role).unwrap();
                let said = execute(pool, statement).await;
                let state = said.as_ref().err().and_then(StoreError::sqlstate).unwrap_or_default();
                if state != expected[place] {
                    let (role, expected) = (role.name(), expected[place]);
                    let said = said.map_or_else(|error| error.to_string(), |_| "done".to_owned());
                    fallen.push(format!(
                        "{role} ({how}): {statement}: {state} instead of {expected}: {said}"
                    ));
                }
            }
        }
        assert!(fallen.is_empty(), "{fallen:#?}");
    }
}

async fn execute(pool: &PgPool, statement: &str) -> Result<u64, StoreError> {
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(pool).await?;
    Ok(done.rows_affected())
}

/// The binaries' own work, and nothing of the others'.
#[tokio::test]
async fn no_role_writes_what_is_anothers() {
    let fortress = Fortress::new().await;
    let event = "insert into events (id, member_id, occurred_at, recorded_at, earned_period, \
        event_type, source_type, currency, source, external_id, amount, volume) values \
        (gen_random_uuid(), gen_random_uuid(), now(), now(), '2026-11-01', 'SALE', 'PRODUCT', \
        'EUR', 's', 'x', 1, 1)";
    let outcome = "insert into commission_outcomes (event_id, plan_id, semantics, lines, breakage, \
        inputs) values (gen_random_uuid(), 1, 2, 0, 0, '')";
    let line = "insert into commission_ledger (event_id, member_id, earned_period, posted_period, \
        entry_type, line, currency, amount, career_points) values (gen_random_uuid(), \
        gen_random_uuid(), '2026-11-01', '2026-11-01', 'BONUS', 0, 'EUR', 1000000, 0)";
    let member = "insert into members (id, status, rank, joined_at) values (gen_random_uuid(), \
        'ACTIVE', 0, now())";
    let sponsor = "insert into member_sponsors (member_id, effective_at, actor, reason) values \
        (gen_random_uuid(), now(), 'x', 'x')";
    let state = "insert into member_states (member_id, effective_at, status, rank, actor, reason) \
        values (gen_random_uuid(), now(), 'ACTIVE', 255, 'x', 'x')";
    let split = "insert into member_reward_splits (member_id, effective_at, money_to_self, \
        points_to_self, actor, reason) values (gen_random_uuid(), now(), 100, 0, 'x', 'x')";
    let change = "insert into member_changes (kind, member_id, effective_at, actor, reason) values \
        ('MOVE', gen_random_uuid(), now(), 'x', 'x')";
    let path = "insert into member_tree_paths values (gen_random_uuid(), gen_random_uuid(), 0)";
    let plan = "insert into commission_plans (plan, version, name, source_types, valid_from, \
        rule_set, rule_set_hash, file_hash, applied_by, reason) values (gen_random_uuid(), 'x', \
        'x', '{}', now(), gen_random_uuid(), '', '', 'x', 'x')";
    let rule = "insert into commission_rules (plan_id, place, rule, component, name, valid_from, \
        priority, calculation) values (1, 0, 'x', 'x', 'x', now(), 0, '{}')";
    let retirement = "insert into plan_retirements (plan, retired_from, retired_by, reason) values \
        (gen_random_uuid(), now(), 'x', 'x')";
    let key = "insert into api_keys (id, name, secret_hash, scopes) values (gen_random_uuid(), \
        'x', '', '{admin}')";
    let action = "insert into operator_actions (actor, action, arguments_digest, result) values \
        ('role:' || session_user, 'plan.apply', sha256(''), 'done')";
    let failure = "insert into event_failures (event_id, state, cause, attempts, last_error) \
        values (gen_random_uuid(), 'dead', 'x', 1, 'x')";
    let cases = [
        (event, ["", DENIED, DENIED]),
        (outcome, [DENIED, "", DENIED]),
        (line, [DENIED, "", DENIED]),
        (member, ["", DENIED, ""]),
        (sponsor, ["", DENIED, ""]),
        (state, ["", DENIED, ""]),
        (split, ["", DENIED, ""]),
        (change, ["", DENIED, ""]),
        (path, ["", DENIED, ""]),
        // Rights come before what is wrong with the row.
        (plan, [DENIED, DENIED, CHECKED]),
        (rule, [DENIED, DENIED, "23503"]),
        (retirement, [DENIED, DENIED, ""]),
        (key, [DENIED, DENIED, ""]),
        (action, ["", DENIED, ""]),
        (failure, [DENIED, "", DENIED]),
        ("insert into ranks select 200, 'x' where false", [DENIED, DENIED, ""]),
        ("update programme set starts_on = '1990-01-01' where false", [DENIED, DENIED, ""]),
        ("update members set status = 'ACTIVE' where false", ["", DENIED, ""]),
        ("update members set name = 'x' where false", [DENIED; 3]),
        ("delete from member_tree_paths where false", ["", DENIED, ""]),
        ("update api_keys set scopes = '{admin}'", [DENIED; 3]),
        ("update api_keys set secret_hash = ''", [DENIED; 3]),
        ("select secret_hash from api_keys", ["", DENIED, ""]),
        ("select id from api_keys", ["", DENIED, ""]),
        ("select * from operator_actions", [DENIED, DENIED, ""]),
        ("select name from members", ["", "", ""]),
        ("select * from event_details", ["", DENIED, ""]),
        ("copy members from stdin", [DENIED, DENIED, DENIED]),
        ("copy commission_outcomes from stdin", [DENIED; 3]),
        ("copy operator_actions from stdin", [DENIED; 3]),
        ("copy commission_ledger (event_id, posted_at) from stdin", [DENIED; 3]),
        ("copy commission_ledger_2026_11 from stdin", [DENIED; 3]),
    ];
    fortress.hold(cases).await;
}

/// What PostgreSQL says of a row, nobody else can say.
#[tokio::test]
async fn nobody_forges_when_and_by_whom_a_row_was_written() {
    let fortress = Fortress::new().await;
    let mut forged: Vec<String> = Vec::new();
    for (table, columns) in [
        ("commission_outcomes", &["settled_at", "settled_in"][..]),
        ("commission_ledger", &["posted_at"]),
        ("members", &["enrolled_at", "state_since", "sponsor_since"]),
        ("member_sponsors", &["recorded_at", "login"]),
        ("member_states", &["recorded_at", "login"]),
        ("member_reward_splits", &["recorded_at", "login"]),
        ("member_changes", &["recorded_at", "login", "id"]),
        ("commission_plans", &["applied_at", "login", "id"]),
        ("commission_rules", &["id"]),
        ("plan_retirements", &["retired_at", "login", "id"]),
        ("api_keys", &["created_at", "created_by"]),
        ("operator_actions", &["recorded_at", "login", "id"]),
    ] {
        forged.extend(columns.iter().map(|column| {
            format!("insert into {table} ({column}) overriding system value values (default)")
        }));
    }
    fortress.hold(forged.into_iter().map(|statement| (statement, [DENIED; 3]))).await;
    // A command line acts for its own login and for no other, whatever role it assumes.
    let cases = [
        (
            "insert into operator_actions (actor, action, arguments_digest, result) values \
             ('role:jana', 'plan.apply', sha256(''), 'done')",
            [CHECKED, DENIED, CHECKED],
        ),
        (
            "insert into member_states (member_id, effective_at, status, rank, actor, reason) \
             values (gen_random_uuid(), now(), 'ACTIVE', 0, 'role:jana', 'x')",
            [CHECKED, DENIED, CHECKED],
        ),
        (
            "insert into member_sponsors (member_id, effective_at, actor, reason) values \
             (gen_random_uuid(), now(), 'role:jana', 'x')",
            [CHECKED, DENIED, CHECKED],
        ),
        (
            "insert into member_changes (kind, member_id, effective_at, actor, reason) values \
             ('MOVE', gen_random_uuid(), now(), 'role:jana', 'x')",
            [CHECKED, DENIED, CHECKED],
        ),
        (
            "insert into plan_retirements (plan, retired_from, retired_by, reason) values \
             ('x', now(), 'role:jana', 'x')",
            [DENIED, DENIED, CHECKED],
        ),
    ];
    fortress.hold(cases).await;
    // What an actor says of themselves stands beside what PostgreSQL says.
    let pool = fortress.logins.pool(Role::Ingest);
    let insert = "insert into member_states (member_id, effective_at, status, rank, actor, reason) \
         values (gen_random_uuid(), now(), 'ACTIVE', 0, 'key:somebody', 'x')";
    execute(&pool, insert).await.unwrap();
    let login: Option<String> = sqlx::query_scalar("select login from member_states")
        .fetch_one(&fortress.world.owner)
        .await
        .unwrap();
    assert_eq!(login.as_ref(), Some(&fortress.logins.names[0]));
}

/// Only ingest checks keys: a command line, or whoever holds its login, does not speak for them.
#[tokio::test]
async fn only_ingest_speaks_for_keys() {
    let fortress = Fortress::new().await;
    let cases = [
        (
            "insert into operator_actions (actor, action, arguments_digest, result) values \
             ('key:jana', 'plan.apply', sha256(''), 'done')",
            ["", DENIED, CHECKED],
        ),
        (
            "insert into member_sponsors (member_id, effective_at, actor, reason) values \
             (gen_random_uuid(), now(), 'key:jana', 'x')",
            ["", DENIED, CHECKED],
        ),
        (
            "insert into member_states (member_id, effective_at, status, rank, actor, reason) \
             values (gen_random_uuid(), now(), 'ACTIVE', 0, 'key:jana', 'x')",
            ["", DENIED, CHECKED],
        ),
        (
            "insert into member_reward_splits (member_id, effective_at, money_to_self, \
             points_to_self, actor, reason) values (gen_random_uuid(), now(), 100, 0, 'key:jana', \
             'x')",
            ["", DENIED, CHECKED],
        ),
        (
            "insert into member_changes (kind, member_id, effective_at, actor, reason) values \
             ('MOVE', gen_random_uuid(), now(), 'key:jana', 'x')",
            ["", DENIED, CHECKED],
        ),
        (
            "insert into plan_retirements (plan, retired_from, retired_by, reason) values \
             (gen_random_uuid(), now(), 'key:jana', 'x')",
            [DENIED, DENIED, CHECKED],
        ),
        (
            "insert into commission_plans (plan, version, name, source_types, valid_from, \
             rule_set, rule_set_hash, file_hash, applied_by, reason) select x, 'x', 'x', '{}', \
             now(), x, sha256(convert_to(x, 'UTF8')), '', 'key:jana', 'x' \
             from (select gen_random_uuid()::text as x) as made",
            [DENIED, DENIED, CHECKED],
        ),
    ];
    fortress.hold(cases).await;
}

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

/// L3: whatever an attacker thinks of, history stays as it was written.
#[tokio::test]
async fn l3_nobody_rewrites_history() {
    let fortress = Fortress::new().await;
    let tables = [
        "events",
        "event_lines",
        "commission_outcomes",
        "commission_ledger",
        "commission_ledger_2026_11",
        "commission_plans",
        "commission_rules",
        "plan_retirements",
        "member_sponsors",
        "member_states",
        "member_reward_splits",
        "member_changes",
        "operator_actions",
    ];
    let key =
        "select a.attname::text from pg_attribute a where attrelid = $1::regclass and attnum = 2";
    for table in tables {
        let column: String =
            sqlx::query_scalar(key).bind(table).fetch_one(&fortress.world.owner).await.unwrap();
        let mut statements = Vec::new();
        for rewritten in [
            "update {t} set {c} = {c}",
            "update only {t} set {c} = {c}",
            "delete from {t}",
            "truncate {t}",
            "with gone as (delete from {t} returning *) select * from gone",
            "merge into {t} using (select 1) as x on true when matched then delete",
            "do $$ begin update {t} set {c} = {c}; end $$",
            "do $$ begin lock table {t} in access exclusive mode; end $$",
            "select * from {t} for update",
            "alter table {t} disable trigger append_only",
            "alter table {t} disable trigger all",
            "alter table {t} disable trigger user",
            "alter table {t} enable replica trigger append_only",
            "drop trigger append_only on {t}",
            "alter table {t} owner to current_user",
            "alter table {t} rename to gone",
            "alter table {t} set schema pg_temp",
            "alter table {t} drop column {c}",
            "alter table {t} alter column {c} drop default",
            "alter table {t} enable row level security",
            "create policy hide on {t} using (false)",
            "create rule hide as on insert to {t} do instead nothing",
            "create trigger hide before insert on {t} for each row execute function \
             suppress_redundant_updates_trigger()",
            "create table heir () inherits ({t})",
            "create index on {t} ({c})",
            "comment on table {t} is 'x'",
            "drop table {t} cascade",
            "drop table {t}",
        ] {
            statements.push(rewritten.replace("{t}", table).replace("{c}", &column));
        }
        fortress.hold(statements.iter().map(|statement| (statement, [DENIED; 3]))).await;
    }
    let statements = [
        "alter table commission_ledger detach partition commission_ledger_2026_11",
        "alter table commission_ledger_2026_11 no inherit commission_ledger",
        "alter table commission_ledger attach partition members default",
        "create table more partition of commission_ledger default",
        "drop view event_state cascade",
        "create or replace view event_state as select 1 as event_id",
        "alter view member_balance owner to current_user",
        "drop function refuse_change() cascade",
        "alter function refuse_change() owner to current_user",
        "create or replace function refuse_change() returns trigger language plpgsql as \
         'begin return null; end'",
        "select setval('operator_actions_id_seq', 1000000)",
        "select nextval('member_changes_id_seq')",
        "update pg_catalog.pg_trigger set tgenabled = 'D'",
        "delete from pg_catalog.pg_class where relname = 'events'",
    ];
    fortress.hold(statements.map(|statement| (statement, [DENIED; 3]))).await;
    // Not even the owner's slips: the triggers hold for everybody.
    for table in tables {
        let refused = execute(&fortress.world.owner, &format!("delete from {table}")).await;
        assert_eq!(refused.unwrap_err().sqlstate().as_deref(), Some(APPEND_ONLY), "{table}");
    }
    // In a session for replication too.
    let mut owner = fortress.world.owner.acquire().await.unwrap();
    sqlx::query("set session_replication_role = replica").execute(&mut *owner).await.unwrap();
    let refused = sqlx::query("delete from events").execute(&mut *owner).await.unwrap_err();
    assert_eq!(StoreError::from(refused).sqlstate().as_deref(), Some(APPEND_ONLY));
    owner.close().await.unwrap();
}

/// Nobody becomes more than they are, or reaches the server behind the database.
#[tokio::test]
async fn nobody_leaves_their_role() {
    let fortress = Fortress::new().await;
    let database = fortress.world.name().to_owned();
    let mut statements: Vec<String> = [
        "set session_replication_role = replica",
        "select set_config('session_replication_role', 'replica', false)",
        "set zero_damaged_pages = on",
        "set lo_compat_privileges = on",
        "alter system set fsync = off",
        "select pg_reload_conf()",
        "select pg_switch_wal()",
        "select pg_stat_reset()",
        "create role mine superuser",
        "create extension dblink",
        "create extension file_fdw",
        "create schema mine",
        "create table mine (id integer)",
        "create table public.mine (id integer)",
        "create view mine as select 1",
        "create type mine as (id integer)",
        "create function mine() returns integer language sql security definer as 'select 1'",
        "create operator = (leftarg = uuid, rightarg = text, function = texteq)",
        "create temp table events (id uuid)",
        "create temp view events as select 1",
        "create temp table programme (starts_on date)",
        "create temp sequence mine",
        "create foreign data wrapper mine",
        "create event trigger mine on ddl_command_start execute function refuse_change()",
        "create publication mine for all tables",
        "create subscription mine connection 'host=x' publication mine",
        "select pg_read_file('/etc/passwd')",
        "select pg_read_binary_file('/etc/passwd')",
        "select pg_ls_dir('/')",
        "select lo_import('/etc/passwd')",
        "select lo_export(1, '/tmp/x')",
        "copy (select 1) to program 'cat > /tmp/x'",
        "copy (select 1) to '/tmp/lineage-attacker'",
        "copy event_failures from program 'id'",
        "copy event_failures from '/etc/passwd'",
        "select rolpassword from pg_authid",
        "select passwd from pg_shadow",
        "reassign owned by lineage_ingest to lineage_worker",
        "alter role lineage_ingest superuser",
        "alter role lineage_worker bypassrls",
        "alter role lineage_ops replication",
        "alter role lineage_ops createrole",
        "select guard_append_only('members')",
    ]
    .map(str::to_owned)
    .to_vec();
    statements.push(format!("create database {database}_mine"));
    statements.push(format!("alter database {database} set session_replication_role = replica"));
    statements.push(format!("alter database {database} owner to current_user"));
    for role in ROLES {
        statements.push(format!("grant pg_read_all_data to {}", role.name()));
        statements.push(format!("grant pg_execute_server_program to {}", role.name()));
    }
    fortress.hold(statements.into_iter().map(|statement| (statement, [DENIED; 3]))).await;
}

/// A binary's own login is no other binary's, and has nothing to go back to.
#[tokio::test]
async fn a_login_is_one_role_and_no_other() {
    let fortress = Fortress::new().await;
    let mut victims = Vec::new();
    for role in ROLES {
        let mut conn = PgConnection::connect(&fortress.logins.url(role)).await.unwrap();
        let process: i32 =
            sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut conn).await.unwrap();
        victims.push((role, process, conn));
    }
    let mut owner = fortress.world.owner.acquire().await.unwrap();
    let owners: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *owner).await.unwrap();
    for role in ROLES {
        let mut conn = PgConnection::connect(&fortress.logins.url(role)).await.unwrap();
        let mut said = async |statement: String| {
            let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut conn).await;
            done.err().and_then(|error| StoreError::from(error).sqlstate()).unwrap_or_default()
        };
        for other in ROLES.into_iter().filter(|other| *other != role) {
            let other = other.name();
            assert_eq!(said(format!("set role {other}")).await, DENIED, "{}", role.name());
            assert_eq!(said(format!("grant {other} to current_user")).await, DENIED);
            let authorization = format!("set session authorization {other}");
            assert_eq!(said(authorization).await, DENIED);
        }
        // Nothing changes by going back: there was nothing before.
        for back in ["reset role", "set role none", "reset session authorization", "reset all"] {
            assert_eq!(said(back.to_owned()).await, "", "{back}");
            assert_eq!(said("update events set source = 'x'".to_owned()).await, DENIED, "{back}");
        }
        assert_eq!(said(format!("set role {}", role.name())).await, "", "its own");
        assert_eq!(said("truncate events".to_owned()).await, DENIED);
        assert_eq!(said("reset role".to_owned()).await, "");
        for (victim, process, _) in &victims {
            if *victim != role {
                for how in ["pg_terminate_backend", "pg_cancel_backend"] {
                    let ended = said(format!("select {how}({process})")).await;
                    assert_eq!(ended, DENIED, "{} ends {}", role.name(), victim.name());
                }
            }
        }
        assert_eq!(said(format!("select pg_terminate_backend({owners})")).await, DENIED);
        // What holds: sessions of the very same login are not safe from one another.
        let own = victims.iter().position(|(victim, ..)| *victim == role).unwrap();
        let process = victims[own].1;
        assert_eq!(said(format!("select pg_cancel_backend({process})")).await, "");
    }
}

/// Functions that run as the schema's owner: what they search, and who may call them.
#[tokio::test]
async fn functions_of_the_owner_are_closed_to_strangers() {
    let fortress = Fortress::new().await;
    let owner = &fortress.world.owner;
    let functions: Vec<(String, Vec<String>, Vec<String>)> = sqlx::query_as(
        "select p.oid::regprocedure::text, coalesce(p.proconfig, '{}'), \
                array(select coalesce(r.rolname, 'public')::text \
                        from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a \
                        left join pg_roles r on r.oid = a.grantee \
                       where a.grantee <> p.proowner order by 1) \
           from pg_proc p \
          where p.prosecdef and p.pronamespace = 'public'::regnamespace order by 1",
    )
    .fetch_all(owner)
    .await
    .unwrap();
    let names: BTreeSet<&str> = functions.iter().map(|(name, ..)| name.as_str()).collect();
    let ops = ["lineage_ops"];
    let everybody = ["lineage_ingest", "lineage_ops", "lineage_worker"];
    for (name, settings, callers) in &functions {
        let searches = "search_path=pg_catalog, public, pg_temp".to_owned();
        assert!(settings.contains(&searches), "{name}: {settings:?}");
        let expected: &[&str] = match name.as_str() {
            "begin_closure_load()" | "end_closure_load()" => &ops,
            "ensure_ledger_partition(date)" => &everybody,
            _ => panic!("{name} runs as the owner: who may call it, and with what?"),
        };
        assert_eq!(callers, expected, "{name}");
    }
    assert_eq!(names.len(), 3);
    // With arguments that nobody should give.
    let evil = [
        ("select ensure_ledger_partition('infinity')", "22023"),
        ("select ensure_ledger_partition('-infinity')", "22023"),
        ("select ensure_ledger_partition('2026-11-02')", "22023"),
        ("select ensure_ledger_partition('1999-12-01')", "22023"),
        ("select ensure_ledger_partition('0001-01-01 BC')", "22023"),
        ("select ensure_ledger_partition('5874897-12-01')", "22008"),
        ("select ensure_ledger_partition(null)", "22004"),
        ("select ensure_ledger_partition('x; drop table events')", "22007"),
    ];
    fortress.hold(evil.map(|(statement, expected)| (statement, [expected; 3]))).await;
    // Taking the closure's indexes away and leaving it at that does not outlast the transaction.
    fortress.hold([("select begin_closure_load()", [DENIED, DENIED, "55000"])]).await;
    let mut conn = PgConnection::connect(&fortress.logins.url(Role::Ops)).await.unwrap();
    for evading in ["", "set constraints all deferred;", "set constraints all immediate;"] {
        let statement = format!("begin; {evading} select begin_closure_load(); commit");
        let refused = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut conn).await.unwrap_err();
        let state = StoreError::from(refused).sqlstate();
        assert_eq!(state.as_deref(), Some("55000"), "{evading}");
        sqlx::raw_sql("rollback").execute(&mut conn).await.unwrap();
    }
    fortress.hold([("delete from closure_loads", [DENIED; 3])]).await;
    fortress.hold([("select end_closure_load()", [DENIED, DENIED, "42P07"])]).await;
}

/// Even where somebody gives back the right to temporary tables: what runs as the owner does not see
/// them, whatever the session searches first.
#[tokio::test]
async fn shadows_of_tables_mislead_no_function_of_the_owner() {
    let fortress = Fortress::new().await;
    let database = fortress.world.name();
    let grant = format!("grant temporary on database {database} to lineage_ingest, lineage_ops");
    execute(&fortress.world.owner, &grant).await.unwrap();
    let mut conn = PgConnection::connect(&fortress.logins.url(Role::Ingest)).await.unwrap();
    for statement in [
        "create temp table programme as select date '1000-01-01' as starts_on",
        "create temp table pg_class (relname name, relnamespace oid)",
        "create temp table events (like public.events)",
        "create temp table commission_ledger (posted_period date) partition by range (posted_period)",
        "create function pg_temp.guard_append_only(regclass) returns void language sql as ''",
        "create function pg_temp.format(text, variadic \"any\") returns text language internal \
         as 'text_format'",
        "set search_path = pg_temp, public, pg_catalog",
    ] {
        let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut conn).await;
        let state = done.err().and_then(|error| StoreError::from(error).sqlstate());
        // Functions in C are for superusers.
        let expected = statement.contains("internal").then_some(DENIED);
        assert_eq!(state.as_deref(), expected, "{statement}");
    }
    let refused = sqlx::query("select public.ensure_ledger_partition('1999-12-01')")
        .execute(&mut conn)
        .await
        .unwrap_err();
    assert_eq!(StoreError::from(refused).sqlstate().as_deref(), Some("22023"));
    sqlx::query("select public.ensure_ledger_partition('2026-10-01')")
        .execute(&mut conn)
        .await
        .unwrap();
    let guarded: bool = sqlx::query_scalar(
        "select exists (select from pg_trigger where tgname = 'append_only' and tgenabled = 'A' \
           and tgrelid = 'public.commission_ledger_2026_10'::regclass) \
         and exists (select from pg_inherits where inhparent = 'public.commission_ledger'::regclass \
           and inhrelid = 'public.commission_ledger_2026_10'::regclass)",
    )
    .fetch_one(&fortress.world.owner)
    .await
    .unwrap();
    assert!(guarded, "the real ledger got the partition, with its guard");
}
