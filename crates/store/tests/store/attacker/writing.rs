//! What each role may write, and in whose name.

use store::database::Role;

use super::{CHECKED, DENIED, Fortress, execute};

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
