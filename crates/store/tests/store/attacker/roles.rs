//! Nobody becomes more than they are.

use std::collections::BTreeSet;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::StoreError;
use store::database::Role;

use super::{DENIED, Fortress, ROLES, execute};

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
